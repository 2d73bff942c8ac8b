/* sequence.h - what a sequence of the cache consists of: tokens, and rows of images between them.
 *
 * Each cell has an entry in `tokens`: a token, or CRIA_TOKEN_IMAGE for a row of an image. A span
 * says which rows belong to which image; two images are the same if their keys are (engine/cria.h).
 * An image is never cut: where a sequence ends within one, it ends before it. Not thread-safe. */
#ifndef CRIA_ENGINE_SEQUENCE_H
#define CRIA_ENGINE_SEQUENCE_H

#include "engine/cria.h"

struct image_span {
    uint32_t first;          /* its first cell */
    struct cria_image image; /* rows: borrowed from the request; unused in slots */
};

struct sequence { /* a zeroed one is empty */
    struct token_list tokens;
    struct image_span *spans; /* in order, without overlap; the last may still be incomplete */
    uint32_t n_spans, cap_spans;
};

void seq_free(struct sequence *s);
void seq_wipe(struct sequence *s); /* empties it; nothing of what it held stays in its memory */
bool seq_add(struct sequence *s, token_id id);                          /* false: no memory */
bool seq_add_image(struct sequence *s, const struct cria_image *image); /* likewise */
/* Appends entries at..at+n-1 of `from`; an image that they begin but do not end is continued by
 * later calls. */
bool seq_append(struct sequence *s, const struct sequence *from, uint32_t at, uint32_t n);
/* The largest length not above n (the smallest not below, _ceil) that cuts no image. */
uint32_t seq_floor(const struct sequence *s, uint32_t n);
uint32_t seq_ceil(const struct sequence *s, uint32_t n);
/* Forgets all but the first n entries; n cuts no image. */
void seq_truncate(struct sequence *s, uint32_t n);
/* Takes out entries from..to-1; neither end cuts an image. */
void seq_remove(struct sequence *s, uint32_t from, uint32_t to);
/* How many of the first n entries are the same in both, whole images only. */
uint32_t seq_common(const struct sequence *a, const struct sequence *b, uint32_t n);
/* The span that entry i belongs to; NULL: it is a token. */
const struct image_span *seq_span(const struct sequence *s, uint32_t i);

/* Where rope sees entry i: t, y, x and the fourth position (spec/models/vision.md 5), all counted
 * from the sequence's first position. */
struct position {
    uint32_t at[4];
};
struct position seq_position(const struct sequence *s, uint32_t i);

#endif
