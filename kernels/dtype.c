/* dtype.c - the type table, generated from quant/types.def (see dtype.h).
 *
 * For each row of types.def that cria computes with, a decode function over rows is made from the
 * block function of quant/<prefix>.h. This file is compiled for the base instruction set and
 * without contraction: it is what every faster path is compared with. Encoders: encode.h. */
#include "kernels/dtype.h"

#include <assert.h>
#include <strings.h>

#include "kernels/encode.h"

#define TYPES_INCLUDE
#include "kernels/quant/types.def"
#undef TYPES_INCLUDE

#define DECODE_ROW(prefix, elems, bytes)                                                           \
    static void prefix##_decode_row(const void *src, float *dst, size_t n) {                       \
        const uint8_t *block = src;                                                                \
        for (size_t b = 0; b < n / (elems); b++, block += (bytes), dst += (elems)) {               \
            for (int i = 0; i < (elems); i++) dst[i] = prefix##_at(block, i);                      \
        }                                                                                          \
    }
/* Every value of a block has its scale (and minimum) as a factor: if that is infinite or a NaN, so
 * is the first value. Only a power of two, MXFP4's 2^128, can be too large and still not show. */
#define CHECK_ROW(id, prefix, elems, bytes)                                                        \
    static size_t prefix##_check_row(const void *src, size_t n) {                                  \
        const uint8_t *block = src;                                                                \
        size_t b = 0;                                                                              \
        for (; b < n / (elems); b++, block += (bytes)) {                                           \
            if (!isfinite(prefix##_at(block, 0)) || ((id) == DT_MXFP4 && block[0] == 255)) break;  \
        }                                                                                          \
        return b;                                                                                  \
    }

/* The encoders of the instruction set in use. */
#define ENCODE_ROW(id, prefix)                                                                     \
    static void prefix##_encode_row(const float *src, void *dst, size_t n, const float *iw) {      \
        encoders()->row[id](src, dst, n, iw);                                                      \
    }

#define QUANT(id, NAME, prefix, elems, bytes)                                                      \
    DECODE_ROW(prefix, elems, bytes)                                                               \
    CHECK_ROW(id, prefix, elems, bytes)                                                            \
    ENCODE_ROW(id, prefix)
#define OPAQUE(id, NAME, elems, bytes)
#include "kernels/quant/types.def"
#undef QUANT
#undef OPAQUE

static const struct dtype_info table[DT_COUNT] = {
#define QUANT(id, NAME, prefix, elems, bytes)                                                      \
    [id] = {#NAME, elems, bytes, prefix##_decode_row, prefix##_check_row, prefix##_encode_row},
#define OPAQUE(id, NAME, elems, bytes) [id] = {#NAME, elems, bytes, NULL, NULL, NULL},
#include "kernels/quant/types.def"
#undef QUANT
#undef OPAQUE
};

const struct dtype_info *dtype_info(uint32_t id) {
    return id < DT_COUNT && table[id].name != NULL ? &table[id] : NULL;
}

size_t dtype_row_bytes(enum dtype t, size_t n) {
    const struct dtype_info *info = dtype_info(t);
    assert(info != NULL && n % info->elems == 0);
    return n / info->elems * info->bytes;
}

void dtype_encode_fast(enum dtype t, const float *src, void *dst, size_t n) {
    assert(dtype_info(t) != NULL && dtype_info(t)->encode != NULL);
    if (t != DT_IQ4_NL) {
        dtype_info(t)->encode(src, dst, n, NULL);
        return;
    }
    encoders()->iq4_nl_fast(src, dst, n, NULL);
}

enum dtype dtype_by_name(const char *name) {
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (table[t].name != NULL && strcasecmp(table[t].name, name) == 0) return (enum dtype)t;
    }
    return DT_COUNT;
}

float f16_to_f32(uint16_t h) { return quant_f16(h); }
uint16_t f32_to_f16(float f) { return quant_to_f16(f); }
float bf16_to_f32(uint16_t h) { return quant_float((uint32_t)h << 16); }
uint16_t f32_to_bf16(float f) { return quant_to_bf16(f); }
