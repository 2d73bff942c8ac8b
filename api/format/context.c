/* context.c - what a renderer's template sees of a request (spec/chat-formats.md 1):
 *
 *   messages   role, content (with image tags), thinking, tool_name, tool_call_id,
 *              tool_calls: id, name, arguments
 *   tools      known keys in the order of the spec; free-form JSON with its keys sorted
 *   system     content of the first system message; has_system
 *   think      none, a bool or a level; on: true or any level
 *   last_user, last_query   indexes: the last user message, and the last that is no tool response
 *   prefill    the last message is the assistant's; today; renderer */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/format/render.h"
#include "api/request.h"
#include "base/mem.h"

static bool given(const json *v) { /* not what Go would call empty */
    enum json_kind kind = json_kind(v);
    const char *s = json_string(v);
    if (kind == JSON_ARRAY || kind == JSON_OBJECT) return json_len(v) > 0;
    return kind != JSON_NULL && (s == NULL || *s != '\0');
}

/* ---- free-form JSON ---- */

static int by_key(const void *a, const void *b) {
    const json *const *p = a, *const *q = b;
    return strcmp(json_key(*p), json_key(*q));
}

/* Depth is bounded by the parser of the request. */
void format_put_sorted(struct buf *b, const json *v) {
    if (json_kind(v) == JSON_ARRAY) {
        buf_chr(b, '[');
        for (const json *m = json_first(v); m != NULL; m = json_next(m)) {
            if (m != json_first(v)) buf_chr(b, ',');
            format_put_sorted(b, m);
        }
        buf_chr(b, ']');
        return;
    }
    if (json_kind(v) != JSON_OBJECT) {
        json_print(b, v);
        return;
    }
    size_t n = 0;
    const json **member = mem_array(json_len(v) + 1, sizeof(*member));
    if (member == NULL) {
        b->failed = true;
        return;
    }
    for (const json *m = json_first(v); m != NULL; m = json_next(m)) member[n++] = m;
    if (n > 1) qsort(member, n, sizeof(*member), by_key);
    buf_chr(b, '{');
    for (size_t i = 0; i < n; i++) {
        json_put_key(b, json_key(member[i]));
        format_put_sorted(b, member[i]);
    }
    buf_chr(b, '}');
    mem_free(member);
}

static void put_member(struct buf *b, const json *object, const char *key,
                       void (*put)(struct buf *, const json *)) {
    const json *v = json_get(object, key);
    if (!given(v)) return;
    json_put_key(b, key);
    put(b, v);
}

/* ---- tools ---- */

static void put_type(struct buf *b, const json *v) { /* a list of one is its element */
    json_print(b, json_kind(v) == JSON_ARRAY && json_len(v) == 1 ? json_first(v) : v);
}

static void put_property(struct buf *b, const json *v);

static void put_properties(struct buf *b, const json *v) {
    buf_chr(b, '{');
    for (const json *m = json_first(v); m != NULL && json_kind(v) == JSON_OBJECT;
         m = json_next(m)) {
        json_put_key(b, json_key(m));
        put_property(b, m);
    }
    buf_chr(b, '}');
}

static void put_any_of(struct buf *b, const json *v) {
    buf_chr(b, '[');
    for (const json *m = json_first(v); m != NULL; m = json_next(m)) {
        if (m != json_first(v)) buf_chr(b, ',');
        put_property(b, m);
    }
    buf_chr(b, ']');
}

static void put_nested(struct buf *b, const json *v) {
    if (json_kind(v) == JSON_OBJECT)
        put_properties(b, v);
    else
        buf_str(b, "{}");
}

static void put_property(struct buf *b, const json *v) {
    buf_chr(b, '{');
    put_member(b, v, "anyOf", put_any_of);
    put_member(b, v, "type", put_type);
    put_member(b, v, "items", format_put_sorted);
    put_member(b, v, "description", json_print);
    put_member(b, v, "enum", format_put_sorted);
    if (json_kind(json_get(v, "properties")) == JSON_OBJECT) {
        json_put_key(b, "properties");
        put_nested(b, json_get(v, "properties"));
    }
    put_member(b, v, "required", json_print);
    buf_chr(b, '}');
}

static void put_parameters(struct buf *b, const json *v) {
    buf_chr(b, '{');
    json_put_field(b, "type", text_member(v, "type"));
    put_member(b, v, "$defs", format_put_sorted);
    put_member(b, v, "items", format_put_sorted);
    put_member(b, v, "required", json_print);
    json_put_key(b, "properties");
    put_properties(b, json_get(v, "properties"));
    buf_chr(b, '}');
}

static void put_tool(struct buf *b, const json *tool) {
    const json *f = json_get(tool, "function");
    buf_chr(b, '{');
    json_put_field(b, "type", text_member(tool, "type"));
    put_member(b, tool, "items", format_put_sorted);
    json_put_key(b, "function");
    buf_chr(b, '{');
    json_put_field(b, "name", text_member(f, "name"));
    put_member(b, f, "description", json_print);
    json_put_key(b, "parameters");
    put_parameters(b, json_get(f, "parameters"));
    buf_str(b, "}}");
}

/* ---- messages ---- */

