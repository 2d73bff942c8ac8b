/* gguf_sec_test.c - the faults that other GGUF readers had (spec/known-weaknesses.md; the tests
 * have the names of the reports): hostile values in every field of real files. All must be refused
 * or read within bounds (run under ASan and UBSan), without memory for what a file merely claims.
 *
 * Quantizing has its own in quantize_test.c. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/file/gguf_write.h"
#include "engine/vocab/vocab.h"

/* ---- files and their fields ---- */

enum field { LENGTH, COUNT, DIMENSION, OFFSET, TYPE, FIELDS };

struct fields {
    size_t at[2048];
    enum field kind[2048];
    size_t n;
};

struct file {
    char *data;
    size_t size;
    struct fields fields;
};

static uint64_t take(const struct file *f, size_t *pos, unsigned n) {
    uint64_t v = 0;
    assert_true(*pos + n <= f->size);
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)(unsigned char)f->data[*pos + i] << (8 * i);
    *pos += n;
    return v;
}

static void note(struct file *f, size_t at, enum field kind) {
    struct fields *s = &f->fields;
    if (s->n < sizeof s->at / sizeof *s->at) {
        s->at[s->n] = at;
        s->kind[s->n++] = kind;
    }
}

static void skip_string(struct file *f, size_t *pos) {
    note(f, *pos, LENGTH);
    const uint64_t n = take(f, pos, 8);
    *pos += (size_t)n;
}

static void skip_value(struct file *f, size_t *pos, uint64_t type, uint64_t n) {
    static const unsigned size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == GGUF_STRING)
        for (uint64_t i = 0; i < n; i++) skip_string(f, pos);
    else
        *pos += (size_t)n * size[type];
}

/* Where each field of a valid file is; an own walk, not the reader's. */
static void find_fields(struct file *f) {
    size_t pos = 8;
    note(f, 8, COUNT);
    const uint64_t n_tensors = take(f, &pos, 8);
    note(f, 16, COUNT);
    const uint64_t n_kv = take(f, &pos, 8);
    for (uint64_t i = 0; i < n_kv; i++) {
        skip_string(f, &pos);
        note(f, pos, TYPE);
        uint64_t type = take(f, &pos, 4), n = 1;
        if (type == GGUF_ARRAY) {
            note(f, pos, TYPE);
            type = take(f, &pos, 4);
            note(f, pos, COUNT);
            n = take(f, &pos, 8);
        }
        skip_value(f, &pos, type, n);
    }
    for (uint64_t i = 0; i < n_tensors; i++) {
        skip_string(f, &pos);
        note(f, pos, TYPE);
        const uint64_t n_dims = take(f, &pos, 4);
        for (uint64_t d = 0; d < n_dims; d++) {
            note(f, pos, DIMENSION);
            take(f, &pos, 8);
        }
        note(f, pos, TYPE);
        take(f, &pos, 4);
        note(f, pos, OFFSET);
        take(f, &pos, 8);
    }
}

/* Opens exactly these bytes from the heap; gives back what ASan needs to see of them. */
static void try_bytes(const char *data, size_t n) {
    struct gguf *g = NULL;
    struct err e = {0};
    char *copy = mem_alloc(n);
    volatile unsigned sum = 0;
    const long live = mem_live();
    memcpy(copy, data, n);
    enum status st = gguf_open_memory(&g, copy, n, "t.gguf", &e);
    if (st == ST_OK) {
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            if (t->size != 0) sum += (unsigned)t->data[0] + (unsigned)t->data[t->size - 1];
        }
        for (size_t i = 0; i < gguf_n_kv(g); i++) {
            const struct gguf_kv *kv = gguf_kv_at(g, i);
            if (kv->elem != GGUF_STRING) continue;
            for (uint64_t k = 0; k < kv->count; k++) {
                struct gguf_str s = gguf_elem_str(g, kv, k);
                if (s.len != 0) sum += (unsigned char)s.ptr[s.len - 1];
            }
        }
        gguf_close(g);
    } else {
        assert_non_null(strstr(e.msg, "t.gguf: "));
    }
    assert_int_equal(mem_live(), live);
    mem_free(copy);
}

typedef void file_fn(struct file *f);

/* Calls fn for each valid file here. */
static void for_each(file_fn *fn) {
    static const char dir[] = "golden/gguf/valid";
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[512];
        const size_t len = strlen(entry->d_name);
        if (len < 5 || strcmp(entry->d_name + len - 5, ".gguf") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        struct file *f = calloc(1, sizeof *f);
        assert_int_equal(os_file_read(path, 1 << 24, &f->data, &f->size, NULL), ST_OK);
        find_fields(f);
        fn(f);
        mem_free(f->data);
        free(f);
        n++;
    }
    closedir(d);
    assert_true(n >= 5);
}

