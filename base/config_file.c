/* config_file.c - see config.h: finds cria.toml and makes it the file layer, whole or not at all.
 */
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_impl.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/toml.h"

struct layer {
    const char *text[SETTING_COUNT]; /* lasting; NULL: not in the file */
    unsigned line[SETTING_COUNT];
};

static _Atomic(const char *) file_text[SETTING_COUNT];
static atomic_uint file_line[SETTING_COUNT];
static _Atomic(const char *) file_path;

const char *config_file_text(enum setting id, unsigned *line) {
    *line = atomic_load(&file_line[id]);
    return atomic_load(&file_text[id]);
}

const char *config_loaded(void) { return atomic_load(&file_path); }

/* ---- where it is ---- */

/* The files that config_path looks for, i from 0; false behind the last. */
static bool candidate_path(size_t i, struct buf *out) {
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const struct passwd *user = home == NULL || *home == '\0' ? getpwuid(getuid()) : NULL;
    if (user != NULL) home = user->pw_dir;
    if (i == 0 && xdg != NULL && *xdg == '/') buf_printf(out, "%s/cria/cria.toml", xdg);
    if (i == 1 && home != NULL && *home != '\0') buf_printf(out, "%s/.config/cria/cria.toml", home);
    if (i == 2) buf_str(out, "/etc/cria/cria.toml");
    return i < 3;
}

const char *config_path(bool *named) {
    const char *path = getenv("CRIA_CONFIG");
    *named = path != NULL && *path != '\0';
    if (*named) return os_intern(path, strlen(path));
    struct buf candidate = {0};
    path = NULL;
    for (size_t i = 0; path == NULL && candidate_path(i, &candidate); i++) {
        if (candidate.len > 0 && os_file_exists(candidate.data))
            path = os_intern(candidate.data, candidate.len);
        buf_clear(&candidate);
    }
    buf_free(&candidate);
    return path;
}

/* ---- what it says ---- */

static enum status at(const struct toml_value *v, struct err *e) {
    return err_wrap(e, "line %u, column %u", v->line, v->column);
}

static void put_scalar(struct buf *out, const struct toml_value *v) {
    if (v->kind == TOML_STRING) buf_str(out, v->text);
    if (v->kind == TOML_INTEGER) buf_printf(out, "%lld", (long long)v->integer);
    if (v->kind == TOML_BOOL) buf_str(out, v->truth ? "true" : "false");
}

/* The kinds of TOML that a kind of setting may be written with. */
static bool fits(enum setting_kind kind, enum toml_kind t) {
    if (t == TOML_STRING) return kind != SET_BOOL && kind != SET_UINT && kind != SET_LEVEL;
    if (t == TOML_INTEGER)
        return kind == SET_UINT || kind == SET_BYTES || kind == SET_DURATION ||
               kind == SET_TIMEOUT || kind == SET_LEVEL;
    if (t == TOML_BOOL) return kind == SET_BOOL || kind == SET_LEVEL;
    return t == TOML_ARRAY && kind == SET_LIST;
}

static enum status wrong_kind(enum setting id, const struct toml_value *v, struct err *e) {
    err_set(e, ST_INVALID, "%s is a %s, and not %s", config_settings[id].name,
            config_kind_name(config_settings[id].kind), toml_kind_name(v->kind));
    return at(v, e);
}

static enum status put_value(struct buf *out, enum setting id, const struct toml_value *v,
                             struct err *e) {
    if (!fits(config_settings[id].kind, v->kind)) return wrong_kind(id, v, e);
    if (v->kind != TOML_ARRAY) put_scalar(out, v);
    for (size_t i = 0; i < v->n; i++) {
        const struct toml_value *item = &v->items[i];
        if (item->kind != TOML_STRING || strchr(item->text, ',') != NULL) {
            err_set(e, ST_INVALID, "%s is a list of texts without commas",
                    config_settings[id].name);
            return at(item, e);
        }
        if (i > 0) buf_chr(out, ',');
        buf_str(out, item->text);
    }
    if (out->failed) return err_no_memory(e);
    const char *text = out->data != NULL ? out->data : "";
    return config_check(id, text, e) == ST_OK ? ST_OK : at(v, e);
}

static enum status unknown(const struct toml_entry *entry, struct err *e) {
    const char *near = config_nearest(entry->key), *last = strrchr(entry->key, '.');
    if (near == NULL && last != NULL) near = config_nearest(last + 1);
    const char *what = entry->value.kind == TOML_TABLE ? "table" : "setting";
    if (near != NULL)
        err_set(e, ST_INVALID, "unknown %s '%s'; did you mean '%s'?", what, entry->key, near);
    else
        err_set(e, ST_INVALID, "unknown %s '%s'", what, entry->key);
    return err_wrap(e, "line %u, column %u", entry->line, entry->column);
}

static enum status take_entry(struct layer *l, const struct toml_entry *entry, struct err *e) {
    enum setting id;
    struct buf text = {0};
    if (entry->value.kind == TOML_TABLE || !config_find(entry->key, &id)) return unknown(entry, e);
    enum status st = put_value(&text, id, &entry->value, e);
    if (st == ST_OK) {
        l->text[id] = os_intern(text.data != NULL ? text.data : "", text.len);
        l->line[id] = entry->line;
        if (l->text[id] == NULL) st = err_no_memory(e);
    }
    buf_free(&text);
    return st;
}

static enum status read_layer(struct layer *l, const char *path, struct err *e) {
    char *text;
    size_t size;
    struct toml t;
    *l = (struct layer){.text = {NULL}};
    enum status st = os_file_read(path, TOML_MAX_BYTES, &text, &size, e);
    if (st != ST_OK) return st; /* names the path */
    st = toml_parse(&t, text, size, e);
    mem_free(text);
    if (st != ST_OK) return err_wrap(e, "%s", path);
    for (size_t i = 0; i < t.n && st == ST_OK; i++) st = take_entry(l, &t.entries[i], e);
    toml_free(&t);
    return st == ST_OK ? ST_OK : err_wrap(e, "%s", path);
}

enum status config_check_file(const char *path, struct err *e) {
    struct layer l;
    return read_layer(&l, path, e);
}

enum status config_load(const char *path, struct err *e) {
    struct layer l = {.text = {NULL}};
    bool named = true;
    if (path == NULL) path = config_path(&named);
    const char *lasting = path != NULL ? os_intern(path, strlen(path)) : NULL;
    enum status st = lasting != NULL ? read_layer(&l, lasting, e) : ST_OK;
    if (st != ST_OK) return st;
    for (int i = 0; i < SETTING_COUNT; i++) {
        atomic_store(&file_line[i], l.line[i]);
        atomic_store(&file_text[i], l.text[i]);
    }
    atomic_store(&file_path, lasting);
    return ST_OK;
}
