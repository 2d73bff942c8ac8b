/* ugm_norm.c - see ugm_norm.h. */
#include "engine/vocab/ugm_norm.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab_impl.h"

/* -- the character map
 * ----------------------------------------------------------------------------- */

static uint32_t unit_base(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }
static bool unit_is_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
static uint32_t unit_check(uint32_t unit) { return unit & 0x800000FFu; }
static uint32_t unit_value(uint32_t unit) { return unit & 0x7FFFFFFFu; }

static enum status charsmap_parse(struct charsmap *m, const unsigned char *blob, size_t len,
                                  struct err *e) {
    const size_t head = 4;
    if (len < head) return err_set(e, ST_FORMAT, "precompiled_charsmap has %zu bytes", len);
    const size_t size =
        blob[0] | (size_t)blob[1] << 8 | (size_t)blob[2] << 16 | (size_t)blob[3] << 24;
    if (size % 4 != 0 || size == 0 || size > len - head)
        return err_set(e, ST_FORMAT, "precompiled_charsmap: %zu bytes of units in %zu", size, len);
    m->n_units = size / 4;
    m->n_text = len - head - size;
    m->unit = mem_array(m->n_units, sizeof *m->unit);
    m->text = mem_alloc(m->n_text);
    if (m->unit == NULL || m->text == NULL) return err_no_memory(e);
    for (size_t i = 0; i < m->n_units; i++) {
        const unsigned char *u = blob + head + 4 * i;
        m->unit[i] = u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
    }
    memcpy(m->text, blob + head + size, m->n_text);
    return ST_OK;
}

enum status charsmap_load(struct charsmap *m, const struct gguf *g, struct err *e) {
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv == NULL || (kv->type == GGUF_ARRAY && kv->count == 0)) return ST_OK;
    if (kv->type != GGUF_ARRAY || (kv->elem != GGUF_I8 && kv->elem != GGUF_U8))
        return err_set(e, ST_FORMAT, "key %s is no array of bytes", key);
    unsigned char *blob = mem_alloc(kv->count);
    if (blob == NULL) return err_no_memory(e);
    for (uint64_t i = 0; i < kv->count; i++) blob[i] = (unsigned char)gguf_elem_int(kv, i);
    const enum status st = charsmap_parse(m, blob, kv->count, e);
    mem_free(blob);
    return st;
}

void charsmap_free(struct charsmap *m) {
    mem_free(m->unit);
    mem_free(m->text);
    *m = (struct charsmap){0};
}

/* From *at along c; false: there is no way. *leaf: the unit *at has the value of what was read. */
static bool charsmap_step(const struct charsmap *m, uint32_t *at, unsigned char c, bool *leaf) {
    const uint32_t next = *at ^ c;
    if (next >= m->n_units || unit_check(m->unit[next]) != c) return false;
    *at = next ^ unit_base(m->unit[next]);
    *leaf = unit_is_leaf(m->unit[next]) && *at < m->n_units;
    return true;
}

size_t charsmap_match(const struct charsmap *m, const char *text, size_t len, const char **to,
                      size_t *to_len) {
    size_t best = 0;
    bool leaf;
    if (m->n_units == 0) return 0;
    uint32_t at = unit_base(m->unit[0]), value = 0;
    for (size_t i = 0; i < len && text[i] != '\0'; i++) {
        if (!charsmap_step(m, &at, (unsigned char)text[i], &leaf)) break;
        if (!leaf) continue;
        best = i + 1;
        value = unit_value(m->unit[at]);
    }
    if (best == 0 || value >= m->n_text) return 0;
    *to = m->text + value;
    *to_len = strnlen(*to, m->n_text - value);
    return best;
}

/* -- normalising
 * ----------------------------------------------------------------------------------- */

/* Longest path in the trie of user-defined texts, also if it ends inside one. */
static size_t user_path(const struct trie *t, const char *text, size_t len) {
    uint32_t node = TRIE_ROOT;
    size_t i = 0;
    if (t->n_nodes <= 1) return 0;
    while (i < len && (node = trie_step(t, node, text[i])) != TRIE_NONE) i++;
    return i;
}

/* Length of the character at text; 0: the byte cannot begin one or it is not complete. */
static size_t whole_char(const char *text, size_t len) {
    const unsigned char c = (unsigned char)text[0];
    const size_t n = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 0;
    if (n > len) return 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)text[i] & 0xC0) != 0x80) return 0;
    }
    return n;
}

