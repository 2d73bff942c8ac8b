/* program.h - recording, sealing and printing programs (the type is in kernels/op.h).
 *
 * An architecture records its forward pass once by calling the p_* verbs below; each appends one op
 * and returns the number of its new value. Verbs never fail visibly: running out of memory is kept
 * in the recorder and reported by program_seal(). Sealing finds how long each value lives and gives
 * it a place in scratch memory, so that the size of a step's memory is known before a weight is
 * read. program_print() writes the program as text, like SQL's EXPLAIN. */
#ifndef CRIA_ENGINE_PROGRAM_H
#define CRIA_ENGINE_PROGRAM_H

#include "base/err.h"
#include "kernels/op.h"

struct buf;

struct recorder {
    struct program *prog;
    uint16_t layer; /* stamped on the ops recorded now */
    bool failed;    /* no memory, or too many values */
};

/* A weight matrix and its bias; a missing one is NULL. */
struct weight {
    const struct tensor *w, *b;
};

val p_embed(struct recorder *p, const char *name, const struct tensor *table, float scale);
val p_rows(struct recorder *p, const char *name,
           val x); /* only the rows whose results are wanted */
val p_norm(struct recorder *p, const char *name, val x, const struct tensor *w, uint32_t group,
           float eps); /* group 0: the whole row */
/* Up to three products of one input; n values named name[i] into out[i]. */
void p_linear(struct recorder *p, val x, int n, const struct weight *w, const char *const *name,
              val *out);
val p_linear1(struct recorder *p, const char *name, val x, struct weight w);
val p_slice(struct recorder *p, const char *name, val x, uint32_t col, uint32_t width); /* no op */
val p_add(struct recorder *p, const char *name, val a, val b);
val p_scale(struct recorder *p, const char *name, val x, float a, float b);
val p_softcap(struct recorder *p, const char *name, val x, float cap);
val p_glu(struct recorder *p, const char *name, enum act kind, val gate, val up);

struct rope_style { /* what differs between models and layers */
    enum rope_kind kind;
    uint32_t n_rot;
    float base, freq_scale, ext_factor, corr_low, corr_high, mscale;
    const struct tensor *factors; /* [n_rot/2] or NULL */
};
val p_rope(struct recorder *p, const char *name, val x, uint32_t n_head, uint32_t head_dim,
           const struct rope_style *style);

struct attn_style {
    uint32_t layer, n_head, n_head_kv, head_dim, head_dim_v, window;
    float scale, softcap;
};
void p_kv_store(struct recorder *p, val k, val v, const struct attn_style *a);
val p_attn(struct recorder *p, const char *name, val q, const struct attn_style *a);

struct moe_style {
    uint32_t n_expert, n_used;
    enum moe_gating gating;
    bool norm_weights;
    float weights_scale;
};
void p_moe_route(struct recorder *p, val logits, const struct moe_style *m, val *ids, val *weights);
void p_linear_id(struct recorder *p, val x, val ids, uint32_t n_used, bool per_expert_input, int n,
                 const struct tensor *const *w, const char *const *name, val *out);
val p_moe_sum(struct recorder *p, const char *name, val x, val weights, uint32_t n_used);

/* Plans scratch memory for at most max_rows[] rows. */
enum status program_seal(struct recorder *p, val output, const uint32_t max_rows[ROWS_KINDS],
                         struct err *e);
void program_print(const struct program *prog, struct buf *out);
void program_free(struct program *prog);

#endif
