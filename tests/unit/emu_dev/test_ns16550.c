/* SPDX-License-Identifier: MIT */
#include "emu/dev/ns16550.h"

#include <string.h>

#include "fixture.h"
#include "tests/suite/suite.h"

/* Facts from the PC16550D datasheet, "Registers", "Interrupt Control
 * Functions", "FIFO Interrupt Mode Operation". */

#define COM   0x3f8
#define RBR   (COM + 0)
#define IER   (COM + 1)
#define IIR   (COM + 2)
#define FCR   (COM + 2)
#define LCR   (COM + 3)
#define MCR   (COM + 4)
#define LSR   (COM + 5)
#define MSR   (COM + 6)
#define SCR   (COM + 7)
#define OUT2  0x08
#define LOOP  0x10
#define CHARS 1041667u /* ns of ten bits at 9600 baud */

static struct ns16550 *uart;
static struct probe irq4;
static uint8_t sent[64];
static size_t sent_len;

static void on_bytes(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    ck_assert_uint_le(sent_len + len, sizeof(sent));
    memcpy(sent + sent_len, data, len);
    sent_len += len;
}

static void setup(void)
{
    struct char_backend backend = {.write = on_bytes};
    fixture_setup();
    sent_len = 0;
    ck_assert_int_eq(ns16550_create(&uart, bus, guest_clock, COM,
                                    probe_line(&irq4), backend),
                     0);
    out(LCR, 0x03);
    out(MCR, OUT2);
}

static void teardown(void)
{
    ns16550_destroy(uart);
    fixture_teardown();
}

static void receive(const char *text)
{
    ns16550_receive(uart, (const uint8_t *)text, strlen(text));
}

START_TEST(reset_leaves_an_empty_transmitter_and_no_interrupt)
{
    ns16550_reset(uart);
    ck_assert_uint_eq(in(IER), 0x00);
    ck_assert_uint_eq(in(IIR), 0x01);
    ck_assert_uint_eq(in(LCR), 0x00);
    ck_assert_uint_eq(in(MCR), 0x00);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(a_byte_written_is_sent)
{
    out(RBR, 'a');
    out(RBR, 'b');
    ck_assert_uint_eq(sent_len, 2);
    ck_assert_mem_eq(sent, "ab", 2);
    ck_assert_uint_eq(in(LSR)&0x60, 0x60);
}
END_TEST

START_TEST(the_divisor_hides_data_and_enables)
{
    out(LCR, 0x83);
    ck_assert_uint_eq(in(RBR), 12); /* 9600 baud */
    out(RBR, 0x01);
    out(IER, 0x02);
    ck_assert_uint_eq(in(RBR), 0x01);
    ck_assert_uint_eq(in(IER), 0x02);
    out(LCR, 0x03);
    ck_assert_uint_eq(in(IER), 0x00);
    ck_assert_uint_eq(sent_len, 0);
}
END_TEST

START_TEST(registers_keep_the_bits_they_have)
{
    out(IER, 0xff);
    out(MCR, 0xff);
    out(SCR, 0x5a);
    ck_assert_uint_eq(in(IER), 0x0f);
    ck_assert_uint_eq(in(MCR), 0x1f);
    ck_assert_uint_eq(in(SCR), 0x5a);
}
END_TEST

START_TEST(the_fifo_is_told_by_iir_bits_7_and_6)
{
    ck_assert_uint_eq(in(IIR)&0xc0, 0x00);
    out(FCR, 0x01);
    ck_assert_uint_eq(in(IIR)&0xc0, 0xc0);
    out(FCR, 0x00);
    ck_assert_uint_eq(in(IIR)&0xc0, 0x00);
}
END_TEST

START_TEST(without_fifo_one_byte_fits_and_interrupts)
{
    ck_assert_uint_eq(ns16550_room(uart), 1);
    out(IER, 0x01);
    receive("x");
    ck_assert_uint_eq(ns16550_room(uart), 0);
    ck_assert_int_eq(irq4.level, true);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(LSR)&0x01, 0x01);
    ck_assert_uint_eq(in(RBR), 'x');
    ck_assert_int_eq(irq4.level, false);
    ck_assert_uint_eq(in(LSR)&0x01, 0x00);
}
END_TEST

