/* token_index.c - see token_index.h. */
#include "engine/grammar/token_index.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/mask.h"

/* The tree of all tokens but those of a mask (NULL: of all). token_tree_build reorders, so it gets
 * a copy. */
static enum status build_tree(const struct token_index *ti, const uint32_t *but,
                              struct token_tree *out, struct err *e) {
    struct token_text *copy = mem_array(ti->n_vocab, sizeof *copy);
    size_t n = 0;
    if (copy == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < ti->n_vocab; i++)
        if (but == NULL || (but[i / 32] >> (i % 32) & 1) == 0) copy[n++] = ti->text[i];
    enum status st = token_tree_build(out, copy, n, e);
    mem_free(copy);
    return st;
}

static enum status build(struct token_index *ti, struct err *e) {
    static const uint32_t chars[N_SLICES] = {16, 8};
    enum status st = build_tree(ti, NULL, &ti->tree, e);
    for (int k = 0; k < N_SLICES && st == ST_OK; k++) {
        struct slice *s = &ti->slice[k];
        s->chars = chars[k];
        s->mask = mem_zalloc(ti->n_words, sizeof *s->mask);
        if (s->mask == NULL) return err_no_memory(e);
        for (uint32_t i = 0; i < ti->n_vocab; i++) {
            uint32_t n = json_plain_chars(ti->text[i].text, ti->text[i].len);
            if (n > 0 && n <= s->chars) s->mask[i / 32] |= 1u << (i % 32);
        }
        st = build_tree(ti, s->mask, &s->rest, e);
    }
    return st;
}

static struct token_index *make(uint32_t n_vocab) {
    struct token_index *ti = mem_zalloc(1, sizeof *ti);
    if (ti == NULL) return NULL;
    pthread_mutex_init(&ti->lock, NULL);
    pthread_mutex_init(&ti->shared_lock, NULL);
    ti->n_vocab = n_vocab;
    ti->n_words = ((size_t)n_vocab + 31) / 32;
    ti->first_eog = TOKEN_NONE;
    ti->text = mem_zalloc(n_vocab, sizeof *ti->text);
    ti->eog_mask = mem_zalloc(ti->n_words, sizeof *ti->eog_mask);
    if (ti->text != NULL && ti->eog_mask != NULL) return ti;
    token_index_close(ti);
    return NULL;
}

static void add(struct token_index *ti, token_id id, const char *text, size_t len, bool eog) {
    const size_t usable = eog || len > TOKEN_BYTES_MAX || (len > 0 && text[0] == '\0') ? 0 : len;
    ti->text[id] = (struct token_text){text, (uint32_t)usable, id};
    if (!eog) return;
    ti->eog_mask[id / 32] |= 1u << (id % 32);
    if (ti->n_eog++ == 0) ti->first_eog = id;
}

enum status token_index_open(struct token_index **out, const struct vocab *v, struct err *e) {
    struct token_index *ti = make(vocab_size(v));
    if (ti == NULL) return err_no_memory(e);
    ti->vocab = v;
    for (uint32_t i = 0; i < ti->n_vocab; i++) {
        size_t len;
        const char *text = vocab_piece(v, (token_id)i, false, &len);
        add(ti, (token_id)i, text, len, vocab_is_eog(v, (token_id)i));
    }
    enum status st = build(ti, e);
    if (st != ST_OK)
        token_index_close(ti);
    else
        *out = ti;
    return st;
}

enum status token_index_of_texts(struct token_index **out, const char *const *text,
                                 const size_t *len, const bool *eog, uint32_t n_vocab,
                                 struct err *e) {
    struct token_index *ti = make(n_vocab);
    if (ti == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < n_vocab; i++) add(ti, (token_id)i, text[i], len[i], eog[i]);
    enum status st = build(ti, e);
    if (st != ST_OK)
        token_index_close(ti);
    else
        *out = ti;
    return st;
}

void token_index_close(struct token_index *ti) {
    if (ti == NULL) return;
    for (size_t i = 0; i < GRAMMAR_CACHE; i++) {
        mem_free(ti->cache[i].key);
        grammar_unref(ti->cache[i].grammar);
    }
    for (size_t i = 0; i < SHARED_NODES; i++) local_free(ti->shared[i]);
    token_tree_free(&ti->tree);
    for (size_t i = 0; i < N_SLICES; i++) {
        mem_free(ti->slice[i].mask);
        token_tree_free(&ti->slice[i].rest);
    }
    mem_free(ti->text);
    mem_free(ti->eog_mask);
    pthread_mutex_destroy(&ti->lock);
    pthread_mutex_destroy(&ti->shared_lock);
    mem_free(ti);
}
