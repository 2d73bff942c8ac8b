/* textout.c - see textout.h.
 *
 * Each stop string runs the matcher of Knuth, Morris and Pratt over the bytes: `matched` is the
 * length of its longest prefix that the text so far ends with. That one number answers both
 * questions, in constant time per byte: all of it matched is a hit, some of it matched means "hold
 * back". Text is released only while every `matched` is 0, so a hit never reaches into text that
 * was already given out.
 *
 *     pending   [ taken | ready to send | held back ]
 *               0       taken           ready       len
 *
 * A hit counts at once, even if the text behind it ends inside a character; the peer looks at
 * nothing until the character is whole, and can then miss the stop string. */
#include "engine/textout.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

struct stop {
    const char *text;   /* points into textout.chars */
    uint32_t *fallback; /* [len] into textout.numbers: longest border of text[0..i] */
    uint32_t len, matched;
    int index; /* in the caller's list */
};

struct textout {
    struct buf pending;
    size_t ready, taken;
    bool ended;
    int hit;           /* index of the stop string or TEXTOUT_NO_STOP */
    struct stop *stop; /* owned [n_stop]; so are the two stores behind them */
    size_t n_stop;
    char *chars;
    uint32_t *numbers;
};

/* ---- matching ---- */

/* One more byte; true: all of the stop string has been seen. */
static bool stop_step(struct stop *s, char byte) {
    assert(s->matched < s->len);
    while (s->matched > 0 && s->text[s->matched] != byte) s->matched = s->fallback[s->matched - 1];
    if (s->text[s->matched] == byte) s->matched++;
    return s->matched == s->len;
}

/* fallback[i]: the longest proper prefix of text[0..i] that is also its suffix. */
static void stop_prepare(struct stop *s) {
    s->fallback[0] = 0;
    for (uint32_t i = 1, k = 0; i < s->len; i++) {
        while (k > 0 && s->text[i] != s->text[k]) k = s->fallback[k - 1];
        if (s->text[i] == s->text[k]) k++;
        s->fallback[i] = k;
    }
}

/* Looks for one stop string in pending[from..]; SIZE_MAX or where the first hit begins. */
static size_t stop_find(struct stop *s, const struct buf *pending, size_t from) {
    for (size_t i = from; i < pending->len; i++) {
        if (!stop_step(s, pending->data[i])) continue;
        assert(i + 1 >= s->len);
        return i + 1 - s->len;
    }
    return SIZE_MAX;
}

/* The earliest hit of all wins, the first listed among equals; the text is cut there. */
static void find_stops(struct textout *t, size_t from) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < t->n_stop; i++) {
        size_t at = stop_find(&t->stop[i], &t->pending, from);
        if (at >= best) continue;
        best = at;
        t->hit = t->stop[i].index;
    }
    if (best == SIZE_MAX) return;
    assert(best >= t->ready);
    buf_cut(&t->pending, best);
    t->ready = best;
    t->ended = true;
}

static bool may_begin_stop(const struct textout *t) {
    for (size_t i = 0; i < t->n_stop; i++) {
        if (t->stop[i].matched > 0) return true;
    }
    return false;
}

/* ---- life ---- */

static enum status alloc_stores(struct textout *t, const char *const *stop, size_t n_stop,
                                struct err *e) {
    size_t total = 0;
    for (size_t i = 0; i < n_stop; i++) {
        if (!mem_add(total, strlen(stop[i]), &total)) return err_no_memory(e);
    }
    if (total > UINT32_MAX) return err_set(e, ST_LIMIT, "stop strings are too long");
    t->stop = mem_zalloc(n_stop, sizeof *t->stop);
    t->chars = mem_alloc(total);
    t->numbers = mem_array(total, sizeof *t->numbers);
    if (t->stop == NULL || t->chars == NULL || t->numbers == NULL) return err_no_memory(e);
    return ST_OK;
}

static void add_stops(struct textout *t, const char *const *stop, size_t n_stop) {
    size_t used = 0;
    for (size_t i = 0; i < n_stop; i++) {
        size_t len = strlen(stop[i]);
        if (len == 0) continue;
        struct stop *s = &t->stop[t->n_stop++];
        memcpy(t->chars + used, stop[i], len);
        *s = (struct stop){.text = t->chars + used,
                           .fallback = t->numbers + used,
                           .len = (uint32_t)len,
                           .index = (int)i};
        stop_prepare(s);
        used += len;
    }
}

enum status textout_open(struct textout **out, const char *const *stop, size_t n_stop,
                         struct err *e) {
    assert(out != NULL && (stop != NULL || n_stop == 0) && n_stop < INT32_MAX);
    *out = NULL;
    struct textout *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    t->hit = TEXTOUT_NO_STOP;
    enum status st = alloc_stores(t, stop, n_stop, e);
    if (st != ST_OK) {
        textout_close(t);
        return st;
    }
    add_stops(t, stop, n_stop);
    *out = t;
    return ST_OK;
}

void textout_close(struct textout *t) {
    if (t == NULL) return;
    buf_free(&t->pending);
    mem_free(t->stop);
    mem_free(t->chars);
    mem_free(t->numbers);
    mem_free(t);
}

/* ---- the stream ---- */

static void drop_taken(struct textout *t) {
    assert(t->taken <= t->ready && t->ready <= t->pending.len);
    buf_drop(&t->pending, t->taken);
    t->ready -= t->taken;
    t->taken = 0;
}

void textout_push(struct textout *t, const char *piece, size_t len, bool is_eog) {
    if (t->ended) return;
    drop_taken(t);
    size_t from = t->pending.len;
    buf_add(&t->pending, piece, len);
    if (t->pending.failed) return;
    find_stops(t, from);
    if (t->ended) return;
    if (is_eog) {
        textout_finish(t);
        return;
    }
    size_t held = t->pending.len - t->ready;
    if (held == 0) return;
    bool is_whole = utf8_complete_prefix(t->pending.data + t->ready, held) == held;
    if (is_whole && !may_begin_stop(t)) t->ready = t->pending.len;
}

const char *textout_ready(struct textout *t, size_t *len) {
    *len = t->pending.failed ? 0 : t->ready - t->taken;
    const char *text = *len > 0 ? t->pending.data + t->taken : "";
    t->taken += *len;
    return text;
}

void textout_finish(struct textout *t) {
    if (t->ended) return;
    drop_taken(t);
    t->ended = true;
    if (t->pending.len == 0) return;
    t->ready = utf8_complete_prefix(t->pending.data, t->pending.len);
    buf_cut(&t->pending, t->ready);
}

bool textout_ended(const struct textout *t) { return t->ended; }
int textout_stop(const struct textout *t) { return t->hit; }
bool textout_failed(const struct textout *t) { return t->pending.failed; }
