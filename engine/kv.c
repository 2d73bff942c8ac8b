/* kv.c - see kv.h. */
#include "engine/kv.h"

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"

enum { N_IDLE_WINDOWS = 4 }; /* idle sequences whose windows there is room for, beside the active */
enum { WINDOW_SLACK = 4 };   /* pages behind a window that an active sequence may keep */

/* ---- pages ---------------------------------------------------------------------------------- */

/* The planes of one page in all layers of a pool; a layer may be without. False: fn failed. */
typedef bool plane_fn(struct kv *kv, const struct tensor *t, uint32_t page, uint32_t other);

static bool each_plane(struct kv *kv, const struct kv_pool *p, plane_fn *fn, uint32_t page,
                       uint32_t other) {
    for (uint32_t il = 0; il < kv->cache.n_layer; il++) {
        if (kv->windowed[il] != (p == &kv->window)) continue;
        if (!fn(kv, &kv->cache.k[il], page, other) || !fn(kv, &kv->cache.v[il], page, other))
            return false;
    }
    return true;
}

/* The device's memory is one piece per plane. */
static bool plane_copy(struct kv *kv, const struct tensor *t, uint32_t src, uint32_t dst) {
    unsigned char *p = t->data;
    return p == NULL || kv->dev->backend->copy(kv->dev, p + dst * t->stride[3],
                                               p + src * t->stride[3], t->stride[3], NULL) == ST_OK;
}

static bool plane_clear(struct kv *kv, const struct tensor *t, uint32_t page, uint32_t other) {
    unsigned char *p = t->data;
    (void)other;
    return p == NULL ||
           kv->dev->backend->clear(kv->dev, p + page * t->stride[3], t->stride[3], NULL) == ST_OK;
}

/* A free page, without a byte of another domain. False: there is none, or the device failed. */
static bool page_take(struct kv *kv, struct kv_pool *p, uint64_t domain, uint32_t *out) {
    if (p->n_free == 0) return false;
    const uint32_t page = p->free_pages[p->n_free - 1];
    assert(p->refs[page] == 0);
    if (p->domain[page] != domain && !each_plane(kv, p, plane_clear, page, page)) return false;
    p->n_free--;
    p->refs[page] = 1;
    p->domain[page] = domain;
    *out = page;
    return true;
}

static void page_drop(struct kv_pool *p, uint32_t page) {
    assert(p->refs[page] > 0);
    if (--p->refs[page] == 0) p->free_pages[p->n_free++] = page;
}

static uint32_t pages_for(uint32_t n_tokens) {
    return n_tokens / KV_PAGE + (n_tokens % KV_PAGE != 0);
}

/* ---- one list of pages ------------------------------------------------------------------------
 */

static void list_cut(struct kv_pool *p, struct kv_seq *s, uint32_t n_tokens) {
    const uint32_t left = pages_for(n_tokens);
    while (s->n_pages > left && s->n_pages > s->first) page_drop(p, s->page[--s->n_pages]);
    if (s->n_pages > left || left == 0) s->n_pages = s->first = left; /* all of them are gone */
    s->n_tokens = n_tokens;
}

/* False: nothing changed. */
static bool list_extend(struct kv *kv, struct kv_pool *p, struct kv_seq *s, uint64_t domain,
                        uint32_t n) {
    const uint32_t had = s->n_pages, need = pages_for(s->n_tokens + n);
    while (s->n_pages < need && page_take(kv, p, domain, &s->page[s->n_pages])) s->n_pages++;
    if (s->n_pages == need)
        s->n_tokens += n;
    else
        while (s->n_pages > had) page_drop(p, s->page[--s->n_pages]);
    return s->n_pages == need;
}

