/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8042.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Numbers are those of the IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller", "Keyboard (101- and 102-Key)",
 * "Mouse". */

#define OBF 0x01
#define AUX 0x20

static struct i8042 *kbc;
static struct probe irq1, irq12;
static bool a20;
static unsigned resets;

static bool a20_is_open(void *opaque)
{
    (void)opaque;
    return a20;
}

static void set_a20(void *opaque, bool open)
{
    (void)opaque;
    a20 = open;
}

static void reset(void *opaque)
{
    (void)opaque;
    resets++;
}

static void setup(void)
{
    fixture_setup();
    a20 = true;
    resets = 0;
    struct i8042_wires wires = {.keyboard = probe_line(&irq1),
                                .mouse = probe_line(&irq12),
                                .a20_is_open = a20_is_open,
                                .set_a20 = set_a20,
                                .reset = reset};
    ck_assert_int_eq(i8042_create(&kbc, bus, &wires), 0);
}

static void teardown(void)
{
    i8042_destroy(kbc);
    fixture_teardown();
}

static void command(uint8_t code, uint8_t argument)
{
    out(0x64, code);
    out(0x60, argument);
}

/* The next byte must be there, from the keyboard side. */
static void expect(uint8_t value)
{
    ck_assert_uint_eq(in(0x64) & (OBF | AUX), OBF);
    ck_assert_uint_eq(in(0x60), value);
}

static void expect_mouse(uint8_t value)
{
    ck_assert_uint_eq(in(0x64) & (OBF | AUX), OBF | AUX);
    ck_assert_uint_eq(in(0x60), value);
}

static void expect_nothing(void)
{
    ck_assert_uint_eq(in(0x64) & OBF, 0);
}

static void mouse(uint8_t value)
{
    command(0xd4, value);
}

START_TEST(the_self_tests_pass)
{
    out(0x64, 0xaa);
    expect(0x55);
    out(0x64, 0xab);
    expect(0x00);
    out(0x64, 0xa9);
    expect(0x00);
    ck_assert_uint_eq(in(0x64) & 4, 4); /* system flag */
}
END_TEST

START_TEST(status_tells_command_from_data_and_is_unlocked)
{
    out(0x64, 0xae);
    ck_assert_uint_eq(in(0x64) & 0x1a, 0x18);
    command(0x60, 0x45);
    ck_assert_uint_eq(in(0x64) & 0x1a, 0x10);
}
END_TEST

START_TEST(the_command_byte_is_read_back)
{
    command(0x60, 0x74);
    out(0x64, 0x20);
    expect(0x74);
    command(0x65, 0x12);
    out(0x64, 0x25);
    expect(0x12);
}
END_TEST

START_TEST(interfaces_are_switched_in_the_command_byte)
{
    command(0x60, 0x00);
    out(0x64, 0xa7);
    out(0x64, 0xad);
    out(0x64, 0x20);
    expect(0x30);
    out(0x64, 0xa8);
    out(0x64, 0xae);
    out(0x64, 0x20);
    expect(0x00);
}
END_TEST

START_TEST(a_disabled_keyboard_waits_with_its_answer)
{
    command(0x60, 0x00);
    out(0x60, 0xee);
    expect(0xee);
    out(0x60, 0xf2);
    out(0x64, 0xad);
    expect(0xfa); /* was in the buffer already */
    expect_nothing();
    out(0x64, 0xae);
    expect(0xab);
    expect(0x83);
}
END_TEST

START_TEST(each_byte_has_an_edge_of_its_own)
{
    command(0x60, 0x03);
    out(0x60, 0xf2);
    ck_assert_uint_eq(irq1.rises, 1);
    expect(0xfa);
    ck_assert_uint_eq(irq1.rises, 2);
    expect(0xab);
    expect(0x83);
    ck_assert_uint_eq(irq1.rises, 3);
    ck_assert_int_eq(irq1.level, false);
    mouse(0xf4);
    ck_assert_int_eq(irq12.level, true);
    expect_mouse(0xfa);
    ck_assert_int_eq(irq12.level, false);
    ck_assert_uint_eq(irq1.rises, 3);
}
END_TEST

START_TEST(no_interrupt_unless_the_command_byte_enables_it)
{
    command(0x60, 0x00);
    out(0x60, 0xee);
    command(0xd3, 1);
    ck_assert_uint_eq(irq1.rises + irq12.rises, 0);
    command(0x60, 0x02);
    ck_assert_uint_eq(irq12.rises, 1);
}
END_TEST

START_TEST(loopback_writes_come_back_from_either_side)
{
    command(0xd2, 0x5a);
    expect(0x5a);
    command(0xd3, 0xa4);
    expect_mouse(0xa4);
    expect_nothing();
}
END_TEST

