/* check_grammar.c - grammars against recorded verdicts; the contract is the README of the set.
 *
 * gbnf.json must agree in full. In schema.json the peer's and the jsonschema library's verdicts are
 * recorded, and cria stands between them (spec/sampling.md 10.4): what both accept must be
 * accepted; what the peer refuses must not be accepted, nor what is not JSON; what only the peer
 * accepts may go either way (cria enforces more keywords). A schema that the peer refuses may be
 * refused, or must be understood as the library does. One that nothing can satisfy may be refused:
 * that is to reject all of its texts. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "engine/file/gguf.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/token_index.h"
#include "golden/check.h"

struct verdict {
    int value;    /* 1 accepted, 0 prefix, -1 rejected */
    size_t chars; /* consumed */
};

static void text_of(struct buf *b, const json *v) {
    const json *rep = json_get(v, "rep");
    int64_t n = 0;
    if (rep == NULL) {
        size_t len;
        const char *s = json_string_n(v, &len);
        if (s != NULL) buf_add(b, s, len);
        return;
    }
    json_int(json_next(json_first(rep)), &n);
    for (; n > 0; n--) buf_str(b, json_string(json_first(rep)));
}

static size_t whole_chars(const char *s, size_t n) {
    size_t chars = 0, at = 0;
    while (at < n) {
        uint32_t c;
        unsigned k = utf8_decode(s + at, n - at, &c);
        if (utf8_was_bad(s + at, k, c)) break; /* cut inside of a character */
        at += k;
        chars++;
    }
    return chars;
}

static struct verdict verdict_of(struct grammar *g, const json *text) {
    struct grammar_run *run = NULL;
    struct verdict v = {-2, 0};
    struct buf b = {0};
    text_of(&b, text);
    if (grammar_run_open(&run, g, NULL) == ST_OK) {
        size_t n = grammar_run_text(run, b.data, b.len);
        v.chars = n > 0 ? whole_chars(b.data, n) : 0;
        v.value = n < b.len ? -1 : grammar_run_accepts(run) ? 1 : 0;
        if (grammar_run_status(run, NULL) != ST_OK) v.value = -2;
    }
    grammar_run_close(run);
    buf_free(&b);
    return v;
}

static const json *at(const json *list, int i) {
    const json *v = json_first(list);
    while (i-- > 0) v = json_next(v);
    return v;
}

static const char *name_of(const json *row) {
    const char *s = json_string(json_get(row, "name"));
    return s != NULL ? s : "?";
}

/* ---- gbnf.json ---- */

static void check_gbnf_text(struct check *c, const json *row, struct grammar *g, const json *text) {
    int64_t want = 0, chars = 0;
    struct verdict v = verdict_of(g, at(text, 0));
    json_int(at(text, 1), &want);
    json_int(at(text, 2), &chars);
    struct buf shown = {0};
    json_print(&shown, at(text, 0));
    check_that(c, v.value == want && v.chars == (size_t)chars, name_of(row),
               "%.60s: verdict %d after %zu characters, not %d after %d", shown.data, v.value,
               v.chars, (int)want, (int)chars);
    buf_free(&shown);
}

/* The peer refuses some that cria may support: then there is nothing to compare. */
static bool may_support(const char *gbnf) {
    return strchr(gbnf, '*') != NULL || strchr(gbnf, '+') != NULL;
}

static void check_gbnf(struct check *c, const json *row, struct token_index *ti) {
    const char *text = json_string(json_get(row, "gbnf"));
    struct grammar_source source = {GRAMMAR_GBNF, text, strlen(text)};
    struct grammar *g = NULL;
    struct err e = {0};
    bool parse = false;
    json_bool(json_get(row, "parse"), &parse);
    enum status st = grammar_compile(&g, &source, ti, &e);
    if (st != ST_OK || !parse)
        check_that(c, (st == ST_OK) == parse || (st == ST_OK && may_support(text)), name_of(row),
                   "%s", st == ST_OK ? "should be refused" : e.msg);
    else
        check_pass(c);
    for (const json *t = json_first(json_get(row, "texts")); t != NULL && st == ST_OK && parse;
         t = json_next(t))
        check_gbnf_text(c, row, g, t);
    grammar_unref(g);
}

