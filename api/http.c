/* http.c - see http.h. Everything happens inside civetweb's begin_request callback: it comes before
 * the library's own routing, file serving and CORS answers, none of which are wanted. Answers are
 * written byte by byte by us, so that their framing is in one place. */
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/http_impl.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"

enum {
    LIBRARY_BUFFER = 131072, /* of a connection: its max_request_size */
    READ_STEP = 65536,
    HELD_MAX = 16384,
    SPARE_THREADS = 8 /* for answers to connections that are too many */
};

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } row[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Request Entity Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].status == status) return row[i].text;
    return "Status";
}

/* ---- the request ---- */

const char *http_method(const struct http_exchange *x) { return x->info->request_method; }
const char *http_path(const struct http_exchange *x) { return x->path; }
const char *http_host(const struct http_exchange *x) { return x->host; }

const char *http_header(const struct http_exchange *x, const char *name) {
    for (int i = 0; i < x->info->num_headers; i++)
        if (strcasecmp(x->info->http_headers[i].name, name) == 0)
            return x->info->http_headers[i].value;
    return NULL;
}

bool http_has_body(const struct http_exchange *x) { return x->has_body; }

bool http_is_local(const struct http_exchange *x) {
    return http_address_is_local(x->link != NULL ? x->link->peer : x->info->remote_addr);
}

/* A client with a long body may wait until it is told to go on. */
static void send_continue(struct http_exchange *x) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!x->expect) return;
    x->expect = false;
    mg_write(x->conn, text, sizeof text - 1);
}

static enum status read_broken(struct http_exchange *x, enum status st, const char *why,
                               struct err *e) {
    x->broken = x->close = true;
    mg_disable_connection_keep_alive(x->conn);
    return err_set(e, st, "%s", why);
}

enum status http_read(struct http_exchange *x, void *data, size_t n, size_t *got, struct err *e) {
    *got = 0;
    if (x->body_left == 0) return ST_OK;
    if (x->broken) return err_set(e, ST_IO, "unexpected end of the request body");
    send_continue(x);
    if (x->body_left > 0 && (long long)n > x->body_left) n = (size_t)x->body_left;
    if (n > READ_STEP) n = READ_STEP;
    http_conn_phase(x->link, HTTP_READING);
    int r = mg_read(x->conn, data, n);
    http_conn_phase(x->link, HTTP_BUSY);
    if (r < 0 && x->body_left < 0) return read_broken(x, ST_FORMAT, "malformed chunked body", e);
    if (r <= 0 && x->body_left > 0) return read_broken(x, ST_IO, "unexpected EOF", e);
    if (x->body_left > 0) x->body_left -= r;
    x->body_read += (size_t)r;
    if (r == 0) x->body_left = 0;
    *got = (size_t)r;
    return ST_OK;
}

enum status http_read_all(struct http_exchange *x, size_t max, struct buf *out, struct err *e) {
    if (x->body_left > 0 && (unsigned long long)x->body_left > max) {
        x->broken = x->close = true; /* not worth reading */
        return err_set(e, ST_LIMIT, "request body too large");
    }
    for (;;) {
        size_t got = 0;
        if (!buf_reserve(out, READ_STEP)) return err_no_memory(e);
        enum status st = http_read(x, out->data + out->len, READ_STEP, &got, e);
        if (st != ST_OK) return st;
        if (got == 0) break;
        out->len += got;
        out->data[out->len] = '\0';
        if (out->len > max) {
            x->broken = x->close = true;
            return err_set(e, ST_LIMIT, "request body too large");
        }
    }
    return ST_OK;
}

/* ---- the answer ---- */

void http_add_header(struct http_exchange *x, const char *name, const char *value) {
    buf_printf(&x->headers, "%s: %s\r\n", name, value);
}

void http_close_after(struct http_exchange *x) { x->close = true; }
bool http_answered(const struct http_exchange *x) { return x->answered; }
int http_answer_status(const struct http_exchange *x) { return x->answered ? x->status : 0; }
void http_set_tag(struct http_exchange *x, void *tag) { x->tag = tag; }
void *http_tag(const struct http_exchange *x) { return x->tag; }

void http_abort(struct http_exchange *x) {
    x->broken = true;
    mg_disable_connection_keep_alive(x->conn);
}

