/* convert_test.c - what golden/convert does not show: transformations against their definition,
 * 8-bit weights in all their forms, values that F16 cannot hold, wrong folders, and every
 * allocation failing once. */
#include "engine/convert/testing.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "engine/convert/impl.h"

/* ---- names ---- */

static void names(void **state) {
    static const struct rename pairs[] = {{"a.b", "X"},   {"a", "Y"},     {"a.bc", "never"},
                                          {"X", "never"}, {"model.", ""}, RENAMES_END};
    struct conversion c = {0};
    uint32_t num[2];
    (void)state;
    assert_string_equal(names_rename(&c, pairs, "model.a.bc.a"), "Xc.Y");
    assert_true(names_match("blk.#..#.w1.weight", "blk.12..3.w1.weight", num));
    assert_int_equal(num[0], 12);
    assert_int_equal(num[1], 3);
    assert_true(names_match("*attn_q.weight", "blk.0.attn_q.weight", num));
    assert_false(names_match("*attn_q.weight", "blk.0.attn_q.weight.x", num));
    assert_false(names_match("blk.#.x", "blk.a.x", num));
    assert_string_equal(names_fill(&c, "blk.#.y.#", (uint32_t[]){7, 8}), "blk.7.y.8");
    arena_free(&c.arena);
}

static void words_that_are_no_json(void **state) {
    struct folder d;
    (void)state;
    start(&d, LLAMA(",\"a\":NaN,\"b\":[-Infinity, Infinity\n],\"c\":\"NaN,Infinity\\\"NaN\","
                    "\"rope_theta\":NaN"));
    add_f32(&d, "model.norm.weight", "[8]", 8);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    assert_null(gguf_find(r.g, "llama.rope.freq_base")); /* 0: absent */
    free_result(&r);
    free_folder(&d);
    start(&d, LLAMA(",\"a\":xNaN"));
    add_f32(&d, "model.norm.weight", "[8]", 8);
    end_tensors(&d, "model.safetensors");
    assert_refused(&d, "config.json: invalid character");
    free_folder(&d);
}

/* ---- transformations ---- */

static void heads(void **state) {
    struct folder d;
    (void)state;
    start(&d, LLAMA(""));
    add_f32(&d, "model.layers.0.self_attn.q_proj.weight", "[8,3]", 24);
    add_f32(&d, "model.layers.0.self_attn.k_proj.weight", "[8,1]", 8);
    add_f32(&d, "model.layers.0.self_attn.q_proj.bias", "[8]", 8); /* biases, too */
    add_f32(&d, "model.layers.0.self_attn.v_proj.weight", "[8,1]", 8);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    for (size_t h = 0; h < 2; h++)
        for (size_t i = 0; i < 2; i++)
            for (size_t j = 0; j < 2; j++) {
                const size_t row = h * 4 + 2 * i + j, from = h * 4 + j * 2 + i;
                assert_true(at(&r, "blk.0.attn_q.weight", row * 3 + 2) == (float)(from * 3 + 2));
                assert_true(at(&r, "blk.0.attn_q.bias", row) == (float)from);
            }
    assert_true(at(&r, "blk.0.attn_k.weight", 1) == 4); /* one kv head of 8 rows */
    assert_true(at(&r, "blk.0.attn_v.weight", 1) == 1);
    assert_int_equal(type_of(&r, "blk.0.attn_q.weight"), DT_F16);
    assert_int_equal(type_of(&r, "blk.0.attn_q.bias"), DT_F32);
    free_result(&r);
    free_folder(&d);
}

static void heads_that_do_not_divide(void **state) {
    struct folder d;
    (void)state;
    start(&d, LLAMA(""));
    add_f32(&d, "model.layers.0.self_attn.q_proj.weight", "[6,1]", 6); /* heads of 3 rows */
    end_tensors(&d, "model.safetensors");
    assert_refused(&d, "does not divide");
    free_folder(&d);
}

