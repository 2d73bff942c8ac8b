/* lora.c - see lora.h. */
#include "api/lora.h"

#include <math.h>

static enum status read_one(struct cria_adapter *out, const json *v, uint32_t n_adapters,
                            struct err *e) {
    int64_t id = -1;
    double scale = 0;
    if (json_kind(v) != JSON_OBJECT || !json_int(json_get(v, "id"), &id) ||
        !json_number(json_get(v, "scale"), &scale))
        return err_set(e, ST_INVALID,
                       "invalid lora: expected a list of {\"id\": number, \"scale\": number}");
    if (id < 0 || id >= (int64_t)n_adapters)
        return err_set(e, ST_INVALID, "invalid lora: there is no adapter %lld, the model has %u",
                       (long long)id, n_adapters);
    *out = (struct cria_adapter){(uint32_t)id, (float)scale};
    if (!isfinite(out->scale))
        return err_set(e, ST_INVALID, "invalid lora: scale %g of adapter %u is too large", scale,
                       out->id);
    return ST_OK;
}

enum status lora_read(struct lora *out, const json *v, const struct cria_engine *engine,
                      struct err *e) {
    enum status st = ST_OK;
    out->given = v != NULL && json_kind(v) != JSON_NULL;
    out->n = 0;
    if (!out->given) return ST_OK;
    if (json_kind(v) != JSON_ARRAY || json_len(v) > LORA_MAX)
        return err_set(e, ST_INVALID, "invalid lora: expected a list of %d elements at most",
                       LORA_MAX);
    for (const json *x = json_first(v); st == ST_OK && x != NULL; x = json_next(x))
        st = read_one(&out->list[out->n++], x, cria_engine_info(engine)->n_adapters, e);
    return st;
}
