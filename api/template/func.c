/* func.c - the functions templates can call: one row each (spec/templates.md 3.3 "Functions").
 *
 * A function gets evaluated arguments, at least min_args of them. Its error message is raw; exec.c
 * puts "error calling NAME" and the place in front. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "api/template/template_impl.h"

static enum status func_not(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    (void)x, (void)n;
    *out = tvalue_bool(!tvalue_truth(&arg[0]));
    return ST_OK;
}

/* ---- len, index, slice ---- */

/* Bytes become a string, whose elements are the same numbers. */
static enum status plain(struct texec *x, struct value *v) {
    struct text s;
    if (v->kind != V_BYTES) return ST_OK;
    if (!tvalue_bytes(x->arena, v, &s)) return err_no_memory(x->e);
    *v = tvalue_text(s);
    return texec_spend(x, s.n / 64);
}

/* Elements of a thing with a length; false: it has none. */
static bool length_of(const struct value *v, size_t *n) {
    switch (v->kind) {
    case V_STRING:
        *n = v->s.n;
        return true;
    case V_BYTES:
        *n = tvalue_bytes_len(v);
        return true;
    case V_LIST:
        *n = v->list.n;
        return true;
    case V_DICT:
        *n = v->dict != NULL ? v->dict->n : 0;
        return true;
    default:
        return false;
    }
}

static enum status func_len(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    size_t len;
    (void)n;
    if (arg[0].kind == V_NIL) return texec_fail(x, "len of nil pointer");
    if (!length_of(&arg[0], &len))
        return texec_fail(x, "len of type %s", tvalue_type_name(&arg[0]));
    *out = tvalue_int((int64_t)len);
    return ST_OK;
}

/* An index value in [0, max]. */
static enum status index_value(struct texec *x, const struct value *v, size_t max, size_t *out) {
    if (v->kind == V_NIL) return texec_fail(x, "cannot index slice/array with nil");
    if (v->kind != V_INT)
        return texec_fail(x, "cannot index slice/array with type %s", tvalue_type_name(v));
    if (v->i < 0 || (uint64_t)v->i > max)
        return texec_fail(x, "index out of range: %" PRId64, v->i);
    *out = (size_t)v->i;
    return ST_OK;
}

static enum status index_dict(struct texec *x, const struct value *v, const struct value *key,
                              struct value *out) {
    if (key->kind == V_NIL) return texec_fail(x, "value is nil; should be of type string");
    if (key->kind != V_STRING)
        return texec_fail(x, "value has type %s; should be string", tvalue_type_name(key));
    const struct value *item = tvalue_dict_get(v->dict, key->s);
    *out = item != NULL ? *item : (struct value){.kind = V_NIL};
    return ST_OK;
}

static enum status index_one(struct texec *x, struct value v, const struct value *key,
                             struct value *out) {
    size_t i = 0, n;
    enum status st = plain(x, &v);
    if (st != ST_OK) return st;
    if (v.kind == V_NIL) return texec_fail(x, "index of untyped nil");
    if (v.kind == V_DICT) return index_dict(x, &v, key, out);
    if (!length_of(&v, &n))
        return texec_fail(x, "can't index item of type %s", tvalue_type_name(&v));
    st = index_value(x, key, n, &i);
    if (st != ST_OK) return st;
    if (i == n) return texec_fail(x, "index out of range: %zu", i);
    *out = v.kind == V_LIST ? v.list.item[i] : tvalue_int((unsigned char)v.s.p[i]);
    return ST_OK;
}

static enum status func_index(struct texec *x, const struct value *arg, size_t n,
                              struct value *out) {
    enum status st = ST_OK;
    if (arg[0].kind == V_NIL) return texec_fail(x, "index of untyped nil");
    *out = arg[0];
    for (size_t i = 1; i < n && st == ST_OK; i++) st = index_one(x, *out, &arg[i], out);
    return st;
}

/* x[a:b] or x[a:b:c], the last only for lists; a third index limits what cria's lists do not have
 * (a capacity), so it is only checked. */
