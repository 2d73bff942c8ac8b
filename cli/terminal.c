/* terminal.c - size, Ctrl-C, widths of characters. */
#include "cli/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/unicode.h"
#include "base/utf8.h"

static volatile sig_atomic_t interrupted;
static bool cursor_hidden;

bool terminal_is(int fd) { return isatty(fd) == 1; }

static bool size_of(int fd, struct winsize *out) {
    return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, out) == 0;
}

int terminal_width(int fd) {
    struct winsize size;
    return size_of(fd, &size) && size.ws_col > 0 ? size.ws_col : 80;
}

int terminal_height(int fd) {
    struct winsize size;
    return size_of(fd, &size) && size.ws_row > 0 ? size.ws_row : 24;
}

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

void terminal_catch_interrupt(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
}

bool terminal_interrupted(void) { return interrupted != 0; }
void terminal_clear_interrupt(void) { interrupted = 0; }
void terminal_cursor_hidden(bool hidden) { cursor_hidden = hidden; }

void terminal_restore(void) {
    static const char show[] = "\x1b[?25h";
    if (cursor_hidden && write(STDERR_FILENO, show, sizeof show - 1) < 0) return;
    cursor_hidden = false;
}

/* ---- what a terminal may be sent ---- */

bool terminal_dumb(void) {
    const char *term = getenv("TERM");
    return term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
}

bool terminal_colors(int fd) {
    const char *no = getenv("NO_COLOR"); /* no-color.org */
    return terminal_is(fd) && !terminal_dumb() && (no == NULL || *no == '\0');
}

void terminal_visible(struct buf *out, const char *s, size_t n) {
    size_t plain = 0; /* bytes before i that are to be copied */
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        const unsigned len = utf8_decode(s + i, n - i, &cp);
        const bool control = (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0);
        if (control || utf8_was_bad(s + i, len, cp)) {
            buf_add(out, s + i - plain, plain);
            plain = 0;
            if (control)
                buf_printf(out, "\\x%02x", cp);
            else
                for (unsigned k = 0; k < len; k++)
                    buf_printf(out, "\\x%02x", (unsigned char)s[i + k]);
        } else {
            plain += len;
        }
        i += len;
    }
    buf_add(out, s + n - plain, plain);
}

void terminal_print(FILE *f, const char *s, size_t n) {
    struct buf out = {0};
    if (terminal_is(fileno(f))) {
        terminal_visible(&out, s, n);
        s = out.data;
        n = out.len;
    }
    if (n > 0) fwrite(s, 1, n, f);
    buf_free(&out);
}

/* Ranges that terminals draw two columns wide (East Asian Wide and Fullwidth, emoji), joined where
 * only unassigned characters stand between. */
static const struct {
    uint32_t first, last;
} wide[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
            {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26A1, 0x26A1},   {0x2705, 0x2705},
            {0x274C, 0x274C},   {0x2753, 0x2757},   {0x2795, 0x2797},   {0x2B50, 0x2B50},
            {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
            {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
            {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF},
            {0x20000, 0x3FFFD}};

int char_width(uint32_t cp) {
    if (cp < 0x20 || cp == 0x7F || cp == 0x200B || cp == 0x200D || cp == 0xFE0F) return 0;
    if (cp < 0x300) return 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (cp >= wide[i].first && cp <= wide[i].last) return 2;
    return unicode_class(cp) == UNI_M ? 0 : 1;
}

int text_width(const char *s, size_t n) {
    int width = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode(s + i, n - i, &cp);
        width += char_width(cp);
    }
    return width;
}
