/* vocab_index.c - the hash tables of a vocabulary and the table of joints (see vocab_impl.h).
 *
 * Open addressing with linear probing over flat arrays, at most half full; hashes are seeded once
 * per process, so a file's author cannot choose texts that collide. A miss, the usual case in
 * merging, touches one cache line. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vocab/vocab_impl.h"

static uint64_t stir(uint64_t h, uint64_t w) {
    h = (h ^ w) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static uint64_t load8(const char *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

static uint64_t load4(const char *p) {
    uint32_t w;
    memcpy(&w, p, 4);
    return w;
}

/* Most keys are shorter than 16 bytes: at most two words, read overlapping instead of byte by byte.
 */
static uint64_t text_hash(uint64_t seed, const char *p, size_t len) {
    const unsigned char *u = (const unsigned char *)p;
    uint64_t h = seed ^ len * 0xD6E8FEB86659FD93u;
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8) h = stir(h, load8(p + i));
        h = stir(h, load8(p + len - 8));
    } else if (len >= 4) {
        h = stir(h, load4(p) | load4(p + len - 4) << 32);
    } else if (len > 0) {
        h = stir(h, u[0] | (uint64_t)u[len / 2] << 8 | (uint64_t)u[len - 1] << 16);
    }
    return stir(h, h >> 29);
}

/* -- text -> symbol ---------------------------------------------------------------------------- */

/* Smallest power of two that leaves half of the slots free; 0: too many. */
static size_t capacity_for(size_t n) {
    size_t cap = 16;
    if (n > SIZE_MAX / 4) return 0;
    while (cap < 2 * n) cap *= 2;
    return cap;
}

/* The slot of a text or the free one where it belongs. */
static struct text_slot *text_slot_of(const struct vocab *v, const struct text_index *t,
                                      const char *text, size_t len, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        struct text_slot *s = &t->slot[i];
        if (s->id == NO_SYM) return s;
        if (s->tag != tag) continue;
        struct span k = v->key[s->id];
        if (k.len == len && memcmp(span_ptr(v, k), text, len) == 0) return s;
    }
}

bool index_reserve(struct vocab *v, size_t n) {
    struct text_index grown = {.cap = capacity_for(n), .count = v->index.count};
    if (grown.cap <= v->index.cap) return grown.cap != 0;
    grown.slot = mem_array(grown.cap, sizeof *grown.slot);
    if (grown.slot == NULL) return false;
    for (size_t i = 0; i < grown.cap; i++) grown.slot[i].id = NO_SYM;
    for (size_t i = 0; i < v->index.cap; i++) {
        const struct text_slot *s = &v->index.slot[i];
        if (s->id == NO_SYM) continue;
        struct span k = v->key[s->id];
        uint64_t hash = text_hash(v->seed, span_ptr(v, k), k.len);
        *text_slot_of(v, &grown, span_ptr(v, k), k.len, hash) = *s;
    }
    mem_free(v->index.slot);
    v->index = grown;
    return true;
}

bool index_put(struct vocab *v, uint32_t id, uint32_t *old) {
    if (!index_reserve(v, v->index.count + 1)) return false;
    struct span k = v->key[id];
    uint64_t hash = text_hash(v->seed, span_ptr(v, k), k.len);
    struct text_slot *s = text_slot_of(v, &v->index, span_ptr(v, k), k.len, hash);
    *old = s->id;
    if (s->id != NO_SYM) return true;
    *s = (struct text_slot){.tag = (uint32_t)(hash >> 32), .id = id};
    v->index.count++;
    return true;
}

uint64_t index_hash(const struct vocab *v, const char *text, size_t len) {
    return text_hash(v->seed, text, len);
}

uint32_t index_find_hashed(const struct vocab *v, const char *text, size_t len, uint64_t hash) {
    if (len > v->max_key) return NO_SYM;
    return text_slot_of(v, &v->index, text, len, hash)->id;
}

uint32_t index_find(const struct vocab *v, const char *text, size_t len) {
    return index_find_hashed(v, text, len, text_hash(v->seed, text, len));
}

