/* sampler_impl.h - the candidate list and the samplers that work on it (engine/, its tests and
 * golden-check only; the rest of cria sees sampler.h).
 *
 * A step starts with all tokens of the vocabulary as candidates. Most requests keep 40 of them, so
 * the list is not written out at once: after candidates_load() the logits themselves *are* the
 * list ("not listed", id order). Bias and penalties change a copy of the logits, top-k picks its
 * few directly; any other sampler writes the list out first.
 *
 * Invariants: n >= 1; ids are distinct; no logit is NaN once listed (NaN becomes -inf); `sorted`
 * means falling logit, equal ones by rising id; `by_id` means rising id. Arithmetic is float32 and
 * sums run in list order, because a draw can hang on the last bit (spec/sampling.md 3).
 * All memory is taken by candidates_open(): a step allocates nothing. Not thread-safe. */
#ifndef CRIA_ENGINE_SAMPLER_IMPL_H
#define CRIA_ENGINE_SAMPLER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/sample/dry.h"
#include "engine/sample/rng.h"
#include "engine/sample/sampler.h"

struct candidate {
    token_id id;
    float logit;
    float p; /* set by softmax, stale after the list changes */
};

struct candidates {
    const float *logits;   /* [n_vocab], while not listed: the caller's or `work` */
    float *work;           /* owned [n_vocab]: changed logits */
    struct candidate *c;   /* owned [n_vocab], the first n are valid once listed */
    struct candidate *tmp; /* owned [n_vocab], scratch of sorting; changes place with c */
    size_t n, n_vocab;
    size_t chosen; /* index in c, set by the samplers that choose */
    bool listed, sorted, by_id;
};

/* --- the list (candidates.c) --- */

bool candidates_open(struct candidates *cs, size_t n_vocab); /* false: no memory, nothing kept */
void candidates_close(struct candidates *cs);                /* a zeroed struct is fine */
void candidates_load(struct candidates *cs, const float *logits); /* borrowed for the step */
void candidates_list(struct candidates *cs); /* writes the list out if it is not */
/* Lists the tokens whose bit is set (32 to a word); at least one is. Not listed before. */
void candidates_mask(struct candidates *cs, const uint32_t *mask);
float *candidates_edit(struct candidates *cs); /* not listed: the logits, writable */
void candidates_sort(struct candidates *cs);
void candidates_softmax(struct candidates *cs); /* p of each, in the present order */
float candidates_max(const struct candidates *cs);
void candidates_cut(struct candidates *cs, size_t n);   /* keeps the first n (>= 1) */
void candidates_first(struct candidates *cs, size_t k); /* sorted, and cut to k (>= 1) */
void candidates_swap(struct candidates *cs);            /* tmp becomes the list */

/* --- samplers without state (sampler_ops.c); min_keep is 0 except in the goldens --- */

void sample_bias(struct candidates *cs, const struct logit_bias *bias, size_t n);
void sample_top_n_sigma(struct candidates *cs, float n);
void sample_top_k(struct candidates *cs, int32_t k);
void sample_typical_p(struct candidates *cs, float p);
void sample_top_p(struct candidates *cs, float p, size_t min_keep);
void sample_min_p(struct candidates *cs, float p, size_t min_keep);
void sample_tfs_z(struct candidates *cs, float z, size_t min_keep);
void sample_temperature(struct candidates *cs, float t, float range, float exponent);
void sample_greedy(struct candidates *cs); /* keeps and chooses the largest */

/* --- samplers with state --- */

struct penalties { /* the last last_n accepted tokens and how often each is among them */
    float repeat, frequency, presence;
    uint32_t last_n, len, next; /* ring: capacity, used, where the next goes (full: the oldest) */
    uint32_t n_vocab;
    token_id *ring;  /* owned [last_n] */
    uint32_t *count; /* owned [n_vocab] */
};
bool penalties_open(struct penalties *p, uint32_t last_n, uint32_t n_vocab); /* false: no memory */
void penalties_close(struct penalties *p);
void penalties_accept(struct penalties *p, token_id id); /* ids outside the vocabulary: ignored */
void sample_penalties(struct candidates *cs, struct penalties *p);

void sample_xtc(struct candidates *cs, float probability, float threshold, struct rng *rng);
void sample_dist(struct candidates *cs, struct rng *rng); /* chooses */

struct mirostat {
    float tau, eta;
    float mu; /* starts at 2 tau */
};
void sample_mirostat_1(struct candidates *cs, struct mirostat *m, struct rng *rng); /* chooses */
void sample_mirostat_2(struct candidates *cs, struct mirostat *m, struct rng *rng); /* chooses */

struct adaptive { /* keeps the probability of chosen tokens near the target */
    float target, decay;
    float sum, weight; /* of what was chosen, decaying */
    token_id pending;  /* chosen, not yet accepted; TOKEN_NONE */
    float pending_p;
};
void adaptive_init(struct adaptive *a, float target, float decay);
void adaptive_accept(struct adaptive *a, token_id id);
void sample_adaptive(struct candidates *cs, struct adaptive *a, struct rng *rng); /* chooses */

#endif
