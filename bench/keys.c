/* keys.c - does the time of a refused key tell how much of it was right (spec/security.md S-NET-5)?
 *
 *     build/bench-keys [SAMPLES]
 *
 * A key is shown to rings whose one hash differs from its own in the first byte, or in the last
 * byte, in an order that is drawn. A comparison that stops early is faster with the first kind.
 * Welch's t over the times (those above the 90th percentile are interruptions, and left out, as
 * Reparaz, Balasch and Verbauwhede do in "Dude, is my code constant time?", 2017): below 4.5
 * nothing is seen. For comparison the same is done with memcmp() in a loop, whose difference must
 * be seen. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/keys.h"
#include "base/mem.h"
#include "base/os.h"

static const char key[] = "cria_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static struct keyring *ring_with(const unsigned char hash[DIGEST_BYTES]) {
    char text[256], hex[DIGEST_HEX + 1];
    struct keyring *r;
    struct err e;
    digest_hex(hash, hex);
    snprintf(text, sizeof text,
             "{\"keys\":[{\"id\":\"1\",\"name\":\"n\",\"scopes\":[\"infer\"],\"sha256\":\"%s\"}]}",
             hex);
    if (keyring_parse(&r, text, strlen(text), &e) != ST_OK) exit(1);
    return r;
}

typedef bool refuses(const void *with);

static bool ring_refuses(const void *with) {
    struct api_key *k;
    return keyring_enter((struct keyring *)(uintptr_t)with, key, SCOPE_INFER, &k) == KEY_UNKNOWN;
}

static unsigned char own_hash[DIGEST_BYTES];

/* What it would be without care, 64 times, since once is 2 ns. */
static bool early_refuses(const void *with) {
    const unsigned char *volatile other = with;
    bool refused = true;
    for (int k = 0; k < 64; k++) {
        int i = 0;
        while (i < DIGEST_BYTES && ((const volatile unsigned char *)other)[i] == own_hash[i]) i++;
        refused = refused && i < DIGEST_BYTES;
    }
    return refused;
}

static int by_time(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct moments {
    double n, mean, m2;
};

static void add(struct moments *m, double x) {
    const double d = x - m->mean;
    m->n++;
    m->mean += d / m->n;
    m->m2 += d * (x - m->mean);
}

static double welch(const double *time, const unsigned char *kind, size_t n) {
    double *sorted = mem_array(n, sizeof *sorted);
    struct moments m[2] = {{.n = 0}, {.n = 0}};
    memcpy(sorted, time, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_time);
    const double limit = sorted[n / 10 * 9];
    mem_free(sorted);
    for (size_t i = 0; i < n; i++)
        if (time[i] <= limit) add(&m[kind[i]], time[i]);
    printf("  first byte wrong: %.1f ns, last byte wrong: %.1f ns\n", m[0].mean, m[1].mean);
    return (m[0].mean - m[1].mean) /
           sqrt(m[0].m2 / (m[0].n - 1) / m[0].n + m[1].m2 / (m[1].n - 1) / m[1].n);
}

static double measure(refuses *f, const void *const with[2], size_t n) {
    double *time = mem_array(n, sizeof *time);
    unsigned char *kind = mem_array(n, 1);
    struct err e;
    if (os_random(kind, n, &e) != ST_OK) exit(1);
    for (size_t i = 0; i < n; i++) {
        kind[i] &= 1;
        const int64_t begun = os_time_mono_ns();
        if (!f(with[kind[i]])) exit(1);
        time[i] = (double)(os_time_mono_ns() - begun);
    }
    const double t = welch(time, kind, n);
    mem_free(time);
    mem_free(kind);
    return t;
}

int main(int argc, char **argv) {
    const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000; /* 10^5 of each kind */
    unsigned char first[DIGEST_BYTES], last[DIGEST_BYTES];
    struct digest *d = digest_new();
    digest_update(d, key, strlen(key));
    digest_finish(d, own_hash);
    memcpy(first, own_hash, sizeof first);
    memcpy(last, own_hash, sizeof last);
    first[0] ^= 1;
    last[DIGEST_BYTES - 1] ^= 1;
    struct keyring *ring[2] = {ring_with(first), ring_with(last)};
    const void *const rings[2] = {ring[0], ring[1]}, *const hashes[2] = {first, last};
    measure(ring_refuses, rings, n / 10); /* warm */
    const double t = measure(ring_refuses, rings, n);
    printf("keys: t = %.2f of %zu samples: %s\n", t, n,
           fabs(t) < 4.5 ? "nothing is seen" : "IT LEAKS");
    const double early = measure(early_refuses, hashes, n);
    printf("a comparison that stops early: t = %.2f\n", early);
    keyring_free(ring[0]);
    keyring_free(ring[1]);
    return fabs(t) < 4.5 ? 0 : 1;
}
