/* tools.c - tool definitions as values: known keys become fields of records, free-form JSON stays
 * what it is (spec/templates.md 2.2, 2.3). */
#include <string.h>

#include "api/template/template_impl.h"

/* ---- any JSON ---- */

/* Any JSON as a value; false: no memory. */
static bool put_json(struct arena *a, const json *j, struct value *out);

static bool put_array(struct arena *a, const json *j, struct value *out) {
    size_t n = json_len(j), at = 0;
    struct value *item = arena_zalloc(a, n + 1, sizeof *item); /* empty is not nil */
    if (item == NULL) return false;
    for (const json *c = json_first(j); c != NULL; c = json_next(c))
        if (!put_json(a, c, &item[at++])) return false;
    *out = tvalue_list(item, n, NULL);
    return true;
}

static bool put_json(struct arena *a, const json *j, struct value *out) {
    double number = 0;
    bool b = false;
    *out = (struct value){.kind = V_NIL};
    switch (json_kind(j)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        json_bool(j, &b);
        *out = tvalue_bool(b);
        return true;
    case JSON_NUMBER:
        json_number(j, &number);
        *out = tvalue_float(number);
        return true;
    case JSON_STRING:
        *out = tvalue_text(tdata_string(j));
        return true;
    case JSON_ARRAY:
        return put_array(a, j, out);
    case JSON_OBJECT:
        return tdata_dict(a, j, NULL, out);
    }
    return true;
}

typedef bool convert(struct arena *a, const json *j, struct value *out);

/* An object as a dict; anything else is a nil map. */
static bool put_dict(struct arena *a, const json *object, const struct type *type, convert *member,
                     struct value *out) {
    *out = tvalue_dict(NULL, type);
    if (json_kind(object) != JSON_OBJECT) return true;
    struct dict *d = arena_zalloc(a, 1, sizeof *d);
    if (d != NULL) d->entry = arena_zalloc(a, json_len(object) + 1, sizeof *d->entry);
    if (d == NULL || d->entry == NULL) return false;
    for (const json *c = json_first(object); c != NULL; c = json_next(c), d->n++) {
        struct dict_entry *entry = &d->entry[d->n];
        entry->key = (struct text){json_key(c), strlen(json_key(c))};
        entry->rank = d->n;
        if (!member(a, c, &entry->value)) return false;
    }
    *out = tvalue_dict(d, type);
    return tvalue_dict_seal(a, d);
}

bool tdata_dict(struct arena *a, const json *object, const struct type *type, struct value *out) {
    return put_dict(a, object, type, put_json, out);
}

/* ---- schemas ---- */

static bool put_string(struct arena *a, const json *j, struct value *out) {
    (void)a;
    *out = tvalue_text(tdata_string(j));
    return true;
}

/* An array as a list; anything else is a nil list. */
static bool put_list(struct arena *a, const json *j, const struct type *type, convert *item,
                     struct value *out) {
    size_t n = json_len(j), at = 0;
    *out = tvalue_list(NULL, 0, type);
    if (json_kind(j) != JSON_ARRAY) return true;
    struct value *items = arena_zalloc(a, n + 1, sizeof *items);
    if (items == NULL) return false;
    for (const json *c = json_first(j); c != NULL; c = json_next(c))
        if (!item(a, c, &items[at++])) return false;
    *out = tvalue_list(items, n, type);
    return true;
}

/* "string" or ["string", "null"]. */
static bool put_type(struct arena *a, const json *j, struct value *out) {
    if (json_kind(j) != JSON_STRING) return put_list(a, j, &ttype_property_type, put_string, out);
    struct value *item = arena_zalloc(a, 1, sizeof *item);
    if (item == NULL) return false;
    *item = tvalue_text(tdata_string(j));
    *out = tvalue_list(item, 1, &ttype_property_type);
    return true;
}

static bool put_property(struct arena *a, const json *j, struct value *out) {
    struct value *f = arena_zalloc(a, ttype_property.n_fields, sizeof *f);
    if (f == NULL) return false;
    *out = tvalue_record(f, &ttype_property);
    f[3] = tvalue_text(tdata_string(json_get(j, "description")));
    return put_list(a, json_get(j, "anyOf"), &ttype_property_list, put_property, &f[0]) &&
           put_type(a, json_get(j, "type"), &f[1]) && put_json(a, json_get(j, "items"), &f[2]) &&
           put_list(a, json_get(j, "enum"), NULL, put_json, &f[4]) &&
           put_dict(a, json_get(j, "properties"), &ttype_nested_properties, put_property, &f[5]) &&
           put_list(a, json_get(j, "required"), &ttype_strings, put_string, &f[6]);
}

static bool put_parameters(struct arena *a, const json *j, struct value *out) {
    struct value *f = arena_zalloc(a, ttype_parameters.n_fields, sizeof *f);
    if (f == NULL) return false;
    *out = tvalue_record(f, &ttype_parameters);
    f[0] = tvalue_text(tdata_string(json_get(j, "type")));
    return put_json(a, json_get(j, "$defs"), &f[1]) && put_json(a, json_get(j, "items"), &f[2]) &&
           put_list(a, json_get(j, "required"), &ttype_strings, put_string, &f[3]) &&
           put_dict(a, json_get(j, "properties"), &ttype_properties, put_property, &f[4]);
}

/* ---- tools ---- */

static bool put_function(struct arena *a, const json *j, struct value *out) {
    struct value *f = arena_zalloc(a, ttype_tool_function.n_fields, sizeof *f);
    if (f == NULL) return false;
    *out = tvalue_record(f, &ttype_tool_function);
    f[0] = tvalue_text(tdata_string(json_get(j, "name")));
    f[1] = tvalue_text(tdata_string(json_get(j, "description")));
    return put_parameters(a, json_get(j, "parameters"), &f[2]);
}

static bool put_tool(struct arena *a, const json *j, struct value *out) {
    struct value *f = arena_zalloc(a, ttype_tool.n_fields, sizeof *f);
    if (f == NULL) return false;
    *out = tvalue_record(f, &ttype_tool);
    f[0] = tvalue_text(tdata_string(json_get(j, "type")));
    return put_json(a, json_get(j, "items"), &f[1]) &&
           put_function(a, json_get(j, "function"), &f[2]);
}

bool tdata_tools(struct arena *a, const json *tools, struct value *out) {
    if (json_len(tools) == 0) tools = NULL; /* an empty list is no list */
    return put_list(a, tools, &ttype_tools, put_tool, out);
}
