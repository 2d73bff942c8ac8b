/* step.h - what changes from step to step: the batch of rows and the KV cache.
 *
 * A step is a batch of rows from any number of sequences in any phase (prefill, decode). Each row
 * knows its token, its position, the cache cell that takes its key and value, and how much of its
 * sequence it may see. What a row computes never depends on the other rows of the batch. */
#ifndef CRIA_KERNELS_STEP_H
#define CRIA_KERNELS_STEP_H

#include <stdint.h>

#include "kernels/op.h"

/* Cells in a page. Pages are counted and shared (engine/kv.h). The unit is also the order of
 * summation in attention: results must not depend on which physical pages a sequence has. */
#ifdef CRIA_HARD
enum { KV_PAGE = 2 };
#else
enum { KV_PAGE = 32 };
#endif

struct kv_seq {
    uint32_t *page; /* [n_pages] physical page of each logical one */
    uint32_t n_pages, n_tokens;
    uint32_t first; /* logical pages before this one are gone: no row to come sees them */
};

struct kv_cache {
    uint32_t n_layer, n_pages;
    /* [n_layer] planes {head_dim, KV_PAGE, n_head_kv, n_pages}: a head's cells of one page are
     * contiguous. F32 or F16. */
    struct tensor *k, *v; /* v.data NULL: values are a part of the keys */
    /* [n_layer] planes {floats, n_seqs} F32: what a layer with a recurrence remembers of each
     * sequence, the same amount at every length. data NULL: nothing. A row of index 0 begins with
     * zeros; rows of one sequence stand in a batch in their order. */
    struct tensor *state;
    struct kv_seq *seq;
    uint32_t n_seqs;
    /* Layers with a window may have pages of their own, of which old ones are let go: [n_layer]
     * whether a layer's planes have those, and the sequences' lists of them. NULL: none do. */
    const bool *windowed;
    struct kv_seq *window_seq;
};

struct batch {
    uint32_t n_tokens, n_outputs;
    const int32_t *token;   /* [n_tokens]; -1: the next row of embd */
    const float *embd;      /* rows for the tokens that are -1, in order; may be NULL */
    uint32_t embd_width;    /* floats of such a row; 0: n_embd */
    const float *beside;    /* a row for each token beside it (EMBED_BESIDE); may be NULL */
    const int32_t *pos;     /* [n_tokens] position for rope */
    const int32_t *axes;    /* [n_tokens][3] y, x and fourth position; NULL: all are pos */
    const uint32_t *seq;    /* [n_tokens] index in kv.seq */
    const uint32_t *index;  /* [n_tokens] the row's place in its sequence: its logical cell */
    const uint32_t *kv_len; /* [n_tokens] cells of the sequence the row may see: index + 1 if
                             * causal, else all of its sequence, or up to the end of its image; what
                             * is behind the row then is in this step, too */
    const uint32_t *output; /* [n_outputs] rows whose results are wanted */
    const float *adapt;     /* [n_tokens][n_adapters] how much of each adapter a row gets */
    uint32_t n_adapters;
};

/* Somebody who looks at what the products with weights are given (importance matrices). */
struct step_observer {
    /* Before a LINEAR or LINEAR_ID op: the rows of its input in host memory, and for LINEAR_ID the
     * numbers of the chosen experts (else NULL); rows are `pitch` floats apart. Called from one
     * thread at a time, the views are valid during the call. */
    void (*product)(void *arg, const struct op *op, uint32_t n_rows, const float *x, size_t x_pitch,
                    const float *ids, size_t ids_pitch);
    void *arg;
};

struct step {
    const struct program *prog;
    const struct batch *batch;
    struct kv_cache *kv;
    uint32_t n_rows[ROWS_KINDS];
    uint32_t first_row; /* where definitions of row by row ops begin: shares of workers; else 0 */
    unsigned char *scratch;               /* device memory of prog->scratch bytes */
    const struct step_observer *observer; /* NULL: nobody looks */
};

