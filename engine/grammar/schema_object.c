/* schema_object.c - objects (schema.h): required properties first, then optional ones, both in the
 * schema's order, then free ones (spec/sampling.md 10.4).
 *
 * The members are a grid of nodes: column = how far in the list of declared properties, row = how
 * many members have been written (0 and "some", unless they have to be counted). Behind the last
 * column come the free members; there the rows also say which of the required but undeclared names
 * have been written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar/regex.h"
#include "engine/grammar/schema.h"

enum { PATTERNS_MAX = 6, FREE_REQUIRED_MAX = 6, GRID_MAX = 200000 };

struct property {
    const char *name;
    size_t len;
    bool required;
    uint32_t member; /* rule: key, colon, value */
};

struct object {
    struct schema *s;
    const struct entries *what;
    struct property *property; /* declared, in order: required first */
    uint32_t n;
    bool closed; /* no free members but those of patterns */
    const char *pattern_text[PATTERNS_MAX];
    const struct dfa *pattern[PATTERNS_MAX];
    uint32_t n_patterns;
    const char *must[FREE_REQUIRED_MAX]; /* required, not declared */
    uint32_t must_member[FREE_REQUIRED_MAX], n_must;
    uint32_t free_member; /* rule of a free member; 0: none */
    uint32_t min, max;    /* members */
    bool counted;
};

/* ---- reading ---- */

static bool is_true(const json *v) {
    bool yes = false;
    return json_bool(v, &yes) && yes;
}

static bool is_false(const json *v) {
    bool yes = true;
    return json_bool(v, &yes) && !yes;
}

static bool names(const json *list, const char *name) {
    for (const json *m = json_first(list); m != NULL; m = json_next(m))
        if (json_string(m) != NULL && strcmp(json_string(m), name) == 0) return true;
    return false;
}

static bool is_required(const struct object *o, const char *name) {
    for (uint32_t i = 0; i < o->what->n; i++) {
        const struct entry *x = &o->what->list[i];
        if (names(schema_get(x->v, "required"), name)) return true;
        if (x->kind == ENTRY_REQUIRED && schema_get(schema_get(x->v, "properties"), name) != NULL)
            return true;
    }
    return false;
}

static bool is_declared(const struct object *o, const char *name) {
    for (uint32_t i = 0; i < o->n; i++)
        if (strcmp(o->property[i].name, name) == 0) return true;
    return false;
}

static int required_first(const void *a, const void *b) {
    const struct property *x = a, *y = b;
    if (x->required != y->required) return x->required ? -1 : 1;
    return x->member < y->member ? -1 : x->member > y->member; /* the order of declaration */
}

static void read_properties(struct object *o) {
    struct schema *s = o->s;
    size_t most = 0;
    for (uint32_t i = 0; i < o->what->n; i++) {
        const json *list = schema_get(o->what->list[i].v, "properties");
        if (list != NULL && json_kind(list) != JSON_OBJECT)
            schema_fail(s, o->what->list[i].path, "properties must be an object");
        most += json_len(list);
    }
    if (!schema_ok(s)) return;
    o->property = arena_zalloc(&s->r->scratch, most, sizeof *o->property);
    struct map seen = {0};
    if (o->property == NULL) s->r->st = err_no_memory(s->r->e);
    for (uint32_t i = 0; i < o->what->n && schema_ok(s); i++) {
        const json *list = schema_get(o->what->list[i].v, "properties");
        for (const json *m = json_first(list); m != NULL && schema_ok(s); m = json_next(m)) {
            const char *name = json_key(m);
            bool fresh;
            if (!map_put(&seen, name, strlen(name), o->n, &fresh))
                s->r->st = err_no_memory(s->r->e);
            if (schema_ok(s) && fresh) {
                o->property[o->n] =
                    (struct property){name, strlen(name), is_required(o, name), o->n};
                o->n++;
            }
        }
    }
    map_free(&seen);
    if (schema_ok(s) && o->n > 1) qsort(o->property, o->n, sizeof *o->property, required_first);
}

