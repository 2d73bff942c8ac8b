/* fuzz_name.c - any text as a model name.
 *
 * Accepted names are valid, print in full and in short, and both texts parse to the same name. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "store/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct model_name name, again;
    char full[NAME_TEXT_MAX], shortest[NAME_TEXT_MAX];
    if (!name_parse_n(&name, (const char *)data, size)) return 0;
    must(name_is_valid(&name));
    name_full(&name, full);
    name_shortest(&name, shortest);
    must(name_parse(&again, full) && name_equal(&name, &again));
    must(name_parse(&again, shortest) && name_equal(&name, &again));
    return 0;
}
