/* view.c - views of sources, and the outs that are made of them; see impl.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/convert/impl.h"

/* ---- views ---- */

/* Leading dimensions beyond what a view has are taken together. */
struct view view_of(const struct source *s) {
    struct view v = {.src = s};
    uint32_t extra = s->n_dims > VIEW_DIMS ? s->n_dims - VIEW_DIMS : 0;
    v.n_dims = s->n_dims - extra;
    for (uint32_t d = 0; d < v.n_dims; d++) v.dim[d] = s->dim[d + extra];
    for (uint32_t d = 0; d < extra; d++) v.dim[0] *= s->dim[d];
    if (v.n_dims == 0) v.dim[v.n_dims++] = 1; /* a scalar */
    int64_t stride = 1;
    for (uint32_t d = v.n_dims; d-- > 0;) {
        v.stride[d] = stride;
        stride *= v.dim[d];
    }
    return v;
}

static bool bad_axis(struct conversion *c, const struct view *v, uint32_t axis, bool grows) {
    if (axis < v->n_dims && (!grows || v->n_dims < VIEW_DIMS)) return false;
    convert_fail(c, ST_FORMAT, "tensor '%s': %u dimensions do not fit its use", v->src->orig,
                 v->src->n_dims);
    return true;
}

void view_reshape(struct conversion *c, struct view *v, uint32_t axis, int64_t n) {
    if (convert_failed(c) || bad_axis(c, v, axis, true)) return;
    if (n <= 0 || v->dim[axis] % n != 0) {
        convert_fail(c, ST_FORMAT, "tensor '%s': dimension of %lld does not divide by %lld",
                     v->src->orig, (long long)v->dim[axis], (long long)n);
        return;
    }
    for (uint32_t d = v->n_dims++; d > axis; d--) {
        v->dim[d] = v->dim[d - 1];
        v->stride[d] = v->stride[d - 1];
    }
    v->dim[axis + 1] = v->dim[axis] / n;
    v->stride[axis] = v->stride[axis + 1] * v->dim[axis + 1];
    v->dim[axis] = n;
}

void view_swap(struct view *v, uint32_t a, uint32_t b) {
    if (a >= v->n_dims || b >= v->n_dims) return; /* a check before has failed */
    const int64_t dim = v->dim[a], stride = v->stride[a];
    v->dim[a] = v->dim[b];
    v->stride[a] = v->stride[b];
    v->dim[b] = dim;
    v->stride[b] = stride;
}

void view_slice(struct conversion *c, struct view *v, uint32_t axis, int64_t from, int64_t n,
                int64_t step) {
    if (convert_failed(c) || bad_axis(c, v, axis, false)) return;
    const int64_t have = v->dim[axis];
    if (from < 0 || n < 0 || from > have || (n > 0 && (have - from - 1) / step < n - 1)) {
        convert_fail(c, ST_FORMAT, "tensor '%s': dimension of %lld, %lld needed", v->src->orig,
                     (long long)have, (long long)(from + n * step));
        return;
    }
    v->offset += from * v->stride[axis];
    v->stride[axis] *= step;
    v->dim[axis] = n;
}

static int64_t view_count(const struct view *v) {
    int64_t n = 1;
    for (uint32_t d = 0; d < v->n_dims; d++) n *= v->dim[d]; /* at most that of the source */
    return n;
}

/* ---- types (spec/safetensors.md 3.2) ---- */

static bool listed(const char *const *list, const char *name,
                   bool (*fits)(const char *, const char *)) {
    for (; *list != NULL; list++)
        if (fits(name, *list)) return true;
    return false;
}

static bool equal(const char *a, const char *b) { return strcmp(a, b) == 0; }
static bool contains(const char *a, const char *b) { return strstr(a, b) != NULL; }

static bool is_f32_name(const char *name) {
    static const char *const ends[] = {".bias",
                                       ".ffn_gate_inp.weight",
                                       ".shortconv.conv.weight",
                                       ".ssm_conv1d.weight",
                                       "rel_pos_h",
                                       "rel_pos_w",
                                       NULL};
    static const char *const starts[] = {"a.feature_extractor.", "a.conv1d.", "a.subsampling.",
                                         NULL};
    static const char *const parts[] = {".conv_dw.", NULL};
    static const char *const names[] = {"token_types.weight",
                                        "v.position_embd.weight",
                                        "v.positional_embedding_vlm",
                                        "v.tile_position_embd.weight",
                                        "v.pre_tile_position_embd.weight",
                                        "v.post_tile_position_embd.weight",
                                        "s.position_embd",
                                        NULL};
    return listed(ends, name, ends_with) || listed(starts, name, starts_with) ||
           listed(parts, name, contains) || listed(names, name, equal);
}

