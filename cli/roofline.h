/* roofline.h - what this machine could do at best, measured on the spot (bench/README.md). */
#ifndef CRIA_CLI_ROOFLINE_H
#define CRIA_CLI_ROOFLINE_H

#include "base/err.h"

struct roofline {
    double read_bytes; /* per second, from memory, all threads */
    double f32_macs;   /* multiply-adds per second, all threads */
    double int8_macs;
    const char *variant; /* instructions that the peaks were measured with */
};
/* Takes about a second; allocates 512 MB for the time. */
enum status roofline_measure(struct roofline *r, unsigned n_threads, struct err *e);

#endif
