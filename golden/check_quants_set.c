/* check_quants_set.c - the files and tables of a set of block formats (check_quants.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "golden/check_quants.h"

const unsigned char *set_file(struct set *s, const char *name, size_t *size) {
    for (int i = 0; i < QUANTS_MAX_FILES; i++) {
        if (s->file[i].name == NULL) {
            s->file[i].name = mem_strdup(name);
            if (check_exists(s->dir, name)) {
                s->file[i].data = check_read(s->c, s->dir, name, &s->file[i].size);
            }
        }
        if (strcmp(s->file[i].name, name) != 0) continue;
        *size = s->file[i].size;
        return (unsigned char *)s->file[i].data;
    }
    return NULL;
}

const unsigned char *set_bytes(struct set *s, const struct line *l, int col, size_t *n) {
    size_t size, off = strtoull(l->col[col + 1], NULL, 10);
    *n = strtoull(l->col[col + 2], NULL, 10);
    if (strcmp(l->col[col], "-") == 0) return NULL;
    const unsigned char *data = set_file(s, l->col[col], &size);
    if (data == NULL || off > size || *n > size - off) return NULL;
    return data + off;
}

float *set_floats(struct set *s, const struct line *l, int col, size_t *n) {
    size_t bytes;
    const unsigned char *p = set_bytes(s, l, col, &bytes);
    if (p == NULL) return NULL;
    *n = bytes / sizeof(float);
    float *x = mem_array(*n + 1, sizeof *x);
    memcpy(x, p, *n * sizeof *x);
    return x;
}

struct line *set_table(char *text, int min_cols, size_t *n_lines) {
    size_t cap = 1, n = 0;
    for (const char *p = text; *p != '\0'; p++) cap += *p == '\n';
    struct line *lines = mem_zalloc(cap, sizeof *lines);
    char *save = NULL;
    for (char *row = strtok_r(text, "\n", &save); row != NULL; row = strtok_r(NULL, "\n", &save)) {
        struct line *l = &lines[n];
        if (row[0] == '#') continue;
        for (l->n = 0; row != NULL && l->n < QUANTS_MAX_COLS; l->n++)
            l->col[l->n] = strsep(&row, "\t\r");
        if (l->n >= min_cols) n++;
    }
    *n_lines = n;
    return lines;
}

const struct line *set_find(const struct set *s, const char *kind, const char *type,
                            const char *name, const char *imatrix, const char *cols) {
    for (size_t i = 0; i < s->n_items; i++) {
        char **col = s->items[i].col;
        if (strcmp(col[I_KIND], kind) == 0 && strcmp(col[I_TYPE], type) == 0 &&
            strcmp(col[I_CASE], name) == 0 && strcmp(col[I_IMATRIX], imatrix) == 0 &&
            (cols == NULL || strcmp(col[I_COLS], cols) == 0)) {
            return &s->items[i];
        }
    }
    return NULL;
}

const char *set_where(const struct line *l) {
    static char text[256];
    snprintf(text, sizeof text, "quants %s %s %s imatrix %s", l->col[0], l->col[1], l->col[2],
             l->col[5]);
    return text;
}

void set_skip(struct set *s, const struct line *l, const char *why) {
    char reason[100];
    snprintf(reason, sizeof reason, "quants: %s %s", l->col[I_TYPE], why);
    check_skip(s->c, set_where(l), reason);
}

bool set_open(struct set *s, struct check *c, const char *dir) {
    size_t size;
    *s = (struct set){.c = c, .dir = dir, .index = check_read(c, dir, "index.tsv", &size)};
    if (s->index == NULL) return false;
    s->items = set_table(s->index, QUANTS_MAX_COLS, &s->n_items);
    return true;
}

void set_close(struct set *s) {
    for (int i = 0; i < QUANTS_MAX_FILES; i++) {
        mem_free(s->file[i].name);
        mem_free(s->file[i].data);
    }
    mem_free(s->items);
    mem_free(s->index);
}
