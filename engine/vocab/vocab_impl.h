/* vocab_impl.h - what the files of the vocabulary share.
 *
 * vocab.c         opening, the texts of tokens, encoding as a whole
 * vocab_special.c special ids, end of generation, attributes (spec/tokenizers.md 2, 3, 8)
 * vocab_cut.c     special tokens in a text: cutting it into fragments (section 4)
 * vocab_index.c   hash tables: text -> id, (id, id) -> merge; which characters can merge at all
 * vocab_heap.[ch] heap and sorting of 64-bit keys
 * vocab_merge.c   the merging that SPM and BPE have in common
 * vocab_text.c    pieces and detokenize (section 9)
 * trie.[ch]       sets of texts; ugm_norm.[ch] a normaliser
 * bpe.c, spm.c, words.c, wpm.c, ugm.c, rwkv.c, plamo.c  the kinds (section 7)
 *
 * Symbols: ids below n are tokens; ids from n to n_syms are texts that only merges know (a merge
 * needs no token). All texts lie in one block, `bytes`, and are found by offset. A token's *key* is
 * what its text means in an input: for byte-level BPE the mapped-back bytes, else the text itself.
 * Byte-level texts with characters outside the byte map ("literal") can only be written by special
 * tokens; they are not in the index but in a small map of their own. */
#ifndef CRIA_ENGINE_VOCAB_IMPL_H
#define CRIA_ENGINE_VOCAB_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "engine/vocab/trie.h"
#include "engine/vocab/ugm_norm.h"
#include "engine/vocab/vocab.h"

struct gguf;
struct pretok;

#define NO_SYM UINT32_MAX  /* no symbol */
#define NO_RANK UINT32_MAX /* no merge */

struct span {
    uint32_t off, len; /* in vocab.bytes */
};

/* -- hash tables (vocab_index.c) --------------------------------------------------------------- */

struct text_index { /* open addressing, at most half full */
    struct text_slot {
        uint32_t tag, id;
    } *slot; /* id NO_SYM: empty */
    size_t cap, count;
};
struct pair_index { /* the same, by two symbols */
    struct pair_slot {
        uint32_t left, right, rank, result;
    } *slot; /* rank NO_RANK: empty */
    size_t cap, count;
};

/* Which two characters stand side by side in some token. Where two neighbours do not, no merge can
 * ever cross, so the text can be cut there and the parts merged on their own. Exact for ASCII (and
 * U+2581, which takes the place of the space); the others are hashed, so that a wrong "may join" is
 * possible and harmless. */
struct joints {
    uint64_t ascii[128][2];
    uint64_t *wide; /* a bit per hash value; n_bits is a power of two */
    size_t n_bits;
};

/* -- special tokens in a text (vocab_cut.c) ---------------------------------------------------- */

struct special_text {
    const char *text;
    uint32_t len;
    token_id id;
    uint32_t order; /* place in the list sorted by falling length, then id */
};
struct special_set {
    struct special_text *list; /* sorted by text */
    uint32_t *by_order;        /* order -> index in list */
    uint32_t n;
    uint32_t first[257];     /* list[first[b]..first[b + 1]) begins with byte b */
    uint64_t second[256][4]; /* second[b]: which bytes may follow b */
};

/* -- the vocabulary ---------------------------------------------------------------------------- */

enum whole { WHOLE_UNKNOWN, WHOLE_YES, WHOLE_NO };

enum key_form { KEY_TEXT, KEY_BYTES };

/* A piece that was merged before: where its ids are in the output. Texts repeat their words, so the
 * ids of most pieces can be copied. */
struct seen_piece {
    const char *text; /* valid as long as `round` is the scratch's */
    uint32_t len, n_ids, round;
    size_t first; /* in the output */
    double score; /* ugm.c */
};
enum {
    SEEN_PIECES = 1 << 12,
    SEEN_MIN_TEXT = 1 << 9 /* for shorter texts the table is not worth it */
};

/* Scratch of one vocab_encode(). */
struct vocab_scratch {
    struct buf clean;   /* copy of a text that needs cleaning */
    struct buf escaped; /* copy with U+2581 for spaces */
    struct buf word;    /* what a kind makes of (a part of) the text first */
    struct merge_cell {
        uint32_t sym, rank, span;
    } *cell; /* long pieces: see vocab_merge.c */
    size_t cap;
    uint64_t *heap;
    size_t n_heap, n_wait, run, heap_cap;
    uint32_t rank;           /* of the merges that are made now */
    struct seen_piece *seen; /* [SEEN_PIECES], by hash; NULL: none */
    uint32_t round;          /* goes up when texts of `seen` may have moved */
    double *score;           /* ugm.c */
    uint32_t *best;
    size_t best_cap;
};

