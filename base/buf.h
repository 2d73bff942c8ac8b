/* buf.h - a growing byte buffer for building text and binary data.
 *
 * Errors are sticky: after a failed allocation `failed` is set and every later append does nothing,
 * so code that builds something checks once at the end. `data` is NUL-terminated after every append
 * (the NUL is not counted in `len`). A zeroed struct is a valid, empty buffer. */
#ifndef CRIA_BASE_BUF_H
#define CRIA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL until the first append */
    size_t len, cap;
    bool failed;
};

bool buf_reserve(struct buf *b, size_t extra); /* room for extra more bytes (and a NUL) */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_chr(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_cut(struct buf *b, size_t len); /* shortens to len */
void buf_drop(struct buf *b, size_t n);  /* removes the first n bytes */
void buf_clear(struct buf *b);           /* empty again; keeps the memory; clears `failed` */
char *buf_take(struct buf *b);           /* returns the text (mem_free), maybe ""; NULL if failed */
void buf_free(struct buf *b);

#endif
