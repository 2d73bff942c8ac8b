/* access.h - who may use a route (spec/security.md S-NET-1, S-NET-5, S-NET-14): keys, if there are
 * any, and the routes that only this machine may look at. */
#ifndef CRIA_API_ACCESS_H
#define CRIA_API_ACCESS_H

#include "api/http.h"
#include "api/keys.h"

struct access {
    pthread_mutex_t mutex;
    char *path;           /* of the file of keys; owned; NULL: there can be none */
    struct keyring *ring; /* what counts now; never NULL */
    int64_t looked_ns;    /* when the file was looked at */
    int64_t stamp[3];     /* of the file that `ring` is: inode, size, time */
};

/* Takes path: of the file of keys; NULL: there are none, and none are asked for. */
enum status access_open(struct access *a, char *path, struct err *e);
void access_close(struct access *a);
bool access_has_keys(struct access *a);
/* Looks at the file now (SIGHUP). What cannot be read is logged, and the former keys count. */
void access_reload(struct access *a);

struct pass { /* what a request was let in with */
    struct keyring *ring;
    struct api_key *key; /* NULL: none needed */
};
/* False: answered, with 401, 403 or 429. */
bool access_enter(struct access *a, struct http_exchange *x, enum key_scope scope, struct pass *p);
void access_leave(struct pass *p);

#endif
