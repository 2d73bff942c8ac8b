/* vocab_merge.c - the merging that SPM and BPE have in common.
 *
 * A piece is a row of symbols, at first its characters. Again and again the neighbours with the
 * lowest rank are merged, of equal ranks the leftmost, until no neighbours have a rank. Symbols are
 * numbers; no text is ever built. Four ways, fastest first:
 *
 *   whole  the piece is a token, and one that merging its text arrives at (known from the first
 *          time): most pieces end here
 *   seen   it came before in this text: its ids are copied
 *   short  a small array, searched for the lowest rank each time
 *   long   a priority queue of (rank, position): n log n for any input
 *
 * The long way has a cell for each byte. A symbol at i of length l has the span l at i and also at
 * i + l - 1, which is how the neighbours on both sides are found without links. The rank at i is
 * that of merging it with its right neighbour; a queue entry with another rank is out of date and
 * skipped.
 *
 * The queue is one array with a heap of recent entries at its front and a sorted run of older ones
 * at its back; the next entry is the smaller of the two heads. When the run is used up, what is in
 * the heap is sorted and becomes the run: most entries are then taken by walking through memory
 * instead of sifting (20 kB of one letter: 6 MB/s with a heap alone, 20 MB/s so). New entries of a
 * higher rank than that of the merges at hand wait behind the heap until these are done: in a text
 * that repeats itself most are out of date by then (4 MB of spaces: 9 MB/s without, 23 MB/s so).
 * When the halves meet, entries that are out of date are dropped. Arrays and queue take about 22
 * bytes for each byte of the longest piece above SHORT_BYTES. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vocab/vocab_heap.h"
#include "engine/vocab/vocab_impl.h"

/* Lengths up to which the quadratic way is the faster one. */
#ifdef CRIA_HARD
enum { SHORT_BYTES = 8 };
#else
enum { SHORT_BYTES = 96 };
#endif

static bool emit(const struct vocab *v, const struct merge_rule *rule, uint32_t sym,
                 const char *text, uint32_t len, struct token_list *out) {
    if (sym < v->n) return token_list_add(out, (token_id)sym);
    return rule->spell(v, text, len, out);
}

/* -- short pieces ------------------------------------------------------------------------------ */

struct part {
    uint32_t off, sym;
    uint32_t rank, result; /* of merging it with the next one */
};

static void part_look(const struct vocab *v, const struct merge_rule *rule, const char *text,
                      struct part *p) {
    p->rank = rule->merge(v, text + p->off, p[2].off - p->off, p->sym, p[1].sym, &p->result);
}

/* Fills part[0..n] (the last one only marks the end) and returns n. */
static uint32_t parts_init(const struct vocab *v, const struct merge_rule *rule, const char *text,
                           uint32_t len, struct part *part) {
    uint32_t n = 0;
    for (uint32_t i = 0, l; i < len; i += l, n++) {
        part[n].off = i;
        part[n].rank = NO_RANK;
        part[n].sym = rule->first(v, text + i, len - i, &l);
    }
    part[n].off = len;
    for (uint32_t i = 0; i + 1 < n; i++) part_look(v, rule, text, &part[i]);
    return n;
}

static bool merge_short(const struct vocab *v, const struct merge_rule *rule, const char *text,
                        uint32_t len, struct token_list *out) {
    struct part part[SHORT_BYTES + 1];
    assert(len <= SHORT_BYTES);
    uint32_t n = parts_init(v, rule, text, len, part);
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++) {
            if (part[i].rank < part[best].rank) best = i;
        }
        struct part *p = &part[best];
        if (p->rank == NO_RANK) break;
        p->sym = p->result;
        memmove(p + 1, p + 2, (n - best - 1) * sizeof *p);
        n--;
        p->rank = NO_RANK;
        if (best + 1 < n) part_look(v, rule, text, p);
        if (best > 0) part_look(v, rule, text, p - 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct part *p = &part[i];
        if (!emit(v, rule, p->sym, text + p->off, p[1].off - p->off, out)) return false;
    }
    return true;
}

/* -- long pieces ------------------------------------------------------------------------------- */

