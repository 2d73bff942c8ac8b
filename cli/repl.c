/* repl.c - the interactive prompt: reads messages, keeps the conversation (spec/cli.md 4). */
#include "cli/repl.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/line.h"
#include "cli/terminal.h"

/* ---- the conversation ---- */

/* A system message that nobody has answered yet is replaced. */
void repl_set_system(struct repl *r, const char *text) {
    struct conversation *t = &r->talk;
    buf_clear(&r->system);
    buf_str(&r->system, text);
    if (t->n > 0 && t->list[t->n - 1].role == ROLE_SYSTEM) conversation_cut(t, t->n - 1);
    conversation_add(t, ROLE_SYSTEM, &r->system, NULL);
}

bool repl_take_back(struct repl *r, struct buf *text) {
    const size_t at = conversation_last(&r->talk, ROLE_USER);
    if (at == SIZE_MAX) return false;
    if (text != NULL) buf_str(text, r->talk.list[at].text);
    conversation_cut(&r->talk, at);
    r->n_prompt = r->n_answer = 0;
    return true;
}

/* Messages that the model itself brings are shown, not sent: the server adds them. */
static void show_messages(const struct session *s) {
    for (const json *m = json_first(json_get(s->shown, "messages")); m != NULL; m = json_next(m)) {
        const char *role = json_string(json_get(m, "role"));
        const char *content = json_string(json_get(m, "content"));
        if (role == NULL || content == NULL) continue;
        const bool user = strcmp(role, "user") == 0;
        if (!user && strcmp(role, "assistant") != 0) continue;
        if (user) fputs(">>> ", stdout);
        terminal_print(stdout, content, strlen(content));
        fputs(user ? "\n" : "\n\n", stdout);
    }
    fflush(stdout);
}

/* An answer that was stopped stays, as far as it came; a question that failed does not. */
static void keep_answer(struct repl *r, const struct display *a, enum status st) {
    if (st == ST_OK || (st == ST_CANCELLED && a->content.len > 0))
        conversation_add(&r->talk, ROLE_ASSISTANT, &a->content, &a->thinking);
    else
        conversation_cut(&r->talk, r->talk.n - 1);
    r->n_prompt = a->stats.prompt_count;
    r->n_answer = a->stats.eval_count;
}

/* Adds the user's message, with the images whose paths are in it. */
static enum status add_message(struct repl *r, struct buf *message, struct err *e) {
    struct buf images = {0}, typed = {0};
    buf_add(&typed, message->data, message->len);
    enum status st = images_take(r->session, message, &images, e);
    if (st == ST_OK) {
        conversation_add(&r->talk, ROLE_USER, message, NULL);
        conversation_add_images(&r->talk, &images, &typed);
        if (r->talk.json.failed || typed.failed) st = err_no_memory(e);
    }
    buf_free(&images);
    buf_free(&typed);
    return st;
}

enum status repl_ask(struct repl *r, struct buf *message, struct err *e) {
    struct session *s = r->session;
    struct display a;
    struct buf body = {0};
    struct err why = {0};
    if (add_message(r, message, &why) != ST_OK) {
        cli_error("Error", &why);
        fputs("\n", stderr);
        return r->talk.json.failed ? err_no_memory(e) : ST_OK;
    }
    display_open(&a, s->wordwrap);
    enum status st = session_put(&body, s, &why);
    json_put_key(&body, "messages");
    buf_printf(&body, "[%s]", r->talk.json.data);
    if (st == ST_OK) st = session_ask(s, "/api/chat", &body, &a, &why);
    keep_answer(r, &a, st);
    fflush(stdout);
    if (st == ST_OK || st == ST_CANCELLED) {
        fputs("\n\n", stdout);
    } else {
        cli_error("Error", &why);
        fputs("\n", stderr);
    }
    fflush(stdout);
    if (st == ST_OK && s->verbose) display_print_stats(&a);
    display_free(&a);
    buf_free(&body);
    terminal_clear_interrupt();
    if (st == ST_UNAVAILABLE || st == ST_NO_MEMORY) return err_set(e, st, "%s", why.msg);
    return r->talk.json.failed ? err_no_memory(e) : ST_OK;
}

/* ---- messages over several lines ---- */

struct entry {
    struct buf text;
    bool open;      /* inside """ */
    bool in_system; /* inside /set system """ */
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
                                             : repl_ask(r, &t->text, e);
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

/* One more line; true if the text is complete. */
static bool take_line(struct entry *t, const char *line) {
    if (t->in_system) {
        t->in_system = !add_system_line(t, line);
        return !t->in_system;
    }
    if (!t->open && opens_system(line)) {
        buf_str(&t->text, line);
        t->in_system = true;
        return false;
    }
    return add_line(t, line);
}

static enum status loop(struct repl *r, struct line_reader *reader, struct err *e) {
    static const struct line_request fresh = {">>> ", "Send a message (/? for help)", NULL};
    static const struct line_request more = {"... ", "Press Enter to send", NULL};
    struct entry t = {.open = false};
    enum status st = ST_OK;
    while (!r->quit && st == ST_OK) {
        struct line_request request = t.open || t.in_system ? more : fresh;
        const char *line;
        request.text = r->draft.data;
        const enum line_end end = line_read(reader, &request, &line);
        buf_clear(&r->draft);
        if (end == LINE_END) {
            putchar('\n');
            break;
        }
        if (end == LINE_DONE) {
            if (take_line(&t, line)) st = handle(r, reader, &t, e);
            continue;
        }
        puts(end == LINE_EMPTIED ? "\nUse Ctrl + d or /bye to exit." : "");
        buf_clear(&t.text);
        t.open = t.in_system = false;
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
    conversation_free(&r.talk);
    buf_free(&r.system);
    buf_free(&r.draft);
    return st;
}
