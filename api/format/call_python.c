/* call_python.c - calls in Python's notation: name(k=v, ...), one a line (P1, Olmo 3) or in a list
 * (L1, LFM 2). */
#include <ctype.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

enum { MAX_DEPTH = 32 };

struct reader {
    const char *s;
    size_t n, at;
};

static void skip_space(struct reader *r) {
    while (r->at < r->n && isspace((unsigned char)r->s[r->at])) r->at++;
}

static bool take(struct reader *r, char c) {
    skip_space(r);
    if (r->at >= r->n || r->s[r->at] != c) return false;
    r->at++;
    return true;
}

/* Names may have dots and dashes, and letters of any script. */
static size_t read_name(struct reader *r, const char **name) {
    skip_space(r);
    size_t from = r->at;
    while (r->at < r->n) {
        unsigned char c = (unsigned char)r->s[r->at];
        if (!isalnum(c) && strchr("_.-", c == 0 ? ' ' : c) == NULL && c < 0x80) break;
        r->at++;
    }
    *name = r->s + from;
    return r->at - from;
}

/* ---- literals ---- */

/* The end of a quoted string at from; 0: not closed. */
static size_t quoted_end(const char *s, size_t n, size_t from) {
    for (size_t i = from + 1; i < n; i++) {
        if (s[i] == '\\')
            i++;
        else if (s[i] == s[from])
            return i + 1;
    }
    return 0;
}

static void put_quoted(struct buf *b, const char *s, size_t n, bool escapes) {
    struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        static const char from[] = "nrt\\'\"/bf", to[] = "\n\r\t\\'\"/\b\f";
        const char *hit = escapes && s[i] == '\\' && i + 1 < n && s[i + 1] != '\0'
                              ? strchr(from, s[i + 1])
                              : NULL;
        buf_chr(&text, hit != NULL ? to[hit - from] : s[i]);
        if (hit != NULL) i++;
    }
    json_put_string(b, text.len > 0 ? text.data : "", text.len);
    buf_free(&text);
}

static bool put_word(struct buf *b, const char *s, size_t n) {
    static const char *const word[][2] = {{"true", "true"},   {"True", "true"}, {"false", "false"},
                                          {"False", "false"}, {"null", "null"}, {"None", "null"}};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (n == strlen(word[i][0]) && memcmp(s, word[i][0], n) == 0) {
            buf_str(b, word[i][1]);
            return true;
        }
    return put_number(b, s, n);
}

static bool put_literal(struct buf *b, struct reader *r, int depth);

static bool put_items(struct buf *b, struct reader *r, char close, int depth) {
    bool object = close == '}';
    buf_chr(b, object ? '{' : '[');
    for (bool first = true; !take(r, close); first = false) {
        if (!first && !take(r, ',')) return false;
        if (!first && take(r, close)) break;
        skip_space(r);
        if (object) {
            const char *key = r->s + r->at;
            size_t n;
            if (r->at < r->n && (*key == '"' || *key == '\'')) {
                size_t end = quoted_end(r->s, r->n, r->at);
                if (end == 0) return false;
                if (!first) buf_chr(b, ',');
                put_quoted(b, key + 1, end - r->at - 2, true);
                r->at = end;
            } else {
                if ((n = read_name(r, &key)) == 0) return false;
                if (!first) buf_chr(b, ',');
                json_put_string(b, key, n);
            }
            if (!take(r, ':')) return false;
            buf_chr(b, ':');
        } else if (!first) {
            buf_chr(b, ',');
        }
        if (!put_literal(b, r, depth - 1)) return false;
    }
    buf_chr(b, object ? '}' : ']');
    return true;
}

/* A value as Python or JSON has it; what is neither is a text up to "," or a closing bracket. */
static bool put_literal(struct buf *b, struct reader *r, int depth) {
    skip_space(r);
    if (depth == 0 || r->at >= r->n) return false;
    char c = r->s[r->at];
    if (c == '"' || c == '\'') {
        size_t end = quoted_end(r->s, r->n, r->at);
        if (end == 0) return false;
        put_quoted(b, r->s + r->at + 1, end - r->at - 2, true);
        r->at = end;
        return true;
    }
    if (c == '[' || c == '{') {
        r->at++;
        return put_items(b, r, c == '[' ? ']' : '}', depth);
    }
    size_t from = r->at;
    while (r->at < r->n && strchr(",)]}", r->s[r->at] == '\0' ? ' ' : r->s[r->at]) == NULL) r->at++;
    size_t n = text_rtrim(r->s + from, r->at - from);
    if (n == 0) return false;
    if (!put_word(b, r->s + from, n)) json_put_string(b, r->s + from, n);
    return true;
}