struct row { /* a long piece while it is merged */
    const struct vocab *v;
    const struct merge_rule *rule;
    struct vocab_scratch *s;
    const char *text;
    uint32_t len;
};

static bool row_reserve(struct vocab_scratch *s, size_t len) {
    if (len <= s->cap) return true;
    mem_free(s->cell); /* nothing in it is needed any more */
    s->cap = 0;
    s->cell = mem_array(len, sizeof *s->cell);
    if (s->cell == NULL) return false;
    s->cap = len;
    return true;
}

/* -- the queue of a long piece: heap[0..n_heap), n_wait entries that wait, the run
 *    heap[run..heap_cap) -- */

enum { MIN_RUN = 32 }; /* fewer entries stay in the heap */

/* Moves the run to the back of a larger array. */
static bool queue_reserve(struct vocab_scratch *s, size_t cap) {
    size_t n_run = s->heap_cap - s->run;
    if (cap <= s->heap_cap) return true;
    uint64_t *heap = mem_grow(s->heap, cap, sizeof *heap);
    if (heap == NULL) return false;
    memmove(heap + cap - n_run, heap + s->run, n_run * sizeof *heap);
    s->heap = heap;
    s->heap_cap = cap;
    s->run = cap - n_run;
    return true;
}

static void queue_clear(struct vocab_scratch *s) {
    s->n_heap = s->n_wait = 0;
    s->run = s->heap_cap;
    s->rank = 0;
}

static bool up_to_date(const struct vocab_scratch *s, uint64_t key) {
    return s->cell[(uint32_t)key].rank == key >> 32;
}

/* Keeps of keys[0..n) what is up to date; returns how many. */
static size_t keep_current(const struct vocab_scratch *s, uint64_t *keys, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (up_to_date(s, keys[i])) keys[kept++] = keys[i];
    }
    return kept;
}

/* What waits goes into the heap. */
static void queue_admit(struct vocab_scratch *s) {
    uint64_t *wait = s->heap + s->n_heap;
    const size_t n = keep_current(s, wait, s->n_wait);
    s->n_wait = 0;
    if (n < s->n_heap / 8) {
        for (size_t i = 0; i < n; i++) {
            const uint64_t key = wait[i]; /* the heap grows over those that have moved already */
            heap_push(s->heap, &s->n_heap, key);
        }
        return;
    }
    s->n_heap += n;
    heap_make(s->heap, s->n_heap);
}

/* Room for one more: drops what is out of date, then grows if that was little. */
static bool queue_make_room(struct vocab_scratch *s) {
    size_t run = s->heap_cap;
    if (s->n_heap + s->n_wait < s->run) return true;
    size_t n = keep_current(s, s->heap, s->n_heap + s->n_wait);
    for (size_t i = s->heap_cap; i-- > s->run;) {
        if (up_to_date(s, s->heap[i])) s->heap[--run] = s->heap[i];
    }
    s->n_heap = n;
    s->n_wait = 0;
    s->run = run;
    heap_make(s->heap, n);
    size_t room = run - n;
    return room > s->heap_cap / 8 || queue_reserve(s, s->heap_cap + s->heap_cap / 2 + 1);
}

static bool queue_push(struct vocab_scratch *s, uint64_t key) {
    if (!queue_make_room(s)) return false;
    const size_t end = s->n_heap + s->n_wait;
    if (key >> 32 > s->rank) {
        s->heap[end] = key;
        s->n_wait++;
        return true;
    }
    s->heap[end] = s->heap[s->n_heap]; /* those that wait have no order */
    heap_push(s->heap, &s->n_heap, key);
    return true;
}

/* Sorts the heap and makes it the run. */
static void queue_sort(struct vocab_scratch *s) {
    heap_sort(s->heap, s->n_heap);
    s->run = s->heap_cap - s->n_heap;
    memmove(s->heap + s->run, s->heap, s->n_heap * sizeof *s->heap);
    s->n_heap = 0;
}

/* The lowest key of heap and run; UINT64_MAX: there is none. */
static uint64_t queue_head(const struct vocab_scratch *s) {
    const uint64_t heap = s->n_heap > 0 ? s->heap[0] : UINT64_MAX;
    return s->run < s->heap_cap && s->heap[s->run] < heap ? s->heap[s->run] : heap;
}

