/* quantize_plan.c - which tensor gets which type and which weights; what cannot be done is refused
 * here (see quantize.h; rules: spec/quants.md 8.4, 9.1, 9.2, 9.7). */
#include <assert.h>
#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/quantize/quantize.h"

struct quantize_params quantize_default_params(enum ftype ftype) {
    return (struct quantize_params){
        .ftype = ftype, .token_embedding_type = DT_COUNT, .output_tensor_type = DT_COUNT};
}

enum status quantize_parse_level(const char *text, enum ftype *out, struct err *e) {
    char upper[32];
    size_t n = strlen(text);
    *out = ftype_parse(text);
    if ((unsigned)*out < FT_COUNT && !isdigit((unsigned char)*text)) return ST_OK;
    for (size_t i = 0; i <= n && i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)text[i]);
    upper[sizeof upper - 1] = '\0';
    return err_set(e, ST_INVALID,
                   "unsupported quantization type %s - supported types are F32, F16, Q4_K_S, "
                   "Q4_K_M, Q8_0",
                   upper);
}

/* ---- patterns ---- */

struct planner {
    const struct gguf *from;
    const struct quantize_params *p;
    struct mix_model model;
    char arch[64];
    struct mix mix;
    regex_t *rules; /* owned; compiled, n_rules + n_own of them */
    enum dtype *rule_types;
    size_t n_rules;
    struct err *e;
};

/* Ollama's exceptions, for Q4_K_S and Q4_K_M only (9.7). */
static const struct {
    const char *arch, *pattern;
    enum dtype type;
} ollama_rules[] = {
    {"qwen35", "^blk\\.[0-9]+\\.nextn\\.eh_proj\\.weight$", DT_Q8_0},
    {"qwen35moe", "^blk\\.[0-9]+\\.nextn\\.eh_proj\\.weight$", DT_Q8_0},
    {"gemma3n", "^per_layer_token_embd\\.weight$", DT_F16},
    {"deepseek2", "(attn_k_b|attn_q_a|attn_q_b|attn_v_b|attn_kv_a_mqa)\\.weight$", DT_Q8_0},
    {"glmocr", "^(token_embd|output)\\.weight$", DT_F16},
    {"glm4", "^(token_embd|output)\\.weight$", DT_F16},
};
enum { N_OLLAMA_RULES = sizeof ollama_rules / sizeof *ollama_rules };

/* In lower case, as tensor names are, and with \d written out. */
static enum status compile(struct planner *w, const char *pattern, enum dtype type) {
    struct buf text = {0};
    char why[128];
    buf_str(&text, "");
    for (const char *p = pattern; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] == 'd') {
            buf_str(&text, "[0-9]");
            p++;
        } else if (p[0] == '\\' && p[1] != '\0') { /* \S and \s are not the same */
            buf_add(&text, p, 2);
            p++;
        } else {
            buf_chr(&text, (char)tolower((unsigned char)*p));
        }
    }
    if (text.failed) return err_no_memory(w->e);
    regex_t *re = &w->rules[w->n_rules];
    const int code = regcomp(re, text.data, REG_EXTENDED | REG_NOSUB);
    buf_free(&text);
    if (code != 0) {
        regerror(code, re, why, sizeof why);
        return err_set(w->e, ST_INVALID, "tensor type pattern '%s': %s", pattern, why);
    }
    w->rule_types[w->n_rules++] = type;
    return ST_OK;
}

static enum status compile_rules(struct planner *w) {
    const struct quantize_params *p = w->p;
    enum status st = ST_OK;
    w->rules = mem_array(p->n_rules + N_OLLAMA_RULES, sizeof *w->rules);
    w->rule_types = mem_array(p->n_rules + N_OLLAMA_RULES, sizeof *w->rule_types);
    if (w->rules == NULL || w->rule_types == NULL) return err_no_memory(w->e);
    for (size_t i = 0; i < p->n_rules && st == ST_OK; i++)
        st = compile(w, p->rules[i].pattern, p->rules[i].type);
    const bool own = p->ollama && (p->ftype == FT_Q4_K_S || p->ftype == FT_Q4_K_M);
    for (size_t i = 0; own && i < N_OLLAMA_RULES && st == ST_OK; i++)
        if (strcmp(w->arch, ollama_rules[i].arch) == 0)
            st = compile(w, ollama_rules[i].pattern, ollama_rules[i].type);
    return st;
}

/* DT_COUNT: no pattern is found in the name. */
static enum dtype type_by_rule(const struct planner *w, struct gguf_str name) {
    char text[64];
    assert(name.len < sizeof text); /* the reader's limit */
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    for (size_t i = 0; i < w->n_rules; i++)
        if (regexec(&w->rules[i], text, 0, NULL, 0) == 0) return w->rule_types[i];
    return DT_COUNT;
}

