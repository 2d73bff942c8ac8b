/* create_test.c - making models: status items, layers, config, merging, errors, and what is left
 * behind when something fails half-way. */
#include "store/store.h"

#include "base/digest.h"
#include "engine/file/gguf.h"
#include "store/testing.h"

/* ---- a store with one uploaded GGUF ---- */

struct fixture {
    char dir[64];
    struct store *s;
    struct buf gguf;
    char digest[STORE_DIGEST_TEXT];
    struct buf status; /* status items of the last create, one a line; digests cut to 4 digits */
    int stop_at;       /* the item at which progress says no; -1: never */
    struct err e;
};

static void upload(struct fixture *f, const struct buf *data, char out[STORE_DIGEST_TEXT]) {
    struct store_upload *u;
    assert_int_equal(store_blob_begin(f->s, &u, NULL), ST_OK);
    assert_int_equal(store_blob_write(u, data->data, data->len, NULL), ST_OK);
    assert_int_equal(store_blob_commit(u, NULL, out, NULL), ST_OK);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    unsetenv("OLLAMA_NOPRUNE");
    make_dir_name(f->dir);
    assert_int_equal(store_open(&f->s, f->dir, NULL), ST_OK);
    f->gguf = make_gguf("llama", NULL, NULL);
    f->stop_at = -1;
    upload(f, &f->gguf, f->digest);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    store_close(f->s);
    buf_free(&f->gguf);
    buf_free(&f->status);
    remove_tree(f->dir);
    free(f);
    return 0;
}

static bool note_status(void *arg, const char *status, const char *digest UNUSED,
                        uint64_t total UNUSED, uint64_t completed UNUSED) {
    struct fixture *f = arg;
    if (f->stop_at == 0) return false;
    if (f->stop_at > 0) f->stop_at--;
    const char *colon = strstr(status, "sha256:");
    buf_add(&f->status, status, colon != NULL ? (size_t)(colon - status) + 11 : strlen(status));
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

#define CREATE(f, name, ...) create(f, name, (struct store_create_spec){__VA_ARGS__})
#define OK(...) assert_int_equal(CREATE(f, __VA_ARGS__), ST_OK)
#define FILES(list) .has_files = true, .files = (list), .n_files = sizeof(list) / sizeof *(list)

static struct store_model model(struct fixture *f, const char *name) {
    struct model_name n;
    struct store_model m;
    name_parse(&n, name);
    assert_int_equal(store_resolve(f->s, &n, &m, &f->e), ST_OK);
    return m;
}

static const struct model_name *named(const char *text) {
    static struct model_name n;
    name_parse(&n, text);
    return &n;
}

static json *parse(const char *text) {
    json *v = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    assert_non_null(v);
    return v;
}

static void assert_json(const json *v, const char *text) {
    struct buf b = {0}, want = {0};
    json *other = parse(text); /* printed again: strings are escaped */
    json_print(&b, v);
    json_print(&want, other);
    assert_string_equal(b.data, want.data);
    json_free(other);
    buf_free(&b);
    buf_free(&want);
}

static char *config_text(struct fixture *f, const struct store_model *m) {
    char *path = store_blob_path(f->s, m->config_layer.digest, NULL), *text;
    size_t len;
    assert_int_equal(os_file_read(path, 1 << 20, &text, &len, NULL), ST_OK);
    mem_free(path);
    return text;
}

/* ---- from files ---- */

static void from_a_file(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"any-name", f->digest}};
    OK("made", FILES(files), .system = "S");
    struct buf want = {0};
    struct store_model m = model(f, "made");
    buf_printf(&want,
               "parsing GGUF\nverifying conversion\nusing existing layer %.11s\n"
               "creating new layer %.11s\nwriting manifest\nsuccess\n",
               f->digest, m.layers[1].digest);
    assert_string_equal(f->status.data, want.data);
    buf_free(&want);
    char *config = config_text(f, &m);
    assert_string_equal(config,
                        "{\"model_format\":\"gguf\",\"model_family\":\"llama\","
                        "\"model_families\":[\"llama\"],\"model_type\":\"32\",\"file_type\":"
                        "\"F32\",\"architecture\":\"amd64\",\"os\":\"linux\"}\n");
    mem_free(config);
    assert_string_equal(m.entry.parent_model, "");
    assert_string_equal(m.layers[0].digest, f->digest);
    assert_string_equal(m.layers[1].media_type, "application/vnd.ollama.image.system");
    assert_string_equal(m.system.ptr, "S");
    char id[65];
    memcpy(id, m.entry.digest, sizeof id);
    store_model_free(&m);
    OK("again", FILES(files), .system = "S"); /* the same bytes each time */
    m = model(f, "again");
    assert_string_equal(m.entry.digest, id);
    store_model_free(&m);
}

