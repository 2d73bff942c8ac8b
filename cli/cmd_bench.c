/* cmd_bench.c - prompt and generation speed of a model (bench/README.md tells what each figure is).
 *
 * One sequence: a timeline is driven directly, the median of the repetitions counts. Several
 * (-b N): N requests run at once through the scheduler, as a server would; generation speed comes
 * from the difference of two runs, so that the prompts drop out. Tokens are pseudo-random: speed
 * does not depend on them, and no prompt shares a prefix with another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_file.h"
#include "cli/roofline.h"
#include "engine/cria.h"

enum { REPS_MAX = 100, BATCH_MAX = 256 };

struct bench {
    struct cria_engine *eng;
    const struct cria_model_info *info;
    uint32_t n_prompt, n_gen, depth, batch, reps;
    token_id *tokens; /* [depth + n_prompt + n_gen], new ones for each use */
    float *logits;
    uint32_t random;
    struct logit_bias *no_end; /* forbids the tokens that would end a generation */
    size_t n_no_end, rss;
    double load_ms, pp_tps, tg_tps, ttft_ms;
    double pp_samples[REPS_MAX], tg_samples[REPS_MAX];
};

/* ---- helpers ---- */

static uint32_t total_tokens(const struct bench *b) { return b->depth + b->n_prompt + b->n_gen; }

static void new_tokens(struct bench *b) {
    for (uint32_t i = 0; i < total_tokens(b); i++) {
        b->random = b->random * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        b->tokens[i] = (token_id)((uint64_t)b->random * b->info->n_vocab >> 32);
    }
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *samples, uint32_t n) {
    double sorted[REPS_MAX];
    memcpy(sorted, samples, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    return n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* ---- one sequence ---- */

static enum status eval_timed(struct bench *b, struct cria_timeline *tl, const token_id *tokens,
                              uint32_t n, uint32_t step, double *rate, struct err *e) {
    const double start = os_time_mono();
    enum status st = ST_OK;
    for (uint32_t i = 0; i < n && st == ST_OK; i += step)
        st = cria_timeline_eval(tl, tokens + i, step, 1, b->logits, e);
    *rate = n > 0 ? n / (os_time_mono() - start) : 0;
    return st;
}

static enum status run_single(struct bench *b, uint32_t rep, struct err *e) {
    struct cria_timeline *tl;
    enum status st = cria_timeline_open(&tl, b->eng, e);
    if (st != ST_OK) return st;
    new_tokens(b);
    const token_id *prompt = b->tokens + b->depth;
    if (b->depth > 0) st = cria_timeline_eval(tl, b->tokens, b->depth, 0, NULL, e);
    if (st == ST_OK && b->n_prompt > 0)
        st = eval_timed(b, tl, prompt, b->n_prompt, b->n_prompt, &b->pp_samples[rep], e);
    const uint32_t left = cria_timeline_truncate(tl, b->depth);
    if (st == ST_OK && left < b->depth) /* a recurrent model begins anew */
        st = cria_timeline_eval(tl, b->tokens + left, b->depth - left, 0, NULL, e);
    if (st == ST_OK)
        st = eval_timed(b, tl, prompt + b->n_prompt, b->n_gen, 1, &b->tg_samples[rep], e);
    cria_timeline_close(tl);
    return st;
}

/* ---- requests through the scheduler ---- */

static enum status start(struct bench *b, struct cria_generation **g, int64_t n_predict,
                         struct err *e) {
    struct cria_request r = {.prompt = b->tokens,
                             .n_prompt = b->depth + b->n_prompt,
                             .sampler = sampler_default_params(),
                             .n_predict = n_predict};
    r.sampler.temperature = 0;
    r.sampler.bias = b->no_end;
    r.sampler.n_bias = b->n_no_end;
    new_tokens(b);
    return cria_generation_start(g, b->eng, &r, e);
}

/* n requests of n_predict tokens at once: seconds until the last one is done. */
static enum status run_requests(struct bench *b, uint32_t n, int64_t n_predict, double *seconds,
                                struct err *e) {
    struct cria_generation *g[BATCH_MAX] = {NULL};
    const double begin = os_time_mono();
    enum status st = ST_OK;
    for (uint32_t i = 0; i < n && st == ST_OK; i++) st = start(b, &g[i], n_predict, e);
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        struct cria_chunk chunk = {.done = CRIA_RUNNING};
        while (st == ST_OK && chunk.done == CRIA_RUNNING)
            st = cria_generation_next(g[i], &chunk, e);
    }
    *seconds = os_time_mono() - begin;
    for (uint32_t i = 0; i < n; i++) cria_generation_free(g[i]);
    return st;
}

static enum status run_batch(struct bench *b, uint32_t rep, struct err *e) {
    double first, all;
    enum status st = run_requests(b, b->batch, 1, &first, e);
    if (st == ST_OK) st = run_requests(b, b->batch, (int64_t)b->n_gen + 1, &all, e);
    if (st != ST_OK) return st;
    b->pp_samples[rep] = (double)b->batch * (b->depth + b->n_prompt) / first;
    b->tg_samples[rep] = all > first ? (double)b->batch * b->n_gen / (all - first) : 0;
    return st;
}

static enum status measure(struct bench *b, struct err *e) {
    double seconds = 0;
    enum status st = ST_OK;
    /* A short request first: pages of the file and of the buffers are touched. */
    if (b->depth + b->n_prompt > 0) st = run_requests(b, 1, 1, &seconds, e);
    if (st == ST_OK && b->depth + b->n_prompt > 0) st = run_requests(b, 1, 1, &seconds, e);
    b->ttft_ms = seconds * 1e3;
    for (uint32_t i = 0; i < b->reps && st == ST_OK; i++)
        st = b->batch > 1 ? run_batch(b, i, e) : run_single(b, i, e);
    if (st != ST_OK) return st;
    b->pp_tps = median(b->pp_samples, b->reps);
    b->tg_tps = median(b->tg_samples, b->reps);
    return st;
}

/* ---- what it means ---- */

/* Bytes of the cache that one generated token reads at the middle of the generation. */
static double kv_bytes_per_token(const struct bench *b) {
    const double cells = (double)b->info->n_ctx * b->info->n_parallel;
    const double prompt = b->batch > 1 ? b->n_prompt : 0; /* a timeline starts again at depth */
    return (double)b->info->kv_bytes / cells * (b->depth + prompt + b->n_gen / 2.0);
}

static bool is_float_type(const char *type) {
    return strcmp(type, "F32") == 0 || strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0;
}

/* A step reads the weights once for all sequences, and each one's cache. */
static double percent_tg(const struct bench *b, const struct roofline *r) {
    const double bytes = (double)b->info->weight_bytes_per_token / b->batch + kv_bytes_per_token(b);
    return 100 * b->tg_tps * bytes / r->read_bytes;
}

static double percent_pp(const struct bench *b, const struct roofline *r) {
    const double peak = is_float_type(b->info->file_type) ? r->f32_macs : r->int8_macs;
    return 100 * b->pp_tps * (double)b->info->macs_per_token / peak;
}

static void put_number(struct buf *out, const char *key, double v, double digits) {
    json_put_key(out, key);
    json_put_double(out, (double)(int64_t)(v * digits + 0.5) / digits);
}

static void put_samples(struct buf *out, const char *key, const double *v, uint32_t n) {
    json_put_key(out, key);
    buf_chr(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) buf_chr(out, ',');
        json_put_double(out, (double)(int64_t)(v[i] * 100 + 0.5) / 100);
    }
    buf_chr(out, ']');
}

