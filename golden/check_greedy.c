/* check_greedy.c - greedy answers of a model: the same text on every backend and ISA.
 *
 * A set is a folder of NAME.json: {"model": path relative to the folder, "answers": [{"prompt": the
 * raw text, "text": what follows until the end token}, ...]}. Prompts go through the scheduler, all
 * at once, so that batching is part of the test. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/cria.h"
#include "golden/check.h"

enum { MAX_ANSWERS = 64, N_CTX = 1024, N_PARALLEL = 4 };

static struct cria_generation *start(struct check *c, struct cria_engine *eng, const json *answer) {
    struct cria_generation *g = NULL;
    struct token_list ids = {0};
    struct err e = {0};
    const char *prompt = json_string(json_get(answer, "prompt"));
    enum status st = vocab_encode(cria_engine_vocab(eng), prompt, strlen(prompt),
                                  VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, &ids, &e);
    struct cria_request r = {
        .prompt = ids.ids, .n_prompt = ids.len, .sampler = sampler_default_params()};
    r.sampler.temperature = 0;
    if (st == ST_OK) st = cria_generation_start(&g, eng, &r, &e);
    if (st != ST_OK) check_fail(c, prompt, "%s", e.msg);
    token_list_free(&ids);
    return g;
}

static void finish(struct check *c, struct cria_generation *g, const json *answer) {
    struct cria_chunk chunk = {0};
    struct buf text = {0};
    struct err e = {0};
    const char *want = json_string(json_get(answer, "text"));
    while (chunk.done == CRIA_RUNNING) {
        if (cria_generation_next(g, &chunk, &e) != ST_OK) break;
        buf_add(&text, chunk.text, chunk.len);
    }
    check_that(c, text.data != NULL && strcmp(text.data, want) == 0,
               json_string(json_get(answer, "prompt")), "answer is '%s', expected '%s'",
               text.data != NULL ? text.data : e.msg, want);
    buf_free(&text);
    cria_generation_free(g);
}

static void check_answers(struct check *c, struct cria_engine *eng, const json *answers) {
    struct cria_generation *g[MAX_ANSWERS];
    size_t n = 0;
    for (const json *a = json_first(answers); a != NULL && n < MAX_ANSWERS; a = json_next(a))
        g[n++] = start(c, eng, a);
    n = 0;
    for (const json *a = json_first(answers); a != NULL && n < MAX_ANSWERS; a = json_next(a), n++)
        if (g[n] != NULL) finish(c, g[n], a);
}

static void check_file(struct check *c, const char *dir, const char *file) {
    char path[8192];
    struct err e = {0};
    struct cria_engine *eng;
    struct cria_engine_params p = cria_engine_default_params();
    json *doc = check_read_json(c, dir, file);
    const char *model = json_string(json_get(doc, "model"));
    snprintf(path, sizeof path, "%s/%s", dir, model != NULL ? model : "");
    p.backend = c->backend;
    p.n_ctx = N_CTX;
    p.n_parallel = N_PARALLEL;
    if (doc != NULL && cria_engine_open(&eng, path, &p, &e) != ST_OK) {
        check_fail(c, file, "%s", e.msg);
    } else if (doc != NULL) {
        check_answers(c, eng, json_get(doc, "answers"));
        cria_engine_close(eng);
    }
    json_free(doc);
}

void check_greedy(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        size_t len = strlen(*n);
        if (len > 5 && strcmp(*n + len - 5, ".json") == 0) check_file(c, dir, *n);
    }
    check_list_free(names);
}
