/* archive_test.c - what is exported comes back bit for bit; what is broken, cut off, doubled or not
 * ours shows nothing and leaves nothing. */
#include "base/digest.h"
#include "store/archive.h"
#include "store/testing.h"

struct memory { /* an archive in memory */
    struct buf data;
    size_t at;
};

static enum status put(void *arg, const void *data, size_t n, struct err *e UNUSED) {
    buf_add(&((struct memory *)arg)->data, data, n);
    return ST_OK;
}

static enum status get(void *arg, void *out, size_t n, size_t *got, struct err *e UNUSED) {
    struct memory *m = arg;
    *got = m->data.len - m->at < n ? m->data.len - m->at : n;
    if (*got > 7) *got -= *got % 7; /* in pieces that fit nothing */
    if (*got > 0) memcpy(out, m->data.data + m->at, *got);
    m->at += *got;
    return ST_OK;
}

static void put_member(struct memory *m, const char *path, const char *text) {
    assert_int_equal(tar_put_file(put, m, path, strlen(text), NULL), ST_OK);
    put(m, text, strlen(text), NULL);
    tar_put_pad(put, m, strlen(text), NULL);
}

/* ---- tar ---- */

static void long_names_and_sizes(void **state UNUSED) {
    struct memory m = {.at = 0};
    struct tar_reader r = {.read = get, .arg = &m};
    struct tar_entry t;
    char name[900], room[64];
    bool end;
    size_t got;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    put_member(&m, name, "content");
    put_member(&m, "./short/", "x");
    assert_int_equal(tar_put_file(put, &m, "huge", (uint64_t)1 << 40, NULL), ST_OK);
    assert_int_equal(tar_next(&r, &t, &end, NULL), ST_OK);
    assert_string_equal(t.path, name);
    assert_int_equal(tar_read(&r, room, sizeof room, &got, NULL), ST_OK);
    assert_memory_equal(room, "content", 7);
    assert_int_equal(got, 7);
    assert_int_equal(tar_next(&r, &t, &end, NULL), ST_OK);
    assert_string_equal(t.path, "short"); /* and its content is passed over */
    assert_int_equal(tar_next(&r, &t, &end, NULL), ST_OK);
    assert_true(t.size == (uint64_t)1 << 40 && !end);
    assert_int_equal(tar_next(&r, &t, &end, NULL), ST_FORMAT); /* its bytes are not there */
    buf_free(&m.data);
}

static void the_systems_tar_reads_it(void **state UNUSED) {
    char dir[64], command[256], path[128], name[300], *text;
    struct memory m = {.at = 0};
    size_t len;
    make_dir_name(dir);
    memset(name, 'd', sizeof name);
    for (size_t i = 90; i < 280; i += 90) name[i] = '/';
    name[290] = '\0';
    put_member(&m, "a/short", "one");
    put_member(&m, name, "two");
    tar_put_end(put, &m, NULL);
    snprintf(path, sizeof path, "%s/x.tar", dir);
    assert_int_equal(os_file_write_atomic(path, m.data.data, m.data.len, NULL), ST_OK);
    snprintf(command, sizeof command, "cd %s && tar xf x.tar 2>err && ! test -s err", dir);
    if (system("tar --version >/dev/null 2>&1") != 0) skip();
    assert_int_equal(system(command), 0);
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", dir, name);
    assert_int_equal(os_file_read(whole, 100, &text, &len, NULL), ST_OK);
    assert_string_equal(text, "two");
    mem_free(text);
    buf_free(&m.data);
    remove_tree(dir);
}

/* ---- models ---- */

struct fixture {
    char dir[64];
    struct store *s;
};

static struct fixture open_fixture(void) {
    struct fixture f;
    make_dir_name(f.dir);
    assert_int_equal(store_open(&f.s, f.dir, NULL), ST_OK);
    return f;
}

static void close_fixture(struct fixture *f) {
    store_close(f->s);
    remove_tree(f->dir);
}

static struct model_name named(const char *text) {
    struct model_name n;
    assert_true(name_parse(&n, text));
    return n;
}

