/* tag_cache.c - see tag_cache.h. */
#include "api/tag_cache.h"

#include <string.h>

#include "base/mem.h"

enum { MAX_TEXTS = 8192 };

void tag_cache_init(struct tag_cache *c) {
    *c = (struct tag_cache){.n = 0};
    pthread_mutex_init(&c->lock, NULL);
}

static void clear(struct tag_cache *c) {
    map_free(&c->by_digest);
    mem_free(c->texts);
    arena_free(&c->arena);
    c->by_digest = (struct map){0};
    c->texts = NULL;
    c->n = c->cap = 0;
}

void tag_cache_free(struct tag_cache *c) {
    clear(c);
    pthread_mutex_destroy(&c->lock);
}

bool tag_cache_put(struct tag_cache *c, const char *digest, struct buf *out) {
    uint32_t at;
    pthread_mutex_lock(&c->lock);
    const bool known = map_get(&c->by_digest, digest, strlen(digest), &at);
    if (known) buf_str(out, c->texts[at]);
    pthread_mutex_unlock(&c->lock);
    return known;
}

static bool make_room(struct tag_cache *c) {
    if (c->n == MAX_TEXTS) clear(c);
    if (c->n < c->cap) return true;
    const size_t cap = c->cap != 0 ? c->cap * 2 : 64;
    const char **grown = mem_grow(c->texts, cap, sizeof *grown);
    if (grown == NULL) return false;
    c->texts = grown;
    c->cap = cap;
    return true;
}

void tag_cache_remember(struct tag_cache *c, const char *digest, const char *text, size_t n) {
    bool fresh = false;
    pthread_mutex_lock(&c->lock);
    if (make_room(c)) {
        const char *key = arena_strndup(&c->arena, digest, strlen(digest));
        const char *copy = arena_strndup(&c->arena, text, n);
        if (key != NULL && copy != NULL &&
            map_put(&c->by_digest, key, strlen(key), (uint32_t)c->n, &fresh) && fresh)
            c->texts[c->n++] = copy;
    }
    pthread_mutex_unlock(&c->lock);
}