/* The last page, partly filled, becomes the sequence's own: it will be written. */
static bool list_own_last(struct kv *kv, struct kv_pool *p, struct kv_seq *s) {
    const uint32_t last = s->n_pages - 1;
    uint32_t page;
    if (s->n_tokens % KV_PAGE == 0 || p->refs[s->page[last]] == 1) return true;
    if (!page_take(kv, p, p->domain[s->page[last]], &page)) return false;
    if (!each_plane(kv, p, plane_copy, s->page[last], page)) {
        page_drop(p, page);
        return false;
    }
    page_drop(p, s->page[last]);
    s->page[last] = page;
    return true;
}

/* b (empty) becomes the first n tokens of a, whose pages it shares. */
static void list_share(struct kv_pool *p, const struct kv_seq *a, struct kv_seq *b, uint32_t n) {
    b->first = a->first;
    b->n_pages = pages_for(n);
    b->n_tokens = n;
    for (uint32_t i = b->first; i < b->n_pages; i++) p->refs[b->page[i] = a->page[i]]++;
}

/* ---- windows ----------------------------------------------------------------------------------
 */

/* The first page that the row behind the first n tokens sees. */
static uint32_t first_seen(const struct kv *kv, uint32_t n) {
    return n >= kv->n_window ? (n - kv->n_window + 1) / KV_PAGE : 0;
}

/* Lets go of pages behind windows until n are free: from the sequence that has most of them. Rows
 * of a step that is being built are not evaluated yet: what they see stays. */
static bool reclaim(struct kv *kv, uint32_t n) {
    while (kv->window.n_free < n) {
        struct kv_seq *from = NULL;
        uint32_t most = 0;
        for (uint32_t i = 0; i < kv->cache.n_seqs; i++) {
            struct kv_seq *s = &kv->cache.window_seq[i];
            const uint32_t seen = first_seen(kv, kv->n_settled[i]);
            const uint32_t old = s->n_pages != 0 && seen > s->first ? seen - s->first : 0;
            if (old > most) from = s;
            if (old > most) most = old;
        }
        if (from == NULL) return false;
        page_drop(&kv->window, from->page[from->first++]);
    }
    return true;
}

/* ---- sequences --------------------------------------------------------------------------------
 */

bool kv_seq_assign(struct kv *kv, uint32_t seq, uint64_t domain) {
    assert(seq < kv->cache.n_seqs && kv->cache.seq[seq].n_pages == 0);
    if (kv->domain[seq] == domain) return true;
    for (uint32_t il = 0; il < kv->cache.n_layer; il++) {
        const struct tensor *t = &kv->cache.state[il];
        unsigned char *p = t->data;
        if (p != NULL &&
            kv->dev->backend->clear(kv->dev, p + seq * t->stride[1], t->stride[1], NULL) != ST_OK)
            return false;
    }
    kv->domain[seq] = domain;
    return true;
}

bool kv_seq_extend(struct kv *kv, uint32_t seq, uint32_t n) {
    struct kv_seq *s = &kv->cache.seq[seq];
    const uint32_t need = pages_for(s->n_tokens + n), more = need - s->n_pages;
    assert(seq < kv->cache.n_seqs && need <= kv->max_pages);
    if (more > kv->all.n_free) return false;
    kv->n_settled[seq] = s->n_tokens;
    if (kv->n_window != 0 && !reclaim(kv, more)) return false;
    if (!list_extend(kv, &kv->all, s, kv->domain[seq], n)) return false;
    if (kv->n_window == 0 ||
        list_extend(kv, &kv->window, &kv->cache.window_seq[seq], kv->domain[seq], n))
        return true;
    list_cut(&kv->all, s, s->n_tokens - n);
    return false;
}

uint32_t kv_seq_can_keep(const struct kv *kv, uint32_t seq, uint32_t n) {
    if (kv->recurrent && n < kv->cache.seq[seq].n_tokens) return 0;
    if (kv->n_window != 0 && kv->cache.window_seq[seq].first > first_seen(kv, n)) return 0;
    return n;
}

