/* charset.h - a set of characters: sorted, disjoint, non-adjacent ranges of code points.
 *
 * Values are 0..10FFFF; surrogates may be named by a source but never reach UTF-8 (rules_chars
 * drops them). A zeroed struct is the empty set. Functions return false if there is no memory. */
#ifndef CRIA_ENGINE_GRAMMAR_CHARSET_H
#define CRIA_ENGINE_GRAMMAR_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAR_LAST = 0x10FFFF, SURROGATE_FIRST = 0xD800, SURROGATE_LAST = 0xDFFF };

struct char_range {
    uint32_t lo, hi;
};
struct charset { /* owns range */
    struct char_range *range;
    size_t n, cap;
};

bool charset_add(struct charset *s, uint32_t lo, uint32_t hi); /* lo > hi adds nothing */
bool charset_union(struct charset *s, const struct charset *other);
bool charset_negate(struct charset *s);
void charset_free(struct charset *s);

#endif
