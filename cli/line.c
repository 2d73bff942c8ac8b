/* line.c - lines from the terminal through libedit, with a history file.
 *
 * The history is `history` beside the store's folder of the user (~/.ollama if that exists, else
 * ~/.cria), one entry per line, the last 100, rewritten through a temporary file after each entry.
 */
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/repl.h"
#include "cli/terminal.h"

enum { HISTORY_LEN = 100, HISTORY_MAX_BYTES = 16 << 20 };

struct line_reader {
    EditLine *el;
    History *history;
    const char *prompt;
    char path[4096]; /* of the history; "": none */
    struct buf line;
};

static char *prompt_of(EditLine *el) {
    struct line_reader *l;
    el_get(el, EL_CLIENTDATA, &l);
    return (char *)(uintptr_t)l->prompt;
}

static void find_history(struct line_reader *l) {
    struct stat info;
    const char *home = getenv("HOME");
    if (home == NULL || *home == '\0') return;
    snprintf(l->path, sizeof l->path, "%s/.ollama", home);
    const bool shared = stat(l->path, &info) == 0;
    snprintf(l->path, sizeof l->path, "%s/%s/history", home, shared ? ".ollama" : ".cria");
}

static void load_history(struct line_reader *l) {
    HistEvent event;
    char *text = NULL, *state;
    size_t len;
    if (os_file_read(l->path, HISTORY_MAX_BYTES, &text, &len, NULL) != ST_OK) return;
    for (char *s = strtok_r(text, "\n", &state); s != NULL; s = strtok_r(NULL, "\n", &state))
        history(l->history, &event, H_ENTER, s);
    mem_free(text);
}

/* One line per entry: newlines inside become blanks. Mode 0600, since prompts are private. */
static void save_history(struct line_reader *l) {
    char tmp[4104], folder[4096];
    HistEvent event;
    snprintf(folder, sizeof folder, "%s", l->path);
    *strrchr(folder, '/') = '\0';
    if (os_mkdirs(folder, NULL) != ST_OK) return;
    snprintf(tmp, sizeof tmp, "%s.tmp", l->path);
    unlink(tmp);
    const mode_t mask = umask(0177);
    FILE *f = fopen(tmp, "wx");
    umask(mask);
    if (f == NULL) return;
    for (int ok = history(l->history, &event, H_LAST); ok >= 0;
         ok = history(l->history, &event, H_PREV)) {
        for (const char *s = event.str; *s != '\0'; s++) putc(*s == '\n' ? ' ' : *s, f);
        putc('\n', f);
    }
    if (fclose(f) == 0) rename(tmp, l->path);
}

struct line_reader *line_open(void) {
    HistEvent event;
    struct line_reader *l = mem_zalloc(1, sizeof *l);
    if (l == NULL) return NULL;
    setlocale(LC_CTYPE, ""); /* libedit reads characters, not bytes */
    l->prompt = "";
    l->history = history_init();
    l->el = el_init("cria", stdin, stdout, stderr);
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
    el_set(l->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    find_history(l);
    load_history(l);
    return l;
}

const char *line_read(struct line_reader *l, const char *prompt, bool *interrupted) {
    int n = 0;
    l->prompt = prompt;
    terminal_clear_interrupt();
    const char *text = el_gets(l->el, &n);
    *interrupted = terminal_interrupted();
    terminal_clear_interrupt();
    if (text == NULL || n <= 0) {
        if (*interrupted) el_reset(l->el);
        return NULL;
    }
    buf_clear(&l->line);
    buf_add(&l->line, text, (size_t)n);
    while (l->line.len > 0 && l->line.data[l->line.len - 1] == '\n')
        buf_cut(&l->line, l->line.len - 1);
    return l->line.data;
}

void line_remember(struct line_reader *l, const char *entry, bool save) {
    HistEvent event;
    if (*entry == '\0') return;
    history(l->history, &event, H_ENTER, entry);
    if (save && *l->path != '\0') save_history(l);
}

void line_close(struct line_reader *l) {
    if (l == NULL) return;
    if (l->el != NULL) el_end(l->el);
    if (l->history != NULL) history_end(l->history);
    buf_free(&l->line);
    mem_free(l);
}
