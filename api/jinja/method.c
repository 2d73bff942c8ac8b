/* method.c - methods of strings, lists, dictionaries, loops and cyclers. */
#include <ctype.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

#define METHOD(name)                                                                               \
    static bool name(struct jx *x MAYBE_UNUSED, struct jv self, struct jargs *a MAYBE_UNUSED,      \
                     struct jv *out)

static bool text_arg(struct jx *x, const struct jargs *a, size_t i, const char *method,
                     struct jtext *out) {
    *out = (struct jtext){"", 0};
    if (i >= a->n || a->pos[i].kind != J_STRING)
        return jx_fail(x, "%s() needs a string argument", method);
    *out = jv_str(a->pos[i]);
    return true;
}

/* ---- strings: cases and ends ---- */

METHOD(upper) { return jtext_case(x, jv_str(self), JCASE_UPPER, out); }
METHOD(lower) { return jtext_case(x, jv_str(self), JCASE_LOWER, out); }
METHOD(title) { return jtext_case(x, jv_str(self), JCASE_TITLE, out); }
METHOD(capitalize) { return jtext_case(x, jv_str(self), JCASE_CAPITALIZE, out); }
METHOD(swapcase) { return jtext_case(x, jv_str(self), JCASE_SWAP, out); }

static bool strip_ends(struct jx *x, struct jv self, const struct jargs *a, bool left, bool right,
                       struct jv *out) {
    struct jtext chars = {NULL, 0};
    if (a->n > 0 && a->pos[0].kind == J_STRING)
        chars = jv_str(a->pos[0]);
    else if (a->n > 0 && a->pos[0].kind != J_NONE)
        return jx_fail(x, "strip arg must be None or str");
    struct jtext t = jtext_strip(jv_str(self), chars.p, chars.n, left, right);
    *out = jv_text(t.p, t.n);
    return jx_burn(x, self.n);
}
METHOD(strip) { return strip_ends(x, self, a, true, true, out); }
METHOD(lstrip) { return strip_ends(x, self, a, true, false, out); }
METHOD(rstrip) { return strip_ends(x, self, a, false, true, out); }

static bool ends_with(struct jtext t, struct jtext part, bool at_end) {
    if (part.n > t.n) return false;
    return part.n == 0 || memcmp(at_end ? t.p + t.n - part.n : t.p, part.p, part.n) == 0;
}

static bool affix(struct jx *x, struct jv self, const struct jargs *a, bool at_end,
                  struct jv *out) {
    *out = jv_bool(false);
    if (a->n > 0 && a->pos[0].kind == J_TUPLE) {
        for (size_t i = 0; i < a->pos[0].list->n; i++) {
            struct jv v = a->pos[0].list->at[i];
            if (v.kind == J_STRING && ends_with(jv_str(self), jv_str(v), at_end))
                *out = jv_bool(true);
        }
        return true;
    }
    struct jtext part;
    if (!text_arg(x, a, 0, at_end ? "endswith" : "startswith", &part)) return false;
    *out = jv_bool(ends_with(jv_str(self), part, at_end));
    return true;
}
METHOD(startswith) { return affix(x, self, a, false, out); }
METHOD(endswith) { return affix(x, self, a, true, out); }

static bool without_affix(struct jx *x, struct jv self, const struct jargs *a, bool at_end,
                          struct jv *out) {
    struct jtext part;
    if (!text_arg(x, a, 0, "removeprefix", &part)) return false;
    *out = self;
    if (ends_with(jv_str(self), part, at_end))
        *out = jv_text(at_end ? self.s : self.s + part.n, self.n - part.n);
    return true;
}
METHOD(removeprefix) { return without_affix(x, self, a, false, out); }
METHOD(removesuffix) { return without_affix(x, self, a, true, out); }

/* ---- strings: searching and cutting ---- */

METHOD(replace) {
    struct jtext from, to;
    int64_t n;
    return text_arg(x, a, 0, "replace", &from) && text_arg(x, a, 1, "replace", &to) &&
           jarg_int(x, a, 2, "count", -1, &n) && jtext_replace(x, jv_str(self), from, to, n, out);
}

