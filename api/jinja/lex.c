/* lex.c - from template text to tokens: what stands outside of tags, with the white space that the
 * tags take away, and the words inside of them. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/mem.h"
#include "base/utf8.h"

struct lexer {
    struct arena *a;
    const char *s; /* newlines are "\n" */
    size_t n, at;
    uint32_t line;
    bool line_start; /* what comes next begins a line */
    bool trim_left;  /* the tag before took the white space after it */
    struct jtokens *out;
    struct err *e;
};

bool jtext_is(struct jtext t, const char *s) {
    size_t n = strlen(s);
    return t.n == n && memcmp(t.p, s, n) == 0;
}

static enum status fail(struct lexer *l, const char *what) {
    return err_set(l->e, ST_FORMAT, "line %u: %s", l->line, what);
}

static enum status push(struct lexer *l, struct jtoken t) {
    struct jtokens *o = l->out;
    if (o->n == o->cap) {
        size_t cap = o->cap == 0 ? 256 : o->cap * 2;
        struct jtoken *grown = mem_grow(o->at, cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(l->e);
        o->at = grown;
        o->cap = cap;
    }
    o->at[o->n++] = t;
    return ST_OK;
}

static enum status push_text(struct lexer *l, enum jtoken_kind kind, const char *p, size_t n) {
    return push(l, (struct jtoken){.kind = kind, .line = l->line, .s = {p, n}});
}

static bool starts(const struct lexer *l, const char *what) {
    size_t n = strlen(what);
    return l->n - l->at >= n && memcmp(l->s + l->at, what, n) == 0;
}

static void step(struct lexer *l, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (l->s[l->at + i] == '\n') l->line++;
    l->at += n;
}

static void skip_space(struct lexer *l) {
    while (l->at < l->n && isspace((unsigned char)l->s[l->at])) step(l, 1);
}

/* ---- text between tags ---- */

static size_t rtrim(const char *p, size_t n) {
    while (n > 0 && isspace((unsigned char)p[n - 1])) n--;
    return n;
}

/* Spaces and tabs before a block tag that is the first thing on its line. */
static size_t lstrip_line(const char *p, size_t n, bool line_start) {
    size_t end = n;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    bool begins = n == 0 ? line_start : p[n - 1] == '\n';
    return begins ? n : end;
}

static enum status data(struct lexer *l, size_t end, char tag, char sign) {
    const char *p = l->s + l->at;
    size_t n = end - l->at, keep = n;
    if (sign == '-')
        keep = rtrim(p, n);
    else if ((tag == '%' || tag == '#') && sign != '+')
        keep = lstrip_line(p, n, l->line_start);
    if (keep > 0) {
        enum status st = push_text(l, JT_DATA, p, keep);
        if (st != ST_OK) return st;
    }
    step(l, n);
    return ST_OK;
}

/* The end of a tag: what follows it may go. */
static void after_tag(struct lexer *l, char sign, bool block) {
    l->line_start = false;
    if (sign == '-') {
        skip_space(l);
        l->line_start = l->at > 0 && l->s[l->at - 1] == '\n';
    } else if (block && sign != '+' && l->at < l->n && l->s[l->at] == '\n') {
        step(l, 1);
        l->line_start = true;
    }
}

static enum status comment(struct lexer *l) {
    const char *end = memmem(l->s + l->at + 2, l->n - l->at - 2, "#}", 2);
    if (end == NULL) return fail(l, "missing end of comment tag");
    size_t stop = (size_t)(end - l->s);
    char sign = stop > l->at + 2 ? l->s[stop - 1] : ' ';
    step(l, stop + 2 - l->at);
    after_tag(l, sign, true);
    return ST_OK;
}

/* "{%- raw -%}" at `at`; the bytes of the tag, its sign at the end in *sign; 0: another tag. */
static size_t raw_tag(const struct lexer *l, size_t at, const char *word, char *sign) {
    size_t i = at + 2, n = strlen(word);
    if (i < l->n && (l->s[i] == '-' || l->s[i] == '+')) i++;
    while (i < l->n && isspace((unsigned char)l->s[i])) i++;
    if (l->n - i < n || memcmp(l->s + i, word, n) != 0) return 0;
    i += n;
    while (i < l->n && isspace((unsigned char)l->s[i])) i++;
    *sign = ' ';
    if (i < l->n && (l->s[i] == '-' || l->s[i] == '+')) *sign = l->s[i++];
    return l->n - i >= 2 && memcmp(l->s + i, "%}", 2) == 0 ? i + 2 - at : 0;
}

static enum status raw(struct lexer *l, size_t tag, char sign) {
    step(l, tag);
    after_tag(l, sign, true);
    for (size_t i = l->at; i + 1 < l->n; i++) {
        char end_sign;
        size_t n;
        if (l->s[i] != '{' || l->s[i + 1] != '%' || (n = raw_tag(l, i, "endraw", &end_sign)) == 0)
            continue;
        enum status st = data(l, i, '%', i + 2 < l->n ? l->s[i + 2] : ' ');
        step(l, n);
        after_tag(l, end_sign, true);
        return st;
    }
    return fail(l, "missing end of raw directive");
}

/* ---- inside of tags ---- */

static bool name_start(unsigned char c) { return isalpha(c) || c == '_' || c >= 0x80; }
static bool name_char(unsigned char c) { return name_start(c) || isdigit(c); }

static unsigned hex_digits(const char *p, size_t left, unsigned n, uint32_t *out) {
    *out = 0;
    if (left < n) return 0;
    for (unsigned i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)p[i])) return 0;
        char c = (char)tolower((unsigned char)p[i]);
        *out = *out * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return n;
}

