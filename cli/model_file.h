/* model_file.h - models for the commands that work without a server: a GGUF file, or the name of a
 * stored or built-in model. */
#ifndef CRIA_CLI_MODEL_FILE_H
#define CRIA_CLI_MODEL_FILE_H

#include <stdbool.h>

#include "base/err.h"

struct cria_engine;
struct cria_engine_params;
struct gguf;
struct store;

/* Whether the text names a GGUF file that is there (by its first bytes). */
bool model_is_file(const char *text);
/* The store of the environment with the built-in model in it; store_close. dir NULL: see store.h.
 */
enum status model_store(struct store **out, const char *dir, struct err *e);
enum status model_engine(struct cria_engine **out, const char *text,
                         const struct cria_engine_params *p, struct err *e);
enum status model_gguf(struct gguf **out, const char *text, struct err *e); /* gguf_close */

#endif
