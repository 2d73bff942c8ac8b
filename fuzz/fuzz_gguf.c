/* fuzz_gguf.c - any bytes as a GGUF file.
 *
 * Refused: status, class and message are there and no memory is left behind. Accepted: everything
 * that the reader hands out lies inside the input (first and last bytes are touched, for ASan),
 * look-ups find what the lists hold, the getters answer without crashing, and the same bytes open
 * again to the same content. What the writer makes of it opens again, too, with the same pairs and
 * tensors, and so does the copy of the copy, byte for byte. The checks of split sets answer. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf_write.h"
#include "fuzz/fuzz.h"

struct range {
    const unsigned char *begin, *end;
};

static unsigned touched; /* makes the reads count */

static void touch(struct range file, const void *at, size_t n) {
    const unsigned char *p = at;
    must(p >= file.begin && p <= file.end);
    must(n <= (size_t)(file.end - p));
    if (n != 0) touched += (unsigned)p[0] + (unsigned)p[n - 1];
}

static void check_element(const struct gguf *g, struct range file, const struct gguf_kv *kv,
                          uint64_t i) {
    if (kv->elem == GGUF_STRING) {
        struct gguf_str s = gguf_elem_str(g, kv, i);
        touch(file, s.ptr, s.len);
    } else {
        if (kv->elem == GGUF_BOOL || gguf_is_int(kv->elem))
            touched += (unsigned)gguf_elem_int(kv, i);
        if (gguf_is_int(kv->elem) || gguf_is_float(kv->elem)) touched += gguf_elem_float(kv, i) > 0;
    }
}

/* Every getter on every key: one type fits, the others must refuse and say so. */
static void check_getters(const struct gguf *g, const struct gguf_kv *kv, const char *key) {
    uint32_t u;
    int64_t n;
    float f;
    bool b;
    struct gguf_str s;
    struct err e = {0};
    bool is_number = gguf_is_int(kv->type) || gguf_is_float(kv->type);
    if (gguf_get_u32(g, key, &u, &e) == ST_OK)
        must(gguf_is_int(kv->type));
    else
        must(e.code == ST_FORMAT && e.msg[0] != '\0');
    if (gguf_get_i64(g, key, &n, &e) == ST_OK) must(n == gguf_elem_int(kv, 0));
    if (gguf_get_f32(g, key, &f, &e) == ST_OK) must(is_number);
    must((gguf_get_bool(g, key, &b, &e) == ST_OK) == (kv->type == GGUF_BOOL));
    must((gguf_get_str(g, key, &s, &e) == ST_OK) == (kv->type == GGUF_STRING));
}

static void check_pair(const struct gguf *g, struct range file, const struct gguf_kv *kv) {
    must(kv->key.len > 0 && kv->key.len <= 65535);
    must(kv->type < GGUF_TYPE_COUNT && kv->elem < GGUF_TYPE_COUNT && kv->elem != GGUF_ARRAY);
    must(kv->type == GGUF_ARRAY || (kv->type == kv->elem && kv->count == 1));
    touch(file, kv->key.ptr, kv->key.len);
    for (uint64_t i = 0; i < kv->count; i++) check_element(g, file, kv, i);
    char *key = mem_strndup(kv->key.ptr, kv->key.len);
    must(key != NULL && gguf_find(g, key) == kv);
    check_getters(g, kv, key);
    mem_free(key);
}

static void check_tensor(const struct gguf *g, struct range file, const struct gguf_tensor *t) {
    char name[64] = "";
    must(t->name.len > 0 && t->name.len <= 63 && t->n_dims <= 4);
    touch(file, t->name.ptr, t->name.len);
    memcpy(name, t->name.ptr, t->name.len);
    must(gguf_find_tensor(g, name) == t);
    touch(file, t->data, t->size);
    must(t->size == 0 || t->data == file.begin + gguf_data_offset(g) + t->offset);
    must(t->offset % gguf_alignment(g) == 0);
    uint64_t elems = 1;
    for (int d = 0; d < 4; d++) {
        must(t->dim[d] >= 0 && ((uint32_t)d < t->n_dims || t->dim[d] == 1));
        elems *= (uint64_t)t->dim[d];
    }
    const struct dtype_info *info = dtype_info(t->type);
    must(info != NULL && elems % info->elems == 0);
    must(t->size == elems / info->elems * info->bytes);
}

