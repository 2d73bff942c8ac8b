/* program_print.c - the program as text, one op per line, a heading per layer:
 *
 *   layer 0
 *      2  q@3:256 k@4:128 v@5:128 = linear(norm@2)  attn_q {256,256} Q8_0, attn_k ..., attn_v ...
 *
 * A value is name@number, with its width where it is written; weights are named without "blk.N.".
 * The text depends on the model only, not on row bounds or memory, so it can be a golden file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "engine/program.h"

static const char *const act_names[ACT_COUNT] = {
    [ACT_NONE] = "none",
    [ACT_SILU] = "silu",
    [ACT_GELU] = "gelu",
    [ACT_GELU_ERF] = "gelu-erf",
    [ACT_GELU_QUICK] = "quick-gelu",
    [ACT_RELU] = "relu",
    [ACT_RELU2] = "relu2",
    [ACT_SIGMOID] = "sigmoid",
    [ACT_TANH] = "tanh",
    [ACT_SOFTPLUS] = "softplus",
    [ACT_SOFTCAP] = "softcap",
    [ACT_SWIGLU_OAI] = "swiglu-oai",
};

static void print_outputs(const struct program *g, const struct op *op, struct buf *b) {
    for (int k = 0; k < OP_MAX_OUT && op->out[k] != VAL_NONE; k++)
        buf_printf(b, "%s@%u:%u ", g->vals[op->out[k]].name, op->out[k], g->vals[op->out[k]].width);
}

static void print_inputs(const struct program *g, const struct op *op, struct buf *b) {
    buf_printf(b, "%s(", op_infos[op->code].name);
    for (int k = 0; k < OP_MAX_IN && op->in[k] != VAL_NONE; k++) {
        const struct value *v = &g->vals[op->in[k]];
        buf_printf(b, "%s%s@%u", k > 0 ? ", " : "", v->name, op->in[k]);
        if (v->parent != VAL_NONE)
            buf_printf(b, "=%s@%u[%u..%u]", g->vals[v->parent].name, v->parent, v->col,
                       v->col + v->width - 1);
    }
    buf_chr(b, ')');
}

/* "blk.3.attn_q.weight" is shown as "attn_q": the heading tells the layer. */
static void print_tensor(const struct tensor *t, struct buf *b) {
    const char *name = t->name;
    if (strncmp(name, "blk.", 4) == 0 && strchr(name + 4, '.') != NULL)
        name = strchr(name + 4, '.') + 1;
    size_t n = strlen(name);
    if (n > 7 && strcmp(name + n - 7, ".weight") == 0) n -= 7;
    buf_printf(b, "%.*s {", (int)n, name);
    int dims = 4;
    while (dims > 1 && t->dim[dims - 1] == 1) dims--;
    for (int i = 0; i < dims; i++) buf_printf(b, "%s%" PRId64, i > 0 ? "," : "", t->dim[i]);
    buf_printf(b, "} %s", dtype_info(t->type)->name);
}

static void print_weights(const struct op *op, struct buf *b) {
    const char *separator = "  ";
    for (int k = 0; k < OP_MAX_W; k++) {
        if (op->w[k] == NULL) continue;
        buf_str(b, separator);
        print_tensor(op->w[k], b);
        if (op->b[k] != NULL) buf_str(b, " + bias");
        separator = ", ";
    }
}

static void print_rope(const struct op *op, struct buf *b) {
    buf_printf(b, "  %s, %u heads of %u, n_rot %u, base %g",
               op->p.rope.kind == ROPE_NORM ? "pairs" : "halves", op->p.rope.n_head,
               op->p.rope.head_dim, op->p.rope.n_rot, (double)op->p.rope.base);
    if (op->p.rope.first != 0) buf_printf(b, " from %u", op->p.rope.first);
    if (op->p.rope.freq_scale != 1) buf_printf(b, ", scale %g", (double)op->p.rope.freq_scale);
    if (op->p.rope.ext_factor != 0)
        buf_printf(b, ", yarn %g..%g", (double)op->p.rope.corr_low, (double)op->p.rope.corr_high);
    if (op->p.rope.mscale != 1) buf_printf(b, ", mscale %g", (double)op->p.rope.mscale);
    if (op->p.rope.axes == ROPE_VISION) buf_str(b, ", by y and x");
    if (op->p.rope.axes == ROPE_ONE && op->p.rope.axis != 0)
        buf_printf(b, ", by %c", op->p.rope.axis == 1 ? 'y' : 'x');
    if (op->p.rope.axes == ROPE_SECTIONS || op->p.rope.axes == ROPE_INTERLEAVED)
        buf_printf(b, ", sections %u %u %u %u%s", op->p.rope.sections[0], op->p.rope.sections[1],
                   op->p.rope.sections[2], op->p.rope.sections[3],
                   op->p.rope.axes == ROPE_INTERLEAVED ? " in turn" : "");
}

