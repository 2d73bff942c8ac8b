/* render.h - the built-in renderers of spec/chat-formats.md 4: from messages to a prompt.
 *
 * A renderer is a Jinja template of cria's own (renderers/NAME.jinja, embedded in the binary, after
 * shared.jinja) over a normalised view of the request that context.c makes. Thread-safe. */
#ifndef CRIA_API_RENDER_H
#define CRIA_API_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct render_input {
    const json *messages; /* as in the API, roles in lower case */
    const json *tools;    /* as in the API; NULL: none */
    bool think_set, think;
    const char *level;    /* "" if none: "low", "medium", "high", "max", or of plain true */
    bool level_named;     /* the request gave the level by name */
    unsigned first_image; /* number of the first image */
    int64_t now;          /* seconds since 1970; 0: the clock */
};
/* i-th name; NULL behind the last. */
const char *render_name(size_t i);
/* Appends the prompt. ST_INVALID: `unknown renderer "x"`, or what the format refuses. */
enum status render_prompt(const char *renderer, const struct render_input *in, struct buf *out,
                          struct err *e);

/* The value with the keys of every object sorted. */
void format_put_sorted(struct buf *b, const json *v);

/* context.c: the request as one JSON object of the templates' variables. */
void render_put_context(struct buf *b, const char *renderer, bool image_tags,
                        const struct render_input *in);

#endif
