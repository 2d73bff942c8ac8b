/* gbnf.c - llama.cpp's grammar notation (spec/sampling.md 10.1) into rules.
 *
 * A parser by recursive descent; its depth is that of the parentheses, at most GRAMMAR_DEPTH_MAX.
 * Errors name line and column. Nullable repetition, which the peer refuses, is supported; true left
 * recursion is refused by rules_finish(). */
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "engine/grammar/expr.h"
#include "engine/grammar/source.h"
#include "engine/vocab/vocab.h"

enum { COUNT_MAX = 2000 }; /* of {n,m}: larger n is an error, larger m is no bound */

struct parser {
    struct rules *r;
    const struct vocab *vocab;
    const char *text, *end, *at;
    unsigned depth;
};

static struct expr *alternatives(struct parser *p);

/* ---- errors, spaces ---- */

static void fail(struct parser *p, const char *what) {
    unsigned line = 1, column = 1;
    for (const char *s = p->text; s < p->at; s++) {
        column = *s == '\n' ? 1 : column + 1;
        line += *s == '\n';
    }
    rules_fail(p->r, ST_INVALID, "grammar, line %u, column %u: %s", line, column, what);
}

static bool ok(const struct parser *p) { return p->r->st == ST_OK; }
static bool is_at(const struct parser *p, char c) { return p->at < p->end && *p->at == c; }

static void skip(struct parser *p, bool newlines) {
    while (p->at < p->end) {
        char c = *p->at;
        if (c == '#') {
            while (p->at < p->end && *p->at != '\n' && *p->at != '\r') p->at++;
        } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
            p->at++;
        } else {
            return;
        }
    }
}

static bool eat(struct parser *p, char c) {
    if (!is_at(p, c)) return false;
    p->at++;
    return true;
}

/* ---- characters ---- */

static uint32_t hex(struct parser *p, int digits) {
    uint32_t v = 0;
    for (; digits > 0; digits--, p->at++) {
        char c = p->at < p->end ? *p->at : '\0';
        int d = hex_value(c);
        if (d < 0) {
            fail(p, "a hexadecimal digit is missing");
            return 0;
        }
        v = v << 4 | (uint32_t)d;
    }
    if (v > CHAR_LAST) fail(p, "no such character");
    return v;
}

static uint32_t escape(struct parser *p) {
    char c = p->at < p->end ? *p->at : '\0';
    p->at++;
    switch (c) {
    case 'x':
        return hex(p, 2);
    case 'u':
        return hex(p, 4);
    case 'U':
        return hex(p, 8);
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '"':
    case '\\':
    case '[':
    case ']':
    case '-':
        return (uint32_t)c;
    default:
        p->at--;
        fail(p, "unknown escape");
        return 0;
    }
}

static uint32_t character(struct parser *p) {
    if (eat(p, '\\')) return escape(p);
    uint32_t c;
    unsigned n = utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    if (utf8_was_bad(p->at, n, c)) fail(p, "not UTF-8");
    p->at += n;
    return c;
}

static struct expr *literal(struct parser *p) {
    struct expr *x = expr_new(p->r, EXPR_TEXT);
    const char *quote = p->at;
    while (quote < p->end && *quote != '"') quote += *quote == '\\' ? 2 : 1;
    /* An escape is never shorter than its character. */
    char *text = arena_alloc(&p->r->scratch, (size_t)(quote - p->at) + 2);
    if (text == NULL || x == NULL) {
        if (ok(p)) p->r->st = err_no_memory(p->r->e);
        return NULL;
    }
    while (ok(p) && p->at < p->end && *p->at != '"') {
        uint32_t c = character(p);
        if (c >= SURROGATE_FIRST && c <= SURROGATE_LAST) fail(p, "half of a character");
        if (ok(p)) x->len += utf8_encode(c, text + x->len);
    }
    x->text = text;
    if (ok(p) && !eat(p, '"')) fail(p, "the text has no end");
    return x;
}

