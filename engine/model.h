/* model.h - a loaded model: hyperparameters, tensors by role, the tables that describe how a
 * family's file is read (struct arch).
 *
 * Loading is driven by tables: an architecture lists the metadata keys and the tensors it knows,
 * with their shapes as text in the field's names ("n_embd,q_dim"). Every shape is checked here, so
 * that everything behind may assert (hparams.c for keys, model.c for tensors). Tensors of a file
 * that no table names are ignored (spec/gguf.md 8). Sources: spec/models/common.md and dense.md. */
#ifndef CRIA_ENGINE_MODEL_H
#define CRIA_ENGINE_MODEL_H

#include "base/arena.h"
#include "engine/adapter.h"
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
    uint32_t n_block, n_nextn, n_layer;   /* n_layer = n_block - n_nextn */
    uint32_t n_mtp;                       /* layers behind these that were loaded: 1, or 0 */
    uint32_t head_dim, head_dim_v, n_rot; /* of layers that see everything */
    uint32_t head_dim_swa, head_dim_v_swa, n_rot_swa; /* of window layers */
    float norm_eps;
    float embd_scale, residual_scale, logit_scale; /* 0: none */
    float attn_scale;                              /* 0: 1 / sqrt(head_dim) */
    float attn_softcap, logit_softcap;             /* 0: none */
    bool qk_norm_plain; /* q and k of layers with rope are normed behind it, without a weight */
    uint32_t pooling;   /* enum pooling */
    bool causal;        /* rows see what is before them, not all of their sequence */
    enum act act;       /* ACT_NONE: the style's */
    uint32_t moe_every; /* nomic-bert-moe: layer il has experts if il mod this is 1; 0: none */
    uint32_t n_bucket;  /* t5: relative positions */

    float rope_base, rope_freq_scale, rope_attn_factor;
    float rope_base_swa; /* 0: as the style says */
    enum rope_scaling rope_scaling;
    uint32_t n_ctx_orig; /* yarn, longrope */
    float yarn_beta_fast, yarn_beta_slow;
    float yarn_log_mul, yarn_mscale; /* k and mscale of common.md 3; k 0: none */
    bool rope_finetuned;             /* granite: there is rope */
    uint32_t rope_sections[4];       /* pairs of each of the four positions (text: all equal) */
    uint32_t n_swa;                  /* window; 0: none */
    float temp_scale, temp_offset, temp_floor; /* of q by position (common.md 12), layer.temp */

    uint32_t n_expert, n_expert_used, n_expert_shared, n_group, n_group_used;
    uint32_t gating; /* enum moe_gating; 0: the style's */
    bool norm_weights;
    float weights_scale;
    uint32_t n_leading_dense, moe_step; /* layer il has experts if il >= the first and (il + 1) %
                                           moe_step == 0 */

    uint32_t q_rank, kv_rank, mla_dim_k, mla_dim_v; /* latent attention (block_mla.c) */
    bool latent;                                    /* with absorbed products */
    uint32_t n_index_head, index_dim, index_top_k;  /* its sparse form; 0: none */
    float index_eps;
    uint32_t n_embd_layer, n_kv_shared, n_deepstack; /* gemma4; qwen3vl */

    /* Recurrent layers (spec/models/recurrent.md; block_recur.c). */
    uint32_t ssm_conv, ssm_inner, ssm_state, ssm_rank, ssm_group;
    bool ssm_norm_parts;        /* dt, B and C are normed without a weight */
    uint32_t full_interval;     /* every such layer has attention */
    uint32_t kda_dim, n_latent; /* kimi-linear; of experts' inputs, 0: n_embd */
};

