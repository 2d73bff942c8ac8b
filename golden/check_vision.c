/* check_vision.c - projectors with recorded embeddings, and what text models made of them (the
 * set's README is the contract).
 *
 * For each picture: the chunks of the prompt (token ids of texts, sizes of images), the rows of
 * each image, positions, and the logits behind the last token. Where the recording differs from the
 * original definition of the model (llava, llama4) rows are compared with the latter, and the text
 * model is given the recorded ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/sequence.h"
#include "engine/vision/vision.h"
#include "golden/check.h"

enum { N_CTX = 256, MAX_CHUNKS = 160 };

struct chunk { /* of a prompt: an image, or tokens */
    const struct cria_image *image;
    struct token_list tokens;
};

struct set {
    struct check *c;
    const char *name, *dir;
    const json *doc;
    const float *truth; /* expected.bin */
    size_t n_truth;
    double limit; /* NMSE */
    struct cria_engine *eng;
    struct cria_vision *vision;
    struct chunk chunks[MAX_CHUNKS];
    size_t n_chunks;
};

static double number(const json *v, double fallback) {
    double x;
    return json_number(v, &x) ? x : fallback;
}

static const float *truth_at(const struct set *s, const json *offset, size_t n) {
    const double off = number(offset, -1);
    return off >= 0 && off + (double)n <= (double)s->n_truth ? s->truth + (size_t)off : NULL;
}

static void compare(struct set *s, const char *what, const float *got, const json *offset,
                    size_t n) {
    const float *want = truth_at(s, offset, n);
    const double err = want != NULL ? check_nmse(got, want, n) : HUGE_VAL;
    check_that(s->c, want != NULL && err <= s->limit, s->name, "%s: NMSE %.3g above %.3g", what,
               err, s->limit);
}

/* ---- the prompt as cria makes it --------------------------------------------------------------
 */

static struct chunk *last_chunk(struct set *s, const struct cria_image *image) {
    struct chunk *last = s->n_chunks > 0 ? &s->chunks[s->n_chunks - 1] : NULL;
    if (image == NULL && last != NULL && last->image == NULL) return last;
    if (s->n_chunks == MAX_CHUNKS) return NULL;
    s->chunks[s->n_chunks] = (struct chunk){.image = image};
    return &s->chunks[s->n_chunks++];
}

static enum status add_text(struct set *s, const char *text, size_t len, bool first,
                            struct err *e) {
    const unsigned flags = VOCAB_PARSE_SPECIAL | (first ? VOCAB_ADD_SPECIAL : 0);
    struct chunk *c = last_chunk(s, NULL);
    if (c == NULL) return err_set(e, ST_LIMIT, "too many chunks");
    return vocab_encode(cria_engine_vocab(s->eng), text, len, flags, &c->tokens, e);
}

