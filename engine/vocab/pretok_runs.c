/* pretok_runs.c - the splitters that do not look for words (see pretok_split.h).
 *
 * An expression that matches only some of the text makes pieces of its matches and of what lies
 * between them. Nearly all here are runs: a maximal run of characters that are in a set is a piece,
 * and a maximal run of others is. Where a match is more than a run, `find` says whether one begins
 * at a place; asking costs a bounded number of characters, so the search is linear. */
#include <stddef.h>
#include <string.h>

#include "engine/vocab/pretok_char.h"
#include "engine/vocab/pretok_split.h"

/* -- lines and spaces
 * ------------------------------------------------------------------------------ */

/* "[^\n]+|[\n]+" */
const char *split_lines(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    if (*p != '\n') {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        return q != NULL ? q : end;
    }
    while (p < end && *p == '\n') p++;
    return p;
}

/* "[\r\n]" */
const char *split_newline(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    if (is_newline((unsigned char)*p)) return p + 1;
    while (p < end && !is_newline((unsigned char)*p)) p++;
    return p;
}

/* "\S+" */
const char *split_spaces(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return skip(p, end, peek(p, end).kind == WS ? WS : ANY & ~WS);
}

/* "\s+$": the white space at the end of the piece. */
const char *split_last_spaces(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *tail = end;
    while (tail > p) {
        const char *q = tail - 1;
        while (q > p && ((unsigned char)*q & 0xC0) == 0x80) q--;
        if (peek(q, end).kind != WS) break;
        tail = q;
    }
    return tail > p ? tail : end;
}

/* -- numbers
 * --------------------------------------------------------------------------------------- */

/* "\p{N}": every number character alone. */
const char *split_digit(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const struct ch c = peek(p, end);
    return c.kind == N ? p + c.len : skip(p, end, ANY & ~N);
}

/* "\p{N}+" */
const char *split_digits(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return skip(p, end, peek(p, end).kind == N ? N : ANY & ~N);
}

static const char *skip_digits(const char *p, const char *end, unsigned n) {
    for (struct ch c = peek(p, end); n > 0 && c.kind == N; n--, c = peek(p, end)) p += c.len;
    return p;
}

/* "\p{N}{1,3}" */
const char *split_digits3(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *q = skip_digits(p, end, 3);
    return q > p ? q : skip(p, end, ANY & ~N);
}

static bool is_digit(const char *p, const char *end) { return p < end && *p >= '0' && *p <= '9'; }

static bool three_digits(const char *p, const char *end) {
    return is_digit(p, end) && is_digit(p + 1, end) && is_digit(p + 2, end);
}

/* "[0-9][0-9][0-9]" */
const char *split_ascii3(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    if (three_digits(p, end)) return p + 3;
    while (p < end && !three_digits(p, end)) p++;
    return p;
}

/* Numbers in groups of three counted from the right; the text before a number belongs to its first
 * group (afmoe, tiny_aya). A number is measured once: up to run->end there are whole groups. */
const char *split_groups3(const char *p, const char *end, struct pretok_run *run) {
    if (p < run->end) return skip_digits(p, end, 3);
    p = skip(p, end, ANY & ~N);
    const char *q = p;
    unsigned n = 0; /* modulo 3 */
    for (struct ch c; (c = peek(q, end)).kind == N; q += c.len) n = n == 2 ? 0 : n + 1;
    run->end = q;
    return p == end ? end : skip_digits(p, end, n != 0 ? n : 3);
}

/* "(?=(\d{3})+(?!\d))": cuts in front of each group of three ASCII digits, counted from the right.
 * What follows a number stays with its last group. */
const char *split_superbpe(const char *p, const char *end, struct pretok_run *run) {
    const char *from = p;
    if (p < run->end) p += 3; /* a whole group: the next cut is behind it, if there is one */
    if (p < run->end) return p;
    for (;;) {
        while (p < end && !is_digit(p, end)) p++;
        const char *q = p;
        while (is_digit(q, end)) q++;
        const char *first = p + (q - p) % 3; /* the first group that is cut off */
        p = q;
        if (first == q) {
            if (q == end) return end;
            continue; /* fewer than three digits */
        }
        run->end = q;
        if (first > from) return first;
        if (q - first > 3) return first + 3;
    }
}

/* -- classes
 * --------------------------------------------------------------------------------------- */

