/* check_tokenizers.c - golden-check of vocabularies (kind tokenizers; contract: README of the
 * data).
 *
 * Any folder with expect/NAME.json, vocab/NAME.gguf, corpus.json, pretok.json, eog.json and real/,
 * each of them optional and perhaps packed (.xz). What a folder lacks of the shared data (corpus,
 * big inputs, the base vocabulary of eog.json) is looked up in --base. Ids are compared exactly. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/pretok.h"
#include "engine/vocab/vocab.h"
#include "golden/check.h"

enum { PATH_SIZE = 4096, NAME_SIZE = 256 };

/* -- texts of the JSON files ------------------------------------------------------------------- */

static void read_text(struct buf *b, const json *v) {
    buf_clear(b);
    check_text(b, v);
}

/* Member with exactly this name (json_get would also take another case). */
static const json *member(const json *object, const char *name) {
    for (const json *m = json_first(object); m != NULL; m = json_next(m)) {
        if (strcmp(json_key(m), name) == 0) return m;
    }
    return NULL;
}

static bool in_list(const json *list, const char *text) {
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        if (json_string(v) != NULL && strcmp(json_string(v), text) == 0) return true;
    }
    return false;
}

struct corpus {    /* name -> text */
    json *root[2]; /* corpus.json, big.json */
    struct map index;
    const json **entry;
    size_t n;
};

static void corpus_add(struct corpus *t, json *root) {
    t->entry = mem_grow(t->entry, t->n + json_len(root) + 1, sizeof *t->entry);
    for (const json *v = json_first(root); v != NULL && t->entry != NULL; v = json_next(v)) {
        const char *name = json_string(json_get(v, "n"));
        if (name == NULL) continue;
        t->entry[t->n] = v;
        map_put(&t->index, name, strlen(name), (uint32_t)t->n++, NULL);
    }
}

/* A file of the folder, else of --base or its tokenizers folder; NULL: nowhere. */
static const char *find_dir(const struct check *c, const char *dir, const char *file,
                            char path[PATH_SIZE]) {
    if (check_exists(dir, file)) return dir;
    if (c->base == NULL) return NULL;
    if (check_exists(c->base, file)) return c->base;
    snprintf(path, PATH_SIZE, "%s/tokenizers", c->base);
    return check_exists(path, file) ? path : NULL;
}

static void corpus_open(struct check *c, struct corpus *t, const char *dir) {
    static const char *const files[] = {"corpus.json", "big.json"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_SIZE];
        const char *at = find_dir(c, dir, files[i], path);
        if (at == NULL)
            check_skip(c, dir, i == 0 ? "no corpus.json" : "no big.json (big inputs)");
        else
            t->root[i] = check_read_json(c, at, files[i]);
        if (t->root[i] != NULL) corpus_add(t, t->root[i]);
    }
}

static bool corpus_text(const struct corpus *t, const char *name, struct buf *text) {
    uint32_t i;
    if (!map_get(&t->index, name, strlen(name), &i)) return false;
    read_text(text, t->entry[i]);
    return true;
}

static void corpus_close(struct corpus *t) {
    json_free(t->root[0]);
    json_free(t->root[1]);
    map_free(&t->index);
    mem_free(t->entry);
}

/* -- opening vocabularies ---------------------------------------------------------------------- */

struct subject { /* a vocabulary and the file it was read from */
    char *file;
    struct gguf *gguf;
    struct vocab *vocab;
};

static void subject_close(struct subject *s) {
    vocab_close(s->vocab);
    gguf_close(s->gguf);
    mem_free(s->file);
}

/* The file with another tokenizer.ggml.pre; data stays where it is as there are no tensors. */
static void replace_pre(struct buf *out, const struct gguf *g, const char *file, size_t size,
                        const char *pre) {
    struct gguf_str old = gguf_elem_str(g, gguf_find(g, "tokenizer.ggml.pre"), 0);
    size_t at = (size_t)(old.ptr - file) - 8;
    buf_add(out, file, at);
    for (int i = 0; i < 8; i++) buf_chr(out, (char)((uint64_t)strlen(pre) >> 8 * i & 0xFF));
    buf_str(out, pre);
    buf_add(out, old.ptr + old.len, size - at - 8 - old.len);
}