static void put_model(struct fixture *f, const char *name, const char *system) {
    struct buf gguf = make_gguf("llama", NULL, NULL);
    char digest[STORE_DIGEST_TEXT];
    struct store_upload *u;
    struct model_name n = named(name);
    assert_int_equal(store_blob_begin(f->s, &u, NULL), ST_OK);
    store_blob_write(u, gguf.data, gguf.len, NULL);
    assert_int_equal(store_blob_commit(u, NULL, digest, NULL), ST_OK);
    struct store_file files[] = {{"m.gguf", digest}};
    struct store_create_spec spec = {
        .name = &n, .has_files = true, .files = files, .n_files = 1, .system = system};
    assert_int_equal(store_create(f->s, &spec, NULL, NULL, NULL), ST_OK);
    buf_free(&gguf);
}

static void pack(struct fixture *f, struct memory *m) {
    struct model_name names[] = {named("one"), named("host/ns/two:tag"), named("one")};
    struct err e = {.msg = ""};
    if (store_export(f->s, names, 3, put, m, NULL, NULL, &e) != ST_OK) fail_msg("%s", e.msg);
}

static enum status unpack(struct fixture *f, struct memory *m, bool overwrite, struct err *e) {
    const struct store_import i = {.read = get, .read_arg = m, .overwrite = overwrite};
    m->at = 0;
    *e = (struct err){.msg = ""};
    return store_import(f->s, &i, e);
}

static void there_and_back(void **state UNUSED) {
    struct fixture a = open_fixture(), b = open_fixture();
    struct memory m = {.at = 0}, again = {.at = 0};
    struct err e;
    put_model(&a, "one", "first");
    put_model(&a, "host/ns/two:tag", "second");
    pack(&a, &m);
    assert_int_equal(unpack(&b, &m, false, &e), ST_OK);
    pack(&b, &again);
    assert_int_equal(again.data.len, m.data.len);
    assert_memory_equal(again.data.data, m.data.data, m.data.len);
    assert_int_equal(unpack(&b, &m, false, &e), ST_OK); /* the same again is no news */
    put_model(&b, "one", "other");
    assert_int_equal(unpack(&b, &m, false, &e), ST_EXISTS);
    assert_string_equal(e.msg, "model 'one:latest' is there already, and another one");
    assert_int_equal(unpack(&b, &m, true, &e), ST_OK);
    assert_int_equal(count_blobs(b.dir), 4); /* what the other one had is gone */
    buf_free(&m.data);
    buf_free(&again.data);
    close_fixture(&a);
    close_fixture(&b);
}

/* Nothing is to be seen, and no blob is left. */
static void assert_nothing(struct fixture *f) {
    struct store_list l;
    assert_int_equal(store_list(f->s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, 0);
    store_list_free(&l);
    assert_int_equal(count_blobs(f->dir), 0);
}

static void cut_off_anywhere(void **state UNUSED) {
    struct fixture a = open_fixture(), b = open_fixture();
    struct memory m = {.at = 0};
    struct err e;
    put_model(&a, "one", "first");
    put_model(&a, "host/ns/two:tag", "second");
    pack(&a, &m);
    const size_t whole = m.data.len;
    for (size_t n = 0; n < whole - 1024; n += n < 1500 ? 151 : 907) {
        m.data.len = n;
        enum status st = unpack(&b, &m, false, &e);
        if (st != ST_FORMAT) fail_msg("%zu bytes: %d %s", n, st, e.msg);
        assert_nothing(&b);
    }
    m.data.len = whole;
    assert_int_equal(unpack(&b, &m, false, &e), ST_OK);
    buf_free(&m.data);
    close_fixture(&a);
    close_fixture(&b);
}

/* Any byte changed: an error, or a change that does not matter (padding, times, owners). */
static void flipped_bytes(void **state UNUSED) {
    struct fixture a = open_fixture(), b = open_fixture();
    struct memory m = {.at = 0};
    struct err e;
    unsigned refused = 0, taken = 0;
    put_model(&a, "one", "first");
    put_model(&a, "host/ns/two:tag", "second");
    pack(&a, &m);
    for (size_t at = 3; at < m.data.len; at += 173) {
        struct store_list l;
        m.data.data[at] ^= 0x20;
        if (unpack(&b, &m, false, &e) != ST_OK) {
            refused++;
            assert_nothing(&b);
        } else {
            taken++;
            assert_int_equal(store_list(b.s, &l, NULL), ST_OK);
            for (size_t i = 0; i < l.n_entries; i++)
                assert_int_equal(store_delete(b.s, &l.entries[i].name, NULL), ST_OK);
            store_list_free(&l);
        }
        m.data.data[at] ^= 0x20;
    }
    assert_true(refused > 10 && taken > 2);
    buf_free(&m.data);
    close_fixture(&a);
    close_fixture(&b);
}

/* Zip slip and its relatives: members outside of the folder, links, doubles, strangers. */
static void sec_CVE_2024_45436(void **state UNUSED) {
    static const struct {
        const char *path, *error;
        char type;
    } row[] = {
        {"../evil", "neither a manifest nor a blob", '0'},
        {"/etc/passwd", "neither a manifest nor a blob", '0'},
        {"manifests/../../../evil", "not the path of a model", '0'},
        {"manifests/h/n/m/../t", "not the path of a model", '0'},
        {"manifests/h/n/../t", "not the path of a model", '0'},
        {"manifests/h/n/m", "not the path of a model", '0'},
        {"blobs/sha256-../../../etc/passwd", "not the name of a blob", '0'},
        {"blobs/../evil", "neither a manifest nor a blob", '0'},
        {"blobs/sha256-0000", "not the name of a blob", '0'},
        {"manifests/h/n/m/t", "is a link or a device", '1'},
        {"manifests/h/n/m/t", "is a link or a device", '2'},
        {"manifests/h/n/m/t", "is a link or a device", '3'},
        {"manifests/h/n/m/t", "is a link or a device", '6'},
        {"manifests/h/n/m/t", "is a link or a device", 'S'},
    };
    struct fixture f = open_fixture();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct memory m = {.at = 0};
        struct err e;
        put_member(&m, row[i].path, "text");
        m.data.data[156] = row[i].type;
        unsigned sum = 0; /* of the header, anew */
        memset(m.data.data + 148, ' ', 8);
        for (size_t k = 0; k < 512; k++) sum += (unsigned char)m.data.data[k];
        snprintf(m.data.data + 148, 8, "%06o", sum);
        tar_put_end(put, &m, NULL);
        assert_int_not_equal(unpack(&f, &m, false, &e), ST_OK);
        if (strstr(e.msg, row[i].error) == NULL) fail_msg("%s: %s", row[i].path, e.msg);
        assert_nothing(&f);
        buf_free(&m.data);
    }
    close_fixture(&f);
}

