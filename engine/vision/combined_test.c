/* Tests of image encoders inside of text models' files: golden projectors are turned into the older
 * form in memory, by rules written from the sheet in the other direction, and must give the same
 * rows as before. */
#include "engine/vision/testing.h"

#include "engine/layout.h"
#include "engine/vision/combined.h"

/* ---- from today's form to the older one --------------------------------------------------------
 */

static void drop_tensor(struct gguf *g, const char *prefix) { /* all that begin so */
    const char *keep[600] = {NULL};
    char name[600][64];
    size_t n = 0;
    struct err e = {0};
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_str s = gguf_tensor_at(g, i)->name;
        snprintf(name[n], sizeof name[n], "%.*s", (int)s.len, s.ptr);
        if (strncmp(name[n], prefix, strlen(prefix)) != 0) {
            keep[n] = name[n];
            n++;
        }
    }
    keep[n] = NULL;
    OK(gguf_edit_keep_tensors(g, keep, &e));
}

static const struct edit half[] = {{EDIT_COLOUR, "clip.vision.image_mean", NULL, 0.5},
                                   {EDIT_COLOUR, "clip.vision.image_std", NULL, 0.5},
                                   {0}};
static const struct edit zero_one[] = {{EDIT_COLOUR, "clip.vision.image_mean", NULL, 0},
                                       {EDIT_COLOUR, "clip.vision.image_std", NULL, 1},
                                       {0}};

static const struct edit common[] = {
    {EDIT_COPY, "vision.block_count", "clip.vision.block_count", 0},
    {EDIT_COPY, "vision.embedding_length", "clip.vision.embedding_length", 0},
    {EDIT_COPY, "vision.attention.head_count", "clip.vision.attention.head_count", 0},
    {EDIT_COPY, "vision.patch_size", "clip.vision.patch_size", 0},
    {EDIT_COPY, "embedding_length", "clip.vision.projection_dim", 0},
    {0},
};

#define LENGTH                                                                                     \
    { EDIT_COPY, "vision.feed_forward_length", "clip.vision.feed_forward_length", 0 }
#define SIZE                                                                                       \
    { EDIT_COPY, "vision.image_size", "clip.vision.image_size", 0 }
#define EPS                                                                                        \
    {                                                                                              \
        EDIT_COPY, "vision.attention.layer_norm_epsilon",                                          \
            "clip.vision.attention.layer_norm_epsilon", 0                                          \
    }

