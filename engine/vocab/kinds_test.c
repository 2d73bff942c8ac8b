/* kinds_test.c - the kinds beside SPM and BPE on small vocabularies: what they give, what they
 * refuse, long inputs, failing allocations; and the weaknesses that other tokenizers had. */
#include "engine/vocab/testing.h"

#include "engine/vocab/ugm_norm.h"
#include "engine/vocab/vocab_impl.h"

#if defined(__SANITIZE_ADDRESS__) || defined(CRIA_HARD)
enum { LARGE = 1 << 20 };
#else
enum { LARGE = 1 << 26 };
#endif

static void kind_make(struct maker *m, const char *kind, const struct tokens *t) {
    *m = (struct maker){{0}, 0};
    make_str(m, "tokenizer.ggml.model", kind);
    make_tokens(m, t, true);
}

static void kind_open(struct file *f, struct maker *m) {
    if (file_open(f, m) != ST_OK) fail_msg("%s", f->err.msg);
}

/* -- WordPiece ----------------------------------------------------------------------------------
 */

static void wpm_tokens(struct tokens *t) {
    static const char *const texts[] = {
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]", /* 0 to 3 */
        "\xE2\x96\x81un",
        "\xE2\x96\x81"
        "a",
        "\xE2\x96\x81"
        "e",
        "\xE2\x96\x81,",
        "able",
        "b",
        "\xE2\x96\x81\xE4\xB8\xAD", /* 8 to 10 */
    };
    *t = (struct tokens){.n = 0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) add(t, texts[i], i < 4 ? 3 : 1, 0);
}

static void wpm_make(struct maker *m) {
    struct tokens t;
    wpm_tokens(&t);
    kind_make(m, "bert", &t);
    make_u32(m, "tokenizer.ggml.cls_token_id", 2);
    make_u32(m, "tokenizer.ggml.bos_token_id", 2);
    make_u32(m, "tokenizer.ggml.seperator_token_id", 3);
    make_u32(m, "tokenizer.ggml.unknown_token_id", 1);
}

static void test_wpm(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    wpm_make(&m);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "unable", 0), "4 8");
    assert_string_equal(ids(f.vocab, "unable", VOCAB_ADD_SPECIAL), "2 4 8 3");
    assert_string_equal(ids(f.vocab, "", VOCAB_ADD_SPECIAL), "2 3");
    assert_string_equal(ids(f.vocab, " UN\tABLE,a", 0), "4 1 7 5");
    file_close(&f);
}

static void test_wpm_characters(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    wpm_make(&m);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "\xC3\x89", 0), "6");      /* E with acute: e */
    assert_string_equal(ids(f.vocab, "e\xCC\x81 e", 0), "6 6"); /* marks vanish */
    assert_string_equal(ids(f.vocab,
                            "a\xE4\xB8\xAD"
                            "a",
                            0),
                        "5 10 5"); /* CJK alone */
    assert_string_equal(ids_of(f.vocab,
                               "a\0\xFF"
                               "b",
                               4, 0),
                        "5 9"); /* dropped */
    assert_string_equal(ids(f.vocab, "a,un ax", 0), "5 7 4 1");
    file_close(&f);
    wpm_make(&m);
    make_bool(&m, "tokenizer.ggml.normalizer.lowercase", false);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "A a", 0), "1 5");
    assert_string_equal(ids(f.vocab, "\xC3\xA9", 0), "1"); /* accents stay with the case */
    file_close(&f);
}

/* -- unigram ------------------------------------------------------------------------------------
 */

static void ugm_make(struct maker *m, bool collapse) {
    struct tokens t = {.n = 0};
    add(&t, "<pad>", 3, 0);
    add(&t, "</s>", 3, 0);
    add(&t, "<unk>", 2, 0);
    add(&t, "\xE2\x96\x81", 1, -2); /* 3 */
    add(&t, "a", 1, -3);            /* 4 */
    add(&t, "b", 1, -3);            /* 5 */
    add(&t, "ab", 1, -5);           /* 6 */
    add(&t,
        "\xE2\x96\x81"
        "ab",
        1, -7);            /* 7: as good as 3 and 6 */
    add(&t, "bb", 1, -7);  /* 8: worse than 5 5 */
    add(&t, "user", 4, 0); /* 9 */
    kind_make(m, "t5", &t);
    make_bool(m, "tokenizer.ggml.add_space_prefix", true);
    make_bool(m, "tokenizer.ggml.remove_extra_whitespaces", collapse);
}

