/* rwkv.c - greedy longest match (spec/tokenizers.md 7.5) over texts that the file writes with
 * escapes. */
#include <string.h>

#include "base/hex.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab_impl.h"

/* \t \n \r \xHH; a backslash before anything else vanishes. */
static void unescape(const char *p, size_t len, struct buf *out) {
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '\\') {
            buf_chr(out, p[i]);
            continue;
        }
        if (++i == len) return;
        const int high = p[i] == 'x' && len - i > 2 ? hex_value(p[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(p[i + 2]) : -1;
        if (low >= 0) {
            buf_chr(out, (char)(16 * high + low));
            i += 2;
        } else {
            buf_chr(out, (char)(p[i] == 't'   ? '\t'
                                : p[i] == 'n' ? '\n'
                                : p[i] == 'r' ? '\r'
                                              : p[i]));
        }
    }
}

/* v->piece holds the bytes until pieces_build(), which keeps them. */
enum status rwkv_load(struct vocab *v, const struct gguf *g, struct err *e) {
    struct buf tmp = {0};
    bool ok = true;
    (void)g;
    for (uint32_t i = 0; i < v->n && ok; i++) {
        const struct span t = v->text[i];
        v->piece[i] = t;
        if (memchr(span_ptr(v, t), '\\', t.len) == NULL) continue;
        buf_clear(&tmp);
        unescape(span_ptr(v, t), t.len, &tmp);
        ok = !tmp.failed && bytes_add(v, tmp.data, tmp.len, &v->piece[i]);
    }
    buf_free(&tmp);
    return ok ? spans_to_trie(v, &v->trie, v->piece, ANY_ATTR, e) : err_no_memory(e);
}

enum status rwkv_encode(const struct vocab *v, struct vocab_scratch *s, const char *text,
                        size_t len, bool first, struct token_list *out, struct err *e) {
    (void)s;
    (void)first;
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t id;
        n = trie_longest(&v->trie, text + i, len - i, &id);
        if (n == 0) {
            if (v->special.unk == TOKEN_NONE)
                return err_set(e, ST_INVALID, "byte %zu of the text begins no token", i);
            id = (uint32_t)v->special.unk;
            n = 1;
        }
        if (!token_list_add(out, (token_id)id)) return err_no_memory(e);
    }
    return ST_OK;
}
