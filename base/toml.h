/* toml.h - a strict subset of TOML 1.0 (toml.io/en/v1.0.0), for configuration files.
 *
 * There are: comments, bare and dotted keys, [tables], basic and literal strings of one line,
 * integers (decimal, 0x, 0o, 0b, underscores), finite floats, booleans, arrays of these. Not:
 * quoted keys, strings of several lines, dates, arrays in arrays, inline tables, arrays of tables;
 * each is an error that says so. What is accepted means what TOML says it means.
 *
 * The result is a flat list in the order of the file; a key has its tables in front
 * ("server.port"). No recursion; sizes are limited before anything is allocated for them. */
#ifndef CRIA_BASE_TOML_H
#define CRIA_BASE_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum {
    TOML_MAX_BYTES = 1 << 20,
    TOML_MAX_ENTRIES = 10000, /* keys and tables */
    TOML_MAX_KEY = 255,       /* bytes of a whole key */
    TOML_MAX_ITEMS = 10000,   /* of one array */
};

enum toml_kind { TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOL, TOML_ARRAY, TOML_TABLE };

struct toml_value {
    enum toml_kind kind;
    unsigned line, column; /* where it begins; from 1, columns in characters */
    const char *text;      /* STRING: UTF-8 without NULs, NUL-terminated */
    int64_t integer;
    double number; /* FLOAT */
    bool truth;
    const struct toml_value *items; /* ARRAY */
    size_t n;
};
struct toml_entry {
    const char *key;         /* with its tables, joined by dots */
    unsigned line, column;   /* of the key */
    struct toml_value value; /* kind TOML_TABLE: the header of a table */
};
struct toml {
    struct toml_entry *entries; /* owned by the arena, as all texts */
    size_t n;
    struct arena arena;
};

/* ST_FORMAT: "line 3, column 5: ...", ST_LIMIT, ST_NO_MEMORY; then nothing is left to free. */
enum status toml_parse(struct toml *t, const char *text, size_t len, struct err *e);
void toml_free(struct toml *t);                  /* a zeroed one is fine */
const char *toml_kind_name(enum toml_kind kind); /* "a string", "an integer", ... */

#endif
