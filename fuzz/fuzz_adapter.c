/* fuzz_adapter.c - any file as an adapter: added to a small model, and the programs recorded.
 *
 * The input is the beginning of a GGUF file; behind it stand zeros. Refused: there is a message and
 * no memory is left behind. Accepted: the program can be recorded, every op with an adapter's
 * matrices fits the values that it reads and writes, and each adapter's number is below their
 * count. The model has experts, so that all three kinds of deltas can be reached; it is read
 * from golden/models, so this runs in the repository's root. */
#include <string.h>

#include "base/mem.h"
#include "engine/model.h"
#include "fuzz/fuzz.h"

enum { MAX_INPUT = 1 << 14, DATA = 1 << 16 };
static uint8_t file[MAX_INPUT + DATA]; /* the data stays zero */

static void check_op(const struct program *g, const struct op *op) {
    if (op->code == OP_ADAPT) {
        must(op->p.adapt.adapter == 0);
        must(g->vals[op->in[0]].width == g->vals[op->out[0]].width);
    }
    for (int k = 0; k < OP_MAX_W && op->code == OP_LINEAR && op->w[k] != NULL; k++) {
        must(g->vals[op->in[0]].width == op->w[k]->dim[0]);
        must(g->vals[op->out[k]].width == op->w[k]->dim[1]);
    }
    if (op->code == OP_ADD) must(g->vals[op->in[0]].width == g->vals[op->in[1]].width);
    if (op->code != OP_LINEAR_ID) return;
    const int64_t n = op->p.linear_id.n_used, in = g->vals[op->in[0]].width;
    must(in == op->w[0]->dim[0] * (op->p.linear_id.per_expert_input ? n : 1));
    must(g->vals[op->out[0]].width == n * op->w[0]->dim[1]);
}

static void record(const struct model *m) {
    struct program g = {0};
    struct recorder r = {.prog = &g};
    struct err e = {0};
    val output;
    model_record(m, &r, PROGRAM_LOGITS, 64, &output);
    if (program_seal(&r, output, (const uint32_t[ROWS_KINDS]){4, 2}, &e) == ST_OK)
        for (uint32_t i = 0; i < g.n_ops; i++) check_op(&g, &g.ops[i]);
    if (adapters_check_used(m, &e) != ST_OK) must(e.msg[0] != '\0');
    program_free(&g);
}

/* The base model, loaded anew for each input: adapters stay with their model. */
static struct model *load_base(struct device *dev) {
    struct gguf *g;
    struct model *m;
    must(gguf_open(&g, "golden/models/llama-moe/model.gguf", NULL) == ST_OK);
    must(model_load(&m, g, dev, NULL) == ST_OK);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct device dev;
    struct gguf *g;
    struct err e = {0};
    if (size > MAX_INPUT) return 0;
    const long live = mem_live();
    memcpy(file, data, size);
    must(device_open(&dev, "ref", &(struct device_params){0}, &e) == ST_OK);
    if (gguf_open_memory(&g, file, size + DATA, "fuzz", &e) == ST_OK) {
        struct model *m = load_base(&dev);
        if (adapter_add(m, g, &e) == ST_OK)
            record(m);
        else
            must(e.code != ST_OK && e.msg[0] != '\0');
        model_free(m);
    }
    device_close(&dev);
    memset(file, 0, size);
    must(mem_live() == live);
    return 0;
}