struct layer { /* one block; tensors that the file does not have are NULL */
    uint32_t n_head, n_head_kv, n_ff, n_ff_exp, n_ff_shared;
    uint32_t head_dim, head_dim_v, n_rot;
    uint32_t kv_layer;           /* whose cache it reads; its own unless cells are shared */
    uint32_t kv_dim_k, kv_dim_v; /* of a head in a cell of its cache; 0: values are in the keys */
    bool window, moe, rope, temp;
    uint32_t own_index;  /* chooses cells, as later layers without an index do; 0 or 1 */
    uint32_t recurrent;  /* a recurrence in place of attention; 0 or 1 */
    uint32_t n_state;    /* floats it keeps of each sequence */
    bool no_ffn;         /* no feed-forward half */
    float gate_sparsity; /* of a dense one: p_sparsify; 0: none */
    bool mtp;            /* predicts a further token (mtp.c) */
    const struct tensor *attn_norm, *attn_norm_b, *attn_norm_2, *attn_norm_2_b;
    const struct tensor *wq, *wk, *wv, *wqkv, *wo;
    const struct tensor *wq_b, *wk_b, *wv_b, *wqkv_b, *wo_b;
    const struct tensor *q_norm, *k_norm, *sinks, *attn_post_norm;
    const struct tensor *ffn_norm, *ffn_norm_b, *ffn_gate, *ffn_up, *ffn_down, *ffn_post_norm;
    const struct tensor *ffn_gate_b, *ffn_up_b, *ffn_down_b;
    /* experts */
    const struct tensor *router, *router_b, *router_bias_sel;
    const struct tensor *experts_gate, *experts_up, *experts_gate_up, *experts_down;
    const struct tensor *experts_gate_b, *experts_up_b, *experts_down_b, *experts_down_scale;
    const struct tensor *shared_gate, *shared_up, *shared_down, *shared_router;
    const struct tensor *latent_down, *latent_up; /* before and behind the chosen experts */
    /* recurrences */
    const struct tensor *ssm_in, *ssm_conv, *ssm_conv_b, *ssm_x, *ssm_dt, *ssm_dt_b, *ssm_a, *ssm_d;
    const struct tensor *ssm_norm, *ssm_out, *ssm_qkv, *ssm_gate, *ssm_ba, *ssm_beta, *ssm_alpha;
    const struct tensor *conv_q, *conv_k, *conv_v, *kda_f_a, *kda_f_b, *kda_g_a, *kda_g_b;
    /* latent attention */
    const struct tensor *wq_a, *q_a_norm, *wq_up, *wkv_a, *kv_a_norm, *wkv_up, *wk_up, *wv_up;
    const struct tensor *index_q, *index_k, *index_k_norm, *index_k_norm_b, *index_proj;
    /* gemma3n, gemma4 */
    const struct tensor *router_scale, *ffn_pre_norm_2, *ffn_post_norm_1, *ffn_post_norm_2;
    const struct tensor *layer_scale, *ple_gate, *ple_proj, *ple_norm;
    const struct tensor *altup_correct, *altup_scale, *altup_predict, *altup_router, *altup_norm;
    const struct tensor *laurel_l, *laurel_r, *laurel_norm;
    /* of a layer that predicts a further token */
    const struct tensor *eh_proj, *enorm, *hnorm, *mtp_norm, *mtp_embd, *mtp_head;
    /* encoders */
    const struct tensor *q_norm_b, *k_norm_b, *attn_out_norm, *attn_out_norm_b;
    const struct tensor *layer_out_norm, *layer_out_norm_b, *attn_bias;
};

struct arch;
struct model {
    struct gguf *gguf; /* owned */
    const struct arch *arch;
    struct hparams hp;
    struct layer *layers; /* [n_layer] */
    const struct tensor *token_embd, *pos_embd, *output, *output_b, *output_norm, *output_norm_b;
    const struct tensor *rope_freqs, *rope_long, *rope_short;   /* [n_rot/2] frequency factors */
    const struct tensor *token_types, *embd_norm, *embd_norm_b; /* encoders */
    /* Behind pooling: the rerank head, or projections. */
    const struct tensor *cls, *cls_b, *cls_norm, *cls_output, *cls_output_b;
    const struct tensor *dense_2, *dense_2_b, *dense_3, *dense_3_b;
    const struct tensor *ple_embd, *ple_proj, *ple_norm; /* per-layer embeddings */
    const struct tensor *altup_proj, *altup_unembd;      /* gemma3n */
    struct adapters adapters;
    bool wants_mtp;
    struct arena arena; /* tensors, names, vectors */
    struct device *dev; /* borrowed; holds the weights */
    void **dev_mem;     /* owned device memory, if the device cannot read the file in place */
    size_t n_dev_mem;
    size_t weights_bytes;
};

/* ---- tables of an architecture ------------------------------------------------------------ */

/* LAYER_U32: scalar or array, per layer. SECTIONS: an array of up to four, rope_sections. */
enum hparam_kind { HP_U32, HP_F32, HP_BOOL, HP_LAYER_U32, HP_SECTIONS };
struct hparam_spec {
    const char *key; /* behind "<arch>." */
    enum hparam_kind kind;
    size_t offset; /* in struct hparams, or in struct layer */
    bool required;
    double low, high;      /* what is allowed; both 0: any number of the kind, floats finite */
    const char *needed_by; /* required because of this key; NULL: always */
};
#define HP(key_, kind_, field)                                                                     \
    { .key = key_, .kind = kind_, .offset = offsetof(struct hparams, field) }
