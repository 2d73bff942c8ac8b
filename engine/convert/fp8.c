/* fp8.c - 8-bit weights with scales (spec/safetensors.md 3.3): which block size, which scale
 * belongs to which weight. The values are made when they are written (write.c). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

struct fp8 {
    int64_t rows, cols; /* of a block; 0: the config names none */
    bool eight_bits;    /* the config speaks of 8-bit weights */
};

/* ---- config ---- */

static bool text_is(const json *v, const char *want) {
    const char *s = json_string(v);
    return s != NULL && strcasecmp(s, want) == 0;
}

static void set_block(struct conversion *c, struct fp8 *q, const json *pair) {
    int64_t r = 0, k = 0;
    if (json_kind(pair) != JSON_ARRAY) return;
    if (json_len(pair) != 2 || !json_int(json_first(pair), &r) ||
        !json_int(json_next(json_first(pair)), &k) || r <= 0 || k <= 0) {
        convert_fail(c, ST_INVALID,
                     "config.json: the block size of the weights is no pair of counts");
        return;
    }
    if (q->rows != 0 && (q->rows != r || q->cols != k))
        convert_fail(c, ST_INVALID, "config.json names two different fp8 block sizes");
    q->rows = r;
    q->cols = k;
}

static void read_groups(struct conversion *c, struct fp8 *q, const json *groups) {
    for (const json *g = json_first(groups); g != NULL; g = json_next(g)) {
        const json *w = json_get(g, "weights");
        int64_t bits = 0;
        json_int(json_get(w, "num_bits"), &bits);
        if (bits == 8) {
            q->eight_bits = true;
            set_block(c, q, json_get(w, "block_structure"));
        } else if (w != NULL) {
            convert_fail(c, ST_UNSUPPORTED, "unsupported source quantization \"%d-bit groups\"",
                         (int)bits);
        }
    }
}

/* One quantization object of the config. */
static void read_one(struct conversion *c, struct fp8 *q, const json *o) {
    const json *method = json_get(o, "quant_method");
    if (json_kind(o) != JSON_OBJECT) return;
    if (text_is(method, "fp8")) {
        q->eight_bits = true;
        set_block(c, q, json_get(o, "weight_block_size"));
    } else if (text_is(method, "compressed-tensors") ||
               text_is(json_get(o, "format"), "float-quantized")) {
        read_groups(c, q, json_get(o, "config_groups"));
    } else if (json_string(method) != NULL && !text_is(method, "mxfp4")) {
        convert_fail(c, ST_UNSUPPORTED, "unsupported source quantization \"%s\"",
                     json_string(method));
    }
}

static struct fp8 read_config(struct conversion *c) {
    static const char *const names[] = {"quantization", "quantization_config",
                                        "compression_config"};
    struct fp8 q = {0};
    const json *inner = json_get(c->config, "text_config");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        read_one(c, &q, json_get(c->config, names[i]));
        read_one(c, &q, json_get(inner, names[i]));
    }
    return q;
}

/* ---- companions ---- */

static struct source *find(struct conversion *c, const char *name) {
    uint32_t i;
    return map_get(&c->source_names, name, strlen(name), &i) ? &c->sources[i] : NULL;
}