/* ---- a call ---- */

/* name(key=value, ...): the name, and the arguments as a JSON object. */
static bool read_call(struct reader *r, const char **name, size_t *n, struct buf *args,
                      bool (*value)(struct reader *r, struct buf *args)) {
    const char *key;
    size_t key_n;
    *n = read_name(r, name);
    if (*n == 0 || !take(r, '(')) return false;
    buf_chr(args, '{');
    for (bool first = true; !take(r, ')'); first = false) {
        if (!first && !take(r, ',')) return false;
        if ((key_n = read_name(r, &key)) == 0 || !take(r, '=')) return false;
        put_key_n(args, key, key_n);
        if (!value(r, args)) return false;
    }
    buf_chr(args, '}');
    return true;
}

/* ---- P1 ---- */

static bool olmo_value(struct reader *r, struct buf *args) {
    return put_literal(args, r, MAX_DEPTH);
}

bool call_olmo(struct parser *p, const char *s, size_t n) {
    for (int pass = 0; pass < 2; pass++) { /* one bad line drops the block: first only look */
        struct reader r = {s, n, 0};
        skip_space(&r);
        while (r.at < r.n) {
            const char *name;
            size_t name_n;
            struct buf args = {0};
            bool ok = read_call(&r, &name, &name_n, &args, olmo_value);
            skip_space(&r);
            if (ok && pass == 1) parser_call(p, name, name_n, args.data, NULL);
            buf_free(&args);
            if (!ok) return true;
        }
    }
    return true;
}

/* ---- L1 ---- */

/* A list or mapping: JSON, or Python without mixed quotes or escapes; else the text itself. */
static void put_container(struct buf *b, const char *s, size_t n) {
    json *v = json_whole(s, n, NULL);
    struct buf text = {0};
    bool plain = memchr(s, '"', n) == NULL && memchr(s, '\\', n) == NULL;
    struct reader r = {s, n, 0};
    if (v != NULL)
        put_json_value(b, v);
    else if (plain && put_literal(&text, &r, MAX_DEPTH) && r.at == n)
        buf_add(b, text.data, text.len);
    else
        json_put_string(b, s, n);
    buf_free(&text);
    json_free(v);
}

/* The end of a value: a "," or ")" outside of brackets and quotes. */
static size_t value_end(const struct reader *r) {
    int depth = 0;
    for (size_t i = r->at; i < r->n; i++) {
        char c = r->s[i];
        if (c == '"' || c == '\'') {
            size_t end = quoted_end(r->s, r->n, i);
            if (end == 0) return r->n;
            i = end - 1;
        } else if (c == '(' || c == '[' || c == '{') {
            depth++;
        } else if (depth > 0 && (c == ')' || c == ']' || c == '}')) {
            depth--;
        } else if (depth == 0 && (c == ',' || c == ')')) {
            return i;
        }
    }
    return r->n;
}

static bool lfm_value(struct reader *r, struct buf *args) {
    skip_space(r);
    size_t end = value_end(r);
    const char *s = r->s + r->at;
    size_t n = text_rtrim(s, end - r->at);
    if (end == r->n || n == 0) return false;
    if ((*s == '"' || *s == '\'') && n >= 2 && s[n - 1] == *s)
        json_put_string(args, s + 1, n - 2);
    else if (*s == '[' || *s == '{')
        put_container(args, s, n);
    else if (!put_word(args, s, n))
        json_put_string(args, s, n);
    r->at = end;
    return true;
}

/* All of s is a list of calls; of declared tools only, if so wanted. Nothing is made on failure. */
static bool lfm_list(struct parser *p, const char *s, size_t n, bool known) {
    for (int pass = 0; pass < 2; pass++) {
        struct reader r = {s, n, 0};
        if (!take(&r, '[')) return false;
        for (bool first = true; !take(&r, ']'); first = false) {
            const char *name;
            size_t name_n;
            struct buf args = {0};
            bool ok = (first || take(&r, ',')) && read_call(&r, &name, &name_n, &args, lfm_value);
            if (ok && known) ok = tool_find(p->tools, name, name_n) != NULL;
            if (ok && pass == 1) parser_call(p, name, name_n, args.data, NULL);
            buf_free(&args);
            if (!ok) return false;
        }
        skip_space(&r);
        if (r.at != n) return false;
    }
    return true;
}

bool call_lfm(struct parser *p, const char *s, size_t n) {
    lfm_list(p, s, n, false);
    return true;
}

bool call_lfm_bare(struct parser *p, const char *s, size_t n) {
    size_t skip = n == 0 ? 0 : text_skip_space(s, n);
    return n > skip && lfm_list(p, s + skip, text_rtrim(s + skip, n - skip), true);
}