static void cut(struct kv *kv, uint32_t seq, uint32_t n_tokens) {
    list_cut(&kv->all, &kv->cache.seq[seq], n_tokens);
    if (kv->n_settled[seq] > n_tokens) kv->n_settled[seq] = n_tokens;
    if (kv->n_window != 0) list_cut(&kv->window, &kv->cache.window_seq[seq], n_tokens);
}

uint32_t kv_seq_truncate(struct kv *kv, uint32_t seq, uint32_t n_tokens) {
    struct kv_seq *s = &kv->cache.seq[seq];
    assert(n_tokens <= s->n_tokens);
    if (n_tokens == s->n_tokens) return n_tokens;
    n_tokens = kv_seq_can_keep(kv, seq, n_tokens);
    cut(kv, seq, n_tokens);
    if (list_own_last(kv, &kv->all, s) &&
        (kv->n_window == 0 ||
         (reclaim(kv, 1), list_own_last(kv, &kv->window, &kv->cache.window_seq[seq]))))
        return n_tokens;
    n_tokens = kv_seq_can_keep(kv, seq, n_tokens / KV_PAGE * KV_PAGE); /* whole pages stay shared */
    cut(kv, seq, n_tokens);
    return n_tokens;
}

/* The slots of one sequence in all layers. */
static bool state_copy(struct kv *kv, uint32_t src, uint32_t dst) {
    for (uint32_t il = 0; il < kv->cache.n_layer; il++) {
        const struct tensor *t = &kv->cache.state[il];
        unsigned char *p = t->data;
        if (p != NULL &&
            kv->dev->backend->copy(kv->dev, p + dst * t->stride[1], p + src * t->stride[1],
                                   t->stride[1], NULL) != ST_OK)
            return false;
    }
    return true;
}

