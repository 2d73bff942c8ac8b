/* completion.c - see completion.h. Names in the tables are letters, digits and hyphens; help texts
 * are quoted for the shell that reads them. */
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/connect.h"

static bool is_shown(const struct command *c) { return (c->shows & HIDDEN) == 0; }

static bool takes_model(const struct command *c) {
    return strstr(c->usage, "MODEL") != NULL || strstr(c->usage, "SOURCE") != NULL ||
           strstr(c->usage, "PREFIX") != NULL;
}

/* Words that may stand there literally: "a|b [FILE]" has a and b. */
static void put_words(struct buf *out, const struct command *c, const char *between) {
    const size_t start = out->len;
    if (strstr(c->usage, "COMMAND") != NULL)
        for (int i = 0; i < CMD_COUNT; i++)
            if (is_shown(&cli_commands[i]))
                buf_printf(out, "%s%s", out->len > start ? between : "", cli_commands[i].name);
    if (strstr(c->usage, "CLIENT") != NULL)
        for (size_t i = 0; i < connect_n_clients; i++)
            buf_printf(out, "%s%s", out->len > start ? between : "", connect_clients[i].name);
    for (const char *s = c->usage; *s != '\0';) {
        const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");
        if (n > 0) buf_printf(out, "%s%.*s", out->len > start ? between : "", (int)n, s);
        s += n > 0 ? n : 1;
    }
}

static void put_commands(struct buf *out) {
    const char *between = "";
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if (!is_shown(c)) continue;
        buf_printf(out, "%s%s", between, c->name);
        between = " ";
        if (*c->alias != '\0') buf_printf(out, " %s", c->alias);
    }
}

static void put_flags(struct buf *out, const struct command *c) {
    for (size_t i = 0; i < cli_n_flags; i++)
        if (&cli_commands[cli_flags[i].command] == c) buf_printf(out, "--%s ", cli_flags[i].name);
    buf_str(out, "--help");
}

/* Flags whose value is the next word, as patterns of `case`. */
static void put_value_flags(struct buf *out, const struct command *c) {
    const size_t start = out->len;
    for (size_t i = 0; i < cli_n_flags; i++) {
        const struct flag *f = &cli_flags[i];
        if (&cli_commands[f->command] != c || f->kind == FLAG_BOOL || f->kind == FLAG_LEVEL)
            continue;
        buf_printf(out, "%s--%s", out->len > start ? "|" : "", f->name);
        if (f->letter != 0) buf_printf(out, "|-%c", f->letter);
    }
}

/* ---- bash ---- */

/* bash cuts words at colons, which names of models have: what is completed is taken from the line
 * itself, and what stands before the last colon is left out of the answers again. */
static const char bash_head[] =
    "# bash completion for cria; in ~/.bashrc: eval \"$(cria completion bash)\"\n"
    "_cria_models() { cria list 2>/dev/null | awk 'NR > 1 { print $1 }'; }\n"
    "_cria() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur prev command word list=\"\" values=\"\"\n"
    "    cur=${line##*[[:space:]]}\n"
    "    local -a words\n"
    "    read -r -a words <<<\"${line%\"$cur\"}\"\n"
    "    prev=${words[${#words[@]}-1]}\n"
    "    for word in \"${words[@]:1}\"; do\n"
    "        [[ $word != -* ]] && { command=$word; break; }\n"
    "    done\n"
    "    COMPREPLY=()\n"
    "    case $command in\n";

static const char bash_tail[] =
    "    esac\n"
    "    [[ -n $values && \"|$values|\" == *\"|$prev|\"* ]] && return\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\")\n"
    "    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
    "        COMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _cria cria ollama\n";

void completion_bash(struct buf *out) {
    buf_str(out, bash_head);
    buf_str(out, "    \"\") list=\"");
    put_commands(out);
    buf_str(out, " ");
    put_flags(out, &cli_commands[CMD_root]);
    buf_str(out, "\" ;;\n");
    for (int i = CMD_root + 1; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if (!is_shown(c)) continue;
        buf_printf(out, "    %s%s%s)\n        values=\"", c->name, *c->alias != '\0' ? "|" : "",
                   c->alias);
        put_value_flags(out, c);
        buf_str(out, "\"\n        if [[ $cur == -* ]]; then list=\"");
        put_flags(out, c);
        buf_str(out, "\"; else list=\"");
        put_words(out, c, " ");
        buf_printf(out, "%s\"; fi ;;\n", takes_model(c) ? " $(_cria_models)" : "");
    }
    buf_str(out, bash_tail);
}

/* ---- zsh ---- */

