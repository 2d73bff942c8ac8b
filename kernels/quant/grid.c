/* grid.c - the grids made ready for the encoders: which digit vectors are entries, and for every
 * other vector the entries near it (spec/quants.md 5.7, last paragraph).
 *
 * "Near" are the entries whose squared distance is among the `rings` smallest distinct distances.
 * The lists are made from the grid at its first use, never freed, and live in static memory, which
 * costs nothing before: making them takes (Zen 5, one thread) 3 to 5 ms for an IQ3 grid, 5 to 22 ms
 * for the others. Entries and vectors are compared by halves, whose distances are in a table. */
#define QUANT_ENCODE
#include "kernels/quant/grid.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#define G(vector) vector
#include "kernels/quant/grid_iq2xxs.h"
#define G(vector) vector
#include "kernels/quant/grid_iq2xs.h"
#define G(vector) vector
#include "kernels/quant/grid_iq2s.h"
#define G(vector) vector
#include "kernels/quant/grid_iq3xxs.h"
#define G(vector) vector
#include "kernels/quant/grid_iq3s.h"
#define G(vector) vector
#include "kernels/quant/grid_iq1.h"

/* GRIDS(X): X(ID, name, entries, width, levels, bits, vectors = levels^width, rings, neighbours).
 * The last number follows from the grid; making it anew checks it. */
#define GRIDS(X)                                                                                   \
    X(GRID_IQ2XXS, iq2xxs, 256, 8, 3, 2, 6561, 2, 113157)                                          \
    X(GRID_IQ2XS, iq2xs, 512, 8, 3, 2, 6561, 2, 181721)                                            \
    X(GRID_IQ2S, iq2s, 1024, 8, 3, 2, 6561, 1, 44716)                                              \
    X(GRID_IQ3XXS, iq3xxs, 256, 4, 8, 3, 4096, 2, 18985)                                           \
    X(GRID_IQ3S, iq3s, 512, 4, 8, 3, 4096, 3, 24733)                                               \
    X(GRID_IQ1, iq1, 2048, 8, 3, 2, 6561, 3, 327721)

/* Where a grid is put, and what it is made from. */
struct plan {
    const uint16_t *code;
    unsigned n, width, levels, bits, n_vectors, rings, n_near;
    uint8_t (*digit)[8];
    int16_t *index;
    uint32_t *first;
    uint16_t *near;
};

#define MEMORY(ID, name, n, width, levels, bits, vectors, rings, neighbours)                       \
    static uint8_t name##_digit[n][8];                                                             \
    static int16_t name##_index[vectors];                                                          \
    static uint32_t name##_first[vectors + 1];                                                     \
    static uint16_t name##_near[neighbours];
GRIDS(MEMORY)

