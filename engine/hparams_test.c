/* Tests of metadata: golden models with one key changed in memory. Senseless values are refused
 * with a message that names the key; what defaults say is checked on the loaded model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/file/gguf_edit.h"
#include "engine/model.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ST_OK) fail_msg("%s: %s", #call, e.msg);                                     \
    } while (0)

static struct gguf *open_golden(const char *name) {
    char path[256];
    struct gguf *g;
    struct err e = {0};
    snprintf(path, sizeof path, "golden/models/%s/model.gguf", name);
    OK(gguf_open(&g, path, &e));
    return g;
}

/* Takes g; the message must contain `want`. */
static void expect_error(struct gguf *g, const char *want) {
    struct device dev;
    struct model *m;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    if (model_load(&m, g, &dev, &e) == ST_OK) fail_msg("loaded, expected '%s'", want);
    if (strstr(e.msg, want) == NULL) fail_msg("'%s' does not contain '%s'", e.msg, want);
    device_close(&dev);
}

/* Loads (takes g) and gives back the hyperparameters and one layer. */
static struct hparams load(struct gguf *g, uint32_t il, struct layer *l) {
    struct device dev;
    struct model *m;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    OK(model_load(&m, g, &dev, &e));
    const struct hparams hp = m->hp;
    assert_true(il < hp.n_layer);
    *l = m->layers[il];
    model_free(m);
    device_close(&dev);
    return hp;
}

