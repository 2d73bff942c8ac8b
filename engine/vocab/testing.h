/* testing.h - what the tests of engine/vocab share: GGUF files made in memory, small vocabularies.
 * Static functions only; included by *_test.c and by nothing else. */
#ifndef CRIA_ENGINE_VOCAB_TESTING_H
#define CRIA_ENGINE_VOCAB_TESTING_H

/* cmocka.h wants these three before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab.h"

/* -- a GGUF file in memory --------------------------------------------------------------------- */

struct maker {
    struct buf kv;
    uint64_t n_kv;
};

static inline void put(struct buf *b, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_chr(b, (char)(v >> 8 * i & 0xFF));
}
static inline void put_text(struct buf *b, const char *s, size_t len) {
    put(b, len, 8);
    buf_add(b, s, len);
}
static inline void make_key(struct maker *m, const char *key, unsigned type) {
    put_text(&m->kv, key, strlen(key));
    put(&m->kv, type, 4);
    m->n_kv++;
}
static inline void make_str(struct maker *m, const char *key, const char *value) {
    make_key(m, key, 8);
    put_text(&m->kv, value, strlen(value));
}
static inline void make_u32(struct maker *m, const char *key, uint32_t value) {
    make_key(m, key, 4);
    put(&m->kv, value, 4);
}
static inline void make_bool(struct maker *m, const char *key, bool value) {
    make_key(m, key, 7);
    put(&m->kv, value, 1);
}
static inline void make_i32s(struct maker *m, const char *key, const int *value, size_t n) {
    make_key(m, key, 9);
    put(&m->kv, 5, 4);
    put(&m->kv, n, 8);
    for (size_t i = 0; i < n; i++) put(&m->kv, (uint32_t)value[i], 4);
}
static inline void make_f32s(struct maker *m, const char *key, const float *value, size_t n) {
    make_key(m, key, 9);
    put(&m->kv, 6, 4);
    put(&m->kv, n, 8);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &value[i], 4);
        put(&m->kv, bits, 4);
    }
}
static inline void make_strs(struct maker *m, const char *key, const char *const *value, size_t n) {
    make_key(m, key, 9);
    put(&m->kv, 8, 4);
    put(&m->kv, n, 8);
    for (size_t i = 0; i < n; i++) put_text(&m->kv, value[i], strlen(value[i]));
}

struct file {
    char *data;
    struct gguf *gguf;
    struct vocab *vocab;
    struct err err;
};

static inline void file_make(struct file *f, struct maker *m) {
    struct buf b = {0};
    *f = (struct file){0};
    buf_str(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 0, 8);
    put(&b, m->n_kv, 8);
    buf_add(&b, m->kv.data, m->kv.len);
    size_t size = b.len;
    buf_free(&m->kv);
    f->data = buf_take(&b);
    assert_int_equal(gguf_open_memory(&f->gguf, f->data, size, "test.gguf", &f->err), ST_OK);
}
static inline enum status file_open(struct file *f, struct maker *m) {
    file_make(f, m);
    return vocab_open(&f->vocab, f->gguf, &f->err);
}
static inline void file_close(struct file *f) {
    vocab_close(f->vocab);
    gguf_close(f->gguf);
    mem_free(f->data);
}

/* -- small vocabularies ------------------------------------------------------------------------ */

enum { MAX_TOKENS = 400 };
struct tokens {
    const char *text[MAX_TOKENS];
    char space[MAX_TOKENS][8];
    int type[MAX_TOKENS];
    float score[MAX_TOKENS];
    size_t n;
};

static inline int add(struct tokens *t, const char *text, int type, float score) {
    assert_true(t->n < MAX_TOKENS);
    t->text[t->n] = text;
    t->type[t->n] = type;
    t->score[t->n] = score;
    return (int)t->n++;
}
static inline void add_byte_tokens(struct tokens *t) { /* "<0x00>" .. */
    for (unsigned b = 0; b < 256; b++) {
        snprintf(t->space[t->n], sizeof t->space[0], "<0x%02X>", b);
        add(t, t->space[t->n], 6, 0);
    }
}
static inline void
add_mapped_bytes(struct tokens *t) { /* one token per byte, as byte-level BPE writes it */
    unsigned other = 0x100;
    for (unsigned b = 0; b < 256; b++) {
        bool plain = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        unsigned cp = plain ? b : other++;
        char *s = t->space[t->n];
        if (cp < 0x80)
            snprintf(s, 8, "%c", (char)cp);
        else
            snprintf(s, 8, "%c%c", (char)(0xC0 | cp >> 6), (char)(0x80 | (cp & 63)));
        add(t, s, 1, 0);
    }
}
static inline void make_tokens(struct maker *m, const struct tokens *t, bool scores) {
    make_strs(m, "tokenizer.ggml.tokens", t->text, t->n);
    make_i32s(m, "tokenizer.ggml.token_type", t->type, t->n);
    if (scores) make_f32s(m, "tokenizer.ggml.scores", t->score, t->n);
}