static enum status func_slice(struct texec *x, const struct value *arg, size_t n,
                              struct value *out) {
    struct value v = arg[0];
    enum status st = plain(x, &v);
    size_t at[3] = {0}, len = 0;
    if (st != ST_OK) return st;
    if (v.kind == V_NIL) return texec_fail(x, "slice of untyped nil");
    if (n > 4) return texec_fail(x, "too many slice indexes: %zu", n - 1);
    if (v.kind != V_STRING && v.kind != V_LIST)
        return texec_fail(x, "can't slice item of type %s", tvalue_type_name(&v));
    if (v.kind == V_STRING && n == 4) return texec_fail(x, "cannot 3-index slice a string");
    length_of(&v, &len);
    at[1] = at[2] = len;
    for (size_t i = 1; i < n; i++)
        if ((st = index_value(x, &arg[i], len, &at[i - 1])) != ST_OK) return st;
    for (size_t i = 0; i < 2; i++)
        if (at[i] > at[i + 1])
            return texec_fail(x, "invalid slice index: %zu > %zu", at[i], at[i + 1]);
    *out = v;
    if (v.kind == V_STRING)
        out->s = (struct text){v.s.p + at[0], at[1] - at[0]};
    else if (v.list.item != NULL)
        out->list.item = v.list.item + at[0];
    if (v.kind == V_LIST) out->list.n = at[1] - at[0];
    return ST_OK;
}

/* ---- print, println, printf, json ---- */

static size_t text_limit(const struct texec *x) {
    return x->limits->output < x->limits->memory ? x->limits->output : x->limits->memory;
}

static enum status too_long(struct texec *x) {
    return err_set(x->e, ST_LIMIT, "template makes a text of more than %zu bytes", text_limit(x));
}

enum status tfunc_sprint(struct texec *x, const struct value *arg, size_t n, bool line) {
    struct buf *b = &x->scratch;
    buf_clear(b);
    for (size_t i = 0; i < n; i++) {
        bool text = i > 0 && (arg[i - 1].kind == V_STRING || arg[i].kind == V_STRING);
        if (i > 0 && (line || !text)) buf_chr(b, ' ');
        tvalue_print(b, &arg[i]);
        if (b->len > text_limit(x)) return too_long(x);
    }
    if (line) buf_chr(b, '\n');
    return ST_OK;
}

static enum status func_print(struct texec *x, const struct value *arg, size_t n,
                              struct value *out) {
    enum status st = tfunc_sprint(x, arg, n, false);
    return st == ST_OK ? texec_take(x, out) : st;
}

static enum status func_println(struct texec *x, const struct value *arg, size_t n,
                                struct value *out) {
    enum status st = tfunc_sprint(x, arg, n, true);
    return st == ST_OK ? texec_take(x, out) : st;
}

static enum status func_printf(struct texec *x, const struct value *arg, size_t n,
                               struct value *out) {
    if (arg[0].kind != V_STRING)
        return texec_fail(x, "wrong type for value; expected string; got %s",
                          tvalue_type_name(&arg[0]));
    buf_clear(&x->scratch);
    tvalue_printf(&x->scratch, arg[0].s, arg + 1, n - 1, text_limit(x));
    if (x->scratch.len > text_limit(x)) return too_long(x);
    return texec_take(x, out);
}

static enum status func_json(struct texec *x, const struct value *arg, size_t n,
                             struct value *out) {
    (void)n;
    buf_clear(&x->scratch);
    tvalue_json(&x->scratch, &arg[0]);
    return texec_take(x, out);
}

/* ---- call, dates, types ---- */

static enum status func_call(struct texec *x, const struct value *arg, size_t n,
                             struct value *out) {
    (void)n, (void)out;
    return texec_fail(x, "non-function of type %s", tvalue_type_name(&arg[0]));
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month] + (month == 1 && leap);
}