/* Bytes from the left or right where part stands; -1: nowhere. */
static int64_t find_bytes(struct jtext t, struct jtext part, bool right) {
    if (part.n > t.n) return -1;
    if (part.n == 0) return right ? (int64_t)t.n : 0;
    if (!right) {
        const char *hit = memmem(t.p, t.n, part.p, part.n);
        return hit == NULL ? -1 : hit - t.p;
    }
    for (size_t i = t.n - part.n + 1; i-- > 0;)
        if (memcmp(t.p + i, part.p, part.n) == 0) return (int64_t)i;
    return -1;
}

static bool find_chars(struct jx *x, struct jv self, const struct jargs *a, bool right, bool must,
                       struct jv *out) {
    struct jtext part;
    if (!text_arg(x, a, 0, "find", &part) || !jx_burn(x, self.n)) return false;
    int64_t at = find_bytes(jv_str(self), part, right);
    if (at < 0 && must) return jx_fail(x, "substring not found");
    *out = jv_int(at < 0 ? -1 : (int64_t)jtext_chars((struct jtext){self.s, (size_t)at}));
    return true;
}
METHOD(find) { return find_chars(x, self, a, false, false, out); }
METHOD(rfind) { return find_chars(x, self, a, true, false, out); }
METHOD(index_) { return find_chars(x, self, a, false, true, out); }

METHOD(count) {
    struct jtext part, t = jv_str(self);
    int64_t n = 0, at;
    if (!text_arg(x, a, 0, "count", &part) || !jx_burn(x, self.n)) return false;
    if (part.n == 0) n = (int64_t)jtext_chars(t) + 1;
    while (part.n > 0 && (at = find_bytes(t, part, false)) >= 0) {
        t.p += (size_t)at + part.n;
        t.n -= (size_t)at + part.n;
        n++;
    }
    *out = jv_int(n);
    return true;
}

static bool push_text(struct jx *x, struct jv list, const char *p, size_t n) {
    return jv_push(x, list.list, jv_text(p, n));
}

static bool reversed(struct jlist *l) {
    for (size_t i = 0; i < l->n / 2; i++) {
        struct jv t = l->at[i];
        l->at[i] = l->at[l->n - 1 - i];
        l->at[l->n - 1 - i] = t;
    }
    return true;
}

static bool split_space(struct jx *x, struct jtext t, int64_t max, bool right, struct jv *out) {
    for (;;) {
        t = jtext_strip(t, NULL, 0, !right, right);
        if (t.n == 0) return true;
        if (max-- == 0) {
            t = jtext_strip(t, NULL, 0, true, true);
            return push_text(x, *out, t.p, t.n);
        }
        size_t n = 0;
        while (n < t.n && !isspace((unsigned char)(right ? t.p[t.n - 1 - n] : t.p[n]))) n++;
        if (!push_text(x, *out, right ? t.p + t.n - n : t.p, n)) return false;
        if (!right) t.p += n;
        t.n -= n;
    }
}

static bool split_text(struct jx *x, struct jv self, const struct jargs *a, bool right,
                       struct jv *out) {
    const struct jv *sep = jarg(a, 0, "sep");
    struct jtext t = jv_str(self);
    int64_t max, at;
    if (!jarg_int(x, a, 1, "maxsplit", -1, &max) || !jv_list(x, J_LIST, 0, out) ||
        !jx_burn(x, self.n))
        return false;
    if (sep == NULL || sep->kind == J_NONE)
        return split_space(x, t, max, right, out) && (!right || reversed(out->list));
    if (sep->kind != J_STRING || sep->n == 0) return jx_fail(x, "empty separator");
    while (max-- != 0 && (at = find_bytes(t, jv_str(*sep), right)) >= 0) {
        size_t end = (size_t)at + sep->n;
        if (!push_text(x, *out, right ? t.p + end : t.p, right ? t.n - end : (size_t)at))
            return false;
        if (!right) {
            t.p += end;
            t.n -= end;
        } else {
            t.n = (size_t)at;
        }
    }
    return push_text(x, *out, t.p, t.n) && (!right || reversed(out->list));
}
METHOD(split) { return split_text(x, self, a, false, out); }
METHOD(rsplit) { return split_text(x, self, a, true, out); }

