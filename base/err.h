/* err.h - results and error messages.
 *
 * Whatever input, disk, network, memory or a device can cause is a returned `enum status`, with a
 * message in the caller's `struct err`, which is always the last argument and may be NULL. It is
 * written only on failure. Callers on the way up put their context in front with err_wrap(), so a
 * message reads from the outside in: "blobs/sha256-..: tensor blk.3.attn_q.weight: 17 dims".
 * Programming mistakes are assert()s, never a status. */
#ifndef CRIA_BASE_ERR_H
#define CRIA_BASE_ERR_H

enum status {
#define STATUS(name, text) ST_##name,
#include "base/status.def"
#undef STATUS
    ST_COUNT
};

enum { ERR_MSG_SIZE = 512 };

struct err {
    enum status code;
    char msg[ERR_MSG_SIZE]; /* always NUL-terminated once written; cut at a character border */
};

/* Sets code and message; returns code, so that `return err_set(e, ST_FORMAT, "...")` works. */
enum status err_set(struct err *e, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message that is there; returns the code that is there. */
enum status err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The usual message for a failed allocation. */
enum status err_no_memory(struct err *e);

/* Default text and symbolic name ("FORMAT") of a code. */
const char *status_text(enum status code);
const char *status_name(enum status code);

#endif
