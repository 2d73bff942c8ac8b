/* keys.h - API keys (spec/security.md S-NET-5, S-LC-8).
 *
 * A key is "cria_" and 64 hexadecimal digits, 256 random bits. Only its SHA-256 is stored, in a
 * JSON file of the user's (CRIA_KEYS, else cria/keys.json below the configuration folder), with
 * what it may do: scopes, models, an expiry, and how much per minute. `cria key` edits the file
 * (keys_add, keys_remove: the old or the new file is there, never half of one); a server looks at
 * it once a second at most, so a new key works at once.
 *
 * A keyring is what a file held at one time: immutable but for its counters, counted by reference.
 * A request holds the ring of its key until it ends. Thread-safe where nothing else is said. */
#ifndef CRIA_API_KEYS_H
#define CRIA_API_KEYS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

enum key_scope { /* what a route asks for; bits of key.scopes */
                 SCOPE_OPEN = 0,
                 SCOPE_INFER = 1,
                 SCOPE_MANAGE = 2,
                 SCOPE_METRICS = 4,
                 SCOPE_ADMIN = 8 /* has all others */
};
enum { KEY_TEXT = 5 + 64, KEY_ID_MAX = 15, KEY_NAME_MAX = 63, KEYS_MAX = 4096 };

struct key_limits { /* 0: none */
    uint32_t requests_per_minute, concurrent;
    uint64_t tokens_per_minute;
};

struct api_key {
    char id[KEY_ID_MAX + 1], name[KEY_NAME_MAX + 1];
    unsigned char sha256[DIGEST_BYTES];
    unsigned scopes;
    int64_t created, expires; /* unix seconds; expires 0: never */
    struct key_limits limits;
    char **models; /* owned; names as `cria list` shows them; none: all */
    size_t n_models;
    /* Guarded by the ring's mutex: */
    int64_t window_ns; /* start of the minute that is counted */
    uint32_t n_requests, n_running;
    uint64_t n_tokens;
};

struct keyring {
    pthread_mutex_t mutex;
    unsigned refs;
    struct api_key *keys; /* owned */
    size_t n;
};

/* The text of a file. ST_FORMAT: what is wrong with which key; nothing of a broken file counts. */
enum status keyring_parse(struct keyring **out, const char *text, size_t len, struct err *e);
/* A file that is not there is an empty ring. ST_DENIED: others may write to it. */
enum status keyring_read(struct keyring **out, const char *path, struct err *e);
struct keyring *keyring_ref(struct keyring *r);
void keyring_free(struct keyring *r); /* gives one reference back; NULL is fine */
/* The counters of the keys that are in both. */
void keyring_inherit(struct keyring *r, struct keyring *old);

enum key_verdict { KEY_OK, KEY_UNKNOWN, KEY_NO_SCOPE, KEY_TOO_MANY };
/* Whose key is it, and may it ask for this now? Takes the same time for every wrong text of a
 * length. KEY_OK: *out counts as running until key_leave(). KEY_UNKNOWN: or expired. */
enum key_verdict keyring_enter(struct keyring *r, const char *text, enum key_scope scope,
                               struct api_key **out);
void keyring_leave(struct keyring *r, struct api_key *k);
void keyring_charge(struct keyring *r, struct api_key *k, uint64_t n_tokens);
bool key_allows(const struct api_key *k, const char *model); /* shortest form: "llama3:latest" */

unsigned scope_by_name(const char *name); /* 0: unknown */
void scopes_put(struct buf *b, unsigned scopes);

/* ---- the file ---- */

/* CRIA_KEYS, else $XDG_CONFIG_HOME/cria/keys.json, else ~/.config/cria/keys.json; mem_free. NULL:
 * no home, no memory. */
char *keys_path(void);
/* Makes a key with the values of k (its id and sha256 are set), and writes its text; the only time
 * that it is seen. The caller wipes it. */
enum status keys_add(const char *path, struct api_key *k, char text[KEY_TEXT + 1], struct err *e);
/* By id, or by a name that only one has. ST_NOT_FOUND. */
enum status keys_remove(const char *path, const char *id, struct err *e);

#endif
