/* adapter.c - see adapter.h. */
#include "engine/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/model.h"

enum { MAX_RANK = 1 << 16, MAX_INVOCATION = 1 << 16 };

/* ---- metadata ---- */

/* The key's text, which must be `want`. Absent: an empty one. */
static enum status expect(const struct gguf *g, const char *key, const char *want, struct err *e) {
    struct gguf_str s = {"", 0};
    enum status st = gguf_get_str(g, key, &s, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (gguf_str_is(s, want)) return ST_OK;
    return err_set(e, ST_FORMAT, "expect %s to be '%s', but got: %.*s", key, want,
                   (int)(s.len < 64 ? s.len : 64), s.ptr);
}

static enum status check_kind(const struct model *m, const struct gguf *g, float *alpha,
                              struct err *e) {
    struct gguf_str arch = {"", 0};
    enum status st = expect(g, "general.type", "adapter", e);
    if (st == ST_OK) st = gguf_get_str(g, "general.architecture", &arch, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (!gguf_str_is(arch, m->arch->name))
        return err_set(e, ST_FORMAT, "model arch and LoRA arch mismatch");
    if ((st = expect(g, "adapter.type", "lora", e)) != ST_OK) return st;
    st = gguf_get_f32(g, "adapter.lora.alpha", alpha, e);
    if (st == ST_NOT_FOUND) *alpha = 0;
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    return isfinite(*alpha)
               ? ST_OK
               : err_set(e, ST_FORMAT, "key adapter.lora.alpha is not a finite number");
}

static enum status read_invocation(struct adapters *a, const struct model *m, const struct gguf *g,
                                   struct err *e) {
    static const char key[] = "adapter.alora.invocation_tokens";
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv == NULL) return ST_OK;
    if (kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem))
        return err_set(e, ST_FORMAT, "key %s has type %s, expected an array of integers", key,
                       gguf_type_name(kv->elem));
    if (kv->count > MAX_INVOCATION)
        return err_set(e, ST_LIMIT, "key %s has %" PRIu64 " tokens, at most %d are possible", key,
                       kv->count, MAX_INVOCATION);
    a->invocation[a->n] = mem_array((size_t)kv->count, sizeof **a->invocation);
    if (a->invocation[a->n] == NULL) return err_no_memory(e);
    for (uint64_t i = 0; i < kv->count; i++) {
        const int64_t id = gguf_elem_int(kv, i);
        if (id < 0 || id >= (int64_t)m->hp.n_vocab)
            return err_set(e, ST_FORMAT, "key %s: token %" PRId64 " is not in the vocabulary", key,
                           id);
        a->invocation[a->n][i] = (int32_t)id;
    }
    a->n_invocation[a->n] = (size_t)kv->count;
    return ST_OK;
}

/* ---- tensors ---- */

struct pair {
    struct gguf_str base; /* name of the weight */
    const struct gguf_tensor *a, *b;
};
#define STR(s) (int)(s).len, (s).ptr

static bool ends_with(struct gguf_str s, const char *end, struct gguf_str *rest) {
    const size_t n = strlen(end);
    if (s.len < n || memcmp(s.ptr + s.len - n, end, n) != 0) return false;
    *rest = (struct gguf_str){s.ptr, s.len - n};
    return true;
}

static enum status wrong_shape(const struct pair *p, struct err *e) {
    return err_set(e, ST_FORMAT,
                   "tensor '%.*s' has incorrect shape (hint: maybe wrong base model?)",
                   STR(p->base));
}

static bool is_table(const struct pair *p) { return gguf_str_is(p->base, "token_embd.weight"); }

