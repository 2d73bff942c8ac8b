/* json_text.c - see json_text.h. */
#include "engine/grammar/json_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/grammar/source.h"

enum { INDENT_MAX = 20, DIGITS_MAX = 16, WIDE_RANGE = 128 };

static uint32_t start(const struct rules *r, uint32_t rule) { return r->rule[rule].start; }
static uint32_t end(const struct rules *r, uint32_t rule) { return r->rule[rule].end; }

static uint32_t new_rule(struct rules *r, const char *name) {
    uint32_t rule = rules_rule(r, name, strlen(name));
    rules_define(r, rule);
    return rule;
}

static void text(struct rules *r, uint32_t from, uint32_t to, const char *s) {
    rules_text(r, from, to, s, strlen(s));
}

static void hex_digit(struct rules *r, uint32_t from, uint32_t to) {
    rules_bytes(r, from, to, '0', '9');
    rules_bytes(r, from, to, 'a', 'f');
    rules_bytes(r, from, to, 'A', 'F');
}

/* ---- strings ---- */

static const struct char_range PLAIN[] = {
    {0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x7E}, {0x80, CHAR_LAST}};

static void plain_char(struct rules *r, uint32_t from, uint32_t to) {
    struct char_range range[4];
    memcpy(range, PLAIN, sizeof range);
    rules_chars(r, from, to, &(struct charset){.range = range, .n = 4});
}

uint32_t json_plain_chars(const char *s, size_t len) {
    uint32_t n = 0;
    for (size_t at = 0; at < len; n++) {
        uint32_t c;
        unsigned k = utf8_decode(s + at, len - at, &c);
        bool plain = false;
        for (size_t i = 0; i < 4; i++) plain = plain || (c >= PLAIN[i].lo && c <= PLAIN[i].hi);
        if (!plain || utf8_was_bad(s + at, k, c)) return 0;
        at += k;
    }
    return n;
}

static void short_escapes(struct rules *r, uint32_t from, uint32_t to) {
    for (const char *s = "\"\\bfnrt"; *s != '\0'; s++)
        rules_bytes(r, from, to, (uint8_t)*s, (uint8_t)*s);
}

/* One character; string_char(.., from, from) makes a circle. */
static void string_char(struct rules *r, uint32_t from, uint32_t to) {
    uint32_t slash = rules_node(r), u = rules_node(r);
    plain_char(r, from, to);
    rules_bytes(r, from, slash, '\\', '\\');
    short_escapes(r, slash, to);
    rules_bytes(r, slash, u, 'u', 'u');
    for (int i = 0; i < 4; i++) {
        uint32_t next = i < 3 ? rules_node(r) : to;
        hex_digit(r, u, next);
        u = next;
    }
}

/* ---- characters of a language, escaped ---- */

/* Places inside of an escape that begins in one state of the language. */
struct escape {
    uint32_t from, slash, u;
    bool has_slash, has_u;
};

static uint32_t after_slash(struct rules *r, struct escape *x) {
    if (!x->has_slash) {
        x->slash = rules_node(r);
        rules_bytes(r, x->from, x->slash, '\\', '\\');
        x->has_slash = true;
    }
    return x->slash;
}

static uint32_t after_u(struct rules *r, struct escape *x) {
    if (!x->has_u) {
        x->u = rules_node(r);
        rules_bytes(r, after_slash(r, x), x->u, 'u', 'u');
        x->has_u = true;
    }
    return x->u;
}

static void digit_range(struct rules *r, uint32_t from, uint32_t to, uint32_t lo, uint32_t hi) {
    if (lo < 10) rules_bytes(r, from, to, (uint8_t)('0' + lo), (uint8_t)('0' + (hi < 10 ? hi : 9)));
    if (hi < 10) return;
    uint32_t a = lo < 10 ? 0 : lo - 10, b = hi - 10;
    rules_bytes(r, from, to, (uint8_t)('a' + a), (uint8_t)('a' + b));
    rules_bytes(r, from, to, (uint8_t)('A' + a), (uint8_t)('A' + b));
}