static void manifest_is_one_line(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    char path[256], *text, config[65];
    size_t len;
    OK("made:v1", FILES(files));
    snprintf(path, sizeof path, "%s/manifests/registry.ollama.ai/library/made/v1", f->dir);
    assert_int_equal(os_file_read(path, 1 << 20, &text, &len, NULL), ST_OK);
    struct store_model m = model(f, "made:v1");
    snprintf(config, sizeof config, "%s", m.config_layer.digest + 7);
    struct buf want = {0};
    buf_printf(&want,
               "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest."
               "v2+json\",\"config\":{\"mediaType\":\"application/vnd.docker.container.image.v1+"
               "json\",\"digest\":\"sha256:%s\",\"size\":%llu},\"layers\":[{\"mediaType\":"
               "\"application/vnd.ollama.image.model\",\"digest\":\"%s\",\"size\":%zu}]}\n",
               config, (unsigned long long)m.config_layer.size, f->digest, f->gguf.len);
    assert_string_equal(text, want.data);
    buf_free(&want);
    mem_free(text);
    store_model_free(&m);
}

static void kinds_of_gguf(void **state) {
    struct fixture *f = *state;
    char projector[STORE_DIGEST_TEXT], adapter[STORE_DIGEST_TEXT];
    struct buf p = make_gguf("clip", "mmproj", NULL), a = make_gguf("llama", "adapter", NULL);
    upload(f, &p, projector);
    upload(f, &a, adapter);
    struct store_file files[] = {{"mm.gguf", projector}, {"m.gguf", f->digest}};
    struct store_file adapters[] = {{"a", adapter}}, two[] = {{"a", adapter}, {"b", adapter}};
    OK("vision", FILES(files), .adapters = adapters, .n_adapters = 1, .drafts = adapters,
       .n_drafts = 1);
    struct store_model m = model(f, "vision");
    assert_int_equal(m.n_projectors, 1);
    assert_int_equal(m.n_adapters, 1);
    assert_int_equal(m.n_drafts, 1);
    assert_true(os_file_exists(m.projectors[0]));
    assert_string_equal(m.entry.config.model_family, "llama");
    assert_string_equal(m.entry.config.model_families[0], "clip");
    assert_string_equal(m.entry.config.model_families[1], "llama");
    store_model_free(&m);
    assert_int_equal(CREATE(f, "x", FILES(files), .adapters = two, .n_adapters = 2), ST_INVALID);
    assert_string_equal(f->e.msg, "only one adapter is currently supported");
    struct store_file lone[] = {{"mm.gguf", projector}};
    assert_int_equal(CREATE(f, "x", FILES(lone)), ST_INVALID);
    assert_string_equal(f->e.msg, "none of the files holds a model");
    buf_free(&p);
    buf_free(&a);
}

/* ---- from a model ---- */

