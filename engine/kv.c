/* kv.c - see kv.h. */
#include "engine/kv.h"

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"

/* ---- pages ---------------------------------------------------------------------------------- */

static uint32_t page_take(struct kv *kv) {
    assert(kv->n_free > 0);
    uint32_t page = kv->free_pages[--kv->n_free];
    assert(kv->refs[page] == 0);
    kv->refs[page] = 1;
    return page;
}

static void page_drop(struct kv *kv, uint32_t page) {
    assert(kv->refs[page] > 0);
    if (--kv->refs[page] == 0) kv->free_pages[kv->n_free++] = page;
}

static uint32_t pages_for(uint32_t n_tokens) {
    return n_tokens / KV_PAGE + (n_tokens % KV_PAGE != 0);
}

/* Copies a whole page of one plane; the device's memory is one piece per plane. */
static bool plane_copy_page(struct kv *kv, const struct tensor *t, uint32_t src, uint32_t dst) {
    unsigned char *p = t->data;
    return p == NULL || kv->dev->backend->copy(kv->dev, p + dst * t->stride[3],
                                               p + src * t->stride[3], t->stride[3], NULL) == ST_OK;
}

static bool page_copy(struct kv *kv, uint32_t src, uint32_t dst) {
    for (uint32_t il = 0; il < kv->cache.n_layer; il++) /* a layer may be without planes */
        if (!plane_copy_page(kv, &kv->cache.k[il], src, dst) ||
            !plane_copy_page(kv, &kv->cache.v[il], src, dst))
            return false;
    return true;
}

/* ---- sequences --------------------------------------------------------------------------------
 */

bool kv_seq_extend(struct kv *kv, uint32_t seq, uint32_t n) {
    struct kv_seq *s = &kv->cache.seq[seq];
    uint32_t need = pages_for(s->n_tokens + n);
    assert(seq < kv->cache.n_seqs && need <= kv->max_pages);
    if (need > s->n_pages && need - s->n_pages > kv->n_free) return false;
    while (s->n_pages < need) s->page[s->n_pages++] = page_take(kv);
    s->n_tokens += n;
    return true;
}

