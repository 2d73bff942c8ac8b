/* pretok_words.c - the splitters that find words (see pretok_split.h).
 *
 * Most expressions of the field are one expression with small changes,
 *
 *     contraction | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3} | ?[^\s\p{L}\p{N}]+[\r\n]* | white space
 *
 * and struct style says what the changes are. The compiler makes one matcher of its own for each
 * style (everything here is inlined with a constant style), so the table costs nothing. */
#include <stddef.h>

#include "base/unicode.h"
#include "engine/vocab/pretok_char.h"
#include "engine/vocab/pretok_split.h"

enum before { NO_CONTRACTION, CONTRACTION }; /* 's 't 're ... in any case */
enum word {
    WORD_PLAIN,  /* a run of characters of `letters` */
    WORD_CASED,  /* upper ones, then lower ones; outside ASCII a letter is both */
    WORD_PHRASE, /* letters with their marks, single spaces between them */
};
enum behind { /* after a run of symbols */
              BEHIND_NOTHING,
              BEHIND_LINES, /* [\r\n]* */
              BEHIND_SLASH, /* [\r\n/]* */
              BEHIND_ONE,   /* [\r\n/]? */
};
enum space {
    SPACE_LINES,  /* \s*[\r\n]+ | \s+(?!\S) | \s+ */
    SPACE_LINE,   /* [\r\n] | \s+(?!\S) | \s+ */
    SPACE_POWERS, /* as SPACE_LINES, but runs are cut into 512, 256, .. 4, at most 2 */
};

struct style {
    enum before before;
    enum word word;
    unsigned letters; /* classes of a word */
    unsigned no_lead; /* classes that do not stand in front of a word; CR and LF never do */
    bool tail;        /* a contraction may end a word */
    bool ascii;       /* an ASCII punctuation mark and ASCII letters are a word */
    unsigned digits;  /* characters of a piece of digits; 0: none */
    unsigned symbols; /* classes of a run of symbols */
    enum behind behind;
    enum space space;
};

enum { SYMBOLS = OTHER | M | P | S };

/* -- parts of an expression: each gives the end of the match at p, or NULL
 * ------------------------- */

/* 's 't 'm 'd 're 've 'll. Case folding is ASCII only: no other character has one of these letters
 * as its simple lower case. */
static inline const char *contraction(const char *p, const char *end, bool fold) {
    if (p == end || *p != '\'' || end - p < 2) return NULL;
    const int bit = fold ? 0x20 : 0; /* no control character becomes a letter by it that counts */
    const int a = p[1] | bit, b = end - p > 2 ? p[2] | bit : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
    return NULL;
}

static inline bool is_upper(struct ch c, unsigned letters) {
    return (c.kind & letters) != 0 && !(c.len == 1 && c.cp >= 'a');
}
static inline bool is_lower(struct ch c, unsigned letters) {
    return (c.kind & letters) != 0 && !(c.len == 1 && c.cp <= 'Z');
}

/* upper* lower+ or, with `uppers`, upper+ lower*. A letter outside ASCII is both: if no lower one
 * follows the upper ones, the last such letter ends the first form. What remains behind it is ASCII
 * and taken at once by the second form, so nothing is read more than twice. */
static inline const char *cased(const char *p, const char *end, unsigned letters, bool uppers) {
    const char *q = p, *both = NULL;
    struct ch c = peek(q, end);
    for (; is_upper(c, letters); c = peek(q, end)) {
        q += c.len;
        if (c.len > 1) both = q;
    }
    if (is_lower(c, letters)) {
        for (; is_lower(c, letters); c = peek(q, end)) q += c.len;
        return q;
    }
    if (uppers) return q > p ? q : NULL;
    return both;
}

/* The forms of a cased word in the order of the expression, each with the lead and without. */
static inline const char *cased_word(const char *p, const char *end, const struct style *s,
                                     struct ch c, bool leads) {
    for (unsigned uppers = 0; uppers < 2; uppers++) {
        const char *q = leads ? cased(p + c.len, end, s->letters, uppers != 0) : NULL;
        if (q == NULL && (c.kind & s->letters) != 0) q = cased(p, end, s->letters, uppers != 0);
        if (q != NULL) return q;
    }
    return NULL;
}

/* (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ ; p is a letter. */
static inline const char *phrase(const char *p, const char *end) {
    for (;;) {
        p = skip(skip(p, end, L), end, M);
        const bool gap = p < end && *p == ' ';
        if ((peek(p + gap, end).kind & L) == 0) return p;
        p += gap;
    }
}