/* All of it, or the connection is broken. */
static void write_bytes(struct http_exchange *x, const void *data, size_t n) {
    http_conn_phase(x->link, HTTP_WRITING);
    if (mg_write(x->conn, data, n) <= 0) http_abort(x);
    http_conn_phase(x->link, HTTP_BUSY);
}

static void write_out(struct http_exchange *x, const struct buf *b) {
    if (b->failed)
        http_abort(x);
    else
        write_bytes(x, b->data, b->len);
}

static void put_date(struct buf *b) {
    char text[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm); /* the locale is never set */
    buf_printf(b, "Date: %s\r\n", text);
}

static void put_head(struct http_exchange *x, struct buf *b, int status, const char *type) {
    x->status = status;
    x->answered = true;
    if (x->broken || x->old) x->close = true;
    buf_printf(b, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    put_date(b);
    buf_str(b, "Server: cria/" CRIA_VERSION "\r\n");
    if (type != NULL) buf_printf(b, "Content-Type: %s\r\n", type);
    if (x->headers.len > 0) buf_add(b, x->headers.data, x->headers.len);
    if (x->close) {
        buf_str(b, "Connection: close\r\n");
        mg_disable_connection_keep_alive(x->conn);
    }
}

void http_answer(struct http_exchange *x, int status, const char *type, const void *data,
                 size_t n) {
    struct buf b = {0};
    if (x->answered) return;
    put_head(x, &b, status, type);
    if (status != 204) buf_printf(&b, "Content-Length: %zu\r\n", n);
    buf_str(&b, "\r\n");
    if (!x->head && n > 0) buf_add(&b, data, n);
    write_out(x, &b);
    buf_free(&b);
}

void http_answer_text(struct http_exchange *x, int status, const char *type, const char *text) {
    http_answer(x, status, type, text, strlen(text));
}

void http_stream(struct http_exchange *x, int status, const char *type) {
    struct buf b = {0};
    if (x->answered) return;
    put_head(x, &b, status, type);
    x->chunked = !x->old;
    if (x->chunked) buf_str(&b, "Transfer-Encoding: chunked\r\n");
    buf_str(&b, "\r\n");
    write_out(x, &b);
    buf_free(&b);
}

void http_sized(struct http_exchange *x, int status, const char *type, uint64_t n) {
    struct buf b = {0};
    if (x->answered) return;
    put_head(x, &b, status, type);
    buf_printf(&b, "Content-Length: %llu\r\n\r\n", (unsigned long long)n);
    write_out(x, &b);
    buf_free(&b);
}

static void write_held(struct http_exchange *x) {
    if (!x->broken && (x->held.len > 0 || x->held.failed)) write_out(x, &x->held);
    buf_clear(&x->held);
}

enum status http_write(struct http_exchange *x, const void *data, size_t n) {
    if (x->broken) return ST_IO;
    if (n == 0 || x->head) return ST_OK; /* an empty chunk would be the last one */
    if (!x->chunked) {                   /* as it is: a blob's megabytes are not copied once more */
        write_bytes(x, data, n);
        return x->broken ? ST_IO : ST_OK;
    }
    buf_printf(&x->held, "%zx\r\n", n);
    buf_add(&x->held, data, n);
    buf_str(&x->held, "\r\n");
    if (!x->hold || x->held.len >= HELD_MAX) write_held(x);
    return x->broken ? ST_IO : ST_OK;
}

void http_hold(struct http_exchange *x, bool hold) {
    x->hold = hold;
    if (!hold) write_held(x);
}

void http_stream_end(struct http_exchange *x) {
    if (!x->chunked || x->broken || x->head) return;
    buf_str(&x->held, "0\r\n\r\n");
    write_held(x);
}

/* ---- watching ---- */

void http_watch(struct http_exchange *x, void (*gone)(void *arg), void *arg) {
    const int fd = x->link != NULL ? x->link->fd : -1;
    if (fd >= 0 && x->watch == 0) x->watch = http_watcher_add(x->http->watcher, fd, gone, arg);
}

void http_unwatch(struct http_exchange *x) {
    if (x->watch != 0) http_watcher_remove(x->http->watcher, x->watch);
    x->watch = 0;
}

/* ---- the server ---- */

static void answer_bad(struct http_exchange *x, int status) {
    char text[96];
    bool no_host = status == 400 && !x->old && http_header(x, "Host") == NULL;
    snprintf(text, sizeof text, "%d %s%s", status, http_status_text(status),
             no_host ? ": missing required Host header" : "");
    x->broken = true;
    http_answer_text(x, status, "text/plain; charset=utf-8", text);
}

static struct http_exchange exchange_of(struct mg_connection *conn) {
    struct http_exchange x = {.conn = conn, .info = mg_get_request_info(conn)};
    x.http = x.info->user_data;
    x.link = x.info->conn_data;
    return x;
}

/* Keys do not stay behind in the library's memory (S-LC-8). Nothing else wants these headers. */
static void forget_keys(const struct mg_request_info *info) {
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *line = &info->http_headers[i];
        if (strcasecmp(line->name, "Authorization") == 0 ||
            strcasecmp(line->name, "x-api-key") == 0)
            OPENSSL_cleanse((char *)(uintptr_t)line->value, strlen(line->value));
    }
}

