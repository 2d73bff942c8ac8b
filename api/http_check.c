/* http_check.c - the strict reading of a request's head that civetweb leaves out
 * (spec/dependencies.md 4, security.md S-NET-10): two servers in a row must never disagree about
 * where a request ends or which host it is for. Runs before any handler; a request that fails is
 * answered with its status and its connection is closed. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_impl.h"
#include "base/mem.h"

enum {
    MAX_REQUEST_LINE = 8192,
    MAX_HEADER_LINE = 16384,
    MAX_HEADERS = 65536, /* bytes of all lines */
    MAX_LENGTH_DIGITS = 18
};

/* RFC 9110 "token": what a header's name may consist of. */
static bool token_ok(const char *s) {
    if (*s == '\0') return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL) return false;
    return true;
}

static bool value_ok(const char *s) {
    for (; *s != '\0'; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f) return false;
    return true;
}

/* Digits only, and few enough that the number fits. */
static bool length_ok(const char *s) {
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= MAX_LENGTH_DIGITS && s[n] == '\0';
}

/* The library overwrites the ends of name, value and line with NULs inside the bytes it received,
 * and lets pass what those show: a space before the colon (there is then more than white space
 * before the value), a line that ends without a carriage return (one NUL behind the value, not
 * two), and a line that is no header, such as a folded one (it stops reading there: the rest of the
 * head is lost). */
static bool line_ok(const struct mg_header *line, const struct mg_header *next) {
    for (const char *p = line->name + strlen(line->name) + 1; p < line->value; p++)
        if (*p != ' ' && *p != '\t') return false;
    const char *end = line->value + strlen(line->value);
    if (end[1] != '\0') return false;
    return next != NULL ? end + 2 == next->name : end[2] == '\r' && end[3] == '\0';
}

/* A name, an address or one in brackets, perhaps with a port (RFC 9110 7.2); "" is fine. */
static bool host_ok(const char *s) {
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("-._~%!$&'()*+;=:[]", *s) == NULL) return false;
    return true;
}

/* Is `word` one of a list with commas? */
static bool lists(const char *list, const char *word) {
    const size_t n = strlen(word);
    while (*list != '\0') {
        list += strspn(list, " \t,");
        const size_t len = strcspn(list, " \t,");
        if (len == n && strncasecmp(list, word, n) == 0) return true;
        list += len;
    }
    return false;
}

/* The library puts NULs behind the words of the request line, too, and lets pass several spaces
 * between them and an end that is not "\r\n". */
static bool request_line_ok(const struct mg_request_info *info) {
    const char *target = info->request_uri, *query = info->query_string;
    const char *end = target + strlen(target);
    if (target != info->request_method + strlen(info->request_method) + 1) return false;
    if (query != NULL) {
        if (query != end + 1) return false;
        end = query + strlen(query);
    }
    if (info->http_version != end + 1 + strlen("HTTP/")) return false;
    return info->num_headers == 0 ||
           info->http_headers[0].name == info->http_version + strlen(info->http_version) + 2;
}

struct head { /* what the headers say */
    const char *host, *length, *coding, *expect;
    unsigned n_host, n_coding;
    bool closes;
    size_t n_bytes; /* of all lines */
};

static int read_header(struct head *h, const struct mg_header *line, const struct mg_header *next) {
    const size_t n = strlen(line->name) + 2 + strlen(line->value); /* ": " */
    h->n_bytes += n + 2;
    if (n > MAX_HEADER_LINE || h->n_bytes > MAX_HEADERS) return 431;
    if (!token_ok(line->name) || !value_ok(line->value) || !line_ok(line, next)) return 400;
    if (strcasecmp(line->name, "Host") == 0) {
        h->n_host++;
        h->host = line->value;
    } else if (strcasecmp(line->name, "Content-Length") == 0) {
        if (!length_ok(line->value)) return 400;
        if (h->length != NULL && strcmp(h->length, line->value) != 0) return 400;
        h->length = line->value;
    } else if (strcasecmp(line->name, "Transfer-Encoding") == 0) {
        h->n_coding++;
        h->coding = line->value;
    } else if (strcasecmp(line->name, "Connection") == 0) {
        h->closes = h->closes || lists(line->value, "close");
    } else if (strcasecmp(line->name, "Expect") == 0) {
        h->expect = line->value;
    }
    return 0;
}

