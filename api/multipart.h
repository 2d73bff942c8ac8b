/* multipart.h - bodies of type multipart/form-data (RFC 7578, RFC 2046 5.1): the form that audio
 * uploads come in.
 *
 * A body is parts between lines `--BOUNDARY`; each has header lines, a blank line, and bytes that
 * may be anything but the next such line. Everything is borrowed from the body; one pass, linear in
 * its length, nothing is allocated. The words of errors are those of Go's reader. */
#ifndef CRIA_API_MULTIPART_H
#define CRIA_API_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    BOUNDARY_MAX = 70, /* bytes: RFC 2046 */
    FORM_PARTS = 64,
    PART_HEAD_MAX = 16 << 10, /* bytes of a part's header lines */
};

struct form_part {
    const char *name, *data; /* of the body; not terminated */
    size_t name_len, len;
    bool file; /* it has a file name, so it is a file whatever it holds */
};
struct form {
    struct form_part part[FORM_PARTS]; /* in the body's order; parts without a name are left out */
    size_t n;
};

/* The boundary that a Content-Type names. ST_INVALID: not multipart/form-data (NULL: no header), or
 * no usable boundary. */
enum status form_boundary(const char *content_type, char boundary[BOUNDARY_MAX + 1], struct err *e);
enum status form_read(struct form *f, const char *body, size_t len, const char *boundary,
                      struct err *e);
/* The first part of this name that is a file, or is none; NULL: there is no such part. */
const struct form_part *form_find(const struct form *f, const char *name, bool file);

#endif
