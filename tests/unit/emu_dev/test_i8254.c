/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8254.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from the 8254 datasheet, "Control Word Format", "Mode Definitions" and
 * "Read Operations". Channel 2 is used unless the interrupt wire matters; its
 * gate is low after reset. */

#define LATCH_2 0x80u

static struct i8254 *pit;
static struct probe irq0;
static uint64_t tick;

/* The first nanosecond of a tick of the 1193182 Hz input. */
static void go_to(uint64_t new_tick)
{
    tick = new_tick;
    uint64_t ns = (new_tick * 1000000000 + 1193181) / 1193182;
    advance(ns - now_ns);
}

static void ticks(uint64_t count)
{
    go_to(tick + count);
}

static void setup(void)
{
    fixture_setup();
    tick = 0;
    ck_assert_int_eq(i8254_create(&pit, bus, guest_clock, probe_line(&irq0)),
                     0);
    i8254_set_gate(pit, 2, true);
    go_to(1000);
}

static void teardown(void)
{
    i8254_destroy(pit);
    fixture_teardown();
}

static void set_mode(unsigned channel, unsigned mode, uint16_t count)
{
    out(0x43, channel << 6 | 0x30 | mode << 1);
    out((uint16_t)(0x40 + channel), count & 0xff);
    out((uint16_t)(0x40 + channel), count >> 8);
}

static uint16_t read_count(unsigned channel)
{
    uint16_t port = (uint16_t)(0x40 + channel);
    out(0x43, channel << 6);
    unsigned low = in(port);
    return (uint16_t)(low | (unsigned)in(port) << 8);
}

static bool output(void)
{
    return i8254_output(pit, 2);
}

/* OUT falls (or rises) at exactly the at-th tick from now. */
static void expect_change(uint64_t at, bool after)
{
    ticks(at - 1);
    ck_assert_int_eq(output(), !after);
    ticks(1);
    ck_assert_int_eq(output(), after);
}

START_TEST(mode_0_goes_high_n_plus_1_ticks_after_the_write)
{
    set_mode(2, 0, 4);
    ck_assert_int_eq(output(), false);
    expect_change(5, true);
    ticks(100000);
    ck_assert_int_eq(output(), true);
}
END_TEST

START_TEST(mode_0_counts_on_through_zero)
{
    set_mode(2, 0, 4);
    ticks(7);
    ck_assert_uint_eq(read_count(2), 0xfffe);
}
END_TEST

START_TEST(mode_0_is_held_by_its_gate)
{
    set_mode(2, 0, 10);
    ticks(4); /* 3 counted */
    i8254_set_gate(pit, 2, false);
    ticks(50);
    ck_assert_uint_eq(read_count(2), 7);
    i8254_set_gate(pit, 2, true);
    expect_change(7, true);
}
END_TEST

START_TEST(the_first_byte_of_a_mode_0_count_stops_counting)
{
    set_mode(2, 0, 10);
    ticks(5);
    out(0x42, 3);
    ticks(50);
    ck_assert_int_eq(output(), false);
    out(0x42, 0);
    expect_change(4, true);
}
END_TEST

START_TEST(mode_1_is_a_one_shot_that_its_gate_starts_again)
{
    i8254_set_gate(pit, 2, false);
    set_mode(2, 1, 5);
    ticks(20);
    ck_assert_int_eq(output(), true);
    i8254_set_gate(pit, 2, true);
    ticks(1);
    ck_assert_int_eq(output(), false);
    ticks(3);
    i8254_set_gate(pit, 2, false);
    i8254_set_gate(pit, 2, true);
    ticks(1);
    ck_assert_int_eq(output(), false);
    expect_change(5, true);
}
END_TEST

START_TEST(mode_2_is_low_for_the_last_tick_of_each_period)
{
    set_mode(2, 2, 5);
    ticks(1); /* loaded */
    ck_assert_uint_eq(read_count(2), 5);
    for (unsigned i = 0; i < 3; i++) {
        expect_change(4, false);
        ck_assert_uint_eq(read_count(2), 1);
        expect_change(1, true);
    }
}
END_TEST

