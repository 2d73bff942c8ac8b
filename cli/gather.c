/* gather.c - the files that a Modelfile names. */
#include "cli/gather.h"

#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/os.h"

void gather_free(struct gather *g) {
    mem_free(g->files);
    arena_free(&g->arena);
    *g = (struct gather){0};
}

/* ---- paths ---- */

/* "a/./b" and "a//b" are "a/b"; in place. */
static char *clean_path(char *path) {
    char *to = path;
    for (const char *from = path; to != NULL && *from != '\0';) {
        bool at_part = to > path && to[-1] == '/';
        if (at_part && from[0] == '/')
            from++;
        else if (at_part && from[0] == '.' && from[1] == '/')
            from += 2;
        else
            *to++ = *from++;
    }
    if (to != NULL) *to = '\0';
    return path;
}

/* "~", "~/x", "~user/x", and what is relative to the Modelfile. NULL: e is set. */
static const char *resolve_path(struct gather *g, const char *value, const char *dir,
                                struct err *e) {
    char *out;
    if (value[0] == '~') {
        const size_t len = strcspn(value + 1, "/");
        const char *home = len == 0 ? getenv("HOME") : NULL;
        if (len > 0) {
            char *user = arena_strndup(&g->arena, value + 1, len);
            const struct passwd *pw = user != NULL ? getpwnam(user) : NULL;
            if (pw == NULL) {
                err_set(e, ST_NOT_FOUND, "failed to find user '%.*s': unknown user", (int)len,
                        value + 1);
                return NULL;
            }
            home = pw->pw_dir;
        }
        out = arena_printf(&g->arena, "%s%s", home != NULL ? home : "", value + 1 + len);
    } else if (value[0] == '/') {
        out = arena_strndup(&g->arena, value, strlen(value));
    } else {
        out = arena_printf(&g->arena, "%s/%s", dir, value);
    }
    if (out == NULL) err_no_memory(e);
    return clean_path(out);
}

static enum status add_file(struct gather *g, enum gather_kind kind, const char *path,
                            struct err *e) {
    struct stat info;
    if (stat(path, &info) != 0) return os_fail(e, "stat", path);
    struct gather_file *grown = mem_grow(g->files, g->n_files + 1, sizeof *grown);
    if (grown != NULL) g->files = grown;
    const char *copy = arena_strndup(&g->arena, path, strlen(path));
    if (grown == NULL || copy == NULL) return err_no_memory(e);
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].kind == kind && strcmp(g->files[i].path, copy) == 0) return ST_OK;
    g->files[g->n_files++] = (struct gather_file){
        .kind = kind, .path = copy, .name = copy, .size = (uint64_t)info.st_size};
    return ST_OK;
}

/* ---- directories ---- */

/* A link that leads out of the directory would let a downloaded model read any file. The caches of
 * the usual downloader are made of such links, hence the hint. */
static enum status check_inside(const char *dir, const char *path, struct err *e) {
    char *real_dir = realpath(dir, NULL), *real = realpath(path, NULL);
    enum status st = ST_OK;
    if (real_dir == NULL || real == NULL) {
        st = os_fail(e, "stat", path);
    } else {
        const size_t n = strlen(real_dir);
        if (strncmp(real, real_dir, n) != 0 || (real[n] != '/' && n > 1))
            st = err_set(e, ST_INVALID, "insecure path: %s%s", path,
                         strstr(path, "/.cache/") != NULL || strstr(real, "/.cache/") != NULL
                             ? " (links of a download cache: download again with --local-dir)"
                             : "");
    }
    free(real_dir);
    free(real);
    return st;
}

static bool is_zip(const char *path) {
    struct os_map m;
    if (os_map_open(&m, path, NULL) != ST_OK) return false;
    const bool ok = m.size > 4 && memcmp(m.data, "PK\x03\x04", 4) == 0;
    os_map_close(&m);
    return ok;
}

static enum status add_matching(struct gather *g, enum gather_kind kind, const char *dir,
                                const char *pattern, bool zip, struct err *e) {
    glob_t found = {0};
    const char *full = arena_printf(&g->arena, "%s/%s", dir, pattern);
    if (full == NULL) return err_no_memory(e);
    enum status st = ST_OK;
    if (glob(full, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && st == ST_OK; i++) {
            if (zip && !is_zip(found.gl_pathv[i])) continue;
            st = check_inside(dir, found.gl_pathv[i], e);
            if (st == ST_OK) st = add_file(g, kind, found.gl_pathv[i], e);
        }
    }
    globfree(&found);
    return st;
}

/* Tried in this order; the first that finds something wins. */
static const struct {
    const char *pattern[2]; /* in the folder, and one level below */
    bool zip, extras;       /* extras: the configuration beside it is needed, too */
} layouts[] = {
    {{"model*.safetensors", "*/model*.safetensors"}, false, true},
    {{"adapter*.safetensors", NULL}, false, true},
    {{"consolidated*.safetensors", NULL}, false, true},
    {{"pytorch_model*.bin", NULL}, true, true},
    {{"consolidated*.pth", NULL}, true, true},
    {{"*.gguf", NULL}, false, false},
    {{"*.bin", NULL}, false, false},
};
static const char *const extras[] = {"*.json", "*/*.json", "chat_template.jinja", "tokenizer.model",
                                     "vocab.txt"};