#define HP_REQUIRED(key_, kind_, field)                                                            \
    { .key = key_, .kind = kind_, .offset = offsetof(struct hparams, field), .required = true }
#define HP_RANGE(key_, kind_, field, low_, high_)                                                  \
    {                                                                                              \
        .key = key_, .kind = kind_, .offset = offsetof(struct hparams, field), .low = low_,        \
        .high = high_                                                                              \
    }
#define HP_LAYER(key_, field)                                                                      \
    { .key = key_, .kind = HP_LAYER_U32, .offset = offsetof(struct layer, field), .high = 1 << 24 }

enum tensor_flags {
    TENSOR_OPTIONAL = 1,
    TENSOR_DENSE = 2,        /* only in layers without experts */
    TENSOR_MOE = 4,          /* only in layers with experts */
    TENSOR_SHARED = 8,       /* only in layers with shared experts */
    TENSOR_KV = 16,          /* only in layers with a cache of their own */
    TENSOR_INDEX = 32,       /* only in layers that choose cells */
    TENSOR_PLE = 64,         /* only with per-layer embeddings */
    TENSOR_F32 = 128,        /* must be F32, whatever its shape; vectors must anyway */
    TENSOR_LATENT = 256,     /* only with absorbed products (block_mla.c) */
    TENSOR_HEADS = 512,      /* only without them */
    TENSOR_LOW_Q = 1024,     /* only with queries of low rank */
    TENSOR_FULL_Q = 2048,    /* only without them */
    TENSOR_ATTN = 4096,      /* only in layers with key/value heads */
    TENSOR_RECURRENT = 8192, /* only in layers with a recurrence */
    TENSOR_SHORT = 16384     /* only where experts are given shorter rows (n_latent) */
};
struct tensor_spec {
    const char *name; /* "attn_q.weight"; blocks: behind "blk.N." */
    const char *dims; /* "n_embd,q_dim"; the names are those of model.c */
    size_t offset;    /* of the pointer, in struct layer or struct model */
    unsigned flags;
    size_t unless; /* not required if this pointer (same struct) is set; 0: none */
};

/* Rope of window layers where others are scaled or have a base for long contexts. */
enum swa_rope {
    SWA_INHERIT,  /* as all layers, but rope.freq_base_swa if the file has it */
    SWA_OWN_BASE, /* rope.freq_base_swa, 10000 by default, not scaled */
    SWA_PLAIN     /* rope.freq_base, neither scaled nor with YaRN */
};

struct block_style { /* what block_layer() reads beside the tensors that are there */
    enum rope_kind rope;
    enum act act; /* of the gate */
    enum norm_kind norm;
    float alibi;         /* largest bias of ALiBi; 0: none */
    bool symmetric;      /* windows reach to both sides */
    bool softmax_scores; /* rerank scores are probabilities of labels */
    enum act cls_act;    /* of the rerank head; ACT_NONE: tanh */
    bool scale_embd;     /* token embeddings times sqrt(n_embd) */
    bool parallel;       /* attention and feed-forward read the same row and are added together */
    bool v_norm;         /* each head of v is normed, without a weight */
    bool qk_norm_late;   /* q and k are normed behind rope */
    bool chunked;        /* windows are chunks of positions */
    bool swa_no_factors; /* frequency factors are for layers that see everything */
    enum swa_rope swa_rope;
    enum moe_gating gating;    /* unless a key says otherwise; 0: softmax */
    bool norm_weights;         /* likewise */
    bool choose_by_logits;     /* experts */
    bool weigh_inputs;         /* experts' weights multiply their inputs, not their outputs */
    bool windows_dense_first;  /* phase of the pattern */
    enum rope_kind index_rope; /* of keys and queries that choose cells */
    bool swa_flags;            /* a single sliding_window_pattern is a flag for all layers */
    bool hybrid;               /* layers without key/value heads have another mixer */
    bool q_gate;               /* behind each head of q stands a gate of its result */
    bool layer_eps;            /* attention.layer_norm_epsilon, unless there is one of RMS norms */
    bool mtp;                  /* blocks behind the last layer may predict further tokens */
    enum rope_axes rope_axes;  /* how rope_sections share out a row's positions, if there are any */
    bool images_in_windows;    /* rows of an image see each other in window layers alone */
    bool k_in_turn; /* delta rule: value head i has key head i mod n, not consecutive ones */
};

