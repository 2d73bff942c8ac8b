/* modelfile.c - see modelfile.h: from bytes to commands.
 *
 * Two steps. normalise() brings any encoding to UTF-8. Then a state machine (spec/modelfile.md 2.2)
 * reads it character by character. Its states and messages are the reference's, oddities included:
 * an error found at a newline names the next line, CR and LF both count as lines, only one space
 * may stand before a parameter's name. NUL and byte-order marks are dropped from texts, but the
 * states see them: a NUL inside a command's name is an error.
 *
 * A value may run over many lines; whether it is complete is asked at each newline. So the place
 * behind its last visible character is kept while reading, and the question costs nothing: with a
 * trim of the whole text at each line, a file of newlines would take quadratic time. */
#include "store/modelfile.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

static const char *const kind_names[MODELFILE_KINDS] = {
    "FROM",     "LICENSE", "TEMPLATE",  "SYSTEM",  "ADAPTER",  "DRAFT",
    "RENDERER", "PARSER",  "PARAMETER", "MESSAGE", "REQUIRES",
};

const char *modelfile_kind_name(enum modelfile_kind kind) {
    assert(kind < MODELFILE_KINDS);
    return kind_names[kind];
}

/* ---- encodings ---- */

enum { BYTE_ORDER_MARK = 0xFEFF };

static void put_cp(struct buf *b, uint32_t cp) {
    char s[4];
    buf_add(b, s, utf8_encode(cp, s));
}

static void from_utf8(struct buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n && !b->failed;) {
        uint32_t cp;
        i += utf8_decode(s + i, n - i, &cp);
        put_cp(b, cp);
    }
}

/* Characters that count for the states but are in no text. */
static bool is_dropped(uint32_t cp) { return cp == 0 || cp == BYTE_ORDER_MARK; }

/* One unit of UTF-16; high: the byte order. The caller has checked that two bytes are left. */
static uint32_t unit_at(const unsigned char *s, bool big) {
    return big ? (uint32_t)(s[0] << 8 | s[1]) : (uint32_t)(s[1] << 8 | s[0]);
}

/* Units that are no character (lone surrogates, an odd last byte) become U+FFFD. */
static void from_utf16(struct buf *b, const unsigned char *s, size_t n, bool big) {
    size_t i = 0;
    while (i + 2 <= n && !b->failed) {
        uint32_t cp = unit_at(s + i, big);
        i += 2;
        if (cp >= 0xD800 && cp < 0xE000) {
            uint32_t low = i + 2 <= n ? unit_at(s + i, big) : 0;
            bool pair = cp < 0xDC00 && low >= 0xDC00 && low < 0xE000;
            if (pair) i += 2;
            cp = pair ? 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00) : (uint32_t)UTF8_BAD;
        }
        put_cp(b, cp);
    }
    if (i < n) put_cp(b, UTF8_BAD);
}

static void normalise(struct buf *b, const char *text, size_t len) {
    const unsigned char *s = (const unsigned char *)text;
    bool little = len >= 2 && s[0] == 0xFF && s[1] == 0xFE;
    bool big = len >= 2 && s[0] == 0xFE && s[1] == 0xFF;
    bool marked = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    if (little || big)
        from_utf16(b, s + 2, len - 2, big);
    else if (marked)
        from_utf8(b, text + 3, len - 3);
    else
        from_utf8(b, text, len);
}

/* ---- the state machine ---- */

enum state { LINE_START, IN_NAME, IN_PARAM, IN_ROLE, IN_VALUE, IN_COMMENT };

struct reader {
    struct modelfile *m;
    enum state state;
    unsigned line, begin; /* current line; line where the command began */
    size_t cap;           /* of m->commands */
    struct buf name;      /* command name, then parameter name or role */
    enum modelfile_kind kind;
    struct buf value;
    size_t first, last; /* of value: its text without white space around it is [first, last) */
    struct err *e;
};

