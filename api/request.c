/* request.c - see request.h. */
#include "api/request.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/duration.h"

/* Security bounds of spec/security.md S-NET-7. */
static const struct json_limits limits = {
    .max_bytes = (size_t)256 << 20, .max_nodes = 1000000, .max_depth = 128};

struct where { /* the place of a value, for messages: S and path of spec/api.md 1.7 */
    const char *name;
    const struct where *up;
    const char *key;
};

static void put_path(struct buf *b, const struct where *w) {
    if (w->up != NULL) put_path(b, w->up);
    if (w->key == NULL) return;
    buf_printf(b, "%s%s", b->len > 0 ? "." : "", w->key);
}

/* "number 1.5": what wants a number tells the number's text, too. */
static enum status wrong_type(const json *v, const struct where *w, const char *type,
                              bool is_number, struct err *e) {
    struct buf path = {0}, value = {0};
    put_path(&path, w);
    buf_str(&value, json_kind_name(v));
    if (is_number && json_kind(v) == JSON_NUMBER) {
        buf_chr(&value, ' ');
        json_print(&value, v);
    }
    enum status st =
        err_set(e, ST_INVALID, "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                value.data, w->name, path.data, type);
    buf_free(&path);
    buf_free(&value);
    return st;
}

static enum status decode_struct(const struct fields *f, const json *v, void *out,
                                 const struct where *w, struct err *e);

/* 1e400 is a number of JSON, and of no type of Go's. */
static bool is_finite(const json *v) {
    double x;
    return json_kind(v) == JSON_NUMBER && json_number(v, &x) && isfinite(x);
}

/* A number without fraction that fits; Go does not take "1.0" for an integer either. */
static bool is_integer(const json *v) {
    struct buf b = {0};
    int64_t i;
    if (json_kind(v) != JSON_NUMBER || !json_int(v, &i)) return false;
    json_print(&b, v);
    bool ok = b.data != NULL && strcspn(b.data, ".eE") == b.len;
    buf_free(&b);
    return ok;
}

static enum status check_scalar(enum field_kind kind, const json *v, const struct where *w,
                                struct err *e) {
    static const struct {
        enum json_kind kind;
        const char *type;
    } row[] = {[FIELD_TEXT] = {JSON_STRING, "string"},
               [FIELD_FLAG] = {JSON_BOOL, "bool"},
               [FIELD_INT] = {JSON_NUMBER, "int"},
               [FIELD_FLOAT] = {JSON_NUMBER, "float64"}};
    bool ok = kind == FIELD_INT     ? is_integer(v)
              : kind == FIELD_FLOAT ? is_finite(v)
                                    : json_kind(v) == row[kind].kind;
    return ok ? ST_OK
              : wrong_type(v, w, row[kind].type, kind != FIELD_TEXT && kind != FIELD_FLAG, e);
}

static enum status check_text_map(const struct field *f, const json *v, const struct where *w,
                                  struct err *e) {
    enum status st = ST_OK;
    if (json_kind(v) != JSON_OBJECT) return wrong_type(v, w, f->type, false, e);
    for (const json *m = json_first(v); m != NULL && st == ST_OK; m = json_next(m))
        if (json_kind(m) != JSON_NULL) st = check_scalar(FIELD_TEXT, m, w, e);
    return st;
}

static enum status check_struct(const struct fields *sub, const char *type, const json *v,
                                const struct where *w, struct err *e) {
    if (json_kind(v) != JSON_OBJECT) return wrong_type(v, w, type, false, e);
    struct where inner = {sub->name != NULL ? sub->name : w->name, w, NULL};
    return decode_struct(sub, v, NULL, &inner, e);
}

/* Objects by names that are the client's own. They are schemas of JSON, and so are true and false.
 */
static enum status check_struct_map(const struct field *f, const json *v, const struct where *w,
                                    struct err *e) {
    enum status st = ST_OK;
    if (json_kind(v) != JSON_OBJECT) return wrong_type(v, w, f->type, false, e);
    for (const json *m = json_first(v); m != NULL && st == ST_OK; m = json_next(m)) {
        struct where here = {w->name, w, json_key(m)};
        if (json_kind(m) != JSON_NULL && json_kind(m) != JSON_BOOL)
            st = check_struct(f->sub, f->elem_type, m, &here, e);
    }
    return st;
}

/* check() tells with an empty message that the type alone is wrong. */
static enum status check_custom(const struct field *f, const char *type, const json *v,
                                const struct where *w, struct err *e) {
    struct err local = {.msg = ""};
    enum status st = f->check(v, &local);
    if (st == ST_OK) return ST_OK;
    if (local.msg[0] == '\0') return wrong_type(v, w, type, false, e);
    return err_set(e, st, "%s", local.msg);
}

static enum status check_list(const struct field *f, const json *v, const struct where *w,
                              struct err *e) {
    enum status st = ST_OK;
    if (json_kind(v) != JSON_ARRAY) return wrong_type(v, w, f->type, false, e);
    for (const json *m = json_first(v); m != NULL && st == ST_OK; m = json_next(m)) {
        if (json_kind(m) == JSON_NULL || f->elem == FIELD_ANY) continue;
        if (f->elem == FIELD_STRUCT)
            st = check_struct(f->sub, f->elem_type, m, w, e);
        else if (f->elem == FIELD_CHECK)
            st = check_custom(f, f->elem_type, m, w, e);
        else
            st = check_scalar(f->elem, m, w, e);
    }
    return st;
}

static enum status check_value(const struct field *f, const json *v, const struct where *w,
                               struct err *e) {
    switch (f->kind) {
    case FIELD_ANY:
        return ST_OK;
    case FIELD_MAP:
        return json_kind(v) == JSON_OBJECT ? ST_OK : wrong_type(v, w, f->type, false, e);
    case FIELD_TEXT_MAP:
        return check_text_map(f, v, w, e);
    case FIELD_STRUCT:
        return check_struct(f->sub, f->type, v, w, e);
    case FIELD_STRUCT_MAP:
        return check_struct_map(f, v, w, e);
    case FIELD_LIST:
        return check_list(f, v, w, e);
    case FIELD_CHECK:
        return check_custom(f, f->type, v, w, e);
    default:
        return check_scalar(f->kind, v, w, e);
    }
}

static const struct field *find_field(const struct fields *f, const char *key) {
    for (size_t i = 0; i < f->n_fields; i++)
        if (strcmp(f->field[i].key, key) == 0) return &f->field[i];
    for (size_t i = 0; i < f->n_fields; i++)
        if (strcasecmp(f->field[i].key, key) == 0) return &f->field[i];
    return NULL;
}

static enum status decode_struct(const struct fields *f, const json *object, void *out,
                                 const struct where *w, struct err *e) {
    for (const json *v = json_first(object); v != NULL; v = json_next(v)) {
        const struct field *field = find_field(f, json_key(v));
        if (field == NULL || json_kind(v) == JSON_NULL) continue;
        struct where here = {w->name, w, field->key};
        enum status st = check_value(field, v, &here, e);
        if (st != ST_OK) return st;
        if (out != NULL && field->offset != FIELD_NOT_STORED)
            memcpy((char *)out + field->offset, &v, sizeof v);
    }
    return ST_OK;
}

enum status request_decode_tree(const struct fields *f, const json *root, void *out,
                                struct err *e) {
    enum json_kind kind = json_kind(root);
    struct where top = {f->name, NULL, NULL};
    if (kind == JSON_NULL) return ST_OK;
    if (kind != JSON_OBJECT)
        return err_set(e, ST_INVALID, "json: cannot unmarshal %s into Go value of type %s",
                       json_kind_name(root), f->type);
    return decode_struct(f, root, out, &top, e);
}

enum status request_decode(const struct fields *f, const char *text, size_t len, void *out,
                           json **root, struct err *e) {
    struct err local;
    *root = json_parse(text, len, &limits, NULL, &local);
    if (*root == NULL)
        return err_set(e, local.code == ST_NO_MEMORY ? ST_NO_MEMORY : ST_INVALID, "%s", local.msg);
    return request_decode_tree(f, *root, out, e);
}

/* ---- meanings ---- */

const char *field_text(const json *v) {
    const char *text = json_string(v);
    return text == NULL ? "" : text;
}

const char *text_member(const json *object, const char *key) {
    return field_text(json_get(object, key));
}

bool field_flag(const json *v, bool fallback) {
    json_bool(v, &fallback);
    return fallback;
}

int64_t field_int(const json *v, int64_t fallback) {
    json_int(v, &fallback);
    return fallback;
}

/* ---- checks ---- */

enum status check_keep_alive(const json *v, struct err *e) {
    int64_t ns;
    return keep_alive_parse(v, &ns, e);
}

#define THINK_VALUES "\"high\", \"medium\", \"low\", \"max\", true, or false"

enum status check_think(const json *v, struct err *e) {
    static const char *const level[] = {"high", "medium", "low", "max"};
    const char *text = json_string(v);
    if (json_kind(v) == JSON_BOOL) return ST_OK;
    if (text == NULL)
        return err_set(e, ST_INVALID, "think must be a boolean or string (" THINK_VALUES ")");
    for (size_t i = 0; i < sizeof level / sizeof *level; i++)
        if (strcmp(text, level[i]) == 0) return ST_OK;
    return err_set(e, ST_INVALID, "invalid think value: \"%.100s\" (must be " THINK_VALUES ")",
                   text);
}

enum status check_arguments(const json *v, struct err *e) {
    if (json_kind(v) == JSON_OBJECT) return ST_OK;
    return err_set(e, ST_INVALID, "Value looks like object, but can't find closing '}' symbol");
}

enum status check_image(const json *v, struct err *e) {
    size_t len = 0, bad = 0;
    const char *text = json_string_n(v, &len);
    if (text == NULL) return ST_INVALID;
    if (base64_get(NULL, text, len, &bad)) return ST_OK;
    return err_set(e, ST_INVALID, "illegal base64 data at input byte %zu", bad);
}

/* ---- tables: messages and tools ---- */

#define N(a) (sizeof(a) / sizeof *(a))
#define PLAIN(key, kind)                                                                           \
    { key, kind, FIELD_NOT_STORED, NULL, FIELD_ANY, NULL, NULL, NULL }

static const struct field call_function_field[] = {
    PLAIN("index", FIELD_INT),
    PLAIN("name", FIELD_TEXT),
    {"arguments", FIELD_CHECK, FIELD_NOT_STORED, "", FIELD_ANY, NULL, NULL, check_arguments},
};
static const struct fields call_function = {NULL, NULL, call_function_field,
                                            N(call_function_field)};
static const struct field call_field[] = {
    PLAIN("id", FIELD_TEXT),
    {"function", FIELD_STRUCT, FIELD_NOT_STORED, "api.ToolCallFunction", FIELD_ANY, NULL,
     &call_function, NULL},
};
static const struct fields call_fields = {NULL, NULL, call_field, N(call_field)};
static const struct field message_field[] = {
    PLAIN("role", FIELD_TEXT),
    PLAIN("content", FIELD_TEXT),
    PLAIN("thinking", FIELD_TEXT),
    {"images", FIELD_LIST, FIELD_NOT_STORED, "[]api.ImageData", FIELD_CHECK, "api.ImageData", NULL,
     check_image},
    {"tool_calls", FIELD_LIST, FIELD_NOT_STORED, "[]api.ToolCall", FIELD_STRUCT, "api.ToolCall",
     &call_fields, NULL},
    PLAIN("tool_name", FIELD_TEXT),
    PLAIN("tool_call_id", FIELD_TEXT),
};
const struct fields message_fields = {NULL, NULL, message_field, N(message_field)};

/* A text or a list of texts. */
static enum status check_schema_type(const json *v, struct err *e) {
    (void)e;
    bool ok = json_kind(v) == JSON_STRING || json_kind(v) == JSON_ARRAY;
    for (const json *m = json_kind(v) == JSON_ARRAY ? json_first(v) : NULL; m != NULL;
         m = json_next(m))
        ok = ok && json_kind(m) == JSON_STRING;
    return ok ? ST_OK : ST_INVALID;
}

static const struct fields tool_property_fields;
#define PROPERTIES                                                                                 \
    {                                                                                              \
        "properties", FIELD_STRUCT_MAP, FIELD_NOT_STORED, "map[string]api.ToolProperty",           \
            FIELD_ANY, "api.ToolProperty", &tool_property_fields, NULL                             \
    }
#define REQUIRED                                                                                   \
    { "required", FIELD_LIST, FIELD_NOT_STORED, "[]string", FIELD_TEXT, NULL, NULL, NULL }
static const struct field tool_property_field[] = {
    {"type", FIELD_CHECK, FIELD_NOT_STORED, "api.PropertyType", FIELD_ANY, NULL, NULL,
     check_schema_type},
    PLAIN("description", FIELD_TEXT),
    PLAIN("items", FIELD_ANY),
    {"enum", FIELD_LIST, FIELD_NOT_STORED, "[]interface {}", FIELD_ANY, NULL, NULL, NULL},
    {"anyOf", FIELD_LIST, FIELD_NOT_STORED, "[]api.ToolProperty", FIELD_STRUCT, "api.ToolProperty",
     &tool_property_fields, NULL},
    PROPERTIES,
    REQUIRED,
};
static const struct fields tool_property_fields = {"ToolProperty", NULL, tool_property_field,
                                                   N(tool_property_field)};
static const struct field tool_parameters_field[] = {
    PLAIN("type", FIELD_TEXT),
    PLAIN("$defs", FIELD_ANY),
    PLAIN("items", FIELD_ANY),
    REQUIRED,
    PROPERTIES,
};
const struct fields tool_parameters_fields = {"ToolFunctionParameters",
                                              "api.ToolFunctionParameters", tool_parameters_field,
                                              N(tool_parameters_field)};
static const struct field tool_function_field[] = {
    PLAIN("name", FIELD_TEXT),
    PLAIN("description", FIELD_TEXT),
    {"parameters", FIELD_STRUCT, FIELD_NOT_STORED, "api.ToolFunctionParameters", FIELD_ANY, NULL,
     &tool_parameters_fields, NULL},
};
static const struct fields tool_function = {"ToolFunction", NULL, tool_function_field,
                                            N(tool_function_field)};
static const struct field tool_field[] = {
    PLAIN("type", FIELD_TEXT),
    PLAIN("items", FIELD_ANY),
    {"function", FIELD_STRUCT, FIELD_NOT_STORED, "api.ToolFunction", FIELD_ANY, NULL,
     &tool_function, NULL},
};
const struct fields tool_fields = {NULL, NULL, tool_field, N(tool_field)};
