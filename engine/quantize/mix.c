/* mix.c - the tables of spec/quants.md 9.1 to 9.5; see mix.h. */
#include "engine/quantize/mix.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

static const struct {
    const char *name; /* NULL: no such file type */
    enum dtype def;
} ftypes[FT_COUNT] = {
#define FTYPE(id, NAME, def) [id] = {#NAME, DT_##def},
#include "engine/quantize/ftypes.def"
#undef FTYPE
};

const char *ftype_name(enum ftype f) {
    if (f == FT_COPY) return "COPY";
    return (unsigned)f < FT_COUNT ? ftypes[f].name : NULL;
}

enum dtype ftype_default(enum ftype f) { return ftypes[f].def; }

enum ftype ftype_parse(const char *text) {
    static const struct {
        const char *name;
        enum ftype f;
    } other[] = {{"Q3_K", FT_Q3_K_M}, {"Q4_K", FT_Q4_K_M}, {"Q5_K", FT_Q5_K_M}, {"COPY", FT_COPY}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcasecmp(text, other[i].name) == 0) return other[i].f;
    for (unsigned f = 0; f < FT_COUNT; f++)
        if (ftypes[f].name != NULL && strcasecmp(text, ftypes[f].name) == 0) return (enum ftype)f;
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    bool number = isdigit((unsigned char)*text) && *end == '\0';
    return number && n < FT_COUNT && ftypes[n].name != NULL ? (enum ftype)n
                                                            : (enum ftype)FT_UNKNOWN;
}

bool mix_is(struct gguf_str name, const char *text) {
    return name.len == strlen(text) && memcmp(name.ptr, text, name.len) == 0;
}

bool mix_has(struct gguf_str name, const char *part) {
    return memmem(name.ptr, name.len, part, strlen(part)) != NULL;
}

bool mix_ends(struct gguf_str name, const char *end) {
    size_t n = strlen(end);
    return name.len >= n && memcmp(name.ptr + name.len - n, end, n) == 0;
}

/* N of "blk.N.", -1 for other names. */
static int64_t block_of(struct gguf_str name) {
    int64_t n = 0;
    if (name.len < 6 || memcmp(name.ptr, "blk.", 4) != 0 || !isdigit((unsigned char)name.ptr[4]))
        return -1;
    for (size_t i = 4; i < name.len && name.ptr[i] != '.'; i++) {
        if (!isdigit((unsigned char)name.ptr[i]) || n > 1000000) return -1;
        n = n * 10 + (name.ptr[i] - '0');
    }
    return n;
}

int mix_compare(struct gguf_str a, struct gguf_str b) {
    int64_t la = block_of(a), lb = block_of(b);
    if (la != lb) return la < lb ? -1 : 1;
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.ptr, b.ptr, n);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* ---- 9.1: what is quantized ---- */