START_TEST(the_fifo_holds_sixteen_bytes_in_order)
{
    out(FCR, 0x01);
    ck_assert_uint_eq(ns16550_room(uart), 16);
    receive("0123456789abcdef");
    ck_assert_uint_eq(ns16550_room(uart), 0);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(RBR), (uint8_t) "0123456789abcdef"[i]);
    ck_assert_uint_eq(in(LSR)&0x01, 0x00);
}
END_TEST

START_TEST(the_trigger_level_interrupts)
{
    static const struct {
        uint8_t fcr;
        unsigned level;
    } row[4] = {
        {0x01, 1 },
        {0x41, 4 },
        {0x81, 8 },
        {0xc1, 14}
    };
    out(IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        out(FCR, row[i].fcr | 0x02); /* clear the FIFO */
        for (unsigned n = 1; n < row[i].level; n++)
            receive("x");
        ck_assert_int_eq(irq4.level, false);
        receive("x");
        ck_assert_uint_eq(in(IIR), 0xc4);
        in(RBR);
        ck_assert_int_eq(irq4.level, false);
    }
}
END_TEST

START_TEST(bytes_below_the_trigger_time_out_after_four_characters)
{
    out(FCR, 0xc1);
    out(IER, 0x01);
    receive("ab");
    advance(4 * CHARS - 10);
    ck_assert_int_eq(irq4.level, false);
    advance(20);
    ck_assert_uint_eq(in(IIR), 0xcc);
    in(RBR); /* restarts the timer */
    ck_assert_int_eq(irq4.level, false);
    advance(5 * CHARS);
    ck_assert_uint_eq(in(IIR), 0xcc);
    in(RBR);
    advance(5 * CHARS);
    ck_assert_uint_eq(in(IIR), 0xc1);
}
END_TEST

START_TEST(a_timeout_stays_until_a_byte_is_read)
{
    out(FCR, 0xc1);
    out(IER, 0x01);
    receive("a");
    advance(5 * CHARS);
    ck_assert_int_eq(irq4.level, true);
    receive("b"); /* restarts no timer */
    ck_assert_uint_eq(in(IIR), 0xcc);
    ck_assert_uint_eq(irq4.rises, 1);
    in(RBR);
    ck_assert_int_eq(irq4.level, false);
    advance(5 * CHARS);
    ck_assert_uint_eq(in(IIR), 0xcc);
}
END_TEST

START_TEST(fifo_bits_without_the_enable_do_nothing)
{
    receive("a");
    out(FCR, 0x06);
    ck_assert_uint_eq(in(LSR)&0x01, 0x01);
    ck_assert_uint_eq(in(RBR), 'a');
}
END_TEST

START_TEST(an_overrun_is_told_once_and_loses_the_new_byte)
{
    out(FCR, 0x01);
    out(IER, 0x04);
    receive("0123456789abcdefX");
    ck_assert_uint_eq(in(IIR), 0xc6);
    ck_assert_uint_eq(in(LSR)&0x02, 0x02);
    ck_assert_uint_eq(in(LSR)&0x02, 0x00);
    ck_assert_int_eq(irq4.level, false);
    ck_assert_uint_eq(in(RBR), '0');
}
END_TEST

START_TEST(transmitter_empty_interrupts_until_iir_names_it)
{
    out(IER, 0x02);
    ck_assert_int_eq(irq4.level, true);
    ck_assert_uint_eq(in(IIR), 0x02);
    ck_assert_uint_eq(in(IIR), 0x01);
    ck_assert_int_eq(irq4.level, false);
    out(RBR, 'x');
    ck_assert_uint_eq(in(IIR), 0x02);
}
END_TEST