/* In single quotes; `special` gets a backslash, as the spec language wants it. */
static void put_quoted(struct buf *out, const char *s, const char *special) {
    for (; *s != '\0'; s++) {
        if (*s == '\'')
            buf_str(out, "'\\''");
        else if (strchr(special, *s) != NULL)
            buf_printf(out, "\\%c", *s);
        else
            buf_chr(out, *s);
    }
}

static void put_zsh_flags(struct buf *out, const struct command *c) {
    for (size_t i = 0; i < cli_n_flags; i++) {
        const struct flag *f = &cli_flags[i];
        if (&cli_commands[f->command] != c) continue;
        const bool value = f->kind != FLAG_BOOL && f->kind != FLAG_LEVEL;
        buf_printf(out, " \\\n            '%s--%s%s[", f->kind == FLAG_LIST ? "*" : "", f->name,
                   value ? "=" : "");
        put_quoted(out, f->help, "[]\\:");
        buf_printf(out, "]%s'", value ? ":value:_files" : "");
    }
    buf_str(out, " \\\n            '--help[Show the help]'");
}

void completion_zsh(struct buf *out) {
    buf_str(out,
            "#compdef cria ollama\n"
            "# zsh completion for cria; put it into a folder of $fpath as _cria, or in ~/.zshrc:\n"
            "#   source <(cria completion zsh)\n"
            "_cria_models() {\n"
            "    local -a models\n"
            "    models=(${(f)\"$(cria list 2>/dev/null | awk 'NR > 1 { print $1 }')\"})\n"
            "    compadd -a models\n"
            "}\n"
            "_cria() {\n"
            "    local -a commands\n"
            "    commands=(\n");
    for (int i = CMD_root + 1; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if (!is_shown(c)) continue;
        buf_printf(out, "        '%s:", c->name);
        put_quoted(out, c->help, ":\\");
        buf_str(out, "'\n");
    }
    buf_str(out, "    )\n"
                 "    if ((CURRENT == 2)); then\n"
                 "        _describe command commands\n"
                 "        return\n"
                 "    fi\n"
                 "    local command=$words[2]\n"
                 "    shift words\n"
                 "    ((CURRENT--))\n"
                 "    case $command in\n");
    for (int i = CMD_root + 1; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if (!is_shown(c)) continue;
        buf_printf(out, "    %s%s%s)\n        _arguments", c->name, *c->alias != '\0' ? "|" : "",
                   c->alias);
        put_zsh_flags(out, c);
        struct buf words = {0};
        put_words(&words, c, " ");
        if (takes_model(c))
            buf_str(out, " \\\n            '*:model:{_cria_models; _files}'");
        else if (words.len > 0)
            buf_printf(out, " \\\n            '*:word:(%s)'", words.data);
        else if (c->max != 0)
            buf_str(out, " \\\n            '*:file:_files'");
        buf_free(&words);
        buf_str(out, "\n        ;;\n");
    }
    buf_str(
        out,
        "    esac\n"
        "}\n"
        "if [[ $funcstack[1] == _cria ]]; then _cria \"$@\"; else compdef _cria cria ollama; fi\n");
}

/* ---- fish ---- */

void completion_fish(struct buf *out) {
    buf_str(
        out,
        "# fish completion for cria; cria completion fish > ~/.config/fish/completions/cria.fish\n"
        "function __cria_models\n"
        "    cria list 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
        "end\n"
        "complete -c cria -n __fish_use_subcommand -f\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        char when[128];
        if (i != CMD_root && !is_shown(c)) continue;
        if (i == CMD_root) {
            snprintf(when, sizeof when, "__fish_use_subcommand");
        } else {
            buf_printf(out, "complete -c cria -n __fish_use_subcommand -a %s -d '", c->name);
            put_quoted(out, c->help, "\\");
            buf_str(out, "'\n");
            snprintf(when, sizeof when, "__fish_seen_subcommand_from %s %s", c->name, c->alias);
        }
        for (size_t k = 0; k < cli_n_flags; k++) {
            const struct flag *f = &cli_flags[k];
            if (&cli_commands[f->command] != c) continue;
            buf_printf(out, "complete -c cria -n '%s' -l %s", when, f->name);
            if (f->letter != 0) buf_printf(out, " -s %c", f->letter);
            if (f->kind != FLAG_BOOL && f->kind != FLAG_LEVEL) buf_str(out, " -r");
            buf_str(out, " -d '");
            put_quoted(out, f->help, "\\");
            buf_str(out, "'\n");
        }
        struct buf words = {0};
        put_words(&words, c, " ");
        if (i != CMD_root && words.len > 0)
            buf_printf(out, "complete -c cria -n '%s' -f -a '%s'\n", when, words.data);
        buf_free(&words);
        if (i != CMD_root && takes_model(c))
            buf_printf(out, "complete -c cria -n '%s' -a '(__cria_models)'\n", when);
    }
}
