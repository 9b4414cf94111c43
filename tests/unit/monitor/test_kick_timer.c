/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "monitor/host_time.h"
#include "monitor/kick_timer.h"
#include "tests/suite/suite.h"

/*
 * Storms: the timer is armed at random, for the past, at once, soon, while other
 * signals arrive, are held back, and fill the process's queue. Each deadline is
 * waited for: one that is lost is a test that does not end. test_run.c looks at
 * each instruction instead.
 */
#define STORMS  3000u
#define SPAN_NS 200000u
#define HOUR_NS 3600000000000u
#define QUEUE   64u

static struct kick_timer timer;
static volatile uint64_t kicked_at;
static volatile unsigned kicks;
static volatile unsigned others;
static uint64_t seed = 1;

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % limit;
}

static void on_kick(void *opaque, void *ucontext)
{
    if (opaque != &seed || !ucontext)
        abort();
    kicked_at = host_now();
    kicks++;
}

static void on_other(int number)
{
    (void)number;
    others++;
}

static void set_up(void)
{
    const struct rlimit limit = {QUEUE, QUEUE};
    struct sigaction action = {.sa_handler = on_other, .sa_flags = SA_ONSTACK};

    ck_assert_int_eq(kick_timer_init(&timer, on_kick, &seed), 0);
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN + 3, &action, NULL);
    /* A timer has its place in the queue from the start. */
    ck_assert_int_eq(setrlimit(RLIMIT_SIGPENDING, &limit), 0);
}

static void tear_down(void)
{
    kick_timer_fini(&timer);
}

static void send_others(void)
{
    const union sigval value = {.sival_int = 0};
    unsigned count = random_below(4);

    for (unsigned i = 0; i < count; i++)
        raise(SIGUSR1);
    kill(getpid(), KICK_SIGNAL); /* somebody else's */
    sigqueue(getpid(), SIGRTMIN + 3, value);
}

/* Hold all signals back until the queue is full, and the deadline is over. */
static void fill_queue(uint64_t until)
{
    const union sigval value = {.sival_int = 0};
    sigset_t all, old;
    unsigned sent = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (sigqueue(getpid(), SIGRTMIN + 3, value) == 0)
        ck_assert_uint_le(sent++, QUEUE);
    ck_assert_int_eq(errno, EAGAIN);
    while (host_now() <= until)
        ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* As the run loop does it: whoever was kicked arms again for all that is wanted. */
static void wait_for(uint64_t deadline, unsigned before)
{
    while (kicked_at < deadline) {
        if (kicks != before) {
            before = kicks;
            kick_timer_arm(&timer, deadline);
        }
    }
}

static void storm(void)
{
    uint64_t deadline = host_now() + random_below(SPAN_NS);
    uint64_t earlier = deadline - random_below(2 * SPAN_NS);
    unsigned before = kicks;

    kick_timer_arm(&timer, deadline);
    if (random_below(2))
        send_others();
    if (random_below(3) == 0)
        kick_timer_arm(&timer, earlier);
    if (random_below(16) == 0)
        fill_queue(deadline);
    if (random_below(4) == 0)
        kick_timer_arm(&timer, deadline + SPAN_NS); /* changes nothing */
    wait_for(deadline, before);
}

START_TEST(each_deadline_is_followed_by_a_kick)
{
    set_up();
    seed = 0x1000003u * (unsigned)(_i + 1);
    for (unsigned i = 0; i < STORMS; i++)
        storm();
    ck_assert_uint_gt(others, STORMS / 10);
    tear_down();
}
END_TEST

START_TEST(a_kick_comes_once_and_never_early)
{
    set_up();
    for (unsigned i = 0; i < 100; i++) {
        uint64_t deadline = host_now() + random_below(SPAN_NS);
        unsigned before = kicks;

        kick_timer_arm(&timer, deadline);
        while (kicks == before)
            ;
        ck_assert_uint_ge(kicked_at, deadline);
        ck_assert_uint_eq(timer.armed, UINT64_MAX);
        while (host_now() < deadline + SPAN_NS)
            ;
        ck_assert_uint_eq(kicks, before + 1);
    }
    tear_down();
}
END_TEST

/* The later one is not waited for: only the earlier one can end this. */
START_TEST(an_earlier_deadline_replaces_a_later_one)
{
    set_up();
    for (unsigned i = 0; i < 100; i++) {
        uint64_t deadline = host_now() + random_below(SPAN_NS);
        unsigned before = kicks;

        kick_timer_arm(&timer, deadline + HOUR_NS);
        kick_timer_arm(&timer, deadline);
        kick_timer_arm(&timer, deadline + 2 * HOUR_NS);
        while (kicks == before)
            ;
        ck_assert_uint_ge(kicked_at, deadline);
    }
    tear_down();
}
END_TEST

START_TEST(a_time_that_is_over_kicks_at_once)
{
    set_up();
    kick_timer_arm(&timer, 0);
    while (kicks == 0)
        ;
    kick_timer_arm(&timer, 1);
    while (kicks == 1)
        ;
    tear_down();
}
END_TEST

/* The signal is held back; when the timer is gone, nothing may refer to it. */
START_TEST(the_kick_of_a_timer_that_ends_comes_before_its_end_or_never)
{
    sigset_t kick, pending;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    for (unsigned i = 0; i < 50; i++) {
        ck_assert_int_eq(kick_timer_init(&timer, on_kick, &seed), 0);
        pthread_sigmask(SIG_BLOCK, &kick, NULL);
        kick_timer_arm(&timer, host_now());
        do
            sigpending(&pending);
        while (!sigismember(&pending, KICK_SIGNAL));
        kick_timer_fini(&timer);
        kicks = 0;
        timer.hook = NULL; /* a call of it ends the test */
        sigpending(&pending);
        ck_assert(!sigismember(&pending, KICK_SIGNAL));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kick_timer");
    TCase *tcase = tcase_create("kicks");

    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, each_deadline_is_followed_by_a_kick, 0, 2);
    tcase_add_test(tcase, a_kick_comes_once_and_never_early);
    tcase_add_test(tcase, an_earlier_deadline_replaces_a_later_one);
    tcase_add_test(tcase, a_time_that_is_over_kicks_at_once);
    tcase_add_test(tcase,
                   the_kick_of_a_timer_that_ends_comes_before_its_end_or_never);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
