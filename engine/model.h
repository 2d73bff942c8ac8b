/* model.h - a loaded model: hyperparameters, tensors by role, the tables that describe how a
 * family's file is read (struct arch).
 *
 * Loading is driven by tables: an architecture lists the metadata keys and the tensors it knows,
 * with their shapes as text in the field's names ("n_embd,q_dim"). Every shape is checked here, so
 * that everything behind may assert. Tensors of a file that no table names are ignored
 * (spec/gguf.md 8). Sources: spec/models/common.md and dense.md. */
#ifndef CRIA_ENGINE_MODEL_H
#define CRIA_ENGINE_MODEL_H

#include "base/arena.h"
#include "engine/file/gguf.h"
#include "engine/program.h"
#include "kernels/device.h"

enum { MAX_LAYER = 512 };
enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LONGROPE
};

struct hparams { /* one per model; per-layer values are in struct layer */
    uint32_t n_ctx_train, n_embd, n_vocab;
    uint32_t n_block, n_nextn, n_layer; /* n_layer = n_block - n_nextn */
    uint32_t head_dim, head_dim_v, n_rot;
    float norm_rms_eps;
    float rope_base, rope_freq_scale, rope_attn_factor;
    float rope_base_swa; /* window layers; 0: as the others */
    enum rope_scaling rope_scaling;
    uint32_t n_ctx_orig;        /* yarn, longrope */
    uint32_t n_swa, swa_period; /* window; period P of the layer pattern: dense last */
    float attn_scale;           /* 0: 1 / sqrt(head_dim) */
    float logit_softcap;        /* 0: none */
    uint32_t n_expert, n_expert_used;
    uint32_t pooling; /* 0 none, 1 mean, 2 cls, 3 last, 4 rank */
};

struct layer { /* one block; tensors that the file does not have are NULL */
    uint32_t n_head, n_head_kv, n_ff;
    bool window;
    const struct tensor *attn_norm, *wq, *wk, *wv, *wqkv, *wo;
    const struct tensor *wq_b, *wk_b, *wv_b, *wqkv_b, *wo_b;
    const struct tensor *q_norm, *k_norm, *attn_post_norm;
    const struct tensor *ffn_norm, *ffn_gate, *ffn_up, *ffn_down, *ffn_post_norm;
    const struct tensor *ffn_gate_b, *ffn_up_b, *ffn_down_b;
    const struct tensor *router, *experts_gate, *experts_up, *experts_down;
};

struct arch;
struct model {
    struct gguf *gguf; /* owned */
    const struct arch *arch;
    struct hparams hp;
    struct layer *layers; /* [n_layer] */
    const struct tensor *token_embd, *output, *output_b, *output_norm;
    const struct tensor *rope_freqs, *rope_long, *rope_short; /* [n_rot/2] frequency factors */
    const struct tensor *cls_output;                          /* rerank head */
    struct arena arena;                                       /* tensors, names, vectors */
    struct device *dev;                                       /* borrowed; holds the weights */
    void **dev_mem; /* owned device memory, if the device cannot read the file in place */
    size_t n_dev_mem;
    size_t weights_bytes;
};

/* ---- tables of an architecture ------------------------------------------------------------ */

enum hparam_kind { HP_U32, HP_F32, HP_LAYER_U32 }; /* HP_LAYER_U32: scalar or array, per layer */
struct hparam_spec {
    const char *key; /* behind "<arch>." */
    enum hparam_kind kind;
    size_t offset; /* in struct hparams, or in struct layer */
    bool required;
};
#define HP(key_, kind_, field)                                                                     \
    { .key = key_, .kind = kind_, .offset = offsetof(struct hparams, field) }
#define HP_REQUIRED(key_, kind_, field)                                                            \
    { .key = key_, .kind = kind_, .offset = offsetof(struct hparams, field), .required = true }

enum tensor_flags {
    TENSOR_OPTIONAL = 1,
    TENSOR_DENSE = 2,
    TENSOR_MOE = 4
}; /* DENSE, MOE: only then */
struct tensor_spec {
    const char *name; /* "attn_q.weight"; blocks: behind "blk.N." */
    const char *dims; /* "n_embd,q_dim" */
    size_t offset;    /* of the pointer, in struct layer or struct model */
    unsigned flags;
    size_t unless; /* not required if this pointer (same struct) is set; 0: none */
};

struct block_style { /* what block_layer() reads beside the tensors that are there */
    enum rope_kind rope;
    enum act act;    /* of the gate */
    bool scale_embd; /* token embeddings times sqrt(n_embd) */
};

struct arch {
    const char *name;                           /* general.architecture */
    const struct hparam_spec *hparams;          /* beside the common ones; ends with key NULL */
    const struct tensor_spec *globals, *blocks; /* end with name NULL */
    struct block_style style;
    uint32_t swa_period; /* window layers unless the file says otherwise; 0: no windows */
    enum status (*derive)(struct model *m,
                          struct err *e); /* rules that no key expresses; NULL: none */
};

extern const struct arch *const archs[]; /* ends with NULL */

/* Takes g (closed on failure too). dev is borrowed and must outlive the model. */
enum status model_load(struct model **out, struct gguf *g, struct device *dev, struct err *e);
void model_free(struct model *m); /* NULL is fine */

/* Records the forward pass: logits for the wanted rows, or their embeddings (the vector after the
 * final norm, through the rerank head if there is one). n_ctx chooses longrope's factors. */
enum program_kind { PROGRAM_LOGITS, PROGRAM_EMBEDDING };
void model_record(const struct model *m, struct recorder *p, enum program_kind kind, uint32_t n_ctx,
                  val *output);

#endif
