/* SPDX-License-Identifier: MIT */
#include "emu/dev/mc146818.h"

#include <time.h>

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from the MC146818 datasheet, "Time, Calendar, and Alarm Locations",
 * "Update Cycle", "Registers". */

#define SECOND 1000000000ull
#define A      0x0a
#define B      0x0b
#define C      0x0c
#define D      0x0d
#define BASE   1000000000 /* 2001-09-09 01:46:40 UTC, a Sunday */

static struct mc146818 *rtc;
static struct probe irq8;

static uint8_t get(uint8_t index)
{
    out(0x70, index);
    return in(0x71);
}

static void set(uint8_t index, uint8_t value)
{
    out(0x70, index);
    out(0x71, value);
}

static void setup(void)
{
    fixture_setup();
    clock_set_base(guest_clock, BASE);
    ck_assert_int_eq(
        mc146818_create(&rtc, bus, guest_clock, probe_line(&irq8), 64 * MIB),
        0);
}

static void teardown(void)
{
    mc146818_destroy(rtc);
    fixture_teardown();
}

static void expect_time(uint8_t hour, uint8_t minute, uint8_t second)
{
    ck_assert_uint_eq(get(4), hour);
    ck_assert_uint_eq(get(2), minute);
    ck_assert_uint_eq(get(0), second);
}

START_TEST(it_shows_the_base_in_bcd)
{
    expect_time(0x01, 0x46, 0x40);
    ck_assert_uint_eq(get(6), 1);
    ck_assert_uint_eq(get(7), 0x09);
    ck_assert_uint_eq(get(8), 0x09);
    ck_assert_uint_eq(get(9), 0x01);
    ck_assert_uint_eq(get(0x32), 0x20);
}
END_TEST

START_TEST(binary_mode_shows_binary)
{
    set(B, 0x06);
    expect_time(1, 46, 40);
    ck_assert_uint_eq(get(0x32), 20);
}
END_TEST

START_TEST(time_passes_with_the_guest_clock)
{
    advance(20 * SECOND - 1);
    expect_time(0x01, 0x46, 0x59);
    advance(1);
    expect_time(0x01, 0x47, 0x00);
}
END_TEST

START_TEST(twelve_hour_mode_has_twelve_and_pm)
{
    static const uint8_t row[][2] = {
        {0x00, 0x12},
        {0x11, 0x11},
        {0x12, 0x92},
        {0x13, 0x81},
        {0x23, 0x91}
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        set(B, 0x02);
        set(4, row[i][0]);
        set(B, 0x00);
        ck_assert_uint_eq(get(4), row[i][1]);
        set(4, row[i][1]);
        set(B, 0x02);
        ck_assert_uint_eq(get(4), row[i][0]);
    }
}
END_TEST

START_TEST(set_freezes_the_time_until_it_is_released)
{
    set(B, 0x82);
    advance(5 * SECOND);
    expect_time(0x01, 0x46, 0x40);
    set(4, 0x23);
    set(2, 0x59);
    set(0, 0x58);
    set(7, 0x28);
    set(8, 0x02);
    set(9, 0x24); /* 2024 is a leap year */
    set(B, 0x02);
    advance(2 * SECOND);
    expect_time(0x00, 0x00, 0x00);
    ck_assert_uint_eq(get(7), 0x29);
    ck_assert_uint_eq(get(8), 0x02);
    ck_assert_uint_eq(get(6), 5); /* a Thursday */
}
END_TEST

START_TEST(update_in_progress_precedes_each_second)
{
    ck_assert_uint_eq(get(A) & 0x80, 0);
    advance(SECOND - 2000000);
    ck_assert_uint_eq(get(A) & 0x80, 0x80);
    advance(2000000);
    ck_assert_uint_eq(get(A) & 0x80, 0);
    set(B, 0x82);
    advance(SECOND - 2000000);
    ck_assert_uint_eq(get(A) & 0x80, 0); /* no updates while SET */
}
END_TEST

