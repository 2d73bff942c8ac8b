/* check_program.c - printed programs: every NAME.txt beside (or with a "model" line naming) its
 * model must be what the engine prints today.
 *
 * A set is a folder of NAME.txt files. The first line is "# model PATH", relative to the folder;
 * what follows is the text of `cria show --program`. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/cria.h"
#include "golden/check.h"

/* Number of the first line in which a and b differ. */
static unsigned first_difference(const char *a, const char *b) {
    unsigned line = 1;
    for (; *a == *b && *a != '\0'; a++, b++) line += *a == '\n';
    return line;
}

static void check_one(struct check *c, const char *dir, const char *file) {
    char model[1024], path[4096];
    size_t size;
    struct err e = {0};
    struct cria_engine *eng;
    char *text = check_read(c, dir, file, &size);
    if (text == NULL) return;
    struct cria_engine_params p = cria_engine_default_params();
    p.backend = c->backend;
    p.n_ctx = 256;
    if (sscanf(text, "# model %1023[^\n]", model) != 1) {
        check_fail(c, file, "the first line is not '# model PATH'");
    } else {
        snprintf(path, sizeof path, "%s/%s", dir, model);
        if (cria_engine_open(&eng, path, &p, &e) != ST_OK) {
            check_fail(c, file, "%s", e.msg);
        } else {
            struct buf out = {0};
            const char *want = strchr(text, '\n') + 1;
            cria_engine_print_program(eng, &out);
            check_that(c, strcmp(out.data, want) == 0, file, "line %u differs",
                       first_difference(out.data, want) + 1);
            buf_free(&out);
            cria_engine_close(eng);
        }
    }
    mem_free(text);
}

void check_program(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        size_t len = strlen(*n);
        if (len > 4 && strcmp(*n + len - 4, ".txt") == 0) check_one(c, dir, *n);
    }
    check_list_free(names);
}
