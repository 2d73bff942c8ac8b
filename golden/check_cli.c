/* check_cli.c - texts and addresses of the command line, values of the environment (README of
 * golden/cli). JSON lines; every comparison is exact. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/format.h"
#include "cli/host.h"
#include "golden/check.h"

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
    setenv("OLLAMA_HOST", check_string(row, "env"), 1); /* trimming is part of it */
    host_parse(&h, config_text(SET_host));
    buf_str(&text, h.scheme);
    same(c, where, "scheme", &text, check_string(row, "scheme"));
    host_put_address(&text, &h);
    same(c, where, "host", &text, check_string(row, "host"));
    buf_str(&text, h.path);
    same(c, where, "path", &text, check_string(row, "path"));
    host_put_url(&text, &h);
    same(c, where, "string", &text, check_string(row, "string"));
    host_put_connectable(&text, &h);
    same(c, where, "connectable", &text, check_string(row, "connectable"));
    buf_free(&text);
}

/* ---- format.jsonl ---- */

static void check_format(struct check *c, const json *row, const char *where) {
    const char *fn = check_string(row, "fn");
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
    same(c, where, fn, &text, check_string(row, "out"));
    buf_free(&text);
}

/* ---- env.jsonl ---- */

static int64_t want_int(const json *row, const char *key) {
    int64_t v = 0;
    json_int(json_get(row, key), &v);
    return v;
}

static void check_durations(struct check *c, const json *row, const char *where) {
    const int64_t keep = config_ns(SET_keep_alive), load = config_ns(SET_load_timeout);
    check_that(c, keep == want_int(row, "keep_alive_ns"), where, "keep_alive %" PRId64, keep);
    check_that(c, load == want_int(row, "load_timeout_ns"), where, "load_timeout %" PRId64, load);
}

/* Below -4 is the peer's trace level, which is debug here. */
static void check_bools(struct check *c, const json *row, const char *where) {
    bool off = false, on = true;
    json_bool(json_get(row, "bool_default_false"), &off);
    json_bool(json_get(row, "bool_default_true"), &on);
    check_that(c, config_bool(SET_noprune) == off, where, "a bool that is off by default");
    check_that(c, config_bool(SET_builtin) == on, where, "a bool that is on by default");
    setenv("OLLAMA_DEBUG", check_string(row, "value"), 1);
    log_reload();
    log_set_level(LOG_INFO);
    const bool debug = log_get_level() == LOG_DEBUG;
    unsetenv("OLLAMA_DEBUG");
    log_reload();
    check_that(c, debug == (want_int(row, "debug_log_level") < 0), where, "debug: %d", debug);
    log_set_level(LOG_ERROR);
}

static void check_env(struct check *c, const json *row, const char *where) {
    static const char *const variables[] = {"KEEP_ALIVE", "LOAD_TIMEOUT", "NOPRUNE", "BUILTIN",
                                            "MAX_QUEUE"};
    const char *kind = check_string(row, "kind"), *value = check_string(row, "value");
    char name[32];
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        snprintf(name, sizeof name, "OLLAMA_%s", variables[i]);
        setenv(name, value, 1);
    }
    if (strcmp(kind, "duration") == 0) {
        check_durations(c, row, where);
    } else if (strcmp(kind, "bool") == 0) {
        check_bools(c, row, where);
    } else {
        struct buf want = {0}; /* as text: up to 2^64 - 1 */
        char got[32];
        json_print(&want, json_get(row, "max_queue"));
        snprintf(got, sizeof got, "%" PRIu64, config_uint(SET_max_queue));
        check_that(c, want.data != NULL && strcmp(got, want.data) == 0, where,
                   "max_queue %s of '%s'", got, value);
        buf_free(&want);
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        snprintf(name, sizeof name, "OLLAMA_%s", variables[i]);
        unsetenv(name);
    }
}

/* ---- keepalive_json.jsonl; cria never writes the value back ---- */

static void check_keepalive(struct check *c, const json *row, const char *where) {
    const char *text = check_string(row, "json"), *want_error = json_string(json_get(row, "error"));
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
    unsetenv("OLLAMA_HOST");
}