static const struct edit old_gemma3[] = {
    LENGTH,
    SIZE,
    EPS,
    {EDIT_U32, "mm.tokens_per_image", NULL, 16},
    {EDIT_TENSOR, "v.patch_embd", "v.patch_embedding", 0},
    {EDIT_TENSOR, "v.position_embd", "v.position_embedding", 0},
    {EDIT_TENSOR, "post_ln", "post_layernorm", 0},
    {EDIT_TENSOR, ".ln1.", ".layer_norm1.", 0},
    {EDIT_TENSOR, ".ln2.", ".layer_norm2.", 0},
    {EDIT_TENSOR, "attn_out.", "attn_output.", 0},
    {EDIT_TENSOR, "ffn_up", "mlp.fc1", 0},
    {EDIT_TENSOR, "ffn_down", "mlp.fc2", 0},
    {EDIT_TENSOR, "mm.input_projection", "mm.mm_input_projection", 0},
    {EDIT_TENSOR, "mm.soft_emb_norm", "mm.mm_soft_emb_norm", 0},
    {0},
};
static const struct edit old_gemma4[] = {LENGTH, EPS, {0}};
static const struct edit old_llama4[] = {
    LENGTH,
    SIZE,
    {EDIT_COPY, "vision.layer_norm_epsilon", "clip.vision.attention.layer_norm_epsilon", 0},
    {EDIT_F32, "vision.pixel_shuffle_ratio", NULL, 0.5},
    {EDIT_TENSOR, "v.position_embd.weight", "v.positional_embedding_vlm", 0},
    {EDIT_TENSOR, "mm.model.mlp.1", "v.vision_adapter.mlp.fc1", 0},
    {EDIT_TENSOR, "mm.model.mlp.2", "v.vision_adapter.mlp.fc2", 0},
    {EDIT_TENSOR, "mm.model.fc", "mm.linear_1", 0},
    {EDIT_TENSOR, "class_embd", "class_embedding", 0},
    {EDIT_TENSOR, "pre_ln", "layernorm_pre", 0},
    {EDIT_TENSOR, "post_ln", "layernorm_post", 0},
    {EDIT_TENSOR, "v.patch_embd", "v.patch_embedding", 0},
    {EDIT_TENSOR, "attn_out.", "attn_output.", 0},
    {EDIT_TENSOR, ".ln1.", ".attn_norm.", 0},
    {EDIT_TENSOR, ".ln2.", ".ffn_norm.", 0},
    {EDIT_TENSOR, "ffn_up", "mlp.fc1", 0},
    {EDIT_TENSOR, "ffn_down", "mlp.fc2", 0},
    {0},
};
static const struct edit old_mistral3[] = {
    LENGTH,
    SIZE,
    {EDIT_COPY, "spatial_merge_size", "clip.vision.spatial_merge_size", 0},
    {EDIT_TENSOR, "v.patch_embd", "v.patch_conv", 0},
    {EDIT_TENSOR, "pre_ln", "encoder_norm", 0},
    {EDIT_TENSOR, "attn_out.", "attn_output.", 0},
    {EDIT_TENSOR, ".ln1.", ".attn_norm.", 0},
    {EDIT_TENSOR, ".ln2.", ".ffn_norm.", 0},
    {EDIT_TENSOR, "mm.1.", "mm.linear_1.", 0},
    {EDIT_TENSOR, "mm.2.", "mm.linear_2.", 0},
    {EDIT_TENSOR, "mm.input_norm", "mm.norm", 0},
    {EDIT_TENSOR, "mm.patch_merger", "mm.patch_merger.merging_layer", 0},
    {0},
};
static const struct edit old_qwen25vl[] = {
    EPS,
    {EDIT_TENSOR, "v.post_ln", "v.merger.ln_q", 0},
    {EDIT_TENSOR, "mm.0", "v.merger.mlp.0", 0},
    {EDIT_TENSOR, "mm.2", "v.merger.mlp.2", 0},
    {EDIT_TENSOR, "v.patch_embd.weight.1", "v.patch_embd_1.weight", 0},
    {EDIT_TENSOR, "v.patch_embd.weight", "v.patch_embd_0.weight", 0},
    {0},
};
static const struct edit old_qwen3vl[] = {
    {EDIT_U32, "vision.shortest_edge", NULL, 1024},
    {EDIT_U32, "vision.longest_edge", NULL, 4096},
    {EDIT_TENSOR, "v.patch_embd.", "v.patch_embed.", 0},
    {EDIT_TENSOR, "v.position_embd", "v.pos_embed", 0},
    {EDIT_TENSOR, "v.post_ln", "v.merger.norm", 0},
    {EDIT_TENSOR, "mm.0", "v.merger.linear_fc1", 0},
    {EDIT_TENSOR, "mm.2", "v.merger.linear_fc2", 0},
    {EDIT_TENSOR, "ffn_up", "mlp.linear_fc1", 0},
    {EDIT_TENSOR, "ffn_down", "mlp.linear_fc2", 0},
    {EDIT_TENSOR, ".fc", ".linear_fc", 0},
    {EDIT_TENSOR, ".ln1.", ".norm1.", 0},
    {EDIT_TENSOR, ".ln2.", ".norm2.", 0},
    {EDIT_TENSOR, "v.deepstack.1.", "v.deepstack_merger.0.", 0},
    {0},
};

/* Two heads of 16: what were neighbours stands 8 rows apart. */
static uint64_t apart(uint64_t i, const void *arg) {
    (void)arg;
    return i / 16 * 16 + 2 * (i % 8) + i % 16 / 8;
}
static void age_mistral3(struct gguf *g) {
    static const char *const names[] = {"v.blk.0.attn_q.weight", "v.blk.0.attn_k.weight",
                                        "v.blk.1.attn_q.weight", "v.blk.1.attn_k.weight"};
    struct err e = {0};
    float *x;
    const float *row =
        (const float *)(const void *)gguf_find_tensor(g, "v.token_embd.img_break")->data;
    for (int i = 0; i < 4; i++) OK(gguf_edit_permute(g, names[i], apart, NULL, &e));
    OK(gguf_edit_floats(g, "token_embd.weight", 2, (const int64_t[4]){64, 20, 1, 1}, &x, &e));
    for (int i = 0; i < 64; i++) x[12 * 64 + i] = row[i];
    drop_tensor(g, "v.token_embd.img_break");
}
static void age_qwen25vl(struct gguf *g) {
    struct err e = {0};
    OK(gguf_edit_i32s(g, "qwen25vl.vision.fullatt_block_indexes", (const int32_t[]){3, 7}, 2, &e));
}

