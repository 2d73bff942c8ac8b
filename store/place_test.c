/* place_test.c - no way leads out of the store: links, races, owners, names (S-ST-1, S-ST-7). */
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/digest.h"
#include "store/store_impl.h"
#include "store/testing.h"

static const char good[] = "good", secret[] = "secret";

struct fixture {
    char dir[64], outside[64];
    struct store *s;
};

/* Every test runs with openat2 and without. */
static struct fixture open_fixture(bool without) {
    struct fixture f;
    place_without_openat2(without);
    make_dir_name(f.dir);
    make_dir_name(f.outside);
    put_file(f.outside, "secret", secret);
    assert_int_equal(store_open(&f.s, f.dir, NULL), ST_OK);
    return f;
}

static void close_fixture(struct fixture *f) {
    store_close(f->s);
    remove_tree(f->dir);
    remove_tree(f->outside);
    place_without_openat2(false);
}

static const char *in(const char *dir, const char *rest) {
    static char paths[4][256];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, 256, "%s/%s", dir, rest);
    return out;
}

static void name_of(unsigned i, char out[STORE_DIGEST_TEXT]) {
    snprintf(out, STORE_DIGEST_TEXT, "sha256-%064u", i);
}

/* What place_open finds; "" and e if nothing. */
static const char *content(const struct fixture *f, enum place p, const char *below,
                           struct err *e) {
    static char text[64];
    int fd = place_open(f->s, p, below, NULL, e);
    if (fd < 0) return "";
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* ---- links ---- */

static void links(bool without) {
    struct fixture f = open_fixture(without);
    char a[STORE_DIGEST_TEXT], b[STORE_DIGEST_TEXT], file[128];
    struct err e;
    name_of(1, a);
    name_of(2, b);
    snprintf(file, sizeof file, "blobs/%s", a);
    put_file(f.dir, file, good);
    assert_string_equal(content(&f, PLACE_BLOBS, a, &e), good);
    const char *from = in(f.dir, "blobs/link");
    static const struct {
        const char *to;
        bool fine;
    } table[] = {
        {"sha256-0000000000000000000000000000000000000000000000000000000000000001", true},
        {"../blobs/sha256-0000000000000000000000000000000000000000000000000000000000000001", true},
        {"/dev/null", false},
        {"/etc/passwd", false},
        {"../../../../../../etc/passwd", false},
        {"/proc/self/environ", false},
        {"../..", false},
        {"link", false}, /* a circle */
        {"no-such", false},
        {"..", false}, /* a folder */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        unlink(from);
        assert_int_equal(symlink(table[i].to, from), 0);
        assert_string_equal(content(&f, PLACE_BLOBS, "link", &e), table[i].fine ? good : "");
    }
    /* Absolute, and in the second root; a hard link is a file as any other. */
    unlink(from);
    assert_int_equal(symlink(in(f.dir, file), from), 0);
    assert_string_equal(content(&f, PLACE_BLOBS, "link", &e), good);
    unlink(from);
    assert_int_equal(symlink(in(f.outside, "secret"), from), 0);
    assert_string_equal(content(&f, PLACE_BLOBS, "link", &e), "");
    assert_int_equal(e.code, ST_DENIED);
    assert_non_null(strstr(e.msg, "outside of the store"));
    unlink(from);
    assert_int_equal(link(in(f.outside, "secret"), from), 0);
    assert_string_equal(content(&f, PLACE_BLOBS, "link", &e), secret);
    /* Through a folder that is a link. */
    assert_int_equal(symlink(f.outside, in(f.dir, "manifests/host")), 0);
    assert_string_equal(content(&f, PLACE_MANIFESTS, "host/secret", &e), "");
    assert_int_equal(place_folder(f.s, PLACE_MANIFESTS, "host/ns", true, &e), -1);
    assert_false(exists(f.outside, "ns"));
    /* What is no file is not waited for. */
    assert_int_equal(mkfifo(in(f.dir, "blobs/fifo"), 0600), 0);
    assert_string_equal(content(&f, PLACE_BLOBS, "fifo", &e), "");
    assert_string_equal(content(&f, PLACE_BLOBS, "..", &e), "");
    assert_string_equal(content(&f, PLACE_ROOT, "../x", &e), "");
    close_fixture(&f);
}

static void sec_S_ST_7_which_links(void **state UNUSED) {
    links(false);
    links(true);
}

/* ~/.ollama -> /mnt/disk, blobs/ -> another disk: layouts that whoever set it up has chosen. */
static void folders_may_be_links(void **state UNUSED) {
    for (int without = 0; without < 2; without++) {
        struct fixture f = open_fixture(without != 0);
        struct store *s;
        struct err e;
        char digest[STORE_DIGEST_TEXT];
        struct store_upload *u;
        assert_int_equal(os_mkdirs(in(f.dir, "real"), NULL), ST_OK);
        assert_int_equal(symlink(in(f.dir, "real"), in(f.outside, "way")), 0);
        assert_int_equal(os_mkdirs(in(f.outside, "disk"), NULL), ST_OK);
        assert_int_equal(symlink(in(f.outside, "disk"), in(f.dir, "real/blobs")), 0);
        assert_int_equal(store_open(&s, in(f.outside, "way"), &e), ST_OK);
        assert_int_equal(store_blob_begin(s, &u, &e), ST_OK);
        assert_int_equal(store_blob_write(u, good, 4, &e), ST_OK);
        assert_int_equal(store_blob_commit(u, NULL, digest, &e), ST_OK);
        assert_int_equal(store_blob_stat(s, digest, NULL, &e), ST_OK);
        digest[6] = '-';
        assert_true(exists(f.outside, in("disk", digest)));
        char *path = store_blob_path(s, digest, &e), *text;
        size_t n;
        assert_int_equal(os_file_read(path, 100, &text, &n, &e), ST_OK);
        assert_string_equal(text, good);
        mem_free(text);
        mem_free(path);
        store_close(s);
        close_fixture(&f);
    }
}

static void sec_S_ST_7_owners(void **state UNUSED) {
    struct fixture f = open_fixture(false);
    struct err e;
    put_file(f.dir, "blobs/x", good);
    if (chown(in(f.dir, "blobs/x"), 12345, (gid_t)-1) != 0) {
        close_fixture(&f);
        print_message("no right to give files away\n");
        skip();
    }
    assert_string_equal(content(&f, PLACE_BLOBS, "x", &e), "");
    assert_int_equal(e.code, ST_DENIED);
    assert_non_null(strstr(e.msg, "belongs to user 12345"));
    assert_int_equal(chown(f.dir, 12345, (gid_t)-1), 0); /* the owner of the store */
    assert_string_equal(content(&f, PLACE_BLOBS, "x", &e), good);
    close_fixture(&f);
}

/* ---- races ---- */

struct swapper {
    const char *dir, *target;
    char path[256], spare[256];
    atomic_bool stop;
};

/* The blob is the file, then a link to the secret, and so on, as fast as it goes. */
static void *swap(void *arg) {
    struct swapper *w = arg;
    for (unsigned i = 0; !atomic_load(&w->stop); i++) {
        unlink(w->spare);
        if (i % 2 == 0) {
            assert_int_equal(symlink(w->target, w->spare), 0);
        } else {
            int fd = open(w->spare, O_WRONLY | O_CREAT | O_EXCL, 0644);
            assert_int_equal(write(fd, good, 4), 4);
            close(fd);
        }
        assert_int_equal(rename(w->spare, w->path), 0);
    }
    return NULL;
}

static void race(bool without, bool to_itself) {
    struct fixture f = open_fixture(without);
    struct swapper w = {.dir = f.dir};
    char name[STORE_DIGEST_TEXT], target[256];
    unsigned opened = 0, refused = 0;
    pthread_t thread;
    name_of(7, name);
    snprintf(w.path, sizeof w.path, "%s/blobs/%s", f.dir, name);
    snprintf(w.spare, sizeof w.spare, "%s/blobs/spare", f.dir);
    snprintf(target, sizeof target, "%s/%s", to_itself ? f.dir : f.outside, "secret");
    if (to_itself) put_file(f.dir, "secret", good);
    w.target = target;
    put_file(f.dir, w.path + strlen(f.dir) + 1, good);
    assert_int_equal(pthread_create(&thread, NULL, swap, &w), 0);
    for (unsigned i = 0; i < 25000; i++) {
        struct err e;
        char *text;
        size_t n;
        /* Through the store, and as the engine and the hash do, by the path. */
        if (i % 2 == 0) {
            const char *found = content(&f, PLACE_BLOBS, name, &e);
            assert_true(strcmp(found, good) == 0 || *found == '\0');
            *found != '\0' ? opened++ : refused++;
        } else if (os_file_read(w.path, 100, &text, &n, &e) == ST_OK) {
            assert_true(strcmp(text, good) == 0 || n == 0);
            mem_free(text);
            opened++;
        } else {
            refused++;
        }
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_true(opened > 0 && (to_itself || refused > 0));
    close_fixture(&f);
}

static void sec_S_ST_7_race(void **state UNUSED) {
    for (int i = 0; i < 4; i++) race(i % 2 != 0, i / 2 != 0);
}

/* A folder of manifests is exchanged for a link while manifests are written into it. */
static void *swap_folder(void *arg) {
    struct swapper *w = arg;
    assert_int_equal(symlink(w->target, w->spare), 0);
    while (!atomic_load(&w->stop))
        assert_int_equal(renameat2(AT_FDCWD, w->path, AT_FDCWD, w->spare, RENAME_EXCHANGE), 0);
    return NULL;
}

static void sec_S_ST_1_writing_races(void **state UNUSED) {
    struct fixture f = open_fixture(false);
    struct swapper w = {.target = f.outside};
    struct model_name name;
    pthread_t thread;
    unsigned written = 0;
    assert_true(name_parse(&name, "host/ns/model:tag"));
    assert_int_equal(os_mkdirs(in(f.dir, "manifests/host/ns/model"), NULL), ST_OK);
    snprintf(w.path, sizeof w.path, "%s/manifests/host/ns", f.dir);
    snprintf(w.spare, sizeof w.spare, "%s/spare", f.dir);
    assert_int_equal(pthread_create(&thread, NULL, swap_folder, &w), 0);
    for (unsigned i = 0; i < 2000; i++)
        written += manifest_write(f.s, &name, "{}", 2, NULL) == ST_OK;
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_true(written > 0);
    assert_false(exists(f.outside, "model"));
    assert_true(exists(f.outside, "secret"));
    close_fixture(&f);
}

/* ---- any text, and a kernel that lets nobody out of the folder ---- */

/* From here on this process may use files of that folder only; false: the kernel cannot. */
static bool confine(const char *dir) {
    enum { ALL = 0x1FFF }; /* of Landlock's first version */
    struct {
        uint64_t handled;
    } rules = {.handled = ALL};
    struct {
        uint64_t allowed;
        int32_t fd;
    } __attribute__((packed)) beneath = {.allowed = ALL, .fd = open(dir, O_PATH | O_CLOEXEC)};
    int set = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    return set >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_landlock_add_rule, set, 1, &beneath, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, set, 0) == 0 &&
           open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0;
}

/* Outside the kernel says EACCES, which becomes ST_DENIED; inside nothing does. */
static enum status try_text(struct store *s, const char *text) {
    struct model_name name;
    struct store_upload *u;
    struct err e = {.code = ST_OK};
    char *data = store_blob_path(s, text, &e);
    size_t n;
    int64_t time;
    if (data != NULL) {
        char *path = data;
        if (os_file_read(path, 100, &data, &n, &e) == ST_OK) mem_free(data);
        mem_free(path);
    }
    if (e.code == ST_DENIED) return ST_DENIED;
    if (store_blob_stat(s, text, NULL, &e) == ST_DENIED) return ST_DENIED;
    if (blob_touch(s, text, &e) == ST_DENIED) return ST_DENIED;
    if (rand() % 64 == 0 && store_blob_begin(s, &u, &e) == ST_OK &&
        store_blob_commit(u, text, NULL, &e) == ST_DENIED)
        return ST_DENIED;
    name_parse(&name, text); /* whether it is one or not */
    if (manifest_read_text(s, &name, &data, &n, &time, &e) == ST_OK) mem_free(data);
    if (e.code == ST_DENIED) return ST_DENIED;
    if (rand() % 16 == 0 && manifest_write(s, &name, "{}", 2, &e) == ST_DENIED) return ST_DENIED;
    if (rand() % 2 == 0 && manifest_remove(s, &name, &e) == ST_DENIED) return ST_DENIED;
    return ST_OK;
}

static int try_texts(struct store *s, const char *dir, unsigned count) {
    static const char *const pieces[] = {
        "..", "../",     "/",
        "a",  "b",       ":",
        "-",  "sha256:", "\\",
        ".",  "%2f",     "etc/passwd",
        "~",  "\x01",    "0000000000000000000000000000000000000000000000000000000000000000"};
    if (!confine(dir)) return 77;
    for (unsigned i = 0; i < count; i++) {
        char text[512] = "";
        for (int k = rand() % 6; k >= 0; k--)
            strcat(text, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]);
        if (rand() % 4 == 0) text[(size_t)rand() % (strlen(text) + 1)] = (char)rand();
        if (try_text(s, text) == ST_DENIED) {
            fprintf(stderr, "left the store: %s\n", text);
            return 1;
        }
    }
    return 0;
}

static void sec_S_ST_1_LocalAI_CVE_2024_2029_no_open_outside(void **state UNUSED) {
    struct fixture f = open_fixture(false);
    const char *wanted = getenv("CRIA_NAMES"); /* 1000000: takes a minute or two */
    int status;
    srand(11);
    pid_t child = fork();
    if (child == 0) _exit(try_texts(f.s, f.dir, wanted != NULL ? (unsigned)atoi(wanted) : 20000));
    assert_int_equal(waitpid(child, &status, 0), child);
    close_fixture(&f);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sec_S_ST_7_which_links),
        cmocka_unit_test(folders_may_be_links),
        cmocka_unit_test(sec_S_ST_7_owners),
        cmocka_unit_test(sec_S_ST_7_race),
        cmocka_unit_test(sec_S_ST_1_writing_races),
        cmocka_unit_test(sec_S_ST_1_LocalAI_CVE_2024_2029_no_open_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
