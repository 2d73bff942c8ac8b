/* vocab.c - the tokenizer.* keys of a model (spec/safetensors.md 4). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/vocab.h"

/* ---- the list ---- */

static bool grow(struct vocab_in *v) {
    const size_t cap = v->cap != 0 ? v->cap * 2 : 1024;
    struct gguf_str *text = mem_grow(v->text, cap, sizeof *text);
    if (text != NULL) v->text = text;
    float *score = mem_grow(v->score, cap, sizeof *score);
    if (score != NULL) v->score = score;
    int32_t *type = mem_grow(v->type, cap, sizeof *type);
    if (type != NULL) v->type = type;
    if (text == NULL || score == NULL || type == NULL) return false;
    v->cap = cap;
    return true;
}

void vocab_add(struct conversion *c, struct vocab_in *v, const char *text, size_t len, double score,
               enum token_type type) {
    char *copy = arena_strndup(&c->arena, text, len);
    if (copy == NULL || (v->n == v->cap && !grow(v))) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return;
    }
    if (v->n >= VOCAB_MAX_TOKENS) {
        convert_fail(c, ST_LIMIT, "more than %d tokens", VOCAB_MAX_TOKENS);
        return;
    }
    v->text[v->n] = (struct gguf_str){copy, len};
    v->score[v->n] = (float)score;
    v->type[v->n++] = (int32_t)type;
}

void vocab_free(struct vocab_in *v) {
    mem_free(v->text);
    mem_free(v->score);
    mem_free(v->type);
}

/* A model may have more rows than there are tokens. */
static void pad(struct conversion *c, struct vocab_in *v) {
    const uint32_t want = cfg_u32(c, "@vocab_size|@text_config.vocab_size");
    if (want > v->n && want - v->n > VOCAB_MAX_FILL)
        convert_fail(c, ST_LIMIT, "config.json: vocab_size is %u, but there are %zu tokens", want,
                     v->n);
    if (c->arch->vocab.cut && want != 0 && want < v->n) v->n = want;
    for (uint32_t i = 0; v->n < want && !convert_failed(c); i++) {
        char text[32];
        const int len = snprintf(text, sizeof text, "[PAD%u]", i);
        vocab_add(c, v, text, (size_t)len, -1, TOKEN_USER);
    }
}

/* BERT's word pieces: continuations lose their mark, beginnings get one. */
static void mark_words(struct conversion *c, struct vocab_in *v) {
    for (size_t i = 0; i < v->n && !convert_failed(c); i++) {
        struct gguf_str *t = &v->text[i];
        if (t->len >= 2 && t->ptr[0] == '[' && t->ptr[t->len - 1] == ']') continue;
        if (t->len >= 2 && memcmp(t->ptr, "##", 2) == 0) {
            *t = (struct gguf_str){t->ptr + 2, t->len - 2};
            continue;
        }
        char *copy = convert_zalloc(c, t->len + 3, 1);
        if (copy == NULL) return;
        memcpy(copy, "\xE2\x96\x81", 3);
        memcpy(copy + 3, t->ptr, t->len);
        *t = (struct gguf_str){copy, t->len + 3};
    }
}

/* ---- merges ---- */

/* "a b", or ["a", "b"]; false: neither. */
static bool merge_text(struct conversion *c, const json *m, struct gguf_str *out) {
    size_t len, rest;
    const char *text = json_string_n(m, &len);
    if (text != NULL) {
        char *copy = convert_zalloc(c, len, 1);
        if (copy != NULL && len > 0) memcpy(copy, text, len);
        *out = (struct gguf_str){copy, len};
        return true;
    }
    const char *a = json_string_n(json_first(m), &len);
    const char *b = a != NULL ? json_string_n(json_next(json_first(m)), &rest) : NULL;
    if (b == NULL || json_len(m) != 2) return false;
    char *copy = convert_zalloc(c, len + rest + 1, 1);
    if (copy == NULL) return true;
    memcpy(copy, a, len);
    copy[len] = ' ';
    memcpy(copy + len + 1, b, rest);
    *out = (struct gguf_str){copy, len + rest + 1};
    return true;
}

static void put_merges(struct conversion *c, const json *root) {
    const json *list = json_get(json_get(root, "model"), "merges");
    const size_t n = json_len(list);
    struct gguf_str *merges = convert_zalloc(c, n, sizeof *merges);
    size_t i = 0;
    if (n == 0 || merges == NULL) return;
    for (const json *m = json_first(list); m != NULL && !convert_failed(c); m = json_next(m))
        if (!merge_text(c, m, &merges[i++]))
            convert_fail(c, ST_FORMAT, "tokenizer.json: merge %zu is no pair of texts", i - 1);
    if (convert_failed(c)) return;
    put_array(c, "tokenizer.ggml.merges", GGUF_STRING, n, merges);
}

/* ---- special tokens ---- */

static const struct {
    const char *from, *to; /* "seperator" is how the key is spelled */
    bool few;              /* also where only few are wanted */
} specials[] = {
    {"bos", "bos", true},        {"eos", "eos", true},     {"unk", "unknown", true},
    {"sep", "seperator", false}, {"pad", "padding", true}, {"cls", "cls", false},
    {"mask", "mask", false},
};

