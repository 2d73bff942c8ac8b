/* family.c - the machine that most formats share: thinking up to a tag, content up to a tool tag, a
 * call up to its end, and so on; struct family tells the differences. */
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

#define THINK_OPEN "<think>"
#define THINK_CLOSE "</think>"

void family_start(struct parser *p) {
    const struct family *f = p->type->family;
    bool on = p->think, unset = !p->think_set;
    bool think = (f->start == THINK_UNLESS_OFF && (on || unset)) ||
                 (f->start == THINK_IF_ON && on) || f->start == THINK_ALWAYS;
    bool look = f->start == THINK_LOOK || (f->start == THINK_LOOK_IF_ON && on) ||
                (f->look_if_off && !think) || (p->look && f->optional_open && !think);
    if ((f->not_if_prefill && p->prefill) || (f->not_if_tools && json_len(p->tools) > 0))
        think = look = false;
    p->state = look ? S_LOOK : !think ? S_CONTENT : f->optional_open ? S_THINK_START : S_THINK;
}

/* A leading <think>, after white space: to thinking; else to `other`. */
static bool look(struct parser *p, int other) {
    const char *s = p->held.data;
    size_t skip = text_skip_space(s, p->held.len), n = p->held.len - skip;
    if (n >= strlen(THINK_OPEN) && memcmp(s + skip, THINK_OPEN, strlen(THINK_OPEN)) == 0) {
        buf_drop(&p->held, skip + strlen(THINK_OPEN));
        if (other == S_THINK) parser_eat_space(p);
        p->state = other == S_THINK && !p->type->family->drop_blank_start ? S_THINK : S_THINK_EAT;
        return true;
    }
    bool may = n < strlen(THINK_OPEN) && memcmp(s + skip, THINK_OPEN, n) == 0;
    if (n == 0 && p->type->family->drop_blank_start) buf_cut(&p->held, 0);
    if (may && !(p->done && p->type->family->flush)) return false;
    if (other == S_CONTENT && p->type->family->flush) parser_eat_space(p);
    p->state = other;
    return true;
}

static bool think(struct parser *p, const struct family *f) {
    const char *const tags[] = {THINK_CLOSE, f->until_tool ? f->tool_open : NULL, NULL};
    size_t close = parser_find(p, THINK_CLOSE);
    size_t tool = f->until_tool ? parser_find(p, f->tool_open) : NOWHERE;
    if (close == NOWHERE && tool == NOWHERE) {
        parser_emit(p, &p->out->thinking, parser_free_bytes(p, tags, true));
        return false;
    }
    parser_emit_trimmed(p, &p->out->thinking, close < tool ? close : tool);
    if (close < tool) buf_drop(&p->held, strlen(THINK_CLOSE));
    if (f->eat_once) parser_eat_space(p);
    p->state = close < tool && !f->eat_once ? S_THINK_END : S_CONTENT;
    return true;
}

/* A block in content that is no call: its end must be there, too. */
static bool drop_block(struct parser *p, const struct family *f, size_t at) {
    size_t open = strlen(f->drop_open), close = strlen(f->drop_close);
    size_t end = parser_find_at(p, at + open, f->drop_close);
    parser_emit(p, &p->out->content, at);
    if (end == NOWHERE) return false;
    buf_drop(&p->held, open);
    parser_emit(p, f->keep_inside ? &p->out->content : NULL, end - at - open);
    buf_drop(&p->held, close);
    return true;
}

static bool content(struct parser *p, const struct family *f) {
    const char *const tags[] = {f->tool_open, f->drop_open, NULL};
    size_t tool = f->tool_open == NULL ? NOWHERE : parser_find(p, f->tool_open);
    size_t drop = f->drop_open == NULL ? NOWHERE : parser_find(p, f->drop_open);
    if (drop < tool) return drop_block(p, f, drop);
    if (tool != NOWHERE && !(p->done && f->call == call_olmo)) {
        if (f->trim_before)
            parser_emit_trimmed(p, &p->out->content, tool);
        else
            parser_emit(p, &p->out->content, tool);
        buf_drop(&p->held, strlen(f->tool_open));
        p->state = S_TOOL;
        return true;
    }
    if (p->done && f->bare != NULL && !p->called && f->bare(p, p->held.data, p->held.len))
        buf_cut(&p->held, 0);
    bool all = p->done && f->flush;
    parser_emit(p, &p->out->content, all ? p->held.len : parser_free_bytes(p, tags, f->hold_space));
    return false;
}

static bool tool(struct parser *p, const struct family *f) {
    if (f->step_calls != NULL) return f->step_calls(p);
    size_t end = parser_find(p, f->tool_close);
    if (end == NOWHERE) {
        if (!p->done || f->call_end == NULL) return false;
        size_t n = p->held.len - text_overlap(p->held.data, p->held.len, f->tool_close);
        bool ok = f->call_end(p, p->held.data, n);
        buf_cut(&p->held, 0);
        p->state = S_CONTENT;
        return ok;
    }
    if (!f->call(p, p->held.data, end)) return false;
    buf_drop(&p->held, end + strlen(f->tool_close));
    if (f->eat_after) parser_eat_space(p);
    p->state = f->eat_pieces ? S_THINK_END : S_CONTENT;
    return true;
}

static bool eat(struct parser *p, int next) {
    if (!parser_eat_space(p)) return false;
    p->state = next;
    return true;
}

bool family_step(struct parser *p) {
    const struct family *f = p->type->family;
    if (p->held.len == 0 && !p->done) return false;
    if (p->held.len == 0 && p->state != S_TOOL) return false;
    switch (p->state) {
    case S_THINK_START:
        return look(p, S_THINK);
    case S_LOOK:
        return look(p, S_CONTENT);
    case S_THINK_EAT:
        return eat(p, S_THINK);
    case S_THINK:
        return think(p, f);
    case S_THINK_END:
        return eat(p, S_CONTENT);
    case S_CONTENT:
        return content(p, f);
    default:
        return tool(p, f);
    }
}

bool family_peek(const struct parser *p, struct call_head *out) {
    const struct family *f = p->type->family;
    if (p->state != S_TOOL) return false;
    if (f->step_calls != NULL) return peek_deepseek(p, out);
    return (f->call == call_json || f->call == call_json_vl) &&
           args_in_object(p->held.data, p->held.len, false, out);
}

void family_end(struct parser *p) {
    bool thinks = p->state == S_THINK || p->state == S_THINK_START;
    bool said = p->state == S_CONTENT || p->state == S_LOOK;
    if (text_rtrim(p->held.data, p->held.len) == 0) return;
    if (thinks) parser_emit(p, &p->out->thinking, p->held.len);
    if (said) parser_emit(p, &p->out->content, p->held.len);
}
