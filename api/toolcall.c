/* toolcall.c - see toolcall.h. */
#include "api/toolcall.h"

#include <string.h>

#include "api/format/parse.h"
#include "api/think.h"

void tool_begin(struct tool_parser *p, const char *tag, const json *tools) {
    *p = (struct tool_parser){.tag = tag == NULL || *tag == '\0' ? "{" : tag, .tools = tools};
}

static bool bare_tag(const struct tool_parser *p) { /* the call is not marked, only JSON */
    return strcmp(p->tag, "{") == 0 || strcmp(p->tag, "[") == 0;
}

static const char *tool_name(const json *tool) {
    const char *name = json_string(json_get(json_get(tool, "function"), "name"));
    return name == NULL ? "" : name;
}

/* ---- names and arguments ---- */

/* The text may end in the middle of a name. */
static bool name_may_follow(const struct tool_parser *p) {
    for (const json *t = json_first(p->tools); t != NULL; t = json_next(t))
        if (text_overlap(p->held.data, p->held.len, tool_name(t)) > 0) return true;
    return false;
}

/* The leftmost name, the longest among those; *end is where it ends. */
static const char *find_name(const struct tool_parser *p, size_t *end) {
    const char *best = NULL;
    size_t best_at = 0;
    for (const json *t = json_first(p->tools); t != NULL; t = json_next(t)) {
        const char *name = tool_name(t);
        size_t n = strlen(name);
        const char *at = n == 0 ? NULL : memmem(p->held.data, p->held.len, name, n);
        if (at == NULL) continue;
        size_t offset = (size_t)(at - p->held.data);
        if (best != NULL && (offset > best_at || (offset == best_at && n <= strlen(best))))
            continue;
        best = name;
        best_at = offset;
    }
    if (best != NULL) *end = best_at + strlen(best);
    return best;
}

/* An object, or a string that holds one (then *owned is its tree). */
static const json *as_object(const json *v, json **owned) {
    size_t len;
    const char *text = json_string_n(v, &len);
    if (json_kind(v) == JSON_OBJECT) return v;
    if (text == NULL || *owned != NULL) return NULL;
    *owned = json_parse(text, len, &json_default_limits, NULL, NULL);
    return json_kind(*owned) == JSON_OBJECT ? *owned : NULL;
}

/* Sets *stop if the object is a call whose arguments cannot be read. */
static const json *search_arguments(const json *v, const char *name, json **owned, bool *stop,
                                    int depth) {
    if (depth == 0 || *stop) return NULL;
    if (json_kind(v) == JSON_OBJECT) {
        if (json_get(v, "name") != NULL) {
            const json *a = json_get(v, "arguments");
            a = as_object(a != NULL ? a : json_get(v, "parameters"), owned);
            *stop = a == NULL;
            return a;
        }
        const json *own = json_get(v, name);
        if (own != NULL && (own = as_object(own, owned)) != NULL) return own;
    } else if (json_kind(v) != JSON_ARRAY) {
        return NULL;
    }
    for (const json *m = json_first(v); m != NULL; m = json_next(m)) {
        const json *found = search_arguments(m, name, owned, stop, depth - 1);
        if (found != NULL || *stop) return found;
    }
    return NULL;
}

/* Appends the arguments' JSON; *end is where the closing brace stands. False: none yet. */
static bool find_arguments(const struct tool_parser *p, const char *name, struct buf *out,
                           size_t *end) {
    enum { MAX_DEPTH = 32 };
    const char *s = p->held.data;
    for (size_t i = 0; i < p->held.len; i++) {
        if (s[i] != '{') continue;
        size_t n = balanced_end(s + i, p->held.len - i, "{", "}");
        if (n == 0) return false;
        json *tree = json_parse(s + i, n, &json_default_limits, NULL, NULL), *owned = NULL;
        bool stop = false;
        i += n - 1;
        if (tree == NULL) continue;
        const json *args = search_arguments(tree, name, &owned, &stop, MAX_DEPTH);
        if (!stop) json_print(out, args != NULL ? args : tree);
        json_free(owned);
        json_free(tree);
        *end = i;
        return !stop;
    }
    return false;
}

