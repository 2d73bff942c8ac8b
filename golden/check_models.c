/* check_models.c - tiny models with recorded logits (the set's README is the contract).
 *
 * Each model is run as the recording was: f32 cache, at once, in chunks of 13, token by token, and
 * two sequences interleaved. A model of quantised weights is compared with the dequantised rows by
 * backends that compute in f32 (ref), with the recorded rows by those that quantise activations. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/cria.h"
#include "engine/model.h"
#include "golden/check.h"

enum { CHUNK = 13, INTERLEAVE = 7, N_CTX = 256 };

struct set {
    struct check *c;
    const char *name;
    const json *doc;
    const float *truth; /* expected.bin */
    size_t n_truth;
    struct cria_engine *eng;
    uint32_t n_out;
    uint32_t first_pos; /* of the prompt at hand */
    bool dequantised;   /* compare with the rows of the dequantised weights, not with the recorded
                           ones */
    double limit;       /* NMSE that applies */
};

static uint32_t count(const json *v) { return (uint32_t)check_number(v, 0); }

static const float *truth_at(const struct set *s, const json *offset, size_t n) {
    double off = check_number(offset, -1);
    return off >= 0 && off + (double)n <= (double)s->n_truth ? s->truth + (size_t)off : NULL;
}

static void compare(struct set *s, const char *what, const float *got, const float *want, size_t n,
                    double limit) {
    if (want == NULL) {
        check_fail(s->c, s->name, "%s: offset outside of expected.bin", what);
        return;
    }
    double err = check_nmse(got, want, n);
    check_that(s->c, err <= limit, s->name, "%s: NMSE %.3g above %.3g", what, err, limit);
}

static enum status timeline_open(const struct set *s, struct cria_timeline **tl, struct err *e) {
    enum status st = cria_timeline_open(tl, s->eng, e);
    if (st == ST_OK && s->first_pos != 0) st = cria_timeline_start_at(*tl, s->first_pos, e);
    return st;
}

/* Evaluates all tokens in pieces of `chunk`; all rows' results in logits. */
static bool eval(struct set *s, const token_id *tokens, uint32_t n, uint32_t chunk, float *logits) {
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    enum status st = timeline_open(s, &tl, &e);
    if (st == ST_OK) {
        for (uint32_t done = 0; st == ST_OK && done < n;) {
            uint32_t m = n - done < chunk ? n - done : chunk;
            st = cria_timeline_eval(tl, tokens + done, m, m, logits + (size_t)done * s->n_out, &e);
            done += m;
        }
    }
    cria_timeline_close(tl);
    return check_that(s->c, st == ST_OK, s->name, "%s", e.msg);
}

