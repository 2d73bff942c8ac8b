/* hex.h - one hexadecimal digit. */
#ifndef CRIA_BASE_HEX_H
#define CRIA_BASE_HEX_H

/* Its value; -1: it is none. */
static inline int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
