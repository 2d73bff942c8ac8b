/* pictures.c - see pictures.h. */
#include "api/pictures.h"

#include <string.h>

#include "api/prompt.h"
#include "base/base64.h"
#include "base/mem.h"

enum { MAX_FILE = 64 << 20 }; /* bytes of an image file, the decoder's limit, too */

/* ---- reading ---- */

static bool is_cancelled(void *cancel) { return cancel_fired(cancel); }

/* c may be NULL. */
static enum status read_one(struct cria_vision *v, const json *source, uint64_t domain,
                            struct cancel *c, const struct cria_encoded **out, struct err *e) {
    const struct cria_vision_stop stop = {is_cancelled, c};
    struct buf file = {0};
    struct picture picture = {0};
    size_t len = 0, bad;
    const char *text = json_string_n(source, &len);
    enum status st = ST_OK;
    if (text == NULL) return err_set(e, ST_INVALID, "no text of base64");
    if (len / 4 > MAX_FILE / 3)
        return err_set(e, ST_LIMIT, "a file of more than %d bytes", MAX_FILE);
    if (!base64_get(&file, text, len, &bad))
        st = err_set(e, ST_INVALID, "illegal base64 data at input byte %zu", bad);
    else if (file.failed)
        st = err_no_memory(e);
    if (st == ST_OK) st = picture_decode(file.data, file.len, NULL, &picture, e);
    buf_free(&file);
    if (st == ST_OK) st = cria_vision_encode(v, &picture, domain, c != NULL ? &stop : NULL, out, e);
    picture_free(&picture);
    return st;
}

enum status pictures_read(struct pictures *p, struct cria_vision *v, const json *const *source,
                          size_t n, uint64_t domain, struct cancel *c, struct err *e) {
    *p = (struct pictures){.vision = v};
    if (n > PICTURES_MAX) return err_set(e, ST_LIMIT, "more than %d images", PICTURES_MAX);
    p->encoded = mem_zalloc(n, sizeof(const struct cria_encoded *));
    if (p->encoded == NULL) return err_no_memory(e);
    for (p->n = 0; p->n < n; p->n++) {
        struct err why = {.code = ST_OK};
        if (c != NULL && cancel_fired(c)) return err_set(e, ST_CANCELLED, "request canceled");
        const enum status st = read_one(v, source[p->n], domain, c, &p->encoded[p->n], &why);
        if (st == ST_CANCELLED) return err_set(e, ST_CANCELLED, "request canceled");
        if (st == ST_NO_MEMORY || st == ST_INTERNAL)
            return err_set(e, st, "image %zu: %s", p->n + 1, why.msg);
        if (st != ST_OK) return err_set(e, ST_INVALID, "image %zu: %s", p->n + 1, why.msg);
    }
    return ST_OK;
}

void pictures_release(struct pictures *p) {
    for (size_t i = 0; i < p->n; i++) cria_encoded_release(p->vision, p->encoded[i]);
    mem_free(p->encoded);
    mem_free(p->images);
    *p = (struct pictures){0};
}

size_t pictures_extra(const struct pictures *p) {
    size_t rows = 0;
    for (size_t i = 0; i < p->n_images; i++) rows += p->images[i]->n_rows - 1;
    return rows;
}

/* ---- tokens ---- */

struct writer {
    struct pictures *p;
    const struct vocab *vocab;
    struct token_list *out;
};

static enum status put_text(struct writer *w, const char *text, size_t len, struct err *e) {
    return len == 0 ? ST_OK : vocab_encode(w->vocab, text, len, VOCAB_PARSE_SPECIAL, w->out, e);
}

static enum status put_token(struct token_list *t, token_id id, struct err *e) {
    return token_list_add(t, id) ? ST_OK : err_no_memory(e);
}

static enum status put_image(struct writer *w, const struct cria_image *image, struct err *e) {
    struct pictures *p = w->p;
    const struct cria_image **images = mem_grow(p->images, p->n_images + 1, sizeof *images);
    if (images == NULL) return err_no_memory(e);
    p->images = images;
    p->images[p->n_images++] = image;
    return put_token(w->out, CRIA_TOKEN_IMAGE, e);
}

