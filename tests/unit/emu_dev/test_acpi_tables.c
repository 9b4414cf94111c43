/* SPDX-License-Identifier: MIT */
#include "emu/dev/acpi_tables.h"

#include <string.h>

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from ACPI 6.4, section 5.2 "ACPI System Description Tables". */

static const struct acpi_board board = {
    .serial = {{0x3f8, 4}, {0, 0}, {0x3e8, 4}}
};

static uint8_t *ram;

static void setup(void)
{
    ram = calloc(1, MIB);
    ck_assert_ptr_nonnull(ram);
    ck_assert_int_eq(acpi_tables_write(&board, ram, MIB), 0);
}

static void teardown(void)
{
    free(ram);
}

static uint32_t get(size_t at)
{
    uint32_t value;
    memcpy(&value, ram + at, sizeof(value));
    return value;
}

static uint8_t sum(size_t at, size_t len)
{
    unsigned total = 0;
    for (size_t i = 0; i < len; i++)
        total += ram[at + i];
    return (uint8_t)total;
}

/* Addresses as a guest finds them. */
static uint32_t rsdp(void)
{
    for (uint32_t at = 0xe0000; at < MIB; at += 16)
        if (!memcmp(ram + at, "RSD PTR ", 8))
            return at;
    ck_abort_msg("no RSDP");
}

static uint32_t fadt(void)
{
    return get(get(rsdp() + 16) + 36);
}

static uint32_t dsdt(void)
{
    return get(fadt() + 40);
}

static bool dsdt_has(const void *bytes, size_t len)
{
    for (size_t i = 0; i + len <= get(dsdt() + 4); i++)
        if (!memcmp(ram + dsdt() + i, bytes, len))
            return true;
    return false;
}

START_TEST(a_guest_finds_every_table_and_each_sums_to_zero)
{
    static const char name[] = "RSDTFACPDSDT";
    uint32_t table[3] = {get(rsdp() + 16), fadt(), dsdt()};
    ck_assert_uint_eq(sum(rsdp(), 20), 0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_mem_eq(ram + table[i], name + 4 * i, 4);
        ck_assert_uint_ge(table[i], 0xf0000);
        ck_assert_uint_le(table[i] + get(table[i] + 4), MIB);
        ck_assert_uint_eq(sum(table[i], get(table[i] + 4)), 0);
    }
    ck_assert_mem_eq(ram + get(fadt() + 36), "FACS", 4);
    ck_assert_uint_eq(get(fadt() + 36) % 64, 0);
}
END_TEST

START_TEST(tables_do_not_overlap)
{
    ck_assert_uint_ge(fadt(), get(rsdp() + 16) + get(get(rsdp() + 16) + 4));
    ck_assert_uint_ge(dsdt(), fadt() + get(fadt() + 4));
}
END_TEST

START_TEST(the_fadt_names_the_fixed_hardware)
{
    ck_assert_uint_eq(get(fadt() + 48), 0xb2);   /* SMI_CMD */
    ck_assert_uint_eq(get(fadt() + 56), 0x600);  /* PM1a_EVT_BLK */
    ck_assert_uint_eq(get(fadt() + 64), 0x604);  /* PM1a_CNT_BLK */
    ck_assert_uint_eq(get(fadt() + 76), 0x608);  /* PM_TMR_BLK */
    ck_assert_uint_eq(get(fadt() + 80), 0xafe0); /* GPE0_BLK */
    ck_assert_uint_eq(get(fadt() + 109) & 3, 3); /* legacy devices, 8042 */
    ck_assert_uint_eq(get(fadt() + 120), 0xcf9); /* RESET_REG */
}
END_TEST

START_TEST(the_dsdt_has_the_bus_and_the_devices_of_the_board)
{
    static const uint8_t id[][4] = {
        {0x41, 0xd0, 0x0a, 0x03}, /* PCI root */
        {0x41, 0xd0, 0x0b, 0x00}, /* clock */
        {0x41, 0xd0, 0x03, 0x03}, /* keyboard */
        {0x41, 0xd0, 0x0f, 0x13}, /* mouse */
        {0x41, 0xd0, 0x05, 0x01}  /* serial port */
    };
    for (size_t i = 0; i < ARRAY_COUNT(id); i++)
        ck_assert_int_eq(dsdt_has(id[i], 4), true);
    ck_assert_int_eq(dsdt_has("_S5_", 4), true);
    ck_assert_int_eq(dsdt_has("_PRT", 4), true);
}
END_TEST

START_TEST(the_dsdt_names_only_serial_ports_that_exist)
{
    ck_assert_int_eq(dsdt_has("COM1", 4), true);
    ck_assert_int_eq(dsdt_has("COM2", 4), false);
    ck_assert_int_eq(dsdt_has("COM3", 4), true);
    ck_assert_int_eq(dsdt_has("COM4", 4), false);
}
END_TEST

START_TEST(they_need_a_whole_megabyte)
{
    ck_assert_int_lt(acpi_tables_write(&board, ram, MIB - 1), 0);
}
END_TEST

START_TEST(a_dsdt_without_room_is_none)
{
    uint8_t small[100];
    ck_assert_uint_eq(acpi_dsdt_write(&board, small, sizeof(small)), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("acpi_tables");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_guest_finds_every_table_and_each_sums_to_zero);
    tcase_add_test(tcase, tables_do_not_overlap);
    tcase_add_test(tcase, the_fadt_names_the_fixed_hardware);
    tcase_add_test(tcase, the_dsdt_has_the_bus_and_the_devices_of_the_board);
    tcase_add_test(tcase, the_dsdt_names_only_serial_ports_that_exist);
    tcase_add_test(tcase, they_need_a_whole_megabyte);
    tcase_add_test(tcase, a_dsdt_without_room_is_none);
    return run_case(tcase, "acpi_tables");
}
