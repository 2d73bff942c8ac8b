/* slow.h - projectors of random weights, and plain loops in double precision that tell what they
 * should give; for the tests of encoders that were implemented from descriptions alone. Written
 * from the papers' definitions, not from vit.c. Static functions only; included by *_test.c and by
 * nothing else. */
#ifndef CRIA_ENGINE_VISION_SLOW_H
#define CRIA_ENGINE_VISION_SLOW_H

#include "engine/vision/testing.h"

#include <math.h>

/* ---- projectors of random weights --------------------------------------------------------------
 */

enum { E = 16, FF = 24, N_HEAD = 2, D = 8, N_LAYER = 2, PATCH = 4, OUT = 20 };

/* Reproducible noise that depends on the tensor's name. */
UNUSED static void put_random(struct gguf *g, const char *name, int64_t a, int64_t b, int64_t c,
                              int64_t d, float scale, float centre) {
    struct err e = {0};
    uint32_t seed = 2166136261u;
    float *x;
    const int64_t dim[] = {a, b, c, d};
    for (const char *s = name; *s != '\0'; s++) seed = (seed ^ (unsigned char)*s) * 16777619u;
    OK(gguf_edit_floats(g, name, d > 1 ? 4 : c > 1 ? 3 : b > 1 ? 2 : 1, dim, &x, &e));
    for (int64_t i = 0; i < a * b * c * d; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = centre + scale * ((float)(seed >> 8) / (float)(1 << 23) - 1);
    }
}
UNUSED static void put_matrix(struct gguf *g, const char *name, int64_t n_in, int64_t n_out,
                              bool bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    put_random(g, full, n_in, n_out, 1, 1, 1.5f / sqrtf((float)n_in), 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) put_random(g, full, n_out, 1, 1, 1, 0.2f, 0);
}
UNUSED static void put_norm(struct gguf *g, const char *name, int64_t n, bool bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    put_random(g, full, n, 1, 1, 1, 0.3f, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) put_random(g, full, n, 1, 1, 1, 0.2f, 0);
}

UNUSED static struct gguf *new_projector(const char *type, uint32_t image_size) {
    static const float mean[] = {0.5f, 0.4f, 0.45f}, std[] = {0.3f, 0.25f, 0.5f};
    const struct {
        const char *key;
        uint32_t x;
    } keys[] = {{"block_count", N_LAYER},    {"embedding_length", E},
                {"feed_forward_length", FF}, {"attention.head_count", N_HEAD},
                {"projection_dim", OUT},     {"image_size", image_size},
                {"patch_size", PATCH}};
    struct gguf *g = open_golden("gemma3");
    struct err e = {0};
    drop_keys(g, "clip.");
    OK(gguf_edit_keep_tensors(g, (const char *const[]){NULL}, &e));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char key[128];
        snprintf(key, sizeof key, "clip.vision.%s", keys[i].key);
        OK(gguf_edit_u32(g, key, keys[i].x, &e));
    }
    OK(gguf_edit_str(g, "clip.projector_type", type, &e));
    OK(gguf_edit_bool(g, "clip.has_vision_encoder", true, &e));
    OK(gguf_edit_f32(g, "clip.vision.attention.layer_norm_epsilon", 1e-5f, &e));
    OK(gguf_edit_f32s(g, "clip.vision.image_mean", mean, 3, &e));
    OK(gguf_edit_f32s(g, "clip.vision.image_std", std, 3, &e));
    return g;
}

/* ---- the slow reference ------------------------------------------------------------------------
 */

UNUSED static const float *get(const struct gguf *g, const char *name) { /* NULL: none */
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    return t != NULL ? (const float *)(const void *)t->data : NULL;
}
UNUSED static const float *get_of(const struct gguf *g, int il, const char *name,
                                  const char *suffix) {
    char full[96];
    snprintf(full, sizeof full, "v.blk.%d.%s.%s", il, name, suffix);
    if (il < 0) snprintf(full, sizeof full, "%s.%s", name, suffix);
    return get(g, full);
}

/* y = W x + b; il < 0: the name is whole. */
UNUSED static void linear(const struct gguf *g, int il, const char *name, const double *x, int n_in,
                          double *y, int n_out) {
    const float *w = get_of(g, il, name, "weight"), *b = get_of(g, il, name, "bias");
    assert_non_null(w);
    for (int o = 0; o < n_out; o++) {
        y[o] = b != NULL ? (double)b[o] : 0;
        for (int i = 0; i < n_in; i++) y[o] += (double)w[o * n_in + i] * x[i];
    }
}