/* Against the weight {in, out, experts}. */
static enum status check_shape(const struct pair *p, const struct gguf_tensor *w, struct err *e) {
    const int64_t *a = p->a->dim, *b = p->b->dim;
    if (w->n_dims < 2 || w->dim[3] != 1 || a[3] != 1 || b[3] != 1) return wrong_shape(p, e);
    for (int i = 0; i < 3; i++)
        if (a[i] < 1 || b[i] < 1) return wrong_shape(p, e);
    if (is_table(p) ? w->dim[0] != b[1] || w->dim[1] != a[1] || a[0] != b[0]
                    : w->dim[0] != a[0] || w->dim[1] != b[1])
        return wrong_shape(p, e);
    if (w->dim[2] != a[2] || w->dim[2] != b[2]) return wrong_shape(p, e);
    if (!is_table(p) && a[1] != b[0])
        return err_set(e, ST_FORMAT,
                       "lora_a tensor is not transposed (hint: adapter from \"finetune\" example "
                       "is no longer supported)");
    if (b[0] > MAX_RANK)
        return err_set(e, ST_LIMIT, "LoRA tensor '%.*s' has rank %" PRId64 ", more than %d",
                       STR(p->b->name), b[0], MAX_RANK);
    return ST_OK;
}

static enum status make_matrix(struct model *m, const struct gguf_tensor *g,
                               const struct tensor **out, struct err *e) {
    struct tensor *t;
    char name[80];
    snprintf(name, sizeof name, "%.*s", STR(g->name)); /* names of a file have 63 bytes at most */
    enum status st = model_make_tensor(m, g, name, false, &t, e);
    if (st != ST_OK) return st;
    struct tensor data = *t;
    data.data = (void *)(uintptr_t)g->data;
    *out = t;
    return tensor_check(&data, e);
}

static enum status add_pair(struct model *m, const struct pair *p, float alpha, struct err *e) {
    struct adapters *a = &m->adapters;
    struct delta d = {.adapter = a->n, .embeds = is_table(p)};
    char *name = arena_strndup(&m->arena, p->base.ptr, p->base.len);
    if (name == NULL) return err_no_memory(e);
    const struct gguf_tensor *w = gguf_find_tensor(m->gguf, name);
    if (w == NULL)
        return err_set(e, ST_FORMAT,
                       "LoRA tensor '%s' does not exist in base model (hint: maybe wrong base "
                       "model?)",
                       name);
    enum status st = check_shape(p, w, e);
    if (st == ST_OK) st = make_matrix(m, p->a, &d.a, e);
    if (st == ST_OK) st = make_matrix(m, p->b, &d.b, e);
    if (st != ST_OK) return st;
    d.base = name;
    d.scale = alpha != 0 ? alpha / (float)p->b->dim[0] : 1;
    void *list = mem_grow(a->delta, a->n_deltas + 1, sizeof *a->delta);
    if (list == NULL) return err_no_memory(e);
    a->delta = list;
    a->delta[a->n_deltas++] = d;
    return ST_OK;
}

static int by_base(const void *x, const void *y) {
    const struct delta *a = x, *b = y;
    const int c = strcmp(a->base, b->base);
    return c != 0 ? c : (a->adapter > b->adapter) - (a->adapter < b->adapter);
}

/* Pairs are taken where the first half stands; the other half is looked up. */
static enum status add_pairs(struct model *m, const struct gguf *g, float alpha, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        struct gguf_str base, none;
        const bool is_a = ends_with(t->name, ".lora_a", &base);
        if (!is_a && !ends_with(t->name, ".lora_b", &base)) {
            if (ends_with(t->name, "_norm.weight", &none)) continue;
            return err_set(e, ST_FORMAT, "LoRA tensor '%.*s' has unexpected suffix", STR(t->name));
        }
        char other[80];
        snprintf(other, sizeof other, "%.*s.lora_%s", STR(base), is_a ? "b" : "a");
        const struct gguf_tensor *half = gguf_find_tensor(g, other);
        if (half == NULL)
            return err_set(e, ST_FORMAT, "LoRA tensor pair for '%.*s' is missing one component",
                           STR(base));
        const struct pair pair = {base, t, half};
        if (is_a) st = add_pair(m, &pair, alpha, e);
    }
    return st;
}

