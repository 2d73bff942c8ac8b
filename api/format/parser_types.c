/* parser_types.c - the table of parsers (spec/chat-formats.md 5): name, abilities, tags, and the
 * machine that reads the format: the one of family.c with a table of its own, or another. */
#include <string.h>

#include "api/format/parse_impl.h"

/* ---- tags ---- */

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define DEEPSEEK_TAGS                                                                              \
    "</think>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",         \
        "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<｜tool▁output▁begin｜>",                        \
        "<｜tool▁output▁end｜>"
#define QWEN_TAGS LIST("<think>", "</think>", "<tool_call>", "</tool_call>")
#define GLM_TAGS                                                                                   \
    LIST("<think>", "</think>", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>",          \
         "<arg_value>", "</arg_value>")
#define GEMMA4_TAGS                                                                                \
    LIST("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<|\"|>")
#define LAGUNA_TAGS                                                                                \
    LIST("<think>", "</think>", "<tool_call>", "</tool_call>", "<user>", "</user>", "<arg_key>",   \
         "</arg_key>", "<arg_value>", "</arg_value>")

/* ---- the families ---- */

/* clang-format off */
#define TOOL_CALL .tool_open = "<tool_call>", .tool_close = "</tool_call>"
#define TRIMMED .hold_space = true, .trim_before = true, .eat_after = true
#define DEEPSEEK_CALLS                                                                  \
    .tool_open = "<｜tool▁calls▁begin｜>", .tool_close = "<｜tool▁calls▁end｜>",        \
    .trim_before = true, .eat_after = true, .flush = true,                              \
    .step_calls = step_deepseek_calls
#define LFM_CALLS                                                                       \
    .tool_open = "<|tool_call_start|>", .tool_close = "<|tool_call_end|>",              \
    .trim_before = true, .eat_after = true, .flush = true,                              \
    .call = call_lfm, .bare = call_lfm_bare

static const struct family qwen3 = {
    .start = THINK_NEVER,
    TOOL_CALL, TRIMMED, .call = call_json,
};
static const struct family qwen3_thinking = {
    .start = THINK_UNLESS_OFF, .optional_open = true, .until_tool = true,
    TOOL_CALL, TRIMMED, .call = call_json,
};
static const struct family qwen3_vl = {
    .start = THINK_NEVER,
    TOOL_CALL, TRIMMED, .eat_pieces = true, .call = call_json_vl,
};
static const struct family qwen3_vl_thinking = {
    .start = THINK_ALWAYS, .not_if_prefill = true, .until_tool = true,
    TOOL_CALL, TRIMMED, .eat_pieces = true, .call = call_json_vl,
};
static const struct family qwen3_coder = {
    .start = THINK_NEVER,
    TOOL_CALL, TRIMMED, .call = call_xml,
};
static const struct family qwen3_5 = {
    .start = THINK_UNLESS_OFF, .not_if_prefill = true, .optional_open = true, .until_tool = true,
    TOOL_CALL, TRIMMED, .call = call_xml,
};
static const struct family nemotron = { /* that of Qwen 3.5, with blank pieces in front */
    .start = THINK_UNLESS_OFF, .not_if_prefill = true, .optional_open = true, .until_tool = true,
    .drop_blank_start = true,
    TOOL_CALL, TRIMMED, .call = call_xml,
};
static const struct family deepseek3 = {
    .start = THINK_IF_ON, .not_if_prefill = true,
    DEEPSEEK_CALLS,
    .drop_open = "<｜tool▁output▁begin｜>", .drop_close = "<｜tool▁output▁end｜>",
    .keep_inside = true,
};
static const struct family cogito = {
    .start = THINK_IF_ON, .not_if_prefill = true, .not_if_tools = true,
    DEEPSEEK_CALLS,
    .drop_open = "<｜tool▁outputs▁begin｜>", .drop_close = "<｜tool▁outputs▁end｜>",
};
static const struct family olmo3 = {
    .start = THINK_NEVER,
    .tool_open = "<function_calls>", .tool_close = "</function_calls>",
    .flush = true, .call = call_olmo,
};
static const struct family olmo3_think = {
    .start = THINK_ALWAYS, .not_if_prefill = true, .eat_once = true, .flush = true,
};
static const struct family glm47 = {
    .start = THINK_UNLESS_OFF, .look_if_off = true,
    TOOL_CALL, TRIMMED, .call = call_glm, .call_end = call_glm_end,
};
static const struct family glm_ocr = {
    .start = THINK_LOOK,
    TOOL_CALL, TRIMMED, .call = call_glm, .call_end = call_glm_end,
};
static const struct family functiongemma = {
    .start = THINK_NEVER,
    .tool_open = "<start_function_call>", .tool_close = "<end_function_call>",
    .flush = true, .call = call_functiongemma,
};
static const struct family lfm2 = {.start = THINK_NEVER, LFM_CALLS};
static const struct family lfm2_thinking = {
    .start = THINK_LOOK_IF_ON, .not_if_prefill = true, LFM_CALLS,
};
/* clang-format on */

/* ---- the table ---- */

#define FAMILY(f) family_start, family_step, family_end, &f, family_peek
#define MACHINE(m) m##_start, m##_step, NULL, NULL, NULL

static const struct parser_type types[] = {
    {{"passthrough", false, false, LIST(NULL)}, NULL, passthrough_step, NULL, NULL, NULL},
    {{"qwen3", true, false, QWEN_TAGS}, FAMILY(qwen3)},
    {{"qwen3-thinking", true, true, QWEN_TAGS}, FAMILY(qwen3_thinking)},
    {{"qwen3.5", true, true, QWEN_TAGS}, FAMILY(qwen3_5)},
    {{"ornith", true, true, QWEN_TAGS}, FAMILY(qwen3_5)},
    {{"qwen3-coder", true, false, LIST("<tool_call>", "</tool_call>")}, FAMILY(qwen3_coder)},
    {{"qwen3-vl-instruct", true, false, LIST("</think>", "<tool_call>", "</tool_call>")},
     FAMILY(qwen3_vl)},
    {{"qwen3-vl-thinking", true, true, LIST("</think>", "<tool_call>", "</tool_call>")},
     FAMILY(qwen3_vl_thinking)},
    {{"ministral", true, false, LIST("[TOOL_CALLS]", "[THINK]", "[/THINK]", "[ARGS]")},
     ministral_start,
     ministral_step,
     NULL,
     NULL,
     ministral_peek},
    {{"harmony", true, true,
      LIST("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>")},
     harmony_start,
     harmony_step,
     harmony_end,
     NULL,
     harmony_peek},
    {{"cogito", true, true,
      LIST(DEEPSEEK_TAGS, "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>")},
     FAMILY(cogito)},
    {{"deepseek3", true, true, LIST(DEEPSEEK_TAGS)}, FAMILY(deepseek3)},
    {{"olmo3", true, false, LIST("<function_calls>", "</function_calls>")}, FAMILY(olmo3)},
    {{"olmo3-think", false, true, LIST("</think>")}, FAMILY(olmo3_think)},
    {{"nemotron-3-nano", true, true, QWEN_TAGS}, FAMILY(nemotron)},
    {{"nemotron-3.5-nano", true, true, QWEN_TAGS}, FAMILY(nemotron)},
    {{"functiongemma", true, false, LIST("<start_function_call>", "<end_function_call>")},
     FAMILY(functiongemma)},
    {{"glm-4.7", true, true, GLM_TAGS}, FAMILY(glm47)},
    {{"glm-ocr", true, false, GLM_TAGS}, FAMILY(glm_ocr)},
    {{"gemma4", true, true, GEMMA4_TAGS}, MACHINE(gemma4)},
    {{"gemma4-no-thinking", true, false, GEMMA4_TAGS}, MACHINE(gemma4)},
    {{"lfm2", true, false, LIST("<think>", "</think>", "<|tool_call_start|>", "<|tool_call_end|>")},
     FAMILY(lfm2)},
    {{"lfm2-thinking", true, true,
      LIST("<think>", "</think>", "<|tool_call_start|>", "<|tool_call_end|>")},
     FAMILY(lfm2_thinking)},
    {{"laguna", true, true, LAGUNA_TAGS}, MACHINE(laguna)},
    {{"poolside-v1", true, true, LAGUNA_TAGS}, MACHINE(laguna)},
    {{"cohere", true, true,
      LIST("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>",
           "<|START_ACTION|>", "<|END_ACTION|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")},
     MACHINE(cohere)},
    {{"glimmer", true, true, LIST("<|start|>", "<|message|>", "<|eom|>", "<|eot|>")},
     MACHINE(glimmer)},
};

const struct parser_type *parser_type_find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].info.name, name) == 0) return &types[i];
    return NULL;
}

const struct parser_info *parser_info(const char *name) {
    const struct parser_type *t = parser_type_find(name);
    return t != NULL ? &t->info : NULL;
}

const char *parser_json_tag(const char *name) {
    const struct parser_type *t = parser_type_find(name);
    const struct family *f = t != NULL ? t->family : NULL;
    return f != NULL && (f->call == call_json || f->call == call_json_vl) ? f->tool_open : NULL;
}

const struct parser_info *parser_info_at(size_t i) {
    return i < sizeof types / sizeof *types ? &types[i].info : NULL;
}
