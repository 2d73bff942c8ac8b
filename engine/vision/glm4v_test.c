/* Tests of glm4v, which was implemented from descriptions alone: pictures that are not square
 * against plain loops, GLM-OCR's kind, the same inside of a text model's file, what errors say. */
#include "engine/vision/slow.h"

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

static void test_refused(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = new_glm4v(false);
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
    struct gguf *list[] = {new_glm4v(true), open_golden("gemma3")};
    for (int i = 0; i < 2; i++) {
        const char *notice = cria_vision_notice(list[i]);
        assert_int_equal(notice != NULL && strstr(notice, "experimental") != NULL, i == 0);
        gguf_close(list[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glm4v),
        cmocka_unit_test(test_glmocr),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
