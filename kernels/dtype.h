/* dtype.h - the element types of stored data: names, block sizes, decode and encode of rows.
 *
 * A row of n elements is n / elems blocks of `bytes` bytes each; n is always a multiple of elems
 * (checked when a file is read). Decoding is exact: IEEE binary32, one rounding per operation
 * (spec/quants.md 1.1); these functions are compiled without contraction to FMA. */
#ifndef CRIA_KERNELS_DTYPE_H
#define CRIA_KERNELS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
#define QUANT(id, NAME, prefix, elems, bytes) DT_##NAME = id,
#define OPAQUE(id, NAME, elems, bytes) DT_##NAME = id,
#include "kernels/quant/types.def"
#undef QUANT
#undef OPAQUE
    DT_COUNT
};

struct dtype_info {
    const char *name; /* upper case, as in /api/show; NULL: no such type */
    uint32_t elems;   /* elements in a block */
    uint32_t bytes;   /* bytes in a block */
    /* n elements from src to dst (src unaligned is fine); NULL: opaque type */
    void (*decode)(const void *src, float *dst, size_t n);
    /* Index of the first block of the row whose scale is no finite number (spec/quants.md 7.2;
     * MXFP4: exponent 255), n / elems if all are sound. NULL: opaque type. */
    size_t (*check)(const void *src, size_t n);
    /* One row. iw: [n] how much the error of each column counts (importance matrix,
     * spec/quants.md 8), or NULL. NULL: cannot be written. */
    void (*encode)(const float *src, void *dst, size_t n, const float *iw);
};

/* One row, for a cache that is written while one waits: as encode, but IQ4_NL does without its
 * search. t can be encoded (asserted). */
void dtype_encode_fast(enum dtype t, const float *src, void *dst, size_t n);

/* NULL for an id that is not defined (removed or unknown types included). */
const struct dtype_info *dtype_info(uint32_t id);
/* Bytes of a row of n elements; n is a multiple of the block (asserted). */
size_t dtype_row_bytes(enum dtype t, size_t n);
/* Type by name, any case; DT_COUNT if unknown. */
enum dtype dtype_by_name(const char *name);

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); /* nearest even; overflow gives infinity; NaN gives 7e00 with sign */
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f);

#endif
