/* request_log.c - see request_log.h. */
#include "api/request_log.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

struct request_log {
    int dir;
    atomic_uint n; /* requests written, or begun */
};

struct request_log *request_log_open(void) {
    struct buf path = {0};
    struct request_log *l = config_bool(SET_debug_log_requests) ? mem_zalloc(1, sizeof *l) : NULL;
    const char *temp = getenv("TMPDIR");
    if (l == NULL) return NULL;
    buf_printf(&path, "%s/cria-requests-XXXXXX", temp != NULL && *temp != '\0' ? temp : "/tmp");
    const bool made = !path.failed && mkdtemp(path.data) != NULL; /* mode 0700 */
    l->dir = made ? open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (l->dir < 0) {
        struct err e;
        os_fail(&e, "debug_log_requests: make", path.failed ? "" : path.data);
        log_error("requests", "%s", e.msg);
        mem_free(l);
        l = NULL;
    } else {
        log_warn("requests", "all requests for answers are written to %s", path.data);
    }
    buf_free(&path);
    return l;
}

void request_log_close(struct request_log *l) {
    if (l == NULL) return;
    close(l->dir);
    mem_free(l);
}

static void put(const struct request_log *l, const char *name, const char *data, size_t len) {
    const int fd = openat(l->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t done = 0;
    ssize_t n = fd < 0 ? -1 : 0;
    while (n >= 0 && done < len) {
        n = write(fd, data + done, len - done);
        if (n > 0) done += (size_t)n;
    }
    if (fd < 0 || n < 0) {
        struct err e;
        os_fail(&e, "write", name);
        log_warn("requests", "%s", e.msg);
    }
    if (fd >= 0) close(fd);
}

/* "/api/chat" -> "00000001_api_chat". */
static void put_name(struct buf *b, unsigned n, const char *route) {
    buf_printf(b, "%08u", n);
    for (; *route != '\0'; route++) buf_chr(b, *route == '/' ? '_' : *route);
}

/* A host may have characters in it that mean something to a shell. */
static const char *plain_host(const char *host) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    return *host != '\0' && host[strspn(host, plain)] == '\0' ? host : "127.0.0.1:11434";
}

/* Routes are the table's own and ids are letters, digits and "-_.:": nothing needs to be quoted. */
static void put_script(struct buf *b, const char *name, const struct request_copy *r) {
    const char *cert = config_text(SET_tls_cert);
    buf_printf(b,
               "#!/bin/sh\n"
               "# Request %s. Another server: sh %s.sh https://HOST:PORT\n"
               "cd \"$(dirname \"$0\")\" || exit 1\n"
               "exec curl -sSN ${CRIA_API_KEY:+-H \"Authorization: Bearer $CRIA_API_KEY\"} \\\n"
               "    -H 'Content-Type: application/json' --data-binary @%s.json \\\n"
               "    \"${1:-%s://%s}%s\"\n",
               r->id, name, name, cert != NULL && *cert != '\0' ? "https" : "http",
               plain_host(r->host), r->route);
}

void request_log_add(struct request_log *l, const struct request_copy *r) {
    struct buf name = {0}, file = {0}, script = {0};
    if (l == NULL) return;
    put_name(&name, atomic_fetch_add(&l->n, 1) + 1, r->route);
    buf_printf(&file, "%s.json", name.failed ? "" : name.data);
    if (!name.failed) put_script(&script, name.data, r);
    if (!name.failed && !file.failed) put(l, file.data, r->body, r->len);
    buf_printf(&name, ".sh");
    if (!name.failed && !script.failed) put(l, name.data, script.data, script.len);
    buf_free(&name);
    buf_free(&file);
    buf_free(&script);
}
