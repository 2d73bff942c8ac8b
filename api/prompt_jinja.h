/* prompt_jinja.h - prompts by the Jinja template of a GGUF file (spec/templates.md 6.2). */
#ifndef CRIA_API_PROMPT_JINJA_H
#define CRIA_API_PROMPT_JINJA_H

#include "api/prompt.h"

/* messages: normalised, with tags in place of images. Appends to out->text. */
enum status prompt_jinja(const struct prompt_input *in, const json *messages, struct prompt *out,
                         struct err *e);

#endif