typedef enum status kind_load(struct vocab *v, const struct gguf *g, struct err *e);
typedef enum status kind_encode(const struct vocab *v, struct vocab_scratch *s, const char *text,
                                size_t len, bool first, struct token_list *out, struct err *e);

enum frame {              /* what VOCAB_ADD_SPECIAL adds */
             FRAME_FLAGS, /* BOS and EOS, as add_bos and add_eos say */
             FRAME_NONE,  /* nothing, whatever they say */
             FRAME_BERT,  /* always BOS and SEP */
};

struct vocab_kind { /* spec/tokenizers.md 2 */
    const char *name;
    bool bpe; /* merges and a pre-tokenizer */
    token_id bos, eos, unk, sep, pad, mask;
    bool add_bos, add_eos, space_prefix;
    enum frame frame;
    bool clean;      /* detokenize cleans up; BPE: unless the pre-tokenizer says no */
    const char *pre; /* forces tokenizer.ggml.pre; NULL: as in the file */
    kind_load *load; /* NULL: there are no tokens (kinds none and no_vocab) */
    /* One raw fragment, never empty; first: at the start or behind a special token. */
    kind_encode *encode;
};

struct vocab { /* owns everything it points to but kind and pre */
    const struct vocab_kind *kind;
    const struct pretok *pre; /* BPE only */
    char *pre_name;
    uint32_t n, n_syms, cap_syms;
    struct span *text;   /* [n] as stored */
    struct span *key;    /* [n_syms]; a literal token's is empty */
    struct span *piece;  /* [n] what vocab_piece gives; for control tokens their text */
    uint16_t *attr;      /* [n] enum token_attr and ATTR_EOG */
    uint32_t *rank;      /* [n] SPM: order of merging, best first */
    atomic_uchar *whole; /* [n] enum whole: is the token what its own text encodes to? A memo of a
                          * fact, filled when first asked; relaxed order is enough */
    struct buf bytes;
    uint32_t max_key; /* longest key */
    enum key_form form;
    bool escape; /* spaces of the input are U+2581 in keys */
    bool space_prefix, clean;
    bool lower, strip_accents; /* words.c, wpm.c */
    bool collapse_spaces;      /* ugm.c: runs are one, and none at the ends */
    uint64_t seed;             /* of the hash tables */
    struct text_index index;
    struct map literal; /* keys in literal_texts: v->bytes may still move */
    struct arena literal_texts;
    struct pair_index pairs;
    struct joints joints;
    uint32_t byte_sym[256];   /* symbol of one-byte keys */
    token_id byte_token[256]; /* "<0x41>"; byte-level: the one-byte texts as stored */
    struct trie trie;         /* of the kinds that look for the longest or the cheapest token */
    struct trie user_trie;    /* ugm.c: user-defined texts */
    struct charsmap charsmap; /* ugm.c */
    float *score;             /* [n] ugm.c */
    double unknown_score;     /* ugm.c: of one unknown character */
    double exact_sum;         /* ugm.c: see can_split() */
    int32_t *cost;            /* [n] plamo.c */
    struct {
        token_id open, close, unknown;
    } dna;                        /* words.c */
    struct special_set user, all; /* recognised always / when special tokens are parsed */
    struct vocab_special special;
    struct token_list suppressed;
};

enum { ATTR_EOG = 0x8000, ANY_ATTR = 0xFFFF };

static inline const char *span_ptr(const struct vocab *v, struct span s) {
    return v->bytes.data + s.off;
}

/* Hash tables. index_find: NO_SYM if absent. index_put: the text is in v->key[id]; false: no
 * memory; *old is the symbol that has the same text already (then nothing is put), else NO_SYM. */
bool index_reserve(struct vocab *v, size_t n);
bool index_put(struct vocab *v, uint32_t id, uint32_t *old);
uint32_t index_find(const struct vocab *v, const char *text, size_t len);
uint64_t index_hash(const struct vocab *v, const char *text, size_t len);
uint32_t index_find_hashed(const struct vocab *v, const char *text, size_t len, uint64_t hash);
/* Brings what looking up n texts will read into the cache, all at once. */
void index_touch(const struct vocab *v, const char *const *text, const size_t *len, size_t n);
bool pair_reserve(struct pair_index *t, size_t n);
/* The first of two equal pairs stays. Room has been reserved. */
void pair_put(struct vocab *v, uint32_t left, uint32_t right, uint32_t rank, uint32_t result);
void pair_touch(const struct vocab *v, uint32_t left, uint32_t right); /* as index_touch */
const struct pair_slot *pair_find(const struct vocab *v, uint32_t left, uint32_t right);

/* Characters as merging sees them: the lead byte tells the length, cut at the end of the text. The
 * code is their bytes packed into a number, U+2581 as a space. */
