/* server_test.c - a whole server in this process, over a scripted model of the golden set: answers,
 * clients that hang up, many at once with reloads and unloads, an end in the middle of a stream.
 * Skipped where the golden set is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/server.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store.h"

#define MODEL "../shared/golden/api/models/chat-a.gguf"

static struct store *store;
static struct server *server;
static struct os_map weights;
static char folder[] = "/tmp/cria-server-test-XXXXXX";

static int setup(void **state) {
    (void)state;
    struct err e;
    /* The last character of the conversation tells the model what to say. */
    struct store_builtin builtin = {
        .name = "scripted",
        .template = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}"};
    struct server_params p = {.n_threads = 12};
    if (!os_file_exists(MODEL)) return 0;
    unsetenv("CRIA_BUILTIN");
    setenv("CRIA_NUM_PARALLEL", "4", 1); /* streams of all dialects at once */
    if (mkdtemp(folder) == NULL || os_map_open(&weights, MODEL, &e) != ST_OK) return -1;
    if (store_open(&store, folder, &e) != ST_OK) return -1;
    builtin.gguf = weights.data;
    builtin.size = weights.size;
    p.store = store;
    if (store_add_builtin(store, &builtin, &e) != ST_OK) return -1;
    return server_open(&server, &p, &e) == ST_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    server_close(server);
    store_close(store);
    os_map_close(&weights);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return folder[sizeof folder - 2] == 'X' ? 0 : system(command);
}

static int post(const char *path, const char *body) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)server_port(server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 60};
    struct buf b = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    buf_printf(
        &b,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        path, strlen(body), body);
    if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0) perror("send");
    buf_free(&b);
    return fd;
}

static char *answer(int fd) {
    struct buf b = {0};
    char part[4096];
    for (ssize_t k; (k = recv(fd, part, sizeof part, 0)) > 0;) buf_add(&b, part, (size_t)k);
    close(fd);
    return buf_take(&b);
}

static bool answers(const char *path, const char *body, const char *part) {
    char *text = answer(post(path, body));
    bool ok = strstr(text, part) != NULL;
    if (!ok) print_error("%s\n%s\n", body, text);
    mem_free(text);
    return ok;
}

#define NEEDS_MODEL                                                                                \
    (void)state;                                                                                   \
    if (server == NULL) skip()

static void test_answers(void **state) {
    NEEDS_MODEL;
    assert_true(answers("/api/generate",
                        "{\"model\":\"scripted\",\"prompt\":\"1\",\"stream\":false}",
                        "\"response\":\"Hello there friend.\""));
    assert_true(
        answers("/v1/chat/completions",
                "{\"model\":\"scripted\",\"messages\":[{\"role\":\"user\",\"content\":\"1\"}]}",
                "\"finish_reason\":\"stop\""));
    assert_true(answers("/api/generate", "{\"model\":\"none\"}", "HTTP/1.1 404 "));
}

#define ENDLESS "{\"model\":\"scripted\",\"prompt\":\"r\",\"options\":{\"num_predict\":5000}}"

/* The slot of a client that has gone is free for the next one. */
static void test_hang_up(void **state) {
    NEEDS_MODEL;
    char part[256];
    int fd = post("/api/generate", ENDLESS);
    assert_true(recv(fd, part, sizeof part, 0) > 0);
    close(fd);
    double start = os_time_mono();
    assert_true(answers("/api/generate",
                        "{\"model\":\"scripted\",\"prompt\":\"1\",\"stream\":false}", "friend."));
    assert_true(os_time_mono() - start < 5);
}

static void *client(void *arg) {
    unsigned n = (unsigned)(uintptr_t)arg;
    char body[256];
    for (unsigned i = 0; i < 6; i++) {
        /* every other request reloads the model, every third unloads it */
        snprintf(body, sizeof body,
                 "{\"model\":\"scripted\",\"prompt\":\"1\",\"stream\":%s,\"options\":{\"num_ctx\":%"
                 "u}%s}",
                 i % 2 == 0 ? "true" : "false", (n + i) % 2 == 0 ? 64U : 128U,
                 i % 3 == 2 ? ",\"keep_alive\":0" : "");
        if (!answers("/api/generate", body, "\"done\":true")) return arg;
        if (!answers("/api/show", "{\"model\":\"scripted\"}", "model_info")) return arg;
        if (i % 3 == 1) { /* and some do not wait for the answer */
            int fd = post("/api/generate", ENDLESS);
            if (fd >= 0) close(fd);
        }
    }
    return NULL;
}

static void test_many(void **state) {
    NEEDS_MODEL;
    pthread_t thread[6];
    for (size_t i = 0; i < 6; i++)
        pthread_create(&thread[i], NULL, client, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < 6; i++) {
        void *result;
        pthread_join(thread[i], &result);
        assert_null(result);
    }
}

static void test_dialects(void **state) {
    NEEDS_MODEL;
#define SAY(text)                                                                                  \
    "\"model\":\"scripted\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"
    assert_true(answers("/v1/completions", "{\"model\":\"scripted\",\"prompt\":\"1\"}",
                        "\"text\":\"Hello there friend.\""));
    assert_true(answers("/v1/responses", "{\"model\":\"scripted\",\"input\":\"1\"}",
                        "\"text\":\"Hello there friend.\""));
    assert_true(answers("/v1/messages", "{\"max_tokens\":9," SAY("1") "}",
                        "\"text\":\"Hello there friend.\""));
    assert_true(answers("/v1/messages/count_tokens", "{" SAY("1") "}", "{\"input_tokens\":"));
    assert_true(answers("/v1/messages", "{" SAY("1") "}", "max_tokens is required"));
    assert_true(answers("/tokenize", "{\"model\":\"scripted\",\"content\":\"1\"}", "\"count\":"));
    assert_true(answers("/apply-template", "{" SAY("1") "}", "\"prompt\":"));
}

/* The last test: nothing is left to talk to. A stream that has begun tells its error in the way of
 * its dialect. */
static void test_end_in_a_stream(void **state) {
    NEEDS_MODEL;
#define MANY "\"stream\":true,\"options\":{\"num_predict\":100000}"
    static const struct {
        const char *path, *body, *end;
    } row[] = {
        {"/api/generate", ENDLESS, "{\"error\":\"request canceled\"}\n"},
        {"/v1/chat/completions", "{" SAY("r") "," MANY "}",
         "data: {\"error\":{\"message\":\"request canceled\",\"type\":\"api_error\""},
        {"/v1/responses", "{\"model\":\"scripted\",\"input\":\"r\"," MANY "}",
         "event: response.failed\ndata: {\"type\":\"response.failed\","},
        {"/v1/messages", "{\"max_tokens\":100000," SAY("r") "," MANY "}",
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
         "\"request canceled\"}"}};
    enum { N_ROWS = sizeof row / sizeof *row };
    char part[256];
    int fd[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) {
        fd[i] = post(row[i].path, row[i].body);
        assert_true(recv(fd[i], part, sizeof part, 0) > 0);
    }
    double start = os_time_mono();
    server_close(server);
    server = NULL;
    assert_true(os_time_mono() - start < 5);
    for (size_t i = 0; i < N_ROWS; i++) {
        char *rest = answer(fd[i]);
        if (strstr(rest, row[i].end) == NULL) fail_msg("%s: %s", row[i].path, rest);
        assert_null(strstr(rest, "[DONE]"));
        mem_free(rest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_dialects),
                                       cmocka_unit_test(test_hang_up), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_end_in_a_stream)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
