/* fuzz_tokenizer.c - a hostile vocabulary (fuzz_vocab.h) and a text.
 *
 * Opening refuses with a message or works. Then every way of encoding gives ids of the vocabulary,
 * twice the same; the pieces of a pre-tokenizer are the text; and where nothing in the vocabulary
 * can change a text (byte-level, all tokens normal, all bytes there) what the ids print is the text
 * again. */
#include "engine/vocab/pretok.h"
#include "fuzz/fuzz_vocab.h"

static void encode(const struct vocab *v, const char *text, size_t len, unsigned flags,
                   struct token_list *ids) {
    struct err e = {0};
    ids->len = 0;
    const enum status st = vocab_encode(v, text, len, flags, ids, &e);
    if (st != ST_OK) must(e.msg[0] != '\0' && ids->len == 0);
    for (size_t i = 0; i < ids->len; i++)
        must(ids->ids[i] >= 0 && (uint32_t)ids->ids[i] < vocab_size(v));
}

static void check_text(const struct vocab *v, const struct token_list *ids, const char *text,
                       size_t len) {
    struct buf copy = {0}, out = {0};
    must(pretok_clean(text, len, &copy, &text, &len));
    for (size_t i = 0; i < ids->len; i++) {
        size_t n;
        const char *piece = vocab_piece(v, ids->ids[i], true, &n);
        buf_add(&out, piece, n);
    }
    must(out.len == len && (len == 0 || memcmp(out.data, text, len) == 0));
    buf_free(&copy);
    buf_free(&out);
}

static void check_pieces(const char *pre, const char *text, size_t len) {
    const struct pretok *p = pretok_find(pre, strlen(pre));
    struct pretok_iter it;
    struct buf copy = {0};
    const char *piece;
    size_t n;
    if (p == NULL) return;
    must(pretok_clean(text, len, &copy, &text, &len));
    const char *at = text;
    pretok_start(&it, p, text, len);
    while (pretok_next(&it, &piece, &n)) {
        must(piece == at && n > 0 && n <= len - (size_t)(at - text));
        at += n;
    }
    must(at == text + len);
    buf_free(&copy);
}

static void check_vocab(const struct fuzz_vocab *f, const char *text, size_t len) {
    struct token_list a = {0}, b = {0};
    const struct vocab *v = f->vocab;
    for (unsigned flags = 0; flags < 4; flags++) {
        encode(v, text, len, flags, &a);
        encode(v, text, len, flags, &b);
        must(a.len == b.len && (a.len == 0 || memcmp(a.ids, b.ids, a.len * sizeof *a.ids) == 0));
    }
    check_pieces(vocab_pre_name(v), text, len);
    const unsigned whole = FUZZ_BYTES | FUZZ_PLAIN;
    const bool raw =
        strcmp(vocab_pre_name(v), "gemma4") == 0 || strcmp(vocab_pre_name(v), "whitespace") == 0;
    if (strcmp(f->kind, "gpt2") == 0 && (f->flags & whole) == whole && !raw) {
        encode(v, text, len, 0, &a);
        bool special = false; /* texts that become special by what they are */
        for (uint32_t i = 0; i < vocab_size(v); i++)
            special = special || vocab_attr(v, (token_id)i) != TOKEN_NORMAL;
        if (!special) check_text(v, &a, text, len);
    }
    token_list_free(&a);
    token_list_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, data + size};
    struct fuzz_vocab f;
    fuzz_vocab_prepare();
    const long live = mem_live();
    fuzz_vocab_open(&f, &in);
    if (f.vocab != NULL) check_vocab(&f, (const char *)in.p, (size_t)(in.end - in.p));
    fuzz_vocab_close(&f);
    must(mem_live() == live);
    return 0;
}
