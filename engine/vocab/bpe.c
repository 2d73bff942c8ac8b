/* bpe.c - byte-pair encoding (spec/tokenizers.md 7.1).
 *
 * Two flavours. Byte-level: every byte of a piece is a symbol; the printable characters that the
 * file writes for bytes are mapped back once, when the vocabulary is loaded, so that encoding works
 * on the bytes of the input as they are. Raw (flag R): symbols are characters. A merge is a pair of
 * symbols and its rank; what it gives need not be a token. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/file/gguf.h"
#include "engine/vocab/pretok.h"
#include "engine/vocab/vocab_impl.h"

/* -- the byte map ------------------------------------------------------------------------------ */

/* Bytes 21-7E, A1-AC, AE-FF are written as themselves; the 68 others, in order, as U+0100.. */
static uint32_t char_of_byte(uint32_t b) {
    if (b <= 0x20) return 0x100 + b;
    if (b >= 0x7F && b <= 0xA0) return 0x100 + 33 + (b - 0x7F);
    return b == 0xAD ? 0x143 : b;
}

/* The byte that a character stands for; -1: none. */
static int byte_of_char(uint32_t cp) {
    if (cp >= 0x100 && cp <= 0x120) return (int)(cp - 0x100);
    if (cp > 0x120 && cp < 0x143) return (int)(cp - 0x121 + 0x7F);
    if (cp == 0x143) return 0xAD;
    return cp < 0x100 && char_of_byte(cp) == cp ? (int)cp : -1;
}

bool bytes_of_text(const char *text, size_t len, char *out, size_t *out_len) {
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        const unsigned char *u = (const unsigned char *)text + i;
        uint32_t cp = u[0];
        if (cp >= 0x80) { /* all characters of the map have one or two bytes */
            if (cp < 0xC2 || cp > 0xC5 || len - i < 2 || (u[1] & 0xC0) != 0x80) return false;
            cp = (cp & 0x1F) << 6 | (u[1] & 0x3Fu);
        }
        int b = byte_of_char(cp);
        if (b < 0) return false;
        out[n] = (char)b;
        i += cp < 0x80 ? 1 : 2;
    }
    *out_len = n;
    return true;
}

/* Above what any file has: a merge gives a token, and tokens are short. */
enum { MAX_MERGES = 1 << 26, MAX_MERGE = 1 << 20 };

/* -- loading ----------------------------------------------------------------------------------- */

/* Merges are read in batches. Looking up half a million texts is bound by the latency of memory;
 * touching the places of a whole batch first lets these waits overlap (a third of the time). */
enum { BATCH = 64 };

struct merge_line {
    uint32_t off, n_left, n_right; /* keys of both halves, one behind the other, in loader.keys */
    uint32_t rank;
    uint32_t left, right, both; /* symbols */
};
struct merge_loader {
    struct vocab *v;
    struct buf keys;
    struct merge_line line[BATCH];
    uint32_t n;
    uint32_t last; /* what the merge before gave */
};

/* Adds the key of text to l->keys; false: it can never stand in a piece (or no memory). */
static bool add_key(struct merge_loader *l, const char *text, size_t len, uint32_t *key_len) {
    size_t n = len;
    if (!buf_reserve(&l->keys, len)) return false;
    char *to = l->keys.data + l->keys.len;
    if (l->v->form == KEY_TEXT)
        memcpy(to, text, len);
    else if (!bytes_of_text(text, len, to, &n))
        return false;
    l->keys.len += n;
    *key_len = (uint32_t)n;
    return true;
}

/* "LEFT RIGHT", cut at the first space behind the first byte. A line that cannot be used is left
 * out (it keeps its rank). False: no memory. */
static bool add_line(struct merge_loader *l, struct gguf_str line, uint32_t rank) {
    const char *space = line.len > 1 ? memchr(line.ptr + 1, ' ', line.len - 1) : NULL;
    if (space == NULL || line.len > MAX_MERGE) return true;
    size_t n_left = (size_t)(space - line.ptr), n_right = line.len - n_left - 1;
    struct merge_line *m = &l->line[l->n];
    *m = (struct merge_line){.off = (uint32_t)l->keys.len, .rank = rank};
    if (n_right != 0 && add_key(l, line.ptr, n_left, &m->n_left) &&
        add_key(l, space + 1, n_right, &m->n_right))
        l->n++;
    return !l->keys.failed;
}

/* The symbol that a merge gives. In files it is nearly always that of the merge before (another way
 * to the same text) or the next one, which saves a look-up. */
static uint32_t intern_result(struct merge_loader *l, const char *key, size_t len) {
    for (uint32_t id = l->last; id < l->v->n_syms && id < l->last + 2; id++) {
        struct span k = l->v->key[id];
        if (k.len == len && memcmp(span_ptr(l->v, k), key, len) == 0) return l->last = id;
    }
    return l->last = symbol_intern(l->v, key, len);
}

static bool intern_line(struct merge_loader *l, struct merge_line *m) {
    const char *key = l->keys.data + m->off;
    m->left = symbol_intern(l->v, key, m->n_left);
    m->right = symbol_intern(l->v, key + m->n_left, m->n_right);
    m->both = intern_result(l, key, (size_t)m->n_left + m->n_right);
    return m->left != NO_SYM && m->right != NO_SYM && m->both != NO_SYM;
}

static void touch_batch(const struct merge_loader *l) {
    const char *text[2 * BATCH];
    size_t len[2 * BATCH];
    for (uint32_t i = 0; i < l->n; i++) {
        text[2 * i] = l->keys.data + l->line[i].off;
        len[2 * i] = l->line[i].n_left;
        text[2 * i + 1] = text[2 * i] + len[2 * i];
        len[2 * i + 1] = l->line[i].n_right;
    }
    index_touch(l->v, text, len, 2 * l->n);
}