struct forward;
struct arch {
    const char *name;                           /* general.architecture */
    const struct hparam_spec *hparams;          /* beside the common ones; ends with key NULL */
    const struct hparam_spec *layer_hparams;    /* the same of struct layer; NULL: none */
    const struct tensor_spec *globals, *blocks; /* end with name NULL */
    struct block_style style;
    const char *block_prefix; /* before "blk.N."; NULL: nothing */
    uint32_t swa_period;      /* window layers unless the file says otherwise; 0: no windows */
    /* Rules that no key expresses, each NULL for none. `defaults`: before keys are read.
     * `derive`: behind the common ones; `n_vocab`, `layers` are there. */
    void (*defaults)(struct hparams *hp);
    enum status (*derive)(struct model *m, struct err *e);
    enum status (*loaded)(struct model *m, struct err *e); /* tensors are there */
    /* Recording (engine/block.h), each NULL for the common way. */
    val (*begin)(struct forward *f, val x);              /* what follows the embedding */
    val (*layer)(struct forward *f, uint32_t il, val x); /* block_layer */
    val (*mixer)(struct forward *f, uint32_t il, val x); /* block_attn: within block_layer */
    val (*end)(struct forward *f, val x);                /* before the last norm */
};

extern const struct arch *const archs[]; /* ends with NULL */

/* The value of "<arch>.key" is what `got` says: an error that names it. */
enum status hparam_error(const struct model *m, const char *key, struct err *e, const char *fmt,
                         ...) __attribute__((format(printf, 4, 5)));
/* The same where a key does not go with others (apart by spaces), which are named behind it. */
enum status hparam_clash(const struct model *m, const char *key, const char *others, struct err *e,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Appends "<arch>.key, <arch>.key" to out: those of the keys (apart by spaces) that are in the file
 * and not in the list yet. */
void hparam_list(const struct model *m, const char *keys, char *out, size_t size);
/* Heads and rope of a layer as those with a window have them, or as others: by layer.window, for
 * who changes that in `derive`. */
void layer_size_heads(struct model *m, uint32_t il);
/* hparams_load reads all keys into m->hp and m->layers (allocated here) and checks them: all
 * arithmetic on them is safe afterwards. Part of model_load. */
bool hparam_given(const struct model *m, const char *key);
enum status hparams_load(struct model *m, struct err *e);

/* Takes g (closed on failure too). dev is borrowed and must outlive the model. */
enum status model_load(struct model **out, struct gguf *g, struct device *dev, struct err *e);
/* The same with the first block that predicts a further token, if the file has one and the
 * architecture runs it: hp.n_mtp. Its layer is layers[n_layer]. */
enum status model_load_mtp(struct model **out, struct gguf *g, struct device *dev, struct err *e);
void model_free(struct model *m); /* NULL is fine */
/* A tensor of a file as weights are: in the file, or in the memory of the device; owned by the
 * model. vector: copied, F32 (ST_UNSUPPORTED else). */
enum status model_make_tensor(struct model *m, const struct gguf_tensor *g, const char *name,
                              bool vector, struct tensor **out, struct err *e);

enum pooling { POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK };

/* Records the forward pass: logits for the wanted rows, or their embeddings (the vector after the
 * final norm). n_ctx chooses longrope's factors. */
enum program_kind {
    PROGRAM_LOGITS,
    PROGRAM_EMBEDDING,
    PROGRAM_HIDDEN /* logits; the vectors of all tokens are kept */
};
void model_record(const struct model *m, struct recorder *p, enum program_kind kind, uint32_t n_ctx,
                  val *output);
/* The block that predicts a further token (mtp.c): rows are tokens and, as `embd`, the vectors that
 * PROGRAM_HIDDEN keeps of the token before each. Its own vectors are kept, too. */
void model_record_mtp(const struct model *m, struct recorder *p, uint32_t n_ctx, val *output);
/* Whether rows have four positions (the sections of its rope). */
bool model_has_axes(const struct model *m);
/* What a pooled vector goes through (common.md 8): rows of n_embd are given as `embd` of a batch,
 * results are rows of ROWS_TOKENS. model_has_head: whether there is anything. */
bool model_has_head(const struct model *m);
void model_record_head(const struct model *m, struct recorder *p, val *output);

#endif
