/* SPDX-License-Identifier: MIT */
#include "board_uart.h"

#include <string.h>

/*
 * PC16550D datasheet, "Registers", "FIFO Interrupt Mode Operation". What is
 * sent is gone at once, and the other end of the line has DCD, DSR and CTS on;
 * the board connects OUT2 to the gate of the interrupt.
 */
#define NONE 1u

static bool has_fifo(const struct uart_model *u)
{
    return u->fcr & 1;
}

/* "Interrupt Control Functions", in order of priority. */
static unsigned source(const struct uart_model *u)
{
    static const unsigned triggers[] = {1, 4, 8, 14};
    unsigned trigger = has_fifo(u) ? triggers[u->fcr >> 6] : 1;

    if (u->ier & 4 && u->overrun)
        return 6;
    if (u->ier & 1 && u->count >= trigger)
        return 4;
    if (u->ier & 1 && u->timed_out)
        return 12;
    if (u->ier & 2 && u->sent)
        return 2;
    return u->ier & 8 && u->deltas != 0 ? 0 : NONE;
}

bool uart_model_irq(const struct uart_model *u)
{
    return (u->mcr & 0x18) == 8 && source(u) != NONE;
}

/* Four characters of start, data, parity and stop bits. */
static void time_out_later(struct uart_model *u, uint64_t ns)
{
    uint64_t bits =
        7u + u->lcr % 4u + (u->lcr & 8 ? 1 : 0) + (u->lcr & 4 ? 1 : 0);
    uint64_t divisor = u->divisor ? u->divisor : 1;

    u->times = has_fifo(u) && u->count > 0;
    u->deadline = ns + 4 * (bits * divisor * 16 * 1000000000u / 1843200u);
}

static void empty(struct uart_model *u)
{
    u->count = 0;
    u->timed_out = u->times = false;
}

unsigned uart_model_room(const struct uart_model *u)
{
    return u->mcr & 0x10 ? 0 : (has_fifo(u) ? 16 : 1) - u->count;
}

void uart_model_receive(struct uart_model *u, uint8_t byte, uint64_t ns)
{
    if (u->count == (has_fifo(u) ? 16 : 1)) {
        u->overrun = true;
        if (!has_fifo(u))
            u->received[0] = byte;
        return;
    }
    u->received[u->count++] = byte;
    if (!u->timed_out) /* that is only cleared by a read */
        time_out_later(u, ns);
}

void uart_model_run(struct uart_model *u, uint64_t ns)
{
    if (!u->times || u->deadline > ns)
        return;
    u->times = false;
    u->timed_out = true;
}

/* In loopback RTS, DTR, OUT1 and OUT2 are CTS, DSR, RI and DCD. */
static void move_lines(struct uart_model *u)
{
    unsigned lines = 0xb0, mcr = u->mcr;

    if (mcr & 0x10)
        lines = (mcr & 1 ? 0x20u : 0) | (mcr & 2 ? 0x10u : 0) |
                (mcr & 4 ? 0x40u : 0) | (mcr & 8 ? 0x80u : 0);
    for (unsigned i = 4; i < 8; i++) {
        bool before = u->lines >> i & 1, after = lines >> i & 1;

        if (before != after && (i != 6 || before))
            u->deltas |= (uint8_t)(1u << (i - 4));
    }
    u->lines = (uint8_t)lines;
}

static void control_fifo(struct uart_model *u, uint8_t value)
{
    bool on = value & 1;

    if (on != has_fifo(u) || (on && value & 2))
        empty(u);
    u->fcr = on ? value : 0;
}

void uart_model_write(struct uart_model *u, unsigned reg, uint8_t value,
                      uint64_t ns)
{
    bool latch = u->lcr & 0x80;

    if (reg == 0 && latch)
        u->divisor = (uint16_t)((u->divisor & 0xff00u) | value);
    if (reg == 1 && latch)
        u->divisor = (uint16_t)((u->divisor & 0xffu) | (unsigned)value << 8);
    if (reg == 0 && !latch) {
        if (u->mcr & 0x10)
            uart_model_receive(u, value, ns);
        u->sent = true;
    }
    if (reg == 1 && !latch) {
        if (value & ~u->ier & 2)
            u->sent = true;
        u->ier = value & 15;
    }
    if (reg == 2)
        control_fifo(u, value);
    if (reg == 3)
        u->lcr = value;
    if (reg == 4) {
        u->mcr = value & 0x1f;
        move_lines(u);
    }
    if (reg == 7)
        u->scr = value;
}

static uint8_t read_data(struct uart_model *u, uint64_t ns, uint8_t *mask)
{
    uint8_t byte = u->received[0];

    u->timed_out = u->times = false;
    if (u->count == 0) {
        *mask = 0;
        return 0;
    }
    memmove(u->received, u->received + 1, --u->count);
    time_out_later(u, ns);
    return byte;
}

uint8_t uart_model_read(struct uart_model *u, unsigned reg, uint64_t ns,
                        uint8_t *mask)
{
    uint8_t value = 0;

    *mask = 0xff;
    if (u->lcr & 0x80 && reg < 2)
        return (uint8_t)(u->divisor >> 8 * reg);
    switch (reg) {
    case 0: return read_data(u, ns, mask);
    case 1: return u->ier;
    case 2:
        value = (uint8_t)source(u);
        if (value == 2)
            u->sent = false;
        return value | (has_fifo(u) ? 0xc0 : 0);
    case 3: return u->lcr;
    case 4: return u->mcr;
    case 5:
        value = 0x60 | (u->overrun ? 2 : 0) | (u->count > 0);
        u->overrun = false;
        return value;
    case 6:
        value = u->lines | u->deltas;
        u->deltas = 0;
        return value;
    default: return u->scr;
    }
}

void uart_model_reset(struct uart_model *u)
{
    memset(u, 0, sizeof(*u));
    u->lines = 0xb0;
    u->divisor = 12; /* 9600 baud, as a BIOS leaves it */
}
