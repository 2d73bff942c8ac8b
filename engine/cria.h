/* cria.h - the engine as everybody above sees it.
 *
 * An *engine* is a loaded model: weights (mapped), vocabulary, recorded program, KV cache. A
 * *timeline* is one sequence in its cache, for tools that evaluate tokens step by step. A
 * *generation* is one request: the engine's scheduler thread runs all of them together (continuous
 * batching), reusing the cached prefix of earlier ones. Same request, same tokens: whatever else
 * runs, cached or not.
 *
 * Folders above engine/ include this header and engine/file/gguf.h (metadata), nothing else of it.
 */
#ifndef CRIA_ENGINE_CRIA_H
#define CRIA_ENGINE_CRIA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/grammar/grammar.h"
#include "engine/sample/sampler.h"
#include "engine/vocab/vocab.h"
#include "kernels/dtype.h"

struct buf;
struct gguf;
struct cria_engine;

/* ---- engine ------------------------------------------------------------------------------- */

struct cria_engine_params {
    const char *backend; /* "cpu", "ref", ...; NULL: the best there is */
    const char *isa;     /* variant of the CPU backend; NULL: CRIA_CPU_ISA, else the best */
    unsigned n_threads;  /* 0: one for each processor */
    uint32_t n_ctx; /* tokens per sequence, at least 4; 0: 4096; capped at the training context */
    uint32_t n_parallel; /* generations that run at once; the others wait in order */
    uint32_t n_batch;    /* rows of a step (micro-batch); n_parallel at least */
    uint32_t n_outputs;  /* rows of a step whose logits can be asked for; n_parallel at least */
    enum dtype kv_type;  /* DT_F16, DT_F32; any other that can be written, slower */
    bool embeddings;     /* timelines give the rows' last hidden state in place of logits */
    const char *const *adapters; /* LoRA adapters of the model: paths of GGUF files; borrowed */
    size_t n_adapters;
    /* Asked between the parts of opening, and again and again while data are read: true ends it
     * with ST_CANCELLED. NULL: never. */
    bool (*cancelled)(void *arg);
    void *arg;
    bool mtp; /* also the block that predicts a further token, if the model has one: info.n_mtp */
};
struct cria_engine_params cria_engine_default_params(void); /* n_parallel 1, n_batch 512, F16 */

enum cria_pooling {                 /* <arch>.pooling_type */
                    CRIA_POOL_NONE, /* unset, or a vector for each token */
                    CRIA_POOL_MEAN,
                    CRIA_POOL_CLS, /* the first token's vector */
                    CRIA_POOL_LAST,
                    CRIA_POOL_RANK /* first or last, through a head: scores of labels */
};

struct cria_model_info { /* borrowed from the engine */
    const char *arch;    /* general.architecture */
    uint32_t n_ctx_train, n_embd, n_vocab, n_layer;
    uint32_t n_output;         /* floats of a result row: n_vocab, or the embedding's size */
    enum cria_pooling pooling; /* as the file says */
    bool causal;               /* else an encoder: embeddings only */
    uint64_t n_params;         /* elements of all tensors */
    uint32_t n_adapters;
    uint32_t n_mtp;             /* blocks that predict a further token: 1 if asked for, else 0 */
    const char *file_type;      /* "Q4_K_M", "F16", ..., "unknown" */
    const char *chat_template;  /* Jinja text of the file; NULL if none */
    uint32_t n_ctx, n_parallel; /* as opened */
    const char *backend, *isa;
    unsigned n_threads;
    size_t weights_bytes, kv_bytes, scratch_bytes;
    size_t weight_bytes_per_token; /* bytes of weights that one decoded token reads */
    uint64_t macs_per_token;       /* multiply-adds of one token's linear products, without head */
};

/* Loads a GGUF file, or one in memory that outlives the engine. Errors name file, key or tensor:
 * ST_NOT_FOUND, ST_FORMAT, ST_UNSUPPORTED ("unknown model architecture: 'x'"), ST_NO_MEMORY, ... */