/* Three products in the place of one, two kernels in one tensor, frame by frame. */
static void age_qwen3vl(struct gguf *g) {
    static const char *const part[] = {"attn_q", "attn_k", "attn_v"};
    struct err e = {0};
    for (int il = 0; il < 3; il++)
        for (int bias = 0; bias < 2; bias++) {
            const int64_t n_in = bias != 0 ? 1 : 32;
            char name[64];
            snprintf(name, sizeof name, "v.blk.%d.attn_qkv.%s", il, bias ? "bias" : "weight");
            const float *all = (const float *)(const void *)gguf_find_tensor(g, name)->data;
            for (int i = 0; i < 3; i++) {
                float *x;
                const int64_t dim[4] = {bias ? 32 : n_in, bias ? 1 : 32, 1, 1};
                snprintf(name, sizeof name, "v.blk.%d.%s.%s", il, part[i],
                         bias ? "bias" : "weight");
                OK(gguf_edit_floats(g, name, 2 - (uint32_t)bias, dim, &x, &e));
                memcpy(x, all + i * 32 * n_in, (size_t)(32 * n_in) * sizeof *x);
            }
            snprintf(name, sizeof name, "v.blk.%d.attn_qkv.%s", il, bias ? "bias" : "weight");
            drop_tensor(g, name);
        }
    float *both;
    const float *frame[] = {
        (const float *)(const void *)gguf_find_tensor(g, "v.patch_embed.weight")->data,
        (const float *)(const void *)gguf_find_tensor(g, "v.patch_embed.weight.1")->data};
    OK(gguf_edit_floats(g, "new", 4, (const int64_t[4]){8, 8, 2, 96}, &both, &e));
    for (size_t c = 0; c < 96; c++)
        for (size_t f = 0; f < 2; f++) memcpy(both + (2 * c + f) * 64, frame[f] + c * 64, 64 * 4);
    drop_tensor(g, "v.patch_embed.weight");
    OK(gguf_edit_tensor_names(g, "new", "v.patch_embed.weight", &e));
    if (layout_text_is(g, "general.architecture", "qwen3vl"))
        OK(gguf_edit_i32s(g, "qwen3vl.vision.deepstack_visual_indexes", (const int32_t[]){1}, 1,
                          &e));
}

/* ---- the same rows ----------------------------------------------------------------------------
 */

struct old_form {
    const char *golden, *arch;
    const struct edit *colours; /* what the older form takes for granted; NULL: CLIP's */
    const struct edit *edits;
    void (*age)(struct gguf *g);
};
static const struct old_form forms[] = {
    {"gemma3", "gemma3", half, old_gemma3, NULL},
    {"gemma4v", "gemma4", zero_one, old_gemma4, NULL},
    {"llama4", "llama4", half, old_llama4, NULL},
    {"pixtral-merge", "mistral3", NULL, old_mistral3, age_mistral3},
    {"qwen2.5vl", "qwen25vl", NULL, old_qwen25vl, age_qwen25vl},
    {"qwen3vl", "qwen3vl", half, old_qwen3vl, age_qwen3vl},
    {"qwen3vl", "qwen35", half, old_qwen3vl, age_qwen3vl},
};

static struct gguf *todays(const struct old_form *f) {
    static const float mean[] = {0.48145467f, 0.4578275f, 0.40821072f};
    static const float std[] = {0.26862955f, 0.26130259f, 0.2757771f};
    struct gguf *g = open_golden(f->golden);
    struct err e = {0};
    drop_keys(g, "clip.vision.image_mean");
    drop_keys(g, "clip.vision.image_std");
    OK(layout_edit(g, "", f->colours, &e));
    if (f->colours == NULL) {
        OK(gguf_edit_f32s(g, "clip.vision.image_mean", mean, 3, &e));
        OK(gguf_edit_f32s(g, "clip.vision.image_std", std, 3, &e));
    }
    if (strcmp(f->arch, "qwen35") == 0) { /* it has no DeepStack */
        drop_keys(g, "clip.vision.is_deepstack_layers");
        drop_tensor(g, "v.deepstack");
    }
    if (f->edits == old_qwen3vl) {
        OK(gguf_edit_u32(g, "clip.vision.image_min_pixels", 1024, &e));
        OK(gguf_edit_u32(g, "clip.vision.image_max_pixels", 4096, &e));
    }
    return g;
}

