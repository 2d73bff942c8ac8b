/* buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#ifdef CRIA_HARD
enum { FIRST_SIZE = 1 };
#else
enum { FIRST_SIZE = 64 };
#endif

bool buf_reserve(struct buf *b, size_t extra) {
    size_t need;
    if (b->failed) return false;
    if (!mem_add(b->len, extra, &need) || !mem_add(need, 1, &need)) return !(b->failed = true);
    if (need <= b->cap) return true;
    size_t cap = b->cap != 0 ? b->cap + b->cap / 2 : (size_t)FIRST_SIZE;
    if (cap < need) cap = need;
    char *data = mem_grow(b->data, cap, 1);
    if (data == NULL) return !(b->failed = true);
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t n) {
    if (!buf_reserve(b, n)) return;
    if (n != 0) memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_chr(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0) b->failed = true;
    if (n >= 0 && buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void buf_cut(struct buf *b, size_t len) {
    assert(len <= b->len);
    b->len = len;
    if (b->data != NULL) b->data[len] = '\0';
}

void buf_drop(struct buf *b, size_t n) {
    assert(n <= b->len);
    if (n == 0) return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void buf_clear(struct buf *b) {
    b->failed = false;
    buf_cut(b, 0);
}

char *buf_take(struct buf *b) {
    if (b->data == NULL) buf_add(b, "", 0);
    char *text = b->failed ? NULL : b->data;
    if (text != NULL) *b = (struct buf){0};
    buf_free(b);
    return text;
}

void buf_free(struct buf *b) {
    mem_free(b->data);
    *b = (struct buf){0};
}
