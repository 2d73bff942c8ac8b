/* vocab.c - see vocab.h: opening a vocabulary, the texts of its tokens, encoding as a whole. */
#include "engine/vocab/vocab.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/pretok.h"
#include "engine/vocab/vocab_impl.h"

/* Bounds that no real file comes near and that keep all counts and offsets in 32 bits. */
enum { MAX_TOKENS = 1 << 24, MAX_TEXT = 1 << 30 };

/* clang-format off */
#define BPE .bpe = true, .bos = 11, .eos = 11, .unk = TOKEN_NONE, .sep = TOKEN_NONE,                \
            .pad = TOKEN_NONE, .mask = TOKEN_NONE, .clean = true
static const struct vocab_kind kinds[] = {
    {.name = "llama", .bos = 1, .eos = 2, .unk = 0, .sep = TOKEN_NONE, .pad = TOKEN_NONE,
     .mask = TOKEN_NONE, .add_bos = true, .space_prefix = true, .load = spm_load,
     .encode = spm_encode},
    {.name = "gpt2", BPE, .load = bpe_load, .encode = bpe_encode},
    {.name = "hybriddna", BPE, .load = dna_load, .encode = dna_encode},
    {.name = "whitespace", BPE, .load = bpe_load, .encode = whitespace_encode},
    {.name = "gemma4", .bpe = true, .bos = TOKEN_NONE, .eos = TOKEN_NONE, .unk = TOKEN_NONE,
     .sep = TOKEN_NONE, .pad = TOKEN_NONE, .mask = TOKEN_NONE, .clean = true, .pre = "gemma4",
     .load = bpe_load, .encode = bpe_encode},
    {.name = "bert", .bos = 101, .eos = TOKEN_NONE, .unk = 100, .sep = 102, .pad = 0, .mask = 103,
     .add_bos = true, .frame = FRAME_BERT, .clean = true, .load = wpm_load, .encode = wpm_encode},
    {.name = "t5", .bos = TOKEN_NONE, .eos = 1, .unk = 2, .sep = TOKEN_NONE, .pad = 0,
     .mask = TOKEN_NONE, .add_eos = true, .load = ugm_load, .encode = ugm_encode},
    {.name = "rwkv", .bos = TOKEN_NONE, .eos = TOKEN_NONE, .unk = TOKEN_NONE, .sep = TOKEN_NONE,
     .pad = TOKEN_NONE, .mask = TOKEN_NONE, .frame = FRAME_NONE, .load = rwkv_load,
     .encode = rwkv_encode},
    {.name = "plamo2", .bos = 1, .eos = 2, .unk = 0, .sep = TOKEN_NONE, .pad = 3,
     .mask = TOKEN_NONE, .frame = FRAME_NONE, .load = plamo_load, .encode = plamo_encode},
    {.name = "none"},
    {.name = "no_vocab"},
};
/* clang-format on */

/* -- token_list -------------------------------------------------------------------------------- */

bool token_list_add(struct token_list *t, token_id id) {
    if (t->len == t->cap) {
        size_t cap = t->cap != 0 ? t->cap + t->cap / 2 : 16;
        token_id *ids = mem_grow(t->ids, cap, sizeof *ids);
        if (ids == NULL) return false;
        t->ids = ids;
        t->cap = cap;
    }
    t->ids[t->len++] = id;
    return true;
}

void token_list_free(struct token_list *t) {
    mem_free(t->ids);
    *t = (struct token_list){0};
}

/* -- opening: kind and pre-tokenizer ----------------------------------------------------------- */

static enum status find_kind(struct vocab *v, const struct gguf *g, struct err *e) {
    struct gguf_str name = {"", 0};
    enum status st = gguf_get_str(g, "tokenizer.ggml.model", &name, e);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) == name.len && memcmp(kinds[i].name, name.ptr, name.len) == 0)
            v->kind = &kinds[i];
    }
    if (v->kind == NULL)
        return err_set(e, ST_UNSUPPORTED, "unknown tokenizer: '%.*s'", (int)name.len, name.ptr);
    return ST_OK;
}

