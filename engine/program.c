/* program.c - recording and sealing (program.h). Printing is in program_print.c. */
#include "engine/program.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { ROW_ALIGN = 16, SCRATCH_ALIGN = 64 }; /* floats; bytes */

/* ---- recording ---------------------------------------------------------------------------- */

static bool grow(void **items, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap) return true;
    uint32_t more = *cap != 0 ? *cap * 2 : 64;
    void *p = mem_grow(*items, more, size);
    if (p == NULL) return false;
    *items = p;
    *cap = more;
    return true;
}

static val new_value(struct recorder *p, const char *name, uint32_t width, enum rows rows) {
    struct program *g = p->prog;
    void *vals = g->vals;
    if (p->failed || g->n_vals >= VAL_NONE ||
        !grow(&vals, g->n_vals, &g->cap_vals, sizeof *g->vals)) {
        p->failed = true;
        return VAL_NONE;
    }
    g->vals = vals;
    uint32_t pitch = (width + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
    g->vals[g->n_vals] = (struct value){.name = name,
                                        .width = width,
                                        .pitch = pitch,
                                        .rows = rows,
                                        .parent = VAL_NONE,
                                        .first = g->n_ops,
                                        .last = g->n_ops};
    return (val)g->n_vals++;
}

static const struct value *value_of(const struct recorder *p, val v) {
    static const struct value nothing = {.parent = VAL_NONE};
    return v != VAL_NONE ? &p->prog->vals[v] : &nothing;
}

static struct op *new_op(struct recorder *p, enum op_code code) {
    static struct op nowhere; /* verbs may write to it after a failure */
    struct program *g = p->prog;
    void *ops = g->ops;
    struct op *op = &nowhere;
    if (!p->failed && grow(&ops, g->n_ops, &g->cap_ops, sizeof *g->ops)) {
        g->ops = ops;
        op = &g->ops[g->n_ops++];
    } else {
        p->failed = true;
    }
    *op = (struct op){.code = (uint8_t)code,
                      .layer = p->layer,
                      .in = {VAL_NONE, VAL_NONE, VAL_NONE, VAL_NONE, VAL_NONE},
                      .out = {VAL_NONE, VAL_NONE, VAL_NONE}};
    return op;
}

/* An op with up to two inputs and one output of the first input's row kind. The value is made
 * first: its `first` is then the number of the op that follows. */
static struct op *simple_op(struct recorder *p, enum op_code code, val a, val b, val out) {
    struct op *op = new_op(p, code);
    op->in[0] = a;
    op->in[1] = b;
    op->out[0] = out;
    return op;
}

static val like(struct recorder *p, const char *name, val x) {
    return new_value(p, name, value_of(p, x)->width, value_of(p, x)->rows);
}

/* ---- products and tables ---- */

static val embed_rows(struct recorder *p, const char *name, const struct tensor *table,
                      enum embed_kind kind, float scale) {
    val y = new_value(p, name, (uint32_t)table->dim[0], ROWS_TOKENS);
    struct op *op = simple_op(p, OP_EMBED, VAL_NONE, VAL_NONE, y);
    op->w[0] = table;
    op->p.embed.scale = scale;
    op->p.embed.kind = kind;
    return y;
}

static void linear(struct recorder *p, val x, int n, const struct weight *w,
                   const char *const *name, val *out) {
    assert(n >= 1 && n <= OP_MAX_W);
    for (int i = 0; i < n; i++)
        out[i] = new_value(p, name[i], (uint32_t)w[i].w->dim[1], value_of(p, x)->rows);
    struct op *op = simple_op(p, OP_LINEAR, x, VAL_NONE, out[0]);
    for (int i = 0; i < n; i++) {
        op->out[i] = out[i];
        op->w[i] = w[i].w;
        op->b[i] = w[i].b;
        assert(p->failed || w[i].w->dim[0] == (int64_t)value_of(p, x)->width);
    }
}

static void linear_id(struct recorder *p, val x, val ids, uint32_t n_used, bool per_expert_input,
                      int n, const struct weight *w, const char *const *name, val *out) {
    for (int i = 0; i < n; i++)
        out[i] = new_value(p, name[i], n_used * (uint32_t)w[i].w->dim[1], value_of(p, x)->rows);
    struct op *op = simple_op(p, OP_LINEAR_ID, x, ids, out[0]);
    for (int i = 0; i < n; i++) {
        op->out[i] = out[i];
        op->w[i] = w[i].w;
        op->b[i] = w[i].b;
    }
    op->p.linear_id.n_used = n_used;
    op->p.linear_id.per_expert_input = per_expert_input;
}

/* ---- adapters: what they add to a product ---- */

/* The first of the deltas of a weight; NULL: it has none. They stand side by side. */
static struct delta *deltas_of(const struct recorder *p, const struct tensor *w) {
    size_t low = 0, high = p->n_deltas;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if (strcmp(p->delta[mid].base, w->name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->n_deltas && strcmp(p->delta[low].base, w->name) == 0 ? &p->delta[low] : NULL;
}

static struct delta *next_delta(const struct recorder *p, struct delta *d) {
    const bool last = d + 1 == p->delta + p->n_deltas || strcmp(d[1].base, d->base) != 0;
    return last ? NULL : d + 1;
}

/* x times what the row's request gives the adapter: zeros if nothing. */
static val adapt(struct recorder *p, val x, struct delta *d) {
    val y = like(p, "adapted", x);
    struct op *op = simple_op(p, OP_ADAPT, x, VAL_NONE, y);
    op->p.adapt.adapter = d->adapter;
    op->p.adapt.scale = d->scale;
    op->p.adapt.tokens = d->embeds;
    d->used = true;
    return y;
}

static const char *const low_name[] = {"low"}, *const delta_name[] = {"delta"};

/* y = w x and the deltas of w. A tied head is not changed by those of the table. */
static val add_deltas(struct recorder *p, const struct tensor *w, val x, val y) {
    for (struct delta *d = deltas_of(p, w); d != NULL; d = next_delta(p, d)) {
        if (d->embeds) continue;
        const struct weight a = {d->a, NULL}, b = {d->b, NULL};
        val low, delta;
        linear(p, x, 1, &a, low_name, &low);
        low = adapt(p, low, d);
        linear(p, low, 1, &b, delta_name, &delta);
        y = p_add(p, value_of(p, y)->name, y, delta);
    }
    return y;
}

/* The same of products with the matrices of chosen experts. */
static val add_deltas_id(struct recorder *p, const struct tensor *w, const struct op *product,
                         val y) {
    const val x = product->in[0], ids = product->in[1];
    const uint32_t n_used = product->p.linear_id.n_used;
    const bool own_input = product->p.linear_id.per_expert_input;
    for (struct delta *d = deltas_of(p, w); d != NULL; d = next_delta(p, d)) {
        const struct weight a = {d->a, NULL}, b = {d->b, NULL};
        val low, delta;
        linear_id(p, x, ids, n_used, own_input, 1, &a, low_name, &low);
        low = adapt(p, low, d);
        linear_id(p, low, ids, n_used, true, 1, &b, delta_name, &delta);
        y = p_add(p, value_of(p, y)->name, y, delta);
    }
    return y;
}

/* The same of rows of a table: b times the token's row of a. */
static val add_deltas_embed(struct recorder *p, const struct tensor *table, float scale, val y) {
    for (struct delta *d = deltas_of(p, table); d != NULL; d = next_delta(p, d)) {
        if (!d->embeds) continue;
        const struct weight b = {d->b, NULL};
        val low = adapt(p, embed_rows(p, low_name[0], d->a, EMBED_IDS, scale), d), delta;
        linear(p, low, 1, &b, delta_name, &delta);
        y = p_add(p, value_of(p, y)->name, y, delta);
    }
    return y;
}

val p_embed(struct recorder *p, const char *name, const struct tensor *table, enum embed_kind kind,
            float scale) {
    val y = embed_rows(p, name, table, kind, scale);
    return kind == EMBED_TOKENS ? add_deltas_embed(p, table, scale, y) : y;
}

val p_beside(struct recorder *p, const char *name, uint32_t width) {
    val y = new_value(p, name, width, ROWS_TOKENS);
    struct op *op = simple_op(p, OP_EMBED, VAL_NONE, VAL_NONE, y);
    op->p.embed.scale = 1;
    op->p.embed.kind = EMBED_BESIDE;
    return y;
}

val p_given(struct recorder *p, const char *name, uint32_t col, uint32_t width) {
    val y = new_value(p, name, width, ROWS_TOKENS);
    struct op *op = simple_op(p, OP_EMBED, VAL_NONE, VAL_NONE, y);
    op->p.embed.scale = 1;
    op->p.embed.kind = EMBED_GIVEN;
    op->p.embed.col = col;
    return y;
}

val p_rows(struct recorder *p, const char *name, val x) {
    val y = new_value(p, name, value_of(p, x)->width, ROWS_OUTPUTS);
    simple_op(p, OP_ROWS, x, VAL_NONE, y);
    return y;
}

val p_norm(struct recorder *p, const char *name, val x, struct weight n, struct norm_style style) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_NORM, x, VAL_NONE, y);
    const uint32_t width = value_of(p, x)->width;
    op->w[0] = n.w;
    op->b[0] = n.b;
    op->p.norm.group = style.group != 0 ? style.group : n.w != NULL ? (uint32_t)n.w->dim[0] : width;
    op->p.norm.eps = style.eps;
    op->p.norm.kind = style.kind;
    assert(p->failed || width % op->p.norm.group == 0);
    assert(p->failed || n.w == NULL || width % (uint32_t)(n.w->dim[0] * n.w->dim[1]) == 0);
    return y;
}

void p_linear(struct recorder *p, val x, int n, const struct weight *w, const char *const *name,
              val *out) {
    linear(p, x, n, w, name, out);
    for (int i = 0; i < n; i++) out[i] = add_deltas(p, w[i].w, x, out[i]);
}

val p_linear1(struct recorder *p, const char *name, val x, struct weight w) {
    val y;
    p_linear(p, x, 1, &w, &name, &y);
    return y;
}

val p_slice(struct recorder *p, const char *name, val x, uint32_t col, uint32_t width) {
    val y = new_value(p, name, width, value_of(p, x)->rows);
    if (y == VAL_NONE) return y;
    struct value *v = &p->prog->vals[y];
    assert(p->failed || (v->parent == VAL_NONE && col + width <= value_of(p, x)->width));
    v->parent = x;
    v->col = col;
    v->pitch = value_of(p, x)->pitch;
    v->first = value_of(p, x)->first;
    return y;
}

val p_add(struct recorder *p, const char *name, val a, val b) {
    val y = like(p, name, a);
    simple_op(p, OP_ADD, a, b, y);
    return y;
}

val p_mul(struct recorder *p, const char *name, val a, val b) {
    val y = like(p, name, a);
    simple_op(p, OP_MUL, a, b, y);
    assert(p->failed || value_of(p, a)->width % value_of(p, b)->width == 0);
    return y;
}

val p_mul_w(struct recorder *p, const char *name, val a, const struct tensor *w) {
    val y = like(p, name, a);
    simple_op(p, OP_MUL, a, VAL_NONE, y)->w[0] = w;
    assert(p->failed || value_of(p, a)->width % (uint32_t)w->dim[0] == 0);
    return y;
}

val p_concat(struct recorder *p, const char *name, int n, const val *x) {
    uint32_t width = 0;
    assert(n >= 1 && n <= OP_MAX_IN);
    for (int k = 0; k < n; k++) width += value_of(p, x[k])->width;
    val y = new_value(p, name, width, value_of(p, x[0])->rows);
    struct op *op = new_op(p, OP_CONCAT);
    op->out[0] = y;
    for (int k = 0; k < n; k++) op->in[k] = x[k];
    return y;
}

val p_columns(struct recorder *p, const char *name, val x, uint32_t piece, uint32_t first,
              uint32_t n) {
    const uint32_t width = value_of(p, x)->width;
    val y = new_value(p, name, width / piece * n, value_of(p, x)->rows);
    struct op *op = simple_op(p, OP_COLUMNS, x, VAL_NONE, y);
    op->p.columns.piece = piece;
    op->p.columns.first = first;
    op->p.columns.n = n;
    assert(p->failed || (width % piece == 0 && first + n <= piece));
    return y;
}

val p_scale(struct recorder *p, const char *name, val x, float a, float b) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_SCALE, x, VAL_NONE, y);
    op->p.scale.a = a;
    op->p.scale.b = b;
    return y;
}