/* Towers other than the text model take F16 for BF16, but in a file of their own. */
static bool is_tower(const char *name) {
    static const char *const starts[] = {"v.", "s.", "mm.", NULL};
    return listed(starts, name, starts_with) || contains(name, "ffn_gate_inp_shexp.weight");
}

/* DT_COUNT: it cannot be stored. */
static enum dtype out_type(const struct source *s, const char *name, enum convert_part part) {
    if (s->t == NULL) return DT_F32;
    const enum sft_dtype t = s->t->dtype;
    const bool scaled = s->scale != NULL && (t == SFT_F8_E4M3 || t == SFT_I8);
    if (t != SFT_F32 && t != SFT_F16 && t != SFT_BF16 && !scaled) return DT_COUNT;
    if (s->n_dims <= 1 || is_f32_name(name)) return DT_F32;
    if (part == CONVERT_PROJECTOR && starts_with(name, "v.patch_embd.weight")) return DT_F32;
    if (scaled) return DT_BF16;
    if (t == SFT_BF16 && (part == CONVERT_PROJECTOR || !is_tower(name))) return DT_BF16;
    return DT_F16;
}

/* ---- outs ---- */

struct out *out_new_typed(struct conversion *c, const struct source *s, const char *name,
                          uint32_t n_dims, const int64_t *dim, enum dtype type) {
    if (type == DT_COUNT) {
        convert_fail(c, ST_UNSUPPORTED, "tensor '%s': unknown data type: %s", s->orig,
                     sft_dtype_name(s->t->dtype));
        return NULL;
    }
    if (n_dims > 4) {
        convert_fail(c, ST_UNSUPPORTED, "tensor '%s' has %u dimensions, more than 4", s->orig,
                     n_dims);
        return NULL;
    }
    if (c->n_outs == c->cap_outs) {
        const size_t cap = c->cap_outs != 0 ? c->cap_outs * 2 : 256;
        struct out **grown = mem_grow(c->outs, cap, sizeof *grown);
        if (grown == NULL) {
            convert_fail(c, ST_NO_MEMORY, "out of memory");
            return NULL;
        }
        c->outs = grown;
        c->cap_outs = cap;
    }
    struct out *o = convert_zalloc(c, 1, sizeof *o);
    if (o == NULL) return NULL;
    *o = (struct out){.name = name, .part = c->target, .n_dims = n_dims, .type = type};
    for (uint32_t d = 0; d < n_dims; d++) o->dim[d] = dim[d];
    c->outs[c->n_outs++] = o;
    return o;
}

struct out *out_new(struct conversion *c, const struct source *s, const char *name, uint32_t n_dims,
                    const int64_t *dim) {
    return out_new_typed(c, s, name, n_dims, dim, out_type(s, name, c->target));
}

void out_add(struct conversion *c, struct out *o, const struct view *v) {
    if (o == NULL || convert_failed(c)) return;
    if (o->n_views == o->cap_views) {
        const size_t cap = o->cap_views != 0 ? o->cap_views * 2 : 1;
        struct view *grown = convert_zalloc(c, cap, sizeof *grown);
        if (grown == NULL) return;
        if (o->n_views != 0) memcpy(grown, o->views, o->n_views * sizeof *grown);
        o->views = grown;
        o->cap_views = cap;
    }
    o->views[o->n_views++] = *v;
}

struct out *out_of(struct conversion *c, const struct view *v, const char *name, uint32_t n_dims,
                   const int64_t *dim) {
    if (convert_failed(c)) return NULL;
    struct out *o = out_new(c, v->src, name, n_dims, dim);
    out_add(c, o, v);
    return o;
}

struct out *out_keep(struct conversion *c, struct source *s, const char *name) {
    const struct view v = view_of(s);
    if (s->n_dims == 0) return out_of(c, &v, name, 1, (int64_t[]){1});
    return out_of(c, &v, name, s->n_dims, s->dim);
}

