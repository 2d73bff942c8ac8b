/* tables.h - what the tables of the families share: the runs of rows that many of them have, and
 * hooks of one family that another one uses. arch_find() in list.c looks through all families.
 *
 * Most published models name their tensors as Llama does, so a table of names is usually such a run
 * and what is the model's own. Where a row stands matters only if its text is the beginning of
 * another row's: the longer one has to come first. Of two rows with one key the last one counts. */
#ifndef CRIA_ENGINE_CONVERT_TABLES_H
#define CRIA_ENGINE_CONVERT_TABLES_H

#include "engine/convert/impl.h"

#define FAMILY(name) extern const struct arch_table name##_tables[];
#include "engine/convert/arch/list.def"
#undef FAMILY

/* clang-format off */

/* ---- names ---- */

#define NAMES_LM_HEAD {"lm_head", "output"}
#define NAMES_MODEL                                                 \
    {"model.embed_tokens", "token_embd"},                           \
    {"model.norm", "output_norm"},                                  \
    {"model.layers", "blk"}
#define NAMES_ATTN                                                  \
    {"self_attn.q_proj", "attn_q"},                                 \
    {"self_attn.k_proj", "attn_k"},                                 \
    {"self_attn.v_proj", "attn_v"},                                 \
    {"self_attn.o_proj", "attn_output"}
#define NAMES_QK_NORM                                               \
    {"self_attn.q_norm", "attn_q_norm"},                            \
    {"self_attn.k_norm", "attn_k_norm"}
#define NAMES_FFN                                                   \
    {"mlp.gate_proj", "ffn_gate"},                                  \
    {"mlp.up_proj", "ffn_up"},                                      \
    {"mlp.down_proj", "ffn_down"}
#define NAMES_SHARED_EXPERT                                         \
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},              \
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},                  \
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"}
#define NAMES_SHARED_EXPERTS                                        \
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},             \
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},                 \
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"}
#define NAMES_NORMS                                                 \
    {"input_layernorm", "attn_norm"},                               \
    {"post_attention_layernorm", "ffn_norm"}
#define NAMES_NORMS_4 /* before and after both parts of a block */  \
    {"input_layernorm", "attn_norm"},                               \
    {"post_attention_layernorm", "post_attention_norm"},            \
    {"pre_feedforward_layernorm", "ffn_norm"},                      \
    {"post_feedforward_layernorm", "post_ffw_norm"}

#define NAMES_LLAMA NAMES_LM_HEAD, NAMES_MODEL, NAMES_ATTN, NAMES_FFN, NAMES_NORMS
#define NAMES_QWEN3                                                 \
    NAMES_LLAMA, NAMES_QK_NORM,                                     \
    {"mlp.gate.weight", "ffn_gate_inp.weight"},                     \
    {"mlp.experts.down_proj", "ffn_down_exps.weight"},              \
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight"}

/* ---- keys (spec/safetensors.md 5) ---- */

#define VISION "@vision_config."

#define KEYS_COMMON                                                 \
    {"block_count", K_U32, "num_hidden_layers"},                    \
    {"context_length", K_U32, "max_position_embeddings"},           \
    {"embedding_length", K_U32, "hidden_size"},                     \
    {"feed_forward_length", K_U32, "intermediate_size"},            \
    {"attention.head_count", K_U32, "num_attention_heads"},         \
    {"attention.head_count_kv", K_U32, "num_key_value_heads"}
#define KEYS_RMS {"attention.layer_norm_rms_epsilon", K_F32, "rms_norm_eps"}
#define KEYS_HEAD_DIM                                               \
    {"attention.key_length", K_U32, "head_dim"},                    \
    {"attention.value_length", K_U32, "head_dim"}
#define KEYS_TOWER(prefix, kind, from) /* of pictures or sound */   \
    {prefix "block_count", kind, from "num_hidden_layers"},         \
    {prefix "embedding_length", kind, from "hidden_size"},          \
    {prefix "feed_forward_length", kind, from "intermediate_size"}, \
    {prefix "attention.head_count", kind, from "num_attention_heads"}

/* ---- rules ---- */

#define RULES_HEADS(heads, kv_heads)                                \
    {"*attn_q.weight", rule_heads, heads},                          \
    {"*attn_k.weight", rule_heads, kv_heads},                       \
    {"*attn_q.bias", rule_heads, heads},                            \
    {"*attn_k.bias", rule_heads, kv_heads}
#define RULES_EXPERTS                                                                      \
    {"blk.#.mlp.experts.#.gate_proj.weight", rule_stack, "blk.#.ffn_gate_exps.weight"},    \
    {"blk.#.mlp.experts.#.up_proj.weight", rule_stack, "blk.#.ffn_up_exps.weight"},        \
    {"blk.#.mlp.experts.#.down_proj.weight", rule_stack, "blk.#.ffn_down_exps.weight"}

/* clang-format on */

/* ---- hooks ---- */

void llama3_rope_freqs(struct conversion *c);                   /* llama.c */
uint32_t pooling_type(struct conversion *c, uint32_t fallback); /* bert.c */
void drop_mtp_blocks(struct conversion *c); /* deepseek.c: blocks behind the last layer */
/* qwen3vl.c: a projector file's general and clip.* keys, also from preprocessor_config.json. */
void put_projector(struct conversion *c, const char *type, const struct key_row *keys);
void put_qwen3vl_projector(struct conversion *c);
rule_fn rule_qwen3vl_projector;
void put_mrope(struct conversion *c, const char *key, const char *paths); /* padded with 0 to 4 */

#endif
