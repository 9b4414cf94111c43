/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8259.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from the 8259A datasheet, "Initialization Command Words", "Operation
 * Command Words", "Fully Nested Mode" and the like; ELCR from the 82371. */

static struct i8259 *pair;
static struct probe intr;

/* Base vectors 30h and 38h; icw4 of both. */
static void init(uint8_t icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x30);
    out(0x21, 0x04);
    out(0x21, icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x38);
    out(0xa1, 0x02);
    out(0xa1, icw4);
}

static void setup(void)
{
    fixture_setup();
    ck_assert_int_eq(i8259_create(&pair, bus, probe_line(&intr)), 0);
    init(0x01);
}

static void teardown(void)
{
    i8259_destroy(pair);
    fixture_teardown();
}

static void raise_pin(unsigned pin)
{
    i8259_set_input(pair, pin, true);
}

static void pulse(unsigned pin)
{
    i8259_set_input(pair, pin, false);
    i8259_set_input(pair, pin, true);
}

static void lower(unsigned pin)
{
    i8259_set_input(pair, pin, false);
}

static uint8_t read_isr(uint16_t port)
{
    out(port, 0x0b);
    return in(port);
}

static uint8_t read_irr(uint16_t port)
{
    out(port, 0x0a);
    return in(port);
}

START_TEST(initialization_clears_the_mask_and_in_service)
{
    out(0x21, 0xff);
    raise_pin(3);
    ck_assert_int_eq(intr.level, false);
    init(0x01);
    ck_assert_uint_eq(in(0x21), 0);
    ck_assert_uint_eq(read_isr(0x20), 0);
    ck_assert_int_eq(intr.level, false); /* "edge sense circuit is reset" */
}
END_TEST

START_TEST(the_vector_is_base_and_level)
{
    raise_pin(4);
    ck_assert_int_eq(intr.level, true);
    ck_assert_uint_eq(i8259_ack(pair), 0x34);
    ck_assert_int_eq(intr.level, false);
    ck_assert_uint_eq(read_isr(0x20), 0x10);
}
END_TEST

START_TEST(a_slave_request_passes_both_chips)
{
    raise_pin(12);
    ck_assert_uint_eq(i8259_ack(pair), 0x3c);
    ck_assert_uint_eq(read_isr(0x20), 0x04);
    ck_assert_uint_eq(read_isr(0xa0), 0x10);
}
END_TEST

START_TEST(higher_levels_interrupt_lower_ones_only)
{
    raise_pin(4);
    i8259_ack(pair);
    raise_pin(6);
    ck_assert_int_eq(intr.level, false);
    raise_pin(1);
    ck_assert_int_eq(intr.level, true);
    ck_assert_uint_eq(i8259_ack(pair), 0x31);
    out(0x20, 0x20); /* ends 1, the highest */
    ck_assert_uint_eq(read_isr(0x20), 0x10);
    out(0x20, 0x20);
    ck_assert_uint_eq(i8259_ack(pair), 0x36);
}
END_TEST

START_TEST(a_specific_eoi_ends_the_level_it_names)
{
    raise_pin(5);
    i8259_ack(pair);
    raise_pin(2 + 1);
    i8259_ack(pair);
    out(0x20, 0x65);
    ck_assert_uint_eq(read_isr(0x20), 0x08);
}
END_TEST

START_TEST(a_masked_request_waits)
{
    out(0x21, 0x10);
    raise_pin(4);
    ck_assert_int_eq(intr.level, false);
    ck_assert_uint_eq(read_irr(0x20), 0x10);
    out(0x21, 0x00);
    ck_assert_int_eq(intr.level, true);
}
END_TEST

START_TEST(an_edge_input_must_fall_before_it_asks_again)
{
    raise_pin(4);
    i8259_ack(pair);
    out(0x20, 0x20);
    ck_assert_int_eq(intr.level, false);
    pulse(4);
    ck_assert_int_eq(intr.level, true);
}
END_TEST

START_TEST(a_level_input_asks_as_long_as_it_is_high)
{
    out(0x4d1, 0x02);
    raise_pin(9);
    ck_assert_uint_eq(i8259_ack(pair), 0x39);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    ck_assert_int_eq(intr.level, true);
    lower(9);
    ck_assert_int_eq(intr.level, false);
}
END_TEST

START_TEST(the_elcr_keeps_what_may_be_level)
{
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    ck_assert_uint_eq(in(0x4d0), 0xf8);
    ck_assert_uint_eq(in(0x4d1), 0xde);
    i8259_set_elcr(pair, 0x0e00);
    ck_assert_uint_eq(in(0x4d0), 0x00);
    ck_assert_uint_eq(in(0x4d1), 0x0e);
}
END_TEST

START_TEST(a_request_that_went_away_is_level_7)
{
    raise_pin(4);
    lower(4);
    ck_assert_int_eq(intr.level, false);
    ck_assert_uint_eq(i8259_ack(pair), 0x37);
    ck_assert_uint_eq(read_isr(0x20), 0);
}
END_TEST

