/* keys.c - see keys.h: the ring of keys, and whether a request may pass. The file: keys_file.c. */
#include "api/keys.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum { TEXT_MAX = 256 }; /* longer ones are no keys, and are not hashed */
#define MINUTE_NS 60000000000

static const struct {
    const char *name;
    unsigned bit;
} scope_row[] = {{"infer", SCOPE_INFER},
                 {"manage", SCOPE_MANAGE},
                 {"metrics", SCOPE_METRICS},
                 {"admin", SCOPE_ADMIN}};
enum { N_SCOPES = sizeof scope_row / sizeof *scope_row };

unsigned scope_by_name(const char *name) {
    for (size_t i = 0; i < N_SCOPES; i++)
        if (strcmp(scope_row[i].name, name) == 0) return scope_row[i].bit;
    return 0;
}

void scopes_put(struct buf *b, unsigned scopes) {
    bool first = true;
    for (size_t i = 0; i < N_SCOPES; i++) {
        if ((scopes & scope_row[i].bit) == 0) continue;
        buf_printf(b, "%s%s", first ? "" : ",", scope_row[i].name);
        first = false;
    }
}

struct keyring *keyring_ref(struct keyring *r) {
    pthread_mutex_lock(&r->mutex);
    r->refs++;
    pthread_mutex_unlock(&r->mutex);
    return r;
}

void keyring_free(struct keyring *r) {
    if (r == NULL) return;
    pthread_mutex_lock(&r->mutex);
    const bool last = --r->refs == 0;
    pthread_mutex_unlock(&r->mutex);
    if (!last) return;
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->keys[i].n_models; k++) mem_free(r->keys[i].models[k]);
        mem_free(r->keys[i].models);
    }
    mem_free(r->keys);
    pthread_mutex_destroy(&r->mutex);
    mem_free(r);
}

/* The one of the old ring goes on counting what began with it. */
void keyring_inherit(struct keyring *r, struct keyring *old) {
    pthread_mutex_lock(&old->mutex);
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < old->n; k++) {
            if (strcmp(r->keys[i].id, old->keys[k].id) != 0) continue;
            r->keys[i].window_ns = old->keys[k].window_ns;
            r->keys[i].n_requests = old->keys[k].n_requests;
            r->keys[i].n_tokens = old->keys[k].n_tokens;
        }
    pthread_mutex_unlock(&old->mutex);
}

/* ---- whose key is it ---- */

/* Every key is compared, whole, whatever is found on the way. */
static struct api_key *find(const struct keyring *r, const char *text) {
    unsigned char hash[DIGEST_BYTES];
    size_t found = r->n;
    struct digest *d = strlen(text) <= TEXT_MAX ? digest_new() : NULL;
    if (d == NULL) return NULL;
    digest_update(d, text, strlen(text));
    digest_finish(d, hash);
    for (size_t i = 0; i < r->n; i++) {
        const bool same = CRYPTO_memcmp(hash, r->keys[i].sha256, sizeof hash) == 0;
        found = same ? i : found;
    }
    OPENSSL_cleanse(hash, sizeof hash);
    return found < r->n ? &r->keys[found] : NULL;
}

/* The mutex is held. */
static bool has_room(struct api_key *k, int64_t now) {
    const struct key_limits *l = &k->limits;
    if (k->window_ns == 0 || now - k->window_ns >= MINUTE_NS) {
        k->window_ns = now;
        k->n_requests = 0;
        k->n_tokens = 0;
    }
    return (l->requests_per_minute == 0 || k->n_requests < l->requests_per_minute) &&
           (l->tokens_per_minute == 0 || k->n_tokens < l->tokens_per_minute) &&
           (l->concurrent == 0 || k->n_running < l->concurrent);
}

enum key_verdict keyring_enter(struct keyring *r, const char *text, enum key_scope scope,
                               struct api_key **out) {
    struct api_key *k = find(r, text);
    *out = NULL;
    if (k == NULL) return KEY_UNKNOWN;
    if (k->expires != 0 && os_time_unix_ns() / 1000000000 >= k->expires) return KEY_UNKNOWN;
    if ((k->scopes & ((unsigned)scope | SCOPE_ADMIN)) == 0) return KEY_NO_SCOPE;
    pthread_mutex_lock(&r->mutex);
    const bool room = has_room(k, os_time_mono_ns());
    if (room) {
        k->n_requests++;
        k->n_running++;
    }
    pthread_mutex_unlock(&r->mutex);
    if (!room) return KEY_TOO_MANY;
    *out = k;
    return KEY_OK;
}

void keyring_leave(struct keyring *r, struct api_key *k) {
    pthread_mutex_lock(&r->mutex);
    k->n_running--;
    pthread_mutex_unlock(&r->mutex);
}

void keyring_charge(struct keyring *r, struct api_key *k, uint64_t n_tokens) {
    pthread_mutex_lock(&r->mutex);
    k->n_tokens += n_tokens;
    pthread_mutex_unlock(&r->mutex);
}

bool key_allows(const struct api_key *k, const char *model) {
    for (size_t i = 0; i < k->n_models; i++)
        if (strcmp(k->models[i], model) == 0) return true;
    return k->n_models == 0;
}
