/* http_test.c - the wrapper over real sockets: strict heads (the table of spec/dependencies.md 4),
 * bodies, framing, clients that go away, quick stop. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_testing.h"
#include "base/mem.h"
#include "base/os.h"

static struct http *server;
static sem_t waiting, gone, flooded;

static void on_gone(void *arg) { sem_post(arg); }

/* "/echo": the body; "/stream": three pieces; "/wait": until the client goes; else the path. */
static void handler(void *arg, struct http_exchange *x) {
    struct buf body = {0};
    struct err e;
    (void)arg;
    if (strcmp(http_path(x), "/stream") == 0) {
        http_stream(x, 200, "text/plain");
        for (int i = 0; i < 3; i++) http_write(x, "ab", 2);
        http_stream_end(x);
    } else if (strcmp(http_path(x), "/wait") == 0) {
        http_watch(x, on_gone, &gone);
        sem_post(&waiting);
        sem_wait(&gone);
        http_unwatch(x);
        http_answer_text(x, 200, NULL, "late");
    } else if (strcmp(http_path(x), "/flood") == 0) {
        static const char zeros[65536];
        http_stream(x, 200, "text/plain");
        while (http_write(x, zeros, sizeof zeros) == ST_OK) continue;
        sem_post(&flooded);
    } else if (strcmp(http_path(x), "/ignore") == 0) {
        http_answer_text(x, 200, "text/plain", "no body wanted");
    } else if (http_read_all(x, 100000, &body, &e) != ST_OK) {
        http_answer_text(x, e.code == ST_LIMIT ? 413 : 400, "text/plain", e.msg);
    } else if (body.len > 0) {
        http_answer(x, 200, "text/plain", body.data, body.len);
    } else {
        http_answer_text(x, 200, "text/plain", http_path(x));
    }
    buf_free(&body);
}

static int setup(void **state) {
    (void)state;
    struct err e;
    struct http_params p = {.host = "127.0.0.1", .handler = handler, .n_threads = 4};
    sem_init(&waiting, 0, 0);
    sem_init(&gone, 0, 0);
    sem_init(&flooded, 0, 0);
    if (http_open(&server, &p, &e) != ST_OK) return -1;
    return http_port(server) > 0 ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    http_close(server);
    return 0;
}

static int dial(void) { return http_dial(server, 5); }

static void send_all(int fd, const char *text, size_t n) {
    while (n > 0) {
        ssize_t k = send(fd, text, n, MSG_NOSIGNAL);
        if (k <= 0) return; /* the server may refuse early */
        text += k;
        n -= (size_t)k;
    }
}

/* Everything until the server closes (requests end the connection, or we shut our side). */
static char *exchange(const char *request, size_t n) {
    struct buf b = {0};
    char part[4096];
    int fd = dial();
    send_all(fd, request, n);
    shutdown(fd, SHUT_WR);
    for (ssize_t k; (k = recv(fd, part, sizeof part, 0)) > 0;) buf_add(&b, part, (size_t)k);
    close(fd);
    return buf_take(&b);
}

static void expect(const char *request, const char *part) {
    char *answer = exchange(request, strlen(request));
    if (strstr(answer, part) == NULL) print_error("request:\n%s\nanswer:\n%s\n", request, answer);
    assert_non_null(strstr(answer, part));
    mem_free(answer);
}

#define HEAD "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