static void print_attn(const struct op *op, struct buf *b) {
    buf_printf(b, "  %u heads on %u of %u, scale %g", op->p.attn.n_head, op->p.attn.n_head_kv,
               op->p.attn.head_dim, (double)op->p.attn.scale);
    if (op->p.attn.window != 0)
        buf_printf(b, ", %s %u",
                   op->p.attn.chunked     ? "chunks of"
                   : op->p.attn.symmetric ? "window around"
                                          : "window",
                   op->p.attn.window);
    if (op->p.attn.causal) buf_str(b, ", causal within images");
    if (op->p.attn.latent) buf_printf(b, ", values in keys, %u", op->p.attn.head_dim_v);
    if (op->p.attn.n_bucket != 0) buf_printf(b, ", %u buckets", op->p.attn.n_bucket);
    if (op->p.attn.alibi != 0) buf_printf(b, ", alibi %g", (double)op->p.attn.alibi);
    if (op->p.attn.softcap != 0) buf_printf(b, ", softcap %g", (double)op->p.attn.softcap);
}

static void print_select(const struct op *op, struct buf *b) {
    buf_printf(b, "  %u heads of %u, best %u", op->p.attn_select.n_head, op->p.attn_select.head_dim,
               op->p.attn_select.top_k);
}

static void print_delta(const struct op *op, struct buf *b) {
    buf_printf(b, "  %u heads of %u by %u, %u of keys%s", op->p.delta_net.n_head,
               op->p.delta_net.dim_k, op->p.delta_net.dim_v, op->p.delta_net.n_head_k,
               op->p.delta_net.tiled ? ", in turn" : "");
}

static void print_route(const struct op *op, struct buf *b) {
    static const char *const gating[] = {"?", "", ", sigmoid", ", softmax of the chosen",
                                         ", sqrt softplus"};
    buf_printf(b, "  %u of %u%s", op->p.moe_route.n_used, op->p.moe_route.n_expert,
               gating[op->p.moe_route.gating]);
    if (op->p.moe_route.by_logits) buf_str(b, ", chosen by logit");
    if (op->p.moe_route.n_group > 1)
        buf_printf(b, ", %u of %u groups", op->p.moe_route.n_chosen, op->p.moe_route.n_group);
    if (op->p.moe_route.weights_scale != 0 && op->p.moe_route.weights_scale != 1)
        buf_printf(b, ", scale %g", (double)op->p.moe_route.weights_scale);
    if (!op->p.moe_route.norm_weights && op->p.moe_route.gating != MOE_SOFTMAX_AFTER)
        buf_str(b, ", as they are");
}

static void print_norm(const struct op *op, struct buf *b) {
    buf_printf(b, "  eps %g", (double)op->p.norm.eps);
    if (op->p.norm.kind == NORM_LAYER) buf_str(b, ", layer");
    if (op->w[0] == NULL) buf_printf(b, ", pieces of %u", op->p.norm.group);
}

static void print_glu(const struct op *op, struct buf *b) {
    buf_printf(b, "  %s", act_names[op->p.glu.kind]);
    if (op->in[1] == VAL_NONE) buf_printf(b, ", halves of %u", op->p.glu.piece);
}

static void print_embed(const struct op *op, struct buf *b) {
    if (op->p.embed.scale != 1) buf_printf(b, "  scale %g", (double)op->p.embed.scale);
    if (op->p.embed.kind == EMBED_POSITIONS) buf_str(b, "  by position");
    if (op->p.embed.kind == EMBED_BESIDE) buf_str(b, "  as given");
    if (op->p.embed.kind == EMBED_FIRST) buf_str(b, "  row 0");
    if (op->p.embed.kind == EMBED_GIVEN) buf_printf(b, "  given, from %u", op->p.embed.col);
}