static struct expr *class(struct parser *p) {
    struct charset set = {0};
    struct expr *x = NULL;
    bool negated = eat(p, '^'), empty = is_at(p, ']');
    while (ok(p) && p->at < p->end && *p->at != ']') {
        uint32_t lo = character(p), hi = lo;
        if (is_at(p, '-') && p->at + 1 < p->end && p->at[1] != ']') {
            p->at++;
            hi = character(p);
        }
        if (ok(p) && !charset_add(&set, lo, hi)) p->r->st = err_no_memory(p->r->e);
    }
    if (ok(p) && !eat(p, ']')) fail(p, "the character class has no end");
    if (ok(p) && negated && !charset_negate(&set)) p->r->st = err_no_memory(p->r->e);
    if (ok(p)) x = empty ? expr_new(p->r, EXPR_SEQ) : expr_chars(p->r, &set);
    charset_free(&set);
    return x;
}

static struct expr *any(struct parser *p) {
    struct char_range all = {0, CHAR_LAST};
    return expr_chars(p->r, &(struct charset){.range = &all, .n = 1});
}

/* ---- tokens ---- */

static uint32_t token_of_id(struct parser *p, const char *s, size_t len) {
    uint32_t id = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || id > 100000000) len = 0;
        id = id * 10 + (uint32_t)(s[i] - '0');
    }
    if (len == 0) fail(p, "a token's number is expected");
    return id;
}

static uint32_t token_of_text(struct parser *p, const char *s, size_t len) {
    struct token_list ids = {0};
    if (p->vocab == NULL) {
        fail(p, "tokens can only be named where there is a model");
        return 0;
    }
    enum status st = vocab_encode(p->vocab, s, len, VOCAB_PARSE_SPECIAL, &ids, p->r->e);
    uint32_t id = ids.len == 1 ? (uint32_t)ids.ids[0] : 0;
    if (st != ST_OK)
        p->r->st = st;
    else if (ids.len != 1)
        fail(p, "the text between < and > is not one token");
    token_list_free(&ids);
    return id;
}

static struct expr *token(struct parser *p, bool negated) {
    const char *start = p->at, *close = memchr(p->at, '>', (size_t)(p->end - p->at));
    struct expr *x = expr_new(p->r, EXPR_TOKEN);
    if (close == NULL) {
        fail(p, "the token has no end");
        return NULL;
    }
    size_t len = (size_t)(close - start);
    bool by_id = len >= 2 && start[0] == '[' && close[-1] == ']';
    uint32_t id = by_id ? token_of_id(p, start + 1, len - 2)
                        : token_of_text(p, start - 1, len + 2); /* with its brackets */
    if (!ok(p) || x == NULL) return NULL;
    p->at = close + 1;
    x->arg = id;
    x->negated = negated;
    return x;
}

/* ---- items ---- */

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static size_t name_len(const struct parser *p) {
    size_t n = 0;
    while (p->at + n < p->end && is_name_char(p->at[n])) n++;
    return n;
}

static struct expr *call(struct parser *p) {
    size_t n = name_len(p);
    struct expr *x = expr_new(p->r, EXPR_CALL);
    if (n == 0) fail(p, "a text, class, rule or group is expected");
    if (!ok(p)) return NULL;
    x->arg = rules_rule(p->r, p->at, n);
    p->at += n;
    return x;
}

static struct expr *group(struct parser *p) {
    if (++p->depth > GRAMMAR_DEPTH_MAX) {
        rules_fail(p->r, ST_LIMIT, "the grammar is nested deeper than %d", GRAMMAR_DEPTH_MAX);
        return NULL;
    }
    struct expr *x = alternatives(p);
    p->depth--;
    skip(p, true);
    if (ok(p) && !eat(p, ')')) fail(p, "')' is missing");
    return x;
}

static struct expr *item(struct parser *p) {
    if (eat(p, '"')) return literal(p);
    if (eat(p, '[')) return class(p);
    if (eat(p, '.')) return any(p);
    if (eat(p, '(')) return group(p);
    if (eat(p, '<')) return token(p, false);
    if (is_at(p, '!') && p->at + 1 < p->end && p->at[1] == '<') {
        p->at += 2;
        return token(p, true);
    }
    return call(p);
}

/* ---- repetition ---- */