static struct gguf *aged(const struct old_form *f) {
    struct gguf *g = open_golden(f->golden);
    struct err e = {0};
    if (strcmp(f->arch, "qwen35") == 0) drop_tensor(g, "v.deepstack");
    OK(layout_edit(g, f->arch, common, &e));
    OK(layout_edit(g, f->arch, f->edits, &e));
    OK(gguf_edit_str(g, "general.architecture", f->arch, &e));
    drop_keys(g, "clip.");
    if (f->age != NULL) f->age(g);
    return g;
}

static void assert_same_rows(struct gguf *today, struct gguf *old, const char *what) {
    struct picture picture = make_picture(61, 43, 7);
    struct picture_rows want = rows_by(today, &picture), got = rows_by(old, &picture);
    assert_int_equal(got.n, want.n);
    assert_int_equal(got.width, want.width);
    assert_int_equal(got.tiles, want.tiles);
    if (memcmp(got.x, want.x, want.n * want.width * sizeof *want.x) != 0)
        fail_msg("%s: other rows", what);
    mem_free(want.x);
    mem_free(got.x);
    picture_free(&picture);
}

static void test_same_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        assert_same_rows(todays(&forms[i]), aged(&forms[i]), forms[i].arch);
}

/* What a file does not say at all. */
static void test_defaults(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = aged(&forms[6]);
    OK(gguf_edit_drop(g, "qwen35.vision.shortest_edge", &e));
    OK(gguf_edit_drop(g, "qwen35.vision.longest_edge", &e));
    drop_tensor(g, "v.pos_embed");
    OK(combined_translate(g, &e));
    assert_int_equal(layout_number(g, "", "clip.vision.image_min_pixels"), 65536);
    assert_int_equal(layout_number(g, "", "clip.vision.image_max_pixels"), 16777216);
    assert_int_equal(layout_number(g, "", "clip.vision.image_size"), 768);
    gguf_close(g);
    g = aged(&forms[4]);
    drop_keys(g, "qwen25vl.vision.fullatt_block_indexes");
    OK(combined_translate(g, &e));
    assert_int_equal(layout_number(g, "", "clip.vision.n_wa_pattern"), 8);
    assert_int_equal(layout_number(g, "", "clip.vision.image_size"), 560);
    assert_int_equal(layout_number(g, "", "clip.vision.feed_forward_length"), 64);
    gguf_close(g);
}

/* Rows of the text model do not get in the way, whatever they are called. */
static void test_text_is_ignored(void **state) {
    (void)state;
    struct err e = {0};
    float *x;
    struct gguf *g = aged(&forms[0]);
    const int64_t dim[4] = {8, 8, 1, 1};
    OK(gguf_edit_floats(g, "blk.0.attn_output.weight", 2, dim, &x, &e));
    OK(gguf_edit_floats(g, "blk.0.attn_out.weight", 2, dim, &x, &e)); /* two names would be one */
    OK(gguf_edit_floats(g, "output_norm.weight", 2, dim, &x, &e));
    assert_same_rows(todays(&forms[0]), g, "gemma3 with a text model");
}

/* Gemma 4's limits of matrices, packed into one tensor. */
static void test_packed_limits(void **state) {
    (void)state;
    static const char *const matrix[] = {"attn_q",   "attn_k", "attn_v",  "attn_out",
                                         "ffn_gate", "ffn_up", "ffn_down"};
    static const char *const suffix[] = {"input_min", "input_max", "output_min", "output_max"};
    static const float limit[] = {-0.9f, 0.8f, -0.7f, 0.6f};
    struct err e = {0};
    struct gguf *today = todays(&forms[1]), *old = aged(&forms[1]), *plain = todays(&forms[1]);
    float *packed, *x;
    OK(gguf_edit_floats(old, "v.clamp_data", 1, (const int64_t[4]){2 * 28 + 4, 1, 1, 1}, &packed,
                        &e));
    for (int i = 0; i < 15; i++)
        for (int k = 0; k < 4; k++) {
            char name[64];
            snprintf(name, sizeof name, "v.blk.%d.%s.%s", i / 7, matrix[i % 7], suffix[k]);
            if (i == 14) snprintf(name, sizeof name, "mm.input_projection.%s", suffix[k]);
            OK(gguf_edit_floats(today, name, 1, (const int64_t[4]){1, 1, 1, 1}, &x, &e));
            packed[4 * i + k] = *x = limit[k] + (float)i * 0.01f;
        }
    struct picture picture = make_picture(61, 43, 7);
    struct picture_rows a = rows_by(today, &picture), b = rows_by(old, &picture),
                        c = rows_by(plain, &picture);
    assert_memory_equal(a.x, b.x, a.n * a.width * sizeof *a.x);
    assert_memory_not_equal(a.x, c.x, a.n * a.width * sizeof *a.x);
    for (size_t i = 0; i < a.n * a.width; i++) assert_true(a.x[i] <= 0.6f + 0.14f + 1e-6f);
    mem_free(a.x);
    mem_free(b.x);
    mem_free(c.x);
    picture_free(&picture);
}

