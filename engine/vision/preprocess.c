/* preprocess.c - from a picture to what the encoder takes: one size, a size that keeps the shape,
 * or tiles and an overview, of two kinds (spec/models/vision.md 2; split: idefics3.c). */
#include <math.h>

#include "base/mem.h"
#include "engine/vision/projector.h"

/* ---- sizes -------------------------------------------------------------------------------------
 */

static double at_least(double x, double low) { return x > low ? x : low; }

void dynamic_size(int w, int h, uint32_t a, uint64_t min, uint64_t max, int *out_w, int *out_h) {
    const double area = (double)w * h, unit = a;
    double W = at_least(floor(w / unit + 0.5) * unit, unit);
    double H = at_least(floor(h / unit + 0.5) * unit, unit);
    if (W * H > (double)max) {
        const double beta = sqrt(area / (double)max);
        W = at_least(floor(w / beta / unit) * unit, unit);
        H = at_least(floor(h / beta / unit) * unit, unit);
    } else if (W * H < (double)min) {
        const double beta = sqrt((double)min / area);
        W = ceil(w * beta / unit) * unit;
        H = ceil(h * beta / unit) * unit;
    }
    /* A picture so long that its short side had to be widened: the long one gives way. */
    if (W * H > (double)max && W >= H) W = at_least(floor((double)max / H / unit) * unit, unit);
    if (W * H > (double)max && H > W) H = at_least(floor((double)max / W / unit) * unit, unit);
    *out_w = (int)W;
    *out_h = (int)H;
}

size_t best_resolution(int w, int h, const uint32_t *candidates, size_t n) {
    int64_t best_eff = 0, least_waste = INT64_MAX;
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        const uint32_t cw = candidates[2 * i], ch = candidates[2 * i + 1];
        const float sx = (float)cw / (float)w, sy = (float)ch / (float)h, s = sx < sy ? sx : sy;
        const int64_t whole = (int64_t)w * h;
        int64_t eff = (int64_t)((float)w * s) * (int64_t)((float)h * s);
        if (eff > whole) eff = whole;
        const int64_t waste = (int64_t)cw * ch - eff;
        if (eff < best_eff || eff == 0 || (eff == best_eff && waste >= least_waste)) continue;
        best_eff = eff;
        least_waste = waste;
        best = i;
    }
    return best;
}

/* ---- tiles -------------------------------------------------------------------------------------
 */

void tiles_free(struct tiles *t) {
    for (size_t i = 0; i < t->n; i++) picture_free(&t->at[i]);
    mem_free(t->at);
    *t = (struct tiles){0};
}

/* Room for one more. */
static struct picture *next_tile(struct tiles *t) {
    struct picture *p = mem_grow(t->at, t->n + 1, sizeof *p);
    if (p == NULL) return NULL;
    t->at = p;
    t->at[t->n] = (struct picture){0};
    return &t->at[t->n++];
}

/* Resolutions by the number of tiles across and down; {w, h} each. */
static size_t tile_grids(const struct projector *p, uint32_t *grid) {
    const struct vit_hparams *hp = &p->hp;
    size_t n = 0;
    if (p->type->pinpoints) {
        for (uint32_t i = 0; i < 2 * hp->n_grid; i++) grid[i] = hp->grid[i];
        return hp->n_grid;
    }
    const uint32_t side = p->type->max_side_tiles;
    for (uint32_t x = 1; x <= (side != 0 ? side : hp->max_tiles); x++)
        for (uint32_t y = 1; side != 0 ? y <= side : x * y <= hp->max_tiles; y++) {
            if (x * y < (side != 0 ? 2 : hp->min_tiles)) continue;
            grid[2 * n] = x * hp->image_size;
            grid[2 * n++ + 1] = y * hp->image_size;
        }
    return n;
}

static enum status add_overview(const struct projector *p, const struct picture *in,
                                struct tiles *t, struct err *e) {
    const int size = (int)p->hp.image_size;
    struct picture *to = next_tile(t);
    return to != NULL ? picture_resize(in, size, size, p->type->filter, to, e) : err_no_memory(e);
}

/* Line by line. */
static enum status cut_tiles(const struct picture *whole, int size, struct tiles *t,
                             struct err *e) {
    enum status st = ST_OK;
    for (int y = 0; st == ST_OK && y + size <= whole->h; y += size)
        for (int x = 0; st == ST_OK && x + size <= whole->w; x += size) {
            struct picture *to = next_tile(t);
            st = to != NULL ? picture_crop(whole, x, y, size, size, to, e) : err_no_memory(e);
        }
    return st;
}

