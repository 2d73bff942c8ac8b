/* glimmer.c - Glimmer: messages with a recipient, calls as ATEM XML (spec/chat-formats.md 5.7). */
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

enum { S_HEADER = S_OWN, S_SELF, S_SAY, S_CALL };

#define START "<|start|>assistant"
#define MESSAGE "<|message|>"
#define CALLS "<atem:function_calls>"
#define CALLS_END "</atem:function_calls>"

/* p->extra: the recipient, NUL-terminated. */
void glimmer_start(struct parser *p) { p->state = S_HEADER; }

/* ---- recipients ---- */

/* The declared tool behind "fn" or "ns.fn"; NULL: none. */
static const char *tool_of(const struct parser *p, const char *to, size_t n) {
    for (const json *t = json_first(p->tools); t != NULL; t = json_next(t)) {
        const char *name = json_string(json_get(json_get(t, "function"), "name"));
        if (name == NULL) continue;
        size_t k = strlen(name), first = strcspn(name, ".");
        if (k == n && memcmp(name, to, n) == 0) return name;
        if (n == first + 1 + k && memcmp(to, name, first) == 0 && to[first] == '.' &&
            memcmp(to + first + 1, name, k) == 0)
            return name;
    }
    return NULL;
}

static bool valid_recipient(const struct parser *p, const char *to, size_t n) {
    return (n == 4 && (memcmp(to, "self", 4) == 0 || memcmp(to, "user", 4) == 0)) ||
           tool_of(p, to, n) != NULL;
}

/* "[ to=X]" -> X; false: it is not of that form. */
static bool read_recipient(const char *s, size_t n, const char **to, size_t *to_n) {
    size_t skip = n == 0 ? 0 : text_skip_space(s, n);
    s += skip;
    n = text_rtrim(s, n - skip);
    *to = "user";
    *to_n = 4;
    if (n == 0) return true;
    if (n < 4 || memcmp(s, "to=", 3) != 0) return false;
    *to = s + 3;
    *to_n = n - 3;
    return memchr(*to, ' ', *to_n) == NULL && memchr(*to, '\n', *to_n) == NULL;
}

static bool header(struct parser *p) {
    size_t end = parser_find(p, MESSAGE), from = 0, to_n;
    const char *to;
    if (end == NOWHERE && !p->done) return false;
    if (end == NOWHERE) { /* no header at all */
        buf_cut(&p->extra, 0);
        buf_add(&p->extra, "user", 5);
        p->state = S_SAY;
        return true;
    }
    size_t start = parser_find(p, START);
    if (start < end) from = start + strlen(START);
    read_recipient(p->held.data + from, end - from, &to, &to_n);
    const char *tool = tool_of(p, to, to_n);
    p->state = to_n == 4 && memcmp(to, "self", 4) == 0 ? S_SELF : tool != NULL ? S_CALL : S_SAY;
    buf_cut(&p->extra, 0);
    if (tool != NULL)
        buf_add(&p->extra, tool, strlen(tool) + 1);
    else
        buf_add(&p->extra, "user", 5);
    buf_drop(&p->held, end + strlen(MESSAGE));
    p->flag = false;
    return true;
}

/* ---- the end of a body ---- */

enum end { END_NONE, END_MAYBE, END_AT };

/* An implicit "<|start|>assistant[ to=X]<|message|>" at `at`. */
static enum end implicit_start(const struct parser *p, size_t at) {
    const char *to;
    size_t to_n, from = at + strlen(START), n = p->held.len;
    if (n < from) return memcmp(p->held.data + at, START, n - at) == 0 ? END_MAYBE : END_NONE;
    if (memcmp(p->held.data + at, START, strlen(START)) != 0) return END_NONE;
    size_t message = parser_find_at(p, from, MESSAGE);
    if (message == NOWHERE) {
        enum { LONGEST = 200 };
        return n - from < LONGEST ? END_MAYBE : END_NONE;
    }
    if (!read_recipient(p->held.data + from, message - from, &to, &to_n)) return END_NONE;
    return valid_recipient(p, to, to_n) ? END_AT : END_NONE;
}

/* Where the body ends, looking from `from`; *skip: bytes of the terminator. */
static enum end find_end(const struct parser *p, size_t from, size_t *at, size_t *skip) {
    static const char *const stop[] = {"<|eom|>", "<|eot|>"};
    for (size_t i = from; i < p->held.len; i++) {
        size_t left = p->held.len - i;
        if (p->held.data[i] != '<') continue;
        for (size_t k = 0; k < 2; k++) {
            size_t n = strlen(stop[k]);
            if (memcmp(p->held.data + i, stop[k], left < n ? left : n) != 0) continue;
            *at = i;
            *skip = n;
            return left < n ? END_MAYBE : END_AT;
        }
        enum end e = implicit_start(p, i);
        if (e == END_NONE) continue;
        *at = i;
        *skip = 0;
        return e;
    }
    *at = p->held.len;
    *skip = 0;
    return END_NONE;
}