static enum status find_pre(struct vocab *v, const struct gguf *g, struct err *e) {
    struct gguf_str name = {"", 0};
    static const char key[] = "tokenizer.ggml.pre";
    if (gguf_find(g, key) != NULL) {
        enum status st = gguf_get_str(g, key, &name, e);
        if (st != ST_OK) return st;
    }
    v->pre_name = mem_strndup(name.ptr, name.len);
    if (v->pre_name == NULL) return err_no_memory(e);
    if (!v->kind->bpe) return ST_OK;
    if (v->kind->pre != NULL) {
        name = (struct gguf_str){v->kind->pre, strlen(v->kind->pre)};
    } else if (name.len == 0) {
        log_warn("vocab", "no pre-tokenizer named (%s), using 'default'", key);
        name = (struct gguf_str){"default", 7};
    }
    v->pre = pretok_find(name.ptr, name.len);
    if (v->pre == NULL)
        return err_set(e, ST_UNSUPPORTED, "unknown pre-tokenizer type: '%.*s'", (int)name.len,
                       name.ptr);
    return ST_OK;
}

/* -- opening: tokens --------------------------------------------------------------------------- */

bool bytes_add(struct vocab *v, const char *text, size_t len, struct span *out) {
    if (len > UINT32_MAX - v->bytes.len) return false;
    *out = (struct span){.off = (uint32_t)v->bytes.len, .len = (uint32_t)len};
    buf_add(&v->bytes, text, len);
    return !v->bytes.failed;
}

/* Checks an array with one entry for each token; *kv is NULL if the file has none. */
static enum status find_array(const struct vocab *v, const struct gguf *g, const char *key,
                              bool floats, const struct gguf_kv **kv, struct err *e) {
    *kv = gguf_find(g, key);
    if (*kv == NULL) return ST_OK;
    bool fits = gguf_is_int((*kv)->elem) || (floats && gguf_is_float((*kv)->elem));
    if ((*kv)->type != GGUF_ARRAY || !fits)
        return err_set(e, ST_FORMAT, "key %s is no array of %s", key, floats ? "f32" : "i32");
    if ((*kv)->count < v->n)
        return err_set(e, ST_FORMAT, "key %s has %llu entries for %u tokens", key,
                       (unsigned long long)(*kv)->count, v->n);
    return ST_OK;
}

static bool alloc_tokens(struct vocab *v) {
    v->text = mem_array(v->n, sizeof *v->text);
    v->key = mem_zalloc(v->n, sizeof *v->key);
    v->piece = mem_array(v->n, sizeof *v->piece);
    v->attr = mem_array(v->n, sizeof *v->attr);
    v->whole = mem_zalloc(v->n, sizeof *v->whole); /* zero is WHOLE_UNKNOWN */
    v->n_syms = v->cap_syms = v->n;
    return v->text != NULL && v->key != NULL && v->piece != NULL && v->attr != NULL &&
           v->whole != NULL && index_reserve(v, v->n);
}

static bool add_text(struct vocab *v, uint32_t id, struct gguf_str text) {
    char empty[32];
    if (text.len == 0) {
        text.ptr = empty;
        text.len = (size_t)snprintf(empty, sizeof empty, "[EMPTY_%u]", id);
    }
    return bytes_add(v, text.ptr, text.len, &v->text[id]);
}

static enum status load_texts(struct vocab *v, const struct gguf *g, struct err *e) {
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    size_t total = 0;
    if (tokens == NULL || tokens->count == 0)
        return err_set(e, ST_FORMAT, "cannot find tokenizer vocab in model file");
    if (tokens->type != GGUF_ARRAY || tokens->elem != GGUF_STRING)
        return err_set(e, ST_FORMAT, "key tokenizer.ggml.tokens is no array of strings");
    if (tokens->count > MAX_TOKENS)
        return err_set(e, ST_LIMIT, "%llu tokens", (unsigned long long)tokens->count);
    v->n = (uint32_t)tokens->count;
    for (uint32_t i = 0; i < v->n; i++) total += gguf_elem_str(g, tokens, i).len;
    if (total > MAX_TEXT) return err_set(e, ST_LIMIT, "%zu bytes of token texts", total);
    if (!alloc_tokens(v) || !buf_reserve(&v->bytes, 2 * total)) return err_no_memory(e);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!add_text(v, i, gguf_elem_str(g, tokens, i))) return err_no_memory(e);
    }
    return ST_OK;
}

static enum status load_attrs(struct vocab *v, const struct gguf *g, struct err *e) {
    static const uint16_t attr_of_type[] = {0,          TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL,
                                            TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE};
    const struct gguf_kv *types, *scores;
    enum status st = find_array(v, g, "tokenizer.ggml.token_type", false, &types, e);
    if (st == ST_OK) st = find_array(v, g, "tokenizer.ggml.scores", true, &scores, e);
    if (st != ST_OK) return st;
    for (uint32_t i = 0; i < v->n; i++) {
        int64_t type = types != NULL ? gguf_elem_int(types, i) : 1;
        v->attr[i] = type >= 0 && type <= 6 ? attr_of_type[type] : 0;
    }
    return ST_OK;
}

