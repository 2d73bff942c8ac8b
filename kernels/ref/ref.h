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
/* Parts of ops with a state, to be shared out: columns, columns, heads begin..end-1 of all rows. */
typedef void ref_part_fn(const struct step *s, const struct op *op, uint32_t begin, uint32_t end);
ref_part_fn ref_conv_state_part, ref_ssm_scan_part, ref_delta_net_part;
float ref_act1(enum act kind, float cap, float x); /* one element */

#endif
