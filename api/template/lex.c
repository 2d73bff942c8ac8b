/* lex.c - template text to tokens (spec/templates.md 3.1).
 *
 * The whole text is cut at once: the parser may then look ahead as far as it likes. Outside of
 * actions there is one token per text; inside, white space is a token, because it separates
 * operands. Trim markers are applied here: they only change which bytes belong to a text token.
 * An error ends the list as a token with the message. */
#include <assert.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

enum { TRIM_LEN = 2 }; /* a marker is a minus and a white space */

struct lexer {
    struct arena *a;
    const char *p, *start, *end; /* start: of the token being read */
    uint32_t line;               /* of start */
    const char *counted;         /* lines are counted up to here */
    unsigned parens;
    bool in_action;
    struct tokens *out;
    bool no_memory;
};

/* ---- helpers ---- */

static bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static int peek(const struct lexer *l) { return l->p < l->end ? (unsigned char)*l->p : -1; }
static int peek_at(const struct lexer *l, size_t i) {
    return (size_t)(l->end - l->p) > i ? (unsigned char)l->p[i] : -1;
}
static bool looking_at(const struct lexer *l, const char *s) {
    size_t n = strlen(s);
    return (size_t)(l->end - l->p) >= n && memcmp(l->p, s, n) == 0;
}

/* Bytes of the letter, digit or underscore here; 0: something else. */
static size_t word_char(const struct lexer *l) {
    int c = peek(l);
    if (c < 0) return 0;
    if (c < 0x80) return c == '_' || is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z');
    uint32_t cp;
    unsigned n = utf8_decode(l->p, (size_t)(l->end - l->p), &cp);
    unsigned class = unicode_class(cp);
    return class == UNI_L || class == UNI_N ? n : 0;
}

static void skip_word(struct lexer *l) {
    for (size_t n; (n = word_char(l)) != 0;) l->p += n;
}

static void skip_spaces(struct lexer *l) {
    while (is_space(peek(l))) l->p++;
}

/* " -}}": the white space in front of the minus is part of the marker. */
static bool at_trimmed_right(const struct lexer *l) {
    return is_space(peek(l)) && l->end - l->p >= 4 && memcmp(l->p + 1, "-}}", 3) == 0;
}

/* What may follow a name. */
static bool at_terminator(const struct lexer *l) {
    int c = peek(l);
    return c < 0 || is_space(c) || strchr(".,|:()", c) != NULL || looking_at(l, "}}");
}

/* ---- output ---- */

static void count_lines(struct lexer *l) {
    for (; l->counted < l->start; l->counted++) l->line += *l->counted == '\n';
}

static void push(struct lexer *l, enum token_kind kind, struct text s) {
    struct tokens *o = l->out;
    if (o->n == o->cap) {
        size_t cap = o->cap != 0 ? 2 * o->cap : 64;
        struct token *at = mem_grow(o->at, cap, sizeof *at);
        if (at == NULL) {
            l->no_memory = true;
            return;
        }
        o->at = at;
        o->cap = cap;
    }
    count_lines(l);
    o->at[o->n++] = (struct token){kind, l->line, s};
}

/* Emits [start, p) and begins the next token. True: goes on (as every lex_ function below). */
static bool emit(struct lexer *l, enum token_kind kind) {
    push(l, kind, (struct text){l->start, (size_t)(l->p - l->start)});
    l->start = l->p;
    return !l->no_memory;
}

static bool emit_error(struct lexer *l, const char *message) {
    if (message == NULL)
        l->no_memory = true;
    else
        push(l, T_ERROR, (struct text){message, strlen(message)});
    return false;
}

static bool bad_character(struct lexer *l, const char *what) {
    uint32_t cp;
    unsigned n = utf8_decode(l->p, (size_t)(l->end - l->p), &cp);
    bool shown = tliteral_is_printable(cp);
    return emit_error(l,
                      arena_printf(l->a, "%s U+%04X%s%.*s%s", what, (unsigned)cp, shown ? " '" : "",
                                   shown ? (int)n : 0, l->p, shown ? "'" : ""));
}

/* ---- text and delimiters ---- */

