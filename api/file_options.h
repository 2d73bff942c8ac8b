/* file_options.h - the sampling that a GGUF file recommends: its general.sampling keys
 * (spec/gguf.md, spec/sampling.md 1), in the words of options.h. They stand between what is built
 * in and the model's parameters. */
#ifndef CRIA_API_FILE_OPTIONS_H
#define CRIA_API_FILE_OPTIONS_H

#include "base/json.h"

struct gguf;

/* A JSON object for options_apply(), to be freed with json_free(); NULL: the file says nothing.
 * A value of a wrong type, a number that is none or a sampler that is unknown is logged and left
 * out: a file is not refused for its advice. */
json *file_options(const struct gguf *g);

#endif