/* ---- the model ---- */

/* <arch>.KEY: a number, or the first one of a list; 0 if it is not there. */
static int64_t number(const struct planner *w, const char *key, int64_t fallback) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", w->arch, key);
    const struct gguf_kv *kv = gguf_find(w->from, full);
    if (kv == NULL || !gguf_is_int(kv->elem) || kv->count == 0) return fallback;
    const int64_t v = gguf_elem_int(kv, 0);
    return v < 0 || v > 1 << 24 ? 0 : v; /* no model has so many of anything */
}

static enum status read_model(struct planner *w) {
    struct gguf_str arch;
    enum status st = gguf_get_str(w->from, "general.architecture", &arch, w->e);
    if (st == ST_NOT_FOUND)
        return err_set(w->e, ST_FORMAT, "%s: key general.architecture not found",
                       gguf_label(w->from));
    if (st != ST_OK) return st;
    snprintf(w->arch, sizeof w->arch, "%.*s", (int)(arch.len < 63 ? arch.len : 63), arch.ptr);
    w->model = (struct mix_model){.arch = w->arch,
                                  .n_layer = number(w, "block_count", 0),
                                  .n_head = number(w, "attention.head_count", 0),
                                  .n_expert = number(w, "expert_count", 0)};
    w->model.n_head_kv = number(w, "attention.head_count_kv", w->model.n_head);
    return ST_OK;
}

static int by_place(const void *a, const void *b) {
    const struct quantize_tensor *x = a, *y = b;
    return mix_compare(x->from->name, y->from->name);
}

static enum status list_tensors(struct planner *w, struct quantize_plan *plan) {
    const size_t n = gguf_n_tensors(w->from);
    plan->tensors = mem_zalloc(n + 1, sizeof *plan->tensors);
    struct gguf_str *names = mem_array(n + 1, sizeof *names);
    if (plan->tensors == NULL || names == NULL) {
        mem_free(names);
        return err_no_memory(w->e);
    }
    for (; plan->n < n; plan->n++) {
        plan->tensors[plan->n].from = gguf_tensor_at(w->from, plan->n);
        names[plan->n] = gguf_tensor_at(w->from, plan->n)->name;
    }
    qsort(plan->tensors, n, sizeof *plan->tensors, by_place);
    mix_begin(&w->mix, w->p->ftype, &w->model, w->p->imatrix != NULL, names, n);
    mem_free(names);
    return ST_OK;
}

/* ---- one tensor ---- */

static enum status refuse(const struct planner *w, const struct gguf_tensor *t, enum status code,
                          const char *what) {
    return err_set(w->e, code, "%s: tensor '%.*s': %s", gguf_label(w->from), (int)t->name.len,
                   t->name.ptr, what);
}

/* Parts of other models that Ollama puts into the same file. */
static bool is_guest(struct gguf_str name) {
    static const char *const prefixes[] = {"a.", "mm.", "mtp.", "s.", "v."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t n = strlen(prefixes[i]);
        if (name.len > n && memcmp(name.ptr, prefixes[i], n) == 0) return true;
    }
    return false;
}

static bool stays(const struct planner *w, const struct gguf_tensor *t) {
    const struct quantize_params *p = w->p;
    return p->ftype == FT_COPY || !mix_quantizable(w->arch, t->name, t->n_dims, t->dim) ||
           (p->leave_output && mix_is(t->name, "output.weight")) ||
           (p->ollama && is_guest(t->name));
}

/* 9.2, in its order. */
static enum status choose(struct planner *w, struct quantize_tensor *q) {
    const struct quantize_params *p = w->p;
    const struct gguf_tensor *t = q->from;
    enum dtype type = DT_COUNT;
    if (mix_is(t->name, "token_embd.weight") || mix_is(t->name, "per_layer_token_embd.weight"))
        type = p->token_embedding_type;
    if (mix_is(t->name, "output.weight")) type = p->output_tensor_type;
    const enum dtype def = ftype_default(p->ftype);
    if (type == DT_COUNT && dtype_info(def)->elems == 1) type = def;
    if (type == DT_COUNT) type = type_by_rule(w, t->name);
    if (type == DT_COUNT) type = p->pure ? def : mix_pick(&w->mix, t->name, t->dim);
    enum status st = mix_fallback(type, t->dim[0], &q->type, w->e);
    q->fell_back = st == ST_OK && q->type != type;
    return st == ST_OK ? ST_OK
                       : err_wrap(w->e, "%s: tensor '%.*s'", gguf_label(w->from), (int)t->name.len,
                                  t->name.ptr);
}

static bool is_plain(enum dtype t) { return t == DT_F32 || t == DT_F16 || t == DT_BF16; }