/* pre: the expected pre-tokenizer, put in place of another one; NULL: whatever the file says. */
static bool subject_read(struct check *c, struct subject *s, const char *dir, const char *file,
                         const char *pre) {
    struct err e = {0};
    struct gguf_str have;
    size_t size;
    *s = (struct subject){.file = check_read(c, dir, file, &size)};
    if (s->file == NULL) return false;
    if (gguf_open_memory(&s->gguf, s->file, size, file, &e) != ST_OK) {
        check_fail(c, file, "%s", e.msg);
        return false;
    }
    if (pre == NULL || gguf_get_str(s->gguf, "tokenizer.ggml.pre", &have, &e) != ST_OK ||
        (have.len == strlen(pre) && memcmp(have.ptr, pre, have.len) == 0))
        return true;
    struct buf patched = {0};
    replace_pre(&patched, s->gguf, s->file, size, pre);
    gguf_close(s->gguf);
    mem_free(s->file);
    s->gguf = NULL;
    size = patched.len;
    s->file = buf_take(&patched);
    return gguf_open_memory(&s->gguf, s->file, size, file, &e) == ST_OK;
}

/* False: skipped (not supported yet) or failed. */
static bool subject_open(struct check *c, struct subject *s, const char *where) {
    struct err e = {0};
    enum status st = vocab_open(&s->vocab, s->gguf, &e);
    if (st == ST_UNSUPPORTED && strstr(e.msg, "not supported yet") != NULL)
        check_skip(c, where, e.msg);
    else if (st != ST_OK)
        check_fail(c, where, "%s", e.msg);
    return st == ST_OK;
}

/* -- comparing ids ----------------------------------------------------------------------------- */

static void ids_of_json(struct token_list *ids, const json *array) {
    for (const json *v = json_first(array); v != NULL; v = json_next(v)) {
        int64_t id = TOKEN_NONE;
        json_int(v, &id);
        token_list_add(ids, (token_id)id);
    }
}

static void show_ids(char *out, size_t size, const struct token_list *ids) {
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ids->len && i < 24 && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, " %d", ids->ids[i]);
}

static bool same_ids(const struct token_list *a, const struct token_list *b) {
    return a->len == b->len &&
           (a->len == 0 || memcmp(a->ids, b->ids, a->len * sizeof *a->ids) == 0);
}

static void compare_ids(struct check *c, const char *where, const char *name, const char *how,
                        const struct token_list *got, const struct token_list *want) {
    char g[300], w[300];
    if (same_ids(got, want)) {
        check_pass(c);
        return;
    }
    show_ids(g, sizeof g, got);
    show_ids(w, sizeof w, want);
    check_fail(c, where, "%s %s: got%s, expected%s", name, how, g, w);
}

struct run { /* one expectation file */
    struct check *c;
    const char *where;
    const struct vocab *vocab;
    const json *expect;
    const struct corpus *corpus;
    struct buf text, want, got; /* scratch */
};

static void encode(struct run *r, unsigned flags, struct token_list *out) {
    struct err e = {0};
    out->len = 0;
    if (vocab_encode(r->vocab, r->text.data, r->text.len, flags, out, &e) != ST_OK)
        check_fail(r->c, r->where, "%s", e.msg);
}

/* The three ways of encoding a text; `plain` is left in got. */
static void check_encodings(struct run *r, const char *name, const json *plain,
                            struct token_list *got, struct token_list *parsed) {
    struct token_list want = {0}, full = {0};
    const json *other = member(member(r->expect, "ids_parse"), name);
    ids_of_json(&want, plain);
    encode(r, 0, got);
    compare_ids(r->c, r->where, name, "ids", got, &want);
    want.len = 0;
    ids_of_json(&want, other != NULL ? other : plain);
    encode(r, VOCAB_PARSE_SPECIAL, parsed);
    compare_ids(r->c, r->where, name, "ids_parse", parsed, &want);
    if (member(member(r->expect, "add_exceptions"), name) == NULL) {
        want.len = 0;
        ids_of_json(&want, member(r->expect, "add_prefix"));
        ids_of_json(&want, plain);
        ids_of_json(&want, member(r->expect, "add_suffix"));
        encode(r, VOCAB_ADD_SPECIAL, &full);
        compare_ids(r->c, r->where, name, "ids with specials", &full, &want);
    }
    token_list_free(&want);
    token_list_free(&full);
}

