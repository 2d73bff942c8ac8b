/* adapter.h - LoRA adapters: low-rank changes of a model's weights (Hu et al. 2021, arXiv
 * 2106.09685; spec/models/lora-mtp.md 1), from files of their own.
 *
 *     y = W x + s (alpha / rank) B (A x)
 *
 * A file holds pairs `<weight>.lora_a` {in, rank} and `<weight>.lora_b` {rank, out}; of experts,
 * one for each. Of token_embd the table's rows change: a {rank, rows}, b {rank, n_embd}. Adapters
 * are added to a model before its programs are recorded; every program then has their deltas, and
 * how much of each (s) a row gets is told with the batch (kernels/step.h, adapt). So requests with
 * different adapters share a step, and rows without any are what they would be alone.
 *
 * An adapter may be bound to a sequence of tokens ("activated": adapter.alora.invocation_tokens):
 * it then counts from the last place in the prompt where they stand. */
#ifndef CRIA_ENGINE_ADAPTER_H
#define CRIA_ENGINE_ADAPTER_H

#include "engine/file/gguf.h"
#include "engine/program.h"

struct model;

enum { MAX_ADAPTERS = 16 };

struct adapters {                    /* zeroed: none */
    struct gguf *gguf[MAX_ADAPTERS]; /* owned: the matrices stay in the files */
    int32_t *invocation[MAX_ADAPTERS];
    size_t n_invocation[MAX_ADAPTERS]; /* 0: from the first token on */
    uint32_t n;
    struct delta *delta; /* [n_deltas] sorted by weight */
    size_t n_deltas;
};

/* Takes g (closed on failure too), a LoRA adapter of this model; it gets the next number.
 * ST_FORMAT, ST_UNSUPPORTED, ST_LIMIT; messages name file and tensor (spec/models/lora-mtp.md). */
enum status adapter_add(struct model *m, struct gguf *g, struct err *e);
/* Behind recording: no product goes without its change (ST_UNSUPPORTED names the tensor). What
 * changes nothing, since no product has its weight, is told in the log. */
enum status adapters_check_used(const struct model *m, struct err *e);
void adapters_close(struct adapters *a);

/* How much of each adapter the tokens of a sequence get. */
struct adapt {
    float scale[MAX_ADAPTERS];
    uint32_t from[MAX_ADAPTERS]; /* first index in the sequence that gets it */
};
/* Of the first n places, those at which both give the same. */
uint32_t adapt_common(const struct adapt *a, const struct adapt *b, uint32_t n_adapters,
                      uint32_t n);
/* Where each adapter begins in a prompt; one whose tokens are not there gets scale 0. */
void adapt_find_begin(struct adapt *a, const struct adapters *list, const int32_t *ids, size_t n);
/* `drop` tokens behind the first `keep` of the sequence have been taken out. */
void adapt_shift(struct adapt *a, uint32_t n_adapters, uint32_t keep, uint32_t drop);

#endif
