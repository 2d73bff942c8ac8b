/* roofline.c - memory bandwidth and arithmetic peak, measured on the spot.
 *
 * Bandwidth: every thread reads its part of a buffer much larger than any L3, as four streams with
 * independent sums; the best of several passes counts, since a disturbed pass says nothing about
 * the machine. Arithmetic: a loop of independent multiply-adds in registers, no memory at all, with
 * the widest instructions that this processor has. Both are upper bounds that real code can come
 * close to (and, for the arithmetic peak, never reach). */
#include "cli/roofline.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/team.h"

enum { MIB = 1 << 20, BUFFER = 512 * MIB, PASSES = 5, MAX_THREADS = 1024 };

struct probe {
    const uint64_t *data;
    size_t n, part; /* words; of them each thread's */
    uint64_t (*macs)(unsigned rounds, double *per_round);
    double per_round;
    unsigned rounds;
    uint64_t sink[MAX_THREADS]; /* so that nothing is optimised away */
};

/* ---- bandwidth ---- */

typedef uint64_t words __attribute__((vector_size(16))); /* the base ISA is enough for memory */

static uint64_t read_streams(const uint64_t *data, size_t n) {
    const size_t part = n / 4 / 8 * 8; /* four streams, a cache line at a time */
    const words *s[4];
    words sum[4] = {{0}, {0}, {0}, {0}};
    for (size_t k = 0; k < 4; k++) s[k] = (const words *)(data + k * part);
    for (size_t i = 0; i < part / 2; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (s[k][i] + s[k][i + 1]) + (s[k][i + 2] + s[k][i + 3]);
    const words all = sum[0] + sum[1] + sum[2] + sum[3];
    return all[0] + all[1];
}

static void read_part(void *arg, unsigned task, unsigned worker) {
    struct probe *p = arg;
    p->sink[worker] += read_streams(p->data + task * p->part, p->part);
}

static void fill_part(void *arg, unsigned task, unsigned worker) {
    const struct probe *p = arg;
    (void)worker;
    memset((uint64_t *)(uintptr_t)(p->data + task * p->part), 1, p->part * sizeof *p->data);
}

static double measure_read(struct probe *p, struct team *t) {
    double best = 0;
    p->part = p->n / team_size(t) / 64 * 64;
    team_share(t, team_size(t), fill_part, p);
    for (int i = 0; i < PASSES; i++) {
        const double start = os_time_mono();
        team_share(t, team_size(t), read_part, p);
        const double rate = (double)(p->n * sizeof *p->data) / (os_time_mono() - start);
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- arithmetic ---- */

/* Independent sums: enough to hide the latency, few enough for 16 registers. */
enum { CHAINS = 10 };

static uint64_t macs_plain(unsigned rounds, double *per_round) {
    typedef float vec __attribute__((vector_size(16)));
    vec sum[CHAINS] = {{0}}, a = {1, 1, 1, 1}, b = {1e-9f, 1e-9f, 1e-9f, 1e-9f};
    for (unsigned r = 0; r < rounds; r++) {
        for (int k = 0; k < CHAINS; k++) sum[k] = sum[k] * a + b;
        __asm__ volatile("" : "+x"(a)); /* the loop must not be folded */
    }
    for (int k = 1; k < CHAINS; k++) sum[0] += sum[k];
    *per_round = CHAINS * 4;
    return (uint64_t)sum[0][0];
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET(features) __attribute__((target(features)))

/* One kernel per width: CHAINS times the given statement on sum[k]. */
#define KERNEL(name, features, type, zero, statement, lanes, take)                                 \
    TARGET(features) static uint64_t name(unsigned rounds, double *per_round) {                    \
        type sum[CHAINS], a = zero, b = zero;                                                      \
        for (int k = 0; k < CHAINS; k++) sum[k] = zero;                                            \
        for (unsigned r = 0; r < rounds; r++) {                                                    \
            _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++) sum[k] = statement;          \
            __asm__ volatile("" : "+x"(a), "+x"(b));                                               \
        }                                                                                          \
        *per_round = (double)CHAINS * (lanes);                                                     \
        for (int k = 1; k < CHAINS; k++) sum[0] = take(sum[0], sum[k]);                            \
        uint64_t out;                                                                              \
        memcpy(&out, &sum[0], sizeof out);                                                         \
        return out;                                                                                \
    }

KERNEL(f32_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(a, b, sum[k]), 8,
       _mm256_add_ps)
KERNEL(f32_avx512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(a, b, sum[k]), 16,
       _mm512_add_ps)
/* Three instructions for 32 products: multiply pairs, widen, add. */
KERNEL(i8_avx2, "avx2", __m256i, _mm256_setzero_si256(),
       _mm256_add_epi32(sum[k],
                        _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_xor_si256(a, sum[k]), b), b)),
       32, _mm256_add_epi32)
KERNEL(i8_vnni, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(),
       _mm512_dpbusd_epi32(sum[k], a, b), 64, _mm512_add_epi32)
#endif

static void run_macs(void *arg, unsigned task, unsigned worker) {
    struct probe *p = arg;
    double per_round;
    p->sink[worker] += p->macs(p->rounds, &per_round);
    if (task == 0) p->per_round = per_round;
}

static double measure_macs(struct probe *p, struct team *t, uint64_t (*macs)(unsigned, double *)) {
    double best = 0;
    p->macs = macs;
    p->rounds = 2000000; /* some milliseconds */
    for (int i = 0; i < PASSES; i++) {
        const double start = os_time_mono();
        team_share(t, team_size(t), run_macs, p);
        const double seconds = os_time_mono() - start;
        const double rate = p->per_round * p->rounds * team_size(t) / seconds;
        if (rate > best) best = rate;
    }
    return best;
}

static void measure_peaks(struct roofline *r, struct probe *p, struct team *t) {
    r->variant = "plain";
    r->f32_macs = r->int8_macs = measure_macs(p, t, macs_plain);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        r->variant = "avx2";
        r->f32_macs = measure_macs(p, t, f32_avx2);
        r->int8_macs = measure_macs(p, t, i8_avx2);
    }
    if (__builtin_cpu_supports("avx512f")) {
        r->variant = "avx512";
        r->f32_macs = measure_macs(p, t, f32_avx512);
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        r->variant = "avx512vnni";
        r->int8_macs = measure_macs(p, t, i8_vnni);
    }
#endif
}

enum status roofline_measure(struct roofline *r, unsigned n_threads, struct err *e) {
    struct team *t = NULL;
    struct probe *p = mem_zalloc(1, sizeof *p);
    uint64_t *data = mem_aligned(64, BUFFER);
    enum status st = p == NULL || data == NULL ? err_no_memory(e) : ST_OK;
    if (st == ST_OK) st = team_open(&t, n_threads < MAX_THREADS ? n_threads : MAX_THREADS, e);
    if (st == ST_OK) {
        p->data = data;
        p->n = BUFFER / sizeof *data;
        r->read_bytes = measure_read(p, t);
        measure_peaks(r, p, t);
    }
    team_close(t);
    mem_free(data);
    mem_free(p);
    return st;
}
