/* crash_test.c - a process that changes the store is killed at a random moment, again and again.
 * After each time every manifest is whole, every blob that it names is there and is what its digest
 * says, and the store can be used and pruned. (Power loss is not played: it is what the fsyncs and
 * the order of the renames are for.) */
#include <signal.h>
#include <sys/wait.h>

#include "base/digest.h"
#include "store/store.h"
#include "store/testing.h"

enum { ROUNDS = 40 };

static void put_blob(struct store *s, const struct buf *data, char out[STORE_DIGEST_TEXT]) {
    struct store_upload *u;
    if (store_blob_begin(s, &u, NULL) != ST_OK) _exit(1);
    store_blob_write(u, data->data, data->len, NULL);
    if (store_blob_commit(u, NULL, out, NULL) != ST_OK) _exit(1);
}

/* Creates, copies and deletes until it is killed. */
static void work(const char *dir, unsigned round) {
    struct store *s;
    struct buf gguf = make_gguf("llama", NULL, NULL);
    struct model_name name, copy;
    if (store_open(&s, dir, NULL) != ST_OK) _exit(1);
    for (unsigned i = 0;; i++) {
        char digest[STORE_DIGEST_TEXT], text[64];
        put_blob(s, &gguf, digest);
        snprintf(text, sizeof text, "m%u", i % 3);
        name_parse(&name, text);
        name_parse(&copy, "copy");
        snprintf(text, sizeof text, "system %u %u", round, i);
        struct store_file files[] = {{"m.gguf", digest}};
        struct store_create_spec spec = {
            .name = &name, .has_files = true, .files = files, .n_files = 1, .system = text};
        if (store_create(s, &spec, NULL, NULL, NULL) != ST_OK) _exit(2);
        if (store_copy(s, &name, &copy, NULL) != ST_OK) _exit(3);
        if (i % 2 == 0 && store_delete(s, &copy, NULL) != ST_OK) _exit(4);
    }
}

static void check_blob(struct store *s, const struct store_layer *l) {
    char hex[65];
    char *path = store_blob_path(s, l->digest, NULL);
    assert_int_equal(digest_of_file(path, hex, NULL), ST_OK);
    assert_string_equal(hex, l->digest + 7);
    mem_free(path);
}

static unsigned count_manifests(const char *dir) {
    char command[160];
    unsigned n = 0;
    snprintf(command, sizeof command, "find %s/manifests -mindepth 4 -type f | wc -l", dir);
    FILE *p = popen(command, "r");
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void check_store(const char *dir) {
    struct store *s;
    struct store_list l;
    assert_int_equal(store_open(&s, dir, NULL), ST_OK);
    assert_int_equal(store_list(s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, count_manifests(dir)); /* none is unreadable */
    for (size_t i = 0; i < l.n_entries; i++) {
        struct store_model m;
        assert_int_equal(store_resolve(s, &l.entries[i].name, &m, NULL), ST_OK);
        for (size_t j = 0; j < m.n_layers; j++) check_blob(s, &m.layers[j]);
        check_blob(s, &m.config_layer);
        store_model_free(&m);
    }
    store_list_free(&l);
    assert_int_equal(store_prune(s, NULL), ST_OK);
    store_close(s);
}

static void killed_at_any_time(void **state UNUSED) {
    char dir[64];
    make_dir_name(dir);
    srand(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) work(dir, round);
        usleep((useconds_t)(1000 + rand() % 30000));
        int status;
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it had no errors of its own */
        check_store(dir);
    }
    remove_tree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
