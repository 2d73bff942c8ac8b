/* repl.c - the interactive prompt: reads messages, keeps the conversation (spec/cli.md 4). */
#include "cli/repl.h"

#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/terminal.h"

/* ---- the conversation ---- */

void repl_add_message(struct repl *r, const char *role, const struct buf *content,
                      const struct buf *thinking) {
    if (r->messages.len > 0) buf_chr(&r->messages, ',');
    r->last_message = r->messages.len;
    r->last_is_system = strcmp(role, "system") == 0;
    buf_chr(&r->messages, '{');
    json_put_field(&r->messages, "role", role);
    json_put_key(&r->messages, "content");
    json_put_string(&r->messages, content->data != NULL ? content->data : "", content->len);
    if (thinking != NULL && thinking->len > 0) {
        json_put_key(&r->messages, "thinking");
        json_put_string(&r->messages, thinking->data, thinking->len);
    }
    buf_chr(&r->messages, '}');
}

/* A system message that nobody has answered yet is replaced. */
void repl_set_system(struct repl *r, const char *text) {
    buf_clear(&r->system);
    buf_str(&r->system, text);
    if (r->last_is_system && r->messages.len > 0)
        buf_cut(&r->messages, r->last_message > 0 ? r->last_message - 1 : 0);
    repl_add_message(r, "system", &r->system, NULL);
}

/* Messages that the model itself brings are shown, not sent: the server adds them. */
static void show_messages(const struct session *s) {
    for (const json *m = json_first(json_get(s->shown, "messages")); m != NULL; m = json_next(m)) {
        const char *role = json_string(json_get(m, "role"));
        const char *content = json_string(json_get(m, "content"));
        if (role == NULL || content == NULL) continue;
        if (strcmp(role, "user") == 0)
            printf(">>> %s\n", content);
        else if (strcmp(role, "assistant") == 0)
            printf("%s\n\n", content);
    }
    fflush(stdout);
}

/* To the message that was added last. */
static void add_images(struct repl *r, const struct buf *images) {
    if (images->len == 0) return;
    buf_cut(&r->messages, r->messages.len - 1);
    buf_printf(&r->messages, ",\"images\":[%s]}", images->data);
}

static enum status ask(struct repl *r, struct buf *message, struct err *e) {
    struct session *s = r->session;
    struct display a;
    struct buf body = {0}, images = {0};
    struct err why = {0};
    if (images_take(s, message, &images, &why) != ST_OK) {
        fprintf(stderr, "Error: %s\n\n", why.msg);
        buf_free(&images);
        return ST_OK;
    }
    repl_add_message(r, "user", message, NULL);
    add_images(r, &images);
    buf_free(&images);
    display_open(&a, s->wordwrap);
    enum status st = session_put(&body, s, &why);
    json_put_key(&body, "messages");
    buf_printf(&body, "[%s]", r->messages.data != NULL ? r->messages.data : "");
    if (st == ST_OK) st = session_ask(s, "/api/chat", &body, &a, &why);
    if (st == ST_OK || (st == ST_CANCELLED && a.content.len > 0))
        repl_add_message(r, "assistant", &a.content, &a.thinking);
    if (st == ST_OK || st == ST_CANCELLED)
        fputs("\n\n", stdout);
    else
        fprintf(stderr, "Error: %s\n\n", why.msg);
    fflush(stdout);
    if (st == ST_OK && s->verbose) display_print_stats(&a);
    display_free(&a);
    buf_free(&body);
    terminal_clear_interrupt();
    if (st == ST_UNAVAILABLE || r->messages.failed) return err_set(e, st, "%s", why.msg);
    return ST_OK;
}

/* ---- messages over several lines ---- */

struct entry {
    struct buf text;
    bool open; /* inside """ */
};

/* Adds a line; true if the message is complete. */
static bool add_line(struct entry *t, const char *line) {
    size_t n = strlen(line);
    const bool first = !t->open && t->text.len == 0;
    if (first && strncmp(line, "\"\"\"", 3) == 0) {
        line += 3;
        n -= 3;
        t->open = true;
    } else if (t->open) {
        buf_chr(&t->text, '\n');
    }
    const bool ends = t->open && n >= 3 && strcmp(line + n - 3, "\"\"\"") == 0;
    buf_add(&t->text, line, ends ? n - 3 : n);
    if (ends) t->open = false;
    return !t->open;
}

/* `/set system """` opens a text, too. The line is a command once the text is complete. */
static bool opens_system(const char *line) {
    static const char head[] = "/set system \"\"\"";
    const size_t n = strlen(line);
    return strncmp(line, head, sizeof head - 1) == 0 &&
           (n < sizeof head + 2 || strcmp(line + n - 3, "\"\"\"") != 0);
}

static enum status handle(struct repl *r, struct line_reader *reader, struct entry *t,
                          struct err *e) {
    enum status st = ST_OK;
    if (t->text.len > 0) {
        line_remember(reader, t->text.data, r->save_history);
        const bool path = session_can(r->session, "vision") && images_begin(t->text.data);
        st = t->text.data[0] == '/' && !path ? repl_command(r, t->text.data, e)
                                             : ask(r, &t->text, e);
    }
    buf_clear(&t->text);
    return st;
}

/* The text of a multi-line system message, up to the closing quotes. */
static bool add_system_line(struct entry *t, const char *line) {
    const size_t n = strlen(line);
    buf_chr(&t->text, '\n');
    buf_str(&t->text, line);
    return n >= 3 && strcmp(line + n - 3, "\"\"\"") == 0;
}

static enum status loop(struct repl *r, struct line_reader *reader, struct err *e) {
    struct entry t = {.open = false};
    bool in_system = false;
    enum status st = ST_OK;
    while (!r->quit && st == ST_OK) {
        bool interrupted;
        const char *line = line_read(reader, t.open || in_system ? "... " : ">>> ", &interrupted);
        if (line == NULL && !interrupted) break;
        if (line == NULL) { /* Ctrl-C drops what was typed */
            fputs("\nUse Ctrl + d or /bye to exit.\n", stdout);
            buf_clear(&t.text);
            t.open = in_system = false;
            continue;
        }
        if (in_system) {
            in_system = !add_system_line(&t, line);
            if (!in_system) st = handle(r, reader, &t, e);
        } else if (!t.open && opens_system(line)) {
            buf_str(&t.text, line);
            in_system = true;
        } else if (add_line(&t, line)) {
            st = handle(r, reader, &t, e);
        }
    }
    buf_free(&t.text);
    return st;
}

enum status repl_run(struct session *s, struct err *e) {
    struct repl r = {.session = s, .save_history = !config_bool(SET_nohistory)};
    enum status st = session_load(s, e);
    if (st != ST_OK) return st;
    struct line_reader *reader = line_open();
    if (reader == NULL) return err_no_memory(e);
    show_messages(s);
    st = loop(&r, reader, e);
    line_close(reader);
    buf_free(&r.messages);
    buf_free(&r.system);
    return st;
}
