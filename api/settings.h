/* settings.h - what the environment says about the server (spec/cli.md 6), read once at its start.
 */
#ifndef CRIA_API_SETTINGS_H
#define CRIA_API_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct settings {
    int64_t keep_alive_ns;   /* KEEP_ALIVE, 5 m; DURATION_FOREVER */
    uint32_t context_length; /* CONTEXT_LENGTH, 0: automatic */
    uint32_t num_parallel;   /* NUM_PARALLEL, 1 */
    uint32_t max_loaded;     /* MAX_LOADED_MODELS, 3 */
    uint32_t max_queue;      /* MAX_QUEUE, 512 */
    bool no_cloud;           /* NO_CLOUD; cria has no cloud in either case */
    const char *origins;     /* ORIGINS, comma list; NULL: none. Static. */
};
void settings_read(struct settings *s);

#endif