static void compare_text(struct run *r, const char *name, const char *how) {
    check_that(r->c,
               r->got.len == r->want.len &&
                   (r->got.len == 0 || memcmp(r->got.data, r->want.data, r->got.len) == 0),
               r->where, "%s %s: got '%.60s', expected '%.60s'", name, how,
               r->got.len != 0 ? r->got.data : "", r->want.len != 0 ? r->want.data : "");
}

static void detokenize(struct run *r, const struct token_list *ids, bool special) {
    buf_clear(&r->got);
    vocab_detokenize(r->vocab, ids->ids, ids->len, false, special, &r->got);
}

/* detok: of the plain ids, where it differs from the text; detok_special: of the parsed ids,
 * special tokens shown, where it differs from the former. */
static void check_detok(struct run *r, const char *name, const struct token_list *plain,
                        const struct token_list *parsed) {
    const json *other = member(member(r->expect, "detok"), name);
    const json *special = member(member(r->expect, "detok_special"), name);
    if (in_list(member(r->expect, "reference_throws"), name)) return; /* none were recorded */
    buf_clear(&r->want);
    if (other != NULL)
        read_text(&r->want, other);
    else
        buf_add(&r->want, r->text.data, r->text.len);
    detokenize(r, plain, false);
    compare_text(r, name, "detok");
    if (special != NULL) read_text(&r->want, special);
    detokenize(r, parsed, true);
    compare_text(r, name, "detok_special");
}

static void check_texts(struct run *r) {
    struct token_list got = {0}, parsed = {0};
    for (const json *v = json_first(member(r->expect, "ids")); v != NULL; v = json_next(v)) {
        const char *name = json_key(v);
        if (!corpus_text(r->corpus, name, &r->text)) {
            check_skip(r->c, r->where, "text is not in the corpus");
            continue;
        }
        check_encodings(r, name, v, &got, &parsed);
        check_detok(r, name, &got, &parsed);
    }
    token_list_free(&got);
    token_list_free(&parsed);
}

/* SHA-256 of numbers as little-endian u32. */
static void hash_u32(const uint32_t *values, size_t n, char hex[DIGEST_HEX + 1]) {
    unsigned char raw[DIGEST_BYTES];
    struct digest *d = digest_new();
    for (size_t i = 0; i < n; i++) {
        unsigned char b[4];
        for (unsigned k = 0; k < 4; k++) b[k] = (unsigned char)(values[i] >> 8 * k);
        digest_update(d, b, 4);
    }
    digest_finish(d, raw);
    digest_hex(raw, hex);
}

static void compare_hash(struct check *c, const char *where, const char *name, const json *want,
                         const char *hex) {
    const char *text = json_string(want);
    check_that(c, text != NULL && strcmp(text, hex) == 0, where, "%s: SHA-256 is %s", name, hex);
}

static void check_big(struct run *r) {
    struct token_list got = {0};
    for (const json *v = json_first(member(r->expect, "big")); v != NULL; v = json_next(v)) {
        char hex[DIGEST_HEX + 1];
        if (!corpus_text(r->corpus, json_key(v), &r->text)) {
            check_skip(r->c, r->where, "big input is not stored");
            continue;
        }
        encode(r, 0, &got);
        hash_u32((const uint32_t *)got.ids, got.len, hex);
        compare_hash(r->c, r->where, json_key(v), member(v, "sha256"), hex);
    }
    token_list_free(&got);
}

/* -- special ids, attributes, pieces ----------------------------------------------------------- */