/* <unk> <s> </s>, bytes from 3, then a few pieces from 259. */
static inline void spm_tokens(struct tokens *t) {
    *t = (struct tokens){.n = 0};
    add(t, "<unk>", 2, 0);
    add(t, "<s>", 3, 0);
    add(t, "</s>", 3, 0);
    add_byte_tokens(t);
    add(t, "\xE2\x96\x81", 1, -10); /* 259 */
    add(t, "a", 1, -11);            /* 260 */
    add(t, "b", 1, -12);            /* 261 */
    add(t, "aa", 1, -1);            /* 262 */
    add(t, "aaaa", 1, -3);          /* 263 */
    add(t, "ab", 1, -1);            /* 264 */
    add(t,
        "\xE2\x96\x81"
        "a",
        1, -2);                                /* 265 */
    add(t, "\xE2\x96\x81\xE2\x96\x81", 1, -4); /* 266 */
    add(t, "<|im_end|>", 4, 0);                /* 267 */
    add(t, "<|x|>", 3, 0);                     /* 268 */
}
static inline void spm_open(struct file *f) {
    struct tokens t;
    struct maker m = {{0}, 0};
    spm_tokens(&t);
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_tokens(&m, &t, true);
    assert_int_equal(file_open(f, &m), ST_OK);
}

/* Bytes from 0, then pieces from 256; pre as given. */
static inline void bpe_make(struct maker *m, const char *pre) {
    static const char *const merges[] = {"a a", "aa aa", "\xC4\xA0 a", "\xC4\xA0 \xC4\xA0",
                                         "a b", "b c",   "bc d",       "x y"};
    struct tokens t = {.n = 0};
    add_mapped_bytes(&t);
    add(&t, "aa", 1, 0);   /* 256 */
    add(&t, "aaaa", 1, 0); /* 257 */
    add(&t,
        "\xC4\xA0"
        "a",
        1, 0);                         /* 258 */
    add(&t, "\xC4\xA0\xC4\xA0", 1, 0); /* 259 */
    add(&t, "ab", 1, 0);               /* 260 */
    add(&t, "bcd", 1, 0);              /* 261: from "bc", which is no token */
    add(&t, "<|im_start|>", 3, 0);     /* 262 */
    add(&t, "<|im_end|>", 3, 0);       /* 263 */
    add(&t, "abcd", 1, 0);             /* 264: no merge leads to it */
    make_str(m, "tokenizer.ggml.model", "gpt2");
    make_str(m, "tokenizer.ggml.pre", pre);
    make_tokens(m, &t, false);
    make_strs(m, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
}
static inline void bpe_open(struct file *f, const char *pre) {
    struct maker m = {{0}, 0};
    bpe_make(&m, pre);
    assert_int_equal(file_open(f, &m), ST_OK);
}

/* Ids as text: "1 259 260". */
static inline const char *ids_of(const struct vocab *v, const char *text, size_t len,
                                 unsigned flags) {
    static char out[512];
    struct token_list ids = {0};
    size_t at = 0;
    out[0] = '\0';
    assert_int_equal(vocab_encode(v, text, len, flags, &ids, NULL), ST_OK);
    for (size_t i = 0; i < ids.len && at < sizeof out; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, i == 0 ? "%d" : " %d", ids.ids[i]);
    token_list_free(&ids);
    return out;
}
static inline const char *ids(const struct vocab *v, const char *text, unsigned flags) {
    return ids_of(v, text, strlen(text), flags);
}

static inline void expect_error(struct maker *m, enum status st, const char *text) {
    struct file f;
    assert_int_equal(file_open(&f, m), st);
    assert_non_null(strstr(f.err.msg, text));
    assert_null(f.vocab);
    file_close(&f);
}

/* Makes the first, second, ... allocation fail until everything succeeds. */
static inline void fail_each(struct file *f, const char *text, size_t len) {
    bool done = false;
    for (long n = 1; !done; n++) {
        long live = mem_live();
        struct vocab *v = NULL;
        struct token_list out = {0};
        struct err e = {0};
        mem_fail_at(n);
        enum status st = vocab_open(&v, f->gguf, &e);
        if (st == ST_OK) st = vocab_encode(v, text, len, VOCAB_PARSE_SPECIAL, &out, &e);
        done = st == ST_OK && out.len > 0;
        mem_fail_at(0);
        if (!done) {
            assert_int_equal(st, ST_NO_MEMORY);
            assert_int_equal(out.len, 0);
        }
        token_list_free(&out);
        vocab_close(v);
        assert_int_equal(mem_live(), live);
        assert_true(n < 1000);
    }
}

#endif
