/* check_safetensors.c - golden-check of safetensors files (kind safetensors; contract: the README
 * of the folder): what index.json calls ok is accepted, anything else refused with its class. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/safetensors.h"
#include "golden/check.h"

static void check_file(struct check *c, const char *dir, const char *file, const char *want) {
    struct sft_file *f = NULL;
    struct err e = {0};
    char where[4200];
    size_t size;
    char *data = check_read(c, dir, file, &size);
    if (data == NULL) return;
    snprintf(where, sizeof where, "%s/%s", dir, file);
    const enum status st = sft_open_memory(&f, data, size, file, &e);
    const char *got = st == ST_OK ? "ok" : sft_error_class();
    check_that(c, strcmp(got, want) == 0, where, "%s, want %s: %s", got, want, e.msg);
    sft_close(f);
    mem_free(data);
}

void check_safetensors(struct check *c, const char *dir) {
    json *index = check_read_json(c, dir, "index.json");
    for (const json *v = json_first(index); v != NULL; v = json_next(v)) {
        const char *file = json_string(json_get(v, "file"));
        const char *want = json_string(json_get(v, "expect"));
        if (file == NULL || want == NULL)
            check_fail(c, dir, "index.json: an entry without file or expect");
        else
            check_file(c, dir, file, want);
    }
    json_free(index);
}
