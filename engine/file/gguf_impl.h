/* gguf_impl.h - an open GGUF file from inside; for gguf.c, gguf_split.c and gguf_edit.c, nobody
 * else. */
#ifndef CRIA_ENGINE_GGUF_IMPL_H
#define CRIA_ENGINE_GGUF_IMPL_H

#include "base/arena.h"
#include "base/map.h"
#include "base/os.h"
#include "engine/file/gguf.h"

struct gguf {
    struct os_map map;
    char *label; /* owned */
    uint32_t version, alignment;
    uint64_t data_offset;
    struct gguf_kv *kv; /* owned; names, values and data point into the map */
    size_t n_kv;
    struct gguf_tensor *tensor; /* owned; of all parts */
    size_t n_tensors;
    struct map keys, names; /* key -> index in kv, tensor name -> index in tensor */
    uint64_t *str_at;       /* owned; where each string of each array starts in the file */
    size_t n_str, cap_str;
    struct gguf **part; /* owned; the other files of a split set, into whose maps tensors point */
    size_t n_parts;
    struct arena edits; /* names and values that are not in the file (gguf_edit.c) */
};

void gguf_set_error_class(const char *name); /* a text that stays */

#endif
