/* device.h - where programs run: memory, and a way to execute a step.
 *
 * A backend is a table of functions; nothing above kernels/ names one. Memory that a device can
 * read in place (`uses_host_memory`) is wrapped instead of copied: weights stay in the mapped file.
 */
#ifndef CRIA_KERNELS_DEVICE_H
#define CRIA_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "kernels/step.h"

struct backend;
struct device_params {
    unsigned n_threads; /* 0: one for each processor this process may use */
    const char
        *isa; /* force a variant of the CPU backend ("avx2"); NULL: CRIA_CPU_ISA, else best */
};

struct device {
    const struct backend *backend;
    void *impl;      /* owned by the backend */
    const char *isa; /* variant in use, "" if there is only one */
    unsigned n_threads;
    bool uses_host_memory;
};

struct backend {
    const char *name;
    enum status (*open)(struct device *d, const struct device_params *p, struct err *e);
    void (*close)(struct device *d);
    /* Device memory, 64-byte aligned, zeroed. */
    void *(*alloc)(struct device *d, size_t size);
    void (*release)(struct device *d, void *mem);
    enum status (*upload)(struct device *d, void *dst, const void *src, size_t n, struct err *e);
    enum status (*download)(struct device *d, void *dst, const void *src, size_t n, struct err *e);
    enum status (*copy)(struct device *d, void *dst, const void *src, size_t n, struct err *e);
    enum status (*clear)(struct device *d, void *dst, size_t n, struct err *e); /* to zeros */
    /* Executes the whole program on one step; returns when the results can be downloaded. */
    enum status (*run)(struct device *d, const struct step *s, struct err *e);
};

/* name NULL or "": the first of backends.def. ST_NOT_FOUND lists the names there are. */
enum status device_open(struct device *d, const char *name, const struct device_params *p,
                        struct err *e);
void device_close(struct device *d); /* a zeroed device is fine */

/* The plain C definition of every op: runs it for all rows. Also the fallback of backends on host
 * memory for ops they have no kernel for. */
typedef void ref_fn(const struct step *s, const struct op *op);
extern ref_fn *const ref_table[OP_COUNT];

/* Shows the op's input to the step's observer, if there is one. A backend calls it before each op,
 * when the inputs are complete; this form is for scratch memory that the host can read, others
 * download the rows first. */
void step_observe(const struct step *s, const struct op *op);

#ifdef CRIA_HARD
/* Fills what an op is about to write with NaN, so that reading before writing shows. */
void step_poison(const struct step *s, const struct op *op);
#endif

#endif
