/* slots.c - sequence slots and the prefix cache.
 *
 * A finished request leaves its sequence in an idle slot. A new one forks the slot with the longest
 * common prefix, busy or idle: full pages are shared, so keeping both costs one page. Idle slots
 * are dropped, least recently used first, when slots or pages run out; the cache always has room
 * for n_parallel sequences of n_ctx tokens, so dropping idle ones is always enough.
 *
 * What is in a slot belongs to a domain (cria.h): it is no prefix for requests of another one, and
 * is wiped before the slot goes to such a request.
 *
 * The state of a recurrent model stands for all tokens of a sequence: such a sequence is a prefix
 * only as a whole, and one that is truncated begins anew. So a copy is kept of what it was at the
 * end of its prompt, for requests that begin alike but do not go on with its answer. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_impl.h"

void slot_truncate(struct cria_engine *eng, int slot, uint32_t n_tokens) {
    struct sequence *s = &eng->slots[slot].seq;
    uint32_t left = (uint32_t)s->tokens.len;
    while (n_tokens < left) { /* the cache may keep less, which may end within an image */
        left = kv_seq_truncate(eng->kv, (uint32_t)slot, seq_floor(s, n_tokens));
        n_tokens = seq_floor(s, left);
    }
    seq_truncate(s, left);
}

/* Drops the idle slot that was used longest ago, but not `keep`. False: there is none with cells.
 */
static bool drop_oldest_idle(struct cria_engine *eng, int keep) {
    int oldest = SLOT_NONE;
    for (int i = 0; i < (int)eng->n_slots; i++) {
        const struct slot *s = &eng->slots[i];
        if (s->busy || s->seq.tokens.len == 0 || i == keep) continue;
        if (oldest == SLOT_NONE || s->last_used < eng->slots[oldest].last_used) oldest = i;
    }
    if (oldest != SLOT_NONE) slot_truncate(eng, oldest, 0);
    return oldest != SLOT_NONE;
}

static int find_empty(struct cria_engine *eng, int keep) {
    do {
        for (int i = 0; i < (int)eng->n_slots; i++)
            if (!eng->slots[i].busy && eng->slots[i].seq.tokens.len == 0) return i;
    } while (drop_oldest_idle(eng, keep));
    return SLOT_NONE;
}

/* Makes an empty slot one of the domain. False: the device failed. */
static bool assign(struct cria_engine *eng, int slot, uint64_t domain) {
    struct slot *s = &eng->slots[slot];
    assert(!s->busy && s->seq.tokens.len == 0);
    if (!kv_seq_assign(eng->kv, (uint32_t)slot, domain)) return false;
    if (s->domain == domain) return true;
    seq_wipe(&s->seq);
    if (s->hidden != NULL) memset(s->hidden, 0, eng->model->hp.n_embd * sizeof *s->hidden);
    s->domain = domain;
    return true;
}

/* Cells depend on the adapters of their tokens: a prefix ends where these differ. */
static int find_best_prefix(const struct cria_engine *eng, const struct sequence *want, uint32_t n,
                            const struct adapt *adapt, uint64_t domain, uint32_t *len) {
    int best = SLOT_NONE;
    *len = 0;
    for (int i = 0; i < (int)eng->n_slots; i++) {
        if (eng->slots[i].domain != domain) continue;
        if (eng->slots[i].first_pos != 0) continue; /* the same tokens, but not the same cells */
        uint32_t common = seq_common(&eng->slots[i].seq, want, n);
        common = adapt_common(&eng->slots[i].adapt, adapt, eng->model->adapters.n, common);
        common = kv_seq_can_keep(eng->kv, (uint32_t)i, seq_floor(want, common));
        if (common <= *len) continue;
        *len = common;
        best = i;
    }
    return best;
}

/* Tries to start `slot` with the first n cells of `from`; on failure it stays empty. */
static void adopt_prefix(struct cria_engine *eng, int slot, int from, const struct sequence *want,
                         uint32_t n) {
    bool forked = kv_seq_fork(eng->kv, (uint32_t)from, (uint32_t)slot, n);
    while (!forked && drop_oldest_idle(eng, from))
        forked = kv_seq_fork(eng->kv, (uint32_t)from, (uint32_t)slot, n);
    if (forked && !seq_append(&eng->slots[slot].seq, want, 0, n)) slot_truncate(eng, slot, 0);
}

