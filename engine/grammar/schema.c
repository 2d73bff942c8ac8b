/* schema.c - lists of schemas, alternatives, types (schema.h). */
#include "engine/grammar/schema.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/grammar/source.h"

enum { CHAIN_MAX = 64, CHOICES_MAX = 64, ENTRIES_MAX = 4096 };

/* ---- small helpers ---- */

bool schema_ok(const struct schema *s) { return s->r->st == ST_OK; }

void schema_fail(struct schema *s, const char *path, const char *fmt, ...) {
    char msg[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    rules_fail(s->r, ST_INVALID, "JSON schema conversion failed:\nJSON schema error at %s: %s",
               path, msg);
}

void schema_note(struct schema *s, const char *path, const char *what) {
    struct buf line = {0};
    buf_printf(&line, "%s: %s\n", path, what);
    if (!line.failed && s->notes->len < 65536 &&
        (s->notes->data == NULL || strstr(s->notes->data, line.data) == NULL))
        buf_add(s->notes, line.data, line.len);
    buf_free(&line);
}

const char *schema_path(struct schema *s, const char *path, const char *key, const char *sub) {
    const char *p =
        arena_printf(&s->r->scratch, sub != NULL ? "%.400s/%s/%s" : "%.400s/%s", path, key, sub);
    if (p == NULL && schema_ok(s)) s->r->st = err_no_memory(s->r->e);
    return p != NULL ? p : "#";
}

const json *schema_get(const json *v, const char *key) {
    const json *found = NULL;
    if (json_kind(v) != JSON_OBJECT) return NULL;
    for (const json *m = json_first(v); m != NULL; m = json_next(m))
        if (strcmp(json_key(m), key) == 0) found = m;
    return found;
}

bool schema_count(struct schema *s, const struct entry *x, const char *key, uint32_t *out) {
    const json *v = schema_get(x->v, key);
    struct decimal d;
    if (v == NULL) return false;
    bool whole = decimal_read(v, &d) && !d.negative && d.n == d.n_whole;
    if (json_kind(v) != JSON_NUMBER || (whole && d.n_whole > 9))
        whole = json_kind(v) == JSON_NUMBER;
    if (!whole) {
        schema_fail(s, x->path, "%s must be a non-negative integer", key);
        return false;
    }
    *out = d.n_whole > 9 ? REPEAT_MAX + 1 : (uint32_t)strtoul(d.n > 0 ? d.digit : "0", NULL, 10);
    return true;
}

/* ---- lists ---- */

void entries_add(struct schema *s, struct entries *to, struct entry x) {
    if (!schema_ok(s)) return;
    for (uint32_t i = 0; i < to->n; i++)
        if (to->list[i].v == x.v && to->list[i].kind == x.kind) return;
    if (to->n == ENTRIES_MAX) {
        schema_fail(s, x.path, "too many schemas have to hold at once");
        return;
    }
    if (to->n == to->cap) {
        uint32_t cap = to->cap != 0 ? 2 * to->cap : 4;
        struct entry *list = arena_alloc(&s->r->scratch, cap * sizeof *list);
        if (list == NULL) {
            s->r->st = err_no_memory(s->r->e);
            return;
        }
        if (to->n > 0) memcpy(list, to->list, to->n * sizeof *list);
        to->list = list;
        to->cap = cap;
    }
    to->list[to->n++] = x;
}

void entries_add_schema(struct schema *s, struct entries *to, const json *v, const char *path) {
    entries_add(s, to, (struct entry){v, path, ENTRY_SCHEMA});
}

uint32_t schema_rule(struct schema *s, const struct entries *what) {
    const size_t len = what->n * (sizeof(void *) + 1);
    char *key = arena_alloc(&s->r->scratch, len + 1);
    struct job *job = arena_zalloc(&s->r->scratch, 1, sizeof *job);
    uint32_t rule;
    if (what->n == 0) return s->j.value;
    if (key == NULL || job == NULL) {
        if (schema_ok(s)) s->r->st = err_no_memory(s->r->e);
        return 0;
    }
    for (uint32_t i = 0; i < what->n; i++) {
        memcpy(key + i * (sizeof(void *) + 1), &what->list[i].v, sizeof(void *));
        key[i * (sizeof(void *) + 1) + sizeof(void *)] = (char)what->list[i].kind;
    }
    if (map_get(&s->rule_of, key, len, &rule)) return rule;
    rule = rules_rule(s->r, NULL, 0);
    if (schema_ok(s)) s->r->rule[rule].name = what->list[0].path;
    rules_define(s->r, rule);
    if (schema_ok(s) && !map_put(&s->rule_of, key, len, rule, NULL))
        s->r->st = err_no_memory(s->r->e);
    *job = (struct job){.rule = rule, .what = *what, .doc = s->doc};
    *s->last = job;
    s->last = &job->next;
    return rule;
}

/* ---- $ref ---- */

/* One part of a pointer: ~0 ~1 and %xx decoded. */
static void decode_part(const char *s, size_t len, struct buf *out) {
    for (size_t i = 0; i < len; i++) {
        char hex[3] = {0}, *end;
        if (s[i] == '~' && i + 1 < len && (s[i + 1] == '0' || s[i + 1] == '1')) {
            buf_chr(out, s[++i] == '0' ? '~' : '/');
        } else if (s[i] == '%' && i + 2 < len) {
            memcpy(hex, s + i + 1, 2);
            long c = strtol(hex, &end, 16);
            buf_chr(out, *end == '\0' ? (char)c : '%');
            if (*end == '\0') i += 2;
        } else {
            buf_chr(out, s[i]);
        }
    }
}

static const json *child(const json *v, const char *name) {
    if (json_kind(v) == JSON_OBJECT) return schema_get(v, name);
    if (json_kind(v) != JSON_ARRAY || *name < '0' || *name > '9') return NULL;
    char *end;
    unsigned long n = strtoul(name, &end, 10);
    const json *m = json_first(v);
    for (; m != NULL && n > 0; n--) m = json_next(m);
    return *end == '\0' ? m : NULL;
}

static const json *resolve(struct schema *s, const struct entry *x, const char *ref) {
    const json *v = s->doc.root;
    if (*ref != '#' || (ref[1] != '/' && ref[1] != '\0')) {
        schema_fail(s, x->path,
                    "unsupported $ref %.100s, only references into the same document are supported",
                    ref);
        return NULL;
    }
    for (const char *at = ref + 1; *at == '/';) {
        const char *end = strchrnul(++at, '/');
        struct buf part = {0};
        decode_part(at, (size_t)(end - at), &part);
        v = part.data != NULL || end == at ? child(v, part.data != NULL ? part.data : "") : NULL;
        if (v == NULL && schema_ok(s))
            schema_fail(s, x->path, "cannot resolve $ref %.100s, %.100s not found", ref,
                        part.data != NULL ? part.data : "");
        buf_free(&part);
        if (v == NULL) return NULL;
        at = end;
    }
    return v;
}

/* ---- flattening: from nodes to plain ones and choices ---- */

struct flat {
    struct entries plain, choices;
    bool impossible; /* a schema that is false */
};

static void flatten(struct schema *s, struct flat *f, struct entry x, unsigned depth);

static void flatten_ref(struct schema *s, struct flat *f, const struct entry *x, unsigned depth) {
    const json *ref = schema_get(x->v, "$ref");
    const char *name = json_string(ref);
    if (ref == NULL) return;
    if (name == NULL) {
        schema_fail(s, x->path, "$ref must be a string");
        return;
    }
    const json *v = resolve(s, x, name);
    const char *path = arena_printf(&s->r->scratch, "%s%.400s", s->doc.path, name + (*name == '#'));
    if (path == NULL && schema_ok(s)) s->r->st = err_no_memory(s->r->e);
    if (schema_ok(s))
        flatten(s, f, (struct entry){v, path, x->kind}, depth + 1); /* a member's target is one */
}

static bool is_object_node(const json *v) {
    const char *type = json_string(schema_get(v, "type"));
    return schema_get(v, "type") == NULL || (type != NULL && strcmp(type, "object") == 0);
}

/* A branch that only adds properties: in the peer's reading of allOf they become optional. */
static bool only_properties(const json *v) {
    return json_kind(v) == JSON_OBJECT && schema_get(v, "properties") != NULL &&
           json_len(schema_get(v, "required")) == 0 && is_object_node(v) &&
           schema_get(v, "additionalProperties") == NULL && schema_get(v, "anyOf") == NULL &&
           schema_get(v, "oneOf") == NULL && schema_get(v, "allOf") == NULL &&
           schema_get(v, "enum") == NULL && schema_get(v, "const") == NULL &&
           schema_get(v, "$ref") == NULL;
}

static bool all_only_properties(const json *list) {
    for (const json *m = json_first(list); m != NULL; m = json_next(m))
        if (!only_properties(m)) return false;
    return json_len(list) > 0;
}

static void flatten_all_of(struct schema *s, struct flat *f, const struct entry *x,
                           unsigned depth) {
    const json *list = schema_get(x->v, "allOf"), *addl = schema_get(x->v, "additionalProperties");
    bool any = true;
    if (list == NULL) return;
    if (json_kind(list) != JSON_ARRAY || json_len(list) == 0) {
        schema_fail(s, schema_path(s, x->path, "allOf", NULL), "must not be empty");
        return;
    }
    if (addl != NULL && !(json_bool(addl, &any) && any)) any = false;
    bool merge = is_object_node(x->v) && schema_get(x->v, "properties") == NULL && any;
    unsigned i = 0;
    for (const json *m = json_first(list); m != NULL && schema_ok(s); m = json_next(m), i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        const char *path = schema_path(s, x->path, "allOf", number);
        flatten(s, f, (struct entry){m, path, merge ? ENTRY_MEMBER : ENTRY_SCHEMA}, depth + 1);
    }
}

static void flatten_choice(struct schema *s, struct flat *f, const struct entry *x,
                           const char *key) {
    const json *list = schema_get(x->v, key);
    if (list == NULL) return;
    const char *path = schema_path(s, x->path, key, NULL);
    if (json_kind(list) != JSON_ARRAY || json_len(list) == 0) {
        schema_fail(s, path, "must not be empty");
    } else if (x->kind == ENTRY_MEMBER && all_only_properties(list)) {
        for (const json *m = json_first(list); m != NULL; m = json_next(m))
            entries_add(s, &f->plain, (struct entry){m, path, ENTRY_OPTIONAL});
    } else {
        entries_add(s, &f->choices, (struct entry){list, path, ENTRY_CHOICE});
    }
}

static void flatten(struct schema *s, struct flat *f, struct entry x, unsigned depth) {
    bool yes = true;
    if (x.kind == ENTRY_PLAIN || x.kind == ENTRY_REQUIRED || x.kind == ENTRY_OPTIONAL) {
        entries_add(s, &f->plain, x);
        return;
    }
    if (x.kind == ENTRY_CHOICE) {
        entries_add(s, &f->choices, x);
        return;
    }
    if (json_bool(x.v, &yes)) {
        f->impossible = f->impossible || !yes;
        return;
    }
    if (json_kind(x.v) != JSON_OBJECT) {
        schema_fail(s, x.path, "schema must be an object");
        return;
    }
    if (depth > CHAIN_MAX) {
        schema_fail(s, x.path, "$ref and allOf are nested deeper than %d, or in a circle",
                    CHAIN_MAX);
        return;
    }
    flatten_ref(s, f, &x, depth);
    flatten_all_of(s, f, &x, depth);
    flatten_choice(s, f, &x, "oneOf");
    flatten_choice(s, f, &x, "anyOf");
    entries_add(s, &f->plain,
                (struct entry){x.v, x.path, x.kind == ENTRY_MEMBER ? ENTRY_REQUIRED : ENTRY_PLAIN});
}

/* ---- types ---- */

static const struct {
    const char *name;
    unsigned bits;
} TYPES[] = {
    {"object", TYPE_OBJECT}, {"array", TYPE_ARRAY},     {"string", TYPE_STRING},
    {"number", TYPE_NUMBER}, {"integer", TYPE_INTEGER}, {"boolean", TYPE_BOOLEAN},
    {"null", TYPE_NULL},
};

static unsigned type_of_name(struct schema *s, const struct entry *x, const json *v) {
    const char *name = json_string(v);
    if (name == NULL) {
        schema_fail(s, x->path, "type must be a string or an array of strings");
        return 0;
    }
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(name, TYPES[i].name) == 0) return TYPES[i].bits;
    schema_fail(s, x->path, "unrecognized type %.100s", name);
    return 0;
}

