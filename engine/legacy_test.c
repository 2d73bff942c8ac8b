/* Tests of older layouts: a golden model is turned into the old form in memory, translated, and
 * must become the same program as before; rules about vocabularies are checked on the keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf_edit.h"
#include "engine/file/gguf_write.h"
#include "engine/legacy.h"
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

/* The program of a model (takes g), as text; the caller frees it with buf_free. */
static struct buf program_of(struct gguf *g) {
    struct device dev;
    struct model *m;
    struct err e = {0};
    struct program prog = {0};
    struct recorder r = {.prog = &prog};
    struct buf text = {0};
    val out;
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    OK(model_load(&m, g, &dev, &e));
    model_record(m, &r, PROGRAM_LOGITS, 256, &out);
    OK(program_seal(&r, out, (const uint32_t[ROWS_KINDS]){1, 1}, &e));
    program_print(&prog, &text);
    program_free(&prog);
    model_free(m);
    device_close(&dev);
    return text;
}

static void expect_program_of(struct gguf *today, struct gguf *old) {
    struct buf want = program_of(today), got = program_of(old);
    assert_string_equal(got.data, want.data);
    buf_free(&want);
    buf_free(&got);
}

static void expect_same_program(const char *golden, struct gguf *old) {
    expect_program_of(open_golden(golden), old);
}

/* The golden model as one whose rows have four positions. */
static struct gguf *with_sections(const char *golden, const char *arch, const int32_t *sections) {
    struct err e = {0};
    struct gguf *g = open_golden(golden);
    char key[64];
    snprintf(key, sizeof key, "%s.rope.dimension_sections", arch);
    OK(gguf_edit_arch(g, golden, arch, &e));
    OK(gguf_edit_i32s(g, key, sections, 4, &e));
    return g;
}

static uint32_t u32(const struct gguf *g, const char *key) {
    uint32_t x = 0;
    struct err e = {0};
    OK(gguf_get_u32(g, key, &x, &e));
    return x;
}

static void assert_text(const struct gguf *g, const char *key, const char *want) {
    struct gguf_str s;
    struct err e = {0};
    OK(gguf_get_str(g, key, &s, &e));
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.ptr, want, s.len);
}

static void assert_ints(const struct gguf *g, const char *key, const int64_t *want, uint64_t n) {
    const struct gguf_kv *kv = gguf_find(g, key);
    assert_non_null(kv);
    assert_int_equal(kv->count, n);
    for (uint64_t i = 0; i < n; i++) assert_int_equal(gguf_elem_int(kv, i), want[i]);
}

static void test_gptoss(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("gpt-oss-f32");
    OK(gguf_edit_arch(g, "gpt-oss", "gptoss", &e));
    OK(gguf_edit_drop(g, "gptoss.expert_feed_forward_length", &e));
    OK(gguf_edit_drop(g, "gptoss.rope.scaling.type", &e));
    OK(gguf_edit_tensor_names(g, ".attn_output.", ".attn_out.", &e));
    OK(gguf_edit_tensor_names(g, ".post_attention_norm", ".ffn_norm", &e));
    OK(gguf_edit_tensor_names(g, ".attn_sinks.weight", ".attn_sinks", &e));
    expect_same_program("gpt-oss-f32", g);
}

static void test_olmo3(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("olmo2");
    OK(gguf_edit_arch(g, "olmo2", "olmo3", &e));
    expect_same_program("olmo2", g);
}

static void test_gemma3(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("gemma3");
    OK(gguf_edit_copy(g, "gemma3.rope.global.freq_base", "gemma3.rope.freq_base", &e));
    OK(gguf_edit_copy(g, "gemma3.rope.local.freq_base", "gemma3.rope.freq_base_swa", &e));
    OK(gguf_edit_drop(g, "gemma3.rope.freq_base", &e));
    OK(gguf_edit_drop(g, "gemma3.rope.freq_base_swa", &e));
    OK(gguf_edit_drop(g, "gemma3.attention.layer_norm_rms_epsilon", &e)); /* 1e-6, as it is */
    expect_same_program("gemma3", g);
}