static enum status make_chunks(struct set *s, const char *text, const struct cria_encoded *enc,
                               struct err *e) {
    static const char mark[] = "<__media__>";
    const char *at = strstr(text, mark);
    if (at == NULL) return err_set(e, ST_FORMAT, "no place for a picture in '%s'", text);
    enum status st = add_text(s, text, (size_t)(at - text), true, e);
    for (size_t i = 0; st == ST_OK && i < enc->n_parts; i++) {
        const struct cria_picture_part *p = &enc->parts[i];
        if (p->text != NULL)
            st = add_text(s, p->text, strlen(p->text), false, e);
        else if (last_chunk(s, p->image) == NULL)
            st = err_set(e, ST_LIMIT, "too many chunks");
    }
    at += strlen(mark);
    return st == ST_OK ? add_text(s, at, strlen(at), false, e) : st;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static void check_tokens(struct set *s, const struct chunk *c, const json *want, size_t number_) {
    const json *ids = json_get(want, "tokens");
    size_t i = 0;
    bool same = c->image == NULL && json_len(ids) == c->tokens.len;
    for (const json *x = json_first(ids); same && x != NULL; x = json_next(x), i++)
        same = (token_id)number(x, -1) == c->tokens.ids[i];
    check_that(s->c, same, s->name, "chunk %zu: other tokens", number_);
}

static void check_image(struct set *s, const struct chunk *c, const json *want, size_t number_) {
    const struct cria_image *x = c->image;
    bool non_causal = false;
    json_bool(json_get(want, "non_causal"), &non_causal);
    const bool same = x != NULL && x->n_rows == (uint32_t)number(json_get(want, "n_tokens"), 0) &&
                      x->n_positions == (uint32_t)number(json_get(want, "n_positions"), 0) &&
                      x->non_causal == non_causal &&
                      x->n_out == (uint32_t)number(json_get(s->doc, "n_embd_out"), 0);
    if (!check_that(s->c, same, s->name, "chunk %zu: another kind of image (%u rows, %u positions)",
                    number_, x != NULL ? x->n_rows : 0, x != NULL ? x->n_positions : 0))
        return;
    const json *original = json_get(want, "embd_original_offset");
    compare(s, "rows", x->rows, original != NULL ? original : json_get(want, "embd_offset"),
            (size_t)x->n_rows * x->n_out);
}

/* Positions t, x, y of each row, counted by the sequence that the scheduler uses. */
static bool check_positions(struct set *s, struct sequence *seq, const struct chunk *c,
                            const json *want) {
    const uint32_t begin = (uint32_t)seq->tokens.len;
    const json *row = json_first(json_get(want, "decoder_positions_t_x_y"));
    bool ok = true;
    for (size_t i = 0; c->image == NULL && ok && i < c->tokens.len; i++)
        ok = seq_add(seq, c->tokens.ids[i]);
    if (c->image != NULL) ok = seq_add_image(seq, c->image);
    for (uint32_t i = begin; row != NULL && ok; row = json_next(row), i++) {
        const struct position p = seq_position(seq, i);
        const json *t = json_first(row), *x = json_next(t), *y = json_next(x);
        ok = i < seq->tokens.len && p.at[0] == (uint32_t)number(t, -1) &&
             p.at[2] == (uint32_t)number(x, -1) && p.at[1] == (uint32_t)number(y, -1);
    }
    return check_that(s->c, ok, s->name, "an image has other positions");
}

static bool check_chunks(struct set *s, const json *one) {
    const json *want = json_first(json_get(one, "chunks"));
    struct sequence seq = {0};
    size_t i = 0;
    for (; i < s->n_chunks && want != NULL; i++, want = json_next(want)) {
        const char *type = json_string(json_get(want, "type"));
        if (type != NULL && strcmp(type, "image") == 0)
            check_image(s, &s->chunks[i], want, i);
        else
            check_tokens(s, &s->chunks[i], want, i);
        check_positions(s, &seq, &s->chunks[i], want);
    }
    const uint32_t past = (uint32_t)number(json_get(one, "n_past_after"), 0);
    check_that(s->c, seq_position(&seq, (uint32_t)seq.tokens.len).at[0] == past, s->name,
               "the position behind the prompt is not %u", past);
    seq_free(&seq);
    return check_that(s->c, i == s->n_chunks && want == NULL, s->name,
                      "%zu chunks, not as recorded", s->n_chunks);
}

/* ---- the text model ---------------------------------------------------------------------------
 */

/* The recorded rows in place of ours, where they differ from the original's. */
static struct cria_image recorded(const struct set *s, const struct chunk *c, const json *want) {
    struct cria_image image = *c->image;
    const float *rows =
        truth_at(s, json_get(want, "embd_offset"), (size_t)image.n_rows * image.n_out);
    if (json_get(want, "embd_original_offset") != NULL && rows != NULL) image.rows = rows;
    return image;
}

static enum status eval(struct set *s, const json *one, float *logits, struct err *e) {
    const json *want = json_first(json_get(one, "chunks"));
    struct cria_timeline *tl = NULL;
    enum status st = cria_timeline_open(&tl, s->eng, e);
    for (size_t i = 0; st == ST_OK && i < s->n_chunks; i++, want = json_next(want)) {
        const struct chunk *c = &s->chunks[i];
        const bool last = i + 1 == s->n_chunks;
        if (c->image != NULL) {
            const struct cria_image image = recorded(s, c, want);
            st = cria_timeline_eval_image(tl, &image, e);
        } else {
            st = cria_timeline_eval(tl, c->tokens.ids, (uint32_t)c->tokens.len, last ? 1 : 0,
                                    logits, e);
        }
    }
    cria_timeline_close(tl);
    return st;
}

static void check_top(struct set *s, const json *top, const float *logits, uint32_t n) {
    double sum = 0;
    bool close = true;
    for (uint32_t i = 0; i < n; i++) sum += (double)logits[i] * (double)logits[i];
    const double most = 4 * sqrt(s->limit) * sqrt(sum / n);
    for (const json *x = json_first(top); x != NULL; x = json_next(x)) {
        const double id = number(json_first(x), -1), value = number(json_next(json_first(x)), 0);
        close = close && id >= 0 && id < n && fabs((double)logits[(uint32_t)id] - value) <= most;
    }
    check_that(s->c, close, s->name, "the largest logits are others");
}

static void check_logits(struct set *s, const json *one) {
    const uint32_t n = cria_engine_info(s->eng)->n_output;
    struct err e = {0};
    float *logits = mem_zalloc(n, sizeof *logits);
    if (check_that(s->c, eval(s, one, logits, &e) == ST_OK, s->name, "%s", e.msg)) {
        compare(s, "logits", logits, json_get(one, "logits_offset"), n);
        check_top(s, json_get(one, "top16"), logits, n);
    }
    mem_free(logits);
}

/* ---- one set ----------------------------------------------------------------------------------
 */

static void check_case(struct set *s, const json *one) {
    const char *file = json_string(json_get(one, "image")),
               *text = json_string(json_get(one, "text"));
    const struct cria_encoded *enc = NULL;
    struct picture picture = {0};
    struct err e = {0};
    size_t size;
    char *bytes = file != NULL ? check_read(s->c, s->dir, file, &size) : NULL;
    if (bytes == NULL || text == NULL) return;
    enum status st = picture_decode(bytes, size, NULL, &picture, &e);
    if (st == ST_OK) st = cria_vision_encode(s->vision, &picture, 0, NULL, &enc, &e);
    if (st == ST_OK) st = make_chunks(s, text, enc, &e);
    if (check_that(s->c, st == ST_OK, s->name, "%s: %s", file, e.msg) && check_chunks(s, one))
        check_logits(s, one);
    for (size_t i = 0; i < s->n_chunks; i++) token_list_free(&s->chunks[i].tokens);
    s->n_chunks = 0;
    cria_encoded_release(s->vision, enc);
    picture_free(&picture);
    mem_free(bytes);
}

static void run(struct set *s, const char *model) {
    const double least = number(json_get(s->doc, "image_min_tokens"), 0);
    const double most = number(json_get(s->doc, "image_max_tokens"), 0);
    const struct cria_vision_params vp = {least > 0 ? (uint32_t)least : 0,
                                          most > 0 ? (uint32_t)most : 0};
    struct cria_engine_params p = cria_engine_default_params();
    struct err e = {0};
    char path[8192];
    p.backend = s->c->backend;
    p.n_ctx = N_CTX;
    p.kv_type = DT_F32;
    snprintf(path, sizeof path, "%s/mmproj.gguf", s->dir);
    enum status st = cria_engine_open(&s->eng, model, &p, &e);
    if (st == ST_OK) st = cria_vision_open(&s->vision, s->eng, path, &vp, &e);
    if (check_that(s->c, st == ST_OK, s->name, "%s", e.msg))
        for (const json *x = json_first(json_get(s->doc, "cases")); x != NULL; x = json_next(x))
            check_case(s, x);
    cria_vision_close(s->vision);
    cria_engine_close(s->eng);
}

/* The text model stands beside the folder of the set, or in the published data. */
static bool find_model(const struct check *c, const char *dir, const char *name, char *path,
                       size_t size) {
    const char *const roots[] = {dir, c->base, "../shared/golden"};
    for (size_t i = 0; i < 3; i++) {
        if (roots[i] == NULL) continue;
        snprintf(path, size, "%s%s/%s", roots[i], i == 0 ? "/.." : "", name);
        if (check_exists(path, "model.gguf")) {
            snprintf(path + strlen(path), size - strlen(path), "/model.gguf");
            return true;
        }
    }
    return false;
}

static void check_set(struct check *c, const char *dir, const char *name, const char *root) {
    char model[8192];
    size_t size;
    json *doc = check_read_json(c, dir, "expected.json");
    char *truth = doc != NULL ? check_read(c, dir, "expected.bin", &size) : NULL;
    const char *text_model = json_string(json_get(doc, "text_model"));
    if (truth != NULL &&
        (text_model == NULL || !find_model(c, root, text_model, model, sizeof model)))
        check_skip(c, name, "its text model is not here");
    else if (truth != NULL) {
        struct set s = {.c = c,
                        .name = name,
                        .dir = dir,
                        .doc = doc,
                        .truth = (const float *)(void *)truth,
                        .n_truth = size / sizeof(float),
                        .limit = number(json_get(json_get(doc, "tolerance"), "nmse"), 1e-4)};
        run(&s, model);
    }
    mem_free(truth);
    json_free(doc);
}

void check_vision(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", dir, *n);
        if (check_exists(path, "expected.json")) check_set(c, path, *n, dir);
    }
    check_list_free(names);
}
