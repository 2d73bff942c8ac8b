/* check_sampling.c - runs a set of sampling goldens (golden/sampling/README.md): the random
 * generator, chains of samplers, and the text stream with stop strings.
 *
 * Chains run on the candidate list directly, in the order the case names; where that is cria's own
 * order, the draws are repeated through sampler.h. Tolerances are the
 * README's: the peer sums in float32, the reference in double. Where a case hangs on the last bit
 * (`boundary`) agreement passes and anything else is skipped. Two rules of cria differ from the
 * peer on purpose (spec/sampling.md 7): text the peer would lose at the end (`unsent`) is sent
 * without an unfinished character, and empty stop strings are dropped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/sample/sampler_impl.h"
#include "engine/textout.h"
#include "golden/check.h"

static const double LOGIT_TOLERANCE = 1e-4; /* relative, absolute below 1 */
static const double P_TOLERANCE = 2e-5;     /* absolute */
enum { MAX_OPS = 16, MAX_ARGS = 5, MAX_LISTED = 64 };

static void *need(void *p) {
    if (p == NULL) abort(); /* a test program without memory has nothing to report */
    return p;
}

static double number(const json *v) {
    double x = 0;
    const char *text = json_string(v);
    if (text != NULL && strcmp(text, "-inf") == 0) return (double)-INFINITY;
    json_number(v, &x);
    return x;
}

static bool flag(const json *object, const char *key) {
    bool b = false;
    json_bool(json_get(object, key), &b);
    return b;
}

/* ---- logits ---- */

struct xorshift { /* xorshift64*, as in the README */
    uint64_t x;
};

static double next_24_bits(struct xorshift *r) { /* [0, 1) */
    r->x ^= r->x >> 12;
    r->x ^= r->x << 25;
    r->x ^= r->x >> 27;
    return (double)(r->x * 0x2545F4914F6CDD1Du >> 40) / 0x1p24;
}

static void generate(float *out, size_t n, const json *gen) {
    const char *kind = json_string(json_get(gen, "kind"));
    double scale = number(json_get(gen, "scale"));
    uint64_t seed = (uint64_t)number(json_get(gen, "seed"));
    struct xorshift r = {seed * 0x9E3779B97F4A7C15u + 0x1234567u};
    if (r.x == 0) r.x = 1;
    for (size_t i = 0; i < n; i++) {
        double u = next_24_bits(&r) - 0.5;
        if (kind != NULL && strcmp(kind, "bell") == 0) {
            for (int k = 0; k < 3; k++) u += next_24_bits(&r) - 0.5;
        }
        out[i] = (float)(u * scale);
    }
}

/* [*n] logits, freed with mem_free; NULL: no such set. */
static float *load_logits(const json *sets, const char *name, size_t *n) {
    const json *set = name != NULL ? json_get(sets, name) : NULL, *gen = json_get(set, "gen");
    *n = gen != NULL ? (size_t)number(json_get(gen, "n")) : json_len(json_get(set, "values"));
    if (*n == 0) return NULL;
    float *logits = need(mem_array(*n, sizeof *logits));
    if (gen != NULL) {
        generate(logits, *n, gen);
        return logits;
    }
    size_t i = 0;
    for (const json *v = json_first(json_get(set, "values")); v != NULL; v = json_next(v)) {
        logits[i++] = (float)number(v);
    }
    return logits;
}

/* Generated sets name their first and last values (to nine digits). */
static bool ends_agree(const float *logits, const json *values) {
    for (const json *v = json_first(values); v != NULL; v = json_next(v)) {
        if ((float)number(v) != *logits++) return false;
    }
    return true;
}

static void check_sets(struct check *c, const json *sets) {
    for (const json *set = json_first(sets); set != NULL; set = json_next(set)) {
        if (json_get(set, "gen") == NULL) continue;
        size_t n, n_last = json_len(json_get(set, "last"));
        float *logits = load_logits(sets, json_key(set), &n);
        bool ok = logits != NULL && n >= n_last && n >= json_len(json_get(set, "first")) &&
                  ends_agree(logits, json_get(set, "first")) &&
                  ends_agree(logits + n - n_last, json_get(set, "last"));
        if (!ok) check_fail(c, json_key(set), "generated logits differ");
        mem_free(logits);
    }
}

/* ---- chains ---- */

