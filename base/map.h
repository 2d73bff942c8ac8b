/* map.h - a hash map from byte strings to small integers.
 *
 * For look-ups by name (GGUF keys, tensors, token texts, merges): the value is an index into an
 * array that the caller owns. Open addressing with linear probing and a per-process seed, so keys
 * chosen by a file's author cannot make it slow. Keys are borrowed: they must outlive the map. */
#ifndef CRIA_BASE_MAP_H
#define CRIA_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    const char *key; /* NULL: empty */
    uint32_t len, value;
    uint64_t hash;
};
struct map {
    struct map_slot *slot; /* owned; capacity is a power of two, at most half full */
    size_t cap, count;
};

/* Prepares room for n keys; false: no memory. Optional: map_put grows by itself. */
bool map_reserve(struct map *m, size_t n);
/* Puts key -> value. *inserted (may be NULL) tells whether the key is new; an existing key keeps
 * its value. False: no memory. */
bool map_put(struct map *m, const char *key, size_t len, uint32_t value, bool *inserted);
bool map_get(const struct map *m, const char *key, size_t len, uint32_t *value);
void map_free(struct map *m);

uint64_t map_hash(const void *data, size_t len); /* the hash used, seeded once per process */

#endif
