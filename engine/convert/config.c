/* config.c - fields of config.json by path; see impl.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert/impl.h"

enum { MAX_LAYERS = 2000 };

/* One path; n bytes. */
static const json *follow(const struct conversion *c, const char *path, size_t n) {
    const json *v = c->text;
    if (n > 0 && path[0] == '@') {
        v = c->config;
        path++;
        n--;
    }
    while (v != NULL) {
        char field[96];
        const char *dot = memchr(path, '.', n);
        const size_t len = dot != NULL ? (size_t)(dot - path) : n;
        if (json_kind(v) != JSON_OBJECT || len >= sizeof field) return NULL;
        memcpy(field, path, len);
        field[len] = '\0';
        v = json_get(v, field);
        if (dot == NULL) return json_kind(v) == JSON_NULL ? NULL : v;
        path += len + 1;
        n -= len + 1;
    }
    return NULL;
}

static bool is_default(const char *path) { return strchr("0123456789", path[0]) != NULL; }

static void wrong_kind(struct conversion *c, const char *path, size_t n, const json *v,
                       const char *want) {
    convert_fail(c, ST_INVALID, "parse config.json for \"%s\": field %.*s is a %s, not a %s",
                 c->arch != NULL ? c->arch->arch : "", (int)n, path, json_kind_name(v), want);
}

typedef bool wanted(const json *v);

/* The first alternative for which want() holds; *path and *n name it. */
static const json *first(struct conversion *c, const char **paths, size_t *n, wanted *want) {
    for (const char *p = *paths;; p += *n + 1) {
        *n = strcspn(p, "|");
        if (!is_default(p)) {
            const json *v = follow(c, p, *n);
            *paths = p;
            if (v != NULL && want(v)) return v;
        }
        if (p[*n] == '\0') return NULL;
    }
}

static bool any(const json *v) { return v != NULL; }
static bool not_zero(const json *v) {
    double x;
    return !json_number(v, &x) || x != 0; /* wrong kinds stop the search, too: they are errors */
}

const json *cfg(struct conversion *c, const char *paths) {
    size_t n;
    return first(c, &paths, &n, any);
}

static double find_num(struct conversion *c, const char *paths) {
    const char *last = strrchr(paths, '|'), *path = paths;
    size_t n;
    double x = 0;
    last = last != NULL ? last + 1 : paths;
    const json *v = first(c, &path, &n, not_zero);
    if (v == NULL) return is_default(last) ? strtod(last, NULL) : 0;
    if (!json_number(v, &x)) wrong_kind(c, path, n, v, "number");
    return isfinite(x) ? x : 0;
}

/* Rules ask once for each tensor, and a look-up reads all fields of an object. */
double cfg_num(struct conversion *c, const char *paths) {
    const size_t slots = sizeof c->known / sizeof *c->known, at = ((uintptr_t)paths >> 3) % slots;
    if (c->known[at].paths != paths) {
        c->known[at].value = find_num(c, paths);
        c->known[at].paths = paths;
    }
    return c->known[at].value;
}

uint32_t cfg_u32(struct conversion *c, const char *paths) {
    const double x = cfg_num(c, paths);
    if (x < 0 || x > UINT32_MAX || x != floor(x)) {
        convert_fail(c, ST_INVALID, "parse config.json for \"%s\": %s is %g, not a count",
                     c->arch != NULL ? c->arch->arch : "", paths, x);
        return 0;
    }
    return (uint32_t)x;
}

bool cfg_bool(struct conversion *c, const char *paths) {
    size_t n;
    bool b = false;
    const json *v = first(c, &paths, &n, any);
    if (v != NULL && !json_bool(v, &b)) wrong_kind(c, paths, n, v, "bool");
    return b;
}

const char *cfg_str(struct conversion *c, const char *paths) {
    size_t n;
    const json *v = first(c, &paths, &n, any);
    const char *s = json_string(v);
    if (v != NULL && s == NULL) wrong_kind(c, paths, n, v, "string");
    return s != NULL ? s : "";
}

const char *cfg_list_str(struct conversion *c, const char *paths, uint32_t i) {
    const json *v = json_first(cfg(c, paths));
    while (v != NULL && i-- > 0) v = json_next(v);
    const char *s = json_string(v);
    return s != NULL ? s : "";
}

uint32_t cfg_layers(struct conversion *c) {
    const uint32_t n = cfg_u32(c, "num_hidden_layers|n_layers|n_layer");
    if (n <= MAX_LAYERS) return n;
    convert_fail(c, ST_INVALID, "config.json: %u layers, more than %d", n, MAX_LAYERS);
    return 0;
}
