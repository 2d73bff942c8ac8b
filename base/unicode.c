/* unicode.c - see unicode.h. Look-ups in the two-stage table; sorted ranges for the rest. */
#include "base/unicode.h"

#include <stddef.h>

#include "base/unicode_tables.h"

static const struct unicode_record *record_of(uint32_t cp) {
    if (cp > 0x10FFFF) cp = 0x10FFFF; /* a noncharacter: unassigned, no lower case */
    unsigned block = unicode_page[cp >> UNICODE_SHIFT];
    unsigned low = cp & ((1u << UNICODE_SHIFT) - 1);
    return &unicode_record[unicode_block[block << UNICODE_SHIFT | low]];
}

/* The range that holds cp; NULL if none. */
static const struct unicode_range *range_of(const struct unicode_range *r, unsigned n,
                                            uint32_t cp) {
    unsigned lo = 0, hi = n; /* r[lo - 1].first <= cp < r[hi].first */
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (r[mid].first <= cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo != 0 && cp <= r[lo - 1].last ? &r[lo - 1] : NULL;
}

unsigned unicode_class(uint32_t cp) { return record_of(cp)->kind; }

bool unicode_is_space(uint32_t cp) {
    if (cp < 0x80) return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return record_of(cp)->space != 0;
}

bool unicode_is_han(uint32_t cp) {
    return cp >= unicode_han[0].first && range_of(unicode_han, unicode_n_han, cp) != NULL;
}

uint32_t unicode_lower(uint32_t cp) {
    if (cp < 0x80) return cp >= 'A' && cp <= 'Z' ? cp + 0x20 : cp;
    return cp + (uint32_t)record_of(cp)->lower; /* a negative difference wraps to the right value */
}

uint32_t unicode_nfd_first(uint32_t cp) {
    if (cp < unicode_nfd[0].first) return cp; /* all of ASCII */
    const struct unicode_range *r = range_of(unicode_nfd, unicode_n_nfd, cp);
    return r != NULL ? r->value : cp;
}
