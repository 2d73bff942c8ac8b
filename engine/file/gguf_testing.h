/* gguf_testing.h - for tests: a small writer of GGUF files, right or wrong, and what opening them
 * must say. */
#ifndef CRIA_ENGINE_FILE_GGUF_TESTING_H
#define CRIA_ENGINE_FILE_GGUF_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf.h"

/* -- a small writer ---------------------------------------------------------------------------- */

static inline void put(struct buf *b, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++) buf_chr(b, (char)(v >> (8 * i)));
}
static inline void put_text(struct buf *b, const char *s, size_t n) {
    put(b, n, 8);
    buf_add(b, s, n);
}
static inline void header(struct buf *b, uint64_t n_tensors, uint64_t n_kv) {
    buf_str(b, "GGUF");
    put(b, 3, 4);
    put(b, n_tensors, 8);
    put(b, n_kv, 8);
}
static inline void key(struct buf *b, const char *name, uint32_t type) {
    put_text(b, name, strlen(name));
    put(b, type, 4);
}
static inline void pair(struct buf *b, const char *name, enum gguf_type type, uint64_t bits,
                        unsigned n) {
    key(b, name, type);
    put(b, bits, n);
}
static inline void pair_u32(struct buf *b, const char *name, uint32_t v) {
    pair(b, name, GGUF_U32, v, 4);
}
static inline void pair_str(struct buf *b, const char *name, const char *v) {
    key(b, name, GGUF_STRING);
    put_text(b, v, strlen(v));
}
static inline void pair_f64(struct buf *b, const char *name, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    pair(b, name, GGUF_F64, bits, 8);
}
static inline void array(struct buf *b, const char *name, uint32_t elem, uint64_t n) {
    key(b, name, GGUF_ARRAY);
    put(b, elem, 4);
    put(b, n, 8);
}
static inline void tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *dim,
                          uint32_t type, uint64_t offset) {
    put_text(b, name, strlen(name));
    put(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) put(b, dim[i], 8);
    put(b, type, 4);
    put(b, offset, 8);
}
static inline void row(struct buf *b, const char *name, uint64_t n, uint32_t type,
                       uint64_t offset) {
    tensor(b, name, 1, &n, type, offset);
}
static inline void pad(struct buf *b, size_t align) {
    while (b->len % align != 0) buf_chr(b, '\0');
}
static inline void zeros(struct buf *b, size_t n) {
    while (n-- > 0) buf_chr(b, '\0');
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Opens the buffer's exact bytes from the heap, so that ASan sees every read past the end. */
static inline enum status open_copy(struct gguf **g, const char *data, size_t n, char **copy,
                                    struct err *e) {
    *copy = mem_alloc(n);
    if (n != 0) memcpy(*copy, data, n);
    return gguf_open_memory(g, *copy, n, "t.gguf", e);
}

/* The file must be refused with this class, status and a message that has the text. Frees it. */
static inline void refuse_as(struct buf *b, const char *class, enum status code, const char *text) {
    struct gguf *g = NULL;
    struct err e = {0};
    char *copy;
    assert_false(b->failed);
    long live = mem_live();
    enum status st = open_copy(&g, b->data, b->len, &copy, &e);
    mem_free(copy);
    assert_null(g);
    assert_string_equal(gguf_error_class(), class);
    assert_int_equal(st, code);
    assert_int_equal(e.code, code);
    if (strncmp(e.msg, "t.gguf: ", 8) != 0 || strstr(e.msg, text) == NULL)
        fail_msg("message is \"%s\", expected \"%s\" in it", e.msg, text);
    assert_int_equal(mem_live(), live);
    buf_free(b);
}
static inline void refuse(struct buf *b, const char *class, const char *text) {
    refuse_as(b, class, ST_FORMAT, text);
}

static inline struct gguf *accept(const struct buf *b) {
    struct gguf *g = NULL;
    struct err e = {0};
    assert_false(b->failed);
    if (gguf_open_memory(&g, b->data, b->len, "t.gguf", &e) != ST_OK) fail_msg("%s", e.msg);
    assert_string_equal(gguf_error_class(), "");
    return g;
}

#endif