static void test_gemma3_of_the_long_kind(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("gemma3");
    OK(gguf_edit_drop(g, "gemma3.attention.layer_norm_rms_epsilon", &e));
    OK(gguf_edit_drop(g, "gemma3.rope.scaling.type", &e));
    OK(gguf_edit_drop(g, "gemma3.rope.scaling.factor", &e));
    OK(gguf_edit_u32(g, "gemma3.context_length", 131072, &e));
    gguf_edit_rows(g, "token_embd.weight", 300); /* fewer rows than tokens */
    OK(legacy_translate(g, &e));
    assert_text(g, "gemma3.rope.scaling.type", "linear");
    assert_int_equal(gguf_find(g, "tokenizer.ggml.tokens")->count, 300);
    assert_int_equal(gguf_find(g, "tokenizer.ggml.scores")->count, 300);
    gguf_close(g);
}

static void test_todays_files_stay(void **state) {
    (void)state;
    static const char *const names[] = {"gemma3", "llama-base", "qwen3", "gemma4"};
    for (int i = 0; i < 4; i++) {
        struct err e = {0};
        struct gguf *g = open_golden(names[i]);
        const size_t n = gguf_n_kv(g);
        const uint64_t n_tokens = gguf_find(g, "tokenizer.ggml.tokens")->count;
        OK(legacy_translate(g, &e));
        assert_int_equal(gguf_n_kv(g), n);
        assert_int_equal(gguf_find(g, "tokenizer.ggml.tokens")->count, n_tokens);
        if (i == 3) assert_text(g, "tokenizer.ggml.model", "llama"); /* no merges */
        gguf_close(g);
    }
}

static void test_gemma3n(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("llama-base");
    OK(gguf_edit_arch(g, "llama", "gemma3n", &e));
    OK(gguf_edit_tensor_names(g, "blk.0.ffn_gate.weight", "per_layer_token_embd.weight", &e));
    OK(legacy_translate(g, &e));
    assert_int_equal(gguf_find_tensor(g, "token_embd.weight")->dim[1], 64);
    assert_int_equal(gguf_find_tensor(g, "token_embd.weight")->size, 64 * 64 * 4);
    assert_int_equal(gguf_find(g, "tokenizer.ggml.tokens")->count, 64);
    assert_int_equal(gguf_elem_int(gguf_find(g, "tokenizer.ggml.token_type"), 3), 6); /* <0x00> */
    assert_ints(g, "tokenizer.ggml.eos_token_ids", (const int64_t[]){1, 106}, 2);
    gguf_close(g);
}

static void test_gemma4_scale(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("gemma4");
    OK(gguf_edit_tensor_names(g, "blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.per_expert_scale",
                              &e));
    OK(legacy_translate(g, &e));
    assert_non_null(gguf_find_tensor(g, "blk.0.ffn_down_exps.scale"));
    gguf_close(g);
}

static void test_mistral3(void **state) {
    (void)state;
    struct err e = {0};
    float x;
    struct gguf *g = open_golden("llama-base");
    OK(gguf_edit_arch(g, "llama", "mistral3", &e));
    OK(gguf_edit_f32(g, "mistral3.rope.scaling.beta_fast", 16, &e));
    OK(gguf_edit_f32(g, "mistral3.rope.scaling.mscale_all_dim", 0.5f, &e));
    OK(gguf_edit_f32(g, "mistral3.rope.scaling_beta", 0.1f, &e));
    OK(legacy_translate(g, &e));
    OK(gguf_get_f32(g, "mistral3.rope.scaling.yarn_beta_fast", &x, &e));
    assert_true(x == 16);
    OK(gguf_get_f32(g, "mistral3.rope.scaling.yarn_log_multiplier", &x, &e));
    assert_true(x == 0.5f);
    OK(gguf_get_f32(g, "mistral3.attention.temperature_scale", &x, &e));
    assert_true(x == 0.1f);
    assert_text(g, "tokenizer.ggml.pre", "tekken");
    gguf_close(g);
}

