/* store_test.c - opening, finding, listing, copying, deleting, pruning, blobs; built-in models. */
#include "store/store.h"

#include <pthread.h>

#include "base/digest.h"
#include "store/testing.h"

/* ---- a store in a temporary folder ---- */

struct fixture {
    char dir[64];
    struct store *s;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    unsetenv("OLLAMA_NOPRUNE");
    unsetenv("CRIA_BUILTIN");
    make_dir_name(f->dir);
    assert_int_equal(store_open(&f->s, f->dir, NULL), ST_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    store_close(f->s);
    remove_tree(f->dir);
    free(f);
    return 0;
}

static struct model_name named(const char *text) {
    struct model_name n;
    name_parse(&n, text);
    return n;
}

/* Stores a blob; its digest goes to out. */
static void put_blob(struct store *s, const char *text, char out[STORE_DIGEST_TEXT]) {
    struct store_upload *u;
    assert_int_equal(store_blob_begin(s, &u, NULL), ST_OK);
    assert_int_equal(store_blob_write(u, text, strlen(text), NULL), ST_OK);
    assert_int_equal(store_blob_commit(u, NULL, out, NULL), ST_OK);
}

static const char *blob_file(const char *digest, char out[128]) {
    snprintf(out, 128, "blobs/sha256-%s", digest + 7);
    return out;
}

static bool has_blob(const struct fixture *f, const char *digest) {
    char file[128];
    return exists(f->dir, blob_file(digest, file));
}

/* A model made by hand, as another program would: a model layer, a system layer, a config. */
static void put_model(struct fixture *f, const char *path, const char *weights,
                      const char *system) {
    char model[STORE_DIGEST_TEXT], text[STORE_DIGEST_TEXT], config[STORE_DIGEST_TEXT];
    char rest[512];
    put_blob(f->s, weights, model);
    put_blob(f->s, system, text);
    put_blob(f->s, "{\"model_format\":\"gguf\",\"model_family\":\"llama\",\"file_type\":\"F16\"}\n",
             config);
    struct buf b = {0};
    buf_printf(&b,
               "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"c\",\"digest\":\"%s\",\"size\":9},"
               "\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":"
               "\"%s\",\"size\":10,\"from\":\"parent:latest\"},{\"mediaType\":"
               "\"application/vnd.ollama.image.system\",\"digest\":\"%s\",\"size\":20}]}",
               config, model, text);
    snprintf(rest, sizeof rest, "manifests/registry.ollama.ai/library/%s", path);
    put_file(f->dir, rest, b.data);
    buf_free(&b);
}

/* ---- opening ---- */

static void opens_by_environment(void **state UNUSED) {
    char home[64], path[128];
    struct store *s;
    make_dir_name(home);
    char *old = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
    setenv("HOME", home, 1);
    unsetenv("OLLAMA_MODELS");
    assert_int_equal(store_open(&s, NULL, NULL), ST_OK);
    snprintf(path, sizeof path, "%s/.cria/models", home);
    assert_string_equal(store_dir(s), path);
    assert_true(exists(path, "blobs"));
    store_close(s);
    snprintf(path, sizeof path, "%s/.ollama/models", home);
    assert_int_equal(os_mkdirs(path, NULL), ST_OK);
    assert_int_equal(store_open(&s, NULL, NULL), ST_OK);
    assert_string_equal(store_dir(s), path);
    store_close(s);
    snprintf(path, sizeof path, " %s/own ", home);
    setenv("OLLAMA_MODELS", path, 1);
    assert_int_equal(store_open(&s, NULL, NULL), ST_OK);
    snprintf(path, sizeof path, "%s/own", home);
    assert_string_equal(store_dir(s), path);
    store_close(s);
    unsetenv("OLLAMA_MODELS");
    setenv("HOME", old, 1);
    free(old);
    remove_tree(home);
}

/* What cannot be written is a store without models, not an error. */
static void opens_unwritable(void **state UNUSED) {
    struct store *s;
    struct store_list l;
    assert_int_equal(store_open(&s, "/proc/no-such/models", NULL), ST_OK);
    assert_int_equal(store_list(s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, 0);
    store_list_free(&l);
    struct store_upload *u;
    struct err e;
    assert_int_not_equal(store_blob_begin(s, &u, &e), ST_OK);
    store_close(s);
}

static void renames_old_blobs(void **state) {
    struct fixture *f = *state;
    put_file(f->dir,
             "blobs/sha256:0000000000000000000000000000000000000000000000000000000000000001", "x");
    store_close(f->s);
    assert_int_equal(store_open(&f->s, f->dir, NULL), ST_OK);
    assert_true(exists(f->dir, "blobs/sha256-"
                               "0000000000000000000000000000000000000000000000000000000000000001"));
}

/* ---- finding ---- */

static void resolves(void **state) {
    struct fixture *f = *state;
    struct store_model m;
    struct err e;
    put_model(f, "Mixed/Tag", "weights", "be brief");
    struct model_name n = named("mIXED:tAG");
    assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_OK);
    assert_string_equal(m.entry.name.model, "Mixed");
    assert_string_equal(m.entry.name.tag, "Tag");
    assert_string_equal(m.entry.parent_model, "parent:latest");
    assert_string_equal(m.entry.config.model_family, "llama");
    assert_string_equal(m.entry.config.renderer, "");
    assert_int_equal(m.entry.size, 39);
    assert_int_equal(m.n_layers, 2);
    assert_string_equal(m.system.ptr, "be brief");
    assert_false(m.has_template);
    assert_string_equal(m.template.ptr, "");
    assert_null(m.params);
    assert_true(os_file_exists(m.model_path));
    char hex[65], path[256];
    snprintf(path, sizeof path, "%s/manifests/registry.ollama.ai/library/Mixed/Tag", f->dir);
    assert_int_equal(digest_of_file(path, hex, NULL), ST_OK);
    assert_string_equal(m.entry.digest, hex);
    store_model_free(&m);
    n = named("mixed");
    assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_NOT_FOUND);
    assert_string_equal(e.msg, "model 'Mixed:latest' not found");
    n = named("../mixed");
    assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_INVALID);
    assert_string_equal(e.msg, "invalid model name");
}

