/* cmd_config.c - the settings: what counts and where it comes from; whether a file is right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

extern char **environ;

/* ---- show ---- */

static const char *shown_value(const struct setting_info *s, const struct setting_value *v) {
    if (v->text == NULL) return "";
    return s->kind == SET_SECRET ? "(hidden)" : v->text;
}

/* A setting of a running server that it reads at its start only; the others follow SIGHUP, or are
 * read by each command. */
static bool needs_restart(const struct setting_info *s) {
    const unsigned server = SHOWN_SERVE | SHOWN_STORE;
    return (s->marks & SET_LIVE) == 0 && (s->marks & server) != 0;
}

static void put_row(struct table *t, enum setting id, struct buf *text) {
    const struct setting_info *s = &config_settings[id];
    struct setting_value v;
    config_get(id, &v);
    table_row(t);
    table_cell(t, s->name);
    table_cell(t, shown_value(s, &v));
    config_put_origin(text, id, &v);
    if (v.problem.code != ST_OK) {
        buf_str(text, " (");
        config_put_variable(text, id, v.ollama);
        buf_str(text, " is invalid)");
    }
    table_cell_buf(t, text);
    table_cell(t, needs_restart(s) ? "restart" : "");
}

static void put_object(struct buf *out, enum setting id) {
    const struct setting_info *s = &config_settings[id];
    struct setting_value v;
    struct buf origin = {0};
    config_get(id, &v);
    config_put_origin(&origin, id, &v);
    buf_chr(out, '{');
    json_put_field(out, "name", s->name);
    json_put_key(out, "value");
    if (v.text != NULL)
        json_put_string(out, shown_value(s, &v), strlen(shown_value(s, &v)));
    else
        buf_str(out, "null");
    json_put_field(out, "origin", origin.data);
    json_put_field(out, "kind", config_kind_name(s->kind));
    json_put_field(out, "default", s->fallback);
    json_put_field_bool(out, "live", (s->marks & SET_LIVE) != 0);
    json_put_field_bool(out, "restart", needs_restart(s));
    json_put_field_bool(out, "effect", (s->marks & SET_NO_EFFECT) == 0);
    if (v.problem.code != ST_OK) json_put_field(out, "problem", v.problem.msg);
    json_put_field(out, "help", s->help);
    buf_chr(out, '}');
    buf_free(&origin);
}

/* What has no effect is shown only if somebody set it, or asks for all. */
static bool is_shown(enum setting id, bool all) {
    return all || (config_settings[id].marks & SET_NO_EFFECT) == 0 || config_is_set(id);
}

static void put_json(struct buf *out, bool all) {
    bool any = false;
    buf_chr(out, '{');
    json_put_key(out, "file");
    if (config_loaded() != NULL)
        json_put_string(out, config_loaded(), strlen(config_loaded()));
    else
        buf_str(out, "null");
    json_put_key(out, "settings");
    buf_chr(out, '[');
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (!is_shown((enum setting)i, all)) continue;
        if (any) buf_chr(out, ',');
        any = true;
        put_object(out, (enum setting)i);
    }
    buf_str(out, "]}\n");
}

static void put_table(struct buf *out, bool all) {
    struct table t = {0};
    struct buf text = {0};
    table_row(&t);
    table_cell(&t, "NAME");
    table_cell(&t, "VALUE");
    table_cell(&t, "FROM");
    table_cell(&t, "NEEDS");
    for (int i = 0; i < SETTING_COUNT; i++)
        if (is_shown((enum setting)i, all)) put_row(&t, (enum setting)i, &text);
    table_print(out, &t, "", true);
    table_free(&t);
    buf_free(&text);
}

static enum status show(const struct args *a, struct err *e) {
    struct buf out = {0};
    enum status st = config_load(NULL, e);
    if (st != ST_OK) return st;
    if (args_bool(a, "json"))
        put_json(&out, args_bool(a, "all"));
    else
        put_table(&out, args_bool(a, "all"));
    return cli_put(&out, e);
}

/* ---- check ---- */

/* CRIA_X that no setting has: most likely a slip. The tools of the tests have some of their own. */
static const char *unknown_variable(const char *entry) {
    static const char *const known[] = {"CONFIG", "REAL_GEMMA", "REAL_ALL"};
    static char name[64];
    enum setting ignored;
    size_t n = 0;
    if (strncmp(entry, "CRIA_", 5) != 0) return NULL;
    for (const char *s = entry + 5; *s != '=' && *s != '\0' && n < sizeof name - 1; s++)
        name[n++] = *s;
    name[n] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0) return NULL;
    for (size_t i = 0; i < n; i++)
        if (name[i] >= 'A' && name[i] <= 'Z') name[i] = (char)(name[i] - 'A' + 'a');
    return config_find(name, &ignored) ? NULL : name;
}

/* The environment: what cannot be read, what has no effect, what nobody knows. */
static unsigned check_environment(void) {
    unsigned n_bad = 0;
    for (int i = 0; i < SETTING_COUNT; i++) {
        struct setting_value v;
        struct buf origin = {0};
        config_get((enum setting)i, &v);
        config_put_variable(&origin, (enum setting)i, v.ollama);
        if (v.problem.code != ST_OK) {
            fprintf(stderr, "%s: %s\n", origin.data, v.problem.msg);
            n_bad++;
        } else if (v.origin != FROM_DEFAULT && (config_settings[i].marks & SET_NO_EFFECT) != 0) {
            fprintf(stderr, "note: %s: %s\n", config_settings[i].name, config_settings[i].help);
        }
        buf_free(&origin);
    }
    for (char **entry = environ; *entry != NULL; entry++) {
        const char *name = unknown_variable(*entry);
        if (name == NULL) continue;
        const char *near = config_nearest(name);
        fprintf(stderr, "unknown variable %.*s%s%s%s\n", (int)strcspn(*entry, "="), *entry,
                near != NULL ? "; did you mean the setting '" : "", near != NULL ? near : "",
                near != NULL ? "'?" : "");
        n_bad++;
    }
    return n_bad;
}

static enum status check(const struct args *a, struct err *e) {
    const char *file = a->n_words > 1 ? a->words[1] : NULL;
    enum status st = file != NULL ? config_check_file(file, e) : config_load(NULL, e);
    if (st != ST_OK) return st;
    if (file == NULL && check_environment() > 0)
        return err_set(e, ST_INVALID, "the environment has settings that cannot be used");
    if (file == NULL) file = config_loaded();
    printf("%s: ok\n", file != NULL ? file : "no configuration file");
    return ST_OK;
}

enum status cmd_config(const struct args *a, struct err *e) {
    const char *what = a->words[0];
    if (strcmp(what, "show") == 0 && a->n_words == 1) return show(a, e);
    if (strcmp(what, "check") == 0) return check(a, e);
    return err_set(e, ST_INVALID, "config takes 'show' or 'check [FILE]'");
}