/* ---- schema.json ---- */

enum { MAY = 2 };

/* 1: must be accepted; 0: must not; MAY. */
static int wanted(const json *text, bool has_error) {
    int64_t peer = MAY, library = MAY, own;
    json_int(at(text, 1), &peer);
    json_int(at(text, 2), &library);
    if (json_int(at(at(text, 3), 0), &own)) return own == 1;
    if (has_error) return library == MAY ? MAY : library == 1;
    if (peer != 1 || library == -1) return 0;
    return library == 1 ? 1 : MAY;
}

static void check_schema(struct check *c, const json *row) {
    const char *text = json_string(json_get(row, "schema"));
    struct grammar_source source = {GRAMMAR_SCHEMA, text, strlen(text)};
    struct grammar *g = NULL;
    struct err e = {0};
    bool has_error = json_get(row, "error") != NULL;
    enum status st = grammar_compile(&g, &source, NULL, &e);
    if (st != ST_OK && has_error) {
        check_pass(c);
        return;
    }
    for (const json *t = json_first(json_get(row, "texts")); t != NULL; t = json_next(t)) {
        struct verdict v = {-1, 0};
        int want = wanted(t, has_error);
        struct buf shown = {0};
        if (st == ST_OK) v = verdict_of(g, at(t, 0));
        json_print(&shown, t);
        check_that(c, want == MAY ? v.value != -2 : (v.value == 1) == want, name_of(row),
                   "%.100s: verdict %d%s%s", shown.data, v.value, st == ST_OK ? "" : "; ", e.msg);
        buf_free(&shown);
    }
    grammar_unref(g);
}

/* ---- the set ---- */

/* The bytes of the vocabulary for <token>; NULL: it is nowhere. */
static char *read_vocab_file(struct check *c, const char *dir, size_t *size) {
    static const char file[] = "bpe-qwen2.gguf";
    const char *const roots[] = {dir, c->base};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        if (roots[i] == NULL) continue;
        snprintf(path, sizeof path, "%s%s/tokenizers/vocab", roots[i], i == 0 ? "/.." : "");
        if (check_exists(path, file)) return check_read(c, path, file, size);
    }
    return NULL;
}

static bool names_token(const json *row) {
    const char *text = json_string(json_get(row, "gbnf"));
    return text != NULL && strchr(text, '<') != NULL && strstr(text, "\"<") == NULL;
}

void check_grammar(struct check *c, const char *dir) {
    size_t size = 0;
    char *bytes = read_vocab_file(c, dir, &size);
    struct gguf *file = NULL;
    struct vocab *vocab = NULL;
    struct token_index *ti = NULL;
    if (bytes != NULL && gguf_open_memory(&file, bytes, size, "vocabulary", NULL) == ST_OK &&
        vocab_open(&vocab, file, NULL) == ST_OK)
        token_index_open(&ti, vocab, NULL);
    json *gbnf = check_exists(dir, "gbnf.json") ? check_read_json(c, dir, "gbnf.json") : NULL;
    for (const json *row = json_first(gbnf); row != NULL; row = json_next(row)) {
        if (names_token(row) && ti == NULL)
            check_skip(c, name_of(row), "the vocabulary bpe-qwen2.gguf is not here");
        else
            check_gbnf(c, row, ti);
    }
    json *schema = check_exists(dir, "schema.json") ? check_read_json(c, dir, "schema.json") : NULL;
    for (const json *row = json_first(schema); row != NULL; row = json_next(row))
        check_schema(c, row);
    json_free(gbnf);
    json_free(schema);
    token_index_close(ti);
    vocab_close(vocab);
    if (file != NULL) gguf_close(file);
    mem_free(bytes);
}