START_TEST(the_output_port_switches_a20)
{
    out(0x64, 0xd0);
    ck_assert_uint_eq(in(0x60) & 3, 3);
    command(0xd1, 0xdd);
    ck_assert_int_eq(a20, false);
    out(0x64, 0xd0);
    ck_assert_uint_eq(in(0x60) & 3, 1);
    out(0x64, 0xdf);
    ck_assert_int_eq(a20, true);
    out(0x64, 0xdd);
    ck_assert_int_eq(a20, false);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(a_pulse_of_bit_0_resets)
{
    out(0x64, 0xff);
    out(0x64, 0xfd);
    ck_assert_uint_eq(resets, 0);
    out(0x64, 0xfe);
    ck_assert_uint_eq(resets, 1);
    command(0xd1, 0x02);
    ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(the_keyboard_resets_and_identifies_itself)
{
    command(0x60, 0x00);
    out(0x60, 0xff);
    expect(0xfa);
    expect(0xaa);
    out(0x60, 0xf2);
    expect(0xfa);
    expect(0xab);
    expect(0x83);
    expect_nothing();
}
END_TEST

START_TEST(translation_changes_the_identification)
{
    command(0x60, 0x40);
    out(0x60, 0xf2);
    expect(0xfa);
    expect(0xab);
    expect(0x41);
}
END_TEST

START_TEST(the_scan_code_set_is_set_and_told)
{
    command(0x60, 0x00);
    out(0x60, 0xf0);
    expect(0xfa);
    out(0x60, 0x03);
    expect(0xfa);
    out(0x60, 0xf0);
    expect(0xfa);
    out(0x60, 0x00);
    expect(0xfa);
    expect(0x03);
}
END_TEST

START_TEST(keyboard_commands_are_acknowledged_with_their_argument)
{
    static const uint8_t plain[] = {0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};
    static const uint8_t with_argument[] = {0xed, 0xf3, 0xfb};
    for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
        out(0x60, plain[i]);
        expect(0xfa);
        expect_nothing();
    }
    for (size_t i = 0; i < ARRAY_COUNT(with_argument); i++) {
        out(0x60, with_argument[i]);
        expect(0xfa);
        out(0x60, 0x02);
        expect(0xfa);
        expect_nothing();
    }
}
END_TEST

START_TEST(a_command_takes_the_place_of_an_argument)
{
    out(0x60, 0xed);
    expect(0xfa);
    out(0x60, 0xee);
    expect(0xee);
    out(0x60, 0x02); /* no longer an argument, and no command */
    expect(0xfe);
}
END_TEST

START_TEST(resend_repeats_the_last_byte)
{
    out(0x60, 0xee);
    expect(0xee);
    out(0x60, 0xfe);
    expect(0xee);
    out(0x60, 0x12);
    expect(0xfe);
}
END_TEST

START_TEST(the_mouse_resets_and_identifies_itself)
{
    mouse(0xff);
    expect_mouse(0xfa);
    expect_mouse(0xaa);
    expect_mouse(0x00);
    mouse(0xf2);
    expect_mouse(0xfa);
    expect_mouse(0x00);
    expect_nothing();
}
END_TEST

static void set_rate(uint8_t rate)
{
    mouse(0xf3);
    expect_mouse(0xfa);
    mouse(rate);
    expect_mouse(0xfa);
}

START_TEST(three_rates_switch_the_wheel_on)
{
    set_rate(200);
    set_rate(100);
    set_rate(80);
    mouse(0xf2);
    expect_mouse(0xfa);
    expect_mouse(0x03);
    mouse(0xeb);
    expect_mouse(0xfa);
    expect_mouse(0x08);
    for (unsigned i = 0; i < 3; i++)
        expect_mouse(0x00);
    expect_nothing();
}
END_TEST

START_TEST(the_mouse_tells_its_state)
{
    set_rate(40);
    mouse(0xe8);
    expect_mouse(0xfa);
    mouse(0x03);
    expect_mouse(0xfa);
    mouse(0xe7);
    expect_mouse(0xfa);
    mouse(0xf4);
    expect_mouse(0xfa);
    mouse(0xe9);
    expect_mouse(0xfa);
    expect_mouse(0x30);
    expect_mouse(0x03);
    expect_mouse(40);
}
END_TEST

START_TEST(wrap_mode_echoes_until_it_is_left)
{
    mouse(0xee);
    expect_mouse(0xfa);
    mouse(0xf2);
    expect_mouse(0xf2);
    mouse(0xec);
    expect_mouse(0xfa);
    mouse(0xf2);
    expect_mouse(0xfa);
    expect_mouse(0x00);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("i8042");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_self_tests_pass);
    tcase_add_test(tcase, status_tells_command_from_data_and_is_unlocked);
    tcase_add_test(tcase, the_command_byte_is_read_back);
    tcase_add_test(tcase, interfaces_are_switched_in_the_command_byte);
    tcase_add_test(tcase, a_disabled_keyboard_waits_with_its_answer);
    tcase_add_test(tcase, each_byte_has_an_edge_of_its_own);
    tcase_add_test(tcase, no_interrupt_unless_the_command_byte_enables_it);
    tcase_add_test(tcase, loopback_writes_come_back_from_either_side);
    tcase_add_test(tcase, the_output_port_switches_a20);
    tcase_add_test(tcase, a_pulse_of_bit_0_resets);
    tcase_add_test(tcase, the_keyboard_resets_and_identifies_itself);
    tcase_add_test(tcase, translation_changes_the_identification);
    tcase_add_test(tcase, the_scan_code_set_is_set_and_told);
    tcase_add_test(tcase,
                   keyboard_commands_are_acknowledged_with_their_argument);
    tcase_add_test(tcase, a_command_takes_the_place_of_an_argument);
    tcase_add_test(tcase, resend_repeats_the_last_byte);
    tcase_add_test(tcase, the_mouse_resets_and_identifies_itself);
    tcase_add_test(tcase, three_rates_switch_the_wheel_on);
    tcase_add_test(tcase, the_mouse_tells_its_state);
    tcase_add_test(tcase, wrap_mode_echoes_until_it_is_left);
    return run_case(tcase, "i8042");
}