/* lo..hi as n hexadecimal digits; the same splitting as for UTF-8. */
static void hex_range(struct rules *r, uint32_t from, uint32_t to, uint32_t lo, uint32_t hi,
                      int n) {
    const int shift = 4 * (n - 1);
    const uint32_t rest = (1u << shift) - 1;
    uint32_t first = lo >> shift, last = hi >> shift;
    if (n == 1) {
        digit_range(r, from, to, lo, hi);
        return;
    }
    if (first == last || (lo & rest) != 0) {
        uint32_t next = rules_node(r);
        digit_range(r, from, next, first, first);
        hex_range(r, next, to, lo & rest, first == last ? hi & rest : rest, n - 1);
        if (first++ == last) return;
    }
    if ((hi & rest) != rest) {
        uint32_t next = rules_node(r);
        digit_range(r, from, next, last, last);
        hex_range(r, next, to, 0, hi & rest, n - 1);
        if (last-- == first) return;
    }
    if (first > last) return;
    uint32_t next = rules_node(r);
    digit_range(r, from, next, first, last);
    hex_range(r, next, to, 0, rest, n - 1);
}

static void pairs(struct rules *r, struct escape *x, uint32_t to) {
    uint32_t half = rules_node(r), slash = rules_node(r), u = rules_node(r);
    hex_range(r, after_u(r, x), half, 0xD800, 0xDBFF, 4);
    rules_bytes(r, half, slash, '\\', '\\');
    rules_bytes(r, slash, u, 'u', 'u');
    hex_range(r, u, to, 0xDC00, 0xDFFF, 4);
}

static void escape_range(struct rules *r, struct escape *x, uint32_t to, uint32_t lo, uint32_t hi) {
    if (lo <= 0xD7FF) hex_range(r, after_u(r, x), to, lo, hi < 0xD7FF ? hi : 0xD7FF, 4);
    if (hi >= 0xE000 && lo <= 0xFFFF)
        hex_range(r, after_u(r, x), to, lo > 0xE000 ? lo : 0xE000, hi < 0xFFFF ? hi : 0xFFFF, 4);
    if (lo <= 0x10000 && hi == CHAR_LAST) pairs(r, x, to);
}

static bool has(uint32_t lo, uint32_t hi, uint32_t c) { return lo <= c && c <= hi; }

/* Characters lo..hi: as they are where JSON allows it, by their short escapes, and as \uXXXX where
 * nothing else would do or the range is so wide that a model may want to. */
