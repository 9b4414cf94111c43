/* SPDX-License-Identifier: MIT */
#include "emu/dev/machine_pc.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct stats stats;
static struct bus *bus;
static struct clock *guest_clock;
static struct machine_pc *pc;
static uint64_t now_ns;
static bool intr;
static unsigned resets, power_offs;
static int exit_status;
static uint8_t sent;

static uint64_t now(void *opaque)
{
    (void)opaque;
    return now_ns;
}

static void on_intr(void *opaque, bool level)
{
    (void)opaque;
    intr = level;
}

static void on_a20(void *opaque, bool open)
{
    (void)opaque;
    (void)open;
}

static void on_power_off(void *opaque)
{
    (void)opaque;
    power_offs++;
}

static void on_reset(void *opaque)
{
    (void)opaque;
    resets++;
}

static void on_exit_port(void *opaque, int status)
{
    (void)opaque;
    exit_status = status;
}

static void on_byte(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)len;
    sent = data[0];
}

static void out(uint16_t port, uint32_t value)
{
    bus_port_out(bus, port, 1, value);
}

static uint32_t in(uint16_t port)
{
    return bus_port_in(bus, port, 1);
}

static void setup(void)
{
    struct machine_host host = {.set_intr = on_intr,
                                .set_a20 = on_a20,
                                .power_off = on_power_off,
                                .reset = on_reset,
                                .exit = on_exit_port,
                                .serial = {{.write = on_byte}},
                                .debugcon = {.write = on_byte},
                                .debug_exit_port = 0x501,
                                .ram_len = 64 * MIB};
    now_ns = 1;
    intr = false;
    resets = power_offs = 0;
    ck_assert_int_eq(bus_create(&bus, &stats), 0);
    ck_assert_int_eq(clock_create(&guest_clock, now, NULL), 0);
    ck_assert_int_eq(machine_pc_create(&pc, bus, guest_clock, &host), 0);
    machine_pc_reset(pc);
}

static void teardown(void)
{
    machine_pc_destroy(pc);
    clock_destroy(guest_clock);
    bus_destroy(bus);
}

/* 8259A datasheet, ICW1-ICW4: edge-triggered, cascaded, 8086 mode. */
static void init_pics(void)
{
    static const uint8_t icw[][2] = {
        {0x20, 0x11},
        {0x21, 0x30},
        {0x21, 4   },
        {0x21, 1   },
        {0xa0, 0x11},
        {0xa1, 0x38},
        {0xa1, 2   },
        {0xa1, 1   }
    };
    for (size_t i = 0; i < ARRAY_COUNT(icw); i++)
        out(icw[i][0], icw[i][1]);
}

START_TEST(a_late_host_sees_one_timer_edge_in_phase)
{
    init_pics();
    out(0x43, 0x34); /* 8254 datasheet, "Control Word": counter 0, mode 2 */
    out(0x40, 1193182 / 100 & 0xff);
    out(0x40, 1193182 / 100 >> 8);
    now_ns += 55000000;
    clock_run(guest_clock);
    ck_assert_int_eq(intr, true);
    ck_assert_uint_eq(machine_pc_ack(pc), 0x30);
    clock_run(guest_clock);
    out(0x20, 0x20); /* OCW2, non-specific EOI */
    ck_assert_int_eq(intr, false);
    ck_assert_uint_gt(clock_next(guest_clock), 59900000);
    ck_assert_uint_lt(clock_next(guest_clock), 60100000);
}
END_TEST

START_TEST(an_acknowledge_without_request_is_interrupt_seven)
{
    init_pics();
    ck_assert_uint_eq(machine_pc_ack(pc), 0x37);
    out(0x20, 0x0b); /* OCW3: read ISR */
    ck_assert_uint_eq(in(0x20), 0);
}
END_TEST

START_TEST(counter_2_in_mode_0_raises_its_output_after_n_ticks)
{
    out(0x61, 1);
    out(0x43, 0xb0);
    out(0x42, 0xff);
    out(0x42, 0xff);
    ck_assert_uint_eq(in(0x61) & 0x20, 0);
    now_ns += 55000000;
    ck_assert_uint_eq(in(0x61) & 0x20, 0x20);
}
END_TEST

