/* route_registry.c - GET and HEAD below /v2/: the store as a registry for others in the network, to
 * be read only, and only if the setting says so (`serve --registry`). OCI distribution: manifests
 * by tag or digest, blobs with ranges, the list of tags. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/server_impl.h"
#include "base/config.h"
#include "base/mem.h"
#include "store/shelf.h"

route_fn route_registry;

enum { REPOSITORY_MAX = 512, PIECE = 1 << 20 };
#define MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"

/* The errors of the protocol. */
static void refuse(struct http_exchange *x, int status, const char *code, const char *message) {
    struct buf b = {0};
    buf_str(&b, "{\"errors\":[{");
    json_put_field(&b, "code", code);
    json_put_field(&b, "message", message);
    buf_str(&b, "}]}\n");
    answer_json(x, status, TYPE_JSON, &b);
}

static void refuse_err(struct http_exchange *x, const char *unknown, const struct err *e) {
    if (e->code == ST_NOT_FOUND)
        refuse(x, 404, unknown, e->msg);
    else if (e->code == ST_INVALID)
        refuse(x, 400, "DIGEST_INVALID", e->msg);
    else
        refuse(x, 500, "UNKNOWN", e->msg);
}

/* ---- manifests and tags ---- */

static void give_manifest(const struct route_call *c, const char *repository,
                          const char *reference) {
    char *text, digest[STORE_DIGEST_TEXT], tag[STORE_DIGEST_TEXT + 2];
    size_t len;
    struct err e;
    if (shelf_manifest(c->server->store, repository, reference, &text, &len, digest, &e) != ST_OK) {
        refuse_err(c->x, "MANIFEST_UNKNOWN", &e);
        return;
    }
    snprintf(tag, sizeof tag, "\"%s\"", digest);
    http_add_header(c->x, "Docker-Content-Digest", digest);
    http_add_header(c->x, "ETag", tag);
    http_answer(c->x, 200, MANIFEST_TYPE, text, len);
    mem_free(text);
}

static void give_tags(const struct route_call *c, const char *repository) {
    struct buf tags = {0}, b = {0};
    struct err e;
    if (shelf_tags(c->server->store, repository, &tags, &e) != ST_OK) {
        refuse_err(c->x, "NAME_UNKNOWN", &e);
    } else {
        buf_chr(&b, '{');
        json_put_field(&b, "name", repository);
        buf_printf(&b, ",\"tags\":[%s]}\n", tags.data);
        answer_json(c->x, 200, TYPE_JSON, &b);
    }
    buf_free(&tags);
}

/* ---- blobs ---- */

struct span {
    uint64_t from, to; /* the last byte, too */
    bool part;
};

/* "bytes=A-B", "bytes=A-", "bytes=-N". Anything else, several ranges too, is the whole. False: no
 * byte of it is there. */
static bool read_range(const char *text, uint64_t size, struct span *s) {
    unsigned long long a, b;
    char end;
    *s = (struct span){.to = size > 0 ? size - 1 : 0};
    if (text == NULL || strncmp(text, "bytes=", 6) != 0 || strpbrk(text, ",+ ") != NULL)
        return true;
    text += 6;
    if (sscanf(text, "-%llu%c", &b, &end) == 1) {
        s->part = true;
        s->from = b < size ? size - b : 0;
        return b > 0 && size > 0;
    }
    if (*text < '0' || *text > '9') return true;
    const int n = sscanf(text, "%llu-%llu%c", &a, &b, &end);
    if (n == 3 || strchr(text, '-') == NULL || (n == 1 && text[strlen(text) - 1] != '-'))
        return true;
    if (n == 2 && b < a) return true;
    s->part = true;
    s->from = a;
    if (n == 2 && b < s->to) s->to = b;
    return a < size;
}

static void send_bytes(struct http_exchange *x, int fd, uint64_t from, uint64_t n) {
    char *room = n > 0 ? mem_alloc(PIECE) : NULL;
    while (n > 0 && room != NULL) {
        const size_t want = n < PIECE ? (size_t)n : PIECE;
        ssize_t got = pread(fd, room, want, (off_t)from);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break; /* truncated by somebody: the client sees the missing bytes */
        if (http_write(x, room, (size_t)got) != ST_OK) break;
        from += (uint64_t)got;
        n -= (uint64_t)got;
    }
    if (n > 0) http_abort(x);
    mem_free(room);
}

static void give_blob(const struct route_call *c, const char *repository, const char *digest) {
    static const char type[] = "application/octet-stream";
    int fd;
    uint64_t size;
    struct err e;
    struct span s;
    char text[96];
    if (shelf_blob(c->server->store, repository, digest, &fd, &size, &e) != ST_OK) {
        refuse_err(c->x, "BLOB_UNKNOWN", &e);
        return;
    }
    const bool ok = read_range(http_header(c->x, "Range"), size, &s);
    http_add_header(c->x, "Accept-Ranges", "bytes");
    http_add_header(c->x, "Docker-Content-Digest", digest);
    if (!ok || s.part) {
        if (ok)
            snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)s.from,
                     (unsigned long long)s.to, (unsigned long long)size);
        else
            snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        http_add_header(c->x, "Content-Range", text);
    }
    if (!ok) {
        refuse(c->x, 416, "RANGE_INVALID", "no byte of this range is there");
    } else {
        const uint64_t n = size > 0 ? s.to - s.from + 1 : 0;
        http_sized(c->x, s.part ? 206 : 200, type, n);
        if (strcmp(http_method(c->x), "HEAD") != 0) send_bytes(c->x, fd, s.from, n);
    }
    close(fd);
}

/* ---- the way in ---- */

void route_registry(const struct route_call *c) {
    static const char manifests[] = "/manifests/", blobs[] = "/blobs/", tags[] = "/tags/list";
    char repository[REPOSITORY_MAX];
    if (!config_bool(SET_registry)) {
        http_answer_text(c->x, 404, TYPE_TEXT, "404 page not found");
        return;
    }
    http_add_header(c->x, "Docker-Distribution-Api-Version", "registry/2.0");
    const char *rest = c->param, *what;
    if (*rest == '\0') {
        http_answer_text(c->x, 200, TYPE_JSON, "{}");
        return;
    }
    if ((what = strstr(rest, manifests)) == NULL && (what = strstr(rest, blobs)) == NULL)
        what = strstr(rest, tags);
    if (what == NULL || (size_t)(what - rest) >= sizeof repository) {
        refuse(c->x, 404, "NAME_UNKNOWN", "repository name not known to registry");
        return;
    }
    memcpy(repository, rest, (size_t)(what - rest));
    repository[what - rest] = '\0';
    if (strncmp(what, manifests, sizeof manifests - 1) == 0)
        give_manifest(c, repository, what + sizeof manifests - 1);
    else if (strncmp(what, blobs, sizeof blobs - 1) == 0)
        give_blob(c, repository, what + sizeof blobs - 1);
    else
        give_tags(c, repository);
}
