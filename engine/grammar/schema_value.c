/* schema_value.c - constants, strings, numbers and arrays (schema.h). */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/grammar/regex.h"
#include "engine/grammar/schema.h"

/* ---- constants ---- */

static bool same_number(const json *a, const json *b) {
    struct decimal x, y;
    return decimal_read(a, &x) && decimal_read(b, &y) && decimal_compare(&x, &y) == 0;
}

/* As JSON schema compares: by value, members in any order. Depth was bounded by json_parse. */
static bool same_value(const json *a, const json *b) {
    size_t n, m;
    bool x = false, y = false;
    if (json_kind(a) != json_kind(b) || json_len(a) != json_len(b)) return false;
    switch (json_kind(a)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        json_bool(a, &x);
        json_bool(b, &y);
        return x == y;
    case JSON_NUMBER:
        return same_number(a, b);
    case JSON_STRING: {
        const char *s = json_string_n(a, &n), *t = json_string_n(b, &m);
        return n == m && memcmp(s, t, n) == 0;
    }
    case JSON_ARRAY:
        for (a = json_first(a), b = json_first(b); a != NULL; a = json_next(a), b = json_next(b))
            if (!same_value(a, b)) return false;
        return true;
    default:
        for (a = json_first(a); a != NULL; a = json_next(a)) {
            const json *other = schema_get(b, json_key(a));
            if (other == NULL || !same_value(a, other)) return false;
        }
        return true;
    }
}

static unsigned type_of_value(const json *v) {
    struct decimal d;
    switch (json_kind(v)) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_BOOL:
        return TYPE_BOOLEAN;
    case JSON_NUMBER:
        return decimal_read(v, &d) && d.n == d.n_whole ? TYPE_INTEGER : TYPE_FRACTION;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    default:
        return TYPE_OBJECT;
    }
}

static bool is_among(const json *v, const json *list) {
    for (const json *m = json_first(list); m != NULL; m = json_next(m))
        if (same_value(v, m)) return true;
    return false;
}

static bool within_bounds(const struct number_facts *f, const json *v) {
    struct decimal d;
    if (!decimal_read(v, &d)) return true;
    int lo = f->has_lo ? decimal_compare(&d, &f->lo) : 1;
    int hi = f->has_hi ? decimal_compare(&d, &f->hi) : -1;
    return lo >= (f->lo_open ? 1 : 0) && hi <= (f->hi_open ? -1 : 0);
}

static void read_bounds(const struct entries *what, struct number_facts *f);

/* Whether a value that is given in one of the schemas satisfies the others, as far as can be told
 * without looking into lists and objects. */
static bool satisfies(struct schema *s, const struct entries *what, const json *v, unsigned types,
                      const struct number_facts *f, const struct dfa *strings) {
    size_t len;
    const char *text = json_string_n(v, &len);
    if ((type_of_value(v) & types) == 0) return false;
    if (text != NULL && strings != NULL && !dfa_matches(strings, text, len)) return false;
    if (json_kind(v) == JSON_NUMBER && !within_bounds(f, v)) return false;
    for (uint32_t i = 0; i < what->n && schema_ok(s); i++) {
        const json *one = schema_get(what->list[i].v, "const");
        const json *list = schema_get(what->list[i].v, "enum");
        if (one != NULL && !same_value(v, one)) return false;
        if (list != NULL && !is_among(v, list)) return false;
    }
    return true;
}

bool schema_constants(struct schema *s, const struct entries *what, unsigned types, uint32_t from,
                      uint32_t to) {
    const json *one = NULL, *list = NULL;
    struct number_facts f = {0};
    bool free = true;
    for (uint32_t i = 0; i < what->n; i++) {
        const json *c = schema_get(what->list[i].v, "const");
        const json *e = schema_get(what->list[i].v, "enum");
        if (e != NULL && (json_kind(e) != JSON_ARRAY || json_len(e) == 0)) {
            schema_fail(s, what->list[i].path, "enum must be a non-empty array");
            return true;
        }
        if (one == NULL) one = c;
        if (list == NULL) list = e;
    }
    if (one == NULL && list == NULL) return false;
    read_bounds(what, &f);
    const struct dfa *strings = schema_string_dfa(s, what, &free);
    for (const json *v = one != NULL ? one : json_first(list); v != NULL && schema_ok(s);
         v = one != NULL ? NULL : json_next(v))
        if (satisfies(s, what, v, types, &f, strings)) json_literal(s->r, v, from, to);
    return true;
}

