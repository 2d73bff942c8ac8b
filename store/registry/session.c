/* session.c - see session.h; the challenge: spec/store.md 5. */
#include "store/registry/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/config.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/registry/key.h"

enum { TOKEN_MAX_BYTES = 1 << 20, CHALLENGE_MAX = 4096 };

/* ---- opening ---- */

const char *session_list_next(const char **list, size_t *len) {
    if (*list == NULL) return NULL;
    const char *item = *list + strspn(*list, ", ");
    *len = strcspn(item, ", ");
    *list = item + *len;
    return *len > 0 ? item : NULL;
}

/* The setting registries: hosts; unset: any. */
static bool is_allowed(const char *host) {
    const char *list = config_text(SET_registries), *item;
    size_t len;
    if (list == NULL) return true;
    while ((item = session_list_next(&list, &len)) != NULL)
        if (len == strlen(host) && strncasecmp(item, host, len) == 0) return true;
    return false;
}

static bool copy(char **to, const char *text) {
    *to = text != NULL ? mem_strdup(text) : NULL;
    return text == NULL || *to != NULL;
}

enum status session_open(struct session *s, const struct model_name *name,
                         const struct registry_options *o, struct err *e) {
    const char *scheme = name->scheme[0] != '\0' ? name->scheme : "https";
    bool https;
    *s = (struct session){.name = *name, .insecure = o->insecure};
    if (o->insecure && strcmp(scheme, "https") == 0) scheme = "http";
    if (strcmp(scheme, "http") == 0 && !o->insecure)
        return err_set(e, ST_DENIED, "insecure protocol http");
    if (!is_allowed(name->host))
        return err_set(e, ST_DENIED, "registry %s is not among those of CRIA_REGISTRIES",
                       name->host);
    int n;
    if (o->mirror != NULL) /* who set it up decides whether it speaks TLS */
        n = snprintf(s->base, sizeof s->base, "%s/v2/%s/%s", o->mirror, name->namespace,
                     name->model);
    else
        n = snprintf(s->base, sizeof s->base, "%s://%s/v2/%s/%s", scheme, name->host,
                     name->namespace, name->model);
    if (n < 0 || (size_t)n >= sizeof s->base)
        return err_set(e, ST_INVALID, "the registry's address is too long");
    if (!url_host(s->base, s->policy.host, &https))
        return err_set(e, ST_INVALID, "%s: not an address", s->base);
    s->policy.allow_http = !https;
    if (copy(&s->user, o->username) && copy(&s->password, o->password) &&
        copy(&s->key_dir, o->key_dir) && copy(&s->mirror, o->mirror))
        return ST_OK;
    session_close(s);
    return err_no_memory(e);
}

void session_close(struct session *s) {
    mem_free(s->user);
    mem_free(s->password);
    mem_free(s->key_dir);
    mem_free(s->mirror);
    mem_free(s->token);
    *s = (struct session){0};
}

/* ---- the token ---- */

/* The value of a parameter: up to the next `"` that a comma or the end follows. */
static bool challenge_value(const char *text, const char *key, char out[CHALLENGE_MAX]) {
    const char *p = text;
    size_t n = strlen(key), len;
    for (; (p = strstr(p, key)) != NULL; p += n) {
        bool begins = p == text || p[-1] == ' ' || p[-1] == ',';
        if (begins && p[n] == '=' && p[n + 1] == '"') break;
    }
    out[0] = '\0';
    if (p == NULL) return false;
    p += n + 2;
    for (len = 0; p[len] != '\0'; len++)
        if (p[len] == '"' && (p[len + 1] == ',' || p[len + 1] == '\0')) break;
    if (len >= CHALLENGE_MAX) return false;
    memcpy(out, p, len);
    out[len] = '\0';
    return true;
}

static void put_escaped(struct buf *b, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-_.~", *p) != NULL;
        buf_printf(b, plain ? "%c" : "%%%02X", *p);
    }
}

struct query { /* key and value, still to be escaped; value may be escaped already (realm's own) */
    struct buf text;
};
enum { MAX_QUERY = 32 };

static int by_text(const void *a, const void *b) {
    return strcmp(((const struct query *)a)->text.data, ((const struct query *)b)->text.data);
}

