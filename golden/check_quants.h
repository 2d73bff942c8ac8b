/* check_quants.h - a set of block formats (kind quants) as the checks see it: its files, each read
 * once, and the lines of its tables. */
#ifndef CRIA_GOLDEN_CHECK_QUANTS_H
#define CRIA_GOLDEN_CHECK_QUANTS_H

#include <stdint.h>

#include "golden/check.h"
#include "kernels/cpu/isa.h"

enum { QUANTS_MAX_FILES = 64, QUANTS_MAX_COLS = 17 };

/* A line of a table, cut at tabs. */
struct line {
    char *col[QUANTS_MAX_COLS];
    int n;
};
/* Columns of index.tsv; I_Q and I_DEQ begin three: file, offset, length. */
enum {
    I_KIND,
    I_TYPE,
    I_CASE,
    I_ROWS,
    I_COLS,
    I_IMATRIX,
    I_Q,
    I_DEQ = I_Q + 3,
    I_RMSE = I_DEQ + 3,
    I_WRMSE,
    I_CMP,
    I_CRC_Q,
    I_CRC_DEQ
};

struct set {
    struct check *c;
    const char *dir;
    const struct cpu_isa *isa; /* NULL: backend ref */
    struct {
        char *name, *data;
        size_t size;
    } file[QUANTS_MAX_FILES];
    char *index; /* the text of index.tsv, cut */
    struct line *items;
    size_t n_items;
};

/* Reads index.tsv; false (and a failure counted) if it is not there. */
bool set_open(struct set *s, struct check *c, const char *dir);
void set_close(struct set *s);

/* A file of the set; NULL: not there, or more than QUANTS_MAX_FILES. */
const unsigned char *set_file(struct set *s, const char *name, size_t *size);
/* The bytes that three columns (file, offset, length) point at; NULL: none, or not in this set. */
const unsigned char *set_bytes(struct set *s, const struct line *l, int col, size_t *n);
/* The same as floats, mem_free'd; n counts them. */
float *set_floats(struct set *s, const struct line *l, int col, size_t *n);
/* The item of this kind, type, case and importance vector ("-": none) and, if cols is not NULL,
 * number of columns; NULL: none. */
const struct line *set_find(const struct set *s, const char *kind, const char *type,
                            const char *name, const char *imatrix, const char *cols);
/* Cuts a text into lines of at least min_cols columns, in place; comment lines are dropped.
 * mem_free. */
struct line *set_table(char *text, int min_cols, size_t *n_lines);

/* For messages: which line; not longer than until the next call. */
const char *set_where(const struct line *l);
void set_skip(struct set *s, const struct line *l, const char *why);

void check_quants_dots(struct set *s); /* dots.tsv (check_quants_dots.c) */
void check_quants_conv(struct set *s); /* conv/ and tables/ (check_quants_conv.c) */

#endif
