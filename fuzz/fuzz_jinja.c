/* fuzz_jinja.c - any bytes as a Jinja chat template, rendered over a small conversation.
 *
 * No template may crash, leak, or run for ever: parsing and rendering end with text or a message.
 * What the limits of a server allow would take seconds; smaller ones show the same. */
#include <string.h>

#include "api/jinja/jinja.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static const char variables[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u <&> "
    "\xc3\xa9\"},{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"t\",\"tool_"
    "calls\":"
    "[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1.5,"
    "\"y\":"
    "[null,{}]}}}]},{\"role\":\"tool\",\"content\":\"r\"}],\"tools\":[{\"type\":\"function\","
    "\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"x\":{\"type\":\"number\"}}}}}],\"x\":3,\"s\":\"Hello World\",\"l\":[3,1,2],"
    "\"add_generation_prompt\":true,\"bos_token\":\"<s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct jinja_limits limits = {100000, 1 << 18, 4 << 20, 200};
    static json *root; /* kept */
    struct err e = {0};
    struct jinja *t = NULL;
    if (root == NULL)
        root = json_parse(variables, strlen(variables), &json_default_limits, NULL, &e);
    must(root != NULL);
    const long live = mem_live();
    /* The first byte chooses whether cria's own filters are there. */
    const bool own = size > 0 && data[0] == '\n';
    if (jinja_parse(&t, (const char *)data, size, own, &e) == ST_OK) {
        struct jinja_var var[8];
        struct jinja_input in = {.var = var, .now = 1768480496};
        struct buf out = {0};
        for (const json *m = json_first(root); m != NULL; m = json_next(m))
            var[in.n_vars++] = (struct jinja_var){json_key(m), m};
        if (jinja_render(t, &in, &limits, &out, &e) != ST_OK) {
            must(e.code != ST_OK);
            must(out.len == 0);
        }
        buf_free(&out);
        jinja_free(t);
    } else {
        must(e.code != ST_OK && e.msg[0] != '\0');
    }
    must(mem_live() == live);
    return 0;
}