static bool known_format(const json *v) {
    const char *name = json_string(schema_get(v, "format"));
    static const char *const known[] = {"uuid",  "uuid1", "uuid2", "uuid3",    "uuid4",
                                        "uuid5", "date",  "time",  "date-time"};
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0) return true;
    return false;
}

/* Without "type" some keywords imply one, in the peer's order. */
static unsigned implied_types(const json *v) {
    bool any;
    const json *addl = schema_get(v, "additionalProperties");
    if (schema_get(v, "const") != NULL || schema_get(v, "enum") != NULL) return TYPE_ALL;
    if (schema_get(v, "properties") != NULL || (addl != NULL && !(json_bool(addl, &any) && any)))
        return TYPE_OBJECT;
    if (schema_get(v, "items") != NULL || schema_get(v, "prefixItems") != NULL) return TYPE_ARRAY;
    if (schema_get(v, "pattern") != NULL || known_format(v) || schema_get(v, "minLength") != NULL ||
        schema_get(v, "maxLength") != NULL)
        return TYPE_STRING;
    return TYPE_ALL;
}

static unsigned types_of(struct schema *s, const struct entry *x) {
    const json *v = schema_get(x->v, "type");
    unsigned bits = 0;
    if (v == NULL) return implied_types(x->v);
    if (json_kind(v) != JSON_ARRAY) return type_of_name(s, x, v);
    if (json_len(v) == 0) schema_fail(s, x->path, "type must not be empty");
    for (const json *m = json_first(v); m != NULL && schema_ok(s); m = json_next(m))
        bits |= type_of_name(s, x, m);
    return bits;
}

