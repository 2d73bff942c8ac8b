/* call_gemma.c - call:NAME{k:v,...}: FunctionGemma's notation (F1) and Gemma 4's. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/format/render.h"
#include "api/think.h"

enum { MAX_DEPTH = 32 };

/* ---- FunctionGemma ---- */

#define ESCAPE "<escape>"

/* The end of the part at from: a "," outside of brackets and quoted texts. */
static size_t part_end(const char *s, size_t n, size_t from) {
    int depth = 0;
    for (size_t i = from; i < n; i++) {
        if (n - i >= sizeof ESCAPE - 1 && memcmp(s + i, ESCAPE, sizeof ESCAPE - 1) == 0) {
            size_t after = i + sizeof ESCAPE - 1;
            const char *end = memmem(s + after, n - after, ESCAPE, sizeof ESCAPE - 1);
            if (end == NULL) return n;
            i = (size_t)(end - s) + sizeof ESCAPE - 2;
        } else if (s[i] == '{' || s[i] == '[') {
            depth++;
        } else if (s[i] == '}' || s[i] == ']') {
            depth--;
        } else if (s[i] == ',' && depth == 0) {
            return i;
        }
    }
    return n;
}

static void put_object(struct buf *b, const char *s, size_t n, int depth);

static void put_array(struct buf *b, const char *s, size_t n, int depth);

/* Inside of values the reference's maps have no order: sorted. */
static void put_nested(struct buf *b, const char *s, size_t n, int depth) {
    struct buf text = {0};
    put_object(&text, s, n, depth);
    json *v =
        text.failed ? NULL : json_parse(text.data, text.len, &json_default_limits, NULL, NULL);
    format_put_sorted(b, v);
    json_free(v);
    buf_free(&text);
}

static void put_value(struct buf *b, const char *s, size_t n, int depth) {
    const size_t k = sizeof ESCAPE - 1;
    if (n >= 2 * k && memcmp(s, ESCAPE, k) == 0 && memcmp(s + n - k, ESCAPE, k) == 0) {
        json_put_string(b, s + k, n - 2 * k);
    } else if ((n == 4 && memcmp(s, "true", 4) == 0) || (n == 5 && memcmp(s, "false", 5) == 0)) {
        buf_add(b, s, n);
    } else if (n >= 2 && depth > 0 && s[0] == '[' && s[n - 1] == ']') {
        put_array(b, s + 1, n - 2, depth - 1);
    } else if (n >= 2 && depth > 0 && s[0] == '{' && s[n - 1] == '}') {
        put_nested(b, s + 1, n - 2, depth - 1);
    } else if (!put_number(b, s, n)) {
        json_put_string(b, s, n);
    }
}

static void put_array(struct buf *b, const char *s, size_t n, int depth) {
    if (n == 0) { /* the reference's empty list is null */
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '[');
    for (size_t i = 0; i < n;) {
        size_t end = part_end(s, n, i);
        if (i > 0) buf_chr(b, ',');
        put_value(b, s + i, end - i, depth);
        i = end + 1;
    }
    buf_chr(b, ']');
}

static void put_object(struct buf *b, const char *s, size_t n, int depth) {
    buf_chr(b, '{');
    for (size_t i = 0; i < n;) {
        size_t end = part_end(s, n, i);
        const char *colon = memchr(s + i, ':', end - i);
        if (colon != NULL) { /* a part without a colon is skipped */
            size_t key = text_skip_space(s + i, (size_t)(colon - s) - i) + i;
            put_key_n(b, s + key, text_rtrim(s + key, (size_t)(colon - s) - key));
            put_value(b, colon + 1, end - (size_t)(colon - s) - 1, depth);
        }
        i = end + 1;
    }
    buf_chr(b, '}');
}

bool call_functiongemma(struct parser *p, const char *s, size_t n) {
    struct buf args = {0};
    const char *brace = n > 5 ? memchr(s, '{', n) : NULL;
    bool fits = brace != NULL && memcmp(s, "call:", 5) == 0 && s[n - 1] == '}';
    if (!fits) {
        parser_call(p, "", 0, "{}", NULL);
        return true;
    }
    put_object(&args, brace + 1, n - (size_t)(brace - s) - 2, MAX_DEPTH);
    parser_call(p, s + 5, (size_t)(brace - s) - 5, args.data, NULL);
    buf_free(&args);
    return true;
}

/* ---- Gemma 4 ---- */

#define QUOTE "<|\"|>"

static bool at_quote(const char *s, size_t n, size_t i) {
    return n - i >= sizeof QUOTE - 1 && memcmp(s + i, QUOTE, sizeof QUOTE - 1) == 0;
}

/* Quotes become JSON's, bare keys get some. False: a quote is left open. */
static bool to_json(struct buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        if (at_quote(s, n, i)) {
            size_t from = i + sizeof QUOTE - 1;
            const char *end = memmem(s + from, n - from, QUOTE, sizeof QUOTE - 1);
            if (end == NULL) return false;
            json_put_string(b, s + from, (size_t)(end - s) - from);
            i = (size_t)(end - s) + sizeof QUOTE - 1;
        } else if (s[i] == '"') { /* a JSON string: as it is */
            size_t end = i + 1;
            while (end < n && s[end] != '"') end += s[end] == '\\' ? 2 : 1;
            if (end >= n) return false;
            buf_add(b, s + i, end + 1 - i);
            i = end + 1;
        } else if (isalpha((unsigned char)s[i]) || s[i] == '_' || (unsigned char)s[i] >= 0x80) {
            size_t end = i, after;
            while (end < n &&
                   (isalnum((unsigned char)s[end]) || strchr("_.-$", s[end] ? s[end] : ' ') ||
                    (unsigned char)s[end] >= 0x80))
                end++;
            for (after = end; after < n && isspace((unsigned char)s[after]);) after++;
            if (after < n && s[after] == ':')
                json_put_string(b, s + i, end - i);
            else
                buf_add(b, s + i, end - i);
            i = end;
        } else {
            buf_chr(b, s[i++]);
        }
    }
    return true;
}