UNUSED static void norm(const struct gguf *g, int il, const char *name, double *x, int n,
                        bool rms) {
    const float *w = get_of(g, il, name, "weight"), *b = get_of(g, il, name, "bias");
    double mean = 0, var = 0;
    for (int i = 0; i < n && !rms; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(var + 1e-5) * (w != NULL ? (double)w[i] : 1) +
               (b != NULL ? (double)b[i] : 0);
}

UNUSED static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
UNUSED static double silu(double x) { return x / (1 + exp(-x)); }

typedef void turn_fn(double *head, int x, int y); /* rope of one head of a patch */

/* All patches through the layers; h [n][E]. */
UNUSED static void transformer(const struct gguf *g, double *h, int gx, int gy, bool rms,
                               turn_fn *turn) {
    const int n = gx * gy;
    double *q = mem_zalloc((size_t)n, 4 * E * sizeof *q), *k = q + n * E, *v = k + n * E,
           *a = v + n * E;
    for (int il = 0; il < N_LAYER; il++) {
        for (int t = 0; t < n; t++) {
            double x[E], *all[] = {q + t * E, k + t * E};
            memcpy(x, h + t * E, sizeof x);
            norm(g, il, "ln1", x, E, rms);
            if (get_of(g, il, "attn_qkv", "weight") != NULL) {
                double three[3 * E];
                linear(g, il, "attn_qkv", x, E, three, 3 * E);
                memcpy(q + t * E, three, sizeof x);
                memcpy(k + t * E, three + E, sizeof x);
                memcpy(v + t * E, three + 2 * E, sizeof x);
            } else {
                linear(g, il, "attn_q", x, E, q + t * E, E);
                linear(g, il, "attn_k", x, E, k + t * E, E);
                linear(g, il, "attn_v", x, E, v + t * E, E);
            }
            for (int i = 0; i < 2; i++)
                for (int head = 0; head < N_HEAD; head++) {
                    const char *name = i == 0 ? "attn_q_norm" : "attn_k_norm";
                    double *one = all[i] + head * D;
                    if (get_of(g, il, name, "weight") != NULL) norm(g, il, name, one, D, true);
                    if (turn != NULL) turn(one, t % gx, t / gx);
                }
        }
        for (int t = 0; t < n; t++)
            for (int head = 0; head < N_HEAD; head++) {
                double sum = 0, out[D] = {0};
                for (int s = 0; s < n; s++) {
                    double dot = 0;
                    for (int i = 0; i < D; i++)
                        dot += q[t * E + head * D + i] * k[s * E + head * D + i];
                    const double w = exp(dot / sqrt(D)); /* small numbers: no need to subtract */
                    sum += w;
                    for (int i = 0; i < D; i++) out[i] += w * v[s * E + head * D + i];
                }
                for (int i = 0; i < D; i++) a[t * E + head * D + i] = out[i] / sum;
            }
        for (int t = 0; t < n; t++) {
            double y[E], x[E], up[FF], gate[FF];
            const bool gated = get_of(g, il, "ffn_gate", "weight") != NULL;
            linear(g, il, "attn_out", a + t * E, E, y, E);
            for (int i = 0; i < E; i++) x[i] = h[t * E + i] += y[i];
            norm(g, il, "ln2", x, E, rms);
            linear(g, il, "ffn_up", x, E, up, FF);
            if (gated) linear(g, il, "ffn_gate", x, E, gate, FF);
            for (int i = 0; i < FF; i++) up[i] = gated ? silu(gate[i]) * up[i] : gelu_tanh(up[i]);
            linear(g, il, "ffn_down", up, FF, y, E);
            for (int i = 0; i < E; i++) h[t * E + i] += y[i];
        }
    }
    for (int t = 0; t < n; t++)
        if (get(g, "v.post_ln.weight") != NULL) norm(g, -1, "v.post_ln", h + t * E, E, rms);
    mem_free(q);
}

UNUSED static double pixel(const struct picture *p, int x, int y, int c) {
    static const double mean[] = {0.5, 0.4, 0.45}, std[] = {0.3, 0.25, 0.5};
    return (p->rgb[(y * p->w + x) * 3 + c] / 255.0 - (double)(float)mean[c]) /
           (double)(float)std[c];
}

/* One kernel {x, y, colour, n} over the patch at (px, py), added to h. */
UNUSED static void convolve(const struct gguf *g, const char *name, const struct picture *p, int px,
                            int py, double *h) {
    const float *w = get(g, name);
    assert_non_null(w);
    for (int o = 0; o < E; o++)
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < PATCH; y++)
                for (int x = 0; x < PATCH; x++)
                    h[o] += (double)w[((o * 3 + c) * PATCH + y) * PATCH + x] *
                            pixel(p, px * PATCH + x, py * PATCH + y, c);
}

UNUSED static void compare(const struct picture_rows *got, const double *want, size_t n_rows) {
    double diff = 0, size = 0;
    assert_int_equal(got->n, n_rows);
    assert_int_equal(got->width, OUT);
    for (size_t i = 0; i < n_rows * OUT; i++) {
        const double d = (double)got->x[i] - want[i];
        diff += d * d;
        size += want[i] * want[i];
    }
    if (!(diff < 1e-9 * size)) fail_msg("NMSE %g", diff / size);
}

#endif
