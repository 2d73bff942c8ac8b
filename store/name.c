/* name.c - see name.h.
 *
 * A name is cut from the right (spec/store.md 1): the tag behind the last ':' if no '/' follows it,
 * then model and namespace behind a '/' each; what remains is the host, perhaps with a scheme. A
 * separator with nothing on one side leaves the mark "!MISSING!" there, which no valid part can
 * equal, so the defect survives until the check. */
#include "store/name.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "store/text.h"

#define MISSING "!MISSING!"

/* ---- parsing ---- */

/* Copies n bytes, as many as fit. A NUL would end the part early and make a bad name look good, so
 * it becomes another byte that is never valid. */
static void put_part(char *out, size_t room, const char *s, size_t n) {
    if (n >= room) n = room - 1;
    for (size_t i = 0; i < n; i++) out[i] = s[i] != '\0' ? s[i] : '\1';
    out[n] = '\0';
}

static void put_or_missing(char *out, size_t room, const char *s, size_t n) {
    if (n == 0)
        put_part(out, room, MISSING, strlen(MISSING));
    else
        put_part(out, room, s, n);
}

#define PUT(field, s, n) put_part(field, sizeof(field), s, n)
#define PUT_OR_MISSING(field, s, n) put_or_missing(field, sizeof(field), s, n)

static const char *last_of(const char *s, size_t n, char c) {
    return n != 0 ? memrchr(s, c, n) : NULL;
}

/* What stands before the model: "", "namespace", "host/namespace", "scheme://host/namespace". */
static void parse_front(struct model_name *n, const char *s, size_t len) {
    const char *slash = last_of(s, len, '/');
    if (slash == NULL) {
        PUT_OR_MISSING(n->namespace, s, len);
        return;
    }
    PUT_OR_MISSING(n->namespace, slash + 1, len - (size_t)(slash + 1 - s));
    len = (size_t)(slash - s);
    const char *mark = len != 0 ? memmem(s, len, "://", 3) : NULL;
    if (mark != NULL) {
        PUT_OR_MISSING(n->scheme, s, (size_t)(mark - s));
        len -= (size_t)(mark + 3 - s);
        s = mark + 3;
    }
    PUT_OR_MISSING(n->host, s, len);
}

bool name_parse_n(struct model_name *n, const char *text, size_t len) {
    *n = (struct model_name){.scheme = "https",
                             .host = NAME_DEFAULT_HOST,
                             .namespace = NAME_DEFAULT_NAMESPACE,
                             .tag = NAME_DEFAULT_TAG};
    const char *slash = last_of(text, len, '/'), *colon = last_of(text, len, ':');
    bool cut = false;
    if (colon != NULL && (slash == NULL || slash < colon)) {
        PUT_OR_MISSING(n->tag, colon + 1, len - (size_t)(colon + 1 - text));
        len = (size_t)(colon - text);
        cut = true;
    }
    const char *model = text;
    if (slash != NULL) {
        model = slash + 1;
        parse_front(n, text, (size_t)(slash - text));
        cut = true;
    }
    size_t model_len = len - (size_t)(model - text);
    if (cut)
        PUT_OR_MISSING(n->model, model, model_len);
    else
        PUT(n->model, model, model_len); /* an empty text is a name without a model */
    return name_is_valid(n);
}

bool name_parse(struct model_name *n, const char *text) {
    return name_parse_n(n, text, strlen(text));
}

/* ---- checking and comparing ---- */

/* First a letter, digit or '_'; then also '-' and the characters of `more`. */
static bool is_valid_part(const char *s, size_t max, const char *more) {
    size_t n = strlen(s);
    if (n == 0 || n > max) return false;
    for (size_t i = 0; i < n; i++) {
        bool ok = text_is_alnum(s[i]) || s[i] == '_';
        if (i > 0 && !ok) ok = s[i] == '-' || strchr(more, s[i]) != NULL;
        if (!ok) return false;
    }
    return true;
}

bool name_is_valid(const struct model_name *n) {
    return is_valid_part(n->host, NAME_HOST_MAX, ".:") &&
           is_valid_part(n->namespace, NAME_PART_MAX, "") &&
           is_valid_part(n->model, NAME_PART_MAX, ".") && is_valid_part(n->tag, NAME_PART_MAX, ".");
}

bool name_equal(const struct model_name *a, const struct model_name *b) {
    return strcasecmp(a->host, b->host) == 0 && strcasecmp(a->namespace, b->namespace) == 0 &&
           strcasecmp(a->model, b->model) == 0 && strcasecmp(a->tag, b->tag) == 0;
}

