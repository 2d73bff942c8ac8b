/* display.c - shows an answer while it streams in. */
#include "cli/display.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/format.h"
#include "cli/terminal.h"

#define GREY "\x1b[38;5;245m"
#define BOLD "\x1b[1m"
#define RESET "\x1b[0m"

void display_open(struct display *a, bool wordwrap) {
    const bool tty = terminal_is(STDOUT_FILENO), dumb = tty && terminal_dumb();
    *a = (struct display){.plain = !terminal_colors(STDOUT_FILENO), .visible = tty};
    if (wordwrap && !dumb) a->wrap.columns = terminal_width(STDOUT_FILENO);
}

void display_free(struct display *a) {
    wrap_free(&a->wrap);
    buf_free(&a->content);
    buf_free(&a->thinking);
}

void display_tick(void *arg) {
    struct display *a = arg;
    progress_tick(a->spinner);
}

/* ---- text ---- */

static void print(const struct buf *out) {
    if (out->len > 0) fwrite(out->data, 1, out->len, stdout);
    fflush(stdout);
}

static void show_text(struct display *a, const char *s, size_t n) {
    struct buf out = {0};
    progress_clear(a->spinner);
    a->spinner = NULL;
    a->any = true;
    struct buf shown = {0};
    if (a->visible) {
        terminal_visible(&shown, s, n);
        s = shown.data;
        n = shown.len;
    }
    if (n > 0) wrap_put(&a->wrap, &out, s, n);
    buf_free(&shown);
    print(&out);
    buf_free(&out);
}

/* A line of our own, which takes no part in wrapping. */
static void show_mark(struct display *a, const char *mark) {
    progress_clear(a->spinner);
    a->spinner = NULL;
    printf("%s%s%s\n", a->plain ? "" : GREY BOLD, mark, a->plain ? "" : RESET);
    a->wrap.column = 0;
}

static void show_thinking(struct display *a, const char *s, size_t n) {
    buf_add(&a->thinking, s, n);
    if (a->hide_thinking) return;
    if (!a->thinking_open) {
        show_mark(a, "Thinking...");
        if (!a->plain) fputs(GREY, stdout);
        a->thinking_open = true;
    }
    show_text(a, s, n);
}

static void end_thinking(struct display *a) {
    if (!a->thinking_open) return;
    a->thinking_open = false;
    if (!a->plain) fputs(RESET, stdout);
    const struct buf *t = &a->thinking;
    if (t->len > 0 && t->data[t->len - 1] != '\n') putchar('\n');
    show_mark(a, "...done thinking.");
    putchar('\n');
}

static void show_calls(struct display *a, const json *calls) {
    struct buf out = {0};
    for (const json *v = json_first(calls); v != NULL; v = json_next(v)) {
        const json *function = json_get(v, "function");
        const char *name = json_string(json_get(function, "name"));
        buf_printf(&out, "  Model called a non-existent function '%s()' with arguments: ",
                   name != NULL ? name : "");
        json_print(&out, json_get(function, "arguments"));
        buf_chr(&out, '\n');
    }
    if (out.len > 0) show_text(a, out.data, out.len);
    buf_free(&out);
}

enum status display_line(void *arg, const json *line, struct err *e) {
    struct display *a = arg;
    (void)e;
    const json *message =
        json_get(line, "message"); /* of chat; generate has the fields at the top */
    const json *from = message != NULL ? message : line;
    size_t n = 0, n_thinking = 0;
    const char *text = json_string_n(json_get(from, message != NULL ? "content" : "response"), &n);
    const char *thinking = json_string_n(json_get(from, "thinking"), &n_thinking);
    bool done = false;
    if (thinking != NULL && n_thinking > 0) show_thinking(a, thinking, n_thinking);
    if (text != NULL && n > 0) {
        end_thinking(a);
        buf_add(&a->content, text, n);
        show_text(a, text, n);
    }
    const json *calls = json_get(from, "tool_calls");
    if (json_len(calls) > 0) {
        end_thinking(a);
        show_calls(a, calls);
    }
    if (!json_bool(json_get(line, "done"), &done) || !done) return ST_OK;
    json_int(json_get(line, "total_duration"), &a->stats.total);
    json_int(json_get(line, "load_duration"), &a->stats.load);
    json_int(json_get(line, "prompt_eval_count"), &a->stats.prompt_count);
    json_int(json_get(line, "prompt_eval_duration"), &a->stats.prompt);
    json_int(json_get(line, "eval_count"), &a->stats.eval_count);
    json_int(json_get(line, "eval_duration"), &a->stats.eval);
    return ST_OK;
}

void display_end(struct display *a) {
    end_thinking(a);
    fflush(stdout);
}

/* ---- statistics ---- */

static void put_time(struct buf *out, const char *label, int64_t ns) {
    if (ns == 0) return;
    buf_printf(out, "%-21s ", label);
    format_duration(out, ns);
    buf_chr(out, '\n');
}

static void put_count(struct buf *out, const char *label, int64_t n) {
    if (n != 0) buf_printf(out, "%-21s %lld token(s)\n", label, (long long)n);
}

static void put_rate(struct buf *out, const char *label, int64_t n, int64_t ns) {
    if (n != 0 && ns != 0)
        buf_printf(out, "%-21s %.2f tokens/s\n", label, (double)n / ((double)ns / 1e9));
}

void display_print_stats(const struct display *a) {
    struct buf out = {0};
    put_time(&out, "total duration:", a->stats.total);
    put_time(&out, "load duration:", a->stats.load);
    put_count(&out, "prompt eval count:", a->stats.prompt_count);
    put_time(&out, "prompt eval duration:", a->stats.prompt);
    put_rate(&out, "prompt eval rate:", a->stats.prompt_count, a->stats.prompt);
    put_count(&out, "eval count:", a->stats.eval_count);
    put_time(&out, "eval duration:", a->stats.eval);
    put_rate(&out, "eval rate:", a->stats.eval_count, a->stats.eval);
    if (out.len > 0) fwrite(out.data, 1, out.len, stderr);
    buf_free(&out);
}
