/* projector_tensors.c - the tensors of a projector, with their shapes (projector.h). Vectors become
 * floats of our own, matrices stay in the file. What only one type has is loaded by that type. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vision/projector.h"

/* ---- vectors and matrices ---------------------------------------------------------------------
 */

static enum status wrong_shape(const char *name, const struct gguf_tensor *t, struct err *e,
                               uint64_t n_in, uint64_t n_out) {
    return err_set(e, ST_FORMAT,
                   "tensor '%s' has wrong shape {%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                   "}, expected {%" PRIu64 ",%" PRIu64 "}",
                   name, t->dim[0], t->dim[1], t->dim[2], t->dim[3], n_in, n_out);
}

static void *upload(struct projector *p, const void *data, size_t size, struct err *e) {
    void **list = mem_grow(p->dev_mem, p->n_dev_mem + 1, sizeof *list);
    if (list == NULL) return NULL;
    p->dev_mem = list;
    void *m = p->dev->backend->alloc(p->dev, size);
    if (m == NULL) return NULL;
    p->dev_mem[p->n_dev_mem++] = m;
    return p->dev->backend->upload(p->dev, m, data, size, e) == ST_OK ? m : NULL;
}

/* data: of the file, or of the arena. */
static enum status make_tensor(struct projector *p, const char *name, enum dtype type,
                               uint64_t n_in, uint64_t n_out, const void *data,
                               const struct tensor **out, struct err *e) {
    struct tensor *t = arena_zalloc(&p->arena, 1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    const size_t bytes =
        tensor_shape(t, type, (const int64_t[4]){(int64_t)n_in, (int64_t)n_out, 1, 1});
    p->weights_bytes += bytes;
    t->name = arena_strndup(&p->arena, name, strlen(name));
    t->data = p->dev->uses_host_memory ? (void *)(uintptr_t)data : upload(p, data, bytes, e);
    *out = t;
    return t->name != NULL && t->data != NULL ? ST_OK : err_no_memory(e);
}

static const struct gguf_tensor *find(const struct projector *p, const char *name) {
    return gguf_find_tensor(p->gguf, name);
}

static uint64_t n_elements(const struct gguf_tensor *t) {
    return (uint64_t)t->dim[0] * (uint64_t)t->dim[1] * (uint64_t)t->dim[2] * (uint64_t)t->dim[3];
}

static enum status can_decode(const char *name, const struct gguf_tensor *t, struct err *e) {
    if (dtype_info(t->type)->decode != NULL) return ST_OK;
    return err_set(e, ST_UNSUPPORTED, "tensor '%s': type %s cannot be computed with", name,
                   dtype_info(t->type)->name);
}

/* All elements as floats, in the order of the file. */
static float *decode(struct projector *p, const struct gguf_tensor *t) {
    const uint64_t n = n_elements(t); /* as large as the file's data allow */
    float *x = arena_alloc(&p->arena, n * sizeof *x);
    const size_t row = (size_t)t->dim[0];
    const size_t bytes = row / dtype_info(t->type)->elems * dtype_info(t->type)->bytes;
    for (uint64_t i = 0; x != NULL && i < n / row; i++)
        dtype_info(t->type)->decode(t->data + i * bytes, x + i * row, row);
    return x;
}

enum status proj_floats(struct projector *p, const char *name, uint64_t n, const float **out,
                        struct err *e) {
    const struct gguf_tensor *t = find(p, name);
    if (t == NULL) return ST_OK;
    if (n_elements(t) != n) return wrong_shape(name, t, e, n, 1);
    enum status st = can_decode(name, t, e);
    if (st == ST_OK && (*out = decode(p, t)) == NULL) st = err_no_memory(e);
    return st;
}

enum status proj_vector(struct projector *p, const char *name, uint64_t n,
                        const struct tensor **out, struct err *e) {
    const float *x = NULL;
    enum status st = proj_floats(p, name, n, &x, e);
    return st == ST_OK && x != NULL ? make_tensor(p, name, DT_F32, n, 1, x, out, e) : st;
}

static enum status missing(const char *name, bool optional, struct err *e) {
    return optional ? ST_OK : err_set(e, ST_FORMAT, "missing tensor '%s'", name);
}

enum { NAME_SIZE = 96 };

enum status proj_norm(struct projector *p, const char *name, uint32_t n, bool optional,
                      struct weight *out, struct err *e) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    if (find(p, full) == NULL) return missing(full, optional, e);
    enum status st = proj_vector(p, full, n, &out->w, e);
    snprintf(full, sizeof full, "%s.bias", name);
    return st == ST_OK ? proj_vector(p, full, n, &out->b, e) : st;
}

