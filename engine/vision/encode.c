/* encode.c - one tile from pixels to rows of the text model: patches into the body's rows, the
 * body, rows of neighbouring patches put together, the head (projector.h). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/kv.h"
#include "engine/vision/projector.h"

enum { MAX_FLOATS = 1 << 29 };

struct tile { /* of which patches are made */
    const struct projector *p;
    const struct picture *picture;
    uint32_t gx, gy; /* patches across and down */
    uint32_t n;      /* rows of the body: patches, and the class token behind them */
    uint32_t window; /* patches a side; 0: none */
    struct vit_inputs in;
    float *rows;   /* [n][in.width] */
    int32_t *axes; /* [n][3] */
};

/* ---- rows of the body -------------------------------------------------------------------------
 */

/* The row of the patch at (x, y): line by line, or block by block. */
static uint32_t row_of(const struct tile *t, uint32_t x, uint32_t y) {
    const uint32_t m = t->p->hp.merge;
    if (!t->p->type->blocks) return y * t->gx + x;
    const uint32_t block = y / m * (t->gx / m) + x / m;
    return block * m * m + y % m * m + x % m;
}

/* Red, green and blue planes of a patch (the order of the kernel's weights). */
static void put_pixels(const struct tile *t, uint32_t x, uint32_t y, float *to) {
    const struct vit_hparams *hp = &t->p->hp;
    const size_t size = hp->patch, w = (size_t)t->picture->w;
    for (size_t c = 0; c < 3; c++)
        for (size_t dy = 0; dy < size; dy++) {
            const uint8_t *from = t->picture->rgb + ((y * size + dy) * w + x * size) * 3 + c;
            for (size_t dx = 0; dx < size; dx++) {
                float v = ((float)from[3 * dx] / 255 - hp->mean[c]) / hp->std[c];
                *to++ = t->p->type->unit_range ? 2 * v - 1 : v;
            }
        }
}

static void add_row(const struct projector *p, float *to, size_t row, float factor) {
    const float *from = p->pos + row * p->hp.n_embd;
    for (uint32_t i = 0; i < p->hp.n_embd; i++) to[i] += factor * from[i];
}

/* A square table stretched over the grid, corners on corners. */
static void add_bilinear(const struct tile *t, uint32_t x, uint32_t y, float *to) {
    const uint32_t side = (uint32_t)lround(sqrt(t->p->n_pos));
    const double ty = t->gy > 1 ? y * ((side - 1.0) / (t->gy - 1)) : 0;
    const double tx = t->gx > 1 ? x * ((side - 1.0) / (t->gx - 1)) : 0;
    const uint32_t y0 = (uint32_t)ty, x0 = (uint32_t)tx;
    const uint32_t y1 = y0 + 1 < side ? y0 + 1 : side - 1, x1 = x0 + 1 < side ? x0 + 1 : side - 1;
    const float fy = (float)(ty - y0), fx = (float)(tx - x0);
    add_row(t->p, to, (size_t)y0 * side + x0, (1 - fy) * (1 - fx));
    add_row(t->p, to, (size_t)y0 * side + x1, (1 - fy) * fx);
    add_row(t->p, to, (size_t)y1 * side + x0, fy * (1 - fx));
    add_row(t->p, to, (size_t)y1 * side + x1, fy * fx);
}

/* Weight of the table's row at distance d: cubic convolution (Keys 1981), a = -0.75. */
static float cubic(double d) {
    const double a = -0.75;
    d = fabs(d);
    if (d <= 1) return (float)(((a + 2) * d - (a + 3)) * d * d + 1);
    return d < 2 ? (float)(((d - 5) * d + 8) * d * a - 4 * a) : 0;
}

static uint32_t within(double i, uint32_t side) {
    return i < 0 ? 0 : i > side - 1.0 ? side - 1 : (uint32_t)i;
}

/* A square table stretched over the grid, edges on edges; what is outside is as at the edge. */
static void add_bicubic(const struct tile *t, uint32_t x, uint32_t y, float *to) {
    const uint32_t side = (uint32_t)lround(sqrt(t->p->n_pos));
    const double ty = (y + 0.5) * side / t->gy - 0.5, tx = (x + 0.5) * side / t->gx - 0.5;
    for (int i = -1; i <= 2; i++)
        for (int j = -1; j <= 2; j++) {
            const double sy = floor(ty) + i, sx = floor(tx) + j;
            add_row(t->p, to, (size_t)within(sy, side) * side + within(sx, side),
                    cubic(ty - sy) * cubic(tx - sx));
        }
}

/* What is added to a patch's product with the kernel. */
static void put_offset(const struct tile *t, uint32_t x, uint32_t y, float *to) {
    const struct projector *p = t->p;
    const size_t first = p->type->class_token == CLASS_FIRST ? 1 : 0;
    if (p->patch_b != NULL) memcpy(to, p->patch_b, p->hp.n_embd * sizeof *to);
    switch (p->type->positions) {
    case POS_NONE:
        break;
    case POS_TABLE:
        add_row(p, to, first + (size_t)y * t->gx + x, 1);
        break;
    case POS_BILINEAR:
        add_bilinear(t, x, y, to);
        break;
    case POS_BICUBIC:
        if (p->pos != NULL) add_bicubic(t, x, y, to);
        break;
    case POS_XY:
        add_row(p, to, x, 1);
        add_row(p, to, (size_t)p->n_pos + y, 1);
        break;
    }
}

