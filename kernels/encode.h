/* encode.h - the encoders of all types over rows, compiled once for each instruction set that helps
 * them (encode.inc). Searches are long; wider vectors take more trials at once (quant/search.h).
 * Every set gives the same bytes: the arithmetic of each trial is spelled out in spec/quants.md 5,
 * and no product is fused with a sum. */
#ifndef CRIA_KERNELS_ENCODE_H
#define CRIA_KERNELS_ENCODE_H

#include "kernels/dtype.h"

typedef void encode_row_fn(const float *src, void *dst, size_t n, const float *iw);

struct encode_isa {
    const char *name;
    encode_row_fn *row[DT_COUNT]; /* NULL: cannot be written */
    encode_row_fn *iq4_nl_fast;   /* dtype_encode_fast */
};
extern const struct encode_isa encode_base, encode_avx2; /* avx2: only on x86-64 */

/* The best set that this processor has. */
const struct encode_isa *encoders(void);

#endif
