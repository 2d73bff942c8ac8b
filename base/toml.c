/* toml.c - see toml.h. One pass over the text; a check of all bytes comes first, so that what reads
 * keys and values sees valid UTF-8 without control characters. */
#include "base/toml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

/* How a name came to be known. */
enum seen {
    SEEN_VALUE,
    SEEN_TABLE,    /* has had its [header] */
    SEEN_IMPLICIT, /* in front of a header: [a.b] makes a */
    SEEN_DOTTED,   /* in front of a key: a.b = 1 makes a */
};
struct name {
    unsigned line;
    enum seen how;
};

struct reader {
    const char *text;
    size_t len, at, line_start;
    unsigned line;
    struct toml *t;
    size_t cap;
    struct map seen;              /* name -> index in names */
    struct buf names;             /* of struct name */
    char table[TOML_MAX_KEY + 1]; /* the current one, "" at the start */
    struct err *e;
};

/* ---- places and errors ---- */

static unsigned column_of(const struct reader *r, size_t at) {
    unsigned n = 1;
    for (size_t i = r->line_start; i < at; i++)
        if (((unsigned char)r->text[i] & 0xC0) != 0x80) n++;
    return n;
}

static enum status fail_at(struct reader *r, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum status fail_at(struct reader *r, size_t at, const char *fmt, ...) {
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(r->e, ST_FORMAT, "line %u, column %u: %s", r->line, column_of(r, at), text);
}

static enum status check_bytes(struct reader *r) {
    while (r->at < r->len) {
        uint32_t cp;
        const char *s = r->text + r->at;
        unsigned n = utf8_decode(s, r->len - r->at, &cp);
        if (utf8_was_bad(s, n, cp)) return fail_at(r, r->at, "not UTF-8");
        if (cp == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        } else if ((cp < 0x20 && cp != '\t' &&
                    !(cp == '\r' && r->at + 1 < r->len && s[1] == '\n')) ||
                   cp == 0x7F) {
            return fail_at(r, r->at, "control character U+%04X", cp);
        }
        r->at += n;
    }
    r->at = r->line_start = 0;
    r->line = 1;
    return ST_OK;
}

/* The byte at the reading position; 0 at the end. */
static char peek(const struct reader *r) { return r->at < r->len ? r->text[r->at] : '\0'; }

static bool looking_at(const struct reader *r, const char *s) {
    size_t n = strlen(s);
    return r->len - r->at >= n && memcmp(r->text + r->at, s, n) == 0;
}

static bool at_line_end(const struct reader *r) {
    return r->at >= r->len || peek(r) == '\n' || looking_at(r, "\r\n");
}

static void skip_blanks(struct reader *r) {
    while (peek(r) == ' ' || peek(r) == '\t') r->at++;
}

static void skip_comment(struct reader *r) {
    skip_blanks(r);
    if (peek(r) != '#') return;
    while (!at_line_end(r)) r->at++;
}

static void skip_newline(struct reader *r) {
    if (peek(r) == '\r') r->at++;
    if (r->at >= r->len) return;
    r->at++;
    r->line++;
    r->line_start = r->at;
}

/* ---- keys ---- */

static bool is_bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static enum status add_name(struct reader *r, const char *name, size_t len, enum seen how) {
    const struct name fresh = {r->line, how};
    char *copy = arena_strndup(&r->t->arena, name, len);
    const uint32_t index = (uint32_t)(r->names.len / sizeof fresh);
    buf_add(&r->names, &fresh, sizeof fresh);
    if (copy == NULL || r->names.failed || !map_put(&r->seen, copy, len, index, NULL))
        return err_no_memory(r->e);
    return ST_OK;
}

/* Notes a name; the rules are those of TOML for tables that are opened twice. */
static enum status note(struct reader *r, const char *name, size_t len, enum seen how, size_t at) {
    uint32_t index;
    if (!map_get(&r->seen, name, len, &index)) return add_name(r, name, len, how);
    struct name *old = (struct name *)(void *)r->names.data + index;
    if ((how == SEEN_IMPLICIT || how == SEEN_DOTTED) && old->how == SEEN_VALUE)
        return fail_at(r, at, "'%.*s' is a value, not a table (line %u)", (int)len, name,
                       old->line);
    if (how == SEEN_IMPLICIT || (how == SEEN_DOTTED && old->how == SEEN_DOTTED)) return ST_OK;
    if (how != SEEN_TABLE || old->how != SEEN_IMPLICIT)
        return fail_at(r, at, "'%.*s' is there already (line %u)", (int)len, name, old->line);
    *old = (struct name){r->line, SEEN_TABLE};
    return ST_OK;
}

/* Reads "a.b.c" behind the prefix (a table's name or "") into out, noting all names on the way. */
static enum status read_key(struct reader *r, const char *prefix, char out[TOML_MAX_KEY + 1],
                            bool header) {
    size_t n = strlen(prefix), start = r->at;
    memcpy(out, prefix, n + 1);
    for (;;) {
        skip_blanks(r);
        size_t len = 0;
        while (r->at + len < r->len && is_bare(r->text[r->at + len])) len++;
        if (len == 0 && (peek(r) == '"' || peek(r) == '\''))
            return fail_at(r, r->at, "quoted keys are not supported");
        if (len == 0) return fail_at(r, r->at, "expected a key");
        if (n + len + 1 > TOML_MAX_KEY) return fail_at(r, start, "the key is too long");
        if (n > 0) out[n++] = '.';
        memcpy(out + n, r->text + r->at, len);
        n += len;
        out[n] = '\0';
        r->at += len;
        skip_blanks(r);
        const bool last = peek(r) != '.';
        enum seen how = header ? SEEN_IMPLICIT : SEEN_DOTTED;
        if (last) how = header ? SEEN_TABLE : SEEN_VALUE;
        enum status st = note(r, out, n, how, start);
        if (st != ST_OK || last) return st;
        r->at++;
    }
}

static struct toml_entry *add_entry(struct reader *r, const char *key, size_t at) {
    if (r->t->n >= TOML_MAX_ENTRIES) {
        err_set(r->e, ST_LIMIT, "line %u: more than %d keys", r->line, TOML_MAX_ENTRIES);
        return NULL;
    }
    if (r->t->n == r->cap) {
        const size_t cap = r->cap == 0 ? 16 : 2 * r->cap;
        struct toml_entry *grown = arena_zalloc(&r->t->arena, cap, sizeof *grown);
        if (grown != NULL && r->t->n > 0) memcpy(grown, r->t->entries, r->t->n * sizeof *grown);
        if (grown == NULL) return err_no_memory(r->e), NULL;
        r->t->entries = grown;
        r->cap = cap;
    }
    char *copy = arena_strndup(&r->t->arena, key, strlen(key));
    if (copy == NULL) return err_no_memory(r->e), NULL;
    struct toml_entry *entry = &r->t->entries[r->t->n++];
    *entry = (struct toml_entry){.key = copy, .line = r->line, .column = column_of(r, at)};
    return entry;
}

/* ---- strings ---- */

/* \uXXXX and \UXXXXXXXX, standing at the first digit. */
static enum status read_unicode(struct reader *r, struct buf *out, int digits, size_t start) {
    uint32_t cp = 0;
    char bytes[4];
    for (int i = 0; i < digits; i++, r->at++) {
        const char c = peek(r);
        int v = hex_value(c);
        if (v < 0) return fail_at(r, start, "expected %d hexadecimal digits", digits);
        cp = cp << 4 | (uint32_t)v;
    }
    if (cp == 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        return fail_at(r, start, "no character has this number");
    buf_add(out, bytes, utf8_encode(cp, bytes));
    return ST_OK;
}

static enum status read_escape(struct reader *r, struct buf *out) {
    static const char letters[] = "btnfr\"\\", means[] = "\b\t\n\f\r\"\\";
    const size_t start = r->at++;
    const char c = peek(r);
    const char *found = c != '\0' ? strchr(letters, c) : NULL;
    if (c == 'u' || c == 'U') {
        r->at++;
        return read_unicode(r, out, c == 'u' ? 4 : 8, start);
    }
    if (found == NULL) return fail_at(r, start, "unknown escape in a string");
    buf_chr(out, means[found - letters]);
    r->at++;
    return ST_OK;
}

static enum status read_string(struct reader *r, struct toml_value *v) {
    const char quote = peek(r);
    const size_t start = r->at;
    struct buf out = {0};
    enum status st = ST_OK;
    if (looking_at(r, quote == '"' ? "\"\"\"" : "'''"))
        return fail_at(r, start, "strings of several lines are not supported");
    r->at++;
    while (st == ST_OK && peek(r) != quote) {
        if (at_line_end(r)) {
            st = fail_at(r, start, "the string has no end on its line");
        } else if (quote == '"' && peek(r) == '\\') {
            st = read_escape(r, &out);
        } else {
            buf_chr(&out, r->text[r->at++]);
        }
    }
    r->at++;
    v->kind = TOML_STRING;
    if (st == ST_OK) {
        v->text = out.failed
                      ? NULL
                      : arena_strndup(&r->t->arena, out.data != NULL ? out.data : "", out.len);
        if (v->text == NULL) st = err_no_memory(r->e);
    }
    buf_free(&out);
    return st;
}

/* ---- numbers ---- */

static bool is_digit(char c, int base) {
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return true;
    return c >= '0' && c < '0' + (base < 10 ? base : 10);
}

/* Copies digits to *out, without the underscores between them; false: none, or a bad underscore. */
static bool take_digits(const char **s, char **out, int base) {
    const char *p = *s;
    if (!is_digit(*p, base)) return false;
    while (is_digit(*p, base) || (*p == '_' && is_digit(p[1], base))) {
        if (*p != '_') *(*out)++ = *p;
        p++;
    }
    *s = p;
    return true;
}

static bool leads_with_zero(const char *digits) {
    return digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
}

/* What is wrong with the number; NULL: it is in v. */
static const char *parse_number(const char *s, struct toml_value *v) {
    static const char not_number[] = "not a value";
    char digits[80], *out = digits;
    int base = 10;
    if (s[0] == '0' && s[1] == 'x') base = 16;
    if (s[0] == '0' && s[1] == 'o') base = 8;
    if (s[0] == '0' && s[1] == 'b') base = 2;
    if (base != 10) s += 2;
    if (base == 10 && (*s == '+' || *s == '-')) *out++ = *s++;
    const char *first = out;
    if (!take_digits(&s, &out, base)) return not_number;
    *out = '\0';
    if (base == 10 && leads_with_zero(first)) return "numbers do not begin with 0";
    errno = 0;
    if (*s == '\0') {
        v->kind = TOML_INTEGER;
        v->integer = strtoll(digits, NULL, base);
        return errno == ERANGE ? "the number is too large" : NULL;
    }
    if (base != 10) return not_number;
    if (*s == '.') {
        *out++ = *s++;
        if (!take_digits(&s, &out, 10)) return not_number;
    }
    if (*s == 'e' || *s == 'E') {
        *out++ = *s++;
        if (*s == '+' || *s == '-') *out++ = *s++;
        if (!take_digits(&s, &out, 10)) return not_number;
    }
    *out = '\0';
    if (*s != '\0') return not_number;
    v->kind = TOML_FLOAT;
    v->number = strtod(digits, NULL);
    return isfinite(v->number) ? NULL : "the number is too large";
}

static enum status read_word(struct reader *r, struct toml_value *v) {
    char word[72];
    size_t n = 0, start = r->at;
    while (r->at + n < r->len && n < sizeof word - 1 &&
           (is_bare(r->text[r->at + n]) || strchr("+.:", r->text[r->at + n]) != NULL)) {
        word[n] = r->text[r->at + n];
        n++;
    }
    word[n] = '\0';
    if (n == 0) return fail_at(r, start, "expected a value");
    if (n == sizeof word - 1) return fail_at(r, start, "not a value");
    r->at += n;
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        v->kind = TOML_BOOL;
        v->truth = word[0] == 't';
        return ST_OK;
    }
    if (strchr(word, ':') != NULL ||
        (strspn(word, "0123456789") == 4 && word[4] == '-' && word[5] != '\0'))
        return fail_at(r, start, "dates and times are not supported");
    const char *problem = parse_number(word, v);
    if (problem == NULL) return ST_OK;
    const char c = word[0];
    if (problem[0] == 'n' && problem[4] == 'a' &&
        ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
        return fail_at(r, start, "not a value: '%s' (texts stand in quotes)", word);
    return fail_at(r, start, "%s: '%s'", problem, word);
}

/* ---- values ---- */

static enum status read_scalar(struct reader *r, struct toml_value *v) {
    *v = (struct toml_value){.line = r->line, .column = column_of(r, r->at)};
    const char c = peek(r);
    if (c == '"' || c == '\'') return read_string(r, v);
    if (c == '{') return fail_at(r, r->at, "inline tables are not supported");
    if (c == '[') return fail_at(r, r->at, "arrays in arrays are not supported");
    return read_word(r, v);
}

/* Blanks, comments and line ends inside an array. */
static void skip_space(struct reader *r) {
    for (;;) {
        skip_comment(r);
        if (r->at >= r->len || !at_line_end(r)) return;
        skip_newline(r);
    }
}

static enum status read_items(struct reader *r, struct buf *items) {
    const unsigned line = r->line;
    for (;;) {
        struct toml_value v;
        skip_space(r);
        if (peek(r) == ']') break;
        if (r->at >= r->len) return fail_at(r, r->at, "the array of line %u has no end", line);
        enum status st = read_scalar(r, &v);
        if (st != ST_OK) return st;
        if (items->len / sizeof v >= TOML_MAX_ITEMS)
            return err_set(r->e, ST_LIMIT, "line %u: more than %d items", line, TOML_MAX_ITEMS);
        buf_add(items, &v, sizeof v);
        skip_space(r);
        if (peek(r) == ',')
            r->at++;
        else if (peek(r) != ']' && r->at < r->len)
            return fail_at(r, r->at, "expected ',' or ']'");
    }
    r->at++;
    return ST_OK;
}

static enum status read_array(struct reader *r, struct toml_value *v) {
    struct buf items = {0};
    *v = (struct toml_value){.kind = TOML_ARRAY, .line = r->line, .column = column_of(r, r->at)};
    r->at++;
    enum status st = read_items(r, &items);
    if (st == ST_OK && items.failed) st = err_no_memory(r->e);
    if (st == ST_OK && items.len > 0) {
        void *copy = arena_alloc(&r->t->arena, items.len);
        if (copy == NULL)
            st = err_no_memory(r->e);
        else
            v->items = memcpy(copy, items.data, items.len);
        v->n = items.len / sizeof *v;
    }
    buf_free(&items);
    return st;
}

/* ---- lines ---- */

static enum status read_header(struct reader *r) {
    const size_t start = r->at;
    char name[TOML_MAX_KEY + 1];
    if (looking_at(r, "[[")) return fail_at(r, start, "arrays of tables are not supported");
    r->at++;
    enum status st = read_key(r, "", name, true);
    if (st != ST_OK) return st;
    if (peek(r) != ']') return fail_at(r, r->at, "expected ']' behind the name of the table");
    r->at++;
    struct toml_entry *entry = add_entry(r, name, start);
    if (entry == NULL) return r->t->n >= TOML_MAX_ENTRIES ? ST_LIMIT : ST_NO_MEMORY;
    entry->value =
        (struct toml_value){.kind = TOML_TABLE, .line = r->line, .column = entry->column};
    strcpy(r->table, name);
    return ST_OK;
}

static enum status read_pair(struct reader *r) {
    const size_t start = r->at;
    const unsigned column = column_of(r, start);
    char key[TOML_MAX_KEY + 1];
    struct toml_value v;
    enum status st = read_key(r, r->table, key, false);
    if (st != ST_OK) return st;
    if (peek(r) != '=') return fail_at(r, r->at, "expected '=' behind the key");
    struct toml_entry *entry = add_entry(r, key, start);
    if (entry == NULL) return r->t->n >= TOML_MAX_ENTRIES ? ST_LIMIT : ST_NO_MEMORY;
    entry->column = column;
    r->at++;
    skip_blanks(r);
    if (at_line_end(r) || peek(r) == '#') return fail_at(r, r->at, "expected a value");
    st = peek(r) == '[' ? read_array(r, &v) : read_scalar(r, &v);
    if (st == ST_OK) r->t->entries[r->t->n - 1].value = v;
    return st;
}

static enum status read_lines(struct reader *r) {
    if (looking_at(r, "\xEF\xBB\xBF")) r->line_start = r->at = 3; /* a byte order mark */
    while (r->at < r->len) {
        enum status st = ST_OK;
        skip_comment(r);
        if (peek(r) == '[')
            st = read_header(r);
        else if (!at_line_end(r))
            st = read_pair(r);
        if (st != ST_OK) return st;
        skip_comment(r);
        if (!at_line_end(r)) return fail_at(r, r->at, "expected the end of the line");
        skip_newline(r);
    }
    return ST_OK;
}

enum status toml_parse(struct toml *t, const char *text, size_t len, struct err *e) {
    *t = (struct toml){0};
    if (len > TOML_MAX_BYTES) return err_set(e, ST_LIMIT, "larger than %d bytes", TOML_MAX_BYTES);
    struct reader r = {.text = text, .len = len, .line = 1, .t = t, .e = e};
    enum status st = check_bytes(&r);
    if (st == ST_OK) st = read_lines(&r);
    map_free(&r.seen);
    buf_free(&r.names);
    if (st != ST_OK) toml_free(t);
    return st;
}

void toml_free(struct toml *t) {
    arena_free(&t->arena);
    *t = (struct toml){0};
}

const char *toml_kind_name(enum toml_kind kind) {
    static const char *const name[] = {
        [TOML_STRING] = "a string",    [TOML_INTEGER] = "an integer", [TOML_FLOAT] = "a number",
        [TOML_BOOL] = "true or false", [TOML_ARRAY] = "an array",     [TOML_TABLE] = "a table"};
    return name[kind];
}
