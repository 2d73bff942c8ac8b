/* imatrix_write.c - sums of squares under collection, and their file (spec/quants.md 8.2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/file/gguf_write.h"
#include "engine/quantize/imatrix.h"

struct imatrix_sums {
    struct arena arena;
    struct imatrix_sum **sum; /* in the arena: pointers to them stay valid */
    size_t n, cap;
    struct map names;
};

enum status imatrix_sums_new(struct imatrix_sums **out, struct err *e) {
    *out = mem_zalloc(1, sizeof **out);
    return *out != NULL ? ST_OK : err_no_memory(e);
}

void imatrix_sums_free(struct imatrix_sums *s) {
    if (s == NULL) return;
    arena_free(&s->arena);
    map_free(&s->names);
    mem_free(s->sum);
    mem_free(s);
}

static struct imatrix_sum *make(struct imatrix_sums *s, const char *name, size_t n_cols,
                                size_t n_mat) {
    size_t n;
    struct imatrix_sum *sum = arena_zalloc(&s->arena, 1, sizeof *sum);
    if (sum == NULL || !mem_mul(n_cols, n_mat, &n)) return NULL;
    *sum = (struct imatrix_sum){.n_cols = n_cols, .n_mat = n_mat};
    sum->name = arena_strndup(&s->arena, name, strlen(name));
    sum->sum2 = arena_zalloc(&s->arena, n, sizeof *sum->sum2);
    sum->count = arena_zalloc(&s->arena, n_mat, sizeof *sum->count);
    return sum->name != NULL && sum->sum2 != NULL && sum->count != NULL ? sum : NULL;
}

struct imatrix_sum *imatrix_sums_get(struct imatrix_sums *s, const char *name, size_t n_cols,
                                     size_t n_mat) {
    uint32_t i;
    if (map_get(&s->names, name, strlen(name), &i)) return s->sum[i];
    if (s->n == s->cap) {
        size_t cap = s->cap != 0 ? 2 * s->cap : 64;
        struct imatrix_sum **grown = mem_grow(s->sum, cap, sizeof(struct imatrix_sum *));
        if (grown == NULL) return NULL;
        s->sum = grown;
        s->cap = cap;
    }
    struct imatrix_sum *sum = make(s, name, n_cols, n_mat);
    if (sum == NULL || !map_put(&s->names, sum->name, strlen(name), (uint32_t)s->n, NULL))
        return NULL;
    return s->sum[s->n++] = sum;
}

/* ---- the file ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct imatrix_sum *const *)a)->name, (*(struct imatrix_sum *const *)b)->name);
}

static enum status put_floats(struct gguf_writer *w, const double *x, size_t n, struct err *e) {
    float piece[1024];
    enum status st = ST_OK;
    while (n != 0 && st == ST_OK) {
        const size_t k = n < 1024 ? n : 1024;
        for (size_t i = 0; i < k; i++) piece[i] = (float)x[i];
        st = gguf_write_data(w, piece, k * sizeof *piece, e);
        x += k;
        n -= k;
    }
    return st;
}

static void add_tensor(struct gguf_writer *w, const char *name, const char *end, size_t n_cols,
                       size_t n_mat) {
    char text[128];
    snprintf(text, sizeof text, "%s%s", name, end);
    gguf_add_tensor(w, gguf_str_of(text), DT_F32, 2, (int64_t[]){(int64_t)n_cols, (int64_t)n_mat});
}

static enum status write_sorted(struct gguf_writer *w, struct imatrix_sum *const *sum, size_t n,
                                const char *path, struct err *e) {
    for (size_t i = 0; i < n; i++) {
        add_tensor(w, sum[i]->name, ".in_sum2", sum[i]->n_cols, sum[i]->n_mat);
        add_tensor(w, sum[i]->name, ".counts", 1, sum[i]->n_mat);
    }
    enum status st = gguf_write_file(w, path, e);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        st = put_floats(w, sum[i]->sum2, sum[i]->n_cols * sum[i]->n_mat, e);
        if (st == ST_OK) st = put_floats(w, sum[i]->count, sum[i]->n_mat, e);
    }
    return st == ST_OK ? gguf_write_finish(w, e) : st;
}

enum status imatrix_sums_write(const struct imatrix_sums *s, const char *path, const char *dataset,
                               uint32_t chunks, uint32_t chunk_size, struct err *e) {
    struct gguf_writer *w;
    struct gguf_str set = gguf_str_of(dataset);
    enum status st = gguf_writer_new(&w, e);
    if (st != ST_OK) return st;
    gguf_put_text(w, "general.type", "imatrix");
    gguf_put_array(w, "imatrix.datasets", GGUF_STRING, 1, &set);
    gguf_put_u32(w, "imatrix.chunk_count", chunks);
    gguf_put_u32(w, "imatrix.chunk_size", chunk_size);
    struct imatrix_sum **sorted = mem_array(s->n + 1, sizeof(struct imatrix_sum *));
    if (sorted == NULL) {
        st = err_no_memory(e);
    } else {
        for (size_t i = 0; i < s->n; i++) sorted[i] = s->sum[i];
        qsort(sorted, s->n, sizeof(struct imatrix_sum *), by_name);
        st = write_sorted(w, sorted, s->n, path, e);
    }
    mem_free(sorted);
    gguf_writer_free(w);
    return st;
}
