/* request_log.h - requests on disk, for those who look for a client's mistake: with the setting
 * debug_log_requests (OLLAMA_DEBUG_LOG_REQUESTS; spec/cli.md 6, api-behaviours.md) each server
 * writes the body of every request for an answer, and a script that sends it again with curl, into
 * a new folder below TMPDIR. They hold prompts, so only the server's user may read them; headers,
 * and keys with them, are not in there. Thread-safe. */
#ifndef CRIA_API_REQUEST_LOG_H
#define CRIA_API_REQUEST_LOG_H

#include <stddef.h>

struct request_log;

/* NULL: the setting is off, or there is no such folder; the log says why. */
struct request_log *request_log_open(void);
void request_log_close(struct request_log *l); /* the files stay; NULL is fine here and below */

struct request_copy {
    const char *route, *id; /* its path, "/api/chat"; X-Request-Id */
    const char *host;       /* as the client calls the server */
    const char *body;       /* unpacked */
    size_t len;
};
/* What cannot be written is told in the log; the request goes on. */
void request_log_add(struct request_log *l, const struct request_copy *r);

#endif
