/* options.c - see options.h. */
#include "api/options.h"

#include <string.h>

enum type { TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_STRINGS };

static const struct row {
    const char *name;
    enum type type;
    size_t offset;
} table[] = {
#define ROW(name, type)                                                                            \
    { #name, type, offsetof(struct options, name) }
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
    ROW(stop, TYPE_STRINGS),
    ROW(num_ctx, TYPE_INT),
    ROW(num_batch, TYPE_INT),
    ROW(num_gpu, TYPE_INT),
    ROW(main_gpu, TYPE_INT),
    ROW(num_thread, TYPE_INT),
    ROW(draft_num_predict, TYPE_INT),
    ROW(use_mmap, TYPE_BOOL),
#undef ROW
};

static const char *const type_name[] = {"integer", "float32", "boolean", "array"};

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
                            .use_mmap = OPTION_UNSET};
}

static enum status set_stop(struct options *o, const json *v, struct arena *a, struct err *e) {
    const char **list = arena_zalloc(a, json_len(v) + 1, sizeof *list);
    size_t n = 0;
    if (list == NULL) return err_no_memory(e);
    for (const json *s = json_first(v); s != NULL; s = json_next(s)) {
        const char *text = json_string(s);
        if (text == NULL)
            return err_set(e, ST_INVALID, "option \"stop\" must be of an array of strings");
        if (*text == '\0') continue;
        if ((list[n++] = arena_strndup(a, text, strlen(text))) == NULL) return err_no_memory(e);
    }
    o->stop = list;
    o->n_stop = n;
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
    bool fits = r->type == TYPE_STRINGS ? json_kind(v) == JSON_ARRAY : set_scalar(o, r, v);
    if (!fits)
        return err_set(e, ST_INVALID, "option \"%s\" must be of type %s", r->name,
                       type_name[r->type]);
    return r->type == TYPE_STRINGS ? set_stop(o, v, a, e) : ST_OK;
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