START_TEST(a_new_count_in_mode_2_waits_for_the_end_of_the_period)
{
    set_mode(2, 2, 10);
    ticks(34); /* 3 counted in the fourth period */
    out(0x42, 4);
    out(0x42, 0);
    ck_assert_uint_eq(read_count(2), 7);
    ticks(7);
    ck_assert_uint_eq(read_count(2), 4);
    expect_change(3, false);
}
END_TEST

START_TEST(a_count_that_is_not_loaded_yet_gives_way_to_the_next)
{
    set_mode(2, 2, 10);
    out(0x42, 4);
    out(0x42, 0);
    ticks(1);
    ck_assert_uint_eq(read_count(2), 4);
    expect_change(3, false);
    set_mode(2, 1, 10);
    i8254_set_gate(pit, 2, false);
    i8254_set_gate(pit, 2, true);
    out(0x42, 6);
    out(0x42, 0);
    ticks(1);
    ck_assert_uint_eq(read_count(2), 6);
}
END_TEST

START_TEST(a_low_gate_forces_mode_2_high_and_a_rise_reloads)
{
    set_mode(2, 2, 5);
    ticks(5); /* low now */
    ck_assert_int_eq(output(), false);
    i8254_set_gate(pit, 2, false);
    ck_assert_int_eq(output(), true);
    ticks(30);
    i8254_set_gate(pit, 2, true);
    ticks(1);
    ck_assert_uint_eq(read_count(2), 5);
    expect_change(4, false);
}
END_TEST

START_TEST(mode_3_is_high_for_the_longer_half_of_an_odd_count)
{
    set_mode(2, 3, 5);
    ticks(1);
    ck_assert_int_eq(output(), true);
    for (unsigned i = 0; i < 3; i++) {
        expect_change(3, false);
        expect_change(2, true);
    }
}
END_TEST

START_TEST(mode_3_counts_by_two_in_each_half)
{
    static const uint16_t seen[8] = {8, 6, 4, 2, 8, 6, 4, 2};
    set_mode(2, 3, 8);
    for (unsigned i = 0; i < 8; i++) {
        ticks(1);
        ck_assert_uint_eq(read_count(2), seen[i]);
    }
}
END_TEST

START_TEST(mode_4_strobes_once_after_n_plus_1_ticks)
{
    set_mode(2, 4, 6);
    ck_assert_int_eq(output(), true);
    expect_change(7, false);
    expect_change(1, true);
    ticks(70000);
    ck_assert_int_eq(output(), true);
}
END_TEST

START_TEST(mode_5_strobes_n_ticks_after_its_trigger_is_loaded)
{
    i8254_set_gate(pit, 2, false);
    set_mode(2, 5, 6);
    ticks(20);
    ck_assert_int_eq(output(), true);
    i8254_set_gate(pit, 2, true);
    expect_change(7, false);
    expect_change(1, true);
}
END_TEST

START_TEST(modes_6_and_7_are_2_and_3)
{
    set_mode(2, 6, 100);
    out(0x43, 0xe8); /* read back the status of channel 2 */
    ck_assert_uint_eq(in(0x42) & 0x0e, 2 << 1);
    set_mode(2, 7, 100);
    out(0x43, 0xe8);
    ck_assert_uint_eq(in(0x42) & 0x0e, 3 << 1);
}
END_TEST

START_TEST(bcd_counts_decades)
{
    out(0x43, 0xb5); /* channel 2, both bytes, mode 2, BCD */
    out(0x42, 0x00);
    out(0x42, 0x10); /* 1000 */
    ticks(1);
    ck_assert_uint_eq(read_count(2), 0x1000);
    ticks(1);
    ck_assert_uint_eq(read_count(2), 0x0999);
    ticks(998);
    ck_assert_uint_eq(read_count(2), 0x0001);
    ck_assert_int_eq(output(), false);
}
END_TEST

START_TEST(a_count_of_zero_is_the_largest)
{
    set_mode(2, 2, 0);
    ticks(2);
    ck_assert_uint_eq(read_count(2), 0xffff);
    expect_change(65534, false);
    out(0x43, 0xb1); /* mode 0, BCD: 10000 */
    out(0x42, 0);
    out(0x42, 0);
    expect_change(10001, true);
}
END_TEST

