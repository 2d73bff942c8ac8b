/* format.h - sizes, numbers, durations and times as texts, and back (golden/cli/format.jsonl). */
#ifndef CRIA_CLI_FORMAT_H
#define CRIA_CLI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void format_bytes(struct buf *out, uint64_t n);    /* "4.7 GB": decimal units */
void format_bytes2(struct buf *out, uint64_t n);   /* "4.3 GiB": binary units */
void format_number(struct buf *out, uint64_t n);   /* "4.7B": of parameters */
void format_duration(struct buf *out, int64_t ns); /* as Go prints it: "1m1.5s", "12.3ms" */
/* "2 hours", "About a minute", ... without "ago" and "from now". */
void format_span(struct buf *out, double seconds);

/* RFC 3339 to unix time; false if it is none. Years 1 to 9999: so within int64 only from 1678 on,
 * earlier ones give INT64_MIN (the zero time). */
bool parse_time(const char *text, int64_t *unix_ns);

#endif