/* "[\p{P}\$\+<=>\^~\|]+" and, with the back tick, falcon's: all of ASCII's S; other S not. */
static inline const char *split_punct(const char *p, const char *end, bool tick) {
    bool first = false;
    for (const char *from = p;;) {
        const struct ch c = peek(p, end);
        const bool in = c.kind == P || (c.kind == S && c.len == 1 && (tick || c.cp != '`'));
        if (p == from) first = in;
        if (c.len == 0 || in != first) return p;
        p += c.len;
    }
}
const char *split_punct_default(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_punct(p, end, false);
}
const char *split_punct_falcon(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_punct(p, end, true);
}

/* "[\p{P}!-/:-@\[-`{-~]": every mark alone. */
const char *split_each_mark(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *from = p;
    for (struct ch c; (c = peek(p, end)).len != 0; p += c.len) {
        if (c.kind == P || (c.kind == S && c.len == 1)) return p > from ? p : p + c.len;
    }
    return p;
}

/* "\s?X+" for the characters of a class. */
static inline const char *split_class(const char *p, const char *end, unsigned kind) {
    const char *from = p;
    for (struct ch c; (c = peek(p, end)).len != 0; p += c.len) {
        const char *q = c.kind == WS ? p + c.len : p;
        if ((peek(q, end).kind & kind) == 0) continue;
        return p > from ? p : skip(q, end, kind);
    }
    return p;
}
const char *split_letters(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_class(p, end, L);
}
const char *split_marks(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_class(p, end, P);
}

/* -- sets of characters
 * ---------------------------------------------------------------------------- */

