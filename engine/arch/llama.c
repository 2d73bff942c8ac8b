/* llama: Llama 1 to 3, TinyLlama, Mistral 7B, Mixtral and everything built like them
 * (spec/models/dense.md). Rope on pairs; Llama 3's scaling comes as the tensor rope_freqs. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_REQUIRED("attention.layer_norm_rms_epsilon", HP_F32, norm_rms_eps),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("rope_freqs.weight", rope_freqs, "n_rot/2", TENSOR_OPTIONAL),
    GLOBAL("rope_factors_long.weight", rope_long, "n_rot/2", TENSOR_OPTIONAL),
    GLOBAL("rope_factors_short.weight", rope_short, "n_rot/2", TENSOR_OPTIONAL),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_FFN,
    TENSOR("ffn_gate.bias", ffn_gate_b, "n_ff", TENSOR_OPTIONAL | TENSOR_DENSE),
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff", TENSOR_OPTIONAL | TENSOR_DENSE),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", TENSOR_OPTIONAL | TENSOR_DENSE),
    TENSOR("ffn_gate_inp.weight", router, "n_embd,n_expert", TENSOR_MOE),
    TENSOR("ffn_gate_exps.weight", experts_gate, "n_embd,n_ff,n_expert", TENSOR_MOE),
    TENSOR("ffn_up_exps.weight", experts_up, "n_embd,n_ff,n_expert", TENSOR_MOE),
    TENSOR("ffn_down_exps.weight", experts_down, "n_ff,n_embd,n_expert", TENSOR_MOE),
    {0},
};

/* Rope turns whole heads in this family; a file that says otherwise is broken. */
static enum status derive(struct model *m, struct err *e) {
    if (m->hp.n_rot == m->hp.head_dim) return ST_OK;
    return err_set(e, ST_FORMAT, "invalid n_rot: %u, expected %u", m->hp.n_rot, m->hp.head_dim);
}

extern const struct arch arch_llama;
const struct arch arch_llama = {
    .name = "llama",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU},
    .derive = derive,
};