static void check_all(const struct gguf *g, struct range file) {
    must(gguf_version(g) == 2 || gguf_version(g) == 3);
    must(gguf_file_size(g) == (size_t)(file.end - file.begin));
    for (size_t i = 0; i < gguf_n_kv(g); i++) check_pair(g, file, gguf_kv_at(g, i));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) check_tensor(g, file, gguf_tensor_at(g, i));
    must(gguf_file_type_name(g)[0] != '\0');
    touched += (unsigned)gguf_parameter_count(g);
    must(gguf_find(g, "no such key") == NULL || gguf_n_kv(g) > 0);
}

/* -- the writer -------------------------------------------------------------------------------- */

static void write_copy(const struct gguf *g, struct buf *b) {
    struct gguf_writer *w;
    must(gguf_writer_new(&w, NULL) == ST_OK);
    gguf_put_all(w, g);
    gguf_add_tensors(w, g);
    must(gguf_write_to(w, gguf_to_buf, b, NULL) == ST_OK);
    must(gguf_write_tensors(w, g, NULL) == ST_OK);
    must(gguf_write_finish(w, NULL) == ST_OK && gguf_writer_size(w) == b->len);
    gguf_writer_free(w);
}

static void check_same(const struct gguf *a, const struct gguf *b) {
    must(gguf_n_kv(a) == gguf_n_kv(b) && gguf_n_tensors(a) == gguf_n_tensors(b));
    for (size_t i = 0; i < gguf_n_kv(a); i++) {
        const struct gguf_kv *x = gguf_kv_at(a, i), *y = gguf_kv_at(b, i);
        must(x->type == y->type && x->elem == y->elem && x->count == y->count);
        must(x->key.len == y->key.len && memcmp(x->key.ptr, y->key.ptr, x->key.len) == 0);
    }
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        must(x->type == y->type && x->size == y->size && x->offset == y->offset);
        must(memcmp(x->dim, y->dim, sizeof x->dim) == 0);
        must(memcmp(x->data, y->data, x->size) == 0);
    }
}

static void check_writer(const struct gguf *g) {
    struct buf one = {0}, two = {0};
    struct gguf *copy = NULL;
    write_copy(g, &one);
    must(gguf_open_memory(&copy, one.data, one.len, "copy", NULL) == ST_OK);
    check_same(g, copy);
    write_copy(copy, &two);
    must(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    gguf_close(copy);
    buf_free(&one);
    buf_free(&two);
}

static void check_split(const struct gguf *g) {
    uint32_t count = 0;
    struct err e = {0};
    enum status st = gguf_split_count(g, &count, &e);
    must(st == ST_OK ? count >= 1 && count <= 65535 : e.msg[0] != '\0');
    if (gguf_check_set(g, &e) == ST_OK) must(count == 1); /* one part is a set only by itself */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf *g = NULL;
    struct err e = {0};
    struct range file = {data, data + size};
    long live = mem_live();
    enum status st = gguf_open_memory(&g, data, size, "input", &e);
    if (st == ST_OK) {
        must(gguf_error_class()[0] == '\0');
        check_all(g, file);
        check_writer(g);
        check_split(g);
        gguf_close(g);
    } else {
        must(g == NULL && e.code == st && strncmp(e.msg, "input: ", 7) == 0);
        must(gguf_error_class()[0] != '\0' || st == ST_NO_MEMORY);
    }
    must(mem_live() == live);
    return 0;
}
