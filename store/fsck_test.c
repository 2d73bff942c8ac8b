/* fsck_test.c - fsck finds every sort of damage, repairs without destroying, and is silent about
 * what is right; df adds up; prune and the quota remove what they say and nothing else. */
#include <fcntl.h>
#include <sys/file.h>

#include "base/digest.h"
#include "store/hold.h"
#include "store/store_impl.h"
#include "store/testing.h"
#include "store/upkeep.h"

struct fixture {
    char dir[64];
    struct store *s;
    char digest[STORE_DIGEST_TEXT]; /* of the GGUF */
};

static void put_model(struct fixture *f, const char *name, const char *system) {
    struct buf gguf = make_gguf("llama", NULL, NULL);
    struct store_upload *u;
    struct model_name n;
    struct err e = {.msg = ""};
    assert_int_equal(store_blob_begin(f->s, &u, NULL), ST_OK);
    store_blob_write(u, gguf.data, gguf.len, NULL);
    assert_int_equal(store_blob_commit(u, NULL, f->digest, NULL), ST_OK);
    name_parse(&n, name);
    struct store_file files[] = {{"m.gguf", f->digest}};
    struct store_create_spec spec = {
        .name = &n, .has_files = true, .files = files, .n_files = 1, .system = system};
    if (store_create(f->s, &spec, NULL, NULL, &e) != ST_OK) fail_msg("%s", e.msg);
    buf_free(&gguf);
}

static struct fixture open_fixture(void) {
    struct fixture f;
    make_dir_name(f.dir);
    assert_int_equal(store_open(&f.s, f.dir, NULL), ST_OK);
    put_model(&f, "one", "first");
    put_model(&f, "two", "second");
    return f;
}

static void close_fixture(struct fixture *f) {
    store_close(f->s);
    remove_tree(f->dir);
}

/* ---- what fsck found ---- */

struct found {
    char text[4096]; /* "code subject;..." */
};

static void on_found(void *arg, const struct store_finding *x) {
    struct found *f = arg;
    size_t n = strlen(f->text);
    snprintf(f->text + n, sizeof f->text - n, "%s %s%s;", x->code, x->subject,
             x->repaired ? " repaired" : "");
}

static struct store_fsck run_fsck(struct fixture *f, bool repair, struct found *found) {
    *found = (struct found){""};
    struct store_fsck k = {.repair = repair, .hash = true, .found = on_found, .arg = found};
    struct err e = {.msg = ""};
    if (store_fsck(f->s, &k, &e) != ST_OK) fail_msg("%s", e.msg);
    return k;
}

static char *blob_file(const struct fixture *f, char out[128]) {
    snprintf(out, 128, "blobs/sha256-%s", f->digest + 7);
    return out;
}

static void a_whole_store(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    struct store_fsck k = run_fsck(&f, false, &found);
    assert_string_equal(found.text, "");
    assert_int_equal(k.n_models, 2);
    assert_int_equal(k.n_blobs, 4); /* weights, two systems, one config */
    assert_int_equal(k.n_damaged, 0);
    close_fixture(&f);
}

static void a_damaged_blob(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    char file[128], want[512], moved[160];
    put_file(f.dir, blob_file(&f, file), "not it");
    struct store_fsck k = run_fsck(&f, false, &found);
    snprintf(want, sizeof want,
             "blob-damaged %s;model-damaged one:latest;model-damaged two:latest;", file);
    assert_string_equal(found.text, want);
    assert_true(exists(f.dir, file)); /* nothing was touched */
    k = run_fsck(&f, true, &found);
    assert_int_equal(k.n_repaired, 1);
    snprintf(moved, sizeof moved, "damaged/sha256-%s", f.digest + 7);
    assert_true(exists(f.dir, moved) && !exists(f.dir, file));
    run_fsck(&f, true, &found);
    assert_string_equal(found.text, "blob-missing one:latest;blob-missing two:latest;");
    put_model(&f, "one", "first"); /* what the words say helps both */
    k = run_fsck(&f, false, &found);
    assert_string_equal(found.text, "");
    close_fixture(&f);
}

