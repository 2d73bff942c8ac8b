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

enum act { ACT_NONE, ACT_SILU, ACT_GELU, ACT_SOFTCAP, ACT_COUNT }; /* gelu: the tanh form */

enum rope_kind { ROPE_NORM, ROPE_NEOX }; /* pairs (2i, 2i+1), or (i, i + n_rot/2) */

enum moe_gating {
    MOE_SOFTMAX = 1,
    MOE_SIGMOID,
    MOE_SOFTMAX_AFTER
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
    } embed;
    struct {
        float eps;
        uint32_t group; /* elements per piece; the width, or a head's size */
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
    } glu;
    struct {
        enum rope_kind kind;
        uint32_t n_head, head_dim, n_rot;
        float base, freq_scale;
        float ext_factor;          /* yarn: 1, else 0 */
        float corr_low, corr_high; /* yarn: the ramp between these pair indices */
        float mscale;              /* multiplies cos and sin */
    } rope;
    struct {
        uint32_t layer, n_head_kv, head_dim, head_dim_v;
    } kv_store;
    struct {
        uint32_t layer, n_head, n_head_kv, head_dim, head_dim_v;
        uint32_t window; /* cells visible, the row's own included; 0: all */
        float scale, softcap;
    } attn;
    struct {
        uint32_t n_expert, n_used;
        enum moe_gating gating;
        bool norm_weights;
        float weights_scale; /* 0 and 1: none */
    } moe_route;
    struct {
        uint32_t n_used;
        bool per_expert_input; /* x has one piece for each chosen expert (the down product) */
    } linear_id;
    struct {
        uint32_t n_used;
    } moe_sum;
};

enum { OP_MAX_IN = 2, OP_MAX_OUT = 3, OP_MAX_W = 3 };

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
    val output;                    /* logits [n_vocab], or the embedding [n_embd] */
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
