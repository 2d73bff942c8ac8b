/* config.c - see config.h: the table, the layers, values by kind. config_file.c reads the file.
 *
 * A layer is an array of lasting texts behind atomic pointers: readers need no lock, and a reader
 * that got the old text may go on using it. */
#include "base/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/config_impl.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/os.h"

const struct setting_info config_settings[SETTING_COUNT] = {
#define SETTING(name, kind, fallback, choices, marks, help)                                        \
    {#name, kind, fallback, choices, marks, help},
#include "base/settings.def"
#undef SETTING
};

static _Atomic(const char *) flag_text[SETTING_COUNT];

const char *config_kind_name(enum setting_kind kind) {
    static const char *const name[] = {
        [SET_TEXT] = "text",       [SET_SECRET] = "secret", [SET_LIST] = "list",
        [SET_CHOICE] = "choice",   [SET_BOOL] = "bool",     [SET_LEVEL] = "level",
        [SET_UINT] = "number",     [SET_BYTES] = "size",    [SET_DURATION] = "duration",
        [SET_TIMEOUT] = "duration"};
    return name[kind];
}

/* ---- values by kind ---- */

static bool parse_uint(const char *text, uint64_t *out) {
    char *end;
    if (*text < '0' || *text > '9') return false; /* strtoull would take signs and blanks */
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool parse_bytes(const char *text, uint64_t *out) {
    static const struct {
        const char *name;
        uint64_t factor;
    } unit[] = {{"", 1},
                {"K", 1000},
                {"M", 1000000},
                {"G", 1000000000},
                {"T", 1000000000000},
                {"Ki", UINT64_C(1) << 10},
                {"Mi", UINT64_C(1) << 20},
                {"Gi", UINT64_C(1) << 30},
                {"Ti", UINT64_C(1) << 40}};
    char *end;
    if (*text < '0' || *text > '9') return false;
    errno = 0;
    const uint64_t n = strtoull(text, &end, 10);
    if (errno != 0) return false;
    while (*end == ' ') end++;
    size_t len = strlen(end);
    if (len > 0 && end[len - 1] == 'B') len--;
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
        if (strlen(unit[i].name) != len || strncasecmp(unit[i].name, end, len) != 0) continue;
        *out = n * unit[i].factor;
        return n <= UINT64_MAX / unit[i].factor;
    }
    return false;
}

static const char *const no_words[] = {"0", "f", "F", "false", "FALSE", "False"};
static const char *const yes_words[] = {"1", "t", "T", "true", "TRUE", "True"};

static bool is_one_of(const char *text, const char *const words[6]) {
    for (int i = 0; i < 6; i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}

static bool is_choice(const char *choices, const char *text) {
    const size_t len = strlen(text);
    while (len > 0 && *choices != '\0') {
        const size_t n = strcspn(choices, "|");
        if (n == len && strncasecmp(choices, text, n) == 0) return true;
        choices += n + (choices[n] == '|');
    }
    return false;
}

enum status config_check(enum setting id, const char *text, struct err *e) {
    const struct setting_info *s = &config_settings[id];
    uint64_t number;
    int64_t ns;
    switch (s->kind) {
    case SET_BOOL:
        if (is_one_of(text, no_words) || is_one_of(text, yes_words)) return ST_OK;
        return err_set(e, ST_INVALID, "%s: '%.64s' is neither true nor false", s->name, text);
    case SET_LEVEL:
        if (parse_uint(text, &number)) return ST_OK;
        if (is_one_of(text, no_words) || is_one_of(text, yes_words)) return ST_OK;
        return err_set(e, ST_INVALID, "%s: '%.64s' is neither true, false nor a number", s->name,
                       text);
    case SET_UINT:
        if (parse_uint(text, &number)) return ST_OK;
        return err_set(e, ST_INVALID, "%s: '%.64s' is no number from 0 up", s->name, text);
    case SET_BYTES:
        if (parse_bytes(text, &number)) return ST_OK;
        return err_set(e, ST_INVALID, "%s: '%.64s' is no size such as 512MiB or 20GB", s->name,
                       text);
    case SET_DURATION:
    case SET_TIMEOUT:
        if (keep_alive_text(text, &ns, e) == ST_OK) return ST_OK;
        return err_wrap(e, "%s", s->name);
    case SET_CHOICE:
        if (is_choice(s->choices, text)) return ST_OK;
        return err_set(e, ST_INVALID, "%s: '%.64s' is none of %s", s->name, text, s->choices);
    default:
        return ST_OK;
    }
}

/* What the environment may say: words of Ollama's users that the strict check would refuse. */
static enum status check_environment(enum setting id, const char *text, struct err *e) {
    const enum setting_kind kind = config_settings[id].kind;
    return kind == SET_BOOL || kind == SET_LEVEL ? ST_OK : config_check(id, text, e);
}

/* ---- layers ---- */

void config_put_variable(struct buf *out, enum setting id, bool ollama) {
    buf_str(out, ollama ? "OLLAMA_" : "CRIA_");
    for (const char *s = config_settings[id].name; *s != '\0'; s++)
        buf_chr(out, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
}

/* os_env wants the name in capitals. */
static const char *environment(enum setting id, bool *ollama) {
    char name[64];
    size_t n = 0;
    for (const char *s = config_settings[id].name; *s != '\0' && n < sizeof name - 1; s++)
        name[n++] = *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
    name[n] = '\0';
    return os_env_from(name, ollama);
}

void config_get(enum setting id, struct setting_value *out) {
    const struct setting_info *s = &config_settings[id];
    *out = (struct setting_value){.text = NULL};
    const char *text = atomic_load(&flag_text[id]);
    if (text != NULL) {
        out->text = text;
        out->origin = FROM_FLAG;
        return;
    }
    text = environment(id, &out->ollama);
    if (text != NULL && check_environment(id, text, &out->problem) == ST_OK) {
        out->text = text;
        out->origin = FROM_ENVIRONMENT;
        return;
    }
    const bool bad = text != NULL; /* then the default counts, whatever the file says */
    text = bad ? NULL : config_file_text(id, &out->line);
    out->origin = text != NULL ? FROM_FILE : FROM_DEFAULT;
    if (text == NULL && *s->fallback != '\0') text = s->fallback;
    out->text = text;
}

void config_put_origin(struct buf *out, enum setting id, const struct setting_value *v) {
    if (v->origin == FROM_FLAG)
        buf_str(out, "--set");
    else if (v->origin == FROM_ENVIRONMENT)
        config_put_variable(out, id, v->ollama);
    else if (v->origin == FROM_FILE)
        buf_printf(out, "%s:%u", config_loaded() != NULL ? config_loaded() : "", v->line);
    else
        buf_str(out, "default");
}

/* The value that counts; NULL: none. A bad variable is warned about. */
static const char *valid(enum setting id) {
    struct setting_value v;
    config_get(id, &v);
    if (v.problem.code != ST_OK) {
        struct buf name = {0};
        config_put_variable(&name, id, v.ollama);
        log_warn("config", "invalid environment variable %s, using default: %s",
                 name.data != NULL ? name.data : "", v.problem.msg);
        buf_free(&name);
    }
    return v.text;
}

const char *config_text(enum setting id) { return valid(id); }

bool config_is_set(enum setting id) {
    struct setting_value v;
    config_get(id, &v);
    return v.origin != FROM_DEFAULT;
}

bool config_bool(enum setting id) {
    const char *text = valid(id);
    return text != NULL && !is_one_of(text, no_words);
}

uint64_t config_uint(enum setting id) {
    uint64_t n = 0;
    const char *text = valid(id);
    return text != NULL && parse_uint(text, &n) ? n : 0;
}

uint64_t config_bytes(enum setting id) {
    uint64_t n = 0;
    const char *text = valid(id);
    return text != NULL && parse_bytes(text, &n) ? n : 0;
}

int64_t config_ns(enum setting id) {
    int64_t ns = 0;
    const char *text = valid(id);
    if (text != NULL && keep_alive_text(text, &ns, NULL) != ST_OK) ns = 0;
    return ns == 0 && config_settings[id].kind == SET_TIMEOUT ? DURATION_FOREVER : ns;
}

/* ---- changing ---- */

bool config_find(const char *name, enum setting *id) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(config_settings[i].name, name) != 0) continue;
        *id = (enum setting)i;
        return true;
    }
    return false;
}

