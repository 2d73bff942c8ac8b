/* unicode.h - properties of code points, as the tokenizers see them (spec/tokenizers.md 5).
 *
 * The tables are those of Unicode 15.1, generated: base/unicode_tables.c. Any 32-bit value may be
 * asked; values above 10FFFF are unassigned and map to themselves. Thread-safe. */
#ifndef CRIA_BASE_UNICODE_H
#define CRIA_BASE_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

/* General categories by their first letter: number, letter, separator, mark, punctuation, symbol,
 * other. A white-space character also has one of these (Z or C). */
enum unicode_class { UNI_UNASSIGNED, UNI_N, UNI_L, UNI_Z, UNI_M, UNI_P, UNI_S, UNI_C };

unsigned unicode_class(uint32_t cp);
bool unicode_is_space(uint32_t cp);      /* the 25 characters of White_Space */
bool unicode_is_han(uint32_t cp);        /* ranges that kimi-k2 treats as Han */
uint32_t unicode_lower(uint32_t cp);     /* simple lower case; else cp */
uint32_t unicode_nfd_first(uint32_t cp); /* first of the canonical decomposition; else cp */

#endif