val p_softcap(struct recorder *p, const char *name, val x, float cap) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_ACT, x, VAL_NONE, y);
    op->p.act.kind = ACT_SOFTCAP;
    op->p.act.cap = cap;
    return y;
}

val p_act(struct recorder *p, const char *name, enum act kind, val x) {
    val y = like(p, name, x);
    simple_op(p, OP_ACT, x, VAL_NONE, y)->p.act.kind = kind;
    return y;
}

val p_rescale(struct recorder *p, const char *name, val a, val b) {
    val y = like(p, name, b);
    simple_op(p, OP_RESCALE, a, b, y);
    return y;
}

val p_clamp(struct recorder *p, const char *name, val x, float low, float high) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_CLAMP, x, VAL_NONE, y);
    op->p.clamp.low = low;
    op->p.clamp.high = high;
    return y;
}

val p_sparsify(struct recorder *p, const char *name, val x, float c) {
    val y = like(p, name, x);
    simple_op(p, OP_SPARSIFY, x, VAL_NONE, y)->p.sparsify.c = c;
    return y;
}

val p_pos_scale(struct recorder *p, const char *name, val x, float a, float offset, float floor) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_POS_SCALE, x, VAL_NONE, y);
    op->p.pos_scale.a = a;
    op->p.pos_scale.offset = offset;
    op->p.pos_scale.floor = floor;
    return y;
}