/* The scale of X, by its original name; qscale_weight stands beside "X" without ".weight". */
static struct source *find_scale(struct conversion *c, const struct source *s) {
    static const char *const tails[] = {"_scale", "_scale_inv", ".scale", ".scale_inv"};
    struct source *found = NULL;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        struct source *t = find(c, convert_text(c, "%s%s", s->orig, tails[i]));
        if (t != NULL && found != NULL)
            convert_fail(c, ST_FORMAT, "tensor '%s' has two scales", s->orig);
        if (t != NULL) found = t;
    }
    if (found == NULL && ends_with(s->orig, ".weight"))
        found = find(c, names_replace(c, s->orig, ".weight", ".qscale_weight"));
    return found;
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* How many rows and columns share a scale of that shape; false: none fits. */
static bool fit_block(const struct source *w, const struct source *k, const struct fp8 *q,
                      int64_t block[2]) {
    const int64_t rows = w->dim[0], cols = w->dim[1];
    block[0] = rows;
    block[1] = cols;
    if (k->n_elems == 1 && k->n_dims <= 2) return true; /* one for all */
    if (q->rows != 0 && k->n_dims == 2 && k->dim[0] == ceil_div(rows, q->rows) &&
        k->dim[1] == ceil_div(cols, q->cols)) {
        block[0] = q->rows;
        block[1] = q->cols;
        return true;
    }
    block[0] = 1; /* one for each row */
    return k->dim[0] == rows && (k->n_dims == 1 || (k->n_dims == 2 && k->dim[1] == 1));
}

static void attach(struct conversion *c, struct source *s, const struct fp8 *q) {
    struct source *k = find_scale(c, s);
    if (convert_failed(c)) return;
    if (k == NULL) {
        convert_fail(c, ST_FORMAT,
                     q->rows == 0 ? "missing fp8 block size metadata for tensor \"%s\""
                                  : "missing fp8 scale companion for tensor \"%s\"",
                     s->orig);
        return;
    }
    const enum sft_dtype t = k->t->dtype;
    if (s->n_dims != 2 || (t != SFT_F32 && t != SFT_F16 && t != SFT_BF16)) {
        convert_fail(c, ST_FORMAT,
                     "tensor '%s': 8-bit weights need two dimensions and a scale of"
                     " floats",
                     s->orig);
        return;
    }
    if (!fit_block(s, k, q, s->block)) {
        convert_fail(c, ST_FORMAT,
                     q->rows == 0 && k->n_dims == 2
                         ? "missing fp8 block size metadata for tensor \"%s\""
                         : "tensor '%s': the shape of its scale does not fit",
                     s->orig);
        return;
    }
    s->scale = k;
    k->used = true;
    c->n_fp8 += s->t->dtype == SFT_F8_E4M3;
}

/* Scales of activations and of the cache: nothing here computes with them. */
static bool is_ignored(const char *name) {
    static const char *const tails[] = {".activation_scale", ".input_scale", ".k_scale", ".v_scale",
                                        ".qscale_act"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_with(name, tails[i])) return true;
    return false;
}

void fp8_attach(struct conversion *c) {
    const struct fp8 q = read_config(c);
    bool any = false;
    for (size_t i = 0; i < c->n_sources && !convert_failed(c); i++) {
        struct source *s = &c->sources[i];
        if (s->t->dtype != SFT_F8_E4M3 && !(s->t->dtype == SFT_I8 && q.eight_bits)) continue;
        attach(c, s, &q);
        any = true;
    }
    for (size_t i = 0; i < c->n_sources && any; i++)
        if (is_ignored(c->sources[i].orig)) c->sources[i].used = true;
}

/* ---- what is told about it ---- */

static int by_text(const void *a, const void *b) {
    const struct gguf_str *x = a, *y = b;
    return strcmp(x->ptr, y->ptr);
}

void fp8_put_keys(struct conversion *c) {
    size_t n = 0;
    struct gguf_str *names = convert_zalloc(c, c->n_outs, sizeof *names);
    if (names == NULL || c->n_fp8 == 0) return;
    for (size_t i = 0; i < c->n_outs; i++) {
        const struct out *o = c->outs[i];
        const struct source *s = o->n_views != 0 ? o->views[0].src : NULL;
        if (s != NULL && s->t != NULL && s->scale != NULL && s->t->dtype == SFT_F8_E4M3)
            names[n++] = gguf_str_of(o->name);
    }
    qsort(names, n, sizeof *names, by_text);
    put_str(c, "source_quantization", "hf_fp8");
    put_array(c, "source_fp8_tensors", GGUF_STRING, n, names);
}