struct link { /* one sampler of a chain with its state */
    const struct op *op;
    double arg[MAX_ARGS];
    size_t n_args;
    struct rng rng;
    struct penalties penalties;
    struct mirostat mirostat;
    struct dry dry;
    struct dry_breakers breakers;
    struct adaptive adaptive;
    struct logit_bias *bias;
    size_t n_bias;
};

struct op { /* rows in the order of cria's own chain */
    const char *name;
    void (*run)(struct link *l, struct candidates *cs);
    void (*set)(const struct link *l, struct sampler_params *p); /* NULL: no option of its own */
    int seed_arg;                                                /* -1: draws nothing */
};

static float arg(const struct link *l, size_t i, double absent) {
    return (float)(i < l->n_args ? l->arg[i] : absent);
}
static int32_t arg_int(const struct link *l, size_t i) { return (int32_t)arg(l, i, 0); }

static void run_bias(struct link *l, struct candidates *cs) { sample_bias(cs, l->bias, l->n_bias); }
static void run_penalties(struct link *l, struct candidates *cs) {
    sample_penalties(cs, &l->penalties);
}
static void run_dry(struct link *l, struct candidates *cs) { sample_dry(cs, &l->dry); }
static void run_adaptive(struct link *l, struct candidates *cs) {
    sample_adaptive(cs, &l->adaptive, &l->rng);
}
static void run_sigma(struct link *l, struct candidates *cs) {
    sample_top_n_sigma(cs, arg(l, 0, 0));
}
static void run_top_k(struct link *l, struct candidates *cs) { sample_top_k(cs, arg_int(l, 0)); }
static void run_typical_p(struct link *l, struct candidates *cs) {
    sample_typical_p(cs, arg(l, 0, 1));
}
static void run_top_p(struct link *l, struct candidates *cs) {
    sample_top_p(cs, arg(l, 0, 1), (size_t)arg_int(l, 1));
}
static void run_min_p(struct link *l, struct candidates *cs) {
    sample_min_p(cs, arg(l, 0, 0), (size_t)arg_int(l, 1));
}
static void run_xtc(struct link *l, struct candidates *cs) {
    sample_xtc(cs, arg(l, 0, 0), arg(l, 1, 1), &l->rng);
}
static void run_temperature(struct link *l, struct candidates *cs) {
    sample_temperature(cs, arg(l, 0, 1), arg(l, 1, 0), arg(l, 2, 1));
}
static void run_dist(struct link *l, struct candidates *cs) { sample_dist(cs, &l->rng); }
static void run_mirostat_1(struct link *l, struct candidates *cs) {
    sample_mirostat_1(cs, &l->mirostat, &l->rng);
}
static void run_mirostat_2(struct link *l, struct candidates *cs) {
    sample_mirostat_2(cs, &l->mirostat, &l->rng);
}

static void set_bias(const struct link *l, struct sampler_params *p) {
    p->bias = l->bias;
    p->n_bias = l->n_bias;
}
static void set_penalties(const struct link *l, struct sampler_params *p) {
    p->repeat_last_n = arg_int(l, 0);
    p->repeat_penalty = arg(l, 1, 1);
    p->frequency_penalty = arg(l, 2, 0);
    p->presence_penalty = arg(l, 3, 0);
}
static void set_dry(const struct link *l, struct sampler_params *p) {
    p->dry_multiplier = arg(l, 0, 0);
    p->dry_base = arg(l, 1, 1);
    p->dry_allowed_length = arg_int(l, 2);
    p->dry_penalty_last_n = arg_int(l, 3);
    p->dry_breakers = &l->breakers;
}
static void set_adaptive(const struct link *l, struct sampler_params *p) {
    p->adaptive_target = arg(l, 0, -1);
    p->adaptive_decay = arg(l, 1, 0);
}
static void set_sigma(const struct link *l, struct sampler_params *p) {
    p->top_n_sigma = arg(l, 0, 0);
}
static void set_top_k(const struct link *l, struct sampler_params *p) { p->top_k = arg_int(l, 0); }
static void set_typical_p(const struct link *l, struct sampler_params *p) {
    p->typical_p = arg(l, 0, 1);
}
static void set_top_p(const struct link *l, struct sampler_params *p) { p->top_p = arg(l, 0, 1); }
static void set_min_p(const struct link *l, struct sampler_params *p) { p->min_p = arg(l, 0, 0); }
static void set_xtc(const struct link *l, struct sampler_params *p) {
    p->xtc_probability = arg(l, 0, 0);
    p->xtc_threshold = arg(l, 1, 1);
}
static void set_temperature(const struct link *l, struct sampler_params *p) {
    p->temperature = arg(l, 0, 1);
    p->dynatemp_range = arg(l, 1, 0);
    p->dynatemp_exponent = arg(l, 2, 1);
}
static void set_mirostat(const struct link *l, struct sampler_params *p) {
    p->mirostat = l->op->run == run_mirostat_1 ? 1 : 2;
    p->mirostat_tau = arg(l, 1, 5);
    p->mirostat_eta = arg(l, 2, 0.1);
}

