/* fuzz_parsers.c - any bytes as what a model generates, through each output parser.
 *
 * The first byte chooses the parser, the second how thinking is set and where the text is cut; the
 * calls that come out must be JSON, and all memory must come back. */
#include <string.h>

#include "api/format/parse.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"required\":[\"x\"],\"properties\":{\"x\":{\"type\":\"number\"},\"y\":{\"type\":\"string\"},"
    "\"z\":"
    "{\"type\":[\"object\",\"array\",\"boolean\",\"integer\"]}}}}},{\"type\":\"function\","
    "\"function\":{"
    "\"name\":\"a.b-c\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]";

static void check_calls(const struct buf *calls) {
    struct buf b = {0};
    buf_chr(&b, '[');
    if (calls->len > 0) buf_add(&b, calls->data, calls->len);
    buf_chr(&b, ']');
    json *list = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    must(list != NULL);
    for (const json *c = json_first(list); c != NULL; c = json_next(c))
        must(json_kind(json_get(json_get(c, "function"), "arguments")) == JSON_OBJECT);
    json_free(list);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json *tools; /* kept */
    size_t n_parsers = 0;
    if (tools == NULL)
        tools = json_parse(tools_text, strlen(tools_text), &json_default_limits, NULL, NULL);
    const long live = mem_live();
    if (size < 2) return 0;
    while (parser_info_at(n_parsers) != NULL) n_parsers++;
    struct parser_input in = {.tools = data[1] & 1 ? tools : NULL,
                              .think_set = (data[1] & 2) != 0,
                              .think = (data[1] & 6) == 6,
                              .look = (data[1] & 8) != 0};
    struct parser *p = NULL;
    struct err e = {0};
    struct parser_out out = {0};
    const size_t step = 1 + (data[1] >> 4);
    must(parser_open(&p, parser_info_at(data[0] % n_parsers)->name, &in, &e) == ST_OK);
    enum status st = ST_OK;
    for (size_t at = 2; at < size && st == ST_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        st = parser_feed(p, (const char *)data + at, n, false, &out, &e);
    }
    if (st == ST_OK) st = parser_feed(p, "", 0, true, &out, &e);
    if (st == ST_OK)
        parser_end(p, &out);
    else
        must(e.code != ST_OK && e.msg[0] != '\0');
    check_calls(&out.calls);
    parser_free(p);
    parser_out_free(&out);
    must(mem_live() == live);
    return 0;
}
