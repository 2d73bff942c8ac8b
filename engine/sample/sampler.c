/* sampler.c - the state of one request and its chain (see sampler.h).
 *
 * The chain is planned once, in sampler_open(): of the rows of a table those are taken whose option
 * is on, so a step walks a few pointers. Three tables, by what makes the choice:
 *   random    bias, the samplers of spec/sampling.md 2 (or those of the request, in its order), a
 * choice mirostat  bias, temperature, mirostat: nothing else may cut the list greedy    bias,
 * penalties, DRY, the largest: at temperature 0 truncation cannot change the result, except by
 * typical-p and XTC, which may drop the largest and so keep the long way. */
#include "engine/sample/sampler.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/sample/sampler_impl.h"

enum { MAX_STAGES = 40, MAX_ORDER = 32 };
static const uint32_t RANDOM_SEED = UINT32_MAX;

struct stage {
    const char *name; /* as in a "samplers" list */
    char letter;      /* the same, short; 0: cannot be listed */
    bool (*is_on)(const struct sampler_params *p);
    void (*run)(struct sampler *s);
};

struct sampler {
    struct sampler_params p; /* checked and clamped; p.bias is `bias` */
    struct logit_bias *bias; /* owned copy */
    struct candidates cs;
    struct penalties penalties;
    struct dry dry;
    struct mirostat mirostat;
    struct adaptive adaptive;
    struct rng rng, xtc_rng; /* XTC draws from its own, seeded alike */
    const struct stage *chain[MAX_STAGES];
    size_t n_stages;
};

struct sampler_params sampler_default_params(void) {
    return (struct sampler_params){
        .temperature = 0.8f,
        .top_p = 0.9f,
        .min_p = 0.0f,
        .typical_p = 1.0f,
        .top_n_sigma = -1.0f,
        .repeat_penalty = 1.0f,
        .presence_penalty = 0.0f,
        .frequency_penalty = 0.0f,
        .dynatemp_range = 0.0f,
        .dynatemp_exponent = 1.0f,
        .xtc_probability = 0.0f,
        .xtc_threshold = 0.1f,
        .mirostat_tau = 5.0f,
        .mirostat_eta = 0.1f,
        .top_k = 40,
        .repeat_last_n = 64,
        .mirostat = 0,
        .tfs_z = 1.0f,
        .dry_multiplier = 0.0f,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_penalty_last_n = 64,
        .adaptive_target = -1.0f,
        .adaptive_decay = 0.9f,
        .seed = RANDOM_SEED,
    };
}

/* ---- options ---- */

