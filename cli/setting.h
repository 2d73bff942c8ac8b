/* setting.h - options of a request given as texts: -o NAME=VALUE and /set parameter.
 *
 * Names and types are those of PARAMETER in a Modelfile (store/modelfile.h). */
#ifndef CRIA_CLI_SETTING_H
#define CRIA_CLI_SETTING_H

#include "base/buf.h"
#include "base/err.h"
#include "store/modelfile.h"

struct setting_list {               /* a zeroed struct is empty */
    struct modelfile_command *list; /* owned; its texts live in the arena */
    size_t n;
    struct arena arena;
};

/* Replaces what was set under that name. ST_INVALID: "unknown parameter 'x'", "invalid int ..." */
enum status setting_set(struct setting_list *o, const char *name, const char *const *values,
                        size_t n, struct err *e);
/* "NAME=VALUE"; a repeated `stop` adds one. */
enum status setting_add(struct setting_list *o, const char *text, struct err *e);
/* The JSON object; nothing if there is no option. */
enum status setting_put(struct buf *out, const struct setting_list *o, struct err *e);
void setting_free(struct setting_list *o);

#endif
