/* os_test.c - files, mappings, folders, time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

static char dir[64]; /* a folder of our own, made anew for each test */

static int make_dir(void **state) {
    (void)state;
    strcpy(dir, "/tmp/cria-os-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static const char *in_dir(const char *name) {
    static char path[4][192];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* Number of names in the folder: temporary files must not stay. */
static int count_names(void) {
    char command[128];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *f = popen(command, "r");
    int n = -1;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static void test_write_and_read(void **state) {
    (void)state;
    const char *path = in_dir("f");
    char *data = NULL;
    size_t size = 9;
    struct err e;
    assert_false(os_file_exists(path));
    assert_int_equal(os_file_write_atomic(path, "a\0b", 3, &e), ST_OK);
    assert_true(os_file_exists(path));
    assert_int_equal(os_file_read(path, 3, &data, &size, &e), ST_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "a\0b", 4);
    mem_free(data);
    assert_int_equal(os_file_write_atomic(path, NULL, 0, &e), ST_OK); /* over the old one */
    assert_int_equal(os_file_read(path, 0, &data, &size, &e), ST_OK);
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    mem_free(data);
    assert_int_equal(count_names(), 1);
}

static void test_read_refuses(void **state) {
    (void)state;
    char *data = NULL;
    size_t size;
    struct err e;
    assert_int_equal(os_file_read(in_dir("none"), 10, &data, &size, &e), ST_NOT_FOUND);
    assert_non_null(strstr(e.msg, "open /tmp/cria-os-"));
    assert_non_null(strstr(e.msg, "/none: no such file or directory"));
    assert_int_equal(os_file_read(in_dir("none"), 10, &data, &size, NULL), ST_NOT_FOUND);
    assert_int_equal(os_file_read(dir, 10, &data, &size, &e), ST_INVALID);
    os_file_write_atomic(in_dir("f"), "12345", 5, &e);
    assert_int_equal(os_file_read(in_dir("f"), 4, &data, &size, &e), ST_LIMIT);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_int_equal(os_file_read(in_dir("fifo"), 4, &data, &size, &e), ST_INVALID);
    assert_null(data);
}

/* Files of /proc have content though they say that they are empty. */
static void test_read_unsized(void **state) {
    (void)state;
    char *data = NULL;
    size_t size;
    assert_int_equal(os_file_read("/proc/self/status", 1 << 20, &data, &size, NULL), ST_OK);
    assert_int_equal(strlen(data), size);
    assert_non_null(strstr(data, "VmRSS"));
    mem_free(data);
}

static void test_write_refuses(void **state) {
    (void)state;
    struct err e;
    assert_int_equal(os_file_write_atomic(in_dir("no/f"), "x", 1, &e), ST_NOT_FOUND);
    assert_int_equal(os_mkdirs(in_dir("sub/sub"), &e), ST_OK);
    assert_int_not_equal(os_file_write_atomic(in_dir("sub"), "x", 1, &e), ST_OK);
    assert_int_equal(count_names(), 1);
    /* A device keeps its place: rename() would put a file there. */
    assert_int_equal(os_file_write_atomic("/dev/null", "x", 1, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "/dev/null: not a regular file"));
}

static void test_out_in_pieces(void **state) {
    (void)state;
    struct os_out o = {0};
    char *data;
    size_t size;
    os_out_abort(&o); /* nothing was begun */
    assert_int_equal(os_file_write_atomic(in_dir("f"), "old", 3, NULL), ST_OK);
    assert_int_equal(os_out_begin(&o, in_dir("f"), NULL), ST_OK);
    assert_int_equal(os_out_write(&o, "ne", 2, NULL), ST_OK);
    assert_int_equal(count_names(), 2);
    os_out_abort(&o);
    assert_int_equal(count_names(), 1);
    assert_int_equal(os_out_begin(&o, in_dir("f"), NULL), ST_OK);
    assert_int_equal(os_out_write(&o, "ne", 2, NULL), ST_OK);
    assert_int_equal(os_out_write(&o, "w", 1, NULL), ST_OK);
    assert_int_equal(os_out_commit(&o, NULL), ST_OK);
    os_out_abort(&o);
    assert_int_equal(os_file_read(in_dir("f"), 10, &data, &size, NULL), ST_OK);
    assert_string_equal(data, "new");
    mem_free(data);
    assert_int_equal(count_names(), 1);
}

static void test_faults_leave_the_old_file(void **state) {
    (void)state;
    const char *path = in_dir("f");
    assert_int_equal(os_file_write_atomic(path, "old", 3, NULL), ST_OK);
    long before = mem_live();
    for (long n = 1;; n++) {
        char *data;
        size_t size;
        mem_fail_at(n);
        enum status st = os_file_write_atomic(path, "new", 3, NULL);
        mem_fail_at(0);
        assert_int_equal(os_file_read(path, 10, &data, &size, NULL), ST_OK);
        assert_string_equal(data, st == ST_OK ? "new" : "old");
        mem_free(data);
        assert_int_equal(mem_live(), before);
        assert_int_equal(count_names(), 1);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
    char *data;
    size_t size;
    mem_fail_at(1);
    assert_int_equal(os_file_read(path, 10, &data, &size, NULL), ST_NO_MEMORY);
    mem_fail_at(1);
    assert_int_equal(os_mkdirs(path, NULL), ST_NO_MEMORY);
    mem_fail_at(0);
}

static void test_map(void **state) {
    (void)state;
    struct os_map m;
    struct err e;
    assert_int_equal(os_map_open(&m, in_dir("none"), &e), ST_NOT_FOUND);
    os_map_close(&m);
    assert_int_equal(os_map_open(&m, dir, &e), ST_INVALID);
    os_file_write_atomic(in_dir("f"), "content", 7, &e);
    assert_int_equal(os_map_open(&m, in_dir("f"), &e), ST_OK);
    assert_true(m.owned);
    assert_int_equal(m.size, 7);
    assert_memory_equal(m.data, "content", 7);
    os_map_close(&m);
    os_map_close(&m);
    assert_null(m.data);
    os_file_write_atomic(in_dir("f"), "", 0, &e);
    assert_int_equal(os_map_open(&m, in_dir("f"), &e), ST_OK);
    assert_int_equal(m.size, 0);
    assert_non_null(m.data);
    os_map_close(&m);
    os_map_borrow(&m, "abc", 3);
    assert_false(m.owned);
    os_map_close(&m);
}

/* A file that somebody cuts while it is mapped is zeros from there on, and known as cut. Runs in a
 * process of its own (main): cmocka takes SIGBUS for itself. */
static bool cut_file_is_told(void) {
    enum { SIZE = 1 << 18 };
    static unsigned char bytes[SIZE];
    char path[] = "/tmp/cria-os-cut-XXXXXX", other_path[] = "/tmp/cria-os-whole-XXXXXX";
    struct os_map m, other;
    close(mkstemp(path));
    close(mkstemp(other_path));
    memset(bytes, 7, sizeof bytes);
    bool good = os_file_write_atomic(path, bytes, SIZE, NULL) == ST_OK &&
                os_file_write_atomic(other_path, bytes, SIZE, NULL) == ST_OK &&
                os_map_open(&m, path, NULL) == ST_OK &&
                os_map_open(&other, other_path, NULL) == ST_OK;
    good = good && m.data[SIZE - 1] == 7 && truncate(path, SIZE / 2) == 0;
    good = good && m.data[SIZE / 2 - 1] == 7 && !os_map_cut(&m);
    for (size_t i = SIZE / 2; good && i < SIZE; i += 4096) good = m.data[i] == 0;
    good = good && os_map_cut(&m) && !os_map_cut(&other) && other.data[SIZE - 1] == 7;
    os_map_close(&m);
    os_map_close(&other);
    good = good && os_map_open(&m, other_path, NULL) == ST_OK; /* in the place of the first */
    good = good && !os_map_cut(&m);
    os_map_close(&m);
    unlink(path);
    unlink(other_path);
    return good;
}

static void sec_S_ST_9_cut_file(void **state) {
    (void)state;
    const pid_t child = fork();
    int how = -1;
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "os_test", "--cut", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
}

static void test_mkdirs(void **state) {
    (void)state;
    struct err e;
    struct stat st;
    assert_int_equal(os_mkdirs(in_dir("a//b/c/"), &e), ST_OK);
    assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(os_mkdirs(in_dir("a/b"), &e), ST_OK);
    assert_int_equal(os_mkdirs("/", &e), ST_OK);
    os_file_write_atomic(in_dir("a/f"), "", 0, &e);
    assert_int_equal(os_mkdirs(in_dir("a/f"), &e), ST_INVALID);
    assert_int_equal(os_mkdirs(in_dir("a/f/g"), &e), ST_INVALID);
    assert_int_equal(os_fsync_dir(-1, "none", &e), ST_IO);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_fsync_dir(fd, dir, &e), ST_OK);
    assert_int_equal(os_file_write_atomic_at(fd, "no/such/of-it", "x", 1, &e), ST_OK);
    close(fd);
    assert_int_equal(stat(in_dir("of-it"), &st), 0); /* only the last part counts */
}

/* ---- guarded folders ---- */

static int guard_calls;

static int open_guarded(void *arg, const char *below, struct err *e) {
    assert_ptr_equal(arg, &guard_calls);
    guard_calls++;
    if (strcmp(below, "fine") == 0) return open("/dev/null", O_RDONLY | O_CLOEXEC);
    err_set(e, ST_DENIED, "no %s", below);
    return -1;
}

static void guards(void **state) {
    (void)state;
    char *text;
    size_t n;
    struct err e;
    struct os_map m;
    assert_int_equal(os_mkdirs(in_dir("guarded"), &e), ST_OK);
    assert_int_equal(os_file_write_atomic(in_dir("guarded/f"), "text", 4, &e), ST_OK);
    assert_int_equal(os_guard(in_dir("guarded"), open_guarded, &guard_calls, &e), ST_OK);
    assert_int_equal(os_file_read(in_dir("guarded/f"), 9, &text, &n, &e), ST_DENIED);
    assert_string_equal(e.msg, "no f");
    assert_int_equal(os_map_open(&m, in_dir("guarded/a/b"), &e), ST_DENIED);
    assert_string_equal(e.msg, "no a/b");
    int fd = os_open_read(in_dir("guarded/fine"), &e);
    assert_true(fd >= 0 && guard_calls == 3);
    close(fd);
    assert_int_equal(os_file_read(in_dir("guarded2"), 9, &text, &n, &e), ST_NOT_FOUND);
    os_unguard(&guard_calls);
    assert_int_equal(os_file_read(in_dir("guarded/f"), 9, &text, &n, &e), ST_OK);
    assert_true(guard_calls == 3 && n == 4);
    mem_free(text);
}

static void check_time(int64_t ns, bool utc, const char *want) {
    char out[48];
    os_time_rfc3339(ns, utc, out);
    assert_string_equal(out, want);
}

static void test_rfc3339(void **state) {
    (void)state;
    check_time(0, true, "1970-01-01T00:00:00Z");
    check_time(1500000000, true, "1970-01-01T00:00:01.5Z");
    check_time(-1, true, "1969-12-31T23:59:59.999999999Z");
    check_time(1700000000000000001, true, "2023-11-14T22:13:20.000000001Z");
    check_time(1700000000120000000, true, "2023-11-14T22:13:20.12Z");
    check_time(INT64_MAX, true, "2262-04-11T23:47:16.854775807Z");
    check_time(INT64_MIN, true, "1677-09-21T00:12:43.145224192Z");
    setenv("TZ", "XXX-5:30", 1); /* POSIX: the sign is that of the way back to UTC */
    tzset();
    check_time(1700000000000000000, false, "2023-11-15T03:43:20+05:30");
    setenv("TZ", "XXX3:30", 1);
    tzset();
    check_time(1700000000000000000, false, "2023-11-14T18:43:20-03:30");
    setenv("TZ", "UTC0", 1);
    tzset();
    check_time(1700000000000000000, false, "2023-11-14T22:13:20Z");
}

static void test_clocks(void **state) {
    (void)state;
    int64_t a = os_time_mono_ns();
    double d = os_time_mono();
    int64_t b = os_time_mono_ns();
    assert_true(a <= b);
    assert_true(d * 1e9 >= (double)a - 1e3 && d * 1e9 <= (double)b + 1e3);
    int64_t now = os_time_unix_ns() / 1000000000;
    assert_true(now >= time(NULL) - 2 && now <= time(NULL) + 2);
}

static void test_random(void **state) {
    (void)state;
    static unsigned char a[10000], zero[64];
    assert_int_equal(os_random(a, sizeof a, NULL), ST_OK);
    assert_int_equal(os_random(NULL, 0, NULL), ST_OK);
    for (size_t i = 0; i + 64 <= sizeof a; i += 64) assert_memory_not_equal(a + i, zero, 64);
}

/* Policy and niceness stay; only a kernel that knows slices shows one. */
struct slice {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
static void *compute(void *arg) {
    struct slice *x = arg;
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 7) != 0) return NULL;
    if (syscall(SYS_sched_getattr, 0, &x[0], sizeof x[0], 0) != 0) return NULL;
    os_thread_computes();
    return syscall(SYS_sched_getattr, 0, &x[1], sizeof x[1], 0) == 0 ? arg : NULL;
}
static void test_thread_computes(void **state) {
    (void)state;
    struct slice x[2] = {{.size = sizeof x[0]}, {.size = sizeof x[1]}};
    pthread_t t;
    void *done;
    assert_int_equal(pthread_create(&t, NULL, compute, x), 0);
    pthread_join(t, &done);
    if (done == NULL) skip(); /* this system does not tell */
    assert_int_equal(x[1].policy, x[0].policy);
    assert_int_equal(x[1].nice, 7);
    assert_true(x[1].runtime == x[0].runtime || x[1].runtime == 20000000);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--cut") == 0) return cut_file_is_told() ? 0 : 1;
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_write_and_read),
        IN_DIR(test_read_refuses),
        cmocka_unit_test(test_read_unsized),
        IN_DIR(guards),
        IN_DIR(test_write_refuses),
        IN_DIR(test_out_in_pieces),
        IN_DIR(test_faults_leave_the_old_file),
        IN_DIR(test_map),
        IN_DIR(sec_S_ST_9_cut_file),
        IN_DIR(test_mkdirs),
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_thread_computes),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
