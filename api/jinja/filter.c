/* filter.c - filters of single values: text, numbers, JSON. Those of sequences: filter_list.c. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/utf8.h"

static bool arg_text(struct jx *x, const struct jargs *a, size_t i, const char *name,
                     const char *fallback, struct jtext *out) {
    const struct jv *v = jarg(a, i, name);
    *out = (struct jtext){fallback, strlen(fallback)};
    return v == NULL || v->kind == J_NONE || jv_to_text(x, *v, out);
}

/* ---- text ---- */

static bool cased(struct jx *x, struct jv in, enum jcase c, struct jv *out) {
    struct jtext t;
    return jv_to_text(x, in, &t) && jtext_case(x, t, c, out);
}
FILTER(upper) { return cased(x, in, JCASE_UPPER, out); }
FILTER(lower) { return cased(x, in, JCASE_LOWER, out); }
FILTER(title) { return cased(x, in, JCASE_TITLE, out); }
FILTER(capitalize) { return cased(x, in, JCASE_CAPITALIZE, out); }

FILTER(trim) {
    const struct jv *chars = jarg(a, 0, "chars");
    struct jtext t, set = {NULL, 0};
    if (!jv_to_text(x, in, &t)) return false;
    if (chars != NULL && chars->kind == J_STRING) set = jv_str(*chars);
    t = jtext_strip(t, set.p, set.n, true, true);
    *out = jv_text(t.p, t.n);
    return true;
}

FILTER(string) {
    struct jtext t;
    if (!jv_to_text(x, in, &t)) return false;
    *out = jv_text(t.p, t.n);
    return true;
}

FILTER(replace) {
    struct jtext t, from, to;
    int64_t n;
    return jv_to_text(x, in, &t) && arg_text(x, a, 0, "old", "", &from) &&
           arg_text(x, a, 1, "new", "", &to) && jarg_int(x, a, 2, "count", -1, &n) &&
           jtext_replace(x, t, from, to, n, out);
}

FILTER(safe) {
    if (in.kind != J_STRING && !string(x, in, a, &in)) return false;
    in.flag |= JFLAG_SAFE;
    *out = in;
    return true;
}

FILTER(escape) {
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct buf b = {0};
    struct jtext t;
    if (in.flag & JFLAG_SAFE) {
        *out = in;
        return true;
    }
    if (!jv_to_text(x, in, &t)) return false;
    for (size_t i = 0; i < t.n; i++) {
        const char *hit = t.p[i] != '\0' ? strchr(from, t.p[i]) : NULL;
        if (hit != NULL)
            buf_str(&b, to[hit - from]);
        else
            buf_chr(&b, t.p[i]);
    }
    if (!jx_string_buf(x, &b, out)) return false;
    out->flag |= JFLAG_SAFE;
    return true;
}

bool jx_escape(struct jx *x, struct jv v, struct jv *out) { return escape(x, v, NULL, out); }

FILTER(indent) {
    const struct jv *width = jarg(a, 0, "width");
    struct buf b = {0}, pad = {0};
    struct jtext t;
    bool first = jarg_true(a, 1, "first", false), blank = jarg_true(a, 2, "blank", false);
    int64_t n = 4;
    if (!jv_to_text(x, in, &t)) return false;
    if (width != NULL && width->kind == J_STRING)
        buf_add(&pad, width->s, width->n);
    else if (!jarg_int(x, a, 0, "width", 4, &n))
        return false;
    for (int64_t i = 0; i < n && i < 1000 && (width == NULL || width->kind != J_STRING); i++)
        buf_chr(&pad, ' ');
    for (size_t i = 0; i <= t.n && pad.len > 0;) {
        const char *nl = i < t.n ? memchr(t.p + i, '\n', t.n - i) : NULL;
        size_t end = nl == NULL ? t.n : (size_t)(nl - t.p);
        if ((i == 0 ? first : true) && (end > i || blank)) buf_add(&b, pad.data, pad.len);
        buf_add(&b, t.p + i, end - i);
        if (nl == NULL) break;
        buf_chr(&b, '\n');
        i = end + 1;
        if (b.len > x->limits->max_out) break;
    }
    if (pad.len == 0) buf_add(&b, t.p, t.n);
    buf_free(&pad);
    return jx_string_buf(x, &b, out);
}

FILTER(format) {
    struct jtext t;
    return jv_to_text(x, in, &t) && jtext_format(x, t, a->pos, a->n, out);
}

FILTER(wordcount) {
    struct jtext t;
    int64_t n = 0;
    bool inside = false;
    if (!jv_to_text(x, in, &t)) return false;
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        bool word = isalnum(c) || c == '_' || c >= 0x80;
        n += word && !inside;
        inside = word;
    }
    *out = jv_int(n);
    return true;
}

