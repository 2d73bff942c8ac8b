/* pictures_test.c - tags, places and tokens of a prompt with pictures, with a tiny model of
 * golden/models and a projector of golden/vision; and that the prefix cache knows pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/pictures.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"

#define TEXT "golden/models/llama-base/model.gguf"
#define PROJECTOR "golden/vision/llava-mlp/mmproj.gguf"
static struct cria_engine *engine;
static struct cria_vision *vision;

static int setup(void **state) {
    struct cria_engine_params p = cria_engine_default_params();
    struct err e = {0};
    (void)state;
    p.n_ctx = 256;
    p.n_threads = 1;
    if (cria_engine_open(&engine, TEXT, &p, &e) != ST_OK ||
        cria_vision_open(&vision, engine, PROJECTOR, NULL, &e) != ST_OK) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cria_vision_close(vision);
    cria_engine_close(engine);
    return 0;
}

/* A JSON list of the files of golden/pictures, in base64; "!": broken. */
static json *list_of(const char *const *names, size_t n) {
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        char path[200], *data = NULL;
        size_t size = 0;
        buf_str(&b, i == 0 ? "[\"" : ",\"");
        snprintf(path, sizeof path, "golden/pictures/%s", names[i]);
        if (*names[i] == '!')
            buf_str(&b, names[i] + 1);
        else if (os_file_read(path, 1 << 20, &data, &size, NULL) == ST_OK)
            base64_put(&b, data, size);
        buf_chr(&b, '"');
        mem_free(data);
    }
    buf_chr(&b, ']');
    json *list = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    buf_free(&b);
    assert_non_null(list);
    return list;
}

static enum status read_list(struct pictures *p, const json *list, struct err *e) {
    const json *source[PICTURES_MAX + 1];
    size_t n = 0;
    for (const json *i = json_first(list); i != NULL; i = json_next(i)) source[n++] = i;
    return pictures_read(p, vision, source, n, 0, NULL, e);
}

/* What is in the list of tokens: text pieces as they are, images as {A} for rgb.png, {B}. */
static void print(struct buf *out, const struct pictures *p, const struct token_list *t) {
    const struct vocab *v = cria_engine_vocab(engine);
    size_t image = 0;
    for (size_t i = 0; i < t->len; i++) {
        size_t n;
        if (t->ids[i] == CRIA_TOKEN_IMAGE) {
            const bool first = p->images[image] == p->encoded[0]->parts[0].image;
            buf_str(out, first ? "{A}" : "{B}");
            image++;
        } else {
            const char *piece = vocab_piece(v, t->ids[i], true, &n);
            buf_add(out, piece, n);
        }
    }
    assert_int_equal(image, p->n_images);
    buf_str(out, "");
}