/* -- opening: keys ----------------------------------------------------------------------------- */

static enum status duplicate(const struct vocab *v, uint32_t a, uint32_t b, struct err *e) {
    struct span t = v->text[b];
    return err_set(e, ST_FORMAT, "tokens %u and %u have the same text: '%.*s'", a, b,
                   t.len < 64 ? (int)t.len : 64, span_ptr(v, t));
}

static enum status add_literal(struct vocab *v, uint32_t id, struct err *e) {
    struct span t = v->text[id];
    const char *key = arena_strndup(&v->literal_texts, span_ptr(v, t), t.len);
    uint32_t old = id;
    bool fresh;
    if (key == NULL || !map_put(&v->literal, key, t.len, id, &fresh)) return err_no_memory(e);
    if (fresh) return ST_OK;
    map_get(&v->literal, key, t.len, &old);
    return duplicate(v, old, id, e);
}

/* Sets v->key[id] from the text; a byte-level text that maps to bytes gets its own copy of them,
 * unless they are the text. `bytes` is scratch. */
static bool make_key(struct vocab *v, uint32_t id, struct buf *bytes) {
    struct span t = v->text[id];
    size_t n;
    v->key[id] = t;
    if (v->form == KEY_TEXT) return true;
    buf_clear(bytes);
    if (!buf_reserve(bytes, t.len)) return false;
    if (!bytes_of_text(span_ptr(v, t), t.len, bytes->data, &n)) {
        v->key[id].len = 0;
        return true;
    }
    if (n == t.len && memcmp(bytes->data, span_ptr(v, t), n) == 0) return true;
    return bytes_add(v, bytes->data, n, &v->key[id]);
}

static enum status load_keys(struct vocab *v, struct err *e) {
    struct buf bytes = {0};
    bool ok = true;
    for (uint32_t i = 0; i < v->n && ok; i++) {
        ok = make_key(v, i, &bytes);
        if (v->key[i].len > v->max_key) v->max_key = v->key[i].len;
    }
    buf_free(&bytes);
    return ok ? ST_OK : err_no_memory(e);
}

static enum status load_index(struct vocab *v, struct err *e) {
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t old;
        if (v->key[i].len == 0) {
            enum status st = add_literal(v, i, e);
            if (st != ST_OK) return st;
            continue;
        }
        if (!index_put(v, i, &old)) return err_no_memory(e);
        if (old != NO_SYM) return duplicate(v, old, i, e);
    }
    return ST_OK;
}

uint32_t symbol_intern(struct vocab *v, const char *key, size_t len) {
    uint32_t sym = index_find(v, key, len), old;
    if (sym != NO_SYM) return sym;
    if (v->n_syms == v->cap_syms) {
        size_t cap = v->cap_syms + v->cap_syms / 2 + 16;
        struct span *grown = cap < NO_SYM ? mem_grow(v->key, cap, sizeof *grown) : NULL;
        if (grown == NULL) return NO_SYM;
        v->key = grown;
        v->cap_syms = (uint32_t)cap;
    }
    sym = v->n_syms;
    if (!bytes_add(v, key, len, &v->key[sym]) || !index_put(v, sym, &old)) return NO_SYM;
    assert(old == NO_SYM);
    v->n_syms++;
    if (len > v->max_key) v->max_key = (uint32_t)len;
    return sym;
}

enum status spans_to_trie(struct vocab *v, struct trie *t, const struct span *spans, unsigned attr,
                          struct err *e) {
    struct trie_key *keys = mem_array(v->n, sizeof *keys);
    size_t n = 0;
    if (keys == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < v->n; i++) {
        if (attr != ANY_ATTR && (v->attr[i] & attr) == 0) continue;
        keys[n++] = (struct trie_key){span_ptr(v, spans[i]), spans[i].len, i};
    }
    const bool ok = trie_build(t, keys, n);
    mem_free(keys);
    return ok ? ST_OK : err_no_memory(e);
}

enum status tokens_to_trie(struct vocab *v, struct trie *t, unsigned attr, struct err *e) {
    return spans_to_trie(v, t, v->text, attr, e);
}

/* -- opening: the rest ------------------------------------------------------------------------- */

static void load_bytes(struct vocab *v) {
    for (unsigned b = 0; b < 256; b++) {
        char text[8], c = (char)b;
        snprintf(text, sizeof text, "<0x%02X>", b);
        v->byte_sym[b] = index_find(v, &c, 1);
        v->byte_token[b] = v->form == KEY_TEXT ? vocab_find(v, text, 6) : vocab_find(v, &c, 1);
    }
}

