/* vocab_test.c - vocabularies made in memory: load errors, special tokens, limits, long inputs,
 * failing allocations. What real vocabularies give is the business of golden-check. */
#include "engine/vocab/vocab.h"

#include <math.h>

#include "engine/vocab/testing.h"

/* -- load errors ------------------------------------------------------------------------------- */

static void test_load_errors(void **state) {
    (void)state;
    static const char *const two[] = {"a", "b"};
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "nonsense");
    expect_error(&m, ST_UNSUPPORTED, "unknown tokenizer: 'nonsense'");
    m = (struct maker){{0}, 0};
    make_str(&m, "general.name", "x");
    expect_error(&m, ST_NOT_FOUND, "tokenizer.ggml.model");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    expect_error(&m, ST_FORMAT, "cannot find tokenizer vocab in model file");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "gpt2");
    make_str(&m, "tokenizer.ggml.pre", "gpt-2");
    make_strs(&m, "tokenizer.ggml.tokens", two, 2);
    expect_error(&m, ST_FORMAT, "cannot find tokenizer merges in model file");
    m = (struct maker){{0}, 0};
    bpe_make(&m, "no-such-pre");
    expect_error(&m, ST_UNSUPPORTED, "unknown pre-tokenizer type: 'no-such-pre'");
}