static void test_qwen_vl(void **state) {
    (void)state;
    static const int32_t sections[] = {2, 3, 3, 0}, usual[] = {24, 20, 20, 0};
    struct err e = {0};
    struct gguf *g = open_golden("qwen2");
    OK(gguf_edit_arch(g, "qwen2", "qwen25vl", &e));
    OK(gguf_edit_i32s(g, "qwen25vl.rope.mrope_section", sections, 3, &e));
    OK(legacy_translate(g, &e));
    assert_ints(g, "qwen2vl.rope.dimension_sections", (const int64_t[]){2, 3, 3, 0}, 4);
    expect_program_of(with_sections("qwen2", "qwen2vl", sections), g);
    g = open_golden("qwen3");
    OK(gguf_edit_arch(g, "qwen3", "qwen3vl", &e));
    OK(gguf_edit_i32s(g, "qwen3vl.vision.deepstack_visual_indexes", sections, 3, &e));
    OK(legacy_translate(g, &e));
    assert_ints(g, "qwen3vl.rope.dimension_sections", (const int64_t[]){24, 20, 20, 0}, 4);
    assert_int_equal(u32(g, "qwen3vl.n_deepstack_layers"), 3);
    struct gguf *today = with_sections("qwen3", "qwen3vl", usual);
    OK(gguf_edit_u32(today, "qwen3vl.n_deepstack_layers", 3, &e));
    expect_program_of(today, g);
}

static void test_glm4moelite(void **state) {
    (void)state;
    static const int32_t eos[] = {10, 11, 12};
    struct err e = {0};
    struct gguf *g = open_golden("deepseek2-v3");
    const uint32_t rank = u32(g, "deepseek2.attention.kv_lora_rank");
    const uint32_t n_rot = u32(g, "deepseek2.rope.dimension_count");
    OK(gguf_edit_arch(g, "deepseek2", "glm4moelite", &e));
    OK(gguf_edit_u32(g, "glm4moelite.attention.key_length", 24, &e));
    OK(gguf_edit_i32s(g, "tokenizer.ggml.eos_token_ids", eos, 3, &e));
    OK(legacy_translate(g, &e));
    assert_int_equal(u32(g, "deepseek2.attention.head_count_kv"), 1);
    assert_int_equal(u32(g, "deepseek2.attention.key_length"), rank + n_rot);
    assert_int_equal(u32(g, "deepseek2.attention.value_length"), rank);
    assert_int_equal(u32(g, "deepseek2.attention.key_length_mla"), 24);
    assert_int_equal(u32(g, "deepseek2.attention.value_length_mla"), 24);
    assert_int_equal(u32(g, "tokenizer.ggml.eot_token_id"), 11);
    assert_int_equal(u32(g, "tokenizer.ggml.eom_token_id"), 12);
    gguf_close(g);
}

static void test_embeddinggemma(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("gemma-embedding");
    OK(gguf_edit_drop(g, "gemma-embedding.dense_2_feat_in", &e));
    OK(gguf_edit_drop(g, "gemma-embedding.dense_2_feat_out", &e));
    OK(gguf_edit_drop(g, "gemma-embedding.dense_3_feat_in", &e));
    OK(gguf_edit_drop(g, "gemma-embedding.dense_3_feat_out", &e));
    OK(gguf_edit_drop(g, "gemma-embedding.rope.freq_base_swa", &e));
    OK(gguf_edit_arch(g, "gemma-embedding", "gemma3", &e));
    OK(gguf_edit_u32(g, "gemma3.attention.causal", 0, &e));
    OK(gguf_edit_tensor_names(g, "dense_2", "dense.0", &e));
    OK(gguf_edit_tensor_names(g, "dense_3", "dense.1", &e));
    OK(gguf_edit_tensor_name(g, "output_norm.weight", "norm.weight", &e));
    OK(legacy_translate(g, &e));
    assert_int_equal(u32(g, "gemma-embedding.dense_2_feat_out"), 96);
    assert_int_equal(u32(g, "gemma-embedding.dense_3_feat_in"), 96);
    assert_null(gguf_find(g, "gemma-embedding.attention.causal"));
    expect_same_program("gemma-embedding", g);
}

