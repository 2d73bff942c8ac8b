/* fuzz_vocab.h - a vocabulary made from fuzzed bytes, for the targets tokenizer and detokenizer.
 *
 *     kind, pre, flags, bias of all lengths
 *     number of tokens, each: length, bytes, type, score (signed)
 *     number of merges, each: length, bytes
 *     length of a character map, bytes
 *
 * The rest is left to the target. With FUZZ_BYTES the 256 byte tokens come first, so that every
 * text can be written; with FUZZ_PLAIN all types are "normal". */
#ifndef CRIA_FUZZ_FUZZ_VOCAB_H
#define CRIA_FUZZ_FUZZ_VOCAB_H

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab.h"
#include "fuzz/fuzz.h"

enum fuzz_vocab_flags {
    FUZZ_BYTES = 1,
    FUZZ_PLAIN = 2,
    FUZZ_NO_PREFIX = 4,
    FUZZ_COLLAPSE = 8,
    FUZZ_ADD_EOS = 16,
    FUZZ_LOWER = 32,
    FUZZ_PHI3 = 64,
    FUZZ_NO_SCORES = 128,
};

struct fuzz_input {
    const uint8_t *p, *end;
};

struct fuzz_vocab {
    struct gguf *gguf;
    struct vocab *vocab; /* NULL: refused */
    char *file;
    unsigned flags;
    const char *kind;
    struct err err;
};

static uint8_t fuzz_byte(struct fuzz_input *in) { return in->p < in->end ? *in->p++ : 0; }

static size_t fuzz_bytes(struct fuzz_input *in, size_t n, const char **out) {
    const size_t left = (size_t)(in->end - in->p);
    *out = (const char *)in->p;
    if (n > left) n = left;
    in->p += n;
    return n;
}

static void fuzz_int(struct buf *b, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_chr(b, (char)(v >> 8 * i & 0xFF));
}
static void fuzz_text(struct buf *b, const char *text, size_t len) {
    fuzz_int(b, len, 8);
    buf_add(b, text, len);
}
static void fuzz_key(struct buf *b, const char *key, unsigned type, uint64_t *n) {
    fuzz_text(b, key, strlen(key));
    fuzz_int(b, type, 4);
    ++*n;
}
static void fuzz_flag(struct buf *b, const char *key, bool on, uint64_t *n) {
    fuzz_key(b, key, 7, n);
    buf_chr(b, (char)on);
}
static void fuzz_array(struct buf *b, const char *key, unsigned type, uint64_t count,
                       const struct buf *elems, uint64_t *n) {
    fuzz_key(b, key, 9, n);
    fuzz_int(b, type, 4);
    fuzz_int(b, count, 8);
    buf_add(b, elems->data, elems->len);
}

struct fuzz_tokens {
    struct buf texts, types, scores;
    uint64_t n;
};

static void fuzz_token(struct fuzz_tokens *t, const char *text, size_t len, int type, float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    fuzz_text(&t->texts, text, len);
    fuzz_int(&t->types, (uint32_t)type, 4);
    fuzz_int(&t->scores, bits, 4);
    t->n++;
}

static void fuzz_add(struct fuzz_tokens *t, const struct fuzz_tokens *more) {
    buf_add(&t->texts, more->texts.data, more->texts.len);
    buf_add(&t->types, more->types.data, more->types.len);
    buf_add(&t->scores, more->scores.data, more->scores.len);
    t->n += more->n;
}

static void fuzz_free_tokens(struct fuzz_tokens *t) {
    buf_free(&t->texts);
    buf_free(&t->types);
    buf_free(&t->scores);
}

/* Byte-level kinds write bytes with their map, the others as "<0x41>". Both lists are made once. */
static void fuzz_byte_tokens(struct fuzz_tokens *t, bool mapped) {
    static struct fuzz_tokens made[2];
    unsigned next = 256;
    for (unsigned b = 0; b < 256 && made[mapped].n < 256; b++) {
        char text[8];
        const bool own = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
        if (mapped)
            fuzz_token(&made[1], text, utf8_encode(own ? b : next++, text), 1, 0);
        else
            fuzz_token(&made[0], text, (size_t)snprintf(text, sizeof text, "<0x%02X>", b), 6, 0);
    }
    fuzz_add(t, &made[mapped]);
}

/* What is made once is made before memory is counted. */
static void fuzz_vocab_prepare(void) {
    static bool done;
    struct fuzz_tokens t = {0};
    if (done) return;
    done = true;
    fuzz_byte_tokens(&t, false);
    fuzz_byte_tokens(&t, true);
    fuzz_free_tokens(&t);
}

/* What the bytes say, before it is written as a file. */
struct fuzz_parts {
    const char *pre, *map;
    size_t map_len;
    struct fuzz_tokens tokens;
    struct buf merges;
    uint64_t n_merges;
};

static void fuzz_read_tokens(struct fuzz_tokens *t, struct fuzz_input *in, bool plain,
                             unsigned longer) {
    const char *text;
    for (unsigned i = fuzz_byte(in) % 64; i > 0; i--) {
        const uint8_t len = fuzz_byte(in);
        const size_t got = fuzz_bytes(in, len % 16 + (len >= 240 ? longer : 0), &text);
        const int type = fuzz_byte(in) % 8;
        const float score = (float)(int8_t)fuzz_byte(in);
        fuzz_token(t, text, got, plain ? 1 : type, score);
    }
}

