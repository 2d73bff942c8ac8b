/* options.h - the `options` of a request and of a model (spec/api.md 3.2): one table of name, type
 * and place. Values are applied in layers: defaults, the model's parameters, the request. */
#ifndef CRIA_API_OPTIONS_H
#define CRIA_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum option_tristate { OPTION_UNSET = -1, OPTION_FALSE, OPTION_TRUE };

struct options {
    /* of a request */
    int64_t num_keep, seed, num_predict, top_k, repeat_last_n;
    float top_p, min_p, typical_p, temperature;
    float repeat_penalty, presence_penalty, frequency_penalty;
    const char *const *stop; /* owned by the arena given to options_apply */
    size_t n_stop;
    /* of a request, beyond what Ollama knows; the names are those of llama.cpp's server */
    int64_t mirostat, dry_allowed_length, dry_penalty_last_n, min_keep;
    float mirostat_tau, mirostat_eta, tfs_z, top_n_sigma;
    float dynatemp_range, dynatemp_exponent, xtc_probability, xtc_threshold;
    float dry_multiplier, dry_base, adaptive_target, adaptive_decay;
    const char *const *dry_sequence_breakers; /* as stop */
    size_t n_dry_sequence_breakers;
    const json *samplers, *logit_bias; /* borrowed from what was applied; NULL: not given */
    enum option_tristate ignore_eos;
    /* of a load: a change reloads the model */
    int64_t num_ctx;   /* 0: automatic */
    int64_t num_batch; /* 0: automatic */
    int64_t num_gpu, main_gpu, num_thread, draft_num_predict;
    enum option_tristate use_mmap;
};

struct options options_default(void);
/* Applies the members of an object (NULL: nothing): integers are cut, null is skipped, unknown
 * names are ignored, empty stop strings are dropped. ST_INVALID: `option "seed" must be of type
 * integer`. `samplers` and `logit_bias` are looked at when the model is there (api/sampling.h). */
enum status options_apply(struct options *o, const json *object, struct arena *a, struct err *e);

#endif
