/* pretok.c - see pretok.h. Characters, the splitters, and the table of names. */
#include "engine/vocab/pretok.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* -- characters -------------------------------------------------------------------------------- */

/* Classes as the expressions see them: every character has exactly one, white space wins. Numeric
 * zero is what peek() reports at the end of the piece, so no class is zero. */
enum { OTHER = 1, N = 2, L = 4, M = 8, P = 16, S = 32, WS = 64 };

/* clang-format off */
static const unsigned char ascii_class[128] = {
    /* control characters; 9-D are white space */
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    OTHER, WS, WS, WS, WS, WS, OTHER, OTHER,
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    /* SP ! " # $ % & ' ( ) * + , - . / */
    WS, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P,
    /* 0-9 : ; < = > ? */
    N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P,
    /* @ A-Z [ \ ] ^ _ */
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, S, P,
    /* ` a-z { | } ~ DEL */
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, S, P, S,
    OTHER};
/* clang-format on */

static unsigned wide_class(uint32_t cp) {
    switch (unicode_class(cp)) {
    case UNI_N:
        return N;
    case UNI_L:
        return L;
    case UNI_M:
        return M;
    case UNI_P:
        return P;
    case UNI_S:
        return S;
    case UNI_UNASSIGNED:
        return OTHER;
    default:
        return unicode_is_space(cp) ? WS : OTHER; /* Z or C: the only ones with white space */
    }
}

struct ch {
    unsigned kind, len; /* class and bytes; both 0 at the end */
};

/* The character at p. Clean text needs no checks: the lead byte tells the length. */
static inline struct ch peek(const char *p, const char *end) {
    if (p == end) return (struct ch){0, 0};
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) return (struct ch){ascii_class[u[0]], 1};
    uint32_t v = 0;
    unsigned len = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    v = u[0] & (0x7Fu >> len);
    for (unsigned i = 1; i < len; i++) v = v << 6 | (u[i] & 0x3Fu);
    return (struct ch){wide_class(v), len};
}

/* Skips characters whose class is in `set`; none is at the end. */
static inline const char *skip(const char *p, const char *end, unsigned set) {
    for (;;) {
        struct ch c = peek(p, end);
        if ((c.kind & set) == 0) return p;
        p += c.len;
    }
}

static const char *skip_newlines(const char *p, const char *end) {
    while (p < end && (*p == '\r' || *p == '\n')) p++;
    return p;
}

/* -- splitters --------------------------------------------------------------------------------- */

/* End of a contraction ('s 't 'm 'd 're 've 'll) at p, or NULL. Case folding is ASCII only: no
 * other character has one of these letters as its simple lower case. */
static const char *contraction(const char *p, const char *end, bool fold) {
    if (*p != '\'' || end - p < 2) return NULL;
    int bit = fold ? 0x20 : 0; /* no control character becomes a letter by it that counts here */
    int a = p[1] | bit, b = end - p > 2 ? p[2] | bit : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
    return NULL;
}

/* End of a white-space piece: a run keeps its last character for what follows ("\s+(?!\S)"). With
 * newlines: a run with CR or LF ends after the last of them ("\s*[\r\n]+"). p is white space. */
static const char *split_space(const char *p, const char *end, bool newlines) {
    const char *q = p, *last = p, *line = NULL;
    for (struct ch c; ((c = peek(q, end)).kind & WS) != 0; q += c.len) {
        last = q;
        if (*q == '\r' || *q == '\n') line = q + 1;
    }
    if (newlines && line != NULL) return line;
    return last > p && q < end ? last : q;
}

static const char *split_gpt2(const char *p, const char *end) {
    const char *q = contraction(p, end, false);
    if (q != NULL) return q;
    q = p + (*p == ' ');
    unsigned kind = peek(q, end).kind;
    if (kind == L || kind == N) return skip(q, end, kind);
    if (kind != 0 && kind != WS) return skip(q, end, OTHER | M | P | S);
    return split_space(p, end, false);
}

/* The llama3 family: `word` are the classes of a word, `digits` how many make a piece. */
static inline const char *split_words(const char *p, const char *end, unsigned word,
                                      unsigned digits) {
    const char *q = contraction(p, end, true);
    if (q != NULL) return q;
    struct ch c = peek(p, end);
    bool leads = *p != '\r' && *p != '\n' && c.kind != N; /* may stand before or in a word */
    if (leads && ((c.kind & word) != 0 || (peek(p + c.len, end).kind & word) != 0))
        return skip(p + c.len, end, word);
    if (c.kind == N) {
        for (q = p; digits > 0 && c.kind == N; digits--, c = peek(q, end)) q += c.len;
        return q;
    }
    q = p + (*p == ' ');
    unsigned kind = peek(q, end).kind, symbols = (OTHER | M | P | S) & ~word;
    if ((kind & symbols) != 0) return skip_newlines(skip(q, end, symbols), end);
    return split_space(p, end, true);
}

static const char *split_llama3(const char *p, const char *end) {
    return split_words(p, end, L, 3);
}
static const char *split_qwen2(const char *p, const char *end) { return split_words(p, end, L, 1); }
static const char *split_qwen35(const char *p, const char *end) {
    return split_words(p, end, L | M, 1);
}