static void test_lfm2(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("lfm2");
    const uint32_t n_ff = u32(g, "lfm2.feed_forward_length");
    OK(gguf_edit_u32(g, "lfm2.feed_forward_length", 12, &e));
    OK(gguf_edit_str(g, "tokenizer.ggml.pre", "llama-bpe", &e));
    OK(gguf_edit_tensor_name(g, "token_embd_norm.weight", "output_norm.weight", &e));
    OK(legacy_translate(g, &e));
    assert_text(g, "tokenizer.ggml.pre", "lfm2");
    assert_int_equal(u32(g, "lfm2.feed_forward_length"), n_ff);
    expect_same_program("lfm2", g);
}

/* Keys and names; the family's own golden models are larger than this tree's. */
static void test_qwen35(void **state) {
    (void)state;
    static const char *const family[] = {"qwen35", "qwen35moe", "qwen3next"};
    static const int32_t sections[] = {3, 2, 1};
    for (int i = 0; i < 3; i++)
        for (int old = 0; old < 2; old++) {
            struct err e = {0};
            char kv[64], dims[64], sign[64];
            struct gguf *g = open_golden("lfm2"); /* its numbers of heads are {0, 2, 0} */
            snprintf(kv, sizeof kv, "%s.attention.head_count_kv", family[i]);
            snprintf(dims, sizeof dims, "%s.rope.dimension_sections", family[i]);
            snprintf(sign, sizeof sign, "%s.ssm.v_head_reordered", family[i]);
            OK(gguf_edit_arch(g, "lfm2", family[i], &e));
            OK(gguf_edit_i32s(g, dims, sections, 3, &e));
            if (old) OK(gguf_edit_bool(g, sign, true, &e));
            if (old) OK(gguf_edit_tensor_name(g, "blk.0.ffn_up.weight", "blk.0.ssm_dt", &e));
            if (!old && i == 1) OK(gguf_edit_drop(g, "qwen35moe.feed_forward_length", &e));
            OK(legacy_translate(g, &e));
            assert_int_equal(gguf_find(g, kv)->type == GGUF_U32, old != 0);
            if (old) assert_int_equal(u32(g, kv), 2);
            assert_int_equal(gguf_find(g, dims)->count, old && i < 2 ? 4 : 3);
            if (old) assert_non_null(gguf_find_tensor(g, "blk.0.ssm_dt.bias"));
            gguf_close(g);
        }
}

/* ---- the vocabulary of Llama 3 ---- */

static void put(struct buf *b, uint64_t x, unsigned n) {
    for (unsigned i = 0; i < n; i++) buf_chr(b, (char)(x >> (8 * i)));
}
static void put_text(struct buf *b, const char *s) {
    put(b, strlen(s), 8);
    buf_str(b, s);
}

static void test_llama3_vocabulary(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g;
    struct buf b = {0};
    buf_str(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 0, 8); /* tensors */
    put(&b, 3, 8); /* pairs */
    put_text(&b, "general.architecture");
    put(&b, GGUF_STRING, 4);
    put_text(&b, "llama");
    put_text(&b, "tokenizer.ggml.eos_token_id");
    put(&b, GGUF_U32, 4);
    put(&b, 128001, 4);
    put_text(&b, "tokenizer.ggml.tokens");
    put(&b, GGUF_ARRAY, 4);
    put(&b, GGUF_STRING, 4);
    put(&b, 128010, 8);
    for (int i = 0; i < 128010; i++)
        put_text(&b, i == 128006 ? "<|start_header_id|>" : i == 128009 ? "<|eot_id|>" : "x");
    OK(gguf_open_memory(&g, b.data, b.len, "llama3", &e));
    OK(legacy_translate(g, &e));
    assert_text(g, "tokenizer.ggml.pre", "llama-bpe");
    assert_int_equal(u32(g, "tokenizer.ggml.eos_token_id"), 128009);
    assert_int_equal(u32(g, "tokenizer.ggml.eot_token_id"), 128009);
    assert_ints(g, "tokenizer.ggml.eos_token_ids", (const int64_t[]){128009}, 1);
    gguf_close(g);
    buf_free(&b);
}

/* A golden model that only the shared set has; skips where it is not there. */
static struct gguf *open_shared(const char *name) {
    char path[256];
    struct gguf *g;
    struct err e = {0};
    snprintf(path, sizeof path, "../shared/golden/models/%s/model.gguf", name);
    if (gguf_open(&g, path, &e) != ST_OK) {
        print_message("%s is not there\n", path);
        skip();
    }
    return g;
}

