/* SPDX-License-Identifier: MIT */
#include "emu/dev/aml.h"

#include <string.h>

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from ACPI 6.4, chapter 20 "ACPI Machine Language (AML)
 * Specification". */

static uint8_t data[0x2000];
static struct aml aml;

static void setup(void)
{
    memset(data, 0xcc, sizeof(data));
    aml = (struct aml){.data = data, .room = sizeof(data)};
}

static void expect(const uint8_t *bytes, size_t len)
{
    ck_assert_int_eq(aml.full, false);
    ck_assert_uint_eq(aml.len, len);
    ck_assert_mem_eq(data, bytes, len);
}

#define EXPECT(...)                                    \
    do {                                               \
        static const uint8_t expected[] = __VA_ARGS__; \
        expect(expected, sizeof(expected));            \
    } while (0)

START_TEST(integers_take_the_shortest_form)
{
    aml_integer(&aml, 0);
    aml_integer(&aml, 1);
    aml_integer(&aml, 2);
    aml_integer(&aml, 0x100);
    aml_integer(&aml, 0x10000);
    EXPECT({0x00, 0x01, 0x0a, 0x02, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00, 0x01,
            0x00});
}
END_TEST

START_TEST(an_eisa_id_is_compressed)
{
    aml_eisa_id(&aml, "PNP0A03");
    EXPECT({0x0c, 0x41, 0xd0, 0x0a, 0x03});
}
END_TEST

START_TEST(a_name_precedes_its_object)
{
    aml_name(&aml, "\\_S5_");
    size_t package = aml_package(&aml, 2);
    aml_integer(&aml, 5);
    aml_integer(&aml, 0);
    aml_close(&aml, package);
    EXPECT(
        {0x08, 0x5c, '_', 'S', '5', '_', 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00});
}
END_TEST

START_TEST(lists_nest)
{
    size_t scope = aml_scope(&aml, "_SB_");
    size_t device = aml_device(&aml, "COM1");
    aml_close(&aml, device);
    aml_close(&aml, scope);
    EXPECT(
        {0x10, 0x0c, '_', 'S', 'B', '_', 0x5b, 0x82, 0x05, 'C', 'O', 'M', '1'});
}
END_TEST

START_TEST(a_buffer_begins_with_its_size)
{
    static const uint8_t bytes[2] = {0x79, 0x00};
    aml_buffer(&aml, bytes, sizeof(bytes));
    EXPECT({0x11, 0x05, 0x0a, 0x02, 0x79, 0x00});
}
END_TEST

static void put_list(size_t body)
{
    setup();
    size_t mark = aml_package(&aml, 0);
    while (aml.len < mark + body)
        aml_integer(&aml, 0);
    aml_close(&aml, mark);
}

/* One byte up to 3Fh, two up to FFFh, counted in. */
START_TEST(lengths_grow_with_the_list)
{
    put_list(0x3e);
    ck_assert_uint_eq(data[1], 0x3f);
    ck_assert_uint_eq(aml.len, 1 + 0x3f);
    put_list(0x3f);
    ck_assert_uint_eq(data[1], 0x41);
    ck_assert_uint_eq(data[2], 0x04);
    ck_assert_uint_eq(aml.len, 1 + 0x41);
    put_list(0xffd);
    ck_assert_uint_eq(data[1], 0x4f);
    ck_assert_uint_eq(data[2], 0xff);
    put_list(0xffe);
    ck_assert_uint_eq(data[1], 0x81);
    ck_assert_uint_eq(data[2], 0x00);
    ck_assert_uint_eq(data[3], 0x01);
    ck_assert_uint_eq(aml.len, 1 + 0x1001);
}
END_TEST

START_TEST(nothing_is_written_beyond_the_room)
{
    for (size_t room = 0; room < 20; room++) {
        setup();
        aml.room = room;
        aml_name(&aml, "_PRT");
        size_t outer = aml_package(&aml, 1);
        size_t inner = aml_package(&aml, 4);
        aml_integer(&aml, 0x10000);
        aml_close(&aml, inner);
        aml_close(&aml, outer);
        ck_assert_int_eq(aml.full, room < 16);
        ck_assert_uint_le(aml.len, room);
        ck_assert_uint_eq(data[room], 0xcc);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("aml");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, integers_take_the_shortest_form);
    tcase_add_test(tcase, an_eisa_id_is_compressed);
    tcase_add_test(tcase, a_name_precedes_its_object);
    tcase_add_test(tcase, lists_nest);
    tcase_add_test(tcase, a_buffer_begins_with_its_size);
    tcase_add_test(tcase, lengths_grow_with_the_list);
    tcase_add_test(tcase, nothing_is_written_beyond_the_room);
    return run_case(tcase, "aml");
}
