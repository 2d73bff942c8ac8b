/* json.h - JSON in (a thin layer over cJSON) and out (our own emitter).
 *
 * In: json_parse() first scans the text once against limits (depth, nodes, bytes), then lets cJSON
 * build the tree. The tree is read through the functions below; cJSON's types do not leak out.
 * Numbers keep their text (json_int is exact, json_print writes them as they were). Strings may
 * hold NULs; bad UTF-8 and lone surrogates in them arrive as U+FFFD, so texts are valid UTF-8.
 * Out: json_put_* append to a buffer; strings are escaped as spec/api.md 1.8 says (`<`, `>`, `&`,
 * U+2028, U+2029 as \u escapes, invalid UTF-8 as U+FFFD, one per maximal bad subsequence). */
#ifndef CRIA_BASE_JSON_H
#define CRIA_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct cJSON;
typedef struct cJSON json; /* one value of a parsed tree; borrowed from its root */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_limits {
    size_t max_bytes, max_nodes;
    unsigned max_depth;
};
extern const struct json_limits json_default_limits; /* 64 MiB, 1M nodes, depth 256 */

/* Parses the first JSON value of the text; what follows it is ignored (*used, if not NULL, tells
 * where it ended). Returns the root, freed with json_free, or NULL with e set: ST_FORMAT with Go's
 * wording of spec/api.md 1.7 ("invalid character 'x' looking for beginning of value",
 * "unexpected EOF", ...; "EOF" for a blank text), ST_LIMIT ("exceeded max depth", ...; depth is at
 * most 1000), ST_NO_MEMORY. */
json *json_parse(const char *text, size_t len, const struct json_limits *limits, size_t *used,
                 struct err *e);
void json_free(json *root);

enum json_kind json_kind(const json *v); /* NULL counts as JSON_NULL */
/* "object", "array", "string", "number", "bool" or "null". */
const char *json_kind_name(const json *v);
size_t json_len(const json *v);        /* elements of an array or object */
const json *json_first(const json *v); /* children in order: first, then json_next */
const json *json_next(const json *child);
const char *json_key(const json *child); /* name of an object's member */
/* Member by name: exact match first, else case-insensitive (ASCII); of duplicates the last. NULL:
 * absent. */
const json *json_get(const json *object, const char *key);

/* Readers give false if v is absent, null, of another kind or does not fit; *out is then
 * untouched. */
bool json_bool(const json *v, bool *out);
bool json_number(const json *v, double *out);
bool json_int(const json *v, int64_t *out); /* numbers with a fraction are cut */
const char *json_string(const json *v);     /* NULL if not a string; an embedded NUL ends it */
const char *json_string_n(const json *v, size_t *len);

/* The value as compact JSON text, member order kept. */
void json_print(struct buf *b, const json *v);

/* The emitter: values. Commas and colons are the caller's: json_put_key writes them for members. */
void json_put_string(struct buf *b, const char *s, size_t len);
void json_put_double(struct buf *b, double v); /* shortest text that reads back; NaN, inf: null */
void json_put_float(struct buf *b, float v);   /* shortest that reads back as float */

/* Writes `,"key":` (without the comma directly after `{`). */
void json_put_key(struct buf *b, const char *key);
/* Key and value in one. */
void json_put_field(struct buf *b, const char *key, const char *value); /* string; NULL: "" */
void json_put_field_int(struct buf *b, const char *key, int64_t value);
void json_put_field_bool(struct buf *b, const char *key, bool value);

#endif
