/* config.h - the settings: one table (settings.def), four layers, and where each value comes from.
 *
 * default < cria.toml < environment < flags. A value is looked up when it is asked for, so a
 * program that changes its environment, or a file that is read again (SIGHUP), is seen; whoever
 * needs a value that stays keeps a copy (api/settings.h). All values are texts until they are read
 * by kind:
 *
 *   environment  CRIA_NAME, else OLLAMA_NAME, trimmed; what cannot be read is warned about, and the
 *                default counts (golden/cli/env.jsonl: users of Ollama expect that)
 *   file, flags  are checked at once; the first error refuses the whole file
 *
 * The file is $CRIA_CONFIG, else the first that is there of $XDG_CONFIG_HOME/cria/cria.toml,
 * ~/.config/cria/cria.toml, /etc/cria/cria.toml. Files are not merged: one file is the truth.
 *
 * All functions are thread-safe; texts stay valid for the life of the process. */
#ifndef CRIA_BASE_CONFIG_H
#define CRIA_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum setting {
#define SETTING(name, ...) SET_##name,
#include "base/settings.def"
#undef SETTING
    SETTING_COUNT
};

enum setting_kind {
    SET_TEXT,
    SET_SECRET,   /* a text that is never shown */
    SET_LIST,     /* texts separated by commas; in the file also an array */
    SET_CHOICE,   /* one of the choices */
    SET_BOOL,     /* in the environment anything but 0 f false (and F...) is true */
    SET_LEVEL,    /* a bool or a number */
    SET_UINT,     /* decimal, 64 bits */
    SET_BYTES,    /* a number with or without K, M, G, T (1000) or Ki, Mi, Gi, Ti (1024), then B */
    SET_DURATION, /* "1h30m" or seconds; negative: for ever */
    SET_TIMEOUT,  /* the same, and 0, too, is for ever */
};

enum setting_mark {
    SHOWN_CLIENT = 1, /* in the help of the commands that ask a server */
    SHOWN_RUN = 2,
    SHOWN_SERVE = 4,
    SHOWN_STORE = 8,    /* in the help of the commands that look into the store's folder */
    SET_OLLAMA = 16,    /* Ollama has it: the help names OLLAMA_X, not CRIA_X */
    SET_LIVE = 32,      /* SIGHUP can change it; the others need a restart */
    SET_NO_EFFECT = 64, /* known, but means nothing to cria */
};

struct setting_info {
    const char *name;
    enum setting_kind kind;
    const char *fallback; /* "" if there is none */
    const char *choices;
    unsigned marks;
    const char *help;
};
extern const struct setting_info config_settings[SETTING_COUNT];
const char *config_kind_name(enum setting_kind kind); /* "text", "duration", ... */

/* ---- reading ---- */

/* NULL if no layer has it and there is no default. */
const char *config_text(enum setting id);
bool config_bool(enum setting id);
bool config_is_set(enum setting id); /* by something else than the default */
uint64_t config_uint(enum setting id);
uint64_t config_bytes(enum setting id);
int64_t config_ns(enum setting id); /* DURATION_FOREVER for negative ones */

enum setting_origin { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };
struct setting_value {
    const char *text; /* NULL: none */
    enum setting_origin origin;
    unsigned line;      /* FROM_FILE */
    bool ollama;        /* FROM_ENVIRONMENT: the variable is OLLAMA_X */
    struct err problem; /* code ST_OK, or why the default counts in its place */
};
void config_get(enum setting id, struct setting_value *out);
/* "default", "/etc/cria/cria.toml:3", "OLLAMA_HOST", "--set". */
void config_put_origin(struct buf *out, enum setting id, const struct setting_value *v);
/* "OLLAMA_HOST", "CRIA_LOG": the variable as the help names it. */
void config_put_variable(struct buf *out, enum setting id, bool ollama);

/* ---- changing ---- */

bool config_find(const char *name, enum setting *id);
/* The name that somebody may have meant; NULL: none is near. */
const char *config_nearest(const char *name);
/* Whether the text is a value of the setting; ST_INVALID: "'x' is no ...". */
enum status config_check(enum setting id, const char *text, struct err *e);
/* The layer of flags. */
enum status config_set(enum setting id, const char *text, struct err *e);
enum status config_set_pair(const char *pair, struct err *e); /* "name=value" */

/* ---- the file ---- */

/* The path that counts: of $CRIA_CONFIG, or the first that is there; NULL: none. *named tells that
 * the user has named it, so that it must be there. */
const char *config_path(bool *named);
/* Reads path (NULL: config_path) as the file layer. On failure (ST_FORMAT, ST_INVALID:
 * "PATH: line 3, column 5: unknown setting 'hots'; did you mean 'host'?") the old one stays. No
 * file at all is ST_OK. */
enum status config_load(const char *path, struct err *e);
enum status config_check_file(const char *path, struct err *e); /* the same, changes nothing */
const char *config_loaded(void); /* path of the file that counts; NULL: none */

#endif