bool kv_seq_fork(struct kv *kv, uint32_t src, uint32_t dst, uint32_t n_tokens) {
    const struct kv_seq *a = &kv->cache.seq[src];
    struct kv_seq *b = &kv->cache.seq[dst];
    struct kv_seq *w = kv->n_window != 0 ? &kv->cache.window_seq[dst] : NULL;
    assert(src != dst && b->n_pages == 0 && n_tokens <= a->n_tokens);
    assert(kv_seq_can_keep(kv, src, n_tokens) == n_tokens && kv->domain[src] == kv->domain[dst]);
    if (!state_copy(kv, src, dst)) return false;
    list_share(&kv->all, a, b, n_tokens);
    if (kv->n_window != 0) list_share(&kv->window, &kv->cache.window_seq[src], w, n_tokens);
    kv->n_settled[dst] = n_tokens;
    if (list_own_last(kv, &kv->all, b) &&
        (kv->n_window == 0 || (reclaim(kv, 1), list_own_last(kv, &kv->window, w))))
        return true;
    cut(kv, dst, 0);
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* dim 0: no plane. */
static enum status plane_open(struct kv *kv, uint32_t il, struct tensor *t, enum dtype type,
                              uint32_t head_dim, uint32_t n_head_kv, struct err *e) {
    const uint32_t n_pages = kv->windowed[il] ? kv->window.n_pages : kv->all.n_pages;
    if (head_dim == 0) return ST_OK;
    const int64_t dim[4] = {head_dim, KV_PAGE, n_head_kv, n_pages};
    size_t bytes = tensor_shape(t, type, dim);
    t->name = "kv";
    t->data = kv->dev->backend->alloc(kv->dev, bytes);
    kv->bytes += bytes;
    return t->data != NULL
               ? ST_OK
               : err_set(e, ST_NO_MEMORY, "no memory for a KV cache of %u pages", n_pages);
}

static enum status state_open(struct kv *kv, struct tensor *t, uint32_t n, struct err *e) {
    if (n == 0) return ST_OK;
    const int64_t dim[4] = {n, kv->cache.n_seqs, 1, 1};
    size_t bytes = tensor_shape(t, DT_F32, dim);
    t->name = "state";
    t->data = kv->dev->backend->alloc(kv->dev, bytes);
    kv->bytes += bytes;
    kv->recurrent = true;
    return t->data != NULL ? ST_OK
                           : err_set(e, ST_NO_MEMORY, "no memory for the state of %u sequences",
                                     kv->cache.n_seqs);
}

static enum status lists_open(const struct kv *kv, struct kv_seq **out, struct err *e) {
    struct kv_seq *list = *out = mem_zalloc(kv->cache.n_seqs, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < kv->cache.n_seqs; i++) {
        list[i].page = mem_array(kv->max_pages, sizeof *list[i].page);
        if (list[i].page == NULL) return err_no_memory(e);
    }
    return list != NULL ? ST_OK : err_no_memory(e);
}

static void lists_close(const struct kv *kv, struct kv_seq *list) {
    for (uint32_t i = 0; list != NULL && i < kv->cache.n_seqs; i++) mem_free(list[i].page);
    mem_free(list);
}

static enum status pool_open(struct kv_pool *p, uint32_t n, struct err *e) {
    p->n_pages = n;
    p->refs = mem_zalloc(n, sizeof *p->refs);
    p->domain = mem_zalloc(n, sizeof *p->domain);
    p->free_pages = mem_array(n, sizeof *p->free_pages);
    if (p->refs == NULL || p->domain == NULL || p->free_pages == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < n; i++) p->free_pages[p->n_free++] = n - 1 - i;
    return ST_OK;
}

static void pool_close(struct kv_pool *p) {
    mem_free(p->refs);
    mem_free(p->domain);
    mem_free(p->free_pages);
}

static uint32_t n_layers(const struct model *m) { return m->hp.n_layer + m->hp.n_mtp; }

/* How many pages window layers get; 0: as many as the others, so they need none of their own. An
 * active sequence has those of its window, of a step, and some behind. */
static uint32_t window_pages(const struct model *m, uint32_t n_active, uint32_t n_batch,
                             uint64_t n_pages) {
    bool any = false;
    for (uint32_t il = 0; il < n_layers(m); il++) any = any || m->layers[il].window;
    if (!any || n_batch == 0 || m->hp.n_swa == 0 || !m->hp.causal) return 0;
    const uint64_t idle = m->hp.n_swa / KV_PAGE + 2;
    const uint64_t active = ((uint64_t)m->hp.n_swa + n_batch) / KV_PAGE + 2 + WINDOW_SLACK;
    const uint64_t n = n_active * active + N_IDLE_WINDOWS * idle;
    return n < n_pages ? (uint32_t)n : 0;
}

static enum status pages_open(struct kv *kv, const struct model *m, uint32_t n_window_pages,
                              enum dtype type, struct err *e) {
    const uint32_t n_layer = n_layers(m);
    enum status st = lists_open(kv, &kv->cache.seq, e);
    if (st == ST_OK) st = pool_open(&kv->all, kv->cache.n_pages, e);
    if (st == ST_OK && n_window_pages != 0) st = lists_open(kv, &kv->cache.window_seq, e);
    if (st == ST_OK && n_window_pages != 0) st = pool_open(&kv->window, n_window_pages, e);
    if (st != ST_OK) return st;
    kv->windowed = mem_zalloc(n_layer, sizeof *kv->windowed);
    kv->n_settled = mem_zalloc(kv->cache.n_seqs, sizeof *kv->n_settled);
    kv->domain = mem_zalloc(kv->cache.n_seqs, sizeof *kv->domain);
    kv->cache.k = mem_zalloc(n_layer, sizeof *kv->cache.k);
    kv->cache.v = mem_zalloc(n_layer, sizeof *kv->cache.v);
    kv->cache.state = mem_zalloc(n_layer, sizeof *kv->cache.state);
    if (kv->windowed == NULL || kv->n_settled == NULL || kv->domain == NULL ||
        kv->cache.k == NULL || kv->cache.v == NULL || kv->cache.state == NULL)
        return err_no_memory(e);
    kv->cache.n_layer = n_layer;
    kv->cache.windowed = kv->windowed;
    kv->n_window = n_window_pages != 0 ? m->hp.n_swa : 0;
    for (uint32_t il = 0; st == ST_OK && il < n_layer; il++) {
        const struct layer *l = &m->layers[il];
        kv->windowed[il] = kv->n_window != 0 && l->window;
        st = state_open(kv, &kv->cache.state[il], l->n_state, e);
        if (st != ST_OK || l->kv_layer != il || l->n_head_kv == 0)
            continue; /* another layer's, or no attention */
        st = plane_open(kv, il, &kv->cache.k[il], type, l->kv_dim_k, l->n_head_kv, e);
        if (st == ST_OK)
            st = plane_open(kv, il, &kv->cache.v[il], type, l->kv_dim_v, l->n_head_kv, e);
    }
    return st;
}

/* A head's cell is whole blocks of the type. */
static enum status check_type(const struct model *m, enum dtype type, struct err *e) {
    const struct dtype_info *info = dtype_info(type);
    if (info == NULL || info->encode == NULL)
        return err_set(e, ST_INVALID, "the KV cache cannot be of type %s",
                       info != NULL ? info->name : "?");
    for (uint32_t il = 0; il < n_layers(m); il++) {
        const struct layer *l = &m->layers[il];
        const bool parts =
            !m->hp.latent || (m->hp.kv_rank % info->elems == 0 && m->hp.n_rot % info->elems == 0);
        if (l->n_head_kv == 0) continue; /* no cache */
        if (l->kv_dim_k % info->elems == 0 && l->kv_dim_v % info->elems == 0 && parts) continue;
        return err_set(e, ST_INVALID,
                       "a KV cache of type %s needs heads of a multiple of %u values; these have "
                       "%u and %u",
                       info->name, info->elems, l->kv_dim_k, l->kv_dim_v);
    }
    return ST_OK;
}

enum status kv_open(struct kv **out, const struct model *m, uint32_t n_ctx, uint32_t n_active,
                    uint32_t n_seqs, uint32_t n_batch, enum dtype type, struct err *e) {
    struct kv *kv = mem_zalloc(1, sizeof *kv);
    if (kv == NULL) return err_no_memory(e);
    kv->dev = m->dev;
    kv->max_pages = pages_for(n_ctx);
    uint64_t n_pages = (uint64_t)kv->max_pages * n_active;
    enum status st = check_type(m, type, e);
    if (st == ST_OK && (n_pages > UINT32_MAX || n_seqs > UINT16_MAX))
        st = err_set(e, ST_LIMIT, "a KV cache for %u sequences of %u tokens is too large", n_active,
                     n_ctx);
    if (st == ST_OK) {
        kv->cache.n_pages = (uint32_t)n_pages;
        kv->cache.n_seqs = n_seqs;
        st = pages_open(kv, m, window_pages(m, n_active, n_batch, n_pages), type, e);
    }
    if (st != ST_OK)
        kv_close(kv);
    else
        *out = kv;
    return st;
}

void kv_close(struct kv *kv) {
    if (kv == NULL) return;
    for (uint32_t il = 0; il < kv->cache.n_layer; il++) {
        if (kv->cache.k[il].data != NULL) kv->dev->backend->release(kv->dev, kv->cache.k[il].data);
        if (kv->cache.v[il].data != NULL) kv->dev->backend->release(kv->dev, kv->cache.v[il].data);
        if (kv->cache.state[il].data != NULL)
            kv->dev->backend->release(kv->dev, kv->cache.state[il].data);
    }
    lists_close(kv, kv->cache.seq);
    lists_close(kv, kv->cache.window_seq);
    mem_free(kv->cache.k);
    mem_free(kv->cache.v);
    mem_free(kv->cache.state);
    mem_free(kv->windowed);
    mem_free(kv->n_settled);
    mem_free(kv->domain);
    pool_close(&kv->all);
    pool_close(&kv->window);
    mem_free(kv);
}
