/* line.c - see line.h. libedit draws and edits; what is added here are keys of its own kind (paste,
 * newline, editor), the placeholder, and reading that notices signals.
 *
 * All input goes through read_char(): it decodes UTF-8 itself, so a character is one whatever the
 * locale says, and it is the one place that waits. */
#include "cli/line.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/editor.h"
#include "cli/history.h"
#include "cli/terminal.h"

#define PREFILL "\x1b[999~" /* no terminal sends this */
#define PASTE_END "\x1b[201~"

enum { PASTE_MAX = 16 << 20 };

struct line_reader {
    EditLine *el;
    History *history;
    struct line_request now;
    struct buf line;
    bool pasting, hinted; /* hinted: the placeholder is on the screen */
    bool was_empty;       /* when Ctrl-C came */
    struct sigaction old_resize, old_resume;
    struct termios shell, quiet;
    bool has_shell; /* shell is what the terminal was at the start */
};

static volatile sig_atomic_t resized, resumed;

static void on_resize(int number) {
    (void)number;
    resized = 1;
}

static void on_resume(int number) {
    (void)number;
    resumed = 1;
}

static struct line_reader *reader_of(EditLine *el) {
    struct line_reader *l;
    el_get(el, EL_CLIENTDATA, &l);
    return l;
}

static char *prompt_of(EditLine *el) { return (char *)(uintptr_t)reader_of(el)->now.prompt; }

static bool is_empty(EditLine *el) {
    const LineInfo *line = el_line(el);
    return line->lastchar == line->buffer;
}

/* What is typed during an answer waits for the next line, unchanged and unseen: Enter stays Enter.
 * libedit thinks otherwise after each line, so it is told again. */
static void quiet_terminal(struct line_reader *l) {
    l->has_shell = tcgetattr(STDIN_FILENO, &l->shell) == 0;
    if (!l->has_shell) return;
    l->quiet = l->shell;
    l->quiet.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR);
    l->quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    l->quiet.c_cc[VMIN] = 1;
    l->quiet.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &l->quiet);
}

static void set_terminal(const struct line_reader *l, const struct termios *to) {
    if (l->has_shell) tcsetattr(STDIN_FILENO, TCSADRAIN, to);
}

/* ---- the placeholder ---- */

/* Behind the prompt, and the cursor goes back; not where it would wrap. */
static void show_hint(struct line_reader *l) {
    const char *text = l->now.placeholder;
    if (l->hinted || l->pasting || text == NULL || !terminal_colors(STDOUT_FILENO)) return;
    const int width = (int)strlen(text);
    struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&more, 1, 0) > 0) return; /* in the middle of a key's sequence, or typed ahead */
    if ((int)strlen(l->now.prompt) + width >= terminal_width(STDOUT_FILENO)) return;
    printf("\x1b[38;5;245m%s\x1b[0m\x1b[%dD", text, width);
    fflush(stdout);
    l->hinted = true;
}

static void hide_hint(struct line_reader *l) {
    if (!l->hinted) return;
    fputs("\x1b[K", stdout);
    fflush(stdout);
    l->hinted = false;
}

/* ---- input ---- */

/* What signals have asked for; false: Ctrl-C. */
static bool handle_signals(struct line_reader *l) {
    if (resized) {
        resized = 0;
        hide_hint(l);
        el_resize(l->el);
    }
    if (resumed) { /* the shell has had the terminal */
        resumed = 0;
        l->hinted = false;
        el_set(l->el, EL_PREP_TERM, 1);
        el_set(l->el, EL_REFRESH);
    }
    return !terminal_interrupted();
}

/* One byte; -1: the end, or Ctrl-C. */
static int read_byte(struct line_reader *l) {
    unsigned char byte;
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 1) return byte;
        if (n == 0 || errno != EINTR || !handle_signals(l)) return -1;
    }
}

