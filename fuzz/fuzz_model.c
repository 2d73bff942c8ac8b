/* fuzz_model.c - any metadata as a model: loaded, and its forward pass recorded.
 *
 * The input is the beginning of a GGUF file, up to its data, which is made of zeros here. Refused:
 * there is a message and no memory is left behind. Accepted: both programs can be recorded and
 * sealed, every value lies within the scratch memory, every op reads what an earlier one wrote,
 * and every cache that is read belongs to a layer that has one.
 *
 * Most mutations of bytes break the framing; the mutator changes values of keys in place. */
#include <string.h>

#include "base/mem.h"
#include "engine/model.h"
#include "fuzz/fuzz.h"

enum { MAX_INPUT = 1 << 16, DATA = 2 << 20 };
static uint8_t file[MAX_INPUT + DATA]; /* the data stays zero */
#include "fuzz/gguf_numbers.h"

static void check_cache(const struct model *m, const struct op *op) {
    uint32_t layer, width = 0;
    if (op->code == OP_KV_STORE) {
        layer = op->p.kv_store.layer;
        width = op->p.kv_store.col + op->p.kv_store.head_dim;
    } else if (op->code == OP_ATTN) {
        layer = op->p.attn.layer;
        width = op->p.attn.head_dim;
        must(op->p.attn.n_head_kv == m->layers[layer].n_head_kv);
        must(op->p.attn.n_head % op->p.attn.n_head_kv == 0);
        must(op->p.attn.latent || op->p.attn.head_dim_v == m->layers[layer].kv_dim_v);
        must(!op->p.attn.latent || op->p.attn.head_dim_v <= m->layers[layer].kv_dim_k);
    } else {
        return;
    }
    must(layer < m->hp.n_layer + m->hp.n_mtp && m->layers[layer].kv_layer == layer);
    const struct layer *l = &m->layers[layer];
    must(width <= (op->code == OP_KV_STORE && op->p.kv_store.values ? l->kv_dim_v : l->kv_dim_k));
}

/* An op with a state stays inside of what its layer keeps. */
static void check_state(const struct model *m, const struct program *g, const struct op *op) {
    const uint64_t width = op->in[0] != VAL_NONE ? g->vals[op->in[0]].width : 0;
    uint32_t layer;
    uint64_t end;
    if (op->code == OP_CONV_STATE) {
        layer = op->p.conv_state.layer;
        end = op->p.conv_state.col + width * (op->p.conv_state.n_kernel - 1);
    } else if (op->code == OP_SSM_SCAN) {
        layer = op->p.ssm_scan.layer;
        end = op->p.ssm_scan.col + width * op->p.ssm_scan.n_state;
    } else if (op->code == OP_DELTA_NET) {
        layer = op->p.delta_net.layer;
        end = op->p.delta_net.col +
              (uint64_t)op->p.delta_net.n_head * op->p.delta_net.dim_k * op->p.delta_net.dim_v;
    } else {
        return;
    }
    must(layer < m->hp.n_layer && end <= m->layers[layer].n_state);
}

static void check_program(const struct model *m, const struct program *g) {
    for (uint32_t i = 0; i < g->n_ops; i++) {
        const struct op *op = &g->ops[i];
        check_cache(m, op);
        check_state(m, g, op);
        for (int k = 0; k < OP_MAX_IN; k++)
            if (op->in[k] != VAL_NONE) must(op->in[k] < g->n_vals && g->vals[op->in[k]].first < i);
        for (int k = 0; k < OP_MAX_OUT; k++) {
            if (op->out[k] == VAL_NONE) continue;
            const struct value *v = &g->vals[op->out[k]];
            must(v->first == i && v->width > 0);
            must(v->off + (size_t)v->pitch * sizeof(float) * g->max_rows[v->rows] <= g->scratch);
        }
    }
    must(g->output < g->n_vals);
}

static void record(const struct model *m, enum program_kind kind, uint32_t n_ctx) {
    struct program g = {0};
    struct recorder r = {.prog = &g};
    struct err e = {0};
    val output;
    model_record(m, &r, kind, n_ctx, &output);
    if (program_seal(&r, output, (const uint32_t[ROWS_KINDS]){4, 2}, &e) == ST_OK)
        check_program(m, &g);
    else
        must(e.msg[0] != '\0');
    program_free(&g);
}

/* The same file with the block that predicts a further token. */
static void load_mtp(struct device *dev, size_t size) {
    struct program g = {0};
    struct recorder r = {.prog = &g};
    struct gguf *file_again;
    struct model *m;
    struct err e = {0};
    val output;
    must(gguf_open_memory(&file_again, file, size + DATA, "fuzz", &e) == ST_OK);
    if (model_load_mtp(&m, file_again, dev, &e) != ST_OK) {
        must(e.msg[0] != '\0');
        return;
    }
    if (m->hp.n_mtp != 0) {
        model_record_mtp(m, &r, 64, &output);
        if (program_seal(&r, output, (const uint32_t[ROWS_KINDS]){4, 2}, &e) == ST_OK)
            check_program(m, &g);
        program_free(&g);
    }
    model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct device dev;
    struct gguf *g;
    struct model *m;
    struct err e = {0};
    if (size > MAX_INPUT) return 0;
    const long live = mem_live();
    memcpy(file, data, size);
    must(device_open(&dev, "ref", &(struct device_params){0}, &e) == ST_OK);
    if (gguf_open_memory(&g, file, size + DATA, "fuzz", &e) == ST_OK) {
        if (model_load(&m, g, &dev, &e) == ST_OK) {
            record(m, PROGRAM_LOGITS, 64);
            record(m, PROGRAM_EMBEDDING, 1 << 20);
            model_free(m);
            load_mtp(&dev, size);
        } else {
            must(e.code != ST_OK && e.msg[0] != '\0');
        }
    }
    device_close(&dev);
    memset(file, 0, size);
    must(mem_live() == live);
    return 0;
}
