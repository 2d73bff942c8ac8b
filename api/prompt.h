/* prompt.h - from a request's messages to the prompt text (spec/templates.md 1.1, 1.2, 4). */
#ifndef CRIA_API_PROMPT_H
#define CRIA_API_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/catalog.h"
#include "base/arena.h"
#include "base/json.h"
#include "engine/vocab/vocab.h"

struct prompt_think {
    bool set, on;
    bool named;        /* the request gave a level by name */
    const char *level; /* "" if none; "medium" for plain true */
};

struct prompt_input {
    const struct catalog_model *model;
    const struct vocab *vocab;
    size_t (*count)(const char *text, size_t len); /* tokens of a text; NULL: by the vocabulary */
    uint32_t n_ctx;
    bool truncate;  /* drop old messages until the prompt fits */
    bool projector; /* images count as tokens, too */
    struct prompt_think think;
    const json *tools; /* NULL: none */

    bool harmony; /* tools have the names of spec/chat-formats.md 5.3 */

    /* chat: the request's messages */
    const json *messages;
    /* generate: a prompt in place of messages */
    bool generate;
    const char *prompt, *suffix, *system;
    const json *images;
    bool without_stored; /* leave out the model's stored messages (a context is given) */
    const struct template *template; /* the request's own; NULL: the model's */
};

struct prompt {
    struct buf text;
    bool writes_bos;     /* the text may begin with the BOS that the vocabulary adds, too */
    bool truncated;      /* messages of the request are not in it */
    const json **images; /* of the messages that are in it, in order; the list is owned */
    unsigned n_images;
};
void prompt_free(struct prompt *p);
/* Numbers more images, a list of base64 texts that outlives p; for prompts made by hand. */
enum status prompt_add_images(struct prompt *p, const json *images, struct err *e);

/* Appends to out->text. Errors: those of the template (ST_INVALID), ST_LIMIT, ST_NO_MEMORY. */
enum status prompt_render(const struct prompt_input *in, struct prompt *out, struct err *e);

/* Text -> ids with special tokens; a "<bos>" that the template wrote itself is not doubled, with
 * own_bos (struct prompt: writes_bos) nor is any other BOS. */
enum status prompt_tokenize(const struct vocab *v, const char *text, size_t len, bool own_bos,
                            struct token_list *out, struct err *e);

#endif