static void test_strict_heads(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer;
    } row[] = {
        {"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"},
        {"GET /a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"},
        {"GET /a HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"},
        {"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /a HTTP/1.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
        {"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
        {"GET /a HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /a HTTP/1.1\r\nHost: x\r\nA:b:c  \r\nB:\r\n\r\n", "HTTP/1.1 200 "},
        {"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", "HTTP/1.1 400 "},
        {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "},
        {HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 400 "},
        {HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", "\r\n\r\nab"},
        {HEAD "Content-Length: +2\r\n\r\nab", "HTTP/1.1 400 "},
        {HEAD "Content-Length: 0x2\r\n\r\nab", "HTTP/1.1 400 "},
        {HEAD "Content-Length: -2\r\n\r\nab", "HTTP/1.1 4"}, /* the library's own 411 */
        {HEAD "Content-Length: 99999999999999999999\r\n\r\nab", "HTTP/1.1 400 "},
        {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "},
        {HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "},
        {HEAD "Content-Length: 200000\r\n\r\n", "HTTP/1.1 413 "},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) expect(row[i].request, row[i].answer);
}

static void test_too_many_headers(void **state) {
    (void)state;
    struct buf b = {0};
    buf_str(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 100; i++) buf_printf(&b, "X-%d: y\r\n", i);
    buf_str(&b, "\r\n");
    expect(b.data, "HTTP/1.1 431 ");
    buf_free(&b);
}

static void test_bodies(void **state) {
    (void)state;
    expect(HEAD "Content-Length: 5\r\n\r\nhello", "Content-Length: 5\r\n");
    expect(HEAD "Content-Length: 5\r\n\r\nhello", "\r\n\r\nhello");
    expect(HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
           "\r\n\r\nhello");
    expect(HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nhe\r\n0\r\n\r\n",
           "malformed chunked body");
    expect(HEAD "Content-Length: 9\r\n\r\nhello", "unexpected EOF");
    expect(HEAD "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 100 Continue\r\n");
}

/* Longer than all buffers on the way; read piecewise. */
static void test_long_body(void **state) {
    (void)state;
    struct buf b = {0};
    buf_str(&b, HEAD "Content-Length: 90000\r\n\r\n");
    for (int i = 0; i < 90000; i++) buf_chr(&b, (char)('a' + i % 26));
    char *answer = exchange(b.data, b.len);
    char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen(body + 4), 90000);
    mem_free(answer);
    buf_free(&b);
}

static void test_framing(void **state) {
    (void)state;
    expect("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "\r\n\r\n2\r\nab\r\n2\r\nab\r\n2\r\nab\r\n0\r\n\r\n");
    expect("GET /stream HTTP/1.0\r\n\r\n", "\r\n\r\nababab");
    expect("HEAD /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "Content-Length: 4\r\n\r\n");
    /* a body that nobody read is not the next request */
    expect("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
           "GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "\r\n\r\n/second");
}

/* ---- times (S-NET-8): each of these connections would stay for ever ---- */

static const struct http_limits short_limits = {.first_byte_ms = 200,
                                                .head_ms = 400,
                                                .body_window_ms = 300,
                                                .body_window_bytes = 1024,
                                                .stall_ms = 400,
                                                .tick_ms = 50,
                                                .per_address = 256};

/* Sends what there is, then a byte every 20 ms while `drip` is not 0, until the server ends the
 * connection. NULL: it never did (10 s). */
static char *sent_slowly(struct http *h, const char *request, size_t n, char drip) {
    struct http *other = server;
    struct buf b = {0};
    char part[4096];
    bool ended = false;
    server = h;
    const int fd = dial();
    server = other;
    const struct timeval moment = {.tv_usec = 20000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment);
    send_all(fd, request, n);
    for (int i = 0; i < 500 && !ended; i++) {
        const ssize_t k = recv(fd, part, sizeof part, 0);
        ended = k == 0 || (k < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
        if (k > 0) buf_add(&b, part, (size_t)k);
        if (!ended && drip != 0) send(fd, &drip, 1, MSG_NOSIGNAL);
    }
    close(fd);
    char *text = buf_take(&b);
    if (ended) return text;
    mem_free(text);
    return NULL;
}

static struct http *impatient(void) {
    struct http *h;
    const struct http_params p = {
        .host = "127.0.0.1", .handler = handler, .n_threads = 4, .limits = &short_limits};
    assert_int_equal(http_open(&h, &p, NULL), ST_OK);
    return h;
}

static void test_sec_S_NET_8_slow_clients(void **state) {
    (void)state;
    static const struct {
        const char *request;
        char drip;
    } row[] = {
        {"", 0},                                                          /* nothing at all */
        {"GET / HT", 0},                                                  /* then nothing */
        {"GET / HTTP/1.1\r\nHost: x\r\nA: ", 'a'},                        /* slowloris */
        {"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nA: ", 'a'}, /* its second request */
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n", 'a'},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nabc", 0},
    };
    struct http *h = impatient();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *answer = sent_slowly(h, row[i].request, strlen(row[i].request), row[i].drip);
        if (answer == NULL) print_error("still open: %s\n", row[i].request);
        assert_non_null(answer);
        mem_free(answer);
    }
    http_close(h);
}

/* All threads are kept waiting, and yet a client is served. */
static void test_sec_S_NET_8_slowloris_ends(void **state) {
    (void)state;
    struct http *h = impatient(), *other = server;
    int fd[12];
    server = h;
    for (size_t i = 0; i < 12; i++) {
        fd[i] = dial();
        send_all(fd[i], "GET / HT", 8);
    }
    static const char next[] = "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    bool served = false; /* 503 while there are too many, and then no longer */
    for (int i = 0; i < 500 && !served; i++) {
        char *answer = exchange(next, sizeof next - 1);
        served = strstr(answer, "HTTP/1.1 200") != NULL;
        mem_free(answer);
        if (!served) usleep(20000);
    }
    server = other;
    assert_true(served);
    for (size_t i = 0; i < 12; i++) close(fd[i]);
    http_close(h);
}

/* A stream that nobody reads ends; the handler is told. */
static void test_sec_S_NET_8_a_client_that_does_not_read(void **state) {
    (void)state;
    static const char request[] = "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n";
    struct http *h = impatient(), *other = server;
    server = h;
    const int fd = dial();
    server = other;
    send_all(fd, request, sizeof request - 1);
    sem_wait(&flooded);
    close(fd);
    http_close(h);
}

static void *close_later(void *arg) {
    sem_wait(&waiting);
    close(*(int *)arg);
    return NULL;
}

static void test_client_gone(void **state) {
    (void)state;
    static const char request[] = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    pthread_t thread;
    int fd = dial();
    send_all(fd, request, sizeof request - 1);
    pthread_create(&thread, NULL, close_later, &fd);
    pthread_join(thread, NULL);
    /* the handler ends only because it is told; the next request needs a thread, too */
    expect("GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "/after");
}

static void test_stop_is_quick(void **state) {
    (void)state;
    struct http *h;
    struct http_params p = {.host = "127.0.0.1", .handler = handler, .n_threads = 4};
    assert_int_equal(http_open(&h, &p, NULL), ST_OK);
    struct http *other = server;
    server = h;
    int fd = dial(); /* an idle connection must not hold it up */
    server = other;
    double start = os_time_mono();
    http_close(h);
    assert_true(os_time_mono() - start < 1.0);
    close(fd);
}

static void test_port_in_use(void **state) {
    (void)state;
    struct http *h;
    struct err e;
    struct http_params p = {
        .host = "127.0.0.1", .port = http_port(server), .handler = handler, .n_threads = 1};
    assert_int_equal(http_open(&h, &p, &e), ST_IO);
    assert_non_null(strstr(e.msg, "listen tcp 127.0.0.1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict_heads),
        cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_sec_S_NET_8_slow_clients),
        cmocka_unit_test(test_sec_S_NET_8_slowloris_ends),
        cmocka_unit_test(test_sec_S_NET_8_a_client_that_does_not_read),
        cmocka_unit_test(test_stop_is_quick),
        cmocka_unit_test(test_port_in_use),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
