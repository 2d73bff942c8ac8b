/* route_embed.c - POST /api/embed, /api/embeddings, /v1/embeddings (spec/api.md 5.3, 5.4, 6.4). */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "api/embed.h"
#include "api/request.h"
#include "base/base64.h"
#include "base/os.h"

route_fn route_embed, route_embeddings, route_openai_embeddings;

/* ---- requests ----------------------------------------------------------------------------------
 */

struct embed_request {
    const json *model, *input, *prompt, *truncate, *dimensions, *options, *keep_alive, *encoding,
        *report_truncation, *lora; /* cria's own */
};
#define PLAIN(name, kind)                                                                          \
    { #name, kind, offsetof(struct embed_request, name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define OPTIONS                                                                                    \
    {"options",                                                                                    \
     FIELD_MAP,                                                                                    \
     offsetof(struct embed_request, options),                                                      \
     "map[string]interface {}",                                                                    \
     FIELD_ANY,                                                                                    \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL},                                                                                        \
    {                                                                                              \
        "keep_alive", FIELD_CHECK, offsetof(struct embed_request, keep_alive), "", FIELD_ANY,      \
            NULL, NULL, check_keep_alive                                                           \
    }
static const struct field embed_field[] = {PLAIN(model, FIELD_TEXT),
                                           PLAIN(input, FIELD_ANY),
                                           PLAIN(truncate, FIELD_FLAG),
                                           PLAIN(report_truncation, FIELD_FLAG),
                                           PLAIN(dimensions, FIELD_INT),
                                           PLAIN(lora, FIELD_ANY),
                                           OPTIONS};
static const struct field embeddings_field[] = {PLAIN(model, FIELD_TEXT), PLAIN(prompt, FIELD_TEXT),
                                                PLAIN(lora, FIELD_ANY), OPTIONS};
static const struct field openai_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(input, FIELD_ANY),
    PLAIN(dimensions, FIELD_INT),
    PLAIN(truncate, FIELD_FLAG),
    PLAIN(lora, FIELD_ANY),
    OPTIONS,
    {"encoding_format", FIELD_TEXT, offsetof(struct embed_request, encoding), NULL, FIELD_ANY, NULL,
     NULL, NULL},
};
#define FIELDS(name, list)                                                                         \
    { name, "api." name, list, sizeof list / sizeof *list }
static const struct fields embed_fields = FIELDS("EmbedRequest", embed_field);
static const struct fields embeddings_fields = FIELDS("EmbeddingRequest", embeddings_field);
static const struct fields openai_fields = FIELDS("EmbedRequest", openai_field);

/* A text or a list of texts. */
static enum status check_input(const json *input, struct err *e) {
    bool ok = input == NULL || json_string(input) != NULL || json_kind(input) == JSON_ARRAY;
    if (json_kind(input) == JSON_ARRAY)
        for (const json *x = json_first(input); ok && x != NULL; x = json_next(x))
            ok = json_string(x) != NULL;
    return ok ? ST_OK : err_set(e, ST_INVALID, "invalid input type");
}

static bool is_blank(const char *s) { return s[strspn(s, " \t\r\n")] == '\0'; }

/* ---- the work, in the order of the spec: the first thing that is wrong is what a client reads ---
 */

static enum status add_one(struct embed_job *j, const json *text, bool truncate, struct err *e) {
    size_t len;
    const char *s = json_string_n(text, &len);
    return embed_add(j, s, len, truncate, e);
}

static enum status add_input(struct embed_job *j, const json *input, bool truncate, bool openai,
                             struct err *e) {
    enum status st = ST_OK;
    if (input == NULL) return ST_OK;
    if (json_kind(input) != JSON_ARRAY) /* "" is nothing to embed, but for OpenAI's clients */
        return *json_string(input) != '\0' || openai ? add_one(j, input, truncate, e) : ST_OK;
    for (const json *x = json_first(input); st == ST_OK && x != NULL; x = json_next(x))
        st = add_one(j, x, truncate, e);
    return st;
}

static enum status embed(struct embed_job *j, const struct embed_request *r, bool openai,
                         struct err *e) {
    const char *model = field_text(r->model);
    enum status st = check_input(r->input, e);
    if (st == ST_OK && is_blank(model))
        st = err_set(e, ST_NOT_FOUND, "model '%s' not found", model);
    if (st == ST_OK) st = embed_find(j, model, e);
    if (st == ST_OK) st = embed_load(j, r->options, r->keep_alive, e);
    if (st == ST_OK) st = embed_lora(j, r->lora, e);
    if (st == ST_OK) st = add_input(j, r->input, field_flag(r->truncate, true), openai, e);
    return st == ST_OK ? embed_run(j, false, true, e) : st;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

/* The first n elements of vector i; if that is not all of them, as a vector of length 1 again. */
static void cut_vector(struct embed_job *j, size_t i, uint32_t n) {
    float *x = j->vectors + i * (size_t)j->width;
    double sum = 0;
    if (n == j->width) return;
    for (uint32_t k = 0; k < n; k++) sum += (double)x[k] * (double)x[k];
    const double length = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
    for (uint32_t k = 0; k < n; k++) x[k] = (float)((double)x[k] / length);
}

static uint32_t cut_width(const struct embed_job *j, const struct embed_request *r) {
    const int64_t n = field_int(r->dimensions, 0);
    return n > 0 && n < (int64_t)j->width ? (uint32_t)n : j->width;
}

static void put_vector(struct buf *b, const float *x, uint32_t n) {
    buf_chr(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) buf_chr(b, ',');
        json_put_float(b, x[i]);
    }
    buf_chr(b, ']');
}

