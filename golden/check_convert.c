/* check_convert.c - golden-check of conversions (kind convert; contract: the README of the folder).
 *
 * Each folder holds hf/, a model or an adapter as published, and expected.json (and perhaps
 * expected_projector.json), what the GGUF must hold: every pair with equal type and value, all
 * tensors with equal name, shape, type and bytes. More pairs are allowed, more tensors are not. An
 * adapter's base is converted from the folder that the README names; without it, a file is made up
 * that says of the base what the adapter's own pairs say. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/convert/convert.h"
#include "engine/file/gguf_write.h"
#include "golden/check.h"
#include "golden/gguf_same.h"

enum { MAX_FILES = 64, PATH_ROOM = 1024 };

struct folder {
    struct convert_file files[MAX_FILES];
    char text[MAX_FILES][2][PATH_ROOM];
    size_t n;
};

static bool is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* All files of a folder and of the folders in it; prefix is "" or "1_Pooling/". */
static void list_files(struct folder *f, const char *dir, const char *prefix) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL && f->n < MAX_FILES; n++) {
        char path[PATH_ROOM], inner[PATH_ROOM];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        snprintf(inner, sizeof inner, "%s%s", prefix, *n);
        if (is_dir(path)) {
            snprintf(inner, sizeof inner, "%s%s/", prefix, *n);
            if (*prefix == '\0') list_files(f, path, inner);
            continue;
        }
        snprintf(f->text[f->n][0], PATH_ROOM, "%s", inner);
        snprintf(f->text[f->n][1], PATH_ROOM, "%s", path);
        f->files[f->n] = (struct convert_file){.name = f->text[f->n][0], .path = f->text[f->n][1]};
        f->n++;
    }
    check_list_free(names);
}

static enum status collect(void *arg, const void *data, size_t n, struct err *e) {
    struct buf *b = arg;
    buf_add(b, data, n);
    return b->failed ? err_no_memory(e) : ST_OK;
}

/* ---- comparison ---- */

static void check_pairs(struct check *c, const char *where, const struct gguf *g,
                        const json *want) {
    for (const json *v = json_first(json_get(want, "kv")); v != NULL; v = json_next(v)) {
        const char *key = json_string(json_first(v));
        const struct gguf_kv *kv = key != NULL ? gguf_find(g, key) : NULL;
        if (kv == NULL)
            check_fail(c, where, "no key %s", key != NULL ? key : "(no text)");
        else
            check_that(c, gguf_same_pair(g, v, kv), where, "key %s differs", key);
    }
}

static void check_tensors(struct check *c, const char *where, const struct gguf *g,
                          const json *want) {
    const json *list = json_get(want, "tensors");
    check_that(c, json_len(list) == gguf_n_tensors(g), where, "%zu tensors, want %zu",
               gguf_n_tensors(g), json_len(list));
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        const char *name = json_string(json_first(v));
        const struct gguf_tensor *t = name != NULL ? gguf_find_tensor(g, name) : NULL;
        if (t == NULL)
            check_fail(c, where, "no tensor %s", name != NULL ? name : "(no text)");
        else
            check_that(c, gguf_same_tensor(v, t, false), where, "tensor %s differs", name);
    }
}

static void check_part(struct check *c, const char *dir, const char *file, struct conversion *m,
                       enum convert_part part) {
    char where[PATH_ROOM + 32];
    struct buf bytes = {0};
    struct gguf *g = NULL;
    struct err e = {0};
    snprintf(where, sizeof where, "%s/%s", dir, file);
    if (!check_exists(dir, file)) {
        check_that(c, !convert_has(m, part), where, "an output that is not expected");
        return;
    }
    json *want = check_read_json(c, dir, file);
    if (!convert_has(m, part))
        check_fail(c, where, "no such output");
    else if (convert_write(m, part, collect, &bytes, &e) != ST_OK ||
             gguf_open_memory(&g, bytes.data, bytes.len, "output", &e) != ST_OK)
        check_fail(c, where, "%s", e.msg);
    if (g != NULL && want != NULL) {
        check_pairs(c, where, g, want);
        check_tensors(c, where, g, want);
    }
    gguf_close(g);
    buf_free(&bytes);
    json_free(want);
}

/* ---- the base of an adapter ---- */

static bool convert_base(const char *dir, struct buf *out) {
    struct folder *f = mem_zalloc(1, sizeof *f);
    struct conversion *m = NULL;
    char hf[PATH_ROOM];
    snprintf(hf, sizeof hf, "%s/llama3_bf16_2shards/hf", dir);
    if (is_dir(hf)) list_files(f, hf, "");
    const struct convert_spec spec = {.files = f->files, .n_files = f->n};
    bool ok = f->n != 0 && convert_open_model(&m, &spec, NULL) == ST_OK &&
              convert_write(m, CONVERT_MODEL, collect, out, NULL) == ST_OK;
    convert_free(m);
    mem_free(f);
    return ok;
}

/* A file without tensors, with what the adapter repeats of its base. */
static bool make_base(struct check *c, const char *dir, struct buf *out) {
    struct gguf_writer *w;
    json *want = check_read_json(c, dir, "expected.json");
    buf_clear(out);
    if (want == NULL || gguf_writer_new(&w, NULL) != ST_OK) return false;
    for (const json *v = json_first(json_get(want, "kv")); v != NULL; v = json_next(v)) {
        const char *key = json_string(json_first(v));
        const json *value = json_next(json_next(json_first(v)));
        int64_t n;
        if (key == NULL) continue;
        if (strcmp(key, "general.architecture") == 0 && json_string(value) != NULL)
            gguf_put_text(w, key, json_string(value));
        else if (strncmp(key, "general.", 8) != 0 && json_int(value, &n))
            gguf_put_u32(w, key, (uint32_t)n);
    }
    const bool ok =
        gguf_write_to(w, collect, out, NULL) == ST_OK && gguf_write_finish(w, NULL) == ST_OK;
    gguf_writer_free(w);
    json_free(want);
    return ok;
}

/* ---- a case ---- */

static void check_case(struct check *c, const char *set, const char *dir) {
    struct folder *f = mem_zalloc(1, sizeof *f);
    struct conversion *m = NULL;
    struct gguf *base = NULL;
    struct buf bytes = {0};
    struct err e = {0};
    char hf[PATH_ROOM];
    snprintf(hf, sizeof hf, "%s/hf", dir);
    list_files(f, hf, "");
    const bool adapter = check_exists(hf, "adapter_config.json");
    if (adapter && (convert_base(set, &bytes) || make_base(c, dir, &bytes)))
        gguf_open_memory(&base, bytes.data, bytes.len, "base", &e);
    const struct convert_spec spec = {.files = f->files, .n_files = f->n, .base = base};
    const enum status st =
        adapter ? convert_open_adapter(&m, &spec, &e) : convert_open_model(&m, &spec, &e);
    if (st != ST_OK) {
        check_fail(c, dir, "%s", e.msg);
    } else {
        check_part(c, dir, "expected.json", m, CONVERT_MODEL);
        check_part(c, dir, "expected_projector.json", m, CONVERT_PROJECTOR);
    }
    convert_free(m);
    gguf_close(base);
    buf_free(&bytes);
    mem_free(f);
}

void check_convert(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char path[PATH_ROOM];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if (is_dir(path)) check_case(c, dir, path);
    }
    check_list_free(names);
}
