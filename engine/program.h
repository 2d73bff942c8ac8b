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

/* What an adapter adds wherever something is multiplied with a weight: y + scale s b (a x), where s
 * is what the row's request gives the adapter (engine/adapter.h). */
struct delta {
    const char *base;           /* name of the weight */
    const struct tensor *a, *b; /* {in, rank}, {rank, out}; of experts one for each */
    uint32_t adapter;
    float scale;
    bool embeds; /* a table's rows are changed: a is {rank, rows} */
    bool used;   /* some op has it */
    bool missed; /* some product has the weight without it */
};

struct recorder {
    struct program *prog;
    uint16_t layer;      /* stamped on the ops recorded now */
    bool failed;         /* no memory, or too many values */
    struct delta *delta; /* [n_deltas] sorted by base; borrowed */
    size_t n_deltas;
    val kept; /* keeps: a value that is there when the step is over, beside the result */
    bool keeps;
};

/* A weight matrix and its bias; a missing one is NULL. */
struct weight {
    const struct tensor *w, *b;
};

val p_embed(struct recorder *p, const char *name, const struct tensor *table, enum embed_kind kind,
            float scale);
/* Row t of the caller's batch.beside for every token t. */
val p_beside(struct recorder *p, const char *name, uint32_t width);
/* Columns col..col+width-1 of the rows that the caller gives (batch.embd), zeros for tokens. */
val p_given(struct recorder *p, const char *name, uint32_t col, uint32_t width);
val p_rows(struct recorder *p, const char *name,
           val x); /* only the rows whose results are wanted */

struct norm_style {
    enum norm_kind kind;
    float eps;
    uint32_t group; /* elements of a piece; 0: the weight's first dimension, or the whole row */
};
/* n.w [group], or [group, pieces] where each piece has its own; NULL: no weight. */
val p_norm(struct recorder *p, const char *name, val x, struct weight n, struct norm_style style);
/* Up to three products of one input; n values named name[i] into out[i]. */
void p_linear(struct recorder *p, val x, int n, const struct weight *w, const char *const *name,
              val *out);
val p_linear1(struct recorder *p, const char *name, val x, struct weight w);
val p_slice(struct recorder *p, const char *name, val x, uint32_t col, uint32_t width); /* no op */
val p_add(struct recorder *p, const char *name, val a, val b);
val p_mul(struct recorder *p, const char *name, val a, val b); /* b: as wide as a, or one a piece */
val p_mul_w(struct recorder *p, const char *name, val a, const struct tensor *w); /* likewise */
val p_concat(struct recorder *p, const char *name, int n, const val *x); /* up to OP_MAX_IN */
/* Elements first..first+n-1 of each piece of x. */
val p_columns(struct recorder *p, const char *name, val x, uint32_t piece, uint32_t first,
              uint32_t n);
val p_scale(struct recorder *p, const char *name, val x, float a, float b);
val p_softcap(struct recorder *p, const char *name, val x, float cap);
val p_act(struct recorder *p, const char *name, enum act kind, val x);
val p_rescale(struct recorder *p, const char *name, val a, val b); /* b, as long as a */
val p_clamp(struct recorder *p, const char *name, val x, float low, float high);
val p_sparsify(struct recorder *p, const char *name, val x, float c);
/* Times ln(floor((pos + offset) / floor) + 1) a + 1 (spec/models/common.md 12). */
val p_pos_scale(struct recorder *p, const char *name, val x, float a, float offset, float floor);
val p_glu(struct recorder *p, const char *name, enum act kind, val gate, val up);
/* One input of pieces: `piece` gates, `piece` ups, ... */
val p_glu_halves(struct recorder *p, const char *name, enum act kind, val x, uint32_t piece);
/* w {in, out, n_head}: each head of x is `in` elements and a tail, which is copied. */
val p_heads_mm(struct recorder *p, const char *name, val x, const struct tensor *w, uint32_t tail);

struct rope_style { /* what differs between models and layers */
    enum rope_kind kind;
    uint32_t n_rot, first; /* elements first..first+n_rot-1 of a head are turned */
    float base, freq_scale, ext_factor, corr_low, corr_high, mscale;
    const struct tensor *factors; /* [n_rot/2] or NULL */
    enum rope_axes axes;
    uint32_t axis, sections[4]; /* of ROPE_ONE; of sections */
};
val p_rope(struct recorder *p, const char *name, val x, uint32_t n_head, uint32_t head_dim,
           const struct rope_style *style);

