/* work.h - routes that take long and answer with status items: create, pull, push (spec/api.md 5.8,
 * 5.11). With "stream": false only the last item, or the error with its status. */
#ifndef CRIA_API_WORK_H
#define CRIA_API_WORK_H

#include <stdatomic.h>

#include "api/server_impl.h"

struct work {
    const struct route_call *call;
    struct stream stream;
    bool streaming;
    _Atomic bool gone; /* the client has closed its connection, or somebody cancels */
};

/* w must stay where it is until work_finish(). */
void work_begin(struct work *w, const struct route_call *call, bool streaming);
/* A store_progress; arg is the struct work. False once the client has gone. */
bool work_progress(void *arg, const char *status, const char *digest, uint64_t total,
                   uint64_t completed);
/* The end: success, or e with the HTTP status `code`. */
void work_finish(struct work *w, enum status st, int code, const struct err *e);

#endif
