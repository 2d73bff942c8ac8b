/* tokenizers_eog.c - eog.json: small vocabularies that are described, not stored; made in memory.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "golden/tokenizers.h"

static void put_int(struct buf *b, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_chr(b, (char)(v >> 8 * i & 0xFF));
}

static void put_str(struct buf *b, const char *s, size_t len) {
    put_int(b, len, 8);
    buf_add(b, s, len);
}

struct maker { /* a GGUF file while it is written */
    struct buf kv, tokens, types, merges;
    uint64_t n_kv, n_tokens, n_merges;
};

static void make_key(struct maker *m, const char *key, enum gguf_type type) {
    static const unsigned char codes[] = {
        [GGUF_U32] = 4, [GGUF_I32] = 5, [GGUF_BOOL] = 7, [GGUF_STRING] = 8, [GGUF_ARRAY] = 9};
    put_str(&m->kv, key, strlen(key));
    put_int(&m->kv, codes[type], 4);
    m->n_kv++;
}

static void make_string(struct maker *m, const char *key, const char *value) {
    if (value == NULL) return;
    make_key(m, key, GGUF_STRING);
    put_str(&m->kv, value, strlen(value));
}

static void make_array(struct maker *m, const char *key, unsigned code, uint64_t n,
                       const struct buf *elems) {
    if (n == 0) return;
    make_key(m, key, GGUF_ARRAY);
    put_int(&m->kv, code, 4);
    put_int(&m->kv, n, 8);
    buf_add(&m->kv, elems->data, elems->len);
}

static void make_token(struct maker *m, const char *text, size_t len, unsigned type) {
    put_str(&m->tokens, text, len);
    put_int(&m->types, type, 4);
    m->n_tokens++;
}

/* "first N tokens + first M merges of vocab/FILE" */
static bool base_from_file(struct check *c, struct maker *m, const char *dir, const char *base) {
    unsigned n_tokens, n_merges;
    char file[256], path[TOK_PATH];
    struct subject s = {0};
    if (sscanf(base, "first %u tokens + first %u merges of %255s", &n_tokens, &n_merges, file) != 3)
        return false;
    const char *at = tok_find_dir(c, dir, file, path);
    bool ok = at != NULL && tok_subject_read(c, &s, at, file, NULL);
    const struct gguf_kv *tokens = ok ? gguf_find(s.gguf, "tokenizer.ggml.tokens") : NULL;
    const struct gguf_kv *merges = ok ? gguf_find(s.gguf, "tokenizer.ggml.merges") : NULL;
    ok = tokens != NULL && merges != NULL && tokens->count >= n_tokens && merges->count >= n_merges;
    for (uint64_t i = 0; ok && i < n_tokens; i++) {
        struct gguf_str t = gguf_elem_str(s.gguf, tokens, i);
        make_token(m, t.ptr, t.len, 1);
    }
    for (uint64_t i = 0; ok && i < n_merges; i++, m->n_merges++) {
        struct gguf_str t = gguf_elem_str(s.gguf, merges, i);
        put_str(&m->merges, t.ptr, t.len);
    }
    tok_subject_close(&s);
    return ok;
}

/* "<unk>,<s>,</s>, 256 byte tokens, then U+2581 a b U+2581a" */
static bool base_spm(struct maker *m, const char *base) {
    static const char *const letters[] = {"\xE2\x96\x81", "a", "b", "\xE2\x96\x81\x61"};
    if (strncmp(base, "<unk>,<s>,</s>, 256 byte tokens", 31) != 0) return false;
    make_token(m, "<unk>", 5, 2);
    make_token(m, "<s>", 3, 3);
    make_token(m, "</s>", 4, 3);
    for (unsigned i = 0; i < 256; i++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", i);
        make_token(m, text, 6, 6);
    }
    for (size_t i = 0; i < 4; i++) make_token(m, letters[i], strlen(letters[i]), 1);
    return true;
}

static void make_extra(struct maker *m, const json *v) {
    const json *type = json_first(json_get(v, "extra_types"));
    for (const json *t = json_first(json_get(v, "extra_tokens")); t != NULL; t = json_next(t)) {
        size_t len;
        int64_t code = 1;
        const char *text = json_string_n(t, &len);
        json_int(type, &code);
        make_token(m, text, len, (unsigned)code);
        type = type != NULL ? json_next(type) : NULL;
    }
}

