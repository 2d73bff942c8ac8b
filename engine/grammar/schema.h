/* schema.h - inside of the JSON schema compiler.
 *
 *   schema.c         lists of schemas that must all hold; $ref, allOf, anyOf, oneOf; types
 *   schema_value.c   constants, strings, numbers, arrays
 *   schema_object.c  objects
 *
 * What a value must satisfy is a *list* of schema nodes: the node itself, what its $ref and allOf
 * name, a branch of each anyOf and oneOf. Lists that are equal share one rule, which makes
 * recursive schemas finite; rules are compiled from a queue, so nothing recurses over the schema.
 * The texts are in the peer's form (spec/sampling.md 10.4: order of properties, white space), and
 * valid. */
#ifndef CRIA_ENGINE_GRAMMAR_SCHEMA_H
#define CRIA_ENGINE_GRAMMAR_SCHEMA_H

#include "base/buf.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/number.h"

enum entry_kind {
    ENTRY_SCHEMA,   /* a node with everything in it */
    ENTRY_MEMBER,   /* the same, of an allOf that the peer reads as one object */
    ENTRY_PLAIN,    /* a node without its $ref, allOf, anyOf, oneOf: they are in the list already */
    ENTRY_REQUIRED, /* plain, of such an allOf: its properties are all required */
    ENTRY_OPTIONAL, /* plain, and its properties are all optional */
    ENTRY_CHOICE,   /* an anyOf or oneOf list */
};

struct entry {
    const json *v;
    const char *path; /* "#/properties/a", in the scratch arena */
    enum entry_kind kind;
};
struct entries { /* in the scratch arena */
    struct entry *list;
    uint32_t n, cap;
};

enum type_bits {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_OBJECT = 4,
    TYPE_ARRAY = 8,
    TYPE_STRING = 16,
    TYPE_INTEGER = 32,
    TYPE_FRACTION = 64, /* numbers that are not integers */
    TYPE_NUMBER = TYPE_INTEGER | TYPE_FRACTION,
    TYPE_ALL = 127
};

struct document { /* what a $ref points into: the source, or the parameters of one tool */
    const json *root;
    const char *path; /* of the root in the source */
};
struct job {
    uint32_t rule;
    struct entries what;
    struct document doc;
    struct job *next;
};
struct schema {
    struct rules *r;
    struct json_rules j;
    struct document doc; /* of what is compiled now */
    struct buf *notes;
    struct map rule_of; /* key of a list -> rule */
    struct job *first, **last;
};

/* Fails with the path. */
void schema_fail(struct schema *s, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes what is not enforced, once each. */
void schema_note(struct schema *s, const char *path, const char *what);
bool schema_ok(const struct schema *s);
const char *schema_path(struct schema *s, const char *path, const char *key, const char *sub);
/* Member of a schema by its exact name. */
const json *schema_get(const json *v, const char *key);

void entries_add(struct schema *s, struct entries *to, struct entry x);
void entries_add_schema(struct schema *s, struct entries *to, const json *v, const char *path);
/* The rule of all values that satisfy the list. */
uint32_t schema_rule(struct schema *s, const struct entries *what);
/* A non-negative integer; false: absent (or failed). */
bool schema_count(struct schema *s, const struct entry *x, const char *key, uint32_t *out);

/* schema_value.c: what has no $ref or choice left, between two nodes. */
bool schema_constants(struct schema *s, const struct entries *what, unsigned types, uint32_t from,
                      uint32_t to); /* false: there are none */
void schema_string(struct schema *s, const struct entries *what, uint32_t from, uint32_t to);
void schema_number(struct schema *s, const struct entries *what, bool integer, uint32_t from,
                   uint32_t to);
void schema_array(struct schema *s, const struct entries *what, uint32_t from, uint32_t to);
/* The language of the strings that satisfy the list; NULL with *free: any string. */
const struct dfa *schema_string_dfa(struct schema *s, const struct entries *what, bool *free);

void schema_object(struct schema *s, const struct entries *what, uint32_t from, uint32_t to);

#endif