static int read_char(EditLine *el, wchar_t *out) {
    struct line_reader *l = reader_of(el);
    char text[4];
    uint32_t cp;
    if (is_empty(el)) show_hint(l);
    int byte = read_byte(l);
    hide_hint(l);
    if (byte < 0) {
        l->was_empty = is_empty(el);
        return terminal_interrupted() ? -1 : 0;
    }
    text[0] = (char)byte;
    size_t n = 1;
    while (n < sizeof text && utf8_complete_prefix(text, n) == 0 && (byte = read_byte(l)) >= 0)
        text[n++] = (char)byte;
    utf8_decode(text, n, &cp);
    *out = (wchar_t)cp;
    return 1;
}

/* ---- keys ---- */

static unsigned char key_newline(EditLine *el, int c) {
    (void)c;
    return el_insertstr(el, "\n") == 0 ? CC_REFRESH : CC_ERROR;
}

/* Ctrl-D: the end, on an empty line; libedit's own would print it. */
static unsigned char key_delete(EditLine *el, int c) {
    (void)c;
    if (is_empty(el)) return CC_EOF;
    const LineInfo *line = el_line(el);
    if (line->cursor == line->lastchar) return CC_NORM;
    el_cursor(el, 1);
    el_deletestr(el, 1);
    return CC_REFRESH;
}

static unsigned char key_tab(EditLine *el, int c) {
    (void)c;
    return el_insertstr(el, "        ") == 0 ? CC_REFRESH : CC_ERROR;
}

/* Everything up to the end mark is text; line ends of any kind are newlines. */
static unsigned char key_paste(EditLine *el, int c) {
    static const char end[] = PASTE_END;
    const size_t n_end = sizeof end - 1;
    struct line_reader *l = reader_of(el);
    struct buf text = {0};
    wchar_t ch;
    (void)c;
    l->pasting = true;
    while (text.len < PASTE_MAX && el_wgetc(el, &ch) == 1) {
        char bytes[4];
        if (ch == '\r') ch = '\n';
        buf_add(&text, bytes, utf8_encode((uint32_t)ch, bytes));
        if (text.len < n_end || memcmp(text.data + text.len - n_end, end, n_end) != 0) continue;
        buf_cut(&text, text.len - n_end);
        break;
    }
    l->pasting = false;
    const bool ok = !text.failed && (text.len == 0 || el_insertstr(el, text.data) == 0);
    buf_free(&text);
    return ok ? CC_REFRESH : CC_ERROR;
}

static unsigned char key_prefill(EditLine *el, int c) {
    const char *text = reader_of(el)->now.text;
    (void)c;
    return text == NULL || el_insertstr(el, text) == 0 ? CC_REFRESH : CC_ERROR;
}

static unsigned char key_editor(EditLine *el, int c) {
    const LineInfo *line = el_line(el);
    struct buf text = {0};
    struct err e = {0};
    (void)c;
    buf_add(&text, line->buffer, (size_t)(line->lastchar - line->buffer));
    const struct line_reader *l = reader_of(el);
    el_set(el, EL_PREP_TERM, 0);
    set_terminal(l, &l->shell);
    const enum status st = editor_edit(&text, &e);
    set_terminal(l, &l->quiet);
    el_set(el, EL_PREP_TERM, 1);
    terminal_clear_interrupt(); /* Ctrl-C was for the editor */
    if (st == ST_OK) {
        el_cursor(el, (int)text.len + 1);
        el_replacestr(el, text.data != NULL ? text.data : "");
        el_cursor(el, (int)text.len);
    } else {
        fprintf(stderr, "\n%s\n", e.msg);
    }
    buf_free(&text);
    return CC_REDISPLAY;
}

