/* grid_test.c - the grid formats: their grids against plain counting, what their encoders make of
 * ordinary values, and that no input, nor importance matrix, harms. (The bytes themselves are
 * compared with golden data; the kernels with the decoders, in isa_test.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <pthread.h>
#include <stdlib.h>

#include "kernels/dtype.h"
#define QUANT_ENCODE
#include "kernels/quant/grid.h"

static bool is_grid(const struct dtype_info *t) {
    return t != NULL && t->encode != NULL && t->name[0] == 'I' && t->name[1] == 'Q' &&
           t->name[2] < '4';
}
#define FOR_EACH_FORMAT                                                                            \
    for (uint32_t id_ = 0; id_ < DT_COUNT; id_++)                                                  \
        for (const struct dtype_info *t = dtype_info(id_); is_grid(t); t = NULL)

static float uniform(void) { return (float)rand() / (float)RAND_MAX; }
static float gauss(void) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum - 6;
}

/* ---- grids ---- */

static unsigned distance(const struct grid *g, const uint8_t *a, const uint8_t *b) {
    unsigned sum = 0;
    for (unsigned j = 0; j < g->width; j++) sum += (unsigned)((a[j] - b[j]) * (a[j] - b[j]));
    return sum;
}

/* Vector `number` by its definition: it is an entry, or its list holds whole rings of entries. */
static void check_vector(const struct grid *g, unsigned number, unsigned rings) {
    uint8_t v[8];
    for (unsigned j = g->width, x = number; j-- > 0; x /= g->levels)
        v[j] = (uint8_t)(x % g->levels);
    assert_int_equal(grid_number(g, v), number);
    unsigned at = g->first[number], end = g->first[number + 1], found = 0, entry = g->n;
    for (unsigned d = 0; d <= 4 * 49 && found < rings; d++) {
        bool any = false;
        for (unsigned e = 0; e < g->n; e++) {
            if (distance(g, v, g->digit[e]) != d) continue;
            any = true;
            if (d == 0) entry = e;
            if (entry < g->n) break;
            assert_true(at < end);
            assert_int_equal(g->near[at++], e);
        }
        if (entry < g->n) break;
        found += any;
    }
    assert_int_equal(at, end);
    assert_int_equal(g->index[number], entry < g->n ? (int)entry : -1);
}

static void test_grids(void **state) {
    (void)state;
    static const unsigned rings[GRID_COUNT] = {2, 2, 1, 2, 3, 3};
    for (unsigned id = 0; id < GRID_COUNT; id++) {
        const struct grid *g = grid_get((enum grid_id)id);
        unsigned n = g->width == 8 ? 6561 : 4096;
        for (unsigned v = 0; v < n; v += 1 + (unsigned)rand() % 7) check_vector(g, v, rings[id]);
    }
}

/* The neighbour that is chosen has the least error of all in the list. */
static void test_nearest(void **state) {
    (void)state;
    for (unsigned k = 0; k < 2000; k++) {
        const struct grid *g = grid_get((enum grid_id)(k % GRID_COUNT));
        uint8_t digits[8];
        float value[8] = {0}, w[8], y[8], best = INFINITY;
        for (unsigned l = 0; l < g->levels; l++) value[l] = 0.3f * (float)(2 * l + 1);
        for (unsigned j = 0; j < g->width; j++) {
            digits[j] = (uint8_t)((unsigned)rand() % g->levels);
            y[j] = value[digits[j]] + 0.3f * (uniform() - 0.5f);
            w[j] = uniform();
        }
        unsigned number = grid_number(g, digits);
        if (g->index[number] >= 0) continue;
        unsigned want = g->n;
        for (uint32_t i = g->first[number]; i < g->first[number + 1]; i++) {
            float sum = 0;
            for (unsigned j = 0; j < g->width; j++) {
                float d = value[g->digit[g->near[i]][j]] - y[j];
                sum += w[j] * d * d;
            }
            if (!(sum < best)) continue;
            best = sum;
            want = g->near[i];
        }
        assert_int_equal(grid_nearest(g, number, value, w, y), want);
    }
}

static void *get_all(void *arg) {
    (void)arg;
    for (unsigned id = 0; id < GRID_COUNT; id++) {
        const struct grid *g = grid_get((enum grid_id)id);
        assert_int_equal(g->index[grid_number(g, g->digit[g->n - 1])], (int)g->n - 1);
    }
    return NULL;
}