static bool special_id(const struct vocab_special *s, const char *name, token_id *id) {
    const struct {
        const char *name;
        token_id id;
    } rows[] = {{"bos", s->bos},         {"eos", s->eos},         {"eot", s->eot},
                {"eom", s->eom},         {"unk", s->unk},         {"sep", s->sep},
                {"pad", s->pad},         {"mask", s->mask},       {"nl", s->nl},
                {"fim_pre", s->fim_pre}, {"fim_suf", s->fim_suf}, {"fim_mid", s->fim_mid},
                {"fim_pad", s->fim_pad}, {"fim_rep", s->fim_rep}, {"fim_sep", s->fim_sep},
                {"add_bos", s->add_bos}, {"add_eos", s->add_eos}, {"add_sep", s->add_sep}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) != 0) continue;
        *id = rows[i].id;
        return true;
    }
    return false;
}

/* Every name of the file; eot only if it is not one of several candidates. */
static void check_special(struct check *c, const char *where, const struct vocab *v,
                          const json *want, bool compare_eot) {
    for (const json *m = json_first(want); m != NULL; m = json_next(m)) {
        token_id id = TOKEN_NONE;
        int64_t expected = TOKEN_NONE;
        if (!compare_eot && strcmp(json_key(m), "eot") == 0) continue;
        bool known = special_id(vocab_special(v), json_key(m), &id);
        json_int(m, &expected);
        check_that(c, known && id == expected, where, "special %s: got %d, expected %lld",
                   json_key(m), id, (long long)expected);
    }
}

static void check_ends(struct check *c, const char *where, const struct vocab *v,
                       const json *want) {
    struct token_list got = {0}, expected = {0};
    for (uint32_t i = 0; i < vocab_size(v); i++) {
        if (vocab_is_eog(v, (token_id)i)) token_list_add(&got, (token_id)i);
    }
    ids_of_json(&expected, want);
    compare_ids(c, where, "eog", "", &got, &expected);
    token_list_free(&got);
    token_list_free(&expected);
}

static unsigned attr_of_type(const struct gguf *g, uint32_t id) {
    static const unsigned attrs[] = {0,          TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL,
                                     TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE};
    const struct gguf_kv *types = gguf_find(g, "tokenizer.ggml.token_type");
    int64_t type = types != NULL ? gguf_elem_int(types, id) : 1;
    return type >= 0 && type <= 6 ? attrs[type] : 0;
}

/* Attributes as the types say, but for those listed. An empty list is no statement: the real
 * vocabularies have differences that were not recorded. */
static void check_attrs(struct check *c, const char *where, const struct subject *s,
                        const json *overrides, bool real) {
    unsigned bad = 0;
    if (real && json_len(overrides) == 0) return;
    for (uint32_t i = 0; i < vocab_size(s->vocab); i++) {
        char name[16];
        int64_t want = attr_of_type(s->gguf, i);
        snprintf(name, sizeof name, "%u", i);
        json_int(member(overrides, name), &want);
        unsigned got = vocab_attr(s->vocab, (token_id)i);
        if (got != want && bad++ < 3)
            check_fail(c, where, "attributes of %u: got %u, expected %lld", i, got,
                       (long long)want);
    }
    if (bad == 0) check_pass(c);
}

static void check_pieces(struct run *r, bool special, const char *key) {
    unsigned char raw[DIGEST_BYTES];
    char hex[DIGEST_HEX + 1];
    struct digest *d = digest_new();
    for (uint32_t i = 0; i < vocab_size(r->vocab); i++) {
        size_t len;
        const char *piece = vocab_piece(r->vocab, (token_id)i, special, &len);
        unsigned char n[4];
        for (unsigned k = 0; k < 4; k++) n[k] = (unsigned char)(len >> 8 * k);
        digest_update(d, n, 4);
        digest_update(d, piece, len);
    }
    digest_finish(d, raw);
    digest_hex(raw, hex);
    compare_hash(r->c, r->where, key, member(r->expect, key), hex);
}

