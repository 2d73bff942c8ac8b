/* spm.c - the SentencePiece-style tokenizer (spec/tokenizers.md 7.2).
 *
 * Two neighbours merge if their text together is a token; the highest score goes first. Scores are
 * turned into ranks once, by a mapping of floats to integers that keeps (and reverses) their order,
 * so that merging is the same as for BPE. Any token may come out of a merge, also a control token.
 */
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab_impl.h"

/* Falling scores give rising ranks below NO_RANK; NaN comes last. */
static uint32_t rank_of_score(float score) {
    uint32_t bits;
    score += 0.0F; /* -0 and 0 are the same score */
    if (score != score) return NO_RANK - 1;
    memcpy(&bits, &score, sizeof bits);
    uint32_t rising = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    return ~rising;
}

enum status spm_load(struct vocab *v, const struct gguf *g, struct err *e) {
    const struct gguf_kv *scores = gguf_find(g, "tokenizer.ggml.scores");
    v->rank = mem_array(v->n, sizeof *v->rank);
    if (v->rank == NULL || !joints_build(v)) return err_no_memory(e);
    for (uint32_t i = 0; i < v->n; i++) {
        double score = scores != NULL ? gguf_elem_float(scores, i) : 0.0;
        v->rank[i] = rank_of_score((float)score);
    }
    return ST_OK;
}

static uint32_t spm_first(const struct vocab *v, const char *text, size_t len, uint32_t *n) {
    *n = char_len((unsigned char)*text, len);
    return *n == 1 ? v->byte_sym[(unsigned char)*text] : index_find(v, text, *n);
}

static uint32_t spm_merge(const struct vocab *v, const char *text, uint32_t len, uint32_t left,
                          uint32_t right, uint32_t *result) {
    (void)left;
    (void)right; /* a character without token can still be part of one */
    *result = index_find(v, text, len);
    return *result != NO_SYM ? v->rank[*result] : NO_RANK;
}

/* Byte by byte: "<0x41>", else the one-byte token, else the unknown token. */
static bool spm_spell(const struct vocab *v, const char *text, uint32_t len,
                      struct token_list *out) {
    for (uint32_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)text[i];
        token_id id = v->byte_token[b];
        if (id == TOKEN_NONE && v->byte_sym[b] != NO_SYM) id = (token_id)v->byte_sym[b];
        if (id == TOKEN_NONE) id = v->special.unk;
        if (id != TOKEN_NONE && !token_list_add(out, id)) return false;
    }
    return true;
}

static const struct merge_rule spm_rule = {spm_first, spm_merge, spm_spell};

enum status spm_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    if (!escape_spaces(s, v->space_prefix && first, &text, &len)) return err_no_memory(e);
    return merge_text(v, &spm_rule, s, text, len, out, e);
}
