/* arena.c - see arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    ALIGN = 16,
#ifdef CRIA_HARD
    CHUNK_SIZE = 64, /* nearly every allocation opens a chunk: gives ordering bugs a chance */
#else
    CHUNK_SIZE = 64 * 1024,
#endif
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(ALIGN) unsigned char data[];
};

static struct arena_chunk *chunk_new(struct arena *a, size_t need) {
    size_t size = need > CHUNK_SIZE ? need : (size_t)CHUNK_SIZE, total;
    if (!mem_add(size, sizeof(struct arena_chunk), &total)) return NULL;
    struct arena_chunk *c = mem_aligned(ALIGN, total);
    if (c == NULL) return NULL;
    *c = (struct arena_chunk){.next = a->head, .size = size};
    a->head = c;
    a->total += size;
    return c;
}

void *arena_alloc(struct arena *a, size_t size) {
    size_t need;
    if (!mem_add(size, ALIGN - 1, &need)) return NULL;
    need &= ~(size_t)(ALIGN - 1);
    struct arena_chunk *c = a->head;
    if (c == NULL || c->size - c->used < need) c = chunk_new(a, need);
    if (c == NULL) return NULL;
    void *p = c->data + c->used;
    c->used += need;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n, size_t size) {
    size_t total;
    void *p = mem_mul(n, size, &total) ? arena_alloc(a, total) : NULL;
    if (p != NULL) memset(p, 0, total);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    size_t total;
    char *p = mem_add(n, 1, &total) ? arena_alloc(a, total) : NULL;
    if (p == NULL) return NULL;
    if (n != 0) memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (p != NULL) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}

void arena_reset(struct arena *a) {
    while (a->head != NULL && a->head->next != NULL) {
        struct arena_chunk *c = a->head;
        a->head = c->next;
        a->total -= c->size;
        mem_free(c);
    }
    if (a->head != NULL) a->head->used = 0;
}

void arena_free(struct arena *a) {
    arena_reset(a);
    mem_free(a->head);
    *a = (struct arena){0};
}
