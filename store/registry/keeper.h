/* keeper.h - beside a download, in a thread of its own: hashes what is there without a gap and
 * keeps the journal, so that neither costs time after the last byte. */
#ifndef CRIA_STORE_REGISTRY_KEEPER_H
#define CRIA_STORE_REGISTRY_KEEPER_H

#include <pthread.h>

#include "store/registry/parts.h"

enum { PULL_TICK_MS = 60 }; /* how long anybody of a download sleeps at most */

struct keeper {
    struct parts *parts;        /* borrowed */
    const _Atomic bool *cancel; /* of the download; borrowed */
    _Atomic bool all_there, stop;
    _Atomic bool failed; /* loading more is in vain */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Its result: */
    char digest[STORE_DIGEST_TEXT]; /* of the content; "": it was stopped before */
    enum status st;
    struct err e;
};

void keeper_init(struct keeper *k, struct parts *parts, const _Atomic bool *cancel);
void keeper_destroy(struct keeper *k);
enum status keeper_start(struct keeper *k, struct err *e);
/* More has come; from the thread that loads. */
void keeper_more(struct keeper *k);
/* Waits for its end: behind the last byte if all has come, else soon. */
void keeper_end(struct keeper *k, bool all_there);

#endif
