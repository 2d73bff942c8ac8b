/* combined.h - image encoders inside of text models' files, as the Ollama library carries them
 * (spec/models/legacy-ollama-gguf.md 2): the same file serves as projector. In memory it becomes
 * the "clip" file that projector.c reads: keys under their new names, what older converters took
 * for granted filled in, tensors renamed and, where their layout differs, made again. Before
 * anything is checked; the file itself is never written. */
#ifndef CRIA_ENGINE_VISION_COMBINED_H
#define CRIA_ENGINE_VISION_COMBINED_H

#include "engine/file/gguf.h"

/* Nothing happens to a file that has no such encoder (cria_vision_in). ST_UNSUPPORTED: it has one,
 * of a layout that is not known. */
enum status combined_translate(struct gguf *g, struct err *e);
/* The projector type that a file becomes, "" if none; a text that stays. */
struct gguf_str combined_type(const struct gguf *g);

#endif
