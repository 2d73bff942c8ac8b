/* repl_set.c - /set and the help texts of the interactive prompt (spec/cli.md 4.2). */
#include <stdio.h>
#include <string.h>

#include "cli/repl.h"

/* ---- /set ---- */

static void set_parameter(struct repl *r, char *const *words, size_t n) {
    struct err why = {0};
    if (n < 4) {
        repl_help_parameters();
        return;
    }
    const char *const *values = (const char *const *)words + 3;
    if (setting_set(&r->session->options, words[2], values, n - 3, &why) != ST_OK) {
        printf("Couldn't set parameter: \"%s\"\n", why.msg);
        return;
    }
    printf("Set parameter '%s' to '", words[2]);
    for (size_t i = 3; i < n; i++) printf("%s%s", i > 3 ? ", " : "", words[i]);
    printf("'\n");
}

/* The rest of the line as it is; quotes of any kind around it go. */
static void set_system(struct repl *r, const char *line) {
    struct buf text = {0};
    const char *s = line + strspn(line, " \t");
    for (int i = 0; i < 2; i++) { /* behind "/set system" */
        s += strcspn(s, " \t\n");
        s += strspn(s, " \t");
    }
    size_t n = strlen(s);
    const size_t quote = strncmp(s, "\"\"\"", 3) == 0 ? 3 : *s == '"' ? 1 : 0;
    if (quote > 0 && n >= 2 * quote && strncmp(s + n - quote, s, quote) == 0) {
        s += quote;
        n -= 2 * quote;
    }
    buf_add(&text, s, n);
    if (n == 0) {
        repl_help_set();
    } else {
        repl_set_system(r, text.data != NULL ? text.data : "");
        printf("Set system message.\n");
    }
    buf_free(&text);
}

static void set_think(struct repl *r, const char *value) {
    struct session *s = r->session;
    const char *old = s->think;
    if (!session_can(s, "thinking"))
        fprintf(stderr, "warning: model \"%s\" does not support thinking output\n", s->model);
    if (!session_set_think(s, value)) {
        s->think = old;
        printf("Invalid think level '%s'\n", value);
    } else if (*value != '\0') {
        printf("Set 'think' mode to '%s'.\n", value);
    } else {
        printf("Set 'think' mode.\n");
    }
}

static void set_format(struct repl *r, const char *value) {
    if (strcmp(value, "json") != 0) {
        printf("Invalid or missing format. For 'json' mode use '/set format json'\n");
        return;
    }
    buf_clear(&r->session->format);
    buf_str(&r->session->format, "\"json\"");
    printf("Set format to 'json' mode.\n");
}

/* Words that only switch something. */
static bool set_switch(struct repl *r, const char *what) {
    struct session *s = r->session;
    const struct {
        const char *name;
        bool *flag, value;
        bool quiet;
    } switches[] = {
        {"history", &r->save_history, true, true}, {"nohistory", &r->save_history, false, true},
        {"wordwrap", &s->wordwrap, true, false},   {"nowordwrap", &s->wordwrap, false, false},
        {"verbose", &s->verbose, true, false},     {"quiet", &s->verbose, false, false},
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (strcmp(what, switches[i].name) != 0) continue;
        *switches[i].flag = switches[i].value;
        if (!switches[i].quiet) printf("Set '%s' mode.\n", what);
        return true;
    }
    return false;
}

enum status repl_set(struct repl *r, char *const *words, size_t n, const char *line,
                     struct err *e) {
    const char *what = n > 1 ? words[1] : "";
    (void)e;
    if (n < 2) {
        repl_help_set();
    } else if (strcmp(what, "parameter") == 0) {
        set_parameter(r, words, n);
    } else if (strcmp(what, "system") == 0) {
        set_system(r, line);
    } else if (strcmp(what, "think") == 0) {
        set_think(r, n > 2 ? words[2] : "");
    } else if (strcmp(what, "nothink") == 0) {
        r->session->think = "false";
        printf("Set 'nothink' mode.\n");
    } else if (strcmp(what, "format") == 0) {
        set_format(r, n > 2 ? words[2] : "");
    } else if (strcmp(what, "noformat") == 0) {
        buf_clear(&r->session->format);
        printf("Disabled format.\n");
    } else if (!set_switch(r, what)) {
        printf("Unknown command '/set %s'. Type /? for help\n", what);
    }
    return ST_OK;
}

/* ---- help ---- */

