/* wrap.c - word wrap of streamed text. */
#include "cli/wrap.h"

#include <string.h>

#include "base/utf8.h"
#include "cli/terminal.h"

static void end_word(struct wrap *w) {
    buf_clear(&w->word);
    w->word_width = 0;
}

/* The line is full: the current word moves to the next one, unless it is too long for that. */
static void break_line(struct wrap *w, struct buf *out) {
    if (w->word_width > 0 && w->word_width <= w->columns - 10) {
        buf_printf(out, "\x1b[%dD\x1b[K\n", w->word_width);
        buf_add(out, w->word.data, w->word.len);
        w->column = w->word_width;
    } else {
        buf_chr(out, '\n');
        w->column = 0;
        end_word(w);
    }
}

static void put_char(struct wrap *w, struct buf *out, const char *s, unsigned n, uint32_t cp) {
    const int width = char_width(cp);
    if (cp == '\n') {
        w->column = 0;
        end_word(w);
        buf_chr(out, '\n');
        return;
    }
    if (w->column + width > w->columns - 5) {
        if (cp == ' ') { /* a blank at the end of a line is the line break */
            buf_chr(out, '\n');
            w->column = 0;
            end_word(w);
            return;
        }
        break_line(w, out);
    }
    buf_add(out, s, n);
    w->column += width;
    if (cp == ' ' || cp == '\t' || width > 1) {
        end_word(w);
    } else {
        buf_add(&w->word, s, n);
        w->word_width += width;
    }
}

/* Whole characters of the n bytes; returns how many bytes that were. */
static size_t put_whole(struct wrap *w, struct buf *out, const char *s, size_t n) {
    const size_t whole = utf8_complete_prefix(s, n);
    for (size_t i = 0; i < whole;) {
        uint32_t cp;
        unsigned len = utf8_decode(s + i, whole - i, &cp);
        put_char(w, out, s + i, len, cp);
        i += len;
    }
    return whole;
}

void wrap_put(struct wrap *w, struct buf *out, const char *s, size_t n) {
    if (w->columns == 0) {
        buf_add(out, s, n);
        return;
    }
    while (w->n_partial > 0 && n > 0) { /* bytes that were waiting come first */
        w->partial[w->n_partial++] = *s++;
        n--;
        if (put_whole(w, out, w->partial, w->n_partial) > 0 || w->n_partial == 4) w->n_partial = 0;
    }
    if (n == 0) return;
    const size_t whole = put_whole(w, out, s, n);
    w->n_partial = (unsigned)(n - whole);
    memcpy(w->partial, s + whole, n - whole);
}

void wrap_free(struct wrap *w) { buf_free(&w->word); }
