/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "board_pair.h"
#include "board_subject.h"
#include "target.h"

/*
 * A hostile guest at the ports of the board. The input is a script: a byte that
 * chooses what is done, and the bytes that this takes. What the board does is
 * judged in board_pair.c; here, that no script takes long.
 */
#define CPU_NS_MAX 5000000000ll /* of a script that takes a millisecond */

static struct {
    const uint8_t *at, *end;
} script;

static uint64_t take(unsigned len)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < len && script.at < script.end; i++)
        value |= (uint64_t)*script.at++ << 8 * i;
    return value;
}

static uint8_t take8(void)
{
    return (uint8_t)take(1);
}

/* ---- Single accesses ---- */

static const struct {
    uint16_t first, count;
} places[] = {
    {0x20,              2 },
    {0xa0,              2 },
    {0x4d0,             2 },
    {0x40,              4 },
    {0x60,              2 },
    {0x64,              1 },
    {0x70,              2 },
    {0x80,              1 },
    {0x92,              1 },
    {0xb2,              2 },
    {0xe9,              1 },
    {0xf0,              2 },
    {SUBJECT_EXIT_PORT, 4 },
    {0xcf8,             8 },
    {0x600,             12},
    {0xafe0,            4 },
    {0x3f8,             8 },
    {0x2f8,             8 },
    {0x3e8,             8 },
    {0x2e8,             8 },
    {0x00,              16},
    {0xc0,              32},
    {0x81,              15},
};

/* The n-th port with something behind it, beginning again after the last. */
static uint16_t port_of(unsigned n)
{
    for (;;)
        for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
            if (n < places[i].count)
                return (uint16_t)(places[i].first + n);
            n -= places[i].count;
        }
}

static void out_byte(void)
{
    uint16_t port = port_of(take8());

    pair_out(port, 1, take8());
}

static void in_byte(void)
{
    (void)pair_in(port_of(take8()), 1);
}

static void access_wide(void)
{
    uint16_t port = (uint16_t)take(2);
    uint8_t how = take8();
    unsigned size = 1u << (how & 3) % 3;

    if (how & 4)
        port = port_of(port & 0xff);
    if (how & 8)
        pair_out(port, size, (uint32_t)take(size));
    else
        (void)pair_in(port, size);
}

static void access_mmio(void)
{
    uint8_t where = take8(), how = take8();
    uint64_t gpa = SUBJECT_MMIO - 8 + where % 24u;
    unsigned size = 1u << (how & 3);

    if (where >= 0xf0) /* the end of the address space, and its beginning */
        gpa = where - UINT64_C(0xf8);
    if (how & 4)
        pair_mmio_write(gpa, size, take(8));
    else
        pair_mmio_read(gpa, size);
}

/* ---- Chips ---- */

static void start_pic(void)
{
    uint8_t icw1 = take8();
    uint16_t port = icw1 & 0x80 ? 0xa0 : 0x20;

    pair_out(port, 1, (icw1 & 0x6f) | 0x10u);
    for (unsigned i = 0; i < 3; i++)
        pair_out(port + 1, 1, take8());
    pair_out(port + 1, 1, 0);
}

/* A command, and the byte that a read of the even port yields after it. */
static void command_pic(void)
{
    uint8_t value = take8();
    uint16_t port = value & 0x10 ? 0xa0 : 0x20;

    pair_out(port, 1, value & 0xefu);
    (void)pair_in(port, 1);
}

static void end_interrupts(void)
{
    pair_out(0xa0, 1, 0x20);
    pair_out(0x20, 1, 0x20);
}

static void program_pit(void)
{
    uint8_t control = take8(), low = take8(), high = take8();
    unsigned channel = control >> 6;

    pair_out(0x43, 1, control);
    if (channel == 3 || !(control & 0x30)) {
        for (unsigned i = 0; i < 3; i++)
            (void)pair_in((uint16_t)(0x40 + low % 3), 1);
        return;
    }
    if (control & 0x10)
        pair_out((uint16_t)(0x40 + channel), 1, low);
    if (control & 0x20)
        pair_out((uint16_t)(0x40 + channel), 1, high);
}

static void write_rtc(void)
{
    pair_out(0x70, 1, take8());
    pair_out(0x71, 1, take8());
}

static void read_rtc(void)
{
    pair_out(0x70, 1, take8());
    (void)pair_in(0x71, 1);
}

