/* convert_adapter_test.c - LoRA adapters of both kinds against their definition; wrong ones. */
#include "engine/convert/testing.h"

#include <math.h>

static struct result make_base(void) {
    struct folder d;
    start(&d, LLAMA(""));
    add_f32(&d, "model.layers.0.self_attn.q_proj.weight", "[8,2]", 16);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    free_folder(&d);
    return r;
}

static struct folder lora_folder(const char *config, const char *a, const char *a_shape,
                                 const char *b, const char *b_shape) {
    struct folder d = {0};
    add_text(&d, "adapter_config.json", config);
    add_f32(&d, a, a_shape, 6);
    if (b != NULL) add_f32(&d, b, b_shape, 24);
    end_tensors(&d, "adapters.safetensors");
    return d;
}

#define PEFT "base_model.model.model.layers.0.self_attn.q_proj."
#define MLX "model.layers.0.self_attn.q_proj."

/* Rank 3 is more than the 2 columns of the base: only the base tells which side is which. */
static void adapters(void **state) {
    static const struct {
        const char *config, *a, *a_shape, *b, *b_shape;
        float alpha;
        bool transposed;
    } rows[] = {
        {"{\"lora_alpha\":6}", PEFT "lora_A.weight", "[3,2]", PEFT "lora_B.weight", "[8,3]", 6,
         false},
        {"{\"lora_alpha\":6,\"use_rslora\":true}", PEFT "lora_A.weight", "[3,2]",
         PEFT "lora_B.weight", "[8,3]", 10.392304f, false},
        {"{\"lora_parameters\":{\"scale\":20}}", MLX "lora_a", "[2,3]", MLX "lora_b", "[3,8]", 60,
         true},
    };
    struct result base = make_base();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder d =
            lora_folder(rows[i].config, rows[i].a, rows[i].a_shape, rows[i].b, rows[i].b_shape);
        struct result r = convert(&d, base.g);
        float alpha = 0;
        if (r.st != ST_OK) fail_msg("%s", r.e.msg);
        assert_int_equal(gguf_get_f32(r.g, "adapter.lora.alpha", &alpha, NULL), ST_OK);
        assert_true(fabsf(alpha - rows[i].alpha) < 1e-4f);
        assert_int_equal(gguf_find_tensor(r.g, "blk.0.attn_q.weight.lora_a")->dim[0], 2);
        assert_int_equal(gguf_find_tensor(r.g, "blk.0.attn_q.weight.lora_b")->dim[0], 3);
        /* Row 1 of the output is row 2 of B: its heads have 4 rows. */
        const float want = rows[i].transposed ? 2 : 6;
        assert_true(at(&r, "blk.0.attn_q.weight.lora_b", 3) == want);
        assert_true(at(&r, "blk.0.attn_q.weight.lora_a", 1) == (rows[i].transposed ? 3 : 1));
        free_result(&r);
        free_folder(&d);
    }
    free_result(&base);
}

static void wrong_adapters(void **state) {
    static const char *const rows[][5] = {
        {PEFT "lora_A.weight", "[3,2]", NULL, NULL, "no partner of the same rank"},
        {PEFT "lora_A.weight", "[3,2]", PEFT "lora_B.weight", "[12,2]", "does not fit"},
        {PEFT "lora_A.weight", "[1,6]", PEFT "lora_B.weight", "[8,3]", "does not fit"},
        {PEFT "lora_A.weight", "[6]", PEFT "lora_B.weight", "[8,3]", "has 1 dimensions"},
        {PEFT "weight", "[3,2]", PEFT "lora_B.weight", "[8,3]", "is no part of a LoRA adapter"},
    };
    struct result base = make_base();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder d =
            lora_folder("{\"lora_alpha\":1}", rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        struct result r = convert(&d, base.g);
        assert_int_not_equal(r.st, ST_OK);
        if (strstr(r.e.msg, rows[i][4]) == NULL) fail_msg("'%s', want '%s'", r.e.msg, rows[i][4]);
        free_result(&r);
        free_folder(&d);
    }
    free_result(&base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters),
        cmocka_unit_test(wrong_adapters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