static json *read_args(const char *s, size_t n) {
    struct buf b = {0};
    json *v = to_json(&b, s, n) && b.len > 0 ? json_whole(b.data, b.len, NULL) : NULL;
    buf_free(&b);
    if (json_kind(v) == JSON_OBJECT) return v;
    json_free(v);
    return NULL;
}

/* 'x' after a colon, comma or bracket becomes <|"|>x<|"|>. */
static bool repair_single_quotes(struct buf *b, const char *s, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n;) {
        size_t before = text_rtrim(s, i);
        bool place = before > 0 && strchr(":,[{", s[before - 1]) != NULL;
        const char *end = s[i] == '\'' && place ? memchr(s + i + 1, '\'', n - i - 1) : NULL;
        if (end == NULL) {
            buf_chr(b, s[i++]);
            continue;
        }
        buf_str(b, QUOTE);
        buf_add(b, s + i + 1, (size_t)(end - s) - i - 1);
        buf_str(b, QUOTE);
        i = (size_t)(end - s) + 1;
        any = true;
    }
    return any;
}

/* An odd number of quotes: one is missing before the last brace. */
static bool repair_last_quote(struct buf *b, const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += at_quote(s, n, i);
    if (count % 2 == 0) return false;
    size_t end = text_rtrim(s, n);
    bool brace = end > 0 && s[end - 1] == '}';
    buf_add(b, s, brace ? end - 1 : end);
    buf_str(b, QUOTE);
    buf_chr(b, '}');
    return true;
}

/* KEY:raw text of a string parameter: quoted up to ",DECLARED:" or the last brace. */
static size_t raw_end(const json *properties, const char *s, size_t n, size_t from) {
    size_t end = text_rtrim(s, n);
    if (end > from && s[end - 1] == '}') end--;
    for (size_t i = from; i < end; i++) {
        if (s[i] != ',') continue;
        size_t k = i + 1 + text_skip_space(s + i + 1, end - i - 1);
        for (const json *m = json_first(properties); m != NULL; m = json_next(m)) {
            size_t len = strlen(json_key(m));
            if (k + len < end && memcmp(s + k, json_key(m), len) == 0 && s[k + len] == ':')
                return i;
        }
    }
    return end;
}

static bool repair_raw(struct buf *b, const json *f, const char *s, size_t n) {
    const json *properties = json_get(json_get(f, "parameters"), "properties");
    bool any = false;
    for (size_t i = 0; i < n;) {
        size_t before = text_rtrim(s, i);
        bool place = before > 0 && (s[before - 1] == ',' || s[before - 1] == '{');
        const json *hit = NULL;
        for (const json *m = json_first(properties); m != NULL && place; m = json_next(m)) {
            size_t len = strlen(json_key(m));
            const char *type = json_string(json_get(m, "type"));
            if (n - i > len && memcmp(s + i, json_key(m), len) == 0 && s[i + len] == ':' &&
                type != NULL && strcmp(type, "string") == 0)
                hit = m;
        }
        size_t value = hit == NULL ? 0 : i + strlen(json_key(hit)) + 1;
        if (hit == NULL || at_quote(s, n, value) || (value < n && s[value] == '"')) {
            buf_chr(b, s[i++]);
            continue;
        }
        size_t end = raw_end(properties, s, n, value);
        size_t from = value + text_skip_space(s + value, end - value);
        buf_add(b, s + i, value - i);
        buf_str(b, QUOTE);
        buf_add(b, s + from, text_rtrim(s + from, end - from));
        buf_str(b, QUOTE);
        i = end;
        any = true;
    }
    return any;
}

static json *read_repaired(const json *f, const char *s, size_t n) {
    json *v = read_args(s, n);
    struct buf text = {0};
    buf_add(&text, s, n);
    for (int step = 0; v == NULL && step < 3; step++) {
        struct buf next = {0};
        bool changed = step == 0   ? repair_single_quotes(&next, text.data, text.len)
                       : step == 1 ? repair_last_quote(&next, text.data, text.len)
                                   : repair_raw(&next, f, text.data, text.len);
        if (changed) {
            buf_free(&text);
            text = next;
            v = read_args(text.data, text.len);
            if (v == NULL && text.len > 0) { /* a missing brace, after a repair */
                struct buf closed = {0};
                buf_add(&closed, text.data, text.len);
                buf_chr(&closed, '}');
                v = read_args(closed.data, closed.len);
                buf_free(&closed);
            }
        } else {
            buf_free(&next);
        }
    }
    buf_free(&text);
    return v;
}

bool call_gemma4(struct parser *p, const char *s, size_t n) {
    size_t skip = n == 0 ? 0 : text_skip_space(s, n);
    s += skip;
    n = text_rtrim(s, n - skip);
    const char *brace = n > 5 ? memchr(s, '{', n) : NULL;
    if (brace == NULL || memcmp(s, "call:", 5) != 0) return true;
    size_t name_n = text_rtrim(s + 5, (size_t)(brace - s) - 5);
    json *v = read_repaired(tool_find(p->tools, s + 5, name_n), brace, n - (size_t)(brace - s));
    if (v != NULL) {
        struct buf text = {0};
        json_print(&text, v);
        parser_call(p, s + 5, name_n, text.data, NULL);
        buf_free(&text);
    }
    json_free(v);
    return true;
}