static void test_ugm(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    ugm_make(&m, true);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "ab", 0),
                        "7"); /* a tie: found first, from the earlier start */
    assert_string_equal(ids(f.vocab, "bb", VOCAB_ADD_SPECIAL), "3 5 5 1");
    assert_string_equal(ids(f.vocab, "  ab   b ", 0), "7 3 5");
    assert_string_equal(ids(f.vocab, "xyz a", 0), "3 2 3 4"); /* unknown ones are one */
    assert_string_equal(ids(f.vocab, "", 0), "");
    assert_string_equal(ids(f.vocab, "   ", 0), "");
    file_close(&f);
    ugm_make(&m, false);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "a  b", 0), "3 4 3 3 5");
    file_close(&f);
}

/* Words on their own are the words of the text as a whole. The second vocabulary has one token
 * more, which no text here can use but which reaches over a word; the third a score that makes sums
 * inexact. Both are encoded as a whole. */
enum { UGM_WORDS, UGM_REACHES, UGM_INEXACT, UGM_WAYS };

static uint32_t drawn(uint32_t *seed, uint32_t below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

static void ugm_random(struct maker *m, uint32_t seed, int way) {
    static const char *const part[] = {"\xE2\x96\x81", "a", "b", "c", "\xC3\xA9"};
    static char text[30][32];
    struct tokens t = {.n = 0};
    add(&t, "<pad>", 3, 0);
    add(&t, "</s>", 3, 0);
    add(&t, "<unk>", 2, 0);
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t n = 1 + drawn(&seed, 4);
        char *to = text[i];
        for (uint32_t k = 0; k < n; k++)
            to = stpcpy(to, part[k == 0 ? drawn(&seed, 5) : 1 + drawn(&seed, 4)]);
        bool known = false;
        for (uint32_t k = 0; k < i; k++) known = known || strcmp(text[k], text[i]) == 0;
        const float score = -(float)(1 + drawn(&seed, 64)) / 8; /* ties, too */
        if (!known) add(&t, text[i], 1, score);
    }
    add(&t, way == UGM_REACHES ? "Z\xE2\x96\x81Z" : "ZZ", 1, way == UGM_INEXACT ? -1e-30F : -1);
    kind_make(m, "t5", &t);
    make_bool(m, "tokenizer.ggml.add_space_prefix", seed % 2 != 0);
    make_bool(m, "tokenizer.ggml.remove_extra_whitespaces", seed % 3 != 0);
}

static void test_ugm_words(void **state) {
    (void)state;
    static const char *const part[] = {" ", "a", "b", "c", "\xC3\xA9", "z", "\xE2\x96\x81", "\xF0"};
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct file f[UGM_WAYS];
        uint32_t x = seed;
        struct buf text = {0};
        const uint32_t n = seed % 4 == 0 ? 2000 : 1 + drawn(&x, 40); /* long ones remember words */
        for (uint32_t i = 0; i < n; i++) buf_str(&text, part[drawn(&x, seed % 2 != 0 ? 6 : 8)]);
        struct token_list got[UGM_WAYS] = {{0}};
        for (int way = 0; way < UGM_WAYS; way++) {
            struct maker m;
            ugm_random(&m, 1000 * seed, way);
            kind_open(&f[way], &m);
            assert_int_equal(
                vocab_encode(f[way].vocab, text.data, text.len, 0, &got[way], &f[way].err), ST_OK);
            assert_int_equal(got[way].len, got[0].len);
            assert_memory_equal(got[way].ids, got[0].ids, got[0].len * sizeof(token_id));
        }
        for (int way = 0; way < UGM_WAYS; way++) {
            token_list_free(&got[way]);
            file_close(&f[way]);
        }
        buf_free(&text);
    }
}

