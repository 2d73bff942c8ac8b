/* tokenizers_pretok.c - pretok.json: into which pieces each pre-tokenizer cuts the texts. */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "engine/vocab/pretok.h"
#include "golden/tokenizers.h"

struct lengths {
    uint32_t *list;
    size_t n, cap;
};

static bool cut(const struct pretok *pre, const struct buf *text, struct lengths *out) {
    struct pretok_iter it;
    struct buf copy = {0};
    const char *clean, *piece;
    size_t len;
    out->n = 0;
    bool ok = pretok_clean(text->data, text->len, &copy, &clean, &len);
    if (ok) pretok_start(&it, pre, clean, len);
    while (ok && pretok_next(&it, &piece, &len)) {
        if (out->n == out->cap) {
            out->cap = 2 * out->cap + 64;
            out->list = mem_grow(out->list, out->cap, sizeof *out->list);
        }
        out->list[out->n++] = (uint32_t)len;
    }
    buf_free(&copy);
    return ok;
}

static void check_splits(struct check *c, const char *name, const struct pretok *pre,
                         const json *group, const struct corpus *corpus) {
    struct lengths got = {0};
    struct buf text = {0}, shown = {0};
    for (const json *v = json_first(tok_member(group, "splits")); v != NULL; v = json_next(v)) {
        if (!tok_corpus_text(corpus, json_key(v), &text) || !cut(pre, &text, &got)) continue;
        buf_clear(&shown);
        buf_add(&shown, "", 0);
        for (size_t i = 0; i < got.n; i++) buf_printf(&shown, i == 0 ? "%u" : " %u", got.list[i]);
        const char *want = json_string(v);
        check_that(c, want != NULL && strcmp(want, shown.data) == 0, name,
                   "%s: pieces are '%s', expected '%s'", json_key(v), shown.data, want);
    }
    for (const json *v = json_first(tok_member(group, "big")); v != NULL; v = json_next(v)) {
        char hex[DIGEST_HEX + 1];
        if (!tok_corpus_text(corpus, json_key(v), &text) || !cut(pre, &text, &got)) continue;
        tok_hash_u32(got.list, got.n, hex);
        tok_compare_hash(c, name, json_key(v), tok_member(v, "sha256"), hex);
    }
    mem_free(got.list);
    buf_free(&text);
    buf_free(&shown);
}

/* All names of a group must mean the same expressions; the texts are cut once for each group. */
static void check_group(struct check *c, const json *group, const struct corpus *corpus) {
    const struct pretok *first = NULL;
    const char *id = json_string(json_get(group, "id"));
    for (const json *n = json_first(json_get(group, "pre_names")); n != NULL; n = json_next(n)) {
        const char *name = json_string(n);
        if (name == NULL || name[0] == '(') continue; /* "(key absent)" */
        const struct pretok *pre = pretok_find(name, strlen(name));
        check_that(c, pre != NULL && (first == NULL || first->group == pre->group), id,
                   "pre-tokenizer '%s' is unknown or in another group", name);
        if (first == NULL) first = pre;
    }
    if (first == NULL || id == NULL) return;
    check_splits(c, id, first, group, corpus);
}

void tok_check_pretok(struct check *c, const char *dir, const struct corpus *corpus) {
    if (!check_exists(dir, "pretok.json")) return;
    json *root = check_read_json(c, dir, "pretok.json");
    for (const json *g = json_first(json_get(root, "groups")); g != NULL; g = json_next(g))
        check_group(c, g, corpus);
    json_free(root);
}
