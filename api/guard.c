/* guard.c - see guard.h. */
#include "api/guard.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"

/* The peer's list, word for word: recorded answers are compared with it (README.md, "Deviations").
 */
const char guard_allow_headers[] =
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    "X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout";
const char guard_allow_methods[] = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS";

static const char *const local_host[] = {"localhost", "127.0.0.1", "0.0.0.0"};
static const char *const scheme_ok[] = {"http://",
                                        "https://",
                                        "chrome-extension://",
                                        "safari-extension://",
                                        "moz-extension://",
                                        "ms-browser-extension://"};
static const char *const app_origin[] = {"app://*", "file://*", "tauri://*", "vscode-webview://*",
                                         "vscode-file://*"};

static bool has_prefix(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* ---- origins ---- */

static enum status add_origin(struct guard *g, const char *text, size_t len, struct err *e) {
    char **grown = mem_grow(g->origins, g->n_origins + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    g->origins = grown;
    char *copy = mem_strndup(text, len);
    if (copy == NULL) return err_no_memory(e);
    g->origins[g->n_origins++] = copy;
    return ST_OK;
}

static bool origin_entry_ok(const char *s) {
    const char *star = strchr(s, '*');
    if (star != NULL) return strchr(star + 1, '*') == NULL;
    for (size_t i = 0; i < sizeof scheme_ok / sizeof *scheme_ok; i++)
        if (has_prefix(s, scheme_ok[i])) return true;
    return false;
}

static enum status add_user_origins(struct guard *g, const char *list, struct err *e) {
    while (list != NULL && *list != '\0') {
        size_t len = strcspn(list, ",");
        enum status st = add_origin(g, list, len, e);
        if (st != ST_OK) return st;
        const char *entry = g->origins[g->n_origins - 1];
        if (!origin_entry_ok(entry))
            return err_set(e, ST_INVALID,
                           "bad origin: origins must contain '*' or include http://,https://,"
                           "chrome-extension://,safari-extension://,moz-extension://,"
                           "ms-browser-extension://: \"%s\"",
                           entry);
        if (strcmp(entry, "*") == 0) g->all_origins = true;
        list += len;
        if (*list == ',') list++;
    }
    return ST_OK;
}

static enum status add_local_origins(struct guard *g, struct err *e) {
    static const char *const form[] = {"http://%s", "https://%s", "http://%s:*", "https://%s:*"};
    char text[64];
    enum status st = ST_OK;
    for (size_t h = 0; h < 3; h++)
        for (size_t f = 0; f < 4 && st == ST_OK; f++) {
            size_t n = (size_t)snprintf(text, sizeof text, form[f], local_host[h]);
            st = add_origin(g, text, n, e);
        }
    for (size_t i = 0; i < sizeof app_origin / sizeof *app_origin && st == ST_OK; i++)
        st = add_origin(g, app_origin[i], strlen(app_origin[i]), e);
    return st;
}

static bool origin_matches(const char *pattern, const char *origin) {
    const char *star = strchr(pattern, '*');
    if (star == NULL) return strcmp(pattern, origin) == 0;
    size_t before = (size_t)(star - pattern), after = strlen(star + 1), n = strlen(origin);
    return n >= before + after && memcmp(pattern, origin, before) == 0 &&
           memcmp(star + 1, origin + n - after, after) == 0;
}

bool guard_origin_ok(const struct guard *g, const char *origin) {
    for (size_t i = 0; i < g->n_origins; i++)
        if (origin_matches(g->origins[i], origin)) return true;
    return false;
}

bool guard_same_origin(const char *origin, const char *host) {
    const char *rest = has_prefix(origin, "http://")    ? origin + 7
                       : has_prefix(origin, "https://") ? origin + 8
                                                        : NULL;
    return rest != NULL && strcmp(rest, host) == 0;
}

/* ---- hosts ---- */

/* Host header -> name without port. As in the peer, the brackets of an IPv6 address go only
 * together with a port, so "[::1]" alone is no address (README.md, "Deviations"). */
static void bare_host(const char *host, char out[256]) {
    const char *colon = strrchr(host, ':'), *end = host + strlen(host);
    if (*host == '[' && colon != NULL && colon > host && colon[-1] == ']') {
        host++;
        end = colon - 1;
    } else if (*host != '[' && colon != NULL && strchr(host, ':') == colon) {
        end = colon;
    }
    size_t n = (size_t)(end - host) < 255 ? (size_t)(end - host) : 255;
    memcpy(out, host, n);
    out[n] = '\0';
}

static bool v4_ok(uint32_t a) { /* host byte order */
    return a == 0 || a >> 24 == 127 || a >> 24 == 10 || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8;
}

static bool v6_ok(const struct in6_addr *a) {
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        uint32_t v4;
        memcpy(&v4, a->s6_addr + 12, 4);
        return v4_ok(ntohl(v4));
    }
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || (a->s6_addr[0] & 0xFE) == 0xFC;
}

static bool same_address(const struct sockaddr *sa, int family, const void *address) {
    if (sa == NULL || sa->sa_family != family) return false;
    if (family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, address, 4) == 0;
    return memcmp(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, address, 16) == 0;
}

static bool is_interface(int family, const void *address) {
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list) != 0) return false;
    for (struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next)
        found = same_address(i->ifa_addr, family, address);
    freeifaddrs(list);
    return found;
}