/* Which of several eot tokens is taken is not specified, unless a key says it. */
static bool one_eot(const struct subject *s) {
    static const char *const texts[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end|>",
                                        "<end_of_turn>",
                                        "<|endoftext|>",
                                        "<|end_of_text|>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "[EOT]",
                                        "<\xEF\xBD\x9C"
                                        "end\xE2\x96\x81"
                                        "of\xE2\x96\x81"
                                        "sentence\xEF\xBD\x9C>",
                                        "<end_of_utterance>"};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        n += vocab_find(s->vocab, texts[i], strlen(texts[i])) != TOKEN_NONE;
    return n < 2 || gguf_find(s->gguf, "tokenizer.ggml.eot_token_id") != NULL;
}

static void check_expectations(struct check *c, const char *where, const struct subject *s,
                               const json *expect, const struct corpus *corpus, bool real) {
    struct run r = {.c = c, .where = where, .vocab = s->vocab, .expect = expect, .corpus = corpus};
    check_special(c, where, s->vocab, member(expect, "special"), one_eot(s));
    check_ends(c, where, s->vocab, member(expect, "eog"));
    check_attrs(c, where, s, member(expect, "attr_overrides"), real);
    check_pieces(&r, false, "pieces_sha256_plain");
    check_pieces(&r, true, "pieces_sha256_special");
    check_texts(&r);
    check_big(&r);
    buf_free(&r.text);
    buf_free(&r.want);
    buf_free(&r.got);
}

/* -- folders ----------------------------------------------------------------------------------- */

/* NAME of "NAME.json" or "NAME.json.xz"; false: another kind of file. */
static bool stem_of(const char *file, const char *ext, char *stem, size_t size) {
    snprintf(stem, size, "%s", file);
    char *dot = strstr(stem, ext);
    if (dot == NULL || (strcmp(dot, ext) != 0 && strcmp(dot + strlen(ext), ".xz") != 0))
        return false;
    *dot = '\0';
    return true;
}

static void check_expect_file(struct check *c, const char *expect_dir, const char *vocab_dir,
                              const char *name, const struct corpus *corpus, bool real) {
    char file[NAME_SIZE];
    struct subject s = {0};
    snprintf(file, sizeof file, "%.240s.json", name);
    json *expect = check_read_json(c, expect_dir, file);
    const char *vocab_file = json_string(json_get(expect, "vocab"));
    if (vocab_file != NULL &&
        subject_read(c, &s, vocab_dir, vocab_file, json_string(json_get(expect, "pre"))) &&
        subject_open(c, &s, name))
        check_expectations(c, name, &s, expect, corpus, real);
    subject_close(&s);
    json_free(expect);
}

static void check_expect_dir(struct check *c, const char *dir, bool real,
                             const struct corpus *corpus) {
    char expect_dir[PATH_SIZE], vocab_dir[PATH_SIZE], name[NAME_SIZE];
    snprintf(expect_dir, sizeof expect_dir, "%s/%sexpect", dir, real ? "real/" : "");
    snprintf(vocab_dir, sizeof vocab_dir, "%s/%s", dir, real ? "real" : "vocab");
    char **files = check_list(expect_dir);
    for (char **f = files; *f != NULL; f++) {
        if (stem_of(*f, ".json", name, sizeof name))
            check_expect_file(c, expect_dir, vocab_dir, name, corpus, real);
    }
    check_list_free(files);
}

/* -- real/NAME.inp and .out: texts between separator lines, a line of ids for each ------------- */

static size_t next_case(const char *inp, size_t len, size_t from, size_t *text_len) {
    static const char separator[] = "\n__ggml_vocab_test__\n";
    const char *at = memmem(inp + from, len - from, separator, sizeof separator - 1);
    *text_len = at != NULL ? (size_t)(at - inp) - from : len - from;
    return at != NULL ? from + *text_len + sizeof separator - 1 : len;
}

static void ids_of_line(struct token_list *ids, const char *line) {
    int used;
    for (token_id id; sscanf(line, "%d%n", &id, &used) == 1; line += used) token_list_add(ids, id);
}