static void a_wrong_length(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    char path[256], *text;
    size_t len;
    snprintf(path, sizeof path, "%s/manifests/registry.ollama.ai/library/one/latest", f.dir);
    assert_int_equal(os_file_read(path, 1 << 20, &text, &len, NULL), ST_OK);
    char *size = strstr(text, "\"size\":");
    size[7] = size[7] == '9' ? '8' : '9';
    put_file(f.dir, "manifests/registry.ollama.ai/library/one/latest", text);
    mem_free(text);
    struct store_fsck k = run_fsck(&f, true, &found);
    assert_string_equal(found.text, "model-damaged one:latest;");
    assert_int_equal(k.n_damaged, 1);
    close_fixture(&f);
}

static void bad_manifests(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    put_file(f.dir, "manifests/registry.ollama.ai/library/bad/latest", "{\"layers\":");
    put_file(f.dir, "manifests/registry.ollama.ai/library/bad/-x", "{}");
    put_file(f.dir, "manifests/registry.ollama.ai/stray", "text");
    run_fsck(&f, true, &found);
    assert_string_equal(
        found.text, "manifest-unreadable manifests/registry.ollama.ai/library/bad/latest repaired;"
                    "manifest-name manifests/registry.ollama.ai/library/bad/-x repaired;"
                    "manifest-name manifests/registry.ollama.ai/stray repaired;");
    assert_true(exists(f.dir, "damaged/registry.ollama.ai_library_bad_latest"));
    run_fsck(&f, true, &found);
    assert_string_equal(found.text, "");
    close_fixture(&f);
}

static void leftovers_do_no_harm(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    char name[200];
    snprintf(name, sizeof name, "blobs/sha256-%064d-partial-0", 7);
    put_file(f.dir, name, "{}");
    put_file(f.dir, "blobs/tmp-1", "half");
    struct store_fsck k = run_fsck(&f, true, &found);
    assert_int_equal(k.n_damaged, 0);
    assert_int_equal(k.n_left_over, 2);
    assert_false(exists(f.dir, name)); /* a journal without its download */
    assert_true(exists(f.dir, "blobs/tmp-1"));
    close_fixture(&f);
}

static void things_that_are_no_files(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct found found;
    char path[256];
    snprintf(path, sizeof path, "%s/blobs/sha256-%064d", f.dir, 5);
    assert_int_equal(mkfifo(path, 0600), 0); /* would block who opens it for reading */
    struct store_fsck k = run_fsck(&f, true, &found);
    assert_int_equal(k.n_damaged, 1);
    assert_int_equal(k.n_repaired, 1); /* it was in the way of the blob */
    assert_non_null(strstr(found.text, "not-a-file"));
    assert_int_equal(run_fsck(&f, false, &found).n_damaged, 0);
    close_fixture(&f);
}

/* Every damaged store: fsck ends, repairs, and the second look finds nothing new. */
static void random_damage(void **state UNUSED) {
    srand(7);
    for (unsigned round = 0; round < 60; round++) {
        struct fixture f = open_fixture();
        struct found found;
        char command[256], path[512];
        snprintf(command, sizeof command,
                 "find %s -type f ! -name verified | sort | sed -n '%up;%up'", f.dir,
                 (unsigned)rand() % 6 + 1, (unsigned)rand() % 6 + 1);
        FILE *p = popen(command, "r");
        while (fgets(path, sizeof path, p) != NULL) {
            path[strcspn(path, "\n")] = '\0';
            struct stat info;
            if (stat(path, &info) != 0) continue; /* the same line twice */
            if (rand() % 3 == 0) {
                assert_int_equal(truncate(path, info.st_size > 0 ? rand() % info.st_size : 0), 0);
            } else if (rand() % 2 == 0) {
                unlink(path);
            } else {
                FILE *out = fopen(path, "r+");
                fseek(out, info.st_size > 0 ? rand() % info.st_size : 0, SEEK_SET);
                fputc(rand() & 0xFF, out);
                fclose(out);
            }
        }
        pclose(p);
        run_fsck(&f, true, &found);
        struct store_list list;
        assert_int_equal(store_list(f.s, &list, NULL), ST_OK);
        store_list_free(&list);
        struct store_fsck k = run_fsck(&f, true, &found);
        assert_int_equal(k.n_repaired, 0); /* all that can be moved was */
        close_fixture(&f);
    }
}

