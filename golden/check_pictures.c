/* check_pictures.c - golden-check of image files (kind pictures; contract: the README of the
 * folder): size and pixels of each, exactly. */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "engine/vision/picture.h"
#include "golden/check.h"

static const char *set; /* the folder in work */

static void check_case(struct check *c, const json *row, const char *where) {
    struct picture p = {0};
    struct err e = {0};
    char digest[DIGEST_HEX + 1];
    const char *file = json_string(json_get(row, "file"));
    const char *want = json_string(json_get(row, "rgb_sha256"));
    int64_t w = 0, h = 0;
    size_t size;
    if (file == NULL || want == NULL || !json_int(json_get(row, "w"), &w) ||
        !json_int(json_get(row, "h"), &h)) {
        check_fail(c, where, "a line without file, w, h or rgb_sha256");
        return;
    }
    char *data = check_read(c, set, file, &size);
    if (data == NULL) return;
    if (picture_decode(data, size, NULL, &p, &e) != ST_OK) {
        check_fail(c, where, "%s: %s", file, e.msg);
    } else if (p.w != w || p.h != h) {
        check_fail(c, where, "%s: %d x %d pixels", file, p.w, p.h);
    } else if (digest_of(p.rgb, (size_t)p.w * (size_t)p.h * 3, digest, &e) != ST_OK) {
        check_fail(c, where, "%s", e.msg);
    } else {
        check_that(c, strcmp(digest, want) == 0, where, "%s: other pixels", file);
    }
    picture_free(&p);
    mem_free(data);
}

void check_pictures(struct check *c, const char *dir) {
    set = dir;
    check_rows(c, dir, "cases.jsonl", check_case);
}