/* {n_in, n_out}, or with transposed {n_out, n_in}; fills in *n_out. */
static enum status matrix_shape(const char *name, const struct gguf_tensor *t, uint32_t n_in,
                                uint32_t *n_out, bool transposed, struct err *e) {
    const int64_t in = t->dim[transposed ? 1 : 0], rows = t->dim[transposed ? 0 : 1];
    if (in != (int64_t)n_in || (*n_out != 0 && rows != (int64_t)*n_out) || rows < 1 ||
        rows > 1 << 20 || t->dim[2] != 1 || t->dim[3] != 1)
        return wrong_shape(name, t, e, transposed ? *n_out : n_in, transposed ? n_in : *n_out);
    *n_out = (uint32_t)rows;
    return can_decode(name, t, e);
}

static enum status matrix_bias(struct projector *p, const char *name, uint32_t n,
                               struct weight *out, struct err *e) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.bias", name);
    return proj_vector(p, full, n, &out->b, e);
}

enum status proj_matrix(struct projector *p, const char *name, uint32_t n_in, uint32_t *n_out,
                        bool optional, struct weight *out, struct err *e) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    const struct gguf_tensor *t = find(p, full);
    if (t == NULL) return missing(full, optional, e);
    enum status st = matrix_shape(full, t, n_in, n_out, false, e);
    if (st == ST_OK) st = make_tensor(p, full, t->type, n_in, *n_out, t->data, &out->w, e);
    return st == ST_OK ? matrix_bias(p, name, *n_out, out, e) : st;
}

enum status proj_transposed(struct projector *p, const char *name, uint32_t n_in, uint32_t *n_out,
                            struct weight *out, struct err *e) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    const struct gguf_tensor *t = find(p, full);
    if (t == NULL) return missing(full, false, e);
    enum status st = matrix_shape(full, t, n_in, n_out, true, e);
    if (st != ST_OK) return st;
    const float *x = decode(p, t);
    float *y = arena_zalloc(&p->arena, (size_t)n_in * *n_out, sizeof *y);
    if (x == NULL || y == NULL) return err_no_memory(e);
    for (size_t i = 0; i < n_in; i++)
        for (size_t o = 0; o < *n_out; o++) y[o * n_in + i] = x[i * *n_out + o];
    return make_tensor(p, full, DT_F32, n_in, *n_out, y, &out->w, e);
}

enum status proj_limits(struct projector *p, const char *name, struct vit_weight *w,
                        struct err *e) {
    static const char *const suffix[] = {"input_min", "input_max", "output_min", "output_max"};
    float *const to[] = {&w->in_low, &w->in_high, &w->out_low, &w->out_high};
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < 4; i++) {
        char full[NAME_SIZE];
        const float *x = NULL;
        snprintf(full, sizeof full, "%s.%s", name, suffix[i]);
        st = proj_floats(p, full, 1, &x, e);
        *to[i] = x != NULL ? *x : i % 2 == 0 ? -3.4e38f : 3.4e38f;
        w->limited = w->limited || x != NULL;
    }
    return st;
}

enum status proj_kernel(struct projector *p, const char *name, uint32_t side, uint32_t n_in,
                        uint32_t *n_out, const struct tensor **out, struct err *e) {
    const struct gguf_tensor *t = find(p, name);
    const uint64_t width = (uint64_t)n_in * side * side;
    if (t == NULL) return missing(name, false, e);
    const bool conv =
        t->dim[0] == (int64_t)side && t->dim[1] == (int64_t)side && t->dim[2] == (int64_t)n_in;
    const bool matrix = t->dim[0] == (int64_t)width && t->dim[2] == 1 && t->dim[3] == 1;
    const int64_t n = t->dim[conv ? 3 : 1];
    if ((!conv && !matrix) || n < 1 || n > 1 << 20 || (*n_out != 0 && n != (int64_t)*n_out))
        return wrong_shape(name, t, e, width, *n_out);
    *n_out = (uint32_t)n;
    enum status st = can_decode(name, t, e);
    if (st != ST_OK) return st;
    if (matrix || dtype_info(t->type)->elems == 1)
        return make_tensor(p, name, t->type, width, *n_out, t->data, out, e);
    const float *x = decode(p, t);
    return x != NULL ? make_tensor(p, name, DT_F32, width, *n_out, x, out, e) : err_no_memory(e);
}

/* ---- the encoder's tensors --------------------------------------------------------------------
 */