static void from_a_model(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    const char *mit[] = {"MIT-like"}, *more[] = {"L1", "L2"};
    json *params = parse("{\"temperature\":0.5,\"stop\":[\"X\",\"Y z\"],\"num_ctx\":256}");
    json *messages = parse("[{\"role\":\"USER\",\"content\":\"hi\"},{\"role\":\"assistant\","
                           "\"content\":\"yo\",\"thinking\":\"no\"}]");
    json *other = parse("{\"temperature\":0.1,\"top_k\":3,\"own\":[1e-05,12345678901234567890]}");
    OK("fix/plain", FILES(files));
    OK("child", .from = named("FIX/plain"), .template = "T", .system = "Be brief.",
       .parameters = params, .messages = messages, .licenses = mit, .n_licenses = 1,
       .renderer = "r", .requires = "v0.14.0");
    struct store_model m = model(f, "child");
    assert_string_equal(m.entry.parent_model, "fix/plain:latest");
    assert_json(m.params, "{\"num_ctx\":256,\"stop\":[\"X\",\"Y z\"],\"temperature\":0.5}");
    assert_json(m.messages, "[{\"role\":\"user\",\"content\":\"hi\"},"
                            "{\"role\":\"assistant\",\"content\":\"yo\"}]");
    assert_string_equal(m.entry.config.requires, "0.14.0");
    assert_int_equal(m.n_layers, 6);
    store_model_free(&m);

    OK("grandchild", .from = named("child"), .licenses = more, .n_licenses = 2, .parameters = other,
       .system = "New", .template = "");
    m = model(f, "grandchild");
    assert_string_equal(m.entry.parent_model, "child:latest");
    assert_string_equal(m.template.ptr, "T");
    assert_string_equal(m.system.ptr, "New");
    assert_string_equal(m.entry.config.renderer, "r");
    assert_int_equal(m.n_licenses, 3);
    assert_string_equal(m.licenses[2].ptr, "L2");
    assert_int_equal(json_len(m.messages), 2);
    assert_json(m.params, "{\"num_ctx\":256,\"own\":[1e-05,12345678901234567890],\"stop\":[\"X\","
                          "\"Y z\"],\"temperature\":0.1,\"top_k\":3}");
    for (size_t i = 0; i + 1 < m.n_layers; i++) /* system is a new layer, it has no origin */
        if (strcmp(m.layers[i].media_type, "application/vnd.ollama.image.template") == 0)
            assert_string_equal(m.layers[i].from, "child:latest");
    store_model_free(&m);
    json_free(params);
    json_free(messages);
    json_free(other);
}

static void recreating_prunes(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    char old[STORE_DIGEST_TEXT];
    OK("Name", FILES(files), .system = "old");
    struct store_model m = model(f, "name");
    snprintf(old, sizeof old, "%s", m.layers[1].digest);
    store_model_free(&m);
    OK("name", .from = named("NAME"), .system = "new"); /* onto itself, in another spelling */
    assert_int_equal(store_blob_stat(f->s, old, NULL, NULL), ST_NOT_FOUND);
    m = model(f, "name");
    assert_string_equal(m.entry.name.model, "Name");
    assert_string_equal(m.system.ptr, "new");
    assert_string_equal(m.entry.parent_model, "Name:latest");
    store_model_free(&m);
    setenv("OLLAMA_NOPRUNE", "1", 1);
    m = model(f, "name");
    snprintf(old, sizeof old, "%s", m.layers[1].digest);
    store_model_free(&m);
    OK("name", FILES(files));
    assert_int_equal(store_blob_stat(f->s, old, NULL, NULL), ST_OK);
    m = model(f, "name");
    assert_int_equal(m.n_layers, 1); /* from files nothing is inherited */
    store_model_free(&m);
}

static void from_a_builtin(void **state) {
    struct fixture *f = *state;
    struct store_builtin tiny = {.name = "cria-tiny",
                                 .gguf = f->gguf.data,
                                 .size = f->gguf.len,
                                 .system = "Be kind.",
                                 .params = "{\"seed\":1}"};
    char path[256];
    snprintf(path, sizeof path, "%s/blobs/sha256-%s", f->dir, f->digest + 7);
    unlink(path);
    assert_int_equal(store_add_builtin(f->s, &tiny, NULL), ST_OK);
    json *params = parse("{\"top_k\":2}");
    OK("mine", .from = named("cria-tiny"), .parameters = params);
    assert_true(strncmp(f->status.data, "creating new layer", 18) == 0);
    struct store_model m = model(f, "mine");
    assert_string_equal(m.model_path, path);
    assert_true(os_file_exists(path));
    assert_json(m.params, "{\"seed\":1,\"top_k\":2}");
    assert_string_equal(m.system.ptr, "Be kind.");
    assert_string_equal(m.entry.parent_model, "cria-tiny:latest");
    store_model_free(&m);
    json_free(params);
}

