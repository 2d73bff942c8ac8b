/* tokenizers.c - see tokenizers.h. */
#include "golden/tokenizers.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

/* -- texts of the JSON files ------------------------------------------------------------------- */

void tok_read_text(struct buf *b, const json *v) {
    buf_clear(b);
    check_text(b, v);
}

/* Member with exactly this name (json_get would also take another case). */
const json *tok_member(const json *object, const char *name) {
    for (const json *m = json_first(object); m != NULL; m = json_next(m)) {
        if (strcmp(json_key(m), name) == 0) return m;
    }
    return NULL;
}

bool tok_in_list(const json *list, const char *text) {
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        if (json_string(v) != NULL && strcmp(json_string(v), text) == 0) return true;
    }
    return false;
}

static void corpus_add(struct corpus *t, json *root) {
    t->entry = mem_grow(t->entry, t->n + json_len(root) + 1, sizeof *t->entry);
    for (const json *v = json_first(root); v != NULL && t->entry != NULL; v = json_next(v)) {
        const char *name = json_string(json_get(v, "n"));
        if (name == NULL) continue;
        t->entry[t->n] = v;
        map_put(&t->index, name, strlen(name), (uint32_t)t->n++, NULL);
    }
}

/* A file of the folder, else of --base or its tokenizers folder; NULL: nowhere. */
const char *tok_find_dir(const struct check *c, const char *dir, const char *file,
                         char path[TOK_PATH]) {
    if (check_exists(dir, file)) return dir;
    if (c->base == NULL) return NULL;
    if (check_exists(c->base, file)) return c->base;
    snprintf(path, TOK_PATH, "%s/tokenizers", c->base);
    return check_exists(path, file) ? path : NULL;
}

void tok_corpus_open(struct check *c, struct corpus *t, const char *dir) {
    static const char *const files[] = {"corpus.json", "big.json"};
    for (size_t i = 0; i < 2; i++) {
        char path[TOK_PATH];
        const char *at = tok_find_dir(c, dir, files[i], path);
        if (at == NULL)
            check_skip(c, dir, i == 0 ? "no corpus.json" : "no big.json (big inputs)");
        else
            t->root[i] = check_read_json(c, at, files[i]);
        if (t->root[i] != NULL) corpus_add(t, t->root[i]);
    }
}

bool tok_corpus_text(const struct corpus *t, const char *name, struct buf *text) {
    uint32_t i;
    if (!map_get(&t->index, name, strlen(name), &i)) return false;
    tok_read_text(text, t->entry[i]);
    return true;
}

void tok_corpus_close(struct corpus *t) {
    json_free(t->root[0]);
    json_free(t->root[1]);
    map_free(&t->index);
    mem_free(t->entry);
}

/* -- opening vocabularies ---------------------------------------------------------------------- */

void tok_subject_close(struct subject *s) {
    vocab_close(s->vocab);
    gguf_close(s->gguf);
    mem_free(s->file);
}

/* The file with another tokenizer.ggml.pre; data stays where it is as there are no tensors. */
static void replace_pre(struct buf *out, const struct gguf *g, const char *file, size_t size,
                        const char *pre) {
    struct gguf_str old = gguf_elem_str(g, gguf_find(g, "tokenizer.ggml.pre"), 0);
    size_t at = (size_t)(old.ptr - file) - 8;
    buf_add(out, file, at);
    for (int i = 0; i < 8; i++) buf_chr(out, (char)((uint64_t)strlen(pre) >> 8 * i & 0xFF));
    buf_str(out, pre);
    buf_add(out, old.ptr + old.len, size - at - 8 - old.len);
}

/* pre: the expected pre-tokenizer, put in place of another one; NULL: whatever the file says. */
bool tok_subject_read(struct check *c, struct subject *s, const char *dir, const char *file,
                      const char *pre) {
    struct err e = {0};
    struct gguf_str have;
    size_t size;
    *s = (struct subject){.file = check_read(c, dir, file, &size)};
    if (s->file == NULL) return false;
    if (gguf_open_memory(&s->gguf, s->file, size, file, &e) != ST_OK) {
        check_fail(c, file, "%s", e.msg);
        return false;
    }
    if (pre == NULL || gguf_get_str(s->gguf, "tokenizer.ggml.pre", &have, &e) != ST_OK ||
        (have.len == strlen(pre) && memcmp(have.ptr, pre, have.len) == 0))
        return true;
    struct buf patched = {0};
    replace_pre(&patched, s->gguf, s->file, size, pre);
    gguf_close(s->gguf);
    mem_free(s->file);
    s->gguf = NULL;
    size = patched.len;
    s->file = buf_take(&patched);
    return gguf_open_memory(&s->gguf, s->file, size, file, &e) == ST_OK;
}

