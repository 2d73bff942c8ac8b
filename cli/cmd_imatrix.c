/* cmd_imatrix.c - how much each column of each weight counts, measured on a text (spec/quants.md
 * 8).
 *
 * The text is cut into chunks of n_ctx tokens as for the perplexity, and every chunk is evaluated
 * on its own; the squares of what goes into each product of a block are summed up. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_file.h"
#include "cli/terminal.h"
#include "engine/cria.h"
#include "engine/quantize/quantize.h"

enum { TEXT_MAX_BYTES = 1 << 30 };

struct collect {
    const struct args *args;
    struct cria_engine *eng;
    struct cria_timeline *tl;
    struct token_list ids;
    struct imatrix_sums *sums;
    float *logits; /* [n_ctx][n_vocab], only to have output.weight used */
    uint32_t n_ctx, done;
    bool output, no_memory;
    struct imatrix_sum *last; /* the weight of the call before: rows come in runs */
};

static void observe(void *arg, const char *weight, size_t n_cols, size_t n_mat, size_t mat,
                    const float *x) {
    struct collect *c = arg;
    const bool wanted =
        strncmp(weight, "blk.", 4) == 0 || (c->output && strcmp(weight, "output.weight") == 0);
    if (!wanted || c->no_memory) return;
    if (c->last == NULL || strcmp(c->last->name, weight) != 0)
        c->last = imatrix_sums_get(c->sums, weight, n_cols, n_mat);
    if (c->last == NULL) {
        c->no_memory = true;
        return;
    }
    double *sum = c->last->sum2 + mat * n_cols;
    for (size_t i = 0; i < n_cols; i++) sum[i] += (double)x[i] * (double)x[i];
    c->last->count[mat]++;
}

/* ---- before ---- */

static enum status open_model(struct collect *c, struct err *e) {
    const struct args *a = c->args;
    struct cria_engine_params params = cria_engine_default_params();
    const char *model = args_text(a, "model", NULL);
    const int64_t n_ctx = args_int(a, "ctx", 512);
    if (model == NULL) return err_set(e, ST_INVALID, "required flag(s) \"model\" not set");
    if (args_text(a, "output", NULL) == NULL)
        return err_set(e, ST_INVALID, "required flag(s) \"output\" not set");
    if (n_ctx < 8 || n_ctx > 1 << 20) return err_set(e, ST_INVALID, "-c must be 8 or more");
    params.n_ctx = c->n_ctx = (uint32_t)n_ctx;
    params.n_threads = (unsigned)args_int(a, "threads", 0);
    params.backend = args_text(a, "backend", NULL);
    c->output = args_bool(a, "process-output");
    enum status st = model_engine(&c->eng, model, &params, e);
    if (st == ST_OK && cria_engine_info(c->eng)->n_ctx < c->n_ctx)
        st = err_set(e, ST_INVALID, "the model's context is %u tokens",
                     cria_engine_info(c->eng)->n_ctx);
    if (st == ST_OK) st = cria_timeline_open(&c->tl, c->eng, e);
    return st == ST_OK ? imatrix_sums_new(&c->sums, e) : st;
}

static enum status read_text(struct collect *c, struct err *e) {
    char *text = NULL;
    size_t len = 0, rows;
    enum status st =
        os_file_read(args_text(c->args, "file", "/dev/stdin"), TEXT_MAX_BYTES, &text, &len, e);
    if (st == ST_OK)
        st = vocab_encode(cria_engine_vocab(c->eng), text, len,
                          VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, &c->ids, e);
    mem_free(text);
    if (st != ST_OK) return st;
    if (c->ids.len < c->n_ctx)
        return err_set(e, ST_INVALID, "the text has %zu tokens, a chunk needs %u", c->ids.len,
                       c->n_ctx);
    if (!c->output) return ST_OK;
    if (mem_mul(c->n_ctx, cria_engine_info(c->eng)->n_output, &rows))
        c->logits = mem_array(rows, sizeof *c->logits);
    return c->logits != NULL ? ST_OK : err_no_memory(e);
}

/* ---- chunks ---- */

static enum status write(struct collect *c, struct err *e) {
    return imatrix_sums_write(c->sums, args_text(c->args, "output", NULL),
                              args_text(c->args, "file", "/dev/stdin"), c->done, c->n_ctx, e);
}

static enum status eval_chunk(struct collect *c, token_id *ids, struct err *e) {
    const token_id bos = vocab_special(cria_engine_vocab(c->eng))->bos;
    if (bos != TOKEN_NONE) ids[0] = bos;
    cria_timeline_truncate(c->tl, 0);
    enum status st =
        cria_timeline_eval(c->tl, ids, c->n_ctx, c->output ? c->n_ctx : 0, c->logits, e);
    if (st == ST_OK && c->no_memory) st = err_no_memory(e);
    if (st == ST_OK) c->done++;
    return st;
}

static enum status collect(struct collect *c, struct err *e) {
    const size_t have = c->ids.len / c->n_ctx;
    const int64_t most = args_int(c->args, "chunks", 0);
    const int64_t every = args_int(c->args, "output-frequency", 10);
    const size_t n = most > 0 && (size_t)most < have ? (size_t)most : have;
    enum status st = ST_OK;
    terminal_catch_interrupt();
    cria_engine_observe(c->eng, observe, c);
    for (size_t i = 0; i < n && st == ST_OK && !terminal_interrupted(); i++) {
        st = eval_chunk(c, c->ids.ids + i * c->n_ctx, e);
        if (st == ST_OK) fprintf(stderr, "chunk %zu/%zu\n", i + 1, n);
        if (st == ST_OK && every > 0 && (i + 1) % (size_t)every == 0 && i + 1 < n) st = write(c, e);
    }
    cria_engine_observe(c->eng, NULL, NULL);
    if (st == ST_OK && c->done == 0) st = err_set(e, ST_INVALID, "interrupted");
    return st == ST_OK ? write(c, e) : st; /* also of the chunks before an interruption */
}

enum status cmd_imatrix(const struct args *a, struct err *e) {
    struct collect c = {.args = a};
    struct buf out = {0};
    enum status st = open_model(&c, e);
    if (st == ST_OK) st = read_text(&c, e);
    if (st == ST_OK) st = collect(&c, e);
    if (st == ST_OK) {
        buf_printf(&out, "%s: %u chunks of %u tokens\n", args_text(a, "output", ""), c.done,
                   c.n_ctx);
        st = cli_put(&out, e);
    }
    cria_timeline_close(c.tl);
    cria_engine_close(c.eng);
    token_list_free(&c.ids);
    imatrix_sums_free(c.sums);
    mem_free(c.logits);
    return st;
}