void route_embed(const struct route_call *c) {
    struct embed_request r = {0};
    struct embed_job j;
    struct err e = {.msg = ""};
    struct buf b = {0};
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &embed_fields, &r, &root)) return;
    embed_begin(&j, c->server, c->x);
    if (embed(&j, &r, false, &e) != ST_OK) {
        answer_err(c->x, DIALECT_NATIVE, &e);
    } else {
        const uint32_t n = cut_width(&j, &r);
        buf_chr(&b, '{');
        json_put_field(&b, "model", field_text(r.model));
        json_put_key(&b, "embeddings");
        buf_chr(&b, '[');
        for (size_t i = 0; i < j.n_texts; i++) {
            if (i > 0) buf_chr(&b, ',');
            cut_vector(&j, i, n);
            put_vector(&b, j.vectors + i * (size_t)j.width, n);
        }
        buf_chr(&b, ']');
        if (j.n_texts > 0) {
            json_put_field_int(&b, "total_duration", os_time_mono_ns() - j.start_ns);
            json_put_field_int(&b, "load_duration", j.ready_ns - j.start_ns);
            json_put_field_int(&b, "prompt_eval_count", (int64_t)j.tokens.len);
        }
        if (field_flag(r.report_truncation, false))
            json_put_field_bool(&b, "prompt_truncated", server_activity(c->x)->truncated);
        buf_chr(&b, '}');
        answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
    }
    embed_end(&j);
    json_free(root);
}

void route_embeddings(const struct route_call *c) {
    struct embed_request r = {0};
    struct embed_job j;
    struct err e = {.msg = ""};
    struct buf b = {0};
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &embeddings_fields, &r, &root)) return;
    embed_begin(&j, c->server, c->x);
    enum status st = embed_find(&j, field_text(r.model), &e);
    if (st == ST_OK) st = embed_load(&j, r.options, r.keep_alive, &e);
    if (st == ST_OK) st = embed_lora(&j, r.lora, &e);
    if (st == ST_OK) st = add_input(&j, r.prompt, false, false, &e);
    if (st == ST_OK) st = embed_run(&j, false, embed_wants_unit(&j), &e);
    if (st != ST_OK) {
        answer_err(c->x, DIALECT_NATIVE, &e);
    } else {
        buf_str(&b, "{\"embedding\":");
        put_vector(&b, j.vectors, j.n_texts > 0 ? j.width : 0);
        buf_chr(&b, '}');
        answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
    }
    embed_end(&j);
    json_free(root);
}

/* ---- OpenAI ------------------------------------------------------------------------------------
 */

/* Little-endian float32. */
static void put_base64(struct buf *b, const float *x, uint32_t n) {
    buf_chr(b, '"');
    base64_put(b, x, n * sizeof *x); /* x86-64 and aarch64 are little-endian */
    buf_chr(b, '"');
}

static enum status check_openai(const struct embed_request *r, struct err *e) {
    const char *encoding = field_text(r->encoding);
    if (*encoding != '\0' && strcasecmp(encoding, "float") != 0 &&
        strcasecmp(encoding, "base64") != 0)
        return err_set(e, ST_INVALID,
                       "Invalid value for 'encoding_format' = %s. Supported values: ['float', "
                       "'base64'].",
                       encoding);
    if (r->input == NULL || (json_kind(r->input) == JSON_ARRAY && json_len(r->input) == 0))
        return err_set(e, ST_INVALID, "invalid input");
    return ST_OK;
}

static void put_openai(struct buf *b, struct embed_job *j, const struct embed_request *r) {
    const bool base64 = strcasecmp(field_text(r->encoding), "base64") == 0;
    const uint32_t n = cut_width(j, r);
    buf_str(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < j->n_texts; i++) {
        const float *x = j->vectors + i * (size_t)j->width;
        cut_vector(j, i, n);
        buf_str(b, i > 0 ? ",{" : "{");
        json_put_field(b, "object", "embedding");
        json_put_key(b, "embedding");
        if (base64)
            put_base64(b, x, n);
        else
            put_vector(b, x, n);
        json_put_field_int(b, "index", (int64_t)i);
        buf_chr(b, '}');
    }
    buf_chr(b, ']');
    json_put_field(b, "model", field_text(r->model));
    json_put_key(b, "usage");
    buf_printf(b, "{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", j->tokens.len, j->tokens.len);
}

void route_openai_embeddings(const struct route_call *c) {
    struct embed_request r = {0};
    struct embed_job j;
    struct err e = {.msg = ""};
    struct buf b = {0};
    json *root;
    if (!route_body(c, DIALECT_OPENAI, &openai_fields, &r, &root)) return;
    if (check_openai(&r, &e) != ST_OK) {
        answer_err(c->x, DIALECT_OPENAI, &e);
        json_free(root);
        return;
    }
    embed_begin(&j, c->server, c->x);
    if (embed(&j, &r, true, &e) != ST_OK) {
        answer_error(c->x, e.code == ST_DENIED ? DIALECT_NATIVE : DIALECT_OPENAI,
                     answer_status(e.code), e.code == ST_DENIED ? TYPE_JSON_UTF8 : TYPE_JSON,
                     e.msg);
    } else {
        put_openai(&b, &j, &r);
        answer_json(c->x, 200, TYPE_JSON, &b);
    }
    embed_end(&j);
    json_free(root);
}
