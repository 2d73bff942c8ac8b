/* fuzz.h - what every fuzz target shares.
 *
 * A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput(): it feeds the bytes to one entry
 * point and checks an invariant of what comes back. libFuzzer drives it (clang, -DCRIA_FUZZ=ON), or
 * replay.c does with the files of corpus/NAME (every build, as ctest fuzz.NAME). */
#ifndef CRIA_FUZZ_FUZZ_H
#define CRIA_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant that stays on in every build; libFuzzer keeps the input of a run that aborts. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition);      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