/* Nor does what of a body came together with its head (S-LC-8): it stands behind the head in the
 * library's buffer, before which white space may have been. */
static void forget_body(struct http_exchange *x) {
    if (x->body == NULL) return;
    const size_t head = (size_t)(x->body - x->info->request_method);
    const uint64_t surplus = http_conn_surplus(x->link, head + x->body_read);
    const size_t n = x->info->content_length > 0 ? (size_t)x->info->content_length : x->body_read;
    if (surplus >= LIBRARY_BUFFER - head) return;
    const size_t room = LIBRARY_BUFFER - head - (size_t)surplus;
    OPENSSL_cleanse(x->body, n < room ? n : room);
}

/* One request, whose head is good if `bad` is 0. */
static void serve(struct http_exchange *x, int bad) {
    if (bad == 0) bad = x->link == NULL ? 503 : x->link->refused;
    if (bad != 0) {
        answer_bad(x, bad);
    } else {
        x->http->handler(x->http->arg, x);
        if (!x->answered) answer_bad(x, 500);
        http_unwatch(x);
        /* Nobody asked for the body: a client that waits for "100 Continue" will not send it. */
        if (x->expect) mg_disable_connection_keep_alive(x->conn);
    }
    http_conn_phase(x->link, HTTP_IDLE);
    forget_body(x);
    forget_keys(x->info);
    buf_free(&x->headers);
    buf_free(&x->held);
    mem_free(x->path);
    mem_free(x->authority);
}

/* civetweb: the head of a request has been read. */
static int begin_request(struct mg_connection *conn) {
    struct http_exchange x = exchange_of(conn);
    http_conn_identify(x.link, x.info);
    x.head = strcmp(x.info->request_method, "HEAD") == 0;
    http_conn_phase(x.link, HTTP_BUSY);
    serve(&x, http_check(&x));
    return x.status;
}

/* civetweb: a connection was accepted. */
static int init_connection(const struct mg_connection *conn, void **data) {
    *data = http_conn_begin(mg_get_user_data(mg_get_context(conn)));
    return 0;
}

/* civetweb: it is about to be closed; its descriptor is still its own. */
static void connection_close(const struct mg_connection *conn) {
    http_conn_end(mg_get_user_connection_data(conn));
}

/* civetweb: the head could not be read, or has a method that the library does not know. */
static int http_error(struct mg_connection *conn, int status, const char *message) {
    char text[512];
    struct http_exchange x = exchange_of(conn);
    mg_disable_connection_keep_alive(conn);
    if (status == 400 && http_check_unknown(&x) == 0) {
        http_close_after(&x);
        serve(&x, 0);
        return 0;
    }
    if (status == 505) message = "";
    if (status == 411) status = 400; /* a length that is no number */
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                     "Connection: close\r\n\r\n%d %s",
                     status, http_status_text(status), status, http_status_text(status));
    log_debug("http", "refused: %d %s", status, message);
    mg_write(conn, text, (size_t)n);
    return 0;
}

static int log_message(const struct mg_connection *conn, const char *message) {
    (void)conn;
    log_debug("http", "%s", message);
    return 1;
}

static void start_library(void) { mg_init_library(0); }

