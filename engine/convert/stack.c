/* stack.c - matrices of single experts become one tensor, in the order of their numbers
 * (spec/safetensors.md 3.4). A number that is missing is an error: what is there would silently
 * take its place. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

struct member {
    uint32_t expert;
    struct source *src;
};
struct stack {
    const char *name;
    struct member *members; /* owned */
    size_t n, cap;
};

/* Room for one more in an owned list. NULL: failed, the list stays. */
static void *room(struct conversion *c, void *list, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return list;
    const size_t more = *cap != 0 ? *cap * 2 : 8;
    void *grown = mem_grow(list, more, size);
    if (grown == NULL)
        convert_fail(c, ST_NO_MEMORY, "out of memory");
    else
        *cap = more;
    return grown;
}

static struct stack *stack_of(struct conversion *c, const char *name) {
    uint32_t i;
    if (map_get(&c->stack_names, name, strlen(name), &i)) return &c->stacks[i];
    struct stack *list = room(c, c->stacks, c->n_stacks, &c->cap_stacks, sizeof *list);
    if (list == NULL) return NULL;
    c->stacks = list;
    if (!map_put(&c->stack_names, name, strlen(name), (uint32_t)c->n_stacks, NULL)) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return NULL;
    }
    list[c->n_stacks] = (struct stack){.name = name};
    return &list[c->n_stacks++];
}

RULE(rule_stack) {
    const bool layered = strchr(r->arg, '#') != NULL; /* else the only number is the expert's */
    struct stack *k = stack_of(c, names_fill(c, r->arg, num));
    if (k == NULL) return;
    struct member *list = room(c, k->members, k->n, &k->cap, sizeof *list);
    if (list == NULL) return;
    k->members = list;
    k->members[k->n++] = (struct member){.expert = num[layered ? 1 : 0], .src = s};
}

static int by_expert(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    return (x->expert > y->expert) - (x->expert < y->expert);
}

static bool same_kind(const struct source *a, const struct source *b) {
    if (a->n_dims != b->n_dims || a->t == NULL || b->t == NULL || a->t->dtype != b->t->dtype)
        return false;
    return memcmp(a->dim, b->dim, a->n_dims * sizeof *a->dim) == 0;
}

static void finish(struct conversion *c, struct stack *k) {
    const struct source *one = k->members[0].src;
    int64_t dim[4] = {(int64_t)k->n};
    qsort(k->members, k->n, sizeof *k->members, by_expert);
    for (size_t i = 0; i < k->n; i++) {
        if (k->members[i].expert != i) {
            convert_fail(c, ST_FORMAT, "tensor '%s': expert %zu is missing or there twice", k->name,
                         i);
            return;
        }
        if (!same_kind(one, k->members[i].src)) {
            convert_fail(c, ST_FORMAT, "tensor '%s' differs from its sisters in shape or type",
                         k->members[i].src->orig);
            return;
        }
    }
    if (one->n_dims > 3) {
        convert_fail(c, ST_FORMAT, "tensor '%s' has %u dimensions", one->orig, one->n_dims);
        return;
    }
    memcpy(dim + 1, one->dim, one->n_dims * sizeof *dim);
    struct out *o = out_new(c, one, k->name, one->n_dims + 1, dim);
    for (size_t i = 0; i < k->n && o != NULL; i++) {
        const struct view v = view_of(k->members[i].src);
        out_add(c, o, &v);
    }
}

void stacks_finish(struct conversion *c) {
    for (size_t i = 0; i < c->n_stacks && !convert_failed(c); i++)
        if (c->stacks[i].n != 0) finish(c, &c->stacks[i]);
}

void stacks_free(struct conversion *c) {
    for (size_t i = 0; i < c->n_stacks; i++) mem_free(c->stacks[i].members);
    mem_free(c->stacks);
    map_free(&c->stack_names);
}
