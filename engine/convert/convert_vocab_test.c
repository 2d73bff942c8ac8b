/* convert_vocab_test.c - tokenizers with gaps, doubles, errors; pre-tokenizers; SentencePiece. */
#include "engine/convert/testing.h"

#include "base/mem.h"
#include "engine/convert/impl.h"
#include "engine/convert/vocab.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocabularies),
        cmocka_unit_test(vocabulary_errors),
        cmocka_unit_test(pre_tokenizers),
        cmocka_unit_test(sentencepiece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