struct range {
    uint32_t first, last;
};
struct set {
    const struct range *range; /* sorted */
    unsigned n;
};
#define SET(name)                                                                                  \
    static const struct set name = {name##_ranges, sizeof name##_ranges / sizeof name##_ranges[0]}

/* clang-format off */
static const struct range latin_ranges[] = { /* deepseek-llm: letters of scripts with cases */
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA}, {0x1BC,
    0x1BF}, {0x1C4, 0x293}, {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x377}, {0x37B, 0x37D},
    {0x37F, 0x37F}, {0x386, 0x386}, {0x388, 0x38A}, {0x38C, 0x38C}, {0x38E, 0x3A1}, {0x3A3,
    0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556}, {0x10A0, 0x10C5}, {0x13A0, 0x13F5},
    {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A}, {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D},
    {0x1F50, 0x1F57}, {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D},
    {0x1F80, 0x1FB4}, {0x1FB6, 0x1FBC}, {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC},
    {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FE0, 0x1FEC}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC},
    {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211D},
    {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F, 0x2134},
    {0x2139, 0x2139}, {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2184},
    {0x2C00, 0x2C7B}, {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF3}, {0xA640, 0xA66D},
    {0xA680, 0xA69B}, {0xA722, 0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF},
    {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F},
    {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0,
    0x118DF}, {0x1E900, 0x1E943}
};
static const struct range signs_ranges[] = { /* deepseek-llm; U+3000 is white space, hence not in it */
    {'!', '/'}, {':', '~'}, {0x2018, 0x201F}, {0x3001, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const struct range cjk_old_ranges[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const struct range cjk_ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const struct range afmoe_ranges[] = {
    {0xE40, 0xEFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF}, {0x2F00, 0x2FDF},
    {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0xFAFF}, {0xFF65, 0xFF9F}};
static const struct range hangul_ranges[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
static const struct range stops_ranges[] = {
    {0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D}, {0x2026, 0x2026}, {0x3001, 0x303F},
    {0xFE30, 0xFE4F}, {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
static const struct range bopomofo_ranges[] = {{0x3105, 0x312F}};
static const struct range ends_ranges[] = { /* what ends a part of a sentence (poro) */
    {'!', '!'}, {'(', ')'}, {',', ','}, {'.', '.'}, {'?', '?'}, {'|', '|'}, {0x60C, 0x60C},
    {0x6D4, 0x6D4}, {0x964, 0x964}, {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C}};
/* clang-format on */
SET(latin);
SET(signs);
SET(cjk_old);
SET(cjk);
SET(afmoe);
SET(hangul);
SET(stops);
SET(bopomofo);
SET(ends);

/* White space is in no set, whatever its code point. */
static bool in_set(const struct set *s, struct ch c) {
    unsigned lo = 0, hi = s->n; /* range[lo - 1].first <= cp < range[hi].first */
    if (c.len == 0 || c.kind == WS) return false;
    while (lo < hi) {
        const unsigned mid = lo + (hi - lo) / 2;
        if (s->range[mid].first <= c.cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo != 0 && c.cp <= s->range[lo - 1].last;
}

/* "[..]+" */
static const char *split_set(const char *p, const char *end, const struct set *s) {
    const bool first = in_set(s, peek(p, end));
    for (struct ch c; (c = peek(p, end)).len != 0 && in_set(s, c) == first;) p += c.len;
    return p;
}

/* "\s?[..]+" */
static const char *split_spaced_set(const char *p, const char *end, const struct set *s) {
    const char *from = p;
    for (struct ch c; (c = peek(p, end)).len != 0; p += c.len) {
        const char *q = c.kind == WS ? p + c.len : p;
        if (!in_set(s, peek(q, end))) continue;
        return p > from ? p : split_set(q, end, s);
    }
    return p;
}

const char *split_latin(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_spaced_set(p, end, &latin);
}
const char *split_signs(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_spaced_set(p, end, &signs);
}
const char *split_cjk_old(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_set(p, end, &cjk_old);
}
const char *split_cjk(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_set(p, end, &cjk);
}
const char *split_afmoe(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_set(p, end, &afmoe);
}

/* youtu: four sets that have nothing in common; a run belongs to one. */
static unsigned script_of(struct ch c) {
    static const struct set *const sets[] = {&hangul, &stops, &bopomofo, &cjk};
    if (c.len < 3) return 0;
    for (unsigned i = 0; i < 4; i++) {
        if (in_set(sets[i], c)) return i + 1;
    }
    return 0;
}
const char *split_youtu_cjk(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const unsigned first = script_of(peek(p, end));
    for (struct ch c; (c = peek(p, end)).len != 0 && script_of(c) == first;) p += c.len;
    return p;
}

static bool in_sentence(struct ch c) { return c.len != 0 && c.kind != WS && !in_set(&ends, c); }

/* " ?[^(\s|.,!?..)]+" (poro): parts of sentences. */
const char *split_sentence(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *from = p;
    for (struct ch c; (c = peek(p, end)).len != 0; p += c.len) {
        const char *q = *p == ' ' ? p + 1 : p;
        if (!in_sentence(peek(q, end))) continue;
        if (p > from) return p;
        while (in_sentence(c = peek(q, end))) q += c.len;
        return q;
    }
    return p;
}

/* -- chameleon's texts
 * ----------------------------------------------------------------------------- */

typedef const char *find_fn(const char *p, const char *end); /* end of the match at p; NULL: none */

/* Matches and what lies between them; `lead` is the first byte of every match. */
static const char *split_text(const char *p, const char *end, char lead, find_fn *find) {
    const char *q = *p == lead ? find(p, end) : NULL;
    if (q != NULL) return q;
    do p = memchr(p + 1, lead, (size_t)(end - p - 1));
    while (p != NULL && find(p, end) == NULL);
    return p != NULL ? p : end;
}

static bool begins(const char *p, const char *end, const char *text, size_t len) {
    return (size_t)(end - p) >= len && memcmp(p, text, len) == 0;
}

static const char *sentinel(const char *p, const char *end) {
    if (!begins(p, end, "<sentinel:", 10) || !is_digit(p + 10, end)) return NULL;
    for (p += 10; is_digit(p, end);) p++;
    return p < end && *p == '>' ? p + 1 : NULL;
}

static const char *image(const char *p, const char *end) {
    if (!begins(p, end, "IMGIMG", 6)) return NULL;
    const char *letter = p + 6;
    for (p = letter; p < end && p - letter < 4 && *p >= 'A' && *p <= 'I';) p++;
    return p > letter && p < end && *p == 'Z' ? p + 1 : NULL;
}

/* "<sentinel:[0-9]+>" */
const char *split_sentinel(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_text(p, end, '<', sentinel);
}

/* "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z" */
const char *split_image(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    return split_text(p, end, 'I', image);
}

static const char *indent(const char *p, const char *end) {
    if (*p == '\t' || *p == '\n') return p + 1;
    if (begins(p, end, "    ", 4)) return p + 4;
    return begins(p, end, "  ", 2) ? p + 2 : NULL;
}

/* "([\t\n]|    |  )" */
const char *split_indents(const char *p, const char *end, struct pretok_run *run) {
    (void)run;
    const char *q = indent(p, end);
    if (q != NULL) return q;
    do p++;
    while (p < end && indent(p, end) == NULL);
    return p;
}
