/* info.h - what `show` and /show print about a model, from the answer of /api/show. */
#ifndef CRIA_CLI_INFO_H
#define CRIA_CLI_INFO_H

#include "base/buf.h"
#include "base/json.h"

/* The blocks Model, Projector, Capabilities, Parameters, [Metadata, Tensors], System, License. */
void info_put(struct buf *out, const json *shown, bool verbose);
/* A text field; "" if the answer has none. */
const char *info_text(const json *shown, const char *field);

#endif
