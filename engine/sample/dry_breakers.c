/* dry_breakers.c - from the strings of sequence breakers to tokens (see dry.h). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/sample/dry.h"

static int by_head(const void *a, const void *b) {
    const struct dry_breaker *x = a, *y = b;
    return x->head < y->head ? -1 : x->head > y->head;
}

void dry_breakers_sort(struct dry_breakers *b) {
    if (b->n > 0) qsort(b->list, b->n, sizeof *b->list, by_head);
}

void dry_breakers_free(struct dry_breakers *b) {
    mem_free(b->list);
    *b = (struct dry_breakers){0};
}

bool dry_breakers_add(struct dry_breakers *b, const token_id *ids, size_t n) {
    if (b->n == b->cap) {
        const size_t cap = b->cap + b->cap / 2 + 16;
        struct dry_breaker *list = mem_grow(b->list, cap, sizeof *list);
        if (list == NULL) return false;
        b->list = list;
        b->cap = cap;
    }
    struct dry_breaker *new = &b->list[b->n++];
    *new = (struct dry_breaker){.head = ids[0], .n_tail = (uint32_t)(n - 1)};
    if (new->n_tail > DRY_MAX_TAIL) new->n_tail = DRY_MAX_TAIL;
    memcpy(new->tail, ids + 1, new->n_tail * sizeof *ids);
    return true;
}

/* The token ends with the first `n` bytes of the string: it and the tokens of the rest. */
static enum status add_split(struct dry_breakers *b, const struct vocab *v, token_id head,
                             const char *rest, size_t len, struct err *e) {
    struct token_list ids = {0};
    bool ok = token_list_add(&ids, head);
    enum status st = ok ? vocab_encode(v, rest, len, 0, &ids, e) : err_no_memory(e);
    if (st == ST_OK && !dry_breakers_add(b, ids.ids, ids.len)) st = err_no_memory(e);
    token_list_free(&ids);
    return st;
}

static enum status add_token(struct dry_breakers *b, const struct vocab *v, token_id id,
                             const char *string, size_t len, struct err *e) {
    enum status st = ST_OK;
    size_t n;
    const char *piece = vocab_piece(v, id, true, &n);
    if (memmem(piece, n, string, len) != NULL)
        return dry_breakers_add(b, &id, 1) ? ST_OK : err_no_memory(e);
    for (size_t k = 1; k < len && k < n && st == ST_OK; k++) {
        if (memcmp(piece + n - k, string, k) == 0) st = add_split(b, v, id, string + k, len - k, e);
    }
    return st;
}

enum status dry_breakers_make(struct dry_breakers *out, const struct vocab *v,
                              const char *const *strings, size_t n, struct err *e) {
    enum status st = ST_OK;
    *out = (struct dry_breakers){0};
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        const size_t len = strnlen(strings[i], DRY_MAX_BREAKER);
        for (uint32_t id = 0; len > 0 && id < vocab_size(v) && st == ST_OK; id++)
            st = add_token(out, v, (token_id)id, strings[i], len, e);
    }
    if (st != ST_OK) dry_breakers_free(out);
    dry_breakers_sort(out);
    return st;
}
