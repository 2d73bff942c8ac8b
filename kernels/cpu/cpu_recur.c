/* cpu_recur.c - the ops with a state per sequence: their definitions, columns or heads shared out.
 * A task takes its part through all rows of the step: rows of a sequence depend on each other,
 * columns and heads do not. */
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

static void share_out(const struct cpu_task *w, const struct op *op, uint32_t n,
                      ref_part_fn *part) {
    size_t begin, end;
    cpu_share(w, n, &begin, &end);
    if (begin < end) part(w->step, op, (uint32_t)begin, (uint32_t)end);
}

void cpu_conv_state(const struct cpu_task *w, const struct op *op) {
    share_out(w, op, w->step->prog->vals[op->in[0]].width, ref_conv_state_part);
}

void cpu_ssm_scan(const struct cpu_task *w, const struct op *op) {
    share_out(w, op, w->step->prog->vals[op->in[0]].width, ref_ssm_scan_part);
}

void cpu_delta_net(const struct cpu_task *w, const struct op *op) {
    share_out(w, op, op->p.delta_net.n_head, ref_delta_net_part);
}
