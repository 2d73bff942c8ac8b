/* parse.c - see parse.h: the table of parsers and what all of them use. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"

/* ---- the table ---- */

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
#define TOOL_CALL .tool_open = "<tool_call>", .tool_close = "</tool_call>"
#define TRIMMED .hold_space = true, .trim_before = true, .eat_after = true

static const struct family qwen3 = {.start = THINK_NEVER, TOOL_CALL, TRIMMED, .call = call_json};
static const struct family qwen3_thinking = {.start = THINK_UNLESS_OFF,
                                             .optional_open = true,
                                             .until_tool = true,
                                             TOOL_CALL,
                                             TRIMMED,
                                             .call = call_json};
static const struct family qwen3_vl = {
    .start = THINK_NEVER, TOOL_CALL, TRIMMED, .eat_pieces = true, .call = call_json_vl};
static const struct family qwen3_vl_thinking = {.start = THINK_ALWAYS,
                                                .not_if_prefill = true,
                                                .until_tool = true,
                                                TOOL_CALL,
                                                TRIMMED,
                                                .eat_pieces = true,
                                                .call = call_json_vl};
static const struct family qwen3_coder = {
    .start = THINK_NEVER, TOOL_CALL, TRIMMED, .call = call_xml};
static const struct family qwen3_5 = {.start = THINK_UNLESS_OFF,
                                      .not_if_prefill = true,
                                      .optional_open = true,
                                      .until_tool = true,
                                      TOOL_CALL,
                                      TRIMMED,
                                      .call = call_xml};
static const struct family deepseek3 = {.start = THINK_IF_ON,
                                        .not_if_prefill = true,
                                        .tool_open = "<｜tool▁calls▁begin｜>",
                                        .tool_close = "<｜tool▁calls▁end｜>",
                                        .trim_before = true,
                                        .eat_after = true,
                                        .flush = true,
                                        .drop_open = "<｜tool▁output▁begin｜>",
                                        .drop_close = "<｜tool▁output▁end｜>",
                                        .keep_inside = true,
                                        .step_calls = step_deepseek_calls};
static const struct family cogito = {.start = THINK_IF_ON,
                                     .not_if_prefill = true,
                                     .not_if_tools = true,
                                     .tool_open = "<｜tool▁calls▁begin｜>",
                                     .tool_close = "<｜tool▁calls▁end｜>",
                                     .trim_before = true,
                                     .eat_after = true,
                                     .flush = true,
                                     .drop_open = "<｜tool▁outputs▁begin｜>",
                                     .drop_close = "<｜tool▁outputs▁end｜>",
                                     .step_calls = step_deepseek_calls};
static const struct family olmo3 = {.start = THINK_NEVER,
                                    .tool_open = "<function_calls>",
                                    .tool_close = "</function_calls>",
                                    .flush = true,
                                    .call = call_olmo};
static const struct family olmo3_think = {
    .start = THINK_ALWAYS, .not_if_prefill = true, .eat_once = true, .flush = true};
static const struct family nemotron = {.start = THINK_UNLESS_OFF,
                                       .not_if_prefill = true,
                                       .optional_open = true,
                                       .drop_blank_start = true,
                                       .until_tool = true,
                                       TOOL_CALL,
                                       TRIMMED,
                                       .call = call_xml};
static const struct family glm47 = {.start = THINK_UNLESS_OFF,
                                    .look_if_off = true,
                                    TOOL_CALL,
                                    TRIMMED,
                                    .call = call_glm,
                                    .call_end = call_glm_end};
static const struct family glm_ocr = {
    .start = THINK_LOOK, TOOL_CALL, TRIMMED, .call = call_glm, .call_end = call_glm_end};
static const struct family functiongemma = {.start = THINK_NEVER,
                                            .tool_open = "<start_function_call>",
                                            .tool_close = "<end_function_call>",
                                            .flush = true,
                                            .call = call_functiongemma};
static const struct family lfm2 = {.start = THINK_NEVER,
                                   .tool_open = "<|tool_call_start|>",
                                   .tool_close = "<|tool_call_end|>",
                                   .trim_before = true,
                                   .eat_after = true,
                                   .flush = true,
                                   .call = call_lfm,
                                   .bare = call_lfm_bare};
