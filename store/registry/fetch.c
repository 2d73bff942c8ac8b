/* fetch.c - see fetch.h. */
#include "store/registry/fetch.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "base/config.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/version.h"

enum { CONNECT_SECONDS = 30, HEADER_MAX = 16384 };

static char agent[256]; /* the User-Agent; written by start(), before anybody reads it */

static void start(void) {
    struct utsname machine;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    uname(&machine);
    bool amd64 = strcmp(machine.machine, "x86_64") == 0;
    snprintf(agent, sizeof agent, "ollama/%s (%s linux) cria/%s", CRIA_API_VERSION,
             amd64 ? "amd64" : "arm64", CRIA_VERSION);
}

/* ---- addresses ---- */

static enum net_class class_of_v4(uint32_t a) {
    static const struct {
        uint32_t net;
        int bits;
        enum net_class class;
    } rule[] = {
        {0x7F000000, 8, NET_LOOPBACK}, {0x0A000000, 8, NET_PRIVATE},  {0xAC100000, 12, NET_PRIVATE},
        {0xC0A80000, 16, NET_PRIVATE}, {0x64400000, 10, NET_PRIVATE}, /* carrier-grade NAT */
        {0xA9FE0000, 16, NET_NEVER},   {0x00000000, 8, NET_NEVER},    {0xE0000000, 3, NET_NEVER},
        {0xC0000000, 24, NET_NEVER},   {0xC6120000, 15, NET_NEVER},
    };
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
        if ((a ^ rule[i].net) >> (32 - rule[i].bits) == 0) return rule[i].class;
    return NET_PUBLIC;
}

static enum net_class class_of_v6(const unsigned char *a) {
    static const unsigned char zero[16];
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    if (memcmp(a, mapped, 12) == 0)
        return class_of_v4((uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 |
                           a[15]);
    if (memcmp(a, zero, 15) == 0) return a[15] == 1 ? NET_LOOPBACK : NET_NEVER;
    if ((a[0] & 0xFE) == 0xFC) return NET_PRIVATE;               /* fc00::/7 */
    if (a[0] == 0xFE && (a[1] & 0xC0) == 0x80) return NET_NEVER; /* link-local */
    return (a[0] & 0xE0) == 0x20 ? NET_PUBLIC : NET_NEVER;       /* 2000::/3 */
}

enum net_class net_class_of(const struct sockaddr *a) {
    if (a->sa_family == AF_INET)
        return class_of_v4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return class_of_v6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return NET_NEVER;
}

static bool proxied(void) {
    static const char *const name[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                       "HTTP_PROXY", "all_proxy",   "ALL_PROXY"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (getenv(name[i]) != NULL && *getenv(name[i]) != '\0') return true;
    return false;
}

/* Called with the very address that will be connected to. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
    struct fetch *f = arg;
    enum net_class class = net_class_of(&a->addr);
    const bool own = fetch_is_own(f->policy, f->url);
    (void)purpose;
    if (own)
        atomic_store(&f->policy->own, (int)class);
    else if (class != NET_PUBLIC && (int)class != atomic_load(&f->policy->own) && !proxied())
        f->blocked = true;
    if (class == NET_NEVER && !own && !proxied()) f->blocked = true;
    if (f->blocked) return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- URLs ---- */

bool url_host(const char *url, char out[352], bool *https) {
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    *https = ok && strcmp(scheme, "https") == 0;
    ok = ok && (*https || strcmp(scheme, "http") == 0);
    if (ok) {
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
        int n = snprintf(out, 352, port != NULL ? "%s:%s" : "%s", host, port);
        ok = n > 0 && n < 352;
        for (char *c = out; ok && *c != '\0'; c++) *c = (char)tolower((unsigned char)*c);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok;
}

bool fetch_is_own(const struct fetch_policy *p, const char *url) {
    char host[352];
    bool https;
    return url_host(url, host, &https) && strcmp(host, p->host) == 0;
}

enum status fetch_redirect(const struct fetch *f, char **to, struct err *e) {
    CURLU *u = curl_url();
    char *whole = NULL, host[352];
    bool https = false, was_https;
    enum status st = ST_OK;
    *to = NULL;
    if (f->location == NULL) {
        st = err_set(e, ST_FORMAT, "http: no Location header in response");
    } else if (u == NULL) {
        st = err_no_memory(e);
    } else if (curl_url_set(u, CURLUPART_URL, f->url, 0) != CURLUE_OK ||
               curl_url_set(u, CURLUPART_URL, f->location, 0) != CURLUE_OK ||
               curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK ||
               !url_host(whole, host, &https)) {
        st = err_set(e, ST_FORMAT, "redirect to a bad address: %.200s", f->location);
    } else if (url_host(f->url, host, &was_https),
               !https && (was_https || !f->policy->allow_http)) {
        st = err_set(e, ST_DENIED, "redirect to an address without TLS refused: %.200s", whole);
    } else if ((*to = mem_strdup(whole)) == NULL) {
        st = err_no_memory(e);
    }
    curl_free(whole);
    curl_url_cleanup(u);
    return st;
}

/* ---- a request ---- */

void fetch_init(struct fetch *f, struct fetch_policy *p, const char *method, char *url) {
    *f = (struct fetch){
        .policy = p, .method = method, .url = url, .content_length = -1, .cap = 64 << 10};
}

void fetch_header(struct fetch *f, const char *fmt, ...) {
    char line[HEADER_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    struct curl_slist *list = curl_slist_append(f->headers, line);
    if (list != NULL) f->headers = list;
}

void fetch_free(struct fetch *f) {
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->headers);
    buf_free(&f->answer);
    mem_free(f->url);
    mem_free(f->location);
    mem_free(f->upload_location);
    mem_free(f->challenge);
    mem_free(f->content_range);
    *f = (struct fetch){0};
}

static size_t on_header(char *line, size_t size, size_t n, void *arg) {
    struct fetch *f = arg;
    const struct {
        const char *name;
        char **value;
    } wanted[] = {{"location:", &f->location},
                  {"docker-upload-location:", &f->upload_location},
                  {"www-authenticate:", &f->challenge},
                  {"content-range:", &f->content_range}};
    n *= size;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t len = strlen(wanted[i].name), from = len, to = n;
        if (n < len || strncasecmp(line, wanted[i].name, len) != 0) continue;
        while (from < to && isspace((unsigned char)line[from])) from++;
        while (to > from && isspace((unsigned char)line[to - 1])) to--;
        if (to - from > HEADER_MAX) return 0;
        mem_free(*wanted[i].value);
        *wanted[i].value = mem_strndup(line + from, to - from);
    }
    return n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
    struct fetch *f = arg;
    curl_off_t length;
    n *= size;
    if (f->code == 0) curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &f->code);
    if (curl_easy_getinfo(f->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK)
        f->content_length = length;
    if (f->sink != NULL && f->code / 100 == 2) return f->sink(f, data, n) ? n : 0;
    if (n > f->cap - f->answer.len) {
        f->over = true;
        return 0;
    }
    buf_add(&f->answer, data, n);
    return f->answer.failed ? 0 : n;
}

static size_t on_read(char *out, size_t size, size_t n, void *arg) {
    struct fetch *f = arg;
    size_t got = f->read(f->arg, out, size * n);
    return got > 0 ? got : CURL_READFUNC_ABORT;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct fetch *f = arg;
    (void)a, (void)b, (void)c, (void)d;
    return f->policy->cancel != NULL && atomic_load(f->policy->cancel);
}

static void set_body(struct fetch *f, CURL *h) {
    if (f->read != NULL) {
        curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(h, CURLOPT_READDATA, f);
        curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)f->read_size);
    } else if (f->body != NULL) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, f->body);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body_size);
    }
    if (strcmp(f->method, "HEAD") == 0)
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, f->method);
}

