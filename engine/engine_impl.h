/* engine_impl.h - inside of the engine: the step, the sequence slots, the scheduler's list.
 *
 *   engine.c    opening, closing, the step: rows in, results out
 *   slots.c     sequence slots: who uses one, which idle one has the longest common prefix
 *   timeline.c  one sequence driven by hand
 *   constrain.c grammars in generations
 *   sched.c     generations: the thread that makes steps of all running requests
 *   generation.c the client's side of them
 *   embed.c     vectors of texts, many in a step
 *
 * Two locks. step_lock guards everything that a step reads or writes (cache, slots, scratch memory)
 * and is held during a step. lock guards the lists of generations and their output; it is held
 * for moments only and is taken inside step_lock, never around it. */
#ifndef CRIA_ENGINE_ENGINE_IMPL_H
#define CRIA_ENGINE_ENGINE_IMPL_H

#include <pthread.h>

#include "engine/cria.h"
#include "engine/kv.h"
#include "engine/sequence.h"

enum { SLOT_NONE = -1 };
enum { N_IDLE_SLOTS = 16 }; /* finished sequences kept for their prefixes, at most */
enum { N_IDLE_STATES = 6 }; /* likewise where each has a state, which may be large */

struct slot {            /* slot i describes sequence i of the cache */
    struct sequence seq; /* what is in its cells, in order */
    uint32_t first_pos;  /* position of the first one: 0 but for timelines that ask */
    struct adapt adapt;  /* of its cells */
    float *hidden;       /* [n_embd] of its last token, for the next one's draft; NULL */
    bool busy;
    uint64_t last_used;
    uint64_t domain; /* whose tokens are, or were, in it (cria.h) */
};

struct row_batch { /* the batch under construction; arrays of n_rows entries */
    struct batch batch;
    int32_t *token, *pos, *axes; /* axes: [n_rows][3], NULL if the model has none */
    uint32_t *seq, *index, *kv_len, *output;
    float *adapt;
    float *given; /* rows of images; made when the first one comes */
    uint32_t n_given, cap_given;
};

struct cria_engine {
    struct device dev;
    struct model *model;
    struct vocab *vocab;
    struct program prog, mtp; /* mtp: has ops if the engine has such a block */
    float *hidden, *before;   /* of the step's rows and of the tokens before them; NULL */
    struct kv *kv;
    enum dtype kv_type;
    struct embedder *embed; /* its own programs and cache */
    bool embeddings;        /* as asked for when it was opened */
    void *scratch;          /* device memory of the programs, one at a time */
    float *results;         /* where results are downloaded; NULL if the host sees scratch */
    struct row_batch rows;
    struct slot *slots;
    uint32_t n_slots, n_active; /* slots in use by timelines and generations */
    uint64_t clock;             /* for last_used */
    uint32_t n_ctx, n_parallel, n_batch, n_outputs;
    uint32_t n_rows; /* n_batch, or more: an image whose rows see each other in a step of its own */
    uint32_t n_given; /* floats of an image's row */
    struct cria_model_info info;
    char *chat_template;
    struct step_observer observer; /* of all steps; product NULL: none */
    cria_observe_fn *observe;
    void *observe_arg;
    pthread_mutex_t step_lock, turn_lock;
    pthread_mutex_t index_lock;      /* of token_index */
    struct token_index *token_index; /* made when a grammar is first asked for */
    struct sched *sched;
};

/* Takes step_lock in order of arrival: the scheduler, which wants it again at once after each step,
 * lets others in between. Unlock step_lock as usual. */
void step_enter(struct cria_engine *eng);

/* ---- the step (step_lock held) ------------------------------------------------------------- */

void rows_clear(struct cria_engine *eng);
bool rows_full(const struct cria_engine *eng);
/* Room for n rows of images beside those that are there. */
bool rows_reserve_given(struct cria_engine *eng, uint32_t n);
/* Adds entry `index` of the slot's sequence, whose cell is there (slot_extend); wanted: its result
 * is asked for. given: the row of an image (rows_reserve_given), else NULL. Returns the number of
 * the result row. */
