/* pretok_test.c - pieces of single texts, and the work that splitting takes. What the groups give
 * on many texts is the business of golden-check.
 *
 * The splitters are compiled into this file once more, with a counter in each look at a character.
 */
#include <stdint.h>

static uint64_t n_steps;
#define PRETOK_STEP() (n_steps++)
#include "engine/vocab/pretok_runs.c"
#include "engine/vocab/pretok_words.c"

#include "engine/vocab/pretok.h"
#include "engine/vocab/testing.h"

/* Pieces joined with '|'. */
static const char *cut(const char *pre, const char *text) {
    static char out[256];
    struct pretok_iter it;
    const char *piece;
    size_t len, at = 0;
    pretok_start(&it, pretok_find(pre, strlen(pre)), text, strlen(text));
    while (pretok_next(&it, &piece, &len))
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s", at > 0 ? "|" : "", (int)len,
                               piece);
    return out;
}

static void test_pretok(void **state) {
    (void)state;
    assert_null(pretok_find("nonsense", 8));
    assert_null(pretok_find("qwen2", 4));
    assert_string_equal(cut("gpt-2", "It's  12345  a.\n\n x "), "It|'s| | 12345| | a|.|\n\n| x| ");
    assert_string_equal(cut("llama3", "IT'S 12345!\n\n  x"), "IT|'S| |123|45|!\n\n| | x");
    assert_string_equal(cut("qwen2", "\tfoo 12\r\n bar"), "\tfoo| |1|2|\r\n| bar");
    assert_string_equal(cut("starcoder", "a12 b"), "a|1|2| b");
    assert_string_equal(cut("gemma4", "a b\n\n\nc"), "a b|\n\n\n|c");
    assert_string_equal(cut("default", "x+=1234"), "x|+=|123|4");
    assert_string_equal(cut("falcon", "`x` 1234"), "`|x|`| |123|4");
}

/* One name of each group, and what is special about it. */
static void test_groups(void **state) {
    (void)state;
    assert_string_equal(cut("jais-2", "a         b"), "a|        | b");
    assert_string_equal(cut("deepseek-llm", "ab  12\n\ncd "), "ab|  |12|\n|\n|cd| ");
    assert_string_equal(cut("deepseek-v3", "$foo 12345\n x"), "$foo| |123|45|\n| x");
    assert_string_equal(cut("spark2_5", "!\n\nx"), "!|\n|\n|x");
    assert_string_equal(cut("youtu", "a\uAC00\u3001b's"), "a|\uAC00|\u3001|b's");
    assert_string_equal(cut("bloom", "Hi, you (all)"), "Hi|,| you| (|all|)");
    assert_string_equal(cut("tekken", "camelCaseABCde/\n"), "camel|Case|ABCde|/\n");
    assert_string_equal(cut("gpt-4o", "HTTPServer's \u0416x"), "HTTPServer's| \u0416x");
    assert_string_equal(cut("gpt-4o", "AB\u0416CD!"), "AB\u0416|CD|!");
    assert_string_equal(cut("chameleon", "<sentinel:12>IMGIMGABZ   x"),
                        "<|sentinel|:|1|2|>|IMGIMGABZ|  | x");
    assert_string_equal(cut("chameleon", "<sentinel:>IMGIMGZ"), "<|sentinel|:|>|IMGIMGZ");
    assert_string_equal(cut("tiny_aya", "a 1234567 b"), "a| |1|234|567| b");
    assert_string_equal(cut("superbpe", "a1234567b"), "a|1|234|567|b");
    assert_string_equal(cut("kimi-k2", "\u4E2D\u6587a's 1234"), "\u4E2D\u6587|a's| |123|4");
    assert_string_equal(cut("exaone-moe", "one two  three"), "one two| | three");
    assert_string_equal(cut("seed-coder", "!!\nx"), "!!|\n|x");
    assert_string_equal(cut("ufakzeka", "it's"), "it|'s");
    assert_string_equal(cut("afmoe", "x12345"), "x|12|345");
    assert_string_equal(cut("granite-embed-multi-97m", "e\u0301A!"), "e\u0301|A|!");
}

/* Every group on runs that tempt a splitter to look far ahead for each short piece: the work must
 * be in proportion to the text. 64 looks at a character: six levels, a few at each. */
static void test_steps_are_linear(void **state) {
    (void)state;
    enum { SIZE = 1 << 15, MOST = 64 };
    static const char *const names[] = {
#define PRETOK(name, group, flags) name,
#include "engine/vocab/pretok.def"
    };
    static const char *const units[] = {
        "a",          "A",      " ",           "\n",      " \n",    "\t",      "1",      "!",
        "'",          "<",      "<sentinel:1", "IMGIMGA", "aA",     "A\u0416", "\u0416", "\u0301",
        "A\u0301",    "\u4E2D", "\uAC00",      "\u3000",  "\u2581", "a ",      "12 ",    "!\n",
        "\U0001F600", "\u0661", "1\u0661",     "\x01",    "/"};
    static char text[SIZE];
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        const struct pretok *pre = pretok_find(names[n], strlen(names[n]));
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const size_t unit = strlen(units[u]), size = SIZE / unit * unit;
            struct pretok_iter it;
            const char *piece;
            size_t len, sum = 0;
            for (size_t i = 0; i < size; i++) text[i] = units[u][i % unit];
            n_steps = 0;
            pretok_start(&it, pre, text, size);
            while (pretok_next(&it, &piece, &len)) sum += len;
            assert_int_equal(sum, size);
            if (n_steps > (uint64_t)MOST * size)
                fail_msg("%s on '%s': %llu looks at %zu bytes", names[n], units[u],
                         (unsigned long long)n_steps, size);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pretok), cmocka_unit_test(test_groups),
                                       cmocka_unit_test(test_steps_are_linear)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