static void read_patterns(struct object *o) {
    struct schema *s = o->s;
    for (uint32_t i = 0; i < o->what->n && schema_ok(s); i++) {
        const struct entry *x = &o->what->list[i];
        for (const json *m = json_first(schema_get(x->v, "patternProperties"));
             m != NULL && schema_ok(s); m = json_next(m)) {
            const char *unsupported;
            bool known = false;
            for (uint32_t k = 0; k < o->n_patterns; k++)
                known = known || strcmp(o->pattern_text[k], json_key(m)) == 0;
            if (known) continue;
            if (o->n_patterns == PATTERNS_MAX) {
                schema_fail(s, x->path, "more than %d patternProperties", PATTERNS_MAX);
                return;
            }
            const struct dfa *d =
                regex_dfa(s->r, json_key(m), strlen(json_key(m)), true, &unsupported);
            if (unsupported != NULL)
                schema_fail(s, x->path, "patternProperties %.100s: %s are not supported",
                            json_key(m), unsupported);
            o->pattern_text[o->n_patterns] = json_key(m);
            o->pattern[o->n_patterns++] = d;
        }
    }
}

/* Only what is declared may be written, unless something else is said. */
static bool closes(const json *v) {
    const json *addl = schema_get(v, "additionalProperties");
    if (addl != NULL) return is_false(addl);
    return schema_get(v, "properties") != NULL || is_false(schema_get(v, "unevaluatedProperties"));
}

static void read_required(struct object *o) {
    for (uint32_t i = 0; i < o->what->n && schema_ok(o->s); i++) {
        const struct entry *x = &o->what->list[i];
        for (const json *m = json_first(schema_get(x->v, "required")); m != NULL;
             m = json_next(m)) {
            const char *name = json_string(m);
            bool known = name == NULL || is_declared(o, name);
            for (uint32_t k = 0; k < o->n_must && !known; k++)
                known = strcmp(o->must[k], name) == 0;
            if (known) continue;
            if (o->closed || o->n_must == FREE_REQUIRED_MAX)
                schema_note(o->s, x->path, "a required property is not declared: not enforced");
            else
                o->must[o->n_must++] = name;
        }
    }
}

static void read_counts(struct object *o) {
    o->max = REPEAT_ENDLESS;
    for (uint32_t i = 0; i < o->what->n; i++) {
        uint32_t n;
        if (schema_count(o->s, &o->what->list[i], "minProperties", &n) && n > o->min) o->min = n;
        if (schema_count(o->s, &o->what->list[i], "maxProperties", &n) && n < o->max) o->max = n;
    }
    o->counted = o->min > 0 || o->max != REPEAT_ENDLESS;
}

/* ---- members ---- */

/* Which patterns a name matches, a bit for each. */
static unsigned matches(const struct object *o, const char *name, size_t len) {
    unsigned bits = 0;
    for (uint32_t i = 0; i < o->n_patterns; i++)
        if (dfa_matches(o->pattern[i], name, len)) bits |= 1u << i;
    return bits;
}

/* What the value of a member must satisfy. name: NULL for a free one; bits: its patterns. */
static struct entries value_of(struct object *o, const char *name, unsigned bits) {
    struct entries e = {0};
    for (uint32_t i = 0; i < o->what->n; i++) {
        const struct entry *x = &o->what->list[i];
        const json *own = name != NULL ? schema_get(schema_get(x->v, "properties"), name) : NULL;
        bool found = own != NULL;
        if (own != NULL)
            entries_add_schema(o->s, &e, own, schema_path(o->s, x->path, "properties", name));
        for (uint32_t k = 0; k < o->n_patterns; k++) {
            const json *v = schema_get(schema_get(x->v, "patternProperties"), o->pattern_text[k]);
            if ((bits >> k & 1) == 0 || v == NULL) continue;
            found = true;
            entries_add_schema(o->s, &e, v, schema_path(o->s, x->path, "patternProperties", NULL));
        }
        const json *addl = schema_get(x->v, "additionalProperties");
        if (!found && addl != NULL && !is_true(addl))
            entries_add_schema(o->s, &e, addl,
                               schema_path(o->s, x->path, "additionalProperties", NULL));
    }
    return e;
}

static uint32_t new_rule(struct schema *s) {
    uint32_t rule = rules_rule(s->r, NULL, 0);
    rules_define(s->r, rule);
    return rule;
}