uint32_t kv_seq_truncate(struct kv *kv, uint32_t seq, uint32_t n_tokens) {
    struct kv_seq *s = &kv->cache.seq[seq];
    assert(n_tokens <= s->n_tokens);
    if (kv->recurrent && n_tokens < s->n_tokens) n_tokens = 0;
    while (s->n_pages > pages_for(n_tokens)) page_drop(kv, s->page[--s->n_pages]);
    return s->n_tokens = n_tokens;
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
    uint32_t full = n_tokens / KV_PAGE;
    bool partial = n_tokens % KV_PAGE != 0;
    assert(src != dst && b->n_pages == 0 && n_tokens <= a->n_tokens);
    assert(!kv->recurrent || n_tokens == a->n_tokens);
    if (partial && kv->n_free == 0) return false;
    if (!state_copy(kv, src, dst)) return false;
    for (uint32_t i = 0; i < full; i++) kv->refs[b->page[i] = a->page[i]]++;
    b->n_pages = full;
    b->n_tokens = full * KV_PAGE;
    if (!partial) return true;
    uint32_t page = page_take(kv);
    if (!page_copy(kv, a->page[full], page)) {
        page_drop(kv, page);
        kv_seq_truncate(kv, dst, 0);
        return false;
    }
    b->page[b->n_pages++] = page;
    b->n_tokens = n_tokens;
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* dim 0: no plane. */
static enum status plane_open(struct kv *kv, struct tensor *t, enum dtype type, uint32_t head_dim,
                              uint32_t n_head_kv, struct err *e) {
    if (head_dim == 0) return ST_OK;
    const int64_t dim[4] = {head_dim, KV_PAGE, n_head_kv, kv->cache.n_pages};
    size_t bytes = tensor_shape(t, type, dim);
    t->name = "kv";
    t->data = kv->dev->backend->alloc(kv->dev, bytes);
    kv->bytes += bytes;
    return t->data != NULL ? ST_OK
                           : err_set(e, ST_NO_MEMORY, "no memory for a KV cache of %u pages",
                                     kv->cache.n_pages);
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

static enum status seqs_open(struct kv *kv, uint32_t n_seqs, struct err *e) {
    kv->cache.seq = mem_zalloc(n_seqs, sizeof *kv->cache.seq);
    if (kv->cache.seq == NULL) return err_no_memory(e);
    kv->cache.n_seqs = n_seqs;
    for (uint32_t i = 0; i < n_seqs; i++) {
        kv->cache.seq[i].page = mem_array(kv->max_pages, sizeof *kv->cache.seq[i].page);
        if (kv->cache.seq[i].page == NULL) return err_no_memory(e);
    }
    return ST_OK;
}

static enum status pages_open(struct kv *kv, const struct model *m, enum dtype type,
                              struct err *e) {
    const uint32_t n = kv->cache.n_pages, n_layer = m->hp.n_layer + m->hp.n_mtp;
    enum status st = ST_OK;
    kv->refs = mem_zalloc(n, sizeof *kv->refs);
    kv->free_pages = mem_array(n, sizeof *kv->free_pages);
    kv->cache.k = mem_zalloc(n_layer, sizeof *kv->cache.k);
    kv->cache.v = mem_zalloc(n_layer, sizeof *kv->cache.v);
    kv->cache.state = mem_zalloc(n_layer, sizeof *kv->cache.state);
    if (kv->refs == NULL || kv->free_pages == NULL || kv->cache.k == NULL || kv->cache.v == NULL ||
        kv->cache.state == NULL)
        return err_no_memory(e);
    kv->cache.n_layer = n_layer;
    for (uint32_t i = 0; i < n; i++) kv->free_pages[kv->n_free++] = n - 1 - i;
    for (uint32_t il = 0; st == ST_OK && il < n_layer; il++) {
        const struct layer *l = &m->layers[il];
        st = state_open(kv, &kv->cache.state[il], l->n_state, e);
        if (st != ST_OK || l->kv_layer != il || l->n_head_kv == 0)
            continue; /* another layer's, or no attention */
        st = plane_open(kv, &kv->cache.k[il], type, l->kv_dim_k, l->n_head_kv, e);
        if (st == ST_OK) st = plane_open(kv, &kv->cache.v[il], type, l->kv_dim_v, l->n_head_kv, e);
    }
    return st;
}

/* A head's cell is whole blocks of the type. */
static enum status check_type(const struct model *m, enum dtype type, struct err *e) {
    const struct dtype_info *info = dtype_info(type);
    if (info == NULL || info->encode == NULL)
        return err_set(e, ST_INVALID, "the KV cache cannot be of type %s",
                       info != NULL ? info->name : "?");
    for (uint32_t il = 0; il < m->hp.n_layer + m->hp.n_mtp; il++) {
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
                    uint32_t n_seqs, enum dtype type, struct err *e) {
    struct kv *kv = mem_zalloc(1, sizeof *kv);
    if (kv == NULL) return err_no_memory(e);
    kv->dev = m->dev;
    kv->max_pages = pages_for(n_ctx);
    uint64_t n_pages = (uint64_t)kv->max_pages * n_active;
    enum status st = check_type(m, type, e);
    if (st == ST_OK && (n_pages > UINT32_MAX || n_seqs > UINT16_MAX))
        st = err_set(e, ST_LIMIT, "a KV cache for %u sequences of %u tokens is too large", n_active,
                     n_ctx);
    kv->cache.n_pages = (uint32_t)n_pages;
    if (st == ST_OK) st = seqs_open(kv, n_seqs, e);
    if (st == ST_OK) st = pages_open(kv, m, type, e);
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
    for (uint32_t i = 0; i < kv->cache.n_seqs; i++) mem_free(kv->cache.seq[i].page);
    mem_free(kv->cache.seq);
    mem_free(kv->cache.k);
    mem_free(kv->cache.v);
    mem_free(kv->cache.state);
    mem_free(kv->refs);
    mem_free(kv->free_pages);
    mem_free(kv);
}
