/* gguf_numbers.h - a mutator for targets that take the beginning of a GGUF file: most changes of
 * bytes would break the framing; this one changes values of pairs where they stand.
 *
 * Included behind `file` (the input with DATA bytes of zeros behind it), MAX_INPUT and DATA. */
#ifndef CRIA_FUZZ_GGUF_NUMBERS_H
#define CRIA_FUZZ_GGUF_NUMBERS_H

#include <string.h>

#include "engine/file/gguf.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint64_t next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* A number that somebody might not have thought of, or one near the old one. */
static uint64_t odd_number(uint64_t old, uint64_t *state) {
    static const uint64_t odd[] = {0,          1,          2,          3,          7,
                                   64,         255,        65536,      0x7FFFFFFF, 0x80000000,
                                   0xFFFFFFFF, 0x7F800000, 0x7FC00000, 0x3F800000, 0xBF800000};
    const uint64_t r = next(state);
    if (r % 3 == 0) return odd[next(state) % (sizeof odd / sizeof odd[0])];
    return r % 3 == 1 ? old + next(state) % 5 - 2 : r % 2 != 0 ? old * 2 : old / 2;
}

/* Changes one number of one pair where it stands. False: there is none. */
static bool change_number(uint8_t *data, size_t size, uint64_t *state) {
    struct gguf *g;
    bool done = false;
    memcpy(file, data, size);
    if (gguf_open_memory(&g, file, size + DATA, "fuzz", NULL) == ST_OK) {
        for (int tries = 0; tries < 8 && !done && gguf_n_kv(g) > 0; tries++) {
            const struct gguf_kv *kv = gguf_kv_at(g, next(state) % gguf_n_kv(g));
            if (kv->elem == GGUF_STRING || kv->count == 0) continue;
            const unsigned n = kv->elem == GGUF_BOOL || kv->elem <= GGUF_I8 ? 1
                               : kv->elem <= GGUF_I16                       ? 2
                               : kv->elem >= GGUF_U64                       ? 8
                                                                            : 4;
            uint8_t *p = data + (kv->data - file) + next(state) % kv->count * n;
            uint64_t x = 0;
            for (unsigned i = 0; i < n; i++) x |= (uint64_t)p[i] << (8 * i);
            x = odd_number(x, state);
            for (unsigned i = 0; i < n; i++) p[i] = (uint8_t)(x >> (8 * i));
            done = true;
        }
        gguf_close(g);
    }
    memset(file, 0, size);
    return done;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    uint64_t state = seed;
    if (size <= MAX_INPUT && next(&state) % 4 != 0 && change_number(data, size, &state))
        return size;
    return LLVMFuzzerMutate(data, size, max_size);
}

#endif