static void make_pairs(struct maker *m, const json *v) {
    for (const json *p = json_first(json_get(v, "kv")); p != NULL; p = json_next(p)) {
        char key[128];
        int64_t number = 0;
        bool flag;
        snprintf(key, sizeof key, "tokenizer.ggml.%s", json_key(p));
        if (json_bool(p, &flag)) {
            make_key(m, key, GGUF_BOOL);
            put_int(&m->kv, flag, 1);
        } else if (json_int(p, &number)) {
            make_key(m, key, GGUF_U32);
            put_int(&m->kv, (uint64_t)number, 4);
        }
    }
}

static void make_file(struct maker *m, const json *v, struct buf *out) {
    make_string(m, "general.architecture", json_string(json_get(v, "architecture")));
    make_string(m, "general.name", json_string(json_get(v, "general.name")));
    make_string(m, "tokenizer.ggml.model", json_string(json_get(v, "model")));
    make_string(m, "tokenizer.ggml.pre", json_string(json_get(v, "pre")));
    make_array(m, "tokenizer.ggml.tokens", 8, m->n_tokens, &m->tokens);
    make_array(m, "tokenizer.ggml.token_type", 5, m->n_tokens, &m->types);
    make_array(m, "tokenizer.ggml.merges", 8, m->n_merges, &m->merges);
    make_pairs(m, v);
    buf_str(out, "GGUF");
    put_int(out, 3, 4);
    put_int(out, 0, 8);
    put_int(out, m->n_kv, 8);
    buf_add(out, m->kv.data, m->kv.len);
}

static void maker_free(struct maker *m) {
    buf_free(&m->kv);
    buf_free(&m->tokens);
    buf_free(&m->types);
    buf_free(&m->merges);
}

static void check_made(struct check *c, const char *name, struct subject *s, const json *v) {
    const char *load = json_string(json_get(v, "load"));
    struct err e = {0};
    if (load != NULL && strcmp(load, "error") == 0) {
        enum status st = vocab_open(&s->vocab, s->gguf, &e);
        check_that(c, st != ST_OK && strstr(e.msg, "yet") == NULL, name, "was not refused");
        return;
    }
    if (!tok_subject_open(c, s, name)) return;
    const json *expect = json_get(v, "expect");
    bool by_key = tok_member(json_get(v, "kv"), "eot_token_id") != NULL;
    bool one = json_len(json_get(v, "eot_candidates")) == 1;
    tok_check_special(c, name, s->vocab, json_get(expect, "special"), by_key || one);
    tok_check_ends(c, name, s->vocab, json_get(expect, "eog"));
    for (const json *a = json_first(json_get(expect, "attr")); a != NULL; a = json_next(a)) {
        token_id id = TOKEN_NONE;
        int64_t want = 0;
        sscanf(json_key(a), "%d", &id);
        json_int(a, &want);
        check_that(c, vocab_attr(s->vocab, id) == want, name, "attributes of %d: got %u", id,
                   vocab_attr(s->vocab, id));
    }
}

static void check_eog_case(struct check *c, const char *dir, const json *v) {
    const char *name = json_string(json_get(v, "name")), *base = json_string(json_get(v, "base"));
    struct maker m = {0};
    struct subject s = {0};
    struct buf file = {0};
    struct err e = {0};
    if (base == NULL) base = "first 300 tokens + first 44 merges of vocab/bpe-gpt-2.gguf";
    if (name == NULL || (!base_spm(&m, base) && !base_from_file(c, &m, dir, base))) {
        check_skip(c, "eog.json", "base vocabulary of a case is not known or not there");
        maker_free(&m);
        return;
    }
    make_extra(&m, v);
    make_file(&m, v, &file);
    size_t size = file.len;
    s.file = buf_take(&file);
    if (gguf_open_memory(&s.gguf, s.file, size, name, &e) == ST_OK)
        check_made(c, name, &s, v);
    else
        check_fail(c, name, "%s", e.msg);
    tok_subject_close(&s);
    maker_free(&m);
}

void tok_check_eog(struct check *c, const char *dir) {
    if (!check_exists(dir, "eog.json")) return;
    json *root = check_read_json(c, dir, "eog.json");
    for (const json *v = json_first(root); v != NULL; v = json_next(v)) check_eog_case(c, dir, v);
    json_free(root);
}
