/* op.h - the program a model becomes: values, ops, the whole.
 *
 * A program is recorded once per loaded model (engine/program.h), sealed (scratch memory planned),
 * and then executed many times: nothing in it depends on a request. An op reads values and weights
 * and writes new values; every value is written by exactly one op. A value is a number of rows of
 * f32; how many rows is only known per step (`rows` says which count), bounded by the program's
 * max_rows. Kernels know no strides, broadcasts or permutes: a row is contiguous, rows are `pitch`
 * apart, and a column slice of a value is a value of its own that shares memory (`parent`). */
#ifndef CRIA_KERNELS_OP_H
#define CRIA_KERNELS_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/tensor.h"

typedef uint16_t val; /* index in program.vals */
enum { VAL_NONE = 0xFFFF };

enum op_code {
#define OP(NAME, name, ins, outs, weights, text) OP_##NAME,
#include "kernels/ops.def"
#undef OP
    OP_COUNT
};

enum rows { ROWS_TOKENS, ROWS_OUTPUTS, ROWS_KINDS };

enum act {
    ACT_NONE,
    ACT_SILU,
    ACT_GELU,     /* the tanh form */
    ACT_GELU_ERF, /* x / 2 (1 + erf(x / sqrt 2)) */
    ACT_GELU_QUICK,
    ACT_RELU,
    ACT_RELU2, /* relu squared */
    ACT_SIGMOID,
    ACT_TANH,
    ACT_SOFTPLUS,
    ACT_SOFTCAP,
    ACT_SWIGLU_OAI, /* GLU only: g = min(gate, 7); g sigmoid(1.702 g) (clamp(up, -7, 7) + 1) */
    ACT_COUNT
};

enum norm_kind { NORM_RMS, NORM_LAYER }; /* LAYER: the mean is subtracted first */

enum embed_kind {
    EMBED_TOKENS,    /* by token; a row of the caller's embd where the token is -1 */
    EMBED_IDS,       /* by token; row 0 where the token is -1 */
    EMBED_POSITIONS, /* by position */
    EMBED_FIRST,     /* row 0 for all: what is the same for every token */
    EMBED_GIVEN,     /* columns of the caller's embd where the token is -1, else zeros; no table */
    EMBED_BESIDE     /* row t of the caller's beside, for every token; no table */
};

enum rope_kind { ROPE_NORM, ROPE_NEOX }; /* pairs (2i, 2i+1), or (i, i + n_rot/2) */

/* Which of a row's four positions (t, y, x, and one more) turns which pair (rope_axis, step.h). */
enum rope_axes {
    ROPE_ONE,         /* one for all pairs */
    ROPE_SECTIONS,    /* each section of the pairs has its own (Qwen2-VL, Wang et al. 2024) */
    ROPE_INTERLEAVED, /* t, y, x in turn, as long as their sections last (Qwen3-VL) */
    ROPE_VISION       /* y for the first half of the pairs, x for the other; frequencies restart */
};

enum moe_gating {
    MOE_SOFTMAX = 1,
    MOE_SIGMOID,
    MOE_SOFTMAX_AFTER, /* of the chosen ones */
    MOE_SQRT_SOFTPLUS
}; /* expert_gating_func's numbers */

struct value {
    const char *name;      /* what it is, for the print: "q", "attn_out" */
    uint32_t width, pitch; /* elements in a row; from row to row */
    enum rows rows;
    val parent;   /* the value this is a column slice of, or VAL_NONE */
    uint32_t col; /* first column in the parent */
    size_t off;   /* byte offset in scratch memory, set at seal; 64-byte aligned but for slices */
    uint32_t first, last; /* the op that writes it, the last op that reads it (slices count) */
};