/* A map of "a" to "bb": node 0's base is 0, so a leads to unit 'a', and that to the value. */
static void put_charsmap(struct maker *m, uint32_t units, const char *text, size_t len, bool cut) {
    make_key(m, "tokenizer.ggml.precompiled_charsmap", 9);
    const uint32_t n = 4 + 4 * units + (uint32_t)len - (cut ? 4 * units : 0);
    put(&m->kv, 0, 4); /* u8 */
    put(&m->kv, n, 8);
    put(&m->kv, 4 * units, 4);
    for (uint32_t i = 0; i < units && !cut; i++) {
        uint32_t unit = 0x80000000u; /* nobody's child */
        if (i == 0) unit = 0;
        if (i == 'a') unit = 'a' | 0x100 | ('a' ^ 1u) << 10;
        if (i == 1) unit = 0x80000000u; /* the value 0 */
        put(&m->kv, unit, 4);
    }
    buf_add(&m->kv, text, len);
}

static void test_charsmap(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    ugm_make(&m, true);
    put_charsmap(&m, 256, "bb", 3, false);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "a", 0), "3 5 5");
    assert_string_equal(ids(f.vocab, "ab", 0), "3 5 5 5");
    assert_string_equal(ids(f.vocab, "ba", 0), "3 5 5 5");
    file_close(&f);
    ugm_make(&m, true); /* a replacement without an end stops at the end of the map */
    put_charsmap(&m, 256, "bb", 1, false);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "a", 0), "3 5");
    file_close(&f);
    ugm_make(&m, true); /* units that point outside map nothing */
    put_charsmap(&m, 'a' + 1, "bb", 3, false);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "a", 0), "3 5 5");
    file_close(&f);
    ugm_make(&m, true);
    put_charsmap(&m, 256, "", 0, true);
    expect_error(&m, ST_FORMAT, "precompiled_charsmap");
}

/* A map that makes a thousand bytes of each is stopped. */
static void test_charsmap_bomb(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    char text[5001], many[400];
    struct token_list out = {0};
    struct err e = {0};
    memset(text, 'b', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(many, 'a', sizeof many);
    ugm_make(&m, true);
    put_charsmap(&m, 256, text, sizeof text, false);
    kind_open(&f, &m);
    assert_int_equal(vocab_encode(f.vocab, many, sizeof many, 0, &out, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "precompiled_charsmap"));
    assert_int_equal(out.len, 0);
    token_list_free(&out);
    file_close(&f);
}

/* -- RWKV, PLaMo 2, DNA, white space, none --------------------------------------------------------
 */

static void rwkv_make(struct maker *m, bool unknown) {
    struct tokens t = {.n = 0};
    add(&t, "<s>", 3, 0);
    add(&t, "\\n", 1, 0);
    add(&t, "a", 1, 0);
    add(&t, "\\x61b\\\\", 1, 0); /* 3: ab\ */
    add(&t, "\\xff", 1, 0);
    add(&t, "abc", 1, 0);
    kind_make(m, "rwkv", &t);
    if (unknown) make_u32(m, "tokenizer.ggml.unknown_token_id", 0);
    make_bool(m, "tokenizer.ggml.add_bos_token", true);
}

static void test_rwkv(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    struct token_list out = {0};
    struct err e = {0};
    size_t len;
    rwkv_make(&m, true);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "aab\\abc\n\xFFx", VOCAB_ADD_SPECIAL), "2 3 5 1 4 0");
    assert_memory_equal(vocab_piece(f.vocab, 3, false, &len), "ab\\", 3);
    assert_int_equal(len, 3);
    assert_int_equal(vocab_special(f.vocab)->nl, 1);
    file_close(&f);
    rwkv_make(&m, false);
    kind_open(&f, &m);
    assert_int_equal(vocab_encode(f.vocab, "ax", 2, 0, &out, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "byte 1"));
    assert_int_equal(out.len, 0);
    token_list_free(&out);
    file_close(&f);
}