static bool is_newline(uint32_t c) { return c == '\r' || c == '\n'; }
static bool is_blank(uint32_t c) { return c == ' ' || c == '\t'; }
static bool is_letter(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static enum status bad_command(const struct reader *r) {
    return err_set(r->e, ST_FORMAT,
                   "(line %u): command must be one of \"from\", \"license\", \"template\", "
                   "\"system\", \"adapter\", \"draft\", \"renderer\", \"parser\", \"parameter\", "
                   "\"message\", or \"requires\"",
                   r->line);
}

static const char *name_of(const struct reader *r) { return r->name.len != 0 ? r->name.data : ""; }

static enum status bad_word(const struct reader *r) {
    return err_set(r->e, ST_FORMAT, "unexpected EOF: %s", name_of(r));
}

static void begin_value(struct reader *r) {
    buf_clear(&r->value);
    r->first = r->last = SIZE_MAX;
    r->state = IN_VALUE;
}

/* The name of a command has ended at a space. */
static enum status end_name(struct reader *r) {
    size_t kind = 0;
    while (kind < MODELFILE_KINDS && strcasecmp(name_of(r), kind_names[kind]) != 0) kind++;
    if (kind == MODELFILE_KINDS) return bad_command(r);
    r->kind = (enum modelfile_kind)kind;
    buf_clear(&r->name);
    if (r->kind == MODELFILE_PARAMETER)
        r->state = IN_PARAM;
    else if (r->kind == MODELFILE_MESSAGE)
        r->state = IN_ROLE;
    else
        begin_value(r);
    return ST_OK;
}

static enum status end_role(struct reader *r) {
    static const char *const roles[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(name_of(r), roles[i]) != 0) continue;
        begin_value(r);
        return ST_OK;
    }
    return err_set(r->e, ST_FORMAT,
                   "(line %u): message role must be one of \"system\", \"user\", or \"assistant\"",
                   r->line);
}

/* Whether the n bytes at s begin and end with the quote, both apart from each other. */
static bool quoted_by(const char *s, size_t n, const char *quote, size_t q) {
    return n >= 2 * q && memcmp(s + n - q, quote, q) == 0;
}

/* Spec 2.3: whether the text read so far is a whole value; then *s, *n become what it stands for.
 */
static bool value_complete(const struct reader *r, const char **s, size_t *n) {
    if (r->first == SIZE_MAX) {
        *s = "";
        *n = 0;
        return true;
    }
    *s = r->value.data + r->first;
    *n = r->last - r->first;
    size_t q = 0;
    if (*n >= 3 && memcmp(*s, "\"\"\"", 3) == 0)
        q = 3;
    else if (**s == '"')
        q = 1;
    if (q != 0 && !quoted_by(*s, *n, "\"\"\"", q)) return false;
    *s += q;
    *n -= 2 * q;
    return true;
}

static enum status grow_commands(struct reader *r) {
    if (r->m->n_commands == MODELFILE_MAX_COMMANDS)
        return err_set(r->e, ST_LIMIT, "more than %d commands", MODELFILE_MAX_COMMANDS);
    if (r->m->n_commands < r->cap) return ST_OK;
    size_t cap = r->cap != 0 ? r->cap * 2 : 16;
    struct modelfile_command *grown = mem_grow(r->m->commands, cap, sizeof *grown);
    if (grown == NULL) return err_no_memory(r->e);
    r->m->commands = grown;
    r->cap = cap;
    return ST_OK;
}

static enum status push_command(struct reader *r, const char *value, size_t len) {
    enum status st = grow_commands(r);
    if (st != ST_OK) return st;
    bool named = r->kind == MODELFILE_PARAMETER || r->kind == MODELFILE_MESSAGE;
    struct arena *a = &r->m->arena;
    struct modelfile_command c = {.kind = r->kind, .len = len, .line = r->begin};
    c.value = arena_strndup(a, value, len);
    if (named) c.name = arena_strndup(a, name_of(r), r->name.len);
    if (c.value == NULL || (named && c.name == NULL)) return err_no_memory(r->e);
    r->m->commands[r->m->n_commands++] = c;
    buf_clear(&r->name);
    r->state = LINE_START;
    return ST_OK;
}

