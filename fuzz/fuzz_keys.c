/* fuzz_keys.c - any text as a file of API keys.
 *
 * What is accepted has only keys with a scope, of known scopes, whose texts fit; and no text that
 * the fuzzer can make is the key of a hash that it can write down, so nothing ever passes. */
#include <string.h>

#include "api/keys.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct keyring *r;
    struct api_key *k;
    if (keyring_parse(&r, (const char *)data, size, NULL) != ST_OK) return 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct api_key *one = &r->keys[i];
        must(one->scopes != 0 && one->scopes < 2 * SCOPE_ADMIN);
        must(*one->id != '\0' && strlen(one->id) <= KEY_ID_MAX &&
             strlen(one->name) <= KEY_NAME_MAX);
        must(one->expires >= 0);
    }
    must(keyring_enter(r, "cria_", SCOPE_INFER, &k) == KEY_UNKNOWN && k == NULL);
    keyring_free(r);
    return 0;
}