static void spells_by_parts(void **state) {
    struct fixture *f = *state;
    put_model(f, "Abc/Latest", "w", "s");
    put_model(f, "abc/v1", "w", "s");
    struct model_name n = named("ABC:LATEST");
    assert_int_equal(store_spell(f->s, &n, NULL), ST_OK);
    assert_string_equal(n.model, "Abc"); /* the whole name is stored */
    n = named("abc:V1");
    assert_int_equal(store_spell(f->s, &n, NULL), ST_OK);
    assert_string_equal(n.tag, "v1");
    n = named("Abc:v2"); /* new: each part that exists so stays */
    assert_int_equal(store_spell(f->s, &n, NULL), ST_OK);
    assert_string_equal(n.model, "Abc");
    n = named("Library/New:LATEST");
    assert_int_equal(store_spell(f->s, &n, NULL), ST_OK);
    assert_string_equal(n.namespace, "library");
    assert_string_equal(n.model, "New");
    assert_string_equal(n.tag, "Latest");
}

static void damaged_models(void **state) {
    struct fixture *f = *state;
    struct store_list l;
    struct store_model m;
    struct err e;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"layers\":{}}",
        "{\"layers\":[{}]}",
        "{\"config\":{\"digest\":\"sha256:../../../../../../../../../../../../../../../../etc/"
        "passwd\",\"size\":1}}",
        "{\"layers\":[{\"mediaType\":\"m\",\"digest\":\"sha256:0000000000000000000000000000000000"
        "000000000000000000000000000000\",\"size\":-1}]}"};
    put_model(f, "good/latest", "w", "s");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char path[256];
        snprintf(path, sizeof path, "manifests/registry.ollama.ai/library/bad/t%zu", i);
        put_file(f->dir, path, texts[i]);
        snprintf(path, sizeof path, "bad:t%zu", i);
        struct model_name n = named(path);
        assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_FORMAT);
        assert_true(strncmp(e.msg, "manifest of 'bad:t", 18) == 0);
    }
    assert_int_equal(store_list(f->s, &l, &e), ST_OK);
    assert_int_equal(l.n_entries, 1);
    store_list_free(&l);
    /* A damaged model can be deleted. */
    struct model_name n = named("bad:t1");
    assert_int_equal(store_delete(f->s, &n, &e), ST_OK);
    assert_false(exists(f->dir, "manifests/registry.ollama.ai/library/bad/t1"));
    /* A missing text blob is a failure, not "model not found". */
    char digest[STORE_DIGEST_TEXT], file[128], path[256];
    put_blob(f->s, "s", digest);
    snprintf(path, sizeof path, "%s/%s", f->dir, blob_file(digest, file));
    unlink(path);
    n = named("good");
    assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_IO);
}