static void put_json(struct buf *out, const struct bench *b, const struct roofline *r,
                     const char *model) {
    const struct cria_model_info *info = b->info;
    buf_chr(out, '{');
    json_put_field(out, "model", model);
    json_put_field(out, "type", info->file_type);
    json_put_field(out, "backend", info->backend);
    json_put_field(out, "isa", info->isa);
    json_put_field_int(out, "threads", info->n_threads);
    json_put_field_int(out, "n_prompt", b->n_prompt);
    json_put_field_int(out, "n_gen", b->n_gen);
    json_put_field_int(out, "depth", b->depth);
    json_put_field_int(out, "batch", b->batch);
    json_put_field_int(out, "samples", b->reps);
    put_number(out, "pp_tps", b->pp_tps, 100);
    put_number(out, "tg_tps", b->tg_tps, 100);
    put_number(out, "ttft_ms", b->ttft_ms, 100);
    put_number(out, "load_ms", b->load_ms, 100);
    json_put_field_int(out, "rss_bytes", (int64_t)b->rss);
    json_put_field_int(out, "weights_bytes", (int64_t)info->weights_bytes);
    json_put_field_int(out, "kv_bytes", (int64_t)info->kv_bytes);
    json_put_field_int(out, "scratch_bytes", (int64_t)info->scratch_bytes);
    put_number(out, "pct_roofline_tg", percent_tg(b, r), 10);
    put_number(out, "pct_roofline_pp", percent_pp(b, r), 10);
    put_number(out, "roofline_read_gbs", r->read_bytes / 1e9, 10);
    put_number(out, "roofline_f32_gmacs", r->f32_macs / 1e9, 10);
    put_number(out, "roofline_int8_gmacs", r->int8_macs / 1e9, 10);
    json_put_field(out, "roofline_isa", r->variant);
    put_samples(out, "pp_samples", b->pp_samples, b->reps);
    put_samples(out, "tg_samples", b->tg_samples, b->reps);
    buf_str(out, "}\n");
}

