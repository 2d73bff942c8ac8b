/* Tests of the encoders that were implemented from descriptions alone (glm4v, idefics3): projectors
 * of random weights against plain loops in double precision, written for this test from the papers'
 * definitions; sizes that are not square; texts between images; what errors say. */
#include "engine/vision/testing.h"

#include <math.h>

/* ---- projectors of random weights --------------------------------------------------------------
 */

enum { E = 16, FF = 24, N_HEAD = 2, D = 8, N_LAYER = 2, PATCH = 4, OUT = 20 };

/* Reproducible noise that depends on the tensor's name. */
static void put_random(struct gguf *g, const char *name, int64_t a, int64_t b, int64_t c, int64_t d,
                       float scale, float centre) {
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
static void put_matrix(struct gguf *g, const char *name, int64_t n_in, int64_t n_out, bool bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    put_random(g, full, n_in, n_out, 1, 1, 1.5f / sqrtf((float)n_in), 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) put_random(g, full, n_out, 1, 1, 1, 0.2f, 0);
}
static void put_norm(struct gguf *g, const char *name, int64_t n, bool bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    put_random(g, full, n, 1, 1, 1, 0.3f, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) put_random(g, full, n, 1, 1, 1, 0.2f, 0);
}

static struct gguf *new_projector(const char *type, uint32_t image_size) {
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

static const float *get(const struct gguf *g, const char *name) { /* NULL: none */
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    return t != NULL ? (const float *)(const void *)t->data : NULL;
}
static const float *get_of(const struct gguf *g, int il, const char *name, const char *suffix) {
    char full[96];
    snprintf(full, sizeof full, "v.blk.%d.%s.%s", il, name, suffix);
    if (il < 0) snprintf(full, sizeof full, "%s.%s", name, suffix);
    return get(g, full);
}

/* y = W x + b; il < 0: the name is whole. */
static void linear(const struct gguf *g, int il, const char *name, const double *x, int n_in,
                   double *y, int n_out) {
    const float *w = get_of(g, il, name, "weight"), *b = get_of(g, il, name, "bias");
    assert_non_null(w);
    for (int o = 0; o < n_out; o++) {
        y[o] = b != NULL ? (double)b[o] : 0;
        for (int i = 0; i < n_in; i++) y[o] += (double)w[o * n_in + i] * x[i];
    }
}

static void norm(const struct gguf *g, int il, const char *name, double *x, int n, bool rms) {
    const float *w = get_of(g, il, name, "weight"), *b = get_of(g, il, name, "bias");
    double mean = 0, var = 0;
    for (int i = 0; i < n && !rms; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(var + 1e-5) * (w != NULL ? (double)w[i] : 1) +
               (b != NULL ? (double)b[i] : 0);
}

static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double silu(double x) { return x / (1 + exp(-x)); }

typedef void turn_fn(double *head, int x, int y); /* rope of one head of a patch */

/* All patches through the layers; h [n][E]. */
static void transformer(const struct gguf *g, double *h, int gx, int gy, bool rms, turn_fn *turn) {
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

static double pixel(const struct picture *p, int x, int y, int c) {
    static const double mean[] = {0.5, 0.4, 0.45}, std[] = {0.3, 0.25, 0.5};
    return (p->rgb[(y * p->w + x) * 3 + c] / 255.0 - (double)(float)mean[c]) /
           (double)(float)std[c];
}

/* One kernel {x, y, colour, n} over the patch at (px, py), added to h. */
static void convolve(const struct gguf *g, const char *name, const struct picture *p, int px,
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

static void compare(const struct picture_rows *got, const double *want, size_t n_rows) {
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

/* ---- glm4v ------------------------------------------------------------------------------------
 */

enum { G_CONV = 12, G_FF = 28, G_SIDE = 3 };

static struct gguf *
new_glm4v(bool ocr) { /* GLM-OCR: norms of heads, neither positions nor norm_embd */
    struct gguf *g = new_projector("glm4v", 32);
    put_random(g, "v.patch_embd.weight", PATCH, PATCH, 3, E, 0.2f, 0);
    put_random(g, ocr ? "v.patch_embd_1.weight" : "v.patch_embd.weight.1", PATCH, PATCH, 3, E, 0.2f,
               0);
    put_random(g, "v.patch_embd.bias", E, 1, 1, 1, 0.2f, 0);
    if (!ocr) put_norm(g, "v.norm_embd", E, false);
    if (!ocr) put_random(g, "v.position_embd.weight", E, G_SIDE * G_SIDE, 1, 1, 1, 0);
    for (int il = 0; il < N_LAYER; il++) {
        char name[64];
        const struct {
            const char *name;
            int n_in, n_out;
        } m[] = {{"attn_qkv", E, 3 * E},
                 {"attn_out", E, E},
                 {"ffn_gate", E, FF},
                 {"ffn_up", E, FF},
                 {"ffn_down", FF, E}};
        for (int i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "v.blk.%d.%s", il, m[i].name);
            put_matrix(g, name, m[i].n_in, m[i].n_out, ocr);
        }
        for (int i = 0; i < (ocr ? 4 : 2); i++) {
            static const char *const norms[] = {"ln1", "ln2", "attn_q_norm", "attn_k_norm"};
            snprintf(name, sizeof name, "v.blk.%d.%s", il, norms[i]);
            put_norm(g, name, i < 2 ? E : D, false);
        }
    }
    put_norm(g, "v.post_ln", E, false);
    put_random(g, "mm.patch_merger.weight", 2, 2, E, G_CONV, 0.2f, 0);
    put_random(g, "mm.patch_merger.bias", G_CONV, 1, 1, 1, 0.2f, 0);
    put_matrix(g, "mm.model.fc", G_CONV, G_CONV, false);
    put_norm(g, "mm.post_norm", G_CONV, true);
    put_matrix(g, "mm.gate", G_CONV, G_FF, false);
    put_matrix(g, "mm.up", G_CONV, G_FF, false);
    put_matrix(g, "mm.down", G_FF, OUT, false);
    return g;
}

static void turn_vision(double *head, int x, int y) {
    for (int i = 0; i < D / 2; i++) {
        const int j = i < D / 4 ? i : i - D / 4;
        const double angle = (i < D / 4 ? y : x) * pow(10000, -2.0 * j / (D / 2.0));
        const double a = head[i], b = head[i + D / 2];
        head[i] = a * cos(angle) - b * sin(angle);
        head[i + D / 2] = a * sin(angle) + b * cos(angle);
    }
}

/* The four weights of a cubic convolution at fraction t, as its definition lists them. */
static void cubic_weights(double t, double w[4]) {
    const double A = -0.75;
    const double near1 = t, near2 = 1 - t, far1 = t + 1, far2 = 2 - t;
    w[0] = ((A * far1 - 5 * A) * far1 + 8 * A) * far1 - 4 * A;
    w[1] = ((A + 2) * near1 - (A + 3)) * near1 * near1 + 1;
    w[2] = ((A + 2) * near2 - (A + 3)) * near2 * near2 + 1;
    w[3] = ((A * far2 - 5 * A) * far2 + 8 * A) * far2 - 4 * A;
}
static int clamp(int i) { return i < 0 ? 0 : i >= G_SIDE ? G_SIDE - 1 : i; }
static void add_position(const float *table, int x, int y, int gx, int gy, double *h) {
    const double sx = (x + 0.5) / gx * G_SIDE - 0.5, sy = (y + 0.5) / gy * G_SIDE - 0.5;
    double wx[4], wy[4];
    cubic_weights(sx - floor(sx), wx);
    cubic_weights(sy - floor(sy), wy);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int c = 0; c < E; c++)
                h[c] += wy[i] * wx[j] *
                        (double)table[(clamp((int)floor(sy) - 1 + i) * G_SIDE +
                                       clamp((int)floor(sx) - 1 + j)) *
                                          E +
                                      c];
}

/* Rows of a picture whose size is right already; [ny * nx][OUT], freed with mem_free. */
static double *glm4v_by_hand(const struct gguf *g, const struct picture *p) {
    const int gx = p->w / PATCH, gy = p->h / PATCH;
    double *h = mem_zalloc((size_t)(gx * gy), E * sizeof *h);
    double *out = mem_zalloc((size_t)(gx * gy / 4), OUT * sizeof *out);
    const char *second =
        get(g, "v.patch_embd_1.weight") != NULL ? "v.patch_embd_1.weight" : "v.patch_embd.weight.1";
    for (int t = 0; t < gx * gy; t++) {
        double *one = h + t * E;
        convolve(g, "v.patch_embd.weight", p, t % gx, t / gx, one);
        convolve(g, second, p, t % gx, t / gx, one);
        for (int i = 0; i < E; i++) one[i] += (double)get(g, "v.patch_embd.bias")[i];
        if (get(g, "v.norm_embd.weight") != NULL) norm(g, -1, "v.norm_embd", one, E, true);
        const float *table = get(g, "v.position_embd.weight");
        if (table != NULL) add_position(table, t % gx, t / gx, gx, gy, one);
    }
    transformer(g, h, gx, gy, true, turn_vision);
    for (int y = 0; y < gy / 2; y++)
        for (int x = 0; x < gx / 2; x++) {
            double a[G_CONV], b[G_CONV], gate[G_FF], up[G_FF];
            const float *w = get(g, "mm.patch_merger.weight");
            for (int o = 0; o < G_CONV; o++) {
                a[o] = (double)get(g, "mm.patch_merger.bias")[o];
                for (int c = 0; c < E; c++)
                    for (int k = 0; k < 4; k++)
                        a[o] += (double)w[(o * E + c) * 4 + k] *
                                h[((2 * y + k / 2) * gx + 2 * x + k % 2) * E + c];
            }
            linear(g, -1, "mm.model.fc", a, G_CONV, b, G_CONV);
            norm(g, -1, "mm.post_norm", b, G_CONV, false);
            for (int i = 0; i < G_CONV; i++) b[i] = b[i] / 2 * (1 + erf(b[i] / sqrt(2)));
            linear(g, -1, "mm.gate", b, G_CONV, gate, G_FF);
            linear(g, -1, "mm.up", b, G_CONV, up, G_FF);
            for (int i = 0; i < G_FF; i++) up[i] *= silu(gate[i]);
            linear(g, -1, "mm.down", up, G_FF, out + (y * (gx / 2) + x) * OUT, OUT);
        }
    mem_free(h);
    return out;
}

static void test_glm4v(void **state) {
    (void)state;
    static const int sizes[][2] = {{40, 24}, {16, 48}, {8, 64}}; /* multiples of two patches */
    for (int ocr = 0; ocr < 2; ocr++)
        for (int i = 0; i < 3; i++) {
            struct gguf *g = new_glm4v(ocr != 0);
            struct picture p = make_picture(sizes[i][0], sizes[i][1], (unsigned)i);
            double *want = glm4v_by_hand(g, &p);
            struct picture_rows got = rows_by(g, &p);
            compare(&got, want, (size_t)(p.w * p.h / (4 * PATCH * PATCH)));
            mem_free(got.x);
            mem_free(want);
            picture_free(&p);
        }
}

/* Inside of GLM-OCR's text model: the same rows. */
static void test_glmocr(void **state) {
    (void)state;
    static const char *const keys[] = {"block_count", "embedding_length", "feed_forward_length",
                                       "attention.head_count", "patch_size"};
    static const float mean[] = {0.48145467f, 0.4578275f, 0.40821072f};
    static const float std[] = {0.26862955f, 0.26130259f, 0.2757771f};
    struct picture p = make_picture(50, 31, 9);
    struct gguf *today = new_glm4v(true), *old = new_glm4v(true);
    struct err e = {0};
    OK(gguf_edit_f32s(today, "clip.vision.image_mean", mean, 3, &e));
    OK(gguf_edit_f32s(today, "clip.vision.image_std", std, 3, &e));
    for (int i = 0; i < 5; i++) {
        char from[64], to[64];
        snprintf(from, sizeof from, "clip.vision.%s", keys[i]);
        snprintf(to, sizeof to, "glmocr.vision.%s", keys[i]);
        OK(gguf_edit_copy(old, to, from, &e));
    }
    OK(gguf_edit_copy(old, "glmocr.embedding_length", "clip.vision.projection_dim", &e));
    drop_keys(old, "clip.");
    OK(gguf_edit_str(old, "general.architecture", "glmocr", &e));
    assert_non_null(cria_vision_notice(old));
    struct picture_rows want = rows_by(today, &p), got = rows_by(old, &p);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.x, want.x, want.n * OUT * sizeof *want.x);
    mem_free(want.x);
    mem_free(got.x);
    picture_free(&p);
}

/* ---- idefics3 ---------------------------------------------------------------------------------
 */

enum { TILE = 24, SIDE = TILE / PATCH, SHUFFLE = 3 };

static struct gguf *new_idefics3(void) {
    struct gguf *g = new_projector("idefics3", TILE);
    struct err e = {0};
    OK(gguf_edit_u32(g, "clip.vision.projector.scale_factor", SHUFFLE, &e));
    OK(gguf_edit_u32(g, "clip.vision.preproc_image_size", 3 * TILE, &e));
    OK(gguf_edit_bool(g, "clip.use_gelu", true, &e));
    put_random(g, "v.patch_embd.weight", PATCH, PATCH, 3, E, 0.2f, 0);
    put_random(g, "v.patch_embd.bias", E, 1, 1, 1, 0.2f, 0);
    put_random(g, "v.position_embd.weight", E, SIDE * SIDE, 1, 1, 1, 0);
    for (int il = 0; il < N_LAYER; il++) {
        char name[64];
        const struct {
            const char *name;
            int n_in, n_out;
        } m[] = {{"attn_q", E, E},   {"attn_k", E, E},  {"attn_v", E, E},
                 {"attn_out", E, E}, {"ffn_up", E, FF}, {"ffn_down", FF, E}};
        for (int i = 0; i < 6; i++) {
            snprintf(name, sizeof name, "v.blk.%d.%s", il, m[i].name);
            put_matrix(g, name, m[i].n_in, m[i].n_out, true);
        }
        snprintf(name, sizeof name, "v.blk.%d.ln1", il);
        put_norm(g, name, E, true);
        snprintf(name, sizeof name, "v.blk.%d.ln2", il);
        put_norm(g, name, E, true);
    }
    put_norm(g, "v.post_ln", E, true);
    put_matrix(g, "mm.model.fc", E * SHUFFLE * SHUFFLE, OUT, false);
    return g;
}

static void idefics3_by_hand(const struct gguf *g, const struct picture *tile, double *out) {
    double h[SIDE * SIDE * E] = {0};
    for (int t = 0; t < SIDE * SIDE; t++) {
        convolve(g, "v.patch_embd.weight", tile, t % SIDE, t / SIDE, h + t * E);
        for (int i = 0; i < E; i++)
            h[t * E + i] += (double)get(g, "v.patch_embd.bias")[i] +
                            (double)get(g, "v.position_embd.weight")[t * E + i];
    }
    transformer(g, h, SIDE, SIDE, false, NULL);
    for (int y = 0; y < SIDE / SHUFFLE; y++)
        for (int x = 0; x < SIDE / SHUFFLE; x++) {
            double all[E * SHUFFLE * SHUFFLE];
            for (int k = 0; k < SHUFFLE * SHUFFLE; k++)
                memcpy(all + k * E,
                       h + ((y * SHUFFLE + k / SHUFFLE) * SIDE + x * SHUFFLE + k % SHUFFLE) * E,
                       E * sizeof *h);
            linear(g, -1, "mm.model.fc", all, E * SHUFFLE * SHUFFLE,
                   out + (y * (SIDE / SHUFFLE) + x) * OUT, OUT);
        }
}

enum { ROWS = SIDE / SHUFFLE * (SIDE / SHUFFLE) };

static void with_projector(struct gguf *g, void (*fn)(const struct projector *p, void *arg),
                           void *arg) {
    struct device dev;
    struct projector *p;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    OK(projector_load(&p, g, &dev, NULL, &e));
    fn(p, arg);
    projector_free(p);
    device_close(&dev);
}

/* 50 x 17 pixels become 72 x 24: three tiles and an overview, each encoded alone. */
static void check_idefics3(const struct projector *p, void *arg) {
    struct picture picture = make_picture(50, 17, 3);
    struct tiles t = {0};
    struct err e = {0};
    (void)arg;
    OK(preprocess(p, &picture, &t, &e));
    assert_int_equal(t.nx, 3);
    assert_int_equal(t.ny, 1);
    assert_int_equal(t.n, 4);
    double want[4 * ROWS * OUT];
    for (size_t i = 0; i < 4; i++) idefics3_by_hand(p->gguf, &t.at[i], want + i * ROWS * OUT);
    struct picture_rows got = rows_of(p, &picture);
    compare(&got, want, 4 * ROWS);
    mem_free(got.x);
    tiles_free(&t);
    picture_free(&picture);
}
static void test_idefics3(void **state) {
    (void)state;
    with_projector(new_idefics3(), check_idefics3, NULL);
}

/* Old files have the MLP's matrices the other way round; the names of the weights' seeds, too. */
static void test_idefics3_swapped(void **state) {
    (void)state;
    struct picture p = make_picture(24, 24, 5);
    struct gguf *straight = new_idefics3(), *swapped = new_idefics3();
    struct err e = {0};
    static const char *const names[][2] = {
        {"ffn_up", "x"}, {"ffn_down", "ffn_up"}, {"x", "ffn_down"}};
    for (int i = 0; i < 3; i++) OK(gguf_edit_tensor_names(swapped, names[i][0], names[i][1], &e));
    struct picture_rows a = rows_by(straight, &p), b = rows_by(swapped, &p);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.x, b.x, a.n * a.width * sizeof *a.x);
    mem_free(a.x);
    mem_free(b.x);
    picture_free(&p);
}

/* Sizes by the definition: the longer side 72, the shorter even, then whole tiles of 24. */
static void check_grids(const struct projector *p, void *arg) {
    static const struct {
        int w, h;
        uint32_t nx, ny;
    } cases[] = {{72, 72, 3, 3},   {10, 10, 3, 3},   {100, 60, 3, 2},  {60, 100, 2, 3},
                 {300, 100, 3, 1}, {300, 101, 3, 1}, {300, 109, 3, 2}, {1, 1, 3, 3},
                 {65535, 1, 3, 1}, {1, 65535, 1, 3}};
    struct err e = {0};
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct picture picture = make_picture(cases[i].w, cases[i].h, 1);
        struct tiles t = {0};
        OK(preprocess(p, &picture, &t, &e));
        if (t.nx != cases[i].nx || t.ny != cases[i].ny)
            fail_msg("%d x %d: %u x %u tiles", cases[i].w, cases[i].h, t.nx, t.ny);
        assert_int_equal(t.n, t.nx * t.ny + 1);
        for (size_t k = 0; k < t.n; k++) assert_true(t.at[k].w == TILE && t.at[k].h == TILE);
        tiles_free(&t);
        picture_free(&picture);
    }
}
static void test_grids(void **state) {
    (void)state;
    with_projector(new_idefics3(), check_grids, NULL);
}

static void test_marks(void **state) {
    (void)state;
    static const char *const want[] = {
        "<fake_token_around_image><row_1_col_1>",    "<fake_token_around_image><row_1_col_2>",
        "\n<fake_token_around_image><row_2_col_1>",  "<fake_token_around_image><row_2_col_2>",
        "\n\n<fake_token_around_image><global-img>", "<fake_token_around_image>"};
    extern const struct vision_type vision_idefics3;
    struct tiles t = {NULL, 5, 2, 2};
    char text[MARK_SIZE];
    for (size_t i = 0; i <= t.n; i++) {
        vision_idefics3.mark(&t, i, text);
        assert_string_equal(text, want[i]);
    }
    t = (struct tiles){NULL, 1, 0, 0}; /* only the overview */
    vision_idefics3.mark(&t, 0, text);
    assert_string_equal(text, "<fake_token_around_image><global-img>");
    vision_idefics3.mark(&t, 1, text);
    assert_string_equal(text, "<fake_token_around_image>");
}

/* What Pillow 13 makes of a small picture with its Lanczos filter: first bytes, and sums. */
static void test_lanczos(void **state) {
    (void)state;
    struct picture p = make_picture(7, 5, 0), q;
    struct err e = {0};
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 7; x++) {
            uint8_t *to = p.rgb + (y * 7 + x) * 3;
            to[0] = (uint8_t)(x * 41 + y * 17);
            to[1] = (uint8_t)(x * x * 13 + y * 29);
            to[2] = (uint8_t)(255 - x * 19 * (y + 1));
        }
    static const struct {
        int w, h;
        uint8_t first[12];
        uint64_t sum, weighted;
    } cases[] = {{4, 3, {22, 10, 245, 88, 75, 205, 177, 172, 148, 184, 166, 101}, 4537, 83764},
                 {10, 9, {0, 0, 255, 17, 2, 248, 52, 18, 232, 79, 47, 221}, 34231, 4610330}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t sum = 0, weighted = 0;
        OK(picture_resize(&p, cases[i].w, cases[i].h, RESIZE_LANCZOS, &q, &e));
        for (uint64_t k = 0; k < (uint64_t)(q.w * q.h * 3); k++) {
            sum += q.rgb[k];
            weighted += (k + 1) * q.rgb[k];
        }
        assert_memory_equal(q.rgb, cases[i].first, sizeof cases[i].first);
        assert_int_equal(sum, cases[i].sum);
        assert_int_equal(weighted, cases[i].weighted);
        picture_free(&q);
    }
    picture_free(&p);
}

