/* vocab_json.c - tokenizer.json: vocabularies of BPE, WordPiece and Unigram, and which
 * pre-tokenizer its expressions are (spec/safetensors.md 4.2, 4.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/convert/vocab.h"

/* ---- tokens ---- */

struct token {
    int64_t id;
    const json *text; /* its member or string */
    bool added, special;
};

static int by_id(const void *a, const void *b) {
    const struct token *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (int)x->added - (int)y->added; /* those that override come last */
}

static const char *token_text(const struct token *t, size_t *len) {
    if (t->added) return json_string_n(t->text, len);
    const char *key = json_key(t->text);
    *len = strlen(key);
    return key;
}

static bool read_id(struct conversion *c, const json *v, int64_t *id) {
    if (json_kind(v) == JSON_NUMBER && json_int(v, id) && *id >= 0 && *id < VOCAB_MAX_TOKENS)
        return true;
    convert_fail(c, ST_FORMAT, "tokenizer.json: a token's id is no number below %d",
                 VOCAB_MAX_TOKENS);
    return false;
}

/* Both lists in one; the count. */
static size_t collect(struct conversion *c, struct token *list, const json *vocab,
                      const json *added) {
    size_t n = 0;
    for (const json *v = json_first(vocab); v != NULL; v = json_next(v), n++) {
        list[n] = (struct token){.text = v};
        if (!read_id(c, v, &list[n].id)) return 0;
    }
    for (const json *v = json_first(added); v != NULL; v = json_next(v), n++) {
        list[n] = (struct token){.text = json_get(v, "content"), .added = true};
        json_bool(json_get(v, "special"), &list[n].special);
        if (json_string(list[n].text) == NULL) {
            convert_fail(c, ST_FORMAT, "tokenizer.json: an added token has no content");
            return 0;
        }
        if (!read_id(c, json_get(v, "id"), &list[n].id)) return 0;
    }
    return n;
}

static void fill_gap(struct conversion *c, struct vocab_in *v, int64_t to, size_t *filled) {
    while ((int64_t)v->n < to && !convert_failed(c)) {
        char pad[32];
        if (++*filled > VOCAB_MAX_FILL)
            convert_fail(c, ST_LIMIT, "tokenizer.json: the ids leave too large gaps");
        const int len = snprintf(pad, sizeof pad, "[PAD%zu]", v->n);
        vocab_add(c, v, pad, (size_t)len, (double)v->n, TOKEN_UNUSED);
    }
}

static void put_tokens(struct conversion *c, struct vocab_in *v, struct token *list, size_t n) {
    size_t filled = 0;
    qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n && !convert_failed(c); i++) {
        const struct token *t = &list[i];
        size_t len;
        if (i + 1 < n && list[i + 1].id == t->id) { /* overridden, or a mistake */
            if (!list[i + 1].added)
                convert_fail(c, ST_FORMAT, "tokenizer.json: id %lld is there twice",
                             (long long)t->id);
            continue;
        }
        fill_gap(c, v, t->id, &filled);
        const char *text = token_text(t, &len);
        vocab_add(c, v, text, len, (double)t->id,
                  t->special ? TOKEN_CONTROL
                  : t->added ? TOKEN_USER
                             : TOKEN_NORMAL);
    }
}

/* ---- Unigram: a list of [text, score]; the place is the id ---- */

static void read_unigram(struct conversion *c, struct vocab_in *v, const json *list) {
    v->model = "t5";
    for (const json *p = json_first(list); p != NULL && !convert_failed(c); p = json_next(p)) {
        size_t len = 0;
        double score = 0;
        const char *text = json_string_n(json_first(p), &len);
        if (json_len(p) != 2 || text == NULL || !json_number(json_next(json_first(p)), &score))
            convert_fail(c, ST_FORMAT,
                         "tokenizer.json: the vocabulary is no list of [text, score]");
        else
            vocab_add(c, v, text, len, score, TOKEN_NORMAL);
    }
}

/* Added tokens mark those that are there and extend the list behind its end. */
static void add_to_unigram(struct conversion *c, struct vocab_in *v, const json *added) {
    struct token *list = mem_zalloc(json_len(added) + 1, sizeof *list);
    size_t filled = 0;
    if (list == NULL) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return;
    }
    const size_t n = collect(c, list, NULL, added);
    qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n && !convert_failed(c); i++) {
        const enum token_type type = list[i].special ? TOKEN_CONTROL : TOKEN_USER;
        size_t len;
        const char *text = token_text(&list[i], &len);
        if ((size_t)list[i].id < v->n) {
            v->type[list[i].id] = (int32_t)type;
            continue;
        }
        fill_gap(c, v, list[i].id, &filled);
        vocab_add(c, v, text, len, 0, type);
    }
    mem_free(list);
}

void vocab_read_json(struct conversion *c, struct vocab_in *v, const json *root) {
    const json *vocab = json_get(json_get(root, "model"), "vocab");
    const json *added = json_get(root, "added_tokens");
    if (json_kind(vocab) == JSON_ARRAY) {
        read_unigram(c, v, vocab);
        if (!convert_failed(c)) add_to_unigram(c, v, added);
        return;
    }
    v->model = "gpt2";
    if (json_kind(vocab) != JSON_OBJECT) {
        convert_fail(c, ST_FORMAT, "tokenizer.json: no vocabulary");
        return;
    }
    struct token *list = mem_zalloc(json_len(vocab) + json_len(added) + 1, sizeof *list);
    if (list == NULL) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return;
    }
    put_tokens(c, v, list, collect(c, list, vocab, added));
    mem_free(list);
}

