/* fuzz_schema.c - any bytes as JSON schemas: see fuzz/grammar.h for what must hold. The first six
 * bytes steer the walk through the tokens, the rest is the source. */
#include "fuzz/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_source(GRAMMAR_SCHEMA, data, size);
}