static void print_act(const struct op *op, struct buf *b) {
    buf_printf(b, "  %s", act_names[op->p.act.kind]);
    if (op->p.act.cap != 0) buf_printf(b, " %g", (double)op->p.act.cap);
}

static void print_params(const struct op *op, struct buf *b) {
    switch ((enum op_code)op->code) {
    case OP_EMBED:
        print_embed(op, b);
        break;
    case OP_NORM:
        print_norm(op, b);
        break;
    case OP_SCALE:
        buf_printf(b, "  a %g, b %g", (double)op->p.scale.a, (double)op->p.scale.b);
        break;
    case OP_CLAMP:
        buf_printf(b, "  %g to %g", (double)op->p.clamp.low, (double)op->p.clamp.high);
        break;
    case OP_SPARSIFY:
        buf_printf(b, "  c %g", (double)op->p.sparsify.c);
        break;
    case OP_POS_SCALE:
        buf_printf(b, "  a %g, offset %g, floor %g", (double)op->p.pos_scale.a,
                   (double)op->p.pos_scale.offset, (double)op->p.pos_scale.floor);
        break;
    case OP_HEADS_MM:
        if (op->p.heads_mm.tail != 0) buf_printf(b, "  tail %u", op->p.heads_mm.tail);
        break;
    case OP_ACT:
        print_act(op, b);
        break;
    case OP_GLU:
        print_glu(op, b);
        break;
    case OP_ROPE:
        print_rope(op, b);
        break;
    case OP_KV_STORE:
        if (op->in[1] == VAL_NONE)
            buf_printf(b, "  %s %u..%u of %u heads", op->p.kv_store.values ? "values" : "keys",
                       op->p.kv_store.col, op->p.kv_store.col + op->p.kv_store.head_dim - 1,
                       op->p.kv_store.n_head_kv);
        break;
    case OP_ATTN:
        print_attn(op, b);
        break;
    case OP_ATTN_SELECT:
        print_select(op, b);
        break;
    case OP_MOE_ROUTE:
        print_route(op, b);
        break;
    case OP_ADAPT:
        buf_printf(b, "  adapter %u, scale %g", op->p.adapt.adapter, (double)op->p.adapt.scale);
        break;
    case OP_COLUMNS:
        buf_printf(b, "  %u..%u of each %u", op->p.columns.first,
                   op->p.columns.first + op->p.columns.n - 1, op->p.columns.piece);
        break;
    case OP_SSM_SCAN:
        buf_printf(b, "  %u heads of %u, state %u, %u groups", op->p.ssm_scan.n_head,
                   op->p.ssm_scan.head_dim, op->p.ssm_scan.n_state, op->p.ssm_scan.n_group);
        break;
    case OP_DELTA_NET:
        print_delta(op, b);
        break;
    case OP_CONV_STATE:
    case OP_ROWS:
    case OP_LINEAR:
    case OP_ADD:
    case OP_MUL:
    case OP_CONCAT:
    case OP_RESCALE:
    case OP_LINEAR_ID:
    case OP_MOE_SUM:
    case OP_COUNT:
        break;
    }
}

void program_print(const struct program *g, struct buf *b) {
    uint16_t layer = LAYER_NONE;
    for (uint32_t i = 0; i < g->n_ops; i++) {
        const struct op *op = &g->ops[i];
        if (op->layer != layer && op->layer == LAYER_NONE) buf_str(b, "end\n");
        if (op->layer != layer && op->layer != LAYER_NONE) buf_printf(b, "layer %u\n", op->layer);
        layer = op->layer;
        buf_printf(b, "%5u  ", i);
        print_outputs(g, op, b);
        buf_str(b, op->out[0] != VAL_NONE ? "= " : "");
        print_inputs(g, op, b);
        print_weights(op, b);
        print_params(op, b);
        buf_chr(b, '\n');
    }
    buf_printf(b, "result %s@%u:%u\n", g->vals[g->output].name, g->output,
               g->vals[g->output].width);
}