static bool text_body(struct parser *p, struct buf *to) {
    size_t at, skip;
    enum end e = find_end(p, 0, &at, &skip);
    if (e == END_MAYBE && p->done) at = p->held.len;
    parser_emit(p, to, at);
    if (e != END_AT) return false;
    buf_drop(&p->held, skip);
    p->state = S_HEADER;
    return true;
}

/* ---- calls ---- */

static bool attribute(const char *s, size_t n, const char *tag, const char **value, size_t *value_n,
                      const char **after) {
    const char *at = memmem(s, n, tag, strlen(tag));
    if (at == NULL) return false;
    *value = at + strlen(tag);
    const char *end = memmem(*value, (size_t)(s + n - *value), "\">", 2);
    if (end == NULL) return false;
    *value_n = (size_t)(end - *value);
    *after = end + 2;
    return true;
}

/* The invoke's name; special tokens that got into it are dropped. */
static void clean_name(struct buf *out, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *end =
            n - i > 3 && s[i] == '<' && s[i + 1] == '|' ? memmem(s + i, n - i, "|>", 2) : NULL;
        if (end != NULL)
            i = (size_t)(end - s) + 1;
        else
            buf_chr(out, s[i]);
    }
    if (out->data == NULL) buf_str(out, "");
}

static bool invoke(struct parser *p, const char *recipient, const char *s, size_t n) {
    static const char param[] = "<atem:parameter name=\"", param_end[] = "</atem:parameter>";
    const char *name, *at, *key, *end = s + n;
    size_t name_n, key_n;
    struct buf own = {0}, args = {0};
    if (!attribute(s, n, "<atem:invoke name=\"", &name, &name_n, &at))
        return parser_fail(p, "Glimmer tool call has no ATEM invoke");
    clean_name(&own, name, name_n);
    if (own.failed) {
        p->out->calls.failed = true;
        buf_free(&own);
        return false;
    }
    const char *tool = tool_of(p, own.data, own.len);
    if (tool == NULL || (recipient != NULL && strcmp(tool, recipient) != 0)) {
        if (recipient != NULL)
            parser_fail(p, "Glimmer recipient \"%s\" does not match ATEM invoke \"%s\"", recipient,
                        own.data);
        buf_free(&own);
        return false;
    }
    buf_chr(&args, '{');
    while (attribute(at, (size_t)(end - at), param, &key, &key_n, &at)) {
        const char *close = memmem(at, (size_t)(end - at), param_end, sizeof param_end - 1);
        struct buf k = {0};
        if (close == NULL) break;
        buf_add(&k, key, key_n);
        put_key_n(&args, key, key_n);
        put_typed(&args, p, tool, strlen(tool), k.data == NULL ? "" : k.data, at,
                  (size_t)(close - at));
        buf_free(&k);
        at = close + sizeof param_end - 1;
    }
    buf_chr(&args, '}');
    parser_call(p, tool, strlen(tool), args.data, NULL);
    buf_free(&own);
    buf_free(&args);
    return true;
}

/* The body of a call: up to a terminator after the closing tag, or the end of the text. */
static bool call_body(struct parser *p) {
    size_t close = parser_find(p, CALLS_END), at, skip;
    size_t from = close == NOWHERE ? 0 : close + strlen(CALLS_END);
    bool block = parser_find(p, CALLS) != NOWHERE;
    enum end e = block && close == NOWHERE ? END_NONE : find_end(p, from, &at, &skip);
    if (e != END_AT && !(p->done && close != NOWHERE)) return false;
    if (p->extra.failed) return false; /* told by the caller */
    if (!invoke(p, p->extra.data, p->held.data, e == END_AT ? at : p->held.len)) return false;
    buf_drop(&p->held, e == END_AT ? at + skip : p->held.len);
    p->state = S_HEADER;
    return true;
}

/* Content that may be nothing but a call. */
static bool say(struct parser *p) {
    const char *s = p->held.data;
    size_t space = text_skip_space(s, p->held.len), n = p->held.len - space, at, skip;
    size_t k = n < strlen(CALLS) ? n : strlen(CALLS);
    if (p->flag || memcmp(s + space, CALLS, k) != 0 || json_len(p->tools) == 0) {
        p->flag = true;
        return text_body(p, &p->out->content);
    }
    size_t close = parser_find(p, CALLS_END);
    if (close == NOWHERE && !p->done) return false;
    enum end e = close == NOWHERE ? END_NONE : find_end(p, close + strlen(CALLS_END), &at, &skip);
    if (e != END_AT && !p->done) return false;
    size_t end = e == END_AT ? at : p->held.len;
    size_t whole = close == NOWHERE ? 0 : close + strlen(CALLS_END);
    if (close != NOWHERE && text_rtrim(s, end) == whole && invoke(p, NULL, s, whole)) {
        buf_drop(&p->held, e == END_AT ? at + skip : p->held.len);
        p->state = S_HEADER;
        return true;
    }
    p->flag = true;
    return p->status == ST_OK;
}

bool glimmer_step(struct parser *p) {
    if (p->held.len == 0) return false;
    switch (p->state) {
    case S_HEADER:
        return header(p);
    case S_SELF:
        return text_body(p, p->think_set && !p->think ? NULL : &p->out->thinking);
    case S_CALL:
        return call_body(p);
    default:
        return say(p);
    }
}