static const struct op OPS[] = {
    {"logit_bias", run_bias, set_bias, -1},
    {"penalties", run_penalties, set_penalties, -1},
    {"dry", run_dry, set_dry, -1},
    {"top_n_sigma", run_sigma, set_sigma, -1},
    {"top_k", run_top_k, set_top_k, -1},
    {"typical_p", run_typical_p, set_typical_p, -1},
    {"top_p", run_top_p, set_top_p, -1},
    {"min_p", run_min_p, set_min_p, -1},
    {"xtc", run_xtc, set_xtc, 2},
    {"temperature", run_temperature, set_temperature, -1},
    {"dist", run_dist, NULL, 0},
    {"adaptive_p", run_adaptive, set_adaptive, 2},
    {"mirostat", run_mirostat_1, set_mirostat, 0},
    {"mirostat_v2", run_mirostat_2, set_mirostat, 0},
};

static const struct op *find_op(const char *name) {
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++) {
        if (name != NULL && strcmp(OPS[i].name, name) == 0) return &OPS[i];
    }
    return NULL;
}

static void read_bias(struct link *l, const json *list) {
    l->bias = need(mem_array(json_len(list), sizeof *l->bias));
    for (const json *pair = json_first(list); pair != NULL; pair = json_next(pair)) {
        const json *id = json_first(pair), *bias = json_next(id);
        l->bias[l->n_bias++] = (struct logit_bias){
            (token_id)number(id), json_kind(bias) == JSON_NULL ? -INFINITY : (float)number(bias)};
    }
}

static void read_breakers(struct link *l, const json *list) {
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        struct token_list ids = {0};
        for (const json *id = json_first(v); id != NULL; id = json_next(id))
            if (!token_list_add(&ids, (token_id)number(id))) abort();
        if (ids.len > 0 && !dry_breakers_add(&l->breakers, ids.ids, ids.len)) abort();
        token_list_free(&ids);
    }
}

static void link_open(struct link *l, const json *op, size_t n_vocab) {
    const json *v = json_first(op);
    *l = (struct link){.op = find_op(json_string(v))};
    if (l->op == NULL) return;
    for (v = json_next(v); v != NULL && l->n_args < MAX_ARGS; v = json_next(v)) {
        if (json_kind(v) == JSON_ARRAY && l->op->run == run_bias) read_bias(l, v);
        if (json_kind(v) == JSON_ARRAY && l->op->run == run_dry) read_breakers(l, v);
        l->arg[l->n_args++] = number(v);
    }
    if (l->op->seed_arg >= 0) rng_seed(&l->rng, (uint32_t)l->arg[l->op->seed_arg]);
    l->mirostat = (struct mirostat){arg(l, 1, 5), arg(l, 2, 0.1), 2 * arg(l, 1, 5)};
    adaptive_init(&l->adaptive, arg(l, 0, -1), arg(l, 1, 0));
    l->dry = (struct dry){
        .multiplier = arg(l, 0, 0), .base = arg(l, 1, 1), .allowed = (uint32_t)arg_int(l, 2)};
    if (l->op->run == run_dry && arg_int(l, 3) > 0 &&
        !dry_open(&l->dry, (uint32_t)arg_int(l, 3), (uint32_t)n_vocab, &l->breakers))
        abort();
    if (l->op->run == run_penalties && l->arg[0] > 0) {
        if (!penalties_open(&l->penalties, (uint32_t)l->arg[0], (uint32_t)n_vocab)) abort();
        l->penalties.repeat = arg(l, 1, 1);
        l->penalties.frequency = arg(l, 2, 0);
        l->penalties.presence = arg(l, 3, 0);
    }
}

struct chain {
    struct link link[MAX_OPS];
    size_t n;
    struct candidates cs;
    bool is_supported, chooses;
};

