/* help.c - the help texts, made from the tables (spec/cli.md 2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "cli/cli.h"

static const char *kind_name(enum flag_kind kind) {
    switch (kind) {
    case FLAG_TEXT:
        return " string";
    case FLAG_INT:
        return " int";
    case FLAG_LIST:
        return " stringArray";
    case FLAG_LEVEL:
        return " string[=\"true\"]";
    default:
        return "";
    }
}

enum { LINE_MAX_LEN = 80, FLAGS_MAX = 32 };

static int by_name(const void *a, const void *b) {
    const struct flag *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int flag_text(char *out, const struct flag *f) {
    const char letter[5] = {'-', f->letter, ',', ' ', '\0'};
    return snprintf(out, LINE_MAX_LEN, "  %s--%s%s", f->letter != 0 ? letter : "    ", f->name,
                    kind_name(f->kind));
}

/* Sorted by name; -h is one of them. */
static void put_flags(struct buf *out, const struct command *c) {
    char help_help[64];
    snprintf(help_help, sizeof help_help, "help for %s", *c->name != '\0' ? c->name : cli_name());
    const struct flag help = {CMD_root, 'h', "help", FLAG_BOOL, "", help_help};
    const struct flag *list[FLAGS_MAX] = {&help};
    size_t n = 1;
    for (size_t i = 0; i < cli_n_flags && n < FLAGS_MAX; i++)
        if (&cli_commands[cli_flags[i].command] == c) list[n++] = &cli_flags[i];
    qsort(list, n, sizeof *list, by_name);
    char line[LINE_MAX_LEN];
    int width = 0;
    for (size_t i = 0; i < n; i++) {
        int w = flag_text(line, list[i]);
        if (w > width) width = w;
    }
    buf_str(out, "\nFlags:\n");
    for (size_t i = 0; i < n; i++) {
        flag_text(line, list[i]);
        buf_printf(out, "%-*s   %s%s%s\n", width, line, list[i]->help,
                   *list[i]->shown != '\0' ? " " : "", list[i]->shown);
    }
}

/* Settings that the section lists, as variables: those that Ollama has, too, come first. */
static void put_variables(struct buf *out, unsigned shows) {
    bool any = false;
    struct buf name = {0};
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *s = &config_settings[i];
        if ((s->marks & shows & (SHOWN_CLIENT | SHOWN_RUN | SHOWN_SERVE | SHOWN_STORE)) == 0)
            continue;
        if (!any) buf_str(out, "\nEnvironment Variables:\n");
        any = true;
        config_put_variable(&name, (enum setting)i, (s->marks & SET_OLLAMA) != 0);
        buf_printf(out, "      %-27s   %s", name.data != NULL ? name.data : "", s->help);
        if (*s->fallback != '\0' && strcmp(s->fallback, "0") != 0 && s->kind != SET_BOOL)
            buf_printf(out, " (default %s)", s->fallback);
        buf_chr(out, '\n');
        buf_clear(&name);
    }
    buf_free(&name);
}

void help_command(struct buf *out, const struct command *c) {
    buf_printf(out, "%s\n\nUsage:\n  %s %s%s%s [flags]\n", c->help, cli_name(), c->name,
               *c->usage != '\0' ? " " : "", c->usage);
    if (*c->alias != '\0') buf_printf(out, "\nAliases:\n  %s, %s\n", c->name, c->alias);
    put_flags(out, c);
    put_variables(out, c->shows);
}

void help_root(struct buf *out) {
    const char *name = cli_name();
    const struct command *root = &cli_commands[CMD_root];
    buf_printf(out, "%s\n\nUsage:\n  %s [flags]\n  %s [command]\n\nAvailable Commands:\n",
               root->help, name, name);
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if ((c->shows & HIDDEN) == 0) buf_printf(out, "  %-12s %s\n", c->name, c->help);
    }
    put_flags(out, root);
    buf_printf(out, "\nUse \"%s [command] --help\" for more information about a command.\n", name);
}