/* What the library as Debian ships it cannot do. */
static bool needs_relay(const struct http_params *p) {
    return p->tls_cert != NULL || strchr(p->host, ':') != NULL; /* "unix:/path" or IPv6 */
}

static void port_text(char *out, size_t size, const struct http_params *p) {
    if (needs_relay(p))
        snprintf(out, size, "127.0.0.1:0");
    else
        snprintf(out, size, "%s:%d", strcmp(p->host, "localhost") == 0 ? "127.0.0.1" : p->host,
                 p->port);
}

static enum status start(struct http *h, const struct http_params *p, struct err *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char ports[128], threads[16], buffer[16];
    pthread_once(&once, start_library);
    port_text(ports, sizeof ports, p);
    snprintf(threads, sizeof threads, "%u", h->max_conns + SPARE_THREADS);
    snprintf(buffer, sizeof buffer, "%d", LIBRARY_BUFFER);
    const char *options[] = {
        "listening_ports",
        ports,
        "num_threads",
        threads,
        "enable_keep_alive",
        "yes",
        "keep_alive_timeout_ms",
        "75000",
        "request_timeout_ms",
        "60000",
        "tcp_nodelay",
        "1",
        "max_request_size",
        buffer,
        "decode_url",
        "no",
        "listen_backlog",
        "512",
        "connection_queue",
        "16",
        "enable_auth_domain_check",
        "no",
        "access_control_allow_methods",
        "",
        NULL,
    };
    /* No access log: the library would call localtime() from all its threads (a data race). */
    struct mg_callbacks callbacks = {.begin_request = begin_request,
                                     .http_error = http_error,
                                     .log_message = log_message,
                                     .init_connection = init_connection,
                                     .connection_close = connection_close};
    struct mg_error_data error = {.text = e->msg, .text_buffer_size = sizeof e->msg};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = h, .configuration_options = options};
    h->ctx = mg_start2(&init, &error);
    struct mg_server_port port;
    if (h->ctx == NULL)
        return err_set(e, ST_IO, "listen tcp %s: bind: address already in use or not available",
                       ports);
    if (mg_get_server_ports(h->ctx, 1, &port) != 1) return err_set(e, ST_INTERNAL, "no port");
    h->port = h->inner_port = port.port;
    return ST_OK;
}

static enum status open_relay(struct http *h, const struct http_params *p, struct err *e) {
    const struct relay_params rp = {.host = p->host,
                                    .port = p->port,
                                    .tls_cert = p->tls_cert,
                                    .tls_key = p->tls_key,
                                    .max_connections = h->max_conns,
                                    .handshake_ms = h->limits.handshake_ms};
    return needs_relay(p) ? relay_open(&h->relay, &rp, e) : ST_OK;
}

static enum status start_relay(struct http *h, struct err *e) {
    if (h->relay == NULL) return ST_OK;
    h->port = relay_port(h->relay);
    return relay_start(h->relay, h->inner_port, e);
}

enum status http_open(struct http **out, const struct http_params *p, struct err *e) {
    struct err local;
    struct http *h = mem_zalloc(1, sizeof *h);
    if (h == NULL) return err_no_memory(e);
    h->handler = p->handler;
    h->arg = p->arg;
    h->limits = p->limits != NULL ? *p->limits : http_default_limits;
    pthread_mutex_init(&h->mutex, NULL);
    h->max_conns = http_room(p->n_threads, needs_relay(p) ? 3 : 1);
    enum status st = http_watcher_open(&h->watcher, h, e);
    if (st == ST_OK) st = open_relay(h, p, e);
    if (st == ST_OK) st = start(h, p, e != NULL ? e : &local);
    if (st == ST_OK) st = start_relay(h, e);
    if (st != ST_OK) {
        http_close(h);
        return st;
    }
    *out = h;
    return ST_OK;
}

void http_close(struct http *h) {
    if (h == NULL) return;
    if (h->ctx != NULL) http_stop_library(h->ctx, h->inner_port);
    relay_close(h->relay);
    http_watcher_close(h->watcher);
    pthread_mutex_destroy(&h->mutex);
    mem_free(h->fresh);
    mem_free(h);
}

int http_port(const struct http *h) { return h->port; }

enum status http_reload(struct http *h, struct err *e) {
    return h->relay != NULL ? relay_reload(h->relay, e) : ST_OK;
}
