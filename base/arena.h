/* arena.h - memory by lifetime.
 *
 * An arena hands out pieces of large chunks; all of them die together in arena_reset() (keeps the
 * chunks' first one for reuse) or arena_free(). Used for everything that lives as long as a model
 * or a request. Not thread-safe. A zeroed struct is a valid, empty arena. */
#ifndef CRIA_BASE_ARENA_H
#define CRIA_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *head; /* newest chunk; older ones follow */
    size_t total;             /* bytes of all chunks */
};

/* NULL on failure. Alignment: 16. The bytes of arena_zalloc are zero. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t n, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
