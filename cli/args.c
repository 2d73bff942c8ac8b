/* args.c - reading a command line against the table of flags.
 *
 * Flags may stand anywhere, `--` ends them, `--name=value` and `--name value` are the same, letters
 * may be joined (`-vf FILE`). The messages are those that users of the reference know, down to the
 * names of the library functions in them. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

const struct flag cli_flags[] = {
#define COMMAND(...)
#define FLAG(id, letter, name, kind, shown, help) {CMD_##id, letter, name, kind, shown, help},
#include "cli/cmds.def"
#undef COMMAND
#undef FLAG
};
const size_t cli_n_flags = sizeof cli_flags / sizeof *cli_flags;

static enum command_id id_of(const struct command *c) {
    return (enum command_id)(c - cli_commands);
}

static const struct flag *find_flag(const struct command *c, const char *name, size_t len) {
    for (size_t i = 0; i < cli_n_flags; i++) {
        const struct flag *f = &cli_flags[i];
        if (f->command == id_of(c) && strlen(f->name) == len && memcmp(f->name, name, len) == 0)
            return f;
    }
    return NULL;
}

static const struct flag *find_letter(const struct command *c, char letter) {
    for (size_t i = 0; i < cli_n_flags; i++)
        if (cli_flags[i].command == id_of(c) && cli_flags[i].letter == letter) return &cli_flags[i];
    return NULL;
}

/* ---- values ---- */

static bool parse_bool(const char *s, bool *out) {
    static const char *const words[2][6] = {{"0", "f", "F", "false", "FALSE", "False"},
                                            {"1", "t", "T", "true", "TRUE", "True"}};
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < 6; i++)
            if (strcmp(s, words[v][i]) == 0) return *out = v == 1, true;
    return false;
}

/* NULL if the text is an integer, else what is wrong with it. */
static const char *check_int(const char *s) {
    const char *digits = s + (*s == '-' || *s == '+');
    if (*digits < '0' || *digits > '9') return "invalid syntax"; /* strtoll would skip blanks */
    char *end;
    errno = 0;
    (void)strtoll(s, &end, 0);
    if (*end != '\0') return "invalid syntax";
    return errno == ERANGE ? "value out of range" : NULL;
}

static const char *check_value(const struct flag *f, const char *text, const char **function) {
    bool ignored;
    *function = f->kind == FLAG_INT ? "ParseInt" : "ParseBool";
    if (f->kind == FLAG_INT) return check_int(text);
    if (f->kind == FLAG_BOOL && !parse_bool(text, &ignored)) return "invalid syntax";
    return NULL;
}

