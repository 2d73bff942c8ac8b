/* settings.c - see settings.h. */
#include "api/settings.h"

#include <stddef.h>

#include "base/config.h"

enum { DEFAULT_LOADED = 3 };

static uint32_t count(enum setting id, uint32_t if_zero) {
    const uint64_t n = config_uint(id);
    return n == 0 ? if_zero : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

void settings_read(struct settings *s) {
    s->keep_alive_ns = config_ns(SET_keep_alive);
    s->context_length = count(SET_context_length, 0);
    s->num_parallel = count(SET_num_parallel, 1);
    s->max_loaded = count(SET_max_loaded_models, DEFAULT_LOADED);
    s->max_queue = config_uint(SET_max_queue);
    s->kv_type = dtype_by_name(config_text(SET_kv_cache_type));
}
