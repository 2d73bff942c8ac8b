/* man.c - see man.h. */
#include "cli/man.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"

/* Text within a line: backslashes, and the hyphens that are to be copied as such. */
static void put_text(struct buf *out, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '\\')
            buf_str(out, "\\e");
        else if (*s == '-')
            buf_str(out, "\\-");
        else if (*s == '\'')
            buf_str(out, "\\(aq");
        else
            buf_chr(out, *s);
    }
}

/* A line of its own: a dot at its beginning would be a request. */
static void put_line(struct buf *out, const char *s) {
    if (*s == '.') buf_str(out, "\\&");
    put_text(out, s);
    buf_chr(out, '\n');
}

static void put_title(struct buf *out, const char *name, int section) {
    buf_str(out, ".TH ");
    for (const char *s = name; *s != '\0'; s++) {
        if (*s == '-') buf_chr(out, '\\');
        buf_chr(out, (char)toupper((unsigned char)*s));
    }
    buf_printf(out, " %d \"\" \"cria %s\" \"cria\"\n", section, CRIA_VERSION);
}

static void put_name(struct buf *out, const char *name, const char *help) {
    buf_str(out, ".SH NAME\n");
    put_text(out, name);
    buf_str(out, " \\- ");
    put_text(out, help);
    buf_chr(out, '\n');
}

/* ---- commands ---- */

static const char *value_name(enum flag_kind kind) {
    return kind == FLAG_INT     ? " N"
           : kind == FLAG_LEVEL ? "[=LEVEL]"
           : kind == FLAG_BOOL  ? ""
                                : " TEXT";
}

static void put_flags(struct buf *out, const struct command *c) {
    buf_str(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < cli_n_flags; i++) {
        const struct flag *f = &cli_flags[i];
        if (&cli_commands[f->command] != c) continue;
        buf_str(out, ".TP\n.B ");
        if (f->letter != 0) buf_printf(out, "\\-%c, ", f->letter);
        buf_str(out, "\\-\\-");
        put_text(out, f->name);
        put_text(out, value_name(f->kind));
        buf_chr(out, '\n');
        put_text(out, f->help);
        if (*f->shown != '\0') {
            buf_chr(out, ' ');
            put_text(out, f->shown);
        }
        buf_str(out, f->kind == FLAG_LIST ? " (may be given several times)\n" : "\n");
    }
    buf_str(out, ".TP\n.B \\-h, \\-\\-help\nShow the help\n");
}

static void put_variables(struct buf *out, const struct command *c) {
    bool any = false;
    const unsigned shown = c->shows & (SHOWN_CLIENT | SHOWN_RUN | SHOWN_SERVE | SHOWN_STORE);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *s = &config_settings[i];
        if ((s->marks & shown) == 0) continue;
        if (!any) buf_str(out, ".SH ENVIRONMENT\n");
        any = true;
        buf_str(out, ".TP\n.B ");
        config_put_variable(out, (enum setting)i, (s->marks & SET_OLLAMA) != 0);
        buf_chr(out, '\n');
        put_line(out, s->help);
    }
}

static void put_commands(struct buf *out) {
    buf_str(out, ".SH COMMANDS\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if ((c->shows & HIDDEN) != 0) continue;
        buf_str(out, ".TP\n.BR cria\\-");
        put_text(out, c->name);
        buf_str(out, " (1)\n");
        put_line(out, c->help);
    }
}

void man_command(struct buf *out, const struct command *c) {
    const bool root = c == &cli_commands[CMD_root];
    char name[64];
    snprintf(name, sizeof name, "cria%s%s", root ? "" : "-", c->name);
    put_title(out, name, 1);
    put_name(out, name, c->help);
    buf_str(out, ".SH SYNOPSIS\n.B cria");
    buf_chr(out, ' ');
    put_text(out, root ? "COMMAND" : c->name);
    buf_chr(out, '\n');
    if (*c->usage != '\0') put_line(out, c->usage);
    put_line(out, "[OPTIONS]");
    if (*c->alias != '\0') {
        buf_str(out, ".SH DESCRIPTION\nThe same as\n.B cria ");
        put_line(out, c->alias);
    }
    if (root) put_commands(out);
    put_flags(out, c);
    put_variables(out, c);
    buf_str(out,
            ".SH EXIT STATUS\n0, also after Ctrl\\-C; 1 after an error, which is told on standard "
            "error.\n.SH SEE ALSO\n");
    buf_str(out, root ? ".BR cria.toml (5)\n" : ".BR cria (1),\n.BR cria.toml (5)\n");
}

/* ---- cria.toml ---- */

void man_config(struct buf *out) {
    put_title(out, "cria.toml", 5);
    put_name(out, "cria.toml", "settings of cria");
    buf_str(out,
            ".SH DESCRIPTION\nThe file is\n.IR $CRIA_CONFIG ,\nelse the first that is there of:\n"
            ".IP\n.nf\n$XDG_CONFIG_HOME/cria/cria.toml\n~/.config/cria/cria.toml\n"
            "/etc/cria/cria.toml\n.fi\n.PP\nIt is written in a subset of TOML 1.0: one setting a "
            "line,\n.IR \"name = value\" ,\ncomments behind #. The environment\n"
            ".RI ( CRIA_NAME ,\nelse\n.IR OLLAMA_NAME )\nwins over it, and\n"
            ".B cria serve \\-\\-set\nover both.\n.B cria config show\ntells what counts, and\n"
            ".B cria config check\nwhat is wrong. SIGHUP makes a server read the file again; what "
            "is marked with * needs a restart.\n.SH SETTINGS\n");
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *s = &config_settings[i];
        buf_str(out, ".TP\n.B ");
        put_text(out, s->name);
        buf_printf(out, " \\fR(%s", config_kind_name(s->kind));
        if (*s->choices != '\0') buf_str(out, ": ");
        put_text(out, s->choices);
        if (*s->fallback != '\0') buf_str(out, ", default ");
        put_text(out, s->fallback);
        buf_printf(out, ")%s\n", (s->marks & (SET_LIVE | SET_NO_EFFECT)) != 0 ? "" : " *");
        put_line(out, s->help);
    }
    buf_str(out, ".SH SEE ALSO\n.BR cria (1),\n.BR cria\\-config (1),\n.BR cria\\-serve (1)\n");
}