static void escaped_range(struct rules *r, struct escape *x, uint32_t to, uint32_t lo,
                          uint32_t hi) {
    static const char letter[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    for (size_t i = 0; i < 4; i++) {
        struct char_range both = {lo > PLAIN[i].lo ? lo : PLAIN[i].lo,
                                  hi < PLAIN[i].hi ? hi : PLAIN[i].hi};
        if (both.lo <= both.hi)
            rules_chars(r, x->from, to, &(struct charset){.range = &both, .n = 1});
    }
    for (size_t i = 0; letter[i] != '\0'; i++)
        if (has(lo, hi, (unsigned char)meant[i]))
            rules_bytes(r, after_slash(r, x), to, (uint8_t)letter[i], (uint8_t)letter[i]);
    if (hi - lo >= WIDE_RANGE) {
        escape_range(r, x, to, lo, hi);
        return;
    }
    if (lo < 0x20) escape_range(r, x, to, lo, hi < 0x1F ? hi : 0x1F);
    if (has(lo, hi, 0x7F)) escape_range(r, x, to, 0x7F, 0x7F);
}

void json_string_of_dfa(struct rules *r, const struct dfa *d, uint32_t from, uint32_t to) {
    uint32_t *node = d != NULL ? arena_alloc(&r->scratch, d->n * sizeof *node) : NULL;
    if (node == NULL) {
        if (d != NULL && r->st == ST_OK) r->st = err_no_memory(r->e);
        return;
    }
    for (uint32_t i = 0; i < d->n; i++) node[i] = rules_node(r);
    rules_bytes(r, from, node[0], '"', '"');
    for (uint32_t i = 0; i < d->n && r->st == ST_OK; i++) {
        struct escape x = {.from = node[i]};
        if (d->state[i].accepts) rules_bytes(r, node[i], to, '"', '"');
        for (uint32_t k = 0; k < d->state[i].n; k++) {
            const struct dfa_edge *e = &d->state[i].edge[k];
            escaped_range(r, &x, node[e->to], e->lo, e->hi);
        }
    }
}

/* ---- numbers ---- */

/* 0, or up to DIGITS_MAX digits that do not begin with 0. */
static void whole_part(struct rules *r, uint32_t from, uint32_t to) {
    uint32_t at = rules_node(r);
    rules_bytes(r, from, to, '0', '0');
    rules_bytes(r, from, at, '1', '9');
    for (int i = 1; i < DIGITS_MAX; i++) {
        uint32_t next = rules_node(r);
        rules_empty(r, at, to);
        rules_bytes(r, at, next, '0', '9');
        at = next;
    }
    rules_empty(r, at, to);
}

static void optional_minus(struct rules *r, uint32_t from, uint32_t to) {
    rules_empty(r, from, to);
    rules_bytes(r, from, to, '-', '-');
}

static void fraction(struct rules *r, uint32_t from, uint32_t to) {
    uint32_t at = rules_node(r);
    rules_empty(r, from, to);
    rules_bytes(r, from, at, '.', '.');
    for (int i = 0; i < DIGITS_MAX; i++) {
        uint32_t next = rules_node(r);
        rules_bytes(r, at, next, '0', '9');
        rules_empty(r, next, to);
        at = next;
    }
}

static void exponent(struct rules *r, uint32_t from, uint32_t to, uint32_t whole) {
    uint32_t sign = rules_node(r), digits = rules_node(r);
    rules_empty(r, from, to);
    rules_bytes(r, from, sign, 'e', 'e');
    rules_bytes(r, from, sign, 'E', 'E');
    optional_minus(r, sign, digits);
    rules_bytes(r, sign, digits, '+', '+');
    rules_call(r, digits, to, whole);
}

static void numbers(struct rules *r, struct json_rules *j) {
    uint32_t whole = new_rule(r, "(whole)");
    j->integer = new_rule(r, "(integer)");
    j->number = new_rule(r, "(number)");
    if (r->st != ST_OK) return;
    uint32_t a = rules_node(r), b = rules_node(r), c = rules_node(r), d = rules_node(r);
    whole_part(r, start(r, whole), end(r, whole));
    optional_minus(r, start(r, j->integer), a);
    rules_call(r, a, end(r, j->integer), whole);
    optional_minus(r, start(r, j->number), b);
    rules_call(r, b, c, whole);
    fraction(r, c, d);
    exponent(r, d, end(r, j->number), whole);
}

/* ---- the rest ---- */

static void space(struct rules *r, uint32_t from, uint32_t to) {
    uint32_t one = rules_node(r), at = rules_node(r);
    rules_empty(r, from, to);
    rules_bytes(r, from, to, ' ', ' ');
    rules_bytes(r, from, one, '\n', '\n');
    rules_bytes(r, one, at, '\n', '\n');
    rules_empty(r, one, at);
    for (int i = 0; i < INDENT_MAX; i++) {
        uint32_t next = rules_node(r);
        rules_empty(r, at, to);
        rules_bytes(r, at, next, ' ', ' ');
        rules_bytes(r, at, next, '\t', '\t');
        at = next;
    }
    rules_empty(r, at, to);
}

/* open space ( item ( "," space item )* )? space close; item: what `put` writes. */
static void list(struct rules *r, const struct json_rules *j, uint32_t rule, char open, char close,
                 uint32_t item) {
    uint32_t from = start(r, rule), a = rules_node(r), b = rules_node(r), behind = rules_node(r),
             c = rules_node(r), d = rules_node(r);
    rules_bytes(r, from, a, (uint8_t)open, (uint8_t)open);
    rules_call(r, a, b, j->space);
    rules_call(r, b, behind, item);
    rules_bytes(r, behind, c, ',', ',');
    rules_call(r, c, d, j->space);
    rules_call(r, d, behind, item);
    uint32_t last = rules_node(r), e = rules_node(r);
    rules_empty(r, b, last);
    rules_empty(r, behind, last);
    rules_call(r, last, e, j->space);
    rules_bytes(r, e, end(r, rule), (uint8_t)close, (uint8_t)close);
}

void json_prelude(struct rules *r, struct json_rules *j) {
    j->space = new_rule(r, "(space)");
    j->one_char = new_rule(r, "(char)");
    j->strict_char = new_rule(r, "(strict char)");
    j->string_tail = new_rule(r, "(string tail)");
    j->string = new_rule(r, "(string)");
    j->boolean = new_rule(r, "(boolean)");
    j->null = new_rule(r, "(null)");
    j->object = new_rule(r, "(object)");
    j->array = new_rule(r, "(array)");
    j->value = new_rule(r, "(value)");
    uint32_t member = new_rule(r, "(member)");
    numbers(r, j);
    if (r->st != ST_OK) return;
    space(r, start(r, j->space), end(r, j->space));
    string_char(r, start(r, j->one_char), end(r, j->one_char));
    struct escape x = {.from = start(r, j->strict_char)};
    escaped_range(r, &x, end(r, j->strict_char), 0, CHAR_LAST);
    uint32_t inside = rules_node(r), a = rules_node(r), b = rules_node(r), c = rules_node(r);
    rules_empty(r, start(r, j->string_tail), inside);
    string_char(r, inside, inside);
    rules_bytes(r, inside, end(r, j->string_tail), '"', '"');
    rules_bytes(r, start(r, j->string), a, '"', '"');
    rules_call(r, a, end(r, j->string), j->string_tail);
    text(r, start(r, j->boolean), end(r, j->boolean), "true");
    text(r, start(r, j->boolean), end(r, j->boolean), "false");
    text(r, start(r, j->null), end(r, j->null), "null");
    rules_call(r, start(r, member), b, j->string);
    rules_bytes(r, b, c, ':', ':');
    uint32_t d = rules_node(r);
    rules_call(r, c, d, j->space);
    rules_call(r, d, end(r, member), j->value);
    list(r, j, j->object, '{', '}', member);
    list(r, j, j->array, '[', ']', j->value);
    const uint32_t kinds[] = {j->object, j->array, j->string, j->number, j->boolean, j->null};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        rules_call(r, start(r, j->value), end(r, j->value), kinds[i]);
    r->n_prelude = r->n_nodes;
    r->counted = j->strict_char;
}

void json_literal_string(struct rules *r, const char *s, size_t len, uint32_t from, uint32_t to) {
    struct buf b = {0};
    buf_chr(&b, '"');
    for (size_t i = 0; i < len; i++) {
        static const char letter[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
        const char *k = s[i] != '\0' ? strchr(meant, s[i]) : NULL;
        if (k != NULL)
            buf_printf(&b, "\\%c", letter[k - meant]);
        else if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F)
            buf_printf(&b, "\\u%04x", (unsigned char)s[i]);
        else
            buf_chr(&b, s[i]);
    }
    buf_chr(&b, '"');
    if (b.failed)
        r->st = err_no_memory(r->e);
    else
        rules_text(r, from, to, b.data, b.len);
    buf_free(&b);
}

static void literal_list(struct rules *r, const json *v, uint32_t from, uint32_t to) {
    const bool object = json_kind(v) == JSON_OBJECT;
    const uint8_t open = object ? '{' : '[', close = object ? '}' : ']';
    uint32_t at = rules_node(r);
    rules_bytes(r, from, at, open, open);
    for (const json *m = json_first(v); m != NULL && r->st == ST_OK; m = json_next(m)) {
        uint32_t next = rules_node(r), value = rules_node(r);
        if (m != json_first(v)) {
            rules_bytes(r, at, next, ',', ',');
            at = next;
            next = rules_node(r);
        }
        if (object) {
            uint32_t colon = rules_node(r);
            json_literal_string(r, json_key(m), strlen(json_key(m)), at, colon);
            rules_bytes(r, colon, value, ':', ':');
            at = value;
        }
        json_literal(r, m, at, next);
        at = next;
    }
    rules_bytes(r, at, to, close, close);
}

/* Depth is bounded by json_parse. */
void json_literal(struct rules *r, const json *v, uint32_t from, uint32_t to) {
    size_t len;
    const char *s = json_string_n(v, &len);
    struct buf b = {0};
    if (s != NULL) {
        json_literal_string(r, s, len, from, to);
    } else if (json_kind(v) == JSON_OBJECT || json_kind(v) == JSON_ARRAY) {
        literal_list(r, v, from, to);
    } else {
        json_print(&b, v);
        if (b.failed)
            r->st = err_no_memory(r->e);
        else
            rules_text(r, from, to, b.data, b.len);
        buf_free(&b);
    }
}

/* ---- "format": "json" (spec/sampling.md 10.3), runs of white space bounded ---- */

static const char JSON_MODE[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? ws \"}\"\n"
    "array ::= \"[\" ws (value (\",\" ws value)*)? ws \"]\"\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt/] | \"u\" "
    "[0-9a-fA-F]{4}))* \"\\\"\"\n"
    "number ::= \"-\"? ([0-9] | [1-9] [0-9]*) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)?\n"
    "ws ::= [ \\t\\n]{0,64}\n";

void json_mode_compile(struct rules *r) { gbnf_compile(r, JSON_MODE, sizeof JSON_MODE - 1, NULL); }