val p_glu(struct recorder *p, const char *name, enum act kind, val gate, val up) {
    val y = like(p, name, gate);
    simple_op(p, OP_GLU, gate, up, y)->p.glu.kind = kind;
    return y;
}

val p_glu_halves(struct recorder *p, const char *name, enum act kind, val x, uint32_t piece) {
    val y = new_value(p, name, value_of(p, x)->width / 2, value_of(p, x)->rows);
    struct op *op = simple_op(p, OP_GLU, x, VAL_NONE, y);
    op->p.glu.kind = kind;
    op->p.glu.piece = piece;
    assert(p->failed || value_of(p, x)->width % (2 * piece) == 0);
    return y;
}

val p_heads_mm(struct recorder *p, const char *name, val x, const struct tensor *w, uint32_t tail) {
    const uint32_t n_head = (uint32_t)w->dim[2];
    val y = new_value(p, name, n_head * ((uint32_t)w->dim[1] + tail), value_of(p, x)->rows);
    struct op *op = simple_op(p, OP_HEADS_MM, x, VAL_NONE, y);
    op->w[0] = w;
    op->p.heads_mm.n_head = n_head;
    op->p.heads_mm.tail = tail;
    for (struct delta *d = deltas_of(p, w); d != NULL; d = next_delta(p, d)) d->missed = true;
    assert(p->failed || value_of(p, x)->width == n_head * ((uint32_t)w->dim[0] + tail));
    return y;
}