static enum status add_tiles(const struct projector *p, const struct picture *in, int w, int h,
                             struct tiles *t, struct err *e) {
    static const uint8_t black[3];
    struct picture whole;
    enum status st = picture_fit(in, w, h, p->type->filter, black, &whole, e);
    if (st != ST_OK) return st;
    st = cut_tiles(&whole, (int)p->hp.image_size, t, e);
    picture_free(&whole);
    return st;
}

static enum status tiles_and_overview(const struct projector *p, const struct picture *in,
                                      struct tiles *t, struct err *e) {
    enum { MAX_GRIDS = 8 * MAX_TILES };
    uint32_t grid[2 * MAX_GRIDS] = {0};
    const int size = (int)p->hp.image_size;
    const bool small = in->w <= size && in->h <= size;
    const size_t n = small ? 0 : tile_grids(p, grid);
    const size_t best = best_resolution(in->w, in->h, grid, n);
    enum status st = ST_OK;
    if (best == n || p->type->pinpoints) st = add_overview(p, in, t, e);
    if (st != ST_OK || best == n) return st;
    st = add_tiles(p, in, (int)grid[2 * best], (int)grid[2 * best + 1], t, e);
    if (st == ST_OK && !p->type->pinpoints) st = add_overview(p, in, t, e);
    return st;
}

/* ---- split: Idefics 3 --------------------------------------------------------------------------
 */

static int at_least_one(double x) { return x >= 1 ? (int)x : 1; }

/* `side` pixels, rounded up to whole tiles. */
static int whole_tiles(int side, int tile) { return (side + tile - 1) / tile * tile; }

/* The shorter of two sides whose longer one becomes `to`: even, 1 at least. */
static int shorter(int longer, int old, int to) {
    const int n = (int)(to / ((double)longer / old));
    return n + n % 2 > 0 ? n + n % 2 : 1;
}

/* The longer side becomes what the file says (smaller pictures grow, too), then both sides whole
 * tiles; their shape changes a little. */
static enum status fit_tiles(const struct projector *p, const struct picture *in,
                             struct picture *out, struct err *e) {
    const int size = (int)p->hp.image_size, to = (int)p->hp.long_side;
    const int w = in->w >= in->h ? to : shorter(in->h, in->w, to);
    const int h = in->w >= in->h ? shorter(in->w, in->h, to) : to;
    struct picture scaled;
    enum status st = picture_resize(in, w, h, p->type->filter, &scaled, e);
    if (st != ST_OK) return st;
    const double aspect = (double)w / h;
    int W = whole_tiles(w, size), H = whole_tiles(h, size);
    if (w >= h)
        H = whole_tiles(at_least_one(W / aspect), size);
    else
        W = whole_tiles(at_least_one(H * aspect), size);
    st = picture_resize(&scaled, W, H, p->type->filter, out, e);
    picture_free(&scaled);
    return st;
}

/* Tiles line by line, then the overview; only that if it would be the same. */
static enum status split(const struct projector *p, const struct picture *in, struct tiles *t,
                         struct err *e) {
    const int size = (int)p->hp.image_size;
    struct picture whole;
    enum status st = fit_tiles(p, in, &whole, e);
    if (st != ST_OK) return st;
    if (whole.w > size || whole.h > size) {
        t->nx = (uint32_t)(whole.w / size);
        t->ny = (uint32_t)(whole.h / size);
        st = cut_tiles(&whole, size, t, e);
    }
    if (st == ST_OK) st = add_overview(p, &whole, t, e);
    picture_free(&whole);
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum status one_tile(const struct projector *p, const struct picture *in, struct tiles *t,
                            struct err *e) {
    static const uint8_t black[3];
    const bool dynamic = p->type->pre == PRE_DYNAMIC;
    const uint32_t unit = p->hp.patch * p->hp.merge;
    int w = (int)p->hp.image_size, h = w;
    struct picture *to = next_tile(t);
    if (to == NULL) return err_no_memory(e);
    if (dynamic) dynamic_size(in->w, in->h, unit, p->min_pixels, p->max_pixels, &w, &h);
    if (dynamic && p->type->positions == POS_XY) { /* a position for each column and each row */
        const int most = (int)(p->n_pos / p->hp.merge * unit);
        if (w > most) w = most;
        if (h > most) h = most;
    }
    return picture_fit(in, w, h, p->type->filter, dynamic ? black : p->type->border, to, e);
}

enum status preprocess(const struct projector *p, const struct picture *in, struct tiles *out,
                       struct err *e) {
    struct tiles t = {0};
    const bool tiled = p->type->pre == PRE_TILES || (p->type->pinpoints && p->hp.n_grid != 0);
    enum status st = tiled                       ? tiles_and_overview(p, in, &t, e)
                     : p->type->pre == PRE_SPLIT ? split(p, in, &t, e)
                                                 : one_tile(p, in, &t, e);
    if (st != ST_OK)
        tiles_free(&t);
    else
        *out = t;
    return st;
}
