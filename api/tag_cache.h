/* tag_cache.h - what /api/tags says of a model, remembered by the digest of its manifest, which
 * tells all of its contents: so a list of a thousand models reads their manifests and configs, not
 * their templates. Thread-safe. */
#ifndef CRIA_API_TAG_CACHE_H
#define CRIA_API_TAG_CACHE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"

struct tag_cache { /* zeroed but for the lock; tag_cache_free */
    pthread_mutex_t lock;
    struct map by_digest; /* index into texts; keys in the arena */
    const char **texts;   /* owned; they live in the arena */
    size_t n, cap;
    struct arena arena;
};

void tag_cache_init(struct tag_cache *c);
void tag_cache_free(struct tag_cache *c);
/* Appends the text remembered for this digest; false: none is. */
bool tag_cache_put(struct tag_cache *c, const char *digest, struct buf *out);
/* Forgets all when there are very many; without memory nothing is remembered. */
void tag_cache_remember(struct tag_cache *c, const char *digest, const char *text, size_t n);

#endif
