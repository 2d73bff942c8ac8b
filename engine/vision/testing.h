/* testing.h - what the tests of engine/vision share: pictures of noise, projectors that are edited
 * before they are loaded, the rows that a picture becomes. Static functions only; included by
 * *_test.c and by nothing else. */
#ifndef CRIA_ENGINE_VISION_TESTING_H
#define CRIA_ENGINE_VISION_TESTING_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf_edit.h"
#include "engine/vision/projector.h"

#define UNUSED __attribute__((unused))
#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ST_OK) fail_msg("%s: %s", #call, e.msg);                                     \
    } while (0)

UNUSED static struct picture make_picture(int w, int h, unsigned seed) {
    struct picture p = {w, h, mem_array((size_t)w * 3, (size_t)h)};
    assert_non_null(p.rgb);
    for (size_t i = 0; i < (size_t)w * 3 * (size_t)h; i++) {
        seed = seed * 1664525u + 1013904223u;
        p.rgb[i] = (uint8_t)(seed >> 24);
    }
    return p;
}

UNUSED static struct gguf *open_golden(const char *name) {
    char path[256];
    struct gguf *g;
    struct err e = {0};
    snprintf(path, sizeof path, "golden/vision/%s/mmproj.gguf", name);
    OK(gguf_open(&g, path, &e));
    return g;
}

UNUSED static void drop_keys(struct gguf *g, const char *prefix) {
    struct err e = {0};
    for (size_t i = 0; i < gguf_n_kv(g);) {
        const struct gguf_str k = gguf_kv_at(g, i)->key;
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)k.len, k.ptr);
        if (strncmp(key, prefix, strlen(prefix)) == 0)
            OK(gguf_edit_drop(g, key, &e));
        else
            i++;
    }
}

/* The rows of all tiles of a picture, one behind the other; freed with mem_free. */
struct picture_rows {
    float *x;
    size_t n, width, tiles;
};
UNUSED static struct picture_rows rows_of(const struct projector *p,
                                          const struct picture *picture) {
    struct picture_rows all = {.width = p->n_out};
    struct tiles t = {0};
    struct err e = {0};
    OK(preprocess(p, picture, &t, &e));
    for (size_t i = 0; i < t.n; i++) {
        float *rows;
        uint32_t n;
        OK(encode_tile(p, &t.at[i], NULL, &rows, &n, &e));
        all.x = mem_grow(all.x, (all.n + n) * all.width, sizeof *all.x);
        assert_non_null(all.x);
        memcpy(all.x + all.n * all.width, rows, n * all.width * sizeof *rows);
        all.n += n;
        mem_free(rows);
    }
    all.tiles = t.n;
    tiles_free(&t);
    return all;
}

/* What a file (taken) makes of a picture, computed by the definitions of the ops. */
UNUSED static struct picture_rows rows_by(struct gguf *g, const struct picture *picture) {
    struct device dev;
    struct projector *p;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    OK(projector_load(&p, g, &dev, NULL, &e));
    const struct picture_rows rows = rows_of(p, picture);
    projector_free(p);
    device_close(&dev);
    return rows;
}

/* Loading a file (taken) fails, and the message says why. */
UNUSED static void assert_refused(struct gguf *g, const char *why) {
    struct device dev;
    struct projector *p;
    struct err e = {0};
    OK(device_open(&dev, "ref", &(struct device_params){0}, &e));
    assert_int_not_equal(projector_load(&p, g, &dev, NULL, &e), ST_OK);
    if (strstr(e.msg, why) == NULL) fail_msg("'%s' does not say '%s'", e.msg, why);
    device_close(&dev);
}

#endif