static void info_overrides(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    json *info = parse("{\"capabilities\":[\"completion\",\"vision\"],\"model_family\":\"fam\","
                       "\"base_name\":\"bn\",\"quantization_level\":\"QX\",\"parameter_size\":"
                       "\"9B\",\"context_length\":77,\"embedding_length\":55,\"other\":{}}");
    OK("infoed", FILES(files), .info = info);
    struct store_model m = model(f, "infoed");
    char *config = config_text(f, &m);
    assert_string_equal(config,
                        "{\"model_format\":\"gguf\",\"model_family\":\"fam\",\"model_families\":"
                        "[\"fam\",\"llama\"],\"model_type\":\"9B\",\"file_type\":\"QX\","
                        "\"capabilities\":[\"completion\",\"vision\"],\"context_length\":77,"
                        "\"embedding_length\":55,\"base_name\":\"bn\",\"architecture\":\"amd64\","
                        "\"os\":\"linux\"}\n");
    assert_string_equal(m.entry.config.base_name, "bn");
    assert_int_equal(m.entry.config.n_capabilities, 2);
    mem_free(config);
    store_model_free(&m);
    json_free(info);
}

/* ---- hooks ---- */

static const char *detect(void *arg UNUSED, const struct gguf *g, const char **name,
                          const char **params) {
    struct gguf_str s;
    if (gguf_get_str(g, "tokenizer.chat_template", &s, NULL) != ST_OK) return NULL;
    *name = "chatty";
    *params = "{\"stop\":[\"<end>\"]}";
    return "{{ .Prompt }}<end>";
}

static void detects_a_template(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT];
    struct buf g = make_gguf("llama", NULL, "{{ messages }}");
    json *params = parse("{\"seed\":1}");
    upload(f, &g, digest);
    struct store_file with[] = {{"m.gguf", digest}}, without[] = {{"m.gguf", f->digest}};
    OK("a", FILES(with), .detect_template = detect, .parameters = params);
    assert_non_null(strstr(f->status.data, "parsing GGUF\nverifying conversion\n"
                                           "using autodetected template chatty\n"));
    struct store_model m = model(f, "a");
    assert_string_equal(m.template.ptr, "{{ .Prompt }}<end>");
    assert_json(m.params, "{\"seed\":1,\"stop\":[\"<end>\"]}");
    store_model_free(&m);
    OK("b", FILES(without), .detect_template = detect);
    m = model(f, "b");
    assert_false(m.has_template);
    store_model_free(&m);
    OK("c", FILES(with), .detect_template = detect, .template = "own");
    m = model(f, "c");
    assert_string_equal(m.template.ptr, "own");
    store_model_free(&m);
    json_free(params);
    buf_free(&g);
}

static enum status refuse(void *arg UNUSED, const char *text UNUSED, size_t len UNUSED,
                          struct err *e) {
    return err_set(e, ST_FORMAT, "template: :1: unclosed action");
}

static enum status pull(void *arg, const struct model_name *name, struct err *e) {
    struct fixture *f = arg;
    struct model_name plain;
    if (strcmp(name->model, "far") != 0)
        return err_set(e, ST_NOT_FOUND, "pull model manifest: file does not exist");
    name_parse(&plain, "near");
    return store_copy(f->s, &plain, name, e);
}

static void pulls(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    OK("near", FILES(files));
    OK("x", .from = named("far"), .pull = pull, .hook_arg = f);
    assert_int_equal(CREATE(f, "x", .from = named("nowhere"), .pull = pull, .hook_arg = f),
                     ST_NOT_FOUND);
    assert_string_equal(f->e.msg, "pull model manifest: file does not exist");
    assert_int_equal(CREATE(f, "x", .from = named("nowhere")), ST_NOT_FOUND);
    assert_string_equal(f->e.msg, "model 'nowhere:latest' not found");
}

