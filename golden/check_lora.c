/* check_lora.c - adapters with the recorded logits of their base models at several scales (the
 * set's README is the contract).
 *
 * Each case is evaluated at once and in pieces, which must give the same bits; scale 0 must give
 * those of an engine without the adapter. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/cria.h"
#include "golden/check.h"

enum { CHUNK = 7, N_CTX = 256 };

struct set {
    struct check *c;
    const char *name;
    const json *doc;
    const float *truth; /* [n_truth] expected.bin */
    size_t n_truth;
    const int32_t *tokens;
    uint32_t n;
    uint32_t n_vocab;
};

static struct cria_engine *open_engine(const struct set *s, const char *model,
                                       const char *adapter) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng = NULL;
    struct err e = {0};
    p.backend = s->c->backend;
    p.n_ctx = N_CTX;
    p.kv_type = DT_F32;
    p.adapters = &adapter;
    p.n_adapters = adapter != NULL ? 1 : 0;
    if (cria_engine_open(&eng, model, &p, &e) != ST_OK) check_fail(s->c, s->name, "%s", e.msg);
    return eng;
}

/* All rows' logits, `chunk` tokens at a time; freed by the caller. NULL: failed, and said so. */
static float *eval(const struct set *s, struct cria_engine *eng, float scale, uint32_t chunk) {
    const struct cria_adapter use = {.id = 0, .scale = scale};
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    float *logits = mem_array((size_t)s->n * s->n_vocab, sizeof *logits);
    enum status st = logits != NULL ? cria_timeline_open(&tl, eng, &e) : err_no_memory(&e);
    if (st == ST_OK && cria_engine_info(eng)->n_adapters != 0)
        st = cria_timeline_adapt(tl, &use, 1, &e);
    for (uint32_t done = 0; st == ST_OK && done < s->n;) {
        const uint32_t m = s->n - done < chunk ? s->n - done : chunk;
        st = cria_timeline_eval(tl, s->tokens + done, m, m, logits + (size_t)done * s->n_vocab, &e);
        done += m;
    }
    cria_timeline_close(tl);
    if (check_that(s->c, st == ST_OK, s->name, "%s", e.msg)) return logits;
    mem_free(logits);
    return NULL;
}

static void compare(const struct set *s, const json *one, const float *logits) {
    const double limit = check_number(json_get(json_get(s->doc, "tolerance"), "nmse"), 1e-8);
    const double offset = check_number(json_get(one, "logits_offset"), -1);
    const size_t width = s->n_vocab;
    size_t at = (size_t)offset, n = 0;
    for (const json *r = json_first(json_get(one, "rows")); r != NULL; r = json_next(r), n++) {
        const double row = check_number(r, -1);
        const bool there = offset >= 0 && at + width <= s->n_truth && row >= 0 && row < s->n;
        if (!check_that(s->c, there, s->name, "row outside of the recording")) return;
        const double err = check_nmse(logits + (size_t)row * width, s->truth + at, width);
        check_that(s->c, err <= limit, s->name, "scale %g, row %g: NMSE %.3g above %.3g",
                   check_number(json_get(one, "scale"), 0), row, err, limit);
        at += width;
    }
}

static void same_bits(const struct set *s, const float *a, const float *b, const char *what) {
    if (a == NULL || b == NULL) return;
    for (size_t i = 0; i < (size_t)s->n * s->n_vocab; i++)
        if (a[i] != b[i]) {
            check_fail(s->c, s->name, "%s: value %zu is %g, not %g", what, i, (double)b[i],
                       (double)a[i]);
            return;
        }
    check_pass(s->c);
}

static void check_cases(struct set *s, struct cria_engine *eng, struct cria_engine *plain) {
    for (const json *one = json_first(json_get(s->doc, "cases")); one != NULL;
         one = json_next(one)) {
        const float scale = (float)check_number(json_get(one, "scale"), 1);
        float *logits = eval(s, eng, scale, s->n), *pieces = eval(s, eng, scale, CHUNK);
        if (logits != NULL) compare(s, one, logits);
        same_bits(s, logits, pieces, "in pieces");
        mem_free(pieces);
        if (scale == 0) {
            float *without = eval(s, plain, 0, s->n);
            same_bits(s, without, logits, "scale 0");
            mem_free(without);
        }
        mem_free(logits);
    }
}

static void check_adapter(struct check *c, const char *root, const char *dir, const char *name) {
    char adapter[4096], model[4096], base[256];
    size_t size;
    json *doc = check_read_json(c, dir, "expected.json");
    char *truth = doc != NULL ? check_read(c, dir, "expected.bin", &size) : NULL;
    const char *of = json_string(json_get(doc, "base_model"));
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", dir);
    snprintf(base, sizeof base, "%s/model.gguf", of != NULL ? of : "");
    if (truth != NULL && !check_find(c, root, base, model, sizeof model)) {
        check_skip(c, name, "the base model is not here (--base)");
    } else if (truth != NULL) {
        struct set s = {.c = c,
                        .name = name,
                        .doc = doc,
                        .truth = (const float *)(void *)truth,
                        .n_truth = size / 4};
        int32_t *tokens = check_ints(json_get(doc, "tokens"), &s.n);
        struct cria_engine *eng = open_engine(&s, model, adapter),
                           *plain = eng != NULL ? open_engine(&s, model, NULL) : NULL;
        s.tokens = tokens;
        if (plain != NULL) {
            s.n_vocab = cria_engine_info(eng)->n_output;
            check_cases(&s, eng, plain);
        }
        cria_engine_close(plain);
        cria_engine_close(eng);
        mem_free(tokens);
    }
    mem_free(truth);
    json_free(doc);
}

void check_lora(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if (check_exists(path, "expected.json")) check_adapter(c, dir, path, *n);
    }
    check_list_free(names);
}