/* One token, then the bytes from 1: id 0 counts as missing. */
static void plamo_make(struct maker *m, bool complete) {
    struct tokens t = {.n = 0};
    if (complete) add(&t, "<|plamo:unk|>", 2, 0);
    add_byte_tokens(&t);
    add(&t, "a", 1, -1);  /* 257 */
    add(&t, "aa", 1, -2); /* 258: as cheap as two of them, and longer */
    add(&t, "ab", 1, -9);
    add(&t, "b", 1, -1);
    kind_make(m, "plamo2", &t);
}

static void test_plamo(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    plamo_make(&m, true);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "aaab", VOCAB_ADD_SPECIAL), "258 257 260");
    assert_string_equal(ids(f.vocab,
                            "\xEF\xBB\xBF"
                            "a",
                            0),
                        "257");
    assert_string_equal(ids(f.vocab, "\xC3\xA9", 0), "196 170"); /* bytes */
    assert_string_equal(ids(f.vocab, "\xF4\x90\x80\x80", 0), "245 145 129 129");
    assert_string_equal(ids(f.vocab, "\xFF", 0), "240 192 190"); /* U+FFFD */
    file_close(&f);
    plamo_make(&m, false);
    expect_error(&m, ST_FORMAT, "token <0x00> is missing");
}

static void test_dna(void **state) {
    (void)state;
    static const char *const merges[] = {"a b"};
    struct file f;
    struct maker m = {{0}, 0};
    struct tokens t = {.n = 0};
    add_mapped_bytes(&t);
    add(&t, "<dna>", 1, 0); /* 256 */
    add(&t, "</dna>", 1, 0);
    add(&t, "<oov>", 1, 0);
    add(&t, "ACGTAC\xEE\x80\x80", 1, 0);
    add(&t, "GAAAAA\xEE\x80\x80", 1, 0);
    add(&t, "ab", 1, 0);
    make_str(&m, "tokenizer.ggml.model", "hybriddna");
    make_str(&m, "tokenizer.ggml.pre", "gpt-2");
    make_tokens(&m, &t, false);
    make_strs(&m, "tokenizer.ggml.merges", merges, 1);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab, "ab<dna>acgtacg</dna>ab", 0), "261 256 259 260 257 261");
    assert_string_equal(ids(f.vocab, "<dna>nnn", 0), "256 258");
    assert_string_equal(ids(f.vocab, "<dna></dna>", 0), "256 257");
    size_t len;
    assert_memory_equal(vocab_piece(f.vocab, 259, false, &len), "ACGTAC", 6);
    assert_int_equal(len, 6);
    file_close(&f);
}

static void test_whitespace(void **state) {
    (void)state;
    static const char *const texts[] = {"a", "b", "ab", "c"}, *const merges[] = {"a b"};
    static const int types[] = {1, 1, 1, 1};
    struct file f;
    struct maker m = {{0}, 0};
    make_str(&m, "tokenizer.ggml.model", "whitespace");
    make_str(&m, "tokenizer.ggml.pre", "whitespace");
    make_strs(&m, "tokenizer.ggml.tokens", texts, 4);
    make_i32s(&m, "tokenizer.ggml.token_type", types, 4);
    make_strs(&m, "tokenizer.ggml.merges", merges, 1);
    make_bool(&m, "tokenizer.ggml.normalizer.lowercase", true);
    kind_open(&f, &m);
    assert_string_equal(ids(f.vocab,
                            "AB a\xC2\xA0"
                            "bx\n\nc",
                            0),
                        "2 0 1 3"); /* x vanishes */
    file_close(&f);
}

