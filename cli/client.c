/* client.c - requests to the server, over libcurl. */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/terminal.h"

enum { TICK_MS = 100, LINE_MAX_BYTES = 256 << 20 };

/* A verbose show lists every token of a vocabulary. */
static const struct json_limits answer_limits = {
    .max_bytes = LINE_MAX_BYTES, .max_nodes = 32 << 20, .max_depth = 256};

struct client {
    CURLM *multi;
    CURL *easy;
    char *url;    /* owned; without a slash at its end */
    char *key;    /* owned; a header line with the API key, or NULL */
    char *socket; /* owned; path of a UNIX socket, or NULL */
    bool local;   /* a loopback address: no proxy */
    /* Of the call that runs: */
    const struct client_call *call;
    struct buf in;      /* body, or the unfinished line */
    size_t scanned;     /* bytes of `in` that hold no newline */
    enum status result; /* what the caller's on_line said */
    struct err *err;
    uint64_t sent;
};

/* ---- errors ---- */

static const char *reason_of(long code) {
    switch (code) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Request Entity Too Large";
    case 499:
        return "Client Closed Request";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "";
    }
}

/* The text of an `error` field, which may be an object with a message. */
static const char *error_text(const json *v) {
    const json *error = json_get(v, "error");
    const char *text = json_string(error);
    return text != NULL ? text : json_string(json_get(error, "message"));
}

static enum status http_error(struct client *c, long code, struct err *e) {
    json *v =
        json_parse(c->in.data != NULL ? c->in.data : "", c->in.len, &answer_limits, NULL, NULL);
    const char *text = error_text(v);
    const enum status st = code == 404 ? ST_NOT_FOUND : ST_INVALID;
    if (text == NULL && c->in.len > 0) text = c->in.data;
    if (c->call->on_line == NULL && text != NULL)
        err_set(e, st, "%s", text);
    else if (text != NULL)
        err_set(e, st, "%ld %s: %s", code, reason_of(code), text);
    else
        err_set(e, st, "%ld %s", code, reason_of(code));
    json_free(v);
    return st;
}

static enum status transport_error(struct client *c, CURLcode result, struct err *e) {
    if (result == CURLE_COULDNT_CONNECT)
        return err_set(e, ST_UNAVAILABLE,
                       "could not connect to %s server, run '%s serve' to start it", cli_name(),
                       cli_name());
    return err_set(e, ST_IO, "%s \"%s%s\": %s", c->call->method, c->url, c->call->path,
                   curl_easy_strerror(result));
}

/* ---- what libcurl calls ---- */

static enum status give_line(struct client *c, const char *text, size_t len) {
    if (len == 0) return ST_OK;
    json *line = json_parse(text, len, &answer_limits, NULL, c->err);
    if (line == NULL) return c->err != NULL ? c->err->code : ST_FORMAT;
    const char *error = error_text(line);
    enum status st = error != NULL ? err_set(c->err, ST_INVALID, "%s", error)
                                   : c->call->on_line(c->call->arg, line, c->err);
    json_free(line);
    return st;
}

static void give_lines(struct client *c) {
    size_t start = 0;
    while (c->result == ST_OK) {
        size_t from = c->scanned > start ? c->scanned : start;
        const char *end = memchr(c->in.data + from, '\n', c->in.len - from);
        if (end == NULL) break;
        c->result = give_line(c, c->in.data + start, (size_t)(end - c->in.data) - start);
        start = (size_t)(end - c->in.data) + 1;
        c->scanned = start;
    }
    buf_drop(&c->in, start);
    c->scanned = c->in.len;
}

static long code_of(struct client *c) {
    long code = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg) {
    struct client *c = arg;
    if (c->in.len + size * n > LINE_MAX_BYTES) return 0;
    buf_add(&c->in, data, size * n);
    if (c->in.failed) return 0;
    if (c->call->on_line != NULL && code_of(c) < 400) give_lines(c);
    return c->result == ST_OK ? size * n : 0;
}

static size_t on_upload(char *out, size_t size, size_t n, void *arg) {
    struct client *c = arg;
    ssize_t got = pread(c->call->upload_fd, out, size * n, (off_t)c->sent);
    if (got < 0) return CURL_READFUNC_ABORT;
    c->sent += (uint64_t)got;
    if (c->call->sent != NULL) *c->call->sent = c->sent;
    return (size_t)got;
}

/* libcurl asks for this when a reused connection turns out dead. */
static int on_seek(void *arg, curl_off_t offset, int origin) {
    struct client *c = arg;
    if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
    c->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- a call ---- */

/* Runs until the transfer ends. *result: libcurl's verdict. */
static enum status transfer(struct client *c, CURLcode *result, struct err *e) {
    int running = 1;
    *result = CURLE_OK;
    while (running > 0) {
        if (curl_multi_perform(c->multi, &running) != CURLM_OK)
            return err_set(e, ST_INTERNAL, "libcurl failed");
        if (running > 0) curl_multi_poll(c->multi, NULL, 0, TICK_MS, NULL);
        if (c->call->on_tick != NULL) c->call->on_tick(c->call->arg);
        if (terminal_interrupted()) return err_set(e, ST_CANCELLED, "%s", "");
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;)
        if (m->msg == CURLMSG_DONE) *result = m->data.result;
    return ST_OK;
}

static void set_body(struct client *c, const struct client_call *call) {
    if (call->upload_size > 0) {
        curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->upload_size);
        curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
        curl_easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c->easy, CURLOPT_SEEKDATA, c);
    } else if (call->body != NULL) {
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body->len);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, call->body->data);
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(call->method, "GET") != 0)
        curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_options(struct client *c, const char *url, struct curl_slist *headers) {
    curl_easy_reset(c->easy);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "cria/" CRIA_VERSION);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    if (c->socket != NULL) curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    const char *ca = getenv("SSL_CERT_FILE"); /* as other programs do: an authority of one's own */
    if (ca != NULL && *ca != '\0') curl_easy_setopt(c->easy, CURLOPT_CAINFO, ca);
    if (c->local) curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
}