/* ---- what is said -----------------------------------------------------------------------------
 */

static void assert_refused(struct gguf *g, const char *why) {
    struct device dev;
    struct projector *p;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    assert_int_not_equal(projector_load(&p, g, &dev, NULL, &e), ST_OK);
    if (strstr(e.msg, why) == NULL) fail_msg("'%s' does not say '%s'", e.msg, why);
    device_close(&dev);
}

static void test_refused(void **state) {
    (void)state;
    struct err e = {0};
    static const char *const types[] = {"lfm2",        "kimivl",         "kimik25",
                                        "minicpmv",    "cogvlm",         "janus_pro",
                                        "deepseekocr", "nemotron_v2_vl", "paddleocr"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char want[96];
        struct gguf *g = new_idefics3();
        OK(gguf_edit_str(g, "clip.projector_type", types[i], &e));
        snprintf(want, sizeof want, "projector type '%s' is not supported", types[i]);
        assert_refused(g, want);
    }
    struct gguf *g = new_idefics3();
    OK(gguf_edit_u32(g, "clip.vision.projector.scale_factor", 4, &e));
    assert_refused(g, "key clip.vision.image_size is 24, which is no multiple of 4 patches of 4");
    g = new_idefics3();
    OK(gguf_edit_u32(g, "clip.vision.preproc_image_size", 9 * TILE, &e));
    assert_refused(g, "key clip.vision.preproc_image_size is 216, of 24 pixels a tile");
    g = new_idefics3();
    OK(gguf_edit_u32(g, "clip.vision.preproc_image_size", 0, &e));
    assert_refused(g, "key clip.vision.preproc_image_size is 0, expected 1 to");
    g = new_idefics3();
    put_matrix(g, "mm.model.fc", E, OUT, false);
    assert_refused(g, "tensor 'mm.model.fc.weight' has wrong shape {16,20,1,1}, expected {144,0}");
    g = new_glm4v(false);
    put_random(g, "mm.patch_merger.weight", 3, 3, E, G_CONV, 1, 0);
    assert_refused(g, "tensor 'mm.patch_merger.weight' has wrong shape {3,3,16,12}");
    g = new_glm4v(false);
    put_random(g, "v.position_embd.weight", E, 8, 1, 1, 1, 0);
    assert_refused(g, "tensor 'v.position_embd.weight' has wrong shape {16,8,1,1}");
    g = new_glm4v(false);
    put_norm(g, "mm.post_norm", G_CONV + 1, false);
    assert_refused(g, "tensor 'mm.post_norm.weight' has wrong shape {13,1,1,1}");
    g = new_glm4v(false);
    OK(gguf_edit_tensor_names(g, "mm.gate", "mm.door", &e));
    assert_refused(g, "missing tensor 'mm.gate.weight'");
}

static void test_notice(void **state) {
    (void)state;
    struct gguf *list[] = {new_glm4v(true), new_idefics3(), open_golden("gemma3")};
    for (int i = 0; i < 3; i++) {
        const char *notice = cria_vision_notice(list[i]);
        assert_int_equal(notice != NULL && strstr(notice, "experimental") != NULL, i < 2);
        gguf_close(list[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glm4v),    cmocka_unit_test(test_glmocr),
        cmocka_unit_test(test_idefics3), cmocka_unit_test(test_idefics3_swapped),
        cmocka_unit_test(test_grids),    cmocka_unit_test(test_marks),
        cmocka_unit_test(test_lanczos),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