METHOD(splitlines) {
    bool keep = jarg_true(a, 0, "keepends", false);
    size_t from = 0;
    if (!jv_list(x, J_LIST, 0, out)) return false;
    for (size_t i = 0; i < self.n; i++) {
        if (self.s[i] != '\n' && self.s[i] != '\r') continue;
        size_t end = i;
        if (self.s[i] == '\r' && i + 1 < self.n && self.s[i + 1] == '\n') i++;
        if (!push_text(x, *out, self.s + from, (keep ? i + 1 : end) - from)) return false;
        from = i + 1;
    }
    return from >= self.n || push_text(x, *out, self.s + from, self.n - from);
}

static bool cut_in_three(struct jx *x, struct jv self, const struct jargs *a, bool right,
                         struct jv *out) {
    struct jtext part;
    if (!text_arg(x, a, 0, "partition", &part) || !jv_list(x, J_TUPLE, 3, out)) return false;
    if (part.n == 0) return jx_fail(x, "empty separator");
    int64_t at = find_bytes(jv_str(self), part, right);
    if (at < 0 && !right)
        return push_text(x, *out, self.s, self.n) && push_text(x, *out, "", 0) &&
               push_text(x, *out, "", 0);
    if (at < 0)
        return push_text(x, *out, "", 0) && push_text(x, *out, "", 0) &&
               push_text(x, *out, self.s, self.n);
    size_t end = (size_t)at + part.n;
    return push_text(x, *out, self.s, (size_t)at) && push_text(x, *out, part.p, part.n) &&
           push_text(x, *out, self.s + end, self.n - end);
}
METHOD(partition) { return cut_in_three(x, self, a, false, out); }
METHOD(rpartition) { return cut_in_three(x, self, a, true, out); }

/* ---- strings: others ---- */

