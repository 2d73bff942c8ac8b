/* unicode_tables.h - what gen_unicode.py writes and unicode.c reads.
 *
 * Two stages: page[cp >> SHIFT] is the number of a block, block[number << SHIFT | low bits] the
 * number of a record; equal blocks are stored once, and few different records exist. */
#ifndef CRIA_BASE_UNICODE_TABLES_H
#define CRIA_BASE_UNICODE_TABLES_H

#include <stdint.h>

enum { UNICODE_SHIFT = 7 };

struct unicode_record {
    uint8_t kind, space; /* enum unicode_class; 1: white space */
    int32_t lower;       /* lower case minus upper case */
};
struct unicode_range {
    uint32_t first, last, value; /* value: of every code point in first..last */
};

extern const uint8_t unicode_page[0x110000 >> UNICODE_SHIFT];
extern const uint8_t unicode_block[];
extern const struct unicode_record unicode_record[];
extern const struct unicode_range unicode_nfd[]; /* sorted */
extern const unsigned unicode_n_nfd;
extern const struct unicode_range unicode_han[]; /* sorted; value has no use */
extern const unsigned unicode_n_han;

#endif