/* False: the queue is empty. */
static bool queue_pop(struct vocab_scratch *s, uint64_t *key) {
    if (s->n_wait > 0 && queue_head(s) >> 32 > s->rank) queue_admit(s);
    if (s->run == s->heap_cap && s->n_wait == 0 && s->n_heap >= MIN_RUN) queue_sort(s);
    *key = queue_head(s);
    if (*key == UINT64_MAX) return false;
    s->rank = (uint32_t)(*key >> 32);
    if (s->run < s->heap_cap && s->heap[s->run] == *key) {
        s->run++;
        return true;
    }
    heap_pop(s->heap, &s->n_heap);
    s->heap[s->n_heap] = s->heap[s->n_heap + s->n_wait]; /* closes the gap */
    return true;
}

static uint32_t row_merge(const struct row *r, uint32_t i, uint32_t *result) {
    const struct vocab_scratch *s = r->s;
    uint32_t next = i + s->cell[i].span;
    if (next == r->len) return NO_RANK;
    return r->rule->merge(r->v, r->text + i, s->cell[i].span + s->cell[next].span, s->cell[i].sym,
                          s->cell[next].sym, result);
}

static bool row_look(const struct row *r, uint32_t i) {
    struct vocab_scratch *s = r->s;
    uint32_t result;
    s->cell[i].rank = row_merge(r, i, &result);
    if (s->cell[i].rank == NO_RANK) return true;
    return queue_push(s, (uint64_t)s->cell[i].rank << 32 | i);
}

static void row_set(const struct row *r, uint32_t i, uint32_t sym, uint32_t len) {
    r->s->cell[i].sym = sym;
    r->s->cell[i].span = r->s->cell[i + len - 1].span = len;
}

static bool row_init(const struct row *r) {
    struct vocab_scratch *s = r->s;
    if (!row_reserve(s, r->len) || !queue_reserve(s, r->len + r->len / 4)) return false;
    for (uint32_t i = 0, l; i < r->len; i += l) {
        uint32_t sym = r->rule->first(r->v, r->text + i, r->len - i, &l);
        row_set(r, i, sym, l);
    }
    queue_clear(s);
    for (uint32_t i = 0, result; i < r->len; i += s->cell[i].span) {
        s->cell[i].rank = row_merge(r, i, &result);
        if (s->cell[i].rank != NO_RANK) s->heap[s->n_heap++] = (uint64_t)s->cell[i].rank << 32 | i;
    }
    queue_sort(s);
    return true;
}

static bool merge_long(const struct row *r, struct token_list *out) {
    struct vocab_scratch *s = r->s;
    if (!row_init(r)) return false;
    for (uint64_t key; queue_pop(s, &key);) {
        uint32_t i = (uint32_t)key, result = NO_SYM;
        if (!up_to_date(s, key)) continue;
        uint32_t next = i + s->cell[i].span;
        uint32_t rank = row_merge(r, i, &result);
        assert(rank == key >> 32);
        (void)rank;
        s->cell[next].rank = NO_RANK;
        row_set(r, i, result, s->cell[i].span + s->cell[next].span);
        if (!row_look(r, i)) return false;
        if (i > 0 && !row_look(r, i - s->cell[i - 1].span)) return false;
    }
    for (uint32_t i = 0; i < r->len; i += s->cell[i].span) {
        if (!emit(r->v, r->rule, s->cell[i].sym, r->text + i, s->cell[i].span, out)) return false;
    }
    return true;
}

/* -- pieces and texts -------------------------------------------------------------------------- */

void scratch_begin(struct vocab_scratch *s, size_t len) {
    if (s->seen == NULL && len >= SEEN_MIN_TEXT) s->seen = mem_zalloc(SEEN_PIECES, sizeof *s->seen);
    s->round++; /* the table's zeroes are never a round */
}

struct seen_piece *seen_slot(const struct vocab_scratch *s, uint64_t hash) {
    return s->seen != NULL ? &s->seen[hash >> 20 & (SEEN_PIECES - 1)] : NULL;
}

