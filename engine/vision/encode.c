/* encode.c - one tile from pixels to rows of the text model: patches become rows (patches.c), the
 * body, rows of neighbouring patches put together, the head (projector.h).
 *
 * A large tile keeps the device busy for seconds, and other requests wait for theirs. So a program
 * runs in turns of a few ops, between which somebody else may have the device: memory and cache of
 * the tile are its own, and nothing else is remembered from turn to turn. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "engine/kv.h"
#include "engine/vision/tile.h"

/* Multiplications in a turn, but one op is never cut: about a millisecond of a few processor cores,
 * and far more than giving the device away costs. */
enum { TURN_MACS = 1 << 26 };

/* ---- running ----------------------------------------------------------------------------------
 */

struct vectors { /* what a program is given, or gave */
    float *x;
    uint32_t n, width;
};

/* A cache of one layer for one sequence. */
static enum status open_cache(const struct projector *p, uint32_t n, struct kv **kv,
                              struct err *e) {
    const uint32_t d = p->hp.head_dim;
    struct layer layer = {.n_head = p->hp.n_head,
                          .n_head_kv = p->hp.n_head_kv,
                          .head_dim = d,
                          .head_dim_v = d,
                          .kv_dim_k = d,
                          .kv_dim_v = d};
    const struct model m = {.hp = {.n_layer = 1}, .layers = &layer, .dev = p->dev};
    enum status st = kv_open(kv, &m, n, 1, 1, 0, DT_F32, e);
    if (st == ST_OK && !kv_seq_extend(*kv, 0, n)) st = err_no_memory(e);
    return st;
}

/* The numbers that go with n rows of one sequence, all of which see each other. */
struct numbers {
    int32_t *token, *pos;
    uint32_t *seq, *index, *kv_len;
};

static bool make_numbers(struct numbers *k, uint32_t n) {
    k->token = mem_zalloc(n, 2 * sizeof *k->token);
    k->seq = mem_zalloc(n, 3 * sizeof *k->seq);
    if (k->token == NULL || k->seq == NULL) return false;
    k->pos = k->token + n;
    k->index = k->seq + n;
    k->kv_len = k->index + n;
    for (uint32_t t = 0; t < n; t++) {
        k->token[t] = -1;
        k->index[t] = t;
        k->kv_len[t] = n;
    }
    return true;
}

/* Result rows, without the gaps between them. */
static enum status take_results(const struct projector *p, const struct program *prog,
                                const unsigned char *scratch, uint32_t n, struct vectors *out,
                                struct err *e) {
    const struct value *v = &prog->vals[prog->output];
    const size_t bytes = (size_t)n * v->pitch * sizeof(float);
    const float *from = (const float *)(const void *)(scratch + v->off);
    float *copy = NULL;
    enum status st = ST_OK;
    *out = (struct vectors){mem_array((size_t)n * v->width, sizeof(float)), n, v->width};
    if (!p->dev->uses_host_memory) copy = mem_alloc(bytes);
    if (out->x == NULL || (!p->dev->uses_host_memory && copy == NULL)) st = err_no_memory(e);
    if (st == ST_OK && copy != NULL)
        st = p->dev->backend->download(p->dev, copy, scratch + v->off, bytes, e);
    for (size_t t = 0; st == ST_OK && t < n; t++)
        memcpy(out->x + t * v->width, (copy != NULL ? copy : from) + t * v->pitch,
               v->width * sizeof(float));
    mem_free(copy);
    return st;
}

static enum status take(const struct device_turns *turns, struct err *e) {
    if (turns == NULL || turns->take(turns->arg)) return ST_OK;
    return err_set(e, ST_CANCELLED, "nobody wants the picture any more");
}
static void give(const struct device_turns *turns) {
    if (turns != NULL) turns->give(turns->arg);
}

/* Ops from `first` on that make a turn. */
static uint32_t turn_size(const struct step *s, uint32_t first) {
    uint64_t macs = 0;
    uint32_t n = 0;
    while (first + n < s->prog->n_ops && macs < TURN_MACS)
        macs += op_cost(s, &s->prog->ops[first + n++]).macs;
    return n;
}