START_TEST(a_latched_count_stays_until_it_is_read)
{
    set_mode(2, 2, 1000);
    ticks(11);
    out(0x43, LATCH_2);
    ticks(100);
    out(0x43, LATCH_2); /* ignored */
    ck_assert_uint_eq(in(0x42), 990 & 0xff);
    ck_assert_uint_eq(in(0x42), 990 >> 8);
    ck_assert_uint_eq(read_count(2), 890);
}
END_TEST

START_TEST(single_byte_access_sets_the_other_byte_to_zero)
{
    out(0x43, 0x94); /* channel 2, LSB, mode 2 */
    out(0x42, 50);
    ticks(3);
    ck_assert_uint_eq(in(0x42), 48);
    ck_assert_uint_eq(in(0x42), 48);
    out(0x43, 0xa4); /* MSB */
    out(0x42, 2);
    ticks(2);
    ck_assert_uint_eq(in(0x42), 1); /* 511 */
}
END_TEST

START_TEST(read_back_gives_status_then_count)
{
    set_mode(2, 3, 0x1234);
    ticks(1);
    out(0x43, 0xc8); /* status and count of channel 2 */
    ck_assert_uint_eq(in(0x42), 0xb6);
    ck_assert_uint_eq(in(0x42), 0x34);
    ck_assert_uint_eq(in(0x42), 0x12);
}
END_TEST

START_TEST(read_back_tells_a_count_that_is_not_loaded_yet)
{
    out(0x43, 0xb0);
    out(0x43, 0xe8);
    ck_assert_uint_eq(in(0x42) & 0xc0, 0x40);
    out(0x42, 9);
    out(0x42, 0);
    ticks(1);
    out(0x43, 0xe8);
    ck_assert_uint_eq(in(0x42) & 0xc0, 0x00);
}
END_TEST

static bool null_count(void)
{
    out(0x43, 0xe8);
    return in(0x42) & 0x40;
}

START_TEST(a_new_count_is_null_until_the_period_ends)
{
    set_mode(2, 2, 10);
    ticks(5);
    out(0x42, 20);
    out(0x42, 0);
    ck_assert_int_eq(null_count(), true);
    ticks(5);
    ck_assert_int_eq(null_count(), true);
    ticks(1);
    ck_assert_int_eq(null_count(), false);
}
END_TEST

START_TEST(a_new_count_of_a_one_shot_is_null_until_the_trigger)
{
    set_mode(2, 1, 10);
    i8254_set_gate(pit, 2, false);
    i8254_set_gate(pit, 2, true);
    ticks(5);
    ck_assert_int_eq(null_count(), false);
    out(0x42, 20);
    out(0x42, 0);
    ticks(20);
    ck_assert_int_eq(null_count(), true);
    i8254_set_gate(pit, 2, false);
    i8254_set_gate(pit, 2, true);
    ticks(1);
    ck_assert_int_eq(null_count(), false);
    ck_assert_uint_eq(read_count(2), 20);
}
END_TEST

START_TEST(read_back_latches_several_counters_at_once)
{
    set_mode(0, 2, 300);
    set_mode(2, 2, 300);
    ticks(50);
    out(0x43, 0xda); /* counts of channels 0 and 2 */
    ticks(50);
    unsigned first = in(0x40);
    first |= (unsigned)in(0x40) << 8;
    unsigned second = in(0x42);
    second |= (unsigned)in(0x42) << 8;
    ck_assert_uint_eq(first, 251);
    ck_assert_uint_eq(second, 251);
}
END_TEST

START_TEST(channel_0_interrupts_once_a_period_and_never_drifts)
{
    set_mode(0, 2, 11932); /* 100 Hz */
    unsigned before = irq0.rises;
    uint64_t start = tick;
    for (unsigned i = 0; i < 100; i++)
        go_to(start + 1 + (i + 1) * 11932);
    ck_assert_uint_eq(irq0.rises - before, 100);
}
END_TEST