static void chain_open(struct chain *ch, const json *ops, size_t n_vocab) {
    *ch = (struct chain){.is_supported = json_len(ops) <= MAX_OPS};
    if (!candidates_open(&ch->cs, n_vocab)) abort();
    for (const json *op = json_first(ops); op != NULL && ch->n < MAX_OPS; op = json_next(op)) {
        struct link *l = &ch->link[ch->n++];
        link_open(l, op, n_vocab);
        ch->is_supported = ch->is_supported && l->op != NULL;
        void (*run)(struct link *, struct candidates *) = l->op != NULL ? l->op->run : NULL;
        ch->chooses |= run == run_dist || run == run_adaptive || run == run_mirostat_1 ||
                       run == run_mirostat_2;
    }
}

static void chain_close(struct chain *ch) {
    for (size_t i = 0; i < ch->n; i++) {
        penalties_close(&ch->link[i].penalties);
        dry_close(&ch->link[i].dry);
        dry_breakers_free(&ch->link[i].breakers);
        mem_free(ch->link[i].bias);
    }
    candidates_close(&ch->cs);
}

static void chain_accept(struct chain *ch, token_id id) {
    for (size_t i = 0; i < ch->n; i++) {
        penalties_accept(&ch->link[i].penalties, id);
        dry_accept(&ch->link[i].dry, id);
        adaptive_accept(&ch->link[i].adaptive, id);
    }
}

static void chain_run(struct chain *ch, const float *logits) {
    candidates_load(&ch->cs, logits);
    for (size_t i = 0; i < ch->n; i++) ch->link[i].op->run(&ch->link[i], &ch->cs);
    candidates_list(&ch->cs);
}

/* ---- comparing ---- */

static bool is_close(double a, double b, double tolerance) { return fabs(a - b) <= tolerance; }

static int falling(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool is_listed(const json *ids, token_id id) {
    for (const json *v = json_first(ids); v != NULL; v = json_next(v)) {
        if ((token_id)number(v) == id) return true;
    }
    return false;
}

/* How cases with ties compare: as sets, and among those equal to the last one any may have been
 * kept. */
static bool same_set(const struct candidate *top, size_t n, const json *ids) {
    for (size_t i = 0; i < n && top[i].logit > top[n - 1].logit; i++) {
        if (!is_listed(ids, top[i].id)) return false;
    }
    return true;
}

/* NULL, or what differs. */
static const char *compare_values(const struct candidate *top, const json *want) {
    const json *logits = json_first(json_get(want, "out_logits"));
    const json *ps = json_first(json_get(want, "p")), *ids = json_first(json_get(want, "ids"));
    bool ties = flag(want, "ties");
    size_t n = json_len(json_get(want, "ids"));
    if (ties && !same_set(top, n, json_get(want, "ids"))) return "ids";
    for (size_t i = 0; i < n; i++) {
        double logit = number(logits);
        double tolerance = LOGIT_TOLERANCE * fmax(1.0, fabs(logit));
        if (!ties && top[i].id != (token_id)number(ids)) return "ids";
        if (!is_close((double)top[i].logit, logit, tolerance)) return "logits";
        if (ps != NULL && !is_close((double)top[i].p, number(ps), P_TOLERANCE)) return "p";
        ids = json_next(ids), logits = json_next(logits), ps = ps != NULL ? json_next(ps) : NULL;
    }
    return NULL;
}

static const char *compare_list(const struct candidates *cs, const json *want) {
    struct candidate *alive = need(mem_array(cs->n, sizeof *alive));
    size_t n = 0;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].logit != -INFINITY) alive[n++] = cs->c[i];
    }
    qsort(alive, n, sizeof *alive, falling);
    const char *why = NULL;
    if (cs->n != (size_t)number(json_get(want, "size")))
        why = "size";
    else if (n != (size_t)number(json_get(want, "alive")))
        why = "number of finite candidates";
    else if (json_len(json_get(want, "ids")) != (n < MAX_LISTED ? n : MAX_LISTED))
        why = "ids";
    else
        why = compare_values(alive, want);
    mem_free(alive);
    return why;
}

static const char *run_case(struct chain *ch, const float *logits, const json *want) {
    for (const json *v = json_first(json_get(want, "history")); v != NULL; v = json_next(v)) {
        chain_accept(ch, (token_id)number(v));
    }
    chain_run(ch, logits);
    const char *why = compare_list(&ch->cs, want);
    const json *first = json_first(json_get(want, "draws"));
    if (flag(want, "ties")) first = NULL;
    if (first != NULL && !ch->chooses) return "nothing chooses";
    for (const json *v = first; v != NULL && why == NULL; v = json_next(v)) {
        if (v != first) chain_run(ch, logits);
        token_id id = ch->cs.c[ch->cs.chosen].id;
        if (id != (token_id)number(v)) why = "draws";
        if (flag(want, "accept")) chain_accept(ch, id);
    }
    return why;
}

