/* modelfile.h - Modelfiles: reading, printing, and the types of PARAMETERs (spec/modelfile.md).
 *
 * modelfile_parse() turns bytes (UTF-8, or UTF-16 with a byte-order mark) into a list of commands
 * in file order. It knows nothing of files or models: what FROM, ADAPTER and DRAFT mean is the
 * caller's business (cli/). Every character is kept except NUL and byte-order marks, which is a
 * deliberate difference from the reference (spec 2.4). */
#ifndef CRIA_STORE_MODELFILE_H
#define CRIA_STORE_MODELFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum modelfile_kind {
    MODELFILE_FROM,
    MODELFILE_LICENSE,
    MODELFILE_TEMPLATE,
    MODELFILE_SYSTEM,
    MODELFILE_ADAPTER,
    MODELFILE_DRAFT,
    MODELFILE_RENDERER,
    MODELFILE_PARSER,
    MODELFILE_PARAMETER,
    MODELFILE_MESSAGE,
    MODELFILE_REQUIRES,
    MODELFILE_KINDS
};

struct modelfile_command { /* texts are owned by the modelfile's arena, NUL-terminated */
    enum modelfile_kind kind;
    const char *name;  /* PARAMETER: its name ("stop"); MESSAGE: the role; else NULL */
    const char *value; /* unquoted; may be "" */
    size_t len;        /* bytes of value */
    unsigned line;     /* where the command begins */
};

struct modelfile {
    struct modelfile_command *commands; /* owned; in file order */
    size_t n_commands;
    struct arena arena;
};

enum { MODELFILE_MAX_BYTES = 16 << 20, MODELFILE_MAX_COMMANDS = 100000 };

/* ST_FORMAT with the exact texts of spec 2.2-2.5; ST_LIMIT; ST_NO_MEMORY. *m needs no
 * initialisation; after success it is freed with modelfile_free, after failure it is empty. */
enum status modelfile_parse(struct modelfile *m, const char *text, size_t len, struct err *e);
void modelfile_free(struct modelfile *m);

/* The last command of a kind ("last wins"), NULL if there is none. */
const struct modelfile_command *modelfile_last(const struct modelfile *m, enum modelfile_kind kind);
const char *modelfile_kind_name(enum modelfile_kind kind); /* "FROM", "LICENSE", ... */

/* ---- printing (spec 3) ---- */

/* The value in quotes where it needs them. */
void modelfile_put_value(struct buf *b, const char *value, size_t len);
/* "SYSTEM text\n", "PARAMETER name text\n", "MESSAGE role text\n"; name as in the struct above.
 * Value NULL: "". */
void modelfile_put_command(struct buf *b, enum modelfile_kind kind, const char *name,
                           const char *value);
/* All commands, one after the other (`printed` of the goldens). */
void modelfile_print(struct buf *b, const struct modelfile *m);
/* PARAMETER lines of a params object: sorted by name, list elements in order, integers plain, other
 * numbers as Go's %v of a float64. NULL: nothing. */
void modelfile_put_params(struct buf *b, const json *params);
/* A number as Go's %v prints a float64 (4096, 1e+06, 0.5): for `parameters` of show. */
void modelfile_put_number(struct buf *b, double v);

/* ---- parameters (spec 4) ---- */

enum param_type {
    PARAM_UNKNOWN,
    PARAM_INT,
    PARAM_FLOAT,
    PARAM_BOOL,
    PARAM_STRINGS,
    PARAM_DEPRECATED
};
enum param_type modelfile_param_type(const char *name);

/* Appends the JSON object of all PARAMETERs ({"temperature":0.5,"stop":["a"]}), "" if there are
 * none that count. warn (may be NULL) gets "parameter NAME is deprecated" for the ignored ones.
 * ST_INVALID: "unknown parameter 'x'", "invalid int value [x]", "json: unsupported value: +Inf" ...
 */
enum status modelfile_put_parameters(struct buf *b, const struct modelfile *m,
                                     void (*warn)(void *arg, const char *text), void *arg,
                                     struct err *e);
/* Appends the members of the create request that need no files: `,"template":..,"system":..,
 * "license":[..],"parameters":{..},"messages":[..],"renderer":..,"parser":..,"requires":..`, each
 * only if it is there (json_put_key rules for the first comma). Errors also: "requires must be a
 * valid semver (e.g. 0.14.0)". The caller adds model, from, files, draft_files, adapters. */
enum status modelfile_put_request(struct buf *b, const struct modelfile *m,
                                  void (*warn)(void *arg, const char *text), void *arg,
                                  struct err *e);
/* "1", "0.14", "1.2.3-rc1+b", each with or without a leading 'v'. */
bool modelfile_is_semver(const char *text);

#endif