static uint32_t argmax(const float *x, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static double rms(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

/* One greedy token after the other; false at the first that is not clear or not as recorded. */
static bool greedy_step(struct set *s, uint32_t i, token_id want, double margin,
                        const float *logits) {
    if (margin <= 4 * sqrt(s->limit) * rms(logits, s->n_out)) return false;
    token_id id = (token_id)argmax(logits, s->n_out);
    return check_that(s->c, id == want, s->name, "greedy token %u is %d, expected %d", i, id, want);
}

/* Greedy decoding, one token at a time; must agree while the recorded margins are clear. */
static void check_decoding(struct set *s, const json *prompt, const json *greedy,
                           const token_id *tokens, uint32_t n) {
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    uint32_t n_greedy, i = 0;
    token_id *want = check_ints(greedy, &n_greedy);
    float *logits = mem_array(s->n_out, sizeof *logits);
    enum status st = timeline_open(s, &tl, &e);
    if (st == ST_OK) st = cria_timeline_eval(tl, tokens, n, 1, logits, &e);
    const json *margin = json_first(json_get(prompt, "greedy_margins"));
    for (; st == ST_OK && i < n_greedy && margin != NULL; i++, margin = json_next(margin)) {
        if (!greedy_step(s, i, want[i], check_number(margin, 0), logits)) break;
        st = cria_timeline_eval(tl, &want[i], 1, 1, logits, &e);
    }
    check_that(s->c, st == ST_OK, s->name, "greedy: %s", e.msg);
    if (st == ST_OK && i == n_greedy && !s->dequantised)
        compare(s, "after greedy", logits,
                truth_at(s, json_get(prompt, "after_greedy_offset"), s->n_out), s->n_out, s->limit);
    cria_timeline_close(tl);
    mem_free(logits);
    mem_free(want);
}

static void compare_rows(struct set *s, const json *prompt, const json *offset,
                         const float *logits) {
    uint32_t n_rows;
    token_id *rows = check_ints(json_get(prompt, "rows"), &n_rows);
    float *got = mem_array((size_t)n_rows * s->n_out, sizeof *got);
    for (uint32_t i = 0; i < n_rows; i++)
        memcpy(got + (size_t)i * s->n_out, logits + (size_t)rows[i] * s->n_out,
               s->n_out * sizeof *got);
    compare(s, "at once", got, truth_at(s, offset, (size_t)n_rows * s->n_out),
            (size_t)n_rows * s->n_out, s->limit);
    mem_free(got);
    mem_free(rows);
}

static void check_prompt(struct set *s, const json *prompt) {
    uint32_t n;
    token_id *tokens = check_ints(json_get(prompt, "tokens"), &n);
    const json *source = s->dequantised ? json_get(prompt, "dequantized_f32") : prompt;
    float *logits = mem_array((size_t)n * s->n_out, sizeof *logits),
          *again = mem_array((size_t)n * s->n_out, sizeof *again);
    s->first_pos = count(json_get(prompt, "first_position"));
    if (eval(s, tokens, n, n, logits)) {
        compare_rows(s, prompt, json_get(source, "logits_offset"), logits);
        const uint32_t chunks[] = {CHUNK, 1};
        for (int i = 0; i < 2 && eval(s, tokens, n, chunks[i], again); i++)
            check_that(s->c, memcmp(logits, again, (size_t)n * s->n_out * sizeof *again) == 0,
                       s->name, "chunks of %u give other bits than all at once (NMSE %.3g)",
                       chunks[i], check_nmse(again, logits, (size_t)n * s->n_out));
        check_decoding(s, prompt, json_get(source, "greedy"), tokens, n);
    }
    mem_free(again);
    mem_free(logits);
    mem_free(tokens);
}

/* Two sequences in one cache, in turns of 7 tokens, must give what each gives alone. */
static void check_two(struct set *s, const json *two) {
    struct cria_timeline *tl[2] = {NULL, NULL};
    token_id *tokens[2];
    uint32_t n[2], done[2] = {0, 0}, row = count(json_get(two, "row"));
    struct err e = {0};
    enum status st = ST_OK;
    tokens[0] = check_ints(json_get(two, "a"), &n[0]);
    tokens[1] = check_ints(json_get(two, "b"), &n[1]);
    const float *want = truth_at(s, json_get(two, "logits_offset"), 2 * s->n_out);
    float *logits = mem_array((size_t)(n[0] + n[1] + 2) * s->n_out, sizeof *logits);
    for (int k = 0; k < 2 && st == ST_OK; k++) st = cria_timeline_open(&tl[k], s->eng, &e);
    while (st == ST_OK && (done[0] < n[0] || done[1] < n[1]))
        for (int k = 0; k < 2 && st == ST_OK; k++) {
            uint32_t m = n[k] - done[k] < INTERLEAVE ? n[k] - done[k] : INTERLEAVE;
            if (m == 0) continue;
            st =
                cria_timeline_eval(tl[k], tokens[k] + done[k], m, m,
                                   logits + (size_t)(done[k] + (k == 1 ? n[0] : 0)) * s->n_out, &e);
            done[k] += m;
        }
    check_that(s->c, st == ST_OK, s->name, "two sequences: %s", e.msg);
    float *alone = mem_array((size_t)n[0] * s->n_out, sizeof *alone);
    for (int k = 0; k < 2; k++) cria_timeline_close(tl[k]);
    if (st == ST_OK && eval(s, tokens[0], n[0], n[0], alone))
        check_that(s->c, memcmp(alone, logits, (size_t)n[0] * s->n_out * sizeof *alone) == 0,
                   s->name, "interleaved differs from alone");
    if (st == ST_OK && want != NULL && row < n[0] && row < n[1] && !s->dequantised) {
        compare(s, "two sequences, a", logits + (size_t)row * s->n_out, want, s->n_out, s->limit);
        compare(s, "two sequences, b", logits + (size_t)(n[0] + row) * s->n_out, want + s->n_out,
                s->n_out, s->limit);
    }
    mem_free(alone);
    mem_free(logits);
    mem_free(tokens[0]);
    mem_free(tokens[1]);
}

/* Vectors of `n` texts at once; the caller frees. NULL: failed, and said so. */
static float *embed(struct set *s, const struct cria_text *texts, size_t n,
                    enum cria_pooling pooling, bool normalize) {
    const uint32_t width = cria_embed_width(s->eng, pooling);
    struct err e = {0};
    size_t rows = pooling == CRIA_POOL_NONE ? 0 : n;
    for (size_t i = 0; pooling == CRIA_POOL_NONE && i < n; i++) rows += texts[i].n;
    float *out = mem_zalloc(rows * width, sizeof *out);
    const struct cria_embed_request r = {
        .texts = texts, .n_texts = n, .pooling = pooling, .normalize = normalize};
    if (check_that(s->c, cria_embed(s->eng, &r, out, &e) == ST_OK, s->name, "%s", e.msg))
        return out;
    mem_free(out);
    return NULL;
}

static void compare_embedding(struct set *s, const json *prompt, const char *key,
                              const struct cria_text *text, enum cria_pooling pooling,
                              bool normalize) {
    const uint32_t width = cria_embed_width(s->eng, pooling);
    const json *offset = json_get(prompt, key);
    if (offset == NULL) return;
    const size_t n = pooling == CRIA_POOL_NONE ? text->n * width : width;
    float *got = embed(s, text, 1, pooling, normalize);
    if (got != NULL) compare(s, key, got, truth_at(s, offset, n), n, s->limit);
    mem_free(got);
}

/* Embedding and rerank models: the pooled vector, normalised too, and the vectors of all tokens. A
 * file that names no pooling was recorded with its last token's. */
static void check_pooled(struct set *s, const json *prompt) {
    const struct cria_model_info *info = cria_engine_info(s->eng);
    uint32_t n;
    token_id *tokens = check_ints(json_get(prompt, "tokens"), &n);
    const struct cria_text text = {tokens, n};
    const enum cria_pooling pooling =
        info->pooling != CRIA_POOL_NONE ? info->pooling : CRIA_POOL_LAST;
    compare_embedding(s, prompt, "pooled_offset", &text, pooling, false);
    compare_embedding(s, prompt, "normalized_offset", &text, pooling, true);
    compare_embedding(s, prompt, "token_embd_offset", &text, CRIA_POOL_NONE, false);
    mem_free(tokens);
}

/* Many texts at once: each gives the bits that it gives alone. */
static void check_packed(struct set *s, const json *prompts) {
    enum { COPIES = 40, MAX = 8 };
    const struct cria_model_info *info = cria_engine_info(s->eng);
    struct cria_text texts[COPIES * MAX];
    float *alone[MAX] = {NULL};
    uint32_t n = 0, len;
    const enum cria_pooling pooling =
        info->pooling != CRIA_POOL_NONE ? info->pooling : CRIA_POOL_MEAN;
    const uint32_t width = cria_embed_width(s->eng, pooling);
    for (const json *p = json_first(prompts); p != NULL && n < MAX; p = json_next(p), n++) {
        token_id *ids = check_ints(json_get(p, "tokens"), &len);
        texts[n] = (struct cria_text){ids, len};
        alone[n] = embed(s, &texts[n], 1, pooling, false);
    }
    for (uint32_t i = n; i < COPIES * n; i++) texts[i] = texts[i % n];
    float *all = embed(s, texts, (size_t)COPIES * n, pooling, false);
    for (uint32_t i = 0; all != NULL && i < COPIES * n; i++)
        check_that(s->c,
                   alone[i % n] != NULL &&
                       memcmp(all + (size_t)i * width, alone[i % n], width * sizeof *all) == 0,
                   s->name, "text %u of many at once has another vector than alone", i);
    mem_free(all);
    for (uint32_t i = 0; i < n; i++) {
        mem_free(alone[i]);
        mem_free((void *)(uintptr_t)texts[i].ids);
    }
}

static bool has_quantized(const json *doc) {
    for (const json *p = json_first(json_get(doc, "prompts")); p != NULL; p = json_next(p))
        if (json_get(p, "dequantized_f32") != NULL) return true;
    return false;
}

static void run_kind(struct set *s) {
    const char *kind = json_string(json_get(s->doc, "kind"));
    bool causal = kind == NULL || strcmp(kind, "causal") == 0;
    for (const json *p = json_first(json_get(s->doc, "prompts")); p != NULL; p = json_next(p)) {
        if (causal)
            check_prompt(s, p);
        else
            check_pooled(s, p);
    }
    if (!causal) check_packed(s, json_get(s->doc, "prompts"));
    s->first_pos = 0;
    if (json_get(s->doc, "two_sequences") != NULL) check_two(s, json_get(s->doc, "two_sequences"));
}

static bool known_arch(const char *name) {
    for (const struct arch *const *a = archs; name != NULL && *a != NULL; a++)
        if (strcmp(name, (*a)->name) == 0) return true;
    return false;
}

static void check_model(struct check *c, const char *dir, const char *name) {
    char path[8192];
    struct err e = {0};
    size_t size;
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    json *doc = check_read_json(c, dir, "expected.json");
    char *truth = doc != NULL ? check_read(c, dir, "expected.bin", &size) : NULL;
    if (truth != NULL && !known_arch(json_string(json_get(doc, "arch")))) {
        check_skip(c, name, "architecture is not supported yet");
    } else if (truth != NULL) {
        const json *tolerance = json_get(doc, "tolerance");
        const char *kind = json_string(json_get(doc, "kind"));
        struct cria_engine_params p = cria_engine_default_params();
        struct set s = {.c = c,
                        .name = name,
                        .doc = doc,
                        .truth = (const float *)(void *)truth,
                        .n_truth = size / 4};
        bool exact = strcmp(c->backend, "ref") == 0; /* f32 weights and activations */
        s.dequantised = exact && has_quantized(doc);
        s.limit = check_number(json_get(tolerance, "nmse"), 1e-8);
        if (!exact && has_quantized(doc))
            s.limit = check_number(json_get(tolerance, "nmse_vs_reference_rows"), s.limit);
        p.backend = c->backend;
        p.n_ctx = N_CTX;
        p.n_parallel = 2;
        p.kv_type = DT_F32;
        p.embeddings = kind != NULL && strcmp(kind, "causal") != 0;
        if (cria_engine_open(&s.eng, path, &p, &e) != ST_OK) {
            check_fail(c, name, "%s", e.msg);
        } else {
            s.n_out = cria_engine_info(s.eng)->n_output;
            run_kind(&s);
            cria_engine_close(s.eng);
        }
    }
    mem_free(truth);
    json_free(doc);
}

void check_models(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if (check_exists(path, "expected.json")) check_model(c, path, *n);
    }
    check_list_free(names);
}
