/* convert_test.c - what golden/convert does not show: transformations against their definition,
 * 8-bit weights in all their forms, values that F16 cannot hold, tokenizers with gaps, adapters,
 * wrong folders, and every allocation failing once. Folders are made in memory. */
#include "engine/convert/convert.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/convert/impl.h"
#include "engine/convert/vocab.h"

/* ---- folders in memory ---- */

enum { MAX_FILES = 12 };

struct folder {
    struct convert_file files[MAX_FILES];
    struct buf text[MAX_FILES];
    size_t n;
    struct buf header, data; /* of the safetensors file that is being made */
};

static void add_file(struct folder *d, const char *name, const char *text, size_t n) {
    struct buf *b = &d->text[d->n];
    buf_add(b, text, n);
    d->files[d->n++] = (struct convert_file){.name = name, .data = b->data, .size = b->len};
}

static void add_text(struct folder *d, const char *name, const char *text) {
    add_file(d, name, text, strlen(text));
}

static void add_tensor(struct folder *d, const char *name, const char *dtype, const char *shape,
                       const void *data, size_t n) {
    buf_printf(&d->header, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
               d->header.len == 0 ? '{' : ',', name, dtype, shape, d->data.len, d->data.len + n);
    buf_add(&d->data, data, n);
}

/* Rows of counting values: element i is i. */
static void add_f32(struct folder *d, const char *name, const char *shape, size_t n) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)i;
    add_tensor(d, name, "F32", shape, x, n * sizeof *x);
    free(x);
}

static void end_tensors(struct folder *d, const char *file) {
    struct buf b = {0};
    buf_chr(&d->header, '}');
    for (int i = 0; i < 8; i++) buf_chr(&b, (char)(d->header.len >> (8 * i)));
    buf_add(&b, d->header.data, d->header.len);
    buf_add(&b, d->data.data, d->data.len);
    add_file(d, file, b.data, b.len);
    buf_free(&b);
    buf_clear(&d->header);
    buf_clear(&d->data);
}

static void free_folder(struct folder *d) {
    for (size_t i = 0; i < d->n; i++) buf_free(&d->text[i]);
    buf_free(&d->header);
    buf_free(&d->data);
}

static const char plain_tokenizer[] =
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1}}}";

/* ---- conversion ---- */

static enum status collect(void *arg, const void *data, size_t n, struct err *e) {
    buf_add(arg, data, n);
    return ((struct buf *)arg)->failed ? err_no_memory(e) : ST_OK;
}

struct result {
    struct buf bytes;
    struct gguf *g;
    struct err e;
    enum status st;
};

static struct result convert(const struct folder *d, const struct gguf *base) {
    const struct convert_spec spec = {.files = d->files, .n_files = d->n, .base = base};
    struct result r = {0};
    struct conversion *c;
    r.st =
        base != NULL ? convert_open_adapter(&c, &spec, &r.e) : convert_open_model(&c, &spec, &r.e);
    if (r.st != ST_OK) return r;
    r.st = convert_write(c, CONVERT_MODEL, collect, &r.bytes, &r.e);
    convert_free(c);
    if (r.st == ST_OK) r.st = gguf_open_memory(&r.g, r.bytes.data, r.bytes.len, "out", &r.e);
    return r;
}

static void free_result(struct result *r) {
    gguf_close(r->g);
    buf_free(&r->bytes);
}

static struct result must_convert(const struct folder *d) {
    struct result r = convert(d, NULL);
    if (r.st != ST_OK) fail_msg("%s", r.e.msg);
    return r;
}

static void assert_refused(const struct folder *d, const char *message) {
    struct result r = convert(d, NULL);
    assert_int_not_equal(r.st, ST_OK);
    if (strstr(r.e.msg, message) == NULL) fail_msg("'%s', want '%s'", r.e.msg, message);
    free_result(&r);
}

/* Element i of a tensor of any float type. */
static float at(const struct result *r, const char *name, size_t i) {
    const struct gguf_tensor *t = gguf_find_tensor(r->g, name);
    if (t == NULL) fail_msg("no tensor %s", name);
    const struct dtype_info *info = dtype_info(t->type);
    float x;
    info->decode(t->data + i * info->bytes, &x, 1);
    return x;
}

static enum dtype type_of(const struct result *r, const char *name) {
    const struct gguf_tensor *t = gguf_find_tensor(r->g, name);
    if (t == NULL) fail_msg("no tensor %s", name);
    return t->type;
}

#define LLAMA(more)                                                                                \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":8,\"num_hidden_layers\":1,"         \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1" more "}"

static void start(struct folder *d, const char *config) {
    *d = (struct folder){0};
    add_text(d, "config.json", config);
    add_text(d, "tokenizer.json", plain_tokenizer);
}

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

/* ---- tokenizers ---- */

static void tokens_are(const char *tokenizer, const char *more, const char *want) {
    struct folder d = {0};
    struct buf got = {0}, config = {0};
    buf_printf(&config, "{\"architectures\":[\"LlamaForCausalLM\"]%s}", more);
    add_text(&d, "config.json", config.data);
    add_text(&d, "tokenizer.json", tokenizer);
    add_f32(&d, "model.norm.weight", "[2]", 2);
    end_tensors(&d, "model.safetensors");
    struct result r = must_convert(&d);
    const struct gguf_kv *t = gguf_find(r.g, "tokenizer.ggml.tokens");
    const struct gguf_kv *type = gguf_find(r.g, "tokenizer.ggml.token_type");
    for (uint64_t i = 0; i < t->count; i++) {
        const struct gguf_str s = gguf_elem_str(r.g, t, i);
        buf_printf(&got, "%s%.*s:%d", i > 0 ? " " : "", (int)s.len, s.ptr,
                   (int)gguf_elem_int(type, i));
    }
    assert_string_equal(got.data, want);
    buf_free(&got);
    buf_free(&config);
    free_result(&r);
    free_folder(&d);
}