union op_params { /* the member named like the op */
    struct {
        float scale;
        enum embed_kind kind;
        uint32_t col; /* given: the first column */
    } embed;
    struct {
        float eps;
        uint32_t group; /* elements per piece; the width, or a head's size */
        enum norm_kind kind;
    } norm;
    struct {
        float a, b;
    } scale;
    struct {
        enum act kind;
        float cap; /* softcap: cap * tanh(x / cap) */
    } act;
    struct {
        enum act kind;
        uint32_t piece; /* one input: each 2 * piece of it are a gate half and an up half */
    } glu;
    struct {
        float low, high;
    } clamp;
    struct {
        float c; /* sparsify: y = max(x - (mean + c * standard deviation), 0) */
    } sparsify;
    struct {
        float a, offset, floor; /* pos_scale: y = x (ln(floor((pos + offset) / floor) + 1) a + 1) */
    } pos_scale;
    struct {
        uint32_t n_head, tail; /* heads_mm: the last `tail` elements of a head are copied */
    } heads_mm;
    struct {
        enum rope_kind kind;
        uint32_t n_head, head_dim, n_rot;
        uint32_t first; /* of the rotated elements in a head */
        float base, freq_scale;
        float ext_factor;          /* yarn: 1, else 0 */
        float corr_low, corr_high; /* yarn: the ramp between these pair indices */
        float mscale;              /* multiplies cos and sin */
        enum rope_axes axes;
        uint32_t axis;        /* one: 0 t, 1 y, 2 x */
        uint32_t sections[4]; /* pairs of t, y, x and the fourth */
    } rope;
    struct {
        uint32_t layer, n_head_kv, head_dim, head_dim_v;
        /* One input alone is a part of the keys (or, `values`, the values): head_dim elements of
         * each head, `step` apart in the row (0: the same for all heads), to column col. */
        uint32_t col, step;
        bool values;
    } kv_store;
    struct {
        uint32_t piece, first, n; /* of each piece of the row */
    } columns;
    struct {
        uint32_t adapter; /* its number in batch.adapt */
        float scale;      /* the adapter's own */
        bool tokens;      /* rows that came as vectors get 0 */
    } adapt;
    /* The three with a state per sequence and layer: theirs begins at float `col` of it (step.h).
     */
    struct {
        uint32_t layer, col, n_kernel; /* state [width][n_kernel - 1], oldest first */
    } conv_state;
    struct {
        uint32_t layer, col;
        uint32_t n_head, head_dim, n_state; /* state [n_head][head_dim][n_state] */
        uint32_t n_group;                   /* of heads that share B and C */
    } ssm_scan;
    struct {
        uint32_t layer, col;
        uint32_t n_head, dim_k, dim_v; /* state [n_head][dim_v][dim_k] */
        uint32_t n_head_k;             /* of q and k */
        bool tiled; /* head h has those of h % n_head_k, not of h / (n_head / n_head_k) */
    } delta_net;
    struct {
        uint32_t layer, n_head, n_head_kv, head_dim, head_dim_v;
        uint32_t window; /* cells visible, the row's own included; 0: all */
        bool chunked;    /* instead: cells from position floor(pos / window) * window on */
        bool symmetric;  /* instead: cells not further away than window / 2, on both sides */
        bool causal;     /* no cell behind the row's own, though it may see some (kv_len) */
        bool latent;     /* values are the first head_dim_v elements of the keys */
        float scale, softcap, alibi; /* alibi: the largest bias; 0: none */
        uint32_t n_bucket;           /* T5: rows of the table of biases by distance, w[1] */
    } attn;
    struct {
        uint32_t layer, n_head, head_dim;
        uint32_t col; /* of the index key in the cells of keys */
        uint32_t top_k;
        float scale;
    } attn_select;
    struct {
        uint32_t n_expert, n_used;
        enum moe_gating gating;
        bool norm_weights;
        bool by_logits;             /* chosen by the logits themselves, whatever the gating */
        uint32_t n_group, n_chosen; /* groups of experts, and how many may be used; 0, 1: one */
        float weights_scale;        /* 0 and 1: none */
    } moe_route;
    struct {
        uint32_t n_used;
        bool per_expert_input; /* x has one piece for each chosen expert (the down product) */
    } linear_id;
    struct {
        uint32_t n_used;
    } moe_sum;
};

enum { DELTA_MAX_DIM = 1024 }; /* dim_k of DELTA_NET */
enum { OP_MAX_IN = 5, OP_MAX_OUT = 3, OP_MAX_W = 3 };

struct op {
    uint8_t code;   /* enum op_code */
    uint16_t layer; /* for the print; LAYER_NONE outside of the blocks */
    val in[OP_MAX_IN], out[OP_MAX_OUT];
    const struct tensor *w[OP_MAX_W], *b[OP_MAX_W]; /* NULL where absent */
    union op_params p;
};
enum { LAYER_NONE = 0xFFFF };

struct program {
    struct op *ops;
    uint32_t n_ops, cap_ops;
    struct value *vals;
    uint32_t n_vals, cap_vals;
    val output; /* logits [n_vocab], or the embedding [n_embd] */
    val hidden; /* has_hidden: what the head sees, of all tokens; there when the step is over */
    bool has_hidden;
    uint32_t max_rows[ROWS_KINDS]; /* bounds used for scratch, set at seal */
    size_t scratch;                /* bytes, exact */
};

struct op_info {
    const char *name, *text;
    uint8_t n_in, n_out, n_w;
};
extern const struct op_info op_infos[OP_COUNT];

/* What an op must move and compute in one step with the given row counts: for percent of roofline.
 * kv_cells: cells that attention reads, summed over rows. */
struct op_cost {
    uint64_t weight_bytes, act_bytes, kv_bytes, macs;
};
struct step;
struct op_cost op_cost(const struct step *s, const struct op *op);

#endif