/* ---- what is not enforced ---- */

static const char *const NOT_ENFORCED[] = {
    "not",          "if",          "dependentRequired",     "dependentSchemas",
    "dependencies", "uniqueItems", "unevaluatedProperties", "unevaluatedItems",
    "maxContains",  "$dynamicRef", "$recursiveRef"};

static void note_keywords(struct schema *s, const struct entry *x) {
    for (size_t i = 0; i < sizeof NOT_ENFORCED / sizeof *NOT_ENFORCED; i++) {
        const json *v = schema_get(x->v, NOT_ENFORCED[i]);
        bool yes = true;
        if (v == NULL || (json_bool(v, &yes) && !yes)) continue;
        char text[64];
        snprintf(text, sizeof text, "%s is not enforced", NOT_ENFORCED[i]);
        schema_note(s, x->path, text);
    }
}

/* ---- compiling a list ---- */

static void compile_plain(struct schema *s, const struct entries *what, uint32_t from,
                          uint32_t to) {
    unsigned types = TYPE_ALL;
    for (uint32_t i = 0; i < what->n && schema_ok(s); i++) {
        types &= types_of(s, &what->list[i]);
        note_keywords(s, &what->list[i]);
    }
    if (!schema_ok(s) || schema_constants(s, what, types, from, to)) return;
    if (types & TYPE_OBJECT) schema_object(s, what, from, to);
    if (types & TYPE_ARRAY) schema_array(s, what, from, to);
    if (types & TYPE_STRING) schema_string(s, what, from, to);
    if (types & TYPE_INTEGER) schema_number(s, what, (types & TYPE_FRACTION) == 0, from, to);
    if (types & TYPE_BOOLEAN) rules_call(s->r, from, to, s->j.boolean);
    if (types & TYPE_NULL) rules_call(s->r, from, to, s->j.null);
}

