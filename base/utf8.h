/* utf8.h - UTF-8 both ways. Two decoders: the strict one for outside text (RFC 3629), the lenient
 * one of spec/tokenizers.md 5 that the pre-tokenizers are defined with. */
#ifndef CRIA_BASE_UTF8_H
#define CRIA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_BAD = 0xFFFD };

/* Strict: decodes one character at s (n > 0 bytes left). Returns its bytes (>= 1). For bad input
 * *cp is UTF8_BAD and the length is that of the maximal bad subsequence. */
unsigned utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Whether that result came from bad input; UTF8_BAD can also stand in the text itself. */
static inline bool utf8_was_bad(const char *s, unsigned n, uint32_t cp) {
    return cp == UTF8_BAD && !(n == 3 && (unsigned char)s[0] == 0xEF); /* U+FFFD is EF BF BD */
}
/* Lenient: lead byte decides (C0-DF 1, E0-EF 2, F0-F7 3 continuation bytes); overlong forms and
 * surrogates pass; anything else and values above 10FFFF are UTF8_BAD for one byte each. */
unsigned utf8_decode_lenient(const char *s, size_t n, uint32_t *cp);
unsigned utf8_encode(uint32_t cp, char out[4]); /* bytes written; any value up to 0x1FFFFF */
bool utf8_valid(const char *s, size_t n);
/* Length of the longest prefix that does not end inside a character: looks at the last up to 4
 * bytes for a lead byte with too few bytes after it (spec/sampling.md 7, step 1). */
size_t utf8_complete_prefix(const char *s, size_t n);

#endif