/* ---- strings ---- */

static const struct {
    const char *name, *pattern;
} FORMATS[] = {
    {"date",
     "(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
     "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
     "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"},
    {"time", "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{3})?"
             "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"},
    {"date-time",
     "(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
     "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
     "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
     "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{3})?"
     "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"},
    {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
    {"ipv4", "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}"
             "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"},
};

static const char *format_pattern(const json *v) {
    const char *name = json_string(schema_get(v, "format"));
    if (name == NULL) return NULL;
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (strcmp(name, FORMATS[i].name) == 0) return FORMATS[i].pattern;
    if (strlen(name) == 5 && strncmp(name, "uuid", 4) == 0 && name[4] >= '1' && name[4] <= '5')
        return FORMATS[3].pattern;
    return NULL;
}

static const struct dfa *both(struct rules *r, const struct dfa *a, const struct dfa *b) {
    return a == NULL ? b : dfa_and(r, a, b);
}

/* Pattern and format of one node. */
static const struct dfa *add_pattern(struct schema *s, const struct entry *x, const struct dfa *d) {
    const json *v = schema_get(x->v, "pattern");
    size_t len;
    const char *text = json_string_n(v, &len), *unsupported, *format = format_pattern(x->v);
    if (v != NULL && text == NULL) schema_fail(s, x->path, "pattern must be a string");
    if (text != NULL) {
        const struct dfa *p = regex_dfa(s->r, text, len, true, &unsupported);
        if (unsupported != NULL) {
            char note[256];
            snprintf(note, sizeof note, "the pattern %.120s is not enforced: it uses %s", text,
                     unsupported);
            schema_note(s, x->path, note);
        } else {
            d = both(s->r, d, p);
        }
    }
    if (format != NULL && schema_ok(s)) d = both(s->r, d, regex_own(s->r, format));
    return d;
}

struct lengths {
    uint32_t min, max;
};

static struct lengths read_lengths(struct schema *s, const struct entries *what, const char *least,
                                   const char *most) {
    struct lengths l = {0, REPEAT_ENDLESS};
    for (uint32_t i = 0; i < what->n; i++) {
        uint32_t n;
        if (schema_count(s, &what->list[i], least, &n) && n > l.min) l.min = n;
        if (schema_count(s, &what->list[i], most, &n) && n < l.max) l.max = n;
    }
    return l;
}

const struct dfa *schema_string_dfa(struct schema *s, const struct entries *what, bool *free) {
    struct lengths l = read_lengths(s, what, "minLength", "maxLength");
    const struct dfa *d = NULL;
    for (uint32_t i = 0; i < what->n && schema_ok(s); i++) d = add_pattern(s, &what->list[i], d);
    bool counted = l.min > 0 || l.max != REPEAT_ENDLESS;
    *free = d == NULL && !counted;
    if (!counted || l.min > l.max) return l.min > l.max ? regex_own(s->r, "[]") : d;
    uint32_t max = l.max >= DFA_MAX ? REPEAT_ENDLESS : l.max;
    if (l.min >= DFA_MAX) {
        schema_fail(s, what->list[0].path, "minLength is more than %d beside a pattern", DFA_MAX);
        return NULL;
    }
    return both(s->r, d, dfa_of_length(s->r, l.min, max));
}

/* Only counted: by repeating the rule of a character. */
static void counted_string(struct schema *s, struct lengths l, uint32_t from, uint32_t to) {
    uint32_t open = rules_node(s->r), close = rules_node(s->r);
    if (l.min > l.max) return;
    rules_bytes(s->r, from, open, '"', '"');
    rules_repeat(s->r, open, close, s->j.strict_char, l.min, l.max);
    rules_bytes(s->r, close, to, '"', '"');
}

void schema_string(struct schema *s, const struct entries *what, uint32_t from, uint32_t to) {
    struct lengths l = read_lengths(s, what, "minLength", "maxLength");
    bool free = true, plain = true;
    for (uint32_t i = 0; i < what->n; i++)
        plain = plain && schema_get(what->list[i].v, "pattern") == NULL &&
                format_pattern(what->list[i].v) == NULL;
    if (!schema_ok(s)) return;
    if (plain && (l.min > 0 || l.max != REPEAT_ENDLESS)) {
        counted_string(s, l, from, to);
        return;
    }
    const struct dfa *d = schema_string_dfa(s, what, &free);
    if (!schema_ok(s)) return;
    if (d == NULL)
        rules_call(s->r, from, to, s->j.string);
    else
        json_string_of_dfa(s->r, d, from, to);
}

/* ---- numbers ---- */

static void read_bound(const json *v, const char *key, struct number_facts *f, bool at_least,
                       bool open) {
    struct decimal d;
    const json *x = schema_get(v, key);
    if (x == NULL || !decimal_read(x, &d)) return;
    if (at_least)
        number_at_least(f, &d, open);
    else
        number_at_most(f, &d, open);
}

/* Draft 4 has exclusiveMinimum as a flag of minimum. */
static bool is_flag(const json *v, const char *key) {
    bool yes = false;
    return json_bool(schema_get(v, key), &yes) && yes;
}

static void read_bounds(const struct entries *what, struct number_facts *f) {
    for (uint32_t i = 0; i < what->n; i++) {
        const json *v = what->list[i].v;
        read_bound(v, "minimum", f, true, is_flag(v, "exclusiveMinimum"));
        read_bound(v, "maximum", f, false, is_flag(v, "exclusiveMaximum"));
        read_bound(v, "exclusiveMinimum", f, true, true);
        read_bound(v, "exclusiveMaximum", f, false, true);
    }
}

void schema_number(struct schema *s, const struct entries *what, bool integer, uint32_t from,
                   uint32_t to) {
    struct number_facts f = {.integer = integer};
    bool left_out = false;
    read_bounds(what, &f);
    for (uint32_t i = 0; i < what->n && f.n_multiples < MULTIPLES_MAX; i++)
        if (decimal_read(schema_get(what->list[i].v, "multipleOf"), &f.multiple[f.n_multiples]) &&
            f.multiple[f.n_multiples].n > 0)
            f.n_multiples++;
    if (number_is_free(&f)) {
        rules_call(s->r, from, to, integer ? s->j.integer : s->j.number);
        return;
    }
    const struct dfa *d = number_dfa(s->r, &f, &left_out);
    if (left_out) schema_note(s, what->list[0].path, "multipleOf is not enforced");
    if (schema_ok(s)) dfa_emit(s->r, d, from, to);
}

/* ---- arrays ---- */

enum { TUPLE_MAX = 1024 };

struct array {
    struct schema *s;
    const struct entries *what;
    struct lengths l;
    uint32_t n_prefix; /* longest prefixItems */
    bool has_items;    /* what follows the prefix is described */
    bool contains;
};

static const json *prefix_of(const json *v) {
    const json *items = schema_get(v, "items");
    return json_kind(items) == JSON_ARRAY ? items : schema_get(v, "prefixItems");
}

static const json *items_of(const json *v) {
    const json *items = schema_get(v, "items");
    return json_kind(items) == JSON_ARRAY ? schema_get(v, "additionalItems") : items;
}

/* What the element number i must satisfy; with_contains: that of `contains`, too. */
static uint32_t element_rule(struct array *a, uint32_t i, bool with_contains) {
    struct entries e = {0};
    for (uint32_t k = 0; k < a->what->n; k++) {
        const struct entry *x = &a->what->list[k];
        const json *m = json_first(prefix_of(x->v)), *items = items_of(x->v);
        for (uint32_t n = i; m != NULL && n > 0; n--) m = json_next(m);
        if (m != NULL)
            entries_add_schema(a->s, &e, m, schema_path(a->s, x->path, "prefixItems", NULL));
        else if (items != NULL)
            entries_add_schema(a->s, &e, items, schema_path(a->s, x->path, "items", NULL));
        const json *c = schema_get(x->v, "contains");
        if (with_contains && c != NULL)
            entries_add_schema(a->s, &e, c, schema_path(a->s, x->path, "contains", NULL));
    }
    return schema_rule(a->s, &e);
}

static void read_array(struct array *a) {
    for (uint32_t k = 0; k < a->what->n; k++) {
        const struct entry *x = &a->what->list[k];
        const json *prefix = prefix_of(x->v);
        uint32_t least;
        if (json_len(prefix) > a->n_prefix) a->n_prefix = (uint32_t)json_len(prefix);
        if (items_of(x->v) != NULL) a->has_items = true;
        if (schema_get(x->v, "contains") == NULL) continue;
        a->contains = !schema_count(a->s, x, "minContains", &least) || least > 0;
        if (a->contains && schema_get(x->v, "minContains") != NULL && least > 1)
            schema_note(a->s, x->path, "of minContains only one element is enforced");
    }
    a->l = read_lengths(a->s, a->what, "minItems", "maxItems");
    if (a->n_prefix == 0 || a->has_items) return;
    /* A tuple: the peer writes exactly the elements that are described. */
    if (a->l.max >= a->n_prefix && a->l.max != REPEAT_ENDLESS && a->l.min > a->n_prefix) return;
    if (a->l.min < a->n_prefix) a->l.min = a->n_prefix;
    if (a->l.max == REPEAT_ENDLESS) a->l.max = a->l.min;
    if (a->l.max > a->l.min) a->l.max = a->l.min;
    if (a->l.min > a->l.max) a->l.min = a->l.max;
}

/* Behind an element: "," space element. */
static uint32_t and_element(struct schema *s, uint32_t element) {
    uint32_t rule = rules_rule(s->r, NULL, 0);
    rules_define(s->r, rule);
    if (!schema_ok(s)) return 0;
    uint32_t a = rules_node(s->r), b = rules_node(s->r);
    rules_bytes(s->r, s->r->rule[rule].start, a, ',', ',');
    rules_call(s->r, a, b, s->j.space);
    rules_call(s->r, b, s->r->rule[rule].end, element);
    return rule;
}

/* All elements alike: the first, and a repetition. */
static void plain_elements(struct array *a, uint32_t open, uint32_t close) {
    struct rules *r = a->s->r;
    if (a->l.min == 0) rules_empty(r, open, close);
    if (a->l.max == 0) return;
    uint32_t element = element_rule(a, 0, false), behind = rules_node(r);
    rules_call(r, open, behind, element);
    rules_repeat(r, behind, close, and_element(a->s, element), a->l.min > 0 ? a->l.min - 1 : 0,
                 a->l.max == REPEAT_ENDLESS ? REPEAT_ENDLESS : a->l.max - 1);
}

/* Elements by their number: two rows of nodes, before and after one that `contains` asks for. */
static void numbered_elements(struct array *a, uint32_t open, uint32_t close) {
    struct schema *s = a->s;
    const bool endless = a->l.max == REPEAT_ENDLESS;
    uint32_t last = endless ? (a->l.min > a->n_prefix ? a->l.min : a->n_prefix) : a->l.max;
    if (last > TUPLE_MAX) {
        schema_fail(s, a->what->list[0].path,
                    "more than %d elements beside prefixItems or contains", TUPLE_MAX);
        return;
    }
    if (endless) last++; /* the last place repeats */
    uint32_t at[2] = {open, open}, rows = a->contains ? 2 : 1;
    if (a->contains) at[1] = rules_node(s->r); /* not reached yet */
    for (uint32_t i = 0; schema_ok(s); i++) {
        if (i >= a->l.min) rules_empty(s->r, at[rows - 1], close);
        if (i == last && !endless) break;
        uint32_t next[2] = {rules_node(s->r), rules_node(s->r)};
        if (endless && i == last && i > 0) next[0] = at[0], next[1] = at[1];
        uint32_t plain = element_rule(a, i, false), wanted = element_rule(a, i, a->contains);
        if (i > 0) {
            wanted = and_element(s, wanted);
            plain = and_element(s, plain);
        }
        rules_call(s->r, at[0], next[0], plain);
        if (a->contains) {
            rules_call(s->r, at[0], next[1], wanted);
            if (i > 0) rules_call(s->r, at[1], next[1], plain);
        }
        if (endless && i == last && i > 0) break;
        at[0] = next[0];
        at[1] = next[1];
    }
}

void schema_array(struct schema *s, const struct entries *what, uint32_t from, uint32_t to) {
    struct array a = {.s = s, .what = what};
    read_array(&a);
    if (!schema_ok(s) || a.l.min > a.l.max) return;
    uint32_t bracket = rules_node(s->r), open = rules_node(s->r), close = rules_node(s->r),
             end = rules_node(s->r);
    rules_bytes(s->r, from, bracket, '[', '[');
    rules_call(s->r, bracket, open, s->j.space);
    if (a.n_prefix > 0 || a.contains)
        numbered_elements(&a, open, close);
    else
        plain_elements(&a, open, close);
    rules_call(s->r, close, end, s->j.space);
    rules_bytes(s->r, end, to, ']', ']');
}
