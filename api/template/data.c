/* data.c - what a template sees of a request: the messages, normalised, as values
 * (spec/templates.md 2.1, 2.2). Texts stay where the JSON tree has them; only what is merged is
 * copied. */
#include <assert.h>
#include <string.h>

#include "api/template/template_impl.h"

struct text tdata_string(const json *j) {
    struct text s = {"", 0};
    const char *p = json_string_n(j, &s.n);
    if (p != NULL) s.p = p;
    return s;
}

static struct value string_member(const json *object, const char *key) {
    return tvalue_text(tdata_string(json_get(object, key)));
}

/* ---- normalising ---- */

static bool lower_copy(struct arena *a, struct text s, struct text *out) {
    char *low = arena_strndup(a, s.p, s.n);
    if (low == NULL) return false;
    for (size_t i = 0; i < s.n; i++)
        if (low[i] >= 'A' && low[i] <= 'Z') low[i] = (char)(low[i] | 32);
    *out = (struct text){low, s.n};
    return true;
}

/* The contents of n messages joined by blank lines; role: only those with it (all if p is NULL). */
static bool join_contents(struct arena *a, const struct message *m, size_t n, struct text role,
                          struct text *out) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++) size += m[i].content.n + 2;
    char *to = arena_alloc(a, size + 1);
    if (to == NULL) return false;
    *out = (struct text){to, 0};
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (role.p != NULL && !ttext_equal(m[i].role, role)) continue;
        if (!first) {
            memcpy(to + out->n, "\n\n", 2);
            out->n += 2;
        }
        memcpy(to + out->n, m[i].content.p, m[i].content.n);
        out->n += m[i].content.n;
        first = false;
    }
    return true;
}

/* How many messages from the first on have its role and so become one. */
static size_t run_length(const struct message *m, size_t n) {
    size_t run = 1;
    if (ttext_is(m[0].role, "tool")) return 1;
    while (run < n && ttext_equal(m[run].role, m[0].role)) run++;
    return run;
}

enum status tdata_collate(struct arena *a, const json *messages, struct conversation *out,
                          struct err *e) {
    size_t n = json_len(messages), at = 0;
    struct message *m = arena_zalloc(a, n + 1, sizeof *m);
    if (m == NULL) return err_no_memory(e);
    for (const json *j = json_first(messages); j != NULL; j = json_next(j), at++) {
        m[at].source = j;
        m[at].content = tdata_string(json_get(j, "content"));
        if (!lower_copy(a, tdata_string(json_get(j, "role")), &m[at].role)) return err_no_memory(e);
    }
    assert(at == n);
    if (!join_contents(a, m, n, TEXT("system"), &out->system)) return err_no_memory(e);
    out->message = m;
    out->n = 0;
    for (size_t i = 0; i < n;) { /* in place: a run never grows */
        size_t run = run_length(m + i, n - i);
        struct message whole = m[i];
        if (run > 1 && !join_contents(a, m + i, run, (struct text){NULL, 0}, &whole.content))
            return err_no_memory(e);
        m[out->n++] = whole;
        i += run;
    }
    return ST_OK;
}

/* ---- messages as values ---- */

static bool put_images(struct arena *a, const json *images, struct value *out) {
    size_t n = json_len(images), at = 0;
    *out = tvalue_list(NULL, 0, &ttype_images);
    if (json_kind(images) != JSON_ARRAY || n == 0) return true;
    struct value *item = arena_zalloc(a, n, sizeof *item);
    if (item == NULL) return false;
    for (const json *j = json_first(images); j != NULL; j = json_next(j))
        item[at++] = (struct value){.kind = V_BYTES, .s = tdata_string(j)};
    *out = tvalue_list(item, n, &ttype_images);
    return true;
}

static bool put_call(struct arena *a, const json *j, struct value *out) {
    const json *function = json_get(j, "function");
    int64_t index = 0;
    struct value *call = arena_zalloc(a, ttype_call.n_fields, sizeof *call);
    struct value *f = arena_zalloc(a, ttype_call_function.n_fields, sizeof *f);
    if (call == NULL || f == NULL) return false;
    json_int(json_get(function, "index"), &index);
    f[0] = tvalue_int(index);
    f[1] = string_member(function, "name");
    if (!tdata_dict(a, json_get(function, "arguments"), &ttype_arguments, &f[2])) return false;
    call[0] = string_member(j, "id");
    call[1] = tvalue_record(f, &ttype_call_function);
    *out = tvalue_record(call, &ttype_call);
    return true;
}

