/* value.c - the values a template works on and the table of their types (spec/templates.md 2.2). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* ---- text ---- */

bool ttext_equal(struct text a, struct text b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool ttext_is(struct text a, const char *s) { return ttext_equal(a, (struct text){s, strlen(s)}); }

int ttext_order(struct text a, struct text b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n != 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

struct text ttext_trim(struct text s) {
    size_t start = s.n, end = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        unsigned n = utf8_decode(s.p + i, s.n - i, &cp);
        if (!unicode_is_space(cp)) {
            if (start > i) start = i;
            end = i + n;
        }
        i += n;
    }
    return end > start ? (struct text){s.p + start, end - start} : (struct text){s.p, 0};
}

/* ---- types ---- */

#define FIELDS(f) .field = f, .n_fields = sizeof f / sizeof *f

static const struct type_field message_fields[] = {
    {"Role", "Role", false},
    {"Content", "Content", false},
    {"Thinking", "Thinking", false},
    {"Images", "Images", false},
    {"ToolCalls", "ToolCalls", false},
    {"ToolName", "ToolName", false},
    {"ToolCallID", "ToolCallID", false},
};
static const struct type_field call_fields[] = {
    {"ID", "ID", false},
    {"Function", "Function", false},
};
static const struct type_field call_function_fields[] = {
    {"Index", "Index", false},
    {"Name", "Name", false},
    {"Arguments", "Arguments", false},
};
static const struct type_field tool_fields[] = {
    {"Type", "type", false},
    {"Items", "items", true},
    {"Function", "function", false},
};
static const struct type_field tool_function_fields[] = {
    {"Name", "name", false},
    {"Description", "description", false},
    {"Parameters", "parameters", false},
};
static const struct type_field parameters_fields[] = {
    {"Type", "type", false},
    {"Defs", "$defs", true},
    {"Items", "items", true},
    {"Required", "required", true},
    {"Properties", "properties", false},
};
static const struct type_field property_fields[] = {
    {"AnyOf", "anyOf", true},       {"Type", "type", true},
    {"Items", "items", true},       {"Description", "description", true},
    {"Enum", "enum", true},         {"Properties", "properties", true},
    {"Required", "required", true},
};

const struct type ttype_messages = {.name = "[]*template.templateMessage"};
const struct type ttype_message = {
    .name = "*template.templateMessage", .pointer = true, FIELDS(message_fields)};
const struct type ttype_images = {.name = "[]api.ImageData"};
const struct type ttype_calls = {.name = "[]template.templateToolCall"};
const struct type ttype_call = {.name = "template.templateToolCall", FIELDS(call_fields)};
const struct type ttype_call_function = {.name = "template.templateToolCallFunction",
                                         FIELDS(call_function_fields)};
const struct type ttype_arguments = {.name = "template.templateArgs", .show = SHOW_JSON};
const struct type ttype_tools = {.name = "template.templateTools", .show = SHOW_JSON};
const struct type ttype_tool = {
    .name = "template.templateTool", .show = SHOW_JSON, FIELDS(tool_fields)};
/* These two print as JSON on purpose: spec/templates.md 3.4. */
const struct type ttype_tool_function = {
    .name = "template.templateToolFunction", .show = SHOW_JSON, FIELDS(tool_function_fields)};
const struct type ttype_parameters = {.name = "template.templateToolFunctionParameters",
                                      .show = SHOW_JSON,
                                      FIELDS(parameters_fields)};
const struct type ttype_properties = {.name = "template.templateProperties", .show = SHOW_JSON};
const struct type ttype_nested_properties = {
    .name = "*api.ToolPropertiesMap", .show = SHOW_JSON, .keep_order = true};
const struct type ttype_property = {.name = "api.ToolProperty", FIELDS(property_fields)};
const struct type ttype_property_list = {.name = "[]api.ToolProperty"};
const struct type ttype_property_type = {.name = "api.PropertyType", .show = SHOW_SOLE};
const struct type ttype_strings = {.name = "[]string"};

const char *tvalue_type_name(const struct value *v) {
    static const char *const plain[] = {
        [V_NIL] = "<nil>",
        [V_BOOL] = "bool",
        [V_INT] = "int",
        [V_FLOAT] = "float64",
        [V_COMPLEX] = "complex128",
        [V_STRING] = "string",
        [V_BYTES] = "api.ImageData",
        [V_LIST] = "[]interface {}",
        [V_DICT] = "map[string]interface {}",
        [V_RECORD] = "struct {}",
    };
    return v->type != NULL ? v->type->name : plain[v->kind];
}

/* ---- making ---- */

struct value tvalue_bool(bool b) { return (struct value){.kind = V_BOOL, .b = b}; }
struct value tvalue_int(int64_t i) { return (struct value){.kind = V_INT, .i = i}; }
struct value tvalue_float(double f) { return (struct value){.kind = V_FLOAT, .f = f}; }
struct value tvalue_text(struct text s) { return (struct value){.kind = V_STRING, .s = s}; }
struct value tvalue_list(const struct value *item, size_t n, const struct type *type) {
    return (struct value){.kind = V_LIST, .type = type, .list = {item, n}};
}
struct value tvalue_dict(const struct dict *d, const struct type *type) {
    return (struct value){.kind = V_DICT, .type = type, .dict = d};
}
struct value tvalue_record(const struct value *field, const struct type *type) {
    assert(type->n_fields > 0);
    return (struct value){.kind = V_RECORD, .type = type, .field = field};
}

bool tvalue_truth(const struct value *v) {
    switch (v->kind) {
    case V_NIL:
        return false;
    case V_BOOL:
        return v->b;
    case V_INT:
        return v->i != 0;
    case V_FLOAT:
        return v->f < 0 || v->f > 0;
    case V_COMPLEX:
        return v->complex.re != 0 || v->complex.im != 0;
    case V_STRING:
    case V_BYTES:
        return v->s.n != 0;
    case V_LIST:
        return v->list.n != 0;
    case V_DICT:
        return v->dict != NULL && v->dict->n != 0;
    case V_RECORD:
        return true;
    }
    return false;
}

/* ---- dicts ---- */

static int by_key(const void *a, const void *b) {
    const struct dict_entry *x = a, *y = b;
    int order = ttext_order(x->key, y->key);
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

bool tvalue_dict_seal(struct arena *a, struct dict *d) {
    size_t kept = 0, ranks = d->n;
    if (d->n != 0) qsort(d->entry, d->n, sizeof *d->entry, by_key);
    for (size_t i = 0; i < d->n; i++) { /* of equal keys the last one stays */
        if (kept > 0 && ttext_equal(d->entry[kept - 1].key, d->entry[i].key)) kept--;
        d->entry[kept++] = d->entry[i];
    }
    d->n = kept;
    size_t *by_rank = arena_zalloc(a, ranks + 1, sizeof *by_rank), n = 0;
    if (by_rank == NULL) return false;
    for (size_t i = 0; i < kept; i++) by_rank[d->entry[i].rank] = i + 1;
    for (size_t i = 0; i < ranks; i++)
        if (by_rank[i] != 0) by_rank[n++] = by_rank[i] - 1;
    assert(n == kept);
    d->order = by_rank;
    return true;
}

const struct value *tvalue_dict_get(const struct dict *d, struct text key) {
    size_t low = 0, high = d != NULL ? d->n : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = ttext_order(d->entry[mid].key, key);
        if (order == 0) return &d->entry[mid].value;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* ---- bytes ---- */

static int sextet(unsigned char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Characters that carry data; padding and line breaks do not. */
static size_t sextets(struct text s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += sextet((unsigned char)s.p[i]) >= 0;
    return n;
}

size_t tvalue_bytes_len(const struct value *v) {
    assert(v->kind == V_BYTES);
    return sextets(v->s) * 3 / 4;
}

bool tvalue_bytes(struct arena *a, const struct value *v, struct text *out) {
    size_t n = tvalue_bytes_len(v), at = 0;
    unsigned char *to = arena_alloc(a, n + 1);
    if (to == NULL) return false;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < v->s.n && at < n; i++) {
        int six = sextet((unsigned char)v->s.p[i]);
        if (six < 0) continue;
        bits = bits << 6 | (uint32_t)six;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        to[at++] = (unsigned char)(bits >> have);
    }
    *out = (struct text){(const char *)to, at};
    return true;
}
