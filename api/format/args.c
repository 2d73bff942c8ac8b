/* args.c - see args.h. */
#include "api/format/args.h"

#include <string.h>

#include "api/format/parse.h"
#include "api/think.h"
#include "base/utf8.h"

/* ---- where they begin ---- */

bool args_begin(const char *s, size_t n, struct call_head *out) {
    const size_t skip = n == 0 ? 0 : text_skip_space(s, n);
    if (skip == n || s[skip] != '{') return false;
    out->raw = s + skip;
    out->raw_len = n - skip;
    return true;
}

struct scan {
    const char *s;
    size_t n, at;
};

/* Eats the byte, after white space. */
static bool eat(struct scan *c, char byte) {
    c->at += text_skip_space(c->s + c->at, c->n - c->at);
    if (c->at == c->n || c->s[c->at] != byte) return false;
    c->at++;
    return true;
}

/* A whole string without escapes. */
static bool eat_string(struct scan *c, const char **text, size_t *len) {
    if (!eat(c, '"')) return false;
    const char *from = c->s + c->at, *end = memchr(from, '"', c->n - c->at);
    if (end == NULL || memchr(from, '\\', (size_t)(end - from)) != NULL) return false;
    *text = from;
    *len = (size_t)(end - from);
    c->at += *len + 1;
    return true;
}

/* A whole value of any kind, up to the comma behind it. */
static bool eat_value(struct scan *c) {
    const char *text;
    size_t len;
    c->at += text_skip_space(c->s + c->at, c->n - c->at);
    if (c->at < c->n && c->s[c->at] == '"') return eat_string(c, &text, &len);
    if (c->at < c->n && strchr("{[", c->s[c->at]) != NULL) {
        len = balanced_end(c->s + c->at, c->n - c->at, "{[", "}]");
        c->at += len;
        return len > 0;
    }
    while (c->at < c->n && strchr(",}", c->s[c->at]) == NULL) c->at++;
    return c->at < c->n;
}

static bool is(const char *key, size_t len, const char *word) {
    return len == strlen(word) && memcmp(key, word, len) == 0;
}

bool args_in_object(const char *s, size_t n, bool parameters, struct call_head *out) {
    struct scan c = {s, n, 0};
    out->name = NULL;
    if (n == 0 || !eat(&c, '{')) return false;
    do {
        const char *key;
        size_t len;
        if (!eat_string(&c, &key, &len) || !eat(&c, ':')) return false;
        if (is(key, len, "arguments") || (parameters && is(key, len, "parameters")))
            return out->name != NULL && args_begin(s + c.at, n - c.at, out);
        if (is(key, len, "name") ? !eat_string(&c, &out->name, &out->name_len) : !eat_value(&c))
            return false;
    } while (eat(&c, ','));
    return false;
}

/* ---- their text ---- */

enum { ESCAPE_BEGUN = 5, ESCAPE_HEX = 4 };

static unsigned escape_after(unsigned left, char c) {
    if (left == 0) return c == '\\' ? ESCAPE_BEGUN : 0;
    if (left == ESCAPE_BEGUN) return c == 'u' ? ESCAPE_HEX : 0;
    return left - 1;
}

/* False: the byte is white space between the values. */
static bool take(struct args_text *a, char c) {
    if (a->in_string) {
        const bool plain = a->escape == 0;
        a->escape = escape_after(a->escape, c);
        a->in_string = !(plain && c == '"');
        return true;
    }
    a->in_string = c == '"';
    if (c == '{' || c == '[') a->depth++;
    if (c == '}' || c == ']') a->ended = --a->depth == 0;
    return memchr(" \t\r\n", c, 4) == NULL;
}

void args_text_feed(struct args_text *a, const char *s, size_t n) {
    size_t whole = a->ready;
    for (size_t i = 0; i < n && !a->ended; i++) {
        if (take(a, s[i])) buf_chr(&a->text, s[i]);
        if (a->escape == 0) whole = a->text.len;
    }
    if (!a->text.failed && whole > a->ready)
        a->ready += utf8_complete_prefix(a->text.data + a->ready, whole - a->ready);
}

void args_text_free(struct args_text *a) { buf_free(&a->text); }
