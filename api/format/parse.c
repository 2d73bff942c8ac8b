/* parse.c - see parse.h: the life of a parser, its held text, and the calls it records. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"

/* ---- life ---- */

enum status parser_open(struct parser **out, const char *name, const struct parser_input *in,
                        struct err *e) {
    const struct parser_type *type = parser_type_find(name);
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

bool parser_peek(const struct parser *p, struct call_head *out) {
    enum { MAX_HEAD = 4096 }; /* behind which nothing new is begun: this runs for every piece */
    *out = (struct call_head){.index = p->n_calls};
    return p->status == ST_OK && p->type->peek != NULL && p->held.len + p->extra.len <= MAX_HEAD &&
           p->type->peek(p, out) && tool_find(p->tools, out->name, out->name_len) != NULL;
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

int parser_eat_tag(struct parser *p, const char *const *tags) {
    for (int i = 0; tags[i] != NULL; i++) {
        const size_t n = strlen(tags[i]);
        if (parser_starts(p, tags[i])) {
            buf_drop(&p->held, n);
            return i;
        }
        if (!p->done && p->held.len < n && memcmp(p->held.data, tags[i], p->held.len) == 0)
            return TAG_WAIT;
    }
    return TAG_NONE;
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

bool same_arguments(const char *text, const json *finished) {
    struct buf printed = {0}, a = {0}, b = {0};
    json_print(&printed, finished);
    if (printed.failed) return false;
    put_arguments(&a, text);
    put_arguments(&b, printed.data);
    const bool same = !a.failed && !b.failed && strcmp(a.data, b.data) == 0;
    buf_free(&printed);
    buf_free(&a);
    buf_free(&b);
    return same;
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
