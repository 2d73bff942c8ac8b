/* rules.c - what the tables of the architectures may do with a tensor: each function makes outs of
 * one source by views (see impl.h). */
#include <string.h>

#include "engine/convert/impl.h"

RULE(rule_drop) { s->used = true; }

RULE(rule_keep) { out_keep(c, s, s->name); }

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
    const struct view v = interleave(c, s, cfg_u32(c, r->arg));
    out_of(c, &v, s->name, s->n_dims, s->dim);
}

RULE(rule_add_one) { out_mapped(c, s, s->name, MAP_ADD, 1); }

RULE(rule_neg_exp) { out_mapped(c, s, s->name, MAP_NEG_EXP, 0); }

RULE(rule_squeeze) {
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
    const char *from = strstr(s->name, "attn_qkv") != NULL ? "attn_qkv" : "attn.qkv";
    split_first(c, s, from, r->arg, 3);
}

static bool want_dims(struct conversion *c, const struct source *s, uint32_t n) {
    if (s->n_dims == n) return true;
    convert_fail(c, ST_FORMAT, "tensor '%s' has %u dimensions, not %u", s->orig, s->n_dims, n);
    return false;
}

RULE(rule_transpose) {
    struct view v = view_of(s);
    if (!want_dims(c, s, 3)) return;
    view_swap(&v, 1, 2);
    out_of(c, &v, s->name, 3, v.dim);
}

RULE(rule_split_cols) {
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