uint32_t rows_add(struct cria_engine *eng, uint32_t slot, uint32_t index, const float *given,
                  bool wanted);
/* What row t of the batch, token `index` of its sequence, gets of the adapters. */
void rows_adapt(struct cria_engine *eng, uint32_t t, uint32_t index, const struct adapt *a);
/* Where rope sees row t of the batch. */
void rows_position(struct cria_engine *eng, uint32_t t, uint32_t first, struct position p);
/* Steps may from now on have n rows, if they consist of one image. Takes step_lock. ST_BUSY: the
 * cache would have to grow, and sequences are in use. */
enum status engine_reserve_rows(struct cria_engine *eng, uint32_t n, struct err *e);
/* ST_IO if a file of the engine was cut short while it is mapped: results are not to be used. */
enum status engine_check_intact(const struct cria_engine *eng, struct err *e);
enum status engine_step(struct cria_engine *eng, struct err *e);
/* The same for another program on another cache (may be NULL); embd: see struct batch. Results are
 * n rows of the program's output. */
enum status engine_run(struct cria_engine *eng, const struct program *prog, struct kv *kv,
                       const float *embd, uint32_t n_results, struct err *e);
const float *engine_output(const struct cria_engine *eng, const struct program *prog, uint32_t row);
/* What a program has kept of each row of the step, to [n_tokens][width]. */
enum status engine_kept(struct cria_engine *eng, const struct program *prog, float *to,
                        struct err *e);
/* Behind engine_step: the rows through the block that predicts further tokens. Overwrites results:
 * engine_output(eng, &eng->mtp, ...) has the drafts, eng->hidden what the head saw. */
enum status engine_step_mtp(struct cria_engine *eng, struct err *e);
const float *engine_result(const struct cria_engine *eng, uint32_t row); /* until the next step */

/* What a request's list means. ST_INVALID: no such adapter, or no finite scale. */
enum status engine_adapt(const struct cria_engine *eng, const struct cria_adapter *list, size_t n,
                         struct adapt *out, struct err *e);

/* ---- slots (step_lock held) -------------------------------------------------------------------
 */

enum status slots_open(struct cria_engine *eng, struct err *e);
void slots_close(struct cria_engine *eng);
/* A busy slot whose cells hold the longest prefix of `want` (NULL: nothing) that any slot of the
 * domain has of these adapters, but not all of it. SLOT_NONE: n_parallel are in use already. */
int slot_acquire(struct cria_engine *eng, const struct sequence *want, const struct adapt *adapt,
                 uint64_t domain);
void slot_release(struct cria_engine *eng, int slot); /* idle: kept for its prefix */
/* Appends entries at..at+n-1 of `from` to the slot, and cells for them; drops idle slots if pages
 * are short. */
bool slot_extend(struct cria_engine *eng, int slot, const struct sequence *from, uint32_t at,
                 uint32_t n);
/* Of a recurrent model: keeps a copy of the slot as it is, in an idle one, if there is room. All of
 * its rows have been evaluated. */
void slot_checkpoint(struct cria_engine *eng, int slot);
/* kv_seq_truncate: of a recurrent model nothing may be left; of an image nothing if not all. */
void slot_truncate(struct cria_engine *eng, int slot, uint32_t n_tokens);

/* The vocabulary as grammars need it; NULL: failed. Any thread. */
struct token_index *engine_token_index(struct cria_engine *eng, struct err *e);

/* ---- embeddings -------------------------------------------------------------------------------
 */

/* Records the programs; needs the batch sizes. Scratch memory comes from the engine. */
enum status embed_open(struct cria_engine *eng, enum dtype kv_type, struct err *e);
void embed_close(struct cria_engine *eng);
size_t embed_scratch(const struct cria_engine *eng);
size_t embed_results(const struct cria_engine *eng); /* bytes */

/* ---- the scheduler ------------------------------------------------------------------------------
 */

enum status sched_open(struct cria_engine *eng, struct err *e);
void sched_close(struct cria_engine *eng);

#endif
