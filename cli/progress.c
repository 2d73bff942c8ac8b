/* progress.c - spinners and bars on stderr. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"
#include "cli/format.h"
#include "cli/terminal.h"

enum { TEXT_MAX = 160, SAMPLES = 10 };

struct line {
    char key[TEXT_MAX], text[TEXT_MAX];
    bool bar, stopped;
    uint64_t total, completed;
    double started;
    /* Rate: `completed` at the last full seconds, a ring. */
    uint64_t sample[SAMPLES];
    unsigned n_samples;
    double sampled;
};
struct progress {
    struct line *lines; /* owned */
    size_t n, cap;
    int drawn; /* lines on the screen */
    double last_draw;
};

struct progress *progress_new(void) { return mem_zalloc(1, sizeof(struct progress)); }

void progress_free(struct progress *p) {
    if (p == NULL) return;
    mem_free(p->lines);
    mem_free(p);
}

/* ---- one line as text ---- */

static void put_spinner(struct buf *out, const struct line *l, double now) {
    static const char *const turn[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    buf_printf(out, "%s ", l->text);
    if (l->stopped) return;
    buf_printf(out, "%s ", turn[(unsigned)((now - l->started) * 10) % 10]);
}

static void put_size(struct buf *out, uint64_t n, const char *before) {
    struct buf text = {0};
    format_bytes(&text, n);
    buf_printf(out, "%s%6s", before, text.data != NULL ? text.data : "");
    buf_free(&text);
}

static double rate_of(const struct line *l) {
    if (l->n_samples < 2) return 0;
    const unsigned kept = l->n_samples < SAMPLES ? l->n_samples : SAMPLES;
    const uint64_t newest = l->sample[(l->n_samples - 1) % SAMPLES];
    const uint64_t oldest = l->sample[(l->n_samples - kept) % SAMPLES];
    return (double)(newest - oldest) / (kept - 1);
}

static void put_time_left(struct buf *out, const struct line *l, double rate) {
    char text[32] = "";
    if (rate > 0) {
        const double left = (double)(l->total - l->completed) / rate;
        const unsigned long s = left < 360000 ? (unsigned long)left : 360000;
        if (s >= 360000)
            snprintf(text, sizeof text, "99h+");
        else if (s >= 3600)
            snprintf(text, sizeof text, "%luh%lum", s / 3600, s / 60 % 60);
        else if (s >= 60)
            snprintf(text, sizeof text, "%lum%lus", s / 60, s % 60);
        else
            snprintf(text, sizeof text, "%lus", s);
    }
    buf_printf(out, "  %6s", text);
}

/* What stands behind the bar. */
static void put_figures(struct buf *out, const struct line *l) {
    if (l->stopped || l->completed >= l->total) {
        put_size(out, l->total, "");
        buf_printf(out, "%24s", "");
        return;
    }
    const double rate = rate_of(l);
    put_size(out, l->completed, "");
    put_size(out, l->total, "/");
    put_size(out, (uint64_t)rate, "  ");
    buf_str(out, "/s");
    put_time_left(out, l, rate);
}

static void put_bar(struct buf *out, const struct line *l, int columns) {
    struct buf behind = {0};
    const double part = l->total > 0 ? (double)l->completed / (double)l->total : 0;
    const size_t start = out->len;
    buf_printf(out, "%s %3.0f%% ▕", l->text, part * 100);
    put_figures(&behind, l);
    const int before = text_width(out->data + start, out->len - start);
    const int width = columns - before - (int)behind.len - 5;
    const int full = width > 0 ? (int)(part * width) : 0;
    for (int i = 0; i < width; i++) buf_str(out, i < full ? "█" : " ");
    buf_printf(out, "▏ %s", behind.data != NULL ? behind.data : "");
    buf_free(&behind);
}

/* ---- drawing ---- */

static void emit(struct buf *out) {
    const char *s = out->data;
    for (size_t left = out->len; left > 0;) {
        ssize_t n = write(STDERR_FILENO, s, left);
        if (n <= 0) break;
        s += n;
        left -= (size_t)n;
    }
    buf_free(out);
}

/* A terminal that can take nothing back gets the last state of each line, at the end. */
static bool is_dumb(void) { return terminal_is(STDERR_FILENO) && terminal_dumb(); }

/* A line that wraps could not be found again. */
static void cut_line(struct buf *out, size_t start, int columns) {
    int width = 0;
    for (size_t i = start; i < out->len;) {
        uint32_t cp;
        const unsigned n = utf8_decode(out->data + i, out->len - i, &cp);
        width += char_width(cp);
        if (width > columns) {
            buf_cut(out, i);
            return;
        }
        i += n;
    }
}

static void draw(struct progress *p, double now) {
    struct buf out = {0};
    p->last_draw = now;
    if (is_dumb()) return;
    const int columns = terminal_width(STDERR_FILENO);
    const size_t height = (size_t)terminal_height(STDERR_FILENO);
    const size_t first = p->n > height ? p->n - height : 0;
    buf_str(&out, "\x1b[?2026h\x1b[?25l");
    for (int i = 1; i < p->drawn; i++) buf_str(&out, "\x1b[A");
    buf_str(&out, "\x1b[1G");
    for (size_t i = first; i < p->n; i++) {
        if (i > first) buf_chr(&out, '\n');
        const size_t start = out.len;
        if (p->lines[i].bar)
            put_bar(&out, &p->lines[i], columns);
        else
            put_spinner(&out, &p->lines[i], now);
        if (terminal_is(STDERR_FILENO)) cut_line(&out, start, columns);
        buf_str(&out, "\x1b[K");
    }
    buf_str(&out, "\x1b[?25h\x1b[?2026l");
    p->drawn = (int)(p->n - first);
    emit(&out);
}

static void sample(struct line *l, double now) {
    if (!l->bar || now - l->sampled < 1) return;
    l->sampled = now;
    l->sample[l->n_samples++ % SAMPLES] = l->completed;
}

void progress_tick(struct progress *p) {
    if (p == NULL || p->n == 0) return;
    const double now = os_time_mono();
    for (size_t i = 0; i < p->n; i++) sample(&p->lines[i], now);
    if (now - p->last_draw >= 0.1) draw(p, now);
}

/* ---- lines ---- */

static struct line *line_of(struct progress *p, const char *key) {
    for (size_t i = p->n; i-- > 0;)
        if (strcmp(p->lines[i].key, key) == 0) return &p->lines[i];
    if (p->n == p->cap) {
        const size_t cap = p->cap != 0 ? p->cap * 2 : 4;
        struct line *grown = mem_grow(p->lines, cap, sizeof *grown);
        if (grown == NULL) return NULL;
        p->lines = grown;
        p->cap = cap;
    }
    if (p->n > 0) p->lines[p->n - 1].stopped = true; /* only the last line turns */
    struct line *l = &p->lines[p->n++];
    *l = (struct line){.started = os_time_mono()};
    snprintf(l->key, sizeof l->key, "%s", key);
    return l;
}

/* What a server says may hold anything. */
static void set_text(struct line *l, const char *text) {
    struct buf shown = {0};
    terminal_visible(&shown, text, strlen(text));
    for (size_t i = 0; i < shown.len; i++) /* one line each */
        if (shown.data[i] == '\n' || shown.data[i] == '\t') shown.data[i] = ' ';
    snprintf(l->text, sizeof l->text, "%s", shown.data != NULL ? shown.data : "");
    buf_free(&shown);
}

void progress_spinner(struct progress *p, const char *key, const char *text) {
    struct line *l = p != NULL ? line_of(p, key) : NULL;
    if (l == NULL) return;
    set_text(l, text);
    progress_tick(p);
}

void progress_bar(struct progress *p, const char *key, const char *text, uint64_t total,
                  uint64_t completed) {
    struct line *l = p != NULL ? line_of(p, key) : NULL;
    if (l == NULL) return;
    set_text(l, text);
    l->bar = true;
    l->total = total;
    l->completed = completed < total ? completed : total;
    progress_tick(p);
}

void progress_stop(struct progress *p) {
    if (p == NULL || p->n == 0) return;
    for (size_t i = 0; i < p->n; i++) p->lines[i].stopped = true;
    draw(p, os_time_mono());
    struct buf out = {0};
    for (size_t i = 0; is_dumb() && i < p->n; i++)
        buf_printf(&out, "%s%s", i > 0 ? "\n" : "", p->lines[i].text);
    buf_chr(&out, '\n');
    emit(&out);
    p->n = 0;
    p->drawn = 0;
}

void progress_clear(struct progress *p) {
    if (p == NULL || p->drawn == 0) {
        if (p != NULL) p->n = 0;
        return;
    }
    struct buf out = {0};
    for (int i = 0; i < p->drawn; i++)
        buf_str(&out, i > 0 ? "\x1b[A\x1b[2K\x1b[1G" : "\x1b[2K\x1b[1G");
    emit(&out);
    p->n = 0;
    p->drawn = 0;
}