/* One call from the held text; false: none is complete. */
static bool next_call(struct tool_parser *p, struct buf *calls) {
    struct buf args = {0}, id = {0};
    size_t name_end = 0, args_end = 0;
    const char *name = name_may_follow(p) ? NULL : find_name(p, &name_end);
    if (name == NULL || !find_arguments(p, name, &args, &args_end)) {
        buf_free(&args);
        return false;
    }
    put_call_id(&id);
    if (args.failed || id.failed) calls->failed = true;
    if (calls->len > 0) buf_chr(calls, ',');
    buf_str(calls, "{\"id\":");
    json_put_string(calls, id.data, id.len);
    buf_printf(calls, ",\"function\":{\"index\":%u,\"name\":", p->n_calls++);
    json_put_string(calls, name, strlen(name));
    buf_str(calls, ",\"arguments\":");
    buf_add(calls, args.data, args.len);
    buf_str(calls, "}}");
    buf_drop(&p->held, name_end > args_end ? name_end : args_end);
    buf_free(&id);
    buf_free(&args);
    return true;
}

/* ---- the machine ---- */

static void flush(struct buf *from, struct buf *to) {
    buf_add(to, from->data, from->len);
    buf_cut(from, 0);
}

static void search_tag(struct tool_parser *p, struct buf *content) {
    struct buf *h = &p->held;
    const char *at = memmem(h->data, h->len, p->tag, strlen(p->tag));
    size_t n = at != NULL ? (size_t)(at - h->data) : h->len - text_overlap(h->data, h->len, p->tag);
    bool text_before = text_skip_space(h->data, n) < n;
    buf_add(content, h->data, n);
    buf_drop(h, n);
    if (bare_tag(p) && text_before) { /* JSON in the middle of prose is no call */
        p->state = TOOL_DONE;
        flush(h, content);
    } else if (at != NULL) {
        p->state = TOOL_CALLING;
    }
}

/* A bracket of the tag's kind is opened and closed again in the held text. */
static bool has_pair(const struct tool_parser *p) {
    const char open = p->tag[0], close = open == '{' ? '}' : ']';
    bool in_string = false;
    int depth = 0;
    for (size_t i = 0; i < p->held.len; i++) {
        const char c = p->held.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && c == open)
            depth++;
        else if (!in_string && c == close && --depth == 0)
            return true;
    }
    return false;
}

unsigned tool_feed(struct tool_parser *p, const char *text, size_t len, struct buf *content,
                   struct buf *calls) {
    unsigned before = p->n_calls;
    if (p->state == TOOL_DONE) {
        buf_add(content, text, len);
        return 0;
    }
    if (len == 0) return 0;
    buf_add(&p->held, text, len);
    if (p->held.failed) {
        content->failed = true;
        return 0;
    }
    if (p->state == TOOL_SEARCHING) search_tag(p, content);
    while (p->state == TOOL_CALLING && next_call(p, calls)) continue;
    if (p->state == TOOL_CALLING && bare_tag(p) && has_pair(p)) { /* JSON that is no call */
        p->state = TOOL_DONE;
        flush(&p->held, content);
    }
    return p->n_calls - before;
}

/* Only {"name", "arguments" or "parameters"}, of which next_call() will think the same. */
bool tool_peek(const struct tool_parser *p, struct call_head *out) {
    enum { MAX_HEAD = 4096 }; /* as in parser_peek() */
    *out = (struct call_head){.index = p->n_calls};
    if (p->state != TOOL_CALLING || p->held.len == 0 || p->held.len > MAX_HEAD) return false;
    const char *s = memchr(p->held.data, '{', p->held.len), *name;
    const size_t n = s == NULL ? 0 : p->held.len - (size_t)(s - p->held.data);
    size_t end;
    return n > 0 && args_in_object(s, n, true, out) && (name = find_name(p, &end)) != NULL &&
           out->name_len == strlen(name) && memcmp(out->name, name, out->name_len) == 0;
}

void tool_end(struct tool_parser *p, struct buf *content) {
    if (p->n_calls == 0 && p->state != TOOL_DONE && bare_tag(p)) flush(&p->held, content);
    buf_free(&p->held);
}