/* First in the list of tests: the grids are not made yet, and all threads want them. */
static void test_first_use(void **state) {
    (void)state;
    pthread_t thread[4];
    for (int k = 0; k < 4; k++)
        assert_int_equal(pthread_create(&thread[k], NULL, get_all, NULL), 0);
    for (int k = 0; k < 4; k++) pthread_join(thread[k], NULL);
}

/* ---- encoders ---- */

enum { N = 256 * 16 };

static double weighted_error(const float *x, const float *y, const float *iw) {
    double sum = 0, total = 0;
    for (int i = 0; i < N; i++) {
        double w = iw != NULL ? (double)iw[i] : 1, e = (double)x[i] - (double)y[i];
        sum += w * e * e;
        total += w;
    }
    return sqrt(sum / total);
}

/* No code of so many bits has an error below 2^-bits for gaussian values; these are within twice
 * that, and what is important has a smaller error than without importance. */
static void test_errors(void **state) {
    (void)state;
    static float x[N], y[N], z[N], iw[N];
    static uint8_t block[N];
    for (int i = 0; i < N; i++) {
        x[i] = gauss();
        iw[i] = expf(4 * uniform());
    }
    FOR_EACH_FORMAT {
        t->encode(x, block, N, NULL);
        t->decode(block, y, N);
        t->encode(x, block, N, iw);
        t->decode(block, z, N);
        double plain = weighted_error(x, y, iw), weighed = weighted_error(x, z, iw);
        double bound = exp2(-8.0 * t->bytes / t->elems), error = weighted_error(x, y, NULL);
        if (error > 2 * bound || weighed > plain)
            fail_msg("%s: error %g, bound %g; weighed %g, without %g", t->name, error, bound,
                     weighed, plain);
    }
}

/* A row is its blocks; a block encoded twice is the same. */
static void test_blocks_alone(void **state) {
    (void)state;
    static float x[N], iw[N];
    uint8_t row[N], block[256];
    for (int i = 0; i < N; i++) {
        x[i] = gauss() * (float)(1 + i % 7);
        iw[i] = uniform();
    }
    FOR_EACH_FORMAT {
        t->encode(x, row, N, iw);
        for (unsigned b = 0; b < N / 256; b++) {
            t->encode(x + 256 * b, block, 256, iw + 256 * b);
            assert_memory_equal(block, row + b * t->bytes, t->bytes);
        }
    }
}

static void test_zeros(void **state) {
    (void)state;
    float x[256] = {0}, y[256];
    uint8_t block[256];
    FOR_EACH_FORMAT {
        for (int sign = 0; sign < 2; sign++) {
            memset(block, 0xFF, sizeof block);
            t->encode(x, block, 256, NULL);
            t->decode(block, y, 256);
            for (int i = 0; i < 256; i++) assert_true(y[i] == 0);
            for (int i = 0; i < 256; i++) x[i] = -0.0f;
        }
        memset(x, 0, sizeof x);
    }
}

/* A hostile value, alone or everywhere, in the values or their importance. */
static const float hostile[] = {NAN,      -NAN,    INFINITY, -INFINITY, FLT_MAX,
                                -FLT_MAX, 1e30f,   65504,    1e-8f,     FLT_MIN,
                                1e-41f,   -1e-45f, 0,        -0.0f,     -1};
enum { N_HOSTILE = sizeof hostile / sizeof hostile[0] };

static void encode_exactly(const struct dtype_info *t, const float *x, const float *iw) {
    uint8_t *block = malloc(t->bytes); /* exact: the sanitizer watches the ends */
    float y[256];
    t->encode(x, block, 256, iw);
    t->decode(block, y, 256);
    free(block);
}

static void test_hostile(void **state) {
    (void)state;
    float x[256], iw[256], all[256];
    FOR_EACH_FORMAT for (unsigned k = 0; k < N_HOSTILE; k++) {
        for (int i = 0; i < 256; i++) {
            x[i] = gauss();
            iw[i] = uniform();
            all[i] = hostile[k];
        }
        encode_exactly(t, all, NULL);
        encode_exactly(t, all, iw);
        encode_exactly(t, x, all);
        encode_exactly(t, all, all);
        float keep = x[37];
        x[37] = hostile[k];
        encode_exactly(t, x, NULL);
        encode_exactly(t, x, iw);
        x[37] = keep;
        iw[200] = hostile[k];
        encode_exactly(t, x, iw);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_use), cmocka_unit_test(test_grids),
        cmocka_unit_test(test_nearest),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_zeros),     cmocka_unit_test(test_blocks_alone),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