START_TEST(each_byte_sent_makes_a_new_interrupt)
{
    out(IER, 0x02);
    ck_assert_uint_eq(irq4.rises, 1);
    out(RBR, 'a'); /* IIR was not read */
    ck_assert_uint_eq(irq4.rises, 2);
    out(RBR, 'b');
    ck_assert_uint_eq(irq4.rises, 3);
    ck_assert_int_eq(irq4.level, true);
}
END_TEST

START_TEST(received_data_goes_before_transmitter_empty)
{
    out(IER, 0x03);
    receive("x");
    ck_assert_uint_eq(in(IIR), 0x04);
    in(RBR);
    ck_assert_uint_eq(in(IIR), 0x02);
}
END_TEST

START_TEST(out2_is_the_gate_of_the_interrupt)
{
    out(MCR, 0);
    out(IER, 0x02);
    ck_assert_int_eq(irq4.level, false);
    out(MCR, OUT2);
    ck_assert_int_eq(irq4.level, true);
}
END_TEST

START_TEST(loopback_returns_what_is_sent)
{
    out(MCR, LOOP);
    ck_assert_uint_eq(ns16550_room(uart), 0);
    out(RBR, 'x');
    ck_assert_uint_eq(sent_len, 0);
    ck_assert_uint_eq(in(RBR), 'x');
}
END_TEST

START_TEST(loopback_joins_the_modem_lines)
{
    static const uint8_t row[][2] = {
        {0x01, 0x20}, /* DTR: DSR */
        {0x02, 0x10}, /* RTS: CTS */
        {0x04, 0x40}, /* OUT1: RI */
        {0x08, 0x80}, /* OUT2: DCD */
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        out(MCR, LOOP | row[i][0]);
        ck_assert_uint_eq(in(MSR)&0xf0, row[i][1]);
    }
}
END_TEST

START_TEST(modem_changes_are_told_once)
{
    out(MCR, LOOP | 0x02);
    in(MSR);
    out(IER, 0x08);
    out(MCR, LOOP);
    ck_assert_uint_eq(in(IIR), 0x00);
    ck_assert_uint_eq(in(MSR)&0x0f, 0x01); /* delta CTS */
    ck_assert_uint_eq(in(IIR), 0x01);
    out(MCR, LOOP | 0x04);
    ck_assert_uint_eq(in(MSR)&0x0f, 0x00);
    out(MCR, LOOP);
    ck_assert_uint_eq(in(MSR)&0x0f, 0x04); /* trailing edge of RI */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ns16550");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, reset_leaves_an_empty_transmitter_and_no_interrupt);
    tcase_add_test(tcase, a_byte_written_is_sent);
    tcase_add_test(tcase, the_divisor_hides_data_and_enables);
    tcase_add_test(tcase, registers_keep_the_bits_they_have);
    tcase_add_test(tcase, the_fifo_is_told_by_iir_bits_7_and_6);
    tcase_add_test(tcase, without_fifo_one_byte_fits_and_interrupts);
    tcase_add_test(tcase, the_fifo_holds_sixteen_bytes_in_order);
    tcase_add_test(tcase, the_trigger_level_interrupts);
    tcase_add_test(tcase,
                   bytes_below_the_trigger_time_out_after_four_characters);
    tcase_add_test(tcase, a_timeout_stays_until_a_byte_is_read);
    tcase_add_test(tcase, fifo_bits_without_the_enable_do_nothing);
    tcase_add_test(tcase, an_overrun_is_told_once_and_loses_the_new_byte);
    tcase_add_test(tcase, transmitter_empty_interrupts_until_iir_names_it);
    tcase_add_test(tcase, each_byte_sent_makes_a_new_interrupt);
    tcase_add_test(tcase, received_data_goes_before_transmitter_empty);
    tcase_add_test(tcase, out2_is_the_gate_of_the_interrupt);
    tcase_add_test(tcase, loopback_returns_what_is_sent);
    tcase_add_test(tcase, loopback_joins_the_modem_lines);
    tcase_add_test(tcase, modem_changes_are_told_once);
    return run_case(tcase, "ns16550");
}