static enum status add_dir(struct gather *g, enum gather_kind kind, const char *dir,
                           struct err *e) {
    const size_t before = g->n_files;
    enum status st = ST_OK;
    bool more = false;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts && g->n_files == before; i++) {
        for (size_t k = 0; k < 2 && layouts[i].pattern[k] != NULL && st == ST_OK; k++)
            st = add_matching(g, kind, dir, layouts[i].pattern[k], layouts[i].zip, e);
        if (st != ST_OK) return st;
        more = layouts[i].extras;
    }
    if (g->n_files == before)
        return err_set(e, ST_NOT_FOUND, "no Modelfile or safetensors files found");
    for (size_t i = 0; more && i < sizeof extras / sizeof *extras && st == ST_OK; i++)
        st = add_matching(g, kind, dir, extras[i], false, e);
    return st;
}

static enum status add_path(struct gather *g, enum gather_kind kind, const char *path,
                            struct err *e) {
    struct stat info;
    if (stat(path, &info) != 0) return os_fail(e, "stat", path);
    return S_ISDIR(info.st_mode) ? add_dir(g, kind, path, e) : add_file(g, kind, path, e);
}

/* ---- commands ---- */

static enum status add_from(struct gather *g, const char *value, const char *dir, struct err *e) {
    const char *path = resolve_path(g, value, dir, e);
    if (path == NULL) return e != NULL ? e->code : ST_INVALID;
    if (os_file_exists(path)) return add_path(g, GATHER_FILES, path, e);
    g->from = arena_strndup(&g->arena, value, strlen(value));
    return g->from != NULL ? ST_OK : err_no_memory(e);
}

static bool is_from(const struct gather *g, const char *path) {
    struct stat a, b;
    if (stat(path, &a) != 0) return false;
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].kind == GATHER_FILES && stat(g->files[i].path, &b) == 0 &&
            a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return true;
    return false;
}

static enum status add_other(struct gather *g, const struct modelfile_command *c, const char *dir,
                             struct err *e) {
    const char *path = resolve_path(g, c->value, dir, e);
    if (path == NULL) return e != NULL ? e->code : ST_INVALID;
    if (c->kind == MODELFILE_DRAFT && is_from(g, path))
        return err_set(e, ST_INVALID, "DRAFT must not reference the same local path as FROM: %s",
                       c->value);
    return add_path(g, c->kind == MODELFILE_DRAFT ? GATHER_DRAFTS : GATHER_ADAPTERS, path, e);
}

static enum status check_there(struct gather *g, const char *value, const char *dir,
                               struct err *e) {
    struct stat info;
    const char *path = resolve_path(g, value, dir, e);
    if (path == NULL) return e->code;
    return stat(path, &info) == 0 ? ST_OK : os_fail(e, "stat", path);
}

/* Names in the request begin behind the directory that all files of a kind share. */
static void name_files(struct gather *g, enum gather_kind kind) {
    const char *first = NULL;
    size_t common = 0;
    for (size_t i = 0; i < g->n_files; i++) {
        const char *path = g->files[i].path;
        if (g->files[i].kind != kind) continue;
        if (first == NULL) {
            first = path;
            common = strlen(path);
        }
        size_t same = 0;
        while (same < common && path[same] == first[same] && path[same] != '\0') same++;
        common = same;
    }
    while (first != NULL && common > 0 && first[common - 1] != '/') common--;
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].kind == kind) g->files[i].name = g->files[i].path + common;
}

enum status gather_modelfile(struct gather *g, const struct modelfile *m, const char *dir,
                             struct err *e) {
    const struct modelfile_command *adapter = modelfile_last(m, MODELFILE_ADAPTER);
    struct err local = {0};
    enum status st = ST_OK;
    *g = (struct gather){.from = NULL};
    for (size_t i = 0; i < m->n_commands && st == ST_OK; i++)
        if (m->commands[i].kind == MODELFILE_FROM)
            st = add_from(g, m->commands[i].value, dir, &local);
    for (size_t i = 0; i < m->n_commands && st == ST_OK; i++) {
        const struct modelfile_command *c = &m->commands[i];
        if (c->kind == MODELFILE_DRAFT || c == adapter)
            st = add_other(g, c, dir, &local);
        else if (c->kind == MODELFILE_ADAPTER) /* not the last one: it must be there all the same */
            st = check_there(g, c->value, dir, &local);
    }
    if (st != ST_OK) {
        gather_free(g);
        return err_set(e, st, "%s", local.msg);
    }
    for (int kind = 0; kind < GATHER_KINDS; kind++) name_files(g, (enum gather_kind)kind);
    return ST_OK;
}