/* Whether no value can satisfy two of the branches, as far as their types tell. */
static bool types_differ(struct schema *s, const json *list) {
    unsigned seen = 0;
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        const struct entry x = {m, "#", ENTRY_PLAIN};
        if (json_kind(m) != JSON_OBJECT || schema_get(m, "type") == NULL) return false;
        unsigned bits = types_of(s, &x);
        if ((seen & bits) != 0) return false;
        seen |= bits;
    }
    return true;
}

/* The first choice becomes alternatives: each branch with everything else of the list. */
static void compile_choice(struct schema *s, const struct flat *f, uint32_t from, uint32_t to) {
    const struct entry *choice = &f->choices.list[0];
    unsigned i = 0;
    if (f->choices.n > CHOICES_MAX) {
        schema_fail(s, choice->path, "too many anyOf and oneOf have to hold at once");
        return;
    }
    size_t len = strlen(choice->path);
    if (len > 5 && strcmp(choice->path + len - 5, "oneOf") == 0 && !types_differ(s, choice->v))
        schema_note(s, choice->path, "a value may match several branches");
    for (const json *m = json_first(choice->v); m != NULL && schema_ok(s); m = json_next(m), i++) {
        struct entries list = {0};
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        for (uint32_t k = 0; k < f->plain.n; k++) entries_add(s, &list, f->plain.list[k]);
        entries_add_schema(s, &list, m, schema_path(s, choice->path, number, NULL));
        for (uint32_t k = 1; k < f->choices.n; k++) entries_add(s, &list, f->choices.list[k]);
        rules_call(s->r, from, to, schema_rule(s, &list));
    }
}