/* Parts of names that stop it: small tensors, and such that are used by other than products. */
static const char *const stops[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

/* One architecture keeps more, and gives some at least 8 bits. */
static const char glm5[] = "glm5-next";
static const char *const glm5_stops[] = {
    "hc_",
    "indexer.attn_q_b",
    "indexer.attn_k",
    "indexer.proj",
    "indexer_compressor_gate",
    "indexer_compressor_ape",
    "ssm_f_a.weight",
    "ssm_f_b.weight",
    "ssm_g_a.weight",
    "ssm_g_b.weight",
    "ssm_beta.weight",
    "attn_kv_a_mqa.weight",
    "attn_k_b.weight",
    "attn_v_b.weight",
};
static const char *const glm5_q8[] = {"attn_q_a", "attn_q_b", "nextn.eh_proj"};

static bool has_any(struct gguf_str name, const char *const *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (mix_has(name, parts[i])) return true;
    return false;
}
#define HAS_ANY(name, list) has_any(name, list, sizeof(list) / sizeof *(list))

bool mix_quantizable(const char *arch, struct gguf_str name, uint32_t n_dims,
                     const int64_t dim[4]) {
    while (n_dims > 1 && dim[n_dims - 1] == 1) n_dims--;
    if (n_dims < 2 || !mix_ends(name, "weight")) return false;
    if (mix_is(name, "position_embd.weight") || mix_is(name, "token_types.weight")) return false;
    if (strcmp(arch, glm5) == 0 && HAS_ANY(name, glm5_stops)) return false;
    return !HAS_ANY(name, stops);
}

/* ---- 9.3: roles ---- */

enum role { OUT = 1, EMBD = 2, V = 4, K = 8, Q = 16, O = 32, UP = 64, GATE = 128, DOWN = 256 };
enum { OTHER = 512, ANY = 1023 };

static unsigned role_of(struct gguf_str name) {
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {{"attn_qkv.weight", V}, {"attn_kv_b.weight", V}, {"attn_v.weight", V},
                 {"attn_k.weight", K},   {"attn_q.weight", Q},    {"attn_output.weight", O},
                 {"ffn_up", UP},         {"ffn_gate", GATE},      {"ffn_down", DOWN}};
    if (mix_is(name, "output.weight")) return OUT;
    if (mix_is(name, "token_embd.weight") || mix_is(name, "per_layer_token_embd.weight"))
        return EMBD;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (mix_has(name, parts[i].part)) return parts[i].role;
    return OTHER;
}

void mix_begin(struct mix *m, enum ftype ftype, const struct mix_model *model, bool imatrix,
               const struct gguf_str *names, size_t n_names) {
    *m = (struct mix){.ftype = ftype, .model = *model, .imatrix = imatrix, .tied = true};
    for (size_t i = 0; i < n_names; i++) {
        const unsigned role = role_of(names[i]);
        if (role == OUT) m->tied = false;
        if (role == V) m->n_v++;
    }
}

/* ---- 9.4: the table ---- */

enum fact { /* of a tensor in its model */
            FALCON = 1 << 0,
            GQA4 = 1 << 1,    /* at least 4 query heads for each kv head */
            EXPERT8 = 1 << 2, /* n_expert = 8 */
            EXPERT4 = 1 << 3, /* n_expert >= 4 */
            IMATRIX = 1 << 4,
            ODD = 1 << 5,    /* rows are no whole number of the default type's blocks */
            STACK = 1 << 6,  /* one matrix for each expert */
            FIRST2 = 1 << 7, /* the first two, the first four of its role */
            FIRST4 = 1 << 8,
            EIGHTH = 1 << 9, /* in the first eighth, the first sixteenth of the layers */
            SIXTEENTH = 1 << 10,
            MIDDLE = 1 << 11, /* neither in the first nor in the last eighth */
            MORE = 1 << 12,   /* first eighth, last eighth, and each third between them */
            BIG70 = 1 << 13,  /* llama with 80 layers and grouped heads */
};

#define B(name) (UINT64_C(1) << FT_##name)
#define LOW (B(IQ1_S) | B(IQ1_M) | B(IQ2_XXS) | B(IQ2_XS) | B(IQ2_S) | B(IQ2_M))
#define IQ2 (B(IQ2_S) | B(IQ2_M))
#define ALL (~UINT64_C(0))
#define EXPERT8_O                                                                                  \
    (B(Q2_K) | B(IQ3_XS) | B(IQ3_XXS) | B(Q3_K_S) | B(Q3_K_M) | B(IQ4_NL) | B(Q4_K_S) |            \
     B(Q4_K_M) | B(IQ3_S) | B(IQ3_M) | B(IQ4_XS))
enum { DEFAULT = DT_COUNT };

/* The first row that fits decides: a role of the set, a file type of the set, all of the facts
 * `with`, none of `without`. No row: the default type. */
static const struct rule {
    unsigned roles;
    uint64_t ftypes;
    unsigned with, without, type;
} rules[] = {
    {OUT, B(MXFP4_MOE), 0, 0, DT_Q8_0},
    {OUT, ALL, FALCON, 0, DT_Q8_0},
    {OUT, ALL, ODD, 0, DT_Q8_0},
    {OUT, LOW | B(IQ3_XXS), 0, 0, DT_Q5_K},
    {OUT, B(Q8_0), 0, 0, DEFAULT},
    {OUT, ALL, 0, 0, DT_Q6_K},

    {ANY, B(MXFP4_MOE), STACK, 0, DT_MXFP4},
    {ANY, B(MXFP4_MOE), 0, 0, DT_Q8_0},

    {EMBD, B(IQ2_XXS) | B(IQ2_XS) | B(IQ1_S) | B(IQ1_M), 0, 0, DT_Q2_K},
    {EMBD, IQ2 | B(IQ3_XXS), 0, 0, DT_IQ3_S},
    {EMBD, B(TQ1_0) | B(TQ2_0) | B(Q2_0), 0, 0, DT_Q4_K},

    {V, LOW, GQA4, 0, DT_Q4_K},
    {V, LOW, EXPERT4, 0, DT_Q4_K},
    {V, IQ2, 0, 0, DT_IQ3_S},
    {V, LOW, 0, 0, DT_Q2_K},
    {K, LOW, EXPERT8, 0, DT_Q4_K},
    {DOWN, IQ2, EIGHTH, 0, DT_IQ3_S},
    {DOWN, LOW, EIGHTH, 0, DT_Q2_K},
    {O, LOW, EXPERT8, 0, DT_Q5_K},
    {O, B(IQ1_S) | B(IQ1_M), 0, 0, DT_IQ2_XXS},
    {O, IQ2, 0, 0, DT_IQ3_S},
    {ANY, LOW, 0, 0, DEFAULT},

    {V, ALL, EXPERT8, 0, DT_Q8_0},
    {V, B(Q2_K), GQA4, 0, DT_Q4_K},
    {V, B(Q2_K), 0, 0, DT_Q3_K},
    {V, B(Q2_K_S) | B(IQ3_XS) | B(IQ3_S) | B(IQ3_XXS), GQA4, 0, DT_Q4_K},
    {V, B(IQ3_XXS), IMATRIX, 0, DT_IQ3_XXS},
    {V, B(IQ3_XXS), 0, 0, DT_IQ3_S},
    {V, B(IQ3_M), 0, 0, DT_Q4_K},
    {V, B(Q3_K_M), FIRST2, 0, DT_Q5_K},
    {V, B(Q3_K_M), 0, 0, DT_Q4_K},
    {V, B(Q3_K_L), 0, 0, DT_Q5_K},
    {V, B(IQ4_NL) | B(IQ4_XS), GQA4, 0, DT_Q5_K},
    {V, B(Q4_K_M) | B(Q5_K_M), MORE, 0, DT_Q6_K},
    {V, B(Q4_K_S), FIRST4, 0, DT_Q5_K},

    {K, ALL, EXPERT8, 0, DT_Q8_0},
    {K | Q, B(IQ3_XS), 0, 0, DT_IQ3_XXS},
    {K | Q, B(IQ3_XXS), 0, 0, DT_IQ2_S},

    {DOWN, B(Q2_K), 0, 0, DT_Q3_K},
    {DOWN, B(Q2_K_S), EIGHTH, 0, DT_Q4_K},
    {DOWN, B(IQ3_XXS), EIGHTH, IMATRIX, DT_Q4_K},
    {DOWN, B(IQ3_XXS), 0, IMATRIX, DT_Q3_K},
    {DOWN, B(Q3_K_M), SIXTEENTH, 0, DT_Q5_K},
    {DOWN, B(Q3_K_M), FALCON | MORE, 0, DT_Q4_K},
    {DOWN, B(Q3_K_M), FALCON, 0, DT_Q3_K},
    {DOWN, B(Q3_K_M), 0, 0, DT_Q4_K},
    {DOWN, B(IQ3_M), EIGHTH, 0, DT_Q4_K},
    {DOWN, B(IQ3_M), EXPERT8 | MORE, 0, DT_Q4_K},
    {DOWN, B(Q3_K_L), FALCON, 0, DT_Q4_K},
    {DOWN, B(Q3_K_L), 0, 0, DT_Q5_K},
    {DOWN, B(Q4_K_M), FALCON | SIXTEENTH, 0, DT_Q6_K},
    {DOWN, B(Q4_K_M), FALCON | MORE, 0, DT_Q5_K},
    {DOWN, B(Q4_K_M), FALCON, 0, DT_Q4_K},
    {DOWN, B(Q4_K_M), MORE, 0, DT_Q6_K},
    {DOWN, B(IQ4_NL) | B(IQ4_XS), EIGHTH, IMATRIX, DT_Q5_K},
    {DOWN, B(Q5_K_M), MORE, 0, DT_Q6_K},
    {DOWN, B(Q4_K_S), EIGHTH, FALCON, DT_Q5_K},
    {DOWN, B(Q4_0), IMATRIX | EIGHTH, 0, DT_Q4_1},
    {DOWN, B(Q5_0), IMATRIX | EIGHTH, 0, DT_Q5_1},

    {O, B(Q3_K_L), FALCON, 0, DT_Q4_K},
    {O, ALL, FALCON, 0, DEFAULT},
    {O, EXPERT8_O, EXPERT8, 0, DT_Q5_K},
    {O, ALL, EXPERT8, 0, DEFAULT},
    {O, B(Q2_K), 0, 0, DT_Q3_K},
    {O, B(IQ3_XXS), 0, 0, DT_IQ3_S},
    {O, B(Q3_K_M), 0, 0, DT_Q4_K},
    {O, B(Q3_K_L), 0, 0, DT_Q5_K},
    {O, B(IQ3_M), 0, 0, DT_Q4_K},

    {GATE | UP, B(IQ3_XS), MIDDLE, 0, DT_IQ3_XXS},
};

/* ---- facts ---- */

static bool more_bits(int64_t i, int64_t n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static unsigned place_facts(int64_t i, int64_t n) {
    unsigned f = 0;
    if (i < n / 8) f |= EIGHTH;
    if (i < n / 16) f |= SIXTEENTH;
    if (i >= n / 8 && i < 7 * n / 8) f |= MIDDLE;
    if (more_bits(i, n)) f |= MORE;
    return f;
}

static unsigned model_facts(const struct mix *m) {
    const struct mix_model *x = &m->model;
    unsigned f = 0;
    if (strcmp(x->arch, "falcon") == 0) f |= FALCON;
    if (x->n_head_kv > 0 && x->n_head / x->n_head_kv >= 4) f |= GQA4;
    if (x->n_expert == 8) f |= EXPERT8;
    if (x->n_expert >= 4) f |= EXPERT4;
    if (m->imatrix) f |= IMATRIX;
    if (strcmp(x->arch, "llama") == 0 && x->n_layer == 80 && x->n_head != x->n_head_kv) f |= BIG70;
    return f;
}

static bool is_low(enum ftype f) { return (UINT64_C(1) << f & LOW) != 0; }

/* Where the tensor stands among those of its role; counts it. */
static unsigned role_facts(struct mix *m, unsigned role, struct gguf_str name) {
    int64_t *const counter[] = {&m->i_down, &m->i_gate, &m->i_up};
    static const unsigned counted[] = {DOWN, GATE, UP};
    if (role == V) {
        const int64_t i = m->i_v++;
        return (i < 2 ? FIRST2 : 0) | (i < 4 ? FIRST4 : 0) | (more_bits(i, m->n_v) ? MORE : 0);
    }
    for (size_t k = 0; k < 3; k++) {
        if (role != counted[k]) continue;
        int64_t i = (*counter[k])++;
        /* With experts, blocks may have several; but the low types count all the same. */
        if (m->model.n_expert > 1 && !is_low(m->ftype)) i = block_of(name);
        return place_facts(i, m->model.n_layer);
    }
    return 0;
}

static unsigned shape_facts(const struct mix *m, unsigned role, const int64_t dim[4]) {
    unsigned f = 0;
    const bool may_stack =
        strcmp(m->model.arch, "bailingmoe3") != 0 || (role & (UP | GATE | DOWN)) != 0;
    if (dim[0] % dtype_info(ftype_default(m->ftype))->elems != 0) f |= ODD;
    if (dim[2] > 1 && may_stack) f |= STACK;
    return f;
}

static enum dtype look_up(const struct mix *m, unsigned role, unsigned facts) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *r = &rules[i];
        if ((r->roles & role) == 0 || (r->ftypes & UINT64_C(1) << m->ftype) == 0) continue;
        if ((facts & r->with) != r->with || (facts & r->without) != 0) continue;
        if (r->type != DEFAULT) return (enum dtype)r->type;
        break;
    }
    return ftype_default(m->ftype);
}