static enum status run_in_turns(const struct projector *p, const struct step *whole,
                                const struct device_turns *turns, struct err *e) {
    enum status st = ST_OK;
    for (uint32_t first = 0, n; st == ST_OK && first < whole->prog->n_ops; first += n) {
        struct program part = *whole->prog;
        struct step step = *whole;
        n = turn_size(whole, first);
        part.ops += first;
        part.n_ops = n;
        step.prog = &part;
        if ((st = take(turns, e)) != ST_OK) break;
        st = p->dev->backend->run(p->dev, &step, e);
        give(turns);
    }
    return st;
}

static enum status run(const struct projector *p, struct program *prog, struct kv *kv,
                       const struct vectors *in, const int32_t *axes,
                       const struct device_turns *turns, struct vectors *out, struct err *e) {
    struct numbers k = {0};
    unsigned char *scratch = p->dev->backend->alloc(p->dev, prog->scratch);
    enum status st = ST_OK;
    if (scratch == NULL)
        st = err_set(e, ST_NO_MEMORY, "no memory for %zu bytes of scratch", prog->scratch);
    else if (!make_numbers(&k, in->n))
        st = err_no_memory(e);
    const struct batch batch = {.n_tokens = in->n,
                                .token = k.token,
                                .embd = in->x,
                                .embd_width = in->width,
                                .pos = k.pos,
                                .axes = axes,
                                .seq = k.seq,
                                .index = k.index,
                                .kv_len = k.kv_len};
    const struct step step = {.prog = prog,
                              .batch = &batch,
                              .kv = kv != NULL ? &kv->cache : NULL,
                              .n_rows = {in->n, 0},
                              .scratch = scratch};
    if (st == ST_OK) st = run_in_turns(p, &step, turns, e);
    if (st == ST_OK) st = gguf_check_whole(p->gguf, e);
    if (st == ST_OK) st = take(turns, e);
    if (st == ST_OK) {
        st = take_results(p, prog, scratch, in->n, out, e);
        give(turns);
    }
    if (scratch != NULL) p->dev->backend->release(p->dev, scratch);
    mem_free(k.token);
    mem_free(k.seq);
    return st;
}

static enum status run_body(const struct tile *t, const struct device_turns *turns,
                            struct vectors *out, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {t->n, 1};
    const struct vectors in = {t->rows, t->n, t->in.width};
    struct program prog = {0};
    struct recorder r = {.prog = &prog};
    struct kv *kv = NULL;
    val output = vit_record(t->p, &r, t->in.n_cells);
    enum status st = program_seal(&r, output, max_rows, e);
    if (st == ST_OK) st = open_cache(t->p, t->n, &kv, e);
    if (st == ST_OK) st = run(t->p, &prog, kv, &in, t->axes, turns, out, e);
    kv_close(kv);
    program_free(&prog);
    return st;
}

static enum status run_head(const struct projector *p, const struct vectors *in,
                            const struct device_turns *turns, struct vectors *out, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {in->n, 1};
    struct program prog = {0};
    struct recorder r = {.prog = &prog, .layer = LAYER_NONE};
    val output = p->type->head(p, &r, p_given(&r, "gathered", 0, in->width));
    enum status st = program_seal(&r, output, max_rows, e);
    if (st == ST_OK) st = run(p, &prog, NULL, in, NULL, turns, out, e);
    program_free(&prog);
    return st;
}

/* ---- neighbours -------------------------------------------------------------------------------
 */