static void compile_job(struct schema *s, const struct job *job) {
    struct flat f = {0};
    s->doc = job->doc;
    uint32_t from = s->r->rule[job->rule].start, to = s->r->rule[job->rule].end;
    for (uint32_t i = 0; i < job->what.n && schema_ok(s); i++) flatten(s, &f, job->what.list[i], 0);
    if (!schema_ok(s) || f.impossible) return;
    if (f.choices.n > 0)
        compile_choice(s, &f, from, to);
    else
        compile_plain(s, &f.plain, from, to);
}

/* Parses a source; everything that was asked for is compiled from the queue at the end. */
static json *begin(struct schema *s, const char *text, size_t len) {
    struct err e = {0};
    json *root = json_parse(text, len, &json_default_limits, NULL, &e);
    if (root == NULL)
        rules_fail(s->r, e.code == ST_FORMAT ? ST_INVALID : e.code,
                   "JSON schema conversion failed:\n%s", e.msg);
    s->doc = (struct document){root, "#"};
    json_prelude(s->r, &s->j);
    return root;
}

static void finish(struct schema *s, json *root) {
    for (const struct job *job = s->first; job != NULL && rules_in_time(s->r); job = job->next)
        compile_job(s, job);
    map_free(&s->rule_of);
    json_free(root);
}

void schema_compile(struct rules *r, const char *text, size_t len, struct buf *notes) {
    struct schema s = {.r = r, .notes = notes, .last = &s.first};
    json *root = begin(&s, text, len);
    struct entries what = {0};
    if (root == NULL) return;
    entries_add_schema(&s, &what, root, "#");
    r->root = schema_rule(&s, &what);
    finish(&s, root);
}

/* ---- calls of tools ---- */

