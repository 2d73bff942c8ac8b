/* request.h - reading the JSON body of a request by a table of its fields (spec/api.md 1.7).
 *
 * request_decode() walks the body in its own order, looks each key up in the table (exactly, else
 * without case), checks the type, and stores a pointer to the value in the caller's struct, whose
 * members are all `const json *`: NULL means absent or null. So a wrong type is reported for the
 * first field of the text that has one, with the wording of Go's decoder, and what a field means is
 * left to its user. Unknown keys are ignored; of duplicates the last counts. */
#ifndef CRIA_API_REQUEST_H
#define CRIA_API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum field_kind {
    FIELD_TEXT,
    FIELD_FLAG,
    FIELD_INT,
    FIELD_FLOAT,
    FIELD_ANY,        /* any value */
    FIELD_MAP,        /* an object; `type` is its Go type */
    FIELD_TEXT_MAP,   /* an object of strings */
    FIELD_STRUCT,     /* an object with `sub` fields */
    FIELD_STRUCT_MAP, /* an object of such objects, or of true and false: schemas of JSON */
    FIELD_LIST,       /* `type`: Go type of the list; elements are `elem`, `sub` */
    FIELD_CHECK,      /* check() decides */
};

struct fields;
struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;            /* of a `const json *`; FIELD_NOT_STORED */
    const char *type;         /* MAP, LIST, CHECK: Go type of the field */
    enum field_kind elem;     /* LIST */
    const char *elem_type;    /* STRUCT_MAP, LIST of STRUCT or CHECK: Go type of an element */
    const struct fields *sub; /* STRUCT, STRUCT_MAP, LIST of STRUCT */
    enum status (*check)(const json *v, struct err *e); /* CHECK; null is never passed */
};
#define FIELD_NOT_STORED ((size_t)-1)

struct fields {
    const char *name; /* "ChatRequest"; NULL: that of the structure around it */
    const char *type; /* "api.ChatRequest": top level only */
    const struct field *field;
    size_t n_fields;
};

/* Body text -> tree. ST_INVALID: broken JSON or a wrong type; *root is freed by the caller in every
 * case. A blank body is an ST_INVALID "EOF" (native routes say "missing request body"). */
enum status request_decode(const struct fields *f, const char *text, size_t len, void *out,
                           json **root, struct err *e);
/* The same for a tree that is there already. */
enum status request_decode_tree(const struct fields *f, const json *root, void *out, struct err *e);

/* What a stored value means; NULL gives the fallback. */
const char *field_text(const json *v);                        /* "" if absent */
const char *text_member(const json *object, const char *key); /* the same of a member */
bool field_flag(const json *v, bool fallback);
int64_t field_int(const json *v, int64_t fallback);

/* Checks for FIELD_CHECK. */
enum status check_keep_alive(const json *v, struct err *e);
enum status check_think(const json *v, struct err *e);
enum status check_arguments(const json *v, struct err *e); /* of a tool call */
enum status check_image(const json *v, struct err *e);     /* base64 text */

/* Tables that several requests share. */
extern const struct fields message_fields;         /* api.Message */
extern const struct fields tool_fields;            /* api.Tool */
extern const struct fields tool_parameters_fields; /* api.ToolFunctionParameters */

#endif
