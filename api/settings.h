/* settings.h - the settings that the server keeps a copy of: read at its start and again at
 * server_reload(), so that no request sees half of a change. The table is base/settings.def. */
#ifndef CRIA_API_SETTINGS_H
#define CRIA_API_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/dtype.h"

struct settings {
    int64_t keep_alive_ns;   /* DURATION_FOREVER */
    uint32_t context_length; /* 0: automatic */
    uint32_t num_parallel;   /* at least 1 */
    uint32_t max_loaded;     /* at least 1 */
    uint64_t max_queue;
    enum dtype kv_type;
};
void settings_read(struct settings *s);

#endif
