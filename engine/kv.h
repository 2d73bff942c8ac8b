/* kv.h - the paged KV cache: sequences over counted, shared pages.
 *
 * A page holds KV_PAGE cells of every layer (kernels/step.h draws the planes). A sequence is a list
 * of pages; a fork shares all full pages and copies the cells of a partly filled last one, so a
 * page with more than one owner is never written. A layer with a recurrence has a slot of state for
 * each sequence instead, which stands for all of its tokens at once: it can be copied and begun
 * anew, but not taken back to an earlier token.
 *
 * Layers with a window need only its cells. Where that saves memory they have pages of their own,
 * fewer of them. Pages that no later row of their sequence sees are let go one by one when others
 * need the room, from the sequence that has most of them; so prefixes can be shared, and tokens be
 * taken back, as far as the cells before them are there ([note
 * 012](../docs/notes/012-pages-of-windows.md)).
 *
 * Sequences belong to domains: those who must not see each other's tokens. Pages are shared within
 * a domain only, and what a page or a state held is zeroed before another domain gets it
 * (spec/security.md S-LC-8).
 *
 * Not thread-safe: the engine's step lock guards it. */
#ifndef CRIA_ENGINE_KV_H
#define CRIA_ENGINE_KV_H

#include "engine/model.h"

struct kv_pool {
    uint32_t n_pages, n_free;
    uint16_t *refs;       /* [n_pages] owners of a page */
    uint64_t *domain;     /* [n_pages] whose cells were in it last */
    uint32_t *free_pages; /* stack */
};
struct kv {
    struct kv_cache cache;      /* what the ops see */
    struct kv_pool all, window; /* pages of most layers; of those with windows, if they have any */
    bool *windowed;             /* [n_layer] cache.windowed */
    uint32_t n_window;   /* cells that a row sees in these layers; 0: no pages of their own */
    uint32_t *n_settled; /* [n_seqs] tokens before the step that may still be running */
    uint64_t *domain;    /* [n_seqs] */
    uint32_t max_pages;  /* of a sequence */
    bool recurrent;      /* some layer has a state */
    size_t bytes;        /* of all planes */
    struct device *dev;  /* borrowed; holds the planes */
};

/* n_ctx: longest sequence; n_active: how many of that length fit at once; n_seqs: sequences there
 * can be (idle ones share what is left); n_batch: most cells that a step adds, 0: window layers
 * keep everything. type: any that can be written and whose blocks divide the heads (ST_INVALID
 * else). */
enum status kv_open(struct kv **out, const struct model *m, uint32_t n_ctx, uint32_t n_active,
                    uint32_t n_seqs, uint32_t n_batch, enum dtype type, struct err *e);
void kv_close(struct kv *kv); /* NULL is fine */

/* An empty sequence becomes one of this domain; of 0 at first. False: the device failed. */
bool kv_seq_assign(struct kv *kv, uint32_t seq, uint64_t domain);
/* Makes cells n_tokens .. n_tokens + n - 1 of a sequence writable and counts them in. False: no
 * free page (nothing changed): drop an idle sequence and try again. */
bool kv_seq_extend(struct kv *kv, uint32_t seq, uint32_t n);
/* How many of the first n tokens of a sequence can be kept, or forked: n, or 0 if the model is
 * recurrent and there are more, or the cells that the next row would see are gone. */
uint32_t kv_seq_can_keep(const struct kv *kv, uint32_t seq, uint32_t n);
/* Forgets what is behind the first n_tokens; returns how many are left: what can be kept of them
 * (the others have to be evaluated again), in a full cache a part of it. */
uint32_t kv_seq_truncate(struct kv *kv, uint32_t seq, uint32_t n_tokens);
/* dst (empty) becomes a copy of the first n_tokens cells of src, which can be kept and is of the
 * same domain. False: no free
 * page. */
bool kv_seq_fork(struct kv *kv, uint32_t src, uint32_t dst, uint32_t n_tokens);

#endif