/* Three rounds of independent loads: slots, spans, texts. The volatile sink keeps them alive. */
void index_touch(const struct vocab *v, const char *const *text, const size_t *len, size_t n) {
    enum { MAX = 128 };
    uint32_t id[MAX], off[MAX];
    volatile char sink = 0;
    assert(n <= MAX);
    for (size_t i = 0; i < n; i++)
        id[i] = v->index.slot[text_hash(v->seed, text[i], len[i]) & (v->index.cap - 1)].id;
    for (size_t i = 0; i < n; i++) off[i] = id[i] != NO_SYM ? v->key[id[i]].off : 0;
    for (size_t i = 0; i < n; i++) sink = v->bytes.data[off[i]];
    (void)sink;
}

/* -- pair -> merge ----------------------------------------------------------------------------- */

bool pair_reserve(struct pair_index *t, size_t n) {
    assert(t->slot == NULL);
    t->cap = capacity_for(n);
    t->slot = t->cap != 0 ? mem_array(t->cap, sizeof *t->slot) : NULL;
    if (t->slot == NULL) return false;
    for (size_t i = 0; i < t->cap; i++) t->slot[i].rank = NO_RANK;
    return true;
}

static size_t pair_place(const struct vocab *v, uint32_t left, uint32_t right) {
    return stir(v->seed, (uint64_t)left << 32 | right) & (v->pairs.cap - 1);
}

static struct pair_slot *pair_slot_of(const struct vocab *v, uint32_t left, uint32_t right) {
    const struct pair_index *t = &v->pairs;
    for (size_t i = pair_place(v, left, right);; i = (i + 1) & (t->cap - 1)) {
        struct pair_slot *s = &t->slot[i];
        if (s->rank == NO_RANK || (s->left == left && s->right == right)) return s;
    }
}

void pair_touch(const struct vocab *v, uint32_t left, uint32_t right) {
    __builtin_prefetch(&v->pairs.slot[pair_place(v, left, right)], 1);
}

void pair_put(struct vocab *v, uint32_t left, uint32_t right, uint32_t rank, uint32_t result) {
    assert(2 * v->pairs.count < v->pairs.cap && rank != NO_RANK);
    struct pair_slot *s = pair_slot_of(v, left, right);
    if (s->rank != NO_RANK) return;
    *s = (struct pair_slot){.left = left, .right = right, .rank = rank, .result = result};
    v->pairs.count++;
}

const struct pair_slot *pair_find(const struct vocab *v, uint32_t left, uint32_t right) {
    const struct pair_slot *s = pair_slot_of(v, left, right);
    return s->rank != NO_RANK ? s : NULL;
}

/* -- joints ------------------------------------------------------------------------------------ */

uint32_t char_code(const char *p, uint32_t len) {
    const unsigned char *u = (const unsigned char *)p;
    if (len == 1) return u[0];
    uint32_t code = 0;
    for (uint32_t i = 0; i < len; i++) code = code << 8 | u[i];
    return code == 0xE29681 ? ' ' : code;
}

static size_t joint_bit(const struct joints *j, uint32_t a, uint32_t b) {
    return stir(0, (uint64_t)a << 32 | b) & (j->n_bits - 1);
}

static void joint_add(struct joints *j, uint32_t a, uint32_t b) {
    if (a < 128 && b < 128) {
        j->ascii[a][b >> 6] |= 1ull << (b & 63);
        return;
    }
    size_t bit = joint_bit(j, a, b);
    j->wide[bit >> 6] |= 1ull << (bit & 63);
}

bool joints_wide(const struct joints *j, uint32_t a, uint32_t b) {
    size_t bit = joint_bit(j, a, b);
    return (j->wide[bit >> 6] >> (bit & 63) & 1) != 0;
}

bool joints_build(struct vocab *v) {
    struct joints *j = &v->joints;
    j->n_bits = 4 * capacity_for(v->n_syms); /* about one byte for each token */
    j->wide = mem_zalloc(j->n_bits / 64, sizeof *j->wide);
    if (j->wide == NULL) return false;
    for (uint32_t id = 0; id < v->n_syms; id++) {
        const char *p = span_ptr(v, v->key[id]), *end = p + v->key[id].len;
        uint32_t last = 0;
        for (bool first = true; p < end; first = false) {
            uint32_t n = char_len((unsigned char)*p, (size_t)(end - p)), code = char_code(p, n);
            if (!first) joint_add(j, last, code);
            last = code;
            p += n;
        }
    }
    return true;
}
