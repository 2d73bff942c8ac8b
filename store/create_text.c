/* create_text.c - what a create request says besides the weights: info, parameters, template,
 * system, licences, messages; and the defaults of certain architectures (spec/store.md 4.3-4.4). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/quantize/quantize.h"
#include "store/create_impl.h"
#include "store/modelfile.h"
#include "store/text.h"

static bool is_given(const char *text) { return text != NULL && *text != '\0'; }

/* ---- checks ---- */

static enum status check_quantize(const char *level, struct err *e) {
    enum ftype ignored;
    return is_given(level) ? quantize_parse_level(level, &ignored, e) : ST_OK;
}

/* The rows of `info`: a member, its kind, and the config field that it overrides. */
enum info_kind { INFO_STRING, INFO_INT, INFO_STRINGS };
static const struct {
    const char *key;
    enum info_kind kind;
    size_t field;
} info_rows[] = {
    {"model_family", INFO_STRING, offsetof(struct store_config, model_family)},
    {"base_name", INFO_STRING, offsetof(struct store_config, base_name)},
    {"quantization_level", INFO_STRING, offsetof(struct store_config, file_type)},
    {"parameter_size", INFO_STRING, offsetof(struct store_config, model_type)},
    {"context_length", INFO_INT, offsetof(struct store_config, context_length)},
    {"embedding_length", INFO_INT, offsetof(struct store_config, embedding_length)},
    {"capabilities", INFO_STRINGS, 0},
};
enum { N_INFO = sizeof info_rows / sizeof *info_rows };

static bool all_strings(const json *list) {
    if (json_kind(list) != JSON_ARRAY) return false;
    for (const json *v = json_first(list); v != NULL; v = json_next(v))
        if (json_kind(v) != JSON_STRING) return false;
    return true;
}

static enum status check_info_row(const char *key, enum info_kind kind, const json *v,
                                  struct err *e) {
    double d;
    const char *want = NULL;
    if (kind == INFO_STRING) {
        if (json_kind(v) != JSON_STRING) want = "a string";
    } else if (kind == INFO_STRINGS) {
        if (!all_strings(v)) want = "a list of strings";
    } else if (!json_number(v, &d)) {
        want = "a number";
    } else if (d < 0 || d != trunc(d) || d >= 0x1p63) {
        want = "a non-negative integer";
    }
    return want == NULL ? ST_OK : err_set(e, ST_INVALID, "info field \"%s\" must be %s", key, want);
}

static enum status check_info(const json *info, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < N_INFO && st == ST_OK; i++) {
        const json *v = json_get(info, info_rows[i].key);
        if (json_kind(v) != JSON_NULL)
            st = check_info_row(info_rows[i].key, info_rows[i].kind, v, e);
    }
    return st;
}

/* Wrong types are refused here and not at the first use of the model (spec/api.md 11); names that
 * we do not know are kept. */
static enum status check_param(const json *v, struct err *e) {
    const char *want = NULL;
    switch (modelfile_param_type(json_key(v))) {
    case PARAM_INT:
        want = json_kind(v) == JSON_NUMBER ? NULL : "of type integer";
        break;
    case PARAM_FLOAT:
        want = json_kind(v) == JSON_NUMBER ? NULL : "of type float32";
        break;
    case PARAM_BOOL:
        want = json_kind(v) == JSON_BOOL ? NULL : "of type boolean";
        break;
    case PARAM_STRINGS:
        if (json_kind(v) != JSON_ARRAY)
            want = "of type array";
        else if (!all_strings(v))
            want = "of an array of strings";
        break;
    case PARAM_UNKNOWN:
    case PARAM_DEPRECATED:
        break;
    }
    if (want == NULL || json_kind(v) == JSON_NULL) return ST_OK;
    return err_set(e, ST_INVALID, "option \"%s\" must be %s", json_key(v), want);
}

enum status create_check_values(const struct store_create_spec *s, struct err *e) {
    enum status st = check_quantize(s->quantize, e);
    if (st == ST_OK) st = create_check_params(s->parameters, e);
    if (st == ST_OK) st = check_quantize(s->draft_quantize, e);
    if (st == ST_OK) st = check_info(s->info, e);
    for (const json *v = json_first(s->parameters); v != NULL && st == ST_OK; v = json_next(v))
        st = check_param(v, e);
    return st;
}