val p_rope(struct recorder *p, const char *name, val x, uint32_t n_head, uint32_t head_dim,
           const struct rope_style *s) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_ROPE, x, VAL_NONE, y);
    op->w[0] = s->factors;
    op->p.rope.kind = s->kind;
    op->p.rope.n_head = n_head;
    op->p.rope.head_dim = head_dim;
    op->p.rope.n_rot = s->n_rot;
    op->p.rope.first = s->first;
    assert(p->failed || s->first + s->n_rot <= head_dim);
    op->p.rope.base = s->base;
    op->p.rope.freq_scale = s->freq_scale;
    op->p.rope.ext_factor = s->ext_factor;
    op->p.rope.corr_low = s->corr_low;
    op->p.rope.corr_high = s->corr_high;
    op->p.rope.mscale = s->mscale;
    op->p.rope.axes = s->axes;
    op->p.rope.axis = s->axis;
    memcpy(op->p.rope.sections, s->sections, sizeof s->sections);
    return y;
}

void p_kv_store(struct recorder *p, val k, val v, const struct attn_style *a) {
    struct op *op = simple_op(p, OP_KV_STORE, k, v, VAL_NONE);
    op->p.kv_store.layer = a->layer;
    op->p.kv_store.n_head_kv = a->n_head_kv;
    op->p.kv_store.head_dim = op->p.kv_store.step = a->head_dim;
    op->p.kv_store.head_dim_v = a->head_dim_v;
}

void p_kv_store_part(struct recorder *p, val x, const struct kv_part *part) {
    struct op *op = simple_op(p, OP_KV_STORE, x, VAL_NONE, VAL_NONE);
    op->p.kv_store.layer = part->layer;
    op->p.kv_store.n_head_kv = part->n_head_kv;
    op->p.kv_store.head_dim = part->width;
    op->p.kv_store.col = part->col;
    op->p.kv_store.step = part->step;
    op->p.kv_store.values = part->values;
    assert(p->failed || (part->n_head_kv - 1) * part->step + part->width <= value_of(p, x)->width);
}

