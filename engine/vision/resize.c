/* resize.c - separable resampling in fixed point: across, then down, each rounded to eight bits.
 *
 * An output pixel is a weighted sum over the input pixels within the filter's support, which grows
 * with the scale when a picture shrinks. Weights sum to 1 and are rounded to 22 bits behind the
 * point. */
#include "engine/vision/resize.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { FRACTION_BITS = 22 };

static bool new_picture(struct picture *p, int w, int h) {
    p->w = w;
    p->h = h;
    p->rgb = mem_array((size_t)w * 3, (size_t)h);
    return p->rgb != NULL;
}

/* ---- filters ----------------------------------------------------------------------------------
 */

static double bilinear(double x) { return fabs(x) < 1 ? 1 - fabs(x) : 0; }

static double bicubic(double x) { /* Keys 1981, a = -0.5 */
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }
static double lanczos(double x) { return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0; }

static const struct {
    double (*f)(double);
    double support;
} filters[] = {[RESIZE_BILINEAR] = {bilinear, 1},
               [RESIZE_BICUBIC] = {bicubic, 2},
               [RESIZE_LANCZOS] = {lanczos, 3}};

/* ---- weights of one direction -------------------------------------------------------------------
 */

struct taps { /* of one output pixel: weights of input pixels first .. first + n - 1 */
    int first, n;
};
struct weights {
    struct taps *taps; /* [n_out] */
    int32_t *w;        /* [n_out][most] */
    size_t most;
};

static void weights_free(struct weights *k) {
    mem_free(k->taps);
    mem_free(k->w);
}

static void fill_taps(struct weights *k, int x, int n_in, double scale, enum resize_filter filter,
                      double *tmp) {
    const double wide = scale > 1 ? scale : 1, support = filters[filter].support * wide;
    const double centre = (x + 0.5) * scale, narrow = 1 / wide;
    int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
    double sum = 0;
    if (lo < 0) lo = 0;
    if (hi > n_in) hi = n_in;
    for (int j = lo; j < hi; j++)
        sum += tmp[j - lo] = filters[filter].f((j + 0.5 - centre) * narrow);
    for (int j = lo; j < hi; j++) {
        const double w = (sum != 0 ? tmp[j - lo] / sum : 0) * (1 << FRACTION_BITS);
        k->w[(size_t)x * k->most + (size_t)(j - lo)] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
    k->taps[x] = (struct taps){lo, hi > lo ? hi - lo : 0};
}

static bool weights_make(struct weights *k, int n_in, int n_out, enum resize_filter filter) {
    const double scale = (double)n_in / n_out, wide = scale > 1 ? scale : 1;
    size_t floats;
    k->most = (size_t)ceil(filters[filter].support * wide) * 2 + 1;
    k->taps = mem_array((size_t)n_out, sizeof *k->taps);
    k->w = mem_mul((size_t)n_out, k->most, &floats) ? mem_array(floats, sizeof *k->w) : NULL;
    double *tmp = mem_array(k->most, sizeof *tmp);
    const bool ok = k->taps != NULL && k->w != NULL && tmp != NULL;
    for (int x = 0; ok && x < n_out; x++) fill_taps(k, x, n_in, scale, filter, tmp);
    mem_free(tmp);
    return ok;
}

/* One output pixel; input pixels are `step` bytes apart. */
static void weigh(const uint8_t *in, size_t step, const struct taps *t, const int32_t *w,
                  uint8_t *out) {
    int64_t sum[3] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1)};
    in += (size_t)t->first * step;
    for (int j = 0; j < t->n; j++, in += step)
        for (int c = 0; c < 3; c++) sum[c] += (int64_t)in[c] * w[j];
    for (int c = 0; c < 3; c++) {
        const int64_t v = sum[c] >> FRACTION_BITS;
        out[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static bool across(const struct picture *in, int w, enum resize_filter filter,
                   struct picture *out) {
    struct weights k = {0};
    const bool ok = weights_make(&k, in->w, w, filter) && new_picture(out, w, in->h);
    for (int y = 0; ok && y < in->h; y++)
        for (int x = 0; x < w; x++)
            weigh(in->rgb + (size_t)y * (size_t)in->w * 3, 3, &k.taps[x], k.w + (size_t)x * k.most,
                  out->rgb + ((size_t)y * (size_t)w + (size_t)x) * 3);
    weights_free(&k);
    return ok;
}

static bool down(const struct picture *in, int h, enum resize_filter filter, struct picture *out) {
    struct weights k = {0};
    const size_t row = (size_t)in->w * 3;
    const bool ok = weights_make(&k, in->h, h, filter) && new_picture(out, in->w, h);
    for (int y = 0; ok && y < h; y++)
        for (size_t x = 0; x < row; x += 3)
            weigh(in->rgb + x, row, &k.taps[y], k.w + (size_t)y * k.most,
                  out->rgb + (size_t)y * row + x);
    weights_free(&k);
    return ok;
}

static bool copy(const struct picture *in, struct picture *out) {
    if (!new_picture(out, in->w, in->h)) return false;
    memcpy(out->rgb, in->rgb, (size_t)in->w * 3 * (size_t)in->h);
    return true;
}

enum status picture_resize(const struct picture *in, int w, int h, enum resize_filter filter,
                           struct picture *out, struct err *e) {
    struct picture half = {0}, full = {0};
    const struct picture *now = in;
    bool ok = true;
    if (w != in->w) ok = across(now, w, filter, &half);
    if (ok && w != in->w) now = &half;
    if (ok) ok = h != in->h ? down(now, h, filter, &full) : copy(now, &full);
    picture_free(&half);
    if (!ok) {
        picture_free(&full);
        return err_no_memory(e);
    }
    *out = full;
    return ST_OK;
}

static int smaller(int a, int b) { return a < b ? a : b; }

enum status picture_fit(const struct picture *in, int w, int h, enum resize_filter filter,
                        const uint8_t colour[3], struct picture *out, struct err *e) {
    const float sx = (float)w / (float)in->w, sy = (float)h / (float)in->h, s = sx < sy ? sx : sy;
    const int nw = smaller((int)ceilf((float)in->w * s), w);
    const int nh = smaller((int)ceilf((float)in->h * s), h);
    struct picture inner = {0}, full = {0};
    enum status st = picture_resize(in, nw > 0 ? nw : 1, nh > 0 ? nh : 1, filter, &inner, e);
    if (st != ST_OK) return st;
    if (inner.w == w && inner.h == h) {
        *out = inner;
        return ST_OK;
    }
    if (!new_picture(&full, w, h)) {
        picture_free(&inner);
        return err_no_memory(e);
    }
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++) memcpy(full.rgb + 3 * i, colour, 3);
    const size_t x0 = (size_t)(w - inner.w) / 2, y0 = (size_t)(h - inner.h) / 2;
    for (size_t y = 0; y < (size_t)inner.h; y++)
        memcpy(full.rgb + ((y0 + y) * (size_t)w + x0) * 3, inner.rgb + y * (size_t)inner.w * 3,
               (size_t)inner.w * 3);
    picture_free(&inner);
    *out = full;
    return ST_OK;
}

enum status picture_crop(const struct picture *in, int x, int y, int w, int h, struct picture *out,
                         struct err *e) {
    struct picture part;
    if (!new_picture(&part, w, h)) return err_no_memory(e);
    for (size_t r = 0; r < (size_t)h; r++)
        memcpy(part.rgb + r * (size_t)w * 3,
               in->rgb + (((size_t)y + r) * (size_t)in->w + (size_t)x) * 3, (size_t)w * 3);
    *out = part;
    return ST_OK;
}