static void architecture_defaults(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT];
    struct buf g = make_gguf("gemma4", NULL, NULL);
    upload(f, &g, digest);
    struct store_file files[] = {{"m.gguf", digest}};
    json *stop = parse("{\"stop\":[]}"), *late = parse("{\"temperature\":1}");
    OK("a", FILES(files), .parser = "own", .parameters = late);
    struct store_model m = model(f, "a");
    assert_string_equal(m.entry.config.renderer, "gemma4");
    assert_string_equal(m.entry.config.parser, "own");
    assert_json(m.params, "{\"stop\":[\"<turn|>\"],\"temperature\":1}");
    store_model_free(&m);
    OK("b", FILES(files));
    m = model(f, "b");
    assert_json(m.params, "{\"stop\":[\"<turn|>\"]}");
    store_model_free(&m);
    OK("c", FILES(files), .parameters = stop);
    m = model(f, "c");
    assert_json(m.params, "{\"stop\":[]}");
    store_model_free(&m);
    json_free(stop);
    json_free(late);
    buf_free(&g);
}

/* ---- errors ---- */

#define FAILS(code, message, ...)                                                                  \
    do {                                                                                           \
        assert_int_equal(CREATE(f, __VA_ARGS__), code);                                            \
        assert_string_equal(f->e.msg, message);                                                    \
        assert_string_equal(f->status.len != 0 ? f->status.data : "", "");                         \
    } while (0)

static void plain_errors(void **state) {
    struct fixture *f = *state;
    static const char *const paths[] = {"", "/a", "a/", "a//b", ".", "a/./b", "..", "../a", "a/.."};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct store_file files[] = {{paths[i], f->digest}};
        FAILS(ST_INVALID, "file path must be relative", "-x", FILES(files));
        FAILS(ST_INVALID, "file path must be relative", "x", .drafts = files, .n_drafts = 1);
    }
    struct store_file empty[] = {{"..a/b..gguf", ""}}, good[] = {{"a.gguf", f->digest}};
    FAILS(ST_INVALID, "invalid digest format", "x", FILES(empty));
    FAILS(ST_INVALID, "invalid digest format", "x", FILES(good), .adapters = empty,
          .n_adapters = 1);
    FAILS(ST_INVALID, "--draft-quantize requires a DRAFT model", "-x", FILES(good),
          .draft_quantize = "Q8_0");
    FAILS(ST_INVALID, "invalid model name", "-x", FILES(good));
    FAILS(ST_INVALID, "neither 'from' or 'files' was specified", "x");
    FAILS(ST_INVALID, "invalid model name", "x", .from = named("-y"));
    FAILS(ST_INVALID, "unknown type", "x", .has_files = true);
    FAILS(ST_DENIED, "ollama cloud is disabled: remote model is unavailable", "x",
          .remote_host = "h");
    FAILS(ST_INVALID, "template error: template: :1: unclosed action", "x", FILES(good),
          .template = "{{", .check_template = refuse);
    FAILS(ST_INVALID,
          "unsupported quantization type Q9_9 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
          "x", FILES(good), .quantize = "q9_9");
}