/* ---- df ---- */

static void sums(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct store_usage u;
    struct model_name one, two;
    char name[200];
    snprintf(name, sizeof name, "blobs/sha256-%064d-partial", 7);
    put_file(f.dir, name, "0123456789");
    put_file(f.dir, "blobs/tmp-1", "half");
    name_parse(&one, "one");
    name_parse(&two, "two");
    char bad[2000] = "1 "; /* lines that are none: too long, cut off, of another program */
    memset(bad + 2, 'x', sizeof bad - 3);
    strcpy(bad + sizeof bad - 40, "\n12 a/b\nzz\n7\n99999999999999999999 q\n");
    put_file(f.dir, "used", bad);
    store_mark_used(f.s, &two);
    store_mark_used(f.s, &one);
    store_mark_used(f.s, &two); /* so soon again: it is not written down */
    assert_int_equal(store_usage(f.s, &u, NULL), ST_OK);
    assert_int_equal(u.n_models, 2);
    assert_string_equal(u.models[0].name.model, "two"); /* least recently used first */
    assert_int_equal(u.n_named, 4);
    assert_int_equal(u.partial, 10);
    assert_int_equal(u.other, 4);
    assert_int_equal(u.total, u.named + 14);
    assert_true(u.models[0].shared > u.models[0].own); /* weights and config */
    assert_int_equal(u.named, u.models[0].shared + u.models[0].own + u.models[1].own);
    store_usage_free(&u);
    close_fixture(&f);
}

/* ---- prune and holds ---- */

static void count_one(void *arg, const char *file UNUSED, uint64_t size UNUSED) {
    ++*(unsigned *)arg;
}

static void prune_by_hand(void **state UNUSED) {
    struct fixture f = open_fixture();
    unsigned told = 0;
    struct store_prune p = {.dry_run = true, .all = true, .removed = count_one, .arg = &told};
    char name[200];
    snprintf(name, sizeof name, "blobs/sha256-%064d", 7);
    put_file(f.dir, name, "unnamed");
    assert_int_equal(store_prune_now(f.s, &p, NULL), ST_OK);
    assert_true(told == 1 && p.n_removed == 1 && exists(f.dir, name));
    p = (struct store_prune){0};
    assert_int_equal(store_prune_now(f.s, &p, NULL), ST_OK);
    assert_true(p.n_removed == 0 && exists(f.dir, name)); /* it is young */
    p = (struct store_prune){.all = true};
    assert_int_equal(store_prune_now(f.s, &p, NULL), ST_OK);
    assert_true(p.n_removed == 1 && !exists(f.dir, name));
    assert_int_equal(count_blobs(f.dir), 4);
    close_fixture(&f);
}

/* What somebody writes or needs stays, however old it looks (also sec_S_ST_10: clocks may jump). */
static void sec_S_ST_4_held_files_stay(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct store_upload *u;
    struct holds h = {.n = 0};
    struct model_name n;
    char file[128], partial[200], journal[210], path[300];
    struct store_prune all = {.all = true};
    assert_int_equal(store_blob_begin(f.s, &u, NULL), ST_OK);
    store_blob_write(u, "abc", 3, NULL);
    snprintf(partial, sizeof partial, "blobs/sha256-%064d-partial", 7);
    snprintf(journal, sizeof journal, "%s-0", partial);
    put_file(f.dir, partial, "x");
    put_file(f.dir, journal, "{}");
    make_old(f.dir, partial, 24 * 400);
    make_old(f.dir, journal, 24 * 400);
    snprintf(path, sizeof path, "%s/%s", f.dir, partial);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(hold_blob(f.s, &h, f.digest, NULL), ST_OK);
    name_parse(&n, "one");
    assert_int_equal(store_delete(f.s, &n, NULL), ST_OK);
    name_parse(&n, "two");
    assert_int_equal(store_delete(f.s, &n, NULL), ST_OK);
    make_old(f.dir, blob_file(&f, file), 24 * 400);
    assert_int_equal(store_prune_now(f.s, &all, NULL), ST_OK);
    assert_true(exists(f.dir, file) && exists(f.dir, partial) && exists(f.dir, journal));
    assert_int_equal(count_blobs(f.dir), 4); /* and the upload */
    assert_int_equal(store_blob_commit(u, NULL, NULL, NULL), ST_OK);
    holds_free(&h);
    close(fd);
    all = (struct store_prune){.all = true};
    assert_int_equal(store_prune_now(f.s, &all, NULL), ST_OK);
    assert_int_equal(count_blobs(f.dir), 0); /* nobody needs it any more */
    close_fixture(&f);
}