/* Each field of the kinds in turn gets each of the values (4 or 8 bytes wide). */
static void patch_all(struct file *f, unsigned kinds, const uint64_t *values, size_t n) {
    for (size_t i = 0; i < f->fields.n; i++) {
        const enum field kind = f->fields.kind[i];
        char *p = f->data + f->fields.at[i], old[8];
        const size_t width = kind == TYPE ? 4 : 8;
        if ((kinds & 1u << kind) == 0) continue;
        memcpy(old, p, width);
        for (size_t k = 0; k < n; k++) {
            memcpy(p, &values[k], width);
            try_bytes(f->data, f->size);
        }
        memcpy(p, old, width);
    }
}
#define PATCH(f, kinds, ...)                                                                       \
    patch_all(f, kinds, (const uint64_t[]){__VA_ARGS__},                                           \
              sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
#define BIT(kind) (1u << (kind))

/* ---- every prefix ---- */

static void prefixes(struct file *f) {
    for (size_t n = 0; n < f->size; n += n < 4096 ? 1 : 211) try_bytes(f->data, n);
}
static void sec_CVE_2024_39720(void **state) {
    (void)state;
    for_each(prefixes);
}

/* ---- any bytes ---- */

static uint64_t seed = 88172645463325252u;
static uint64_t next_random(void) { /* xorshift64 */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}
static void mutations(struct file *f) {
    const size_t meta = f->size < 2048 ? f->size : 2048;
    for (int i = 0; i < 500; i++) {
        char *copy = mem_alloc(f->size);
        memcpy(copy, f->data, f->size);
        for (uint64_t k = next_random() % 4 + 1; k > 0; k--)
            copy[next_random() % meta] = (char)next_random();
        try_bytes(copy, f->size);
        mem_free(copy);
    }
}
static void sec_CVE_2024_12055(void **state) {
    (void)state;
    for_each(mutations);
}

/* ---- counts: no memory for what is only claimed ---- */

static void counts(struct file *f) {
    PATCH(f, BIT(COUNT), 1u << 20, 1u << 30, INT32_MAX, UINT32_MAX, UINT64_C(1) << 40, INT64_MAX,
          UINT64_MAX, UINT64_MAX / 48, UINT64_MAX / 48 + 1, UINT64_MAX / 88 + 1);
}
static void sec_CVE_2025_0315(void **state) {
    (void)state;
    const size_t before = os_rss_peak_bytes();
    for_each(counts);
    assert_true(os_rss_peak_bytes() - before < 64u << 20);
}

/* Counts whose product with the size of an element, in the file or in memory, wraps to a little. */
static void products(struct file *f) {
    uint64_t value[40];
    size_t n = 0;
    for (uint64_t size = 2; size <= 256; size += size < 32 ? 2 : 32) {
        value[n++] = UINT64_MAX / size + 1;
        if (size >= 128) value[n++] = UINT64_MAX / size + 2;
    }
    patch_all(f, BIT(COUNT), value, n);
}
static void sec_llama_cpp_15711(void **state) {
    (void)state;
    for_each(products);
}

/* Opening with each allocation failing in turn. */
static void without_memory(struct file *f) {
    struct gguf *g = NULL;
    struct err e;
    enum status st = ST_NO_MEMORY;
    for (long n = 1; st == ST_NO_MEMORY; n++) {
        const long live = mem_live();
        mem_fail_at(n);
        st = gguf_open_memory(&g, f->data, f->size, "t.gguf", &e);
        mem_fail_at(0);
        if (st == ST_OK) gguf_close(g);
        assert_int_equal(mem_live(), live);
    }
    assert_int_equal(st, ST_OK);
}
static void sec_CVE_2024_32878(void **state) {
    (void)state;
    for_each(without_memory);
}

/* ---- lengths of texts and arrays ---- */

static void lengths(struct file *f) {
    PATCH(f, BIT(LENGTH) | BIT(COUNT), UINT64_C(1) << 31, (UINT64_C(1) << 31) - 1,
          UINT64_C(1) << 32, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, UINT64_MAX, UINT64_MAX - 7,
          UINT64_MAX - f->size, f->size, f->size - 1, f->size + 1);
}
static void sec_CVE_2025_66959(void **state) {
    (void)state;
    for_each(lengths);
}

/* ---- sums and products of sizes ---- */

static void sizes(struct file *f) {
    PATCH(f, BIT(DIMENSION) | BIT(OFFSET), UINT64_C(1) << 32, (UINT64_C(1) << 32) - 32,
          UINT64_C(1) << 62, (UINT64_C(1) << 63) - 32, UINT64_C(1) << 63, UINT64_MAX - 31,
          UINT64_MAX, UINT64_MAX / 4 + 1, UINT64_MAX / 18 + 1, 0, 1, 31, 33);
}
static void sec_CVE_2025_53630(void **state) {
    (void)state;
    for_each(sizes);
}

static void types(struct file *f) {
    PATCH(f, BIT(TYPE), 0, 1, 4, 8, 9, 12, 13, 31, 36, 43, 255, INT32_MAX, UINT32_MAX,
          UINT32_C(0x80000000));
}
static void sec_CVE_2024_21802(void **state) {
    (void)state;
    for_each(types);
}

/* Every rank from 0 to 5, with dimensions whose product or size wraps. */
static void sec_CVE_2026_33298(void **state) {
    (void)state;
    static const uint64_t dims[] = {0,
                                    1,
                                    32,
                                    UINT64_C(1) << 16,
                                    UINT64_C(1) << 31,
                                    UINT64_C(1) << 32,
                                    UINT64_C(1) << 61,
                                    INT64_MAX,
                                    UINT64_MAX};
    enum { N = sizeof dims / sizeof *dims };
    for (uint32_t rank = 0; rank <= 5; rank++) {
        for (unsigned pick = 0; pick < N * N * N; pick++) {
            const unsigned which[] = {pick % N, pick / N % N, pick / N / N, pick % N, pick / N % N};
            for (uint32_t type = 0; type < 15; type += 7) { /* F32, Q5_1, Q6_K */
                char b[256] = "GGUF\3";
                size_t n = 24;
                b[8] = 1;
                b[n] = 1; /* a name of one byte */
                b[n + 8] = 't';
                n += 9;
                memcpy(b + n, &rank, 4);
                n += 4;
                for (uint32_t d = 0; d < rank; d++, n += 8) memcpy(b + n, &dims[which[d]], 8);
                memcpy(b + n, &type, 4);
                try_bytes(b, n + 12);
                try_bytes(b, sizeof b);
            }
        }
    }
}

/* ---- texts of tokens ---- */

/* Tokens of every length that some integer type could misread; each gives back its own text. */
static void sec_CVE_2025_49847(void **state) {
    (void)state;
    static const size_t lens[] = {0, 1, 127, 128, 129, 255, 256, 257, 32767, 32768, 65535, 65536};
    enum { N = sizeof lens / sizeof *lens };
    struct gguf_str texts[N];
    float scores[N] = {0};
    int32_t kinds[N];
    char *long_text = mem_alloc(65536);
    memset(long_text, 'a', 65536);
    for (size_t i = 0; i < N; i++) {
        texts[i] = (struct gguf_str){long_text, lens[i]};
        kinds[i] = 1;
    }
    struct gguf_writer *w;
    struct gguf *g;
    struct buf b = {0};
    struct vocab *v = NULL;
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_text(w, "general.architecture", "llama");
    gguf_put_text(w, "tokenizer.ggml.model", "llama");
    gguf_put_array(w, "tokenizer.ggml.tokens", GGUF_STRING, N, texts);
    gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, N, scores);
    gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, N, kinds);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
    gguf_writer_free(w);
    assert_int_equal(gguf_open_memory(&g, b.data, b.len, "t.gguf", NULL), ST_OK);
    if (vocab_open(&v, g, NULL) == ST_OK) {
        struct token_list ids = {0};
        for (size_t i = 0; i < N; i++) {
            size_t len = 0;
            vocab_piece(v, (token_id)i, true, &len);
            assert_true(len <= 65536);
        }
        vocab_encode(v, long_text, 65536, 0, &ids, NULL);
        token_list_free(&ids);
        vocab_close(v);
    }
    gguf_close(g);
    buf_free(&b);
    mem_free(long_text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sec_CVE_2024_39720),  cmocka_unit_test(sec_CVE_2024_12055),
        cmocka_unit_test(sec_CVE_2025_0315),   cmocka_unit_test(sec_CVE_2025_66959),
        cmocka_unit_test(sec_CVE_2025_53630),  cmocka_unit_test(sec_CVE_2024_21802),
        cmocka_unit_test(sec_CVE_2026_33298),  cmocka_unit_test(sec_CVE_2025_49847),
        cmocka_unit_test(sec_llama_cpp_15711), cmocka_unit_test(sec_CVE_2024_32878),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