/* False: skipped (not supported yet) or failed. */
bool tok_subject_open(struct check *c, struct subject *s, const char *where) {
    struct err e = {0};
    enum status st = vocab_open(&s->vocab, s->gguf, &e);
    if (st == ST_UNSUPPORTED && strstr(e.msg, "not supported yet") != NULL)
        check_skip(c, where, e.msg);
    else if (st != ST_OK)
        check_fail(c, where, "%s", e.msg);
    return st == ST_OK;
}

/* -- comparing ids ----------------------------------------------------------------------------- */

void tok_ids_of_json(struct token_list *ids, const json *array) {
    for (const json *v = json_first(array); v != NULL; v = json_next(v)) {
        int64_t id = TOKEN_NONE;
        json_int(v, &id);
        token_list_add(ids, (token_id)id);
    }
}

static void show_ids(char *out, size_t size, const struct token_list *ids) {
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ids->len && i < 24 && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, " %d", ids->ids[i]);
}

static bool same_ids(const struct token_list *a, const struct token_list *b) {
    return a->len == b->len &&
           (a->len == 0 || memcmp(a->ids, b->ids, a->len * sizeof *a->ids) == 0);
}

void tok_compare_ids(struct check *c, const char *where, const char *name, const char *how,
                     const struct token_list *got, const struct token_list *want) {
    char g[300], w[300];
    if (same_ids(got, want)) {
        check_pass(c);
        return;
    }
    show_ids(g, sizeof g, got);
    show_ids(w, sizeof w, want);
    check_fail(c, where, "%s %s: got%s, expected%s", name, how, g, w);
}

/* SHA-256 of numbers as little-endian u32. */
void tok_hash_u32(const uint32_t *values, size_t n, char hex[DIGEST_HEX + 1]) {
    unsigned char raw[DIGEST_BYTES];
    struct digest *d = digest_new();
    for (size_t i = 0; i < n; i++) {
        unsigned char b[4];
        for (unsigned k = 0; k < 4; k++) b[k] = (unsigned char)(values[i] >> 8 * k);
        digest_update(d, b, 4);
    }
    digest_finish(d, raw);
    digest_hex(raw, hex);
}

void tok_compare_hash(struct check *c, const char *where, const char *name, const json *want,
                      const char *hex) {
    const char *text = json_string(want);
    check_that(c, text != NULL && strcmp(text, hex) == 0, where, "%s: SHA-256 is %s", name, hex);
}

/* -- special ids, attributes, pieces ----------------------------------------------------------- */

static bool special_id(const struct vocab_special *s, const char *name, token_id *id) {
    const struct {
        const char *name;
        token_id id;
    } rows[] = {{"bos", s->bos},         {"eos", s->eos},         {"eot", s->eot},
                {"eom", s->eom},         {"unk", s->unk},         {"sep", s->sep},
                {"pad", s->pad},         {"mask", s->mask},       {"nl", s->nl},
                {"fim_pre", s->fim_pre}, {"fim_suf", s->fim_suf}, {"fim_mid", s->fim_mid},
                {"fim_pad", s->fim_pad}, {"fim_rep", s->fim_rep}, {"fim_sep", s->fim_sep},
                {"add_bos", s->add_bos}, {"add_eos", s->add_eos}, {"add_sep", s->add_sep}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) != 0) continue;
        *id = rows[i].id;
        return true;
    }
    return false;
}

/* Every name of the file; eot only if it is not one of several candidates. */
void tok_check_special(struct check *c, const char *where, const struct vocab *v, const json *want,
                       bool compare_eot) {
    for (const json *m = json_first(want); m != NULL; m = json_next(m)) {
        token_id id = TOKEN_NONE;
        int64_t expected = TOKEN_NONE;
        if (!compare_eot && strcmp(json_key(m), "eot") == 0) continue;
        bool known = special_id(vocab_special(v), json_key(m), &id);
        json_int(m, &expected);
        check_that(c, known && id == expected, where, "special %s: got %d, expected %lld",
                   json_key(m), id, (long long)expected);
    }
}

void tok_check_ends(struct check *c, const char *where, const struct vocab *v, const json *want) {
    struct token_list got = {0}, expected = {0};
    for (uint32_t i = 0; i < vocab_size(v); i++) {
        if (vocab_is_eog(v, (token_id)i)) token_list_add(&got, (token_id)i);
    }
    tok_ids_of_json(&expected, want);
    tok_compare_ids(c, where, "eog", "", &got, &expected);
    token_list_free(&got);
    token_list_free(&expected);
}
