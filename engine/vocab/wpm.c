/* wpm.c - WordPiece, the tokenizer of BERT (spec/tokenizers.md 7.3).
 *
 * The text is cleaned character by character into words: white space ends one, punctuation and CJK
 * characters are words of their own, controls and (when accents are stripped) marks vanish. A word
 * gets U+2581 in front and is cut into the longest tokens from the left; if that fails somewhere,
 * the whole word is unknown. */
#include <string.h>

#include "base/unicode.h"
#include "base/utf8.h"
#include "engine/vocab/vocab_impl.h"

enum status wpm_load(struct vocab *v, const struct gguf *g, struct err *e) {
    (void)g;
    return tokens_to_trie(v, &v->trie, ANY_ATTR, e);
}

/* -- words
 * ----------------------------------------------------------------------------------------- */

static bool is_cjk(uint32_t c) {
    static const uint32_t ranges[][2] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                         {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                         {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
    for (size_t i = 0; c >= 0x3400 && i < sizeof ranges / sizeof ranges[0]; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    }
    return false;
}

enum role { IN_WORD, ENDS_WORD, ALONE, NOTHING };

static enum role role_of(const struct vocab *v, uint32_t c) {
    const unsigned kind = unicode_class(c);
    if (unicode_is_space(c)) return ENDS_WORD;
    if (c == 0 || c == UTF8_BAD || kind == UNI_C) return NOTHING;
    if (v->strip_accents && kind == UNI_M) return NOTHING;
    if (kind == UNI_P || (c < 0x7F && kind == UNI_S) || is_cjk(c)) return ALONE;
    return IN_WORD;
}

/* Cuts the word in s->word, which begins with U+2581. */
static bool add_word(const struct vocab *v, struct vocab_scratch *s, struct token_list *out) {
    const char *p = s->word.data, *end = p + s->word.len;
    const size_t before = out->len;
    while (p < end) {
        uint32_t id;
        const size_t n = trie_longest(&v->trie, p, (size_t)(end - p), &id);
        if (n == 0) {
            out->len = before;
            return v->special.unk == TOKEN_NONE || token_list_add(out, v->special.unk);
        }
        if (!token_list_add(out, (token_id)id)) return false;
        p += n;
    }
    return true;
}

enum { MARK_LEN = 3 };

static bool end_word(const struct vocab *v, struct vocab_scratch *s, struct token_list *out) {
    if (s->word.len == MARK_LEN) return true;
    if (s->word.failed || !add_word(v, s, out)) return false;
    s->word.len = MARK_LEN;
    return true;
}

static inline void add_ascii(struct buf *b, char c) {
    if (b->len < b->cap)
        b->data[b->len++] = c;
    else
        buf_chr(b, c);
}

static bool add_char(const struct vocab *v, struct vocab_scratch *s, uint32_t c,
                     struct token_list *out) {
    char text[4];
    if (v->strip_accents) c = unicode_nfd_first(c);
    const enum role role = role_of(v, c);
    if (role == NOTHING) return true;
    if (role != IN_WORD && !end_word(v, s, out)) return false;
    if (role == ENDS_WORD) return true;
    buf_add(&s->word, text, utf8_encode(v->lower ? unicode_lower(c) : c, text));
    return role == IN_WORD || end_word(v, s, out);
}

/* ASCII letters and digits, most of most texts, without asking the tables. */
static size_t add_letters(const struct vocab *v, struct vocab_scratch *s, const char *text,
                          size_t len) {
    size_t i = 0;
    for (; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (v->lower && c >= 'A' && c <= 'Z') c |= 0x20;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) break;
        add_ascii(&s->word, (char)c);
    }
    return i;
}

enum status wpm_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    bool ok = true;
    (void)first;
    buf_clear(&s->word);
    buf_add(&s->word, "\xE2\x96\x81", MARK_LEN);
    for (size_t i = 0; i < len && ok;) {
        uint32_t c;
        i += add_letters(v, s, text + i, len - i);
        if (i == len) break;
        if (text[i] == ' ') {
            ok = end_word(v, s, out);
            i++;
            continue;
        }
        i += utf8_decode_lenient(text + i, len - i, &c);
        ok = add_char(v, s, c, out);
    }
    ok = ok && !s->word.failed && end_word(v, s, out);
    return ok ? ST_OK : err_no_memory(e);
}
