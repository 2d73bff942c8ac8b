/* fuzz_regex.c - any bytes as regular expressions: see fuzz/grammar.h for what must hold. The first
 * six bytes steer the walk through the tokens, the rest is the source. */
#include "fuzz/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_source(GRAMMAR_REGEX, data, size);
}