static inline const char *word(const char *p, const char *end, const struct style *s, struct ch c) {
    const bool leads = (c.kind & s->no_lead) == 0 && !is_newline(c.cp);
    const char *q = NULL;
    if (s->word == WORD_CASED) {
        if (!leads && (c.kind & s->letters) == 0) return NULL;
        q = cased_word(p, end, s, c, leads);
    } else if ((c.kind & s->letters) != 0) {
        q = p;
    } else if (leads && (peek(p + c.len, end).kind & s->letters) != 0) {
        q = p + c.len;
    }
    if (q == NULL) return NULL;
    if (s->word == WORD_PLAIN) q = skip(q, end, s->letters);
    if (s->word == WORD_PHRASE) q = phrase(q, end);
    const char *t = s->tail ? contraction(q, end, true) : NULL;
    return t != NULL ? t : q;
}

static inline bool is_ascii_letter(const char *p, const char *end) {
    return p < end && (unsigned char)*p < 0x80 && pretok_ascii_class[(unsigned char)*p] == L;
}

static inline const char *ascii_word(const char *p, const char *end, struct ch c) {
    if (c.len != 1 || (c.kind & (P | S)) == 0 || !is_ascii_letter(p + 1, end)) return NULL;
    for (p++; is_ascii_letter(p, end);) p++;
    return p;
}

static inline const char *some_digits(const char *p, const char *end, unsigned n) {
    for (struct ch c = peek(p, end); n > 0 && c.kind == N; n--, c = peek(p, end)) p += c.len;
    return p;
}

static inline const char *symbols(const char *p, const char *end, const struct style *s) {
    p += *p == ' ';
    if ((peek(p, end).kind & s->symbols) == 0) return NULL;
    p = skip(p, end, s->symbols);
    if (s->behind == BEHIND_NOTHING) return p;
    const bool slash = s->behind != BEHIND_LINES;
    while (p < end && (is_newline((unsigned char)*p) || (slash && *p == '/'))) {
        p++;
        if (s->behind == BEHIND_ONE) break;
    }
    return p;
}

/* A run keeps its last character for what follows ("\s+(?!\S)"). With `lines`, a run with CR or LF
 * ends after the last of them ("\s*[\r\n]+"). p is white space. */
static inline const char *spaces(const char *p, const char *end, bool lines) {
    const char *q = p, *last = p, *line = NULL;
    for (struct ch c; ((c = peek(q, end)).kind & WS) != 0; q += c.len) {
        last = q;
        if (is_newline(c.cp)) line = q + 1;
    }
    if (lines && line != NULL) return line;
    return last > p && q < end ? last : q;
}

/* Characters from p to `to`, at most max. */
static inline unsigned count_up_to(const char *p, const char *to, unsigned max) {
    unsigned n = 0;
    for (; p < to && n < max; n++) p += peek(p, to).len;
    return n;
}

/* \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s : what a piece takes must be
 * followed by more white space or by the end. The run is measured once: run->end is where it ends.
 */
static const char *powers(const char *p, const char *end, struct pretok_run *run) {
    if (p >= run->end) {
        const char *line = NULL, *q = p;
        for (struct ch c; ((c = peek(q, end)).kind & WS) != 0; q += c.len) {
            if (is_newline(c.cp)) line = q + 1;
        }
        run->end = q;
        if (line != NULL) return line;
    }
    unsigned n = count_up_to(p, run->end, 513), take = 512;
    if (run->end < end) n--; /* one stays for the word behind */
    while (take > 2 && take > n) take /= 2;
    if (take > n) take = n > 0 ? n : 1;
    for (; take > 0; take--) p += peek(p, end).len;
    return p;
}

/* -- the whole expression
 * -------------------------------------------------------------------------- */

static inline const char *match(const char *p, const char *end, struct pretok_run *run,
                                const struct style *s) {
    const struct ch c = peek(p, end);
    const char *q;
    if (s->before == CONTRACTION && (q = contraction(p, end, true)) != NULL) return q;
    if (s->ascii && (q = ascii_word(p, end, c)) != NULL) return q;
    if ((q = word(p, end, s, c)) != NULL) return q;
    if (s->digits != 0 && c.kind == N) return some_digits(p, end, s->digits);
    if ((q = symbols(p, end, s)) != NULL) return q;
    if (c.kind != WS) return NULL;
    if (s->space == SPACE_LINE && is_newline(c.cp)) return p + 1;
    if (s->space == SPACE_POWERS) return powers(p, end, run);
    return spaces(p, end, s->space == SPACE_LINES);
}

/* What no alternative matches is one piece up to the next match. */
static inline const char *split(const char *p, const char *end, struct pretok_run *run,
                                const struct style *s) {
    const char *q = match(p, end, run, s);
    if (q != NULL) return q;
    do p += peek(p, end).len;
    while (p < end && match(p, end, run, s) == NULL);
    return p;
}