static bool address_ok(const char *host, bool *is_address) {
    struct in_addr v4;
    struct in6_addr v6;
    *is_address = true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return v4_ok(ntohl(v4.s_addr)) || is_interface(AF_INET, &v4);
    if (inet_pton(AF_INET6, host, &v6) == 1) return v6_ok(&v6) || is_interface(AF_INET6, &v6);
    *is_address = false;
    return false;
}

static bool name_ok(const struct guard *g, const char *host) {
    static const char *const suffix[] = {".localhost", ".local", ".internal"};
    size_t n = strlen(host);
    if (n == 0 || strcasecmp(host, "localhost") == 0) return true;
    if (g->host_name != NULL && strcasecmp(host, g->host_name) == 0) return true;
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        size_t k = strlen(suffix[i]);
        if (n > k && strcasecmp(host + n - k, suffix[i]) == 0) return true;
    }
    return false;
}

/* In a comma list; "*" stands for all. */
static bool listed(const char *list, const char *host) {
    const size_t n = strlen(host);
    for (; list != NULL && *list != '\0'; list += *list == ',') {
        const size_t len = strcspn(list, ",");
        if ((len == 1 && *list == '*') || (len == n && strncasecmp(list, host, n) == 0))
            return true;
        list += len;
    }
    return false;
}

/* An address of one of its interfaces, which a name that was rebound cannot be. */
static bool is_this_machine(const struct guard *g, const char *header, char host[256]) {
    struct in_addr v4;
    struct in6_addr v6;
    const size_t n = strlen(header);
    if (n > 2 && n < 256 && header[0] == '[' && header[n - 1] == ']') { /* no port behind it */
        memcpy(host, header + 1, n - 2);
        host[n - 2] = '\0';
    }
    if (inet_pton(AF_INET, host, &v4) == 1) return is_interface(AF_INET, &v4);
    if (inet_pton(AF_INET6, host, &v6) == 1) return is_interface(AF_INET6, &v6);
    return strcasecmp(host, "localhost") == 0 ||
           (g->host_name != NULL && strcasecmp(host, g->host_name) == 0);
}

bool guard_host_ok(const struct guard *g, const char *header) {
    char host[256];
    bool is_address;
    bare_host(header, host);
    if (g->loopback) return address_ok(host, &is_address) || (!is_address && name_ok(g, host));
    return listed(g->allowed, host) || is_this_machine(g, header, host);
}

bool guard_host_is_name(const char *header) {
    char host[256];
    bool is_address;
    bare_host(header, host);
    address_ok(host, &is_address);
    return !is_address && *host != '\0';
}

static bool is_loopback(const char *host) {
    return strcmp(host, "localhost") == 0 || has_prefix(host, "unix:") ||
           has_prefix(host, "127.") || strcmp(host, "::1") == 0;
}

/* ---- forged requests ---- */

static bool safelisted_type(const char *type) {
    static const char *const row[] = {"text/plain", "application/x-www-form-urlencoded",
                                      "multipart/form-data"};
    const size_t n = strcspn(type, "; \t");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strlen(row[i]) == n && strncasecmp(type, row[i], n) == 0) return true;
    return n == 0;
}

bool guard_is_forged(const struct guard_request *r) {
    const bool reads = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0 ||
                       strcmp(r->method, "OPTIONS") == 0;
    const bool origin = r->origin != NULL && *r->origin != '\0';
    const bool across = (origin && !guard_same_origin(r->origin, r->host)) ||
                        (r->site != NULL && strcasecmp(r->site, "cross-site") == 0);
    if (reads || !across || !r->has_body) return false;
    return r->type == NULL || safelisted_type(r->type);
}

enum status guard_open(struct guard *g, const struct guard_params *p, struct err *e) {
    char name[256] = "";
    *g = (struct guard){.loopback = is_loopback(p->listen_host)};
    if (p->allowed_hosts != NULL && (g->allowed = mem_strdup(p->allowed_hosts)) == NULL)
        return err_no_memory(e);
    if (gethostname(name, sizeof name - 1) == 0) g->host_name = mem_strdup(name);
    enum status st = add_user_origins(g, p->origins, e);
    if (st == ST_OK) st = add_local_origins(g, e);
    if (st != ST_OK) guard_close(g);
    return st;
}

void guard_close(struct guard *g) {
    for (size_t i = 0; i < g->n_origins; i++) mem_free(g->origins[i]);
    mem_free(g->origins);
    mem_free(g->host_name);
    mem_free(g->allowed);
    *g = (struct guard){0};
}