enum status cria_engine_open(struct cria_engine **out, const char *path,
                             const struct cria_engine_params *p, struct err *e);
enum status cria_engine_open_memory(struct cria_engine **out, const void *data, size_t size,
                                    const char *label, const struct cria_engine_params *p,
                                    struct err *e);
/* All timelines and generations must have been freed. NULL is fine. */
void cria_engine_close(struct cria_engine *eng);
/* False: a file of the model was cut by somebody while it was in use. All further work fails with
 * ST_IO; only opening it anew helps. */
bool cria_engine_intact(const struct cria_engine *eng);
const struct cria_model_info *cria_engine_info(const struct cria_engine *eng);
const struct gguf *cria_engine_gguf(const struct cria_engine *eng);
const struct vocab *cria_engine_vocab(const struct cria_engine *eng); /* vocab_encode, ... */
struct cria_load {                                                    /* as of the last step */
    uint32_t n_running, n_waiting;  /* generations with a slot, and without */
    uint32_t n_pages, n_free_pages; /* of the KV cache; idle prefixes count as used */
};
struct cria_load
cria_engine_load(const struct cria_engine *eng); /* any thread; waits for nothing */
/* The recorded program as text, one op per line (docs/program.md). */
void cria_engine_print_program(const struct cria_engine *eng, struct buf *out);

/* ---- adapters ------------------------------------------------------------------------------- */

/* How much a request gets of one adapter; id: place in cria_engine_params.adapters. */
struct cria_adapter {
    uint32_t id;
    float scale; /* 1: as it was trained; 0: not at all; any finite number */
};
/* Requests have a list of these; adapters that it does not name are off. Without a list (NULL) all
 * have scale 1. An activated adapter counts from the last place of its tokens in the prompt on. */

/* ---- timeline: tokens step by step ----------------------------------------------------------- */

struct cria_timeline;
enum status cria_timeline_open(struct cria_timeline **out, struct cria_engine *eng, struct err *e);
void cria_timeline_close(struct cria_timeline *tl);
/* Tokens begin at this position, not at 0; only while the timeline is empty. ST_INVALID if
 * positions could run past the training context. */
enum status cria_timeline_start_at(struct cria_timeline *tl, uint32_t first_pos, struct err *e);
/* Only while the timeline is empty. ST_INVALID: no such adapter, or no finite scale. */
enum status cria_timeline_adapt(struct cria_timeline *tl, const struct cria_adapter *list, size_t n,
                                struct err *e);
uint32_t cria_timeline_len(const struct cria_timeline *tl);
/* Forgets what is behind the first n_tokens. Returns how many are left: n_tokens, or 0 where a
 * recurrent model cannot go back (cria_timeline_eval them again). After a failed cria_timeline_eval
 * the timeline of such a model is empty, too. */
uint32_t cria_timeline_truncate(struct cria_timeline *tl, uint32_t n_tokens);
/* Appends n tokens; the results of the last n_logits (<= n) rows go to logits[n_logits][n_output].
 * Any n: cut into steps inside. ST_LIMIT if the context is full (nothing appended). */
enum status cria_timeline_eval(struct cria_timeline *tl, const token_id *tokens, uint32_t n,
                               uint32_t n_logits, float *logits, struct err *e);

/* The same on an engine with info.n_mtp: of the last n_rows rows also what the head sees
 * (hidden[n_rows][n_embd]), and the logits of the token after the next (drafts[n_rows][n_vocab]:
 * row p has seen the tokens up to p, and what the head saw of those before). Each may be NULL.
 * Behind a truncation the vector before the first row is not known any more: its draft sees zeros
 * there. (spec/models/lora-mtp.md 2) */
struct cria_rows {
    uint32_t n_rows;
    float *logits, *hidden, *drafts;
};
enum status cria_timeline_eval_rows(struct cria_timeline *tl, const token_id *tokens, uint32_t n,
                                    const struct cria_rows *rows, struct err *e);

