/* check_gguf.c - golden-check of GGUF files (kind gguf; contract: the README of the folder).
 *
 * Valid files: what engine/file/gguf.h gives is compared with the parsed JSON, item by item in file
 * order; the writer's copy of a file must hold the same, and the first part of a split set must
 * open as a whole set. Bad files: refused with the class of spec/gguf.md 3 (or one of also_ok),
 * with a message that names the file, within the time and memory that the README allows; bad split
 * sets when the set is put together, files that are no model by the engine. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/cria.h"
#include "engine/file/gguf_write.h"
#include "golden/check.h"
#include "golden/gguf_same.h"

enum { MAX_MILLISECONDS = 100, MAX_BASE_MEMORY = 16 * 1024 * 1024 };

/* NULL if all is equal, else what differs (in a static buffer). */
static const char *difference(const struct gguf *g, const json *want) {
    static char text[64];
    const json *kv = json_get(want, "kv"), *tensors = json_get(want, "tensors");
    if (!gguf_same_number(json_get(want, "version"), gguf_version(g))) return "version differs";
    if (!gguf_same_number(json_get(want, "alignment"), gguf_alignment(g)))
        return "alignment differs";
    if (!gguf_same_number(json_get(want, "data_offset"), gguf_data_offset(g)))
        return "data_offset differs";
    if (json_len(kv) != gguf_n_kv(g)) return "number of pairs differs";
    if (json_len(tensors) != gguf_n_tensors(g)) return "number of tensors differs";
    size_t i = 0;
    for (const json *v = json_first(kv); v != NULL; v = json_next(v), i++) {
        snprintf(text, sizeof text, "pair %zu differs", i);
        if (!gguf_same_pair(g, v, gguf_kv_at(g, i))) return text;
    }
    i = 0;
    for (const json *v = json_first(tensors); v != NULL; v = json_next(v), i++) {
        snprintf(text, sizeof text, "tensor %zu differs", i);
        if (!gguf_same_tensor(v, gguf_tensor_at(g, i), true)) return text;
    }
    return NULL;
}

/* -- cases ------------------------------------------------------------------------------------- */

static void check_valid(struct check *c, const char *dir, const char *where, const struct gguf *g,
                        const char *parsed) {
    json *want = parsed != NULL ? check_read_json(c, dir, parsed) : NULL;
    if (want == NULL) {
        if (parsed == NULL) check_pass(c); /* accepted, and nothing to compare with */
        return;
    }
    const char *diff = difference(g, want);
    check_that(c, diff == NULL, where, "%s", diff != NULL ? diff : "");
    json_free(want);
}

/* The file again, through the writer; *b holds its bytes. */
static enum status copy_file(const struct gguf *g, struct buf *b, struct err *e) {
    struct gguf_writer *w;
    enum status st = gguf_writer_new(&w, e);
    if (st != ST_OK) return st;
    gguf_put_all(w, g);
    gguf_add_tensors(w, g);
    st = gguf_write_to(w, gguf_to_buf, b, e);
    if (st == ST_OK) st = gguf_write_tensors(w, g, e);
    if (st == ST_OK) st = gguf_write_finish(w, e);
    gguf_writer_free(w);
    return st;
}

/* What does not depend on the version, which is 3 in the copy. */
static const char *copy_difference(const struct gguf *a, const struct gguf *b) {
    if (gguf_alignment(a) != gguf_alignment(b) || gguf_n_kv(a) != gguf_n_kv(b) ||
        gguf_n_tensors(a) != gguf_n_tensors(b))
        return "alignment or numbers differ";
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        if (x->offset != y->offset || x->size != y->size || x->type != y->type ||
            x->name.len != y->name.len || memcmp(x->name.ptr, y->name.ptr, x->name.len) != 0 ||
            memcmp(x->data, y->data, x->size) != 0)
            return "a tensor differs";
    }
    return NULL;
}

static void check_copy(struct check *c, const char *dir, const char *where, const struct gguf *g,
                       const char *parsed) {
    struct buf b = {0};
    struct gguf *copy = NULL;
    struct err e = {0};
    enum status st = copy_file(g, &b, &e);
    if (st == ST_OK) st = gguf_open_memory(&copy, b.data, b.len, where, &e);
    if (check_that(c, st == ST_OK, where, "copy: %s", e.msg)) {
        const char *diff = copy_difference(g, copy);
        json *want = parsed != NULL ? check_read_json(c, dir, parsed) : NULL;
        const json *kv = json_get(want, "kv");
        size_t i = 0;
        for (const json *v = json_first(kv); v != NULL && diff == NULL; v = json_next(v))
            if (!gguf_same_pair(copy, v, gguf_kv_at(copy, i++))) diff = "a pair differs";
        check_that(c, diff == NULL, where, "copy: %s", diff != NULL ? diff : "");
        json_free(want);
    }
    gguf_close(copy);
    buf_free(&b);
}

