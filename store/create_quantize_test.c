/* create_quantize_test.c - create with `quantize`, and from split GGUF files: status items, the new
 * blob, errors, and that a failure leaves nothing behind. */
#include "store/store.h"

#include "engine/file/gguf_write.h"
#include "store/testing.h"

struct fixture {
    char dir[64];
    struct store *s;
    struct buf status; /* "text digest total completed", one a line */
    int stop_at;       /* the item at which progress says no; -1: never */
    struct err e;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    unsetenv("OLLAMA_NOPRUNE");
    make_dir_name(f->dir);
    assert_int_equal(store_open(&f->s, f->dir, NULL), ST_OK);
    f->stop_at = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    store_close(f->s);
    buf_free(&f->status);
    remove_tree(f->dir);
    free(f);
    return 0;
}

/* ---- files ---- */

enum { N_COLS = 64, N_ROWS = 40 };

struct sketch { /* a model of some F16 tensors */
    uint32_t file_type;
    unsigned part, parts; /* of a split set; parts 0: none */
    int bad_number;       /* one value is infinite */
};

static void put_split(struct gguf_writer *w, const struct sketch *k) {
    uint16_t no = (uint16_t)k->part, count = (uint16_t)k->parts;
    if (k->parts == 0) return;
    gguf_put_scalar(w, "split.no", GGUF_U16, &no);
    gguf_put_scalar(w, "split.count", GGUF_U16, &count);
    gguf_put_scalar(w, "split.tensors.count", GGUF_I32, &(int32_t){(int32_t)k->parts * 2});
}

static enum status to_upload(void *arg, const void *data, size_t n, struct err *e) {
    return store_blob_write(arg, data, n, e);
}

static void upload(struct fixture *f, struct sketch k, char digest[STORE_DIGEST_TEXT]) {
    struct store_upload *u;
    struct gguf_writer *w;
    uint16_t data[N_ROWS][N_COLS];
    float norm[N_COLS] = {1};
    char name[2][64];
    for (int r = 0; r < N_ROWS; r++)
        for (int i = 0; i < N_COLS; i++) data[r][i] = f32_to_f16((float)((r * 7 + i) % 13 - 6));
    if (k.bad_number) data[3][5] = 0x7C00;
    snprintf(name[0], 64, "blk.%u.attn_q.weight", k.part);
    snprintf(name[1], 64, "blk.%u.attn_norm.weight", k.part);
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_text(w, "general.architecture", "llama");
    gguf_put_u32(w, "general.file_type", k.file_type);
    gguf_put_u32(w, "llama.block_count", 1);
    put_split(w, &k);
    gguf_add_tensor(w, gguf_str_of(name[0]), DT_F16, 2, (int64_t[]){N_COLS, N_ROWS});
    gguf_add_tensor(w, gguf_str_of(name[1]), DT_F32, 1, (int64_t[]){N_COLS});
    assert_int_equal(store_blob_begin(f->s, &u, NULL), ST_OK);
    assert_int_equal(gguf_write_to(w, to_upload, u, NULL), ST_OK);
    assert_int_equal(gguf_write_data(w, data, sizeof data, NULL), ST_OK);
    assert_int_equal(gguf_write_data(w, norm, sizeof norm, NULL), ST_OK);
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    assert_int_equal(store_blob_commit(u, NULL, digest, NULL), ST_OK);
    gguf_writer_free(w);
}

/* ---- create ---- */

static bool note_status(void *arg, const char *status, const char *digest, uint64_t total,
                        uint64_t completed) {
    struct fixture *f = arg;
    if (f->stop_at == 0) return false;
    if (f->stop_at > 0) f->stop_at--;
    buf_printf(&f->status, "%s %s %llu %llu\n", status, digest, (unsigned long long)total,
               (unsigned long long)completed);
    return true;
}

static enum status create(struct fixture *f, const char *name, struct store_create_spec spec) {
    struct model_name n;
    name_parse(&n, name);
    spec.name = &n;
    buf_clear(&f->status);
    f->e = (struct err){0};
    return store_create(f->s, &spec, note_status, f, &f->e);
}
#define CREATE(name, ...) create(f, name, (struct store_create_spec){__VA_ARGS__})
#define FILES(list) .has_files = true, .files = (list), .n_files = sizeof(list) / sizeof *(list)