static void put_text(struct buf *out, const struct bench *b, const struct roofline *r) {
    buf_printf(out, "%s, %s, %s/%s, %u threads, %u sequence(s), depth %u\n", b->info->arch,
               b->info->file_type, b->info->backend, b->info->isa, b->info->n_threads, b->batch,
               b->depth);
    buf_printf(out, "prompt %5u   %9.2f tokens/s   %5.1f%% of the arithmetic peak\n", b->n_prompt,
               b->pp_tps, percent_pp(b, r));
    buf_printf(out, "gen    %5u   %9.2f tokens/s   %5.1f%% of the memory bandwidth\n", b->n_gen,
               b->tg_tps, percent_tg(b, r));
    buf_printf(out, "load %.1f ms, first token %.1f ms, memory %zu MB\n", b->load_ms, b->ttft_ms,
               b->rss >> 20);
}

/* ---- set up ---- */

static bool read_size(const struct args *a, const char *name, int64_t fallback, int64_t least,
                      int64_t most, uint32_t *out) {
    const int64_t v = args_int(a, name, fallback);
    *out = (uint32_t)v;
    return v >= least && v <= most;
}

static enum status read_args(struct bench *b, const struct args *a, struct err *e) {
    const bool ok = read_size(a, "prompt", 512, 0, 1 << 20, &b->n_prompt) &&
                    read_size(a, "gen", 128, 0, 1 << 20, &b->n_gen) &&
                    read_size(a, "depth", 0, 0, 1 << 20, &b->depth) &&
                    read_size(a, "batch", 1, 1, BATCH_MAX, &b->batch) &&
                    read_size(a, "repetitions", 3, 1, REPS_MAX, &b->reps);
    if (args_text(a, "model", NULL) == NULL)
        return err_set(e, ST_INVALID, "required flag(s) \"model\" not set");
    if (!ok)
        return err_set(e, ST_INVALID, "a size is out of range (sequences: 1 to %d)", BATCH_MAX);
    if (b->n_prompt + b->depth == 0) b->n_prompt = 1; /* a generation needs something to follow */
    return ST_OK;
}

static enum status forbid_ends(struct bench *b, struct err *e) {
    const struct vocab *v = cria_engine_vocab(b->eng);
    for (uint32_t id = 0; id < b->info->n_vocab; id++) {
        if (!vocab_is_eog(v, (token_id)id)) continue;
        struct logit_bias *grown = mem_grow(b->no_end, b->n_no_end + 1, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        b->no_end = grown;
        b->no_end[b->n_no_end++] = (struct logit_bias){(token_id)id, -__builtin_inff()};
    }
    return ST_OK;
}

static enum status open_model(struct bench *b, const struct args *a, struct err *e) {
    struct cria_engine_params p = cria_engine_default_params();
    p.backend = args_text(a, "backend", NULL);
    p.n_threads = (unsigned)args_int(a, "threads", 0);
    p.n_ctx = total_tokens(b) + 8;
    p.n_parallel = b->batch;
    const double start_time = os_time_mono();
    enum status st = model_engine(&b->eng, args_text(a, "model", NULL), &p, e);
    if (st != ST_OK) return st;
    b->load_ms = (os_time_mono() - start_time) * 1e3;
    b->info = cria_engine_info(b->eng);
    if (b->info->n_ctx < p.n_ctx)
        return err_set(e, ST_INVALID,
                       "depth, prompt and generation need %u tokens, the model has %u", p.n_ctx,
                       b->info->n_ctx);
    b->tokens = mem_array(total_tokens(b), sizeof *b->tokens);
    b->logits = mem_array(b->info->n_output, sizeof *b->logits);
    return b->tokens != NULL && b->logits != NULL ? forbid_ends(b, e) : err_no_memory(e);
}

enum status cmd_bench(const struct args *a, struct err *e) {
    struct bench b = {.random = 1};
    struct roofline r = {0};
    struct buf out = {0};
    enum status st = read_args(&b, a, e);
    if (st == ST_OK) st = open_model(&b, a, e);
    if (st == ST_OK) st = measure(&b, e);
    b.rss = os_rss_peak_bytes(); /* before the roofline, whose buffer is not the model's */
    if (st == ST_OK) st = roofline_measure(&r, b.info->n_threads, e);
    if (st == ST_OK) {
        if (args_bool(a, "json"))
            put_json(&out, &b, &r, args_text(a, "model", ""));
        else
            put_text(&out, &b, &r);
        st = cli_put(&out, e);
    }
    cria_engine_close(b.eng);
    mem_free(b.tokens);
    mem_free(b.logits);
    mem_free(b.no_end);
    return st;
}