FILTER(truncate) {
    struct jtext t, end;
    int64_t len, leeway;
    struct buf b = {0};
    if (!jv_to_text(x, in, &t) || !jarg_int(x, a, 0, "length", 255, &len) ||
        !arg_text(x, a, 2, "end", "...", &end) || !jarg_int(x, a, 3, "leeway", 5, &leeway))
        return false;
    size_t n = jtext_chars(t), n_end = jtext_chars(end);
    if ((int64_t)n <= len + leeway) return string(x, in, a, out);
    size_t keep = len > (int64_t)n_end ? (size_t)len - n_end : 0;
    size_t cut = jtext_offset(t, keep);
    if (!jarg_true(a, 1, "killwords", false)) {
        const char *space = cut == 0 ? NULL : memrchr(t.p, ' ', cut);
        if (space != NULL) cut = (size_t)(space - t.p);
    }
    buf_add(&b, t.p, cut);
    buf_add(&b, end.p, end.n);
    return jx_string_buf(x, &b, out);
}

FILTER(center) {
    struct jtext t;
    int64_t width;
    struct buf b = {0};
    if (!jv_to_text(x, in, &t) || !jarg_int(x, a, 0, "width", 80, &width)) return false;
    int64_t pad = width - (int64_t)jtext_chars(t);
    if (pad < 0) pad = 0;
    if (pad > 100000) return jx_fail(x, "the text grows too large");
    int64_t left = pad / 2 + (pad & width & 1);
    for (int64_t i = 0; i < left; i++) buf_chr(&b, ' ');
    buf_add(&b, t.p, t.n);
    for (int64_t i = left; i < pad; i++) buf_chr(&b, ' ');
    return jx_string_buf(x, &b, out);
}

static void put_url(struct buf *b, struct jtext t) {
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (isalnum(c) || strchr("/_.-~", c == 0 ? ' ' : c) != NULL)
            buf_chr(b, (char)c);
        else
            buf_printf(b, "%%%02X", c);
    }
}

