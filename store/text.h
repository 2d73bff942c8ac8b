/* text.h - small helpers on text that the files of store/ share. Thread-safe. */
#ifndef CRIA_STORE_TEXT_H
#define CRIA_STORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Cuts Unicode white space from both ends of the n bytes at *s; returns the new length. */
size_t text_trim(const char **s, size_t n);
/* Letters of ASCII only, whatever the locale. */
bool text_is_alnum(char c);
char text_lower(char c);

#endif
