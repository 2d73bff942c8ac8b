/* host.c - the address of the server. */
#include "cli/host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"

enum { DEFAULT_PORT = 11434 };

static void copy(char *out, size_t cap, const char *s, size_t n) {
    snprintf(out, cap, "%.*s", (int)(n < cap ? n : cap - 1), s);
}

/* Splits "host:port"; false if there is no port (then the text may be an IPv6 address). */
static bool split(const char *s, size_t n, size_t *name_len, const char **port) {
    const char *colon = memrchr(s, ':', n);
    if (colon == NULL) return false;
    if (s[0] == '[' && colon[-1] != ']') return false;                            /* "[::1]" */
    if (s[0] != '[' && memchr(s, ':', (size_t)(colon - s)) != NULL) return false; /* "::1" */
    *name_len = (size_t)(colon - s);
    *port = colon + 1;
    return true;
}

static void set_port(struct host *h, const char *s, size_t n) {
    unsigned long v = 0;
    bool ok = n > 0 && n <= 5;
    for (size_t i = 0; i < n && ok; i++) {
        ok = s[i] >= '0' && s[i] <= '9';
        v = v * 10 + (unsigned long)(s[i] - '0');
    }
    h->bad_port = !ok || v > 65535;
    if (!h->bad_port) h->port = (unsigned)v;
}

/* The default port depends on the scheme, and the cloud's name alone means https. */
static const char *set_scheme(struct host *h, const char *text) {
    const char *sep = strstr(text, "://");
    const char *scheme = sep != NULL ? text : strcmp(text, "ollama.com") == 0 ? "https" : "http";
    copy(h->scheme, sizeof h->scheme, scheme, sep != NULL ? (size_t)(sep - text) : strlen(scheme));
    const bool given = sep != NULL;
    h->port = DEFAULT_PORT;
    if (strcmp(h->scheme, "https") == 0)
        h->port = 443;
    else if (given && strcmp(h->scheme, "http") == 0)
        h->port = 80;
    return given ? sep + 3 : text;
}

void host_parse(struct host *h, const char *text) {
    *h = (struct host){.bad_port = false};
    if (text != NULL && strncmp(text, "unix:/", 6) == 0) {
        h->is_unix = true;
        strcpy(h->scheme, "http");
        copy(h->name, sizeof h->name, text, strlen(text));
        return;
    }
    const char *s = set_scheme(h, text != NULL ? text : "");
    size_t n = strcspn(s, "/"), name_len = n;
    const char *port = NULL, *path = s + n;
    while (*path == '/') path++;
    size_t path_len = strlen(path);
    while (path_len > 0 && path[path_len - 1] == '/') path_len--;
    copy(h->path, sizeof h->path, path, path_len);
    if (split(s, n, &name_len, &port)) set_port(h, port, n - name_len - 1);
    if (name_len >= 2 && s[0] == '[' && s[name_len - 1] == ']') s++, name_len -= 2;
    if (n == 0)
        copy(h->name, sizeof h->name, "127.0.0.1", 9);
    else
        copy(h->name, sizeof h->name, s, name_len);
}

void host_from_env(struct host *h) {
    const char *text = config_text(SET_host);
    host_parse(h, text);
    if (h->bad_port) log_warn("cli", "invalid port in \"%s\", using %u", text, h->port);
}

void host_put_address(struct buf *out, const struct host *h) {
    const bool v6 = strchr(h->name, ':') != NULL;
    buf_printf(out, v6 ? "[%s]:%u" : "%s:%u", h->name, h->port);
}

void host_put_url(struct buf *out, const struct host *h) {
    buf_printf(out, "%s://", h->scheme);
    host_put_address(out, h);
    if (*h->path != '\0') buf_printf(out, "/%s", h->path);
}

void host_put_connectable(struct buf *out, const struct host *h) {
    if (h->is_unix) { /* any name will do: the socket is named beside it */
        buf_str(out, "http://localhost");
        return;
    }
    struct host local = *h;
    struct in6_addr any6;
    if (strcmp(h->name, "0.0.0.0") == 0)
        copy(local.name, sizeof local.name, "127.0.0.1", 9);
    else if (inet_pton(AF_INET6, h->name, &any6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&any6))
        copy(local.name, sizeof local.name, "::1", 3);
    host_put_url(out, &local);
}
