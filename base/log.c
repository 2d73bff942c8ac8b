/* log.c - see log.h. A line is built in a fixed buffer on the stack, so that logging works without
 * memory, and goes out in one write(2), so that lines of several threads never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/config.h"
#include "base/os.h"

enum {
    MSG_SIZE = 2048,
    LINE_SIZE = 4 * MSG_SIZE + 256, /* every byte may become \xNN */
    LEVEL_UNKNOWN = -1,
};

static atomic_int level_now = LOG_WARN;
static atomic_int level_env = LEVEL_UNKNOWN; /* found on first use; LOG_ERROR + 1: none set */

static int level_of_text(const char *s) {
    static const char *const name[] = {"debug", "info", "warn", "error"};
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (strcasecmp(s, name[i]) == 0) return i;
    return LOG_ERROR + 1;
}

/* The setting log names a level; debug is a truth word or a number (1 debug, 2 trace). Words that
 * mean neither change nothing (recorded in the CLI goldens). */
static int find_level_env(void) {
    struct setting_value v; /* config_text would warn, and so come here again */
    config_get(SET_log, &v);
    if (v.text != NULL) return level_of_text(v.text);
    config_get(SET_debug, &v);
    const char *s = v.text;
    if (s == NULL) return LOG_ERROR + 1;
    bool word = strcmp(s, "t") == 0 || strcmp(s, "T") == 0 || strcmp(s, "true") == 0 ||
                strcmp(s, "TRUE") == 0 || strcmp(s, "True") == 0;
    return word || strtol(s, NULL, 10) > 0 ? LOG_DEBUG : LOG_ERROR + 1;
}

void log_set_level(enum log_level level) {
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

void log_reload(void) { atomic_store(&level_env, LEVEL_UNKNOWN); }

enum log_level log_get_level(void) {
    int env = atomic_load_explicit(&level_env, memory_order_relaxed);
    if (env == LEVEL_UNKNOWN) {
        env = find_level_env(); /* two threads may both look: they find the same */
        atomic_store_explicit(&level_env, env, memory_order_relaxed);
    }
    if (env <= LOG_ERROR) return (enum log_level)env;
    return (enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* Appends msg in quotes. Control bytes are escaped: a message may quote outside text, which must
 * not be able to forge a line or drive a terminal. */
static size_t put_quoted(char *out, const char *msg) {
    char *p = out;
    *p++ = '"';
    for (; *msg != '\0'; msg++) {
        unsigned char c = (unsigned char)*msg;
        if (c == '"' || c == '\\') *p++ = '\\';
        if (c == '\n')
            p += sprintf(p, "\\n");
        else if (c == '\t')
            p += sprintf(p, "\\t");
        else if (c < 0x20 || c == 0x7F)
            p += sprintf(p, "\\x%02x", c);
        else
            *p++ = (char)c;
    }
    *p++ = '"';
    return (size_t)(p - out);
}

void log_write(enum log_level level, const char *source, const char *fmt, ...) {
    static const char *const name[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    if (level < log_get_level()) return;
    char msg[MSG_SIZE], line[LINE_SIZE], when[48];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    os_time_rfc3339(os_time_unix_ns() / 1000000 * 1000000, false, when); /* milliseconds */
    int n = snprintf(line, 192, "time=%s level=%s source=%.64s msg=", when, name[level], source);
    size_t len = n > 0 ? (size_t)n : 0;
    len += put_quoted(line + len, msg);
    line[len++] = '\n';
    ssize_t done = write(STDERR_FILENO, line, len);
    (void)done; /* nobody to tell */
}