START_TEST(enabling_the_transmit_interrupt_raises_it)
{
    init_pics();
    out(0x3fc, 8);
    out(0x3f9, 2);
    ck_assert_int_eq(intr, true);
    ck_assert_uint_eq(in(0x3fa), 2);
    ck_assert_int_eq(intr, false);
    out(0x3f8, 'x');
    ck_assert_uint_eq(sent, 'x');
}
END_TEST

START_TEST(the_board_can_be_left_by_its_ports)
{
    bus_port_out(bus, 0x501, 4, 3);
    ck_assert_int_eq(exit_status, 7);
    out(0xcf9, 2);
    out(0xcf9, 6);
    ck_assert_uint_eq(resets, 1);
    bus_port_out(bus, 0x604, 2, 0x2000);
    ck_assert_uint_eq(power_offs, 1);
}
END_TEST

START_TEST(the_pm_timer_counts_at_3579545_hz)
{
    now_ns = 1000000000;
    ck_assert_uint_eq(bus_port_in(bus, 0x608, 4), 3579545);
}
END_TEST

START_TEST(the_host_bridge_is_a_440fx)
{
    bus_port_out(bus, 0xcf8, 4, 0x80000000);
    ck_assert_uint_eq(bus_port_in(bus, 0xcfc, 4), 0x12378086);
    bus_port_out(bus, 0xcf8, 4, 0x80002000);
    ck_assert_uint_eq(bus_port_in(bus, 0xcfc, 4), 0xffffffff);
}
END_TEST

START_TEST(acpi_tables_sum_to_zero_and_need_a_megabyte)
{
    uint8_t *ram = calloc(1, MIB), sum = 0;
    ck_assert_ptr_nonnull(ram);
    ck_assert_int_lt(machine_pc_write_acpi(pc, ram, MIB - 1), 0);
    ck_assert_int_eq(machine_pc_write_acpi(pc, ram, MIB), 0);
    ck_assert_mem_eq(ram + 0xf0000, "RSD PTR ", 8);
    for (unsigned i = 0; i < 20; i++)
        sum = (uint8_t)(sum + ram[0xf0000 + i]);
    ck_assert_uint_eq(sum, 0);
    free(ram);
}
END_TEST

START_TEST(random_port_accesses_do_no_harm)
{
    static const unsigned size[3] = {1, 2, 4};
    uint32_t seed = 1;
    for (unsigned i = 0; i < 300000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint16_t port = (uint16_t)(seed >> 20);
        if ((seed >> 12 & 7) == 0)
            port = (uint16_t)(0x600 + (port & 15));
        unsigned width = size[(seed >> 8) % 3];
        now_ns += seed >> 6 & 0xfffff;
        seed = seed * 1664525 + 1013904223;
        if (seed & 0x8000)
            bus_port_out(bus, port, width, seed >> 16 ^ seed << 16);
        else
            bus_port_in(bus, port, width);
        clock_run(guest_clock);
        if (intr)
            machine_pc_ack(pc);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("machine_pc");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_late_host_sees_one_timer_edge_in_phase);
    tcase_add_test(tcase, an_acknowledge_without_request_is_interrupt_seven);
    tcase_add_test(tcase, counter_2_in_mode_0_raises_its_output_after_n_ticks);
    tcase_add_test(tcase, enabling_the_transmit_interrupt_raises_it);
    tcase_add_test(tcase, the_board_can_be_left_by_its_ports);
    tcase_add_test(tcase, the_pm_timer_counts_at_3579545_hz);
    tcase_add_test(tcase, the_host_bridge_is_a_440fx);
    tcase_add_test(tcase, acpi_tables_sum_to_zero_and_need_a_megabyte);
    tcase_add_test(tcase, random_port_accesses_do_no_harm);
    Suite *suite = suite_create("machine_pc");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