static enum status add_value(struct args *a, const struct flag *f, const char *text,
                             struct err *e) {
    const char *function, *problem = check_value(f, text, &function);
    char letter[8] = "";
    if (f->letter != 0) memcpy(letter, (char[]){'-', f->letter, ',', ' ', '\0'}, 5);
    if (problem != NULL)
        return err_set(
            e, ST_INVALID,
            "invalid argument \"%s\" for \"%s--%s\" flag: strconv.%s: parsing \"%s\": %s", text,
            letter, f->name, function, text, problem);
    struct arg_value *grown = mem_grow(a->values, a->n_values + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    a->values = grown;
    a->values[a->n_values++] = (struct arg_value){f, text};
    return ST_OK;
}

/* What a flag without a value means; NULL: it needs one. */
static const char *bare_value(const struct flag *f) {
    return f->kind == FLAG_BOOL || f->kind == FLAG_LEVEL ? "true" : NULL;
}

/* ---- one argument; *i moves on if the next one was taken as a value ---- */

struct words {
    int n;
    char *const *text;
};

static enum status parse_long(struct args *a, struct words w, int *i, struct err *e) {
    const char *name = w.text[*i] + 2, *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = find_flag(a->command, name, len);
    if (f == NULL && len == 4 && memcmp(name, "help", 4) == 0) {
        a->help = true;
        return ST_OK;
    }
    if (f == NULL) return err_set(e, ST_INVALID, "unknown flag: --%.*s", (int)len, name);
    if (equals != NULL) return add_value(a, f, equals + 1, e);
    if (bare_value(f) != NULL) return add_value(a, f, bare_value(f), e);
    if (*i + 1 >= w.n) return err_set(e, ST_INVALID, "flag needs an argument: --%s", f->name);
    return add_value(a, f, w.text[++*i], e);
}

static enum status parse_letters(struct args *a, struct words w, int *i, struct err *e) {
    const char *all = w.text[*i];
    for (const char *s = all + 1; *s != '\0'; s++) {
        const struct flag *f = find_letter(a->command, *s);
        if (f == NULL && *s == 'h') {
            a->help = true;
            continue;
        }
        if (f == NULL) return err_set(e, ST_INVALID, "unknown shorthand flag: '%c' in %s", *s, all);
        if (s[1] == '=') return add_value(a, f, s + 2, e);
        if (bare_value(f) != NULL) {
            enum status st = add_value(a, f, bare_value(f), e);
            if (st != ST_OK) return st;
            continue;
        }
        if (s[1] != '\0') return add_value(a, f, s + 1, e);
        if (*i + 1 >= w.n)
            return err_set(e, ST_INVALID, "flag needs an argument: '%c' in %s", *s, all);
        return add_value(a, f, w.text[++*i], e);
    }
    return ST_OK;
}

enum status args_parse(struct args *a, const struct command *c, int argc, char *const *argv,
                       struct err *e) {
    *a = (struct args){.command = c};
    a->words = mem_array((size_t)argc + 1, sizeof *a->words);
    if (a->words == NULL) return err_no_memory(e);
    const struct words w = {argc, argv};
    bool flags = true;
    enum status st = ST_OK;
    for (int i = 0; i < argc && st == ST_OK; i++) {
        const char *s = argv[i];
        if (flags && strcmp(s, "--") == 0)
            flags = false;
        else if (flags && s[0] == '-' && s[1] == '-')
            st = parse_long(a, w, &i, e);
        else if (flags && s[0] == '-' && s[1] != '\0')
            st = parse_letters(a, w, &i, e);
        else
            a->words[a->n_words++] = s;
    }
    return st;
}

enum status args_check_count(const struct args *a, struct err *e) {
    const struct command *c = a->command;
    const int n = (int)a->n_words;
    if (c->min == c->max && n != c->min)
        return err_set(e, ST_INVALID, "accepts %d arg(s), received %d", c->min, n);
    if (n < c->min)
        return err_set(e, ST_INVALID, "requires at least %d arg(s), only received %d", c->min, n);
    return ST_OK;
}

void args_free(struct args *a) {
    mem_free(a->words);
    mem_free(a->values);
    *a = (struct args){0};
}

/* ---- asking ---- */

const char *args_text(const struct args *a, const char *name, const char *fallback) {
    const struct flag *f = find_flag(a->command, name, strlen(name));
    assert(f != NULL);
    for (size_t i = 0; i < a->n_values; i++)
        if (a->values[i].flag == f) fallback = a->values[i].text;
    return fallback;
}

bool args_bool(const struct args *a, const char *name) {
    bool on = false;
    const char *text = args_text(a, name, "false");
    return parse_bool(text, &on) && on;
}

int64_t args_int(const struct args *a, const char *name, int64_t fallback) {
    const char *text = args_text(a, name, NULL);
    return text != NULL ? strtoll(text, NULL, 0) : fallback;
}

const char *args_nth(const struct args *a, const char *name, size_t i) {
    const struct flag *f = find_flag(a->command, name, strlen(name));
    assert(f != NULL && f->kind == FLAG_LIST);
    for (size_t k = 0; k < a->n_values; k++)
        if (a->values[k].flag == f && i-- == 0) return a->values[k].text;
    return NULL;
}
