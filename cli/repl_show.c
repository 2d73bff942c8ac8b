/* repl_show.c - /show: what the interactive prompt tells of its model (spec/cli.md 4.2). */
#include <stdio.h>
#include <string.h>

#include "cli/info.h"
#include "cli/repl.h"
#include "cli/terminal.h"

static void print_text(const char *text, const char *if_empty) {
    if (*text == '\0') text = if_empty;
    terminal_print(stdout, text, strlen(text));
    putchar('\n');
}

static void show_parameters(const struct repl *r) {
    const char *text = info_text(r->session->shown, "parameters");
    const struct setting_list *mine = &r->session->options;
    printf("Model defined parameters:\n");
    if (*text == '\0') printf("  No additional parameters were specified for this model.\n");
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        fputs("  ", stdout);
        terminal_print(stdout, text, n);
        putchar('\n');
        text += n + (text[n] == '\n');
    }
    if (mine->n == 0) return;
    printf("\nUser defined parameters:\n");
    for (size_t i = 0; i < mine->n; i++)
        printf("  %-30s %s\n", mine->list[i].name, mine->list[i].value);
}

void repl_show(struct repl *r, char *const *words, size_t n) {
    const json *shown = r->session->shown;
    const char *what = n > 1 ? words[1] : "";
    if (strcmp(what, "info") == 0) {
        struct buf out = {0};
        info_put(&out, shown, false);
        if (out.len > 0) terminal_print(stderr, out.data, out.len);
        buf_free(&out);
    } else if (strcmp(what, "license") == 0) {
        print_text(info_text(shown, "license"), "No license was specified for this model.");
    } else if (strcmp(what, "modelfile") == 0) {
        print_text(info_text(shown, "modelfile"), "");
    } else if (strcmp(what, "parameters") == 0) {
        show_parameters(r);
    } else if (strcmp(what, "system") == 0) {
        const char *mine = r->system.len > 0 ? r->system.data : info_text(shown, "system");
        print_text(mine, "No system message was specified for this model.");
    } else if (strcmp(what, "template") == 0) {
        print_text(info_text(shown, "template"),
                   "No prompt template was specified for this model.");
    } else if (n > 1) {
        printf("Unknown command '/show %s'. Type /? for help\n", what);
    } else {
        repl_help_show();
    }
}
