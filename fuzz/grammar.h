/* grammar.h - what the fuzz targets of grammars share: a small vocabulary, and a walk that compares
 * every mask with brute force. */
#ifndef CRIA_FUZZ_GRAMMAR_H
#define CRIA_FUZZ_GRAMMAR_H

#include <string.h>

#include "base/mem.h"
#include "engine/grammar/testing.h"
#include "fuzz/fuzz.h"

static const char *const PIECES[] = {
    "a", "b", "ab",   "abc",  "{",    "}",        "\"",  "\":", "\",",    "[",
    "]", ",", ", ",   ":",    " ",    "\n",       "1",   "12",  "0",      "-",
    ".", "e", "true", "null", "fa",   "lse",      "\\",  "\\n", "x",      "y",
    "z", "A", "0000", "\xC3", "\xA9", "\xC3\xA9", "\"}", "],",  "{\"a\":"};
enum { N_PIECES = sizeof PIECES / sizeof *PIECES, EOG = N_PIECES, N_TOKENS = N_PIECES + 1 };

static const struct pieces vocabulary = {PIECES, N_PIECES};

/* Walks as `choice` says; every token's bit must be what its text says. */
static void compare_masks(struct grammar *g, const uint8_t *choice, size_t n_choices) {
    char text[256];
    size_t len = 0;
    struct grammar_run *r = NULL;
    if (grammar_run_open(&r, g, NULL) != ST_OK) return;
    for (size_t i = 0; i < n_choices; i++) {
        uint32_t n = 0, seen = 0;
        uint32_t bits[(N_TOKENS + 31) / 32];
        const uint32_t *mask = grammar_run_mask(r, &n);
        if (mask == NULL) break; /* a limit */
        memcpy(bits, mask, sizeof bits);
        for (token_id t = 0; t < N_TOKENS; t++) {
            bool bit = bits[t / 32] >> (t % 32) & 1;
            seen += bit;
            must(bit == piece_fits(&vocabulary, g, text, len, t));
            must(bit == grammar_run_allows(r, t));
        }
        must(seen == n);
        if (n == 0) break;
        token_id pick = 0;
        for (uint32_t k = choice[i] % n;; pick++)
            if ((bits[pick / 32] >> (pick % 32) & 1) != 0 && k-- == 0) break;
        token_id forced = grammar_run_forced(r);
        must(forced == TOKEN_NONE || (n == 1 && forced == pick));
        if (pick == EOG || len + 8 > sizeof text) break;
        must(grammar_run_accept(r, pick));
        memcpy(text + len, PIECES[pick], strlen(PIECES[pick]));
        len += strlen(PIECES[pick]);
    }
    grammar_run_close(r);
}

/* Any bytes as a source: refused with a message, or all masks are right. The first byte's low bits
 * tell how long the walk is, the next ones where it goes. */
static int fuzz_source(enum grammar_kind kind, const uint8_t *data, size_t size) {
    static struct token_index *ti;
    enum { STEPS = 6 };
    if (ti == NULL) must(pieces_index(&ti, &vocabulary, NULL) == ST_OK);
    if (size < STEPS) return 0;
    const long live = mem_live();
    struct err e = {0};
    struct grammar *g = NULL;
    struct grammar_source source = {kind, (const char *)data + STEPS, size - STEPS};
    enum status st = grammar_compile(&g, &source, ti, &e);
    must(st == ST_OK || (e.code == st && e.msg[0] != '\0'));
    must(st == ST_OK || st == ST_INVALID || st == ST_LIMIT || st == ST_FORMAT);
    if (st == ST_OK) compare_masks(g, data, STEPS);
    grammar_unref(g);
    /* Masks of the JSON prelude stay with the index. */
    must(mem_live() >= live && (kind == GRAMMAR_SCHEMA || mem_live() == live));
    return 0;
}

#endif
