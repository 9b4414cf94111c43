/* SPDX-License-Identifier: MIT */
#include "emu/dev/pci.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from PCI Local Bus Specification 3.0, section 3.2.2.3.2 and chapter 6
 * "Configuration Space", and the 82441FX and 82371 datasheets. */

#define HOST 0x80000000u
#define ISA  0x80000800u
#define ACPI 0x80000b00u

static struct pci *pci;
static unsigned resets;

static void reset(void *opaque)
{
    (void)opaque;
    resets++;
}

static void setup(void)
{
    fixture_setup();
    resets = 0;
    ck_assert_int_eq(pci_create(&pci, bus, reset, NULL), 0);
}

static void teardown(void)
{
    pci_destroy(pci);
    fixture_teardown();
}

static void select_register(uint32_t address)
{
    bus_port_out(bus, 0xcf8, 4, address);
}

static uint32_t get(uint32_t address)
{
    select_register(address);
    return bus_port_in(bus, 0xcfc, 4);
}

static void set(uint32_t address, uint32_t value)
{
    select_register(address);
    bus_port_out(bus, 0xcfc, 4, value);
}

START_TEST(the_address_is_read_back_without_its_reserved_bits)
{
    select_register(0xffffffff);
    ck_assert_uint_eq(bus_port_in(bus, 0xcf8, 4), 0x80fffffc);
}
END_TEST

START_TEST(narrow_accesses_do_not_reach_the_address)
{
    select_register(HOST | 0x40);
    out(0xcf8, 0xff);
    bus_port_out(bus, 0xcfa, 2, 0xffff);
    ck_assert_uint_eq(bus_port_in(bus, 0xcf8, 4), HOST | 0x40);
}
END_TEST

START_TEST(the_board_has_three_functions)
{
    ck_assert_uint_eq(get(HOST), 0x12378086);
    ck_assert_uint_eq(get(ISA), 0x70008086);
    ck_assert_uint_eq(get(ACPI), 0x71138086);
    ck_assert_uint_eq(get(HOST | 8) >> 8, 0x060000);
    ck_assert_uint_eq(get(ISA | 8) >> 8, 0x060100);
    ck_assert_uint_eq(get(ACPI | 8) >> 8, 0x068000);
    ck_assert_uint_eq(get(ISA | 0xc) >> 16 & 0xff, 0x80); /* multi-function */
}
END_TEST

START_TEST(what_is_absent_reads_as_ones_and_drops_writes)
{
    static const uint32_t absent[] = {
        0x80000900u, /* function 1.1 */
        0x80001000u, /* slot 2 */
        0x80010000u, /* bus 1 */
        0x00000000u  /* not enabled */
    };
    for (size_t i = 0; i < ARRAY_COUNT(absent); i++) {
        set(absent[i], 0);
        ck_assert_uint_eq(get(absent[i]), 0xffffffff);
    }
}
END_TEST

START_TEST(registers_are_read_in_any_size)
{
    select_register(HOST);
    ck_assert_uint_eq(bus_port_in(bus, 0xcfc, 2), 0x8086);
    ck_assert_uint_eq(bus_port_in(bus, 0xcfe, 2), 0x1237);
    ck_assert_uint_eq(in(0xcfd), 0x80);
    ck_assert_uint_eq(in(0xcff), 0x12);
}
END_TEST

START_TEST(identity_cannot_be_written)
{
    set(HOST, 0);
    set(HOST | 8, 0);
    ck_assert_uint_eq(get(HOST), 0x12378086);
    ck_assert_uint_eq(get(HOST | 8), 0x06000002);
}
END_TEST

START_TEST(the_interrupt_line_is_scratch)
{
    set(ACPI | 0x3c, 0xffffffff);
    ck_assert_uint_eq(get(ACPI | 0x3c), 0x000000ff);
}
END_TEST

START_TEST(sizing_finds_no_base_address)
{
    for (uint32_t bar = 0x10; bar < 0x28; bar += 4) {
        set(ACPI | bar, 0xffffffff);
        ck_assert_uint_eq(get(ACPI | bar), 0);
    }
}
END_TEST

START_TEST(pirqs_are_routed_and_can_be_changed)
{
    ck_assert_uint_eq(get(ISA | 0x60), 0x0b0b0a0a);
    select_register(ISA | 0x60);
    out(0xcfd, 0x80);
    ck_assert_uint_eq(get(ISA | 0x60), 0x0b0b800a);
    pci_reset(pci);
    ck_assert_uint_eq(get(ISA | 0x60), 0x0b0b0a0a);
}
END_TEST

START_TEST(the_pins_of_a_slot_start_at_the_next_pirq)
{
    ck_assert_uint_eq(pci_irq(1, 0), 10);
    ck_assert_uint_eq(pci_irq(1, 2), 11);
    ck_assert_uint_eq(pci_irq(3, 0), 11);
    ck_assert_uint_eq(pci_irq(3, 2), 10);
}
END_TEST

START_TEST(the_pm_block_is_at_600h)
{
    ck_assert_uint_eq(get(ACPI | 0x40), 0x00000601);
    ck_assert_uint_eq(get(ACPI | 0x80) & 1, 1);
}
END_TEST

START_TEST(a_rising_bit_2_of_cf9h_resets)
{
    out(0xcf9, 0x02);
    ck_assert_uint_eq(resets, 0);
    ck_assert_uint_eq(in(0xcf9), 0x02);
    out(0xcf9, 0x06);
    out(0xcf9, 0x06);
    ck_assert_uint_eq(resets, 1);
    out(0xcf9, 0x00);
    out(0xcf9, 0x04);
    ck_assert_uint_eq(resets, 2);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("pci");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_address_is_read_back_without_its_reserved_bits);
    tcase_add_test(tcase, narrow_accesses_do_not_reach_the_address);
    tcase_add_test(tcase, the_board_has_three_functions);
    tcase_add_test(tcase, what_is_absent_reads_as_ones_and_drops_writes);
    tcase_add_test(tcase, registers_are_read_in_any_size);
    tcase_add_test(tcase, identity_cannot_be_written);
    tcase_add_test(tcase, the_interrupt_line_is_scratch);
    tcase_add_test(tcase, sizing_finds_no_base_address);
    tcase_add_test(tcase, pirqs_are_routed_and_can_be_changed);
    tcase_add_test(tcase, the_pins_of_a_slot_start_at_the_next_pirq);
    tcase_add_test(tcase, the_pm_block_is_at_600h);
    tcase_add_test(tcase, a_rising_bit_2_of_cf9h_resets);
    return run_case(tcase, "pci");
}