/* "[^\n]+|[\n]+" */
static const char *split_lines(const char *p, const char *end) {
    if (*p != '\n') {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        return q != NULL ? q : end;
    }
    while (p < end && *p == '\n') p++;
    return p;
}

enum { ALL = OTHER | N | L | M | P | S | WS };

/* "\p{N}": every number character alone. */
static const char *split_digit(const char *p, const char *end) {
    struct ch c = peek(p, end);
    return c.kind == N ? p + c.len : skip(p, end, ALL & ~N);
}

/* "\p{N}+" */
static const char *split_digits(const char *p, const char *end) {
    return skip(p, end, peek(p, end).kind == N ? N : ALL & ~N);
}

/* "\p{N}{1,3}" */
static const char *split_digits3(const char *p, const char *end) {
    struct ch c = peek(p, end);
    if (c.kind != N) return skip(p, end, ALL & ~N);
    for (unsigned n = 0; n < 3 && c.kind == N; n++, c = peek(p, end)) p += c.len;
    return p;
}

static bool three_digits(const char *p, const char *end) {
    for (int i = 0; i < 3; i++) {
        if (end - p <= i || p[i] < '0' || p[i] > '9') return false;
    }
    return true;
}

/* "[0-9][0-9][0-9]" */
static const char *split_ascii3(const char *p, const char *end) {
    if (three_digits(p, end)) return p + 3;
    while (p < end && !three_digits(p, end)) p++;
    return p;
}

/* "[\p{P}\$\+<=>\^~\|]+" and, with the back tick, falcon's: all of ASCII's S; other S not. */
static inline bool in_punct(const char *p, struct ch c, bool tick) {
    return c.kind == P || (c.kind == S && c.len == 1 && (tick || *p != '`'));
}

static inline const char *split_punct(const char *p, const char *end, bool tick) {
    struct ch c = peek(p, end);
    bool first = in_punct(p, c, tick);
    for (; c.len != 0 && in_punct(p, c, tick) == first; c = peek(p, end)) p += c.len;
    return p;
}

static const char *split_punct_default(const char *p, const char *end) {
    return split_punct(p, end, false);
}
static const char *split_punct_falcon(const char *p, const char *end) {
    return split_punct(p, end, true);
}

/* minicpm5's second expression is llama3's with "\p{N}+". */
static const char *split_minicpm5(const char *p, const char *end) {
    return split_words(p, end, L, UINT32_MAX);
}

/* -- the table --------------------------------------------------------------------------------- */

/* clang-format off */
static const struct pretok_group g_llama3 = {1, {split_llama3}}, g_qwen2 = {1, {split_qwen2}},
    g_qwen35 = {1, {split_qwen35}}, g_gpt2 = {1, {split_gpt2}}, g_gemma4 = {1, {split_lines}},
    g_starcoder = {2, {split_digit, split_gpt2}}, g_laguna = {2, {split_lines, split_qwen2}},
    g_falcon = {3, {split_punct_falcon, split_gpt2, split_ascii3}},
    g_minicpm5 = {2, {split_digits3, split_minicpm5}},
    g_default = {4, {split_punct_default, split_gpt2, split_digits, split_ascii3}};

enum { /* short names for the table: the letters of the specification */
    I = PRE_WHOLE, B = PRE_ADD_BOS, SEP = PRE_ADD_SEP, X = PRE_NO_BOS, C = PRE_NO_CLEAN,
    E = PRE_SPACE, R = PRE_RAW, G = PRE_NEWLINES | PRE_FORCE_BOS
};
/* clang-format on */

