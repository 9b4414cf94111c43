/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "lib/cpu.h"

enum {
    PIC_COMMAND = 0x20,
    PIC_MASK = 0x21,
    OCW3_READ_IRR = 0x0A,
    PIT_CHANNEL0 = 0x40,
    PIT_CONTROL = 0x43,
    PIT_MODE2 = 0x34,
    PIT_HZ = 1193182,
};

void timer_start(uint32_t hz)
{
    uint32_t divisor = PIT_HZ / hz;

    outb(PIT_CONTROL, PIT_MODE2);
    outb(PIT_CHANNEL0, (uint8_t)divisor);
    outb(PIT_CHANNEL0, (uint8_t)(divisor >> 8));
    outb(PIC_MASK, 0xFE);
}

void timer_stop(void)
{
    cli();
    outb(PIC_MASK, 0xFF);
}

void timer_wait(void)
{
    do
        outb(PIC_COMMAND, OCW3_READ_IRR);
    while (!(inb(PIC_COMMAND) & 1));
}
