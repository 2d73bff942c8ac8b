/* settings.c - see settings.h. A value that cannot be read is logged, and the default counts. */
#include "api/settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/duration.h"
#include "base/log.h"
#include "base/os.h"

enum { DEFAULT_LOADED = 3, DEFAULT_QUEUE = 512 };

static uint32_t number(const char *name, uint32_t fallback) {
    const char *text = os_env(name);
    char *end;
    if (text == NULL) return fallback;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && v <= UINT32_MAX)
        return (uint32_t)v;
    log_warn("api", "invalid environment variable, using default: %s=%s", name, text);
    return fallback;
}

static int64_t keep_alive(void) {
    const char *text = os_env("KEEP_ALIVE");
    int64_t ns = 300000000000;
    struct err e;
    if (text != NULL && keep_alive_text(text, &ns, &e) != ST_OK)
        log_warn("api", "invalid environment variable, using default: KEEP_ALIVE=%s", text);
    return ns;
}

void settings_read(struct settings *s) {
    s->keep_alive_ns = keep_alive();
    s->context_length = number("CONTEXT_LENGTH", 0);
    s->num_parallel = number("NUM_PARALLEL", 1);
    s->max_loaded = number("MAX_LOADED_MODELS", 0);
    s->max_queue = number("MAX_QUEUE", DEFAULT_QUEUE);
    s->no_cloud = os_env_bool("NO_CLOUD", false);
    s->origins = os_env("ORIGINS");
    if (s->num_parallel == 0) s->num_parallel = 1;
    if (s->max_loaded == 0) s->max_loaded = DEFAULT_LOADED;
}
