/* SPDX-License-Identifier: MIT */
#include "emu/dev/acpi_pm.h"

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from ACPI 6.4, section 4.8 "ACPI Register Model". */

#define STS 0x600
#define EN  0x602
#define CNT 0x604
#define TMR 0x608

static struct acpi_pm *pm;
static struct probe sci;
static unsigned power_offs;

static void power_off(void *opaque)
{
    (void)opaque;
    power_offs++;
}

static void setup(void)
{
    fixture_setup();
    power_offs = 0;
    struct acpi_pm_wires wires = {.sci = probe_line(&sci),
                                  .power_off = power_off};
    ck_assert_int_eq(acpi_pm_create(&pm, bus, guest_clock, &wires), 0);
}

static void teardown(void)
{
    acpi_pm_destroy(pm);
    fixture_teardown();
}

static uint16_t get(uint16_t port)
{
    return (uint16_t)bus_port_in(bus, port, 2);
}

static void set(uint16_t port, uint16_t value)
{
    bus_port_out(bus, port, 2, value);
}

/* Bit 23 of the timer changes every 2^23 / 3579545 s = 2.3435 s. */
static void pass_a_carry(void)
{
    advance(2344000000);
}

START_TEST(the_timer_counts_at_3579545_hz_in_24_bits)
{
    advance(1000000000);
    ck_assert_uint_eq(bus_port_in(bus, TMR, 4), 3579545);
    advance(4000000000);
    ck_assert_uint_eq(bus_port_in(bus, TMR, 4), 5 * 3579545 - 0x1000000);
}
END_TEST

START_TEST(the_timer_cannot_be_written)
{
    advance(1000000000);
    bus_port_out(bus, TMR, 4, 0);
    ck_assert_uint_eq(bus_port_in(bus, TMR, 4), 3579545);
}
END_TEST

START_TEST(a_change_of_bit_23_sets_tmr_sts_until_a_one_is_written)
{
    ck_assert_uint_eq(get(STS) & 1, 0);
    pass_a_carry();
    ck_assert_uint_eq(get(STS) & 1, 1);
    set(STS, 0);
    ck_assert_uint_eq(get(STS) & 1, 1);
    set(STS, 1);
    ck_assert_uint_eq(get(STS) & 1, 0);
}
END_TEST

START_TEST(the_sci_needs_status_enable_and_sci_en)
{
    set(EN, 1);
    pass_a_carry();
    ck_assert_int_eq(sci.level, false);
    out(ACPI_SMI_CMD, ACPI_CMD_ON);
    ck_assert_int_eq(sci.level, true);
    set(EN, 0);
    ck_assert_int_eq(sci.level, false);
    set(EN, 1);
    ck_assert_int_eq(sci.level, true);
    set(STS, 1);
    ck_assert_int_eq(sci.level, false);
    pass_a_carry();
    ck_assert_uint_eq(sci.rises, 3);
}
END_TEST

START_TEST(the_smi_command_switches_sci_en)
{
    ck_assert_uint_eq(get(CNT) & 1, 0);
    out(ACPI_SMI_CMD, ACPI_CMD_ON);
    ck_assert_uint_eq(get(CNT) & 1, 1);
    out(ACPI_SMI_CMD, ACPI_CMD_OFF);
    ck_assert_uint_eq(get(CNT) & 1, 0);
    out(ACPI_SMI_CMD + 1, 0x5a);
    ck_assert_uint_eq(in(ACPI_SMI_CMD + 1), 0x5a);
}
END_TEST

START_TEST(slp_en_with_s5_powers_off_and_reads_as_zero)
{
    set(CNT, 0x2000 | 1 << 10);
    ck_assert_uint_eq(power_offs, 0); /* not a state of this board */
    set(CNT, 0x2000 | ACPI_SLP_TYP_S5 << 10);
    ck_assert_uint_eq(power_offs, 1);
    ck_assert_uint_eq(get(CNT) & 0x2000, 0);
}
END_TEST

START_TEST(a_byte_write_of_slp_en_powers_off)
{
    out(CNT + 1, 0x20);
    ck_assert_uint_eq(power_offs, 1);
}
END_TEST

START_TEST(a_wide_write_reaches_both_registers)
{
    pass_a_carry();
    bus_port_out(bus, STS, 4, 0x01200001);
    ck_assert_uint_eq(get(STS) & 1, 0);
    ck_assert_uint_eq(get(EN), 0x0120);
    out(EN + 1, 0x00);
    ck_assert_uint_eq(get(EN), 0x0020);
}
END_TEST

START_TEST(gpe0_keeps_its_enables_and_has_no_events)
{
    out(ACPI_GPE0_BASE + 2, 0xff);
    ck_assert_uint_eq(in(ACPI_GPE0_BASE + 2), 0xff);
    ck_assert_uint_eq(in(ACPI_GPE0_BASE), 0);
}
END_TEST

START_TEST(reset_forgets_everything)
{
    out(ACPI_SMI_CMD, ACPI_CMD_ON);
    set(EN, 1);
    pass_a_carry();
    acpi_pm_reset(pm);
    ck_assert_int_eq(sci.level, false);
    ck_assert_uint_eq(get(STS) | get(EN) | get(CNT), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("acpi_pm");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_timer_counts_at_3579545_hz_in_24_bits);
    tcase_add_test(tcase, the_timer_cannot_be_written);
    tcase_add_test(tcase,
                   a_change_of_bit_23_sets_tmr_sts_until_a_one_is_written);
    tcase_add_test(tcase, the_sci_needs_status_enable_and_sci_en);
    tcase_add_test(tcase, the_smi_command_switches_sci_en);
    tcase_add_test(tcase, slp_en_with_s5_powers_off_and_reads_as_zero);
    tcase_add_test(tcase, a_byte_write_of_slp_en_powers_off);
    tcase_add_test(tcase, a_wide_write_reaches_both_registers);
    tcase_add_test(tcase, gpe0_keeps_its_enables_and_has_no_events);
    tcase_add_test(tcase, reset_forgets_everything);
    return run_case(tcase, "acpi_pm");
}