START_TEST(reading_c_clears_its_flags_and_the_interrupt)
{
    set(B, 0x12); /* update-ended */
    get(C);
    advance(SECOND);
    ck_assert_int_eq(irq8.level, true);
    ck_assert_uint_eq(get(C), 0xd0); /* IRQF, PF, UF */
    ck_assert_int_eq(irq8.level, false);
    ck_assert_uint_eq(get(C), 0x00);
}
END_TEST

START_TEST(the_update_interrupt_comes_each_second)
{
    set(B, 0x12);
    for (unsigned i = 0; i < 5; i++) {
        advance(SECOND);
        ck_assert_uint_eq(get(C) & 0x90, 0x90);
    }
    ck_assert_uint_eq(irq8.rises, 5);
}
END_TEST

START_TEST(flags_rise_without_their_enables)
{
    get(C);
    advance(SECOND);
    ck_assert_uint_eq(get(C), 0x50);
    ck_assert_uint_eq(irq8.rises, 0);
}
END_TEST

START_TEST(periodic_rates_follow_the_table)
{
    static const struct {
        uint8_t rate;
        unsigned hz;
    } row[] = {
        {3,  8192},
        {6,  1024},
        {15, 2   },
        {1,  256 },
        {2,  128 }
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        set(A, 0x20 | row[i].rate);
        set(B, 0x42);
        get(C);
        unsigned before = irq8.rises;
        for (unsigned n = 0; n < row[i].hz; n++) {
            advance(SECOND / row[i].hz);
            get(C);
        }
        ck_assert_uint_ge(irq8.rises - before, row[i].hz - 1);
        ck_assert_uint_le(irq8.rises - before, row[i].hz);
        advance(SECOND - now_ns % SECOND);
    }
}
END_TEST

START_TEST(rate_0_has_no_periodic_interrupt)
{
    set(A, 0x20);
    set(B, 0x42);
    get(C);
    advance(3 * SECOND);
    ck_assert_uint_eq(get(C) & 0xc0, 0);
}
END_TEST

START_TEST(the_alarm_comes_at_its_time)
{
    set(1, 0x05);
    set(3, 0x47);
    set(5, 0x01);
    set(B, 0x22);
    get(C);
    advance(25 * SECOND - 1);
    ck_assert_int_eq(irq8.level, false);
    advance(1);
    ck_assert_int_eq(irq8.level, true);
    ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
    advance(80000 * SECOND);
    ck_assert_int_eq(irq8.level, false);
}
END_TEST

START_TEST(dont_care_alarms_repeat)
{
    set(1, 0x00);
    set(3, 0xff);
    set(5, 0xc0);
    set(B, 0x22);
    for (unsigned i = 0; i < 3; i++) {
        advance(60 * SECOND);
        ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
    }
    ck_assert_uint_eq(irq8.rises, 3);
}
END_TEST

START_TEST(an_alarm_in_twelve_hour_binary_mode)
{
    set(B, 0x00 | 0x04); /* binary, 12 h */
    set(4, 0x80 | 12);   /* noon */
    set(2, 59);
    set(0, 59);
    set(1, 0);
    set(3, 0);
    set(5, 0x80 | 1); /* 1 pm */
    set(B, 0x24);
    get(C);
    advance(SECOND);
    ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
}
END_TEST

START_TEST(a_late_host_sees_one_interrupt)
{
    set(B, 0x42);
    get(C);
    advance(10 * SECOND);
    ck_assert_uint_eq(irq8.rises, 1);
    get(C);
    clock_run(guest_clock);
    ck_assert_uint_eq(irq8.rises, 1);
}
END_TEST

