/* legacy.h - files of older layouts, as the Ollama library carries them (spec/models/
 * legacy-ollama-gguf.md): other names of keys, tensors and architectures, vocabularies longer than
 * the embedding. Translated in memory when a model is loaded, before anything is checked; files of
 * today's layout stay as they are. */
#ifndef CRIA_ENGINE_LEGACY_H
#define CRIA_ENGINE_LEGACY_H

#include "engine/file/gguf.h"

enum status legacy_translate(struct gguf *g, struct err *e);
/* Behind that, for who runs them: blocks that predict further tokens ("mtp.") get the names and the
 * form that today's files have, behind the model's own blocks. Their experts are copied. */
enum status legacy_translate_mtp(struct gguf *g, struct err *e);

#endif
