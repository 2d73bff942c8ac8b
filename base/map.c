/* map.c - see map.h. The hash multiplies and folds 8 bytes at a time (as in wyhash's mixing step),
 * seeded once per process from the system's random source. */
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void) {
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = 0x9E3779B97F4A7C15u ^ (uint64_t)(uintptr_t)&seed;
}

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t map_hash(const void *data, size_t len) {
    pthread_once(&seed_once, make_seed);
    const unsigned char *p = data;
    uint64_t h = seed ^ fold(len + 0x2D358DCCAA6C78A5u, 0x8BB84B93962EACC9u), w;
    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&w, p, 8);
        h = fold(h ^ w, 0x9E3779B97F4A7C15u);
    }
    w = 0;
    if (len != 0) memcpy(&w, p, len);
    return fold(h ^ w, 0xD6E8FEB86659FD93u);
}

static struct map_slot *find(const struct map *m, const char *key, size_t len, uint64_t hash) {
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slot[i];
        if (s->key == NULL) return s;
        if (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0) return s;
    }
}

bool map_reserve(struct map *m, size_t n) {
    size_t cap = m->cap != 0 ? m->cap : 8, want;
    if (!mem_mul(n, 2, &want)) return false;
    while (cap < want) cap *= 2;
    if (cap == m->cap) return true;
    struct map grown = {.slot = mem_zalloc(cap, sizeof *grown.slot), .cap = cap, .count = m->count};
    if (grown.slot == NULL) return false;
    for (size_t i = 0; i < m->cap; i++) {
        const struct map_slot *s = &m->slot[i];
        if (s->key != NULL) *find(&grown, s->key, s->len, s->hash) = *s;
    }
    mem_free(m->slot);
    *m = grown;
    return true;
}

bool map_put(struct map *m, const char *key, size_t len, uint32_t value, bool *inserted) {
    assert(key != NULL && len <= UINT32_MAX);
    if (!map_reserve(m, m->count + 1)) return false;
    uint64_t hash = map_hash(key, len);
    struct map_slot *s = find(m, key, len, hash);
    bool fresh = s->key == NULL;
    if (fresh) {
        *s = (struct map_slot){.key = key, .len = (uint32_t)len, .value = value, .hash = hash};
        m->count++;
    }
    if (inserted != NULL) *inserted = fresh;
    return true;
}

bool map_get(const struct map *m, const char *key, size_t len, uint32_t *value) {
    if (m->count == 0) return false;
    const struct map_slot *s = find(m, key, len, map_hash(key, len));
    if (s->key == NULL) return false;
    *value = s->value;
    return true;
}

void map_free(struct map *m) {
    mem_free(m->slot);
    *m = (struct map){0};
}