/* ---- the same through sampler.h ---- */

/* Whether the sampler before the choice runs with it: mirostat knows only bias and temperature, and
 * min_keep is one option for all. */
static bool fits_choice(const struct link *l, const struct link *last) {
    const bool mirostat = last->op->run == run_mirostat_1 || last->op->run == run_mirostat_2;
    const bool keeps = (l->op->run == run_top_p || l->op->run == run_min_p) && l->arg[1] > 0;
    if (keeps || (last->op->run == run_adaptive && last->arg[0] < 0)) return false;
    return !mirostat || l == last || l->op->run == run_bias || l->op->run == run_temperature;
}

/* The options that make cria's own chain this one; false if there are none: another order, or a
 * seed that XTC does not share. */
static bool find_params(const struct chain *ch, struct sampler_params *p) {
    if (!ch->chooses) return false;
    *p = (struct sampler_params){.typical_p = 1,
                                 .top_p = 1,
                                 .temperature = 1,
                                 .repeat_penalty = 1,
                                 .tfs_z = 1,
                                 .adaptive_target = -1};
    const struct link *last = &ch->link[ch->n - 1];
    p->seed = (uint32_t)last->arg[last->op->seed_arg >= 0 ? last->op->seed_arg : 0];
    for (size_t i = 0; i < ch->n; i++) {
        const struct link *l = &ch->link[i];
        if (i > 0 && l->op <= ch->link[i - 1].op) return false;
        bool own_seed = l->op->run == run_xtc && (uint32_t)l->arg[2] != p->seed;
        if ((own_seed && l->arg[0] > 0) || !fits_choice(l, last)) return false;
        if (l->op->set != NULL) l->op->set(l, p);
    }
    return true;
}

static const char *run_sampler(struct sampler *s, const float *logits, const json *want) {
    for (const json *v = json_first(json_get(want, "history")); v != NULL; v = json_next(v)) {
        sampler_accept(s, (token_id)number(v));
    }
    for (const json *v = json_first(json_get(want, "draws")); v != NULL; v = json_next(v)) {
        token_id id = sampler_sample(s, logits);
        if (id != (token_id)number(v)) return "sampler_sample()'s draws";
        if (flag(want, "accept")) sampler_accept(s, id);
    }
    return NULL;
}

static const char *run_params(const struct chain *ch, const float *logits, const json *want) {
    struct sampler_params p;
    struct sampler *s;
    if (flag(want, "ties") || !find_params(ch, &p)) return NULL;
    if (sampler_open(&s, &p, (uint32_t)ch->cs.n_vocab, 4096, NULL) != ST_OK) return "options";
    const char *why = run_sampler(s, logits, want);
    sampler_close(s);
    return why;
}

static void check_case(struct check *c, const json *sets, const json *want) {
    const char *name = json_string(json_get(want, "name"));
    size_t n;
    float *logits = load_logits(sets, json_string(json_get(want, "logits")), &n);
    if (logits == NULL) {
        check_fail(c, name != NULL ? name : "?", "no such logits");
        return;
    }
    struct chain *ch = need(mem_alloc(sizeof *ch));
    chain_open(ch, json_get(want, "ops"), n);
    if (!ch->is_supported) {
        check_skip(c, name, "a sampler that is not known");
    } else {
        const char *why = run_case(ch, logits, want);
        if (why == NULL) why = run_params(ch, logits, want);
        if (why != NULL && flag(want, "boundary"))
            check_skip(c, name, "hangs on the last bit");
        else
            check_that(c, why == NULL, name, "%s differ", why != NULL ? why : "");
    }
    chain_close(ch);
    mem_free(ch);
    mem_free(logits);
}

/* ---- the generator ---- */

static bool same_words(uint32_t seed, const json *words) {
    struct rng r;
    rng_seed(&r, seed);
    for (const json *v = json_first(words); v != NULL; v = json_next(v)) {
        if (rng_u32(&r) != (uint32_t)number(v)) return false;
    }
    return true;
}

static bool same_reals(uint32_t seed, const json *reals, bool is_double) {
    struct rng r;
    rng_seed(&r, seed);
    for (const json *v = json_first(reals); v != NULL; v = json_next(v)) {
        const char *hex = json_string(v);
        double x = is_double ? rng_double(&r) : (double)rng_float(&r);
        if (hex == NULL || strtod(hex, NULL) != x) return false;
    }
    return true;
}