/* Section 1.2: tags for images that have none. */
static void put_content(struct buf *b, const json *m, bool tags, unsigned *image) {
    size_t len = 0, n = json_len(json_get(m, "images"));
    const char *s = json_string_n(json_get(m, "content"), &len);
    struct buf front = {0}, text = {0};
    if (s == NULL) s = "";
    if (!tags || n == 0 || memmem(s, len, "[img-", 5) != NULL) {
        if (tags) *image += (unsigned)n;
        json_put_string(b, s, len);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++, ++*image) {
        const char *hit = memmem(s + at, len - at, "[img]", 5);
        if (hit == NULL) {
            buf_printf(&front, "[img-%u]", *image);
            continue;
        }
        buf_add(&text, s + at, (size_t)(hit - s) - at);
        buf_printf(&text, "[img-%u]", *image);
        at = (size_t)(hit - s) + 5;
    }
    buf_add(&text, s + at, len - at);
    if (front.len > 0 && text.len > 0 && strchr(" \t\r\n\v\f", *text.data) == NULL)
        buf_chr(&front, ' ');
    if (text.len > 0) buf_add(&front, text.data, text.len);
    json_put_string(b, front.len > 0 ? front.data : "", front.len);
    buf_free(&front);
    buf_free(&text);
}

static void put_call(struct buf *b, const json *call) {
    const json *f = json_get(call, "function"), *args = json_get(f, "arguments");
    buf_chr(b, '{');
    json_put_field(b, "id", text_member(call, "id"));
    json_put_field(b, "name", text_member(f, "name"));
    json_put_key(b, "arguments");
    buf_chr(b, '{');
    for (const json *m = json_first(args); json_kind(args) == JSON_OBJECT && m != NULL;
         m = json_next(m)) {
        json_put_key(b, json_key(m));
        format_put_sorted(b, m);
    }
    buf_str(b, "}}");
}

static void put_message(struct buf *b, const json *m, bool tags, unsigned *image) {
    static const char *const texts[] = {"role", "thinking", "tool_name", "tool_call_id"};
    buf_chr(b, '{');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = 0;
        const char *s = json_string_n(json_get(m, texts[i]), &len);
        json_put_key(b, texts[i]);
        json_put_string(b, s == NULL ? "" : s, len);
    }
    json_put_key(b, "content");
    put_content(b, m, tags, image);
    json_put_key(b, "tool_calls");
    buf_chr(b, '[');
    const json *calls = json_get(m, "tool_calls");
    for (const json *c = json_first(calls); c != NULL; c = json_next(c)) {
        if (c != json_first(calls)) buf_chr(b, ',');
        put_call(b, c);
    }
    buf_str(b, "]}");
}

static bool is_tool_response(const char *content) {
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    size_t n = strlen(content);
    return strncmp(content, open, sizeof open - 1) == 0 && n >= sizeof close - 1 &&
           strcmp(content + n - (sizeof close - 1), close) == 0;
}

static void put_positions(struct buf *b, const json *messages) {
    int64_t i = 0, user = -1, query = -1;
    const json *system = NULL, *last = NULL;
    for (const json *m = json_first(messages); m != NULL; m = json_next(m), i++) {
        const char *role = text_member(m, "role");
        last = m;
        if (system == NULL && strcmp(role, "system") == 0) system = m;
        if (strcmp(role, "user") != 0) continue;
        user = i;
        if (!is_tool_response(text_member(m, "content"))) query = i;
    }
    json_put_field(b, "system", text_member(system, "content"));
    json_put_field_bool(b, "has_system", system != NULL);
    json_put_field_int(b, "last_user", user);
    json_put_field_int(b, "last_query", query < 0 ? i - 1 : query);
    json_put_field_bool(b, "prefill",
                        last != NULL && strcmp(text_member(last, "role"), "assistant") == 0);
}

static void put_think(struct buf *b, const struct render_input *in) {
    json_put_key(b, "think");
    if (!in->think_set)
        buf_str(b, "null");
    else if (in->think && in->level_named)
        json_put_string(b, in->level, strlen(in->level));
    else
        buf_str(b, in->think ? "true" : "false");
    json_put_field_bool(b, "on", in->think_set && in->think);
}

static void put_today(struct buf *b, int64_t now) {
    char text[32];
    struct tm tm;
    time_t t = now != 0 ? (time_t)now : time(NULL);
    localtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%d", &tm);
    json_put_field(b, "today", text);
}

void render_put_context(struct buf *b, const char *renderer, bool image_tags,
                        const struct render_input *in) {
    unsigned image = in->first_image;
    buf_str(b, "{\"messages\":[");
    for (const json *m = json_first(in->messages); m != NULL; m = json_next(m)) {
        if (m != json_first(in->messages)) buf_chr(b, ',');
        put_message(b, m, image_tags, &image);
    }
    buf_str(b, "],\"tools\":[");
    for (const json *t = json_first(in->tools); t != NULL; t = json_next(t)) {
        if (t != json_first(in->tools)) buf_chr(b, ',');
        put_tool(b, t);
    }
    buf_chr(b, ']');
    put_positions(b, in->messages);
    put_think(b, in);
    put_today(b, in->now);
    json_put_field(b, "renderer", renderer);
    buf_chr(b, '}');
}