static void put_cp(struct buf *b, uint32_t cp) {
    char utf8[4];
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) cp = UTF8_BAD;
    buf_add(b, utf8, utf8_encode(cp, utf8));
}

/* One escape after the backslash at p; returns its bytes. Unknown ones stay as they are. */
static size_t escape(struct buf *b, const char *p, size_t left) {
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    uint32_t cp = 0;
    const char *simple = *p != '\0' ? strchr(from, *p) : NULL;
    if (simple != NULL) {
        buf_chr(b, to[simple - from]);
        return 1;
    }
    if (*p == '\n') return 1;
    if (*p == 'x' || *p == 'u' || *p == 'U') {
        unsigned n = hex_digits(p + 1, left - 1, *p == 'x' ? 2 : *p == 'u' ? 4 : 8, &cp);
        if (n > 0) {
            put_cp(b, cp);
            return n + 1;
        }
    }
    size_t n = 0;
    while (n < 3 && n < left && p[n] >= '0' && p[n] <= '7') cp = cp * 8 + (uint32_t)(p[n++] - '0');
    if (n > 0) {
        put_cp(b, cp);
        return n;
    }
    buf_chr(b, '\\');
    return 0;
}

static enum status string(struct lexer *l) {
    const char quote = l->s[l->at];
    struct buf b = {0};
    size_t i = l->at + 1;
    while (i < l->n && l->s[i] != quote) {
        if (l->s[i] == '\\' && i + 1 < l->n)
            i += 1 + escape(&b, l->s + i + 1, l->n - i - 1);
        else
            buf_chr(&b, l->s[i++]);
    }
    enum status st = ST_OK;
    char *copy = arena_strndup(l->a, b.len > 0 ? b.data : "", b.len);
    if (i >= l->n)
        st = fail(l, "string is not closed");
    else if (copy == NULL || b.failed)
        st = err_no_memory(l->e);
    else
        st = push_text(l, JT_STRING, copy, b.len);
    if (st == ST_OK) step(l, i + 1 - l->at);
    buf_free(&b);
    return st;
}

static size_t digits(const char *p, size_t n, char *to, size_t room) {
    size_t i = 0, k = 0;
    while (i < n && (isalnum((unsigned char)p[i]) || p[i] == '_' || p[i] == '.' ||
                     ((p[i] == '+' || p[i] == '-') && i > 0 && (p[i - 1] | 32) == 'e'))) {
        if (p[i] == '.' && (i + 1 >= n || !isdigit((unsigned char)p[i + 1]))) break;
        if (p[i] != '_' && k + 1 < room) to[k++] = p[i];
        i++;
    }
    to[k] = '\0';
    return i;
}

static enum status number(struct lexer *l) {
    char text[64], *end;
    struct jtoken t = {.kind = JT_INT, .line = l->line};
    bool based =
        l->s[l->at] == '0' && l->n - l->at > 1 && strchr("xXoObB", l->s[l->at + 1]) != NULL;
    size_t n = 0;
    if (based) {
        const char c = (char)(l->s[l->at + 1] | 32);
        n = 2 + digits(l->s + l->at + 2, l->n - l->at - 2, text, sizeof text);
        errno = 0;
        t.i = strtoll(text, &end, c == 'x' ? 16 : c == 'o' ? 8 : 2);
    } else {
        n = digits(l->s + l->at, l->n - l->at, text, sizeof text);
        errno = 0;
        t.i = strtoll(text, &end, 10);
        if (*end == '.' || (*end | 32) == 'e' || errno == ERANGE) {
            t.kind = JT_FLOAT;
            t.f = strtod(text, &end);
        }
    }
    if (*end != '\0' || end == text) return fail(l, "bad number");
    step(l, n);
    return push(l, t);
}