/* ---- images in a sequence (engine/vision/vision.h makes them) ----------------------------------
 */

/* In a list of tokens: the next of the images that come with the list stands here. */
enum { CRIA_TOKEN_IMAGE = -2 };

struct cria_image {    /* what an image encoder made of a picture, or of one tile of it */
    const float *rows; /* [n_rows][n_out]: in place of token embeddings, unscaled */
    uint32_t n_rows, n_out;
    uint32_t n_positions; /* the next token's position is that much behind the image's first one */
    uint32_t nx;          /* M-RoPE: rows of the text model's position grid are this wide; else 0 */
    bool non_causal;      /* its rows see each other; they are evaluated in one step */
    unsigned char key[32]; /* of pixels and encoder: same key, same rows (the prefix cache) */
};
/* Appends an image's rows (ST_LIMIT if the context is full or a step too small: nothing appended).
 * The image is only read during the call. */
enum status cria_timeline_eval_image(struct cria_timeline *tl, const struct cria_image *image,
                                     struct err *e);
/* Whether the model can be given this image: the width of its rows, its positions. */
enum status cria_image_check(const struct cria_engine *eng, const struct cria_image *image,
                             struct err *e);

/* ---- looking on: for importance matrices ---------------------------------------------------- */

/* Called for each row that is multiplied with a weight while the engine evaluates: x[n_cols] goes
 * into matrix `mat` of the n_mat of that weight. From one thread at a time. */
typedef void cria_observe_fn(void *arg, const char *weight, size_t n_cols, size_t n_mat, size_t mat,
                             const float *x);
/* fn NULL: no longer. Not while something is evaluated by generations. */
void cria_engine_observe(struct cria_engine *eng, cria_observe_fn *fn, void *arg);

/* ---- embeddings: vectors of texts ---------------------------------------------------------------
 */

struct cria_text { /* token ids, as the tokenizer gives them, its special tokens included */
    const token_id *ids;
    size_t n; /* 1 .. n_ctx */
};
struct cria_embed_request {
    const struct cria_text *texts; /* borrowed during the call */
    size_t n_texts;
    enum cria_pooling pooling;           /* NONE: a vector for each token */
    bool normalize;                      /* each vector divided by its length; zeros stay */
    const struct cria_adapter *adapters; /* NULL: all, with scale 1 */
    size_t n_adapters;
    bool (*cancelled)(void *arg); /* asked between steps; NULL: never */
    void *arg;
    uint64_t domain; /* as in struct cria_request */
};
/* Any number of texts; as many as fit go through the model in one step (spec/models/common.md 8).
 * A vector does not depend on the other texts. From any thread, beside generations. out: the
 * vectors, one behind the other. ST_LIMIT: a text is too long; ST_CANCELLED. */
uint32_t cria_embed_width(const struct cria_engine *eng, enum cria_pooling pooling);
enum status cria_embed(struct cria_engine *eng, const struct cria_embed_request *r, float *out,
                       struct err *e);

/* ---- generation: a request --------------------------------------------------------------------
 */

/* Where a generation is, for other threads that look on; the scheduler writes it. */
enum cria_phase { CRIA_WAITING, CRIA_PROMPT, CRIA_DECODING };
struct cria_progress {
    atomic_int phase; /* enum cria_phase */
    atomic_uint n_generated;
};

enum cria_done { CRIA_RUNNING, CRIA_DONE_STOP, CRIA_DONE_LENGTH, CRIA_DONE_CANCELLED };