static enum status read_value(struct reader *r, uint32_t c, const char *s, size_t n) {
    const char *value;
    size_t len;
    if (is_newline(c) && value_complete(r, &value, &len)) return push_command(r, value, len);
    if (is_dropped(c)) return ST_OK;
    if (!unicode_is_space(c)) {
        if (r->first == SIZE_MAX) r->first = r->value.len;
        r->last = r->value.len + n;
    }
    buf_add(&r->value, s, n);
    return ST_OK;
}

/* One character c, whose bytes are [s, s + n). */
static enum status step(struct reader *r, uint32_t c, const char *s, size_t n) {
    if (is_newline(c)) r->line++;
    switch (r->state) {
    case LINE_START:
        if (is_blank(c) || is_newline(c)) return ST_OK;
        r->begin = r->line;
        r->state = c == '#' ? IN_COMMENT : IN_NAME;
        if (r->state == IN_NAME && !is_dropped(c)) buf_add(&r->name, s, n);
        return ST_OK;
    case IN_NAME:
        if (is_blank(c)) return end_name(r);
        if (!is_letter(c)) return bad_command(r);
        buf_add(&r->name, s, n);
        return ST_OK;
    case IN_PARAM:
    case IN_ROLE:
        if (is_blank(c) && r->state == IN_ROLE) return end_role(r);
        if (is_blank(c))
            begin_value(r);
        else if (is_letter(c) || (r->state == IN_PARAM && (c == '_' || (c >= '0' && c <= '9'))))
            buf_add(&r->name, s, n);
        else
            return bad_word(r);
        return ST_OK;
    case IN_VALUE:
        return read_value(r, c, s, n);
    case IN_COMMENT:
        if (is_newline(c)) r->state = LINE_START;
        return ST_OK;
    }
    return err_set(r->e, ST_INTERNAL, "state %d", (int)r->state);
}

static enum status finish(struct reader *r) {
    const char *value;
    size_t len;
    if (r->state == IN_VALUE && value_complete(r, &value, &len)) {
        enum status st = push_command(r, value, len);
        if (st != ST_OK) return st;
    }
    if (r->state != LINE_START && r->state != IN_COMMENT)
        return err_set(r->e, ST_FORMAT, "unexpected EOF");
    if (modelfile_last(r->m, MODELFILE_FROM) == NULL)
        return err_set(r->e, ST_FORMAT, "no FROM line");
    return ST_OK;
}

static enum status read_all(struct reader *r, const struct buf *text) {
    enum status st = ST_OK;
    for (size_t i = 0; i < text->len && st == ST_OK;) {
        uint32_t c;
        unsigned n = utf8_decode(text->data + i, text->len - i, &c);
        st = step(r, c, text->data + i, n);
        if (st == ST_OK && (r->name.failed || r->value.failed)) st = err_no_memory(r->e);
        i += n;
    }
    return st == ST_OK ? finish(r) : st;
}

enum status modelfile_parse(struct modelfile *m, const char *text, size_t len, struct err *e) {
    *m = (struct modelfile){0};
    if (len > MODELFILE_MAX_BYTES)
        return err_set(e, ST_LIMIT, "a Modelfile may have %d bytes", MODELFILE_MAX_BYTES);
    struct buf clean = {0};
    normalise(&clean, text, len);
    struct reader r = {.m = m, .line = 1, .e = e};
    enum status st = clean.failed ? err_no_memory(e) : read_all(&r, &clean);
    buf_free(&clean);
    buf_free(&r.name);
    buf_free(&r.value);
    if (st != ST_OK) modelfile_free(m);
    return st;
}

void modelfile_free(struct modelfile *m) {
    mem_free(m->commands);
    arena_free(&m->arena);
    *m = (struct modelfile){0};
}

const struct modelfile_command *modelfile_last(const struct modelfile *m,
                                               enum modelfile_kind kind) {
    for (size_t i = m->n_commands; i-- > 0;)
        if (m->commands[i].kind == kind) return &m->commands[i];
    return NULL;
}
