/* number.h - numbers within bounds, as a language over their digits.
 *
 * Bounds are exact decimals, so nothing is rounded. Forms are those of spec/sampling.md 10.4: at
 * most 16 digits before and after the point, no leading zeros, exponents only where no bound but a
 * sign has to be kept. */
#ifndef CRIA_ENGINE_GRAMMAR_NUMBER_H
#define CRIA_ENGINE_GRAMMAR_NUMBER_H

#include "base/json.h"
#include "engine/grammar/dfa.h"

enum { DECIMAL_DIGITS = 64, MULTIPLES_MAX = 4 };

struct decimal { /* digit[0..n_whole) before, [n_whole..n) behind the point; no needless zeros */
    char digit[DECIMAL_DIGITS + 1];
    int n_whole, n;
    bool negative;
};
/* From a JSON number; false: not a number, or too many digits to matter. */
bool decimal_read(const json *v, struct decimal *out);
int decimal_compare(const struct decimal *a, const struct decimal *b);

struct number_facts {
    bool integer;
    bool has_lo, has_hi, lo_open, hi_open; /* open: the bound itself is not allowed */
    struct decimal lo, hi;
    struct decimal multiple[MULTIPLES_MAX];
    int n_multiples;
};
void number_at_least(struct number_facts *f, const struct decimal *x, bool open);
void number_at_most(struct number_facts *f, const struct decimal *x, bool open);
bool number_is_free(const struct number_facts *f); /* no bound, no multiple */
/* NULL: failed. The language may be empty. A multiple that needs too many states is left out, and
 * *left_out set. */
const struct dfa *number_dfa(struct rules *r, const struct number_facts *f, bool *left_out);

#endif