val p_attn(struct recorder *p, const char *name, val q, val cells, const struct attn_style *a) {
    val y = new_value(p, name, a->n_head * a->head_dim_v, ROWS_TOKENS);
    struct op *op = simple_op(p, OP_ATTN, q, cells, y);
    op->w[0] = a->sinks;
    op->w[1] = a->biases;
    if (a->biases != NULL) op->p.attn.n_bucket = (uint32_t)a->biases->dim[1];
    op->p.attn.layer = a->layer;
    op->p.attn.n_head = a->n_head;
    op->p.attn.n_head_kv = a->n_head_kv;
    op->p.attn.head_dim = a->head_dim;
    op->p.attn.head_dim_v = a->head_dim_v;
    op->p.attn.window = a->window;
    op->p.attn.chunked = a->chunked;
    op->p.attn.symmetric = a->symmetric;
    op->p.attn.latent = a->latent;
    op->p.attn.causal = a->causal;
    op->p.attn.scale = a->scale;
    op->p.attn.softcap = a->softcap;
    op->p.attn.alibi = a->alibi;
    return y;
}

val p_attn_select(struct recorder *p, val q, val weights, const struct select_style *s) {
    val y = new_value(p, "cells", s->top_k, ROWS_TOKENS);
    struct op *op = simple_op(p, OP_ATTN_SELECT, q, weights, y);
    op->p.attn_select.layer = s->layer;
    op->p.attn_select.n_head = s->n_head;
    op->p.attn_select.head_dim = s->head_dim;
    op->p.attn_select.col = s->col;
    op->p.attn_select.top_k = s->top_k;
    op->p.attn_select.scale = s->scale;
    return y;
}

val p_conv_state(struct recorder *p, const char *name, val x, struct weight w, uint32_t layer,
                 uint32_t col) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_CONV_STATE, x, VAL_NONE, y);
    op->w[0] = w.w;
    op->b[0] = w.b;
    op->p.conv_state.layer = layer;
    op->p.conv_state.col = col;
    op->p.conv_state.n_kernel = (uint32_t)w.w->dim[0];
    assert(p->failed || w.w->dim[1] * w.w->dim[2] == (int64_t)value_of(p, x)->width);
    return y;
}

val p_ssm_scan(struct recorder *p, const char *name, val x, val dt, val b, val c,
               const struct ssm_style *s) {
    val y = like(p, name, x);
    struct op *op = simple_op(p, OP_SSM_SCAN, x, dt, y);
    op->in[2] = b;
    op->in[3] = c;
    op->w[0] = s->a;
    op->w[1] = s->d;
    op->b[0] = s->dt_b;
    op->p.ssm_scan.layer = s->layer;
    op->p.ssm_scan.col = s->col;
    op->p.ssm_scan.n_head = s->n_head;
    op->p.ssm_scan.head_dim = s->head_dim;
    op->p.ssm_scan.n_state = s->n_state;
    op->p.ssm_scan.n_group = s->n_group;
    assert(p->failed || value_of(p, x)->width == s->n_head * s->head_dim);
    assert(p->failed || value_of(p, dt)->width == s->n_head);
    assert(p->failed || value_of(p, b)->width == s->n_group * s->n_state);
    return y;
}

val p_delta_net(struct recorder *p, const char *name, const struct delta_in *in,
                const struct delta_style *s) {
    val y = new_value(p, name, s->n_head * s->dim_v, value_of(p, in->v)->rows);
    struct op *op = simple_op(p, OP_DELTA_NET, in->q, in->k, y);
    op->in[2] = in->v;
    op->in[3] = in->gate;
    op->in[4] = in->beta;
    op->w[0] = s->a;
    op->b[0] = s->dt_b;
    op->p.delta_net.layer = s->layer;
    op->p.delta_net.col = s->col;
    op->p.delta_net.n_head = s->n_head;
    op->p.delta_net.n_head_k = s->n_head_k;
    op->p.delta_net.dim_k = s->dim_k;
    op->p.delta_net.dim_v = s->dim_v;
    op->p.delta_net.tiled = s->tiled;
    assert(p->failed || value_of(p, in->k)->width == s->n_head_k * s->dim_k);
    assert(p->failed || value_of(p, in->beta)->width == s->n_head);
    return y;
}

