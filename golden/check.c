/* check.c - see check.h. */
#include "golden/check.h"

#include <dirent.h>
#include <lzma.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"

enum { MAX_GOLDEN_FILE = 512 * 1024 * 1024 };

void check_pass(struct check *c) { c->passed++; }

static void report(struct check *c, const char *where, const char *fmt, va_list ap) {
    c->failed++;
    printf("FAIL %s: ", where);
    vprintf(fmt, ap);
    putchar('\n');
}

void check_fail(struct check *c, const char *where, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    report(c, where, fmt, ap);
    va_end(ap);
}

bool check_that(struct check *c, bool ok, const char *where, const char *fmt, ...) {
    if (ok) {
        check_pass(c);
        return true;
    }
    va_list ap;
    va_start(ap, fmt);
    report(c, where, fmt, ap);
    va_end(ap);
    return false;
}

void check_skip(struct check *c, const char *where, const char *reason) {
    static char seen[64][160];
    c->skipped++;
    for (size_t i = 0; i < 64; i++) {
        if (seen[i][0] == '\0') {
            snprintf(seen[i], sizeof seen[i], "%s", reason);
            printf("skip %s: %s\n", where, reason);
            return;
        }
        if (strncmp(seen[i], reason, sizeof seen[i] - 1) == 0) return;
    }
}

static char *unxz(const char *data, size_t size, size_t *out_size) {
    uint64_t limit = UINT64_MAX;
    size_t cap = size * 8 + 4096, in_pos = 0, out_pos = 0;
    for (char *out = mem_alloc(cap + 1); out != NULL; in_pos = out_pos = 0) {
        lzma_ret r = lzma_stream_buffer_decode(&limit, 0, NULL, (const uint8_t *)data, &in_pos,
                                               size, (uint8_t *)out, &out_pos, cap);
        if (r == LZMA_OK) {
            out[out_pos] = '\0';
            *out_size = out_pos;
            return out;
        }
        mem_free(out);
        if (r != LZMA_BUF_ERROR || cap > MAX_GOLDEN_FILE) return NULL;
        cap *= 2;
        out = mem_alloc(cap + 1);
        if (out == NULL) return NULL;
    }
    return NULL;
}

char *check_read(struct check *c, const char *dir, const char *file, size_t *size) {
    char path[4096], *data = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (os_file_exists(path)) {
        if (os_file_read(path, MAX_GOLDEN_FILE, &data, size, &e) == ST_OK) return data;
        check_fail(c, path, "%s", e.msg);
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s.xz", dir, file);
    size_t packed_size;
    char *packed;
    if (os_file_read(path, MAX_GOLDEN_FILE, &packed, &packed_size, &e) != ST_OK) {
        check_fail(c, path, "%s", e.msg);
        return NULL;
    }
    data = unxz(packed, packed_size, size);
    mem_free(packed);
    if (data == NULL) check_fail(c, path, "cannot be unpacked");
    return data;
}

json *check_read_json(struct check *c, const char *dir, const char *file) {
    static const struct json_limits limits = {MAX_GOLDEN_FILE, 100u * 1000 * 1000, 64};
    size_t size;
    struct err e = {0};
    char *text = check_read(c, dir, file, &size);
    if (text == NULL) return NULL;
    json *root = json_parse(text, size, &limits, NULL, &e);
    mem_free(text);
    if (root == NULL) check_fail(c, file, "%s", e.msg);
    return root;
}

bool check_exists(const char *dir, const char *file) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (os_file_exists(path)) return true;
    snprintf(path, sizeof path, "%s/%s.xz", dir, file);
    return os_file_exists(path);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **check_list(const char *dir) {
    size_t n = 0, cap = 16;
    char **names = mem_array(cap, sizeof *names);
    DIR *d = opendir(dir);
    for (struct dirent *ent; d != NULL && names != NULL && (ent = readdir(d)) != NULL;) {
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0) continue;
        if (n + 1 == cap) names = mem_grow(names, cap *= 2, sizeof *names);
        if (names != NULL) names[n++] = mem_strdup(ent->d_name);
    }
    if (d != NULL) closedir(d);
    if (names == NULL) abort(); /* a test program without memory has nothing to report */
    qsort(names, n, sizeof *names, by_name);
    names[n] = NULL;
    return names;
}

void check_list_free(char **names) {
    for (char **n = names; *n != NULL; n++) mem_free(*n);
    mem_free(names);
}

void check_base64(struct buf *b, const char *text) {
    size_t bad;
    if (!base64_get(b, text, strlen(text), &bad)) buf_printf(b, "(broken base64 at %zu)", bad);
}

const char *check_string(const json *row, const char *key) {
    const char *text = json_string(json_get(row, key));
    return text != NULL ? text : "";
}

void check_text(struct buf *b, const json *v) {
    size_t len;
    const char *text = json_string_n(v, &len);
    if (text == NULL && json_kind(v) == JSON_OBJECT) text = json_string_n(json_get(v, "t"), &len);
    if (text != NULL)
        buf_add(b, text, len);
    else if (json_string(json_get(v, "b")) != NULL)
        check_base64(b, json_string(json_get(v, "b")));
}

double check_number(const json *v, double fallback) {
    double x;
    return json_number(v, &x) ? x : fallback;
}

int32_t *check_ints(const json *v, uint32_t *n) {
    int32_t *ids = mem_zalloc(json_len(v), sizeof *ids);
    *n = 0;
    for (const json *x = json_first(v); ids != NULL && x != NULL; x = json_next(x))
        ids[(*n)++] = (int32_t)check_number(x, 0);
    return ids;
}

double check_nmse(const float *a, const float *b, size_t n) {
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        diff += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return norm > 0 ? diff / norm : diff;
}

bool check_find(const struct check *c, const char *dir, const char *path, char *out, size_t size) {
    char beside[4096];
    snprintf(beside, sizeof beside, "%s/..", dir);
    const char *const roots[] = {c->base, beside, "golden", "../shared/golden"};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (roots[i] == NULL) continue;
        snprintf(out, size, "%s/%s", roots[i], path);
        if (access(out, R_OK) == 0) return true;
    }
    return false;
}

void check_rows(struct check *c, const char *dir, const char *file, check_row *row) {
    size_t size, line = 0;
    char *text = check_exists(dir, file) ? check_read(c, dir, file, &size) : NULL, *state;
    const char *kind = strrchr(dir, '/') != NULL ? strrchr(dir, '/') + 1 : dir;
    for (char *s = text != NULL ? strtok_r(text, "\n", &state) : NULL; s != NULL;
         s = strtok_r(NULL, "\n", &state)) {
        char where[128];
        snprintf(where, sizeof where, "%.40s/%.60s:%zu", kind, file, ++line);
        json *v = json_parse(s, strlen(s), &json_default_limits, NULL, NULL);
        if (check_that(c, v != NULL, where, "no JSON")) row(c, v, where);
        json_free(v);
    }
    mem_free(text);
}