static void check_cases(struct check *c, const char *name, const struct vocab *v, const char *inp,
                        size_t len, char *out) {
    struct token_list got = {0}, want = {0};
    size_t at = 0, text_len;
    char label[32];
    for (unsigned i = 0; at < len && out != NULL; i++) {
        const char *text = inp + at, *line = out;
        at = next_case(inp, len, at, &text_len);
        out = strchr(out, '\n');
        if (out != NULL) *out++ = '\0';
        got.len = want.len = 0;
        ids_of_line(&want, line);
        vocab_encode(v, text, text_len, 0, &got, NULL);
        snprintf(label, sizeof label, "case %u", i);
        compare_ids(c, name, label, "", &got, &want);
    }
    token_list_free(&got);
    token_list_free(&want);
}

static void check_real_inputs(struct check *c, const char *dir) {
    char real[PATH_SIZE], name[NAME_SIZE], file[NAME_SIZE];
    snprintf(real, sizeof real, "%s/real", dir);
    char **files = check_list(real);
    for (char **f = files; *f != NULL; f++) {
        struct subject s = {0};
        size_t inp_len, out_len;
        if (!stem_of(*f, ".inp", name, sizeof name)) continue;
        char *inp = check_read(c, real, *f, &inp_len);
        snprintf(file, sizeof file, "%.240s.out", name);
        char *out = check_read(c, real, file, &out_len);
        snprintf(file, sizeof file, "%.240s.gguf", name);
        if (inp != NULL && out != NULL && subject_read(c, &s, real, file, NULL) &&
            subject_open(c, &s, name))
            check_cases(c, name, s.vocab, inp, inp_len, out);
        subject_close(&s);
        mem_free(inp);
        mem_free(out);
    }
    check_list_free(files);
}

