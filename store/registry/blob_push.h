/* blob_push.h - one blob of the store to a registry (spec/store.md 8). */
#ifndef CRIA_STORE_REGISTRY_BLOB_PUSH_H
#define CRIA_STORE_REGISTRY_BLOB_PUSH_H

#include "store/registry/session.h"

/* Nothing is sent if the registry has it, or can take it from the repository that the layer names
 * as its source. The progress items are `pushing <12 hex>`. */
enum status blob_push(struct store *s, struct session *session, const struct store_layer *layer,
                      store_progress *progress, void *arg, struct err *e);

#endif