static void test_array_errors(void **state) {
    (void)state;
    static const char *const three[] = {"a", "b", "c"}, *const twice[] = {"a", "b", "a"};
    static const char *const literal[] = {"<a b>", "x", "<a b>"};
    static const int types[] = {1, 1, 1};
    static const float scores[] = {0, 0};
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_strs(&m, "tokenizer.ggml.tokens", three, 3);
    make_f32s(&m, "tokenizer.ggml.scores", scores, 2);
    expect_error(&m, ST_FORMAT, "tokenizer.ggml.scores has 2 entries for 3 tokens");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_strs(&m, "tokenizer.ggml.tokens", three, 3);
    make_i32s(&m, "tokenizer.ggml.token_type", types, 2);
    expect_error(&m, ST_FORMAT, "tokenizer.ggml.token_type has 2 entries for 3 tokens");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_strs(&m, "tokenizer.ggml.tokens", three, 3);
    make_strs(&m, "tokenizer.ggml.token_type", three, 3);
    expect_error(&m, ST_FORMAT, "tokenizer.ggml.token_type is no array of i32");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_i32s(&m, "tokenizer.ggml.tokens", types, 3);
    expect_error(&m, ST_FORMAT, "tokenizer.ggml.tokens is no array of strings");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_strs(&m, "tokenizer.ggml.tokens", twice, 3);
    expect_error(&m, ST_FORMAT, "tokens 0 and 2 have the same text: 'a'");
    m = (struct maker){{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "gpt2");
    make_str(&m, "tokenizer.ggml.pre", "gpt-2");
    make_strs(&m, "tokenizer.ggml.tokens", literal, 3);
    make_strs(&m, "tokenizer.ggml.merges", three, 3);
    expect_error(&m, ST_FORMAT, "tokens 0 and 2 have the same text: '<a b>'");
}

static void test_odd_files(void **state) {
    (void)state;
    static const char *const texts[] = {"", "a", "b", "ab"};
    static const char *const merges[] = {"", "ab", " ", "a ", " b", "a b", "a b c", "\xFF \xFE"};
    static const int i32_scores[] = {1, 2, 3, 4};
    struct file f;
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "gpt2");
    make_strs(&m, "tokenizer.ggml.tokens", texts, 4);
    make_i32s(&m, "tokenizer.ggml.scores", i32_scores, 4); /* integers are accepted */
    make_strs(&m, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
    make_u32(&m, "tokenizer.ggml.eos_token_id", 77); /* no such token: ignored */
    assert_int_equal(file_open(&f, &m), ST_OK);
    size_t len;
    assert_string_equal(vocab_pre_name(f.vocab), "");
    assert_int_equal(vocab_special(f.vocab)->eos, TOKEN_NONE); /* so is the default, 11 */
    assert_memory_equal(vocab_text(f.vocab, 0, &len), "[EMPTY_0]", 9);
    assert_int_equal(vocab_find(f.vocab, "[EMPTY_0]", 9), 0);
    assert_string_equal(ids(f.vocab, "ab", 0), "3");
    assert_string_equal(ids(f.vocab, "\n", 0), ""); /* bytes without token are dropped */
    assert_int_equal(vocab_special(f.vocab)->nl, TOKEN_NONE);
    file_close(&f);
}

/* -- encoding ---------------------------------------------------------------------------------- */

static void test_spm(void **state) {
    (void)state;
    struct file f;
    spm_open(&f);
    assert_string_equal(ids(f.vocab, "", VOCAB_ADD_SPECIAL), "1");
    assert_string_equal(ids(f.vocab, "a", VOCAB_ADD_SPECIAL), "1 265");
    assert_string_equal(ids(f.vocab, "  a", 0), "266 265");     /* U+2581 a before two U+2581 */
    assert_string_equal(ids(f.vocab, "aab", 0), "259 262 261"); /* equal scores: the leftmost */
    assert_string_equal(ids(f.vocab, "aaaaa", 0), "259 263 260");
    assert_string_equal(ids(f.vocab, "z\xFF", 0), "259 125 258"); /* bytes, also invalid ones */
    assert_string_equal(ids_of(f.vocab, "\0a", 2, 0), "259 3 260");
    assert_int_equal(vocab_special(f.vocab)->nl, 13);
    file_close(&f);
}

static void test_spm_order(void **state) {
    (void)state;
    static const char *const texts[] = {"a", "b", "c", "ab", "bc", "\xC3\xA9z"};
    const float scores[] = {0, 0, 0, -0.0F, 0.0F, -INFINITY};
    struct file f;
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_strs(&m, "tokenizer.ggml.tokens", texts, 6);
    make_f32s(&m, "tokenizer.ggml.scores", scores, 6);
    make_bool(&m, "tokenizer.ggml.add_space_prefix", false);
    assert_int_equal(file_open(&f, &m), ST_OK);
    assert_string_equal(ids(f.vocab, "abc", 0), "3 2");     /* -0 and 0 are equal */
    assert_string_equal(ids(f.vocab, "\xC3\xA9z", 0), "5"); /* from characters without token */
    assert_string_equal(ids(f.vocab, "x", 0), "0");         /* no byte token: unknown, which is 0 */
    file_close(&f);
}

static void test_bpe(void **state) {
    (void)state;
    struct file f;
    bpe_open(&f, "gpt-2");
    assert_string_equal(ids(f.vocab, "aaaaaaa", 0), "257 256 97");
    assert_string_equal(ids(f.vocab, "  a", 0), "32 258");
    assert_string_equal(ids(f.vocab, "bcd", 0), "261");
    assert_string_equal(ids(f.vocab, "bc", 0), "98 99");         /* merged, but no token: spelled */
    assert_string_equal(ids(f.vocab, "abcd", 0), "260 99 100");  /* a token that merging misses */
    assert_string_equal(ids(f.vocab, "abcd", 0), "260 99 100");  /* again, now that it is known */
    assert_string_equal(ids(f.vocab, "\xFF", 0), "239 191 189"); /* U+FFFD */
    assert_string_equal(ids(f.vocab, "\xC0\xAF", 0), "47");      /* overlong: made short */
    file_close(&f);
    bpe_open(&f, "llama-bpe");
    assert_string_equal(ids(f.vocab, "abcd", 0), "264"); /* ignore_merges */
    file_close(&f);
}

static void test_special_cut(void **state) {
    (void)state;
    static const char *const texts[] = {
        "<unk>", "<s>", "</s>", "ab", "bcde",         "a",  "b", "c",
        "d",     "e",   "abab", "x",  "\xE2\x96\x81", "[M]"};
    static const int types[] = {2, 3, 3, 4, 4, 1, 1, 1, 1, 1, 3, 1, 1, 3};
    struct file f;
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "llama");
    make_str(&m, "general.name", "My Phi-3 model"); /* control and user tokens strip to the right */
    make_strs(&m, "tokenizer.ggml.tokens", texts, 14);
    make_i32s(&m, "tokenizer.ggml.token_type", types, 14);
    make_bool(&m, "tokenizer.ggml.add_space_prefix", false);
    assert_int_equal(file_open(&f, &m), ST_OK);
    /* The longer token wins although the shorter one begins earlier. */
    assert_string_equal(ids(f.vocab, "abcde", 0), "5 4");
    assert_string_equal(ids(f.vocab, "abab", 0), "3 3");
    assert_string_equal(ids(f.vocab, "ababab", VOCAB_PARSE_SPECIAL), "10 3");
    /* "abab" at 2 loses to the one at 0; "ab" is what is left there. */
    assert_string_equal(ids(f.vocab, "abababcde", VOCAB_PARSE_SPECIAL), "10 5 4");
    assert_string_equal(ids(f.vocab, "ab \n ab\tx", 0), "3 3 11"); /* RSTRIP */
    assert_string_equal(ids(f.vocab, "x [M]  ", VOCAB_PARSE_SPECIAL), "11 12 13");
    assert_string_equal(ids(f.vocab, "<s> x", VOCAB_PARSE_SPECIAL), "1 12 11"); /* but not <s> */
    assert_int_equal(vocab_attr(f.vocab, 3), TOKEN_USER | TOKEN_RSTRIP);
    file_close(&f);
}

