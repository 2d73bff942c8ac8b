/* tokenizers.h - what the parts of golden-check's kind `tokenizers` share: the corpus of texts,
 * vocabularies of files, their special ids, hashes. */
#ifndef CRIA_GOLDEN_TOKENIZERS_H
#define CRIA_GOLDEN_TOKENIZERS_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/map.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab.h"
#include "golden/check.h"

enum { TOK_PATH = 4096 };

struct corpus {    /* name -> text */
    json *root[2]; /* corpus.json, big.json */
    struct map index;
    const json **entry;
    size_t n;
};

struct subject { /* a vocabulary and the file it was read from */
    char *file;
    struct gguf *gguf;
    struct vocab *vocab;
};

void tok_read_text(struct buf *b, const json *v);
/* Member with exactly this name (json_get would also take another case). */
const json *tok_member(const json *object, const char *name);
bool tok_in_list(const json *list, const char *text);
/* A file of the folder, else of --base or its tokenizers folder; NULL: nowhere. */
const char *tok_find_dir(const struct check *c, const char *dir, const char *file,
                         char path[TOK_PATH]);
void tok_corpus_open(struct check *c, struct corpus *t, const char *dir);
bool tok_corpus_text(const struct corpus *t, const char *name, struct buf *text);
void tok_corpus_close(struct corpus *t);
void tok_subject_close(struct subject *s);
/* pre: the expected pre-tokenizer, put in place of another one; NULL: whatever the file says. */
bool tok_subject_read(struct check *c, struct subject *s, const char *dir, const char *file,
                      const char *pre);
/* False: skipped (not supported yet) or failed. */
bool tok_subject_open(struct check *c, struct subject *s, const char *where);
/* SHA-256 of numbers as little-endian u32. */
void tok_hash_u32(const uint32_t *values, size_t n, char hex[DIGEST_HEX + 1]);
void tok_compare_hash(struct check *c, const char *where, const char *name, const json *want,
                      const char *hex);
/* Every name of the file; eot only if it is not one of several candidates. */
void tok_check_special(struct check *c, const char *where, const struct vocab *v, const json *want,
                       bool compare_eot);
void tok_check_ends(struct check *c, const char *where, const struct vocab *v, const json *want);
void tok_ids_of_json(struct token_list *ids, const json *array);
void tok_compare_ids(struct check *c, const char *where, const char *name, const char *how,
                     const struct token_list *got, const struct token_list *want);

/* tokenizers_pretok.c: pretok.json; tokenizers_eog.c: eog.json. */
void tok_check_pretok(struct check *c, const char *dir, const struct corpus *corpus);
void tok_check_eog(struct check *c, const char *dir);

#endif
