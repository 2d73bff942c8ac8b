/* name.h - model names: [scheme://][host/][namespace/]model[:tag] (spec/store.md 1, spec/api.md 2).
 *
 * A name is a plain value of fixed size; nothing is owned. A part that is too long is kept to one
 * byte above its limit, which is enough to know that the name is invalid. Paths in the store are
 * only ever made from names for which name_is_valid() holds: no part then can hold '/', begin with
 * '.' or '-', or be empty. All functions are thread-safe. */
#ifndef CRIA_STORE_NAME_H
#define CRIA_STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    NAME_PART_MAX = 80,
    NAME_HOST_MAX = 350,
    NAME_TEXT_MAX = 640, /* room for the longest text of a name, separators and NUL included */
};

#define NAME_DEFAULT_HOST "registry.ollama.ai"
#define NAME_DEFAULT_NAMESPACE "library"
#define NAME_DEFAULT_TAG "latest"

struct model_name { /* parts of a text that holds none are the defaults; model may be "" */
    char scheme[16];
    char host[NAME_HOST_MAX + 2];
    char namespace[NAME_PART_MAX + 2];
    char model[NAME_PART_MAX + 2];
    char tag[NAME_PART_MAX + 2];
};

/* Fills *n from the text in every case; tells whether the name is valid. name_parse_n takes text
 * with NUL bytes (which make it invalid). No trimming, no source suffix: see name_parse_ref. */
bool name_parse(struct model_name *n, const char *text);
bool name_parse_n(struct model_name *n, const char *text, size_t len);
bool name_is_valid(const struct model_name *n);
bool name_equal(const struct model_name *a,
                const struct model_name *b); /* without case or scheme */

/* Texts: "llama3.2:latest", "ns/m:t" or "host/ns/m:t"; always "host/ns/m:t"; "host/ns/m/t". */
void name_shortest(const struct model_name *n, char out[NAME_TEXT_MAX]);
void name_full(const struct model_name *n, char out[NAME_TEXT_MAX]);
void name_path(const struct model_name *n, char out[NAME_TEXT_MAX]);
/* The way back from "host/ns/m/t"; false if it is not exactly four valid parts. */
bool name_from_path(struct model_name *n, const char *path);

/* ---- references: a name as requests give it, with a source suffix ---- */

enum name_source { NAME_SOURCE_NONE, NAME_SOURCE_LOCAL, NAME_SOURCE_CLOUD };

/* Trims white space, removes ":local", ":cloud" or "-cloud" of the tag, and appends the rest to
 * *base. ST_INVALID: "model is required"; "use either :local or :cloud, not both: "NAME"". */
enum status name_split_source(const char *text, struct buf *base, enum name_source *source,
                              struct err *e);
/* Both in one: the split (source may be NULL), then the name. ST_INVALID also with "invalid model
 * name"; *n then still holds what was read. */
enum status name_parse_ref(struct model_name *n, const char *text, enum name_source *source,
                           struct err *e);
/* The text a registry knows the model by: "x:20b:cloud" -> "x:20b-cloud", "x:8b:local" -> "x:8b".
 */
enum status name_pull_text(const char *text, struct buf *out, struct err *e);

#endif
