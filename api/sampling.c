/* sampling.c - see sampling.h. */
#include "api/sampling.h"

#include <math.h>
#include <string.h>

/* -- numbers
 * ----------------------------------------------------------------------------------------- */

static int32_t int_of(int64_t x) {
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

static void copy_numbers(struct sampler_params *s, const struct options *o) {
    s->temperature = o->temperature;
    s->top_p = o->top_p;
    s->min_p = o->min_p;
    s->typical_p = o->typical_p;
    s->tfs_z = o->tfs_z;
    s->top_n_sigma = o->top_n_sigma;
    s->repeat_penalty = o->repeat_penalty;
    s->presence_penalty = o->presence_penalty;
    s->frequency_penalty = o->frequency_penalty;
    s->dynatemp_range = o->dynatemp_range;
    s->dynatemp_exponent = o->dynatemp_exponent;
    s->xtc_probability = o->xtc_probability;
    s->xtc_threshold = o->xtc_threshold;
    s->mirostat_tau = o->mirostat_tau;
    s->mirostat_eta = o->mirostat_eta;
    s->dry_multiplier = o->dry_multiplier;
    s->dry_base = o->dry_base;
    s->adaptive_target = o->adaptive_target;
    s->adaptive_decay = o->adaptive_decay;
    s->mirostat = int_of(o->mirostat);
    s->dry_allowed_length = int_of(o->dry_allowed_length);
    s->dry_penalty_last_n = int_of(o->dry_penalty_last_n);
    s->min_keep = int_of(o->min_keep);
    s->top_k = int_of(o->top_k < 0 ? 0 : o->top_k);
    s->repeat_last_n = int_of(o->repeat_last_n);
    s->seed = (uint32_t)o->seed; /* -1 is "random" there, too */
}

/* -- the order of the samplers
 * ----------------------------------------------------------------------- */

static enum status add_letter(char *order, size_t *n, const char *name, size_t len, struct err *e) {
    const char letter = sampler_letter(name, len);
    if (letter == 0)
        return err_set(e, ST_INVALID, "option \"samplers\": \"%.*s\" is unknown",
                       len < 64 ? (int)len : 64, name);
    order[(*n)++] = letter;
    return ST_OK;
}

static enum status set_order(struct sampling *s, const json *v, struct arena *a, struct err *e) {
    size_t len = 0, n = 0;
    enum status st = ST_OK;
    if (v == NULL) return ST_OK;
    const char *letters = json_string_n(v, &len);
    if (letters == NULL && json_kind(v) != JSON_ARRAY)
        return err_set(e, ST_INVALID, "option \"samplers\" must be of type array");
    char *order = arena_zalloc(a, (letters != NULL ? len : json_len(v)) + 1, 1);
    if (order == NULL) return err_no_memory(e);
    for (size_t i = 0; letters != NULL && i < len && st == ST_OK; i++)
        st = add_letter(order, &n, letters + i, 1, e);
    for (const json *m = letters == NULL ? json_first(v) : NULL; m != NULL && st == ST_OK;
         m = json_next(m)) {
        const char *name = json_string_n(m, &len);
        if (name == NULL)
            return err_set(e, ST_INVALID, "option \"samplers\" must be of an array of strings");
        st = add_letter(order, &n, name, len, e);
    }
    s->params.order = order;
    return st;
}

/* -- bias
 * -------------------------------------------------------------------------------------------- */

struct bias_list {
    struct logit_bias *list;
    size_t n, cap;
    struct arena *arena;
};

static enum status add_bias(struct bias_list *b, token_id id, float bias, struct err *e) {
    if (b->n == b->cap) {
        const size_t cap = 2 * b->cap + 16;
        struct logit_bias *list = arena_zalloc(b->arena, cap, sizeof *list);
        if (list == NULL) return err_no_memory(e);
        if (b->n > 0) memcpy(list, b->list, b->n * sizeof *list);
        b->list = list;
        b->cap = cap;
    }
    b->list[b->n++] = (struct logit_bias){id, bias};
    return ST_OK;
}

/* Every token of a text. */
static enum status add_text_bias(struct bias_list *b, const struct vocab *v, const char *text,
                                 size_t len, float bias, struct err *e) {
    struct token_list ids = {0};
    enum status st = vocab_encode(v, text, len, 0, &ids, e);
    for (size_t i = 0; i < ids.len && st == ST_OK; i++) st = add_bias(b, ids.ids[i], bias, e);
    token_list_free(&ids);
    return st;
}

/* A number, or false: never. */
static bool read_bias(const json *v, float *bias) {
    double x;
    bool flag = true;
    *bias = -INFINITY;
    if (json_bool(v, &flag)) return !flag;
    if (!json_number(v, &x)) return false;
    *bias = (float)x;
    return true;
}

static enum status bias_error(struct err *e) {
    return err_set(e, ST_INVALID,
                   "option \"logit_bias\" must be of pairs of a token id or text and a number or "
                   "false");
}

/* {"15": -1.5, " the": false} */
static enum status add_object(struct bias_list *b, const json *v, const struct vocab *vocab,
                              struct err *e) {
    enum status st = ST_OK;
    for (const json *m = json_first(v); m != NULL && st == ST_OK; m = json_next(m)) {
        const char *key = json_key(m);
        const size_t len = strlen(key);
        float bias;
        if (!read_bias(m, &bias)) return bias_error(e);
        if (len > 0 && len < 10 && strspn(key, "0123456789") == len) {
            token_id id = 0;
            for (size_t i = 0; i < len; i++) id = 10 * id + (key[i] - '0');
            st = add_bias(b, id, bias, e);
        } else {
            st = add_text_bias(b, vocab, key, len, bias, e);
        }
    }
    return st;
}

/* [[15, -1.5], [" the", false]] */
static enum status add_pairs(struct bias_list *b, const json *v, const struct vocab *vocab,
                             struct err *e) {
    enum status st = ST_OK;
    for (const json *pair = json_first(v); pair != NULL && st == ST_OK; pair = json_next(pair)) {
        const json *token = json_first(pair);
        size_t len;
        int64_t id;
        float bias;
        if (json_len(pair) != 2 || !read_bias(json_next(token), &bias)) return bias_error(e);
        const char *text = json_string_n(token, &len);
        if (text != NULL)
            st = add_text_bias(b, vocab, text, len, bias, e);
        else if (json_int(token, &id))
            st = add_bias(b, int_of(id), bias, e);
        else
            return bias_error(e);
    }
    return st;
}

static enum status set_bias(struct sampling *s, const struct options *o, const struct vocab *v,
                            struct arena *a, struct err *e) {
    struct bias_list b = {.arena = a};
    enum status st = ST_OK;
    if (json_kind(o->logit_bias) == JSON_OBJECT)
        st = add_object(&b, o->logit_bias, v, e);
    else if (json_kind(o->logit_bias) == JSON_ARRAY)
        st = add_pairs(&b, o->logit_bias, v, e);
    else if (o->logit_bias != NULL)
        st = bias_error(e);
    for (uint32_t id = 0; o->ignore_eos == OPTION_TRUE && id < vocab_size(v) && st == ST_OK; id++)
        if (vocab_is_eog(v, (token_id)id)) st = add_bias(&b, (token_id)id, -INFINITY, e);
    s->params.bias = b.list;
    s->params.n_bias = b.n;
    return st;
}

/* -- all
 * --------------------------------------------------------------------------------------------- */

enum status sampling_make(struct sampling *s, const struct options *o, const struct vocab *v,
                          struct arena *a, struct err *e) {
    *s = (struct sampling){.params = sampler_default_params()};
    copy_numbers(&s->params, o);
    enum status st = set_order(s, o->samplers, a, e);
    if (st == ST_OK) st = set_bias(s, o, v, a, e);
    if (st == ST_OK && o->dry_multiplier != 0.0F) {
        st = dry_breakers_make(&s->breakers, v, o->dry_sequence_breakers,
                               o->n_dry_sequence_breakers, e);
        s->params.dry_breakers = &s->breakers;
    }
    return st;
}

void sampling_free(struct sampling *s) { dry_breakers_free(&s->breakers); }
