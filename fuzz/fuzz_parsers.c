/* fuzz_parsers.c - any bytes as what a model generates, through each output parser.
 *
 * The first byte chooses the parser, the second how thinking is set and where the text is cut; the
 * calls that come out must be JSON, the parts of those that go out earlier must follow each other
 * and cut no character, and all memory must come back. */
#include <string.h>

#include "api/call_parts.h"
#include "api/format/parse.h"
#include "base/mem.h"
#include "base/utf8.h"
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

struct run {
    struct parser *parser;
    struct call_parts parts;
    size_t sent;
    bool valid; /* the text is UTF-8 */
};

static void next_part(struct run *r) {
    struct gen_part part;
    if (!parts_next(&r->parts, false, &part)) return;
    must(part.from == 0 || part.from == r->sent);
    must(part.to >= part.from && part.args[0] == '{' && part.id != NULL && part.name != NULL);
    must(!r->valid || utf8_valid(part.args, part.to));
    r->sent = part.to;
}

static enum status feed(struct run *r, const char *text, size_t n, bool done, struct err *e) {
    struct parser_out out = {0};
    struct call_head head;
    parts_feed(&r->parts, text, n);
    enum status st = parser_feed(r->parser, text, n, done, &out, e);
    if (st == ST_OK && done) parser_end(r->parser, &out);
    check_calls(&out.calls);
    if (st == ST_OK && out.n_calls > 0) st = parts_settle(&r->parts, &out.calls, e);
    check_calls(&out.calls);
    next_part(r);
    if (st == ST_OK && !r->parts.open) {
        parts_look(&r->parts, parser_peek(r->parser, &head) ? &head : NULL);
        next_part(r);
    }
    parser_out_free(&out);
    return st;
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
    struct run r = {.valid = utf8_valid((const char *)data + 2, size - 2)};
    struct err e = {0};
    const size_t step = 1 + (data[1] >> 4);
    must(parser_open(&r.parser, parser_info_at(data[0] % n_parsers)->name, &in, &e) == ST_OK);
    enum status st = ST_OK;
    for (size_t at = 2; at < size && st == ST_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        st = feed(&r, (const char *)data + at, n, false, &e);
    }
    if (st == ST_OK) st = feed(&r, "", 0, true, &e);
    must(st == ST_OK || (e.code != ST_OK && e.msg[0] != '\0'));
    parser_free(r.parser);
    parts_free(&r.parts);
    must(mem_live() == live);
    return 0;
}