/* ---- config fields ---- */

static enum status keep(struct creation *c, const char *text, const char **out) {
    *out = arena_strndup(&c->arena, text, strlen(text));
    return *out != NULL ? ST_OK : err_no_memory(c->e);
}

static enum status apply_capabilities(struct creation *c, const json *list) {
    const char **out = arena_zalloc(&c->arena, json_len(list), sizeof *out);
    size_t n = 0;
    enum status st = out != NULL ? ST_OK : err_no_memory(c->e);
    for (const json *v = json_first(list); v != NULL && st == ST_OK; v = json_next(v))
        st = keep(c, json_string(v), &out[n++]);
    c->config.capabilities = out;
    c->config.n_capabilities = n;
    return st;
}

static enum status apply_row(struct creation *c, enum info_kind kind, size_t field, const json *v) {
    char *at = (char *)&c->config + field;
    if (kind == INFO_STRINGS) return apply_capabilities(c, v);
    if (kind == INFO_STRING) return keep(c, json_string(v), (const char **)(void *)at);
    json_int(v, (int64_t *)(void *)at);
    return ST_OK;
}

enum status create_apply_info(struct creation *c) {
    const struct store_create_spec *s = c->spec;
    enum status st = ST_OK;
    for (size_t i = 0; i < N_INFO && st == ST_OK; i++) {
        const json *v = json_get(s->info, info_rows[i].key);
        if (json_kind(v) != JSON_NULL) st = apply_row(c, info_rows[i].kind, info_rows[i].field, v);
    }
    if (st == ST_OK && *c->config.model_family != '\0')
        st = config_add_family(&c->config, c->config.model_family, &c->arena, c->e);
    if (is_given(s->renderer)) c->config.renderer = s->renderer;
    if (is_given(s->parser)) c->config.parser = s->parser;
    if (is_given(s->requires))
    c->config.
        requires
    = s->
          requires + (*s->requires == 'v');
    return st;
}

/* Families with a renderer and a parser of their own, each used where none is given. */
static const struct {
    const char *arch, *both, *stop;
} arch_defaults[] = {
    {"gemma4", "gemma4", "<turn|>"},
    {"laguna", "laguna", NULL},
    {"nemotron_h", "nemotron-3-nano", NULL},
    {"nemotron_h_moe", "nemotron-3-nano", NULL},
    {"nemotron_h_omni", "nemotron-3-nano", NULL},
};

/* Returns the stop string that the architecture wants if there is none, or NULL. */
static const char *apply_arch_defaults(struct creation *c) {
    for (size_t i = 0; i < sizeof arch_defaults / sizeof *arch_defaults; i++) {
        if (strcmp(c->arch, arch_defaults[i].arch) != 0) continue;
        if (*c->config.renderer == '\0') c->config.renderer = arch_defaults[i].both;
        if (*c->config.parser == '\0') c->config.parser = arch_defaults[i].both;
        return arch_defaults[i].stop;
    }
    return NULL;
}

/* ---- text layers ---- */

/* Ends a text that a buffer holds and makes it a layer of the kind. takes the buffer. */
static enum status add_buf(struct creation *c, enum layer_kind kind, struct buf *b) {
    const char *text = b->failed ? NULL : arena_strndup(&c->arena, b->data, b->len);
    size_t len = b->len;
    buf_free(b);
    if (text == NULL) return err_no_memory(c->e);
    return create_add_data(c, kind, text, len);
}

static enum status replace_text(struct creation *c, enum layer_kind kind, const char *text) {
    if (!is_given(text)) return ST_OK;
    create_remove(c, kind);
    return create_add_data(c, kind, text, strlen(text));
}

static enum status add_licenses(struct creation *c) {
    enum status st = ST_OK;
    for (size_t i = 0; i < c->spec->n_licenses && st == ST_OK; i++) {
        const char *text = c->spec->licenses[i];
        if (is_given(text)) st = create_add_data(c, LAYER_LICENSE, text, strlen(text));
    }
    return st;
}

/* ---- parameters ---- */

static int by_key(const void *a, const void *b) {
    const json *const *x = a, *const *y = b;
    return strcmp(json_key(*x), json_key(*y));
}

/* Members of the object that count: each name once (the last of duplicates, which json_get gives),
 * and not in `over`. Exact names only: json_get would also find another case. */
