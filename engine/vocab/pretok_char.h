/* pretok_char.h - characters as the pre-tokenizers see them (spec/tokenizers.md 5).
 *
 * Every character has exactly one class; white space wins over its general category. The text is
 * clean (see pretok.h), so that a lead byte tells the length and nothing needs to be checked. */
#ifndef CRIA_ENGINE_PRETOK_CHAR_H
#define CRIA_ENGINE_PRETOK_CHAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/unicode_tables.h"

/* Zero is what peek() reports at the end of the piece, so no class is zero. */
enum { OTHER = 1, N = 2, L = 4, M = 8, P = 16, S = 32, WS = 64 };
enum { ANY = OTHER | N | L | M | P | S | WS };

extern const unsigned char pretok_ascii_class[128];
extern const unsigned char pretok_class_bit[8]; /* enum unicode_class -> class */

#ifndef PRETOK_STEP
#define PRETOK_STEP() ((void)0) /* pretok_test.c counts */
#endif

struct ch {
    unsigned kind, len; /* class and bytes; both 0 at the end */
    uint32_t cp;
};

static inline unsigned class_of(uint32_t cp) {
    const unsigned low = cp & ((1u << UNICODE_SHIFT) - 1);
    const unsigned block = unicode_page[cp >> UNICODE_SHIFT];
    const struct unicode_record *r = &unicode_record[unicode_block[block << UNICODE_SHIFT | low]];
    return r->space != 0 ? WS : pretok_class_bit[r->kind];
}

static inline struct ch peek(const char *p, const char *end) {
    PRETOK_STEP();
    if (p == end) return (struct ch){0, 0, 0};
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) return (struct ch){pretok_ascii_class[u[0]], 1, u[0]};
    uint32_t cp;
    unsigned len;
    if (u[0] < 0xE0) {
        cp = (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
        len = 2;
    } else if (u[0] < 0xF0) {
        cp = (u[0] & 0xFu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
        len = 3;
    } else {
        cp = (u[0] & 7u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
        len = 4;
    }
    return (struct ch){class_of(cp), len, cp};
}

/* Skips characters whose class is in `set`; none is at the end. */
static inline const char *skip(const char *p, const char *end, unsigned set) {
    for (;;) {
        while (p < end && (unsigned char)*p < 0x80) {
            if ((pretok_ascii_class[(unsigned char)*p] & set) == 0) return p;
            p++;
            PRETOK_STEP();
        }
        const struct ch c = peek(p, end);
        if ((c.kind & set) == 0) return p;
        p += c.len;
    }
}

static inline bool is_newline(uint32_t c) { return c == '\r' || c == '\n'; }

#endif