/* First element of row r of a value. */
static inline float *step_row(const struct step *s, val v, uint32_t r) {
    const struct value *x = &s->prog->vals[v];
    return (float *)(void *)(s->scratch + x->off) + (size_t)r * x->pitch;
}
/* The cells first .. end - 1 that row t sees in an ATTN op. */
static inline uint32_t step_first_cell(const struct step *s, uint32_t t, const struct op *op) {
    const uint32_t index = s->batch->index[t], window = op->p.attn.window;
    uint32_t back = window - 1;
    if (window == 0) return 0;
    if (op->p.attn.chunked) back = (uint32_t)s->batch->pos[t] % window;
    if (op->p.attn.symmetric) back = window / 2;
    return index > back ? index - back : 0;
}
static inline uint32_t step_end_cell(const struct step *s, uint32_t t, const struct op *op) {
    const uint32_t end = s->batch->kv_len[t], half = op->p.attn.window / 2;
    if (op->p.attn.causal) return s->batch->index[t] + 1;
    if (op->p.attn.window == 0 || !op->p.attn.symmetric) return end;
    return end - s->batch->index[t] > half + 1 ? s->batch->index[t] + half + 1 : end;
}
/* The row of the batch that row r of a value of this kind belongs to. */
static inline uint32_t step_token(const struct step *s, val v, uint32_t r) {
    return s->prog->vals[v].rows == ROWS_OUTPUTS ? s->batch->output[r] : r;
}
/* ROPE: which of the positions turns pair i, and the exponent of the base in its frequency. */
static inline uint32_t rope_axis(const struct op *op, uint32_t i) {
    const uint32_t *n = op->p.rope.sections, sum = n[0] + n[1] + n[2] + n[3];
    if (op->p.rope.axes == ROPE_ONE) return op->p.rope.axis;
    if (op->p.rope.axes == ROPE_VISION) return i < op->p.rope.n_rot / 4 ? 1 : 2;
    i %= sum;
    if (op->p.rope.axes == ROPE_INTERLEAVED) return i < 3 * n[i % 3] ? i % 3 : 3;
    return i < n[0] ? 0 : i < n[0] + n[1] ? 1 : i < n[0] + n[1] + n[2] ? 2 : 3;
}
static inline double rope_exponent(const struct op *op, uint32_t i) {
    const uint32_t n = op->p.rope.n_rot;
    return op->p.rope.axes == ROPE_VISION ? -2.0 * (i % (n / 4)) / (n / 2) : -2.0 * i / n;
}
static inline int32_t step_position(const struct step *s, uint32_t t, uint32_t axis) {
    if (axis == 0 || s->batch->axes == NULL) return s->batch->pos[t];
    return s->batch->axes[3 * (size_t)t + axis - 1];
}
static inline uint32_t step_rows(const struct step *s, val v) {
    return s->n_rows[s->prog->vals[v].rows];
}
/* What a layer remembers of the sequence of row t, from float `col` on. */
static inline float *step_state(const struct step *s, uint32_t layer, uint32_t t, uint32_t col) {
    const struct tensor *plane = &s->kv->state[layer];
    unsigned char *slot = (unsigned char *)plane->data + s->batch->seq[t] * plane->stride[1];
    return (float *)(void *)slot + col;
}
/* The pages of a sequence in a layer's planes. */
static inline const struct kv_seq *kv_seq_of(const struct kv_cache *kv, uint32_t layer,
                                             uint32_t seq) {
    return kv->windowed != NULL && kv->windowed[layer] ? &kv->window_seq[seq] : &kv->seq[seq];
}
/* Byte offset, in a cache plane, of the vector of a head in a logical cell of a sequence. */
static inline size_t kv_offset(const struct tensor *plane, const struct kv_seq *seq, uint32_t index,
                               uint32_t head) {
    return (size_t)seq->page[index / KV_PAGE] * plane->stride[3] + head * plane->stride[2] +
           (size_t)(index % KV_PAGE) * plane->stride[1];
}

#endif