/* The newline token: SPM its byte token; WPM the pad token; others the first token of "\n", or the
 * kind's own pad or unknown token. */
static enum status find_newline(struct vocab *v, struct err *e) {
    struct token_list ids = {0};
    v->special.nl = v->kind->encode == spm_encode   ? v->byte_token['\n']
                    : v->kind->encode == wpm_encode ? v->special.pad
                                                    : TOKEN_NONE;
    if (v->special.nl != TOKEN_NONE || v->kind->encode == wpm_encode) return ST_OK;
    enum status st = vocab_encode(v, "\n", 1, 0, &ids, e);
    if (st == ST_NO_MEMORY) return st;
    v->special.nl = st != ST_OK || ids.len == 0    ? v->kind->pad
                    : ids.ids[0] == v->special.unk ? v->kind->unk
                                                   : ids.ids[0];
    if (v->special.nl >= (int64_t)v->n) v->special.nl = TOKEN_NONE;
    token_list_free(&ids);
    return ST_OK;
}

/* A model without a tokenizer: ids without texts, as many as <arch>.vocab_size says. */
static enum status load_nothing(struct vocab *v, const struct gguf *g, struct err *e) {
    struct gguf_str arch = {"", 0};
    char key[128];
    enum status st = gguf_get_str(g, "general.architecture", &arch, e);
    if (st != ST_OK) return st;
    snprintf(key, sizeof key, "%.*s.vocab_size", arch.len < 100 ? (int)arch.len : 100, arch.ptr);
    if (gguf_find(g, key) != NULL) st = gguf_get_u32(g, key, &v->n, e);
    if (st == ST_OK && v->n > MAX_TOKENS) st = err_set(e, ST_LIMIT, "%u tokens", v->n);
    special_none(v);
    if (st != ST_OK) return st;
    v->text = mem_zalloc(v->n, sizeof *v->text);
    v->piece = mem_zalloc(v->n, sizeof *v->piece);
    v->attr = mem_zalloc(v->n, sizeof *v->attr);
    buf_str(&v->bytes, "");
    const bool ok = v->text != NULL && v->piece != NULL && v->attr != NULL && index_reserve(v, 1);
    return ok && !v->bytes.failed ? ST_OK : err_no_memory(e);
}

static enum status load(struct vocab *v, const struct gguf *g, struct err *e) {
    enum status st = find_kind(v, g, e);
    if (st == ST_OK) st = find_pre(v, g, e);
    if (st == ST_OK && v->kind->load == NULL) return load_nothing(v, g, e);
    if (st != ST_OK) return st;
    unsigned flags = v->pre != NULL ? v->pre->flags : 0;
    v->form = v->pre != NULL && (flags & PRE_RAW) == 0 ? KEY_BYTES : KEY_TEXT;
    v->escape = v->pre == NULL || (flags & PRE_SPACE) != 0;
    v->seed = map_hash("vocab", 5);
    st = load_texts(v, g, e);
    if (st == ST_OK) st = load_attrs(v, g, e);
    if (st == ST_OK) st = load_keys(v, e);
    if (st == ST_OK) st = load_index(v, e);
    if (st == ST_OK) st = special_load(v, g, e);
    if (st == ST_OK) st = v->kind->load(v, g, e); /* may add symbols */
    if (st == ST_OK) load_bytes(v);
    if (st != ST_OK) return st;
    if (!pieces_build(v) || !special_set_build(v)) return err_no_memory(e);
    return find_newline(v, e);
}

enum status vocab_open(struct vocab **out, const struct gguf *g, struct err *e) {
    struct vocab *v = mem_zalloc(1, sizeof *v);
    if (v == NULL) return err_no_memory(e);
    enum status st = load(v, g, e);
    if (st == ST_OK)
        *out = v;
    else
        vocab_close(v);
    return st;
}

void vocab_close(struct vocab *v) {
    if (v == NULL) return;
    mem_free(v->pre_name);
    mem_free(v->text);
    mem_free(v->key);
    mem_free(v->piece);
    mem_free(v->attr);
    mem_free(v->rank);
    mem_free(v->whole);
    mem_free(v->index.slot);
    mem_free(v->pairs.slot);
    mem_free(v->joints.wide);
    trie_free(&v->trie);
    trie_free(&v->user_trie);
    charsmap_free(&v->charsmap);
    mem_free(v->score);
    mem_free(v->cost);
    map_free(&v->literal);
    arena_free(&v->literal_texts);
    special_set_free(&v->user);
    special_set_free(&v->all);
    token_list_free(&v->suppressed);
    buf_free(&v->bytes);
    mem_free(v);
}