static enum status operator_(struct lexer *l, int *depth) {
    static const char *const two[] = {"**", "//", "==", "!=", "<=", ">="};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (starts(l, two[i])) {
            enum status st = push_text(l, JT_OP, l->s + l->at, 2);
            step(l, 2);
            return st;
        }
    char c = l->s[l->at];
    if (c == '\0' || strchr("+-*/%~<>=.:|,;()[]{}", c) == NULL)
        return err_set(l->e, ST_FORMAT, "line %u: unexpected char '%c'", l->line,
                       c >= 32 && c < 127 ? c : '?');
    if (strchr("([{", c) != NULL) ++*depth;
    if (strchr(")]}", c) != NULL && --*depth < 0) *depth = 0;
    enum status st = push_text(l, JT_OP, l->s + l->at, 1);
    step(l, 1);
    return st;
}

/* The end of the tag at this place: its bytes and sign; 0: not there. */
static size_t tag_end(const struct lexer *l, const char *end, char *sign) {
    *sign = ' ';
    if (starts(l, end)) return 2;
    if (l->n - l->at < 3 || (l->s[l->at] != '-' && l->s[l->at] != '+')) return 0;
    if (memcmp(l->s + l->at + 1, end, 2) != 0) return 0;
    if (l->s[l->at] == '+' && *end == '}') return 0; /* "+}}" is not a sign */
    *sign = l->s[l->at];
    return 3;
}

static enum status tag(struct lexer *l, bool block) {
    enum status st = push_text(l, block ? JT_BLOCK_BEGIN : JT_PRINT_BEGIN, l->s + l->at, 2);
    int depth = 0;
    step(l, 2);
    if (l->at < l->n && (l->s[l->at] == '-' || (block && l->s[l->at] == '+'))) step(l, 1);
    while (st == ST_OK) {
        char sign;
        size_t n;
        skip_space(l);
        if (l->at >= l->n) return fail(l, "unexpected end of template inside of a tag");
        unsigned char c = (unsigned char)l->s[l->at];
        if ((depth == 0 || block) && (n = tag_end(l, block ? "%}" : "}}", &sign)) > 0) {
            st = push_text(l, block ? JT_BLOCK_END : JT_PRINT_END, l->s + l->at, n);
            step(l, n);
            after_tag(l, sign, block);
            return st;
        }
        if (name_start(c)) {
            size_t i = l->at;
            while (i < l->n && name_char((unsigned char)l->s[i])) i++;
            st = push_text(l, JT_NAME, l->s + l->at, i - l->at);
            l->at = i;
        } else if (isdigit(c)) {
            st = number(l);
        } else if (c == '\'' || c == '"') {
            st = string(l);
        } else {
            st = operator_(l, &depth);
        }
    }
    return st;
}

/* ---- the whole text ---- */

/* "\r\n" and "\r" become "\n"; one newline at the end goes. */
static bool normalise(struct lexer *l, struct jtext source) {
    char *s = arena_strndup(l->a, source.p, source.n);
    size_t n = 0;
    if (s == NULL) return false;
    for (size_t i = 0; i < source.n; i++) {
        if (s[i] == '\r') {
            if (i + 1 < source.n && s[i + 1] == '\n') continue;
            s[n++] = '\n';
        } else {
            s[n++] = s[i];
        }
    }
    if (n > 0 && s[n - 1] == '\n') n--;
    s[n] = '\0';
    l->s = s;
    l->n = n;
    return true;
}

static size_t next_tag(const struct lexer *l) {
    size_t i = l->at;
    while (i < l->n) {
        const char *p = memchr(l->s + i, '{', l->n - i);
        if (p == NULL) return l->n;
        i = (size_t)(p - l->s);
        if (i + 1 < l->n && (p[1] == '{' || p[1] == '%' || p[1] == '#')) return i;
        i++;
    }
    return l->n;
}

enum status jinja_lex(struct arena *a, struct jtext source, struct jtokens *out, struct err *e) {
    struct lexer l = {.a = a, .line = 1, .line_start = true, .out = out, .e = e};
    enum status st = ST_OK;
    if (!normalise(&l, source)) return err_no_memory(e);
    while (st == ST_OK && l.at < l.n) {
        size_t i = next_tag(&l), n;
        char kind = i < l.n ? l.s[i + 1] : ' ', sign = i + 2 < l.n ? l.s[i + 2] : ' ', end_sign;
        if (i == l.n) sign = ' ';
        st = data(&l, i, kind, sign);
        if (st != ST_OK || i == l.n) break;
        if (kind == '#')
            st = comment(&l);
        else if (kind == '%' && (n = raw_tag(&l, i, "raw", &end_sign)) > 0)
            st = raw(&l, n, end_sign);
        else
            st = tag(&l, kind == '%');
    }
    return st == ST_OK ? push_text(&l, JT_EOF, "", 0) : st;
}
