/* sampling.h - from the options of a request to what the engine samples with (spec/sampling.md
 * 1-3).
 *
 * Most options are numbers and are copied. Three need the vocabulary: `logit_bias` (names tokens by
 * id or text), `ignore_eos` (forbids what ends a generation) and `dry_sequence_breakers` (texts
 * that become token sequences). `samplers` is a list of names, or a string of their letters. */
#ifndef CRIA_API_SAMPLING_H
#define CRIA_API_SAMPLING_H

#include "api/options.h"
#include "engine/cria.h"

struct sampling { /* params borrows from the rest and from the arena */
    struct sampler_params params;
    struct dry_breakers breakers;
};
/* ST_INVALID names the option. Free with sampling_free() also after an error. */
enum status sampling_make(struct sampling *s, const struct options *o, const struct vocab *v,
                          struct arena *a, struct err *e);
void sampling_free(struct sampling *s);

#endif