/* -- tokens ------------------------------------------------------------------------------------ */

uint32_t vocab_size(const struct vocab *v) { return v->n; }
const struct vocab_special *vocab_special(const struct vocab *v) { return &v->special; }
const token_id *vocab_suppressed(const struct vocab *v, size_t *n) {
    *n = v->suppressed.len;
    return v->suppressed.ids;
}
const char *vocab_kind_name(const struct vocab *v) { return v->kind->name; }
const char *vocab_pre_name(const struct vocab *v) { return v->pre_name; }

static bool in_range(const struct vocab *v, token_id id) { return id >= 0 && (uint32_t)id < v->n; }

const char *vocab_text(const struct vocab *v, token_id id, size_t *len) {
    *len = in_range(v, id) ? v->text[id].len : 0;
    return in_range(v, id) ? span_ptr(v, v->text[id]) : "";
}

unsigned vocab_attr(const struct vocab *v, token_id id) {
    return in_range(v, id) ? v->attr[id] & ~(unsigned)ATTR_EOG : 0;
}

bool vocab_is_eog(const struct vocab *v, token_id id) {
    return in_range(v, id) && (v->attr[id] & ATTR_EOG) != 0;
}

token_id vocab_find(const struct vocab *v, const char *text, size_t len) {
    char stack[256], *bytes = len <= sizeof stack ? stack : NULL;
    uint32_t sym = NO_SYM;
    size_t n;
    if (len == 0 || v->kind->load == NULL) return TOKEN_NONE;
    if (v->form == KEY_TEXT) {
        sym = index_find(v, text, len);
        return sym < v->n ? (token_id)sym : TOKEN_NONE;
    }
    if (len > 2 * (size_t)v->max_key && v->literal.count == 0) return TOKEN_NONE;
    if (bytes == NULL) bytes = mem_alloc(len);
    if (bytes == NULL) return TOKEN_NONE;
    if (bytes_of_text(text, len, bytes, &n))
        sym = index_find(v, bytes, n);
    else
        map_get(&v->literal, text, len, &sym);
    if (bytes != stack) mem_free(bytes);
    return sym < v->n ? (token_id)sym : TOKEN_NONE;
}

/* -- encoding ---------------------------------------------------------------------------------- */

static enum status encode_fragments(const struct vocab *v, const struct fragments *f,
                                    struct token_list *out, struct err *e) {
    struct vocab_scratch scratch = {0};
    enum status st = ST_OK;
    for (size_t i = 0; i < f->n && st == ST_OK; i++) {
        const struct fragment *p = &f->list[i];
        bool first = i == 0 || p[-1].id != TOKEN_NONE;
        if (p->id == TOKEN_NONE)
            st = v->kind->encode(v, &scratch, p->text, p->len, first, out, e);
        else if (!token_list_add(out, p->id))
            st = err_no_memory(e);
    }
    scratch_free(&scratch);
    return st;
}

static enum status add_special(bool add, token_id id, struct token_list *out, struct err *e) {
    if (!add || id == TOKEN_NONE) return ST_OK;
    return token_list_add(out, id) ? ST_OK : err_no_memory(e);
}

enum status vocab_encode(const struct vocab *v, const char *text, size_t len, unsigned flags,
                         struct token_list *out, struct err *e) {
    const struct vocab_special *s = &v->special;
    struct fragments f = {0};
    size_t before = out->len;
    const enum frame frame = v->kind->frame;
    const bool add = (flags & VOCAB_ADD_SPECIAL) != 0 && frame != FRAME_NONE;
    if (v->kind->encode == NULL)
        return err_set(e, ST_UNSUPPORTED, "this model has no tokenizer (kind '%s')", v->kind->name);
    if (len > MAX_TEXT) return err_set(e, ST_LIMIT, "text of %zu bytes", len);
    enum status st = add_special(add && (s->add_bos || frame == FRAME_BERT), s->bos, out, e);
    if (st == ST_OK) st = text_cut(v, text, len, (flags & VOCAB_PARSE_SPECIAL) != 0, &f, e);
    if (st == ST_OK) st = encode_fragments(v, &f, out, e);
    if (st == ST_OK && frame == FRAME_BERT)
        st = add_special(add, s->sep, out, e);
    else if (st == ST_OK)
        st = add_special(add && s->add_eos, s->eos, out, e);
    mem_free(f.list);
    if (st != ST_OK) out->len = before;
    return st;
}