static void bind_keys(EditLine *el) {
    static const struct {
        const wchar_t *name, *help; /* wide, because libedit never frees its copies of others */
        unsigned char (*key)(EditLine *, int);
    } own[] = {
        {L"cria-newline", L"Adds a line", key_newline},
        {L"cria-delete", L"Deletes a character, or ends", key_delete},
        {L"cria-tab", L"Inserts blanks", key_tab},
        {L"cria-paste", L"Inserts pasted text", key_paste},
        {L"cria-prefill", L"Begins with a text", key_prefill},
        {L"cria-editor", L"Edits the text in an editor", key_editor},
    };
    static const char *const bound[][2] = {
        {"^J", "cria-newline"},        {"^M", "ed-newline"},
        {"^D", "cria-delete"},         {"^I", "cria-tab"},
        {"\x1b[200~", "cria-paste"},   {PREFILL, "cria-prefill"},
        {"^G", "cria-editor"},         {"^W", "ed-delete-prev-word"},
        {"^U", "vi-kill-line-prev"},   {"^B", "ed-prev-char"},
        {"^F", "ed-next-char"},        {"\x1b[H", "ed-move-to-beg"},
        {"\x1bOH", "ed-move-to-beg"},  {"\x1b[1~", "ed-move-to-beg"},
        {"\x1b[F", "ed-move-to-end"},  {"\x1bOF", "ed-move-to-end"},
        {"\x1b[4~", "ed-move-to-end"}, {"\x1b[3~", "ed-delete-next-char"},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        el_wset(el, EL_ADDFN, own[i].name, own[i].help, own[i].key);
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        el_set(el, EL_BIND, bound[i][0], bound[i][1], NULL);
}

/* ---- opening and reading ---- */

/* libedit asks the locale how wide characters are and how they are written. */
static void use_utf8(void) {
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

struct line_reader *line_open(void) {
    HistEvent event;
    struct line_reader *l = mem_zalloc(1, sizeof *l);
    if (l == NULL) return NULL;
    const struct sigaction resize = {.sa_handler = on_resize}, resume = {.sa_handler = on_resume};
    use_utf8();
    l->now.prompt = "";
    quiet_terminal(l);
    sigaction(SIGWINCH, &resize, &l->old_resize);
    sigaction(SIGCONT, &resume, &l->old_resume);
    l->history = history_init();
    l->el = el_init("cria", stdin, stdout, stderr);
    set_terminal(l, &l->quiet); /* libedit has switched the echo on */
    if (l->el == NULL || l->history == NULL) {
        line_close(l);
        return NULL;
    }
    history(l->history, &event, H_SETSIZE, HISTORY_LEN);
    history(l->history, &event, H_SETUNIQUE, 1);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_PROMPT, prompt_of);
    el_set(l->el, EL_HIST, history, l->history);
    el_set(l->el, EL_GETCFN, read_char);
    el_set(l->el, EL_SETTY, "-d", "-icrnl", "-inlcr", NULL); /* Enter is CR, Ctrl-J is LF */
    bind_keys(l->el);
    history_load(l->history);
    if (!terminal_dumb()) fputs("\x1b[?2004h", stdout);
    return l;
}

enum line_end line_read(struct line_reader *l, const struct line_request *r, const char **line) {
    int n = 0;
    l->now = *r;
    l->hinted = l->pasting = l->was_empty = false;
    terminal_clear_interrupt();
    resized = 0;
    el_resize(l->el); /* it may have changed during the answer */
    if (r->text != NULL && *r->text != '\0') el_push(l->el, PREFILL);
    const char *text = el_gets(l->el, &n);
    set_terminal(l, &l->quiet);
    const bool interrupted = terminal_interrupted();
    terminal_clear_interrupt();
    *line = NULL;
    if (text == NULL || n <= 0) {
        if (!interrupted) return LINE_END;
        el_reset(l->el);
        return l->was_empty ? LINE_EMPTIED : LINE_DROPPED;
    }
    buf_clear(&l->line);
    buf_add(&l->line, text, (size_t)n);
    while (l->line.len > 0 && strchr("\r\n", l->line.data[l->line.len - 1]) != NULL)
        buf_cut(&l->line, l->line.len - 1);
    *line = l->line.data;
    return *line != NULL ? LINE_DONE : LINE_END;
}

void line_remember(struct line_reader *l, const char *entry, bool save) {
    HistEvent event;
    if (*entry == '\0') return;
    history(l->history, &event, H_ENTER, entry);
    if (save) history_save(l->history);
}

void line_close(struct line_reader *l) {
    if (l == NULL) return;
    if (!terminal_dumb()) fputs("\x1b[?2004l", stdout);
    fflush(stdout);
    if (l->el != NULL) el_end(l->el);
    if (l->history != NULL) history_end(l->history);
    set_terminal(l, &l->shell);
    sigaction(SIGWINCH, &l->old_resize, NULL);
    sigaction(SIGCONT, &l->old_resume, NULL);
    buf_free(&l->line);
    mem_free(l);
}