static void experts(void **state) {
    static const char config[] =
        "{\"architectures\":[\"MixtralForCausalLM\"],\"num_hidden_layers\":1,"
        "\"num_attention_heads\":1,\"hidden_size\":2}";
    struct folder d;
    (void)state;
    for (int missing = 0; missing < 2; missing++) {
        start(&d, config);
        for (int e = 11; e >= 0; e--) { /* not in order, and two digits */
            char name[96];
            const float x[2] = {(float)e, 0};
            snprintf(name, sizeof name, "model.layers.0.block_sparse_moe.experts.%d.w2.weight", e);
            if (!missing || e != 5) add_tensor(&d, name, "F32", "[1,2]", x, sizeof x);
        }
        end_tensors(&d, "model.safetensors");
        if (missing) {
            assert_refused(&d, "'blk.0.ffn_down_exps.weight': expert 5 is missing");
        } else {
            struct result r = must_convert(&d);
            for (size_t e = 0; e < 12; e++)
                assert_true(at(&r, "blk.0.ffn_down_exps.weight", 2 * e) == (float)e);
            free_result(&r);
        }
        free_folder(&d);
    }
}

/* Values beyond 65504 would be infinite as F16. */
static void too_large_for_f16(void **state) {
    const float x[4] = {1, 70000, -2, 3}, inf[4] = {1, INFINITY, -2, 3};
    struct folder d;
    (void)state;
    start(&d, LLAMA(""));
    add_tensor(&d, "lm_head.weight", "F32", "[2,2]", x, sizeof x);
    add_tensor(&d, "model.embed_tokens.weight", "F32", "[2,2]", inf, sizeof inf);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    assert_int_equal(type_of(&r, "output.weight"), DT_BF16);
    assert_true(fabsf(at(&r, "output.weight", 1) - 70000) < 300);
    assert_int_equal(type_of(&r, "token_embd.weight"), DT_F16); /* was infinite before */
    assert_true(isinf(at(&r, "token_embd.weight", 1)));
    free_result(&r);
    free_folder(&d);
}

static void kinds_of_values(void **state) {
    static const long long positions[2] = {0, 1};
    static const double f64[2] = {0, 1};
    struct folder d;
    (void)state;
    start(&d, LLAMA(""));
    add_tensor(&d, "model.position_ids", "I64", "[2]", positions, sizeof positions);
    add_f32(&d, "model.norm.weight", "[2]", 2);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    assert_int_equal(gguf_n_tensors(r.g), 1); /* positions are computed */
    free_result(&r);
    free_folder(&d);
    start(&d, LLAMA(""));
    add_tensor(&d, "model.norm.weight", "F64", "[2]", f64, sizeof f64);
    end_tensors(&d, "model.safetensors");
    assert_refused(&d, "unknown data type: F64");
    free_folder(&d);
}

/* ---- 8-bit weights ---- */

#define FP8(block) ",\"quantization_config\":{\"quant_method\":\"fp8\"" block "}"
#define BLOCK ",\"weight_block_size\":[2,2]"

/* 0.5, 1, 2, -1, 448, 2^-9 */
static const unsigned char e4m3[6] = {0x30, 0x38, 0x40, 0xB8, 0x7E, 0x01};

static struct folder fp8_folder(const char *config, const char *scale, const char *shape,
                                const float *values, size_t n) {
    struct folder d;
    start(&d, config);
    add_tensor(&d, "lm_head.weight", "F8_E4M3", "[2,3]", e4m3, sizeof e4m3);
    if (scale != NULL) add_tensor(&d, scale, "F32", shape, values, n * sizeof *values);
    end_tensors(&d, "model.safetensors");
    return d;
}