static bool lex_comment(struct lexer *l) {
    l->p += 2;
    const char *close = memmem(l->p, (size_t)(l->end - l->p), "*/", 2);
    if (close == NULL) return emit_error(l, "unclosed comment");
    l->p = close + 2;
    bool trim = at_trimmed_right(l);
    if (trim) l->p += TRIM_LEN;
    if (!looking_at(l, "}}")) return emit_error(l, "comment ends before closing delimiter");
    l->p += 2;
    if (trim) skip_spaces(l);
    l->start = l->p;
    return true;
}

/* At "{{". */
static bool lex_left(struct lexer *l) {
    bool trim = peek_at(l, 2) == '-' && is_space(peek_at(l, 3));
    const char *after = l->p + 2 + (trim ? TRIM_LEN : 0);
    bool comment = l->end - after >= 2 && memcmp(after, "/*", 2) == 0;
    l->p += 2;
    if (!comment && !emit(l, T_LEFT)) return false;
    l->p = after;
    if (comment) return lex_comment(l);
    l->start = after;
    l->in_action = true;
    l->parens = 0;
    return true;
}

static bool lex_right(struct lexer *l) {
    bool trim = at_trimmed_right(l);
    if (trim) l->p += TRIM_LEN;
    l->start = l->p;
    l->p += 2;
    l->in_action = false;
    if (!emit(l, T_RIGHT)) return false;
    if (trim) skip_spaces(l);
    l->start = l->p;
    return true;
}

static bool lex_text(struct lexer *l) {
    const char *open = memmem(l->p, (size_t)(l->end - l->p), "{{", 2);
    const char *stop = open != NULL ? open : l->end;
    l->p = stop;
    if (open != NULL && l->end - open > 3 && open[2] == '-' && is_space((unsigned char)open[3]))
        while (l->p > l->start && is_space((unsigned char)l->p[-1])) l->p--;
    if (l->p > l->start && !emit(l, T_TEXT)) return false;
    l->start = l->p = stop;
    if (open != NULL) return lex_left(l);
    emit(l, T_EOF);
    return false;
}

/* ---- inside an action ---- */

static bool lex_space(struct lexer *l) {
    while (is_space(peek(l)) && !at_trimmed_right(l)) l->p++;
    return l->p == l->start || emit(l, T_SPACE);
}

/* After the opening quote. */
static bool lex_quoted(struct lexer *l, char quote, enum token_kind kind, const char *unclosed) {
    for (int c; (c = peek(l)) != quote; l->p++) {
        if (c == '\\') {
            l->p++;
            c = peek(l);
        }
        if (c < 0 || c == '\n') return emit_error(l, unclosed);
    }
    l->p++;
    return emit(l, kind);
}

static bool lex_raw(struct lexer *l) {
    const char *close = memchr(l->p, '`', (size_t)(l->end - l->p));
    if (close == NULL) return emit_error(l, "unterminated raw quoted string");
    l->p = close + 1;
    return emit(l, T_RAW);
}

static void skip_digits(struct lexer *l, const char *digits) {
    while (l->p < l->end && *l->p != '\0' && strchr(digits, *l->p) != NULL) l->p++;
}

static bool skip_one_of(struct lexer *l, const char *set) {
    int c = peek(l);
    bool hit = c > 0 && strchr(set, c) != NULL;
    if (hit) l->p++;
    return hit;
}

/* Skips what looks like a number; false: something that cannot end one follows. */
static bool skip_number(struct lexer *l) {
    const char *digits = "0123456789_";
    bool decimal = true, hex = false;
    skip_one_of(l, "+-");
    if (skip_one_of(l, "0")) {
        if (skip_one_of(l, "xX")) {
            digits = "0123456789abcdefABCDEF_";
            hex = true;
        } else if (skip_one_of(l, "oO")) {
            digits = "01234567_";
        } else if (skip_one_of(l, "bB")) {
            digits = "01_";
        }
        decimal = l->p[-1] == '0';
    }
    skip_digits(l, digits);
    if (skip_one_of(l, ".")) skip_digits(l, digits);
    if ((decimal && skip_one_of(l, "eE")) || (hex && skip_one_of(l, "pP"))) {
        skip_one_of(l, "+-");
        skip_digits(l, "0123456789_");
    }
    skip_one_of(l, "i");
    size_t n = word_char(l);
    l->p += n;
    return n == 0;
}