static const struct pretok table[] = {
    {"default", &g_default, 0},
    {"llama3", &g_llama3, I | B},
    {"llama-v3", &g_llama3, I | B},
    {"llama-bpe", &g_llama3, I | B},
    {"falcon3", &g_llama3, I | B},
    {"falcon-h1", &g_llama3, I | B},
    {"pixtral", &g_llama3, I | B},
    {"midm-2.0", &g_llama3, I | B},
    {"lfm2", &g_llama3, I | B},
    {"jina-v5-nano", &g_llama3, I | B},
    {"dbrx", &g_llama3, 0},
    {"smaug-bpe", &g_llama3, 0},
    {"chatglm-bpe", &g_llama3, X},
    {"glm4", &g_llama3, I | X},
    {"glm5", &g_llama3, I | X},
    {"stablelm2", &g_qwen2, 0},
    {"qwen2", &g_qwen2, C},
    {"deepseek-r1-qwen", &g_qwen2, C},
    {"kormo", &g_qwen2, C},
    {"f2llmv2", &g_qwen2, C},
    {"megrez", &g_qwen2, 0},
    {"hunyuan", &g_qwen2, C},
    {"solar-open", &g_qwen2, C},
    {"grok-2", &g_qwen2, C},
    {"qwen35", &g_qwen35, C},
    {"laguna", &g_laguna, C},
    {"gpt-2", &g_gpt2, 0},
    {"phi-2", &g_gpt2, 0},
    {"jina-es", &g_gpt2, 0},
    {"jina-de", &g_gpt2, 0},
    {"gigachat", &g_gpt2, 0},
    {"jina-v2-es", &g_gpt2, 0},
    {"jina-v2-de", &g_gpt2, 0},
    {"a.x-4.0", &g_gpt2, 0},
    {"mellum", &g_gpt2, 0},
    {"modern-bert", &g_gpt2, 0},
    {"jina-v1-en", &g_gpt2, SEP},
    {"jina-v2-code", &g_gpt2, SEP},
    {"roberta-bpe", &g_gpt2, SEP},
    {"exaone4", &g_gpt2, 0},
    {"mpt", &g_gpt2, 0},
    {"olmo", &g_gpt2, 0},
    {"jais", &g_gpt2, 0},
    {"trillion", &g_gpt2, C},
    {"granite-docling", &g_gpt2, C},
    {"starcoder", &g_starcoder, 0},
    {"refact", &g_starcoder, 0},
    {"command-r", &g_starcoder, C},
    {"smollm", &g_starcoder, C},
    {"codeshell", &g_starcoder, 0},
    {"exaone", &g_starcoder, 0},
    {"minerva-7b", &g_starcoder, 0},
    {"mellum2", &g_starcoder, 0},
    {"falcon", &g_falcon, 0},
    {"minicpm5", &g_minicpm5, I},
    {"gemma4", &g_gemma4, E | R | G},
    {"granite-embed-multi-311m", &g_gemma4, E | R | G},
    {"sarvam-moe", &g_gemma4, C | E | R},
    /* known; their splitters are still to be written */
    {"jais-2", NULL, 0},
    {"deepseek-llm", NULL, C},
    {"deepseek-v3", NULL, C},
    {"hunyuan-dense", NULL, C},
    {"joyai-llm", NULL, C},
    {"hy_v4", NULL, C},
    {"spark2_5", NULL, C},
    {"youtu", NULL, I | C},
    {"deepseek-coder", NULL, C},
    {"poro-chat", NULL, C},
    {"bloom", NULL, 0},
    {"gpt3-finnish", NULL, 0},
    {"viking", NULL, C},
    {"tekken", NULL, I | B | C},
    {"chameleon", NULL, B | C},
    {"gpt-4o", NULL, C},
    {"llama4", NULL, C},
    {"kanana2", NULL, C},
    {"talkie", NULL, C},
    {"minimax-m2", NULL, C},
    {"granite-embed-multi-97m", NULL, I | C},
    {"tiny_aya", NULL, C},
    {"cohere2moe", NULL, C},
    {"kimi-k2", NULL, C},
    {"superbpe", NULL, C},
    {"bailingmoe", NULL, C},
    {"bailingmoe2", NULL, C},
    {"llada-moe", NULL, C},
    {"seed-coder", NULL, C},
    {"ufakzeka", NULL, C},
    {"afmoe", NULL, C},
    {"exaone-moe", NULL, 0},
    {"whitespace", NULL, PRE_KEEP_CASE | R},
};

const struct pretok *pretok_find(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return &table[i];
    }
    return NULL;
}

/* -- cutting ----------------------------------------------------------------------------------- */

void pretok_start(struct pretok_iter *it, const struct pretok *pre, const char *text, size_t len) {
    assert(pre->group != NULL);
    it->group = pre->group;
    it->pos = text;
    it->end[0] = text + len;
    for (unsigned i = 1; i <= it->group->n; i++) it->end[i] = text;
}

bool pretok_next(struct pretok_iter *it, const char **piece, size_t *len) {
    const char *p = it->pos;
    if (p == it->end[0]) return false;
    unsigned level = it->group->n; /* the innermost piece that goes on at p */
    while (it->end[level] == p) level--;
    for (; level < it->group->n; level++) {
        it->end[level + 1] = it->group->split[level](p, it->end[level]);
        assert(it->end[level + 1] > p && it->end[level + 1] <= it->end[level]);
    }
    *piece = p;
    it->pos = it->end[level];
    *len = (size_t)(it->pos - p);
    return true;
}

/* Length of the longest prefix that decoding and encoding again leaves as it is. */
static size_t clean_prefix(const char *text, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint32_t cp;
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        unsigned n = utf8_decode_lenient(text + i, len - i, &cp);
        unsigned shortest = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (n != shortest) break; /* a bad byte (1 for U+FFFD) or an overlong form */
        i += n;
    }
    return i;
}

bool pretok_clean(const char *text, size_t len, struct buf *copy, const char **out,
                  size_t *out_len) {
    size_t i = clean_prefix(text, len);
    *out = text;
    *out_len = len;
    if (i == len) return true;
    buf_clear(copy);
    buf_add(copy, text, i);
    while (i < len) {
        uint32_t cp;
        char c[4];
        i += utf8_decode_lenient(text + i, len - i, &cp);
        buf_add(copy, c, utf8_encode(cp, c));
    }
    *out = copy->data;
    *out_len = copy->len;
    return !copy->failed;
}