static uint32_t number(struct parser *p) {
    uint32_t n = 0;
    if (p->at == p->end || *p->at < '0' || *p->at > '9') fail(p, "a number is expected");
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        if (n < 1000000) n = n * 10 + (uint32_t)(*p->at - '0');
    return n;
}

static void braces(struct parser *p, uint32_t *min, uint32_t *max) {
    skip(p, p->depth > 0);
    *min = *max = number(p);
    skip(p, p->depth > 0);
    if (ok(p) && eat(p, ',')) {
        skip(p, p->depth > 0);
        *max = is_at(p, '}') ? REPEAT_ENDLESS : number(p);
        skip(p, p->depth > 0);
    }
    if (ok(p) && !eat(p, '}')) fail(p, "'}' is missing");
    if (ok(p) && *min > COUNT_MAX) fail(p, "more than 2000 repetitions");
    if (ok(p) && *max < *min) fail(p, "the repetition's largest number is below its smallest");
    if (*max > COUNT_MAX) *max = REPEAT_ENDLESS;
}

static bool suffix(struct parser *p, uint32_t *min, uint32_t *max) {
    *min = 0;
    *max = REPEAT_ENDLESS;
    if (eat(p, '*')) return true;
    if (eat(p, '+')) {
        *min = 1;
        return true;
    }
    if (eat(p, '?')) {
        *max = 1;
        return true;
    }
    if (!eat(p, '{')) return false;
    braces(p, min, max);
    return true;
}

static struct expr *repeated(struct parser *p) {
    struct expr *x = item(p);
    uint32_t min, max;
    unsigned n = 0;
    skip(p, p->depth > 0);
    while (ok(p) && suffix(p, &min, &max)) {
        if (++n + p->depth > GRAMMAR_DEPTH_MAX) {
            rules_fail(p->r, ST_LIMIT, "the grammar is nested deeper than %d", GRAMMAR_DEPTH_MAX);
            return NULL;
        }
        x = expr_repeat(p->r, x, min, max);
        skip(p, p->depth > 0);
    }
    return x;
}

/* ---- sequences, alternatives, rules ---- */

static bool sequence_ends(const struct parser *p) {
    return p->at == p->end || *p->at == '|' || *p->at == ')' || *p->at == '\n' || *p->at == '\r';
}

static struct expr *sequence(struct parser *p) {
    struct expr *x = expr_new(p->r, EXPR_SEQ);
    skip(p, p->depth > 0);
    while (ok(p) && !sequence_ends(p)) {
        expr_add(x, repeated(p));
        skip(p, p->depth > 0);
    }
    return x;
}

static struct expr *alternatives(struct parser *p) {
    struct expr *x = expr_new(p->r, EXPR_ALT);
    expr_add(x, sequence(p));
    while (ok(p) && eat(p, '|')) {
        skip(p, true);
        expr_add(x, sequence(p));
    }
    return x;
}

static bool eat_assign(struct parser *p) {
    if (p->end - p->at < 3 || memcmp(p->at, "::=", 3) != 0) return false;
    p->at += 3;
    return true;
}

static void rule(struct parser *p) {
    size_t n = name_len(p);
    if (n == 0) fail(p, "a rule's name is expected");
    uint32_t id = rules_rule(p->r, p->at, n);
    p->at += n;
    skip(p, false);
    if (ok(p) && !eat_assign(p)) fail(p, "'::=' is expected");
    skip(p, true);
    struct expr *x = alternatives(p);
    if (ok(p) && p->at < p->end && *p->at != '\n' && *p->at != '\r')
        fail(p, "the rule should end here");
    rules_define(p->r, id);
    if (ok(p)) expr_emit(p->r, x, p->r->rule[id].start, p->r->rule[id].end);
}

void gbnf_compile(struct rules *r, const char *text, size_t len, const struct vocab *vocab) {
    struct parser p = {.r = r, .vocab = vocab, .text = text, .end = text + len, .at = text};
    r->root = rules_rule(r, "root", 4);
    r->may_be_empty = true; /* [z-a] is allowed to match nothing */
    for (skip(&p, true); ok(&p) && p.at < p.end; skip(&p, true)) rule(&p);
    if (ok(&p) && !r->rule[r->root].defined)
        rules_fail(r, ST_INVALID, "the grammar has no rule named root");
}