FILTER(urlencode) {
    struct buf b = {0};
    struct jtext t;
    if (in.kind == J_DICT) {
        for (size_t i = 0; i < in.dict->n; i++) {
            if (i > 0) buf_chr(&b, '&');
            if (jv_to_text(x, in.dict->at[i].key, &t)) put_url(&b, t);
            buf_chr(&b, '=');
            if (!x->failed && jv_to_text(x, in.dict->at[i].value, &t)) put_url(&b, t);
        }
    } else if (jv_to_text(x, in, &t)) {
        put_url(&b, t);
    }
    if (!x->failed) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

/* Tags go, runs of white space become one space. */
FILTER(striptags) {
    struct buf b = {0};
    struct jtext t;
    bool space = false;
    if (!jv_to_text(x, in, &t)) return false;
    for (size_t i = 0; i < t.n; i++) {
        const char *end = t.p[i] == '<' ? memchr(t.p + i, '>', t.n - i) : NULL;
        if (end != NULL) {
            i = (size_t)(end - t.p);
        } else if (isspace((unsigned char)t.p[i])) {
            space = b.len > 0;
        } else {
            if (space) buf_chr(&b, ' ');
            space = false;
            buf_chr(&b, t.p[i]);
        }
    }
    return jx_string_buf(x, &b, out);
}

FILTER(xmlattr) {
    struct buf b = {0};
    struct jv text;
    if (in.kind != J_DICT) return jx_fail(x, "xmlattr needs a mapping");
    for (size_t i = 0; i < in.dict->n; i++) {
        const struct jentry *e = &in.dict->at[i];
        if (e->value.kind == J_NONE || e->value.kind == J_UNDEFINED) continue;
        buf_chr(&b, ' ');
        if (escape(x, e->key, a, &text)) buf_add(&b, text.s, text.n);
        buf_str(&b, "=\"");
        if (!x->failed && escape(x, e->value, a, &text)) buf_add(&b, text.s, text.n);
        buf_chr(&b, '"');
    }
    if (!x->failed) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

FILTER(filesizeformat) {
    static const char *const unit[2][8] = {
        {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
        {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    bool binary = jarg_true(a, 0, "binary", false);
    double base = binary ? 1024 : 1000, bytes = jv_double(in), size = base;
    struct buf b = {0};
    if (!jv_is_number(in)) return jx_fail(x, "filesizeformat needs a number");
    if (bytes < base) {
        buf_printf(&b, bytes == 1 ? "%.0f Byte" : "%.0f Bytes", bytes);
        return jx_string_buf(x, &b, out);
    }
    int i = 0;
    for (; i < 7 && bytes >= size * base; i++) size *= base;
    buf_printf(&b, "%.1f %s", bytes / size, unit[binary][i]);
    return jx_string_buf(x, &b, out);
}

/* ---- numbers ---- */

static bool parse_int(struct jtext t, int base, int64_t *out) {
    char digits[80], *end;
    size_t n = 0;
    t = jtext_strip(t, NULL, 0, true, true);
    for (size_t i = 0; i < t.n && n + 1 < sizeof digits; i++)
        if (t.p[i] != '_') digits[n++] = t.p[i];
    digits[n] = '\0';
    char *p = digits;
    if (base == 8 && n > 2 && p[0] == '0' && (p[1] | 32) == 'o') p += 2;
    if (base == 2 && n > 2 && p[0] == '0' && (p[1] | 32) == 'b') p += 2;
    errno = 0;
    *out = strtoll(p, &end, base);
    return *p != '\0' && *end == '\0' && errno == 0;
}

static bool parse_float(struct jtext t, double *out) {
    char digits[80], *end;
    t = jtext_strip(t, NULL, 0, true, true);
    if (t.n == 0 || t.n >= sizeof digits) return false;
    memcpy(digits, t.p, t.n);
    digits[t.n] = '\0';
    if (strpbrk(digits, "xX(") != NULL) return false;
    *out = strtod(digits, &end);
    return *end == '\0';
}

FILTER(int_) {
    const struct jv *fallback = jarg(a, 0, "default");
    int64_t base, i = 0;
    double f = 0;
    bool ok = false;
    if (!jarg_int(x, a, 1, "base", 10, &base)) return false;
    if (base < 2 || base > 36) base = 10;
    if (in.kind == J_STRING) {
        ok = parse_int(jv_str(in), (int)base, &i);
        if (!ok && parse_float(jv_str(in), &f) && fabs(f) < 9e18) {
            ok = true;
            i = (int64_t)f;
        }
    } else if (jv_is_number(in) && fabs(jv_double(in)) <= 0x1p63) {
        ok = true;
        i = in.kind == J_FLOAT ? (fabs(in.f) < 0x1p63 ? (int64_t)in.f : INT64_MAX)
            : in.kind == J_INT ? in.i
                               : in.b;
    }
    *out = ok ? jv_int(i) : fallback != NULL ? *fallback : jv_int(0);
    return true;
}

FILTER(float_) {
    const struct jv *fallback = jarg(a, 0, "default");
    double f = 0;
    bool ok = jv_is_number(in) || (in.kind == J_STRING && parse_float(jv_str(in), &f));
    if (jv_is_number(in)) f = jv_double(in);
    *out = ok ? jv_float(f) : fallback != NULL ? *fallback : jv_float(0);
    return true;
}

FILTER(abs_) {
    if (!jv_is_number(in)) return jx_fail(x, "bad operand type for abs(): '%s'", jv_type_name(in));
    if (in.kind == J_FLOAT)
        *out = jv_float(fabs(in.f));
    else if (in.kind == J_INT && in.i == INT64_MIN)
        return jx_fail(x, "integer overflow");
    else
        *out = jv_int(in.kind == J_BOOL ? in.b : in.i < 0 ? -in.i : in.i);
    return true;
}

FILTER(round_) {
    const struct jv *method = jarg(a, 1, "method");
    int64_t precision;
    if (!jv_is_number(in)) return jx_fail(x, "round needs a number, got %s", jv_type_name(in));
    if (!jarg_int(x, a, 0, "precision", 0, &precision)) return false;
    if (precision > 300) precision = 300;
    if (precision < -300) precision = -300;
    double f = jv_double(in), scale = pow(10, (double)precision);
    if (method != NULL && method->kind == J_STRING && method->n > 0 && *method->s != 'c') {
        f = (*method->s == 'f' ? floor(f * scale) : ceil(f * scale)) / scale;
        if (jtext_is(jv_str(*method), "ceil")) f = ceil(jv_double(in) * scale) / scale;
    } else if (method != NULL && method->kind == J_STRING && jtext_is(jv_str(*method), "ceil")) {
        f = ceil(f * scale) / scale;
    } else if (precision >= 0 && precision < 20) { /* by its decimal digits, as Python does */
        char text[400];
        snprintf(text, sizeof text, "%.*f", (int)precision, f);
        f = strtod(text, NULL);
    } else {
        f = nearbyint(f * scale) / scale;
    }
    *out = in.kind == J_INT && precision == 0 && method == NULL ? in : jv_float(f);
    return true;
}

/* ---- JSON and printing ---- */

FILTER(tojson) {
    struct jjson_style s = {.item = ", ", .key = ": ", .indent = -1};
    const struct jv *sep = jarg(a, 2, "separators"), *indent_arg = jarg(a, 1, "indent");
    struct buf b = {0};
    int64_t n = -1;
    /* tojson(indent=...) of Jinja takes it first; that of Transformers second. */
    if (indent_arg == NULL && a->n == 1 && a->pos[0].kind == J_INT) indent_arg = &a->pos[0];
    s.ascii = a->n > 0 && a->pos[0].kind == J_INT ? false : jarg_true(a, 0, "ensure_ascii", false);
    s.sort = jarg_true(a, 3, "sort_keys", false);
    if (indent_arg != NULL && indent_arg->kind == J_INT) n = indent_arg->i;
    s.indent = n < 0 ? -1 : n > 64 ? 64 : (int)n;
    if (s.indent >= 0) s.item = ",";
    if (sep != NULL && jv_is_seq(*sep) && sep->list->n == 2) {
        struct jv item, key;
        if (sep->list->at[0].kind != J_STRING || sep->list->at[1].kind != J_STRING)
            return jx_fail(x, "separators must be strings");
        if (!jx_string(x, sep->list->at[0].s, sep->list->at[0].n, &item) ||
            !jx_string(x, sep->list->at[1].s, sep->list->at[1].n, &key))
            return false;
        s.item = item.s; /* copies end with a NUL */
        s.key = key.s;
    }
    if (jv_put_json(x, &b, in, &s, 0)) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

FILTER(pprint) {
    struct buf b = {0};
    if (in.kind == J_DICT) { /* keys in order */
        struct jv sorted;
        struct jargs none = {0};
        const struct jfilter *sort = jfilter_list_find((struct jtext){"dictsort", 8});
        if (!sort->fn(x, in, &none, &sorted) || !jv_dict(x, in.dict->n, out)) return false;
        for (size_t i = 0; i < sorted.list->n; i++) {
            const struct jlist *p = sorted.list->at[i].list;
            if (!jv_put(x, out->dict, p->at[0], p->at[1])) return false;
        }
        in = *out;
    }
    if (jv_put_repr(x, &b, in)) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

/* ---- others ---- */

FILTER(default_) {
    const struct jv *v = jarg(a, 0, "default_value");
    bool empty = jarg_true(a, 1, "boolean", false) && !jv_truth(in);
    *out = in.kind == J_UNDEFINED || empty ? (v != NULL ? *v : jv_text("", 0)) : in;
    return true;
}

FILTER(length) {
    size_t n;
    if (!jv_length(x, in, &n)) return false;
    *out = jv_int((int64_t)n);
    return true;
}

bool jfilter_try_attr(struct jx *x, struct jv v, struct jv path, struct jv *out) {
    if (path.kind != J_STRING) return jx_item(x, v, path, out);
    struct jtext t = jv_str(path);
    for (;;) { /* "a.b.0" */
        const char *dot = t.n > 0 ? memchr(t.p, '.', t.n) : NULL;
        struct jtext part = {t.p, dot == NULL ? t.n : (size_t)(dot - t.p)};
        int64_t i;
        struct jv key = part.n > 0 && isdigit((unsigned char)*part.p) && parse_int(part, 10, &i)
                            ? jv_int(i)
                            : jv_text(part.p, part.n);
        if (v.kind == J_UNDEFINED) {
            *out = v;
            return true;
        }
        if (!jx_item(x, v, key, &v)) return false;
        if (dot == NULL) break;
        t = (struct jtext){dot + 1, t.n - part.n - 1};
    }
    *out = v;
    return true;
}

FILTER(attr) {
    const struct jv *name = jarg(a, 0, "name");
    if (name == NULL || name->kind != J_STRING) return jx_fail(x, "attr needs a name");
    return jx_attr(x, in, jv_str(*name), out);
}

static const struct jfilter filters[] = {
    {"abs", abs_},
    {"attr", attr},
    {"capitalize", capitalize},
    {"center", center},
    {"count", length},
    {"d", default_},
    {"default", default_},
    {"e", escape},
    {"escape", escape},
    {"filesizeformat", filesizeformat},
    {"float", float_},
    {"forceescape", escape},
    {"format", format},
    {"indent", indent},
    {"int", int_},
    {"length", length},
    {"lower", lower},
    {"pprint", pprint},
    {"replace", replace},
    {"round", round_},
    {"safe", safe},
    {"string", string},
    {"striptags", striptags},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", upper},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
    {"xmlattr", xmlattr},
};

const struct jfilter *jfilter_find(struct jtext name, bool own) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (jtext_is(name, filters[i].name)) return &filters[i];
    const struct jfilter *f = own ? jfilter_go_find(name) : NULL;
    return f != NULL ? f : jfilter_list_find(name);
}
