/* jinja.h - Jinja chat templates as GGUF files carry them (spec/templates.md 6).
 *
 * The language is that of Jinja 3 with the settings of Hugging Face Transformers: trim_blocks,
 * lstrip_blocks, loop controls, a `generation` block, raise_exception, strftime_now and their
 * tojson. A template sees the given variables and nothing else: no files, no other templates, no
 * attributes of anything but data. Templates are untrusted programs: size, nesting, steps ("fuel"),
 * memory and output are limited. A parsed template never changes and may be used by several threads
 * at once. */
#ifndef CRIA_API_JINJA_H
#define CRIA_API_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct jinja;

/* ST_FORMAT: "line N: what is wrong"; ST_LIMIT; ST_NO_MEMORY. `own`: a template of cria itself,
 * which may also use the filters that print as Go does (jinja/filter_go.c). */
enum status jinja_parse(struct jinja **out, const char *text, size_t len, bool own, struct err *e);
void jinja_free(struct jinja *t); /* NULL is fine */

struct jinja_var {
    const char *name;
    const json *value; /* borrowed during the call; JSON null is none */
};
struct jinja_input {
    const struct jinja_var *var;
    size_t n_vars;
    int64_t now; /* seconds since 1970 for strftime_now; 0: the clock */
};
struct jinja_limits {
    uint64_t fuel;              /* steps, and bytes handled / 16 */
    size_t max_out, max_memory; /* bytes */
    unsigned max_depth;         /* of calls and nested expressions together */
};
extern const struct jinja_limits jinja_default_limits;

/* Appends the text to *out. On failure *out is as before: ST_INVALID "line N: ..." for run-time
 * errors, or just the text for the template's own raise_exception; ST_LIMIT; ST_NO_MEMORY. */
enum status jinja_render(const struct jinja *t, const struct jinja_input *in,
                         const struct jinja_limits *limits, struct buf *out, struct err *e);

#endif
