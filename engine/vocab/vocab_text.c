/* vocab_text.c - from ids to text (spec/tokenizers.md 9).
 *
 * What a token prints depends on its attributes only, so it is prepared when the vocabulary is
 * loaded; most of it lies in the block already (a key, or the text as it is). */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/vocab/vocab_impl.h"

/* Bytes that odd characters may take in all, and 16 times the texts (see odd_piece). */
enum { MIN_ODD_BYTES = 1 << 20 };

enum { SILENT = TOKEN_CONTROL | TOKEN_UNKNOWN }; /* printed only on demand */

int byte_of_text(const char *text, size_t len) {
    int byte = 0;
    if (len != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        char c = text[i];
        int digit = hex_value(c);
        if (digit < 0) return -1;
        byte = 16 * byte + digit;
    }
    return byte;
}

/* The text with a space for every U+2581. */
static bool spaced_piece(struct vocab *v, struct span text, struct buf *tmp, struct span *piece) {
    const char *p = span_ptr(v, text), *end = p + text.len;
    *piece = text;
    if (memchr(p, 0xE2, text.len) == NULL) return true; /* nearly all; memmem takes longer */
    if (memmem(p, text.len, "\xE2\x96\x81", 3) == NULL) return true;
    buf_clear(tmp);
    while (p < end) {
        bool mark = end - p >= 3 && memcmp(p, "\xE2\x96\x81", 3) == 0;
        buf_chr(tmp, mark ? ' ' : *p);
        p += mark ? 3 : 1;
    }
    return !tmp->failed && bytes_add(v, tmp->data, tmp->len, piece);
}

/* A text with characters that stand for no byte: each prints as a note that repeats the whole text,
 * the others as their byte. Of real vocabularies only those of the kind `whitespace` have such
 * tokens; so that a malicious one cannot grow without limit, what goes beyond the budget prints as
 * the bare text. */
static bool odd_piece(struct vocab *v, struct span text, struct buf *tmp, size_t *budget,
                      struct span *piece) {
    const char *p = span_ptr(v, text);
    *piece = text;
    if (text.len > 4096) return true;
    buf_clear(tmp);
    for (uint32_t i = 0, n; i < text.len; i += n) {
        uint32_t cp;
        char c[4];
        size_t n_bytes;
        n = utf8_decode_lenient(p + i, text.len - i, &cp);
        unsigned len = utf8_encode(cp, c);
        if (bytes_of_text(c, len, c, &n_bytes)) {
            buf_add(tmp, c, n_bytes);
            continue;
        }
        buf_str(tmp, "[UNK_BYTE_0x");
        for (unsigned k = 0; k < len; k++) buf_printf(tmp, "%02x", (unsigned char)c[k]);
        buf_add(tmp, p, text.len);
        buf_chr(tmp, ']');
    }
    if (tmp->failed) return false;
    if (tmp->len > *budget) return true;
    *budget -= tmp->len;
    return bytes_add(v, tmp->data, tmp->len, piece);
}

/* The mark behind letters of DNA (U+E000) does not print. */
static struct span without_mark(const struct vocab *v, struct span text) {
    const char *end = span_ptr(v, text) + text.len;
    if (text.len > 3 && memcmp(end - 3, "\xEE\x80\x80", 3) == 0) text.len -= 3;
    return text;
}

static bool byte_piece(struct vocab *v, struct span text, struct span *piece) {
    int byte = byte_of_text(span_ptr(v, text), text.len);
    char c = (char)byte;
    return byte < 0 || bytes_add(v, &c, 1, piece); /* a byte token of another form prints nothing */
}

bool pieces_build(struct vocab *v) {
    struct buf tmp = {0};
    size_t budget = MIN_ODD_BYTES + 16 * v->bytes.len;
    bool ok = true;
    for (uint32_t i = 0; i < v->n && ok; i++) {
        unsigned attr = v->attr[i];
        struct span text = v->text[i], *piece = &v->piece[i];
        if (v->kind->load == rwkv_load && (attr & (SILENT | TOKEN_USER)) == 0)
            continue; /* it made them */
        *piece = (struct span){0, 0};
        if (v->kind->load == dna_load) text = without_mark(v, text);
        if ((attr & (SILENT | TOKEN_USER)) != 0)
            *piece = text;
        else if ((attr & TOKEN_BYTE) != 0)
            ok = byte_piece(v, text, piece);
        else if ((attr & TOKEN_NORMAL) == 0)
            continue;
        else if (v->kind->load == plamo_load)
            *piece = text;
        else if (v->form == KEY_TEXT && (v->escape || !v->kind->bpe))
            ok = spaced_piece(v, text, &tmp, piece);
        else if (v->form == KEY_BYTES && v->key[i].len != 0)
            *piece = v->key[i];
        else
            ok = odd_piece(v, text, &tmp, &budget, piece);
    }
    buf_free(&tmp);
    return ok;
}

const char *vocab_piece(const struct vocab *v, token_id id, bool special, size_t *len) {
    *len = 0;
    if (id < 0 || (uint32_t)id >= v->n) return "";
    if ((v->attr[id] & SILENT) != 0 && !special) return "";
    *len = v->piece[id].len;
    return span_ptr(v, v->piece[id]);
}

/* -- detokenize -------------------------------------------------------------------------------- */

/* "a ." -> "a.", for ? ! . , */
static size_t clean_marks(char *s, size_t n) {
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        bool mark = s[i] == '?' || s[i] == '!' || s[i] == '.' || s[i] == ',';
        if (mark && o > 0 && s[o - 1] == ' ') o--;
        s[o++] = s[i];
    }
    return o;
}

/* "a ' b" -> "a'b" */
static size_t clean_quotes(char *s, size_t n) {
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        bool alone = s[i] == '\'' && o > 0 && s[o - 1] == ' ' && i + 1 < n && s[i + 1] == ' ';
        if (alone) o--;
        s[o++] = s[i];
        if (alone) i++;
    }
    return o;
}

/* "it 's" -> "it's", for 's 'm 're 've */
static size_t clean_contractions(char *s, size_t n) {
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\'' && o > 0 && s[o - 1] == ' ' && i + 1 < n) {
            bool two = i + 2 < n && (s[i + 1] == 'r' || s[i + 1] == 'v') && s[i + 2] == 'e';
            if (s[i + 1] == 's' || s[i + 1] == 'm' || two) o--;
        }
        s[o++] = s[i];
    }
    return o;
}

static void clean_up(struct buf *out, size_t from) {
    if (out->failed || out->len == from) return;
    char *s = out->data + from;
    size_t n = clean_contractions(s, clean_quotes(s, clean_marks(s, out->len - from)));
    buf_cut(out, from + n);
}

void vocab_detokenize(const struct vocab *v, const token_id *ids, size_t n, bool remove_special,
                      bool unparse_special, struct buf *out) {
    const struct vocab_special *s = &v->special;
    size_t from = out->len, len;
    bool strip = v->space_prefix;
    if (remove_special && s->add_bos && n > 0 && ids[0] == s->bos) {
        strip = false;
        ids++;
        n--;
    }
    if (remove_special && s->add_eos && n > 0 && ids[n - 1] == s->eos) n--;
    for (size_t i = 0; i < n; i++, strip = false) {
        const char *piece = vocab_piece(v, ids[i], unparse_special, &len);
        size_t skip = strip && len > 0 && piece[0] == ' ';
        buf_add(out, piece + skip, len - skip);
    }
    if (v->clean) clean_up(out, from);
}
