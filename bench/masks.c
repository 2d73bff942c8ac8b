/* masks.c - how long token masks take: the figures of bench/SPEED.md.
 *
 *   bench-masks VOCAB.gguf SCHEMA.json DOCUMENT.json [TOKENS.txt]
 *
 * Compiles the schema, walks the document token by token (as the model's tokenizer cuts it), and
 * makes the mask before each token, in processor time of the thread: once with nothing known
 * ("first"), then with the tables that the first pass has filled ("again"). With a fourth name the
 * vocabulary and the document's ids are written there for bench/masks_peers.py, so that other
 * engines can be measured on the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/rules.h"
#include "engine/grammar/token_index.h"

enum { ROUNDS = 9, FILE_MAX = 1 << 20 };

static char *read_file(const char *path, size_t *len) {
    struct err e = {0};
    FILE *f = fopen(path, "rb");
    char *text = mem_alloc(FILE_MAX);
    if (f == NULL || text == NULL) {
        fprintf(stderr, "cannot read %s %s\n", path, e.msg);
        exit(1);
    }
    *len = fread(text, 1, FILE_MAX, f);
    fclose(f);
    while (*len > 0 && text[*len - 1] == '\n') --*len;
    return text;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *us, size_t n) {
    double sum = 0;
    qsort(us, n, sizeof *us, by_value);
    for (size_t i = 0; i < n; i++) sum += us[i];
    printf("%-22s mean %7.1f  median %7.1f  p99 %7.1f  max %7.1f us\n", what, sum / (double)n,
           us[n / 2], us[n - 1 - n / 100], us[n - 1]);
}

/* One pass over the document; adds the time of each mask to us[]. */
static void pass(struct grammar *g, const struct token_list *doc, double *us) {
    struct grammar_run *r;
    if (grammar_run_open(&r, g, NULL) != ST_OK) exit(1);
    for (size_t i = 0; i < doc->len; i++) {
        int64_t t = grammar_clock_ns();
        const uint32_t *mask = grammar_run_mask(r, NULL);
        us[i] = (double)(grammar_clock_ns() - t) / 1e3;
        if (mask == NULL || !grammar_run_accept(r, doc->ids[i])) {
            fprintf(stderr, "token %zu of the document does not fit the schema\n", i);
            exit(1);
        }
    }
    grammar_run_close(r);
}

static void dump(const char *path, const struct token_index *ti, const struct token_list *doc) {
    FILE *f = fopen(path, "w");
    if (f == NULL) exit(1);
    for (size_t i = 0; i < doc->len; i++) fprintf(f, "%d ", doc->ids[i]);
    fprintf(f, "\n%d\n", ti->first_eog);
    for (uint32_t i = 0; i < ti->n_vocab; i++) {
        for (uint32_t k = 0; k < ti->text[i].len; k++)
            fprintf(f, "%02x", (unsigned char)ti->text[i].text[k]);
        fprintf(f, "\n");
    }
    fclose(f);
}

int main(int argc, char **argv) {
    struct gguf *file;
    struct vocab *v;
    struct token_index *ti;
    struct token_list doc = {0};
    struct err e = {0};
    if (argc < 4) {
        fprintf(stderr, "usage: bench-masks VOCAB.gguf SCHEMA.json DOCUMENT.json [TOKENS.txt]\n");
        return 2;
    }
    size_t n_schema, n_text;
    char *schema = read_file(argv[2], &n_schema), *text = read_file(argv[3], &n_text);
    int64_t t0 = grammar_clock_ns();
    if (gguf_open(&file, argv[1], &e) != ST_OK || vocab_open(&v, file, &e) != ST_OK ||
        vocab_encode(v, text, n_text, 0, &doc, &e) != ST_OK) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    int64_t t1 = grammar_clock_ns();
    if (token_index_open(&ti, v, &e) != ST_OK) return 1;
    int64_t t2 = grammar_clock_ns();
    printf("%u tokens, %zu in the document; vocabulary %.0f ms, token index %.1f ms\n", ti->n_vocab,
           doc.len, (double)(t1 - t0) / 1e6, (double)(t2 - t1) / 1e6);
    double *first = mem_array(doc.len, ROUNDS * sizeof *first), compile[ROUNDS];
    double *again = mem_array(doc.len, ROUNDS * sizeof *again);
    if (argc > 4) dump(argv[4], ti, &doc);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct grammar *g;
        struct grammar_source source = {GRAMMAR_SCHEMA, schema, n_schema};
        int64_t t = grammar_clock_ns();
        if (grammar_compile(&g, &source, ti, &e) != ST_OK) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        compile[i] = (double)(grammar_clock_ns() - t) / 1e6;
        pass(g, &doc, first + i * doc.len);
        pass(g, &doc, again + i * doc.len);
        if (i == 0) report("first, fresh model", first, doc.len);
        grammar_unref(g);
    }
    qsort(compile, ROUNDS, sizeof *compile, by_value);
    printf("compile %.2f ms (median of %d)\n", compile[ROUNDS / 2], ROUNDS);
    report("first, fresh grammar", first + doc.len, (ROUNDS - 1) * doc.len);
    report("again", again, ROUNDS * doc.len);
    mem_free(first);
    mem_free(again);
    mem_free(schema);
    mem_free(text);
    token_list_free(&doc);
    token_index_close(ti);
    vocab_close(v);
    gguf_close(file);
    return 0;
}
