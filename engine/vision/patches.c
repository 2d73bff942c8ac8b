/* patches.c - from the pixels of a tile to rows of the body: patches in their order, what is added
 * to each of them, the cells that it sees, its place (tile.h). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vision/tile.h"

enum { MAX_FLOATS = 1 << 29 };

/* The row of the patch at (x, y): line by line, or block by block. */
uint32_t tile_row(const struct tile *t, uint32_t x, uint32_t y) {
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
            for (uint32_t i = 0; i < m * m; i++) *to++ = (float)(tile_row(t, bx, by) + i);
    if (to < end) *to = -1;
}

static void put_patch(const struct tile *t, uint32_t x, uint32_t y) {
    const uint32_t row = tile_row(t, x, y), one = t->p->type->rope == VIT_ROPE_LLAMA4;
    float *to = t->rows + (size_t)row * t->in.width;
    put_pixels(t, x, y, to);
    if (t->in.n_offset != 0) put_offset(t, x, y, to + t->in.n_pixels);
    if (t->in.n_cells != 0) put_cells(t, x, y, to + t->in.n_pixels + t->in.n_offset);
    t->axes[3 * (size_t)row] = (int32_t)(y + one); /* of the class token: 0 */
    t->axes[3 * (size_t)row + 1] = (int32_t)(x + one);
}

enum status tile_rows(struct tile *t, struct err *e) {
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