/* ---- vocab.txt ---- */

void vocab_read_lines(struct conversion *c, struct vocab_in *v) {
    const struct convert_file *f = files_find(c, "vocab.txt");
    size_t size;
    char *text = files_text(c, f, (size_t)64 << 20, &size);
    v->model = "bert";
    if (text == NULL) return;
    for (const char *p = text, *end = text + size; p < end && !convert_failed(c);) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((stop != NULL ? stop : end) - p);
        const size_t next = len + 1;
        if (len > 0 && p[len - 1] == '\r') len--;
        const bool special = len > 2 && p[0] == '[' && p[len - 1] == ']';
        vocab_add(c, v, p, len, (double)v->n, special ? TOKEN_CONTROL : TOKEN_NORMAL);
        p += next;
    }
    mem_free(text);
}

/* ---- the pre-tokenizer ---- */

static const struct {
    const char *digest, *pre;
} digests[] = {
    {"d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f", "llama-bpe"},
    {"03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02", "deepseek-llm"},
    {"21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e", "deepseek-coder"},
    {"1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e", "qwen2"},
    {"00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba", "qwen35"},
    {"b92c0824a58e1d8dc3221cf3e12c433c3a86f57e46d57229993489f0798e7702", "laguna"},
    {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "default"},
};

/* The same by the text of the expressions, one after the other, with contractions written as
 * CONTRACTIONS: tokenizers write them in several ways, which the digest takes for several. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define ODD "[^\\r\\n\\p{L}\\p{N}]?"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const struct {
    const char *regex, *pre;
} expressions[] = {
    {CONTRACTIONS "|" ODD "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
     "llama-bpe"},
    {CONTRACTIONS "|" ODD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES, "qwen2"},
    {CONTRACTIONS "|" ODD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
     "qwen35"},
    {ODD UPPER "*" LOWER "+" CONTRACTIONS "?|" ODD UPPER "+" LOWER "*" CONTRACTIONS
               "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
     "gpt-4o"},
    {ODD UPPER "*" LOWER "+|" ODD UPPER "+" LOWER
               "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
     "tekken"},
    {"\\p{N}{1,3}[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+"
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
     "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES,
     "deepseek-v3"},
};

/* The other spellings of CONTRACTIONS. */
static const char *const spellings[] = {
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
    "('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
};

static void add_plain(struct buf *out, const char *text) {
    while (*text != '\0') {
        size_t n = 0;
        for (size_t i = 0; i < sizeof spellings / sizeof *spellings && n == 0; i++)
            if (starts_with(text, spellings[i])) n = strlen(spellings[i]);
        if (n != 0)
            buf_str(out, CONTRACTIONS);
        else
            buf_chr(out, *text);
        text += n != 0 ? n : 1;
    }
}

static const char *pre_by_text(const struct buf *all) {
    struct buf plain = {0};
    const char *pre = NULL;
    add_plain(&plain, all->len != 0 ? all->data : "");
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions && !plain.failed; i++)
        if (plain.len != 0 && strcmp(plain.data, expressions[i].regex) == 0)
            pre = expressions[i].pre;
    buf_free(&plain);
    return pre;
}

static const char *pre_by_digest(const char *hex) {
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (strcmp(digests[i].digest, hex) == 0) return digests[i].pre;
    return NULL;
}

/* All expressions of the tokenizer's splitters, one after the other. */
static void add_expressions(struct buf *all, const json *root) {
    const json *list = json_get(json_get(root, "pre_tokenizer"), "pretokenizers");
    for (const json *p = json_first(list); p != NULL; p = json_next(p)) {
        const char *type = json_string(json_get(p, "type"));
        size_t len;
        const char *regex = json_string_n(json_get(json_get(p, "pattern"), "Regex"), &len);
        if (type != NULL && strcmp(type, "Split") == 0 && regex != NULL) buf_add(all, regex, len);
    }
}

const char *vocab_pre(struct conversion *c, const json *root) {
    char hex[DIGEST_HEX + 1] = "";
    struct buf all = {0};
    struct err e;
    add_expressions(&all, root);
    const enum status st =
        all.failed ? err_no_memory(&e) : digest_of(all.len != 0 ? all.data : "", all.len, hex, &e);
    const char *pre = st == ST_OK ? pre_by_digest(hex) : NULL;
    if (pre == NULL) pre = pre_by_text(&all);
    if (st != ST_OK) convert_fail(c, st, "%s", e.msg);
    buf_free(&all);
    if (pre != NULL) return pre;
    pre = c->arch->vocab.pre_if_unknown;
    if (pre == NULL && c->arch->vocab.pre == NULL)
        log_warn("convert",
                 "pre-tokenizer %.12s... is not known: \"default\" may cut texts "
                 "differently",
                 hex);
    return pre != NULL ? pre : "default";
}