static void lists_newest_first(void **state) {
    struct fixture *f = *state;
    struct store_list l;
    put_model(f, "b/latest", "w", "s");
    put_model(f, "a/latest", "w", "s");
    put_model(f, "c/latest", "w", "s");
    put_file(f->dir, "manifests/registry.ollama.ai/library/c/bad tag", "{}");
    put_file(f->dir, "manifests/registry.ollama.ai/library/c/deep/er", "{}");
    put_file(f->dir, "manifests/.tmp-0123", "{}");
    make_old(f->dir, "manifests/registry.ollama.ai/library/b/latest", 3);
    make_old(f->dir, "manifests/registry.ollama.ai/library/a/latest", 2);
    assert_int_equal(store_list(f->s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, 3);
    assert_string_equal(l.entries[0].name.model, "c");
    assert_string_equal(l.entries[1].name.model, "a");
    assert_string_equal(l.entries[2].name.model, "b");
    assert_string_equal(l.entries[0].config.file_type, "F16");
    store_list_free(&l);
}

/* ---- copy, delete ---- */

static void copies(void **state) {
    struct fixture *f = *state;
    struct store_model m;
    struct err e;
    char old_system[STORE_DIGEST_TEXT];
    put_model(f, "src/latest", "w", "s");
    put_model(f, "Dst/latest", "w", "other");
    put_blob(f->s, "other", old_system);
    struct model_name from = named("SRC"), to = named("dst:two");
    assert_int_equal(store_copy(f->s, &from, &to, &e), ST_OK);
    assert_true(exists(f->dir, "manifests/registry.ollama.ai/library/Dst/two"));
    to = named("dst");
    assert_int_equal(store_copy(f->s, &from, &to, &e), ST_OK); /* over an existing one */
    assert_int_equal(store_resolve(f->s, &to, &m, &e), ST_OK);
    assert_string_equal(m.system.ptr, "s");
    store_model_free(&m);
    assert_false(has_blob(f, old_system));
    to = named("SRC:LATEST");
    assert_int_equal(store_copy(f->s, &from, &to, &e), ST_OK); /* onto itself */
    from = named("none");
    assert_int_equal(store_copy(f->s, &from, &to, &e), ST_NOT_FOUND);
    to = named("a/b/c/d");
    assert_int_equal(store_copy(f->s, &from, &to, &e), ST_INVALID);
}

static void deletes(void **state) {
    struct fixture *f = *state;
    struct err e;
    char weights[STORE_DIGEST_TEXT], one[STORE_DIGEST_TEXT], two[STORE_DIGEST_TEXT];
    put_model(f, "m/one", "shared", "system one");
    put_model(f, "m/two", "shared", "system two");
    put_blob(f->s, "shared", weights);
    put_blob(f->s, "system one", one);
    put_blob(f->s, "system two", two);
    struct model_name n = named("M:One");
    assert_int_equal(store_delete(f->s, &n, &e), ST_OK);
    assert_false(has_blob(f, one));
    assert_true(has_blob(f, two) && has_blob(f, weights));
    assert_int_equal(store_delete(f->s, &n, &e), ST_NOT_FOUND);
    n = named("m:two");
    assert_int_equal(store_delete(f->s, &n, &e), ST_OK);
    assert_false(has_blob(f, two) || has_blob(f, weights));
    assert_false(exists(f->dir, "manifests/registry.ollama.ai"));
    assert_true(exists(f->dir, "manifests"));
}

/* ---- pruning ---- */

#define HEX(d) "00000000000000000000000000000000000000000000000000000000000000" d

static void make_litter(struct fixture *f) {
    put_model(f, "m/latest", "weights", "system");
    static const char *const files[] = {"blobs/sha256-" HEX("01"), "blobs/tmp-1",
                                        "blobs/sha256-" HEX("02") "-partial",
                                        "blobs/sha256-" HEX("02") "-partial-0", "manifests/.tmp-1"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put_file(f->dir, files[i], "x");
        make_old(f->dir, files[i], 2);
    }
    put_file(f->dir, "blobs/sha256-" HEX("03"), "x"); /* young: perhaps an upload */
    put_file(f->dir, "blobs/sha256-" HEX("04") "-partial", "x");
    make_old(f->dir, "blobs/sha256-" HEX("04") "-partial", 8 * 24);
    put_file(f->dir, "manifests/h/n/gone/x", "x");
    char path[256];
    snprintf(path, sizeof path, "%s/manifests/h/n/gone/x", f->dir);
    unlink(path);
}

static void prunes(void **state) {
    struct fixture *f = *state;
    char weights[STORE_DIGEST_TEXT], file[128];
    make_litter(f);
    put_blob(f->s, "weights", weights);
    make_old(f->dir, blob_file(weights, file), 1000);
    assert_int_equal(store_prune(f->s, NULL), ST_OK);
    assert_true(has_blob(f, weights));
    assert_false(exists(f->dir, "blobs/sha256-" HEX("01")));
    assert_false(exists(f->dir, "blobs/tmp-1"));
    assert_false(exists(f->dir, "manifests/.tmp-1"));
    assert_true(exists(f->dir, "blobs/sha256-" HEX("02") "-partial"));
    assert_true(exists(f->dir, "blobs/sha256-" HEX("02") "-partial-0"));
    assert_true(exists(f->dir, "blobs/sha256-" HEX("03")));
    assert_false(exists(f->dir, "blobs/sha256-" HEX("04") "-partial"));
    assert_false(exists(f->dir, "manifests/h"));
    assert_true(exists(f->dir, "manifests/registry.ollama.ai/library/m/latest"));
}

static void prunes_nothing_in_doubt(void **state) {
    struct fixture *f = *state;
    make_litter(f);
    put_file(f->dir, "manifests/h/n/m/bad", "{");
    assert_int_equal(store_prune(f->s, NULL), ST_OK);
    assert_true(exists(f->dir, "blobs/sha256-" HEX("01")));
    struct model_name n = named("h/n/m:bad");
    assert_int_equal(store_delete(f->s, &n, NULL), ST_OK);
    setenv("OLLAMA_NOPRUNE", "1", 1);
    assert_int_equal(store_prune(f->s, NULL), ST_OK);
    assert_true(exists(f->dir, "blobs/sha256-" HEX("01")));
    unsetenv("OLLAMA_NOPRUNE");
    assert_int_equal(store_prune(f->s, NULL), ST_OK);
    assert_false(exists(f->dir, "blobs/sha256-" HEX("01")));
}

/* ---- blobs ---- */

#define HELLO "sha256:a0639d03e7e77d7630dffce7bfe26d51813d4c799f13821e5b6786e2736baaed"

static void blobs(void **state) {
    struct fixture *f = *state;
    struct store_upload *u;
    struct err e;
    uint64_t size = 0;
    char digest[STORE_DIGEST_TEXT];
    assert_int_equal(store_blob_stat(f->s, HELLO, NULL, &e), ST_NOT_FOUND);
    assert_string_equal(e.msg, "blob \"" HELLO "\" not found");
    assert_int_equal(store_blob_begin(f->s, &u, &e), ST_OK);
    assert_int_equal(store_blob_write(u, "hello ", 6, &e), ST_OK);
    assert_int_equal(store_blob_write(u, "blob\n", 5, &e), ST_OK);
    assert_int_equal(store_blob_commit(u, HELLO, digest, &e), ST_OK);
    assert_string_equal(digest, HELLO);
    assert_int_equal(store_blob_stat(f->s, "sha256-" HEX("01"), NULL, &e), ST_NOT_FOUND);
    assert_int_equal(store_blob_stat(f->s, HELLO, &size, &e), ST_OK);
    assert_int_equal(size, 11);
    /* A wrong digest: an error, and the data under its own name. */
    assert_int_equal(store_blob_begin(f->s, &u, &e), ST_OK);
    assert_int_equal(store_blob_commit(u, "sha256-" HEX("00"), NULL, &e), ST_INVALID);
    assert_string_equal(
        e.msg, "digest mismatch, expected \"sha256:" HEX(
                   "00") "\", got \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca"
                         "495991b7852b855\"");
    assert_int_equal(count_blobs(f->dir), 2);
    assert_int_equal(store_blob_begin(f->s, &u, &e), ST_OK);
    assert_int_equal(store_blob_write(u, "x", 1, &e), ST_OK);
    store_blob_abort(u);
    assert_int_equal(store_blob_begin(f->s, &u, &e), ST_OK);
    assert_int_equal(store_blob_commit(u, "sha256:zz", NULL, &e), ST_INVALID);
    assert_string_equal(e.msg, "invalid digest format");
    assert_int_equal(count_blobs(f->dir), 2);
}

static void digests(void **state UNUSED) {
    static const char *const bad[] = {"",
                                      "sha256",
                                      "sha256:",
                                      "md5:" HEX("00"),
                                      "sha256_" HEX("00"),
                                      "sha256:" HEX("0"),
                                      "sha256:" HEX("000"),
                                      "sha256:" HEX("0g"),
                                      "SHA256:" HEX("00"),
                                      "sha256:" HEX("0/")};
    char out[STORE_DIGEST_TEXT];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(store_digest_parse(bad[i], out, NULL), ST_INVALID);
    assert_int_equal(store_digest_parse("sha256-" HEX("aF"), out, NULL), ST_OK);
    assert_string_equal(out, "sha256:" HEX("aF"));
}

/* ---- built-in models ---- */

static void add_tiny(struct store *s, const struct buf *gguf) {
    struct store_builtin tiny = {.name = "cria-tiny",
                                 .gguf = gguf->data,
                                 .size = gguf->len,
                                 .template = "{{ .Prompt }}",
                                 .system = "Be kind.",
                                 .license = "CC0",
                                 .params = "{\"temperature\":0.5}",
                                 .modified_ns = 1000000000};
    assert_int_equal(store_add_builtin(s, &tiny, NULL), ST_OK);
}

static void builtin_is_seen(void **state) {
    struct fixture *f = *state;
    struct store_list l;
    struct store_model m;
    struct err e;
    struct buf gguf = make_gguf("llama", NULL, NULL);
    add_tiny(f->s, &gguf);
    put_model(f, "other/latest", "w", "s");
    assert_int_equal(store_list(f->s, &l, &e), ST_OK);
    assert_int_equal(l.n_entries, 2);
    assert_true(l.entries[1].builtin);
    assert_string_equal(l.entries[1].config.model_family, "llama");
    assert_string_equal(l.entries[1].config.model_type, "32");
    store_list_free(&l);
    struct model_name n = named("CRIA-Tiny");
    assert_true(store_has(f->s, &n));
    assert_int_equal(store_resolve(f->s, &n, &m, &e), ST_OK);
    assert_string_equal(m.entry.name.model, "cria-tiny");
    assert_ptr_equal(m.model_data, gguf.data);
    assert_null(m.model_path);
    assert_string_equal(m.template.ptr, "{{ .Prompt }}");
    assert_string_equal(m.licenses[0].ptr, "CC0");
    double t;
    assert_true(json_number(json_get(m.params, "temperature"), &t));
    store_model_free(&m);
    assert_int_equal(store_delete(f->s, &n, &e), ST_INVALID);
    assert_string_equal(e.msg, "model 'cria-tiny:latest' is built in and cannot be deleted");
    buf_free(&gguf);
}

static void builtin_is_copied(void **state) {
    struct fixture *f = *state;
    struct store_model m;
    struct err e;
    char id[65];
    struct buf gguf = make_gguf("llama", NULL, NULL);
    add_tiny(f->s, &gguf);
    struct model_name tiny = named("cria-tiny"), mine = named("mine");
    assert_int_equal(store_resolve(f->s, &tiny, &m, &e), ST_OK);
    memcpy(id, m.entry.digest, sizeof id);
    store_model_free(&m);
    assert_int_equal(store_copy(f->s, &tiny, &mine, &e), ST_OK);
    assert_int_equal(store_resolve(f->s, &mine, &m, &e), ST_OK);
    assert_string_equal(m.entry.digest, id); /* the same manifest, byte for byte */
    assert_false(m.entry.builtin);
    assert_non_null(m.model_path);
    assert_string_equal(m.system.ptr, "Be kind.");
    assert_string_equal(m.entry.config.model_type, "32");
    store_model_free(&m);
    assert_int_equal(store_copy(f->s, &tiny, &tiny, &e), ST_OK); /* now it is stored, too */
    assert_int_equal(store_resolve(f->s, &tiny, &m, &e), ST_OK);
    assert_false(m.entry.builtin);
    store_model_free(&m);
    assert_int_equal(store_delete(f->s, &tiny, &e), ST_OK); /* and can be deleted */
    assert_int_equal(store_resolve(f->s, &tiny, &m, &e), ST_OK);
    assert_true(m.entry.builtin);
    store_model_free(&m);
    buf_free(&gguf);
}

static void builtin_is_hidden(void **state) {
    struct fixture *f = *state;
    struct store *s;
    struct store_list l;
    struct store_model m;
    struct buf gguf = make_gguf("llama", NULL, NULL);
    setenv("CRIA_BUILTIN", "0", 1);
    assert_int_equal(store_open(&s, f->dir, NULL), ST_OK);
    add_tiny(s, &gguf);
    assert_int_equal(store_list(s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, 0);
    store_list_free(&l);
    struct model_name n = named("cria-tiny");
    assert_int_equal(store_resolve(s, &n, &m, NULL), ST_NOT_FOUND);
    store_close(s);
    buf_free(&gguf);
}

/* ---- trouble ---- */

static enum status use_everything(struct fixture *f, const struct buf *gguf) {
    struct store *s;
    struct store_list l;
    struct store_model m;
    struct err e;
    struct model_name n = named("M"), tiny = named("cria-tiny");
    struct store_builtin b = {.name = "cria-tiny", .gguf = gguf->data, .size = gguf->len};
    enum status st = store_open(&s, f->dir, &e);
    if (st != ST_OK) return st;
    st = store_add_builtin(s, &b, &e);
    if (st == ST_OK && (st = store_list(s, &l, &e)) == ST_OK) store_list_free(&l);
    if (st == ST_OK && (st = store_resolve(s, &n, &m, &e)) == ST_OK) store_model_free(&m);
    if (st == ST_OK && (st = store_resolve(s, &tiny, &m, &e)) == ST_OK) store_model_free(&m);
    if (st == ST_OK) st = store_prune(s, &e);
    store_close(s);
    return st;
}

static void out_of_memory(void **state) {
    struct fixture *f = *state;
    struct buf gguf = make_gguf("llama", NULL, NULL);
    put_model(f, "m/latest", "w", "s");
    long live = mem_live();
    for (long n = 1;; n++) {
        mem_fail_at(n);
        enum status st = use_everything(f, &gguf);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        assert_true(n < 10000);
    }
    buf_free(&gguf);
}

static void *churn(void *arg) {
    struct fixture *f = arg;
    struct model_name from = named("base"), to = named("copy");
    for (int i = 0; i < 20; i++) {
        struct store_list l;
        enum status st = store_copy(f->s, &from, &to, NULL);
        if (st != ST_OK) return f;
        st = store_list(f->s, &l, NULL);
        if (st != ST_OK || l.n_entries == 0) return f;
        store_list_free(&l);
        st = store_delete(f->s, &to, NULL);
        if (st != ST_OK && st != ST_NOT_FOUND) return f;
    }
    return NULL;
}

static void threads(void **state) {
    struct fixture *f = *state;
    pthread_t t[3];
    struct store_model m;
    put_model(f, "base/latest", "w", "s");
    for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, churn, f);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    struct model_name n = named("base");
    assert_int_equal(store_resolve(f->s, &n, &m, NULL), ST_OK);
    store_model_free(&m);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_by_environment),
        cmocka_unit_test(opens_unwritable),
        IN_STORE(renames_old_blobs),
        IN_STORE(resolves),
        IN_STORE(spells_by_parts),
        IN_STORE(damaged_models),
        IN_STORE(lists_newest_first),
        IN_STORE(copies),
        IN_STORE(deletes),
        IN_STORE(prunes),
        IN_STORE(prunes_nothing_in_doubt),
        IN_STORE(blobs),
        cmocka_unit_test(digests),
        IN_STORE(builtin_is_seen),
        IN_STORE(builtin_is_copied),
        IN_STORE(builtin_is_hidden),
        IN_STORE(out_of_memory),
        IN_STORE(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