static void nemotron_of_old(struct gguf *g) {
    struct err e = {0};
    OK(gguf_edit_tensor_names(g, ".ffn_latent_down.", ".ffn_latent_in.", &e));
    OK(gguf_edit_tensor_names(g, ".ffn_latent_up.", ".ffn_latent_out.", &e));
    OK(gguf_edit_drop(g, "nemotron_h_moe.moe_latent_size", &e));
}
static void test_nemotron(void **state) {
    (void)state;
    struct gguf *g = open_shared("nemotron_h_moe");
    nemotron_of_old(g);
    expect_program_of(open_shared("nemotron_h_moe"), g);
}
static void test_nemotron_omni(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_shared("nemotron_h_moe");
    nemotron_of_old(g);
    OK(gguf_edit_arch(g, "nemotron_h_moe", "nemotron_h_omni", &e));
    expect_program_of(open_shared("nemotron_h_moe"), g);
    g = open_shared("nemotron_h");
    OK(gguf_edit_arch(g, "nemotron_h", "nemotron_h_omni", &e));
    expect_program_of(open_shared("nemotron_h"), g);
}

/* The latent experts of the published file's kind are made by hand: the golden one has none. */
static void test_nemotron_latents(void **state) {
    (void)state;
    struct err e = {0};
    float *x;
    struct gguf *g = open_golden("llama-base");
    OK(gguf_edit_arch(g, "llama", "nemotron_h_moe", &e));
    OK(gguf_edit_floats(g, "blk.1.ffn_latent_in.weight", 2, (const int64_t[4]){8, 3, 1, 1}, &x,
                        &e));
    OK(gguf_edit_floats(g, "blk.1.ffn_latent_out.weight", 2, (const int64_t[4]){3, 8, 1, 1}, &x,
                        &e));
    OK(legacy_translate(g, &e));
    assert_int_equal(u32(g, "nemotron_h_moe.moe_latent_size"), 3);
    assert_non_null(gguf_find_tensor(g, "blk.1.ffn_latent_down.weight"));
    assert_non_null(gguf_find_tensor(g, "blk.1.ffn_latent_up.weight"));
    gguf_close(g);
}

/* ---- blocks that predict further tokens ---- */

enum { N_BLOCKS = 2, N_EXPERTS = 3 };

static void put_floats(struct gguf *g, const char *name, uint32_t n_dims, int64_t n0, int64_t n1,
                       float value) {
    struct err e = {0};
    float *x;
    OK(gguf_edit_floats(g, name, n_dims, (const int64_t[4]){n0, n1, 1, 1}, &x, &e));
    for (int64_t i = 0; i < n0 * n1; i++) x[i] = value;
}

/* Two blocks: norms of 0.5, matrices of their number, experts of 10 block + expert. */
static struct gguf *open_with_mtp(const char *arch) {
    struct err e = {0};
    struct gguf *g = open_golden("llama-base");
    char name[64];
    OK(gguf_edit_arch(g, "llama", arch, &e));
    put_floats(g, "mtp.fc.weight", 2, 8, 4, 7);
    put_floats(g, "mtp.pre_fc_norm_embedding.weight", 1, 4, 1, 0.5f);
    put_floats(g, "mtp.pre_fc_norm_hidden.weight", 1, 4, 1, 0.5f);
    put_floats(g, "mtp.shared_head.norm.weight", 1, 4, 1, 0.5f);
    put_floats(g, "mtp.shared_head.head.weight", 2, 4, 5, 0.5f);
    put_floats(g, "mtp.embed_tokens.weight", 2, 4, 5, 0.5f);
    for (int b = 0; b < N_BLOCKS; b++) {
        snprintf(name, sizeof name, "mtp.layers.%d.attn_q_norm.weight", b);
        put_floats(g, name, 1, 4, 1, 0.5f);
        snprintf(name, sizeof name, "mtp.layers.%d.ssm_norm.weight", b);
        put_floats(g, name, 1, 4, 1, 0.5f);
        for (int x = 0; x < N_EXPERTS; x++) {
            snprintf(name, sizeof name, "mtp.layers.%d.mlp.experts.%d.up_proj.weight", b, x);
            put_floats(g, name, 2, 4, 2, (float)(10 * b + x));
        }
    }
    return g;
}

