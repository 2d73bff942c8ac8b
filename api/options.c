/* options.c - see options.h. */
#include "api/options.h"

#include <string.h>

enum type { TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_STRINGS, TYPE_ANY };

static const struct row {
    const char *name;
    enum type type;
    size_t offset, count; /* count: of the number of strings */
} table[] = {
#define ROW(name, type)                                                                            \
    { #name, type, offsetof(struct options, name), 0 }
#define LIST(name)                                                                                 \
    { #name, TYPE_STRINGS, offsetof(struct options, name), offsetof(struct options, n_##name) }
    ROW(num_keep, TYPE_INT),
    ROW(seed, TYPE_INT),
    ROW(num_predict, TYPE_INT),
    ROW(top_k, TYPE_INT),
    ROW(repeat_last_n, TYPE_INT),
    ROW(top_p, TYPE_FLOAT),
    ROW(min_p, TYPE_FLOAT),
    ROW(typical_p, TYPE_FLOAT),
    ROW(temperature, TYPE_FLOAT),
    ROW(repeat_penalty, TYPE_FLOAT),
    ROW(presence_penalty, TYPE_FLOAT),
    ROW(frequency_penalty, TYPE_FLOAT),
    LIST(stop),
    ROW(mirostat, TYPE_INT),
    ROW(mirostat_tau, TYPE_FLOAT),
    ROW(mirostat_eta, TYPE_FLOAT),
    ROW(tfs_z, TYPE_FLOAT),
    ROW(top_n_sigma, TYPE_FLOAT),
    ROW(dynatemp_range, TYPE_FLOAT),
    ROW(dynatemp_exponent, TYPE_FLOAT),
    ROW(xtc_probability, TYPE_FLOAT),
    ROW(xtc_threshold, TYPE_FLOAT),
    ROW(dry_multiplier, TYPE_FLOAT),
    ROW(dry_base, TYPE_FLOAT),
    ROW(dry_allowed_length, TYPE_INT),
    ROW(dry_penalty_last_n, TYPE_INT),
    LIST(dry_sequence_breakers),
    ROW(adaptive_target, TYPE_FLOAT),
    ROW(adaptive_decay, TYPE_FLOAT),
    ROW(min_keep, TYPE_INT),
    ROW(samplers, TYPE_ANY),
    ROW(logit_bias, TYPE_ANY),
    ROW(ignore_eos, TYPE_BOOL),
    ROW(num_ctx, TYPE_INT),
    ROW(num_batch, TYPE_INT),
    ROW(num_gpu, TYPE_INT),
    ROW(main_gpu, TYPE_INT),
    ROW(num_thread, TYPE_INT),
    ROW(draft_num_predict, TYPE_INT),
    ROW(use_mmap, TYPE_BOOL),
#undef LIST
#undef ROW
};

static const char *const type_name[] = {"integer", "float32", "boolean", "array", "any"};
static const char *const default_breakers[] = {"\n", ":", "\"", "*"};

struct options options_default(void) {
    return (struct options){.num_keep = 4,
                            .seed = -1,
                            .num_predict = -1,
                            .top_k = 40,
                            .repeat_last_n = 64,
                            .top_p = 0.9F,
                            .typical_p = 1.0F,
                            .temperature = 0.8F,
                            .repeat_penalty = 1.0F,
                            .num_gpu = -1,
                            .main_gpu = -1,
                            .draft_num_predict = 4,
                            .mirostat_tau = 5.0F,
                            .mirostat_eta = 0.1F,
                            .tfs_z = 1.0F,
                            .top_n_sigma = -1.0F,
                            .dynatemp_exponent = 1.0F,
                            .xtc_threshold = 0.1F,
                            .dry_base = 1.75F,
                            .dry_allowed_length = 2,
                            .dry_penalty_last_n = 64,
                            .dry_sequence_breakers = default_breakers,
                            .n_dry_sequence_breakers = 4,
                            .adaptive_target = -1.0F,
                            .adaptive_decay = 0.9F,
                            .ignore_eos = OPTION_UNSET,
                            .use_mmap = OPTION_UNSET};
}

static enum status set_strings(struct options *o, const struct row *r, const json *v,
                               struct arena *a, struct err *e) {
    const char **list = arena_zalloc(a, json_len(v) + 1, sizeof *list);
    size_t n = 0;
    if (list == NULL) return err_no_memory(e);
    for (const json *s = json_first(v); s != NULL; s = json_next(s)) {
        const char *text = json_string(s);
        if (text == NULL)
            return err_set(e, ST_INVALID, "option \"%s\" must be of an array of strings", r->name);
        if (*text == '\0') continue;
        if ((list[n++] = arena_strndup(a, text, strlen(text))) == NULL) return err_no_memory(e);
    }
    memcpy((char *)o + r->offset, &list, sizeof list);
    memcpy((char *)o + r->count, &n, sizeof n);
    return ST_OK;
}

/* False: the value has another type. */
static bool set_scalar(struct options *o, const struct row *r, const json *v) {
    char *field = (char *)o + r->offset;
    double number = 0;
    bool truth = false;
    if (r->type == TYPE_BOOL) {
        if (!json_bool(v, &truth)) return false;
        enum option_tristate t = truth ? OPTION_TRUE : OPTION_FALSE;
        memcpy(field, &t, sizeof t);
        return true;
    }
    if (!json_number(v, &number)) return false;
    if (r->type == TYPE_FLOAT) {
        float f = (float)number;
        memcpy(field, &f, sizeof f);
        return true;
    }
    int64_t i;
    if (!json_int(v, &i)) i = number < 0 ? INT64_MIN : INT64_MAX;
    memcpy(field, &i, sizeof i);
    return true;
}

static enum status apply_row(struct options *o, const struct row *r, const json *v, struct arena *a,
                             struct err *e) {
    if (r->type == TYPE_ANY) {
        memcpy((char *)o + r->offset, &v, sizeof v);
        return ST_OK;
    }
    bool fits = r->type == TYPE_STRINGS ? json_kind(v) == JSON_ARRAY : set_scalar(o, r, v);
    if (!fits)
        return err_set(e, ST_INVALID, "option \"%s\" must be of type %s", r->name,
                       type_name[r->type]);
    return r->type == TYPE_STRINGS ? set_strings(o, r, v, a, e) : ST_OK;
}

enum status options_apply(struct options *o, const json *object, struct arena *a, struct err *e) {
    for (const json *v = json_first(object); v != NULL; v = json_next(v)) {
        if (json_kind(v) == JSON_NULL) continue;
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            if (strcmp(table[i].name, json_key(v)) != 0) continue;
            enum status st = apply_row(o, &table[i], v, a, e);
            if (st != ST_OK) return st;
        }
    }
    return ST_OK;
}
