/* constrain.h - a generation under a grammar: sampling, forced tokens, thinking in front.
 *
 * Sampling goes as in spec/sampling.md 9: the chain runs freely; only if the grammar does not allow
 * its choice, it runs again among the tokens that are. So a mask is made when it is needed, not for
 * each token. Where only one token can come, it is taken without sampling (and nothing is drawn),
 * whether logits are there or not: the result does not depend on that.
 *
 * With thinking, the text is free between two tags; the grammar begins behind the second one, or at
 * once if the model does not open with the first. White space between them and the constrained part
 * is let pass. The end of the generation is not allowed before the grammar has been satisfied.
 *
 * Belongs to one generation; the scheduler's thread uses it. */
#ifndef CRIA_ENGINE_CONSTRAIN_H
#define CRIA_ENGINE_CONSTRAIN_H

#include "engine/cria.h"

struct constraint;
struct token_index;

enum status constraint_open(struct constraint **out, struct token_index *ti,
                            const struct cria_request *r, struct err *e);
void constraint_close(struct constraint *c); /* NULL is fine */
/* The next token, taken. TOKEN_NONE: failed. */
token_id constraint_sample(struct constraint *c, struct sampler *s, const float *logits,
                           struct err *e);
/* The only token that can come, taken; TOKEN_NONE: there is a choice. An end token is given if
 * nothing else can come. */
token_id constraint_forced(struct constraint *c);
/* The text is complete, nothing can follow, and the vocabulary has no end token to say so. */
bool constraint_is_over(const struct constraint *c);

#endif