static size_t collect(const json *object, const json *over, const json **out) {
    size_t n = 0;
    for (const json *v = json_first(object); v != NULL; v = json_next(v)) {
        const json *other = json_get(over, json_key(v));
        if (other != NULL && strcmp(json_key(other), json_key(v)) == 0) continue;
        if (json_get(object, json_key(v)) == v) out[n++] = v;
    }
    return n;
}

static void put_stop(struct buf *b, const char *stop) {
    json_put_key(b, "stop");
    buf_chr(b, '[');
    json_put_string(b, stop, strlen(stop));
    buf_chr(b, ']');
}

/* The members in order, and in its place a list of one stop string unless that is NULL. */
static void put_members(struct buf *b, const json *const *member, size_t n, const char *stop) {
    buf_chr(b, '{');
    for (size_t i = 0; i < n; i++) {
        if (stop != NULL && strcmp(json_key(member[i]), "stop") > 0) {
            put_stop(b, stop);
            stop = NULL;
        }
        json_put_key(b, json_key(member[i]));
        json_print(b, member[i]);
    }
    if (stop != NULL) put_stop(b, stop);
    buf_str(b, "}\n");
}

/* Inherited parameters under the request's, sorted by name. stop: added if there is none. */
static enum status merge_params(struct creation *c, const char *stop) {
    const json *given = c->spec->parameters;
    if (json_get(c->params, "stop") != NULL || json_get(given, "stop") != NULL) stop = NULL;
    if (json_len(given) == 0 && stop == NULL && !c->params_changed) return ST_OK;
    size_t room = json_len(c->params) + json_len(given);
    const json **member = mem_array(room, sizeof *member);
    if (member == NULL) return err_no_memory(c->e);
    size_t n = collect(c->params, given, member);
    n += collect(given, NULL, member + n);
    assert(n <= room);
    if (n > 1) qsort(member, n, sizeof *member, by_key);
    struct buf text = {0};
    put_members(&text, member, n, stop);
    mem_free(member);
    create_remove(c, LAYER_PARAMS);
    return add_buf(c, LAYER_PARAMS, &text);
}

/* ---- messages ---- */

/* {"role":...,"content":...}; roles are kept in lower case. */
static enum status put_message(struct creation *c, struct buf *b, const json *v) {
    const json *content = json_get(v, "content");
    const char *role = json_string(json_get(v, "role"));
    if (json_kind(v) != JSON_OBJECT || role == NULL ||
        (json_kind(content) != JSON_STRING && json_kind(content) != JSON_NULL))
        return err_set(c->e, ST_INVALID, "a message needs a role and a content");
    struct buf lower = {0};
    for (; *role != '\0'; role++) buf_chr(&lower, text_lower(*role));
    buf_chr(b, '{');
    json_put_field(b, "role", lower.data != NULL ? lower.data : "");
    json_put_key(b, "content");
    if (json_kind(content) == JSON_STRING)
        json_print(b, content);
    else
        buf_str(b, "\"\"");
    buf_chr(b, '}');
    enum status st = lower.failed ? err_no_memory(c->e) : ST_OK;
    buf_free(&lower);
    return st;
}

static enum status replace_messages(struct creation *c) {
    struct buf text = {0};
    enum status st = ST_OK;
    if (json_len(c->spec->messages) == 0) return ST_OK;
    buf_chr(&text, '[');
    for (const json *v = json_first(c->spec->messages); v != NULL && st == ST_OK;
         v = json_next(v)) {
        if (text.len > 1) buf_chr(&text, ',');
        st = put_message(c, &text, v);
    }
    buf_str(&text, "]\n");
    if (st != ST_OK) {
        buf_free(&text);
        return st;
    }
    create_remove(c, LAYER_MESSAGES);
    return add_buf(c, LAYER_MESSAGES, &text);
}

enum status create_texts(struct creation *c) {
    const struct store_create_spec *s = c->spec;
    enum status st = replace_text(c, LAYER_TEMPLATE, s->template);
    if (st == ST_OK) st = replace_text(c, LAYER_SYSTEM, s->system);
    if (st == ST_OK) st = add_licenses(c);
    if (st == ST_OK) st = merge_params(c, apply_arch_defaults(c));
    if (st == ST_OK) st = replace_messages(c);
    return st;
}
