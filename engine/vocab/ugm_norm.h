/* ugm_norm.h - the normaliser of the unigram kind: tokenizer.ggml.precompiled_charsmap and the
 * rules for spaces (spec/tokenizers.md 7.4). */
#ifndef CRIA_ENGINE_UGM_NORM_H
#define CRIA_ENGINE_UGM_NORM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gguf;
struct vocab;
struct buf;

/* The character map: a double array (XOR of the base with the byte) and zero-terminated
 * replacements. Bytes of the file; every index is checked when it is used. */
struct charsmap { /* owns both; a zeroed struct maps nothing */
    uint32_t *unit;
    size_t n_units;
    char *text;
    size_t n_text;
    /* What an ASCII character in front of another one (or of the end) becomes, so that most of most
     * texts needs no look into the map; 0: look. Filled by ugm_ascii(). */
    char ascii[128];
};
enum status charsmap_load(struct charsmap *m, const struct gguf *g, struct err *e);
void charsmap_free(struct charsmap *m);
/* The longest match at text: its length (0: none) and its replacement, borrowed. */
size_t charsmap_match(const struct charsmap *m, const char *text, size_t len, const char **to,
                      size_t *to_len);

/* Fills v->charsmap.ascii; user-defined texts and the map have been loaded. */
void ugm_ascii(struct vocab *v);

/* The normalised text in *out, which is cleared first. ST_LIMIT: the map makes far too much of it.
 */
enum status ugm_normalise(const struct vocab *v, const char *text, size_t len, struct buf *out,
                          struct err *e);

#endif