/* ---- quota ---- */

static void sec_S_ST_6_quota(void **state UNUSED) {
    struct fixture f = open_fixture();
    struct model_name one, two;
    struct err e;
    name_parse(&one, "one");
    name_parse(&two, "two");
    store_mark_used(f.s, &two);
    store_mark_used(f.s, &one);
    setenv("CRIA_STORE_QUOTA", "10000", 1);
    assert_int_equal(store_make_room(f.s, 5000, &e), ST_OK);
    assert_int_equal(store_make_room(f.s, 50000, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "cannot hold 50000"));
    struct store_usage u;
    assert_int_equal(store_usage(f.s, &u, NULL), ST_OK);
    const uint64_t room = 10000 - u.total + 1; /* one more than fits: the first model would do */
    store_usage_free(&u);
    assert_int_equal(store_make_room(f.s, room, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "unused for longest: two:latest (remove"));
    assert_true(store_has(f.s, &one) && store_has(f.s, &two)); /* nothing without permission */
    setenv("CRIA_AUTO_PRUNE", "1", 1);
    assert_int_equal(store_make_room(f.s, room, &e), ST_OK);
    assert_true(store_has(f.s, &one) && !store_has(f.s, &two));
    setenv("CRIA_STORE_QUOTA", "1", 1);
    unsetenv("CRIA_AUTO_PRUNE");
    struct store_upload *up;
    assert_int_equal(store_blob_begin(f.s, &up, NULL), ST_OK);
    store_blob_write(up, "abc", 3, NULL);
    assert_int_equal(store_blob_commit(up, NULL, NULL, &e), ST_LIMIT);
    assert_int_equal(count_blobs(f.dir), 3); /* the upload is gone */
    unsetenv("CRIA_STORE_QUOTA");
    close_fixture(&f);
}

/* ---- names, digests, links ---- */

