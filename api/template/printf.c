/* printf.c - Go's printf: the format string and its arguments (spec/templates.md 3.3). */
#include <assert.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/utf8.h"

enum { MAX_WIDTH = 1000000 }; /* Go's own limit for width and precision */

struct printer {
    struct buf *b;
    const char *p, *end;
    const struct value *arg;
    size_t n, used;
    size_t max; /* of b->len */
};

/* Go's Printf reads a number that is too large as no number. */
static bool read_number(struct printer *pr, int *out) {
    const char *start = pr->p;
    int v = 0;
    for (; pr->p < pr->end && *pr->p >= '0' && *pr->p <= '9'; pr->p++)
        if (v <= MAX_WIDTH) v = v * 10 + (*pr->p - '0');
    if (pr->p == start || v > MAX_WIDTH) return false;
    *out = v;
    return true;
}

/* "*": the next argument is the number. */
static bool take_star(struct printer *pr, int *out) {
    pr->p++;
    if (pr->used >= pr->n) return false;
    const struct value *v = &pr->arg[pr->used++];
    if (v->kind != V_INT || v->i > MAX_WIDTH || v->i < -MAX_WIDTH) return false;
    *out = (int)v->i;
    return true;
}

static void read_flags(struct printer *pr, struct spec *spec) {
    for (; pr->p < pr->end; pr->p++) {
        switch (*pr->p) {
        case '-':
            spec->minus = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case '#':
            spec->sharp = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '0':
            spec->zero = true;
            break;
        default:
            return;
        }
    }
}

static void read_width(struct printer *pr, struct spec *spec) {
    if (pr->p == pr->end || *pr->p != '*') {
        read_number(pr, &spec->width);
        return;
    }
    if (!take_star(pr, &spec->width)) buf_str(pr->b, "%!(BADWIDTH)");
    if (spec->width < -1) {
        spec->minus = true;
        spec->width = -spec->width;
    }
}

static void read_precision(struct printer *pr, struct spec *spec) {
    if (pr->p == pr->end || *pr->p != '.') return;
    pr->p++;
    spec->prec = 0;
    if (pr->p == pr->end || *pr->p != '*') {
        read_number(pr, &spec->prec);
        return;
    }
    if (!take_star(pr, &spec->prec)) buf_str(pr->b, "%!(BADPREC)");
    if (spec->prec < 0) spec->prec = -1;
}

static void put_missing(struct buf *b, uint32_t verb) {
    char utf8[4];
    buf_str(b, "%!");
    buf_add(b, utf8, utf8_encode(verb, utf8));
    buf_str(b, "(MISSING)");
}

/* After the percent sign. */
static void directive(struct printer *pr) {
    struct spec spec = {.width = -1, .prec = -1};
    read_flags(pr, &spec);
    read_width(pr, &spec);
    read_precision(pr, &spec);
    if (pr->p == pr->end) {
        buf_str(pr->b, "%!(NOVERB)");
        return;
    }
    pr->p += utf8_decode(pr->p, (size_t)(pr->end - pr->p), &spec.verb);
    if (spec.verb == '%') {
        buf_chr(pr->b, '%');
    } else if (pr->used >= pr->n) {
        put_missing(pr->b, spec.verb);
    } else {
        const struct value *v = &pr->arg[pr->used++];
        struct value type = tvalue_text((struct text){NULL, 0});
        if (spec.verb == 'T') {
            const char *name = tvalue_type_name(v);
            type.s = (struct text){name, strlen(name)};
            spec.verb = 's';
            v = &type;
        }
        tvalue_format(pr->b, v, &spec);
    }
}

static void put_extra(struct printer *pr) {
    buf_str(pr->b, "%!(EXTRA ");
    for (size_t i = pr->used; i < pr->n && pr->b->len <= pr->max; i++) {
        const struct value *v = &pr->arg[i];
        if (i > pr->used) buf_str(pr->b, ", ");
        if (v->kind != V_NIL) {
            buf_str(pr->b, tvalue_type_name(v));
            buf_chr(pr->b, '=');
        }
        tvalue_print(pr->b, v);
    }
    buf_chr(pr->b, ')');
}

void tvalue_printf(struct buf *b, struct text format, const struct value *arg, size_t n,
                   size_t max) {
    struct printer pr = {b, format.p, format.p + format.n, arg, n, 0, max};
    while (pr.p < pr.end && b->len <= max && !b->failed) {
        const char *percent = memchr(pr.p, '%', (size_t)(pr.end - pr.p));
        const char *stop = percent != NULL ? percent : pr.end;
        buf_add(b, pr.p, (size_t)(stop - pr.p));
        pr.p = stop;
        if (percent == NULL) break;
        pr.p++;
        directive(&pr);
    }
    if (pr.used < n) put_extra(&pr);
}