static enum status put_picture(struct writer *w, size_t number, struct err *e) {
    const struct cria_encoded *enc = w->p->encoded[number];
    enum status st = ST_OK;
    for (size_t i = 0; i < enc->n_parts && st == ST_OK; i++) {
        const struct cria_picture_part *part = &enc->parts[i];
        st = part->text != NULL ? put_text(w, part->text, strlen(part->text), e)
                                : put_image(w, part->image, e);
    }
    return st;
}

/* The next "[img-N]" with an image N, or NULL; *end is behind it. */
static const char *find_tag(const char *text, const char *limit, size_t n, size_t *number,
                            const char **end) {
    static const char head[] = "[img-";
    const char *at = text;
    while ((at = memmem(at, (size_t)(limit - at), head, sizeof head - 1)) != NULL) {
        const char *p = at + sizeof head - 1, *digits = p;
        size_t value = 0;
        for (; p < limit && *p >= '0' && *p <= '9' && value < n; p++)
            value = value * 10 + (size_t)(*p - '0');
        if (p > digits && p < limit && *p == ']' && value < n) {
            *number = value;
            *end = p + 1;
            return at;
        }
        at = digits;
    }
    return NULL;
}

/* Images that no tag names, between BOS and the rest of the first piece. */
static enum status put_unplaced(struct writer *w, const char *text, const char *limit,
                                struct err *e) {
    bool placed[PICTURES_MAX] = {false};
    const size_t n = w->p->n;
    const struct vocab_special *special = vocab_special(w->vocab);
    struct token_list rest = {0};
    size_t number, n_placed = 0;
    for (const char *at = text, *end; find_tag(at, limit, n, &number, &end) != NULL; at = end) {
        n_placed += !placed[number];
        placed[number] = true;
    }
    if (n_placed == n) return ST_OK;
    const size_t keep = w->out->len > 0 && w->out->ids[0] == special->bos ? 1 : 0;
    enum status st = ST_OK;
    for (size_t i = keep; i < w->out->len && st == ST_OK; i++)
        st = put_token(&rest, w->out->ids[i], e);
    w->out->len = keep;
    for (size_t i = 0; i < n && st == ST_OK; i++)
        if (!placed[i]) st = put_picture(w, i, e);
    for (size_t i = 0; i < rest.len && st == ST_OK; i++) st = put_token(w->out, rest.ids[i], e);
    token_list_free(&rest);
    return st;
}

enum status pictures_tokenize(struct pictures *p, const struct vocab *v, const char *text,
                              size_t len, bool own_bos, struct token_list *out, struct err *e) {
    struct writer w = {p, v, out};
    const struct vocab_special *special = vocab_special(v);
    const char *limit = text + len, *end = limit;
    size_t number = 0;
    const char *tag = find_tag(text, limit, p->n, &number, &end);
    const size_t first = (size_t)((tag != NULL ? tag : limit) - text);
    enum status st = prompt_tokenize(v, text, first, own_bos, out, e);
    bool eos =
        st == ST_OK && special->add_eos && out->len > 0 && out->ids[out->len - 1] == special->eos;
    if (eos) out->len--; /* it belongs behind the last piece */
    if (st == ST_OK) st = put_unplaced(&w, text, limit, e);
    while (tag != NULL && st == ST_OK) {
        const char *from = end;
        st = put_picture(&w, number, e);
        tag = find_tag(from, limit, p->n, &number, &end);
        if (st == ST_OK) st = put_text(&w, from, (size_t)((tag != NULL ? tag : limit) - from), e);
    }
    if (st == ST_OK && eos) st = put_token(out, special->eos, e);
    if (st == ST_OK && out->len > 0 && out->ids[out->len - 1] == CRIA_TOKEN_IMAGE)
        return err_set(e, ST_INVALID, "the prompt ends with an image: text has to follow it");
    return st;
}
