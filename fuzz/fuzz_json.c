/* fuzz_json.c - any bytes as JSON.
 *
 * Refused: a code and a message. Accepted: the printed text parses again and prints the same, and
 * what was read ends within the input. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static void print_again(const struct buf *text) {
    struct err e = {0};
    struct buf again = {0};
    size_t used;
    json *v = json_parse(text->data, text->len, &json_default_limits, &used, &e);
    must(v != NULL && used == text->len);
    json_print(&again, v);
    must(!again.failed && again.len == text->len && memcmp(again.data, text->data, text->len) == 0);
    buf_free(&again);
    json_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e = {0};
    struct buf text = {0};
    size_t used = 0;
    const long live = mem_live();
    json *v = json_parse((const char *)data, size, &json_default_limits, &used, &e);
    if (v == NULL) {
        must(e.code != ST_OK && e.msg[0] != '\0');
    } else {
        must(used <= size);
        json_print(&text, v);
        must(!text.failed);
        print_again(&text);
        buf_free(&text);
        json_free(v);
    }
    must(mem_live() == live);
    return 0;
}
