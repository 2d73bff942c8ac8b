/* team_test.c - everybody works, meetings hold, sleeping and spinning mix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/team.h"

enum { MAX_WORKERS = 9 };

static struct team *open_team(unsigned n) {
    struct team *t = NULL;
    struct err e;
    assert_int_equal(team_open(&t, n, &e), ST_OK);
    assert_int_equal(team_size(t), n);
    return t;
}

/* Plain variables on purpose: a missing happens-before shows up under the thread sanitizer. */
struct shared {
    struct team *team;
    unsigned rounds;
    unsigned calls[MAX_WORKERS];
    unsigned n_seen[MAX_WORKERS];
    unsigned slot[MAX_WORKERS];
    unsigned wrong[MAX_WORKERS];
};

static void count_call(void *arg, unsigned worker, unsigned n) {
    struct shared *s = arg;
    s->calls[worker]++;
    s->n_seen[worker] = n;
}

static void test_everybody_is_called_once(void **state) {
    (void)state;
    for (unsigned n = 1; n <= MAX_WORKERS; n++) {
        struct team *t = open_team(n);
        struct shared s = {0};
        for (unsigned run = 1; run <= 200; run++) {
            team_run(t, count_call, &s);
            for (unsigned i = 0; i < MAX_WORKERS; i++) {
                assert_int_equal(s.calls[i], i < n ? run : 0);
                assert_int_equal(s.n_seen[i], i < n ? n : 0);
            }
        }
        team_close(t);
    }
}

/* Each round all write, meet, and read what all the others wrote; then meet before the next. */
static void exchange(void *arg, unsigned worker, unsigned n) {
    struct shared *s = arg;
    for (unsigned r = 1; r <= s->rounds; r++) {
        s->slot[worker] = r * 100 + worker;
        team_barrier(s->team);
        for (unsigned i = 0; i < n; i++) s->wrong[worker] += s->slot[i] != r * 100 + i;
        team_barrier(s->team);
    }
}

static void test_meetings(void **state) {
    (void)state;
    for (unsigned n = 1; n <= MAX_WORKERS; n++) {
        struct shared s = {.team = open_team(n), .rounds = n <= 2 ? 20000 : 500};
        for (int run = 0; run < 3; run++) team_run(s.team, exchange, &s);
        for (unsigned i = 0; i < n; i++) assert_int_equal(s.wrong[i], 0);
        team_close(s.team);
    }
}

static void rest(long us) {
    struct timespec ts = {.tv_nsec = us * 1000};
    nanosleep(&ts, NULL);
}

/* One worker in turn is late, so that the others go to sleep at the meeting, or nearly. */
static void exchange_late(void *arg, unsigned worker, unsigned n) {
    struct shared *s = arg;
    for (unsigned r = 1; r <= s->rounds; r++) {
        if (r % n == worker) rest((long)(r * 37 % 300));
        s->slot[worker] = r;
        team_barrier(s->team);
        for (unsigned i = 0; i < n; i++) s->wrong[worker] += s->slot[i] != r;
        team_barrier(s->team);
    }
}

static void test_late_workers(void **state) {
    (void)state;
    for (unsigned n = 2; n <= 4; n++) {
        struct shared s = {.team = open_team(n), .rounds = 150};
        for (int run = 0; run < 3; run++) {
            rest(run * 500); /* the workers sleep between the runs */
            team_run(s.team, exchange_late, &s);
        }
        for (unsigned i = 0; i < n; i++) assert_int_equal(s.wrong[i], 0);
        team_close(s.team);
    }
}

struct chunks {
    atomic_uint next;
    unsigned char done[10000];
};

static void take_chunks(void *arg, unsigned worker, unsigned n) {
    struct chunks *c = arg;
    (void)worker;
    (void)n;
    for (unsigned i; (i = atomic_fetch_add(&c->next, 1)) < sizeof c->done;) c->done[i]++;
}

static void test_work_from_a_counter(void **state) {
    (void)state;
    struct team *t = open_team(3);
    for (int run = 0; run < 20; run++) {
        struct chunks c = {0};
        team_run(t, take_chunks, &c);
        for (size_t i = 0; i < sizeof c.done; i++) assert_int_equal(c.done[i], 1);
    }
    team_close(t);
}

/* Far more workers than processors: spinning must not starve those that are waited for. */
static void test_crowd_makes_progress(void **state) {
    (void)state;
    struct team *t = open_team(64);
    double start = os_time_mono();
    for (int run = 0; run < 50; run++) {
        struct chunks c = {0};
        team_run(t, take_chunks, &c);
        for (size_t i = 0; i < sizeof c.done; i++) assert_int_equal(c.done[i], 1);
    }
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
static void run_inner(void *arg, unsigned worker, unsigned n) {
    struct shared *s = arg;
    (void)n;
    if (worker == 1) team_run(s->team, exchange, s);
}

static void test_two_teams(void **state) {
    (void)state;
    struct team *outer = open_team(2);
    struct shared s = {.team = open_team(2), .rounds = 1000};
    team_run(outer, run_inner, &s);
    team_run(s.team, exchange, &s);
    assert_int_equal(s.wrong[0] + s.wrong[1], 0);
    team_close(outer);
    team_close(s.team);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_is_called_once),
        cmocka_unit_test(test_meetings),
        cmocka_unit_test(test_late_workers),
        cmocka_unit_test(test_work_from_a_counter),
        cmocka_unit_test(test_crowd_makes_progress),
        cmocka_unit_test(test_open_and_close),
        cmocka_unit_test(test_two_teams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