START_TEST(an_alarm_that_no_time_shows_is_none)
{
    set(B, 0x00); /* BCD, 12 h: midnight is 12 */
    set(5, 0x00);
    set(3, 0x00);
    set(1, 0x00);
    set(B, 0x20);
    get(C);
    advance(86400 * SECOND);
    ck_assert_uint_eq(get(C) & 0x20, 0);
    set(5, 0x12);
    get(C);
    advance(86400 * SECOND);
    ck_assert_uint_eq(get(C) & 0x20, 0x20);
}
END_TEST

/* Each write looks for the next alarm: a day's seconds one by one would take a
 * millisecond. */
START_TEST(an_alarm_at_no_time_of_day_is_told_at_once)
{
    set(5, 0xff);
    set(3, 0xff);
    set(1, 0x75);
    set(B, 0x22);
    clock_t begin = clock();
    for (unsigned i = 0; i < 20000; i++)
        set(0x20, (uint8_t)i);
    ck_assert_int_lt((clock() - begin) / CLOCKS_PER_SEC, 4);
    advance(86400 * SECOND);
    ck_assert_uint_eq(get(C) & 0x20, 0);
}
END_TEST

START_TEST(ram_keeps_its_bytes_over_a_reset)
{
    set(0x40, 0x5a);
    set(0x7f, 0xa5);
    set(B, 0x72);
    mc146818_reset(rtc);
    ck_assert_uint_eq(get(0x40), 0x5a);
    ck_assert_uint_eq(get(0x7f), 0xa5);
    ck_assert_uint_eq(get(B), 0x02);
    ck_assert_uint_eq(get(C), 0x00);
}
END_TEST

START_TEST(c_and_d_are_read_only_and_the_battery_is_good)
{
    set(D, 0x00);
    ck_assert_uint_eq(get(D), 0x80);
    get(C);
    set(C, 0xff);
    ck_assert_uint_eq(get(C), 0x00);
}
END_TEST

START_TEST(the_ram_tells_the_size_of_memory)
{
    unsigned base = get(0x15) | (unsigned)get(0x16) << 8;
    unsigned extended = get(0x17) | (unsigned)get(0x18) << 8;
    unsigned high = get(0x34) | (unsigned)get(0x35) << 8;
    ck_assert_uint_eq(base, 640);
    ck_assert_uint_eq(extended, 63 * 1024);
    ck_assert_uint_eq(high, 48 * 16); /* 64 KiB units above 16 MiB */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("mc146818");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, it_shows_the_base_in_bcd);
    tcase_add_test(tcase, binary_mode_shows_binary);
    tcase_add_test(tcase, time_passes_with_the_guest_clock);
    tcase_add_test(tcase, twelve_hour_mode_has_twelve_and_pm);
    tcase_add_test(tcase, set_freezes_the_time_until_it_is_released);
    tcase_add_test(tcase, update_in_progress_precedes_each_second);
    tcase_add_test(tcase, reading_c_clears_its_flags_and_the_interrupt);
    tcase_add_test(tcase, the_update_interrupt_comes_each_second);
    tcase_add_test(tcase, flags_rise_without_their_enables);
    tcase_add_test(tcase, periodic_rates_follow_the_table);
    tcase_add_test(tcase, rate_0_has_no_periodic_interrupt);
    tcase_add_test(tcase, the_alarm_comes_at_its_time);
    tcase_add_test(tcase, dont_care_alarms_repeat);
    tcase_add_test(tcase, an_alarm_in_twelve_hour_binary_mode);
    tcase_add_test(tcase, a_late_host_sees_one_interrupt);
    tcase_add_test(tcase, an_alarm_that_no_time_shows_is_none);
    tcase_add_test(tcase, an_alarm_at_no_time_of_day_is_told_at_once);
    tcase_add_test(tcase, ram_keeps_its_bytes_over_a_reset);
    tcase_add_test(tcase, c_and_d_are_read_only_and_the_battery_is_good);
    tcase_add_test(tcase, the_ram_tells_the_size_of_memory);
    return run_case(tcase, "mc146818");
}