static bool is_allowed(const json *entry, const char *expect, const char *class) {
    if (strcmp(expect, class) == 0 || strcmp(expect, "any") == 0) return true;
    const json *also = json_get(entry, "also_ok");
    for (const json *v = json_first(also); v != NULL; v = json_next(v)) {
        if (strcmp(json_string(v), class) == 0) return true;
    }
    return false;
}

/* What the refusal of a file of `size` bytes cost. The peak is the process's: its growth during
 * the call is a lower bound, which is good enough to see an allocation by a claimed count. */
static bool check_cost(struct check *c, const char *where, double seconds, size_t peak_growth,
                       size_t size) {
    if (seconds * 1000 > MAX_MILLISECONDS) {
        check_fail(c, where, "refused after %.0f ms", seconds * 1000);
        return false;
    }
    if (peak_growth > MAX_BASE_MEMORY + 10 * size) {
        check_fail(c, where, "%zu bytes of memory for a file of %zu", peak_growth, size);
        return false;
    }
    return true;
}

static void check_refused(struct check *c, const json *entry, const char *expect, const char *where,
                          const struct err *e) {
    const char *class = gguf_error_class();
    if (!is_allowed(entry, expect, class))
        check_fail(c, where, "class %s, expected %s (%s)", class, expect, e->msg);
    else
        check_that(c, strstr(e->msg, ".gguf: ") != NULL && e->code != ST_OK, where,
                   "message without file or code: %s", e->msg);
}

/* "split": each part is well formed, the set is not. */
static void check_not_a_set(struct check *c, const char *path) {
    struct gguf *g = NULL;
    struct err e = {0};
    enum status st = gguf_open_set(&g, path, &e);
    bool refused =
        st != ST_OK && strcmp(gguf_error_class(), "split") == 0 && strstr(e.msg, ".gguf: ") != NULL;
    check_that(c, refused, path, "must be refused as a set, naming the file: '%s'", e.msg);
    if (st == ST_OK) gguf_close(g);
}

/* The first part of a set stands for all: its own tensors and those of the other parts. */
static void check_set(struct check *c, const char *path, const struct gguf *first) {
    struct gguf *g = NULL;
    struct err e = {0};
    uint32_t count = 0;
    if (strstr(path, "-00001-of-") == NULL) return;
    bool ok = gguf_open_set(&g, path, &e) == ST_OK && gguf_split_count(g, &count, &e) == ST_OK &&
              gguf_n_kv(g) == gguf_n_kv(first) &&
              (count == 1 || gguf_n_tensors(g) > gguf_n_tensors(first));
    check_that(c, ok, path, "the set cannot be opened: %s", e.msg);
    gguf_close(g);
}

static void check_not_a_model(struct check *c, const char *path) {
    const struct cria_engine_params p = {.backend = "ref"};
    struct cria_engine *eng = NULL;
    struct err e = {0};
    enum status st = cria_engine_open(&eng, path, &p, &e);
    check_that(c, st != ST_OK && strstr(e.msg, ".gguf: ") != NULL, path,
               "must be refused as a model, naming the file: '%s'", e.msg);
    cria_engine_close(eng);
}

static void check_accepted(struct check *c, const char *dir, const char *path, const struct gguf *g,
                           const char *parsed) {
    check_valid(c, dir, path, g, parsed);
    check_copy(c, dir, path, g, parsed);
    check_set(c, path, g);
}

static void check_entry(struct check *c, const char *dir, const json *entry) {
    const char *file = json_string(json_get(entry, "file"));
    const char *expect = json_string(json_get(entry, "expect"));
    if (file == NULL || expect == NULL) {
        check_fail(c, dir, "entry of index.json without file or expect");
        return;
    }
    char path[4096];
    int64_t size = 0;
    struct gguf *g = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, file);
    json_int(json_get(entry, "bytes"), &size);
    size_t peak = os_rss_peak_bytes();
    double start = os_time_mono();
    enum status st = gguf_open(&g, path, &e);
    double seconds = os_time_mono() - start;
    peak = os_rss_peak_bytes() - peak;
    const bool split = strcmp(expect, "split") == 0;
    if (split || strcmp(expect, "model") == 0) {
        /* The container is well formed; the refusal comes later. */
        if (st != ST_OK)
            check_fail(c, path, "the container must be accepted: %s", e.msg);
        else if (split)
            check_not_a_set(c, path);
        else
            check_not_a_model(c, path);
    } else if (strcmp(expect, "ok") == 0) {
        if (st != ST_OK)
            check_fail(c, path, "must be accepted: %s", e.msg);
        else
            check_accepted(c, dir, path, g, json_string(json_get(entry, "parsed")));
    } else if (st == ST_OK) {
        check_fail(c, path, "must be refused (%s)", expect);
    } else if (check_cost(c, path, seconds, peak, (size_t)size)) {
        check_refused(c, entry, expect, path, &e);
    }
    gguf_close(g);
}

void check_gguf(struct check *c, const char *dir) {
    json *index = check_read_json(c, dir, "index.json");
    for (const json *v = json_first(index); v != NULL; v = json_next(v)) check_entry(c, dir, v);
    json_free(index);
}
