/* session.h - talking to one repository of one registry: addresses, tokens, the texts of errors. */
#ifndef CRIA_STORE_REGISTRY_SESSION_H
#define CRIA_STORE_REGISTRY_SESSION_H

#include "store/registry/fetch.h"
#include "store/registry/registry.h"

#define MANIFEST_MEDIA_TYPE "application/vnd.docker.distribution.manifest.v2+json"

struct session { /* used by one thread at a time */
    struct model_name name;
    char base[NAME_TEXT_MAX]; /* "https://host/v2/namespace/model" */
    struct fetch_policy policy;
    char *user, *password, *key_dir, *mirror; /* owned copies, or NULL */
    char *token;                              /* owned; NULL: none yet */
    bool insecure;
};

/* The next of the entries of a setting that commas or blanks separate; NULL: no more. */
const char *session_list_next(const char **list, size_t *len);

/* ST_DENIED: the registry is not on the list of CRIA_REGISTRIES; ST_INVALID: plain http without
 * `insecure`. */
enum status session_open(struct session *s, const struct model_name *name,
                         const struct registry_options *o, struct err *e);
void session_close(struct session *s);

/* A request below the base: `format` gives the rest of the path. Sets up the answer's struct; more
 * may be set before session_run. */
enum status session_request(struct session *s, struct fetch *f, const char *method, struct err *e,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));
/* To an address that the registry gave; url is taken over. */
enum status session_request_url(struct session *s, struct fetch *f, const char *method, char *url,
                                struct err *e);
/* Runs it with the token, which is fetched when asked for: then once more (`rewind` first, may be
 * NULL). ST_OK for codes below 400; 404 is ST_NOT_FOUND "file does not exist", 401 ST_DENIED
 * "unauthorized: access denied", others "CODE: BODY". */
enum status session_run(struct session *s, struct fetch *f, void (*rewind)(void *arg),
                        struct err *e);
/* What a code of 400 and more means. */
enum status session_code(const struct fetch *f, struct err *e);
/* Answers the challenge of a 401. */
enum status session_authorize(struct session *s, const struct fetch *f, struct err *e);

#endif
