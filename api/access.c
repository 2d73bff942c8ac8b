/* access.c - see access.h. */
#include "api/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/answer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#define LOOK_NS 1000000000 /* the file is looked at once a second at most */

/* ---- which keys count ---- */

/* Prompts of those who have keys, and the keys in their headers, must not end in a file (S-LC-9).
 */
static void no_core_dumps(void) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void stamp_of(const char *path, int64_t out[3]) {
    struct stat info;
    if (path == NULL || stat(path, &info) != 0) {
        out[0] = out[1] = out[2] = 0;
        return;
    }
    out[0] = (int64_t)info.st_ino;
    out[1] = (int64_t)info.st_size;
    out[2] = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
}

/* The mutex is held, or nobody else is there yet. */
static enum status look(struct access *a, struct err *e) {
    struct keyring *r;
    int64_t stamp[3];
    stamp_of(a->path, stamp);
    a->looked_ns = os_time_mono_ns();
    if (a->ring != NULL && memcmp(stamp, a->stamp, sizeof stamp) == 0) return ST_OK;
    enum status st =
        a->path != NULL ? keyring_read(&r, a->path, e) : keyring_parse(&r, "{\"keys\":[]}", 11, e);
    memcpy(a->stamp, stamp, sizeof stamp); /* a broken file is told once */
    if (st != ST_OK) return st;
    if (a->ring != NULL) {
        keyring_inherit(r, a->ring);
        log_info("keys", "%zu keys", r->n);
    }
    keyring_free(a->ring);
    a->ring = r;
    if (r->n > 0) no_core_dumps();
    if (r->n > 0) mem_wipe_freed(); /* what one key asked, another does not get (S-LC-8) */
    return ST_OK;
}

static struct keyring *current(struct access *a, bool now) {
    struct err e;
    pthread_mutex_lock(&a->mutex);
    if (now || os_time_mono_ns() - a->looked_ns >= LOOK_NS)
        if (look(a, &e) != ST_OK) log_error("keys", "%s; the former keys still count", e.msg);
    struct keyring *r = keyring_ref(a->ring);
    pthread_mutex_unlock(&a->mutex);
    return r;
}

enum status access_open(struct access *a, char *path, struct err *e) {
    *a = (struct access){.path = path};
    pthread_mutex_init(&a->mutex, NULL);
    return look(a, e);
}

void access_close(struct access *a) {
    keyring_free(a->ring);
    mem_free(a->path);
    pthread_mutex_destroy(&a->mutex);
    *a = (struct access){.path = NULL};
}

void access_reload(struct access *a) { keyring_free(current(a, true)); }

bool access_has_keys(struct access *a) {
    struct keyring *r = current(a, false);
    const bool any = r->n > 0;
    keyring_free(r);
    return any;
}

/* ---- one request ---- */

/* What the client shows: "Authorization: Bearer KEY", else "x-api-key: KEY"; NULL. */
static const char *presented(const struct http_exchange *x) {
    const char *text = http_header(x, "Authorization");
    if (text == NULL || strncasecmp(text, "Bearer ", 7) != 0) return http_header(x, "x-api-key");
    return text + 7 + strspn(text + 7, " ");
}

static enum dialect dialect_of(const struct http_exchange *x) {
    const char *path = http_path(x);
    return strncmp(path, "/v1/messages", 12) == 0 ? DIALECT_ANTHROPIC
           : strncmp(path, "/v1/", 4) == 0        ? DIALECT_OPENAI
                                                  : DIALECT_NATIVE;
}

/* The body of 401 is the same for no key, an unknown and an expired one. */
static void refuse(struct http_exchange *x, enum key_verdict v) {
    static const struct {
        int status;
        const char *message;
    } row[] = {[KEY_UNKNOWN] = {401, "a valid API key is needed"},
               [KEY_NO_SCOPE] = {403, "this API key may not do that"},
               [KEY_TOO_MANY] = {429, "too many requests for this API key"}};
    if (v == KEY_UNKNOWN) http_add_header(x, "WWW-Authenticate", "Bearer");
    if (v == KEY_TOO_MANY) http_add_header(x, "Retry-After", "60");
    http_close_after(x); /* the body is not read */
    answer_error(x, dialect_of(x), row[v].status, TYPE_JSON_UTF8, row[v].message);
}

bool access_enter(struct access *a, struct http_exchange *x, enum key_scope scope, struct pass *p) {
    *p = (struct pass){.ring = NULL};
    if (scope == SCOPE_OPEN || (scope == SCOPE_METRICS && http_is_local(x))) return true;
    struct keyring *r = current(a, false);
    const char *text = presented(x);
    enum key_verdict v = text != NULL ? KEY_OK : KEY_UNKNOWN;
    struct api_key *k = NULL;
    if (r->n == 0)
        v = scope == SCOPE_METRICS ? KEY_NO_SCOPE : KEY_OK;
    else if (text != NULL)
        v = keyring_enter(r, text, scope, &k);
    if (k == NULL) keyring_free(r);
    if (v != KEY_OK) {
        refuse(x, v);
        return false;
    }
    if (k != NULL) *p = (struct pass){r, k};
    return true;
}

void access_leave(struct pass *p) {
    if (p->key == NULL) return;
    keyring_leave(p->ring, p->key);
    keyring_free(p->ring);
    *p = (struct pass){.ring = NULL};
}
