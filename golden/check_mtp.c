/* check_mtp.c - models with a block that predicts a further token: main logits, what the head sees,
 * and the block's logits (the set's README is the contract). At once, and in pieces, which must
 * give the same bits. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/cria.h"
#include "engine/model.h"
#include "golden/check.h"

enum { CHUNK = 3, N_CTX = 256 };

struct set {
    struct check *c;
    const char *name;
    const json *doc;
    const float *truth; /* [n_truth] expected.bin */
    size_t n_truth;
    struct cria_engine *eng;
    const int32_t *tokens;
    uint32_t n, n_vocab, n_embd;
};

static bool eval(const struct set *s, uint32_t chunk, const struct cria_rows *all) {
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    enum status st = cria_timeline_open(&tl, s->eng, &e);
    for (uint32_t done = 0; st == ST_OK && done < s->n;) {
        const uint32_t m = s->n - done < chunk ? s->n - done : chunk;
        const struct cria_rows part = {.n_rows = m,
                                       .logits = all->logits + (size_t)done * s->n_vocab,
                                       .hidden = all->hidden + (size_t)done * s->n_embd,
                                       .drafts = all->drafts + (size_t)done * s->n_vocab};
        st = cria_timeline_eval_rows(tl, s->tokens + done, m, &part, &e);
        done += m;
    }
    cria_timeline_close(tl);
    return check_that(s->c, st == ST_OK, s->name, "%s", e.msg);
}

/* The recorded rows of one of the three results. */
static void compare(const struct set *s, const char *key, const float *got, size_t width) {
    const double limit = check_number(json_get(json_get(s->doc, "tolerance"), "nmse"), 1e-8);
    const double offset = check_number(json_get(s->doc, key), -1);
    size_t at = (size_t)offset;
    if (json_get(s->doc, key) == NULL) return;
    for (const json *r = json_first(json_get(s->doc, "rows")); r != NULL; r = json_next(r)) {
        const double row = check_number(r, -1);
        const bool there = offset >= 0 && at + width <= s->n_truth && row >= 0 && row < s->n;
        if (!check_that(s->c, there, s->name, "%s: outside of the recording", key)) return;
        const double err = check_nmse(got + (size_t)row * width, s->truth + at, width);
        check_that(s->c, err <= limit, s->name, "%s, row %g: NMSE %.3g above %.3g", key, row, err,
                   limit);
        at += width;
    }
}

static struct cria_rows make_rows(const struct set *s) {
    return (struct cria_rows){.logits = mem_array((size_t)s->n * s->n_vocab, sizeof(float)),
                              .hidden = mem_array((size_t)s->n * s->n_embd, sizeof(float)),
                              .drafts = mem_array((size_t)s->n * s->n_vocab, sizeof(float))};
}

static void free_rows(const struct cria_rows *r) {
    mem_free(r->logits);
    mem_free(r->hidden);
    mem_free(r->drafts);
}

static void run(const struct set *s) {
    const struct cria_rows all = make_rows(s), pieces = make_rows(s);
    const size_t logits = (size_t)s->n * s->n_vocab * sizeof(float);
    const size_t hidden = (size_t)s->n * s->n_embd * sizeof(float);
    const bool room = all.logits != NULL && all.hidden != NULL && all.drafts != NULL &&
                      pieces.logits != NULL && pieces.hidden != NULL && pieces.drafts != NULL;
    if (check_that(s->c, room, s->name, "no memory") && eval(s, s->n, &all)) {
        compare(s, "logits_offset", all.logits, s->n_vocab);
        compare(s, "hidden_offset", all.hidden, s->n_embd);
        compare(s, "mtp_logits_offset", all.drafts, s->n_vocab);
        if (eval(s, CHUNK, &pieces))
            check_that(s->c,
                       memcmp(all.logits, pieces.logits, logits) == 0 &&
                           memcmp(all.hidden, pieces.hidden, hidden) == 0 &&
                           memcmp(all.drafts, pieces.drafts, logits) == 0,
                       s->name, "pieces of %d give other bits than all at once", CHUNK);
    }
    free_rows(&all);
    free_rows(&pieces);
}

static bool known_arch(const char *name) {
    for (const struct arch *const *a = archs; name != NULL && *a != NULL; a++)
        if (strcmp(name, (*a)->name) == 0) return (*a)->style.mtp;
    return false;
}

static void check_model(struct check *c, const char *dir, const char *name) {
    char path[4096];
    struct err e = {0};
    size_t size;
    struct cria_engine_params p = cria_engine_default_params();
    json *doc = check_read_json(c, dir, "expected.json");
    char *truth = doc != NULL ? check_read(c, dir, "expected.bin", &size) : NULL;
    struct set s = {.c = c, .name = name, .doc = doc, .truth = (const float *)(void *)truth};
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    p.backend = c->backend;
    p.n_ctx = N_CTX;
    p.kv_type = DT_F32;
    p.mtp = true;
    if (truth != NULL && !known_arch(json_string(json_get(doc, "arch")))) {
        check_skip(c, name, "further tokens of this architecture are not supported");
    } else if (truth != NULL && cria_engine_open(&s.eng, path, &p, &e) != ST_OK) {
        check_fail(c, name, "%s", e.msg);
    } else if (truth != NULL) {
        int32_t *tokens = check_ints(json_get(doc, "tokens"), &s.n);
        s.n_truth = size / 4;
        s.tokens = tokens;
        s.n_vocab = cria_engine_info(s.eng)->n_output;
        s.n_embd = cria_engine_info(s.eng)->n_embd;
        run(&s);
        mem_free(tokens);
    }
    cria_engine_close(s.eng);
    mem_free(truth);
    json_free(doc);
}

void check_mtp(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if (check_exists(path, "expected.json")) check_model(c, path, *n);
    }
    check_list_free(names);
}
