/* Tests of idefics3, which was implemented from descriptions alone: tiles against plain loops,
 * grids of tiles, texts between images, the filter that pictures are scaled with, what errors say.
 */
#include "engine/vision/slow.h"

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

static void test_other_types(void **state) {
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
}

static void test_refused(void **state) {
    (void)state;
    struct err e = {0};
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
}

static void test_notice(void **state) {
    (void)state;
    struct gguf *g = new_idefics3();
    assert_non_null(strstr(cria_vision_notice(g), "experimental"));
    gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idefics3), cmocka_unit_test(test_idefics3_swapped),
        cmocka_unit_test(test_grids),    cmocka_unit_test(test_marks),
        cmocka_unit_test(test_lanczos),  cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