METHOD(join) {
    struct jlist *l;
    struct buf b = {0};
    bool ok = true;
    if (a->n != 1) return jx_fail(x, "join() takes one argument");
    if (!jv_iterate(x, a->pos[0], &l)) return false;
    for (size_t i = 0; ok && i < l->n; i++) {
        if (i > 0 && self.n > 0) buf_add(&b, self.s, self.n);
        if (l->at[i].kind != J_STRING)
            ok = jx_fail(x, "sequence item %zu: expected str instance, %s found", i,
                         jv_type_name(l->at[i]));
        else
            ok = jv_put_str(x, &b, l->at[i]);
        if (b.len > x->limits->max_out) ok = jx_fail(x, "the text grows too large");
    }
    if (ok) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

/* "{} {0} {name}": plain replacement fields, without attributes or format specs. */
METHOD(format) {
    struct buf b = {0};
    size_t next = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < self.n; i++) {
        char c = self.s[i];
        if ((c == '{' || c == '}') && i + 1 < self.n && self.s[i + 1] == c) {
            buf_chr(&b, self.s[++i]);
            continue;
        }
        const char *end = c == '{' ? memchr(self.s + i, '}', self.n - i) : NULL;
        if (end == NULL) {
            buf_chr(&b, c);
            continue;
        }
        struct jtext name = {self.s + i + 1, (size_t)(end - self.s) - i - 1};
        const struct jv *v = NULL;
        if (name.n == 0)
            v = jarg(a, next++, NULL);
        else if (isdigit((unsigned char)*name.p))
            v = jarg(a, (size_t)(*name.p - '0'), NULL);
        for (size_t k = 0; v == NULL && k < a->n_kw; k++)
            if (a->kw_name[k].n == name.n && memcmp(a->kw_name[k].p, name.p, name.n) == 0)
                v = &a->kw[k];
        ok = v != NULL ? jv_put_str(x, &b, *v) : jx_fail(x, "no argument for a replacement field");
        i = (size_t)(end - self.s);
    }
    if (ok) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

static bool all_of(struct jv self, bool digit, bool letter, bool space) {
    for (size_t i = 0; i < self.n;) {
        uint32_t cp;
        i += utf8_decode(self.s + i, self.n - i, &cp);
        unsigned c = unicode_class(cp);
        if (!((digit && c == UNI_N) || (letter && c == UNI_L) || (space && unicode_is_space(cp))))
            return false;
    }
    return self.n > 0;
}
METHOD(isdigit_) {
    *out = jv_bool(all_of(self, true, false, false));
    return true;
}
METHOD(isalpha_) {
    *out = jv_bool(all_of(self, false, true, false));
    return true;
}
METHOD(isalnum_) {
    *out = jv_bool(all_of(self, true, true, false));
    return true;
}
METHOD(isspace_) {
    *out = jv_bool(all_of(self, false, false, true));
    return true;
}

static bool cased(struct jx *x, struct jv self, const char *test, struct jv *out) {
    bool yes;
    struct jargs none = {0};
    if (!jtest_find((struct jtext){test, 5})->fn(x, self, &none, &yes)) return false;
    *out = jv_bool(yes);
    return true;
}
METHOD(isupper_) { return cased(x, self, "upper", out); }
METHOD(islower_) { return cased(x, self, "lower", out); }

static bool padded(struct jx *x, struct jv self, const struct jargs *a, int side, char fill,
                   struct jv *out) {
    int64_t width;
    struct buf b = {0};
    if (!jarg_int(x, a, 0, "width", 0, &width)) return false;
    if (a->n > 1 && a->pos[1].kind == J_STRING && a->pos[1].n == 1) fill = *a->pos[1].s;
    if (width > 100000) return jx_fail(x, "the text grows too large");
    int64_t pad = width - (int64_t)jtext_chars(jv_str(self));
    int64_t left = pad <= 0 || side < 0 ? 0 : side > 0 ? pad : pad / 2 + (pad & width & 1);
    size_t sign = fill == '0' && side > 0 && self.n > 0 && strchr("+-", *self.s) != NULL ? 1 : 0;
    buf_add(&b, self.s, sign);
    for (int64_t i = 0; i < left; i++) buf_chr(&b, fill);
    buf_add(&b, self.s + sign, self.n - sign);
    for (int64_t i = left; i < pad; i++) buf_chr(&b, fill);
    return jx_string_buf(x, &b, out);
}
METHOD(center) { return padded(x, self, a, 0, ' ', out); }
METHOD(ljust) { return padded(x, self, a, -1, ' ', out); }
METHOD(rjust) { return padded(x, self, a, 1, ' ', out); }
METHOD(zfill) { return padded(x, self, a, 1, '0', out); }

/* ---- lists ---- */

static bool one(struct jx *x, const struct jargs *a, const char *method) {
    return a->n == 1 ? true : jx_fail(x, "%s() takes one argument", method);
}

METHOD(list_append) {
    *out = jv_none();
    return one(x, a, "append") && jv_push(x, self.list, a->pos[0]);
}

METHOD(list_extend) {
    struct jlist *l;
    *out = jv_none();
    if (!one(x, a, "extend") || !jv_iterate(x, a->pos[0], &l)) return false;
    for (size_t i = 0, n = l->n; i < n; i++)
        if (!jv_push(x, self.list, l->at[i])) return false;
    return true;
}

static bool own_elements(struct jx *x, struct jlist *l) {
    if (!l->shared) return true;
    struct jv *copy = jx_burn(x, l->n * 16) ? jx_alloc(x, l->n + 1, sizeof *copy) : NULL;
    if (copy == NULL) return false;
    if (l->n > 0) memcpy(copy, l->at, l->n * sizeof *copy);
    *l = (struct jlist){copy, l->n, l->n + 1, false};
    return true;
}

METHOD(list_insert) {
    int64_t at;
    struct jlist *l = self.list;
    *out = jv_none();
    if (a->n != 2) return jx_fail(x, "insert() takes two arguments");
    if (!jarg_int(x, a, 0, "index", 0, &at) || !own_elements(x, l) || !jv_push(x, l, a->pos[1]))
        return false;
    int64_t n = (int64_t)l->n - 1;
    if (at < 0) at = at + n < 0 ? 0 : at + n;
    if (at > n) at = n;
    memmove(l->at + at + 1, l->at + at, (size_t)(n - at) * sizeof *l->at);
    l->at[at] = a->pos[1];
    return jx_burn(x, l->n);
}

METHOD(list_pop) {
    int64_t at;
    struct jlist *l = self.list;
    if (!jarg_int(x, a, 0, "index", -1, &at) || !own_elements(x, l)) return false;
    if (at < 0) at += (int64_t)l->n;
    if (at < 0 || at >= (int64_t)l->n) return jx_fail(x, "pop index out of range");
    *out = l->at[at];
    memmove(l->at + at, l->at + at + 1, (l->n - (size_t)at - 1) * sizeof *l->at);
    l->n--;
    return jx_burn(x, l->n);
}

METHOD(list_index) {
    if (!one(x, a, "index") || !jx_burn(x, self.list->n * 8)) return false;
    for (size_t i = 0; i < self.list->n; i++)
        if (jv_equal(self.list->at[i], a->pos[0], 50)) {
            *out = jv_int((int64_t)i);
            return true;
        }
    return jx_fail(x, "the value is not in the list");
}

METHOD(list_count) {
    int64_t n = 0;
    if (!one(x, a, "count") || !jx_burn(x, self.list->n * 8)) return false;
    for (size_t i = 0; i < self.list->n; i++) n += jv_equal(self.list->at[i], a->pos[0], 50);
    *out = jv_int(n);
    return true;
}

/* ---- dictionaries ---- */

METHOD(dict_items) { return jfilter_list_find((struct jtext){"items", 5})->fn(x, self, a, out); }

static bool column(struct jx *x, struct jv self, bool values, struct jv *out) {
    if (!jv_list(x, J_LIST, self.dict->n, out)) return false;
    for (size_t i = 0; i < self.dict->n; i++)
        if (!jv_push(x, out->list, values ? self.dict->at[i].value : self.dict->at[i].key))
            return false;
    return true;
}
METHOD(dict_keys) { return column(x, self, false, out); }
METHOD(dict_values) { return column(x, self, true, out); }

METHOD(dict_get) {
    if (a->n == 0) return jx_fail(x, "get expected at least 1 argument, got 0");
    const struct jv *v = jv_get(self.dict, a->pos[0]);
    *out = v != NULL ? *v : a->n > 1 ? a->pos[1] : jv_none();
    return true;
}

METHOD(dict_update) {
    *out = jv_none();
    if (a->n > 0 && a->pos[0].kind != J_DICT) return jx_fail(x, "update() needs a mapping");
    for (size_t i = 0; a->n > 0 && i < a->pos[0].dict->n; i++)
        if (!jv_put(x, self.dict, a->pos[0].dict->at[i].key, a->pos[0].dict->at[i].value))
            return false;
    for (size_t i = 0; i < a->n_kw; i++)
        if (!jv_put(x, self.dict, jv_text(a->kw_name[i].p, a->kw_name[i].n), a->kw[i]))
            return false;
    return true;
}

METHOD(dict_pop) {
    if (a->n == 0) return jx_fail(x, "pop expected at least 1 argument, got 0");
    for (size_t i = 0; i < self.dict->n; i++)
        if (jv_equal(self.dict->at[i].key, a->pos[0], 50)) {
            *out = self.dict->at[i].value;
            jv_remove(self.dict, i);
            return jx_burn(x, self.dict->n * 16);
        }
    if (a->n < 2) return jx_fail(x, "pop(): the key is not there");
    *out = a->pos[1];
    return true;
}

/* ---- loops and cyclers ---- */

METHOD(loop_cycle) {
    if (a->n == 0) return jx_fail(x, "no items for cycling given");
    *out = a->pos[self.loop->index % a->n];
    return true;
}

METHOD(loop_changed) {
    struct jv now;
    if (!jv_list(x, J_TUPLE, a->n, &now)) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!jv_push(x, now.list, a->pos[i])) return false;
    *out = jv_bool(!self.loop->has_changed || !jv_equal(now, self.loop->changed, 50));
    self.loop->has_changed = true;
    self.loop->changed = now;
    return true;
}

