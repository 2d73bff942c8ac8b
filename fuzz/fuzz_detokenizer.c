/* fuzz_detokenizer.c - a hostile vocabulary (fuzz_vocab.h), stop strings, and ids.
 *
 * What a client is sent is a beginning of what the ids print; every part of it but the last ends at
 * a whole character; without a stop string all of it comes out, but for an unfinished character.
 * And the library's detokenize takes any ids. */
#include "engine/textout.h"
#include "fuzz/fuzz_vocab.h"

enum { MAX_STOPS = 3 };

struct stops {
    char text[MAX_STOPS][16];
    const char *list[MAX_STOPS];
    size_t n;
};

static void read_stops(struct stops *s, struct fuzz_input *in) {
    s->n = fuzz_byte(in) % (MAX_STOPS + 1);
    for (size_t i = 0; i < s->n; i++) {
        const char *text;
        const size_t len = fuzz_bytes(in, fuzz_byte(in) % 15, &text);
        if (len > 0) memcpy(s->text[i], text, len);
        s->text[i][len] = '\0';
        s->list[i] = s->text[i];
    }
}

static void take(struct textout *t, struct buf *sent, bool last) {
    size_t len;
    const char *text = textout_ready(t, &len);
    if (!last) must(len == 0 || utf8_complete_prefix(text, len) == len);
    buf_add(sent, text, len);
}

static void stream(const struct vocab *v, const struct stops *s, const uint8_t *ids, size_t n) {
    struct textout *t;
    struct buf all = {0}, sent = {0};
    must(textout_open(&t, s->list, s->n, NULL) == ST_OK);
    for (size_t i = 0; i < n && !textout_ended(t); i++) {
        size_t len;
        const char *piece = vocab_piece(v, ids[i], ids[i] % 2 != 0, &len);
        buf_add(&all, piece, len);
        textout_push(t, piece, len, false);
        take(t, &sent, textout_ended(t));
    }
    const bool stopped = textout_stop(t) >= 0;
    textout_finish(t);
    take(t, &sent, true);
    must(sent.len <= all.len && (sent.len == 0 || memcmp(sent.data, all.data, sent.len) == 0));
    if (!stopped) must(sent.len == (all.len > 0 ? utf8_complete_prefix(all.data, all.len) : 0));
    for (size_t i = 0; i < s->n && sent.len > 0; i++) /* no stop string gets through */
        must(s->list[i][0] == '\0' ||
             memmem(sent.data, sent.len, s->list[i], strlen(s->list[i])) == NULL);
    textout_close(t);
    buf_free(&all);
    buf_free(&sent);
}

static void detokenize(const struct vocab *v, const uint8_t *bytes, size_t n) {
    struct token_list ids = {0};
    for (size_t i = 0; i < n; i++) must(token_list_add(&ids, (token_id)bytes[i] * 3 - 9));
    for (unsigned how = 0; how < 4; how++) {
        struct buf out = {0};
        vocab_detokenize(v, ids.ids, ids.len, (how & 1) != 0, (how & 2) != 0, &out);
        must(!out.failed);
        buf_free(&out);
    }
    token_list_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, data + size};
    struct fuzz_vocab f;
    struct stops stops;
    fuzz_vocab_prepare();
    const long live = mem_live();
    fuzz_vocab_open(&f, &in);
    read_stops(&stops, &in);
    if (f.vocab != NULL) {
        stream(f.vocab, &stops, in.p, (size_t)(in.end - in.p));
        detokenize(f.vocab, in.p, (size_t)(in.end - in.p));
    }
    fuzz_vocab_close(&f);
    must(mem_live() == live);
    return 0;
}
