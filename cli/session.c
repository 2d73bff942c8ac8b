/* session.c - what `run` and its interactive prompt share. */
#include "cli/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/statuses.h"

void session_free(struct session *s) {
    client_close(s->client);
    mem_free(s->owned_model);
    json_free(s->shown);
    setting_free(&s->options);
    buf_free(&s->format);
}

/* ---- the model ---- */

enum status session_show(struct session *s, const char *model, struct err *e) {
    struct buf body = {0};
    json *shown = NULL;
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    buf_chr(&body, '}');
    enum status st = client_json(s->client, "/api/show", &body, &shown, e);
    buf_free(&body);
    if (st == ST_OK) {
        json_free(s->shown);
        s->shown = shown;
        s->model = model;
    }
    return st;
}

enum status session_find(struct session *s, const char *model, struct err *e) {
    struct err missing = {0};
    enum status st = session_show(s, model, &missing);
    if (st != ST_NOT_FOUND) return st == ST_OK ? st : err_set(e, st, "%s", missing.msg);
    st = statuses_model(s->client, "/api/pull", model, s->insecure, e);
    return st == ST_OK ? session_show(s, model, e) : st;
}

bool session_can(const struct session *s, const char *capability) {
    const json *list = json_get(s->shown, "capabilities");
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        const char *text = json_string(v);
        if (text != NULL && strcmp(text, capability) == 0) return true;
    }
    return false;
}

bool session_set_think(struct session *s, const char *value) {
    static const char *const known[][2] = {
        {"", "true"},       {"true", "true"},         {"false", "false"},
        {"low", "\"low\""}, {"medium", "\"medium\""}, {"high", "\"high\""},
        {"max", "\"max\""},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(value, known[i][0]) == 0) return s->think = known[i][1], true;
    return false;
}

/* ---- requests ---- */

enum status session_put(struct buf *body, const struct session *s, struct err *e) {
    struct buf options = {0};
    enum status st = setting_put(&options, &s->options, e);
    buf_chr(body, '{');
    json_put_field(body, "model", s->model);
    if (s->format.len > 0) {
        json_put_key(body, "format");
        buf_add(body, s->format.data, s->format.len);
    }
    if (options.len > 0) {
        json_put_key(body, "options");
        buf_add(body, options.data, options.len);
    }
    if (s->think != NULL && !s->raw) {
        json_put_key(body, "think");
        buf_str(body, s->think);
    }
    if (s->keep_alive != NULL) json_put_field(body, "keep_alive", s->keep_alive);
    if (s->raw) json_put_field_bool(body, "raw", true);
    buf_free(&options);
    return st;
}

enum status session_ask(struct session *s, const char *path, struct buf *body, struct display *a,
                        struct err *e) {
    buf_chr(body, '}');
    if (body->failed) return err_no_memory(e);
    struct progress *p = progress_new();
    const struct client_call call = {.method = "POST",
                                     .path = path,
                                     .body = body,
                                     .on_line = display_line,
                                     .on_tick = display_tick,
                                     .arg = a};
    a->spinner = p;
    a->hide_thinking = s->hide_thinking;
    progress_spinner(p, "", "");
    enum status st = client_call(s->client, &call, NULL, NULL, e);
    display_end(a);
    progress_clear(p);
    progress_free(p);
    a->spinner = NULL;
    return st;
}

enum status session_load(struct session *s, struct err *e) {
    struct display a;
    struct buf body = {0};
    display_open(&a, false);
    enum status st = session_put(&body, s, e);
    if (st == ST_OK) st = session_ask(s, "/api/generate", &body, &a, e);
    display_free(&a);
    buf_free(&body);
    return st;
}