static float first_of(const struct gguf *g, const char *name) {
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    float x;
    if (t == NULL) fail_msg("no tensor %s", name);
    memcpy(&x, t->data, sizeof x);
    return x;
}

static void test_further_tokens(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_with_mtp("qwen35moe");
    const uint32_t n = u32(g, "qwen35moe.block_count");
    OK(legacy_translate_mtp(g, &e));
    OK(legacy_translate_mtp(g, &e)); /* what is translated stays */
    assert_int_equal(u32(g, "qwen35moe.block_count"), n + N_BLOCKS);
    assert_int_equal(u32(g, "qwen35moe.nextn_predict_layers"), N_BLOCKS);
    assert_int_equal(n, 2); /* the names below */
    assert_true(first_of(g, "blk.2.nextn.eh_proj.weight") == 7);
    assert_true(first_of(g, "blk.2.nextn.enorm.weight") == 1.5f);
    assert_true(first_of(g, "blk.2.nextn.hnorm.weight") == 1.5f);
    assert_true(first_of(g, "blk.2.nextn.shared_head_norm.weight") == 1.5f);
    assert_true(first_of(g, "blk.2.nextn.shared_head_head.weight") == 0.5f);
    assert_true(first_of(g, "blk.2.nextn.embed_tokens.weight") == 0.5f);
    assert_true(first_of(g, "blk.3.attn_q_norm.weight") == 1.5f);
    assert_true(first_of(g, "blk.3.ssm_norm.weight") == 0.5f);
    const struct gguf_tensor *t = gguf_find_tensor(g, "blk.3.ffn_up_exps.weight");
    assert_non_null(t);
    assert_true(t->dim[0] == 4 && t->dim[1] == 2 && t->dim[2] == N_EXPERTS && t->n_dims == 3);
    assert_int_equal(t->size, N_EXPERTS * 8 * sizeof(float));
    for (int i = 0; i < N_EXPERTS * 8; i++) {
        float x;
        memcpy(&x, t->data + (size_t)i * sizeof x, sizeof x);
        assert_true(x == (float)(10 + i / 8));
    }
    gguf_close(g);
}

static void test_further_tokens_refused(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_with_mtp("qwen35moe"); /* experts of different sizes */
    put_floats(g, "mtp.layers.1.mlp.experts.2.up_proj.weight", 2, 4, 3, 1);
    assert_int_equal(legacy_translate_mtp(g, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "blk.3.mlp.experts.2.up_proj.weight"));
    gguf_close(g);
    g = open_with_mtp("qwen35"); /* too many */
    for (int b = N_BLOCKS; b < 17; b++) {
        char name[64];
        snprintf(name, sizeof name, "mtp.layers.%d.attn_q.weight", b);
        put_floats(g, name, 2, 4, 4, 1);
    }
    assert_int_equal(legacy_translate_mtp(g, &e), ST_LIMIT);
    gguf_close(g);
    g = open_with_mtp("llama"); /* somebody else's names */
    OK(legacy_translate_mtp(g, &e));
    assert_non_null(gguf_find_tensor(g, "mtp.fc.weight"));
    gguf_close(g);
}

/* Halves of the fused matrix, as tensors of their own. */
static void split_rows(struct gguf *g, const char *from, const char *first, const char *second) {
    struct err e = {0};
    OK(gguf_edit_decode(g, from, &e));
    const struct gguf_tensor t = *gguf_find_tensor(g, from);
    const int64_t dim[4] = {t.dim[0], t.dim[1] / 2, 1, 1};
    const size_t n = t.size / 2;
    float *a, *b;
    OK(gguf_edit_floats(g, first, 2, dim, &a, &e));
    OK(gguf_edit_floats(g, second, 2, dim, &b, &e));
    memcpy(a, t.data, n);
    memcpy(b, t.data + n, n);
}
static void test_glmocr(void **state) {
    (void)state;
    struct err e = {0};
    static const char up[] = "blk.0.ffn_up.weight";
    struct gguf *g = open_shared("glm4"), *today = open_shared("glm4");
    OK(gguf_edit_decode(today, up, &e));
    const struct gguf_tensor *want = gguf_find_tensor(today, up);
    split_rows(g, up, "blk.0.ffn_gate.weight", up);
    OK(gguf_edit_arch(g, "glm4", "glmocr", &e));
    OK(legacy_translate(g, &e));
    const struct gguf_tensor *got = gguf_find_tensor(g, up);
    assert_int_equal(got->dim[1], want->dim[1]);
    assert_int_equal(got->size, want->size);
    assert_memory_equal(got->data, want->data, want->size);
    gguf_close(g);
    gguf_close(today);
}

