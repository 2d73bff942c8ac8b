/* lora.h - the field `lora` of a request: how much it gets of the model's adapters. cria's own, in
 * the form of llama.cpp's server: [{"id": 0, "scale": 0.5}, ...], where id counts the ADAPTER lines
 * of the model from 0. Adapters that the list does not name are off; without it all have scale 1.
 */
#ifndef CRIA_API_LORA_H
#define CRIA_API_LORA_H

#include <stdbool.h>

#include "base/json.h"
#include "engine/cria.h"

enum { LORA_MAX = 64 }; /* elements of a list */

struct lora {
    bool given;
    struct cria_adapter list[LORA_MAX];
    size_t n;
};

/* v NULL or null: not given. ST_INVALID tells what is wrong with the list. */
enum status lora_read(struct lora *out, const json *v, const struct cria_engine *engine,
                      struct err *e);

#endif
