/* team_test.c - each task is done once, stages follow each other, sleeping and spinning mix, and
 * jobs each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/team.h"

enum { MAX_WORKERS = 9, MAX_TASKS = 13 };

static struct team *open_team(unsigned n) {
    struct team *t = NULL;
    struct err e;
    assert_int_equal(team_open(&t, n, &e), ST_OK);
    assert_int_equal(team_size(t), n);
    return t;
}

/* Plain variables on purpose: a missing happens-before shows up under the thread sanitizer. */
struct relay {
    unsigned rounds, round;
    unsigned n_tasks[2], slot[2][MAX_TASKS]; /* of this round and the one before, by turns */
    unsigned wrong[MAX_WORKERS];
    unsigned late; /* us that a task may take */
};

static void rest(long us) {
    struct timespec ts = {.tv_nsec = us * 1000};
    nanosleep(&ts, NULL);
}

static unsigned tasks_of(unsigned round) { return round * 7 % MAX_TASKS + 1; }

static unsigned relay_next(void *arg) {
    struct relay *r = arg;
    if (r->round == r->rounds) return 0;
    r->round++;
    return r->n_tasks[r->round & 1] = tasks_of(r->round);
}
/* Each task reads what all of the stage before wrote, and writes its own. */
static void relay_task(void *arg, unsigned task, unsigned worker) {
    struct relay *r = arg;
    const unsigned now = r->round & 1, before = 1 - now;
    if (r->late != 0 && (task + r->round) % 5 == 0) rest((long)(r->round * 37 % r->late));
    for (unsigned i = 0; i < r->n_tasks[before]; i++)
        r->wrong[worker] += r->slot[before][i] != (r->round - 1) * 100 + i;
    r->slot[now][task] = r->round * 100 + task;
}
static const struct team_job relay = {relay_next, relay_task};

static void run_relay(struct team *t, unsigned rounds, unsigned late) {
    struct relay r = {.rounds = rounds, .late = late};
    team_run(t, &relay, &r);
    assert_int_equal(r.round, rounds);
    for (unsigned i = 0; i < MAX_WORKERS; i++) assert_int_equal(r.wrong[i], 0);
}

static void test_stages_follow_each_other(void **state) {
    (void)state;
    for (unsigned n = 1; n <= MAX_WORKERS; n++) {
        struct team *t = open_team(n);
        for (int run = 0; run < 3; run++) run_relay(t, n <= 2 ? 20000 : 500, 0);
        team_close(t);
    }
}

/* Some tasks are late, so that the others go to sleep, or nearly. */
static void test_late_tasks(void **state) {
    (void)state;
    for (unsigned n = 2; n <= 4; n++) {
        struct team *t = open_team(n);
        for (int run = 0; run < 3; run++) {
            rest(run * 500); /* the workers sleep between the runs */
            run_relay(t, 100, 300);
        }
        team_close(t);
    }
}

struct counts {
    unsigned char done[10000];
};
static void count(void *arg, unsigned task, unsigned worker) {
    struct counts *c = arg;
    (void)worker;
    c->done[task]++;
}
static void expect_all_done(struct team *t) {
    struct counts c = {0};
    team_share(t, sizeof c.done, count, &c);
    for (size_t i = 0; i < sizeof c.done; i++) assert_int_equal(c.done[i], 1);
}

static void test_every_task_is_done_once(void **state) {
    (void)state;
    struct team *t = open_team(3);
    for (int run = 0; run < 20; run++) expect_all_done(t);
    team_share(t, 0, count, NULL);
    team_close(t);
}

/* Many short jobs one after the other: who ends one may still be on its way when the next begins.
 */
static void test_short_jobs(void **state) {
    (void)state;
    struct team *t = open_team(4);
    for (unsigned run = 0; run < 20000; run++) {
        struct counts c;
        memset(c.done, 0, 8);
        team_share(t, run % 6, count, &c);
        for (unsigned i = 0; i < 8; i++) assert_int_equal(c.done[i], i < run % 6);
    }
    team_close(t);
}

/* Far more workers than processors: spinning must not starve those that are waited for. */
static void test_crowd_makes_progress(void **state) {
    (void)state;
    struct team *t = open_team(64);
    double start = os_time_mono();
    for (int run = 0; run < 50; run++) expect_all_done(t);
    assert_true(os_time_mono() - start < 30);
    team_close(t);
}

static void test_open_and_close(void **state) {
    (void)state;
    long before = mem_live();
    team_close(NULL);
    for (int i = 0; i < 50; i++) team_close(open_team(1 + (unsigned)i % 4));
    struct team *t = NULL;
    struct err e;
    mem_fail_at(1);
    assert_int_equal(team_open(&t, 2, &e), ST_NO_MEMORY);
    mem_fail_at(0);
    assert_null(t);
    assert_int_equal(mem_live(), before);
}

/* Two teams at once, and a team used from another team's worker (as two loaded models may). */
static void run_inner(void *arg, unsigned task, unsigned worker) {
    (void)worker;
    if (task == 1) run_relay(arg, 1000, 0);
}

static void test_two_teams(void **state) {
    (void)state;
    struct team *outer = open_team(2), *inner = open_team(2);
    team_share(outer, 2, run_inner, inner);
    run_relay(inner, 1000, 0);
    team_close(outer);
    team_close(inner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_follow_each_other),
        cmocka_unit_test(test_late_tasks),
        cmocka_unit_test(test_every_task_is_done_once),
        cmocka_unit_test(test_short_jobs),
        cmocka_unit_test(test_crowd_makes_progress),
        cmocka_unit_test(test_open_and_close),
        cmocka_unit_test(test_two_teams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
