/* pretok.h - pre-tokenizers of the BPE kinds: cut a text into the pieces that are merged on their
 * own (spec/tokenizers.md 5 and 6).
 *
 * A pre-tokenizer is a list of splitters, one for each regular expression of its group; every
 * splitter cuts the pieces of the one before it. There is no regular expression engine: a splitter
 * is a function that is given a position and the end of the enclosing piece and says where the next
 * piece ends; most are made from a row of parameters (pretok_words.c). Every character is read a
 * bounded number of times, so splitting is linear for any input, without recursion.
 *
 * Splitters work on *clean* text: what lenient decoding and encoding again gives. Most text is
 * clean already; pretok_clean() copies only the rest. All functions are pure; any thread may call.
 */
#ifndef CRIA_ENGINE_PRETOK_H
#define CRIA_ENGINE_PRETOK_H

#include <stdbool.h>
#include <stddef.h>

enum pretok_flags { /* the letters of spec/tokenizers.md 5 */
                    PRE_WHOLE =
                        1, /* I: a piece that is a token as a whole is emitted without merging */
                    PRE_ADD_BOS = 2,     /* B: add_bos defaults to true */
                    PRE_ADD_SEP = 4,     /* S: add_sep defaults to true */
                    PRE_NO_BOS = 8,      /* N: no default BOS id */
                    PRE_NO_CLEAN = 16,   /* c: detokenizing does not clean up spaces */
                    PRE_SPACE = 32,      /* E: spaces are U+2581 in token texts */
                    PRE_RAW = 64,        /* R: token texts are plain UTF-8, not mapped bytes */
                    PRE_KEEP_CASE = 128, /* l: lower-casing is off by default */
                    PRE_NEWLINES = 256,  /* a piece of newlines that is a token is emitted whole
                                            (section 7.1) */
                    PRE_FORCE_BOS = 512, /* add_bos is true whatever the file says */
};

/* What a splitter remembers of a long run that it cuts into many pieces, so that the run is
 * measured only once: up to `end`, what it found out holds. At first, and behind it, nothing is
 * known. */
struct pretok_run {
    const char *end;
};
/* Where the first piece of [p, end) ends; p < end, the result is in (p, end]. */
typedef const char *pretok_split(const char *p, const char *end, struct pretok_run *run);

enum { PRETOK_LEVELS = 6 };
struct pretok_group { /* pre-tokenizers with the same expressions */
    unsigned n;
    pretok_split *split[PRETOK_LEVELS];
};

struct pretok {
    const char *name; /* tokenizer.ggml.pre */
    const struct pretok_group *group;
    unsigned flags;
};

const struct pretok *pretok_find(const char *name, size_t len); /* NULL: unknown */

/* Cutting a text: after pretok_start, pretok_next gives one piece after the other, false at the
 * end. No piece is empty and together they are the text. */
struct pretok_iter {
    const struct pretok_group *group;
    const char *pos;                    /* where the next piece begins */
    const char *end[PRETOK_LEVELS + 1]; /* of the text, then of the current piece of each level */
    struct pretok_run run[PRETOK_LEVELS + 1];
};
void pretok_start(struct pretok_iter *it, const struct pretok *pre, const char *text, size_t len);
bool pretok_next(struct pretok_iter *it, const char **piece, size_t *len);

/* Makes text clean: *out and *out_len are text itself or a copy in *copy. False: no memory. */
struct buf;
bool pretok_clean(const char *text, size_t len, struct buf *copy, const char **out,
                  size_t *out_len);

#endif