static void put_class(const struct tile *t) {
    const struct projector *p = t->p;
    const uint32_t last = t->n - 1;
    float *to = t->rows + (size_t)last * t->in.width + t->in.n_pixels;
    memcpy(to, p->class_embd, p->hp.n_embd * sizeof *to);
    add_row(p, to, p->type->class_token == CLASS_FIRST ? 0 : last, 1);
}

/* The cells of the window of patch (x, y), in rising order; -1: no more. */
static void put_cells(const struct tile *t, uint32_t x, uint32_t y, float *to) {
    const uint32_t m = t->p->hp.merge, w = t->window;
    const uint32_t x0 = x / w * w, y0 = y / w * w, x1 = x0 + w < t->gx ? x0 + w : t->gx;
    const uint32_t y1 = y0 + w < t->gy ? y0 + w : t->gy;
    const float *end = to + t->in.n_cells;
    for (uint32_t by = y0; by < y1; by += m)
        for (uint32_t bx = x0; bx < x1; bx += m)
            for (uint32_t i = 0; i < m * m; i++) *to++ = (float)(row_of(t, bx, by) + i);
    if (to < end) *to = -1;
}

static void put_patch(const struct tile *t, uint32_t x, uint32_t y) {
    const uint32_t row = row_of(t, x, y), one = t->p->type->rope == VIT_ROPE_LLAMA4;
    float *to = t->rows + (size_t)row * t->in.width;
    put_pixels(t, x, y, to);
    if (t->in.n_offset != 0) put_offset(t, x, y, to + t->in.n_pixels);
    if (t->in.n_cells != 0) put_cells(t, x, y, to + t->in.n_pixels + t->in.n_offset);
    t->axes[3 * (size_t)row] = (int32_t)(y + one); /* of the class token: 0 */
    t->axes[3 * (size_t)row + 1] = (int32_t)(x + one);
}

static enum status make_rows(struct tile *t, struct err *e) {
    const struct projector *p = t->p;
    if ((uint64_t)t->n * t->in.width > MAX_FLOATS || t->n > VIT_MAX_ROWS + 1)
        return err_set(e, ST_LIMIT, "a picture of %d x %d pixels has too many patches",
                       t->picture->w, t->picture->h);
    if (p->type->positions == POS_XY && (t->gx > p->n_pos || t->gy > p->n_pos))
        return err_set(e, ST_LIMIT, "a picture of %ux%u patches: there are positions for %u", t->gx,
                       t->gy, p->n_pos);
    t->rows = mem_zalloc((size_t)t->n * t->in.width, sizeof *t->rows);
    t->axes = mem_zalloc(t->n, 3 * sizeof *t->axes);
    if (t->rows == NULL || t->axes == NULL) return err_no_memory(e);
    for (uint32_t y = 0; y < t->gy; y++)
        for (uint32_t x = 0; x < t->gx; x++) put_patch(t, x, y);
    if (p->class_embd != NULL) put_class(t);
    return ST_OK;
}

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

static enum status run(const struct projector *p, struct program *prog, struct kv *kv,
                       const struct vectors *in, const int32_t *axes, struct vectors *out,
                       struct err *e) {
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
    if (st == ST_OK) st = p->dev->backend->run(p->dev, &step, e);
    if (st == ST_OK) st = gguf_check_whole(p->gguf, e);
    if (st == ST_OK) st = take_results(p, prog, scratch, in->n, out, e);
    if (scratch != NULL) p->dev->backend->release(p->dev, scratch);
    mem_free(k.token);
    mem_free(k.seq);
    return st;
}

static enum status run_body(const struct tile *t, struct vectors *out, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {t->n, 1};
    const struct vectors in = {t->rows, t->n, t->in.width};
    struct program prog = {0};
    struct recorder r = {.prog = &prog};
    struct kv *kv = NULL;
    val output = vit_record(t->p, &r, t->in.n_cells);
    enum status st = program_seal(&r, output, max_rows, e);
    if (st == ST_OK) st = open_cache(t->p, t->n, &kv, e);
    if (st == ST_OK) st = run(t->p, &prog, kv, &in, t->axes, out, e);
    kv_close(kv);
    program_free(&prog);
    return st;
}

static enum status run_head(const struct projector *p, const struct vectors *in,
                            struct vectors *out, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {in->n, 1};
    struct program prog = {0};
    struct recorder r = {.prog = &prog, .layer = LAYER_NONE};
    val output = p->type->head(p, &r, p_given(&r, "gathered", 0, in->width));
    enum status st = program_seal(&r, output, max_rows, e);
    if (st == ST_OK) st = run(p, &prog, NULL, in, NULL, out, e);
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
        const uint32_t row = row_of(t, bx * m + k % m, by * m + k / m);
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

enum status encode_tile(const struct projector *p, const struct picture *tile, float **rows,
                        uint32_t *n_rows, struct err *e) {
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
    enum status st = make_rows(&t, e);
    if (st == ST_OK) st = run_body(&t, &body, e);
    if (st == ST_OK) st = gather(&t, &body, &gathered, e);
    if (st == ST_OK) st = run_head(p, &gathered, &out, e);
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