START_TEST(automatic_eoi_leaves_nothing_in_service)
{
    init(0x03);
    raise_pin(4);
    i8259_ack(pair);
    ck_assert_uint_eq(read_isr(0x20), 0);
    pulse(4);
    ck_assert_int_eq(intr.level, true);
}
END_TEST

START_TEST(rotation_on_eoi_makes_the_level_lowest)
{
    raise_pin(3);
    i8259_ack(pair);
    out(0x20, 0xa0);
    pulse(3);
    raise_pin(4);
    ck_assert_uint_eq(i8259_ack(pair), 0x34);
}
END_TEST

START_TEST(set_priority_makes_the_next_level_highest)
{
    out(0x20, 0xc4);
    raise_pin(0);
    raise_pin(5);
    ck_assert_uint_eq(i8259_ack(pair), 0x35);
}
END_TEST

START_TEST(rotation_on_automatic_eoi_is_switched)
{
    init(0x03);
    out(0x20, 0x80);
    raise_pin(3);
    i8259_ack(pair);
    pulse(3);
    raise_pin(4);
    ck_assert_uint_eq(i8259_ack(pair), 0x34);
    out(0x20, 0x00);
    ck_assert_uint_eq(i8259_ack(pair), 0x33);
    pulse(4);
    pulse(3);
    ck_assert_uint_eq(i8259_ack(pair), 0x33);
}
END_TEST

START_TEST(special_mask_mode_lets_lower_levels_in)
{
    raise_pin(1);
    i8259_ack(pair);
    raise_pin(6);
    out(0x21, 0x02);
    ck_assert_int_eq(intr.level, false);
    out(0x20, 0x68);
    ck_assert_int_eq(intr.level, true);
    out(0x20, 0x48);
    ck_assert_int_eq(intr.level, false);
}
END_TEST

START_TEST(special_fully_nested_mode_lets_the_slave_nest)
{
    raise_pin(12);
    i8259_ack(pair);
    raise_pin(8);
    ck_assert_int_eq(intr.level, false); /* master is busy with level 2 */
    lower(12);
    lower(8);
    init(0x11);
    raise_pin(12);
    i8259_ack(pair);
    raise_pin(8);
    ck_assert_uint_eq(i8259_ack(pair), 0x38);
}
END_TEST

START_TEST(special_fully_nested_mode_keeps_lower_levels_out)
{
    init(0x11);
    raise_pin(12);
    i8259_ack(pair);
    raise_pin(4);
    ck_assert_int_eq(intr.level, false); /* level 2 is in service */
    raise_pin(1);
    ck_assert_uint_eq(i8259_ack(pair), 0x31);
}
END_TEST

START_TEST(a_poll_acknowledges_and_names_the_level)
{
    raise_pin(5);
    out(0x20, 0x0c);
    ck_assert_uint_eq(in(0x20), 0x85);
    ck_assert_uint_eq(read_isr(0x20), 0x20);
    out(0x20, 0x0c);
    ck_assert_uint_eq(in(0x20) & 0x80, 0);
}
END_TEST

START_TEST(a_second_slave_request_makes_a_new_edge)
{
    raise_pin(8);
    raise_pin(9);
    ck_assert_uint_eq(i8259_ack(pair), 0x38);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    ck_assert_uint_eq(i8259_ack(pair), 0x39);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("i8259");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, initialization_clears_the_mask_and_in_service);
    tcase_add_test(tcase, the_vector_is_base_and_level);
    tcase_add_test(tcase, a_slave_request_passes_both_chips);
    tcase_add_test(tcase, higher_levels_interrupt_lower_ones_only);
    tcase_add_test(tcase, a_specific_eoi_ends_the_level_it_names);
    tcase_add_test(tcase, a_masked_request_waits);
    tcase_add_test(tcase, an_edge_input_must_fall_before_it_asks_again);
    tcase_add_test(tcase, a_level_input_asks_as_long_as_it_is_high);
    tcase_add_test(tcase, the_elcr_keeps_what_may_be_level);
    tcase_add_test(tcase, a_request_that_went_away_is_level_7);
    tcase_add_test(tcase, automatic_eoi_leaves_nothing_in_service);
    tcase_add_test(tcase, rotation_on_eoi_makes_the_level_lowest);
    tcase_add_test(tcase, set_priority_makes_the_next_level_highest);
    tcase_add_test(tcase, rotation_on_automatic_eoi_is_switched);
    tcase_add_test(tcase, special_mask_mode_lets_lower_levels_in);
    tcase_add_test(tcase, special_fully_nested_mode_lets_the_slave_nest);
    tcase_add_test(tcase, special_fully_nested_mode_keeps_lower_levels_out);
    tcase_add_test(tcase, a_poll_acknowledges_and_names_the_level);
    tcase_add_test(tcase, a_second_slave_request_makes_a_new_edge);
    return run_case(tcase, "i8259");
}