static void test_specials(void **state) {
    (void)state;
    struct file f;
    size_t len;
    spm_open(&f);
    assert_string_equal(ids(f.vocab, "a<|x|> a", VOCAB_PARSE_SPECIAL), "265 268 259 265");
    assert_true(vocab_is_eog(f.vocab, 2));
    assert_true(vocab_is_eog(f.vocab, 267)); /* by its text, and so a control token */
    assert_false(vocab_is_eog(f.vocab, 268));
    assert_int_equal(vocab_attr(f.vocab, 267), TOKEN_USER | TOKEN_CONTROL);
    assert_int_equal(vocab_special(f.vocab)->eot, 267);
    vocab_piece(f.vocab, 267, false, &len);
    assert_int_equal(len, 0);
    assert_memory_equal(vocab_piece(f.vocab, 267, true, &len), "<|im_end|>", 10);
    assert_memory_equal(vocab_piece(f.vocab, 3 + 'q', false, &len), "q", 1);
    assert_memory_equal(vocab_piece(f.vocab, 265, false, &len), " a", 2);
    static const token_id wrong[] = {-1, 269, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 4; i++) {
        vocab_piece(f.vocab, wrong[i], true, &len);
        assert_int_equal(len, 0);
        vocab_text(f.vocab, wrong[i], &len);
        assert_int_equal(len, 0);
        assert_int_equal(vocab_attr(f.vocab, wrong[i]), 0);
        assert_false(vocab_is_eog(f.vocab, wrong[i]));
    }
    file_close(&f);
}

static void test_find(void **state) {
    (void)state;
    struct file f;
    char long_text[1000];
    memset(long_text, 'a', sizeof long_text);
    bpe_open(&f, "qwen2");
    assert_int_equal(vocab_find(f.vocab,
                                "\xC4\xA0"
                                "a",
                                3),
                     258);
    assert_int_equal(vocab_find(f.vocab, " a", 2),
                     TOKEN_NONE); /* stored texts, not what they print */
    assert_int_equal(vocab_find(f.vocab, "<|im_start|>", 12), 262);
    assert_int_equal(vocab_find(f.vocab, "bc", 2), TOKEN_NONE); /* a merge, no token */
    assert_int_equal(vocab_find(f.vocab, "", 0), TOKEN_NONE);
    assert_int_equal(vocab_find(f.vocab, long_text, sizeof long_text), TOKEN_NONE);
    assert_string_equal(vocab_kind_name(f.vocab), "gpt2");
    assert_string_equal(vocab_pre_name(f.vocab), "qwen2");
    file_close(&f);
}

static void test_detokenize(void **state) {
    (void)state;
    static const char text[] = "it 's me ' you ! or . 'm 're , x";
    struct file f;
    struct buf out = {0};
    struct token_list list = {0};
    bpe_open(&f, "gpt-2");
    assert_int_equal(vocab_encode(f.vocab, text, strlen(text), 0, &list, NULL), ST_OK);
    vocab_detokenize(f.vocab, list.ids, list.len, false, false, &out);
    assert_string_equal(out.data, "it's me'you! or.'m're, x");
    file_close(&f);
    bpe_open(&f, "qwen2"); /* a pre-tokenizer without clean-up */
    buf_clear(&out);
    vocab_detokenize(f.vocab, list.ids, list.len, false, false, &out);
    assert_string_equal(out.data, text);
    file_close(&f);
    spm_open(&f);
    buf_clear(&out);
    vocab_detokenize(f.vocab, (token_id[]){265, 265, 2}, 3, false, true, &out);
    assert_string_equal(out.data, "a a</s>"); /* one space less in front */
    buf_clear(&out);
    vocab_detokenize(f.vocab, (token_id[]){1, 265}, 2, true, true, &out);
    assert_string_equal(out.data, " a"); /* but not behind a removed BOS */
    file_close(&f);
    token_list_free(&list);
    buf_free(&out);
}

/* -- every byte comes back --------------------------------------------------------------------- */

static void expect_same(const struct vocab *v, const char *text, size_t len, bool prefix) {
    struct token_list list = {0};
    struct buf out = {0};
    size_t n;
    assert_int_equal(vocab_encode(v, text, len, VOCAB_PARSE_SPECIAL, &list, NULL), ST_OK);
    for (size_t i = 0; i < list.len; i++) {
        const char *piece = vocab_piece(v, list.ids[i], true, &n);
        buf_add(&out, piece, n);
    }
    size_t skip = prefix && len > 0;
    assert_int_equal(out.len, len + skip);
    if (len > 0) assert_memory_equal(out.data + skip, text, len);
    token_list_free(&list);
    buf_free(&out);
}

