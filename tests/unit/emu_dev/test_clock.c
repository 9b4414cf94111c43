/* SPDX-License-Identifier: MIT */
#include "emu/dev/clock.h"

#include "fixture.h"
#include "tests/suite/suite.h"

static char fired[32];
static size_t fired_len;

/* A timer that writes its letter and, if period is set, arms itself again. */
struct letter {
    struct clock_timer timer;
    char name;
    uint64_t period;
};

static void fire(void *opaque)
{
    struct letter *letter = opaque;
    ck_assert_uint_lt(fired_len, sizeof(fired) - 1);
    fired[fired_len++] = letter->name;
    fired[fired_len] = '\0';
    if (letter->period != 0)
        clock_arm(guest_clock, &letter->timer,
                  letter->timer.deadline + letter->period);
}

static void arm(struct letter *letter, char name, uint64_t deadline)
{
    letter->name = name;
    letter->timer.fire = fire;
    letter->timer.opaque = letter;
    clock_arm(guest_clock, &letter->timer, deadline);
}

static void setup(void)
{
    fixture_setup();
    fired_len = 0;
    fired[0] = '\0';
}

START_TEST(time_never_goes_back)
{
    now_ns = 100;
    ck_assert_uint_eq(clock_now(guest_clock), 100);
    now_ns = 50;
    ck_assert_uint_eq(clock_now(guest_clock), 100);
}
END_TEST

START_TEST(timers_fire_in_order_of_their_deadlines)
{
    struct letter a = {0}, b = {0}, c = {0};
    arm(&a, 'a', 30);
    arm(&b, 'b', 10);
    arm(&c, 'c', 30);
    ck_assert_uint_eq(clock_next(guest_clock), 10);
    advance(9);
    ck_assert_str_eq(fired, "");
    advance(100);
    ck_assert_str_eq(fired, "bac");
    ck_assert_uint_eq(clock_next(guest_clock), UINT64_MAX);
}
END_TEST

START_TEST(nothing_fires_outside_clock_run)
{
    struct letter a = {0};
    arm(&a, 'a', 10);
    now_ns = 20;
    ck_assert_uint_eq(clock_now(guest_clock), 20);
    ck_assert_str_eq(fired, "");
}
END_TEST

START_TEST(arming_again_moves_a_timer)
{
    struct letter a = {0};
    arm(&a, 'a', 10);
    arm(&a, 'a', 50);
    advance(20);
    ck_assert_str_eq(fired, "");
    advance(40);
    ck_assert_str_eq(fired, "a");
    advance(40);
    ck_assert_str_eq(fired, "a");
}
END_TEST

START_TEST(a_disarmed_timer_does_not_fire)
{
    struct letter a = {0}, b = {0};
    arm(&a, 'a', 10);
    arm(&b, 'b', 10);
    clock_disarm(guest_clock, &a.timer);
    clock_disarm(guest_clock, &a.timer);
    advance(20);
    ck_assert_str_eq(fired, "b");
}
END_TEST

START_TEST(a_timer_that_is_late_for_itself_fires_once_a_run)
{
    struct letter a = {.period = 1};
    arm(&a, 'a', 10);
    advance(1000);
    ck_assert_str_eq(fired, "a");
    clock_run(guest_clock);
    ck_assert_str_eq(fired, "aa");
    clock_disarm(guest_clock, &a.timer);
}
END_TEST

START_TEST(time_stands_still_while_it_is_held)
{
    clock_hold(guest_clock);
    uint64_t held = clock_now(guest_clock);
    now_ns += 10;
    clock_hold(guest_clock);
    ck_assert_uint_eq(clock_now(guest_clock), held);
    clock_release(guest_clock);
    ck_assert_uint_eq(clock_now(guest_clock), held);
    clock_release(guest_clock);
    ck_assert_uint_eq(clock_now(guest_clock), held + 10);
    now_ns += 10;
    clock_hold(guest_clock); /* begins with the first look */
    ck_assert_uint_eq(clock_now(guest_clock), held + 20);
    clock_release(guest_clock);
}
END_TEST

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

START_TEST(the_listener_hears_of_earlier_deadlines_only)
{
    struct letter a = {0}, b = {0}, c = {0};
    unsigned heard = 0;
    clock_set_listener(guest_clock, count, &heard);
    arm(&a, 'a', 100);
    arm(&b, 'b', 200);
    ck_assert_uint_eq(heard, 1);
    arm(&c, 'c', 50);
    ck_assert_uint_eq(heard, 2);
}
END_TEST

START_TEST(the_base_is_what_it_was_set_to)
{
    clock_set_base(guest_clock, -5);
    ck_assert_int_eq(clock_base(guest_clock), -5);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("clock");
    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_test(tcase, time_never_goes_back);
    tcase_add_test(tcase, timers_fire_in_order_of_their_deadlines);
    tcase_add_test(tcase, nothing_fires_outside_clock_run);
    tcase_add_test(tcase, arming_again_moves_a_timer);
    tcase_add_test(tcase, a_disarmed_timer_does_not_fire);
    tcase_add_test(tcase, a_timer_that_is_late_for_itself_fires_once_a_run);
    tcase_add_test(tcase, time_stands_still_while_it_is_held);
    tcase_add_test(tcase, the_listener_hears_of_earlier_deadlines_only);
    tcase_add_test(tcase, the_base_is_what_it_was_set_to);
    return run_case(tcase, "clock");
}