static void archives_that_lack_something(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct memory m = {.at = 0};
    struct err e;
    char text[512], hex[65];
    digest_of("abc", 3, hex, NULL);
    snprintf(
        text, sizeof text,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:%s\",\"size\":3},"
        "\"layers\":[]}",
        hex);
    put_member(&m, "manifests/h/n/m/t", text);
    assert_int_equal(unpack(&f, &m, false, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "needs sha256:"));
    char path[128];
    snprintf(path, sizeof path, "blobs/sha256-%s", hex);
    put_member(&m, path, "abd"); /* other content */
    assert_int_equal(unpack(&f, &m, false, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "digest mismatch"));
    assert_nothing(&f);
    buf_clear(&m.data);
    put_member(&m, "manifests/h/n/m/t", text);
    put_member(&m, path, "abc");
    put_member(&m, path, "abc");
    assert_int_equal(unpack(&f, &m, false, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "is there twice"));
    assert_nothing(&f);
    buf_clear(&m.data);
    assert_int_equal(unpack(&f, &m, false, &e), ST_FORMAT);
    assert_string_equal(e.msg, "archive: it holds no model");
    buf_free(&m.data);
    close_fixture(&f);
}

static void out_of_memory(void **state UNUSED) {
    struct fixture a = open_fixture(), b = open_fixture();
    struct memory m = {.at = 0};
    put_model(&a, "one", "first");
    put_model(&a, "host/ns/two:tag", "second");
    pack(&a, &m);
    enum status st = ST_NO_MEMORY;
    const long live = mem_live();
    for (long n = 1; st != ST_OK; n++) {
        struct err e;
        mem_fail_at(n);
        st = unpack(&b, &m, false, &e);
        mem_fail_at(0);
        if (st != ST_OK) assert_int_equal(st, ST_NO_MEMORY);
        assert_true(n < 10000);
    }
    assert_true(mem_live() <= live + 1); /* the list of verified blobs */
    buf_free(&m.data);
    close_fixture(&a);
    close_fixture(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_names_and_sizes),
        cmocka_unit_test(the_systems_tar_reads_it),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(cut_off_anywhere),
        cmocka_unit_test(flipped_bytes),
        cmocka_unit_test(sec_CVE_2024_45436),
        cmocka_unit_test(archives_that_lack_something),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