enum dtype mix_pick(struct mix *m, struct gguf_str name, const int64_t dim[4]) {
    unsigned role = role_of(name);
    if (role == EMBD && m->tied) role = OUT;
    const unsigned facts = model_facts(m) | role_facts(m, role, name) | shape_facts(m, role, dim);
    enum dtype t = look_up(m, role, facts);
    /* A 70B model has few v weights for its size: they get more bits. */
    if (role == V && (facts & BIG70) != 0 && !is_low(m->ftype) && (t == DT_Q3_K || t == DT_Q4_K))
        t = DT_Q5_K;
    if (strcmp(m->model.arch, glm5) == 0 && HAS_ANY(name, glm5_q8) &&
        dtype_info(t)->bytes * 32 < dtype_info(t)->elems * dtype_info(DT_Q8_0)->bytes)
        t = DT_Q8_0;
    return t;
}

/* ---- 9.5 ---- */

enum status mix_fallback(enum dtype type, int64_t n_cols, enum dtype *out, struct err *e) {
    static const enum dtype fallback[DT_COUNT] = {
        [DT_IQ1_S] = DT_IQ4_NL,  [DT_IQ1_M] = DT_IQ4_NL,  [DT_IQ2_XXS] = DT_IQ4_NL,
        [DT_IQ2_XS] = DT_IQ4_NL, [DT_IQ2_S] = DT_IQ4_NL,  [DT_IQ3_XXS] = DT_IQ4_NL,
        [DT_IQ3_S] = DT_IQ4_NL,  [DT_IQ4_XS] = DT_IQ4_NL, [DT_Q2_0] = DT_Q4_0,
        [DT_Q2_K] = DT_Q4_0,     [DT_Q3_K] = DT_Q4_0,     [DT_TQ1_0] = DT_Q4_0,
        [DT_TQ2_0] = DT_Q4_0,    [DT_Q4_K] = DT_Q5_0,     [DT_Q5_K] = DT_Q5_1,
        [DT_Q6_K] = DT_Q8_0,
    };
    *out = type;
    if (n_cols % dtype_info(type)->elems == 0) return ST_OK;
    enum dtype t = fallback[type]; /* 0 (F32): none, which small blocks do not need */
    if (t == DT_F32 && dtype_info(type)->elems <= 32) t = type;
    if (t == DT_F32) {
        char name[16];
        snprintf(name, sizeof name, "%s", dtype_info(type)->name);
        for (char *p = name; *p != '\0'; p++) *p = (char)tolower((unsigned char)*p);
        return err_set(e, ST_UNSUPPORTED, "no tensor type fallback is defined for type %s", name);
    }
    *out = n_cols % dtype_info(t)->elems == 0 ? t : DT_F16;
    return ST_OK;
}

bool mix_needs_imatrix(enum ftype ftype, enum dtype type, struct gguf_str name) {
    static const enum dtype types[] = {DT_IQ1_S,  DT_IQ1_M, DT_IQ2_XXS,
                                       DT_IQ2_XS, DT_IQ2_S, DT_IQ3_XXS};
    if (type == DT_IQ2_XXS || type == DT_IQ2_XS || type == DT_IQ1_S) return true; /* cannot do */
    if ((role_of(name) & (OUT | EMBD)) != 0) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (type == types[i]) return true;
    return type == DT_Q2_K && ftype == FT_Q2_K_S;
}
