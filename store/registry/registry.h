/* registry.h - models from and to a registry (spec/store.md 5-9).
 *
 * The protocol is the OCI distribution one with Ollama's additions, so ollama.com, hf.co and a
 * plain docker-registry all work. Pulls resume: a partial file and its journal outlive a crash
 * (blob_pull.h). A model appears in the store only when all its blobs are there and their hashes
 * are right. Thread-safe; each call runs in the caller's thread and takes as long as it takes. */
#ifndef CRIA_STORE_REGISTRY_REGISTRY_H
#define CRIA_STORE_REGISTRY_REGISTRY_H

#include "store/store.h"

struct registry_options {
    bool insecure;                   /* http instead of https */
    const char *username, *password; /* basic authentication where no token is asked for; NULL */
    const char *key_dir;             /* NULL: ~/.ollama */
    const char *mirror;              /* "http://host:port" to ask instead of the registry; NULL */
};

/* A registry's mirrors (the setting mirrors) are asked first, in order, then the registry itself: a
 * mirror that has not the model, or not all of it, or something else, is passed over.
 * The items of spec/store.md 7 and 8 go to progress; false there cancels: ST_CANCELLED, and what
 * has arrived stays for the next try. Errors: ST_NOT_FOUND, ST_DENIED, ST_UNAVAILABLE, ST_IO, ...;
 * the texts are the specification's ("pull model manifest: file does not exist"). */
enum status registry_pull(struct store *s, const struct model_name *name,
                          const struct registry_options *o, store_progress *progress, void *arg,
                          struct err *e);
/* Did the stored model come from a registry as it is? What was made here did not. */
bool registry_was_pulled(struct store *s, const struct model_name *name);
/* SHA-256 (hex) of the manifest that the registry has under this name now: another ID than the
 * stored model's means that there is a newer one. */
enum status registry_latest(const struct model_name *name, const struct registry_options *o,
                            char digest[65], struct err *e);
enum status registry_push(struct store *s, const struct model_name *name,
                          const struct registry_options *o, store_progress *progress, void *arg,
                          struct err *e);

#endif