static const struct model_name *named(const char *text) {
    static struct model_name n;
    name_parse(&n, text);
    return &n;
}

/* Opens a model's GGUF and gives its config's file type. */
static struct gguf *opened(struct fixture *f, const char *name, char file_type[16]) {
    struct store_model m;
    struct gguf *g = NULL;
    assert_int_equal(store_resolve(f->s, named(name), &m, &f->e), ST_OK);
    assert_int_equal(gguf_open(&g, m.model_path, NULL), ST_OK);
    snprintf(file_type, 16, "%s", m.entry.config.file_type);
    assert_string_equal(m.entry.parent_model, "");
    store_model_free(&m);
    return g;
}

static bool said(const struct fixture *f, const char *text) {
    return strstr(f->status.data, text) != NULL;
}

static void from_a_file(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT], type[16];
    upload(f, (struct sketch){.file_type = 1}, digest);
    struct store_file files[] = {{"m.gguf", digest}};
    assert_int_equal(CREATE("q", FILES(files), .quantize = "q8_0"), ST_OK);
    /* 40 rows of two blocks of 34 bytes, and the norm; each slice says how far it is. */
    assert_true(said(f, "quantizing F16 model to Q8_0 0000000000000000000 2976 "));
    assert_true(said(f, "quantizing F16 model to Q8_0 0000000000000000000 2976 2976\n"
                        "verifying conversion  0 0\n"));
    assert_true(said(f, "creating new layer sha256:"));
    struct gguf *g = opened(f, "q", type);
    assert_string_equal(type, "Q8_0");
    assert_string_equal(gguf_file_type_name(g), "Q8_0");
    assert_int_equal(gguf_find_tensor(g, "blk.0.attn_q.weight")->type, DT_Q8_0);
    assert_int_equal(gguf_find_tensor(g, "blk.0.attn_norm.weight")->type, DT_F32);
    gguf_close(g);
}

static void from_a_model(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT], type[16];
    upload(f, (struct sketch){.file_type = 1}, digest);
    struct store_file files[] = {{"m.gguf", digest}};
    assert_int_equal(CREATE("base", FILES(files)), ST_OK);
    assert_int_equal(CREATE("q", .from = named("base"), .quantize = "Q4_0"), ST_OK);
    struct gguf *g = opened(f, "q", type);
    assert_string_equal(type, "Q4_0");
    assert_int_equal(gguf_find_tensor(g, "blk.0.attn_q.weight")->type, DT_Q4_0);
    gguf_close(g);
    /* Equal level: the same blob, nothing said. */
    assert_int_equal(CREATE("same", .from = named("q"), .quantize = "q4_0"), ST_OK);
    assert_false(said(f, "quantizing"));
}

static void fails(struct fixture *f, const char *level, struct store_file file, const char *text) {
    struct store_file files[] = {file};
    const unsigned before = count_blobs(f->dir);
    assert_int_not_equal(CREATE("x", FILES(files), .quantize = level), ST_OK);
    if (strstr(f->e.msg, text) == NULL) fail_msg("\"%s\", expected \"%s\"", f->e.msg, text);
    assert_int_equal(count_blobs(f->dir), before);
    assert_false(store_has(f->s, named("x")));
}

static void errors_leave_nothing(void **state) {
    struct fixture *f = *state;
    char good[STORE_DIGEST_TEXT], q4[STORE_DIGEST_TEXT], bad[STORE_DIGEST_TEXT];
    upload(f, (struct sketch){.file_type = 1}, good);
    upload(f, (struct sketch){.file_type = 2}, q4);
    upload(f, (struct sketch){.file_type = 1, .bad_number = 1}, bad);
    fails(
        f, "q9_9", (struct store_file){"m.gguf", good},
        "unsupported quantization type Q9_9 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0");
    fails(f, "2", (struct store_file){"m.gguf", good}, "unsupported quantization type 2 - ");
    fails(f, "COPY", (struct store_file){"m.gguf", good}, "unsupported quantization type COPY - ");
    fails(f, "q8_0", (struct store_file){"m.gguf", q4},
          "quantization is only supported for F16, BF16 and F32 models");
    fails(f, "q8_0", (struct store_file){"m.gguf", bad},
          "tensor 'blk.0.attn_q.weight': row 3: holds a number that is not finite");
}