/* The id of an added token, or (without tokenizer.json) of any token; false: none. */
static bool find_id(const struct vocab_in *v, const json *root, const char *text, int64_t *id) {
    for (const json *a = json_first(json_get(root, "added_tokens")); a != NULL; a = json_next(a)) {
        const char *content = json_string(json_get(a, "content"));
        if (content != NULL && strcmp(content, text) == 0) return json_int(json_get(a, "id"), id);
    }
    const size_t len = strlen(text);
    for (size_t i = 0; root == NULL && i < v->n; i++) {
        if (v->text[i].len != len || memcmp(v->text[i].ptr, text, len) != 0) continue;
        *id = (int64_t)i;
        return true;
    }
    return false;
}

/* generation_config.json may list several: all of them end a generation. */
static void put_ids(struct conversion *c, const json *list, const char *to) {
    const size_t n = json_len(list);
    int32_t *ids = convert_zalloc(c, n, sizeof *ids);
    size_t i = 0;
    int64_t id;
    if (json_kind(list) != JSON_ARRAY || ids == NULL) return;
    for (const json *v = json_first(list); v != NULL; v = json_next(v))
        if (json_int(v, &id) && id >= 0 && id <= INT32_MAX) ids[i++] = (int32_t)id;
    put_array(c, convert_text(c, "tokenizer.ggml.%s_token_ids", to), GGUF_I32, i, ids);
}

static void put_special(struct conversion *c, const struct vocab_in *v, const json *root,
                        const json *config, const json *generation, size_t i) {
    const char *to = specials[i].to;
    const json *t = json_get(config, convert_text(c, "%s_token", specials[i].from));
    const char *text =
        json_string(t) != NULL ? json_string(t) : json_string(json_get(t, "content"));
    int64_t id;
    bool add;
    if (json_bool(json_get(config, convert_text(c, "add_%s_token", specials[i].from)), &add))
        put_bool(c, convert_text(c, "tokenizer.ggml.add_%s_token", to), add);
    if (text == NULL || !find_id(v, root, text, &id) || id < 0 || id > UINT32_MAX) return;
    put_u32(c, convert_text(c, "tokenizer.ggml.%s_token_id", to), (uint32_t)id);
    put_ids(c, json_get(generation, convert_text(c, "%s_token_id", specials[i].from)), to);
}

/* A text, or a list of {name, template} of which "default" is taken; else chat_template.jinja. */
static void put_template(struct conversion *c, const json *config) {
    const json *t = json_get(config, "chat_template");
    size_t len = 0;
    const char *text = json_string_n(t, &len);
    for (const json *v = json_kind(t) == JSON_ARRAY ? json_first(t) : NULL; v != NULL;
         v = json_next(v)) {
        const char *name = json_string(json_get(v, "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            text = json_string_n(json_get(v, "template"), &len);
    }
    const struct convert_file *f = text == NULL ? files_find(c, "chat_template.jinja") : NULL;
    char *own = f != NULL ? files_text(c, f, 16 << 20, &len) : NULL;
    if (own != NULL) text = own;
    if (text != NULL)
        gguf_put_str(c->writer[c->target], "tokenizer.chat_template", (struct gguf_str){text, len});
    mem_free(own);
}

static void put_specials(struct conversion *c, const struct vocab_in *v, const json *root) {
    json *config = files_json(c, "tokenizer_config.json");
    json *generation = files_json(c, "generation_config.json");
    for (size_t i = 0; i < sizeof specials / sizeof *specials && !convert_failed(c); i++)
        if (specials[i].few || !c->arch->vocab.few_specials)
            put_special(c, v, root, config, generation, i);
    if (!c->arch->vocab.no_template) put_template(c, config);
    json_free(config);
    json_free(generation);
}

/* ---- the whole ---- */

static void read_tokens(struct conversion *c, struct vocab_in *v, const json *root) {
    if (files_find(c, "tokenizer.model") != NULL)
        vocab_read_spm(c, v);
    else if (root != NULL)
        vocab_read_json(c, v, root);
    else if (c->arch->vocab.words && files_find(c, "vocab.txt") != NULL)
        vocab_read_lines(c, v);
    else
        convert_fail(c, ST_INVALID, "unknown tokenizer format");
}

static void put_tokens(struct conversion *c, const struct vocab_in *v) {
    const struct vocab_style *style = &c->arch->vocab;
    c->n_tokens = (uint32_t)v->n;
    put_str(c, "tokenizer.ggml.model", style->model != NULL ? style->model : v->model);
    put_array(c, "tokenizer.ggml.tokens", GGUF_STRING, v->n, v->text);
    put_array(c, "tokenizer.ggml.scores", GGUF_F32, v->n, v->score);
    put_array(c, "tokenizer.ggml.token_type", GGUF_I32, v->n, v->type);
}

void vocab_put(struct conversion *c) {
    struct vocab_in v = {.model = "gpt2"};
    json *root = files_json(c, "tokenizer.json");
    if (!convert_failed(c)) read_tokens(c, &v, root);
    if (!convert_failed(c)) pad(c, &v);
    if (!convert_failed(c) && c->arch->vocab.words) mark_words(c, &v);
    if (!convert_failed(c)) {
        const char *pre = vocab_pre(c, root);
        put_str(c, "tokenizer.ggml.pre", c->arch->vocab.pre != NULL ? c->arch->vocab.pre : pre);
        put_tokens(c, &v);
        put_merges(c, root);
        put_specials(c, &v, root);
    }
    vocab_free(&v);
    json_free(root);
}
