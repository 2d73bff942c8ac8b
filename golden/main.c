/* main.c - golden-check: runs every golden set found under the given folders (check.h).
 *
 *   golden-check [--backend ref|cpu|...] [--isa NAME] [--kind K] [--base DIR] DIR...
 *
 * A line per failure; last line "N passed, N failed, N skipped"; exit status 1 if any failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "golden/check.h"

static const struct {
    const char *name;
    check_runner *run;
} kinds[] = {
#define KIND(name) {#name, check_##name},
#include "golden/kinds.def"
#undef KIND
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0], MAX_DEPTH = 4 };

struct options {
    const char *kind;
    bool found;
};

static bool is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Sets inside of sets: nowhere else is a folder of a set taken for a set. */
static const struct {
    const char *kind, *inside;
} nested[] = {{"quants", "mix"}, {"quants", "e2e"}};

static void walk(struct check *c, struct options *o, const char *dir, int depth);

/* Quantizing does not depend on the backend: once is enough. */
static void walk_nested(struct check *c, struct options *o, const char *dir, int depth) {
    if (strcmp(c->backend, "cpu") != 0 || getenv("CRIA_CPU_ISA") != NULL) return;
    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, nested[i].inside);
        if (strcmp(base_name(dir), nested[i].kind) == 0 && is_dir(path))
            walk(c, o, path, depth + 1);
    }
}

/* Runs the folder if its name is a kind, else looks into its folders. */
static void walk(struct check *c, struct options *o, const char *dir, int depth) {
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(base_name(dir), kinds[i].name) != 0) continue;
        if (o->kind == NULL || strcmp(o->kind, kinds[i].name) == 0) {
            o->found = true;
            kinds[i].run(c, dir);
        }
        walk_nested(c, o, dir, depth);
        return;
    }
    char **names = check_list(dir);
    for (char **n = names; *n != NULL && depth < MAX_DEPTH; n++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if ((*n)[0] != '.' && is_dir(path)) walk(c, o, path, depth + 1);
    }
    check_list_free(names);
}

static int usage(void) {
    fprintf(stderr, "usage: golden-check [--backend NAME] [--isa NAME] [--kind KIND] [--base DIR] "
                    "DIR...\nkinds:");
    for (size_t i = 0; i < N_KINDS; i++) fprintf(stderr, " %s", kinds[i].name);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv) {
    struct check c = {.backend = "cpu"};
    struct options o = {0};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (i + 1 == argc) return usage();
        if (strcmp(argv[i], "--backend") == 0)
            c.backend = argv[i + 1];
        else if (strcmp(argv[i], "--isa") == 0)
            setenv("CRIA_CPU_ISA", argv[i + 1], 1);
        else if (strcmp(argv[i], "--kind") == 0)
            o.kind = argv[i + 1];
        else if (strcmp(argv[i], "--base") == 0)
            c.base = argv[i + 1];
        else
            return usage();
    }
    if (i == argc) return usage();
    for (; i < argc; i++) {
        char dir[4096];
        size_t n = strlen(argv[i]);
        snprintf(dir, sizeof dir, "%s", argv[i]);
        while (n > 1 && n < sizeof dir && dir[n - 1] == '/') dir[--n] = '\0';
        if (!is_dir(dir))
            check_fail(&c, dir, "no such folder");
        else
            walk(&c, &o, dir, 0);
    }
    if (!o.found) check_fail(&c, "golden-check", "no golden set found");
    printf("%u passed, %u failed, %u skipped\n", c.passed, c.failed, c.skipped);
    return c.failed != 0;
}