static uint32_t new_rule(struct schema *s) {
    uint32_t rule = rules_rule(s->r, NULL, 0);
    rules_define(s->r, rule);
    return rule;
}

/* Writes a text and the optional space behind it; returns where that leads. */
static uint32_t text_and_space(struct schema *s, uint32_t from, const char *text) {
    uint32_t a = rules_node(s->r), b = rules_node(s->r);
    rules_text(s->r, from, a, text, strlen(text));
    rules_call(s->r, a, b, s->j.space);
    return b;
}

static void tool_call(struct schema *s, uint32_t rule, const json *tool, unsigned number) {
    const char *name = json_string(schema_get(tool, "name"));
    const json *parameters = schema_get(tool, "parameters");
    struct entries what = {0};
    char path[32];
    if (name == NULL || !schema_ok(s)) {
        rules_fail(s->r, ST_INVALID, "tool %u has no name", number);
        return;
    }
    snprintf(path, sizeof path, "#/tools/%u", number);
    const char *kept = arena_strndup(&s->r->scratch, path, strlen(path));
    if (kept == NULL) s->r->st = err_no_memory(s->r->e);
    s->doc = (struct document){parameters, kept};
    if (json_len(parameters) > 0) entries_add_schema(s, &what, parameters, kept);
    uint32_t arguments = what.n > 0 ? schema_rule(s, &what) : s->j.object;
    if (!schema_ok(s)) return;
    uint32_t at = text_and_space(s, s->r->rule[rule].start, "{"), key = rules_node(s->r),
             value = rules_node(s->r), end = rules_node(s->r);
    at = text_and_space(s, at, "\"name\":");
    json_literal_string(s->r, name, strlen(name), at, key);
    at = text_and_space(s, key, ",");
    rules_text(s->r, at, value, "\"arguments\":", 12);
    rules_text(s->r, at, value, "\"parameters\":", 13);
    at = text_and_space(s, value, "");
    rules_call(s->r, at, end, arguments);
    at = text_and_space(s, end, "");
    rules_text(s->r, at, s->r->rule[rule].end, "}", 1);
}

static const char *text_of(const json *v, const char *key) {
    const char *s = json_string(schema_get(v, key));
    return s != NULL ? s : "";
}

/* open call close, again and again; or open call ("," call)* close. */
static void put_calls(struct schema *s, const json *root, uint32_t call) {
    struct rules *r = s->r;
    const char *open = text_of(root, "open"), *close = text_of(root, "close");
    bool list = false;
    json_bool(schema_get(root, "list"), &list);
    uint32_t from = r->rule[r->root].start, to = r->rule[r->root].end;
    uint32_t before = rules_node(r), behind = rules_node(r), line = rules_node(r);
    rules_empty(r, *open != '\0' ? text_and_space(s, from, open) : from, before);
    rules_call(r, before, behind, call);
    uint32_t end = *close != '\0' ? text_and_space(s, behind, "") : behind;
    rules_text(r, end, to, close, strlen(close));
    if (list) {
        rules_empty(r, text_and_space(s, behind, ","), before);
    } else if (*open != '\0' && *close != '\0') {
        rules_text(r, end, line, close, strlen(close));
        rules_empty(r, text_and_space(s, line, ""), from);
    }
}

void tools_compile(struct rules *r, const char *text, size_t len, struct buf *notes) {
    struct schema s = {.r = r, .notes = notes, .last = &s.first};
    json *root = begin(&s, text, len);
    unsigned i = 0;
    if (root == NULL) return;
    const json *tools = schema_get(root, "tools");
    if (json_kind(tools) != JSON_ARRAY || json_len(tools) == 0)
        rules_fail(r, ST_INVALID, "there are no tools to call");
    uint32_t call = new_rule(&s);
    r->root = new_rule(&s);
    for (const json *t = json_first(tools); t != NULL && schema_ok(&s); t = json_next(t))
        tool_call(&s, call, t, i++);
    if (schema_ok(&s)) put_calls(&s, root, call);
    finish(&s, root);
}