static void test_numbers_out_of_range(void **state) {
    (void)state;
    static const struct {
        const char *model, *key;
        uint32_t x;
        const char *want; /* behind "key " */
    } cases[] = {
        {"llama-base", "llama.block_count", 0, "llama.block_count is 0"},
        {"llama-base", "llama.block_count", 513, "llama.block_count is 513"},
        {"llama-base", "llama.nextn_predict_layers", 2, "llama.nextn_predict_layers is 2"},
        {"llama-base", "llama.attention.head_count", 3, "llama.attention.head_count is 3"},
        {"llama-base", "llama.attention.head_count_kv", 3, "llama.attention.head_count_kv is 3"},
        {"llama-base", "llama.attention.head_count_kv", 0, "llama.attention.head_count_kv is 0"},
        {"llama-base", "llama.attention.key_length", 5000, "llama.attention.key_length is 5000"},
        {"llama-base", "llama.context_length", 0, "llama.context_length is 0"},
        {"llama-base", "llama.expert_count", 4000, "llama.expert_count is 4000"},
        {"llama-base", "llama.expert_count", 4, "key not found in model: llama.expert_used_count"},
        {"gpt-oss-f32", "gpt-oss.expert_count", 0, "gpt-oss.expert_count is missing or 0"},
        {"gpt-oss-f32", "gpt-oss.expert_used_count", 99, "gpt-oss.expert_used_count is 99"},
        {"gpt-oss-f32", "gpt-oss.rope.dimension_count", 0, "gpt-oss.rope.dimension_count is 0"},
        {"deepseek2-v3", "deepseek2.attention.kv_lora_rank", 0, "kv_lora_rank is missing or 0"},
        {"deepseek2-v3", "deepseek2.attention.key_length", 7,
         "deepseek2.attention.key_length is 7"},
        {"deepseek2-v3", "deepseek2.attention.head_count_kv", 2,
         "deepseek2.attention.head_count_kv is 2, expected 1"},
        {"deepseek2-v3", "deepseek2.rope.dimension_count", 24,
         "deepseek2.rope.dimension_count is 24"},
        {"deepseek2-v3", "deepseek2.expert_group_count", 3, "deepseek2.expert_group_count is 3"},
        {"deepseek2-v3", "deepseek2.expert_group_used_count", 0,
         "deepseek2.expert_group_used_count is 0"},
        {"deepseek2-v3", "deepseek2.expert_group_used_count", 9,
         "deepseek2.expert_group_used_count is 9"},
        {"deepseek2-v3", "deepseek2.expert_gating_func", 5, "deepseek2.expert_gating_func is 5"},
        {"deepseek2-v3", "deepseek2.expert_shared_count", 9999,
         "deepseek2.expert_shared_count is 9999"},
        {"glm-dsa", "glm-dsa.attention.indexer.top_k", 0, "glm-dsa.attention.indexer.top_k is 0"},
        {"glm-dsa", "glm-dsa.attention.indexer.key_length", 4,
         "glm-dsa.attention.indexer.key_length is 4"},
        {"glm-dsa", "glm-dsa.attention.indexer.types", 0, "glm-dsa.attention.indexer.types gives"},
        {"gemma4", "gemma4.attention.shared_kv_layers", 5,
         "gemma4.attention.shared_kv_layers is 5 of 6"},
        {"gemma4", "gemma4.attention.shared_kv_layers", 3,
         "gemma4.attention.shared_kv_layers lets layer"},
        {"gemma4", "gemma4.rope.dimension_count_swa", 99, "rope.dimension_count_swa is 99"},
        {"olmo2", "olmo2.attention.sliding_window", UINT32_MAX, "olmo2.attention.sliding_window"},
        {"llama4", "llama4.expert_used_count", 0, "llama4.expert_used_count is 0"},
        {"llama4", "llama4.interleave_moe_layer_step", 9, "llama4.interleave_moe_layer_step"},
        {"deepseek2-v3", "deepseek2.leading_dense_block_count", 99,
         "deepseek2.leading_dense_block_count"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        struct gguf *g = open_golden(cases[i].model);
        const long live = mem_live();
        OK(gguf_edit_u32(g, cases[i].key, cases[i].x, &e));
        expect_error(g, cases[i].want);
        assert_true(mem_live() < live);
    }
}

static void test_floats_out_of_range(void **state) {
    (void)state;
    static const char *const keys[] = {"llama.rope.freq_base", "llama.rope.scaling.factor",
                                       "llama.attention.layer_norm_rms_epsilon",
                                       "llama.rope.scaling.attn_factor",
                                       "llama.expert_weights_scale"};
    const float bad[] = {-1e9f, NAN, INFINITY};
    for (size_t i = 0; i < 5; i++)
        for (int k = 0; k < 3; k++) {
            struct err e = {0};
            struct gguf *g = open_golden("llama-base");
            OK(gguf_edit_f32(g, keys[i], bad[k], &e));
            expect_error(g, keys[i]);
        }
}

static void test_wrong_types(void **state) {
    (void)state;
    static const char *const keys[] = {
        "llama.block_count",          "llama.attention.head_count", "llama.feed_forward_length",
        "llama.rope.freq_base",       "llama.context_length",       "llama.expert_count",
        "llama.rope.dimension_count", "llama.nextn_predict_layers", "llama.rope.scaling.factor",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct err e = {0};
        struct gguf *g = open_golden("llama-base");
        OK(gguf_edit_str(g, keys[i], "4", &e));
        expect_error(g, keys[i]);
    }
    struct err e = {0};
    struct gguf *g = open_golden("llama-base");
    OK(gguf_edit_u32(g, "llama.rope.scaling.type", 1, &e));
    expect_error(g, "llama.rope.scaling.type");
    g = open_golden("llama-base");
    OK(gguf_edit_str(g, "llama.rope.scaling.type", "dynamic", &e));
    expect_error(g, "llama.rope.scaling.type: 'dynamic' is not known");
    g = open_golden("gemma4");
    OK(gguf_edit_str(g, "gemma4.attention.sliding_window_pattern", "x", &e));
    expect_error(g, "gemma4.attention.sliding_window_pattern");
}

static void test_arrays(void **state) {
    (void)state;
    static const int32_t two[] = {4, 4}, three[] = {4, 4, -1};
    struct err e = {0};
    struct gguf *g = open_golden("gemma4"); /* of 6 layers */
    OK(gguf_edit_i32s(g, "gemma4.attention.head_count_kv", two, 2, &e));
    expect_error(g, "gemma4.attention.head_count_kv has wrong array length; expected 6, got 2");
    g = open_golden("gemma4");
    OK(gguf_edit_i32s(g, "gemma4.attention.sliding_window_pattern", two, 2, &e));
    expect_error(g, "sliding_window_pattern has wrong array length; expected 6, got 2");
    g = open_golden("llama-base"); /* of 2 layers */
    OK(gguf_edit_i32s(g, "llama.attention.head_count", three, 3, &e));
    expect_error(g, "llama.attention.head_count has wrong array length; expected 2, got 3");
    g = open_golden("llama-base"); /* the last block predicts a further token: it may be left out */
    OK(gguf_edit_u32(g, "llama.nextn_predict_layers", 1, &e));
    OK(gguf_edit_i32s(g, "llama.attention.head_count", two, 1, &e));
    struct layer l;
    assert_int_equal(load(g, 0, &l).n_layer, 1);
    assert_int_equal(l.n_head, 4);
    g = open_golden("llama-base");
    OK(gguf_edit_i32s(g, "llama.attention.head_count", three + 1, 2, &e));
    expect_error(g, "llama.attention.head_count is -1");
}

static void test_missing(void **state) {
    (void)state;
    static const struct {
        const char *model, *key;
    } cases[] = {
        {"gpt2", "gpt2.attention.layer_norm_epsilon"},
        {"olmo2", "olmo2.attention.layer_norm_rms_epsilon"},
        {"gemma4", "gemma4.embedding_length_per_layer_input"},
        {"gemma4", "gemma4.attention.sliding_window_pattern"},
        {"glm-dsa", "glm-dsa.attention.indexer.top_k"},
        {"deepseek2-v3", "deepseek2.attention.kv_lora_rank"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        struct gguf *g = open_golden(cases[i].model);
        OK(gguf_edit_drop(g, cases[i].key, &e));
        expect_error(g, cases[i].key);
    }
}

/* Per-layer values that follow from others. */
static void test_layers(void **state) {
    (void)state;
    struct err e = {0};
    struct layer l;
    struct gguf *g = open_golden("gemma4");
    struct hparams hp = load(g, 5, &l); /* shares the cache of the last layer of its kind */
    assert_int_equal(hp.n_kv_shared, 2);
    assert_int_equal(l.kv_layer, 3);
    assert_false(l.window);
    assert_int_equal(l.head_dim, 32);
    load(open_golden("gemma4"), 4, &l);
    assert_int_equal(l.kv_layer, 2);
    assert_int_equal(l.head_dim, 16);
    load(open_golden("llama4"), 3, &l);
    assert_true(!l.rope && l.temp && !l.window && l.moe);
    load(open_golden("llama4"), 2, &l);
    assert_true(l.rope && !l.temp && l.window && !l.moe);
    g = open_golden("llama4");
    OK(gguf_edit_u32(g, "llama4.attention.sliding_window", 0, &e));
    hp = load(g, 2, &l);
    assert_true(hp.n_swa == 0 && l.rope && !l.window);
    load(open_golden("deepseek2-v3"), 1, &l);
    assert_int_equal(l.kv_dim_v, 0); /* values are a part of the keys */
    assert_int_equal(l.kv_dim_k, 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_floats_out_of_range),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