static void vocabularies(void **state) {
    (void)state;
    tokens_are("{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true},"
               "{\"id\":1,\"content\":\"B\"}],\"model\":{\"vocab\":{\"b\":1,\"a\":0}}}",
               "", "a:1 B:4 [PAD2]:5 [PAD3]:5 <s>:3");
    tokens_are("{\"model\":{\"vocab\":{\"a\":0}}}", ",\"vocab_size\":3", "a:1 [PAD0]:4 [PAD1]:4");
    tokens_are("{\"model\":{\"vocab\":[[\"a\",-1],[\"b\",-2.5]]},"
               "\"added_tokens\":[{\"id\":0,\"content\":\"a\",\"special\":true}]}",
               "", "a:3 b:1");
}

static void vocabulary_errors(void **state) {
    static const char *const rows[][2] = {
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0}}}", "id 0 is there twice"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", "id is no number"},
        {"{\"model\":{\"vocab\":{\"a\":\"x\"}}}", "id is no number"},
        {"{\"model\":{\"vocab\":{\"a\":9000000}}}", "too large gaps"},
        {"{\"model\":{}}", "no vocabulary"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merge 0 is no pair"},
        {"{\"model\":{\"vocab\":[[\"a\"]]}}", "no list of [text, score]"},
        {"{", "tokenizer.json: "},
    };
    struct folder d;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        d = (struct folder){0};
        add_text(&d, "config.json", LLAMA(""));
        add_text(&d, "tokenizer.json", rows[i][0]);
        add_f32(&d, "model.norm.weight", "[2]", 2);
        end_tensors(&d, "model.safetensors");
        assert_refused(&d, rows[i][1]);
        free_folder(&d);
    }
}

/* Two spellings of the same expression; the digest knows only one of them. */
static void pre_tokenizers(void **state) {
    static const char rest[] = "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?"
                               "[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|"
                               "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+";
    static const char *const rows[][2] = {
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)", "llama-bpe"},
        {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "llama-bpe"},
        {"x", "default"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder d = {0};
        struct buf tokenizer = {0};
        struct gguf_str pre;
        buf_printf(
            &tokenizer,
            "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
            "\"pattern\":{\"Regex\":\"%s%s\"}}]},\"model\":{\"vocab\":{\"a\":0}}}",
            rows[i][0], rest);
        add_text(&d, "config.json", LLAMA(""));
        add_text(&d, "tokenizer.json", tokenizer.data);
        add_f32(&d, "model.norm.weight", "[2]", 2);
        end_tensors(&d, "model.safetensors");
        struct result r = must_convert(&d);
        assert_int_equal(gguf_get_str(r.g, "tokenizer.ggml.pre", &pre, NULL), ST_OK);
        assert_int_equal(pre.len, strlen(rows[i][1]));
        assert_memory_equal(pre.ptr, rows[i][1], pre.len);
        free_result(&r);
        free_folder(&d);
        buf_free(&tokenizer);
    }
}

/* Pieces { 1: text, 2: score, 3: type }, then what is wrong with each. */
static void sentencepiece(void **state) {
    static const char good[] = "\x0A\x0A\x0A\x01"
                               "a\x15\x00\x00\x80\xBF\x18\x02"
                               "\x0A\x03\x0A\x01"
                               "b\x12\x02xx";
    struct conversion c = {0};
    struct vocab_in v = {0};
    (void)state;
    assert_true(spm_parse(&c, &v, (const unsigned char *)good, sizeof good - 1));
    assert_int_equal(v.n, 2);
    assert_true(v.score[0] == -1 && v.type[0] == TOKEN_UNKNOWN && v.type[1] == TOKEN_NORMAL);
    for (size_t n = 1; n < sizeof good - 1; n++) { /* cut anywhere: refused, or whole pieces */
        c.first = (struct err){0};
        v.n = 0;
        const bool ok = spm_parse(&c, &v, (const unsigned char *)good, n);
        assert_true(ok == (n == 12 || n == 17));
    }
    c.first = (struct err){0};
    assert_false(spm_parse(&c, &v, (const unsigned char *)"\x0A\x02\x18\x07", 4)); /* type 7 */
    vocab_free(&v);
    arena_free(&c.arena);
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

/* ---- adapters ---- */

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
        cmocka_unit_test(names),
        cmocka_unit_test(words_that_are_no_json),
        cmocka_unit_test(heads),
        cmocka_unit_test(heads_that_do_not_divide),
        cmocka_unit_test(experts),
        cmocka_unit_test(too_large_for_f16),
        cmocka_unit_test(kinds_of_values),
        cmocka_unit_test(fp8),
        cmocka_unit_test(fp8_errors),
        cmocka_unit_test(vocabularies),
        cmocka_unit_test(vocabulary_errors),
        cmocka_unit_test(pre_tokenizers),
        cmocka_unit_test(sentencepiece),
        cmocka_unit_test(wrong_configs),
        cmocka_unit_test(wrong_sets),
        cmocka_unit_test(adapters),
        cmocka_unit_test(wrong_adapters),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