/* "name" space ":" space value; free names have no space before the colon. */
static uint32_t member_rule(struct object *o, const char *name, size_t len, bool is_free) {
    struct schema *s = o->s;
    struct entries value = value_of(o, name, matches(o, name, len));
    uint32_t rule = new_rule(s), of_value = schema_rule(s, &value);
    if (!schema_ok(s)) return 0;
    uint32_t a = rules_node(s->r), b = rules_node(s->r), c = rules_node(s->r), d = rules_node(s->r);
    json_literal_string(s->r, name, len, s->r->rule[rule].start, a);
    if (is_free)
        rules_empty(s->r, a, b);
    else
        rules_call(s->r, a, b, s->j.space);
    rules_bytes(s->r, b, c, ':', ':');
    rules_call(s->r, c, d, s->j.space);
    rules_call(s->r, d, s->r->rule[rule].end, of_value);
    return rule;
}

/* The language of free names that match exactly these patterns; NULL: any string. */
static const struct dfa *free_names(struct object *o, unsigned bits, const struct dfa *allowed) {
    struct rules *r = o->s->r;
    const uint32_t n = o->n + o->n_must;
    const char **name = arena_zalloc(&r->scratch, n, sizeof(char *));
    size_t *len = arena_zalloc(&r->scratch, n, sizeof *len);
    if (name == NULL || len == NULL) {
        if (r->st == ST_OK) r->st = err_no_memory(r->e);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        name[i] = i < o->n ? o->property[i].name : o->must[i - o->n];
        len[i] = strlen(name[i]);
    }
    const struct dfa *d = n > 0 ? dfa_but(r, name, len, n) : NULL;
    if (allowed != NULL) d = d != NULL ? dfa_and(r, d, allowed) : allowed;
    for (uint32_t i = 0; i < o->n_patterns && r->st == ST_OK; i++) {
        const struct dfa *p = bits >> i & 1 ? o->pattern[i] : dfa_not(r, o->pattern[i]);
        d = d != NULL ? dfa_and(r, d, p) : p;
    }
    return d;
}

static const struct dfa *allowed_names(struct object *o) {
    struct entries names_of = {0};
    bool is_free = true;
    for (uint32_t i = 0; i < o->what->n; i++) {
        const json *v = schema_get(o->what->list[i].v, "propertyNames");
        if (json_kind(v) == JSON_OBJECT)
            entries_add(o->s, &names_of, (struct entry){v, o->what->list[i].path, ENTRY_PLAIN});
    }
    if (names_of.n == 0) return NULL;
    const struct dfa *d = schema_string_dfa(o->s, &names_of, &is_free);
    for (uint32_t i = 0; i < names_of.n; i++) {
        static const char *const other[] = {"const", "enum",  "$ref", "anyOf",
                                            "oneOf", "allOf", "not"};
        for (size_t k = 0; k < sizeof other / sizeof *other; k++)
            if (schema_get(names_of.list[i].v, other[k]) != NULL)
                schema_note(o->s, names_of.list[i].path,
                            "of propertyNames only pattern and lengths are enforced");
    }
    return d;
}

/* A free member: an alternative for each set of patterns that its name may match. */
static void free_members(struct object *o) {
    struct schema *s = o->s;
    if (o->closed && o->n_patterns == 0) return;
    const struct dfa *allowed = allowed_names(o);
    o->free_member = new_rule(s);
    for (unsigned bits = 0; bits < 1u << o->n_patterns && schema_ok(s); bits++) {
        if (o->closed && bits == 0) continue;
        const struct dfa *name = free_names(o, bits, allowed);
        struct entries value = value_of(o, NULL, bits);
        uint32_t of_value = schema_rule(s, &value);
        uint32_t from = s->r->rule[o->free_member].start, to = s->r->rule[o->free_member].end;
        uint32_t a = rules_node(s->r), b = rules_node(s->r), c = rules_node(s->r);
        if (!schema_ok(s)) return;
        if (name == NULL)
            rules_call(s->r, from, a, s->j.string);
        else
            json_string_of_dfa(s->r, name, from, a);
        rules_bytes(s->r, a, b, ':', ':');
        rules_call(s->r, b, c, s->j.space);
        rules_call(s->r, c, to, of_value);
    }
}

/* ---- the grid ---- */

struct grid {
    struct object *o;
    uint32_t rows;  /* members written: 0..rows - 1; the last row is "that many or more" */
    uint32_t first; /* node of column 0, row 0 */
};

static uint32_t place(const struct grid *g, uint32_t column, uint32_t row) {
    return g->first + column * g->rows + row;
}

/* The row behind one more member; UINT32_MAX: there may be no more. */
static uint32_t next_row(const struct grid *g, uint32_t row) {
    if (row + 1 < g->rows) return row + 1;
    return g->o->max == REPEAT_ENDLESS ? row : UINT32_MAX;
}