static void test_places(void **state) {
    (void)state;
    static const char *const names[] = {"rgb.png", "big.gif"};
    static const struct {
        size_t n;
        const char *text, *want; /* behind BOS */
    } row[] = {{1, "[img-0]the cat", "{A}the cat"},
               {1, "the [img-0] cat", "the {A} cat"},
               {1, "the cat", "{A}the cat"},
               {2, "[img-1]the[img-0]cat", "{B}the{A}cat"},
               {2, "the [img-1] cat", "{A}the {B} cat"},
               {2, "the cat", "{A}{B}the cat"},
               {1, "[img-0]the[img-0]cat", "{A}the{A}cat"},
               {1, "[img-0] [img-1] [img-] [img-00] [img-x] [img-9999999999999999999999]",
                "{A} [img-1] [img-] {A} [img-x] [img-9999999999999999999999]"},
               {1, "[img-[img-0]", "[img-{A}"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct vocab *v = cria_engine_vocab(engine);
        struct pictures p = {0};
        struct token_list t = {0};
        struct buf text = {0};
        struct err e = {0};
        json *list = list_of(names, row[i].n);
        assert_int_equal(read_list(&p, list, &e), ST_OK);
        const enum status st =
            pictures_tokenize(&p, v, row[i].text, strlen(row[i].text), false, &t, &e);
        if (strcmp(row[i].want + strlen(row[i].want) - 3, "{A}") == 0) {
            assert_int_equal(st, ST_INVALID);
            assert_non_null(strstr(e.msg, "text has to follow"));
        } else {
            assert_int_equal(st, ST_OK);
        }
        print(&text, &p, &t);
        size_t n_bos = 0;
        if (t.ids[0] == vocab_special(v)->bos) vocab_piece(v, t.ids[0], true, &n_bos);
        const char *got = text.data + n_bos;
        while (*got == ' ' && *row[i].want != ' ') got++; /* the vocabulary's own in front */
        struct buf spaceless[2] = {{0}, {0}};
        for (const char *s = got; *s != '\0'; s++)
            if (*s != ' ') buf_chr(&spaceless[0], *s);
        for (const char *s = row[i].want; *s != '\0'; s++)
            if (*s != ' ') buf_chr(&spaceless[1], *s);
        assert_string_equal(spaceless[0].data, spaceless[1].data);
        for (size_t k = 0; k < 2; k++) buf_free(&spaceless[k]);
        pictures_release(&p);
        token_list_free(&t);
        buf_free(&text);
        json_free(list);
    }
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *names[3];
        const char *error;
    } row[] = {{{"rgb.png", "!aGk=", "rgb.png"}, "image 2: neither PNG, JPEG, WebP, GIF nor BMP"},
               {{"!aGk", "rgb.png", "rgb.png"}, "image 1: illegal base64 data at input byte 0"},
               {{"rgb.png", "rgb.png", "!"}, "image 3: neither PNG, JPEG, WebP, GIF nor BMP"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct pictures p = {0};
        struct err e = {0};
        json *list = list_of(row[i].names, 3);
        assert_int_equal(read_list(&p, list, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].error);
        pictures_release(&p);
        json_free(list);
    }
    const json *many[PICTURES_MAX + 1] = {NULL};
    struct pictures p = {0};
    struct err e = {0};
    assert_int_equal(pictures_read(&p, vision, many, PICTURES_MAX + 1, 0, NULL, &e), ST_LIMIT);
    assert_string_equal(e.msg, "more than 128 images");
    pictures_release(&p);
}

static void test_cancelled(void **state) {
    (void)state;
    json *list = list_of((const char *const[]){"rgb.png"}, 1);
    const json *source = json_first(list);
    struct pictures p = {0};
    struct cancel c;
    struct err e = {0};
    cancel_init(&c);
    cancel_fire(&c);
    assert_int_equal(pictures_read(&p, vision, &source, 1, 0, &c, &e), ST_CANCELLED);
    assert_string_equal(e.msg, "request canceled");
    pictures_release(&p);
    cancel_destroy(&c);
    json_free(list);
}

/* Answers "the [img-0] cat" and tells how much of the prompt was cached. */
static token_id answer(const char *name, uint32_t *n_prompt, uint32_t *n_cached) {
    struct pictures p = {0};
    struct token_list t = {0};
    struct err e = {0};
    struct cria_generation *g;
    struct cria_chunk chunk;
    json *list = list_of(&name, 1);
    assert_int_equal(read_list(&p, list, &e), ST_OK);
    assert_int_equal(
        pictures_tokenize(&p, cria_engine_vocab(engine), "the [img-0] cat", 15, false, &t, &e),
        ST_OK);
    struct cria_request r = {.prompt = t.ids,
                             .n_prompt = t.len,
                             .images = p.images,
                             .n_images = p.n_images,
                             .sampler = sampler_default_params(),
                             .n_predict = 1};
    r.sampler.temperature = 0;
    assert_int_equal(cria_generation_start(&g, engine, &r, &e), ST_OK);
    do assert_int_equal(cria_generation_next(g, &chunk, &e), ST_OK);
    while (chunk.done == CRIA_RUNNING);
    *n_prompt = cria_generation_stats(g)->n_prompt;
    *n_cached = cria_generation_stats(g)->n_cached;
    assert_int_equal(*n_prompt, t.len + pictures_extra(&p));
    size_t n;
    const token_id *ids = cria_generation_tokens(g, &n);
    const token_id last = n > 0 ? ids[n - 1] : -1;
    cria_generation_free(g);
    pictures_release(&p);
    token_list_free(&t);
    json_free(list);
    return last;
}

static void test_prefix_cache(void **state) {
    (void)state;
    uint32_t n_prompt, n_cached, n_before;
    const token_id first = answer("rgb.png", &n_before, &n_cached);
    assert_int_equal(answer("rgb.png", &n_prompt, &n_cached), first);
    assert_int_equal(n_prompt, n_before);
    assert_int_equal(n_cached, n_prompt - 1); /* the last one gives the logits */
    answer("big.gif", &n_prompt, &n_cached);
    assert_true(n_cached < 8); /* BOS and what stands before the picture */
    assert_int_equal(answer("lossless.webp", &n_prompt, &n_cached), first); /* the same pixels */
    assert_int_equal(n_cached, n_prompt - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_cancelled),
                                       cmocka_unit_test(test_prefix_cache)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
