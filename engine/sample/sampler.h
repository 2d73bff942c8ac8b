/* sampler.h - from logits to a token (spec/sampling.md 1-6).
 *
 * A sampler is the state of one request: its options, the penalty history, a random generator. The
 * chain's usual order is a table (RANDOM_CHAIN in sampler.c); each sampler is one function over a
 * list of candidates (sampler_impl.h). All memory is taken by sampler_open(): a step allocates
 * nothing. The same seed, options and logits give the same tokens. Not thread-safe; one request,
 * one sampler. */
#ifndef CRIA_ENGINE_SAMPLER_H
#define CRIA_ENGINE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/sample/dry.h"
#include "engine/vocab/vocab.h"

struct logit_bias {
    token_id id;
    float bias; /* -INFINITY forbids the token */
};

struct sampler_params { /* defaults: Ollama's (spec/sampling.md 1) */
    float temperature, top_p, min_p, typical_p, top_n_sigma;
    float repeat_penalty, presence_penalty, frequency_penalty;
    float dynatemp_range, dynatemp_exponent;
    float xtc_probability, xtc_threshold;
    float mirostat_tau, mirostat_eta;
    int32_t top_k, repeat_last_n, mirostat; /* repeat_last_n -1: the whole context */
    uint32_t seed;                          /* 0xFFFFFFFF: random */
    int32_t min_keep;                       /* top-p and min-p keep at least so many */
    float tfs_z;
    float dry_multiplier, dry_base;
    int32_t dry_allowed_length, dry_penalty_last_n; /* -1: the whole context */
    const struct dry_breakers *dry_breakers; /* borrowed while sampler_open runs; may be NULL */
    float adaptive_target, adaptive_decay;   /* adaptive-p chooses, if the target is >= 0 */
    const char *order; /* of the samplers: their letters, see sampler_letter(); NULL: the usual one.
                        * Borrowed while sampler_open runs. What it lacks is off */
    size_t n_bias;
    const struct logit_bias *bias; /* borrowed while sampler_open runs */
};
struct sampler_params sampler_default_params(void);

/* The letter of a sampler's name or alias ("top_k", "top-k", "topk", "nucleus", ...); 0: unknown.
 */
char sampler_letter(const char *name, size_t len);

struct sampler;
/* n_ctx: what repeat_last_n -1 means. Out-of-range values are clamped as the spec says; bias for
 * ids outside the vocabulary is ignored. Errors: ST_INVALID naming the option, ST_NO_MEMORY. */
enum status sampler_open(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab,
                         uint32_t n_ctx, struct err *e);
void sampler_close(struct sampler *s);
void sampler_accept(struct sampler *s, token_id id); /* prompt tokens and every sampled token */
/* Chooses a token; logits[n_vocab] are not changed. Among equals the lower id comes first; NaN
 * counts as -inf. Calling it twice for one step (grammar) draws twice. */
token_id sampler_sample(struct sampler *s, const float *logits);
/* The same among the tokens whose bit is set in the mask (32 to a word, at least one): the others
 * are gone before the chain begins. */
token_id sampler_sample_masked(struct sampler *s, const float *logits, const uint32_t *mask);
uint32_t sampler_seed(const struct sampler *s); /* the seed in use, also a drawn one */

/* Log probabilities over the raw logits (spec/sampling.md 6): the n most likely in falling order
 * into ids/logprobs (n may be 0; beyond n_vocab: TOKEN_NONE); the result is that of `chosen`. */
float sampler_logprobs(const float *logits, uint32_t n_vocab, token_id chosen, uint32_t n,
                       token_id *ids, float *logprobs);

#endif
