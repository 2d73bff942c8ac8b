/* vocab.h - a vocabulary between its two forms: read from the files of a tokenizer (vocab_json.c,
 * vocab_spm.c), written as tokenizer.* keys (vocab.c). spec/safetensors.md 4. */
#ifndef CRIA_ENGINE_CONVERT_VOCAB_H
#define CRIA_ENGINE_CONVERT_VOCAB_H

#include "engine/convert/impl.h"

enum token_type { /* of GGUF and of SentencePiece */
                  TOKEN_NORMAL = 1,
                  TOKEN_UNKNOWN,
                  TOKEN_CONTROL,
                  TOKEN_USER,
                  TOKEN_UNUSED,
                  TOKEN_BYTE,
};

struct vocab_in {
    struct gguf_str *text; /* owned lists; texts are in the conversion's arena */
    float *score;
    int32_t *type;
    size_t n, cap;
    const char *model; /* "gpt2", "llama", "t5", "bert" */
};

/* Ids may leave gaps and a model more rows than tokens; what is made up is bounded by this. */
enum { VOCAB_MAX_FILL = 1 << 20, VOCAB_MAX_TOKENS = 1 << 24 };

/* Text is copied into the arena. */
void vocab_add(struct conversion *c, struct vocab_in *v, const char *text, size_t len, double score,
               enum token_type type);
void vocab_free(struct vocab_in *v);

/* tokenizer.json, parsed. */
void vocab_read_json(struct conversion *c, struct vocab_in *v, const json *root);
/* tokenizer.model with special_tokens_map.json and added_tokens.json. */
void vocab_read_spm(struct conversion *c, struct vocab_in *v);
/* vocab.txt: a word piece a line. */
void vocab_read_lines(struct conversion *c, struct vocab_in *v);
/* The pieces of a SentencePiece model in memory. False: not of that form (message in c). */
bool spm_parse(struct conversion *c, struct vocab_in *v, const unsigned char *data, size_t size);
/* tokenizer.ggml.pre for the expressions of a tokenizer.json. */
const char *vocab_pre(struct conversion *c, const json *root);

#endif
