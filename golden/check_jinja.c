/* check_jinja.c - Jinja templates against recorded prompts: jinja_micro.jsonl and
 * jinja_models.jsonl of golden/templates. The models' templates are third-party and stay out of
 * this tree. */
#include "golden/check_jinja.h"

#include <stdio.h>
#include <string.h>

#include "api/jinja/jinja.h"
#include "base/mem.h"

enum { MAX_VARS = 64, CLOCK = 1768480496 }; /* 2026-01-15 12:34:56 UTC */

static void put_vars(struct jinja_var *var, size_t *n, const json *object) {
    for (const json *m = json_first(object); m != NULL && *n < MAX_VARS; m = json_next(m)) {
        size_t i = 0;
        while (i < *n && strcmp(var[i].name, json_key(m)) != 0) i++;
        var[i] = (struct jinja_var){json_key(m), m};
        if (i == *n) ++*n;
    }
}

static void compare(struct check *c, const char *id, const json *row, enum status st,
                    const struct err *e, struct buf *out) {
    static const char prefix[] = "TemplateError: ";
    const char *error = json_string(json_get(row, "error")), *want = check_string(row, "output");
    bool required = false;
    char *got = buf_take(out);
    json_bool(json_get(row, "required"), &required);
    if (error == NULL && st != ST_OK) {
        check_fail(c, id, "%s", e->msg);
    } else if (error == NULL) {
        size_t at = 0;
        while (got[at] == want[at] && got[at] != '\0') at++;
        check_that(c, got[at] == want[at], id, "differs at byte %zu: got %.60s, want %.60s", at,
                   got + at, want + at);
    } else if (required) {
        size_t n = sizeof prefix - 1;
        if (strncmp(error, prefix, n) == 0) error += n;
        check_that(c, st != ST_OK && strcmp(e->msg, error) == 0, id, "want %s, got %s", error,
                   st != ST_OK ? e->msg : got);
    } else {
        check_pass(c); /* an error or a sensible text */
    }
    mem_free(got);
}

static void check_render(struct check *c, const char *id, const char *text, size_t len,
                         const json *row, const struct jinja_input *in) {
    struct jinja *t = NULL;
    struct err e = {0};
    struct buf out = {0};
    bool refused = json_get(row, "parse_error") != NULL;
    enum status st = jinja_parse(&t, text, len, false, &e);
    if (refused) {
        check_that(c, st != ST_OK, id, "must be refused");
    } else if (st != ST_OK) {
        compare(c, id, row, st, &e, &out);
    } else {
        st = jinja_render(t, in, &jinja_default_limits, &out, &e);
        compare(c, id, row, st, &e, &out);
    }
    buf_free(&out);
    jinja_free(t);
}

static void check_micro(struct check *c, const json *row, const json *context, unsigned line) {
    struct jinja_var var[MAX_VARS];
    struct jinja_input in = {.var = var, .now = CLOCK};
    size_t len = 0;
    char id[64];
    const char *text = json_string_n(json_get(row, "template"), &len);
    put_vars(var, &in.n_vars, context);
    put_vars(var, &in.n_vars, json_get(row, "extra_context"));
    snprintf(id, sizeof id, "jinja_micro %u", line);
    check_render(c, id, text, len, row, &in);
}

char *check_jinja_text(struct check *c, const char *dir, const char *name, size_t *size) {
    char where[4096];
    const char *const root[] = {dir, c->base, c->base}, *const sub[] = {"", "", "/templates"};
    for (size_t i = 0; i < 3; i++) {
        if (root[i] == NULL) continue;
        snprintf(where, sizeof where, "%s%s/jinja_templates", root[i], sub[i]);
        if (check_exists(where, name)) return check_read(c, where, name, size);
    }
    return NULL;
}

static void check_model(struct check *c, const char *dir, const json *row, const json *contexts) {
    struct jinja_var var[MAX_VARS];
    struct jinja_input in = {.var = var, .now = CLOCK};
    const char *name = check_string(row, "template"), *context = check_string(row, "context");
    char id[256], file[256];
    size_t size;
    snprintf(id, sizeof id, "%s %s", name, context);
    snprintf(file, sizeof file, "%s.jinja", name);
    char *text = check_jinja_text(c, dir, file, &size);
    if (text == NULL) {
        check_skip(c, id, "its Jinja template is third-party and not here (--base)");
        return;
    }
    put_vars(var, &in.n_vars, json_get(contexts, context));
    check_render(c, id, text, size, row, &in);
    mem_free(text);
}

void check_jinja(struct check *c, const char *dir) {
    static const char *const file[] = {"jinja_micro.jsonl", "jinja_models.jsonl"};
    for (size_t i = 0; i < 2; i++) {
        size_t size, used;
        struct err e = {0};
        if (!check_exists(dir, file[i])) continue;
        json *context =
            check_read_json(c, dir, i == 0 ? "jinja_micro_context.json" : "jinja_contexts.json");
        char *text = check_read(c, dir, file[i], &size);
        unsigned line = 1;
        for (size_t at = 0; text != NULL && at < size; at += used + 1, line++) {
            json *row = json_parse(text + at, size - at, &json_default_limits, &used, &e);
            if (row == NULL) break;
            if (i == 0)
                check_micro(c, row, context, line);
            else
                check_model(c, dir, row, context);
            json_free(row);
        }
        mem_free(text);
        json_free(context);
    }
}