static void add_query(struct query *q, size_t *n, const char *key, const char *value) {
    if (*n == MAX_QUERY) return;
    buf_printf(&q[*n].text, "%s=", key);
    put_escaped(&q[(*n)++].text, value);
}

/* realm + query, the parts of the query sorted. */
static enum status token_url(const char *challenge, struct buf *url, struct err *e) {
    char realm[CHALLENGE_MAX], service[CHALLENGE_MAX], scope[CHALLENGE_MAX], text[64];
    unsigned char nonce[16];
    struct buf b64 = {0};
    struct query q[MAX_QUERY] = {{{0}}};
    size_t n = 0;
    if (!challenge_value(challenge, "realm", realm))
        return err_set(e, ST_FORMAT, "the registry's challenge names no realm: %.200s", challenge);
    char *own = strchr(realm, '?');
    if (own != NULL) *own++ = '\0';
    for (char *save, *p = own ? strtok_r(own, "&", &save) : NULL; p != NULL && n < MAX_QUERY;
         p = strtok_r(NULL, "&", &save))
        buf_str(&q[n++].text, p);
    if (challenge_value(challenge, "service", service)) add_query(q, &n, "service", service);
    challenge_value(challenge, "scope", scope);
    for (char *save, *p = strtok_r(scope, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save))
        add_query(q, &n, "scope", p);
    snprintf(text, sizeof text, "%lld", (long long)(os_time_unix_ns() / 1000000000));
    add_query(q, &n, "ts", text);
    enum status st = os_random(nonce, sizeof nonce, e);
    base64_put(&b64, nonce, sizeof nonce);
    for (size_t i = 0; i < b64.len; i++) {
        if (b64.data[i] == '+') b64.data[i] = '-';
        if (b64.data[i] == '/') b64.data[i] = '_';
        if (b64.data[i] == '=') buf_cut(&b64, i);
    }
    if (!b64.failed) add_query(q, &n, "nonce", b64.data);
    bool failed = b64.failed;
    for (size_t i = 0; i < n; i++) failed = failed || q[i].text.failed;
    if (!failed) qsort(q, n, sizeof *q, by_text);
    buf_str(url, realm);
    for (size_t i = 0; i < n; i++) {
        buf_chr(url, i == 0 ? '?' : '&');
        if (!failed) buf_str(url, q[i].text.data);
        buf_free(&q[i].text);
    }
    buf_free(&b64);
    return st != ST_OK ? st : failed || url->failed ? err_no_memory(e) : ST_OK;
}

/* The realm must be the registry itself: a token for one must never be asked of another. */
static enum status check_realm(const struct session *s, const char *url, struct err *e) {
    char host[352] = "";
    bool https = false;
    url_host(url, host, &https);
    if (!fetch_is_own(&s->policy, url))
        return err_set(e, ST_DENIED, "realm host \"%s\" does not match original host \"%s\"", host,
                       s->policy.host);
    if (!https && !s->policy.allow_http)
        return err_set(e, ST_DENIED, "realm without TLS refused: %.200s", url);
    return ST_OK;
}

static enum status sign(const struct session *s, const char *url, struct buf *out, struct err *e) {
    struct key key;
    struct buf text = {0};
    char hex[DIGEST_HEX + 1];
    enum status st = key_load(&key, s->key_dir, NULL, e);
    if (st == ST_OK) st = digest_of("", 0, hex, e);
    if (st != ST_OK) return st;
    buf_printf(&text, "GET,%s,", url);
    base64_put(&text, hex, DIGEST_HEX);
    st = text.failed ? err_no_memory(e) : key_sign(&key, text.data, out, e);
    buf_free(&text);
    return st;
}

static enum status read_token(struct session *s, const struct fetch *f, struct err *e) {
    const char *data = f->answer.data != NULL ? f->answer.data : "";
    json *root = json_parse(data, f->answer.len, &json_default_limits, NULL, e);
    if (root == NULL) return err_wrap(e, "token of the registry");
    const char *text = json_string(json_get(root, "token"));
    if (text == NULL) text = json_string(json_get(root, "access_token")); /* OAuth2's name */
    enum status st = ST_OK;
    if (text == NULL || strpbrk(text, "\r\n") != NULL) {
        st = err_set(e, ST_FORMAT, "the registry's answer holds no token");
    } else {
        mem_free(s->token);
        s->token = mem_strdup(text);
        if (s->token == NULL) st = err_no_memory(e);
    }
    json_free(root);
    return st;
}

