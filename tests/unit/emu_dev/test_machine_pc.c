/* SPDX-License-Identifier: MIT */
#include "emu/dev/machine_pc.h"

#include <string.h>

#include "fixture.h"
#include "tests/suite/suite.h"

static struct machine_pc *pc;
static bool intr, a20, ignne;
static unsigned resets, power_offs;
static int exit_status;
static uint8_t sent;

static void on_intr(void *opaque, bool level)
{
    (void)opaque;
    intr = level;
}

static void on_ignne(void *opaque, bool level)
{
    (void)opaque;
    ignne = level;
}

static void on_a20(void *opaque, bool open)
{
    (void)opaque;
    a20 = open;
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

static void setup(void)
{
    struct machine_host host = {.set_intr = on_intr,
                                .set_ignne = on_ignne,
                                .set_a20 = on_a20,
                                .power_off = on_power_off,
                                .reset = on_reset,
                                .exit = on_exit_port,
                                .serial = {{.write = on_byte}},
                                .debugcon = {.write = on_byte},
                                .debug_exit_port = 0x501,
                                .ram_len = 64 * MIB};
    fixture_setup();
    intr = a20 = ignne = false;
    exit_status = -1;
    sent = 0;
    resets = power_offs = 0;
    ck_assert_int_eq(machine_pc_create(&pc, bus, guest_clock, &host), 0);
    machine_pc_reset(pc);
}

static void teardown(void)
{
    machine_pc_destroy(pc);
    fixture_teardown();
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

START_TEST(isa_debug_exit_leaves_with_an_odd_status)
{
    ck_assert_uint_eq(in(0x501), 0);
    out(0x501, 3);
    ck_assert_int_eq(exit_status, 7);
    bus_port_out(bus, 0x501, 4, 0x10);
    ck_assert_int_eq(exit_status, 0x21);
}
END_TEST

START_TEST(the_debug_console_prints_and_tells_that_it_is_there)
{
    ck_assert_uint_eq(in(0xe9), 0xe9);
    out(0xe9, 'x');
    ck_assert_uint_eq(sent, 'x');
}
END_TEST

START_TEST(what_was_not_asked_for_is_not_there)
{
    struct machine_host host = {.set_intr = on_intr,
                                .set_a20 = on_a20,
                                .debug_exit_port = -1,
                                .ram_len = 64 * MIB};
    machine_pc_destroy(pc);
    ck_assert_int_eq(machine_pc_create(&pc, bus, guest_clock, &host), 0);
    ck_assert_uint_eq(in(0xe9), 0xff);
    ck_assert_uint_eq(in(0x501), 0xff);
    ck_assert_uint_eq(in(0x3fd), 0xff);
    ck_assert_uint_eq(machine_pc_serial_room(pc, 0), 0);
    machine_pc_serial_receive(pc, 0, &sent, 1);
}
END_TEST

START_TEST(the_post_code_is_read_back)
{
    out(0x80, 0xa5);
    ck_assert_uint_eq(in(0x80), 0xa5);
}
END_TEST

START_TEST(a20_is_open_after_reset)
{
    ck_assert_int_eq(a20, true);
    ck_assert_uint_eq(in(0x92), 0x02);
}
END_TEST

START_TEST(port_92h_and_the_keyboard_controller_switch_one_gate)
{
    out(0x92, 0x00);
    ck_assert_int_eq(a20, false);
    out(0x64, 0xd0);
    ck_assert_uint_eq(in(0x60) & 0x02, 0x00);
    out(0x64, 0xd1);
    out(0x60, 0xdf);
    ck_assert_int_eq(a20, true);
    ck_assert_uint_eq(in(0x92), 0x02);
    machine_pc_reset(pc);
    ck_assert_int_eq(a20, true);
}
END_TEST

START_TEST(each_way_to_reset_works)
{
    out(0x92, 0x03);
    ck_assert_uint_eq(resets, 1);
    out(0x64, 0xfe);
    ck_assert_uint_eq(resets, 2);
    out(0xcf9, 0x02);
    out(0xcf9, 0x06);
    ck_assert_uint_eq(resets, 3);
    ck_assert_int_eq(a20, true);
}
END_TEST

START_TEST(soft_off_powers_off)
{
    bus_port_out(bus, 0x604, 2, 0x2000);
    ck_assert_uint_eq(power_offs, 1);
}
END_TEST

START_TEST(port_61h_has_the_gate_the_output_and_the_refresh_toggle)
{
    out(0x61, 0xff);
    ck_assert_uint_eq(in(0x61) & 0xcf, 0x0f);
    unsigned toggle = in(0x61) & 0x10;
    now_ns += 15085;
    ck_assert_uint_ne(in(0x61) & 0x10, toggle);
}
END_TEST

START_TEST(keyboard_and_mouse_are_interrupts_1_and_12)
{
    init_pics();
    out(0x60, 0xee);
    ck_assert_uint_eq(machine_pc_ack(pc), 0x31);
    out(0x20, 0x20);
    in(0x60);
    out(0x64, 0xd4);
    out(0x60, 0xf4);
    ck_assert_uint_eq(machine_pc_ack(pc), 0x3c);
}
END_TEST

START_TEST(an_x87_error_is_interrupt_13_until_port_f0h_is_written)
{
    init_pics();
    machine_pc_set_ferr(pc, true);
    ck_assert_int_eq(intr, true);
    ck_assert_int_eq(ignne, false);
    ck_assert_uint_eq(machine_pc_ack(pc), 0x3d);
    out(0xf0, 0);
    ck_assert_int_eq(ignne, true);
    machine_pc_set_ferr(pc, false);
    ck_assert_int_eq(ignne, false);
    out(0xa0, 0x20); /* OCW2, non-specific EOI */
    out(0x20, 0x20);
    ck_assert_int_eq(intr, false);
}
END_TEST

START_TEST(the_x87_error_latch_outlives_the_error)
{
    init_pics();
    machine_pc_set_ferr(pc, true);
    machine_pc_set_ferr(pc, false);
    ck_assert_int_eq(intr, true);
    out(0xf1, 0); /* resets an 80287 only */
    ck_assert_int_eq(intr, true);
    out(0xf0, 0);
    ck_assert_int_eq(intr, false);
    ck_assert_int_eq(ignne, false); /* nothing to ignore any more */
}
END_TEST

START_TEST(bytes_for_the_serial_port_interrupt)
{
    init_pics();
    out(0x3fc, 0x08);
    out(0x3f9, 0x01);
    ck_assert_uint_eq(machine_pc_serial_room(pc, 0), 1);
    machine_pc_serial_receive(pc, 0, (const uint8_t *)"x", 1);
    ck_assert_uint_eq(machine_pc_ack(pc), 0x34);
    ck_assert_uint_eq(in(0x3f8), 'x');
}
END_TEST

START_TEST(only_acpi_s_interrupt_is_level_triggered_after_reset)
{
    ck_assert_uint_eq(in(0x4d0), 0x00);
    ck_assert_uint_eq(in(0x4d1), 0x02);
}
END_TEST

static bool bios_area_has(const uint8_t *ram, const char *name)
{
    for (unsigned at = 0xf0000; at < MIB - 4; at++)
        if (!memcmp(ram + at, name, 4))
            return true;
    return false;
}

START_TEST(the_acpi_tables_name_the_serial_ports_of_the_board)
{
    uint8_t *ram = calloc(1, MIB);
    ck_assert_ptr_nonnull(ram);
    ck_assert_int_lt(machine_pc_write_acpi(pc, ram, MIB - 1), 0);
    ck_assert_int_eq(machine_pc_write_acpi(pc, ram, MIB), 0);
    ck_assert_mem_eq(ram + 0xf0000, "RSD PTR ", 8);
    ck_assert_int_eq(bios_area_has(ram, "COM1"), true);
    ck_assert_int_eq(bios_area_has(ram, "COM2"), false);
    free(ram);
}
END_TEST

/* A port that somebody owns most of the time, any other now and then. */
static uint16_t random_port(uint32_t seed)
{
    static const uint16_t block[] = {0x000, 0x020, 0x040, 0x060, 0x070,
                                     0x090, 0x0a0, 0x0b0, 0x0c0, 0x0d0,
                                     0x3f8, 0x4d0, 0x600, 0xcf8, 0xafe0};
    if ((seed >> 28) == 0)
        return (uint16_t)(seed >> 8);
    return (uint16_t)(block[(seed >> 16) % ARRAY_COUNT(block)] +
                      (seed >> 8 & 15));
}

START_TEST(random_port_accesses_do_no_harm)
{
    static const unsigned size[4] = {1, 2, 4, 1};
    uint32_t seed = 1;
    for (unsigned i = 0; i < 300000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint16_t port = random_port(seed);
        unsigned width = size[seed >> 24 & 3];
        seed = seed * 1664525 + 1013904223;
        now_ns += seed >> 6 & 0xfffff;
        if (seed & BIT(31))
            bus_port_out(bus, port, width, seed >> 8 ^ seed << 16);
        else
            bus_port_in(bus, port, width);
        clock_run(guest_clock);
        if (intr)
            machine_pc_ack(pc);
        if (i % 1000 == 0)
            machine_pc_serial_receive(pc, 0, (const uint8_t *)"x", 1);
        if (i % 50000 == 0)
            machine_pc_reset(pc);
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
    tcase_add_test(tcase, isa_debug_exit_leaves_with_an_odd_status);
    tcase_add_test(tcase, the_debug_console_prints_and_tells_that_it_is_there);
    tcase_add_test(tcase, what_was_not_asked_for_is_not_there);
    tcase_add_test(tcase, the_post_code_is_read_back);
    tcase_add_test(tcase, a20_is_open_after_reset);
    tcase_add_test(tcase, port_92h_and_the_keyboard_controller_switch_one_gate);
    tcase_add_test(tcase, each_way_to_reset_works);
    tcase_add_test(tcase, soft_off_powers_off);
    tcase_add_test(tcase,
                   port_61h_has_the_gate_the_output_and_the_refresh_toggle);
    tcase_add_test(tcase, keyboard_and_mouse_are_interrupts_1_and_12);
    tcase_add_test(tcase,
                   an_x87_error_is_interrupt_13_until_port_f0h_is_written);
    tcase_add_test(tcase, the_x87_error_latch_outlives_the_error);
    tcase_add_test(tcase, bytes_for_the_serial_port_interrupt);
    tcase_add_test(tcase, only_acpi_s_interrupt_is_level_triggered_after_reset);
    tcase_add_test(tcase, the_acpi_tables_name_the_serial_ports_of_the_board);
    tcase_add_test(tcase, random_port_accesses_do_no_harm);
    return run_case(tcase, "machine_pc");
}