static void test_round_trip(void **state) {
    (void)state;
    struct file spm, bpe;
    char text[700];
    uint32_t x = 12345;
    spm_open(&spm);
    bpe_open(&bpe, "llama-bpe");
    for (size_t round = 0; round < 2000; round++) {
        size_t len = round % sizeof text;
        for (size_t i = 0; i < len; i++) {
            x = x * 1664525 + 1013904223;
            if (round % 3 == 0)
                text[i] = "ab \n"[x >> 30];
            else
                text[i] = (char)(x >> 16 & (round % 3 == 1 ? 0x7F : 0xFF));
        }
        if (round % 3 != 2) {
            expect_same(spm.vocab, text, len, true);
            expect_same(bpe.vocab, text, len, false);
        } else { /* bad bytes become U+FFFD in BPE; in SPM a space behind one can fall apart */
            ids_of(spm.vocab, text, len, 0);
            ids_of(bpe.vocab, text, len, VOCAB_PARSE_SPECIAL);
        }
    }
    file_close(&spm);
    file_close(&bpe);
}

/* -- long inputs ------------------------------------------------------------------------------- */

enum { LONG = 1 << 20 };

static char *repeat(const char *unit, size_t size) {
    char *text = mem_alloc(size);
    size_t n = strlen(unit);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++) text[i] = unit[i % n];
    return text;
}

/* Quadratic work on 1 MB would not end before the test run gives up. */
static void test_long_runs(void **state) {
    (void)state;
    static const char *const units[] = {
        "a",    " ",   "ab", "\n", "<",  "<|im_end|>", "\xF0\x9F\x98\x80", "\xE4\xB8\xAD",
        "a \n", "aab", "1",  "'s", "!?", "\r\n "};
    static const char *const pres[] = {"gpt-2", "qwen35", "default"};
    struct file f[1 + sizeof pres / sizeof pres[0]];
    size_t n = sizeof f / sizeof f[0];
    spm_open(&f[0]);
    for (size_t i = 1; i < n; i++) bpe_open(&f[i], pres[i - 1]);
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        size_t size = LONG / strlen(units[u]) * strlen(units[u]);
        char *text = repeat(units[u], size);
        for (size_t i = 0; i < n; i++) {
            bool control = units[u][0] == '<' && units[u][1] != '\0';
            expect_same(f[i].vocab, text, size, i == 0 && !control);
        }
        mem_free(text);
    }
    for (size_t i = 0; i < n; i++) file_close(&f[i]);
}

/* A single line of one thing, which is one piece: it comes out as it went in, and quadratic work
 * would never end. Times: bench/hostile_texts.py. */
static void sec_S_PA_8(void **state) {
    (void)state;
    static const char *const units[] = {"a", " ", "\xF0\x9F\x98\x80", "\xCC\x81", "\xFF"};
    const size_t size = 4 * LONG;
    struct file f;
    bpe_open(&f, "gpt-2");
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        char *text = repeat(units[u], size);
        struct token_list ids = {0};
        struct err e;
        size_t printed = 0;
        assert_int_equal(vocab_encode(f.vocab, text, size, 0, &ids, &e), ST_OK);
        for (size_t i = 0, n; i < ids.len; i++, printed += n)
            vocab_piece(f.vocab, ids.ids[i], false, &n);
        assert_int_equal(printed, (unsigned char)units[u][0] == 0xFF ? 3 * size : size);
        token_list_free(&ids);
        mem_free(text);
    }
    file_close(&f);
}

static void test_limits(void **state) {
    (void)state;
    struct file f;
    struct token_list out = {0};
    struct err e;
    spm_open(&f);
    assert_true(token_list_add(&out, 7));
    assert_int_equal(vocab_encode(f.vocab, "", ((size_t)1 << 30) + 1, 0, &out, &e), ST_LIMIT);
    assert_int_equal(out.len, 1);
    token_list_free(&out);
    file_close(&f);
}

/* -- failing allocations ----------------------------------------------------------------------- */

static void test_no_memory(void **state) {
    (void)state;
    struct file f;
    struct maker m = {{0}, 0};
    struct buf text = {0};
    for (int i = 0; i < 100; i++) buf_str(&text, "aab a");
    buf_str(&text, "<|im_end|> \xFF\xC0\x80 <|x|>  ");
    for (int i = 0; i < 300; i++) buf_str(&text, "a");
    spm_open(&f);
    fail_each(&f, text.data, text.len);
    file_close(&f);
    bpe_make(&m, "qwen2");
    assert_int_equal(file_open(&f, &m), ST_OK);
    fail_each(&f, text.data, text.len);
    file_close(&f);
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_errors), cmocka_unit_test(test_array_errors),
        cmocka_unit_test(test_odd_files),   cmocka_unit_test(test_spm),
        cmocka_unit_test(test_spm_order),   cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_special_cut), cmocka_unit_test(test_specials),
        cmocka_unit_test(test_find),        cmocka_unit_test(test_detokenize),
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_long_runs),
        cmocka_unit_test(sec_S_PA_8),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