static void file_errors(void **state) {
    struct fixture *f = *state;
    char text[STORE_DIGEST_TEXT], broken[STORE_DIGEST_TEXT], safe[STORE_DIGEST_TEXT];
    struct buf b = {0};
    buf_str(&b, "hello blob\n");
    upload(f, &b, text);
    buf_clear(&b);
    buf_add(&b, f->gguf.data, 60);
    upload(f, &b, broken);
    buf_clear(&b);
    buf_add(&b, "\2\0\0\0\0\0\0\0{}", 10);
    upload(f, &b, safe);
    buf_free(&b);
    struct store_file not_gguf[] = {{"a.gguf", text}}, unknown[] = {{"a.bin", text}};
    struct store_file bad_digest[] = {{"a.gguf", "sha256:zz"}};
    struct store_file missing[] = {
        {"a.gguf", "sha256:0000000000000000000000000000000000000000000000000000000000000000"}};
    struct store_file cut[] = {{"dir/a.gguf", broken}}, mixed[] = {{"a", f->digest}, {"b", text}};
    struct store_file tensors[] = {{"a", safe}, {"config.json", text}};
    struct store_file both[] = {{"a", f->digest}, {"b.safetensors", safe}};
    assert_int_equal(CREATE(f, "x", FILES(not_gguf)), ST_INVALID);
    assert_string_equal(f->e.msg, "supplied file was not in GGUF format");
    assert_string_equal(f->status.data, "parsing GGUF\n");
    assert_int_equal(CREATE(f, "x", FILES(bad_digest)), ST_INVALID);
    assert_string_equal(f->e.msg, "invalid digest format");
    assert_int_equal(CREATE(f, "x", FILES(missing)), ST_IO);
    assert_non_null(strstr(f->e.msg, ": no such file or directory"));
    assert_true(strncmp(f->e.msg, "open /", 6) == 0);
    assert_int_equal(CREATE(f, "x", FILES(cut)), ST_FORMAT);
    assert_true(strncmp(f->e.msg, "dir/a.gguf", 10) == 0); /* the client's name, not our path */
    FAILS(ST_INVALID, "unknown type", "x", FILES(unknown));
    FAILS(ST_INVALID, "unknown type", "x", FILES(mixed));
    FAILS(ST_INVALID, "unknown type", "x", FILES(both));
    assert_int_equal(CREATE(f, "x", FILES(tensors)), ST_FORMAT); /* no configuration */
    assert_false(exists(f->dir, "manifests/registry.ollama.ai"));
}

static void value_error(struct fixture *f, bool info, const char *text, const char *message) {
    struct store_file good[] = {{"a.gguf", f->digest}};
    json *v = parse(text);
    struct store_create_spec spec = {FILES(good)};
    if (info)
        spec.info = v;
    else
        spec.parameters = v;
    assert_int_equal(create(f, "x", spec), message != NULL ? ST_INVALID : ST_OK);
    if (message != NULL) assert_string_equal(f->e.msg, message);
    json_free(v);
}

static void value_errors(void **state) {
    struct fixture *f = *state;
    value_error(f, true, "{\"context_length\":\"x\"}",
                "info field \"context_length\" must be a number");
    value_error(f, true, "{\"context_length\":-1}",
                "info field \"context_length\" must be a non-negative integer");
    value_error(f, true, "{\"embedding_length\":1.5}",
                "info field \"embedding_length\" must be a non-negative integer");
    value_error(f, true, "{\"model_family\":5}", "info field \"model_family\" must be a string");
    value_error(f, true, "{\"capabilities\":[1]}",
                "info field \"capabilities\" must be a list of strings");
    value_error(f, false, "{\"num_ctx\":\"x\"}", "option \"num_ctx\" must be of type integer");
    value_error(f, false, "{\"top_p\":true}", "option \"top_p\" must be of type float32");
    value_error(f, false, "{\"use_mmap\":1}", "option \"use_mmap\" must be of type boolean");
    value_error(f, false, "{\"stop\":\"x\"}", "option \"stop\" must be of type array");
    value_error(f, false, "{\"stop\":[1]}", "option \"stop\" must be of an array of strings");
    value_error(f, false, "[]", "parameters must be an object");
    value_error(f, false, "{\"num_ctx\":null,\"own\":{\"a\":1}}", NULL);
}

/* ---- failures half-way ---- */

static void cancelled(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    for (int n = 0; n < 5; n++) {
        f->stop_at = n;
        assert_int_equal(CREATE(f, "x", FILES(files), .system = "S"), ST_CANCELLED);
        assert_int_equal(count_blobs(f->dir), 1);
        assert_false(exists(f->dir, "manifests/registry.ollama.ai"));
    }
    f->stop_at = 5; /* "success" comes after the fact */
    OK("x", FILES(files), .system = "S");
}