enum status session_authorize(struct session *s, const struct fetch *f, struct err *e) {
    struct buf url = {0}, signature = {0};
    struct fetch ask = {0};
    if (f->challenge == NULL) return err_set(e, ST_DENIED, "unauthorized: access denied");
    enum status st = token_url(f->challenge, &url, e);
    if (st == ST_OK) st = check_realm(s, url.data, e);
    if (st == ST_OK) st = sign(s, url.data, &signature, e);
    if (st == ST_OK) {
        fetch_init(&ask, &s->policy, "GET", buf_take(&url));
        ask.cap = TOKEN_MAX_BYTES;
        ask.user = s->user;
        ask.password = s->password;
        if (s->user == NULL) fetch_header(&ask, "Authorization: %s", signature.data);
        st = ask.url == NULL ? err_no_memory(e) : fetch_run(&ask, e);
        if (st == ST_OK && ask.code >= 400) st = session_code(&ask, e);
        if (st == ST_OK) st = read_token(s, &ask, e);
    }
    fetch_free(&ask);
    buf_free(&url);
    buf_free(&signature);
    return st;
}

/* ---- requests ---- */

enum status session_request_url(struct session *s, struct fetch *f, const char *method, char *url,
                                struct err *e) {
    fetch_init(f, &s->policy, method, url);
    return url != NULL ? ST_OK : err_no_memory(e);
}

enum status session_request(struct session *s, struct fetch *f, const char *method, struct err *e,
                            const char *format, ...) {
    struct buf url = {0};
    char rest[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(rest, sizeof rest, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof rest) return err_set(e, ST_INVALID, "path too long");
    buf_printf(&url, "%s/%s", s->base, rest);
    return session_request_url(s, f, method, buf_take(&url), e);
}

enum status session_code(const struct fetch *f, struct err *e) {
    if (f->code == 404) return err_set(e, ST_NOT_FOUND, "file does not exist");
    if (f->code == 401) return err_set(e, ST_DENIED, "unauthorized: access denied");
    return err_set(e, f->code == 403 ? ST_DENIED : ST_UNAVAILABLE, "%ld: %.300s", f->code,
                   f->answer.data != NULL ? f->answer.data : "");
}

/* The same request again: what it sends, none of what it got. */
static void reset(struct fetch *f) {
    struct fetch again = *f;
    again.url = mem_strdup(f->url);
    f->headers = NULL;
    fetch_free(f);
    *f = again;
    f->curl = NULL;
    f->answer = (struct buf){0};
    f->location = f->upload_location = f->challenge = f->content_range = NULL;
    f->code = 0;
    f->content_length = -1;
}

static enum status send_once(struct session *s, struct fetch *f, struct err *e) {
    struct curl_slist *plain = f->headers, *all = NULL;
    const bool own = fetch_is_own(&s->policy, f->url);
    for (struct curl_slist *h = plain; h != NULL; h = h->next) {
        struct curl_slist *more = curl_slist_append(all, h->data);
        if (more != NULL) all = more;
    }
    f->headers = all;
    if (own && s->token != NULL) fetch_header(f, "Authorization: Bearer %s", s->token);
    if (own && s->token == NULL) {
        f->user = s->user;
        f->password = s->password;
    }
    enum status st = fetch_run(f, e);
    curl_slist_free_all(f->headers);
    f->headers = plain;
    return st;
}

enum status session_run(struct session *s, struct fetch *f, void (*rewind)(void *arg),
                        struct err *e) {
    enum status st = send_once(s, f, e);
    if (f->code == 401 &&
        (st == ST_OK || st == ST_UNAVAILABLE)) { /* an upload may be cut off by it */
        st = session_authorize(s, f, e);
        if (st != ST_OK) return st;
        if (rewind != NULL) rewind(f->arg);
        reset(f);
        if (f->url == NULL) return err_no_memory(e);
        f->user = f->password = NULL;
        st = send_once(s, f, e);
    }
    if (st == ST_OK && f->code >= 400) return session_code(f, e);
    if (st == ST_UNAVAILABLE && f->code >= 400) return session_code(f, e);
    return st;
}
