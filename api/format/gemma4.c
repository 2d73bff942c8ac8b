/* gemma4.c - Gemma 4 (spec/chat-formats.md 5.4) and Ministral, whose tags stand in content. */
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

enum { S_CHANNEL = S_OWN, S_CALL, S_AFTER_CALL, S_NAME, S_ARGS };

/* ---- Gemma 4 ---- */

void gemma4_start(struct parser *p) {
    const char *role = json_string(json_get(p->last, "role"));
    bool after_tool = role != NULL && strcmp(role, "tool") == 0;
    p->state = p->think && after_tool && p->type->info.thinking ? S_CHANNEL : S_CONTENT;
}

static bool gemma4_content(struct parser *p) {
    static const char *const tags[] = {"<|channel>", "<|tool_call>", NULL};
    size_t channel = parser_find(p, tags[0]), call = parser_find(p, tags[1]);
    size_t at = channel != NOWHERE ? channel : call;
    if (at == NOWHERE) {
        size_t n = parser_free_bytes(p, tags, false);
        if (n < p->held.len) n = text_rtrim(p->held.data, n);
        parser_emit(p, &p->out->content, p->done ? p->held.len : n);
        return false;
    }
    if (channel != NOWHERE && call != NOWHERE && call < channel) {
        at = call; /* both are there, the call first */
        channel = NOWHERE;
    }
    parser_emit_trimmed(p, &p->out->content, at);
    buf_drop(&p->held, strlen(channel != NOWHERE ? tags[0] : tags[1]));
    p->state = channel != NOWHERE ? S_CHANNEL : S_CALL;
    p->flag = false; /* the first line of the channel is not seen yet */
    return true;
}

static bool gemma4_channel(struct parser *p) {
    static const char *const tags[] = {"<channel|>", NULL};
    static const char first[] = "thought\n";
    struct buf *to = p->think && p->type->info.thinking ? &p->out->thinking : NULL;
    size_t n = p->held.len < sizeof first - 1 ? p->held.len : sizeof first - 1;
    if (!p->flag && memcmp(p->held.data, first, n) == 0) {
        if (n < sizeof first - 1 && !p->done) return false;
        if (n == sizeof first - 1) buf_drop(&p->held, n);
    }
    p->flag = true;
    size_t end = parser_find(p, tags[0]);
    if (end == NOWHERE) {
        parser_emit(p, to, p->done ? p->held.len : parser_free_bytes(p, tags, true));
        return false;
    }
    parser_emit_trimmed(p, to, end);
    buf_drop(&p->held, strlen(tags[0]));
    parser_eat_space(p);
    p->state = S_CONTENT;
    return true;
}

static bool gemma4_call(struct parser *p) {
    static const char close[] = "<tool_call|>";
    size_t end = parser_find(p, close);
    if (end == NOWHERE && !p->done) return false;
    size_t n = end != NOWHERE ? end : p->held.len - text_overlap(p->held.data, p->held.len, close);
    call_gemma4(p, p->held.data, n);
    buf_drop(&p->held, end != NOWHERE ? end + sizeof close - 1 : p->held.len);
    p->state = S_AFTER_CALL;
    return true;
}

/* Models repeat the closing tag and begin the answer themselves. */
static bool gemma4_after(struct parser *p) {
    static const char *const tags[] = {"<tool_call|>", "<|tool_response>", NULL};
    if (!parser_eat_space(p)) return false;
    const int i = parser_eat_tag(p, tags);
    if (i == TAG_NONE) p->state = S_CONTENT;
    return i != TAG_WAIT;
}

bool gemma4_step(struct parser *p) {
    if (p->held.len == 0 && !(p->done && p->state == S_CALL && p->flag)) return false;
    switch (p->state) {
    case S_CHANNEL:
        return gemma4_channel(p);
    case S_CALL:
        return gemma4_call(p);
    case S_AFTER_CALL:
        return gemma4_after(p);
    default:
        return gemma4_content(p);
    }
}

/* ---- Ministral ---- */

void ministral_start(struct parser *p) { p->state = S_CONTENT; }

static bool ministral_content(struct parser *p) {
    static const char *const tags[] = {"[TOOL_CALLS]", "[THINK]", NULL};
    size_t call = parser_find(p, tags[0]), think = parser_find(p, tags[1]);
    size_t at = call < think ? call : think;
    if (at == NOWHERE) {
        parser_emit(p, &p->out->content, parser_free_bytes(p, tags, true));
        return false;
    }
    if (at == call)
        parser_emit_trimmed(p, &p->out->content, at);
    else
        parser_emit(p, &p->out->content, at);
    buf_drop(&p->held, strlen(at == call ? tags[0] : tags[1]));
    p->state = at == call ? S_NAME : S_THINK;
    return true;
}

static bool ministral_think(struct parser *p) {
    static const char *const tags[] = {"[/THINK]", NULL};
    size_t end = parser_find(p, tags[0]);
    parser_emit(p, &p->out->thinking, end != NOWHERE ? end : parser_free_bytes(p, tags, false));
    if (end == NOWHERE) return false;
    buf_drop(&p->held, strlen(tags[0]));
    parser_eat_space(p);
    p->state = S_CONTENT;
    return true;
}

static bool ministral_name(struct parser *p) {
    static const char tag[] = "[ARGS]";
    size_t end = parser_find(p, tag);
    if (end == NOWHERE) return false;
    buf_cut(&p->extra, 0);
    buf_add(&p->extra, p->held.data, end);
    buf_drop(&p->held, end + sizeof tag - 1);
    p->state = S_ARGS;
    return true;
}

static bool ministral_args(struct parser *p) {
    size_t n = json_balanced(p->held.data, p->held.len);
    struct err why = {0};
    if (n == 0) return false;
    if (tool_find(p->tools, p->extra.data, p->extra.len) == NULL)
        return parser_fail(p, "tool '%.*s' not found",
                           (int)(p->extra.len < 200 ? p->extra.len : 200),
                           p->extra.len > 0 ? p->extra.data : "");
    json *v = json_whole(p->held.data, n, &why);
    if (json_kind(v) != JSON_OBJECT) {
        json_free(v);
        return parser_fail(p, "%s", v == NULL ? why.msg : "tool arguments must be a JSON object");
    }
    struct buf text = {0};
    json_print(&text, v);
    parser_call(p, p->extra.data, p->extra.len, text.data, NULL);
    buf_free(&text);
    json_free(v);
    buf_drop(&p->held, n);
    p->state = S_CONTENT;
    return true;
}

bool ministral_peek(const struct parser *p, struct call_head *out) {
    out->name = p->extra.data;
    out->name_len = p->extra.len;
    return p->state == S_ARGS && args_begin(p->held.data, p->held.len, out);
}

bool ministral_step(struct parser *p) {
    if (p->held.len == 0) return false;
    switch (p->state) {
    case S_THINK:
        return ministral_think(p);
    case S_NAME:
        return ministral_name(p);
    case S_ARGS:
        return ministral_args(p);
    default:
        return ministral_content(p);
    }
}
