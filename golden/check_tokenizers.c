/* check_tokenizers.c - golden-check of vocabularies (kind tokenizers; contract: README of the
 * data).
 *
 * Any folder with expect/NAME.json, vocab/NAME.gguf, corpus.json, pretok.json, eog.json and real/,
 * each of them optional and perhaps packed (.xz). What a folder lacks of the shared data (corpus,
 * big inputs, the base vocabulary of eog.json) is looked up in --base. Ids are compared exactly. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "golden/tokenizers.h"

enum { NAME_SIZE = 256 };

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
    const json *other = tok_member(tok_member(r->expect, "ids_parse"), name);
    tok_ids_of_json(&want, plain);
    encode(r, 0, got);
    tok_compare_ids(r->c, r->where, name, "ids", got, &want);
    want.len = 0;
    tok_ids_of_json(&want, other != NULL ? other : plain);
    encode(r, VOCAB_PARSE_SPECIAL, parsed);
    tok_compare_ids(r->c, r->where, name, "ids_parse", parsed, &want);
    if (tok_member(tok_member(r->expect, "add_exceptions"), name) == NULL) {
        want.len = 0;
        tok_ids_of_json(&want, tok_member(r->expect, "add_prefix"));
        tok_ids_of_json(&want, plain);
        tok_ids_of_json(&want, tok_member(r->expect, "add_suffix"));
        encode(r, VOCAB_ADD_SPECIAL, &full);
        tok_compare_ids(r->c, r->where, name, "ids with specials", &full, &want);
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
    const json *other = tok_member(tok_member(r->expect, "detok"), name);
    const json *special = tok_member(tok_member(r->expect, "detok_special"), name);
    if (tok_in_list(tok_member(r->expect, "reference_throws"), name))
        return; /* none were recorded */
    buf_clear(&r->want);
    if (other != NULL)
        tok_read_text(&r->want, other);
    else
        buf_add(&r->want, r->text.data, r->text.len);
    detokenize(r, plain, false);
    compare_text(r, name, "detok");
    if (special != NULL) tok_read_text(&r->want, special);
    detokenize(r, parsed, true);
    compare_text(r, name, "detok_special");
}

static void check_texts(struct run *r) {
    struct token_list got = {0}, parsed = {0};
    for (const json *v = json_first(tok_member(r->expect, "ids")); v != NULL; v = json_next(v)) {
        const char *name = json_key(v);
        if (!tok_corpus_text(r->corpus, name, &r->text)) {
            check_skip(r->c, r->where, "text is not in the corpus");
            continue;
        }
        check_encodings(r, name, v, &got, &parsed);
        check_detok(r, name, &got, &parsed);
    }
    token_list_free(&got);
    token_list_free(&parsed);
}

static void check_big(struct run *r) {
    struct token_list got = {0};
    for (const json *v = json_first(tok_member(r->expect, "big")); v != NULL; v = json_next(v)) {
        char hex[DIGEST_HEX + 1];
        if (!tok_corpus_text(r->corpus, json_key(v), &r->text)) {
            check_skip(r->c, r->where, "big input is not stored");
            continue;
        }
        encode(r, 0, &got);
        tok_hash_u32((const uint32_t *)got.ids, got.len, hex);
        tok_compare_hash(r->c, r->where, json_key(v), tok_member(v, "sha256"), hex);
    }
    token_list_free(&got);
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
        json_int(tok_member(overrides, name), &want);
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
    tok_compare_hash(r->c, r->where, key, tok_member(r->expect, key), hex);
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
    tok_check_special(c, where, s->vocab, tok_member(expect, "special"), one_eot(s));
    tok_check_ends(c, where, s->vocab, tok_member(expect, "eog"));
    check_attrs(c, where, s, tok_member(expect, "attr_overrides"), real);
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
        tok_subject_read(c, &s, vocab_dir, vocab_file, json_string(json_get(expect, "pre"))) &&
        tok_subject_open(c, &s, name))
        check_expectations(c, name, &s, expect, corpus, real);
    tok_subject_close(&s);
    json_free(expect);
}

static void check_expect_dir(struct check *c, const char *dir, bool real,
                             const struct corpus *corpus) {
    char expect_dir[TOK_PATH], vocab_dir[TOK_PATH], name[NAME_SIZE];
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
        tok_compare_ids(c, name, label, "", &got, &want);
    }
    token_list_free(&got);
    token_list_free(&want);
}

static void check_real_inputs(struct check *c, const char *dir) {
    char real[TOK_PATH], name[NAME_SIZE], file[NAME_SIZE];
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
        if (inp != NULL && out != NULL && tok_subject_read(c, &s, real, file, NULL) &&
            tok_subject_open(c, &s, name))
            check_cases(c, name, s.vocab, inp, inp_len, out);
        tok_subject_close(&s);
        mem_free(inp);
        mem_free(out);
    }
    check_list_free(files);
}

void check_tokenizers(struct check *c, const char *dir) {
    struct corpus corpus = {0};
    tok_corpus_open(c, &corpus, dir);
    tok_check_pretok(c, dir, &corpus);
    tok_check_eog(c, dir);
    check_expect_dir(c, dir, false, &corpus);
    check_expect_dir(c, dir, true, &corpus);
    check_real_inputs(c, dir);
    tok_corpus_close(&corpus);
}
