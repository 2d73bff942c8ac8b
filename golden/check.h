/* check.h - what the runners of golden-check share.
 *
 * golden-check walks the given folders; a folder whose name is a kind (the rows of kinds.def) holds
 * a set of that kind, its README is the contract. A runner gets the folder and counts its cases
 * here; it prints one line per failure through check_fail() and nothing else. Runners work on any
 * folder of the layout, never on names they happen to know. */
#ifndef CRIA_GOLDEN_CHECK_H
#define CRIA_GOLDEN_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

struct check {
    const char *backend; /* "ref", "cpu", ...; "cpu" by default */
    const char *base;    /* --base: where a set looks up data of the published one */
    unsigned passed, failed, skipped;
};

void check_pass(struct check *c);
/* A failed case: "FAIL <where>: <message>" on stdout. */
void check_fail(struct check *c, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A case that cannot run here; the reason is printed once per distinct text. */
void check_skip(struct check *c, const char *where, const char *reason);
/* Pass or fail by condition; returns ok. */
bool check_that(struct check *c, bool ok, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Whole files, freed with mem_free; NULL (and a failure counted) if unreadable. Reads FILE, or
 * FILE.xz through liblzma if FILE is not there. */
char *check_read(struct check *c, const char *dir, const char *file, size_t *size);
json *check_read_json(struct check *c, const char *dir, const char *file); /* json_free */
bool check_exists(const char *dir, const char *file);                      /* FILE or FILE.xz */
/* Where `path` of the published data is: below --base, beside the set's own folder, in golden/ or
 * ../shared/golden. False: nowhere. */
bool check_find(const struct check *c, const char *dir, const char *path, char *out, size_t size);

/* Calls row() for each line of a file of JSON lines; where is "KIND/FILE:LINE". A file that is not
 * there is no failure: sets may hold a part of their kind. */
typedef void check_row(struct check *c, const json *row, const char *where);
void check_rows(struct check *c, const char *dir, const char *file, check_row *row);

/* Sorted names in a folder (without "." and ".."): NULL-terminated, each and the list mem_free'd by
 * check_list_free. */
char **check_list(const char *dir);
void check_list_free(char **names);

const char *check_string(const json *row, const char *key); /* a member; "" if it is no string */
/* Appends a text of a JSON file: a string, or an object with it: "t" as text, or "b" in base64
 * where it is not UTF-8. Anything else is nothing. */
void check_text(struct buf *b, const json *v);

/* Appends what base64 of a set stands for; of broken base64 a text that says so. */
void check_base64(struct buf *b, const char *text);
/* A number, or the fallback; a list of integers, mem_free'd by the caller (NULL: no memory). */
double check_number(const json *v, double fallback);
int32_t *check_ints(const json *v, uint32_t *n);

/* Normalised mean squared error: sum (a-b)^2 / sum b^2. */
double check_nmse(const float *a, const float *b, size_t n);

typedef void check_runner(struct check *c, const char *dir);

#define KIND(name) check_runner check_##name;
#include "golden/kinds.def"
#undef KIND

#endif
