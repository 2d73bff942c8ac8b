/* cmd_tokenize.c - token ids of standard input. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/model_file.h"
#include "engine/file/gguf.h"
#include "engine/vocab/vocab.h"

static enum status read_all(struct buf *out, struct err *e) {
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0) buf_add(out, block, n);
    if (ferror(stdin)) return err_set(e, ST_IO, "read: standard input");
    return out->failed ? err_no_memory(e) : ST_OK;
}

static enum status print_ids(const struct token_list *ids, struct err *e) {
    struct buf out = {0};
    for (size_t i = 0; i < ids->len; i++) buf_printf(&out, "%s%d", i > 0 ? " " : "", ids->ids[i]);
    buf_chr(&out, '\n');
    return cli_put(&out, e);
}

enum status cmd_tokenize(const struct args *a, struct err *e) {
    const char *model = args_text(a, "model", NULL);
    const unsigned flags = (args_bool(a, "no-bos") ? 0u : VOCAB_ADD_SPECIAL) |
                           (args_bool(a, "no-special") ? 0u : VOCAB_PARSE_SPECIAL);
    struct gguf *g = NULL;
    struct vocab *v = NULL;
    struct buf text = {0};
    struct token_list ids = {0};
    if (model == NULL) return err_set(e, ST_INVALID, "required flag(s) \"model\" not set");
    enum status st = model_gguf(&g, model, e);
    if (st == ST_OK) st = vocab_open(&v, g, e);
    if (st == ST_OK) st = read_all(&text, e);
    if (st == ST_OK)
        st = vocab_encode(v, text.data != NULL ? text.data : "", text.len, flags, &ids, e);
    if (st == ST_OK) st = print_ids(&ids, e);
    token_list_free(&ids);
    buf_free(&text);
    vocab_close(v);
    gguf_close(g);
    return st;
}
