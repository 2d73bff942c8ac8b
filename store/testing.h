/* testing.h - what the tests of store/ share: golden rows, folders that vanish, tiny GGUFs. Static
 * functions only; included by *_test.c and by nothing else. */
#ifndef CRIA_STORE_TESTING_H
#define CRIA_STORE_TESTING_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

#define UNUSED __attribute__((unused))

/* ---- golden rows: one JSON object a line ---- */

typedef void golden_row(const json *row);

UNUSED static size_t golden_rows(const char *path, golden_row *check) {
    char *text;
    size_t len, rows = 0;
    if (os_file_read(path, 64 << 20, &text, &len, NULL) != ST_OK) {
        print_message("%s is not here: run from the repository root\n", path);
        skip();
    }
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, rows++) {
        struct err e;
        json *row = json_parse(line, (size_t)(end - line), &json_default_limits, NULL, &e);
        assert_non_null(row);
        check(row);
        json_free(row);
    }
    mem_free(text);
    return rows;
}

/* A string member; "" if it is absent. */
UNUSED static const char *member(const json *row, const char *key) {
    const char *s = json_string(json_get(row, key));
    return s != NULL ? s : "";
}

/* ---- folders ---- */

static int remove_entry(const char *path, const struct stat *st UNUSED, int type UNUSED,
                        struct FTW *ftw UNUSED) {
    return remove(path);
}

UNUSED static void remove_tree(const char *dir) {
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

UNUSED static char *make_dir_name(char out[64]) {
    snprintf(out, 64, "/tmp/cria-test-XXXXXX");
    assert_non_null(mkdtemp(out));
    return out;
}

UNUSED static bool exists(const char *dir, const char *rest) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, rest);
    return os_file_exists(path);
}

UNUSED static void put_file(const char *dir, const char *rest, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, rest);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(os_mkdirs(path, NULL), ST_OK);
    *slash = '/';
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Sets a file's time to so many hours ago. */
UNUSED static void make_old(const char *dir, const char *rest, int hours) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, rest);
    struct timespec t[2];
    clock_gettime(CLOCK_REALTIME, &t[0]);
    t[0].tv_sec -= (time_t)hours * 3600;
    t[1] = t[0];
    assert_int_equal(utimensat(-1, path, t, 0), 0);
}

/* ---- tiny GGUFs: version 3, one F32 tensor of 32 elements ---- */

static void put_le(struct buf *b, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_chr(b, (char)(v >> (8 * i)));
}

static void put_gguf_string(struct buf *b, const char *s) {
    put_le(b, strlen(s), 8);
    buf_str(b, s);
}

static void put_gguf_pair(struct buf *b, const char *key, const char *value) {
    put_gguf_string(b, key);
    put_le(b, 8, 4); /* string */
    put_gguf_string(b, value);
}

/* type and chat_template may be NULL. The same arguments give the same bytes. */
UNUSED static struct buf make_gguf(const char *arch, const char *type, const char *chat_template) {
    struct buf b = {0};
    unsigned n_kv = 2u + (type != NULL) + (chat_template != NULL);
    buf_str(&b, "GGUF");
    put_le(&b, 3, 4);
    put_le(&b, 1, 8); /* tensors */
    put_le(&b, n_kv, 8);
    put_gguf_pair(&b, "general.architecture", arch);
    if (type != NULL) put_gguf_pair(&b, "general.type", type);
    if (chat_template != NULL) put_gguf_pair(&b, "tokenizer.chat_template", chat_template);
    put_gguf_string(&b, "general.file_type");
    put_le(&b, 4, 4); /* u32 */
    put_le(&b, 0, 4); /* all F32 */
    put_gguf_string(&b, "token_embd.weight");
    put_le(&b, 1, 4);
    put_le(&b, 32, 8);
    put_le(&b, 0, 4); /* F32 */
    put_le(&b, 0, 8); /* offset */
    while (b.len % 32 != 0) buf_chr(&b, '\0');
    for (int i = 0; i < 128; i++) buf_chr(&b, (char)i);
    assert_false(b.failed);
    return b;
}

UNUSED static unsigned count_blobs(const char *dir) {
    char command[128];
    unsigned n = 0;
    snprintf(command, sizeof command, "ls %s/blobs | wc -l", dir);
    FILE *p = popen(command, "r");
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

#endif
