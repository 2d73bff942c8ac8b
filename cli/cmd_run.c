/* cmd_run.c - asks a model: one prompt, or a conversation (spec/cli.md 3).
 *
 * A GGUF file is run in place by a private server in this process; from there on it is a model like
 * any other. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/model_file.h"
#include "cli/private.h"
#include "cli/session.h"
#include "cli/terminal.h"

enum { STDIN_MAX_BYTES = 64 << 20 };

/* ---- flags ---- */

static enum status set_format(struct session *s, const char *text, struct err *e) {
    if (*text == '\0') return ST_OK;
    if (*text != '{') { /* "json", or what the server will refuse */
        json_put_string(&s->format, text, strlen(text));
        return ST_OK;
    }
    json *schema = json_parse(text, strlen(text), &json_default_limits, NULL, e);
    if (schema == NULL) return err_wrap(e, "--format");
    json_print(&s->format, schema);
    json_free(schema);
    return ST_OK;
}

static enum status set_flags(struct session *s, const struct args *a, struct err *e) {
    const char *think = args_text(a, "think", NULL);
    int64_t ignored;
    enum status st = ST_OK;
    s->keep_alive = args_text(a, "keepalive", NULL);
    s->verbose = args_bool(a, "verbose");
    s->wordwrap = !args_bool(a, "nowordwrap");
    s->hide_thinking = args_bool(a, "hidethinking");
    s->raw = args_bool(a, "raw");
    s->insecure = args_bool(a, "insecure");
    if (think != NULL && !session_set_think(s, think))
        return err_set(e, ST_INVALID,
                       "invalid value for --think: \"%s\" (must be true, false, high, medium, low, "
                       "or max)",
                       think);
    if (s->keep_alive != NULL) st = duration_parse(s->keep_alive, &ignored, e);
    if (st == ST_OK) st = set_format(s, args_text(a, "format", ""), e);
    const char *option;
    for (size_t i = 0; st == ST_OK && (option = args_nth(a, "option", i)) != NULL; i++)
        st = setting_add(&s->options, option, e);
    return st;
}

/* ---- the prompt ---- */

static enum status read_stdin(struct buf *out, struct err *e) {
    char block[65536];
    ssize_t n;
    while ((n = read(STDIN_FILENO, block, sizeof block)) > 0) {
        buf_add(out, block, (size_t)n);
        if (out->len > STDIN_MAX_BYTES) return err_set(e, ST_LIMIT, "standard input is too long");
    }
    return n == 0 ? ST_OK : err_set(e, ST_IO, "read: standard input");
}

/* Standard input, if it holds anything, and the arguments, joined by blanks. */
static enum status make_prompt(struct buf *out, const struct args *a, struct err *e) {
    enum status st = terminal_is(STDIN_FILENO) ? ST_OK : read_stdin(out, e);
    for (size_t i = 1; i < a->n_words; i++) {
        if (out->len > 0) buf_chr(out, ' ');
        buf_str(out, a->words[i]);
    }
    return out->failed ? err_no_memory(e) : st;
}

/* ---- one prompt ---- */

static void put_text(struct buf *body, const char *key, const struct buf *text) {
    json_put_key(body, key);
    json_put_string(body, text->data != NULL ? text->data : "", text->len);
}

static enum status generate(struct session *s, struct buf *prompt, struct err *e) {
    struct display a;
    struct buf body = {0}, images = {0};
    display_open(&a, s->wordwrap);
    enum status st = images_take(s, prompt, &images, e);
    if (st == ST_OK) st = session_put(&body, s, e);
    put_text(&body, "prompt", prompt);
    if (images.len > 0) buf_printf(&body, ",\"images\":[%s]", images.data);
    buf_free(&images);
    if (st == ST_OK) st = session_ask(s, "/api/generate", &body, &a, e);
    if (st == ST_OK && prompt->len > 0) fputs("\n\n", stdout);
    fflush(stdout);
    if (st == ST_OK && s->verbose) display_print_stats(&a);
    display_free(&a);
    buf_free(&body);
    return st;
}

static enum status embed(struct session *s, const struct args *a, const struct buf *prompt,
                         struct err *e) {
    struct buf body = {0}, out = {0};
    json *reply = NULL;
    if (prompt->len == 0)
        return err_set(e, ST_INVALID,
                       "embedding models require input text. Usage: %s run %s \"your text here\"",
                       cli_name(), s->model);
    enum status st = session_put(&body, s, e);
    put_text(&body, "input", prompt);
    if (args_text(a, "truncate", NULL) != NULL)
        json_put_field_bool(&body, "truncate", args_bool(a, "truncate"));
    if (args_int(a, "dimensions", 0) > 0)
        json_put_field_int(&body, "dimensions", args_int(a, "dimensions", 0));
    buf_chr(&body, '}');
    if (st == ST_OK) st = client_json(s->client, "/api/embed", &body, &reply, e);
    if (st == ST_OK) {
        json_print(&out, json_first(json_get(reply, "embeddings")));
        buf_chr(&out, '\n');
        st = cli_put(&out, e);
    }
    json_free(reply);
    buf_free(&body);
    return st;
}

/* ---- all together ---- */

static enum status run(struct session *s, const struct args *a, const char *model, struct err *e) {
    struct buf prompt = {0};
    const bool interactive =
        a->n_words == 1 && terminal_is(STDIN_FILENO) && terminal_is(STDOUT_FILENO);
    enum status st = make_prompt(&prompt, a, e);
    if (st == ST_OK) st = session_find(s, model, e);
    if (st == ST_OK && s->think == NULL && session_can(s, "thinking")) s->think = "true";
    if (st == ST_OK && session_can(s, "embedding"))
        st = embed(s, a, &prompt, e);
    else if (st == ST_OK && interactive)
        st = repl_run(s, e);
    else if (st == ST_OK)
        st = generate(s, &prompt, e);
    buf_free(&prompt);
    return st;
}

enum status cmd_run(const struct args *a, struct err *e) {
    struct session s = {0};
    struct private_server *server = NULL;
    const char *model = a->words[0];
    enum status st = set_flags(&s, a, e);
    terminal_catch_interrupt();
    if (st == ST_OK && model_is_file(model)) {
        st = private_open(&server, model, e);
        if (st == ST_OK) st = client_open(&s.client, private_url(server), e);
        if (st == ST_OK) model = private_model(server);
    } else if (st == ST_OK) {
        st = client_open(&s.client, NULL, e);
    }
    if (st == ST_OK) st = run(&s, a, model, e);
    session_free(&s);
    private_close(server);
    return st;
}