/* ---- what is refused --------------------------------------------------------------------------
 */

static void test_refused(void **state) {
    (void)state;
    struct err e = {0};
    float *x;
    struct gguf *g = aged(&forms[0]);
    OK(gguf_edit_keep_tensors(g, (const char *const[]){"mm.", NULL}, &e));
    assert_refused(g, "the text model ('gemma3') has no image encoder inside");
    g = aged(&forms[0]);
    OK(gguf_edit_arch(g, "gemma3", "mllama", &e));
    assert_refused(g, "inside of the text model ('mllama'), of a layout that is not supported");
    g = aged(&forms[0]);
    drop_keys(g, "gemma3.vision.patch_size");
    assert_refused(g, "key not found in projector: clip.vision.patch_size");
    g = aged(&forms[0]);
    drop_tensor(g, "v.blk.1.mlp.fc2.weight");
    assert_refused(g, "missing tensor 'v.blk.1.ffn_down.weight'");
    g = aged(&forms[3]);
    OK(gguf_edit_u32(g, "mistral3.vision.attention.head_count", 3, &e));
    assert_refused(g,
                   "tensor 'v.blk.0.attn_q.weight' has wrong shape {32,32,1,1}, expected rows of");
    g = aged(&forms[5]);
    OK(gguf_edit_floats(g, "v.patch_embed.weight", 4, (const int64_t[4]){8, 8, 3, 64}, &x, &e));
    assert_refused(g,
                   "tensor 'v.patch_embd.weight' has wrong shape {8,8,3,64}, expected two frames");
    g = aged(&forms[1]);
    OK(gguf_edit_floats(g, "v.clamp_data", 1, (const int64_t[4]){55, 1, 1, 1}, &x, &e));
    assert_refused(g, "tensor 'v.clamp_data' has wrong shape {55,1,1,1}");
}

/* Every key and every tensor taken away, one at a time: an error that names one, or it works. */
static void test_missing_parts(void **state) {
    (void)state;
    const long live = mem_live();
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct gguf *g = aged(&forms[i]);
        const size_t n = gguf_n_kv(g) + gguf_n_tensors(g);
        gguf_close(g);
        for (size_t k = 0; k < n; k++) {
            struct device dev;
            struct projector *p;
            struct err e = {0};
            char name[128];
            g = aged(&forms[i]);
            const bool key = k < gguf_n_kv(g);
            const struct gguf_str s =
                key ? gguf_kv_at(g, k)->key : gguf_tensor_at(g, k - gguf_n_kv(g))->name;
            snprintf(name, sizeof name, "%.*s", (int)s.len, s.ptr);
            if (key)
                OK(gguf_edit_drop(g, name, &e));
            else
                drop_tensor(g, name);
            OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
            if (projector_load(&p, g, &dev, NULL, &e) == ST_OK)
                projector_free(p);
            else
                assert_true(e.msg[0] != '\0');
            device_close(&dev);
        }
    }
    assert_int_equal(mem_live(), live);
}

static void test_no_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        bool done = false;
        for (long n = 1; !done; n++) {
            struct gguf *g = aged(&forms[i]);
            struct err e = {0};
            mem_fail_at(n);
            const enum status st = combined_translate(g, &e);
            mem_fail_at(0);
            done = st == ST_OK;
            if (!done) assert_int_equal(st, ST_NO_MEMORY);
            assert_true(n < 2000);
            gguf_close(g);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_rows),       cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_text_is_ignored), cmocka_unit_test(test_packed_limits),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_missing_parts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