static void test_none(void **state) {
    (void)state;
    struct file f;
    struct maker m = {{0}, 0};
    struct token_list out = {0};
    struct err e = {0};
    size_t len;
    make_str(&m, "general.architecture", "llama");
    make_str(&m, "tokenizer.ggml.model", "no_vocab");
    make_u32(&m, "llama.vocab_size", 17);
    kind_open(&f, &m);
    assert_int_equal(vocab_size(f.vocab), 17);
    assert_int_equal(vocab_encode(f.vocab, "a", 1, 0, &out, &e), ST_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "no tokenizer"));
    assert_string_equal(vocab_piece(f.vocab, 3, true, &len), "");
    assert_int_equal(vocab_find(f.vocab, "a", 1), TOKEN_NONE);
    assert_int_equal(vocab_special(f.vocab)->bos, TOKEN_NONE);
    file_close(&f);
    m = (struct maker){{0}, 0};
    make_str(&m, "general.architecture", "llama");
    make_str(&m, "tokenizer.ggml.model", "none");
    make_u32(&m, "llama.vocab_size", UINT32_MAX);
    expect_error(&m, ST_LIMIT, "4294967295 tokens");
}

static void test_suppressed(void **state) {
    (void)state;
    static const int list[] = {3, -1, 99999, 4};
    struct file f;
    struct maker m;
    size_t n;
    ugm_make(&m, true);
    make_i32s(&m, "tokenizer.ggml.suppress_tokens", list, 4);
    kind_open(&f, &m);
    const token_id *got = vocab_suppressed(f.vocab, &n);
    assert_int_equal(n, 2);
    assert_true(got[0] == 3 && got[1] == 4);
    file_close(&f);
}

/* -- all kinds
 * -------------------------------------------------------------------------------------- */

typedef void make_fn(struct maker *m);
static void ugm_default(struct maker *m) { ugm_make(m, true); }
static void rwkv_default(struct maker *m) { rwkv_make(m, true); }
static void plamo_default(struct maker *m) { plamo_make(m, true); }
static make_fn *const makers[] = {wpm_make, ugm_default, rwkv_default, plamo_default};
enum { N_MAKERS = sizeof makers / sizeof *makers };

static void test_no_memory(void **state) {
    (void)state;
    static const char text[] = "ab, unable  a\xC3\xA9\xFF user </s> aaab";
    for (size_t i = 0; i < N_MAKERS; i++) {
        struct file f;
        struct maker m;
        makers[i](&m);
        kind_open(&f, &m);
        fail_each(&f, text, sizeof text - 1);
        file_close(&f);
    }
}

/* Quadratic work on a megabyte would not end before the test run gives up. */
static void test_long_runs(void **state) {
    (void)state;
    static const char *const units[] = {"a",         " ",    "ab", "\xF0\x9F\x98\x80",
                                        "e\xCC\x81", "\xFF", ","};
    for (size_t i = 0; i < N_MAKERS; i++) {
        struct file f;
        struct maker m;
        makers[i](&m);
        kind_open(&f, &m);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const size_t unit = strlen(units[u]), size = (1 << 20) / unit * unit;
            char *text = mem_alloc(size);
            struct token_list out = {0};
            for (size_t k = 0; k < size; k++) text[k] = units[u][k % unit];
            assert_int_equal(vocab_encode(f.vocab, text, size, 0, &out, NULL), ST_OK);
            token_list_free(&out);
            mem_free(text);
        }
        file_close(&f);
    }
}

/* -- weaknesses of others -------------------------------------------------------------------------
 */

/* The length of a token's text does not fit a signed byte, a signed short, ... */
static void sec_CVE_2025_49847(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 20};
    enum { N = sizeof lengths / sizeof *lengths };
    for (size_t kind = 0; kind < 2; kind++) {
        struct file f;
        struct maker m = {{0}, 0};
        make_str(&m, "tokenizer.ggml.model", kind == 0 ? "llama" : "rwkv");
        make_key(&m, "tokenizer.ggml.tokens", 9);
        put(&m.kv, 8, 4);
        put(&m.kv, N, 8);
        char *text = mem_alloc(lengths[N - 1]);
        memset(text, 'q', lengths[N - 1]);
        for (size_t i = 0; i < N; i++) put_text(&m.kv, text, lengths[i]);
        kind_open(&f, &m);
        for (size_t i = 0; i < N; i++) {
            size_t len;
            const char *piece = vocab_piece(f.vocab, (token_id)i, true, &len);
            assert_int_equal(len, lengths[i] != 0 ? lengths[i] : strlen("[EMPTY_0]"));
            assert_true(piece[len - 1] == (lengths[i] != 0 ? 'q' : ']'));
            struct buf out = {0};
            const token_id id = (token_id)i;
            vocab_detokenize(f.vocab, &id, 1, false, true, &out);
            assert_int_equal(out.len, len);
            buf_free(&out);
            if (kind == 0 || i == 0) continue;
            struct token_list list = {0};
            assert_int_equal(vocab_encode(f.vocab, text, lengths[i], 0, &list, NULL), ST_OK);
            assert_true(list.len == 1 && list.ids[0] == id);
            token_list_free(&list);
        }
        mem_free(text);
        file_close(&f);
    }
}

