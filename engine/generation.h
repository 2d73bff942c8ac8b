/* generation.h - inside of the scheduler: a generation and the list it is in.
 *
 * generation.c is the client's side: checking and starting, reading, the end. sched.c is the side
 * of the thread that makes steps. States: waiting (in the queue, no slot) -> running (in run[], has
 * a slot) -> done (the thread never touches it again). Only the thread moves generations on;
 * readers wait on `changed`. Not for others. */
#ifndef CRIA_ENGINE_GENERATION_H
#define CRIA_ENGINE_GENERATION_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "engine/constrain.h"
#include "engine/engine_impl.h"
#include "engine/textout.h"

/* A reader is not woken for a chunk sooner than this after the last time. */
enum { PACE_NS = 1000000 };

/* One chunk for the reader: the text up to text_end, the logprobs up to lp_end. */
struct record {
    size_t text_end, lp_end;
    enum cria_done done;
};

struct cria_generation {
    struct cria_engine *eng;
    struct cria_generation *next; /* in the queue */
    struct sequence seq;          /* what the sequence should hold; the slot holds a first part */
    struct token_list history; /* prompt and generated without images, also what a shift dropped */
    struct sampler *sampler;
    struct constraint *constraint; /* NULL: free */
    struct textout *textout;
    int64_t n_predict;
    int32_t n_keep;
    bool shift, logprobs;
    uint32_t n_top;
    char **stop; /* owned copies: stats.stop_hit points here */
    size_t n_stop;
    token_id *visible; /* special tokens that are output as text */
    size_t n_visible;
    struct adapt adapt; /* how much it gets of the adapters */
    uint64_t domain;
    int slot;
    uint32_t result_row; /* of this step; valid if wants_result */
    bool in_step, wants_result;
    bool starved; /* its image did not fit into the last step beside the others' rows */
    int64_t asked_ns, started_ns, sampled_ns;
    int64_t token_ns;               /* when the last token was chosen */
    struct cria_progress *progress; /* borrowed; NULL */
    struct cria_stats stats;
    atomic_bool cancelled;

    /* Output, guarded by sched.lock. Text and records only grow; the arena's pieces never move. */
    pthread_cond_t changed;
    enum reader { READER_AWAY, READER_RESTS, READER_WAITS } reader;
    bool quick; /* the last token came within PACE_NS / 2 of the one before */
    struct buf text;
    struct cria_token_logprobs *lps;
    size_t n_lps, cap_lps;
    struct record *records;
    size_t n_records, cap_records;
    struct arena lp_arena;
    bool done;
    enum status failed;
    struct err err;

    /* The reader's own. */
    size_t n_read;
    int64_t woken_ns;
    struct buf chunk_text;
    struct cria_token_logprobs *chunk_lps;
};
struct sched {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct cria_generation *first, **last; /* the queue */
    struct cria_generation **run;          /* [n_parallel]; the thread's own */
    uint32_t n_run;
    bool quit;
    atomic_uint n_running, n_waiting, n_free_pages; /* for cria_engine_load() */
};

static inline void tell_phase(struct cria_generation *g, enum cria_phase phase) {
    if (g->progress != NULL) atomic_store(&g->progress->phase, (int)phase);
}

#endif
