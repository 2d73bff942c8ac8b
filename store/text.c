/* text.c - see text.h. */
#include "store/text.h"

#include <stdint.h>

#include "base/unicode.h"
#include "base/utf8.h"

size_t text_trim(const char **s, size_t n) {
    const char *p = *s, *end = p + n, *last = NULL; /* last: behind the last non-space seen */
    const char *first = NULL;
    while (p < end) {
        uint32_t cp;
        unsigned len = utf8_decode(p, (size_t)(end - p), &cp);
        bool space = unicode_is_space(cp);
        if (!space && first == NULL) first = p;
        p += len;
        if (!space) last = p;
    }
    if (first == NULL) return 0;
    *s = first;
    return (size_t)(last - first);
}

char text_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool text_is_alnum(char c) {
    char l = text_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}
