/* regex.c - see regex.h. A parser by recursive descent over groups (depth bounded). */
#include "engine/grammar/regex.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/hex.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "engine/grammar/source.h"

enum { LOOKS_MAX = 16, REGEX_COUNT_MAX = 10000 };

struct look { /* a lookahead at the beginning: a condition on the whole text */
    const struct expr *what;
    bool negated;
};

struct parser {
    struct rules *r;
    const char *text, *end, *at;
    const char *unsupported;
    unsigned depth;
    bool at_start; /* nothing but ^ and lookahead so far, and no alternative */
    struct look look[LOOKS_MAX];
    size_t n_looks;
};

static struct expr *alternatives(struct parser *p);

static bool ok(const struct parser *p) { return p->r->st == ST_OK && p->unsupported == NULL; }

static void fail(struct parser *p, const char *what) {
    if (!ok(p)) return;
    rules_fail(p->r, ST_INVALID, "Invalid pattern %.*s: %s at position %zu",
               (int)(p->end - p->text > 200 ? 200 : p->end - p->text), p->text, what,
               (size_t)(p->at - p->text));
}

static void not_here(struct parser *p, const char *what) {
    if (p->unsupported == NULL) p->unsupported = what;
}

static bool eat(struct parser *p, const char *s) {
    size_t n = strlen(s);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, s, n) != 0) return false;
    p->at += n;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- characters ---- */

static uint32_t hex(struct parser *p, int digits) {
    uint32_t v = 0;
    for (; digits > 0; digits--, p->at++) {
        int d = p->at < p->end ? hex_value(*p->at) : -1;
        if (d < 0) {
            fail(p, "a hexadecimal digit is missing");
            return 0;
        }
        v = v << 4 | (uint32_t)d;
    }
    return v;
}

static uint32_t unicode_escape(struct parser *p) {
    if (eat(p, "{")) {
        uint32_t v = 0;
        for (; p->at < p->end && hex_value(*p->at) >= 0 && v <= CHAR_LAST; p->at++)
            v = v << 4 | (uint32_t)hex_value(*p->at);
        if (v > CHAR_LAST || !eat(p, "}")) fail(p, "no such character");
        return v;
    }
    uint32_t v = hex(p, 4);
    if (v >= 0xD800 && v <= 0xDBFF && eat(p, "\\u")) {
        uint32_t low = hex(p, 4);
        if (low < 0xDC00 || low > 0xDFFF) fail(p, "half of a character");
        v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    }
    return v;
}

/* A character behind a backslash that stands for one character. */
static uint32_t escaped_char(struct parser *p) {
    static const char from[] = "nrtfv0", to[] = "\n\r\t\f\v";
    uint32_t c;
    unsigned n = utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    p->at += n;
    if (c < 0x80 && strchr(from, (int)c) != NULL && c != 0) {
        if (c == '0' && p->at < p->end && is_digit(*p->at)) not_here(p, "octal escapes");
        return (unsigned char)to[strchr(from, (int)c) - from];
    }
    if (c == 'x') return hex(p, 2);
    if (c == 'u') return unicode_escape(p);
    if (c == 'c' && p->at < p->end) return (uint32_t)*p->at++ & 31;
    if (c >= '1' && c <= '9') not_here(p, "back references");
    if (c == 'k') not_here(p, "back references");
    if (c == 'b' || c == 'B' || c == 'A' || c == 'Z' || c == 'z') not_here(p, "word boundaries");
    if (c == 'p' || c == 'P') not_here(p, "Unicode properties");
    return c;
}

static bool add_set(struct parser *p, struct charset *s, const struct char_range *range, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!charset_add(s, range[i].lo, range[i].hi)) {
            p->r->st = err_no_memory(p->r->e);
            return false;
        }
    return true;
}