static enum status check_convertible(const struct planner *w, const struct quantize_tensor *q) {
    char text[96];
    const struct dtype_info *from = dtype_info(q->from->type), *to = dtype_info(q->type);
    if (q->from->type == DT_Q8_1)
        return refuse(w, q->from, ST_UNSUPPORTED, "type Q8_1 has no place in a model file");
    if (q->type == q->from->type) return ST_OK; /* bytes are copied */
    if (!is_plain(q->from->type) && !w->p->allow_requantize) {
        snprintf(text, sizeof text, "requantizing from type %s is disabled", from->name);
        return refuse(w, q->from, ST_INVALID, text);
    }
    if (from->decode == NULL || to->encode == NULL) {
        snprintf(text, sizeof text, "no way from type %s to %s: %s cannot be %s", from->name,
                 to->name, from->decode == NULL ? from->name : to->name,
                 from->decode == NULL ? "decoded" : "encoded");
        return refuse(w, q->from, ST_UNSUPPORTED, text);
    }
    return ST_OK;
}

static enum status find_weights(const struct planner *w, struct quantize_tensor *q) {
    const struct gguf_tensor *t = q->from;
    char text[128];
    if (q->type == t->type || w->p->imatrix == NULL) return ST_OK;
    const struct imatrix_entry *entry = imatrix_find(w->p->imatrix, t->name);
    if (entry == NULL) return ST_OK;
    const size_t want = (size_t)t->dim[0] * (size_t)t->dim[2];
    if (entry->n == want) {
        q->iw = entry->iw;
        q->n_iw = (size_t)t->dim[2];
        return ST_OK;
    }
    snprintf(text, sizeof text, "imatrix size %zu is different from tensor size %zu for %.*s",
             entry->n, want, (int)t->name.len, t->name.ptr);
    if (!mix_is(t->name, "token_embd.weight")) return refuse(w, t, ST_INVALID, text);
    if (w->p->note != NULL) w->p->note(w->p->arg, text);
    return ST_OK;
}

static enum status check_weights(const struct planner *w, const struct quantize_tensor *q) {
    char text[128];
    const struct gguf_tensor *t = q->from;
    if (q->type == t->type || q->iw != NULL || !mix_needs_imatrix(w->p->ftype, q->type, t->name))
        return ST_OK;
    if (w->p->imatrix == NULL)
        return refuse(w, t, ST_INVALID, "this quantization requires an imatrix!");
    if (q->type == DT_IQ3_XXS) return ST_OK; /* worse, but it can be done */
    snprintf(text, sizeof text,
             "Missing importance matrix for tensor %.*s in a very low-bit quantization",
             (int)t->name.len, t->name.ptr);
    return refuse(w, t, ST_INVALID, text);
}

static enum status plan_tensor(struct planner *w, struct quantize_plan *plan,
                               struct quantize_tensor *q) {
    q->type = q->from->type;
    enum status st = stays(w, q->from) ? ST_OK : choose(w, q);
    if (st == ST_OK) st = find_weights(w, q);
    if (st == ST_OK) st = check_weights(w, q);
    if (st != ST_OK) return st;
    /* Rows are whole blocks of both types, and no type has more bytes for an element than 8. */
    const uint64_t elems =
        q->from->size / dtype_info(q->from->type)->bytes * dtype_info(q->from->type)->elems;
    q->size = elems / dtype_info(q->type)->elems * dtype_info(q->type)->bytes;
    plan->data_size += q->size;
    plan->source_size += q->from->size;
    plan->n_fallback += q->fell_back;
    return ST_OK;
}

static enum status plan_all(struct planner *w, struct quantize_plan *plan) {
    enum status st = read_model(w);
    if (st == ST_OK) st = compile_rules(w);
    if (st == ST_OK) st = list_tensors(w, plan);
    for (size_t i = 0; i < plan->n && st == ST_OK; i++)
        st = plan_tensor(w, plan, &plan->tensors[i]);
    for (size_t i = 0; i < plan->n && st == ST_OK; i++)
        st = check_convertible(w, &plan->tensors[i]);
    return st;
}

enum status quantize_plan(struct quantize_plan *plan, const struct gguf *from,
                          const struct quantize_params *p, struct err *e) {
    struct err mine = {0};
    struct planner w = {.from = from, .p = p, .e = &mine};
    assert((unsigned)p->ftype <= FT_COPY && ftype_name(p->ftype) != NULL);
    *plan = (struct quantize_plan){0};
    enum status st = plan_all(&w, plan);
    for (size_t i = 0; i < w.n_rules; i++) regfree(&w.rules[i]);
    mem_free(w.rules);
    mem_free(w.rule_types);
    if (st == ST_OK) return ST_OK;
    quantize_plan_free(plan);
    return err_set(e, st, "%s", mine.msg);
}

void quantize_plan_free(struct quantize_plan *plan) {
    mem_free(plan->tensors);
    *plan = (struct quantize_plan){0};
}