/* -- pretok.json ------------------------------------------------------------------------------- */

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
    for (const json *v = json_first(member(group, "splits")); v != NULL; v = json_next(v)) {
        if (!corpus_text(corpus, json_key(v), &text) || !cut(pre, &text, &got)) continue;
        buf_clear(&shown);
        buf_add(&shown, "", 0);
        for (size_t i = 0; i < got.n; i++) buf_printf(&shown, i == 0 ? "%u" : " %u", got.list[i]);
        const char *want = json_string(v);
        check_that(c, want != NULL && strcmp(want, shown.data) == 0, name,
                   "%s: pieces are '%s', expected '%s'", json_key(v), shown.data, want);
    }
    for (const json *v = json_first(member(group, "big")); v != NULL; v = json_next(v)) {
        char hex[DIGEST_HEX + 1];
        if (!corpus_text(corpus, json_key(v), &text) || !cut(pre, &text, &got)) continue;
        hash_u32(got.list, got.n, hex);
        compare_hash(c, name, json_key(v), member(v, "sha256"), hex);
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

static void check_pretok(struct check *c, const char *dir, const struct corpus *corpus) {
    if (!check_exists(dir, "pretok.json")) return;
    json *root = check_read_json(c, dir, "pretok.json");
    for (const json *g = json_first(json_get(root, "groups")); g != NULL; g = json_next(g))
        check_group(c, g, corpus);
    json_free(root);
}

/* -- eog.json: small vocabularies that are described, not stored ------------------------------- */

static void put_int(struct buf *b, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_chr(b, (char)(v >> 8 * i & 0xFF));
}

static void put_str(struct buf *b, const char *s, size_t len) {
    put_int(b, len, 8);
    buf_add(b, s, len);
}

struct maker { /* a GGUF file while it is written */
    struct buf kv, tokens, types, merges;
    uint64_t n_kv, n_tokens, n_merges;
};

static void make_key(struct maker *m, const char *key, enum gguf_type type) {
    static const unsigned char codes[] = {
        [GGUF_U32] = 4, [GGUF_I32] = 5, [GGUF_BOOL] = 7, [GGUF_STRING] = 8, [GGUF_ARRAY] = 9};
    put_str(&m->kv, key, strlen(key));
    put_int(&m->kv, codes[type], 4);
    m->n_kv++;
}

static void make_string(struct maker *m, const char *key, const char *value) {
    if (value == NULL) return;
    make_key(m, key, GGUF_STRING);
    put_str(&m->kv, value, strlen(value));
}

static void make_array(struct maker *m, const char *key, unsigned code, uint64_t n,
                       const struct buf *elems) {
    if (n == 0) return;
    make_key(m, key, GGUF_ARRAY);
    put_int(&m->kv, code, 4);
    put_int(&m->kv, n, 8);
    buf_add(&m->kv, elems->data, elems->len);
}

static void make_token(struct maker *m, const char *text, size_t len, unsigned type) {
    put_str(&m->tokens, text, len);
    put_int(&m->types, type, 4);
    m->n_tokens++;
}

/* "first N tokens + first M merges of vocab/FILE" */
static bool base_from_file(struct check *c, struct maker *m, const char *dir, const char *base) {
    unsigned n_tokens, n_merges;
    char file[256], path[PATH_SIZE];
    struct subject s = {0};
    if (sscanf(base, "first %u tokens + first %u merges of %255s", &n_tokens, &n_merges, file) != 3)
        return false;
    const char *at = find_dir(c, dir, file, path);
    bool ok = at != NULL && subject_read(c, &s, at, file, NULL);
    const struct gguf_kv *tokens = ok ? gguf_find(s.gguf, "tokenizer.ggml.tokens") : NULL;
    const struct gguf_kv *merges = ok ? gguf_find(s.gguf, "tokenizer.ggml.merges") : NULL;
    ok = tokens != NULL && merges != NULL && tokens->count >= n_tokens && merges->count >= n_merges;
    for (uint64_t i = 0; ok && i < n_tokens; i++) {
        struct gguf_str t = gguf_elem_str(s.gguf, tokens, i);
        make_token(m, t.ptr, t.len, 1);
    }
    for (uint64_t i = 0; ok && i < n_merges; i++, m->n_merges++) {
        struct gguf_str t = gguf_elem_str(s.gguf, merges, i);
        put_str(&m->merges, t.ptr, t.len);
    }
    subject_close(&s);
    return ok;
}

/* "<unk>,<s>,</s>, 256 byte tokens, then U+2581 a b U+2581a" */
static bool base_spm(struct maker *m, const char *base) {
    static const char *const letters[] = {"\xE2\x96\x81", "a", "b", "\xE2\x96\x81\x61"};
    if (strncmp(base, "<unk>,<s>,</s>, 256 byte tokens", 31) != 0) return false;
    make_token(m, "<unk>", 5, 2);
    make_token(m, "<s>", 3, 3);
    make_token(m, "</s>", 4, 3);
    for (unsigned i = 0; i < 256; i++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", i);
        make_token(m, text, 6, 6);
    }
    for (size_t i = 0; i < 4; i++) make_token(m, letters[i], strlen(letters[i]), 1);
    return true;
}

static void make_extra(struct maker *m, const json *v) {
    const json *type = json_first(json_get(v, "extra_types"));
    for (const json *t = json_first(json_get(v, "extra_tokens")); t != NULL; t = json_next(t)) {
        size_t len;
        int64_t code = 1;
        const char *text = json_string_n(t, &len);
        json_int(type, &code);
        make_token(m, text, len, (unsigned)code);
        type = type != NULL ? json_next(type) : NULL;
    }
}

static void make_pairs(struct maker *m, const json *v) {
    for (const json *p = json_first(json_get(v, "kv")); p != NULL; p = json_next(p)) {
        char key[128];
        int64_t number = 0;
        bool flag;
        snprintf(key, sizeof key, "tokenizer.ggml.%s", json_key(p));
        if (json_bool(p, &flag)) {
            make_key(m, key, GGUF_BOOL);
            put_int(&m->kv, flag, 1);
        } else if (json_int(p, &number)) {
            make_key(m, key, GGUF_U32);
            put_int(&m->kv, (uint64_t)number, 4);
        }
    }
}

static void make_file(struct maker *m, const json *v, struct buf *out) {
    make_string(m, "general.architecture", json_string(json_get(v, "architecture")));
    make_string(m, "general.name", json_string(json_get(v, "general.name")));
    make_string(m, "tokenizer.ggml.model", json_string(json_get(v, "model")));
    make_string(m, "tokenizer.ggml.pre", json_string(json_get(v, "pre")));
    make_array(m, "tokenizer.ggml.tokens", 8, m->n_tokens, &m->tokens);
    make_array(m, "tokenizer.ggml.token_type", 5, m->n_tokens, &m->types);
    make_array(m, "tokenizer.ggml.merges", 8, m->n_merges, &m->merges);
    make_pairs(m, v);
    buf_str(out, "GGUF");
    put_int(out, 3, 4);
    put_int(out, 0, 8);
    put_int(out, m->n_kv, 8);
    buf_add(out, m->kv.data, m->kv.len);
}

static void maker_free(struct maker *m) {
    buf_free(&m->kv);
    buf_free(&m->tokens);
    buf_free(&m->types);
    buf_free(&m->merges);
}

static void check_made(struct check *c, const char *name, struct subject *s, const json *v) {
    const char *load = json_string(json_get(v, "load"));
    struct err e = {0};
    if (load != NULL && strcmp(load, "error") == 0) {
        enum status st = vocab_open(&s->vocab, s->gguf, &e);
        check_that(c, st != ST_OK && strstr(e.msg, "yet") == NULL, name, "was not refused");
        return;
    }
    if (!subject_open(c, s, name)) return;
    const json *expect = json_get(v, "expect");
    bool by_key = member(json_get(v, "kv"), "eot_token_id") != NULL;
    bool one = json_len(json_get(v, "eot_candidates")) == 1;
    check_special(c, name, s->vocab, json_get(expect, "special"), by_key || one);
    check_ends(c, name, s->vocab, json_get(expect, "eog"));
    for (const json *a = json_first(json_get(expect, "attr")); a != NULL; a = json_next(a)) {
        token_id id = TOKEN_NONE;
        int64_t want = 0;
        sscanf(json_key(a), "%d", &id);
        json_int(a, &want);
        check_that(c, vocab_attr(s->vocab, id) == want, name, "attributes of %d: got %u", id,
                   vocab_attr(s->vocab, id));
    }
}

static void check_eog_case(struct check *c, const char *dir, const json *v) {
    const char *name = json_string(json_get(v, "name")), *base = json_string(json_get(v, "base"));
    struct maker m = {0};
    struct subject s = {0};
    struct buf file = {0};
    struct err e = {0};
    if (base == NULL) base = "first 300 tokens + first 44 merges of vocab/bpe-gpt-2.gguf";
    if (name == NULL || (!base_spm(&m, base) && !base_from_file(c, &m, dir, base))) {
        check_skip(c, "eog.json", "base vocabulary of a case is not known or not there");
        maker_free(&m);
        return;
    }
    make_extra(&m, v);
    make_file(&m, v, &file);
    size_t size = file.len;
    s.file = buf_take(&file);
    if (gguf_open_memory(&s.gguf, s.file, size, name, &e) == ST_OK)
        check_made(c, name, &s, v);
    else
        check_fail(c, name, "%s", e.msg);
    subject_close(&s);
    maker_free(&m);
}

static void check_eog(struct check *c, const char *dir) {
    if (!check_exists(dir, "eog.json")) return;
    json *root = check_read_json(c, dir, "eog.json");
    for (const json *v = json_first(root); v != NULL; v = json_next(v)) check_eog_case(c, dir, v);
    json_free(root);
}

void check_tokenizers(struct check *c, const char *dir) {
    struct corpus corpus = {0};
    corpus_open(c, &corpus, dir);
    check_pretok(c, dir, &corpus);
    check_eog(c, dir);
    check_expect_dir(c, dir, false, &corpus);
    check_expect_dir(c, dir, true, &corpus);
    check_real_inputs(c, dir);
    corpus_close(&corpus);
}
