/* fuzz_quant.c - any bytes as blocks of any type, any floats as rows to encode.
 *
 * Byte 0 chooses the type, byte 1 the mode: bit 0: blocks to decode, or floats to encode; bit 1:
 * with weights; bit 2: the floats are ordinary numbers, a byte each times 2^(byte 2 mod 64 - 40),
 * or any bits. The rest, repeated, is the data. Everything decodes; every instruction set encodes
 * to the same bytes, up to a block whose scale is a NaN; what is made of ordinary numbers is sound,
 * of their size, and, where a format has no search, encoded again becomes the same values. */
#include <math.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "kernels/encode.h"

enum { N = 256 }; /* a block or more of every type */

/* Their values are fixed points of their encoders. */
static bool is_stable(enum dtype t) {
    static const enum dtype list[] = {DT_F32,  DT_F16,  DT_BF16, DT_Q4_0,  DT_Q5_0,  DT_Q8_0,
                                      DT_Q8_1, DT_Q1_0, DT_Q2_0, DT_TQ1_0, DT_TQ2_0, DT_MXFP4};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (list[i] == t) return true;
    }
    return false;
}

/* IQ1_M without weights goes wrong on lone values, as in the reference (spec/quants.md 10.3); grids
 * have no zero (10.4). */
static bool is_grid(enum dtype t) {
    const char *name = dtype_info(t)->name;
    return strncmp(name, "IQ", 2) == 0 && strncmp(name, "IQ4", 3) != 0;
}

static float largest(const float *x, size_t n) {
    float max = 0;
    for (size_t i = 0; i < n; i++) max = fmaxf(max, fabsf(x[i]));
    return max;
}

static void decode(enum dtype t, const uint8_t *data, size_t size) {
    const struct dtype_info *info = dtype_info(t);
    size_t bytes = dtype_row_bytes(t, N);
    uint8_t *row = malloc(bytes); /* exact: the sanitizer watches the ends */
    float *x = malloc(N * sizeof *x);
    for (size_t i = 0; i < bytes; i++) row[i] = data[i % size];
    info->decode(row, x, N);
    bool sound = info->check(row, N) == N / info->elems;
    bool wide = t == DT_MXFP4 || t == DT_Q8_K; /* scales up to 2^126: 12 of them are too many */
    if (sound && !wide) must(isfinite(largest(x, N)));
    if (info->encode != NULL) info->encode(x, row, N, NULL);
    free(x);
    free(row);
}

/* Element i of a row: any bits, or an ordinary number. */
static float element(const uint8_t *data, size_t size, size_t i, const int *exponent) {
    uint8_t four[4];
    float x;
    if (exponent != NULL) return ldexpf((float)(int8_t)data[i % size], *exponent);
    for (size_t k = 0; k < 4; k++) four[k] = data[(4 * i + k) % size];
    memcpy(&x, four, sizeof x);
    return x;
}

static void check_ordinary(enum dtype t, const float *x, const uint8_t *row, bool weighted) {
    const struct dtype_info *info = dtype_info(t);
    size_t bytes = dtype_row_bytes(t, N);
    float y[N], z[N];
    uint8_t *again = malloc(bytes);
    info->decode(row, y, N);
    must(info->check(row, N) == N / info->elems);
    float slack = 1e-3f; /* a step of the smallest halves, 2^-24, times the largest codes */
    if (!weighted && !is_grid(t)) must(largest(y, N) <= 2 * largest(x, N) + slack);
    if (!weighted && is_stable(t)) {
        info->encode(y, again, N, NULL);
        info->decode(again, z, N);
        for (size_t i = 0; i < N; i++) must(y[i] == z[i]);
    }
    free(again);
}

static void encode(enum dtype t, const uint8_t *data, size_t size, bool weighted,
                   const int *exponent) {
    size_t bytes = dtype_row_bytes(t, N);
    float *x = malloc(N * sizeof *x), *iw = malloc(N * sizeof *iw), *w = weighted ? iw : NULL;
    uint8_t *base = malloc(bytes), *best = malloc(bytes);
    for (size_t i = 0; i < N; i++) {
        x[i] = element(data, size, i, exponent);
        iw[i] = fabsf(element(data, size, N + i, exponent));
    }
    memset(base, 0, bytes);
    memset(best, 0xFF, bytes); /* every byte is written */
    encode_base.row[t](x, base, N, w);
    encoders()->row[t](x, best, N, w);
    const struct dtype_info *info = dtype_info(t);
    size_t sound = info->check(base, N); /* blocks; which NaN a scale becomes is not defined */
    must(sound == info->check(best, N));
    must(memcmp(base, best, sound * info->bytes) == 0);
    info->decode(best, iw, N);
    if (exponent != NULL) check_ordinary(t, x, best, weighted);
    free(x);
    free(iw);
    free(base);
    free(best);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    const enum dtype t = (enum dtype)(data[0] % DT_COUNT);
    const struct dtype_info *info = dtype_info(t);
    const int mode = data[1], exponent = data[2] % 64 - 40;
    if (info == NULL || info->decode == NULL) return 0;
    /* The largest ordinary number is 2^7 2^8: f16 holds it. */
    const int ordinary = exponent < 0 ? exponent : exponent % 9;
    if ((mode & 1) == 0)
        decode(t, data + 3, size - 3);
    else if (info->encode != NULL)
        encode(t, data + 3, size - 3, (mode & 2) != 0, (mode & 4) != 0 ? &ordinary : NULL);
    return 0;
}