static void fuzz_read_parts(struct fuzz_vocab *v, struct fuzz_input *in, struct fuzz_parts *p) {
    static const char *const kinds[] = {"llama", "gpt2",   "gemma4",    "bert",       "t5",
                                        "rwkv",  "plamo2", "hybriddna", "whitespace", "none"};
    static const char *const pres[] = {"default",     "llama3",
                                       "qwen2",       "qwen35",
                                       "gpt-2",       "starcoder",
                                       "laguna",      "falcon",
                                       "jais-2",      "minicpm5",
                                       "gemma4",      "deepseek-llm",
                                       "deepseek-v3", "deepseek-coder",
                                       "spark2_5",    "youtu",
                                       "bloom",       "viking",
                                       "tekken",      "chameleon",
                                       "gpt-4o",      "granite-embed-multi-97m",
                                       "tiny_aya",    "kimi-k2",
                                       "superbpe",    "seed-coder",
                                       "ufakzeka",    "afmoe",
                                       "exaone-moe",  "whitespace"};
    const char *text;
    v->kind = kinds[fuzz_byte(in) % (sizeof kinds / sizeof *kinds)];
    p->pre = pres[fuzz_byte(in) % (sizeof pres / sizeof *pres)];
    v->flags = fuzz_byte(in);
    const unsigned longer = fuzz_byte(in) % 8 * 16; /* lets a few tokens be long */
    const bool mapped = (strcmp(v->kind, "gpt2") == 0 || strcmp(v->kind, "hybriddna") == 0) &&
                        strcmp(p->pre, "gemma4") != 0 && strcmp(p->pre, "whitespace") != 0;
    if ((v->flags & FUZZ_BYTES) != 0) fuzz_byte_tokens(&p->tokens, mapped);
    fuzz_read_tokens(&p->tokens, in, (v->flags & FUZZ_PLAIN) != 0, longer);
    for (; p->n_merges < 64 && in->p < in->end && *in->p != 0; p->n_merges++) {
        const size_t got = fuzz_bytes(in, fuzz_byte(in) % 32, &text);
        fuzz_text(&p->merges, text, got);
    }
    fuzz_byte(in);
    p->map_len = fuzz_bytes(in, 4u * (fuzz_byte(in) % 32), &p->map);
}

/* The pairs of the file; how many. */
static uint64_t fuzz_put_pairs(struct buf *kv, const struct fuzz_vocab *v,
                               const struct fuzz_parts *p) {
    const struct fuzz_tokens *t = &p->tokens;
    uint64_t n = 0;
    fuzz_key(kv, "tokenizer.ggml.model", 8, &n);
    fuzz_text(kv, v->kind, strlen(v->kind));
    fuzz_key(kv, "tokenizer.ggml.pre", 8, &n);
    fuzz_text(kv, p->pre, strlen(p->pre));
    fuzz_key(kv, "general.architecture", 8, &n);
    fuzz_text(kv, "llama", 5);
    fuzz_key(kv, "general.name", 8, &n);
    fuzz_text(kv, (v->flags & FUZZ_PHI3) != 0 ? "phi-3" : "other", 5);
    fuzz_array(kv, "tokenizer.ggml.tokens", 8, t->n, &t->texts, &n);
    fuzz_array(kv, "tokenizer.ggml.token_type", 5, t->n, &t->types, &n);
    if ((v->flags & FUZZ_NO_SCORES) == 0)
        fuzz_array(kv, "tokenizer.ggml.scores", 6, t->n, &t->scores, &n);
    fuzz_array(kv, "tokenizer.ggml.merges", 8, p->n_merges, &p->merges, &n);
    if (p->map_len > 0) {
        struct buf map = {0};
        buf_add(&map, p->map, p->map_len);
        fuzz_array(kv, "tokenizer.ggml.precompiled_charsmap", 0, p->map_len, &map, &n);
        buf_free(&map);
    }
    fuzz_flag(kv, "tokenizer.ggml.add_space_prefix", (v->flags & FUZZ_NO_PREFIX) == 0, &n);
    fuzz_flag(kv, "tokenizer.ggml.remove_extra_whitespaces", (v->flags & FUZZ_COLLAPSE) != 0, &n);
    fuzz_flag(kv, "tokenizer.ggml.add_eos_token", (v->flags & FUZZ_ADD_EOS) != 0, &n);
    fuzz_flag(kv, "tokenizer.ggml.normalizer.lowercase", (v->flags & FUZZ_LOWER) != 0, &n);
    return n;
}

static void fuzz_vocab_file(struct fuzz_vocab *v, struct fuzz_input *in, struct buf *out) {
    struct fuzz_parts parts = {0};
    struct buf kv = {0};
    fuzz_read_parts(v, in, &parts);
    const uint64_t n = fuzz_put_pairs(&kv, v, &parts);
    buf_str(out, "GGUF");
    fuzz_int(out, 3, 4);
    fuzz_int(out, 0, 8);
    fuzz_int(out, n, 8);
    buf_add(out, kv.data, kv.len);
    buf_free(&kv);
    buf_free(&parts.merges);
    fuzz_free_tokens(&parts.tokens);
}

static void fuzz_vocab_open(struct fuzz_vocab *v, struct fuzz_input *in) {
    struct buf file = {0};
    *v = (struct fuzz_vocab){0};
    log_set_level(LOG_ERROR);
    fuzz_vocab_file(v, in, &file);
    const size_t size = file.len;
    v->file = buf_take(&file);
    must(gguf_open_memory(&v->gguf, v->file, size, "fuzzed", &v->err) == ST_OK);
    if (vocab_open(&v->vocab, v->gguf, &v->err) != ST_OK)
        must(v->vocab == NULL && v->err.code != ST_OK && v->err.msg[0] != '\0');
}

static void fuzz_vocab_close(struct fuzz_vocab *v) {
    vocab_close(v->vocab);
    gguf_close(v->gguf);
    mem_free(v->file);
}

#endif