static const struct family lfm2_thinking = {.start = THINK_LOOK_IF_ON,
                                            .not_if_prefill = true,
                                            .tool_open = "<|tool_call_start|>",
                                            .tool_close = "<|tool_call_end|>",
                                            .trim_before = true,
                                            .eat_after = true,
                                            .flush = true,
                                            .call = call_lfm,
                                            .bare = call_lfm_bare};

#define FAMILY(f) family_start, family_step, family_end, &f
#define MACHINE(m) m##_start, m##_step, NULL, NULL

static const struct parser_type types[] = {
    {{"passthrough", false, false, LIST(NULL)}, NULL, passthrough_step, NULL, NULL},
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
     MACHINE(ministral)},
    {{"harmony", true, true,
      LIST("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>")},
     harmony_start,
     harmony_step,
     harmony_end,
     NULL},
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

static const struct parser_type *find_type(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].info.name, name) == 0) return &types[i];
    return NULL;
}

const struct parser_info *parser_info(const char *name) {
    const struct parser_type *t = find_type(name);
    return t != NULL ? &t->info : NULL;
}

const char *parser_json_tag(const char *name) {
    const struct parser_type *t = find_type(name);
    const struct family *f = t != NULL ? t->family : NULL;
    return f != NULL && (f->call == call_json || f->call == call_json_vl) ? f->tool_open : NULL;
}

const struct parser_info *parser_info_at(size_t i) {
    return i < sizeof types / sizeof *types ? &types[i].info : NULL;
}

/* ---- life ---- */

enum status parser_open(struct parser **out, const char *name, const struct parser_input *in,
                        struct err *e) {
    const struct parser_type *type = find_type(name);
    if (type == NULL) return err_set(e, ST_NOT_FOUND, "unknown parser \"%s\"", name);
    struct parser *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) return err_no_memory(e);
    const char *role = json_string(json_get(in->last, "role"));
    const char *content = json_string(json_get(in->last, "content"));
    p->type = type;
    p->tools = in->tools;
    p->last = in->last;
    p->think_set = in->think_set;
    p->think = in->think;
    p->look = in->look;
    p->prefill =
        role != NULL && strcmp(role, "assistant") == 0 && content != NULL && *content != '\0';
    if (type->start != NULL) type->start(p);
    *out = p;
    return ST_OK;
}

enum status parser_feed(struct parser *p, const char *text, size_t len, bool done,
                        struct parser_out *out, struct err *e) {
    if (p->status != ST_OK) return p->status;
    p->out = out;
    p->e = e;
    p->done = done;
    p->called = false;
    buf_add(&p->held, text, len);
    while (p->status == ST_OK && p->type->step(p)) continue;
    if (p->status == ST_OK && (p->held.failed || p->extra.failed || out->content.failed ||
                               out->thinking.failed || out->calls.failed))
        p->status = err_no_memory(e);
    return p->status;
}

void parser_end(struct parser *p, struct parser_out *out) {
    if (p->status != ST_OK) return;
    p->out = out;
    if (p->type->end != NULL) {
        p->type->end(p);
    } else if (p->state == S_CONTENT) {
        if (text_rtrim(p->held.data, p->held.len) > 0) parser_emit(p, &out->content, p->held.len);
    }
    buf_cut(&p->held, 0);
}

void parser_free(struct parser *p) {
    if (p == NULL) return;
    buf_free(&p->held);
    buf_free(&p->extra);
    mem_free(p);
}

void parser_out_free(struct parser_out *out) {
    buf_free(&out->content);
    buf_free(&out->thinking);
    buf_free(&out->calls);
    out->n_calls = 0;
}

/* ---- the held text ---- */

