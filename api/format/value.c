/* value.c - the arguments of calls: JSON as the model wrote it, and texts that get a type from the
 * tool's schema (spec/chat-formats.md 5.1, "Typed values"). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/format/parse_impl.h"

const json *tool_find(const json *tools, const char *name, size_t n) {
    for (const json *t = json_first(tools); t != NULL; t = json_next(t)) {
        const json *f = json_get(t, "function");
        size_t len = 0;
        const char *own = json_string_n(json_get(f, "name"), &len);
        if (own != NULL && len == n && memcmp(own, name, n) == 0) return f;
    }
    return NULL;
}

void put_key_n(struct buf *b, const char *key, size_t n) {
    if (b->len > 0 && b->data[b->len - 1] != '{') buf_chr(b, ',');
    json_put_string(b, key, n);
    buf_chr(b, ':');
}

/* Depth is bounded by the parser that made the tree. */
void put_json_value(struct buf *b, const json *v) {
    double d;
    int64_t i;
    bool object = json_kind(v) == JSON_OBJECT;
    if (json_kind(v) == JSON_NUMBER && json_number(v, &d)) {
        if (d == trunc(d) && fabs(d) < 0x1p63 && json_int(v, &i) && (double)i == d)
            buf_printf(b, "%lld", (long long)i);
        else
            json_put_double(b, d);
        return;
    }
    if (!object && json_kind(v) != JSON_ARRAY) {
        json_print(b, v);
        return;
    }
    buf_chr(b, object ? '{' : '[');
    for (const json *m = json_first(v); m != NULL; m = json_next(m)) {
        if (object)
            json_put_key(b, json_key(m));
        else if (m != json_first(v))
            buf_chr(b, ',');
        put_json_value(b, m);
    }
    buf_chr(b, object ? '}' : ']');
}

json *json_whole(const char *text, size_t n, struct err *e) {
    struct err mine = {0};
    size_t used = 0;
    json *v = json_parse(text, n, &json_default_limits, &used, &mine);
    if (v == NULL) {
        bool cut = strcmp(mine.msg, "EOF") == 0 || strcmp(mine.msg, "unexpected EOF") == 0;
        err_set(e, ST_FORMAT, "%s", cut ? "unexpected end of JSON input" : mine.msg);
        return NULL;
    }
    while (used < n && strchr(" \t\r\n", text[used]) != NULL && text[used] != '\0') used++;
    if (used == n) return v;
    json_free(v);
    err_set(e, ST_FORMAT, "invalid character '%c' after top-level value",
            text[used] >= 32 && text[used] < 127 ? text[used] : '?');
    return NULL;
}

size_t balanced_end(const char *s, size_t n, const char *opening, const char *closing) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '"')
                in_string = false;
        } else if (s[i] == '"') {
            in_string = true;
        } else if (s[i] != '\0' && strchr(opening, s[i]) != NULL) {
            depth++;
        } else if (s[i] != '\0' && strchr(closing, s[i]) != NULL && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

bool put_number(struct buf *b, const char *s, size_t n) {
    char text[64], *end;
    if (n == 0 || n >= sizeof text) return false;
    memcpy(text, s, n);
    text[n] = '\0';
    if (strspn(text, "0123456789+-.eE") != n || strpbrk(text, "0123456789") == NULL) return false;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0) {
        buf_printf(b, "%lld", i);
        return true;
    }
    double d = strtod(text, &end);
    if (*end != '\0' || !isfinite(d)) return false;
    if (d == trunc(d) && fabs(d) < 0x1p53)
        buf_printf(b, "%lld", (long long)d);
    else
        json_put_double(b, d);
    return true;
}

/* ---- types ---- */

enum { T_BOOL = 1, T_INT = 2, T_NUM = 4, T_ARRAY = 8, T_OBJECT = 16, T_OTHER = 32 };

static unsigned type_bit(const char *name) {
    static const struct {
        const char *name;
        unsigned bit;
    } row[] = {{"boolean", T_BOOL},
               {"integer", T_INT},
               {"number", T_NUM},
               {"array", T_ARRAY},
               {"object", T_OBJECT}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strcmp(row[i].name, name) == 0) return row[i].bit;
    return T_OTHER;
}

static unsigned types_of(const json *property, int depth) {
    unsigned bits = 0;
    const json *type = json_get(property, "type"), *any = json_get(property, "anyOf");
    if (json_string(type) != NULL) bits |= type_bit(json_string(type));
    for (const json *t = json_first(type); t != NULL; t = json_next(t))
        if (json_string(t) != NULL) bits |= type_bit(json_string(t));
    for (const json *a = json_first(any); a != NULL && depth > 0; a = json_next(a))
        bits |= types_of(a, depth - 1);
    return bits;
}

static bool word_is(const char *s, size_t n, const char *word) {
    return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

static bool put_whole_int(struct buf *b, const char *s, size_t n) {
    char text[32], *end;
    if (n == 0 || n >= sizeof text || strchr("+-0123456789", *s) == NULL) return false;
    memcpy(text, s, n);
    text[n] = '\0';
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0) return false;
    buf_printf(b, "%lld", i);
    return true;
}

static bool put_container(struct buf *b, const char *s, size_t n, enum json_kind kind) {
    json *v = json_whole(s, n, NULL);
    bool fits = v != NULL && json_kind(v) == kind;
    if (fits) put_json_value(b, v);
    json_free(v);
    return fits;
}

void put_typed(struct buf *b, const struct parser *p, const char *tool, size_t n_tool,
               const char *key, const char *raw, size_t n) {
    const json *f = tool_find(p->tools, tool, n_tool);
    const json *property = json_get(json_get(json_get(f, "parameters"), "properties"), key);
    unsigned types = types_of(property, 4);
    if (word_is(raw, n, "null")) {
        buf_str(b, "null");
        return;
    }
    if (types & T_BOOL) {
        bool yes = word_is(raw, n, "true");
        if (yes || word_is(raw, n, "false") || types == T_BOOL) {
            buf_str(b, yes ? "true" : "false");
            return;
        }
    }
    if ((types & T_INT) && put_whole_int(b, raw, n)) return;
    if ((types & T_NUM) && put_number(b, raw, n)) return;
    if ((types & T_ARRAY) && put_container(b, raw, n, JSON_ARRAY)) return;
    if ((types & T_OBJECT) && put_container(b, raw, n, JSON_OBJECT)) return;
    json_put_string(b, raw, n);
}
