/* print.c - values as Go's %v shows them (spec/templates.md 3.3 "Printing"). */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/template_impl.h"

/* ---- floats ---- */

enum { MAX_DIGITS = 17, SHORTEST_EXPONENT = 21 };

/* The fewest digits that read back as v: "%.*e" with them. cria runs in the C locale. */
static void shortest(double v, char text[32]) {
    for (int digits = 0; digits < MAX_DIGITS; digits++) {
        snprintf(text, 32, "%.*e", digits, v);
        if (strtod(text, NULL) == v) return; /* -Wfloat-equal is meant: exactly */
    }
}

/* %g with the fewest digits. An exponent from 21 on is always shown; a smaller one when it is not
 * below 6... unless all digits stand before the point anyway: Go's rule, taken from its output. */
static void print_shortest(struct buf *b, double v) {
    char text[32];
    shortest(v, text);
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1);
    int digits = 0;
    for (const char *p = text; p < e; p++) digits += *p >= '0' && *p <= '9';
    if (exponent < -4 || exponent >= SHORTEST_EXPONENT) buf_str(b, text);
    else buf_printf(b, "%.*f", digits > exponent + 1 ? digits - exponent - 1 : 0, v);
}

void tvalue_print_float(struct buf *b, double v, char verb, int prec) {
    if (isnan(v)) buf_str(b, "NaN");
    else if (isinf(v)) buf_str(b, v > 0 ? "+Inf" : "-Inf");
    else if ((verb == 'g' || verb == 'G') && prec < 0) print_shortest(b, v);
    else if (verb == 'g') buf_printf(b, "%.*g", prec, v);
    else if (verb == 'G') buf_printf(b, "%.*G", prec, v);
    else if (verb == 'e') buf_printf(b, "%.*e", prec < 0 ? 6 : prec, v);
    else if (verb == 'E') buf_printf(b, "%.*E", prec < 0 ? 6 : prec, v);
    else buf_printf(b, "%.*f", prec < 0 ? 6 : prec, v);
}
