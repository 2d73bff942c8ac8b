/* ref.h - the definitions of all ops, for ref.c's table. One plain C function each: this is what an
 * op means; every other implementation is compared with it. Sums that are long run in double, so
 * that the definition is more exact than any of the paths it judges. */
#ifndef CRIA_KERNELS_REF_H
#define CRIA_KERNELS_REF_H

#include "kernels/device.h"

#define OP(NAME, name, ins, outs, weights, text) ref_fn ref_##name;
#include "kernels/ops.def"
#undef OP

/* Decodes row i of a weight to f32. */
void ref_weight_row(const struct tensor *w, int64_t i, float *out);
float ref_act1(enum act kind, float cap, float x); /* one element */

#endif
