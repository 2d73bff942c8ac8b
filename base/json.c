/* json.c - see json.h: the tree, built by cJSON from what json_scan.c prepared.
 *
 * After parsing, finish() walks the tree once and gives fields that cJSON leaves unused a meaning:
 *   string         valuestring: the bytes (may hold NULs)   valuedouble: their count
 *   number         valuestring: the text as it was written  valuedouble: the value
 *   array, object                                           valuedouble: number of children
 * A double counts exactly up to 2^53. cJSON frees valuestring whatever the type is. */
#include "base/json.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_scan.h"
#include "base/mem.h"

const struct json_limits json_default_limits = {
    .max_bytes = (size_t)64 << 20,
    .max_nodes = 1000000,
    .max_depth = 256,
};

/* ---- building ---- */

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void set_hooks(void) {
    cJSON_Hooks hooks = {.malloc_fn = mem_alloc, .free_fn = mem_free};
    cJSON_InitHooks(&hooks);
}

/* Turns C0 80 back into NUL, in place; returns the length. */
static size_t unpack_nuls(char *s) {
    char *to = strchr(s, '\xC0');
    if (to == NULL) return strlen(s);
    for (const char *from = to; *from != '\0'; from++) {
        bool packed = *from == '\xC0';
        if (packed) from++;
        *to++ = packed ? '\0' : *from;
    }
    *to = '\0';
    return (size_t)(to - s);
}

static void finish_string(json *v) {
    char *s = v->valuestring;
    if ((unsigned char)s[0] != JSON_MARK_NUMBER) {
        v->valuedouble = (double)unpack_nuls(s);
        return;
    }
    memmove(s, s + 1, strlen(s));
    v->type = cJSON_Number;
    v->valuedouble = strtod(s, NULL); /* C locale: see base/README.md */
}

/* Depth is bounded by the scan (JSON_DEPTH_MAX). */
static void finish(json *v) {
    if (cJSON_IsString(v)) finish_string(v);
    if (!cJSON_IsArray(v) && !cJSON_IsObject(v)) return;
    size_t n = 0;
    for (json *child = v->child; child != NULL; child = child->next, n++) finish(child);
    v->valuedouble = (double)n;
}

json *json_parse(const char *text, size_t len, const struct json_limits *limits, size_t *used,
                 struct err *e) {
    pthread_once(&hooks_once, set_hooks);
    struct buf clean = {0};
    size_t end;
    json *root = NULL;
    if (json_scan(text, len, limits, &clean, &end, e) == ST_OK) {
        root = cJSON_ParseWithLength(clean.data, clean.len);
        if (root == NULL) err_no_memory(e); /* the only reason left after the scan */
    }
    buf_free(&clean);
    if (root == NULL) return NULL;
    finish(root);
    if (used != NULL) *used = end;
    return root;
}

void json_free(json *root) { cJSON_Delete(root); }

/* ---- walking ---- */

enum json_kind json_kind(const json *v) {
    switch (v != NULL ? v->type & 0xFF : cJSON_NULL) {
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const char *json_kind_name(const json *v) {
    static const char *const name[] = {"null", "bool", "number", "string", "array", "object"};
    return name[json_kind(v)];
}

static bool is_container(const json *v) {
    enum json_kind kind = json_kind(v);
    return kind == JSON_ARRAY || kind == JSON_OBJECT;
}

size_t json_len(const json *v) { return is_container(v) ? (size_t)v->valuedouble : 0; }
const json *json_first(const json *v) { return is_container(v) ? v->child : NULL; }
const json *json_next(const json *child) { return child != NULL ? child->next : NULL; }
const char *json_key(const json *child) { return child != NULL ? child->string : NULL; }

const json *json_get(const json *object, const char *key) {
    const json *exact = NULL, *folded = NULL;
    if (json_kind(object) != JSON_OBJECT) return NULL;
    for (const json *m = object->child; m != NULL; m = m->next) {
        if (strcmp(m->string, key) == 0)
            exact = m;
        else if (strcasecmp(m->string, key) == 0)
            folded = m;
    }
    return exact != NULL ? exact : folded;
}

/* ---- reading ---- */

bool json_bool(const json *v, bool *out) {
    if (json_kind(v) != JSON_BOOL) return false;
    *out = (v->type & 0xFF) == cJSON_True;
    return true;
}

bool json_number(const json *v, double *out) {
    if (json_kind(v) != JSON_NUMBER || !isfinite(v->valuedouble)) return false;
    *out = v->valuedouble;
    return true;
}

bool json_int(const json *v, int64_t *out) {
    if (json_kind(v) != JSON_NUMBER) return false;
    if (strpbrk(v->valuestring, "eE") == NULL) { /* exact; stops at the decimal point */
        errno = 0;
        long long n = strtoll(v->valuestring, NULL, 10);
        if (errno == ERANGE) return false;
        *out = n;
        return true;
    }
    double d = trunc(v->valuedouble);
    if (!(d >= -0x1p63 && d < 0x1p63)) return false;
    *out = (int64_t)d;
    return true;
}

const char *json_string(const json *v) {
    return json_kind(v) == JSON_STRING ? v->valuestring : NULL;
}

const char *json_string_n(const json *v, size_t *len) {
    if (json_kind(v) != JSON_STRING) return NULL;
    *len = (size_t)v->valuedouble;
    return v->valuestring;
}

/* ---- printing ---- */

static void print_children(struct buf *b, const json *v, bool keys) {
    buf_chr(b, keys ? '{' : '[');
    for (const json *child = v->child; child != NULL; child = child->next) {
        if (child != v->child) buf_chr(b, ',');
        if (keys) {
            json_put_string(b, child->string, strlen(child->string));
            buf_chr(b, ':');
        }
        json_print(b, child);
    }
    buf_chr(b, keys ? '}' : ']');
}

void json_print(struct buf *b, const json *v) {
    switch (json_kind(v)) {
    case JSON_NULL:
        buf_str(b, "null");
        break;
    case JSON_BOOL:
        buf_str(b, (v->type & 0xFF) == cJSON_True ? "true" : "false");
        break;
    case JSON_NUMBER:
        buf_str(b, v->valuestring);
        break;
    case JSON_STRING:
        json_put_string(b, v->valuestring, (size_t)v->valuedouble);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        print_children(b, v, json_kind(v) == JSON_OBJECT);
        break;
    }
}