static bool put_batch(struct merge_loader *l) {
    bool ok = true;
    touch_batch(l);
    for (uint32_t i = 0; i < l->n && ok; i++) ok = intern_line(l, &l->line[i]);
    for (uint32_t i = 0; i < l->n && ok; i++) pair_touch(l->v, l->line[i].left, l->line[i].right);
    for (uint32_t i = 0; i < l->n && ok; i++) {
        const struct merge_line *m = &l->line[i];
        pair_put(l->v, m->left, m->right, m->rank, m->both);
    }
    l->n = 0;
    buf_clear(&l->keys);
    return ok;
}

static enum status check_merges(const struct gguf_kv *merges, struct err *e) {
    if (merges == NULL) return err_set(e, ST_FORMAT, "cannot find tokenizer merges in model file");
    if (merges->type != GGUF_ARRAY || merges->elem != GGUF_STRING)
        return err_set(e, ST_FORMAT, "key tokenizer.ggml.merges is no array of strings");
    if (merges->count > MAX_MERGES)
        return err_set(e, ST_LIMIT, "%llu merges", (unsigned long long)merges->count);
    return ST_OK;
}

enum status bpe_load(struct vocab *v, const struct gguf *g, struct err *e) {
    const struct gguf_kv *merges = gguf_find(g, "tokenizer.ggml.merges");
    struct merge_loader l = {.v = v};
    enum status st = check_merges(merges, e);
    if (st != ST_OK) return st;
    bool ok = pair_reserve(&v->pairs, merges->count);
    for (uint32_t i = 0; i < merges->count && ok; i++) {
        ok = add_line(&l, gguf_elem_str(g, merges, i), i);
        if (ok && (l.n == BATCH || i + 1 == merges->count)) ok = put_batch(&l);
    }
    buf_free(&l.keys);
    if (ok && v->form == KEY_TEXT) ok = joints_build(v);
    return ok ? ST_OK : err_no_memory(e);
}

/* -- encoding ---------------------------------------------------------------------------------- */

static uint32_t bytes_first(const struct vocab *v, const char *text, size_t len, uint32_t *n) {
    (void)len;
    *n = 1;
    return v->byte_sym[(unsigned char)*text];
}

static uint32_t raw_first(const struct vocab *v, const char *text, size_t len, uint32_t *n) {
    *n = char_len((unsigned char)*text, len);
    return *n == 1 ? v->byte_sym[(unsigned char)*text] : index_find(v, text, *n);
}

static uint32_t bpe_merge(const struct vocab *v, const char *text, uint32_t len, uint32_t left,
                          uint32_t right, uint32_t *result) {
    (void)text;
    (void)len;
    if (left == NO_SYM || right == NO_SYM) return NO_RANK;
    const struct pair_slot *s = pair_find(v, left, right);
    if (s == NULL) return NO_RANK;
    *result = s->result;
    return s->rank;
}

static bool add_if_any(struct token_list *out, token_id id) {
    return id == TOKEN_NONE || token_list_add(out, id);
}

/* Raw: every byte as "<0x41>"; what has no token is dropped. */
static bool raw_spell(const struct vocab *v, const char *text, uint32_t len,
                      struct token_list *out) {
    for (uint32_t i = 0; i < len; i++) {
        if (!add_if_any(out, v->byte_token[(unsigned char)text[i]])) return false;
    }
    return true;
}

/* Byte-level: the bytes of the text *as the file would write it*, each looked up as a one-byte
 * token. In practice a byte that is written with two is dropped. */
static bool bytes_spell(const struct vocab *v, const char *text, uint32_t len,
                        struct token_list *out) {
    for (uint32_t i = 0; i < len; i++) {
        char c[4];
        unsigned n = utf8_encode(char_of_byte((unsigned char)text[i]), c);
        for (unsigned k = 0; k < n; k++) {
            if (!add_if_any(out, v->byte_token[(unsigned char)c[k]])) return false;
        }
    }
    return true;
}

static const struct merge_rule bytes_rule = {bytes_first, bpe_merge, bytes_spell};
static const struct merge_rule raw_rule = {raw_first, bpe_merge, raw_spell};

/* A piece that is emitted without merging, if it is a token: any (I), or one of newlines only. */
static token_id whole_piece(const struct vocab *v, const char *piece, size_t len) {
    unsigned flags = v->pre->flags;
    bool lines =
        (flags & PRE_NEWLINES) != 0 && piece[0] == '\n'; /* such a piece has only newlines */
    if ((flags & PRE_WHOLE) == 0 && !lines) return TOKEN_NONE;
    uint32_t sym = index_find(v, piece, len);
    return sym < v->n ? (token_id)sym : TOKEN_NONE;
}

static enum status encode_piece(const struct vocab *v, struct vocab_scratch *s, const char *piece,
                                size_t len, struct token_list *out, struct err *e) {
    token_id id = whole_piece(v, piece, len);
    if (id != TOKEN_NONE) return token_list_add(out, id) ? ST_OK : err_no_memory(e);
    if (v->form == KEY_BYTES) return merge_piece(v, &bytes_rule, s, piece, len, out, e);
    if (v->escape && !escape_spaces(s, false, &piece, &len)) return err_no_memory(e);
    return merge_text(v, &raw_rule, s, piece, len, out, e);
}

enum status bpe_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    struct pretok_iter it;
    enum status st = ST_OK;
    (void)first;
    if (!pretok_clean(text, len, &s->clean, &text, &len)) return err_no_memory(e);
    scratch_begin(s, len);
    pretok_start(&it, v->pre, text, len);
    for (const char *piece; st == ST_OK && pretok_next(&it, &piece, &len);)
        st = encode_piece(v, s, piece, len, out, e);
    return st;
}