/* By the calendar, not by the clock: a day may have 23 hours. */
static void day_before(struct tm *tm) {
    if (--tm->tm_mday > 0) return;
    if (--tm->tm_mon < 0) {
        tm->tm_mon = 11;
        tm->tm_year--;
    }
    tm->tm_mday = days_in_month(tm->tm_year + 1900, tm->tm_mon);
}

/* Today's local date, or yesterday's. */
static enum status date(struct texec *x, bool yesterday, struct value *out) {
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm) == NULL) return texec_fail(x, "no local time");
    if (yesterday) day_before(&tm);
    buf_clear(&x->scratch);
    buf_printf(&x->scratch, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    return texec_take(x, out);
}

static enum status func_current_date(struct texec *x, const struct value *arg, size_t n,
                                     struct value *out) {
    (void)arg, (void)n;
    return date(x, false, out);
}

static enum status func_yesterday_date(struct texec *x, const struct value *arg, size_t n,
                                       struct value *out) {
    (void)arg, (void)n;
    return date(x, true, out);
}

static const char *typescript_name(const struct value *type) {
    static const char *const names[][2] = {
        {"string", "string"},   {"number", "number"}, {"integer", "number"},
        {"boolean", "boolean"}, {"array", "any[]"},   {"object", "Record<string, any>"},
        {"null", "null"},
    };
    for (size_t i = 0; type->kind == V_STRING && i < sizeof names / sizeof *names; i++)
        if (ttext_is(type->s, names[i][0])) return names[i][1];
    return "any";
}

/* v: a property. Its alternatives, or its types. */
static void put_typescript(struct buf *b, const struct value *v) {
    enum { ANY_OF, TYPE }; /* the first two fields of a property */
    if (v->type != &ttype_property) {
        buf_str(b, "any");
        return;
    }
    const struct value *any_of = &v->field[ANY_OF], *type = &v->field[TYPE];
    for (size_t i = 0; i < any_of->list.n; i++) {
        if (i > 0) buf_str(b, " | ");
        put_typescript(b, &any_of->list.item[i]);
    }
    if (any_of->list.n != 0) return;
    if (type->list.n == 0) buf_str(b, "any");
    for (size_t i = 0; i < type->list.n; i++) {
        if (i > 0) buf_str(b, " | ");
        buf_str(b, typescript_name(&type->list.item[i]));
    }
}

static enum status func_typescript(struct texec *x, const struct value *arg, size_t n,
                                   struct value *out) {
    (void)n;
    buf_clear(&x->scratch);
    put_typescript(&x->scratch, &arg[0]);
    return texec_take(x, out);
}

/* ---- the table ---- */

static const struct func funcs[] = {
    {"and", 1, true, NULL, false},
    {"call", 1, true, func_call, false},
    {"currentDate", 0, true, func_current_date, false},
    {"eq", 1, true, tfunc_eq, false},
    {"ge", 2, false, tfunc_ge, false},
    {"gt", 2, false, tfunc_gt, false},
    {"html", 1, true, tfunc_html, false},
    {"index", 1, true, func_index, false},
    {"js", 1, true, tfunc_js, false},
    {"json", 1, false, func_json, false},
    {"le", 2, false, tfunc_le, false},
    {"len", 1, false, func_len, false},
    {"lt", 2, false, tfunc_lt, false},
    {"ne", 2, false, tfunc_ne, false},
    {"not", 1, false, func_not, false},
    {"or", 1, true, NULL, true},
    {"print", 0, true, func_print, false},
    {"printf", 1, true, func_printf, false},
    {"println", 0, true, func_println, false},
    {"slice", 1, true, func_slice, false},
    {"toTypeScriptType", 1, false, func_typescript, false},
    {"urlquery", 1, true, tfunc_urlquery, false},
    {"yesterdayDate", 0, true, func_yesterday_date, false},
};

const struct func *tfunc_find(struct text name) {
    for (size_t i = 0; i < sizeof funcs / sizeof *funcs; i++)
        if (ttext_is(name, funcs[i].name)) return &funcs[i];
    return NULL;
}