static const struct {
    const char *name;
    size_t offset;
    bool is_clamped; /* to 0..1 */
} FLOATS[] = {
#define FLOAT(field, is_clamped)                                                                   \
    { #field, offsetof(struct sampler_params, field), is_clamped }
    FLOAT(temperature, false),
    FLOAT(top_p, true),
    FLOAT(min_p, true),
    FLOAT(typical_p, false),
    FLOAT(top_n_sigma, false),
    FLOAT(repeat_penalty, false),
    FLOAT(presence_penalty, false),
    FLOAT(frequency_penalty, false),
    FLOAT(dynatemp_range, false),
    FLOAT(dynatemp_exponent, false),
    FLOAT(xtc_probability, false),
    FLOAT(xtc_threshold, false),
    FLOAT(mirostat_tau, false),
    FLOAT(mirostat_eta, false),
    FLOAT(tfs_z, false),
    FLOAT(dry_multiplier, false),
    FLOAT(dry_base, false),
    FLOAT(adaptive_target, false),
    FLOAT(adaptive_decay, false),
#undef FLOAT
};

static enum status check_floats(struct sampler_params *p, struct err *e) {
    for (size_t i = 0; i < sizeof FLOATS / sizeof *FLOATS; i++) {
        float *value = (float *)((char *)p + FLOATS[i].offset);
        if (!isfinite(*value)) {
            return err_set(e, ST_INVALID, "%s must be a finite number", FLOATS[i].name);
        }
        if (FLOATS[i].is_clamped) *value = fminf(fmaxf(*value, 0.0f), 1.0f);
    }
    if (p->repeat_penalty <= 0.0f) {
        return err_set(e, ST_INVALID, "repeat_penalty must be greater than 0");
    }
    for (size_t i = 0; i < p->n_bias; i++) {
        if (isnan(p->bias[i].bias) || p->bias[i].bias == INFINITY) {
            return err_set(e, ST_INVALID, "logit_bias must be a finite number or false");
        }
    }
    return ST_OK;
}

/* -1 is the context. What is beyond all that a request can ever accept (prompt and 10 contexts,
 * spec/sampling.md 8) is cut to that, so that a number in a request cannot ask for gigabytes. */
static enum status check_last_n(const char *name, int32_t *last_n, uint32_t n_ctx, struct err *e) {
    if (*last_n < -1) return err_set(e, ST_INVALID, "%s must be at least -1", name);
    int64_t n = *last_n == -1 ? (int64_t)n_ctx : (int64_t)*last_n;
    if (n > 16 * (int64_t)n_ctx) n = 16 * (int64_t)n_ctx;
    *last_n = n < INT32_MAX / 2 ? (int32_t)n : INT32_MAX / 2;
    return ST_OK;
}

static enum status check_order(const char *order, struct err *e) {
    const size_t n = order != NULL ? strlen(order) : 0;
    if (n > MAX_ORDER)
        return err_set(e, ST_LIMIT, "%zu samplers: at most %d can be listed", n, MAX_ORDER);
    for (size_t i = 0; i < n; i++) {
        if (sampler_letter(order + i, 1) != order[i])
            return err_set(e, ST_INVALID, "sampler \"%c\" is unknown", order[i]);
    }
    return ST_OK;
}

static enum status check_params(struct sampler_params *p, uint32_t n_ctx, struct err *e) {
    enum status st = check_floats(p, e);
    if (st == ST_OK) st = check_last_n("repeat_last_n", &p->repeat_last_n, n_ctx, e);
    if (st == ST_OK) st = check_last_n("dry_penalty_last_n", &p->dry_penalty_last_n, n_ctx, e);
    if (st == ST_OK) st = check_order(p->order, e);
    if (st != ST_OK) return st;
    if (p->mirostat < 0 || p->mirostat > 2) {
        return err_set(e, ST_INVALID, "mirostat must be 0, 1 or 2");
    }
    if (p->dry_allowed_length < 0)
        return err_set(e, ST_INVALID, "dry_allowed_length must be at least 0");
    if (p->temperature < 0.0f) p->temperature = 0.0f;
    if (p->top_k < 0) p->top_k = 0;
    if (p->min_keep < 0) p->min_keep = 0;
    return ST_OK;
}

/* ---- the stages ---- */

static bool always(const struct sampler_params *p) { return p != NULL; }
static bool has_bias(const struct sampler_params *p) { return p->n_bias > 0; }
static bool has_penalties(const struct sampler_params *p) {
    return p->repeat_last_n > 0 && (p->repeat_penalty != 1.0f || p->frequency_penalty != 0.0f ||
                                    p->presence_penalty != 0.0f);
}
static bool has_sigma(const struct sampler_params *p) { return p->top_n_sigma > 0.0f; }
static bool has_top_k(const struct sampler_params *p) { return p->top_k > 0; }
static bool has_typical_p(const struct sampler_params *p) { return p->typical_p < 1.0f; }
static bool has_top_p(const struct sampler_params *p) { return p->top_p < 1.0f; }
static bool has_min_p(const struct sampler_params *p) { return p->min_p > 0.0f; }
static bool has_xtc(const struct sampler_params *p) {
    return p->xtc_probability > 0.0f && p->xtc_threshold <= 0.5f;
}
static bool has_mirostat_1(const struct sampler_params *p) { return p->mirostat == 1; }
static bool has_mirostat_2(const struct sampler_params *p) { return p->mirostat == 2; }
static bool has_dry(const struct sampler_params *p) {
    return dry_is_on(p->dry_multiplier, p->dry_base, p->dry_penalty_last_n);
}
static bool has_tfs_z(const struct sampler_params *p) { return p->tfs_z < 1.0f; }
static bool has_adaptive(const struct sampler_params *p) {
    return p->order != NULL ? strchr(p->order, 'a') != NULL : p->adaptive_target >= 0.0f;
}
static bool has_dist(const struct sampler_params *p) { return !has_adaptive(p); }
static bool is_greedy(const struct sampler_params *p) {
    return p->temperature <= 0.0f && p->order == NULL && p->dynatemp_range <= 0.0f &&
           !has_typical_p(p) && !has_xtc(p);
}

static void run_bias(struct sampler *s) { sample_bias(&s->cs, s->bias, s->p.n_bias); }
static void run_penalties(struct sampler *s) { sample_penalties(&s->cs, &s->penalties); }
static void run_sigma(struct sampler *s) { sample_top_n_sigma(&s->cs, s->p.top_n_sigma); }
static void run_top_k(struct sampler *s) { sample_top_k(&s->cs, s->p.top_k); }
static void run_typical_p(struct sampler *s) { sample_typical_p(&s->cs, s->p.typical_p); }
static void run_top_p(struct sampler *s) {
    sample_top_p(&s->cs, s->p.top_p, (size_t)s->p.min_keep);
}
static void run_min_p(struct sampler *s) {
    sample_min_p(&s->cs, s->p.min_p, (size_t)s->p.min_keep);
}
static void run_tfs_z(struct sampler *s) {
    sample_tfs_z(&s->cs, s->p.tfs_z, (size_t)s->p.min_keep);
}
static void run_dry(struct sampler *s) { sample_dry(&s->cs, &s->dry); }
static void run_xtc(struct sampler *s) {
    sample_xtc(&s->cs, s->p.xtc_probability, s->p.xtc_threshold, &s->xtc_rng);
}
static void run_temperature(struct sampler *s) {
    sample_temperature(&s->cs, s->p.temperature, s->p.dynatemp_range, s->p.dynatemp_exponent);
}
static void run_dist(struct sampler *s) { sample_dist(&s->cs, &s->rng); }
static void run_adaptive(struct sampler *s) { sample_adaptive(&s->cs, &s->adaptive, &s->rng); }
static void run_greedy(struct sampler *s) { sample_greedy(&s->cs); }
static void run_mirostat_1(struct sampler *s) { sample_mirostat_1(&s->cs, &s->mirostat, &s->rng); }
static void run_mirostat_2(struct sampler *s) { sample_mirostat_2(&s->cs, &s->mirostat, &s->rng); }

static const struct stage RANDOM_CHAIN[] = {
    {"logit_bias", 0, has_bias, run_bias},
    {"penalties", 'e', has_penalties, run_penalties},
    {"dry", 'd', has_dry, run_dry},
    {"top_n_sigma", 's', has_sigma, run_sigma},
    {"top_k", 'k', has_top_k, run_top_k},
    {"tfs_z", 'f', has_tfs_z, run_tfs_z},
    {"typ_p", 'y', has_typical_p, run_typical_p},
    {"top_p", 'p', has_top_p, run_top_p},
    {"min_p", 'm', has_min_p, run_min_p},
    {"xtc", 'x', has_xtc, run_xtc},
    {"temperature", 't', always, run_temperature},
    {"adaptive_p", 'a', has_adaptive, run_adaptive},
    {"dist", 0, has_dist, run_dist},
    {0},
};
static const struct stage MIROSTAT_CHAIN[] = {
    {"logit_bias", 0, has_bias, run_bias},
    {"temperature", 0, always, run_temperature},
    {"mirostat", 0, has_mirostat_1, run_mirostat_1},
    {"mirostat_v2", 0, has_mirostat_2, run_mirostat_2},
    {0},
};
static const struct stage GREEDY_CHAIN[] = {
    {"logit_bias", 0, has_bias, run_bias},
    {"penalties", 0, has_penalties, run_penalties},
    {"dry", 0, has_dry, run_dry},
    {"greedy", 0, always, run_greedy},
    {0},
};

/* ---- names ---- */

static bool same_name(const char *a, const char *b, size_t len) {
    return strlen(b) == len && memcmp(a, b, len) == 0;
}

/* A name may be written with '-' or nothing instead of '_'. */
char sampler_letter(const char *name, size_t len) {
    static const char *const aliases[][2] = {{"typical", "typ_p"},    {"typicalp", "typ_p"},
                                             {"typ", "typ_p"},        {"nucleus", "top_p"},
                                             {"temp", "temperature"}, {"tfs", "tfs_z"}};
    char plain[32];
    size_t n = 0;
    if (len >= sizeof plain) return 0;
    for (size_t i = 0; i < len; i++) {
        if (name[i] != '_' && name[i] != '-') plain[n++] = name[i];
    }
    for (const struct stage *s = RANDOM_CHAIN; s->name != NULL; s++) {
        char own[32];
        size_t k = 0;
        if (s->letter == 0) continue;
        if (len == 1 && name[0] == s->letter) return s->letter;
        for (const char *c = s->name; *c != '\0'; c++) {
            if (*c != '_') own[k++] = *c;
        }
        if (k == n && memcmp(own, plain, n) == 0) return s->letter;
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (same_name(plain, aliases[i][0], n))
            return sampler_letter(aliases[i][1], strlen(aliases[i][1]));
    }
    return 0;
}

/* ---- planning ---- */

static void add_stage(struct sampler *s, const struct stage *stage) {
    assert(s->n_stages < MAX_STAGES);
    if (stage->is_on(&s->p)) s->chain[s->n_stages++] = stage;
}

/* The listed samplers in the order of the list, between the bias and the choice. */
static void plan_order(struct sampler *s) {
    const struct stage *stage;
    for (const char *letter = s->p.order; *letter != '\0'; letter++) {
        for (stage = RANDOM_CHAIN; stage->letter != *letter;) stage++;
        if (stage->run != run_adaptive) add_stage(s, stage);
    }
}

static void plan_chain(struct sampler *s) {
    const struct stage *stage = s->p.mirostat != 0 ? MIROSTAT_CHAIN
                                : is_greedy(&s->p) ? GREEDY_CHAIN
                                                   : RANDOM_CHAIN;
    const bool listed = stage == RANDOM_CHAIN && s->p.order != NULL;
    for (; stage->name != NULL; stage++) {
        if (listed && stage->run == run_adaptive) plan_order(s);
        if (!listed || stage->letter == 0 || stage->run == run_adaptive) add_stage(s, stage);
    }
}

/* ---- life ---- */

static enum status seed_generators(struct sampler *s, struct err *e) {
    enum status st = ST_OK;
    if (s->p.seed == RANDOM_SEED) st = os_random(&s->p.seed, sizeof s->p.seed, e);
    if (st != ST_OK) return st;
    rng_seed(&s->rng, s->p.seed);
    rng_seed(&s->xtc_rng, s->p.seed);
    return ST_OK;
}

/* What the options need besides the struct itself. */
static enum status open_parts(struct sampler *s, uint32_t n_vocab, struct err *e) {
    s->bias = mem_array(s->p.n_bias, sizeof *s->bias);
    if (s->bias == NULL || !candidates_open(&s->cs, n_vocab)) return err_no_memory(e);
    if (s->p.n_bias > 0) memcpy(s->bias, s->p.bias, s->p.n_bias * sizeof *s->bias);
    s->penalties = (struct penalties){.repeat = s->p.repeat_penalty,
                                      .frequency = s->p.frequency_penalty,
                                      .presence = s->p.presence_penalty};
    if (has_penalties(&s->p) && s->p.mirostat == 0 &&
        !penalties_open(&s->penalties, (uint32_t)s->p.repeat_last_n, n_vocab)) {
        return err_no_memory(e);
    }
    s->dry = (struct dry){.multiplier = s->p.dry_multiplier,
                          .base = s->p.dry_base,
                          .allowed = (uint32_t)s->p.dry_allowed_length};
    if (has_dry(&s->p) && s->p.mirostat == 0 &&
        !dry_open(&s->dry, (uint32_t)s->p.dry_penalty_last_n, n_vocab, s->p.dry_breakers)) {
        return err_no_memory(e);
    }
    adaptive_init(&s->adaptive, s->p.adaptive_target, s->p.adaptive_decay);
    s->mirostat = (struct mirostat){s->p.mirostat_tau, s->p.mirostat_eta, 2 * s->p.mirostat_tau};
    return seed_generators(s, e);
}

enum status sampler_open(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab,
                         uint32_t n_ctx, struct err *e) {
    assert(out != NULL && n_vocab > 0 && n_ctx > 0);
    *out = NULL;
    struct sampler_params checked = *p;
    enum status st = check_params(&checked, n_ctx, e);
    if (st != ST_OK) return st;
    struct sampler *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return err_no_memory(e);
    s->p = checked;
    st = open_parts(s, n_vocab, e);
    if (st != ST_OK) {
        sampler_close(s);
        return st;
    }
    plan_chain(s);
    s->p.bias = NULL; /* what the caller lent is not looked at again */
    s->p.order = NULL;
    s->p.dry_breakers = NULL;
    *out = s;
    return ST_OK;
}

void sampler_close(struct sampler *s) {
    if (s == NULL) return;
    candidates_close(&s->cs);
    penalties_close(&s->penalties);
    dry_close(&s->dry);
    mem_free(s->bias);
    mem_free(s);
}

/* ---- a step ---- */

void sampler_accept(struct sampler *s, token_id id) {
    penalties_accept(&s->penalties, id);
    dry_accept(&s->dry, id);
    adaptive_accept(&s->adaptive, id);
}

/* Bias and penalties change single logits and look at no others: they can run before the mask has
 * made a list of what is left. */
static bool is_by_token(const struct stage *stage) {
    return stage->run == run_bias || stage->run == run_penalties;
}

token_id sampler_sample(struct sampler *s, const float *logits) {
    return sampler_sample_masked(s, logits, NULL);
}

token_id sampler_sample_masked(struct sampler *s, const float *logits, const uint32_t *mask) {
    candidates_load(&s->cs, logits);
    for (size_t i = 0; i < s->n_stages; i++) {
        if (mask != NULL && !is_by_token(s->chain[i])) {
            candidates_mask(&s->cs, mask);
            mask = NULL;
        }
        s->chain[i]->run(s);
    }
    assert(s->cs.listed && s->cs.chosen < s->cs.n);
    return s->cs.c[s->cs.chosen].id;
}

uint32_t sampler_seed(const struct sampler *s) { return s->p.seed; }

/* ---- log probabilities ---- */

/* Keeps ids/values as the `cap` largest so far in falling order; ids come rising, so an equal value
 * goes behind. For the few that are asked for (at most 20 through the API) insertion is enough. */
static uint32_t keep_largest(token_id *ids, float *values, uint32_t len, uint32_t cap, token_id id,
                             float value) {
    if (len == cap && !(value > values[cap - 1])) return len;
    uint32_t i = len < cap ? len : cap - 1;
    for (; i > 0 && value > values[i - 1]; i--) {
        ids[i] = ids[i - 1];
        values[i] = values[i - 1];
    }
    ids[i] = id;
    values[i] = value;
    return len < cap ? len + 1 : cap;
}

/* ln p from the distance to the largest logit; a p that float32 cannot hold: the lowest float. */
static float log_p(float logit, float max, double sum) {
    float x = logit == max ? 0.0f : logit - max;
    if (!((float)((double)expf(x) / sum) > 0.0f)) return -FLT_MAX;
    return (float)((double)x - log(sum));
}

float sampler_logprobs(const float *logits, uint32_t n_vocab, token_id chosen, uint32_t n,
                       token_id *ids, float *logprobs) {
    assert(chosen >= 0 && (uint32_t)chosen < n_vocab);
    float max = -INFINITY;
    for (uint32_t i = 0; i < n_vocab; i++) max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    uint32_t len = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        float x = logits[i] == logits[i] ? logits[i] : -INFINITY;
        sum += x == max ? 1.0 : (double)expf(x - max);
        if (n > 0) len = keep_largest(ids, logprobs, len, n, (token_id)i, x);
    }
    for (uint32_t i = 0; i < len; i++) logprobs[i] = log_p(logprobs[i], max, sum);
    for (uint32_t i = len; i < n; i++) { /* a vocabulary smaller than n */
        ids[i] = TOKEN_NONE;
        logprobs[i] = -FLT_MAX;
    }
    return log_p(logits[chosen], max, sum);
}