/* What the text at the start becomes: *to, *to_len; the bytes it takes. */
static size_t next_part(const struct vocab *v, const char *text, size_t len, const char **to,
                        size_t *to_len) {
    size_t n = user_path(&v->user_trie, text, len);
    if (n == 0) {
        n = charsmap_match(&v->charsmap, text, len, to, to_len);
        if (n != 0) return n;
        n = whole_char(text, len);
    }
    if (n == 0) {
        *to = "\xEF\xBF\xBD";
        *to_len = 3;
        return 1;
    }
    *to = text;
    *to_len = n;
    return n;
}

/* 0: another ASCII character may belong to it, or it becomes something longer or nothing. */
static char ascii_alone(const struct vocab *v, char c) {
    const struct charsmap *m = &v->charsmap;
    const char *to;
    size_t to_len;
    bool leaf;
    if (v->user_trie.n_nodes > 1 && trie_step(&v->user_trie, TRIE_ROOT, c) != TRIE_NONE) return 0;
    if (m->n_units == 0) return c;
    const uint32_t root = unit_base(m->unit[0]);
    uint32_t at = root;
    if (!charsmap_step(m, &at, (unsigned char)c, &leaf)) return c;
    for (unsigned char next = 1; next < 128; next++) {
        uint32_t behind = at;
        if (charsmap_step(m, &behind, next, &leaf)) return 0;
    }
    if (charsmap_match(m, &c, 1, &to, &to_len) == 0) return c;
    return to_len == 1 && (unsigned char)*to < 128 ? *to : 0;
}

void ugm_ascii(struct vocab *v) {
    for (int c = 1; c < 128; c++) v->charsmap.ascii[c] = ascii_alone(v, (char)c);
}

struct spaces { /* what has been written so far */
    bool prefix, in_word;
};

static const char MARK[] = "\xE2\x96\x81";

static void add_space(const struct vocab *v, struct spaces *s, struct buf *out) {
    s->in_word = false;
    if (!v->collapse_spaces) buf_add(out, MARK, 3);
}

/* len > 0 bytes without a space. */
static void add_letters(const struct vocab *v, struct spaces *s, const char *p, size_t len,
                        struct buf *out) {
    if (!s->in_word) {
        s->in_word = true;
        if ((v->space_prefix && !s->prefix) || v->collapse_spaces) {
            buf_add(out, MARK, 3);
            s->prefix = true;
        }
    }
    buf_add(out, p, len);
}

static void add_part(const struct vocab *v, struct spaces *s, const char *p, size_t len,
                     struct buf *out) {
    for (size_t i = 0, n; i < len; i += n) {
        n = 1;
        if (p[i] == ' ') {
            add_space(v, s, out);
            continue;
        }
        while (i + n < len && p[i + n] != ' ') n++;
        add_letters(v, s, p + i, n, out);
    }
}

/* The byte that the character at text becomes, if it is ASCII and nothing can join it; else 0. */
static char ascii_at(const struct vocab *v, const char *text, size_t len) {
    if (((unsigned char)text[0] | (len > 1 ? (unsigned char)text[1] : 0)) >= 128) return 0;
    return v->charsmap.ascii[(unsigned char)text[0]];
}

/* As many ASCII characters as possible; returns how many bytes they were. */
static size_t add_ascii(const struct vocab *v, struct spaces *s, const char *text, size_t len,
                        struct buf *out) {
    size_t i = 0;
    while (i < len) {
        size_t n = 0;
        while (i + n < len) { /* what stays as it is */
            const char to = ascii_at(v, text + i + n, len - i - n);
            if (to == 0 || to == ' ' || to != text[i + n]) break;
            n++;
        }
        if (n > 0) add_letters(v, s, text + i, n, out);
        i += n;
        const char to = i < len ? ascii_at(v, text + i, len - i) : 0;
        if (to == 0) break;
        if (to == ' ')
            add_space(v, s, out);
        else
            add_letters(v, s, &to, 1, out);
        i++;
    }
    return i;
}

enum status ugm_normalise(const struct vocab *v, const char *text, size_t len, struct buf *out,
                          struct err *e) {
    /* The longest real replacement is eleven times what it replaces; a mark is three for one. */
    const size_t most = 64 * len + 4096;
    struct spaces s = {false, false};
    buf_clear(out);
    for (size_t i = 0; i < len;) {
        const char *to;
        size_t n;
        i += add_ascii(v, &s, text + i, len - i, out);
        if (i == len) break;
        i += next_part(v, text + i, len - i, &to, &n);
        if (n > most || out->len > most)
            return err_set(e, ST_LIMIT, "precompiled_charsmap makes more than %zu bytes of %zu",
                           most, len);
        add_part(v, &s, to, n, out);
    }
    return out->failed ? err_no_memory(e) : ST_OK;
}
