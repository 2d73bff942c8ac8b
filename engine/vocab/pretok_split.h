/* pretok_split.h - the splitters: one for each regular expression of spec/tokenizers.md 5.
 *
 * pretok_words.c  the expressions that find words: families with many parameters
 * pretok_runs.c   the others: digits, lines, sets of characters, literal texts */
#ifndef CRIA_ENGINE_PRETOK_SPLIT_H
#define CRIA_ENGINE_PRETOK_SPLIT_H

#include <stdbool.h>

#include "engine/vocab/pretok.h"

/* Splitters of pretok_words.c, named after the pre-tokenizer that is known best for it. */
pretok_split split_gpt2, split_llama3, split_jais2, split_qwen2, split_qwen35, split_minicpm5,
    split_seed_coder, split_ufakzeka, split_tekken, split_gpt4o, split_granite, split_youtu,
    split_tiny_aya, split_exaone_moe, split_deepseek_v3, split_spark, split_kimi;

/* Splitters of pretok_runs.c. */
pretok_split split_lines, split_newline, split_spaces, split_last_spaces; /* lines and spaces */
pretok_split split_digit, split_digits, split_digits3, split_ascii3, split_groups3,
    split_superbpe;                                       /* numbers */
pretok_split split_letters, split_marks, split_each_mark; /* classes */
pretok_split split_punct_default, split_punct_falcon;     /* punctuation and some symbols */
pretok_split split_latin, split_signs, split_cjk_old, split_cjk, split_afmoe, split_youtu_cjk,
    split_sentence;                                      /* sets of characters */
pretok_split split_sentinel, split_image, split_indents; /* chameleon's texts */

#endif