int slot_acquire(struct cria_engine *eng, const struct sequence *want, const struct adapt *adapt,
                 uint64_t domain) {
    const uint32_t n = want != NULL ? (uint32_t)want->tokens.len : 0;
    uint32_t prefix = 0;
    if (eng->n_active == eng->n_parallel) return SLOT_NONE;
    /* The last token is evaluated again in any case: its result is wanted. */
    int from = n > 1 ? find_best_prefix(eng, want, n - 1, adapt, domain, &prefix) : SLOT_NONE;
    int slot = find_empty(eng, from);
    assert(slot != SLOT_NONE);
    if (!assign(eng, slot, domain)) return SLOT_NONE;
    eng->slots[slot].busy = true;
    eng->slots[slot].first_pos = 0;
    eng->slots[slot].adapt = *adapt;
    eng->n_active++;
    if (from != SLOT_NONE) adopt_prefix(eng, slot, from, want, prefix);
    return slot;
}

void slot_release(struct cria_engine *eng, int slot) {
    assert(eng->slots[slot].busy && eng->n_active > 0);
    eng->slots[slot].busy = false;
    eng->slots[slot].last_used = ++eng->clock;
    eng->n_active--;
}

static bool has_copy(struct cria_engine *eng, const struct slot *of) {
    const uint32_t n = (uint32_t)of->seq.tokens.len;
    for (uint32_t i = 0; i < eng->n_slots; i++) {
        struct slot *s = &eng->slots[i];
        if (s->busy || s->domain != of->domain || s->first_pos != 0 || s->seq.tokens.len != n)
            continue;
        if (seq_common(&s->seq, &of->seq, n) < n) continue;
        if (adapt_common(&s->adapt, &of->adapt, eng->model->adapters.n, n) < n) continue;
        s->last_used = ++eng->clock;
        return true;
    }
    return false;
}

void slot_checkpoint(struct cria_engine *eng, int slot) {
    const struct slot *from = &eng->slots[slot];
    const uint32_t n = (uint32_t)from->seq.tokens.len;
    if (!eng->kv->recurrent || n == 0 || has_copy(eng, from)) return;
    const int to = find_empty(eng, SLOT_NONE);
    if (to == SLOT_NONE || !assign(eng, to, from->domain)) return;
    bool forked = kv_seq_fork(eng->kv, (uint32_t)slot, (uint32_t)to, n);
    while (!forked && drop_oldest_idle(eng, SLOT_NONE))
        forked = kv_seq_fork(eng->kv, (uint32_t)slot, (uint32_t)to, n);
    if (!forked) return;
    eng->slots[to].first_pos = 0;
    eng->slots[to].adapt = from->adapt;
    eng->slots[to].last_used = ++eng->clock;
    if (!seq_append(&eng->slots[to].seq, &from->seq, 0, n)) slot_truncate(eng, to, 0);
}

bool slot_extend(struct cria_engine *eng, int slot, const struct sequence *from, uint32_t at,
                 uint32_t n) {
    if (!seq_append(&eng->slots[slot].seq, from, at, n)) return false;
    while (!kv_seq_extend(eng->kv, (uint32_t)slot, n)) {
        bool dropped = drop_oldest_idle(eng, slot);
        assert(dropped); /* see the top: busy sequences alone always fit */
        if (!dropped) return false;
    }
    return true;
}

enum status slots_open(struct cria_engine *eng, struct err *e) {
    bool recurrent = false;
    for (uint32_t il = 0; il < eng->model->hp.n_layer; il++)
        recurrent = recurrent || eng->model->layers[il].n_state != 0;
    /* One more: an empty one while a fork's source is kept. */
    eng->n_slots = eng->n_parallel + 1 + (recurrent ? N_IDLE_STATES : N_IDLE_SLOTS);
    eng->slots = mem_zalloc(eng->n_slots, sizeof *eng->slots);
    return eng->slots != NULL ? ST_OK : err_no_memory(e);
}

void slots_close(struct cria_engine *eng) {
    for (uint32_t i = 0; eng->slots != NULL && i < eng->n_slots; i++) {
        seq_free(&eng->slots[i].seq);
        mem_free(eng->slots[i].hidden);
    }
    mem_free(eng->slots);
}
