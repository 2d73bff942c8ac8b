/* vocab.h - text to token ids and back (spec/tokenizers.md).
 *
 * A vocabulary is read once from a GGUF's tokenizer.* pairs and never changes; the GGUF may be
 * closed then. All functions are thread-safe (inside is only an atomic memo of facts about tokens).
 * Encoding is linear (n log n at worst) in the length of the text for every input; the kinds live
 * in one file each (bpe.c, spm.c) behind `struct vocab_kind`. */
#ifndef CRIA_ENGINE_VOCAB_H
#define CRIA_ENGINE_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gguf;
struct vocab;

typedef int32_t token_id;
enum { TOKEN_NONE = -1 };

enum token_attr { /* bits; spec/tokenizers.md 3 */
                  TOKEN_UNKNOWN = 0x1,
                  TOKEN_UNUSED = 0x2,
                  TOKEN_NORMAL = 0x4,
                  TOKEN_CONTROL = 0x8,
                  TOKEN_USER = 0x10,
                  TOKEN_BYTE = 0x20,
                  TOKEN_LSTRIP = 0x80,
                  TOKEN_RSTRIP = 0x100
};

struct token_list { /* owns ids; a zeroed struct is an empty list */
    token_id *ids;
    size_t len, cap;
};
bool token_list_add(struct token_list *t, token_id id); /* false: no memory */
void token_list_free(struct token_list *t);

enum vocab_flags {
    VOCAB_ADD_SPECIAL = 1,   /* BOS/EOS as the vocabulary says */
    VOCAB_PARSE_SPECIAL = 2, /* control tokens in the text become tokens */
};

/* Errors as spec/tokenizers.md 1 words them ("unknown tokenizer: 'x'", ...). */
enum status vocab_open(struct vocab **out, const struct gguf *g, struct err *e);
void vocab_close(struct vocab *v);

uint32_t vocab_size(const struct vocab *v);
/* Appends to *out. Bytes need not be valid UTF-8. */
enum status vocab_encode(const struct vocab *v, const char *text, size_t len, unsigned flags,
                         struct token_list *out, struct err *e);

/* What a token prints (spec/tokenizers.md 9): borrowed from the vocabulary, no NUL; control tokens
 * print nothing unless `special`. Out-of-range ids print nothing. */
const char *vocab_piece(const struct vocab *v, token_id id, bool special, size_t *len);
/* The stored text of a token (tokenizer.ggml.tokens), and its attribute bits. */
const char *vocab_text(const struct vocab *v, token_id id, size_t *len);
unsigned vocab_attr(const struct vocab *v, token_id id);
token_id vocab_find(const struct vocab *v, const char *text, size_t len); /* by stored text */

/* Library-style detokenize (spec/tokenizers.md 9, last but one paragraph). Appends to *out. */
struct buf;
void vocab_detokenize(const struct vocab *v, const token_id *ids, size_t n, bool remove_special,
                      bool unparse_special, struct buf *out);

struct vocab_special { /* TOKEN_NONE where there is none */
    token_id bos, eos, eot, eom, unk, sep, pad, mask, fim_pre, fim_suf, fim_mid, fim_pad, fim_rep,
        fim_sep, nl;
    bool add_bos, add_eos, add_sep;
    bool
        add_bos_by_file; /* tokenizer.ggml.add_bos_token is there and true, or the kind forces it */
};
const struct vocab_special *vocab_special(const struct vocab *v);
/* tokenizer.ggml.suppress_tokens: ids that are never to be sampled; borrowed. */
const token_id *vocab_suppressed(const struct vocab *v, size_t *n);
bool vocab_is_eog(const struct vocab *v, token_id id); /* end of generation */
const char *vocab_kind_name(const struct vocab *v);    /* tokenizer.ggml.model */
const char *vocab_pre_name(const struct vocab *v);     /* tokenizer.ggml.pre, "" if absent */

#endif
