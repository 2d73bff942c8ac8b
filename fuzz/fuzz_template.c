/* fuzz_template.c - any bytes as a Go template, rendered over a small conversation.
 *
 * No template may crash, leak, or run for ever: parsing and rendering end with text or a message.
 */
#include <string.h>

#include "api/template/template.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static const char messages_text[] =
    "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u <&>\"},"
    "{\"role\":\"assistant\",\"content\":\"a\",\"thinking\":\"t\",\"tool_calls\":[{\"id\":\"c1\","
    "\"function\":{\"index\":0,\"name\":\"f\",\"arguments\":{\"x\":1.5,\"y\":[null,{}]}}}]},"
    "{\"role\":\"tool\",\"content\":\"r\",\"tool_name\":\"f\"},{\"role\":\"user\",\"content\":\"\"}"
    "]";
static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
    "{\"type\":\"object\",\"required\":[\"x\"],\"properties\":{\"x\":{\"type\":[\"number\","
    "\"null\"],"
    "\"enum\":[1,2]}}}}}]";

static void render(const struct template *t, const json *messages, const json *tools) {
    struct err e = {0};
    struct buf out = {0};
    const struct template_data data = {.messages = messages,
                                       .tools = tools,
                                       .prompt = "",
                                       .suffix = "",
                                       .think = true,
                                       .think_set = true,
                                       .think_level = ""};
    if (template_render(t, &data, &out, &e) != ST_OK) must(e.code != ST_OK && e.msg[0] != '\0');
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e = {0};
    struct template *t = NULL;
    const long live = mem_live();
    if (template_parse(&t, (const char *)data, size, &e) == ST_OK) {
        json *messages =
            json_parse(messages_text, strlen(messages_text), &json_default_limits, NULL, &e);
        json *tools = json_parse(tools_text, strlen(tools_text), &json_default_limits, NULL, &e);
        must(messages != NULL && tools != NULL);
        render(t, messages, tools);
        json_free(tools);
        json_free(messages);
        template_free(t);
    } else {
        must(e.code != ST_OK && e.msg[0] != '\0');
    }
    must(mem_live() == live);
    return 0;
}
