/* limits.h - how much of each thing a request may hold (spec/security.md S-NET-7): what is within
 * the largest body, and would still take too much time or memory. */
#ifndef CRIA_API_LIMITS_H
#define CRIA_API_LIMITS_H

#include "api/generate.h"

enum {
    LIMIT_MESSAGES = 20000,
    LIMIT_IMAGES = 128, /* of all messages */
    LIMIT_TOOLS = 128,
    LIMIT_STOPS = 256,
    LIMIT_STOP_BYTES = 4096,
    LIMIT_GRAMMAR_BYTES = 1 << 20, /* of `grammar` or `regex` */
    LIMIT_PATH_BYTES = 4096        /* of a URL, decoded */
};
/* ST_LIMIT: "more than 128 tools", ... */
enum status limits_check(const struct gen_request *r, struct err *e);

#endif