/* So many seconds without a byte end a request; 0: never. */
static long stall_seconds(void) {
    const int64_t second = 1000000000, ns = config_ns(SET_stall_timeout);
    if (ns == DURATION_FOREVER) return 0; /* as curl has it */
    return ns < second ? 1 : ns / second < 3600 ? (long)(ns / second) : 3600;
}

CURL *fetch_prepare(struct fetch *f) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    CURL *h = f->curl = curl_easy_init();
    if (h == NULL) return NULL;
    fetch_header(f, "Expect:");
    curl_easy_setopt(h, CURLOPT_URL, f->url);
    curl_easy_setopt(h, CURLOPT_PRIVATE, f);
    curl_easy_setopt(h, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, stall_seconds());
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, f->text);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, f);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, f);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, f->headers);
    set_body(f, h);
    if (f->user != NULL && *f->user != '\0') {
        curl_easy_setopt(h, CURLOPT_USERNAME, f->user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, f->password != NULL ? f->password : "");
    }
    return h;
}

enum status fetch_result(struct fetch *f, CURLcode code, struct err *e) {
    curl_off_t length;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &f->code);
    if (curl_easy_getinfo(f->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK)
        f->content_length = length;
    if (code == CURLE_OK) return ST_OK;
    if (f->blocked)
        return err_set(e, ST_DENIED, "%s: the address is not a public one: refused", f->url);
    if (f->over)
        return err_set(e, ST_LIMIT, "%s: the answer is longer than %zu bytes", f->url, f->cap);
    if (f->policy->cancel != NULL && atomic_load(f->policy->cancel))
        return err_set(e, ST_CANCELLED, "cancelled");
    if (code == CURLE_WRITE_ERROR || code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, ST_CANCELLED, "%s: stopped", f->url);
    f->stalled = code == CURLE_OPERATION_TIMEDOUT && f->code != 0;
    char verb[8] = {0}; /* "Get": as the reference words it */
    for (size_t i = 0; f->method[i] != '\0' && i + 1 < sizeof verb; i++)
        verb[i] = i == 0 ? f->method[i] : (char)tolower((unsigned char)f->method[i]);
    return err_set(e, ST_UNAVAILABLE, "%s \"%s\": %s", verb, f->url,
                   *f->text != '\0' ? f->text : curl_easy_strerror(code));
}

enum status fetch_run(struct fetch *f, struct err *e) {
    CURL *h = fetch_prepare(f);
    if (h == NULL) return err_no_memory(e);
    return fetch_result(f, curl_easy_perform(h), e);
}