/* The manifest cannot be written: no model, no new blob. */
static void unwritable_manifest(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    put_file(f->dir, "manifests/registry.ollama.ai", "a file in the way");
    assert_int_not_equal(CREATE(f, "x", FILES(files), .system = "S"), ST_OK);
    assert_int_equal(count_blobs(f->dir), 1);
}

/* The blob goes away between the upload and the manifest. */
static bool remove_blob(void *arg, const char *status, const char *digest UNUSED,
                        uint64_t total UNUSED, uint64_t completed UNUSED) {
    struct fixture *f = arg;
    char path[256];
    snprintf(path, sizeof path, "%s/blobs/sha256-%s", f->dir, f->digest + 7);
    if (strcmp(status, "writing manifest") == 0) unlink(path);
    return true;
}

static void blob_vanishes(void **state) {
    struct fixture *f = *state;
    struct store_file files[] = {{"m.gguf", f->digest}};
    struct store_create_spec spec = {FILES(files), .name = named("x"), .system = "S"};
    assert_int_equal(store_create(f->s, &spec, remove_blob, f, &f->e), ST_IO);
    assert_non_null(strstr(f->e.msg, "no such file or directory"));
    assert_int_equal(count_blobs(f->dir), 0);
    assert_false(exists(f->dir, "manifests/registry.ollama.ai"));
}

/* Every allocation fails once. Whatever happens, a listed model is whole and no memory is lost. */
static void out_of_memory(void **state) {
    struct fixture *f = *state;
    char digest[STORE_DIGEST_TEXT];
    struct buf g = make_gguf("gemma4", NULL, "{{ messages }}");
    upload(f, &g, digest);
    struct store_file files[] = {{"m.gguf", digest}};
    json *params = parse("{\"seed\":1,\"own\":2}");
    json *messages = parse("[{\"role\":\"user\",\"content\":\"hi\"}]");
    json *info = parse("{\"capabilities\":[\"x\"],\"base_name\":\"b\"}");
    const char *license[] = {"L"};
    OK("base", FILES(files), .system = "S", .parameters = params);
    struct model_name x;
    name_parse(&x, "x");
    struct store_create_spec from_files = {
        FILES(files),        .name = &x,      .detect_template = detect, .parameters = params,
        .licenses = license, .n_licenses = 1, .messages = messages,      .info = info};
    struct store_create_spec from_model = {
        .from = named("base"), .name = &x, .system = "S", .parameters = params};
    const struct store_create_spec *specs[] = {&from_files, &from_model};
    long live = mem_live();
    for (int i = 0; i < 2; i++) {
        enum status st = ST_NO_MEMORY;
        for (long n = 1; st != ST_OK; n++) {
            mem_fail_at(n);
            st = store_create(f->s, specs[i], NULL, NULL, &f->e);
            mem_fail_at(0);
            assert_int_equal(mem_live(), live);
            assert_true(st == ST_OK || st == ST_NO_MEMORY);
            struct store_model m;
            enum status there = store_resolve(f->s, &x, &m, &f->e);
            assert_true(there == ST_OK || there == ST_NOT_FOUND);
            if (there == ST_OK) store_model_free(&m);
            assert_true(n < 10000);
        }
    }
    json_free(params);
    json_free(messages);
    json_free(info);
    buf_free(&g);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_STORE(from_a_file),
        IN_STORE(manifest_is_one_line),
        IN_STORE(kinds_of_gguf),
        IN_STORE(from_a_model),
        IN_STORE(recreating_prunes),
        IN_STORE(from_a_builtin),
        IN_STORE(info_overrides),
        IN_STORE(detects_a_template),
        IN_STORE(pulls),
        IN_STORE(architecture_defaults),
        IN_STORE(plain_errors),
        IN_STORE(file_errors),
        IN_STORE(value_errors),
        IN_STORE(cancelled),
        IN_STORE(unwritable_manifest),
        IN_STORE(blob_vanishes),
        IN_STORE(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
