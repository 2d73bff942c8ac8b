/* testing.h - what the tests of convert/ share: model folders in memory, and what becomes of them.
 * Static functions only; included by *_test.c and by nothing else. */
#ifndef CRIA_ENGINE_CONVERT_TESTING_H
#define CRIA_ENGINE_CONVERT_TESTING_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/convert/convert.h"

/* ---- folders in memory ---- */

enum { MAX_FILES = 12 };

struct folder {
    struct convert_file files[MAX_FILES];
    struct buf text[MAX_FILES];
    size_t n;
    struct buf header, data; /* of the safetensors file that is being made */
};

static inline void add_file(struct folder *d, const char *name, const char *text, size_t n) {
    struct buf *b = &d->text[d->n];
    buf_add(b, text, n);
    d->files[d->n++] = (struct convert_file){.name = name, .data = b->data, .size = b->len};
}

static inline void add_text(struct folder *d, const char *name, const char *text) {
    add_file(d, name, text, strlen(text));
}

static inline void add_tensor(struct folder *d, const char *name, const char *dtype,
                              const char *shape, const void *data, size_t n) {
    buf_printf(&d->header, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
               d->header.len == 0 ? '{' : ',', name, dtype, shape, d->data.len, d->data.len + n);
    buf_add(&d->data, data, n);
}

/* Rows of counting values: element i is i. */
static inline void add_f32(struct folder *d, const char *name, const char *shape, size_t n) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)i;
    add_tensor(d, name, "F32", shape, x, n * sizeof *x);
    free(x);
}

static inline void end_tensors(struct folder *d, const char *file) {
    struct buf b = {0};
    buf_chr(&d->header, '}');
    for (int i = 0; i < 8; i++) buf_chr(&b, (char)(d->header.len >> (8 * i)));
    buf_add(&b, d->header.data, d->header.len);
    buf_add(&b, d->data.data, d->data.len);
    add_file(d, file, b.data, b.len);
    buf_free(&b);
    buf_clear(&d->header);
    buf_clear(&d->data);
}

static inline void free_folder(struct folder *d) {
    for (size_t i = 0; i < d->n; i++) buf_free(&d->text[i]);
    buf_free(&d->header);
    buf_free(&d->data);
}

static const char plain_tokenizer[] =
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1}}}";

/* ---- conversion ---- */

static inline enum status collect(void *arg, const void *data, size_t n, struct err *e) {
    buf_add(arg, data, n);
    return ((struct buf *)arg)->failed ? err_no_memory(e) : ST_OK;
}

struct result {
    struct buf bytes;
    struct gguf *g;
    struct err e;
    enum status st;
};

static inline struct result convert(const struct folder *d, const struct gguf *base) {
    const struct convert_spec spec = {.files = d->files, .n_files = d->n, .base = base};
    struct result r = {0};
    struct conversion *c;
    r.st =
        base != NULL ? convert_open_adapter(&c, &spec, &r.e) : convert_open_model(&c, &spec, &r.e);
    if (r.st != ST_OK) return r;
    r.st = convert_write(c, CONVERT_MODEL, collect, &r.bytes, &r.e);
    convert_free(c);
    if (r.st == ST_OK) r.st = gguf_open_memory(&r.g, r.bytes.data, r.bytes.len, "out", &r.e);
    return r;
}

static inline void free_result(struct result *r) {
    gguf_close(r->g);
    buf_free(&r->bytes);
}

static inline struct result must_convert(const struct folder *d) {
    struct result r = convert(d, NULL);
    if (r.st != ST_OK) fail_msg("%s", r.e.msg);
    return r;
}

static inline void assert_refused(const struct folder *d, const char *message) {
    struct result r = convert(d, NULL);
    assert_int_not_equal(r.st, ST_OK);
    if (strstr(r.e.msg, message) == NULL) fail_msg("'%s', want '%s'", r.e.msg, message);
    free_result(&r);
}

/* Element i of a tensor of any float type. */
static inline float at(const struct result *r, const char *name, size_t i) {
    const struct gguf_tensor *t = gguf_find_tensor(r->g, name);
    if (t == NULL) fail_msg("no tensor %s", name);
    const struct dtype_info *info = dtype_info(t->type);
    float x;
    info->decode(t->data + i * info->bytes, &x, 1);
    return x;
}

static inline enum dtype type_of(const struct result *r, const char *name) {
    const struct gguf_tensor *t = gguf_find_tensor(r->g, name);
    if (t == NULL) fail_msg("no tensor %s", name);
    return t->type;
}

#define LLAMA(more)                                                                                \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":8,\"num_hidden_layers\":1,"         \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1" more "}"

static inline void start(struct folder *d, const char *config) {
    *d = (struct folder){0};
    add_text(d, "config.json", config);
    add_text(d, "tokenizer.json", plain_tokenizer);
}

#endif
