/* tokenize.c - how fast texts become token ids: bench-tokenize MODEL.gguf TEXT...
 *
 * Prints one JSON object: the time to open the vocabulary (the file is mapped before, best of 5),
 * and for each text bytes, ids, the best of some passes over the whole of it, in MB (10^6 bytes) a
 * second of processor time, one thread, and by how many bytes for each of the text the process grew
 * beyond its largest size before (so it says something about the first text, or the largest).
 * bench/compare_tokenizers.py runs it beside other tokenizers. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab.h"

enum { OPENS = 5, PASSES = 5, ENOUGH_MS = 4000 };

/* Processor time: on a shared machine the clock on the wall measures the neighbours. */
static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double largest_bytes(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return 1024.0 * (double)u.ru_maxrss;
}

static double ms_since(int64_t start) { return (double)(now_ns() - start) / 1e6; }

static void die(const char *what, const struct err *e) {
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

static struct buf read_file(const char *path) {
    struct buf b = {0};
    char block[65536];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) buf_add(&b, block, n);
    fclose(f);
    return b;
}

static struct vocab *open_vocab(const struct gguf *g, const char *path) {
    struct vocab *v = NULL;
    struct err e;
    double best = 1e9;
    for (int i = 0; i < OPENS; i++) {
        vocab_close(v);
        const int64_t start = now_ns();
        if (vocab_open(&v, g, &e) != ST_OK) die(path, &e);
        const double ms = ms_since(start);
        if (ms < best) best = ms;
    }
    printf("{\"tokens\":%u,\"load_ms\":%.1f,\"texts\":{", vocab_size(v), best);
    return v;
}

static void measure(const struct vocab *v, const char *path, bool first) {
    struct buf text = read_file(path);
    struct token_list ids = {0};
    struct err e;
    double best = 1e9, all = 0;
    const double before = largest_bytes();
    for (int i = 0; i < PASSES && all < ENOUGH_MS; i++) {
        ids.len = 0;
        const int64_t start = now_ns();
        if (vocab_encode(v, text.data, text.len, 0, &ids, &e) != ST_OK) die(path, &e);
        const double ms = ms_since(start);
        if (ms < best) best = ms;
        all += ms;
    }
    printf("%s\"%s\":{\"bytes\":%zu,\"ids\":%zu,\"mbs\":%.2f,\"memory\":%.1f}", first ? "" : ",",
           path, text.len, ids.len, (double)text.len / 1e3 / best,
           (largest_bytes() - before) / (double)text.len);
    token_list_free(&ids);
    buf_free(&text);
}

int main(int argc, char **argv) {
    struct gguf *g;
    struct err e;
    if (argc < 2) {
        fprintf(stderr, "usage: %s MODEL.gguf TEXT...\n", argv[0]);
        return 2;
    }
    if (gguf_open(&g, argv[1], &e) != ST_OK) die(argv[1], &e);
    struct vocab *v = open_vocab(g, argv[1]);
    for (int i = 2; i < argc; i++) measure(v, argv[i], i == 2);
    printf("}}\n");
    vocab_close(v);
    gguf_close(g);
    return 0;
}