static bool put_calls(struct arena *a, const json *calls, struct value *out) {
    size_t n = json_len(calls), at = 0;
    *out = tvalue_list(NULL, 0, &ttype_calls);
    if (json_kind(calls) != JSON_ARRAY || n == 0) return true;
    struct value *item = arena_zalloc(a, n, sizeof *item);
    if (item == NULL) return false;
    for (const json *j = json_first(calls); j != NULL; j = json_next(j))
        if (!put_call(a, j, &item[at++])) return false;
    *out = tvalue_list(item, n, &ttype_calls);
    return true;
}

static bool put_message(struct arena *a, const struct message *m, struct value *out) {
    struct value *f = arena_zalloc(a, ttype_message.n_fields, sizeof *f);
    if (f == NULL) return false;
    f[0] = tvalue_text(m->role);
    f[1] = tvalue_text(m->content);
    f[2] = string_member(m->source, "thinking");
    f[5] = string_member(m->source, "tool_name");
    f[6] = string_member(m->source, "tool_call_id");
    *out = tvalue_record(f, &ttype_message);
    return put_images(a, json_get(m->source, "images"), &f[3]) &&
           put_calls(a, json_get(m->source, "tool_calls"), &f[4]);
}

static bool put_messages(struct arena *a, const struct conversation *c, struct value *out) {
    struct value *item = arena_zalloc(a, c->n + 1, sizeof *item);
    if (item == NULL) return false;
    for (size_t i = 0; i < c->n; i++)
        if (!put_message(a, &c->message[i], &item[i])) return false;
    *out = tvalue_list(item, c->n, &ttype_messages);
    return true;
}

/* ---- the map ---- */

enum { MAX_KEYS = 8 };
struct data_map {
    struct dict dict;
    struct dict_entry entry[MAX_KEYS];
};

static void put_key(struct data_map *m, const char *key, struct value v) {
    assert(m->dict.n < MAX_KEYS);
    m->entry[m->dict.n] = (struct dict_entry){{key, strlen(key)}, v, m->dict.n};
    m->dict.n++;
}

static struct text c_text(const char *s) {
    if (s == NULL) s = "";
    return (struct text){s, strlen(s)};
}

static struct data_map *new_map(struct arena *a, const struct template_data *data) {
    struct data_map *m = arena_zalloc(a, 1, sizeof *m);
    if (m == NULL) return NULL;
    struct text level = c_text(data->think_level);
    bool think = data->think || level.n != 0;
    if (think && level.n == 0) level = TEXT("medium");
    m->dict.entry = m->entry;
    put_key(m, "Think", tvalue_bool(think));
    put_key(m, "ThinkLevel", tvalue_text(level));
    put_key(m, "IsThinkSet", tvalue_bool(data->think_set));
    return m;
}

static enum status seal(struct arena *a, struct data_map *m, struct value *out, struct err *e) {
    if (m == NULL || !tvalue_dict_seal(a, &m->dict)) return err_no_memory(e);
    *out = tvalue_dict(&m->dict, NULL);
    return ST_OK;
}

enum status tdata_messages(struct arena *a, const struct template_data *data, struct value *out,
                           struct err *e) {
    struct conversation c;
    struct value messages, tools;
    enum status st = tdata_collate(a, data->messages, &c, e);
    if (st != ST_OK) return st;
    struct data_map *m = new_map(a, data);
    if (m == NULL || !put_messages(a, &c, &messages) || !tdata_tools(a, data->tools, &tools))
        return err_no_memory(e);
    put_key(m, "System", tvalue_text(c.system));
    put_key(m, "Messages", messages);
    put_key(m, "Tools", tools);
    put_key(m, "Response", tvalue_text(TEXT("")));
    return seal(a, m, out, e);
}

enum status tdata_suffix(struct arena *a, const struct template_data *data, struct value *out,
                         struct err *e) {
    struct data_map *m = new_map(a, data);
    if (m == NULL) return err_no_memory(e);
    put_key(m, "Prompt", tvalue_text(c_text(data->prompt)));
    put_key(m, "Suffix", tvalue_text(c_text(data->suffix)));
    put_key(m, "Response", tvalue_text(TEXT("")));
    return seal(a, m, out, e);
}

enum status tdata_legacy(struct arena *a, const struct template_data *data,
                         const struct legacy_turn *turn, struct value *out, struct err *e) {
    struct data_map *m = new_map(a, data);
    if (m == NULL) return err_no_memory(e);
    put_key(m, "System", tvalue_text(turn->system));
    put_key(m, "Prompt", tvalue_text(turn->prompt));
    put_key(m, "Response", tvalue_text(turn->response));
    return seal(a, m, out, e);
}
