/* learn_jinja.c - see learn_jinja.h. */
#include "api/learn_jinja.h"

#include <string.h>

#include "base/buf.h"

static bool has(const char *text, size_t len, const char *what) {
    return text != NULL && memmem(text, len, what, strlen(what)) != NULL;
}

static bool has_any(const char *text, size_t len, const char *const *what) {
    for (; *what != NULL; what++)
        if (has(text, len, *what)) return true;
    return false;
}

struct jinja_facts jinja_learn(const char *text, size_t len) {
    static const char *const split[] = {"content.split('</think>')", "content.split(\"</think>\")",
                                        NULL};
    static const char *const results[] = {"tool_response",
                                          "tool_results",
                                          "role'] == 'tool'",
                                          "role'] == \"tool\"",
                                          "role\"] == 'tool'",
                                          "role\"] == \"tool\"",
                                          "message.role == 'tool'",
                                          "message.role == \"tool\"",
                                          "ipython",
                                          NULL};
    struct jinja_facts f = {0};
    f.tools = has(text, len, "tools") || has(text, len, "tool_call");
    f.thinking = (has(text, len, "<think>") && has(text, len, "</think>")) ||
                 (has_any(text, len, split) && !has(text, len, "reasoning_content") &&
                  !has(text, len, "<SPECIAL_12>"));
    bool calls = has(text, len, "tool_calls") || has(text, len, "assistant_tool_call");
    f.round_trip = f.tools && calls && has_any(text, len, results);
    return f;
}

/* ---- repairs ---- */

/* Two templates refuse their own valid history: the condition becomes false. */
static void repair(struct buf *out, const char *text, size_t len) {
    static const char harmony[] = "{%- if \"<|channel|>analysis<|message|>\" in message.content or "
                                  "\"<|channel|>final<|message|>\" in message.content %}";
    static const char mistral[] = "if (message['content'] is none or";
    const bool is_harmony =
        has(text, len, "<|channel|>") && has(text, len, "in message.content or");
    const bool is_mistral = has(text, len, "[TOOL_CALLS]") && has(text, len, mistral);
    const char *hit = is_harmony ? memmem(text, len, harmony, sizeof harmony - 1) : NULL;
    const char *end = hit == NULL ? NULL : hit + sizeof harmony - 1;
    if (hit == NULL && is_mistral) {
        hit = memmem(text, len, mistral, sizeof mistral - 1);
        end = memmem(hit, (size_t)(text + len - hit), "%}", 2);
        while (hit > text && !(hit[0] == '{' && hit[1] == '%')) hit--;
        end = end == NULL ? NULL : end + 2;
    }
    if (hit == NULL || end == NULL) {
        buf_add(out, text, len);
        return;
    }
    buf_add(out, text, (size_t)(hit - text));
    buf_str(out, "{%- if false %}");
    buf_add(out, end, (size_t)(text + len - end));
}

struct jinja *jinja_load(const char *text, size_t len) {
    struct jinja *t = NULL;
    struct buf b = {0};
    repair(&b, text, len);
    if (b.failed || jinja_parse(&t, b.data, b.len, false, NULL) != ST_OK) t = NULL;
    buf_free(&b);
    return t;
}

/* ---- parsers ---- */

const char *jinja_parser(const char *text, size_t len, bool thinking) {
    static const struct {
        const char *both[2];
        const char *plain, *thinks; /* the latter if the text has <think> */
    } row[] = {
        {{"<|channel|>", "<|message|>"}, "harmony", "harmony"},
        {{"[TOOL_CALLS]", "[ARGS]"}, "ministral", "ministral"},
        {{"<tool_call>", "<function="}, "qwen3-coder", "qwen3.5"},
        {{"<arg_key>", "<arg_key>"}, "glm-ocr", "glm-ocr"},
        {{"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁begin｜>"}, "deepseek3", "deepseek3"},
        {{"<tool_call>", "{"}, "qwen3", "qwen3-thinking"},
        {{"<|tool_call_start|>", "<|tool_call_start|>"}, "lfm2", "lfm2-thinking"},
        {{"<start_function_call>", "<start_function_call>"}, "functiongemma", "functiongemma"},
        {{"<|tool_call>", "<|tool_call>"}, "gemma4", "gemma4"},
        {{"<|START_ACTION|>", "<|START_ACTION|>"}, "cohere", "cohere"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (!has(text, len, row[i].both[0]) || !has(text, len, row[i].both[1])) continue;
        const char *name = has(text, len, "<think>") ? row[i].thinks : row[i].plain;
        return strcmp(name, "glm-ocr") == 0 && thinking ? "glm-4.7" : name;
    }
    return NULL;
}