static enum status finish(struct client *c, CURLcode result, struct buf *reply, int *code,
                          struct err *e) {
    const long http = code_of(c);
    if (code != NULL) *code = (int)http;
    if (c->result != ST_OK) return c->result; /* the message is there */
    if (c->in.failed) return err_no_memory(e);
    if (result != CURLE_OK) return transport_error(c, result, e);
    if (http >= 400) return http_error(c, http, e);
    if (c->call->on_line != NULL) return give_line(c, c->in.data, c->in.len); /* no final newline */
    if (reply != NULL) {
        *reply = c->in;
        c->in = (struct buf){0};
    }
    return ST_OK;
}

enum status client_call(struct client *c, const struct client_call *call, struct buf *reply,
                        int *code, struct err *e) {
    struct buf url = {0};
    buf_printf(&url, "%s%s", c->url, call->path);
    /* The empty Expect: keeps libcurl from waiting a second before it sends a large body. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers =
        curl_slist_append(headers, call->upload_size > 0 ? "Content-Type: application/octet-stream"
                                                         : "Content-Type: application/json");
    if (c->key != NULL) headers = curl_slist_append(headers, c->key);
    struct err local = {0}; /* so that callbacks can rely on there being one */
    c->call = call;
    c->err = &local;
    c->result = ST_OK;
    c->scanned = 0;
    c->sent = 0;
    buf_clear(&c->in);
    enum status st = url.failed || headers == NULL ? err_no_memory(&local) : ST_OK;
    if (st == ST_OK) {
        CURLcode result;
        set_options(c, url.data, headers);
        set_body(c, call);
        curl_multi_add_handle(c->multi, c->easy);
        st = transfer(c, &result, &local);
        if (st == ST_OK) st = finish(c, result, reply, code, &local);
        curl_multi_remove_handle(c->multi, c->easy);
    }
    curl_slist_free_all(headers);
    buf_free(&url);
    if (st != ST_OK) err_set(e, st, "%s", local.msg);
    c->call = NULL;
    return st;
}

enum status client_json(struct client *c, const char *path, const struct buf *body, json **out,
                        struct err *e) {
    const struct client_call call = {
        .method = body != NULL ? "POST" : "GET", .path = path, .body = body};
    struct buf reply = {0};
    if (body != NULL && body->failed) return err_no_memory(e);
    enum status st = client_call(c, &call, &reply, NULL, e);
    if (st == ST_OK) {
        *out = json_parse(reply.data != NULL ? reply.data : "", reply.len, &answer_limits, NULL, e);
        st = *out != NULL ? ST_OK : e != NULL ? e->code : ST_FORMAT;
    }
    buf_free(&reply);
    return st;
}

/* ---- opening ---- */

/* *socket: path of a UNIX socket, owned by the caller, or NULL. */
static char *url_from_env(bool *local, char **socket) {
    struct host h;
    struct buf url = {0};
    host_from_env(&h);
    if (*h.name == '\0') memcpy(h.name, "127.0.0.1", 10); /* all addresses: this machine is one */
    host_put_connectable(&url, &h);
    char *text = buf_take(&url);
    *socket = h.is_unix ? mem_strdup(h.name + 5) : NULL;
    *local = strcmp(h.name, "localhost") == 0 ||
             (text != NULL && (strncmp(text, "http://127.", 11) == 0 || strstr(text, "://[::1]")));
    return text;
}

/* "Authorization: Bearer KEY". Only for the server of the environment; ST_INVALID: no header could
 * hold it. */
static enum status key_from_env(char **out, struct err *e) {
    const char *key = config_text(SET_api_key);
    struct buf b = {0};
    *out = NULL;
    if (key == NULL || *key == '\0') return ST_OK;
    for (const char *p = key; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7F)
            return err_set(e, ST_INVALID,
                           "the API key of the environment holds a character that no "
                           "key can have");
    buf_printf(&b, "Authorization: Bearer %s", key);
    *out = buf_take(&b);
    return *out != NULL ? ST_OK : err_no_memory(e);
}

enum status client_open(struct client **out, const char *url, struct err *e) {
    static bool ready;
    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, ST_INTERNAL, "libcurl cannot start");
    ready = true;
    struct client *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return err_no_memory(e);
    c->local = true;
    c->url = url != NULL ? mem_strdup(url) : url_from_env(&c->local, &c->socket);
    c->multi = curl_multi_init();
    c->easy = curl_easy_init();
    enum status st = url == NULL ? key_from_env(&c->key, e) : ST_OK;
    if (st == ST_OK && (c->url == NULL || c->multi == NULL || c->easy == NULL))
        st = err_no_memory(e);
    if (st == ST_OK && url == NULL)
        st = client_call(c, &(struct client_call){.method = "HEAD", .path = "/"}, NULL, NULL, e);
    if (st != ST_OK) {
        client_close(c);
        return st;
    }
    *out = c;
    return ST_OK;
}

void client_close(struct client *c) {
    if (c == NULL) return;
    if (c->easy != NULL) curl_easy_cleanup(c->easy);
    if (c->multi != NULL) curl_multi_cleanup(c->multi);
    mem_free(c->url);
    mem_free(c->key);
    mem_free(c->socket);
    buf_free(&c->in);
    mem_free(c);
}