METHOD(cycler_next) {
    struct jcycler *c = self.cycler;
    *out = c->item[c->pos];
    c->pos = (c->pos + 1) % c->n;
    return jx_burn(x, 0);
}

METHOD(cycler_reset) {
    self.cycler->pos = 0;
    *out = jv_none();
    return jx_burn(x, 0);
}

/* Rows of one name stand together: jmethod_for walks on from the first. */
static const struct jmethod_row methods[] = {
    {J_STRING, "strip", strip},
    {J_STRING, "lstrip", lstrip},
    {J_STRING, "rstrip", rstrip},
    {J_STRING, "split", split},
    {J_STRING, "rsplit", rsplit},
    {J_STRING, "splitlines", splitlines},
    {J_STRING, "startswith", startswith},
    {J_STRING, "endswith", endswith},
    {J_STRING, "replace", replace},
    {J_STRING, "upper", upper},
    {J_STRING, "lower", lower},
    {J_STRING, "title", title},
    {J_STRING, "capitalize", capitalize},
    {J_STRING, "swapcase", swapcase},
    {J_STRING, "find", find},
    {J_STRING, "rfind", rfind},
    {J_STRING, "index", index_},
    {J_LIST, "index", list_index},
    {J_TUPLE, "index", list_index},
    {J_STRING, "count", count},
    {J_LIST, "count", list_count},
    {J_TUPLE, "count", list_count},
    {J_STRING, "join", join},
    {J_STRING, "format", format},
    {J_STRING, "isdigit", isdigit_},
    {J_STRING, "isdecimal", isdigit_},
    {J_STRING, "isnumeric", isdigit_},
    {J_STRING, "isalpha", isalpha_},
    {J_STRING, "isalnum", isalnum_},
    {J_STRING, "isspace", isspace_},
    {J_STRING, "isupper", isupper_},
    {J_STRING, "islower", islower_},
    {J_STRING, "partition", partition},
    {J_STRING, "rpartition", rpartition},
    {J_STRING, "removeprefix", removeprefix},
    {J_STRING, "removesuffix", removesuffix},
    {J_STRING, "zfill", zfill},
    {J_STRING, "center", center},
    {J_STRING, "ljust", ljust},
    {J_STRING, "rjust", rjust},
    {J_LIST, "append", list_append},
    {J_LIST, "extend", list_extend},
    {J_LIST, "insert", list_insert},
    {J_LIST, "pop", list_pop},
    {J_DICT, "pop", dict_pop},
    {J_DICT, "items", dict_items},
    {J_DICT, "keys", dict_keys},
    {J_DICT, "values", dict_values},
    {J_DICT, "get", dict_get},
    {J_DICT, "update", dict_update},
    {J_LOOP, "cycle", loop_cycle},
    {J_LOOP, "changed", loop_changed},
    {J_CYCLER, "next", cycler_next},
    {J_CYCLER, "reset", cycler_reset},
};

int jmethod_first(struct jtext name) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (jtext_is(name, methods[i].name)) return (int)i;
    return -1;
}

const struct jmethod_row *jmethod_for(int first, enum jkind kind) {
    const struct jmethod_row *row = &methods[first],
                             *end = methods + sizeof methods / sizeof *methods;
    for (const char *name = row->name; row < end && strcmp(row->name, name) == 0; row++)
        if (row->kind == kind) return row;
    return NULL;
}
