/* content.h - the bytes of a blob on their way in: where they are, and its parts over several
 * connections (begun with few, more as time goes on: a short download does not gain from them, and
 * the hash can follow closely). All of it runs in the download's thread. */
#ifndef CRIA_STORE_REGISTRY_CONTENT_H
#define CRIA_STORE_REGISTRY_CONTENT_H

#include "store/registry/keeper.h"
#include "store/registry/session.h"

struct content {
    /* Borrowed: */
    struct session *session;
    const char *digest;
    struct parts *parts;
    struct keeper *keeper;
    const _Atomic bool *cancel;
    _Atomic uint64_t *completed; /* bytes that are there, for who reports */
    /* Its own: */
    CURLM *multi;
    struct transfer *transfer; /* [parts->n] */
    char *direct;              /* where the content is */
    bool resolve_again;        /* it is not there any more */
    bool restart;              /* ranges do not work here */
};

enum status content_open(struct content *c, struct err *e); /* the borrowed ones are set */
void content_close(struct content *c);

/* What fails for reasons that may pass is tried again for half a minute. */
typedef enum status content_step(struct content *c, struct err *e);
enum status content_patiently(struct content *c, content_step *step, struct err *e);
content_step content_look;    /* HEAD: is it there, and as long as the manifest says? */
content_step content_resolve; /* where is it? */

/* Loads all parts. Before that is done it also returns ST_OK if the keeper failed, and with
 * c->restart set if this server cannot give ranges. */
enum status content_load(struct content *c, struct err *e);

/* transfer.c: one part on its way. */
struct transfer {
    struct fetch fetch;
    struct content *of;
    unsigned part;
    bool active, no_ranges;
    int io_error; /* errno of a write that failed; 0: none did */
    int tries;
    double not_before;
    uint64_t done_at_start;
};
enum status transfer_begin(struct transfer *t, const char *url, struct err *e);
bool transfer_bytes(struct fetch *f, const char *data, size_t n); /* a sink; f->arg: the transfer */
enum status transfer_write_failed(const struct transfer *t, struct err *e);
/* Takes in how it ended, which may be a reason to try again; on failure the download ends. */
enum status transfer_finish(struct transfer *t, CURLcode code, struct err *e);
void transfer_end(struct transfer *t);

#endif
