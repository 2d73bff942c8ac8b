/* mix.h - which tensor of a model gets which type: the mixes of spec/quants.md 9.
 *
 * A file type (Q4_K_M, ...) names a default type and a number of exceptions: tensors that matter
 * more get more bits. The exceptions are rows of a table (mix.c), by the role that a tensor's name
 * tells, and by facts such as how far up in the model it stands. Then what does not fit (rows that
 * are no whole number of blocks) falls back to a type with smaller blocks.
 *
 * Some rules count tensors, so the types of a model are asked for in its order: tensors outside of
 * the blocks first, then block by block, by name within (mix_compare). */
#ifndef CRIA_ENGINE_MIX_H
#define CRIA_ENGINE_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/file/gguf.h"
#include "kernels/dtype.h"

enum ftype { /* general.file_type */
#define FTYPE(id, NAME, def) FT_##NAME = id,
#include "engine/quantize/ftypes.def"
#undef FTYPE
             FT_COUNT,
             FT_COPY = FT_COUNT, /* every tensor as it is */
};

const char *ftype_name(enum ftype f);   /* "Q4_K_M"; "COPY"; NULL for a number without a row */
enum dtype ftype_default(enum ftype f); /* not of FT_COPY */
/* By name in any case (Q3_K, Q4_K and Q5_K mean the _M ones) or by number; FT_COUNT + 1: unknown.
 */
enum ftype ftype_parse(const char *text);
enum { FT_UNKNOWN = FT_COUNT + 1 };

struct mix_model { /* what the rules want to know of a model */
    const char *arch;
    int64_t n_layer, n_head, n_head_kv, n_expert; /* heads: of layer 0; n_expert: 0 if none */
};

struct mix {
    enum ftype ftype;
    struct mix_model model;
    bool imatrix; /* there is an importance matrix */
    /* Derived and counted; see mix_begin. */
    bool tied;
    int64_t n_v, i_v, i_down, i_gate, i_up;
};

/* Order of tensors: negative if a comes before b. */
int mix_compare(struct gguf_str a, struct gguf_str b);
/* Prepares for the tensors with these names (all of the model, in any order). */
void mix_begin(struct mix *m, enum ftype ftype, const struct mix_model *model, bool imatrix,
               const struct gguf_str *names, size_t n_names);
/* 9.1: whether a tensor is quantized at all. n_dims counts trailing ones, too. */
bool mix_quantizable(const char *arch, struct gguf_str name, uint32_t n_dims, const int64_t dim[4]);
/* 9.4: the type by role, before the fallback; the default type must be a block format. Counts. */
enum dtype mix_pick(struct mix *m, struct gguf_str name, const int64_t dim[4]);
/* 9.5: the type for rows of n_cols; ST_UNSUPPORTED if no fallback is defined. */
enum status mix_fallback(enum dtype type, int64_t n_cols, enum dtype *out, struct err *e);
/* 8.4: types that make no sense without an importance matrix. */
bool mix_needs_imatrix(enum ftype ftype, enum dtype type, struct gguf_str name);

bool mix_is(struct gguf_str name, const char *text);
bool mix_has(struct gguf_str name, const char *part);
bool mix_ends(struct gguf_str name, const char *end);

#endif