enum { NEAREST_MAX = 48 };

/* Number of letters to insert, remove, replace or swap with their neighbour. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
    size_t row[3][NEAREST_MAX + 1];
    for (size_t k = 0; k <= m; k++) row[0][k] = k;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t k = 1; k <= m; k++) {
            size_t best = up[k - 1] + (a[i - 1] != b[k - 1]);
            if (up[k] + 1 < best) best = up[k] + 1;
            if (now[k - 1] + 1 < best) best = now[k - 1] + 1;
            const bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped && up2[k - 2] + 1 < best) best = up2[k - 2] + 1;
            now[k] = best;
        }
    }
    return row[n % 3][m];
}

const char *config_nearest(const char *name) {
    char text[NEAREST_MAX + 1];
    size_t n = 0, best = SIZE_MAX;
    const char *found = NULL;
    for (; name[n] != '\0' && n < NEAREST_MAX; n++)
        text[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a')
                  : name[n] == '-'                 ? '_'
                                                   : name[n];
    text[n] = '\0';
    const char *s = strncmp(text, "ollama_", 7) == 0 ? text + 7
                    : strncmp(text, "cria_", 5) == 0 ? text + 5
                                                     : text;
    n = strlen(s);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *candidate = config_settings[i].name;
        const size_t m = strlen(candidate);
        const size_t d = m <= NEAREST_MAX ? distance(s, n, candidate, m) : SIZE_MAX;
        if (d < best && d <= 1 + m / 4) best = d, found = candidate;
    }
    return found;
}

enum status config_set(enum setting id, const char *text, struct err *e) {
    enum status st = config_check(id, text, e);
    if (st != ST_OK) return st;
    const char *copy = os_intern(text, strlen(text));
    if (copy == NULL) return err_no_memory(e);
    atomic_store(&flag_text[id], copy);
    return ST_OK;
}

enum status config_set_pair(const char *pair, struct err *e) {
    char name[NEAREST_MAX + 1];
    enum setting id;
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair)
        return err_set(e, ST_INVALID, "'%.64s' is not of the form NAME=VALUE", pair);
    snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
    if (config_find(name, &id)) return config_set(id, equals + 1, e);
    const char *near = config_nearest(name);
    if (near == NULL) return err_set(e, ST_INVALID, "unknown setting '%s'", name);
    return err_set(e, ST_INVALID, "unknown setting '%s'; did you mean '%s'?", name, near);
}