#define SPLITTER(name, ...)                                                                        \
    const char *split_##name(const char *p, const char *end, struct pretok_run *run) {             \
        static const struct style style = {__VA_ARGS__};                                           \
        return split(p, end, run, &style);                                                         \
    }

#define LLAMA3                                                                                     \
    .before = CONTRACTION, .letters = L, .no_lead = L | N, .digits = 3, .symbols = SYMBOLS,        \
    .behind = BEHIND_LINES
#define WITHOUT_CONTRACTION .letters = L, .no_lead = L | N, .symbols = SYMBOLS
#define DEEPSEEK_V3 .ascii = true, .letters = L | M, .no_lead = L | P | S, .symbols = P | S

/* clang-format off */
SPLITTER(llama3, LLAMA3)
SPLITTER(jais2, LLAMA3, .space = SPACE_POWERS)
SPLITTER(qwen2, .before = CONTRACTION, .letters = L, .no_lead = L | N, .digits = 1,
         .symbols = SYMBOLS, .behind = BEHIND_LINES)
SPLITTER(qwen35, .before = CONTRACTION, .letters = L | M, .no_lead = L | N, .digits = 1,
         .symbols = OTHER | P | S, .behind = BEHIND_LINES)
SPLITTER(minicpm5, .before = CONTRACTION, .letters = L, .no_lead = L | N, .digits = UINT32_MAX,
         .symbols = SYMBOLS, .behind = BEHIND_LINES)
SPLITTER(seed_coder, .before = CONTRACTION, .letters = L, .no_lead = L | N, .digits = 1,
         .symbols = SYMBOLS)
SPLITTER(exaone_moe, .before = CONTRACTION, .word = WORD_PHRASE, .letters = L, .no_lead = L | N,
         .digits = 1, .symbols = SYMBOLS, .behind = BEHIND_ONE)
SPLITTER(ufakzeka, WITHOUT_CONTRACTION, .digits = 1, .behind = BEHIND_LINES)
SPLITTER(tekken, WITHOUT_CONTRACTION, .word = WORD_CASED, .digits = 1, .behind = BEHIND_SLASH)
SPLITTER(gpt4o, WITHOUT_CONTRACTION, .word = WORD_CASED, .tail = true, .digits = 3,
         .behind = BEHIND_SLASH)
SPLITTER(granite, .letters = L | M, .no_lead = L | N, .symbols = SYMBOLS, .word = WORD_CASED,
         .tail = true, .digits = 3, .behind = BEHIND_SLASH)
SPLITTER(youtu, .letters = L | M, .no_lead = L | N, .symbols = SYMBOLS, .tail = true, .digits = 1,
         .behind = BEHIND_SLASH)
SPLITTER(tiny_aya, .letters = L | M, .no_lead = L | N, .symbols = SYMBOLS, .tail = true,
         .digits = 3, .behind = BEHIND_SLASH)
SPLITTER(deepseek_v3, DEEPSEEK_V3, .behind = BEHIND_LINES)
SPLITTER(spark, DEEPSEEK_V3, .space = SPACE_LINE)
/* clang-format on */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S) */
const char *split_gpt2(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *q = contraction(p, end, false);
    if (q != NULL) return q;
    q = p + (*p == ' ');
    const unsigned kind = peek(q, end).kind;
    if (kind == L || kind == N) return skip(q, end, kind);
    if (kind != 0 && kind != WS) return skip(q, end, SYMBOLS);
    return spaces(p, end, false);
}

/* -- kimi-k2: llama3 with Han characters apart
 * ------------------------------------------------------ */

static bool is_han(struct ch c) { return c.len >= 3 && unicode_is_han(c.cp); }

static const char *skip_han(const char *p, const char *end, bool han) {
    for (struct ch c; (c = peek(p, end)).len != 0; p += c.len) {
        if (han ? !is_han(c) : c.kind != L || is_han(c)) break;
    }
    return p;
}

const char *split_kimi(const char *p, const char *end, struct pretok_run *run) {
    static const struct style style = {LLAMA3};
    (void)run;
    const struct ch c = peek(p, end);
    if (is_han(c)) return skip_han(p, end, true);
    const bool leads = (c.kind & (L | N)) == 0 && !is_newline(c.cp);
    const char *q = skip_han(p + (leads ? c.len : 0), end, false);
    if (q > p + (leads ? c.len : 0)) {
        const char *t = contraction(q, end, true);
        return t != NULL ? t : q;
    }
    if (c.kind == N) return some_digits(p, end, 3);
    q = symbols(p, end, &style);
    return q != NULL ? q : spaces(p, end, true);
}