static void cancelled(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT];
    upload(f, (struct sketch){.file_type = 1}, digest);
    struct store_file files[] = {{"m.gguf", digest}};
    for (int n = 0; n < 9; n++) {
        f->stop_at = n;
        enum status st = CREATE("x", FILES(files), .quantize = "q8_0", .system = "S");
        if (st == ST_OK) break;
        assert_int_equal(st, ST_CANCELLED);
        assert_int_equal(count_blobs(f->dir), 1);
        assert_false(store_has(f->s, named("x")));
        assert_true(n < 8);
    }
}

/* ---- split sets ---- */

static void merged(void **state) {
    struct fixture *f = *state;
    char a[STORE_DIGEST_TEXT], b[STORE_DIGEST_TEXT], type[16];
    upload(f, (struct sketch){.file_type = 1, .part = 0, .parts = 2}, a);
    upload(f, (struct sketch){.file_type = 1, .part = 1, .parts = 2}, b);
    struct store_file files[] = {{"m-00002-of-00002.gguf", b}, {"m-00001-of-00002.gguf", a}};
    assert_int_equal(CREATE("m", FILES(files)), ST_OK);
    struct gguf *g = opened(f, "m", type);
    assert_int_equal(gguf_n_tensors(g), 4);
    assert_null(gguf_find(g, "split.count"));
    assert_null(gguf_find(g, "split.no"));
    assert_int_equal(gguf_find_tensor(g, "blk.1.attn_q.weight")->size, 2 * N_COLS * N_ROWS);
    gguf_close(g);
    const unsigned before = count_blobs(f->dir);
    assert_int_equal(CREATE("q", FILES(files), .quantize = "q8_0"), ST_OK);
    g = opened(f, "q", type);
    assert_string_equal(type, "Q8_0");
    assert_int_equal(gguf_n_tensors(g), 4);
    gguf_close(g);
    /* The new weights and their config; the merged file is there already and stays. */
    assert_int_equal(count_blobs(f->dir), before + 2);
}

static void split_errors(void **state) {
    struct fixture *f = *state;
    char a[STORE_DIGEST_TEXT], b[STORE_DIGEST_TEXT];
    upload(f, (struct sketch){.part = 0, .parts = 2}, a);
    upload(f, (struct sketch){.part = 1, .parts = 2}, b);
    struct store_file p[] = {{"m-00001-of-00002.gguf", a}, {"m-00002-of-00002.gguf", b}};
    static const char *const rows[][3] = {
        {"m.gguf", "n.gguf", "\"m.gguf\" must use llama.cpp split filename pattern"},
        {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "has 2 shards, expected 3"},
        {"m-00001-of-00001.gguf", "m-00002-of-00001.gguf", "filename count 1 does not match "},
        {"m-00002-of-00002.gguf", "m-00001-of-00002.gguf", "filename index 2 does not match "},
        {"m-00001-of-00002.gguf", "n-00002-of-00002.gguf", "has 1 shards, expected 2"},
        {"m-00001-of-00002.gguf", "m-00000-of-00002.gguf", "has 2 shards, expected 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_file files[] = {{rows[i][0], a}, {rows[i][1], b}};
        assert_int_equal(CREATE("x", FILES(files)), ST_INVALID);
        if (strstr(f->e.msg, rows[i][2]) == NULL)
            fail_msg("\"%s\", expected \"%s\"", f->e.msg, rows[i][2]);
    }
    struct store_file twice[] = {p[0], p[0]}, second[] = {p[1], {"other.gguf", a}};
    assert_int_equal(CREATE("x", FILES(twice)), ST_INVALID);
    assert_string_equal(f->e.msg, "split GGUF has duplicate shard index 1");
    assert_int_equal(CREATE("x", FILES(second)), ST_INVALID);
    assert_string_equal(f->e.msg, "split GGUF is missing first shard");
    assert_int_equal(count_blobs(f->dir), 2);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_STORE(from_a_file), IN_STORE(from_a_model), IN_STORE(errors_leave_nothing),
        IN_STORE(cancelled),   IN_STORE(merged),       IN_STORE(split_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
