/* gguf_same.h - a GGUF file compared with its parsed form in JSON (README of golden/gguf): pairs
 * are [key, type, value], tensors [name, ne, type, offset, bytes, crc32]. */
#ifndef CRIA_GOLDEN_GGUF_SAME_H
#define CRIA_GOLDEN_GGUF_SAME_H

#include "base/json.h"
#include "engine/file/gguf.h"

bool gguf_same_text(const json *want, struct gguf_str got);
bool gguf_same_number(const json *want, uint64_t got);
bool gguf_same_pair(const struct gguf *g, const json *want, const struct gguf_kv *kv);
/* place: the offset has to be the same, too. */
bool gguf_same_tensor(const json *want, const struct gguf_tensor *t, bool place);

#endif