enum status adapter_add(struct model *m, struct gguf *g, struct err *e) {
    struct adapters *a = &m->adapters;
    float alpha = 0;
    enum status st = ST_OK;
    if (a->n == MAX_ADAPTERS) {
        gguf_close(g);
        return err_set(e, ST_LIMIT, "a model can have %d adapters at most", MAX_ADAPTERS);
    }
    a->gguf[a->n] = g;
    st = check_kind(m, g, &alpha, e);
    if (st == ST_OK) st = read_invocation(a, m, g, e);
    if (st == ST_OK) st = add_pairs(m, g, alpha, e);
    if (a->n_deltas > 0) qsort(a->delta, a->n_deltas, sizeof *a->delta, by_base);
    if (st != ST_OK) err_wrap(e, "%s", gguf_label(g));
    a->n++; /* a failed one is closed with the model, which cannot be used any more */
    return st;
}

/* Nothing is wrong with such an adapter: whoever trains all of a kind trains these, too. */
static void warn_unused(const struct adapters *a, uint32_t adapter) {
    const char *first = NULL;
    char others[40] = "";
    uint32_t n = 0;
    for (size_t i = 0; i < a->n_deltas; i++) {
        const struct delta *d = &a->delta[i];
        if (d->used || d->adapter != adapter) continue;
        if (n++ == 0) first = d->base;
    }
    if (n > 1) snprintf(others, sizeof others, " (and %" PRIu32 " more)", n - 1);
    if (n != 0)
        log_warn("adapter",
                 "%s: LoRA tensor '%s'%s has no effect: the model has no product with it",
                 gguf_label(a->gguf[adapter]), first, others);
}

enum status adapters_check_used(const struct model *m, struct err *e) {
    const struct adapters *a = &m->adapters;
    for (size_t i = 0; i < a->n_deltas; i++)
        if (a->delta[i].missed)
            return err_set(e, ST_UNSUPPORTED,
                           "%s: LoRA tensor '%s': products with a matrix for each head cannot be "
                           "changed by an adapter",
                           gguf_label(a->gguf[a->delta[i].adapter]), a->delta[i].base);
    for (uint32_t i = 0; i < a->n; i++) warn_unused(a, i);
    return ST_OK;
}

void adapters_close(struct adapters *a) {
    for (uint32_t i = 0; i < a->n; i++) {
        gguf_close(a->gguf[i]);
        mem_free(a->invocation[i]);
    }
    mem_free(a->delta);
    *a = (struct adapters){.n = 0};
}

/* ---- of a sequence ---- */

uint32_t adapt_common(const struct adapt *a, const struct adapt *b, uint32_t n_adapters,
                      uint32_t n) {
    for (uint32_t k = 0; k < n_adapters; k++) {
        const bool same_scale = a->scale[k] == b->scale[k];
        uint32_t from_a = a->scale[k] != 0 ? a->from[k] : UINT32_MAX;
        uint32_t from_b = b->scale[k] != 0 ? b->from[k] : UINT32_MAX;
        const uint32_t first = from_a < from_b ? from_a : from_b;
        if ((!same_scale || from_a != from_b) && first < n) n = first;
    }
    return n;
}

void adapt_find_begin(struct adapt *a, const struct adapters *list, const int32_t *ids, size_t n) {
    for (uint32_t k = 0; k < list->n; k++) {
        const size_t len = list->n_invocation[k];
        size_t at = n >= len ? n - len + 1 : 0;
        a->from[k] = 0;
        if (len == 0) continue;
        while (at > 0 && memcmp(ids + at - 1, list->invocation[k], len * sizeof *ids) != 0) at--;
        if (at == 0)
            a->scale[k] = 0;
        else
            a->from[k] = (uint32_t)(at - 1);
    }
}

void adapt_shift(struct adapt *a, uint32_t n_adapters, uint32_t keep, uint32_t drop) {
    for (uint32_t k = 0; k < n_adapters; k++) {
        if (a->from[k] <= keep) continue;
        a->from[k] = a->from[k] > keep + drop ? a->from[k] - drop : keep;
    }
}
