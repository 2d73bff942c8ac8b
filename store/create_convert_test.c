/* create_convert_test.c - create from safetensors: status items, layers, adapters, FP8, errors, and
 * that a failure leaves nothing behind. The folders are those of golden/convert. */
#include <dirent.h>

#include "store/store.h"

#include "engine/file/gguf.h"
#include "store/testing.h"

#define GOLDEN "golden/convert/"

enum { MAX_FILES = 24 };

struct folder {
    struct store_file list[MAX_FILES];
    char name[MAX_FILES][128], digest[MAX_FILES][STORE_DIGEST_TEXT];
    size_t n;
};

struct fixture {
    char dir[64];
    struct store *s;
    struct folder folder;
    struct buf status; /* one a line; digests cut off */
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

/* ---- uploads ---- */

static void add_bytes(struct fixture *f, const char *name, const void *data, size_t n) {
    struct store_upload *u;
    struct folder *d = &f->folder;
    snprintf(d->name[d->n], sizeof d->name[0], "%s", name);
    assert_int_equal(store_blob_begin(f->s, &u, NULL), ST_OK);
    assert_int_equal(store_blob_write(u, data, n, NULL), ST_OK);
    assert_int_equal(store_blob_commit(u, NULL, d->digest[d->n], NULL), ST_OK);
    d->list[d->n] = (struct store_file){d->name[d->n], d->digest[d->n]};
    d->n++;
}

static void add_folder(struct fixture *f, const char *path, const char *prefix) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        print_message("%s is not here: run from the repository root\n", path);
        skip();
    }
    for (struct dirent *ent; (ent = readdir(dir)) != NULL;) {
        char full[512], name[512], *data;
        size_t n;
        snprintf(full, sizeof full, "%s/%s", path, ent->d_name);
        snprintf(name, sizeof name, "%s%s", prefix, ent->d_name);
        if (ent->d_name[0] == '.') continue;
        if (ent->d_type == DT_DIR) {
            snprintf(name, sizeof name, "%s%s/", prefix, ent->d_name);
            add_folder(f, full, name);
            continue;
        }
        assert_int_equal(os_file_read(full, 1 << 24, &data, &n, NULL), ST_OK);
        add_bytes(f, name, data, n);
        mem_free(data);
    }
    closedir(dir);
}

static void use_folder(struct fixture *f, const char *name) {
    char path[256];
    snprintf(path, sizeof path, GOLDEN "%s/hf", name);
    f->folder.n = 0;
    add_folder(f, path, "");
}

static void drop_file(struct fixture *f, const char *name) {
    struct folder *d = &f->folder;
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->list[i].path, name) != 0) continue;
        d->n--;
        memcpy(d->name[i], d->name[d->n], sizeof d->name[0]);
        memcpy(d->digest[i], d->digest[d->n], sizeof d->digest[0]);
        return;
    }
}

/* ---- create ---- */