static bool lex_number(struct lexer *l) {
    bool good = skip_number(l);
    int c = peek(l);
    if (good && (c == '+' || c == '-')) good = skip_number(l) && l->p[-1] == 'i'; /* 1+2i */
    if (good) return emit(l, T_NUMBER);
    struct buf b = {0};
    tliteral_quote(&b, (struct text){l->start, (size_t)(l->p - l->start)}, false);
    const char *message =
        b.failed ? NULL : arena_printf(l->a, "bad number syntax: %.*s", (int)b.len, b.data);
    buf_free(&b);
    return emit_error(l, message);
}

/* A name after "." or "$", which is there already. */
static bool lex_sigil_name(struct lexer *l, enum token_kind alone, enum token_kind named) {
    if (at_terminator(l)) return emit(l, alone);
    skip_word(l);
    return at_terminator(l) ? emit(l, named) : bad_character(l, "bad character");
}

static enum token_kind word_kind(struct text s) {
    static const struct {
        const char *name;
        enum token_kind kind;
    } words[] = {
        {"block", T_BLOCK}, {"break", T_BREAK}, {"continue", T_CONTINUE}, {"define", T_DEFINE},
        {"else", T_ELSE},   {"end", T_END},     {"false", T_BOOL},        {"if", T_IF},
        {"nil", T_NIL},     {"range", T_RANGE}, {"template", T_TEMPLATE}, {"true", T_BOOL},
        {"with", T_WITH},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ttext_is(s, words[i].name)) return words[i].kind;
    return T_IDENT;
}

static bool lex_word(struct lexer *l) {
    skip_word(l);
    if (!at_terminator(l)) return bad_character(l, "bad character");
    return emit(l, word_kind((struct text){l->start, (size_t)(l->p - l->start)}));
}

static bool lex_paren(struct lexer *l, char c) {
    l->p++;
    if (c == ')' && l->parens == 0) return emit_error(l, "unexpected right paren");
    l->parens += c == '(' ? 1u : -1u;
    return emit(l, c == '(' ? T_LPAREN : T_RPAREN);
}

static bool lex_declare(struct lexer *l) {
    if (!looking_at(l, ":=")) return emit_error(l, "expected :=");
    l->p += 2;
    return emit(l, T_DECLARE);
}

static bool lex_one(struct lexer *l, enum token_kind kind) {
    l->p++;
    return emit(l, kind);
}

static bool lex_other(struct lexer *l, int c) {
    if (word_char(l) != 0) return lex_word(l);
    if (c > ' ' && c < 0x7F) return lex_one(l, T_CHAR);
    return bad_character(l, "unrecognized character in action:");
}

static bool lex_inside(struct lexer *l) {
    int c = peek(l);
    if (looking_at(l, "}}") || at_trimmed_right(l))
        return l->parens == 0 ? lex_right(l) : emit_error(l, "unclosed left paren");
    if (c < 0) return emit_error(l, "unclosed action");
    if (is_space(c)) return lex_space(l);
    if (is_digit(c) || c == '+' || c == '-' || (c == '.' && is_digit(peek_at(l, 1))))
        return lex_number(l);
    switch (c) {
    case '=':
        return lex_one(l, T_ASSIGN);
    case '|':
        return lex_one(l, T_PIPE);
    case ':':
        return lex_declare(l);
    case '(':
    case ')':
        return lex_paren(l, (char)c);
    case '"':
        l->p++;
        return lex_quoted(l, '"', T_STRING, "unterminated quoted string");
    case '\'':
        l->p++;
        return lex_quoted(l, '\'', T_CHARCONST, "unterminated character constant");
    case '`':
        l->p++;
        return lex_raw(l);
    case '.':
        l->p++;
        return lex_sigil_name(l, T_DOT, T_FIELD);
    case '$':
        l->p++;
        return lex_sigil_name(l, T_VARIABLE, T_VARIABLE);
    default:
        return lex_other(l, c);
    }
}

enum status template_lex(struct arena *a, struct text source, struct tokens *out, struct err *e) {
    assert(source.p != NULL);
    struct lexer l = {.a = a,
                      .p = source.p,
                      .start = source.p,
                      .end = source.p + source.n,
                      .line = 1,
                      .counted = source.p,
                      .out = out};
    while (l.in_action ? lex_inside(&l) : lex_text(&l)) assert(l.p <= l.end);
    if (l.no_memory) return err_no_memory(e);
    assert(out->n > 0);
    return ST_OK;
}