static void fp8(void **state) {
    static const float k[4] = {2, 4, 8, 16};
    static const struct {
        const char *config, *scale, *shape;
        size_t n;
        float want[6];
    } rows[] = {
        /* blocks of 2 x 2: the last column has its own */
        {LLAMA(FP8(BLOCK)), "lm_head.weight_scale_inv", "[1,2]", 2, {1, 2, 8, -2, 896, 0.0078125f}},
        {LLAMA(FP8("")), "lm_head.weight_scale", "[]", 1, {1, 2, 4, -2, 896, 0.00390625f}},
        {LLAMA(FP8(BLOCK)), "lm_head.weight.scale", "[1]", 1, {1, 2, 4, -2, 896, 0.00390625f}},
        {LLAMA(FP8("")), "lm_head.weight_scale", "[2,1]", 2, {1, 2, 4, -4, 1792, 0.0078125f}},
        {LLAMA(FP8("")), "lm_head.qscale_weight", "[2]", 2, {1, 2, 4, -4, 1792, 0.0078125f}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder d = fp8_folder(rows[i].config, rows[i].scale, rows[i].shape, k, rows[i].n);
        struct result r = must_convert(&d);
        assert_int_equal(gguf_n_tensors(r.g), 1);
        assert_int_equal(type_of(&r, "output.weight"), DT_BF16);
        for (size_t j = 0; j < 6; j++)
            if (at(&r, "output.weight", j) != rows[i].want[j])
                fail_msg("row %zu, value %zu: %g", i, j, (double)at(&r, "output.weight", j));
        const struct gguf_kv *list = gguf_find(r.g, "llama.source_fp8_tensors");
        assert_non_null(list);
        assert_int_equal(list->count, 1);
        free_result(&r);
        free_folder(&d);
    }
}

static void fp8_errors(void **state) {
    static const float k[6] = {2, 4, 8, 16, 32, 64};
    static const struct {
        const char *config, *scale, *shape;
        size_t n;
        const char *message;
    } rows[] = {
        {LLAMA(""), NULL, "", 0, "missing fp8 block size metadata for tensor \"lm_head.weight\""},
        {LLAMA(FP8(BLOCK)), NULL, "", 0,
         "missing fp8 scale companion for tensor \"lm_head.weight\""},
        {LLAMA(FP8("")), "lm_head.weight_scale", "[1,2]", 2,
         "missing fp8 block size metadata for tensor \"lm_head.weight\""},
        {LLAMA(FP8(BLOCK)), "lm_head.weight_scale", "[2,3]", 6,
         "the shape of its scale does not fit"},
        {LLAMA(FP8(",\"weight_block_size\":[0,2]")), "lm_head.weight_scale", "[1,2]", 2,
         "no pair of counts"},
        {LLAMA(",\"quantization_config\":{\"quant_method\":\"gptq\"}"), NULL, "", 0,
         "unsupported source quantization \"gptq\""},
        {LLAMA(FP8(BLOCK) ",\"compression_config\":{\"quant_method\":\"fp8\","
                          "\"weight_block_size\":[4,2]}"),
         NULL, "", 0, "two different fp8 block sizes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder d = fp8_folder(rows[i].config, rows[i].scale, rows[i].shape, k, rows[i].n);
        assert_refused(&d, rows[i].message);
        free_folder(&d);
    }
}

/* ---- wrong folders ---- */

static void wrong_configs(void **state) {
    static const char *const rows[][2] = {
        {"[]", "config.json: not an object"},
        {"{}", "unknown architecture"},
        {"{\"architectures\":\"LlamaForCausalLM\"}", "unknown architecture"},
        {"{\"architectures\":[\"Llama\"]}", "unsupported architecture \"Llama\""},
        {LLAMA(",\"intermediate_size\":\"8\""), "parse config.json for \"llama\""},
        {LLAMA(",\"intermediate_size\":-1"), "not a count"},
        {LLAMA(",\"intermediate_size\":1.5"), "not a count"},
        {LLAMA(",\"rope_theta\":[]"), "field rope_theta is a array, not a number"},
    };
    struct folder d;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        start(&d, rows[i][0]);
        add_f32(&d, "model.norm.weight", "[2]", 2);
        end_tensors(&d, "model.safetensors");
        assert_refused(&d, rows[i][1]);
        free_folder(&d);
    }
}

static void wrong_sets(void **state) {
    struct folder d;
    (void)state;
    start(&d, LLAMA(""));
    assert_refused(&d, "no safetensors files found");
    add_text(&d, "pytorch_model.bin", "PK");
    assert_refused(&d, "unknown tensor format");
    free_folder(&d);
    start(&d, LLAMA(""));
    add_f32(&d, "model.norm.weight", "[2]", 2);
    end_tensors(&d, "model-1.safetensors");
    add_f32(&d, "model.norm.weight", "[2]", 2);
    end_tensors(&d, "model-2.safetensors");
    assert_refused(&d, "tensor 'model.norm.weight' is in two files");
    free_folder(&d);
    start(&d, LLAMA(""));
    add_f32(&d, "model.norm.weight", "[2]", 2);
    add_f32(&d, "output_norm.weight", "[2]", 2);
    end_tensors(&d, "model.safetensors");
    assert_refused(&d, "duplicate tensor name 'output_norm.weight' was found for this model");
    free_folder(&d);
    start(&d, LLAMA(""));
    add_f32(&d, "model.norm.weight", "[2]", 2);
    end_tensors(&d, "model.safetensors");
    add_text(&d, "model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"model-9.safetensors\"}}");
    assert_refused(&d, "missing shard model-9.safetensors");
    free_folder(&d);
}

/* ---- memory ---- */

static void no_memory(void **state) {
    static const float one[2] = {1, 2};
    struct folder d;
    enum status st = ST_NO_MEMORY;
    (void)state;
    start(&d, "{\"architectures\":[\"MixtralForCausalLM\"],\"num_hidden_layers\":1,"
              "\"num_attention_heads\":1,\"hidden_size\":2,\"vocab_size\":5" FP8("") "}");
    add_text(&d, "tokenizer_config.json", "{\"bos_token\":\"<s>\",\"chat_template\":\"x\"}");
    add_text(&d, "generation_config.json", "{\"bos_token_id\":[2]}");
    add_tensor(&d, "lm_head.weight", "F8_E4M3", "[2,3]", e4m3, sizeof e4m3);
    add_tensor(&d, "lm_head.weight_scale", "F32", "[2]", one, sizeof one);
    add_tensor(&d, "model.layers.0.block_sparse_moe.experts.0.w1.weight", "F32", "[1,2]", one, 8);
    add_tensor(&d, "model.layers.0.block_sparse_moe.experts.1.w1.weight", "F32", "[1,2]", one, 8);
    end_tensors(&d, "model.safetensors");
    const long live = mem_live();
    for (long n = 1; st != ST_OK && n < 20000; n++) {
        const struct convert_spec spec = {.files = d.files, .n_files = d.n};
        struct conversion *c = NULL;
        struct buf out = {0};
        struct err e = {0};
        mem_fail_at(n);
        st = convert_open_model(&c, &spec, &e);
        if (st == ST_OK) st = convert_write(c, CONVERT_MODEL, collect, &out, &e);
        mem_fail_at(0);
        convert_free(c);
        buf_free(&out);
        if (st != ST_OK && st != ST_NO_MEMORY) fail_msg("allocation %ld: %s", n, e.msg);
        assert_int_equal(mem_live(), live);
    }
    assert_int_equal(st, ST_OK);
    free_folder(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),           cmocka_unit_test(words_that_are_no_json),
        cmocka_unit_test(heads),           cmocka_unit_test(heads_that_do_not_divide),
        cmocka_unit_test(experts),         cmocka_unit_test(too_large_for_f16),
        cmocka_unit_test(kinds_of_values), cmocka_unit_test(fp8),
        cmocka_unit_test(fp8_errors),      cmocka_unit_test(wrong_configs),
        cmocka_unit_test(wrong_sets),      cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