/* To the keyboard, or to the mouse. */
static void tell_ps2(void)
{
    uint8_t value = take8();

    if (take8() & 1)
        pair_out(0x64, 1, 0xd4);
    pair_out(0x60, 1, value);
    (void)pair_in(0x60, 1);
}

static void tell_i8042(void)
{
    uint8_t command = take8(), value = take8();

    pair_out(0x64, 1, command);
    pair_out(0x60, 1, value);
    if (command == 0xd1) /* the output port; RESET opens the gate */
        pair_check_a20(!(value & 1) || value & 2);
    if (command == 0xd2 || command == 0xd3) /* an answer, as if of a device */
        pair_check_answer(command == 0xd3, value);
}

static void access_pci(void)
{
    uint32_t address = (uint32_t)take(2);
    uint8_t how = take8();
    unsigned size = 1u << (how & 3) % 3;
    uint16_t port = (uint16_t)(0xcfc + (how >> 4 & 3));

    if (!(how & 4)) /* a function that is there, mostly */
        address &= 0x0bff;
    pair_out(0xcf8, 4, BIT(31) | address);
    if (how & 8)
        pair_out(port, size, (uint32_t)take(size));
    else
        (void)pair_in(port, size);
    (void)pair_in(0xcf8, 4);
}

static void access_uart(void)
{
    static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    uint8_t where = take8();
    uint16_t port = (uint16_t)(ports[where >> 3 & 3] + (where & 7));

    if (where & 0x80)
        pair_out(port, 1, take8());
    else
        (void)pair_in(port, 1);
}

static void send_to_uart(void)
{
    uint8_t how = take8(), data[16];

    for (unsigned i = 0; i <= how >> 4; i++)
        data[i] = take8();
    pair_receive(how & 3, data, (how >> 4) + 1u);
}

static void access_dma(void)
{
    uint8_t where = take8();
    uint16_t port =
        (uint16_t)(where & 0x10 ? 0xc0 + (where & 15) * 2 : where & 15);

    if (where & 0x80)
        pair_out(port, 1, take8());
    else
        (void)pair_in(port, 1);
}

static void access_pm(void)
{
    uint8_t where = take8();
    unsigned size = 1u << (where >> 4 & 3) % 3;
    uint16_t port = (uint16_t)(0x600 + (where & 15));

    if (where & 0x80)
        pair_out(port, size, (uint32_t)take(size));
    else
        (void)pair_in(port, size);
}

static void read_pm_timer(void)
{
    (void)pair_in(0x608, 4);
}

static void change_ferr(void)
{
    uint8_t how = take8();

    pair_ferr(how & 1);
    if (how & 2)
        pair_out(0xf0, 1, 0);
}

static void drive_input(void)
{
    uint8_t how = take8();

    pair_drive(how >> 1 & 7, how & 1);
}

/* ---- Time ---- */

/* Nanoseconds to months: a mantissa of five bits, and an exponent. */
static uint64_t take_time(void)
{
    uint8_t how = take8();
    uint64_t mantissa = take8();

    return mantissa << how % 46;
}

static void wait_and_run(void)
{
    pair_wait(take_time());
    pair_run();
}

static void be_late(void)
{
    pair_wait(take_time());
}

static void step(void)
{
    pair_step(take8() % 24u + 1);
}

static void set_look(void)
{
    uint8_t how = take8();

    pair_set_look(how < 64 ? 0 : (uint64_t)how << how % 20);
}

/* As often as they are worth. */
static void (*const actions[])(void) = {
    out_byte,      out_byte,       out_byte,        in_byte,      in_byte,
    access_wide,   access_wide,    access_mmio,     start_pic,    command_pic,
    command_pic,   end_interrupts, program_pit,     program_pit,  write_rtc,
    write_rtc,     read_rtc,       tell_ps2,        tell_i8042,   access_pci,
    access_uart,   access_uart,    send_to_uart,    access_dma,   access_pm,
    read_pm_timer, change_ferr,    wait_and_run,    wait_and_run, be_late,
    step,          set_look,       pair_ack,        pair_ack,     pair_run,
    pair_save,     pair_reset,     pair_check_date, drive_input,  drive_input,
};

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int64_t start = cpu_ns();

    script.at = data;
    script.end = data + len;
    pair_start();
    while (script.at < script.end)
        actions[take8() % ARRAY_COUNT(actions)]();
    pair_stop();
    if (cpu_ns() - start > CPU_NS_MAX) {
        fprintf(stderr, "board: the script took too long\n");
        abort();
    }
    return 0;
}
