/* table.c - rows of cells, printed in aligned columns. */
#include "cli/table.h"

#include <string.h>

#include "base/mem.h"
#include "cli/terminal.h"

void table_row(struct table *t) {
    if (t->n == t->cap) {
        size_t cap = t->cap != 0 ? t->cap * 2 : 8;
        struct table_row *grown = mem_grow(t->rows, cap, sizeof *grown);
        if (grown == NULL) {
            t->failed = true;
            return;
        }
        t->rows = grown;
        t->cap = cap;
    }
    t->rows[t->n++] = (struct table_row){.n = 0};
}

void table_cell(struct table *t, const char *text) {
    if (t->failed || t->n == 0 || t->rows[t->n - 1].n == TABLE_COLUMNS) return;
    struct table_row *row = &t->rows[t->n - 1];
    const char *copy = arena_strndup(&t->arena, text, strlen(text));
    if (copy == NULL)
        t->failed = true;
    else
        row->cell[row->n++] = copy;
}

void table_cell_buf(struct table *t, struct buf *text) {
    if (text->failed) t->failed = true;
    table_cell(t, text->data != NULL ? text->data : "");
    buf_clear(text);
}

static int width_of(const char *s) { return text_width(s, strlen(s)); }

void table_print(struct buf *out, const struct table *t, const char *indent, bool header) {
    int width[TABLE_COLUMNS] = {0};
    if (t->failed) out->failed = true;
    for (size_t r = 0; r < t->n; r++)
        for (size_t i = 0; i < t->rows[r].n; i++) {
            int w = width_of(t->rows[r].cell[i]);
            if (w > width[i]) width[i] = w;
        }
    for (size_t r = 0; r < t->n; r++) {
        const struct table_row *row = &t->rows[r];
        buf_str(out, indent);
        for (size_t i = 0; i < row->n; i++) {
            const bool last_of_header = header && r == 0 && i + 1 == row->n;
            const int gap = last_of_header ? 1 : 4;
            buf_printf(out, "%s%*s", row->cell[i], width[i] - width_of(row->cell[i]) + gap, "");
        }
        buf_chr(out, '\n');
    }
}

void table_free(struct table *t) {
    mem_free(t->rows);
    arena_free(&t->arena);
    *t = (struct table){0};
}