enum layer_dim { DIM_EMBD, DIM_Q, DIM_KV, DIM_QKV, DIM_FF };
struct layer_matrix {
    const char *name;
    size_t offset; /* in struct vit_layer */
    enum layer_dim in, out;
    bool optional;
};
#define MATRIX(name_, field, in_, out_, optional_)                                                 \
    { name_, offsetof(struct vit_layer, field), in_, out_, optional_ }
static const struct layer_matrix layer_matrices[] = {
    MATRIX("attn_qkv", qkv, DIM_EMBD, DIM_QKV, true),
    MATRIX("attn_q", q, DIM_EMBD, DIM_Q, false),
    MATRIX("attn_k", k, DIM_EMBD, DIM_KV, false),
    MATRIX("attn_v", v, DIM_EMBD, DIM_KV, false),
    MATRIX("attn_out", out, DIM_Q, DIM_EMBD, false),
    MATRIX("ffn_gate", gate, DIM_EMBD, DIM_FF, true),
    MATRIX("ffn_up", up, DIM_EMBD, DIM_FF, false),
    MATRIX("ffn_down", down, DIM_FF, DIM_EMBD, false),
};

static uint32_t dim_of(const struct projector *p, enum layer_dim dim) {
    const uint32_t q = p->hp.n_head * p->hp.head_dim, kv = p->hp.n_head_kv * p->hp.head_dim;
    const uint32_t dims[] = {p->hp.n_embd, q, kv, q + 2 * kv, p->hp.n_ff};
    return dims[dim];
}

/* Old converters wrote up as down and down as up. */
static const char *ffn_name(const struct projector *p, uint32_t il, const char *name) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "v.blk.%u.ffn_down.weight", il);
    const struct gguf_tensor *down = find(p, full);
    const bool swap = p->type->swapped_ffn && down != NULL && p->hp.n_ff != p->hp.n_embd &&
                      down->dim[0] == (int64_t)p->hp.n_embd;
    if (swap && strcmp(name, "ffn_up") == 0) return "ffn_down";
    if (swap && strcmp(name, "ffn_down") == 0) return "ffn_up";
    return name;
}

static enum status load_matrices(struct projector *p, uint32_t il, struct err *e) {
    struct vit_layer *l = &p->layers[il];
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof layer_matrices / sizeof layer_matrices[0]; i++) {
        const struct layer_matrix *m = &layer_matrices[i];
        struct vit_weight *w = (struct vit_weight *)(void *)((char *)l + m->offset);
        const bool fused = l->qkv.m.w != NULL && (m->out == DIM_KV || m->out == DIM_Q);
        uint32_t n_out = dim_of(p, m->out);
        char name[NAME_SIZE];
        if (fused) continue;
        snprintf(name, sizeof name, "v.blk.%u.%s", il, ffn_name(p, il, m->name));
        st = proj_matrix(p, name, dim_of(p, m->in), &n_out, m->optional, &w->m, e);
        if (st == ST_OK && w->m.w != NULL) st = proj_limits(p, name, w, e);
    }
    return st;
}

/* Of each head, or of all heads together. */
static enum status load_head_norm(struct projector *p, uint32_t il, const char *which,
                                  uint32_t n_head, struct weight *out, struct err *e) {
    char name[NAME_SIZE], full[NAME_SIZE];
    snprintf(name, sizeof name, "v.blk.%u.%s", il, which);
    snprintf(full, sizeof full, "%s.weight", name);
    const struct gguf_tensor *t = find(p, full);
    const uint32_t d = p->hp.head_dim;
    const bool whole = t != NULL && t->dim[0] != (int64_t)d;
    return proj_norm(p, name, whole ? n_head * d : d, true, out, e);
}

static enum status load_scale(struct projector *p, uint32_t il, const char *which,
                              const struct tensor **out, struct err *e) {
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "v.blk.%u.%s.weight", il, which);
    const struct gguf_tensor *t = find(p, full);
    if (t == NULL) return ST_OK;
    return proj_vector(p, full, n_elements(t) == 1 ? 1 : p->hp.n_embd, out, e);
}