static inline uint32_t char_len(unsigned char lead, size_t left) {
    uint32_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return n <= left ? n : (uint32_t)left;
}
uint32_t char_code(const char *p, uint32_t len);
bool joints_build(struct vocab *v); /* from the keys of all symbols; false: no memory */
bool joints_wide(const struct joints *j, uint32_t a, uint32_t b);
static inline bool joints_may_join(const struct joints *j, uint32_t a, uint32_t b) {
    if (a < 128 && b < 128) return (j->ascii[a][b >> 6] >> (b & 63) & 1) != 0;
    return joints_wide(j, a, b);
}

/* -- merging (vocab_merge.c) ------------------------------------------------------------------- */

struct merge_rule {
    /* Symbol of the character at the start of text and its length. */
    uint32_t (*first)(const struct vocab *v, const char *text, size_t len, uint32_t *char_len);
    /* Rank of merging two neighbours (NO_RANK: they do not) and the symbol they give. text is where
     * the left one begins; len is the length of both. */
    uint32_t (*merge)(const struct vocab *v, const char *text, uint32_t len, uint32_t left,
                      uint32_t right, uint32_t *result);
    /* Adds the ids of a symbol that is no token. */
    bool (*spell)(const struct vocab *v, const char *text, uint32_t len, struct token_list *out);
};

/* Encodes one piece: the lowest rank first, of equal ones the leftmost, until nothing merges. */
enum status merge_piece(const struct vocab *v, const struct merge_rule *rule,
                        struct vocab_scratch *s, const char *text, size_t len,
                        struct token_list *out, struct err *e);
/* The same for a longer text, which is cut first where nothing can merge. */
enum status merge_text(const struct vocab *v, const struct merge_rule *rule,
                       struct vocab_scratch *s, const char *text, size_t len,
                       struct token_list *out, struct err *e);
/* *text with U+2581 for every space, in s->escaped; prefix: and one more in front. False: no
 * memory. */
bool escape_spaces(struct vocab_scratch *s, bool prefix, const char **text, size_t *len);
/* Where a piece with this hash is or would be remembered; NULL: nowhere. */
struct seen_piece *seen_slot(const struct vocab_scratch *s, uint64_t hash);
bool seen_is(const struct vocab_scratch *s, const struct seen_piece *p, const char *text,
             size_t len);
/* Copies its ids but the first `skip`; false: no memory. */
bool seen_copy(const struct seen_piece *p, uint32_t skip, struct token_list *out);
/* A text of this length comes now, and what came before may be gone; no memory: it does without. */
void scratch_begin(struct vocab_scratch *s, size_t len);
void scratch_free(struct vocab_scratch *s);

/* -- the rest ---------------------------------------------------------------------------------- */

/* Special ids and attributes from the file and the texts; needs texts, attr and index. */
void special_none(struct vocab *v); /* no special ids at all */
enum status special_load(struct vocab *v, const struct gguf *g, struct err *e);

bool special_set_build(struct vocab *v); /* v->user and v->all; false: no memory */
void special_set_free(struct special_set *set);

struct fragment {
    const char *text; /* raw text, if id is TOKEN_NONE */
    size_t len;
    token_id id;
};
struct fragments { /* owns list */
    struct fragment *list;
    size_t n, cap;
};
enum status text_cut(const struct vocab *v, const char *text, size_t len, bool parse_special,
                     struct fragments *out, struct err *e);

bool pieces_build(
    struct vocab *v); /* v->piece, from texts, keys and attributes; false: no memory */
/* Bytes that the text of a byte-level token stands for, into out (len bytes are enough); false: it
 * is literal. */
bool bytes_of_text(const char *text, size_t len, char *out, size_t *out_len);
/* "<0x41>": the byte; else -1. */
int byte_of_text(const char *text, size_t len);

/* Adds text to v->bytes; false: no memory or more than 4 GB. */
bool bytes_add(struct vocab *v, const char *text, size_t len, struct span *out);
/* Symbol with this key, made if there is none; NO_SYM: no memory. */
uint32_t symbol_intern(struct vocab *v, const char *key, size_t len);

/* The texts (or other spans) of the tokens with one of these attributes; ANY_ATTR: of all. */
enum status spans_to_trie(struct vocab *v, struct trie *t, const struct span *spans, unsigned attr,
                          struct err *e);
enum status tokens_to_trie(struct vocab *v, struct trie *t, unsigned attr, struct err *e);

kind_load spm_load, bpe_load, dna_load, wpm_load, ugm_load, rwkv_load, plamo_load;
kind_encode spm_encode, bpe_encode, dna_encode, whitespace_encode, wpm_encode, ugm_encode,
    rwkv_encode, plamo_encode;

#endif
