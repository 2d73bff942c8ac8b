/* gguf_bytes.h - the value types of GGUF as stored bytes; shared by the parser (gguf.c) and the
 * readers of values (gguf_values.c), nobody else. Everything in a file is little-endian and
 * unaligned, so bytes are put together one by one; compilers make a plain load of it. */
#ifndef CRIA_ENGINE_GGUF_BYTES_H
#define CRIA_ENGINE_GGUF_BYTES_H

#include <stdint.h>

#include "engine/file/gguf.h"

/* Bytes of one value of a fixed-size type; 0 for strings and arrays (spec/gguf.md 1). */
static inline unsigned gguf_type_size(enum gguf_type t) {
    static const unsigned char size[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return size[t];
}

static inline uint64_t gguf_le(const unsigned char *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

#endif