static enum status load_layer(struct projector *p, uint32_t il, struct err *e) {
    struct vit_layer *l = &p->layers[il];
    const struct {
        const char *name;
        struct weight *to;
        bool optional;
    } norms[] = {{"ln1", &l->ln1, false},
                 {"ln2", &l->ln2, false},
                 {"attn_post_norm", &l->attn_post, true},
                 {"ffn_post_norm", &l->ffn_post, true}};
    enum status st = load_matrices(p, il, e);
    for (size_t i = 0; st == ST_OK && i < sizeof norms / sizeof norms[0]; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "v.blk.%u.%s", il, norms[i].name);
        st = proj_norm(p, name, p->hp.n_embd, norms[i].optional, norms[i].to, e);
    }
    if (st == ST_OK) st = load_head_norm(p, il, "attn_q_norm", p->hp.n_head, &l->q_norm, e);
    if (st == ST_OK) st = load_head_norm(p, il, "attn_k_norm", p->hp.n_head_kv, &l->k_norm, e);
    if (st == ST_OK) st = load_scale(p, il, "ls1", &l->ls1, e);
    if (st == ST_OK) st = load_scale(p, il, "ls2", &l->ls2, e);
    return st == ST_OK ? load_scale(p, il, "out_scale", &l->out_scale, e) : st;
}

static enum status load_positions(struct projector *p, struct err *e) {
    static const char name[] = "v.position_embd.weight";
    const struct gguf_tensor *t = find(p, name);
    const uint64_t side = p->hp.image_size / p->hp.patch;
    if (p->type->positions == POS_NONE) return ST_OK;
    if (t == NULL) return missing(name, p->type->positions == POS_BICUBIC, e);
    const uint64_t n_class = p->type->class_token != CLASS_NONE;
    const int64_t n = t->dim[1], pieces = p->type->positions == POS_XY ? 2 : 1;
    const bool fits = p->type->positions != POS_TABLE || (uint64_t)n == side * side + n_class;
    if (t->dim[0] != (int64_t)p->hp.n_embd || t->dim[2] != pieces || t->dim[3] != 1 || n < 1 ||
        n > VIT_MAX_ROWS + 1 || !fits)
        return wrong_shape(name, t, e, p->hp.n_embd, side * side + n_class);
    p->n_pos = (uint32_t)n;
    if (p->type->positions == POS_XY && p->n_pos < p->hp.merge)
        return wrong_shape(name, t, e, p->hp.n_embd, p->hp.merge);
    if (p->type->positions == POS_BILINEAR || p->type->positions == POS_BICUBIC) { /* square */
        uint32_t s = 1;
        while (s * s < p->n_pos) s++;
        if (s * s != p->n_pos) return wrong_shape(name, t, e, p->hp.n_embd, s * s);
    }
    return proj_floats(p, name, n_elements(t), &p->pos, e);
}

/* A second kernel, for a second frame, has two names. */
static enum status load_kernels(struct projector *p, struct err *e) {
    static const char *const second[] = {"v.patch_embd.weight.1", "v.patch_embd_1.weight"};
    uint32_t n = p->hp.n_embd;
    enum status st = proj_kernel(p, "v.patch_embd.weight", p->hp.patch, 3, &n, &p->patch[0], e);
    if (st != ST_OK || !p->type->two_frames) return st;
    const char *name = find(p, second[1]) != NULL ? second[1] : second[0];
    return proj_kernel(p, name, p->hp.patch, 3, &n, &p->patch[1], e);
}

static enum status load_encoder(struct projector *p, struct err *e) {
    static const char bias[] = "v.patch_embd.bias";
    const uint32_t n = p->hp.n_embd;
    enum status st = load_kernels(p, e);
    if (st == ST_OK && p->type->patch_norm)
        st = proj_norm(p, "v.norm_embd", n, true, &p->patch_norm, e);
    if (st == ST_OK)
        st = p->patch_norm.w != NULL ? proj_vector(p, bias, n, &p->patch_bias, e)
                                     : proj_floats(p, bias, n, &p->patch_b, e);
    if (st == ST_OK && p->type->class_token != CLASS_NONE)
        st = proj_floats(p, "v.class_embd", n, &p->class_embd, e);
    if (st == ST_OK && p->type->class_token != CLASS_NONE && p->class_embd == NULL)
        st = missing("v.class_embd", false, e);
    if (st == ST_OK) st = load_positions(p, e);
    if (st == ST_OK) st = proj_norm(p, "v.pre_ln", n, true, &p->pre_ln, e);
    if (st == ST_OK) st = proj_norm(p, "v.post_ln", n, true, &p->post_ln, e);
    return st;
}

enum status projector_load_tensors(struct projector *p, struct err *e) {
    enum status st = load_encoder(p, e);
    if (st == ST_OK) st = p->type->load(p, e);
    for (uint32_t il = 0; st == ST_OK && il < p->n_run; il++) st = load_layer(p, il, e);
    return st;
}
