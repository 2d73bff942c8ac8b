/* fuzz_gbnf.c - any bytes as grammars in GBNF: see fuzz/grammar.h for what must hold. The first six
 * bytes steer the walk through the tokens, the rest is the source. */
#include "fuzz/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_source(GRAMMAR_GBNF, data, size);
}