struct cria_request {
    const token_id *prompt; /* borrowed during the start call */
    size_t n_prompt;        /* 1 .. n_ctx - 1, else ST_LIMIT with the "exceeds the available context
                             * size" text of spec/sampling.md 8; an image counts with its rows */
    /* As many as there are CRIA_TOKEN_IMAGE in the prompt, in order; the last token is none. The
     * array is borrowed during the start call, the images until the generation is freed. */
    const struct cria_image *const *images;
    size_t n_images;
    struct sampler_params sampler;
    int64_t n_predict; /* most tokens to generate; negative or 0: 10 * n_ctx */
    const char *const *stop;
    size_t n_stop;
    bool shift;     /* context full: forget half of what is behind n_keep, and go on */
    int32_t n_keep; /* first tokens that a shift keeps; negative: all of the prompt */
    bool logprobs;
    uint32_t n_top_logprobs;
    const token_id
        *visible; /* special tokens whose text is output, too; borrowed while it starts */
    size_t n_visible;
    struct grammar_source grammar; /* kind GRAMMAR_NONE: free. Borrowed during the start call */
    /* Thinking comes before the constrained part: between these tags the text is free. NULL: none.
     * Borrowed during the start call. */
    const char *think_open, *think_close;
    bool in_thinking;                    /* the prompt has opened it already */
    struct cria_progress *progress;      /* outlives the generation; NULL: nobody looks */
    const struct cria_adapter *adapters; /* NULL: all, with scale 1. Borrowed while it starts */
    size_t n_adapters;
    /* Who asks, if some must not see what others asked: prefixes are shared within a domain only,
     * and memory of the cache is zeroed before another domain gets it (security.md S-LC-8). */
    uint64_t domain;
};

struct cria_logprob {
    token_id id;
    float logprob;
    const char *piece; /* raw bytes of the token */
    size_t len;
};
struct cria_token_logprobs { /* one generated token */
    struct cria_logprob token;
    uint32_t n_top;
    const struct cria_logprob *top; /* falling order */
};

struct cria_chunk {   /* valid until the next call for this generation */
    const char *text; /* whole characters; may be empty in the last chunk */
    size_t len;
    uint32_t n_logprobs; /* tokens whose text this chunk carries (logprobs asked for) */
    const struct cria_token_logprobs *logprobs;
    enum cria_done done; /* CRIA_RUNNING but for the last chunk */
};

struct cria_stats {
    uint32_t n_prompt;    /* tokens of the prompt */
    uint32_t n_cached;    /* of these, taken from the prefix cache */
    uint32_t n_generated; /* the end token included */
    int64_t wait_ns;      /* until it got a slot */
    int64_t prompt_ns, eval_ns;
    const char *stop_hit; /* the stop string that ended it; NULL */
};

struct cria_generation;
enum status cria_generation_start(struct cria_generation **out, struct cria_engine *eng,
                                  const struct cria_request *r, struct err *e);
/* Checks a grammar against this model as cria_generation_start would (and keeps it for that). notes
 * (may be NULL) gets what of a schema is not enforced, a line each. ST_INVALID or ST_LIMIT: what is
 * wrong with it, and where. Any thread. */
enum status cria_grammar_check(struct cria_engine *eng, const struct grammar_source *source,
                               struct buf *notes, struct err *e);
/* Waits for the next piece of text (one chunk for each generated token that completes text) or the
 * end. After the last chunk further calls repeat it. The first chunk comes at once; of a model that
 * makes thousands of tokens a second, those of a millisecond come one after the other at its end.
 */
enum status cria_generation_next(struct cria_generation *g, struct cria_chunk *chunk,
                                 struct err *e);
/* Waits until that would not wait, or for ns nanoseconds (0: just looks): then false. */
bool cria_generation_wait(struct cria_generation *g, int64_t ns);
void cria_generation_cancel(
    struct cria_generation *g); /* from any thread; takes effect at the next step */
const struct cria_stats *cria_generation_stats(const struct cria_generation *g); /* after the end */
/* The exact ids: prompt as evaluated, then generated (without the end token). Valid until freed. */
const token_id *cria_generation_tokens(const struct cria_generation *g, size_t *n);
void cria_generation_free(struct cria_generation *g); /* cancels if it still runs */

#endif
