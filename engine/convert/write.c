/* write.c - the contents of outs: values are read through views, converted, and handed on in pieces
 * of a few hundred KB, whatever the size of a tensor. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

enum { CHUNK = 16384 }; /* values */

/* ---- values of a source ---- */

static uint16_t load16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }

static float load_f32(const unsigned char *p) {
    const uint32_t u =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* spec/safetensors.md 1.2; no infinity, and two NaNs. */
static float e4m3(unsigned char b) {
    const int e = b >> 3 & 15, m = b & 7;
    const float sign = b & 128 ? -1 : 1;
    if (e == 15 && m == 7) return NAN;
    if (e == 0) return sign * ldexpf((float)m, -9);
    return sign * ldexpf(1 + (float)m / 8, e - 7);
}

static const float *e4m3_table(void) {
    static _Thread_local float table[256];
    static _Thread_local bool ready;
    for (int b = 0; b < 256 && !ready; b++) table[b] = e4m3((unsigned char)b);
    ready = true;
    return table;
}

static float value_of(const struct source *s, int64_t i) {
    const unsigned char *p = s->t->data;
    if (s->t->dtype == SFT_F32) return load_f32(p + 4 * i);
    return s->t->dtype == SFT_F16 ? f16_to_f32(load16(p + 2 * i)) : bf16_to_f32(load16(p + 2 * i));
}

/* The element of the scale that belongs to element i. */
static float scale_at(const struct source *s, int64_t i) {
    const int64_t cols = s->dim[1], wide = (cols - 1) / s->block[1] + 1;
    return value_of(s->scale, i / cols / s->block[0] * wide + i % cols / s->block[1]);
}

/* n values from element i on, each `stride` behind the one before it. */
static void read_values(const struct source *s, int64_t i, int64_t stride, size_t n, float *out) {
    if (s->t == NULL) {
        for (size_t k = 0; k < n; k++, i += stride) out[k] = s->made[i];
        return;
    }
    const unsigned char *p = s->t->data;
    switch (s->t->dtype) {
    case SFT_F32:
        for (size_t k = 0; k < n; k++, i += stride) out[k] = load_f32(p + 4 * i);
        return;
    case SFT_F16:
        for (size_t k = 0; k < n; k++, i += stride) out[k] = f16_to_f32(load16(p + 2 * i));
        return;
    case SFT_BF16:
        for (size_t k = 0; k < n; k++, i += stride) out[k] = bf16_to_f32(load16(p + 2 * i));
        return;
    case SFT_F8_E4M3: {
        const float *table = e4m3_table();
        for (size_t k = 0; k < n; k++, i += stride) out[k] = table[p[i]] * scale_at(s, i);
        return;
    }
    default: /* I8; out_type() lets no other pass */
        for (size_t k = 0; k < n; k++, i += stride)
            out[k] = (float)(signed char)p[i] * scale_at(s, i);
        return;
    }
}

static void map_values(enum map_fn fn, float arg, float *x, size_t n) {
    switch (fn) {
    case MAP_NONE:
        return;
    case MAP_ADD:
        for (size_t i = 0; i < n; i++) x[i] += arg;
        return;
    case MAP_NEG_EXP: /* in double: the same on every machine's libm to the last bit of a float */
        for (size_t i = 0; i < n; i++) x[i] = (float)-exp((double)x[i]);
        return;
    case MAP_CLAMP:
        for (size_t i = 0; i < n; i++) x[i] = x[i] < -arg ? -arg : x[i] > arg ? arg : x[i];
        return;
    case MAP_TANH:
        for (size_t i = 0; i < n; i++) x[i] = (float)tanh((double)x[i]);
        return;
    case MAP_ONE_MINUS_TANH:
        for (size_t i = 0; i < n; i++) x[i] = (float)(1 - tanh((double)x[i]));
        return;
    case MAP_SOFTPLUS:
        for (size_t i = 0; i < n; i++) x[i] = (float)log1p(exp((double)x[i]));
        return;
    }
}

/* ---- the walk over a view ---- */

/* Gets pieces of the output in order: n values from element i of the source on. False: stop. */
typedef bool piece_fn(void *arg, const struct view *v, int64_t i, int64_t stride, size_t n);

static bool walk(const struct view *v, piece_fn *fn, void *arg) {
    int64_t at[VIEW_DIMS] = {0}, index = v->offset;
    const uint32_t last = v->n_dims - 1;
    for (uint32_t d = 0; d < v->n_dims; d++)
        if (v->dim[d] == 0) return true;
    for (;;) {
        for (int64_t done = 0; done < v->dim[last];) {
            const int64_t left = v->dim[last] - done, n = left < CHUNK ? left : CHUNK;
            if (!fn(arg, v, index + done * v->stride[last], v->stride[last], (size_t)n))
                return false;
            done += n;
        }
        uint32_t d = last;
        while (d > 0) { /* the next row */
            d--;
            index += v->stride[d];
            if (++at[d] < v->dim[d]) break;
            index -= at[d] * v->stride[d];
            at[d] = 0;
            if (d == 0) return true;
        }
        if (last == 0) return true;
    }
}

/* ---- out ---- */

struct writer {
    const struct out *o;
    struct gguf_writer *w;
    enum status st;
    struct err *e;
    size_t n; /* values in the buffer */
    float values[CHUNK];
    unsigned char bytes[CHUNK * 4];
};

static bool flush(struct writer *w) {
    const struct dtype_info *type = dtype_info(w->o->type);
    if (w->n == 0) return true;
    type->encode(w->values, w->bytes, w->n, NULL);
    w->st = gguf_write_data(w->w, w->bytes, w->n * type->bytes, w->e);
    w->n = 0;
    return w->st == ST_OK;
}

static bool write_piece(void *arg, const struct view *v, int64_t i, int64_t stride, size_t n) {
    struct writer *w = arg;
    if (w->n + n > CHUNK && !flush(w)) return false;
    read_values(v->src, i, stride, n, w->values + w->n);
    map_values(v->fn, v->arg, w->values + w->n, n);
    w->n += n;
    return true;
}

/* Same type and order on both sides: the bytes as they are, NaNs and all. */
static bool is_copy(const struct out *o, const struct view *v) {
    const struct sft_tensor *t = v->src->t;
    int64_t stride = 1;
    if (t == NULL || v->fn != MAP_NONE || v->src->scale != NULL) return false;
    for (uint32_t d = v->n_dims; d-- > 0; stride *= v->dim[d])
        if (v->dim[d] != 1 && v->stride[d] != stride) return false;
    return (t->dtype == SFT_F32 && o->type == DT_F32) ||
           (t->dtype == SFT_F16 && o->type == DT_F16) ||
           (t->dtype == SFT_BF16 && o->type == DT_BF16);
}

static bool write_copy(struct writer *w, const struct view *v) {
    const size_t size = dtype_info(w->o->type)->bytes;
    size_t n = size;
    for (uint32_t d = 0; d < v->n_dims; d++) n *= (size_t)v->dim[d];
    if (!flush(w)) return false;
    if (n != 0) w->st = gguf_write_data(w->w, v->src->t->data + (size_t)v->offset * size, n, w->e);
    return w->st == ST_OK;
}

/* ---- MXFP4 (spec/safetensors.md 5.9) ---- */

/* A source block is 16 bytes with elements 2b and 2b+1 in byte b; the output's has the scale, then
 * elements j and j+16 in byte j. The view walks over blocks. */
static bool write_blocks(void *arg, const struct view *v, int64_t i, int64_t stride, size_t n) {
    struct writer *w = arg;
    for (size_t k = 0; k < n; k++, i += stride) {
        const unsigned char *in = v->src->t->data + 16 * i;
        unsigned char out[17] = {w->o->scales->t->data[i]};
        for (int j = 0; j < 16; j++) {
            const int low = in[j / 2] >> (j % 2 * 4) & 15;
            const int high = in[8 + j / 2] >> (j % 2 * 4) & 15;
            out[1 + j] = (unsigned char)(low | high << 4);
        }
        memcpy(w->bytes + 17 * w->n, out, sizeof out);
        if (++w->n < sizeof w->bytes / 17) continue;
        w->st = gguf_write_data(w->w, w->bytes, w->n * 17, w->e);
        w->n = 0;
        if (w->st != ST_OK) return false;
    }
    return true;
}

static bool write_mxfp4(struct writer *w) {
    if (!walk(&w->o->views[0], write_blocks, w)) return false;
    if (w->n != 0) w->st = gguf_write_data(w->w, w->bytes, w->n * 17, w->e);
    w->n = 0;
    return w->st == ST_OK;
}

enum status out_write(const struct conversion *c, const struct out *o, struct err *e) {
    struct writer *w = mem_zalloc(1, sizeof *w);
    bool go_on = true;
    if (w == NULL) return err_no_memory(e);
    *w = (struct writer){.o = o, .w = c->writer[o->part], .st = ST_OK, .e = e};
    for (size_t i = 0; i < o->n_views && go_on; i++) {
        const struct view *v = &o->views[i];
        if (o->scales != NULL)
            go_on = write_mxfp4(w);
        else
            go_on = is_copy(o, v) ? write_copy(w, v) : walk(v, write_piece, w);
        source_forget(c, v->src);
    }
    if (go_on) flush(w);
    const enum status st = w->st;
    mem_free(w);
    return st;
}

/* ---- range ---- */

static bool fits_f16(void *arg, const struct view *v, int64_t i, int64_t stride, size_t n) {
    float *x = arg;
    read_values(v->src, i, stride, n, x);
    map_values(v->fn, v->arg, x, n);
    for (size_t k = 0; k < n; k++)
        if (isfinite(x[k]) && fabsf(x[k]) >= 65520) return false;
    return true;
}

bool out_overflows_f16(struct conversion *c, const struct out *o) {
    float *x = mem_array(CHUNK, sizeof *x);
    bool fits = true;
    if (x == NULL) convert_fail(c, ST_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < o->n_views && fits && x != NULL; i++) {
        const struct sft_tensor *t = o->views[i].src->t;
        if (t == NULL || t->dtype != SFT_F16) fits = walk(&o->views[i], fits_f16, x);
        source_forget(c, o->views[i].src);
    }
    mem_free(x);
    return !fits;
}
