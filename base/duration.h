/* duration.h - lengths of time as Go writes them ("1h30m", "500ms", "-1s"), and keep_alive. */
#ifndef CRIA_BASE_DURATION_H
#define CRIA_BASE_DURATION_H

#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

#define DURATION_FOREVER INT64_MAX /* nanoseconds */

/* ST_INVALID with Go's wording: `time: invalid duration "abc"`, `time: missing unit in duration
 * "5"`, `time: unknown unit "mm" in duration "5mm"`. */
enum status duration_parse(const char *text, int64_t *ns, struct err *e);
/* A keep_alive value: seconds or a duration; negative ones are DURATION_FOREVER. ST_INVALID also
 * with "Unsupported type: 'bool'". */
enum status keep_alive_parse(const json *v, int64_t *ns, struct err *e);
/* The same from an environment variable's text: a duration, or plain seconds. */
enum status keep_alive_text(const char *text, int64_t *ns, struct err *e);

#endif
