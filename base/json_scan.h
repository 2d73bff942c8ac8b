/* json_scan.h - the pass over JSON text that runs before cJSON (used by json.c only).
 *
 * It finds the end of the first value, checks syntax with Go's messages and the limits, and writes
 * the value in a form that cJSON reads without loss:
 *  - a number becomes a string whose first byte is JSON_MARK_NUMBER, so that its text survives
 *    (cJSON keeps a double only, cuts numbers at 63 characters and obeys the locale);
 *  - U+0000 in a string becomes C0 80, since cJSON's strings end at NUL; in a key, where it has no
 *    use, it becomes U+FFFD;
 *  - bytes that are not UTF-8 and lone surrogates become U+FFFD, one each, as Go reads them.
 * FF and C0 never occur in UTF-8, so the marks cannot be forged. */
#ifndef CRIA_BASE_JSON_SCAN_H
#define CRIA_BASE_JSON_SCAN_H

#include "base/json.h"

enum {
    JSON_MARK_NUMBER = 0xFF,
    JSON_DEPTH_MAX = 1000, /* cJSON's own (CJSON_NESTING_LIMIT), whatever the caller asks for */
};

/* *used: where the value ended. The text in out has no use if this fails. */
enum status json_scan(const char *text, size_t len, const struct json_limits *limits,
                      struct buf *out, size_t *used, struct err *e);

#endif
