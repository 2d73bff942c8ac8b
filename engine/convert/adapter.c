/* adapter.c - LoRA adapters in the forms of PEFT and MLX (spec/safetensors.md 6).
 *
 * A weight W of the base becomes W + scale * B A, with A [rank, in] and B [out, rank], so whatever
 * was done to the rows of W is done to those of B. The base tells the architecture, the number of
 * heads, and the shape of W. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

enum { MAX_NAMES = 160 };

/* ---- names: those of the architecture, with what the trainers put around them ---- */

static void rename_all(struct conversion *c) {
    static const struct rename before[] = {{"base_model.model.", ""}};
    static const struct rename after[] = {
        {"lora_A.weight", "weight.lora_a"},
        {"lora_B.weight", "weight.lora_b"},
        {"lora_a", "weight.lora_a"},
        {"lora_b", "weight.lora_b"},
        RENAMES_END,
    };
    struct rename all[MAX_NAMES];
    size_t n = 0;
    all[n++] = before[0];
    for (const struct rename *r = c->arch->names; r->old != NULL && n < MAX_NAMES - 5; r++)
        all[n++] = *r;
    memcpy(all + n, after, sizeof after);
    sources_rename(c, all);
}

/* ---- one tensor ---- */

struct lora {
    const char *weight;             /* the base's tensor */
    const struct gguf_tensor *base; /* NULL: not known */
    const struct rule *rule;        /* what conversion does to it; NULL: nothing */
    bool is_b;
};

static bool parse_name(struct conversion *c, const struct source *s, struct lora *l) {
    uint32_t num[2];
    *l = (struct lora){.is_b = ends_with(s->name, ".lora_b")};
    if (!l->is_b && !ends_with(s->name, ".lora_a")) {
        convert_fail(c, ST_UNSUPPORTED, "tensor '%s' is no part of a LoRA adapter", s->orig);
        return false;
    }
    l->weight = convert_text(c, "%.*s", (int)(strlen(s->name) - strlen(".lora_a")), s->name);
    l->base = c->base != NULL ? gguf_find_tensor(c->base, l->weight) : NULL;
    l->rule = c->arch->rules;
    while (l->rule != NULL && l->rule->pattern != NULL &&
           !names_match(l->rule->pattern, l->weight, num))
        l->rule++;
    if (l->rule != NULL && (l->rule->pattern == NULL || l->rule->fn == rule_keep)) l->rule = NULL;
    if (l->rule != NULL && l->rule->fn != rule_heads) {
        convert_fail(c, ST_UNSUPPORTED, "tensor '%s': adapters of %s are not supported", s->orig,
                     l->weight);
        return false;
    }
    return true;
}

/* MLX stores both transposed. A's input side tells; without the base the rank is taken to be the
 * smaller number. */
static bool is_transposed(const struct source *s, const struct lora *l) {
    const int64_t rows = s->dim[0], cols = s->dim[1];
    if (l->base == NULL) return l->is_b ? rows < cols : rows > cols;
    const int64_t in = l->base->dim[0], out = l->base->dim[1];
    return l->is_b ? rows != out && cols == out : cols != in && rows == in;
}

static uint32_t heads_of(struct conversion *c, const struct lora *l) {
    const bool kv = strstr(l->rule->arg, "key_value") != NULL;
    struct err e = {0};
    uint32_t n = 0;
    const char *q = convert_text(c, "%s.attention.head_count", c->arch_name);
    enum status st = ST_NOT_FOUND;
    if (kv) st = gguf_get_u32(c->base, convert_text(c, "%s_kv", q), &n, &e);
    if (st == ST_NOT_FOUND) st = gguf_get_u32(c->base, q, &n, &e);
    if (st != ST_OK) convert_fail(c, st, "%s", e.msg);
    return n;
}

