/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8237.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from the 8237A datasheet, "Register Description" and "Software
 * Command Codes". */

static struct i8237 *pair;

static void setup(void)
{
    fixture_setup();
    ck_assert_int_eq(i8237_create(&pair, bus), 0);
}

static void teardown(void)
{
    i8237_destroy(pair);
    fixture_teardown();
}

START_TEST(address_and_count_are_written_and_read_low_byte_first)
{
    static const uint16_t first[] = {0x00, 0x01, 0x06, 0x07, 0xc0, 0xce};
    for (size_t i = 0; i < ARRAY_COUNT(first); i++) {
        out(first[i] < 0x10 ? 0x0c : 0xd8, 0);
        out(first[i], 0x34);
        out(first[i], 0x12);
        ck_assert_uint_eq(in(first[i]), 0x34);
        ck_assert_uint_eq(in(first[i]), 0x12);
    }
}
END_TEST

START_TEST(the_flip_flop_is_cleared_by_its_command)
{
    out(0x00, 0x34);
    out(0x0c, 0);
    out(0x00, 0x78);
    out(0x00, 0x56);
    ck_assert_uint_eq(in(0x00), 0x78);
    out(0x0d, 0); /* master clear clears it, too */
    ck_assert_uint_eq(in(0x00), 0x78);
}
END_TEST

START_TEST(the_mask_follows_its_three_commands)
{
    ck_assert_uint_eq(in(0x0f), 0x0f);
    out(0x0e, 0);
    ck_assert_uint_eq(in(0x0f), 0x00);
    out(0x0a, 0x06);
    ck_assert_uint_eq(in(0x0f), 0x04);
    out(0x0a, 0x02);
    out(0x0f, 0x09);
    ck_assert_uint_eq(in(0x0f), 0x09);
    out(0xde, 0x03);
    ck_assert_uint_eq(in(0xde), 0x03);
    out(0xda, 0);
    ck_assert_uint_eq(in(0xde), 0x0f);
}
END_TEST

START_TEST(no_channel_reaches_its_terminal_count)
{
    out(0x0b, 0x45);
    out(0x09, 0x05);
    ck_assert_uint_eq(in(0x08), 0x20); /* the request, nothing done */
    out(0x09, 0x01);
    ck_assert_uint_eq(in(0x08), 0x00);
}
END_TEST

START_TEST(page_registers_keep_their_bytes)
{
    for (uint16_t port = 0x81; port <= 0x8f; port++)
        out(port, port + 0x11u);
    for (uint16_t port = 0x81; port <= 0x8f; port++)
        ck_assert_uint_eq(in(port), (uint8_t)(port + 0x11u));
    i8237_reset(pair);
    ck_assert_uint_eq(in(0x87), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("i8237");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase,
                   address_and_count_are_written_and_read_low_byte_first);
    tcase_add_test(tcase, the_flip_flop_is_cleared_by_its_command);
    tcase_add_test(tcase, the_mask_follows_its_three_commands);
    tcase_add_test(tcase, no_channel_reaches_its_terminal_count);
    tcase_add_test(tcase, page_registers_keep_their_bytes);
    return run_case(tcase, "i8237");
}