/* A text so long that a count in 32 bits, or its negative, would be wrong somewhere. */
static void sec_CVE_2025_52566(void **state) {
    (void)state;
    struct file f;
    struct maker m;
    struct token_list out = {0};
    char *text = mem_alloc(LARGE);
    memset(text, 'a', LARGE);
    rwkv_make(&m, true);
    kind_open(&f, &m);
    assert_int_equal(vocab_encode(f.vocab, text, LARGE, 0, &out, NULL), ST_OK);
    assert_int_equal(out.len, LARGE);
    out.len = 0;
    file_close(&f);
    bpe_open(&f, "gpt-2"); /* one piece: the long way of merging */
    assert_int_equal(vocab_encode(f.vocab, text, LARGE / 4, 0, &out, NULL), ST_OK);
    assert_int_equal(out.len, LARGE / 16);
    struct buf back = {0};
    vocab_detokenize(f.vocab, out.ids, out.len, false, false, &back);
    assert_int_equal(back.len, LARGE / 4);
    assert_memory_equal(back.data, text, LARGE / 4);
    buf_free(&back);
    token_list_free(&out);
    mem_free(text);
    file_close(&f);
}

/* "<0x-1>" and its like name no byte; nothing is written in front of a table. */
static void sec_lmstudio_bug_tracker_2289(void **state) {
    (void)state;
    static const char *const texts[] = {"<0x-1>", "<0x+1>", "<0x 1>", "<0xG0>", "<0x1>", "<0x001>",
                                        "<0x>",   "<0X41>", "<0x41",  "",       "<0x41>"};
    enum { N = sizeof texts / sizeof *texts };
    struct file f;
    struct maker m;
    struct tokens t = {.n = 0};
    for (size_t i = 0; i < N; i++) add(&t, texts[i], 6, 0);
    kind_make(&m, "llama", &t);
    make_bool(&m, "tokenizer.ggml.add_space_prefix", false);
    kind_open(&f, &m);
    for (token_id i = 0; i < N; i++) {
        size_t len;
        const char *piece = vocab_piece(f.vocab, i, true, &len);
        assert_int_equal(len, i == N - 1 ? 1 : 0);
        if (i == N - 1) assert_true(*piece == 'A');
    }
    assert_string_equal(ids(f.vocab, "A", 0), "10");
    file_close(&f);
    plamo_make(&m, false);
    expect_error(&m, ST_FORMAT, "is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wpm),
                                       cmocka_unit_test(test_wpm_characters),
                                       cmocka_unit_test(test_ugm),
                                       cmocka_unit_test(test_ugm_words),
                                       cmocka_unit_test(test_charsmap),
                                       cmocka_unit_test(test_charsmap_bomb),
                                       cmocka_unit_test(test_rwkv),
                                       cmocka_unit_test(test_plamo),
                                       cmocka_unit_test(test_dna),
                                       cmocka_unit_test(test_whitespace),
                                       cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_suppressed),
                                       cmocka_unit_test(test_no_memory),
                                       cmocka_unit_test(test_long_runs),
                                       cmocka_unit_test(sec_CVE_2025_49847),
                                       cmocka_unit_test(sec_CVE_2025_52566),
                                       cmocka_unit_test(sec_lmstudio_bug_tracker_2289)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