static const char help_all[] = "Available Commands:\n"
                               "  /set            Set session variables\n"
                               "  /show           Show model information\n"
                               "  /load <model>   Load a session or model\n"
                               "  /save <model>   Save your current session\n"
                               "  /clear          Clear session context\n"
                               "  /bye            Exit\n"
                               "  /?, /help       Help for a command\n"
                               "  /? shortcuts    Help for keyboard shortcuts\n"
                               "\n"
                               "Use \"\"\" to begin a multi-line message.\n";

static const char help_more[] = "\n"
                                "More Commands:\n"
                                "  /undo           Take back the last message and its answer\n"
                                "  /edit           Take back the last message, to edit it\n"
                                "  /regenerate     Answer the last message again\n"
                                "  /tokens         Show how full the context is\n"
                                "  /list           List models\n";

static const char help_set[] = "Available Commands:\n"
                               "  /set parameter ...     Set a parameter\n"
                               "  /set system <string>   Set the system message\n"
                               "  /set history           Keep a history of prompts\n"
                               "  /set nohistory         Keep no history\n"
                               "  /set wordwrap          Wrap words at the end of a line\n"
                               "  /set nowordwrap        Do not wrap words\n"
                               "  /set format json       Answers in JSON\n"
                               "  /set noformat          Answers in any form\n"
                               "  /set verbose           Show statistics of answers\n"
                               "  /set quiet             Show no statistics\n"
                               "  /set think [level]     Think before the answer\n"
                               "  /set nothink           Do not think\n"
                               "\n";

static const char help_show[] = "Available Commands:\n"
                                "  /show info         Show details of this model\n"
                                "  /show license      Show the license\n"
                                "  /show modelfile    Show the Modelfile\n"
                                "  /show parameters   Show the parameters\n"
                                "  /show system       Show the system message\n"
                                "  /show template     Show the prompt template\n"
                                "\n";

static const char help_shortcuts[] =
    "Available keyboard shortcuts:\n"
    "  Ctrl + a            Move to the beginning of the line (Home)\n"
    "  Ctrl + e            Move to the end of the line (End)\n"
    "   Alt + b            Move back (left) one word\n"
    "   Alt + f            Move forward (right) one word\n"
    "  Ctrl + k            Delete to the end of the line\n"
    "  Ctrl + u            Delete to the beginning of the line\n"
    "  Ctrl + w            Delete the word before the cursor\n"
    "  Ctrl + j            Add a line\n"
    "  Ctrl + g            Edit the text in an editor\n"
    "\n"
    "  Ctrl + l            Clear the screen\n"
    "  Ctrl + c            Stop the answer, or drop the line\n"
    "  Ctrl + d            Exit (/bye)\n"
    "\n";

static const char help_parameters[] =
    "Available Parameters:\n"
    "  /set parameter seed <int>             Random number seed\n"
    "  /set parameter num_predict <int>      Most tokens to generate\n"
    "  /set parameter top_k <int>            Pick from the k best tokens\n"
    "  /set parameter top_p <float>          Pick from tokens of this total probability\n"
    "  /set parameter min_p <float>          Least probability relative to the best\n"
    "  /set parameter num_ctx <int>          Length of the context\n"
    "  /set parameter temperature <float>    Amount of chance\n"
    "  /set parameter repeat_penalty <float> How strongly repetitions are avoided\n"
    "  /set parameter repeat_last_n <int>    How far back repetitions are seen\n"
    "  /set parameter num_gpu <int>          Layers on the GPU\n"
    "  /set parameter stop <string> ...      Texts that end an answer\n"
    "\n";

void repl_help_set(void) { fputs(help_set, stderr); }
void repl_help_parameters(void) { fputs(help_parameters, stderr); }
void repl_help_show(void) { fputs(help_show, stderr); }

void repl_help(const struct repl *r, char *const *words, size_t n) {
    const char *what = n > 1 ? words[1] : "";
    if (*what == '/') what++;
    if (strcmp(what, "set") == 0) {
        fputs(help_set, stderr);
    } else if (strcmp(what, "show") == 0) {
        fputs(help_show, stderr);
    } else if (strcmp(what, "shortcut") == 0 || strcmp(what, "shortcuts") == 0) {
        fputs(help_shortcuts, stderr);
    } else {
        fputs(help_all, stderr);
        if (session_can(r->session, "vision") || session_can(r->session, "audio"))
            fputs("Use /path/to/file to include .jpg, .png, .webp images, or .wav audio files.\n",
                  stderr);
        fputs(help_more, stderr);
        fputs("\n", stderr);
    }
}
