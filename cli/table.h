/* table.h - rows of cells, printed in aligned columns (spec/cli.md 2: list, ps, show). */
#ifndef CRIA_CLI_TABLE_H
#define CRIA_CLI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS = 16 };

struct table_row {
    const char *cell[TABLE_COLUMNS];
    size_t n;
};
struct table { /* a zeroed struct is an empty table; table_free */
    struct table_row *rows;
    size_t n, cap;
    struct arena arena; /* owns the cells */
    bool failed;
};

void table_row(struct table *t);                        /* begins a row */
void table_cell(struct table *t, const char *text);     /* in the last row; copied */
void table_cell_buf(struct table *t, struct buf *text); /* takes the content, leaves it empty */
/* Each cell padded to its column's width and 4 blanks; the first row is a header, whose last cell
 * has only one blank behind it, if `header`. */
void table_print(struct buf *out, const struct table *t, const char *indent, bool header);
void table_free(struct table *t);

#endif