/* The path, and the host if the target names one ("http://host:port/path"): it counts then. */
static int split_target(struct http_exchange *x, const char *uri) {
    static const char scheme[] = "http://";
    const char *query = x->info->query_string;
    if (strlen(uri) + (query != NULL ? strlen(query) : 0) > MAX_REQUEST_LINE) return 414;
    if (strstr(uri, "%00") != NULL) return 400; /* the library would cut the path there */
    if (strchr(uri, '#') != NULL) return 400;
    if (strncasecmp(uri, scheme, strlen(scheme)) == 0) {
        uri += strlen(scheme);
        x->authority = mem_strndup(uri, strcspn(uri, "/"));
        if (x->authority == NULL) return 500;
        if (*x->authority == '\0') return 400;
        x->host = x->authority;
        uri += strlen(x->authority);
    }
    if (*uri != '/' && strcmp(uri, "*") != 0) return 400;
    x->path = mem_strndup(uri, strcspn(uri, "?"));
    return x->path == NULL ? 500 : 0;
}

static int read_headers(struct http_exchange *x, struct head *h) {
    const struct mg_request_info *info = x->info;
    if (info->num_headers >= MG_MAX_HEADERS) return 431; /* those behind it are lost */
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *line = &info->http_headers[i];
        int status = read_header(h, line, i + 1 < info->num_headers ? line + 1 : NULL);
        if (status != 0) return status;
    }
    if (info->num_headers > 0) { /* line_ok() has seen what ends the last one */
        const char *last = info->http_headers[info->num_headers - 1].value;
        x->body = (char *)(uintptr_t)last + strlen(last) + 4;
    }
    if (h->n_host > 1 || (h->n_host == 0 && !x->old)) return 400;
    if (h->n_coding > 1 || (h->coding != NULL && h->length != NULL)) return 400;
    if (h->coding != NULL && (x->old || strcasecmp(h->coding, "chunked") != 0)) return 400;
    return 0;
}

int http_check(struct http_exchange *x) {
    const struct mg_request_info *info = x->info;
    struct head h = {.host = ""};
    const char *version = info->http_version == NULL ? "" : info->http_version;
    if (strcmp(version, "1.1") != 0 && strcmp(version, "1.0") != 0) return 505;
    x->old = strcmp(version, "1.0") == 0;
    if (info->request_uri == NULL || !request_line_ok(info)) return 400;
    int status = read_headers(x, &h);
    if (status != 0) return status;
    x->host = h.host;
    x->body_left = h.coding != NULL ? -1 : h.length != NULL ? atoll(h.length) : 0;
    x->has_body = x->body_left != 0;
    if (h.closes) http_close_after(x);
    status = split_target(x, info->request_uri);
    if (status != 0) return status;
    if (!host_ok(x->host)) return 400;
    if (h.expect == NULL || x->old) return 0;
    x->expect = strcasecmp(h.expect, "100-continue") == 0;
    return x->expect ? 0 : 417;
}

int http_check_unknown(struct http_exchange *x) {
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    const struct mg_request_info *info = x->info;
    const char *method = info->request_method, *uri = info->request_uri;
    for (size_t i = 0; method != NULL && i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i]) == 0) return 400; /* something else is wrong with it */
    if (method == NULL || uri == NULL || *uri != '/' || !token_ok(method)) return 400;
    if (info->http_version == NULL || strncmp(info->http_version, "1.", 2) != 0) return 400;
    x->host = "";
    return split_target(x, uri);
}
