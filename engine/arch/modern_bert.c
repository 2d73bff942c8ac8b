/* modern-bert (Warner et al. 2024; spec/models/encoders.md): norms before each half of a block,
 * none before the first attention; rope; two window layers to one that sees everything; a gated
 * network in one matrix, whose activation a key names. */
#include <string.h>

#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_ENCODER,
    GLOBAL("output_norm.weight", output_norm, "n_embd", 0),
    GLOBALS_DENSE,
    {0},
};

static const struct tensor_spec blocks[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", TENSOR_OPTIONAL),
    TENSOR("attn_qkv.weight", wqkv, "n_embd,qkv_dim", 0),
    BLOCK_ATTN_OUT,
    BLOCK_FFN_NORM,
    BLOCK_GLU_FUSED,
    {0},
};

static void defaults(struct hparams *hp) {
    hp->causal = false;
    hp->rope_base_swa = 10000;
}

/* "gelu", the default, or "silu". */
static enum status derive(struct model *m, struct err *e) {
    struct gguf_str act = {NULL, 0};
    enum status st = gguf_get_str(m->gguf, "modern-bert.hidden_activation", &act, e);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_OK) return st;
    if (act.len == 4 && memcmp(act.ptr, "silu", 4) == 0)
        m->hp.act = ACT_SILU;
    else if (act.len != 4 || memcmp(act.ptr, "gelu", 4) != 0)
        return hparam_error(m, "hidden_activation", e, "is '%.*s', expected gelu or silu",
                            (int)(act.len < 64 ? act.len : 64), act.ptr);
    return ST_OK;
}

extern const struct arch arch_modern_bert;
const struct arch arch_modern_bert = {
    .name = "modern-bert",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_GELU,
              .norm = NORM_LAYER,
              .cls_act = ACT_GELU,
              .symmetric = true,
              .windows_dense_first = true,
              .swa_rope = SWA_OWN_BASE},
    .swa_period = 3,
    .defaults = defaults,
    .derive = derive,
    .begin = block_encoder_begin,
};
