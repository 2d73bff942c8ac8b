/* check_modelfile.c - Modelfiles: commands, printed form, and the create request that the CLI makes
 * of them; the contract is the README of the set. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/gather.h"
#include "golden/check.h"
#include "store/modelfile.h"

/* ---- commands ---- */

static bool same_command(const struct modelfile_command *c, const json *want) {
    char name[64];
    struct buf args = {0};
    const char *kind = c->kind == MODELFILE_FROM ? "MODEL" : modelfile_kind_name(c->kind);
    snprintf(name, sizeof name, "%s", c->kind == MODELFILE_PARAMETER ? c->name : kind);
    for (char *p = name; c->kind != MODELFILE_PARAMETER && *p != '\0'; p++) *p = (char)(*p | 32);
    if (c->kind == MODELFILE_MESSAGE) buf_printf(&args, "%s: ", c->name);
    buf_add(&args, c->value, c->len);
    bool same = strcmp(name, check_string(want, "name")) == 0 &&
                strcmp(args.data == NULL ? "" : args.data, check_string(want, "args")) == 0;
    buf_free(&args);
    return same;
}

static bool same_commands(const struct modelfile *m, const json *list) {
    size_t i = 0;
    if (m->n_commands != json_len(list)) return false;
    for (const json *v = json_first(list); v != NULL; v = json_next(v), i++)
        if (!same_command(&m->commands[i], v)) return false;
    return true;
}

static void check_printed(struct check *c, const char *id, const json *row,
                          const struct modelfile *m) {
    struct buf text = {0};
    struct modelfile again;
    bool round_trips = true;
    modelfile_print(&text, m);
    const char *printed = text.data == NULL ? "" : text.data;
    check_that(c, strcmp(printed, check_string(row, "printed")) == 0, id, "prints %.200s", printed);
    json_bool(json_get(row, "round_trips"), &round_trips);
    bool same = modelfile_parse(&again, printed, text.len, NULL) == ST_OK &&
                same_commands(&again, json_get(row, "commands"));
    if (round_trips) check_that(c, same, id, "what is printed does not read back the same");
    modelfile_free(&again);
    buf_free(&text);
}

/* ---- the request ---- */

static bool same_json(const json *a, const json *b) {
    double x = 0, y = 0;
    if (json_kind(a) != json_kind(b) || json_len(a) != json_len(b)) return false;
    if (json_kind(a) == JSON_NUMBER)
        return json_number(a, &x) && json_number(b, &y) && (float)x == (float)y;
    if (json_kind(a) == JSON_STRING) return strcmp(json_string(a), json_string(b)) == 0;
    const json *w = json_first(b);
    for (const json *v = json_first(a); v != NULL; v = json_next(v), w = json_next(w)) {
        const json *other = json_kind(a) == JSON_OBJECT ? json_get(b, json_key(v)) : w;
        if (other == NULL || !same_json(v, other)) return false;
    }
    return true;
}

static enum status make_request(struct buf *b, const struct modelfile *m, struct err *e) {
    struct gather files = {0};
    enum status st = gather_modelfile(&files, m, "/nonexistent-dir", e);
    buf_chr(b, '{');
    if (st == ST_OK && files.from != NULL && *files.from != '\0')
        json_put_field(b, "from", files.from);
    if (st == ST_OK) st = modelfile_put_request(b, m, NULL, NULL, e);
    buf_chr(b, '}');
    gather_free(&files);
    return st;
}

static void check_request(struct check *c, const char *id, const json *row,
                          const struct modelfile *m) {
    struct buf text = {0};
    struct err e = {0};
    const char *error = json_string(json_get(row, "request_error"));
    const json *want = json_get(row, "request");
    enum status st = make_request(&text, m, &e);
    if (error != NULL) {
        check_that(c, st != ST_OK && strcmp(e.msg, error) == 0, id, "want error %s, got %s", error,
                   st != ST_OK ? e.msg : "a request");
    } else if (st != ST_OK) {
        check_fail(c, id, "request: %s", e.msg);
    } else {
        json *mine = json_parse(text.data, text.len, &json_default_limits, NULL, NULL);
        size_t named = 0; /* model and name are the command line's */
        const char *wrong = NULL;
        for (const json *v = json_first(want); v != NULL; v = json_next(v)) {
            bool other = strcmp(json_key(v), "model") == 0 || strcmp(json_key(v), "name") == 0;
            named += other;
            if (!other && !same_json(v, json_get(mine, json_key(v)))) wrong = json_key(v);
        }
        if (wrong == NULL && json_len(mine) != json_len(want) - named) wrong = "number of fields";
        check_that(c, wrong == NULL, id, "request: %s differs: %.200s", wrong == NULL ? "" : wrong,
                   text.data);
        json_free(mine);
    }
    buf_free(&text);
}

/* cria keeps what the reference drops: everything but NUL (spec/modelfile.md 2.4). */
static void check_kept(struct check *c, const char *id, const struct buf *file,
                       const struct modelfile *m) {
    size_t kept = 0, have = 0;
    for (size_t i = 0; i < file->len; i++) have += ((unsigned char)file->data[i] & 0x80) != 0;
    for (size_t i = 0; i < m->n_commands; i++)
        for (size_t k = 0; k < m->commands[i].len; k++)
            kept += ((unsigned char)m->commands[i].value[k] & 0x80) != 0;
    check_that(c, kept == have, id, "%zu of %zu bytes beyond ASCII are kept", kept, have);
}

static void check_case(struct check *c, const json *row, const char *where) {
    const char *id = check_string(row, "id"), *error = json_string(json_get(row, "error"));
    struct buf file = {0};
    struct modelfile m;
    struct err e = {0};
    (void)where;
    check_base64(&file, check_string(row, "file_base64"));
    enum status st = modelfile_parse(&m, file.len > 0 ? file.data : "", file.len, &e);
    bool nul = file.len > 0 && memchr(file.data, '\0', file.len) != NULL; /* both drop it */
    if (error != NULL) {
        check_that(c, st != ST_OK && strcmp(e.msg, error) == 0, id, "want error %s, got %s", error,
                   st != ST_OK ? e.msg : "a Modelfile");
    } else if (st != ST_OK) {
        check_fail(c, id, "%s", e.msg);
    } else if (*check_string(row, "quirk") != '\0' && !nul) {
        check_kept(c, id, &file, &m);
    } else {
        check_that(c, same_commands(&m, json_get(row, "commands")), id, "other commands");
        check_printed(c, id, row, &m);
        check_request(c, id, row, &m);
    }
    modelfile_free(&m);
    buf_free(&file);
}

void check_modelfile(struct check *c, const char *dir) {
    check_rows(c, dir, "cases.jsonl", check_case);
}
