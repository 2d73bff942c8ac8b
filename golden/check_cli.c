/* check_cli.c - texts and addresses of the command line, values of the environment (README of
 * golden/cli). JSON lines; every comparison is exact. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/duration.h"
#include "api/settings.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/format.h"
#include "cli/host.h"
#include "golden/check.h"

static const char *text_of(const json *row, const char *key) {
    const char *text = json_string(json_get(row, key));
    return text != NULL ? text : "";
}

static void same(struct check *c, const char *where, const char *what, struct buf *got,
                 const char *want) {
    const char *text = got->data != NULL ? got->data : "";
    check_that(c, strcmp(text, want) == 0, where, "%s: '%s', expected '%s'", what, text, want);
    buf_clear(got);
}

/* ---- host.jsonl ---- */

static void check_host(struct check *c, const json *row, const char *where) {
    struct host h;
    struct buf text = {0};
    setenv("OLLAMA_HOST", text_of(row, "env"), 1); /* trimming is part of it */
    host_parse(&h, os_env("HOST"));
    buf_str(&text, h.scheme);
    same(c, where, "scheme", &text, text_of(row, "scheme"));
    host_put_address(&text, &h);
    same(c, where, "host", &text, text_of(row, "host"));
    buf_str(&text, h.path);
    same(c, where, "path", &text, text_of(row, "path"));
    host_put_url(&text, &h);
    same(c, where, "string", &text, text_of(row, "string"));
    host_put_connectable(&text, &h);
    same(c, where, "connectable", &text, text_of(row, "connectable"));
    buf_free(&text);
}

/* ---- format.jsonl ---- */

static void check_format(struct check *c, const json *row, const char *where) {
    const char *fn = text_of(row, "fn");
    struct buf text = {0};
    int64_t n = 0;
    double seconds = 0;
    json_int(json_get(row, "in"), &n);
    json_int(json_get(row, "in_ns"), &n);
    json_number(json_get(row, "in_seconds"), &seconds);
    if (strcmp(fn, "bytes") == 0)
        format_bytes(&text, (uint64_t)n);
    else if (strcmp(fn, "bytes2") == 0)
        format_bytes2(&text, (uint64_t)n);
    else if (strcmp(fn, "number") == 0)
        format_number(&text, (uint64_t)n);
    else if (strcmp(fn, "go_duration") == 0)
        format_duration(&text, n);
    else if (strcmp(fn, "time_zero") == 0)
        buf_str(&text, "Never"); /* list and ps, by the zero time */
    else
        format_span(&text, seconds);
    if (strcmp(fn, "time_ago") == 0) buf_str(&text, " ago");
    if (strcmp(fn, "time_from_now") == 0) buf_str(&text, " from now");
    same(c, where, fn, &text, text_of(row, "out"));
    buf_free(&text);
}

/* ---- env.jsonl; the load timeout and the log level have no function of their own to ask ---- */

static void check_env(struct check *c, const json *row, const char *where) {
    const char *kind = text_of(row, "kind"), *value = text_of(row, "value");
    struct settings s;
    int64_t want = 0;
    bool off = false, on = true;
    if (strcmp(kind, "duration") == 0) {
        setenv("OLLAMA_KEEP_ALIVE", value, 1);
        settings_read(&s);
        json_int(json_get(row, "keep_alive_ns"), &want);
        check_that(c, s.keep_alive_ns == want, where, "keep_alive %" PRId64, s.keep_alive_ns);
    } else if (strcmp(kind, "bool") == 0) {
        setenv("OLLAMA_GOLDEN", value, 1);
        json_bool(json_get(row, "bool_default_false"), &off);
        json_bool(json_get(row, "bool_default_true"), &on);
        check_that(c, os_env_bool("GOLDEN", false) == off && os_env_bool("GOLDEN", true) == on,
                   where, "bool of '%s'", value);
    } else {
        setenv("OLLAMA_MAX_QUEUE", value, 1);
        settings_read(&s);
        if (!json_int(json_get(row, "max_queue"), &want)) {
            check_skip(c, where, "a queue of more than 2^63 requests");
            return;
        }
        check_that(c, s.max_queue == want, where, "max_queue %u of '%s'", s.max_queue, value);
    }
}

/* ---- keepalive_json.jsonl; cria never writes the value back ---- */

static void check_keepalive(struct check *c, const json *row, const char *where) {
    const char *text = text_of(row, "json"), *want_error = json_string(json_get(row, "error"));
    struct err e = {0};
    int64_t ns = 0, want = 0;
    json *v = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    const enum status st = keep_alive_parse(v, &ns, &e);
    json_int(json_get(row, "ns"), &want);
    if (want_error != NULL)
        check_that(c, st != ST_OK && strcmp(e.msg, want_error) == 0, where, "%s: '%s'", text,
                   e.msg);
    else
        check_that(c, st == ST_OK && ns == want, where, "%s: %" PRId64 " %s", text, ns, e.msg);
    json_free(v);
}

void check_cli(struct check *c, const char *dir) {
    log_set_level(LOG_ERROR); /* bad values are warned about, and there are many */
    check_rows(c, dir, "host.jsonl", check_host);
    check_rows(c, dir, "format.jsonl", check_format);
    check_rows(c, dir, "env.jsonl", check_env);
    check_rows(c, dir, "keepalive_json.jsonl", check_keepalive);
    log_set_level(LOG_WARN);
    static const char *const set[] = {"HOST", "KEEP_ALIVE", "GOLDEN", "MAX_QUEUE"};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        char name[32];
        snprintf(name, sizeof name, "OLLAMA_%s", set[i]);
        unsetenv(name);
    }
}
