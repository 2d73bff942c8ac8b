/* rules.c - what the tables of the architectures may do with a tensor: each function makes outs of
 * one source by views (see impl.h). */
#include <string.h>

#include "engine/convert/impl.h"

#define RULE(name)                                                                                 \
    void name(struct conversion *c, struct source *s, const struct rule *r, const uint32_t num[2])
#define UNUSED_RULE_ARGS (void)r, (void)num

RULE(rule_drop) {
    (void)c;
    UNUSED_RULE_ARGS;
    s->used = true;
}

RULE(rule_keep) {
    UNUSED_RULE_ARGS;
    out_keep(c, s, s->name);
}

RULE(rule_rename) { out_keep(c, s, names_fill(c, r->arg, num)); }

/* Row h*hd + j*(hd/2) + i of the source is row h*hd + 2*i + j of the output. */
static struct view interleave(struct conversion *c, const struct source *s, uint32_t heads) {
    struct view v = view_of(s);
    view_reshape(c, &v, 0, heads);
    view_reshape(c, &v, 1, 2);
    view_swap(&v, 1, 2);
    return v;
}

RULE(rule_heads) {
    (void)num;
    const struct view v = interleave(c, s, cfg_u32(c, r->arg));
    out_of(c, &v, s->name, s->n_dims, s->dim);
}

static void keep_mapped(struct conversion *c, struct source *s, enum map_fn fn, float arg) {
    struct out *o = out_keep(c, s, s->name);
    if (o == NULL || o->n_views == 0) return;
    o->views[0].fn = fn;
    o->views[0].arg = arg;
}

RULE(rule_add_one) {
    UNUSED_RULE_ARGS;
    keep_mapped(c, s, MAP_ADD, 1);
}

RULE(rule_neg_exp) {
    UNUSED_RULE_ARGS;
    keep_mapped(c, s, MAP_NEG_EXP, 0);
}

RULE(rule_squeeze) {
    UNUSED_RULE_ARGS;
    const struct view v = view_of(s);
    if (s->n_dims < 2) {
        out_keep(c, s, s->name);
        return;
    }
    const int64_t last = s->dim[s->n_dims - 1];
    out_of(c, &v, s->name, 2, (int64_t[]){last != 0 ? s->n_elems / last : 0, last});
}

/* "a|b|c", n-th part. */
static const char *nth(struct conversion *c, const char *list, int n) {
    while (n-- > 0 && strchr(list, '|') != NULL) list = strchr(list, '|') + 1;
    return convert_text(c, "%.*s", (int)strcspn(list, "|"), list);
}

/* n equal slices of the first dimension. */
static void split_first(struct conversion *c, struct source *s, const char *from, const char *to,
                        int parts) {
    for (int i = 0; i < parts; i++) {
        struct view v = view_of(s);
        int64_t dim[SFT_MAX_DIMS];
        if (s->n_dims == 0 || s->dim[0] % parts != 0) {
            convert_fail(c, ST_FORMAT, "tensor '%s' cannot be cut into %d", s->orig, parts);
            return;
        }
        memcpy(dim, s->dim, sizeof dim);
        dim[0] /= parts;
        view_slice(c, &v, 0, i * dim[0], dim[0], 1);
        out_of(c, &v, names_replace(c, s->name, from, nth(c, to, i)), s->n_dims, dim);
    }
}

RULE(rule_third) {
    (void)num;
    const char *from = strstr(s->name, "attn_qkv") != NULL ? "attn_qkv" : "attn.qkv";
    split_first(c, s, from, r->arg, 3);
}

static bool want_dims(struct conversion *c, const struct source *s, uint32_t n) {
    if (s->n_dims == n) return true;
    convert_fail(c, ST_FORMAT, "tensor '%s' has %u dimensions, not %u", s->orig, s->n_dims, n);
    return false;
}

RULE(rule_transpose) {
    UNUSED_RULE_ARGS;
    struct view v = view_of(s);
    if (!want_dims(c, s, 3)) return;
    view_swap(&v, 1, 2);
    out_of(c, &v, s->name, 3, v.dim);
}

RULE(rule_split_cols) {
    UNUSED_RULE_ARGS;
    static const char *const names[] = {"gate", "up"};
    if (!want_dims(c, s, 3)) return;
    for (int i = 0; i < 2; i++) {
        struct view v = view_of(s);
        const int64_t f = s->dim[2] / 2;
        view_reshape(c, &v, 2, 2); /* halves; they have to be equal */
        view_slice(c, &v, 2, i, 1, 1);
        view_swap(&v, 1, 3); /* [E, f, 1, n] */
        out_of(c, &v, names_replace(c, s->name, "gate_up", names[i]), 3,
               (int64_t[]){s->dim[0], f, s->dim[1]});
    }
}

RULE(rule_split_rows) {
    (void)num;
    if (!want_dims(c, s, 3)) return;
    const char *from = nth(c, r->arg, 0);
    for (int i = 0; i < 2; i++) {
        struct view v = view_of(s);
        const int64_t f = s->dim[1] / 2;
        view_reshape(c, &v, 1, 2);
        view_slice(c, &v, 1, i, 1, 1);
        out_of(c, &v, names_replace(c, s->name, from, nth(c, r->arg, i + 1)), 3,
               (int64_t[]){s->dim[0], f, s->dim[2]});
    }
}

struct out *out_patches(struct conversion *c, struct source *s) {
    struct view v = view_of(s);
    int64_t p = 1;
    if (s->n_dims != 2) return out_keep(c, s, s->name);
    while (p < 4096 && p * p * 3 < s->dim[1]) p++;
    if (p * p * 3 != s->dim[1]) {
        convert_fail(c, ST_FORMAT, "tensor '%s': %lld columns are no square of pixels", s->orig,
                     (long long)s->dim[1]);
        return NULL;
    }
    view_reshape(c, &v, 1, p);
    view_reshape(c, &v, 2, p); /* [C, y, x, channel] */
    view_swap(&v, 1, 3);
    view_swap(&v, 2, 3); /* [C, channel, y, x] */
    return out_of(c, &v, s->name, 4, v.dim);
}