/* "YWI=" is "ab". */
static void test_bert_charsmap(void **state) {
    (void)state;
    static const struct gguf_str letters[] = {{"Y", 1}, {"W", 1}, {"I", 1}, {"=", 1}};
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    static const int64_t want[] = {'a', 'b'};
    for (size_t n = 4; n >= 3; n--) {
        struct err e = {0};
        struct buf b = {0};
        struct gguf *g;
        struct gguf_writer *w;
        OK(gguf_writer_new(&w, &e));
        gguf_put_text(w, "general.architecture", "bert");
        gguf_put_text(w, "tokenizer.ggml.model", "t5");
        gguf_put_array(w, key, GGUF_STRING, n, letters);
        OK(gguf_write_to(w, gguf_to_buf, &b, &e));
        OK(gguf_write_finish(w, &e));
        gguf_writer_free(w);
        OK(gguf_open_memory(&g, b.data, b.len, "bert", &e));
        const enum status st = legacy_translate(g, &e);
        if (n == 4) {
            assert_int_equal(st, ST_OK);
            assert_ints(g, key, want, 2);
        } else { /* an unfinished group */
            assert_int_equal(st, ST_FORMAT);
            assert_non_null(strstr(e.msg, key));
        }
        gguf_close(g);
        buf_free(&b);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    for (long n = 1, done = 0; !done; n++) {
        struct err e = {0};
        struct gguf *g = open_golden("gpt-oss-f32");
        OK(gguf_edit_arch(g, "gpt-oss", "gptoss", &e));
        mem_fail_at(n);
        enum status st = legacy_translate(g, &e);
        mem_fail_at(0);
        done = st == ST_OK;
        if (!done) assert_int_equal(st, ST_NO_MEMORY);
        gguf_close(g);
    }
    for (long n = 1, done = 0; !done; n++) {
        struct err e = {0};
        struct gguf *g = open_with_mtp("qwen35moe");
        mem_fail_at(n);
        enum status st = legacy_translate_mtp(g, &e);
        mem_fail_at(0);
        done = st == ST_OK;
        if (!done) assert_int_equal(st, ST_NO_MEMORY);
        gguf_close(g);
    }
}

static void test_clashing_names_are_refused(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g = open_golden("llama-base");
    assert_int_equal(gguf_edit_tensor_names(g, "ffn_gate", "ffn_up", &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "twice"));
    gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embeddinggemma),
        cmocka_unit_test(test_lfm2),
        cmocka_unit_test(test_qwen35),
        cmocka_unit_test(test_gptoss),
        cmocka_unit_test(test_olmo3),
        cmocka_unit_test(test_gemma3),
        cmocka_unit_test(test_gemma3_of_the_long_kind),
        cmocka_unit_test(test_todays_files_stay),
        cmocka_unit_test(test_gemma3n),
        cmocka_unit_test(test_gemma4_scale),
        cmocka_unit_test(test_mistral3),
        cmocka_unit_test(test_qwen_vl),
        cmocka_unit_test(test_glm4moelite),
        cmocka_unit_test(test_llama3_vocabulary),
        cmocka_unit_test(test_nemotron),
        cmocka_unit_test(test_nemotron_omni),
        cmocka_unit_test(test_nemotron_latents),
        cmocka_unit_test(test_further_tokens),
        cmocka_unit_test(test_further_tokens_refused),
        cmocka_unit_test(test_glmocr),
        cmocka_unit_test(test_bert_charsmap),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_clashing_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