bool parser_fail(struct parser *p, const char *fmt, ...) {
    char text[ERR_MSG_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    p->status = err_set(p->e, ST_INVALID, "%s", text);
    p->status = ST_INVALID;
    return false;
}

size_t parser_find_at(const struct parser *p, size_t from, const char *tag) {
    if (p->held.len <= from) return NOWHERE;
    const char *hit = memmem(p->held.data + from, p->held.len - from, tag, strlen(tag));
    return hit == NULL ? NOWHERE : (size_t)(hit - p->held.data);
}

size_t parser_find(const struct parser *p, const char *tag) { return parser_find_at(p, 0, tag); }

bool parser_starts(const struct parser *p, const char *tag) {
    size_t n = strlen(tag);
    return p->held.len >= n && memcmp(p->held.data, tag, n) == 0;
}

static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

size_t text_rtrim(const char *s, size_t n) {
    while (n > 0) {
        size_t k = n - 1;
        uint32_t c;
        while (k > 0 && n - k < 4 && ((unsigned char)s[k] & 0xC0) == 0x80) k--;
        if (utf8_decode(s + k, n - k, &c) != n - k || !is_space(c)) break;
        n = k;
    }
    return n;
}

size_t parser_free_bytes(const struct parser *p, const char *const *tags, bool space) {
    size_t longest = 0;
    for (; *tags != NULL; tags++) {
        size_t k = text_overlap(p->held.data, p->held.len, *tags);
        if (k > longest) longest = k;
    }
    size_t n = p->held.len - longest;
    return space ? text_rtrim(p->held.data, n) : n;
}

void parser_emit(struct parser *p, struct buf *to, size_t n) {
    if (n == 0) return;
    if (to != NULL) buf_add(to, p->held.data, n);
    buf_drop(&p->held, n);
}

void parser_emit_trimmed(struct parser *p, struct buf *to, size_t n) {
    size_t keep = text_rtrim(p->held.data, n);
    parser_emit(p, to, keep);
    parser_emit(p, NULL, n - keep);
}

bool parser_eat_space(struct parser *p) {
    if (p->held.len > 0) buf_drop(&p->held, text_skip_space(p->held.data, p->held.len));
    return p->held.len > 0;
}

bool passthrough_step(struct parser *p) {
    parser_emit(p, &p->out->content, p->held.len);
    return false;
}

/* ---- calls ---- */

void put_call_id(struct buf *b) {
    static const char letter[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char random[8] = {0};
    os_random(random, sizeof random, NULL);
    buf_str(b, "call_");
    for (size_t i = 0; i < sizeof random; i++) buf_chr(b, letter[random[i] % 36]);
}

static bool repeated(const json *m) { /* of duplicates the last counts */
    for (const json *n = json_next(m); n != NULL; n = json_next(n))
        if (strcmp(json_key(n), json_key(m)) == 0) return true;
    return false;
}

static void put_arguments(struct buf *b, const char *args) {
    enum { MAX_CHECKED = 1000 };
    json *tree = json_parse(args, strlen(args), &json_default_limits, NULL, NULL);
    if (tree == NULL) b->failed = true;
    bool check = json_len(tree) <= MAX_CHECKED;
    buf_chr(b, '{');
    for (const json *m = json_first(tree); m != NULL; m = json_next(m)) {
        if (check && repeated(m)) continue;
        json_put_key(b, json_key(m));
        put_json_value(b, m);
    }
    buf_chr(b, '}');
    json_free(tree);
}

void parser_call(struct parser *p, const char *name, size_t n, const char *args, const char *id) {
    struct buf *b = &p->out->calls, fresh = {0};
    if (args == NULL) { /* its text could not be built */
        b->failed = true;
        return;
    }
    if (id == NULL) put_call_id(&fresh);
    if (b->len > 0) buf_chr(b, ',');
    buf_str(b, "{\"id\":");
    if (fresh.failed) b->failed = true;
    json_put_string(b, id != NULL ? id : fresh.data, id != NULL ? strlen(id) : fresh.len);
    buf_printf(b, ",\"function\":{\"index\":%u,\"name\":", p->n_calls++);
    json_put_string(b, name, n);
    buf_str(b, ",\"arguments\":");
    put_arguments(b, args);
    buf_str(b, "}}");
    p->out->n_calls++;
    p->called = true;
    buf_free(&fresh);
}