/* ---- texts ---- */

void name_full(const struct model_name *n, char out[NAME_TEXT_MAX]) {
    int len = snprintf(out, NAME_TEXT_MAX, "%s/%s/%s:%s", n->host, n->namespace, n->model, n->tag);
    assert(len > 0 && len < NAME_TEXT_MAX);
    (void)len;
}

void name_shortest(const struct model_name *n, char out[NAME_TEXT_MAX]) {
    if (strcasecmp(n->host, NAME_DEFAULT_HOST) != 0)
        name_full(n, out);
    else if (strcasecmp(n->namespace, NAME_DEFAULT_NAMESPACE) != 0)
        snprintf(out, NAME_TEXT_MAX, "%s/%s:%s", n->namespace, n->model, n->tag);
    else
        snprintf(out, NAME_TEXT_MAX, "%s:%s", n->model, n->tag);
}

void name_path(const struct model_name *n, char out[NAME_TEXT_MAX]) {
    assert(name_is_valid(n));
    snprintf(out, NAME_TEXT_MAX, "%s/%s/%s/%s", n->host, n->namespace, n->model, n->tag);
}

/* Cuts the part in front of the next '/' off *path; false if there is no '/'. */
static bool take_part(const char **path, char *out, size_t room) {
    const char *slash = strchr(*path, '/');
    if (slash == NULL) return false;
    put_part(out, room, *path, (size_t)(slash - *path));
    *path = slash + 1;
    return true;
}

bool name_from_path(struct model_name *n, const char *path) {
    *n = (struct model_name){.scheme = "https"};
    if (!take_part(&path, n->host, sizeof n->host)) return false;
    if (!take_part(&path, n->namespace, sizeof n->namespace)) return false;
    if (!take_part(&path, n->model, sizeof n->model)) return false;
    PUT(n->tag, path, strlen(path));
    return name_is_valid(n);
}

/* ---- references ---- */

static bool ends_with(const char *s, size_t n, const char *end) {
    size_t m = strlen(end);
    return n >= m && strncasecmp(s + n - m, end, m) == 0;
}

/* Takes one suffix off the n bytes at s; returns what is left. "-cloud" counts only in a tag. */
static size_t cut_source(const char *s, size_t n, enum name_source *source) {
    *source = NAME_SOURCE_NONE;
    const char *colon = last_of(s, n, ':'), *slash = last_of(s, n, '/');
    if (colon == NULL || (slash != NULL && colon < slash)) return n;
    if (ends_with(s, n, ":local")) {
        *source = NAME_SOURCE_LOCAL;
        return n - strlen(":local");
    }
    bool bare = ends_with(s, n, ":cloud");
    if (!bare && !ends_with(colon, n - (size_t)(colon - s), "-cloud")) return n;
    *source = NAME_SOURCE_CLOUD;
    return n - strlen("-cloud");
}

enum status name_split_source(const char *text, struct buf *base, enum name_source *source,
                              struct err *e) {
    size_t n = text_trim(&text, strlen(text));
    if (n == 0) return err_set(e, ST_INVALID, "model is required");
    enum name_source first, second;
    size_t left = cut_source(text, n, &first);
    if (first != NAME_SOURCE_NONE) {
        cut_source(text, left, &second);
        if (second != NAME_SOURCE_NONE)
            return err_set(e, ST_INVALID, "use either :local or :cloud, not both: \"%.*s\"", (int)n,
                           text);
    }
    buf_add(base, text, left);
    if (base->failed) return err_no_memory(e);
    if (source != NULL) *source = first;
    return ST_OK;
}

enum status name_parse_ref(struct model_name *n, const char *text, enum name_source *source,
                           struct err *e) {
    struct buf base = {0};
    name_parse(n, "");
    enum status st = name_split_source(text, &base, source, e);
    if (st == ST_OK && !name_parse_n(n, base.data, base.len))
        st = err_set(e, ST_INVALID, "invalid model name");
    buf_free(&base);
    return st;
}

enum status name_pull_text(const char *text, struct buf *out, struct err *e) {
    enum name_source source;
    size_t start = out->len;
    enum status st = name_split_source(text, out, &source, e);
    if (st != ST_OK || source != NAME_SOURCE_CLOUD) return st;
    const char *colon = last_of(out->data + start, out->len - start, ':');
    const char *slash = last_of(out->data + start, out->len - start, '/');
    bool has_tag = colon != NULL && (slash == NULL || slash < colon);
    buf_str(out, has_tag ? "-cloud" : ":cloud");
    return out->failed ? err_no_memory(e) : ST_OK;
}