/* The block at (bx, by): n_embd columns from `col` on of each of its rows, as one piece. */
static void gather_piece(const struct tile *t, const struct vectors *body, uint32_t bx, uint32_t by,
                         uint32_t col, float *to) {
    const uint32_t m = t->p->hp.merge, area = m * m, width = t->p->hp.n_embd;
    for (uint32_t k = 0; k < area; k++) {
        const uint32_t row = tile_row(t, bx * m + k % m, by * m + k / m);
        const float *from = body->x + (size_t)row * body->width + col;
        for (uint32_t i = 0; i < width; i++) {
            if (t->p->type->gather == GATHER_ROWS) to[k * width + i] = from[i];
            if (t->p->type->gather == GATHER_CHANNELS) to[i * area + k] = from[i];
            if (t->p->type->gather == GATHER_MEAN) to[i] += from[i] / (float)area;
        }
    }
}

static enum status gather(const struct tile *t, const struct vectors *body, struct vectors *out,
                          struct err *e) {
    const struct projector *p = t->p;
    const uint32_t m = p->hp.merge, nx = t->gx / m, ny = t->gy / m,
                   pieces = body->width / p->hp.n_embd;
    const uint32_t piece = p->hp.n_embd * (p->type->gather == GATHER_MEAN ? 1 : m * m);
    *out = (struct vectors){NULL, nx * ny, pieces * piece};
    out->x = mem_zalloc((size_t)out->n * out->width, sizeof *out->x);
    if (out->x == NULL) return err_no_memory(e);
    for (uint32_t b = 0; b < out->n; b++) {
        float *row = out->x + (size_t)b * out->width;
        for (uint32_t k = 0; k < pieces; k++)
            gather_piece(t, body, b % nx, b / nx, k * p->hp.n_embd, row + (size_t)k * piece);
        if (p->type->gathered != NULL) p->type->gathered(p, row, out->width);
    }
    return ST_OK;
}

/* A row of its own behind each line of the grid but the last. */
static enum status add_breaks(const struct projector *p, uint32_t nx, struct vectors *x,
                              struct err *e) {
    const uint32_t ny = x->n / nx, n = x->n + ny - 1;
    const size_t width = x->width;
    float *all = mem_array((size_t)n * width, sizeof *all), *to = all;
    if (all == NULL) return err_no_memory(e);
    for (uint32_t y = 0; y < ny; y++) {
        memcpy(to, x->x + (size_t)y * nx * width, nx * width * sizeof *to);
        to += nx * width;
        if (y + 1 == ny) break;
        memcpy(to, p->break_row, width * sizeof *to);
        to += width;
    }
    mem_free(x->x);
    x->x = all;
    x->n = n;
    return ST_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static uint32_t window_cells(const struct tile *t) {
    const uint32_t w = t->window < t->gx ? t->window : t->gx;
    return w * (t->window < t->gy ? t->window : t->gy);
}

enum status encode_tile(const struct projector *p, const struct picture *tile,
                        const struct device_turns *turns, float **rows, uint32_t *n_rows,
                        struct err *e) {
    const struct vit_hparams *hp = &p->hp;
    struct tile t = {.p = p,
                     .picture = tile,
                     .gx = (uint32_t)tile->w / hp->patch,
                     .gy = (uint32_t)tile->h / hp->patch};
    struct vectors body = {0}, gathered = {0}, out = {0};
    t.n = t.gx * t.gy + (p->class_embd != NULL);
    if (p->type->windows && hp->full_every != 0)
        t.window = WINDOW_PIXELS / hp->patch / hp->merge * hp->merge;
    t.in = vit_inputs(p, t.window != 0 ? window_cells(&t) : 0);
    enum status st = tile_rows(&t, e);
    if (st == ST_OK) st = run_body(&t, turns, &body, e);
    if (st == ST_OK) st = gather(&t, &body, &gathered, e);
    if (st == ST_OK) st = run_head(p, &gathered, turns, &out, e);
    if (st == ST_OK && p->break_row != NULL) st = add_breaks(p, t.gx / hp->merge, &out, e);
    mem_free(t.rows);
    mem_free(t.axes);
    mem_free(body.x);
    mem_free(gathered.x);
    if (st != ST_OK) {
        mem_free(out.x);
        return st;
    }
    *rows = out.x;
    *n_rows = out.n;
    return ST_OK;
}