/* Whatever text arrives: no path leaves the store. */
static void sec_S_ST_1_no_path_leaves(void **state UNUSED) {
    static const char alphabet[] = "ab.A-_/\\:0%~ \n\x7F@!sha256";
    struct fixture f = open_fixture();
    srand(3);
    unsigned valid = 0, digests = 0;
    for (unsigned i = 0; i < 300000; i++) {
        char text[96], rel[NAME_TEXT_MAX], digest[STORE_DIGEST_TEXT], path[PATH_ROOM];
        const size_t n = (size_t)rand() % 20;
        for (size_t k = 0; k < n; k++) text[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        text[n] = '\0';
        struct model_name name;
        if (name_parse(&name, text) && ++valid) {
            unsigned slashes = 0;
            name_path(&name, rel);
            for (const char *p = rel; *p != '\0'; p++) {
                slashes += *p == '/';
                const bool begins = p == rel || p[-1] == '/';
                if (begins) assert_true(*p != '.' && *p != '-' && *p != '/');
                assert_true(*p > ' ' && *p < 0x7F && *p != '\\');
            }
            assert_int_equal(slashes, 3);
        }
        if (rand() % 2 == 0) { /* nearly a digest */
            snprintf(text, sizeof text, "sha256%c%064d", ":-/."[rand() % 4], rand());
            if (rand() % 2 == 0) text[7 + rand() % 64] = alphabet[(size_t)rand() % 20];
        }
        if (store_digest_parse(text, digest, NULL) == ST_OK && ++digests) {
            assert_int_equal(blob_path(f.s, digest, path, NULL), ST_OK);
            assert_int_equal(strlen(path), strlen(f.s->blobs) + 1 + 71);
            assert_null(strchr(path + strlen(f.s->blobs) + 1, '/'));
        }
    }
    assert_true(valid > 1000 && digests > 1000);
    close_fixture(&f);
}

/* Also sec_CVE_2026_7020: one function makes paths of digests, and it looks at links. */
static void sec_S_ST_7_links(void **state UNUSED) {
    struct fixture f = open_fixture();
    char path[256], elsewhere[256], file[128];
    struct store_model m;
    struct model_name one;
    struct err e;
    struct found found;
    name_parse(&one, "one");
    snprintf(path, sizeof path, "%s/%s", f.dir, blob_file(&f, file));
    snprintf(elsewhere, sizeof elsewhere, "%s/moved", f.dir);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_int_equal(store_resolve(f.s, &one, &m, &e), ST_OK); /* inside of the store: fine */
    store_model_free(&m);
    run_fsck(&f, false, &found);
    assert_string_equal(found.text, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(store_resolve(f.s, &one, &m, &e), ST_DENIED);
    assert_non_null(strstr(e.msg, "a link to /etc/passwd, outside of the store"));
    run_fsck(&f, true, &found);
    assert_non_null(strstr(found.text, "link-outside"));
    assert_false(exists(f.dir, file));
    close_fixture(&f);
}

/* Every place of a manifest where a digest stands, every kind of layer. */
static void sec_CVE_2026_7020(void **state UNUSED) {
    static const char *const bad[] = {
        "sha256:../../../../etc/passwd", "../x", "", "sha256:", "/etc/passwd",
        "sha512:00000000000000000000"};
    for (int kind = LAYER_UNKNOWN + 1; kind < LAYER_KINDS; kind++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            for (int config = 0; config < 2; config++) {
                struct manifest m;
                struct arena a = {0};
                struct err e;
                char text[512];
                snprintf(text, sizeof text,
                         config != 0 ? "{\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\","
                                       "\"size\":1},\"layers\":[]}"
                                     : "{\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\","
                                       "\"size\":1}]}",
                         layer_media_type((enum layer_kind)kind), bad[i]);
                enum status st = manifest_parse(&m, text, strlen(text), &a, &e);
                if (st == ST_OK) assert_true(config != 0 && bad[i][0] == '\0'); /* none */
                arena_free(&a);
            }
}

/* Times far ahead and before 1970: what a model needs stays, what is ahead of us is not old. */
static void sec_S_ST_10_clocks(void **state UNUSED) {
    struct fixture f = open_fixture();
    char ahead[200], behind[200], file[128];
    struct store_prune p = {.all = false};
    snprintf(ahead, sizeof ahead, "blobs/sha256-%064d", 1);
    snprintf(behind, sizeof behind, "blobs/sha256-%064d", 2);
    put_file(f.dir, ahead, "x");
    put_file(f.dir, behind, "x");
    make_old(f.dir, ahead, -24 * 365 * 80);
    make_old(f.dir, behind, 24 * 365 * 80);
    make_old(f.dir, blob_file(&f, file), 24 * 365 * 80);
    assert_int_equal(store_prune_now(f.s, &p, NULL), ST_OK);
    assert_true(p.n_removed == 1 && exists(f.dir, ahead) && !exists(f.dir, behind));
    assert_true(exists(f.dir, file));
    struct store_list l;
    assert_int_equal(store_list(f.s, &l, NULL), ST_OK);
    assert_int_equal(l.n_entries, 2);
    store_list_free(&l);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_store),        cmocka_unit_test(a_damaged_blob),
        cmocka_unit_test(a_wrong_length),       cmocka_unit_test(bad_manifests),
        cmocka_unit_test(leftovers_do_no_harm), cmocka_unit_test(things_that_are_no_files),
        cmocka_unit_test(random_damage),        cmocka_unit_test(sums),
        cmocka_unit_test(prune_by_hand),        cmocka_unit_test(sec_S_ST_4_held_files_stay),
        cmocka_unit_test(sec_S_ST_6_quota),     cmocka_unit_test(sec_S_ST_1_no_path_leaves),
        cmocka_unit_test(sec_S_ST_7_links),     cmocka_unit_test(sec_CVE_2026_7020),
        cmocka_unit_test(sec_S_ST_10_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