static void put_tensor(struct conversion *c, struct source *s) {
    struct lora l;
    if (!parse_name(c, s, &l)) return;
    if (s->n_dims != 2) {
        convert_fail(c, ST_FORMAT, "tensor '%s' has %u dimensions, not 2", s->orig, s->n_dims);
        return;
    }
    struct view v = view_of(s);
    if (is_transposed(s, &l)) view_swap(&v, 0, 1);
    const int64_t dim[2] = {v.dim[0], v.dim[1]};
    if (l.base != NULL && (l.is_b ? dim[0] != l.base->dim[1] : dim[1] != l.base->dim[0])) {
        convert_fail(c, ST_FORMAT, "tensor '%s' [%lld, %lld] does not fit %s", s->orig,
                     (long long)s->dim[0], (long long)s->dim[1], l.weight);
        return;
    }
    if (l.is_b && l.rule != NULL) {
        view_reshape(c, &v, 0, heads_of(c, &l));
        view_reshape(c, &v, 1, 2);
        view_swap(&v, 1, 2);
    }
    out_of(c, &v, s->name, 2, dim);
}

/* ---- pairs and rank ---- */

static const struct out *find_out(const struct conversion *c, const struct map *m,
                                  const char *name) {
    uint32_t i;
    return map_get(m, name, strlen(name), &i) ? c->outs[i] : NULL;
}

/* Each A has its B of the same rank; the rank of all, or of the first. */
static int64_t check_pairs(struct conversion *c) {
    struct map names = {0};
    int64_t rank = 0;
    size_t pairs = 0;
    for (size_t i = 0; i < c->n_outs; i++)
        if (!map_put(&names, c->outs[i]->name, strlen(c->outs[i]->name), (uint32_t)i, NULL))
            convert_fail(c, ST_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < c->n_outs && !convert_failed(c); i++) {
        const struct out *a = c->outs[i];
        if (!ends_with(a->name, ".lora_a")) continue;
        const struct out *b =
            find_out(c, &names, convert_text(c, "%.*sb", (int)strlen(a->name) - 1, a->name));
        if (b == NULL || b->dim[1] != a->dim[0])
            convert_fail(c, ST_FORMAT, "tensor '%s' has no partner of the same rank", a->name);
        if (rank == 0) rank = a->dim[0];
        pairs++;
    }
    if (!convert_failed(c) && (c->n_outs == 0 || pairs * 2 != c->n_outs))
        convert_fail(c, ST_FORMAT, "the adapter has tensors without a partner");
    map_free(&names);
    return rank;
}

static void put_alpha(struct conversion *c, int64_t rank) {
    double alpha = cfg_num(c, "lora_parameters.alpha|lora_alpha");
    if (alpha == 0) alpha = cfg_num(c, "lora_parameters.scale") * (double)rank;
    if (cfg_bool(c, "use_rslora")) alpha *= sqrt((double)rank); /* its scale is alpha/sqrt(rank) */
    put_f32(c, "adapter.lora.alpha", alpha);
}

static void put_keys(struct conversion *c) {
    uint32_t n;
    put_str(c, "general.architecture", c->arch_name);
    put_str(c, "general.type", "adapter");
    put_str(c, "general.version", "v0.2");
    put_u32(c, "general.file_type", 1);
    put_str(c, "adapter.type", "lora");
    static const char *const copied[] = {"attention.head_count", "attention.head_count_kv"};
    for (int i = 0; i < 2; i++)
        if (gguf_get_u32(c->base, convert_text(c, "%s.%s", c->arch_name, copied[i]), &n, NULL) ==
            ST_OK)
            put_u32(c, copied[i], n);
}

void convert_adapter(struct conversion *c) {
    struct gguf_str arch;
    struct err e = {0};
    files_open_config(c, "adapter_config.json");
    if (convert_failed(c)) return;
    if (c->base == NULL || gguf_get_str(c->base, "general.architecture", &arch, &e) != ST_OK) {
        convert_fail(c, ST_INVALID, "an adapter needs the model that it is for");
        return;
    }
    c->arch_name = convert_text(c, "%.*s", (int)(arch.len < 64 ? arch.len : 64), arch.ptr);
    c->arch = arch_find_gguf(c->arch_name);
    if (c->arch == NULL) {
        convert_fail(c, ST_INVALID, "unsupported architecture \"%s\"", c->arch_name);
        return;
    }
    sources_open(c);
    if (!convert_failed(c)) rename_all(c);
    for (size_t i = 0; i < c->n_sources && !convert_failed(c); i++) put_tensor(c, &c->sources[i]);
    if (convert_failed(c)) return;
    const int64_t rank = check_pairs(c);
    put_keys(c);
    put_alpha(c, rank);
}