void p_moe_route(struct recorder *p, val logits, const struct moe_style *m, val *ids,
                 val *weights) {
    *ids = new_value(p, "expert_ids", m->n_used, value_of(p, logits)->rows);
    *weights = new_value(p, "expert_weights", m->n_used, value_of(p, logits)->rows);
    struct op *op = simple_op(p, OP_MOE_ROUTE, logits, VAL_NONE, *ids);
    op->out[1] = *weights;
    op->p.moe_route.n_expert = m->n_expert;
    op->p.moe_route.n_used = m->n_used;
    op->p.moe_route.gating = m->gating;
    op->w[0] = m->bias;
    op->w[1] = m->factors;
    op->p.moe_route.norm_weights = m->norm_weights;
    op->p.moe_route.by_logits = m->by_logits;
    op->p.moe_route.n_group = m->n_group;
    op->p.moe_route.n_chosen = m->n_chosen;
    op->p.moe_route.weights_scale = m->weights_scale;
}

void p_linear_id(struct recorder *p, val x, val ids, uint32_t n_used, bool per_expert_input, int n,
                 const struct weight *w, const char *const *name, val *out) {
    const struct op product = {
        .in = {x, ids}, .p.linear_id = {.n_used = n_used, .per_expert_input = per_expert_input}};
    linear_id(p, x, ids, n_used, per_expert_input, n, w, name, out);
    for (int i = 0; i < n; i++) out[i] = add_deltas_id(p, w[i].w, &product, out[i]);
}

val p_moe_sum(struct recorder *p, const char *name, val x, val weights, uint32_t n_used) {
    val y = new_value(p, name, value_of(p, x)->width / n_used, value_of(p, x)->rows);
    simple_op(p, OP_MOE_SUM, x, weights, y)->p.moe_sum.n_used = n_used;
    return y;
}

/* ---- sealing ------------------------------------------------------------------------------ */

static val root_of(const struct program *g, val v) {
    while (g->vals[v].parent != VAL_NONE) v = g->vals[v].parent;
    return v;
}

/* A value lives from the op that writes it to the last one that reads it or a slice of it. */
static void find_live_ranges(struct program *g, val output) {
    for (uint32_t i = 0; i < g->n_ops; i++) {
        for (int k = 0; k < OP_MAX_IN; k++) {
            val v = g->ops[i].in[k];
            if (v == VAL_NONE) continue;
            g->vals[v].last = i;
            g->vals[root_of(g, v)].last = i;
        }
    }
    g->vals[output].last = g->vals[root_of(g, output)].last = g->n_ops;
}

static size_t value_bytes(const struct program *g, const struct value *v) {
    size_t n = (size_t)v->pitch * sizeof(float) * g->max_rows[v->rows];
    return (n + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
}

/* Lowest offset at which v overlaps no value that lives at the same time: first fit, in the order
 * of recording. Tries 0 and the end of every earlier value. */
static size_t first_fit(const struct program *g, uint32_t v) {
    const struct value *x = &g->vals[v];
    size_t size = value_bytes(g, x), off = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < v; i++) {
            const struct value *y = &g->vals[i];
            if (y->parent != VAL_NONE || y->last < x->first || x->last < y->first) continue;
            size_t end = y->off + value_bytes(g, y);
            if (off < end && y->off < off + size) {
                off = end;
                moved = true;
            }
        }
    }
    return off;
}

enum status program_seal(struct recorder *p, val output, const uint32_t max_rows[ROWS_KINDS],
                         struct err *e) {
    struct program *g = p->prog;
    if (p->failed) return err_set(e, ST_NO_MEMORY, "no memory to record the program");
    memcpy(g->max_rows, max_rows, sizeof g->max_rows);
    g->output = output;
    g->scratch = 0;
    find_live_ranges(g, output);
    g->has_hidden = p->keeps;
    g->hidden = p->kept;
    if (p->keeps) g->vals[p->kept].last = g->vals[root_of(g, p->kept)].last = g->n_ops;
    for (uint32_t i = 0; i < g->n_vals; i++) {
        struct value *v = &g->vals[i];
        if (v->parent != VAL_NONE) {
            v->off = g->vals[v->parent].off + v->col * sizeof(float);
            continue;
        }
        v->off = first_fit(g, i);
        size_t end = v->off + value_bytes(g, v);
        if (end > g->scratch) g->scratch = end;
    }
    return ST_OK;
}

void program_free(struct program *g) {
    mem_free(g->ops);
    mem_free(g->vals);
    *g = (struct program){0};
}