static const struct char_range DIGITS[] = {{'0', '9'}};
static const struct char_range WORDS[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct char_range SPACES[] = {{'\t', '\r'}, {' ', ' '}};

/* What some engine counts in beyond ASCII. */
static bool is_wide(char what, uint32_t c) {
    unsigned class = unicode_class(c);
    if (what == 'd') return class == UNI_N;
    if (what == 'w') return class == UNI_N || class == UNI_L || class == UNI_M || class == UNI_P;
    return unicode_is_space(c) || c == 0xFEFF || c == 0x180E || (c >= 0x1C && c <= 0x1F);
}

/* The ranges beyond ASCII of \d, \w and \s; found once. */
enum { WIDE_MAX = 2048 };
static struct wide {
    char what;
    size_t n;
    struct char_range range[WIDE_MAX];
} wide_sets[] = {{.what = 'd'}, {.what = 'w'}, {.what = 's'}};

static void find_wide_sets(void) {
    for (size_t i = 0; i < 3; i++) {
        struct wide *w = &wide_sets[i];
        for (uint32_t c = 0x1C; c <= CHAR_LAST; c++) {
            uint32_t first = c;
            while (c <= CHAR_LAST && (c >= 0x80 || w->what == 's') && is_wide(w->what, c)) c++;
            if (c == first) continue;
            assert(w->n < WIDE_MAX);
            w->range[w->n++] = (struct char_range){first, c - 1};
        }
    }
}

/* \d \w \s; wide: everything that any engine would take for one. */
static bool named_set(struct parser *p, char what, bool wide, struct charset *out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct wide *w = &wide_sets[what == 'd' ? 0 : what == 'w' ? 1 : 2];
    pthread_once(&once, find_wide_sets);
    bool fine = what == 'd'   ? add_set(p, out, DIGITS, 1)
                : what == 'w' ? add_set(p, out, WORDS, 4)
                              : add_set(p, out, SPACES, 2);
    return fine && (!wide || add_set(p, out, w->range, w->n));
}

/* \d, \D, ... at p->at - 1 (the letter has been eaten). in_negated: the class will be inverted. */
static void add_named(struct parser *p, char letter, bool in_negated, struct charset *out) {
    bool opposite = letter == 'D' || letter == 'W' || letter == 'S';
    char what = (char)(letter | 0x20);
    struct charset s = {0};
    if (named_set(p, what, opposite != in_negated, &s) && opposite && !charset_negate(&s))
        p->r->st = err_no_memory(p->r->e);
    if (p->r->st == ST_OK && !charset_union(out, &s)) p->r->st = err_no_memory(p->r->e);
    charset_free(&s);
}

static bool eat_named(struct parser *p, char *letter) {
    if (p->at + 1 >= p->end || *p->at != '\\' || strchr("dDwWsS", p->at[1]) == NULL) return false;
    *letter = p->at[1];
    p->at += 2;
    return true;
}

static uint32_t class_char(struct parser *p) {
    if (eat(p, "\\")) {
        if (p->at == p->end) fail(p, "trailing backslash");
        if (eat(p, "b")) return '\b';
        return ok(p) ? escaped_char(p) : 0;
    }
    uint32_t c;
    p->at += utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    return c;
}

static void class_item(struct parser *p, bool negated, struct charset *set) {
    char letter;
    if (eat_named(p, &letter)) {
        add_named(p, letter, negated, set);
        return;
    }
    uint32_t lo = class_char(p), hi = lo;
    if (p->end - p->at >= 2 && *p->at == '-' && p->at[1] != ']' &&
        !(p->at[1] == '\\' && p->end - p->at >= 3 && strchr("dDwWsS", p->at[2]) != NULL)) {
        p->at++;
        hi = class_char(p);
        if (hi < lo) fail(p, "a range is the wrong way round");
    }
    if (ok(p) && !charset_add(set, lo, hi)) p->r->st = err_no_memory(p->r->e);
}

static struct expr *class(struct parser *p) {
    struct charset set = {0};
    bool negated = eat(p, "^");
    while (ok(p) && p->at < p->end && *p->at != ']') class_item(p, negated, &set);
    if (ok(p) && !eat(p, "]")) fail(p, "unterminated character class");
    if (ok(p) && negated && !charset_negate(&set)) p->r->st = err_no_memory(p->r->e);
    struct expr *x = ok(p) ? expr_chars(p->r, &set) : NULL;
    charset_free(&set);
    return x;
}

/* Any character but the line ends of both kinds of engines. */
static struct expr *dot(struct parser *p) {
    struct char_range all[] = {{0, '\t'}, {0x0B, 0x0C}, {0x0E, 0x2027}, {0x202A, CHAR_LAST}};
    return expr_chars(p->r, &(struct charset){.range = all, .n = 4});
}

/* ---- groups ---- */

static void skip_name(struct parser *p) {
    while (p->at < p->end && *p->at != '>') p->at++;
    if (!eat(p, ">")) fail(p, "the group's name has no end");
}

static struct expr *close_group(struct parser *p) {
    struct expr *x = alternatives(p);
    if (ok(p) && !eat(p, ")")) fail(p, "unbalanced parentheses");
    return x;
}

static struct expr *lookahead(struct parser *p, bool negated) {
    if (!p->at_start || p->depth != 1 || p->n_looks == LOOKS_MAX) {
        not_here(p, "lookahead");
        return NULL;
    }
    struct expr *x = close_group(p);
    p->at_start = true;
    p->look[p->n_looks++] = (struct look){x, negated};
    return expr_new(p->r, EXPR_SEQ);
}

static struct expr *group(struct parser *p) {
    struct expr *x = NULL;
    if (++p->depth > GRAMMAR_DEPTH_MAX) {
        rules_fail(p->r, ST_LIMIT, "a pattern is nested deeper than %d", GRAMMAR_DEPTH_MAX);
        return NULL;
    }
    if (eat(p, "?=") || eat(p, "?!")) {
        x = lookahead(p, p->at[-1] == '!');
    } else if (eat(p, "?<=") || eat(p, "?<!")) {
        not_here(p, "lookbehind");
    } else {
        if (eat(p, "?P<") || eat(p, "?<"))
            skip_name(p);
        else if (p->at < p->end && *p->at == '?' && !eat(p, "?:"))
            not_here(p, "group flags");
        p->at_start = false;
        if (ok(p)) x = close_group(p);
    }
    p->depth--;
    return x;
}

/* ---- atoms, repetition ---- */

static struct expr *escaped(struct parser *p) {
    char letter;
    if (eat_named(p, &letter)) {
        struct charset set = {0};
        add_named(p, letter, false, &set);
        struct expr *x = ok(p) ? expr_chars(p->r, &set) : NULL;
        charset_free(&set);
        return x;
    }
    p->at++;
    if (p->at == p->end) fail(p, "trailing backslash");
    uint32_t c = ok(p) ? escaped_char(p) : 0;
    return ok(p) ? expr_char(p->r, c) : NULL;
}

static struct expr *atom(struct parser *p) {
    if (eat(p, "^")) return expr_new(p->r, EXPR_BEGIN);
    if (eat(p, "(")) return group(p);
    p->at_start = false;
    if (eat(p, "$")) return expr_new(p->r, EXPR_FINISH);
    if (eat(p, "[")) return class(p);
    if (eat(p, ".")) return dot(p);
    if (*p->at == '\\') return escaped(p);
    if (strchr("*+?", *p->at) != NULL) fail(p, "nothing to repeat");
    uint32_t c;
    unsigned n = utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    if (utf8_was_bad(p->at, n, c)) fail(p, "not UTF-8");
    p->at += n;
    return ok(p) ? expr_char(p->r, c) : NULL;
}

static uint32_t number(struct parser *p) {
    uint32_t n = 0;
    for (; p->at < p->end && is_digit(*p->at); p->at++)
        if (n < 10000000) n = n * 10 + (uint32_t)(*p->at - '0');
    return n;
}

/* {n} {n,} {,m} {n,m}; anything else in braces is text, as in most engines. */
static bool braces(struct parser *p, uint32_t *min, uint32_t *max) {
    const char *begin = p->at;
    p->at++;
    bool has_min = p->at < p->end && is_digit(*p->at), has_max = false, comma;
    *min = number(p);
    *max = *min;
    comma = eat(p, ",");
    if (comma) {
        has_max = p->at < p->end && is_digit(*p->at);
        *max = has_max ? number(p) : REPEAT_ENDLESS;
    }
    if ((!has_min && !has_max) || !eat(p, "}")) {
        p->at = begin;
        return false;
    }
    if (*min > *max) fail(p, "the repetition's largest number is below its smallest");
    if (*min > REGEX_COUNT_MAX || (*max > REGEX_COUNT_MAX && *max != REPEAT_ENDLESS))
        rules_fail(p->r, ST_LIMIT, "a pattern repeats something more than %d times",
                   REGEX_COUNT_MAX);
    return true;
}

static bool suffix(struct parser *p, uint32_t *min, uint32_t *max) {
    *min = 0;
    *max = REPEAT_ENDLESS;
    if (eat(p, "*")) return true;
    if (eat(p, "+")) {
        *min = 1;
        return true;
    }
    if (eat(p, "?")) {
        *max = 1;
        return true;
    }
    return p->at < p->end && *p->at == '{' && braces(p, min, max);
}

static struct expr *repeated(struct parser *p) {
    struct expr *x = atom(p);
    uint32_t min, max;
    while (ok(p) && suffix(p, &min, &max)) {
        if (++p->depth > GRAMMAR_DEPTH_MAX)
            rules_fail(p->r, ST_LIMIT, "a pattern is nested deeper than %d", GRAMMAR_DEPTH_MAX);
        if (x != NULL && x->kind == EXPR_REPEAT && max == 1 && min == 0) continue; /* lazy */
        p->at_start = false;
        x = expr_repeat(p->r, x, min, max);
        p->depth--;
    }
    return x;
}

static struct expr *sequence(struct parser *p) {
    struct expr *x = expr_new(p->r, EXPR_SEQ);
    while (ok(p) && p->at < p->end && *p->at != '|' && *p->at != ')') expr_add(x, repeated(p));
    return x;
}

static struct expr *alternatives(struct parser *p) {
    struct expr *x = expr_new(p->r, EXPR_ALT);
    expr_add(x, sequence(p));
    while (ok(p) && eat(p, "|")) {
        if (p->depth == 0 && p->n_looks > 0) not_here(p, "lookahead in an alternative");
        p->at_start = false;
        expr_add(x, sequence(p));
    }
    return x;
}

/* ---- the whole ---- */

/* A lookahead at the very beginning is a condition on the text: it begins with a match. */
static const struct dfa *with_looks(struct parser *p, const struct dfa *d) {
    for (size_t i = 0; i < p->n_looks && p->r->st == ST_OK; i++) {
        struct expr *seq = expr_new(p->r, EXPR_SEQ), *begin = expr_new(p->r, EXPR_BEGIN);
        struct expr *what = expr_new(p->r, EXPR_ALT);
        if (p->r->st != ST_OK) return NULL;
        what->first = p->look[i].what->first;
        what->last = p->look[i].what->last;
        expr_add(seq, begin);
        expr_add(seq, what);
        const struct dfa *look = dfa_of_expr(p->r, seq, true);
        if (p->look[i].negated) look = dfa_not(p->r, look);
        d = dfa_and(p->r, d, look);
    }
    return d;
}

const struct dfa *regex_dfa(struct rules *r, const char *text, size_t len, bool search,
                            const char **unsupported) {
    struct parser p = {.r = r, .text = text, .end = text + len, .at = text, .at_start = true};
    *unsupported = NULL;
    struct expr *x = alternatives(&p);
    if (ok(&p) && p.at < p.end) fail(&p, "unbalanced parentheses");
    /* Lookahead counts from the start only if the text does. */
    if (p.n_looks > 0 && search && (len == 0 || text[0] != '^')) not_here(&p, "lookahead");
    *unsupported = p.unsupported;
    if (!ok(&p)) return NULL;
    return with_looks(&p, dfa_of_expr(r, x, search));
}

const struct dfa *regex_own(struct rules *r, const char *text) {
    const char *unsupported;
    return regex_dfa(r, text, strlen(text), false, &unsupported);
}

void regex_compile(struct rules *r, const char *text, size_t len) {
    const char *unsupported;
    const struct dfa *d = regex_dfa(r, text, len, false, &unsupported);
    if (unsupported != NULL)
        rules_fail(r, ST_INVALID, "Invalid pattern %.*s: %s are not supported",
                   (int)(len > 200 ? 200 : len), text, unsupported);
    if (d != NULL && dfa_is_empty(d)) rules_fail(r, ST_INVALID, "no text matches the pattern");
    r->root = rules_rule(r, "root", 4);
    rules_define(r, r->root);
    if (r->st == ST_OK) dfa_emit(r, d, r->rule[r->root].start, r->rule[r->root].end);
}