static void check_rng(struct check *c, const json *want) {
    uint32_t seed = (uint32_t)number(json_get(want, "seed"));
    bool ok = same_words(seed, json_get(want, "mt19937")) &&
              same_reals(seed, json_get(want, "uniform_double"), true) &&
              same_reals(seed, json_get(want, "uniform_float"), false);
    check_that(c, ok, "rng", "numbers of seed %u differ", seed);
}

/* ---- the stream ---- */

struct stream {
    struct textout *out;
    struct buf piece, want; /* scratch */
    size_t n;               /* tokens pushed */
    bool at_limit;
};

/* One token; false if the text differs from the golden chunk. On the last token what the peer
 * leaves unsent comes out too. */
static bool stream_step(struct stream *s, const json *want, const json *piece, const json *chunk) {
    int64_t n_predict = (int64_t)number(json_get(want, "n_predict"));
    bool is_last = json_next(piece) == NULL;
    buf_clear(&s->piece);
    buf_clear(&s->want);
    check_text(&s->piece, piece);
    textout_push(s->out, s->piece.data, s->piece.len, is_last && flag(want, "last_is_eog"));
    s->n++;
    if (!textout_ended(s->out) && n_predict >= 0 && (int64_t)s->n >= n_predict) {
        s->at_limit = true;
        textout_finish(s->out);
    }
    check_text(&s->want, chunk);
    if (textout_ended(s->out)) {
        buf_clear(&s->piece);
        check_text(&s->piece, json_get(want, "unsent"));
        size_t whole = s->piece.len;
        if (whole > 0) whole = utf8_complete_prefix(s->piece.data, whole);
        buf_add(&s->want, s->piece.data, whole);
    }
    size_t len;
    const char *text = textout_ready(s->out, &len);
    return len == s->want.len && (len == 0 || memcmp(text, s->want.data, len) == 0);
}

static const char *run_stream(struct stream *s, const json *want, const char *const *stop) {
    const json *chunk = json_first(json_get(want, "chunks"));
    const json *piece = json_first(json_get(want, "pieces"));
    for (; piece != NULL && !textout_ended(s->out); piece = json_next(piece)) {
        if (chunk == NULL) return "chunks (too many)";
        if (!stream_step(s, want, piece, chunk)) return "chunks";
        chunk = json_next(chunk);
    }
    if (s->n != (size_t)number(json_get(want, "n"))) return "numbers of tokens";
    const char *type = json_string(json_get(want, "stop_type"));
    const char *word = json_string(json_get(want, "stop_word"));
    int hit = textout_stop(s->out);
    const char *got = hit >= 0                ? "word"
                      : s->at_limit           ? "limit"
                      : textout_ended(s->out) ? "eos"
                                              : "none";
    if (type == NULL || strcmp(type, got) != 0) return "stop types";
    if (hit >= 0 && (word == NULL || strcmp(word, stop[hit]) != 0)) return "stop words";
    return textout_failed(s->out) ? "memory" : NULL;
}

static void check_stream(struct check *c, const json *want) {
    const json *list = json_get(want, "stop");
    const char *name = json_string(json_get(want, "name"));
    const char **stop = need(mem_array(json_len(list), sizeof *stop));
    size_t n = 0;
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        const char *text = json_string(v);
        stop[n++] = text != NULL ? text : "";
    }
    struct stream s = {0};
    if (textout_open(&s.out, stop, n, NULL) != ST_OK) abort();
    const char *why = run_stream(&s, want, stop);
    check_that(c, why == NULL, name != NULL ? name : "?", "%s differ", why != NULL ? why : "");
    textout_close(s.out);
    buf_free(&s.piece);
    buf_free(&s.want);
    mem_free(stop);
}

void check_sampling(struct check *c, const char *dir) {
    json *sampling = check_read_json(c, dir, "sampling.json");
    const json *sets = json_get(sampling, "logit_sets");
    check_sets(c, sets);
    for (const json *v = json_first(json_get(sampling, "rng")); v != NULL; v = json_next(v)) {
        check_rng(c, v);
    }
    for (const json *v = json_first(json_get(sampling, "cases")); v != NULL; v = json_next(v)) {
        check_case(c, sets, v);
    }
    json_free(sampling);
    json *stream = check_read_json(c, dir, "stream.json");
    for (const json *v = json_first(stream); v != NULL; v = json_next(v)) check_stream(c, v);
    json_free(stream);
}