/* A member, behind a comma unless it is the first. */
static void write_member(struct grid *g, uint32_t from, uint32_t to, uint32_t row,
                         uint32_t member) {
    struct schema *s = g->o->s;
    if (row == 0) {
        rules_call(s->r, from, to, member);
        return;
    }
    uint32_t a = rules_node(s->r), b = rules_node(s->r);
    rules_bytes(s->r, from, a, ',', ',');
    rules_call(s->r, a, b, s->j.space);
    rules_call(s->r, b, to, member);
}

/* Columns behind the declared ones: one for each set of the names in `must`. */
static void write_free(struct grid *g, uint32_t close) {
    struct object *o = g->o;
    const uint32_t sets = 1u << o->n_must;
    for (uint32_t set = 0; set < sets && schema_ok(o->s); set++)
        for (uint32_t row = 0; row < g->rows; row++) {
            uint32_t at = place(g, o->n + set, row), next = next_row(g, row);
            if (set + 1 == sets && row >= o->min) rules_empty(o->s->r, at, close);
            if (next == UINT32_MAX) continue;
            if (o->free_member != 0)
                write_member(g, at, place(g, o->n + set, next), row, o->free_member);
            for (uint32_t i = 0; i < o->n_must; i++)
                if ((set >> i & 1) == 0)
                    write_member(g, at, place(g, o->n + (set | 1u << i), next), row,
                                 o->must_member[i]);
        }
}

static void write_members(struct object *o, uint32_t open, uint32_t close) {
    struct schema *s = o->s;
    struct grid g = {.o = o, .rows = 2};
    if (o->counted) g.rows = (o->max != REPEAT_ENDLESS ? o->max : o->min) + 1;
    if (g.rows < 2 && o->max != 0) g.rows = 2;
    const uint64_t size = ((uint64_t)o->n + (1u << o->n_must)) * g.rows;
    if (size > GRID_MAX) {
        schema_fail(s, o->what->list[0].path, "too many properties to count");
        return;
    }
    for (uint64_t i = 0; i < size; i++) {
        uint32_t node = rules_node(s->r);
        if (i == 0) g.first = node;
    }
    if (!schema_ok(s)) return;
    rules_empty(s->r, open, g.first);
    for (uint32_t column = 0; column < o->n && schema_ok(s); column++)
        for (uint32_t row = 0; row < g.rows; row++) {
            const struct property *p = &o->property[column];
            uint32_t at = place(&g, column, row), next = next_row(&g, row);
            if (!p->required) rules_empty(s->r, at, place(&g, column + 1, row));
            if (next != UINT32_MAX)
                write_member(&g, at, place(&g, column + 1, next), row, p->member);
        }
    write_free(&g, close);
}

void schema_object(struct schema *s, const struct entries *what, uint32_t from, uint32_t to) {
    struct object o = {.s = s, .what = what};
    for (uint32_t i = 0; i < what->n; i++) o.closed = o.closed || closes(what->list[i].v);
    read_properties(&o);
    read_patterns(&o);
    if (schema_ok(s)) read_required(&o);
    read_counts(&o);
    if (!schema_ok(s) || o.min > o.max) return;
    bool plain = o.n == 0 && o.n_must == 0 && o.n_patterns == 0 && !o.closed && !o.counted;
    for (uint32_t i = 0; i < what->n; i++)
        plain = plain && schema_get(what->list[i].v, "additionalProperties") == NULL &&
                schema_get(what->list[i].v, "propertyNames") == NULL;
    if (plain) {
        rules_call(s->r, from, to, s->j.object);
        return;
    }
    for (uint32_t i = 0; i < o.n && schema_ok(s); i++)
        o.property[i].member = member_rule(&o, o.property[i].name, o.property[i].len, false);
    for (uint32_t i = 0; i < o.n_must && schema_ok(s); i++)
        o.must_member[i] = member_rule(&o, o.must[i], strlen(o.must[i]), true);
    free_members(&o);
    uint32_t brace = rules_node(s->r), open = rules_node(s->r), close = rules_node(s->r),
             end = rules_node(s->r);
    rules_bytes(s->r, from, brace, '{', '{');
    rules_call(s->r, brace, open, s->j.space);
    write_members(&o, open, close);
    rules_call(s->r, close, end, s->j.space);
    rules_bytes(s->r, end, to, '}', '}');
}
