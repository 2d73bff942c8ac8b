/* words.c - two kinds around byte-pair encoding (spec/tokenizers.md 7.1): `whitespace` (every word
 * on its own, perhaps in lower case) and `hybriddna` (stretches of DNA in the text). */
#include <string.h>

#include "base/unicode.h"
#include "base/utf8.h"
#include "engine/vocab/vocab_impl.h"

/* -- whitespace
 * ------------------------------------------------------------------------------------ */

static enum status end_word(const struct vocab *v, struct vocab_scratch *s, struct token_list *out,
                            struct err *e) {
    enum status st = ST_OK;
    if (s->word.failed) return err_no_memory(e);
    if (s->word.len != 0) st = bpe_encode(v, s, s->word.data, s->word.len, false, out, e);
    buf_clear(&s->word);
    return st;
}

enum status whitespace_encode(const struct vocab *v, struct vocab_scratch *s, const char *text,
                              size_t len, bool first, struct token_list *out, struct err *e) {
    enum status st = ST_OK;
    (void)first;
    buf_clear(&s->word);
    for (size_t i = 0; i < len && st == ST_OK;) {
        uint32_t c;
        char utf8[4];
        i += utf8_decode_lenient(text + i, len - i, &c);
        if (unicode_is_space(c))
            st = end_word(v, s, out, e);
        else
            buf_add(&s->word, utf8, utf8_encode(v->lower ? unicode_lower(c) : c, utf8));
    }
    return st == ST_OK ? end_word(v, s, out, e) : st;
}

/* -- hybriddna
 * ------------------------------------------------------------------------------------- */

static const char DNA_OPEN[] = "<dna>", DNA_CLOSE[] = "</dna>", DNA_MARK[] = "\xEE\x80\x80";
enum { MER = 6 }; /* letters of a token inside */

enum status dna_load(struct vocab *v, const struct gguf *g, struct err *e) {
    v->dna.open = vocab_find(v, DNA_OPEN, strlen(DNA_OPEN));
    v->dna.close = vocab_find(v, DNA_CLOSE, strlen(DNA_CLOSE));
    v->dna.unknown = vocab_find(v, "<oov>", 5);
    return bpe_load(v, g, e);
}

static char upper(char c) { return (char)(c >= 'a' && c <= 'z' ? c - 0x20 : c); }

/* Six letters at a time, the last ones filled up with A; each is written with a mark behind it. */
static bool encode_mers(const struct vocab *v, const char *p, size_t len, struct token_list *out) {
    for (size_t i = 0; i < len; i += MER) {
        char text[MER + sizeof DNA_MARK];
        for (size_t k = 0; k < MER; k++) text[k] = (char)(i + k < len ? upper(p[i + k]) : 'A');
        memcpy(text + MER, DNA_MARK, sizeof DNA_MARK);
        const token_id id = vocab_find(v, text, MER + sizeof DNA_MARK - 1);
        if (!token_list_add(out, id != TOKEN_NONE ? id : v->dna.unknown)) return false;
    }
    return true;
}

enum status dna_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    const char *p = text, *end = text + len;
    enum status st = ST_OK;
    if (v->dna.open == TOKEN_NONE || v->dna.close == TOKEN_NONE || v->dna.unknown == TOKEN_NONE)
        return bpe_encode(v, s, text, len, first, out, e);
    while (p < end && st == ST_OK) {
        const char *open = memmem(p, (size_t)(end - p), DNA_OPEN, 5);
        const char *plain_end = open != NULL ? open : end;
        if (plain_end > p) st = bpe_encode(v, s, p, (size_t)(plain_end - p), false, out, e);
        if (open == NULL || st != ST_OK) break;
        p = open + 5;
        const char *close = memmem(p, (size_t)(end - p), DNA_CLOSE, 6);
        const char *body_end = close != NULL ? close : end;
        bool ok =
            token_list_add(out, v->dna.open) && encode_mers(v, p, (size_t)(body_end - p), out);
        if (ok && close != NULL) ok = token_list_add(out, v->dna.close);
        if (!ok) st = err_no_memory(e);
        p = close != NULL ? close + 6 : end;
    }
    return st;
}