#define PLAN(ID, name, n, width, levels, bits, vectors, rings, neighbours)                         \
    [ID] = {grid_##name, n,          width,        levels,       bits,         vectors,            \
            rings,       neighbours, name##_digit, name##_index, name##_first, name##_near},
static const struct plan plans[GRID_COUNT] = {GRIDS(PLAN)};

#define PLACES3                                                                                    \
    { 2187, 729, 243, 81, 27, 9, 3, 1 }
#define PLACES8                                                                                    \
    { 512, 64, 8, 1 }
#define READY(ID, name, n, width, levels, bits, vectors, rings, neighbours)                        \
    [ID] = {n,          width, levels, PLACES##levels, name##_digit, name##_index, name##_first,   \
            name##_near},
static const struct grid grids[GRID_COUNT] = {GRIDS(READY)};

/* ---- distances ---- */

enum { HALF = 81, MAX_DISTANCE = 4 * 7 * 7 }; /* halves: 3^4 or 8^2; between vectors */

/* Squared distances between all halves of vectors. */
static void half_distances(const struct plan *p, unsigned n_half, uint8_t between[HALF][HALF]) {
    for (unsigned a = 0; a < n_half; a++) {
        for (unsigned b = 0; b < n_half; b++) {
            unsigned x = a, y = b, sum = 0;
            for (unsigned j = 0; j < p->width / 2; j++, x /= p->levels, y /= p->levels) {
                int d = (int)(x % p->levels) - (int)(y % p->levels);
                sum += (unsigned)(d * d);
            }
            between[a][b] = (uint8_t)sum;
        }
    }
}

/* The largest distance that is among the smallest `rings` distinct ones. */
static unsigned reach(const uint8_t *distance, unsigned n, unsigned rings) {
    bool seen[MAX_DISTANCE + 1] = {false};
    for (unsigned e = 0; e < n; e++) seen[distance[e]] = true;
    unsigned d = 0, last = 0;
    for (; d <= MAX_DISTANCE && rings > 0; d++) {
        if (!seen[d]) continue;
        last = d;
        rings--;
    }
    return last;
}

/* ---- making a grid ---- */

static void make_entries(const struct plan *p) {
    for (unsigned i = 0; i < p->n_vectors; i++) p->index[i] = -1;
    for (unsigned e = 0; e < p->n; e++) {
        unsigned number = 0;
        for (unsigned j = 0; j < p->width; j++) {
            p->digit[e][j] = (uint8_t)(p->code[e] >> p->bits * j & ((1u << p->bits) - 1));
            number = number * p->levels + p->digit[e][j];
        }
        p->index[number] = (int16_t)e;
    }
}

/* Appends the neighbours of vector v, given all distances. */
static uint32_t put_neighbours(const struct plan *p, const uint8_t *distance, uint32_t at) {
    unsigned last = reach(distance, p->n, p->rings);
    for (unsigned d = 1; d <= last; d++) {
        for (unsigned e = 0; e < p->n; e++) {
            if (distance[e] != d) continue;
            assert(at < p->n_near);
            p->near[at++] = (uint16_t)e;
        }
    }
    return at;
}

static void make(const struct plan *p) {
    static uint8_t between[HALF][HALF]; /* under the lock */
    uint8_t distance[2048];
    uint8_t high[2048], low[2048]; /* halves of the entries */
    unsigned n_half = p->width == 8 ? 81 : 64;
    assert(n_half * n_half == p->n_vectors && p->n <= 2048);
    make_entries(p);
    half_distances(p, n_half, between);
    for (unsigned v = 0; v < p->n_vectors; v++) {
        if (p->index[v] < 0) continue;
        high[p->index[v]] = (uint8_t)(v / n_half);
        low[p->index[v]] = (uint8_t)(v % n_half);
    }
    uint32_t at = 0;
    for (unsigned v = 0; v < p->n_vectors; v++) {
        p->first[v] = at;
        if (p->index[v] >= 0) continue;
        const uint8_t *to_high = between[v / n_half], *to_low = between[v % n_half];
        for (unsigned e = 0; e < p->n; e++) {
            distance[e] = (uint8_t)(to_high[high[e]] + to_low[low[e]]);
        }
        at = put_neighbours(p, distance, at);
    }
    p->first[p->n_vectors] = at;
    assert(at == p->n_near);
}

const struct grid *grid_get(enum grid_id id) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static atomic_bool ready[GRID_COUNT];
    if (!atomic_load_explicit(&ready[id], memory_order_acquire)) {
        pthread_mutex_lock(&lock);
        if (!atomic_load_explicit(&ready[id], memory_order_relaxed)) make(&plans[id]);
        atomic_store_explicit(&ready[id], true, memory_order_release);
        pthread_mutex_unlock(&lock);
    }
    return &grids[id];
}

/* ---- searching ---- */

/* Four floats; the compiler makes of it what the base instruction set has. */
typedef float lanes __attribute__((vector_size(16)));

/* w d d for one place and four digits. */
static inline lanes cost_of(const float *value, float w, float y) {
    lanes v;
    memcpy(&v, value, sizeof v);
    lanes d = v - y;
    return w * d * d;
}

/* Eight digits of three levels. */
static unsigned nearest8(const struct grid *g, const uint16_t *near, const uint16_t *end,
                         const float *value, const float *w, const float *y) {
    lanes cost[8];
    for (unsigned j = 0; j < 8; j++) cost[j] = cost_of(value, w[j], y[j]);
    const float(*c)[4] = (const void *)cost;
    float best = INFINITY;
    unsigned found = *near;
    for (; near < end; near++) {
        const uint8_t *e = g->digit[*near];
        float sum = c[0][e[0]] + c[1][e[1]] + c[2][e[2]] + c[3][e[3]];
        sum = sum + c[4][e[4]] + c[5][e[5]] + c[6][e[6]] + c[7][e[7]];
        if (!(sum < best)) continue;
        best = sum;
        found = *near;
    }
    return found;
}

/* Four digits of eight levels. */
static unsigned nearest4(const struct grid *g, const uint16_t *near, const uint16_t *end,
                         const float *value, const float *w, const float *y) {
    lanes cost[8];
    for (unsigned j = 0; j < 8; j++) cost[j] = cost_of(value + j % 2 * 4, w[j / 2], y[j / 2]);
    const float(*c)[8] = (const void *)cost;
    float best = INFINITY;
    unsigned found = *near;
    for (; near < end; near++) {
        const uint8_t *e = g->digit[*near];
        float sum = c[0][e[0]] + c[1][e[1]] + c[2][e[2]] + c[3][e[3]];
        if (!(sum < best)) continue;
        best = sum;
        found = *near;
    }
    return found;
}

unsigned grid_nearest(const struct grid *g, unsigned number, const float value[8], const float *w,
                      const float *y) {
    const uint16_t *near = g->near + g->first[number], *end = g->near + g->first[number + 1];
    assert(g->index[number] < 0 && near < end);
    return (g->width == 8 ? nearest8 : nearest4)(g, near, end, value, w, y);
}
