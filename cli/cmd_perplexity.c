/* cmd_perplexity.c - how well a model predicts a text (the definition is in design.md 3).
 *
 * The text is tokenised with BOS and cut into chunks of n_ctx tokens; a rest is dropped. The first
 * token of each chunk is replaced by BOS. Counted are the predictions made at the positions n_ctx/2
 * .. n_ctx-2 of each chunk, so that every one has at least half a chunk of context:
 * nll = mean of -log p(next token), ppl = exp(nll). */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_file.h"
#include "engine/cria.h"

enum { TEXT_MAX_BYTES = 1 << 30, SLICE_BYTES = 64 << 20, SLICE_MIN = 16 };

struct perplexity {
    struct cria_engine *eng;
    struct cria_timeline *tl;
    struct token_list ids;
    uint32_t n_ctx, slice; /* slice: rows whose logits are held at once */
    float *logits;         /* [slice][n_vocab] */
    double nll;            /* sum */
    size_t n;              /* predictions counted */
};

static double nll_of(const float *logits, uint32_t n_vocab, token_id next) {
    float max = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++)
        if (logits[i] > max) max = logits[i];
    for (uint32_t i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - (double)max);
    return log(sum) - ((double)logits[next] - (double)max);
}

/* The rows of the second half come in slices: all at once would be n_ctx/2 * n_vocab floats, which
 * is 268 MB for a vocabulary of 262144 and n_ctx 512. */
static enum status eval_chunk(struct perplexity *p, token_id *ids, struct err *e) {
    const uint32_t n_vocab = cria_engine_info(p->eng)->n_vocab, half = p->n_ctx / 2;
    const token_id bos = vocab_special(cria_engine_vocab(p->eng))->bos;
    if (bos != TOKEN_NONE) ids[0] = bos;
    cria_timeline_truncate(p->tl, 0);
    enum status st = cria_timeline_eval(p->tl, ids, half, 0, NULL, e);
    for (uint32_t at = half; at < p->n_ctx && st == ST_OK; at += p->slice) {
        const uint32_t n = p->n_ctx - at < p->slice ? p->n_ctx - at : p->slice;
        st = cria_timeline_eval(p->tl, ids + at, n, n, p->logits, e);
        for (uint32_t i = 0; st == ST_OK && i < n && at + i + 1 < p->n_ctx; i++, p->n++)
            p->nll += nll_of(p->logits + (size_t)i * n_vocab, n_vocab, ids[at + i + 1]);
    }
    return st;
}

static enum status tokenize(struct perplexity *p, const char *path, struct err *e) {
    char *text = NULL;
    size_t len = 0;
    enum status st = os_file_read(path, TEXT_MAX_BYTES, &text, &len, e);
    if (st == ST_OK)
        st = vocab_encode(cria_engine_vocab(p->eng), text, len,
                          VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, &p->ids, e);
    mem_free(text);
    if (st == ST_OK && p->ids.len < p->n_ctx)
        return err_set(e, ST_INVALID, "the text has %zu tokens, a chunk needs %u", p->ids.len,
                       p->n_ctx);
    return st;
}

static enum status prepare(struct perplexity *p, const struct args *a, struct err *e) {
    struct cria_engine_params params = cria_engine_default_params();
    const char *model = args_text(a, "model", NULL);
    const int64_t n_ctx = args_int(a, "ctx", 512);
    if (model == NULL) return err_set(e, ST_INVALID, "required flag(s) \"model\" not set");
    if (n_ctx < 8 || n_ctx > 1 << 20) return err_set(e, ST_INVALID, "-c must be 8 or more");
    params.n_ctx = p->n_ctx = (uint32_t)n_ctx;
    params.n_threads = (unsigned)args_int(a, "threads", 0);
    params.backend = args_text(a, "backend", NULL);
    const size_t row =
        262144 * sizeof(float); /* the largest vocabularies; the real one is not known yet */
    params.n_outputs = p->slice =
        SLICE_BYTES / row > SLICE_MIN ? (uint32_t)(SLICE_BYTES / row) : SLICE_MIN;
    enum status st = model_engine(&p->eng, model, &params, e);
    if (st == ST_OK && cria_engine_info(p->eng)->n_ctx < p->n_ctx)
        st = err_set(e, ST_INVALID, "the model's context is %u tokens",
                     cria_engine_info(p->eng)->n_ctx);
    if (st == ST_OK) st = cria_timeline_open(&p->tl, p->eng, e);
    if (st == ST_OK) {
        p->logits = mem_array((size_t)p->slice * cria_engine_info(p->eng)->n_vocab, sizeof(float));
        if (p->logits == NULL) st = err_no_memory(e);
    }
    return st == ST_OK ? tokenize(p, args_text(a, "file", "/dev/stdin"), e) : st;
}

static enum status print(const struct perplexity *p, const struct args *a, size_t chunks,
                         struct err *e) {
    struct buf out = {0};
    const double nll = p->nll / (double)p->n;
    if (args_bool(a, "json")) {
        buf_str(&out, "{");
        json_put_key(&out, "ppl");
        json_put_double(&out, exp(nll));
        json_put_key(&out, "nll");
        json_put_double(&out, nll);
        json_put_field_int(&out, "tokens", (int64_t)p->n);
        json_put_field_int(&out, "chunks", (int64_t)chunks);
        json_put_field_int(&out, "n_ctx", p->n_ctx);
        buf_str(&out, "}\n");
    } else {
        buf_printf(&out, "perplexity %.4f (nll %.5f) over %zu predictions in %zu chunks of %u\n",
                   exp(nll), nll, p->n, chunks, p->n_ctx);
    }
    return cli_put(&out, e);
}

enum status cmd_perplexity(const struct args *a, struct err *e) {
    struct perplexity p = {0};
    enum status st = prepare(&p, a, e);
    size_t chunks = st == ST_OK ? p.ids.len / p.n_ctx : 0;
    const int64_t most = args_int(a, "chunks", 0);
    if (most > 0 && (size_t)most < chunks) chunks = (size_t)most;
    for (size_t i = 0; i < chunks && st == ST_OK; i++) {
        st = eval_chunk(&p, p.ids.ids + i * p.n_ctx, e);
        if (st == ST_OK && !args_bool(a, "json"))
            fprintf(stderr, "chunk %zu/%zu: %.4f\n", i + 1, chunks, exp(p.nll / (double)p.n));
    }
    if (st == ST_OK) st = print(&p, a, chunks, e);
    cria_timeline_close(p.tl);
    cria_engine_close(p.eng);
    token_list_free(&p.ids);
    mem_free(p.logits);
    return st;
}