struct out *out_mapped(struct conversion *c, struct source *s, const char *name, enum map_fn fn,
                       float arg) {
    struct out *o = out_keep(c, s, name);
    if (o == NULL || o->n_views == 0) return o;
    o->views[0].fn = fn;
    o->views[0].arg = arg;
    return o;
}

struct out *out_patches(struct conversion *c, struct source *s) {
    struct view v = view_of(s);
    int64_t p = 1;
    if (s->n_dims != 2) return out_keep(c, s, s->name);
    while (p < 4096 && p * p * 3 < s->dim[1]) p++;
    if (p * p * 3 != s->dim[1]) {
        convert_fail(c, ST_FORMAT, "tensor '%s': %lld columns are no square of pixels", s->orig,
                     (long long)s->dim[1]);
        return NULL;
    }
    view_reshape(c, &v, 1, p);
    view_reshape(c, &v, 2, p); /* [C, y, x, channel] */
    view_swap(&v, 1, 3);
    view_swap(&v, 2, 3); /* [C, channel, y, x] */
    return out_of(c, &v, s->name, 4, v.dim);
}

bool out_frames(struct conversion *c, struct source *s, const char *first, const char *second) {
    for (int i = 0; i < 2 && s->n_dims == 5; i++) {
        struct view v = view_of(s);
        view_slice(c, &v, 2, i, 1, 1);
        out_of(c, &v, i == 0 ? first : second, 4,
               (int64_t[]){s->dim[0], s->dim[1], s->dim[3], s->dim[4]});
    }
    return s->n_dims == 5;
}

void out_values(struct conversion *c, const char *name, const float *values, size_t n) {
    struct source *s = convert_zalloc(c, 1, sizeof *s);
    if (s == NULL || values == NULL) return;
    *s = (struct source){.orig = name,
                         .name = name,
                         .made = values,
                         .n_dims = 1,
                         .dim = {(int64_t)n},
                         .n_elems = (int64_t)n};
    out_keep(c, s, name);
}

/* ---- the finished list ---- */

/* Block number, or more than any: other tensors come last. */
static uint64_t block_of(const char *name) {
    uint32_t num[2];
    return names_match("blk.#.*", name, num) ? num[0] : UINT64_MAX;
}

static int by_block(const void *a, const void *b) {
    const struct out *x = *(struct out *const *)a, *y = *(struct out *const *)b;
    const uint64_t i = block_of(x->name), j = block_of(y->name);
    if (i != j) return i < j ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void check_out(struct conversion *c, const struct out *o) {
    int64_t n = 1, have = 0;
    for (uint32_t d = 0; d < o->n_dims; d++)
        if (__builtin_mul_overflow(n, o->dim[d], &n)) n = -1;
    for (size_t i = 0; i < o->n_views; i++) have += view_count(&o->views[i]);
    if (o->scales == NULL && n != have)
        convert_fail(c, ST_FORMAT, "tensor '%s': %lld values for a shape of %lld", o->name,
                     (long long)have, (long long)n);
}

/* A weight that F16 cannot hold would become infinite; BF16 has the range of F32. */
static void widen(struct conversion *c, struct out *o) {
    if (o->type != DT_F16 || !out_overflows_f16(c, o)) return;
    log_warn("convert", "%s is kept as BF16: it has values that F16 cannot hold", o->name);
    o->type = DT_BF16;
}

static void add_to_writer(struct conversion *c, const struct out *o) {
    int64_t ne[4];
    for (uint32_t d = 0; d < o->n_dims; d++) ne[d] = o->dim[o->n_dims - 1 - d];
    gguf_add_tensor(c->writer[o->part], gguf_str_of(o->name), o->type, o->n_dims, ne);
}

void outs_finish(struct conversion *c) {
    if (convert_failed(c) || c->n_outs == 0) return;
    qsort(c->outs, c->n_outs, sizeof *c->outs, by_block);
    for (size_t i = 0; i < c->n_outs && !convert_failed(c); i++) {
        struct out *o = c->outs[i];
        if (i > 0 && strcmp(o->name, c->outs[i - 1]->name) == 0 &&
            o->part == c->outs[i - 1]->part) {
            convert_fail(c, ST_FORMAT, "duplicate tensor name '%s' was found for this model",
                         o->name);
            return;
        }
        check_out(c, o);
        if (convert_failed(c)) return;
        widen(c, o);
        add_to_writer(c, o);
    }
}