START_TEST(an_edge_that_is_due_survives_a_write_to_another_channel)
{
    set_mode(0, 4, 100);
    unsigned before = irq0.rises;
    now_ns += 1000000; /* past the edge, and no timer has run */
    set_mode(2, 0, 5);
    ck_assert_uint_eq(irq0.rises, before + 1);
    set_mode(0, 2, 100);
    now_ns += 1000000;
    i8254_set_gate(pit, 2, false);
    ck_assert_uint_eq(irq0.rises, before + 2);
}
END_TEST

/* As when the host takes the CPU away in the middle of a write. */
START_TEST(a_count_of_the_next_period_is_read_after_its_edge)
{
    set_mode(0, 2, 1000);
    ticks(1);
    unsigned rises = irq0.rises;
    now_ns += 1000 * 839; /* and the clock is not run */
    (void)in(0x40);
    ck_assert_uint_eq(irq0.rises, rises + 1);
    clock_run(guest_clock);
    ck_assert_uint_eq(irq0.rises, rises + 1);
}
END_TEST

START_TEST(a_one_shot_shorter_than_its_own_write_interrupts)
{
    for (uint16_t count = 1; count < 40; count++) {
        look_ns = 20000;
        set_mode(0, 4, count);
        unsigned before = irq0.rises;
        look_ns = 0;
        advance(1000000);
        ck_assert_uint_eq(irq0.rises, before + 1);
    }
}
END_TEST

START_TEST(channel_0_in_mode_0_interrupts_once)
{
    set_mode(0, 0, 100);
    unsigned before = irq0.rises;
    ck_assert_int_eq(irq0.level, false);
    ticks(101);
    ck_assert_uint_eq(irq0.rises - before, 1);
    ticks(200000);
    ck_assert_uint_eq(irq0.rises - before, 1);
    ck_assert_int_eq(irq0.level, true);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("i8254");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, mode_0_goes_high_n_plus_1_ticks_after_the_write);
    tcase_add_test(tcase, mode_0_counts_on_through_zero);
    tcase_add_test(tcase, mode_0_is_held_by_its_gate);
    tcase_add_test(tcase, the_first_byte_of_a_mode_0_count_stops_counting);
    tcase_add_test(tcase, mode_1_is_a_one_shot_that_its_gate_starts_again);
    tcase_add_test(tcase, mode_2_is_low_for_the_last_tick_of_each_period);
    tcase_add_test(tcase,
                   a_new_count_in_mode_2_waits_for_the_end_of_the_period);
    tcase_add_test(tcase, a_count_that_is_not_loaded_yet_gives_way_to_the_next);
    tcase_add_test(tcase, a_new_count_is_null_until_the_period_ends);
    tcase_add_test(tcase, a_new_count_of_a_one_shot_is_null_until_the_trigger);
    tcase_add_test(tcase, a_low_gate_forces_mode_2_high_and_a_rise_reloads);
    tcase_add_test(tcase, mode_3_is_high_for_the_longer_half_of_an_odd_count);
    tcase_add_test(tcase, mode_3_counts_by_two_in_each_half);
    tcase_add_test(tcase, mode_4_strobes_once_after_n_plus_1_ticks);
    tcase_add_test(tcase, mode_5_strobes_n_ticks_after_its_trigger_is_loaded);
    tcase_add_test(tcase, modes_6_and_7_are_2_and_3);
    tcase_add_test(tcase, bcd_counts_decades);
    tcase_add_test(tcase, a_count_of_zero_is_the_largest);
    tcase_add_test(tcase, a_latched_count_stays_until_it_is_read);
    tcase_add_test(tcase, single_byte_access_sets_the_other_byte_to_zero);
    tcase_add_test(tcase, read_back_gives_status_then_count);
    tcase_add_test(tcase, read_back_tells_a_count_that_is_not_loaded_yet);
    tcase_add_test(tcase, read_back_latches_several_counters_at_once);
    tcase_add_test(tcase, channel_0_interrupts_once_a_period_and_never_drifts);
    tcase_add_test(tcase, channel_0_in_mode_0_interrupts_once);
    tcase_add_test(tcase, a_count_of_the_next_period_is_read_after_its_edge);
    tcase_add_test(tcase, a_one_shot_shorter_than_its_own_write_interrupts);
    tcase_add_test(tcase,
                   an_edge_that_is_due_survives_a_write_to_another_channel);
    return run_case(tcase, "i8254");
}