bool seen_is(const struct vocab_scratch *s, const struct seen_piece *p, const char *text,
             size_t len) {
    return p != NULL && p->round == s->round && p->len == len && memcmp(p->text, text, len) == 0;
}

bool seen_copy(const struct seen_piece *p, uint32_t skip, struct token_list *out) {
    for (uint32_t i = skip; i < p->n_ids; i++) {
        if (!token_list_add(out, out->ids[p->first + i])) return false;
    }
    return true;
}

static bool merge_by_length(const struct vocab *v, const struct merge_rule *rule,
                            struct vocab_scratch *s, const char *text, uint32_t len,
                            struct token_list *out) {
    if (len <= SHORT_BYTES) return merge_short(v, rule, text, len, out);
    const struct row r = {v, rule, s, text, len};
    return merge_long(&r, out);
}

enum status merge_piece(const struct vocab *v, const struct merge_rule *rule,
                        struct vocab_scratch *s, const char *text, size_t len,
                        struct token_list *out, struct err *e) {
    assert(len > 0 && len <= UINT32_MAX);
    const uint64_t hash = index_hash(v, text, len);
    const uint32_t whole = index_find_hashed(v, text, len, hash);
    atomic_uchar *memo = whole < v->n ? &v->whole[whole] : NULL;
    const unsigned known =
        memo != NULL ? atomic_load_explicit(memo, memory_order_relaxed) : WHOLE_NO;
    if (known == WHOLE_YES) return token_list_add(out, (token_id)whole) ? ST_OK : err_no_memory(e);
    struct seen_piece *slot = seen_slot(s, hash);
    if (seen_is(s, slot, text, len)) return seen_copy(slot, 0, out) ? ST_OK : err_no_memory(e);
    const size_t first = out->len;
    if (!merge_by_length(v, rule, s, text, (uint32_t)len, out)) return err_no_memory(e);
    const size_t n_ids = out->len - first;
    if (slot != NULL)
        *slot = (struct seen_piece){.text = text,
                                    .len = (uint32_t)len,
                                    .n_ids = (uint32_t)n_ids,
                                    .round = s->round,
                                    .first = first};
    if (known == WHOLE_UNKNOWN) {
        const bool yes = n_ids == 1 && out->ids[first] == (token_id)whole;
        atomic_store_explicit(memo, yes ? WHOLE_YES : WHOLE_NO, memory_order_relaxed);
    }
    return ST_OK;
}

enum status merge_text(const struct vocab *v, const struct merge_rule *rule,
                       struct vocab_scratch *s, const char *text, size_t len,
                       struct token_list *out, struct err *e) {
    size_t start = 0;
    uint32_t last = 0;
    for (size_t i = 0, n; i < len; i += n) {
        n = char_len((unsigned char)text[i], len - i);
        uint32_t code = char_code(text + i, (uint32_t)n);
        if (i > start && !joints_may_join(&v->joints, last, code)) {
            enum status st = merge_piece(v, rule, s, text + start, i - start, out, e);
            if (st != ST_OK) return st;
            start = i;
        }
        last = code;
    }
    return start < len ? merge_piece(v, rule, s, text + start, len - start, out, e) : ST_OK;
}

bool escape_spaces(struct vocab_scratch *s, bool prefix, const char **text, size_t *len) {
    static const char mark[] = "\xE2\x96\x81";
    const char *p = *text, *end = p + *len;
    scratch_begin(s, *len);
    buf_clear(&s->escaped);
    if (prefix) buf_add(&s->escaped, mark, 3);
    while (p < end) {
        const char *space = memchr(p, ' ', (size_t)(end - p));
        if (space == NULL) space = end;
        buf_add(&s->escaped, p, (size_t)(space - p));
        if (space < end) buf_add(&s->escaped, mark, 3);
        p = space + 1;
    }
    *text = s->escaped.data;
    *len = s->escaped.len;
    return !s->escaped.failed;
}

void scratch_free(struct vocab_scratch *s) {
    buf_free(&s->clean);
    buf_free(&s->escaped);
    buf_free(&s->word);
    mem_free(s->cell);
    mem_free(s->heap);
    mem_free(s->seen);
    mem_free(s->score);
    mem_free(s->best);
    *s = (struct vocab_scratch){0};
}