struct attn_style {
    uint32_t layer; /* whose cache it is: the layer's own or an earlier one's */
    uint32_t n_head, n_head_kv, head_dim, head_dim_v, window;
    bool chunked, symmetric, latent, causal;
    float scale, softcap, alibi;
    const struct tensor *sinks;  /* [n_head] or NULL */
    const struct tensor *biases; /* T5: {n_head, n_bucket} or NULL */
};
void p_kv_store(struct recorder *p, val k, val v, const struct attn_style *a);
struct kv_part { /* a part of the cells of one plane, filled by one value */
    uint32_t layer, n_head_kv;
    uint32_t width, col; /* of the part of a head's cell */
    uint32_t step;       /* from head to head in the value; 0: one part for all heads */
    bool values;         /* of the values, not the keys */
};
void p_kv_store_part(struct recorder *p, val x, const struct kv_part *part);
/* cells: what p_attn_select gave, or VAL_NONE: all visible ones. */
val p_attn(struct recorder *p, const char *name, val q, val cells, const struct attn_style *a);
struct select_style {
    uint32_t layer, n_head, head_dim, col, top_k;
    float scale;
};
val p_attn_select(struct recorder *p, val q, val weights, const struct select_style *s);

/* The state of these begins at float `col` of what its layer keeps for each sequence; each says how
 * much it takes. */
/* w.w {n_kernel, ...}, one filter for each column of x: (n_kernel - 1) floats a column. */
val p_conv_state(struct recorder *p, const char *name, val x, struct weight w, uint32_t layer,
                 uint32_t col);
struct ssm_style { /* n_head * head_dim * n_state floats */
    uint32_t layer, col, n_head, head_dim, n_state, n_group;
    const struct tensor *a;    /* {1, n_head} or {n_state, n_head}, negative */
    const struct tensor *d;    /* n_head factors of x */
    const struct tensor *dt_b; /* [n_head] added to dt; NULL */
};
/* x [n_head * head_dim], dt [n_head], b and c [n_group * n_state] */
val p_ssm_scan(struct recorder *p, const char *name, val x, val dt, val b, val c,
               const struct ssm_style *style);
struct delta_style { /* n_head * dim_k * dim_v floats */
    uint32_t layer, col, n_head, n_head_k, dim_k, dim_v;
    bool tiled;
    const struct tensor *a;    /* n_head factors of the gate, negative */
    const struct tensor *dt_b; /* as wide as the gate */
};
struct delta_in {
    val q, k, v; /* q, k [n_head_k * dim_k], of length 1; v [n_head * dim_v] */
    val gate;    /* [n_head] or [n_head * dim_k] */
    val beta;    /* [n_head], before the sigmoid */
};
val p_delta_net(struct recorder *p, const char *name, const struct delta_in *in,
                const struct delta_style *style);

struct moe_style {
    uint32_t n_expert, n_used;
    enum moe_gating gating;
    bool norm_weights, by_logits;
    uint32_t n_group, n_chosen;
    float weights_scale;
    const struct tensor *bias;    /* [n_expert] added where experts are chosen; NULL */
    const struct tensor *factors; /* [n_expert] of the weights of the chosen ones; NULL */
};
void p_moe_route(struct recorder *p, val logits, const struct moe_style *m, val *ids, val *weights);
void p_linear_id(struct recorder *p, val x, val ids, uint32_t n_used, bool per_expert_input, int n,
                 const struct weight *w, const char *const *name, val *out); /* n <= OP_MAX_W */
/* weights VAL_NONE: a plain sum. */
val p_moe_sum(struct recorder *p, const char *name, val x, val weights, uint32_t n_used);

/* Plans scratch memory for at most max_rows[] rows. */
enum status program_seal(struct recorder *p, val output, const uint32_t max_rows[ROWS_KINDS],
                         struct err *e);
void program_print(const struct program *prog, struct buf *out);
void program_free(struct program *prog);

#endif