static bool note_status(void *arg, const char *status, const char *digest UNUSED,
                        uint64_t total UNUSED, uint64_t completed UNUSED) {
    struct fixture *f = arg;
    if (f->stop_at == 0) return false;
    if (f->stop_at > 0) f->stop_at--;
    const char *colon = strstr(status, " sha256:");
    buf_add(&f->status, status, colon != NULL ? (size_t)(colon - status) : strlen(status));
    buf_chr(&f->status, '\n');
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
#define FILES .has_files = true, .files = f->folder.list, .n_files = f->folder.n

static const struct model_name *named(const char *text) {
    static struct model_name n;
    name_parse(&n, text);
    return &n;
}

static struct store_model model(struct fixture *f, const char *name) {
    struct store_model m;
    assert_int_equal(store_resolve(f->s, named(name), &m, &f->e), ST_OK);
    return m;
}

static void assert_fails(struct fixture *f, const char *message) {
    const unsigned before = count_blobs(f->dir);
    const enum status st = CREATE("bad", FILES);
    assert_int_not_equal(st, ST_OK);
    if (strstr(f->e.msg, message) == NULL) fail_msg("'%s', want '%s'", f->e.msg, message);
    assert_int_equal(count_blobs(f->dir), before);
    assert_false(store_has(f->s, named("bad")));
}

/* ---- models ---- */

static void a_model(void **state) {
    struct fixture *f = *state;
    struct gguf *g;
    use_folder(f, "llama3_bf16_2shards");
    assert_int_equal(CREATE("m", FILES, .system = "S"), ST_OK);
    assert_string_equal(f->status.data, "converting model\nverifying conversion\n"
                                        "creating new layer\ncreating new layer\n"
                                        "writing manifest\nsuccess\n");
    struct store_model m = model(f, "m");
    assert_string_equal(m.entry.config.model_format, "gguf");
    assert_string_equal(m.entry.config.model_family, "llama");
    assert_string_equal(m.entry.config.file_type, "F16");
    assert_string_equal(m.layers[0].media_type, "application/vnd.ollama.image.model");
    assert_int_equal(gguf_open(&g, m.model_path, &f->e), ST_OK);
    assert_non_null(gguf_find_tensor(g, "blk.1.attn_q.weight"));
    gguf_close(g);
    char id[65];
    memcpy(id, m.entry.digest, sizeof id);
    store_model_free(&m);
    assert_int_equal(CREATE("again", FILES, .system = "S"), ST_OK); /* the same bytes */
    m = model(f, "again");
    assert_string_equal(m.entry.digest, id);
    store_model_free(&m);
}

static void a_projector(void **state) {
    struct fixture *f = *state;
    use_folder(f, "qwen3vl");
    assert_int_equal(CREATE("v", FILES), ST_OK);
    struct store_model m = model(f, "v");
    assert_int_equal(m.n_layers, 2);
    assert_string_equal(m.layers[1].media_type, "application/vnd.ollama.image.projector");
    assert_int_equal(m.n_projectors, 1);
    store_model_free(&m);
}

/* Folders in the folder: names with slashes. */
static void an_encoder(void **state) {
    struct fixture *f = *state;
    struct gguf *g;
    bool normalize = false;
    use_folder(f, "bert_mean");
    assert_int_equal(CREATE("e", FILES), ST_OK);
    struct store_model m = model(f, "e");
    assert_int_equal(gguf_open(&g, m.model_path, &f->e), ST_OK);
    assert_int_equal(gguf_get_bool(g, "bert.normalize_embeddings", &normalize, NULL), ST_OK);
    assert_true(normalize);
    gguf_close(g);
    store_model_free(&m);
}

static void fp8_becomes_q8_0(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama_fp8_block");
    assert_int_equal(CREATE("q", FILES), ST_OK);
    assert_non_null(strstr(f->status.data, "quantizing F16 model to Q8_0\n"));
    struct store_model m = model(f, "q");
    assert_string_equal(m.entry.config.file_type, "Q8_0");
    store_model_free(&m);
    assert_int_equal(CREATE("f", FILES, .quantize = "f16"), ST_OK);
    m = model(f, "f");
    assert_string_equal(m.entry.config.file_type, "F16");
    store_model_free(&m);
}

static void quantized(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama_spm_f16");
    assert_int_equal(CREATE("q", FILES, .quantize = "q8_0"), ST_OK);
    assert_non_null(strstr(f->status.data, "converting model\nverifying conversion\n"
                                           "quantizing F16 model to Q8_0\n"));
    struct store_model m = model(f, "q");
    assert_string_equal(m.entry.config.file_type, "Q8_0");
    store_model_free(&m);
}

/* ---- adapters ---- */

static void an_adapter(void **state) {
    struct fixture *f = *state;
    struct gguf *g;
    float alpha = 0;
    use_folder(f, "llama3_bf16_2shards");
    assert_int_equal(CREATE("base", FILES), ST_OK);
    use_folder(f, "lora_peft_llama");
    const struct model_name base = *named("base");
    assert_int_equal(
        CREATE("tuned", .from = &base, .adapters = f->folder.list, .n_adapters = f->folder.n),
        ST_OK);
    assert_non_null(strstr(f->status.data, "converting adapter\n"));
    struct store_model m = model(f, "tuned");
    assert_int_equal(m.n_adapters, 1);
    assert_int_equal(gguf_open(&g, m.adapters[0], &f->e), ST_OK);
    assert_int_equal(gguf_get_f32(g, "adapter.lora.alpha", &alpha, NULL), ST_OK);
    assert_true(alpha == 8);
    gguf_close(g);
    store_model_free(&m);
}

static void an_adapter_that_does_not_fit(void **state) {
    struct fixture *f = *state;
    use_folder(f, "qwen2_padded_vocab"); /* 32 wide, too, but its kv heads are not the adapter's */
    assert_int_equal(CREATE("base", FILES), ST_OK);
    use_folder(f, "gemma2");
    assert_int_equal(CREATE("other", FILES), ST_OK);
    use_folder(f, "lora_peft_llama");
    const struct model_name base = *named("other"); /* attention of 64 rows */
    assert_int_equal(
        CREATE("tuned", .from = &base, .adapters = f->folder.list, .n_adapters = f->folder.n),
        ST_FORMAT);
    assert_non_null(strstr(f->e.msg, "does not fit"));
}

/* ---- errors ---- */

static void broken_folders(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama3_bf16_2shards");
    drop_file(f, "model-00002-of-00002.safetensors");
    assert_fails(f, "missing shard model-00002-of-00002.safetensors");
    use_folder(f, "llama_spm_f16");
    drop_file(f, "config.json");
    assert_fails(f, "config.json");
    use_folder(f, "mixtral");
    drop_file(f, "tokenizer.json");
    assert_fails(f, "unknown tokenizer format");
    use_folder(f, "llama_spm_f16");
    drop_file(f, "config.json");
    add_bytes(f, "config.json", "{\"architectures\":[\"NoSuchModel\"]}", 33);
    assert_fails(f, "unsupported architecture \"NoSuchModel\"");
    use_folder(f, "llama_spm_f16");
    drop_file(f, "config.json");
    add_bytes(f, "config.json", "{\"architectures\":[]}", 20);
    assert_fails(f, "unknown architecture");
    use_folder(f, "llama_spm_f16");
    drop_file(f, "model.safetensors");
    add_bytes(f, "model.safetensors", "\x02\0\0\0\0\0\0\0{}x", 11);
    assert_fails(f, "model.safetensors: 1 bytes behind the last tensor");
    use_folder(f, "llama_spm_f16");
    drop_file(f, "model.safetensors");
    add_bytes(f, "pytorch_model.bin", "PK\3\4....", 8);
    assert_fails(f, "unknown tensor format");
}

/* A client that goes away, at each item: no blob of ours stays. */
static void cancelled(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama_spm_f16");
    const unsigned before = count_blobs(f->dir);
    for (int at = 0; at < 4; at++) {
        f->stop_at = at;
        assert_int_equal(CREATE("m", FILES), ST_CANCELLED);
        assert_int_equal(count_blobs(f->dir), before);
    }
    f->stop_at = -1;
    assert_int_equal(CREATE("m", FILES), ST_OK);
}

/* ---- known weaknesses of comparable servers ---- */

/* CVE-2024-39719 and CVE-2024-39722: the answer must not tell whether a file of the machine is
 * there. Paths of the request are names only: the same error for one that exists and one that does
 * not. */
static void sec_CVE_2024_39719(void **state) {
    struct fixture *f = *state;
    static const char *const paths[] = {"/etc/passwd",
                                        "/no/such/file",
                                        "../../etc/passwd",
                                        "a/../../etc/passwd",
                                        "./config.json",
                                        "a//b",
                                        ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        use_folder(f, "llama_spm_f16");
        f->folder.list[0].path = paths[i];
        assert_int_equal(CREATE("m", FILES), ST_INVALID);
        assert_string_equal(f->e.msg, "file path must be relative");
        assert_int_equal(f->status.len, 0);
    }
    /* A relative name of a file that exists in the working folder is not opened either. */
    use_folder(f, "llama_spm_f16");
    drop_file(f, "config.json");
    struct folder *d = &f->folder;
    d->list[d->n++] = (struct store_file){"CMakeLists.txt", d->list[0].digest};
    assert_fails(f, "open config.json: file does not exist");
}

/* CVE-2024-39721: a device in the place of a blob is refused, not read for ever. */
static void sec_CVE_2024_39721(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama_spm_f16");
    for (size_t i = 0; i < f->folder.n; i++) {
        if (strcmp(f->folder.list[i].path, "tokenizer.model") != 0) continue;
        char *path = store_blob_path(f->s, f->folder.list[i].digest, NULL);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/dev/zero", path), 0);
        mem_free(path);
    }
    assert_int_not_equal(CREATE("m", FILES), ST_OK);
    assert_non_null(strstr(f->e.msg, "is a link to /dev/zero, outside of the store"));
}

/* CVE-2024-45436: archives with members outside of their folder. Nothing is unpacked: a zip under
 * any name is no model. */
static void sec_CVE_2024_45436(void **state) {
    struct fixture *f = *state;
    static const char zip[] = "PK\x03\x04\x14\0\0\0\0\0\0\0\0\0........../../../../tmp/x";
    f->folder.n = 0;
    add_bytes(f, "model.zip", zip, sizeof zip);
    assert_fails(f, "unknown type");
    f->folder.n = 0;
    add_bytes(f, "config.json", "{\"architectures\":[\"LlamaForCausalLM\"]}", 39);
    add_bytes(f, "model.safetensors", zip, sizeof zip);
    assert_fails(f, "model.safetensors: header of");
}

/* CVE-2024-37032: digests are digests, also those of files that are converted. */
static void sec_CVE_2024_37032(void **state) {
    struct fixture *f = *state;
    use_folder(f, "llama_spm_f16");
    for (size_t i = 0; i < f->folder.n; i++)
        if (strcmp(f->folder.list[i].path, "config.json") == 0)
            f->folder.list[i].digest = "sha256:../../../../../../etc/passwd";
    assert_int_not_equal(CREATE("m", FILES), ST_OK);
    assert_string_equal(f->e.msg, "invalid digest format");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_model),
        TEST(a_projector),
        TEST(an_encoder),
        TEST(fp8_becomes_q8_0),
        TEST(quantized),
        TEST(an_adapter),
        TEST(an_adapter_that_does_not_fit),
        TEST(broken_folders),
        TEST(cancelled),
        TEST(sec_CVE_2024_39719),
        TEST(sec_CVE_2024_39721),
        TEST(sec_CVE_2024_45436),
        TEST(sec_CVE_2024_37032),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
