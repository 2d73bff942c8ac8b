/* fuzz_request.c - any bytes as the body of a foreign dialect's request; the first byte tells
 * which.
 *
 * Refused: a code and a message. Accepted: the translation is JSON that the native decoder took,
 * and the request has texts. Nothing is left behind. */
#include <string.h>

#include "api/dialect/dialect.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct dialect_reader *const all[] = {&dialect_openai_chat, &dialect_completions,
                                                &dialect_responses, &dialect_messages,
                                                &dialect_count_tokens};
    const json *request[64]; /* larger than any of the structs */
    struct dialect_request r;
    struct err e = {.msg = ""};
    if (size == 0) return 0;
    const struct dialect_reader *d = all[data[0] % (sizeof all / sizeof *all)];
    const long live = mem_live();
    must(d->size <= sizeof request);
    memset(request, 0, sizeof request);
    if (dialect_decode(d, (const char *)data + 1, size - 1, request, &r, &e) == ST_OK) {
        must(r.gen.model != NULL && r.gen.prompt != NULL && r.gen.suffix != NULL);
        must(r.root != NULL && r.native_root != NULL && r.gen.chat == d->chat);
    } else {
        must(e.code != ST_OK && e.msg[0] != '\0');
    }
    dialect_free(&r);
    must(mem_live() == live);
    return 0;
}
