/* SPDX-License-Identifier: MIT */
#include "emu/dev/ns16550.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"

/*
 * Registers by offset (PC16550D datasheet, "Register Addresses"):
 *   0 RBR/THR, DLAB: DLL   1 IER, DLAB: DLM   2 IIR/FCR   3 LCR
 *   4 MCR                  5 LSR              6 MSR       7 SCR
 *
 * The transmitter-empty interrupt is a latch: set by a byte that was sent and
 * by enabling it, cleared by reading IIR when it is the source and by writing
 * the next byte. All other sources are levels; update() derives the wire from
 * both.
 */

#define FIFO_LEN   16u
#define IER_RX     BIT(0)
#define IER_TX     BIT(1)
#define IER_LINE   BIT(2)
#define IER_MODEM  BIT(3)
#define IIR_NONE   0x01u
#define IIR_MODEM  0x00u
#define IIR_TX     0x02u
#define IIR_RX     0x04u
#define IIR_LINE   0x06u
#define IIR_TIME   0x0cu
#define IIR_FIFO   0xc0u
#define FCR_ENABLE BIT(0)
#define FCR_RX_CLR BIT(1)
#define LCR_DLAB   BIT(7)
#define MCR_OUT2   BIT(3)
#define MCR_LOOP   BIT(4)
#define LSR_DR     BIT(0)
#define LSR_OE     BIT(1)
#define LSR_ERRORS 0x1eu
#define LSR_EMPTY  0x60u /* THRE and TEMT */
#define MSR_LINES  0xb0u /* DCD, DSR, CTS: the other end is there */
#define MSR_TERI   BIT(2)
#define MSR_RI     BIT(6)

struct ns16550 {
    struct bus *bus;
    struct clock *clock;
    struct irq_line irq;
    struct char_backend backend;
    struct clock_timer timeout; /* four character times without a read */
    bool timed_out;
    bool tx_pending;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr;
    uint16_t divisor;
    uint8_t fifo[FIFO_LEN];
    unsigned head, count;
    struct io_range range;
};

#define STATE_OF struct ns16550
static const struct state_field ns16550_fields[] = {
    STATE_CLOCK_TIMER(timeout), STATE_FIELD(irq.level),
    STATE_FIELD(timed_out),     STATE_FIELD(tx_pending),
    STATE_FIELD(ier),           STATE_FIELD(fcr),
    STATE_FIELD(lcr),           STATE_FIELD(mcr),
    STATE_FIELD(lsr),           STATE_FIELD(msr),
    STATE_FIELD(scr),           STATE_FIELD(divisor),
    STATE_FIELD(fifo),          STATE_FIELD(head),
    STATE_FIELD(count),         STATE_SKIP(bus),
    STATE_SKIP(clock),          STATE_SKIP(irq),
    STATE_SKIP(backend),        STATE_SKIP(range),
};
const struct state_table ns16550_state = STATE_TABLE("ns16550", ns16550_fields);
#undef STATE_OF

static unsigned trigger(const struct ns16550 *uart)
{
    static const uint8_t level[4] = {1, 4, 8, 14};
    return uart->fcr & FCR_ENABLE ? level[uart->fcr >> 6] : 1;
}

/* The source of highest priority ("Interrupt Control Functions"). */
static unsigned source(const struct ns16550 *uart)
{
    if ((uart->ier & IER_LINE) && (uart->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((uart->ier & IER_RX) && uart->count >= trigger(uart))
        return IIR_RX;
    if ((uart->ier & IER_RX) && uart->timed_out)
        return IIR_TIME;
    if ((uart->ier & IER_TX) && uart->tx_pending)
        return IIR_TX;
    if ((uart->ier & IER_MODEM) && (uart->msr & 0x0f))
        return IIR_MODEM;
    return IIR_NONE;
}

/* OUT2 gates the wire on a PC; loopback disconnects OUT2 from it. */
static void update(struct ns16550 *uart)
{
    bool gate = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    irq_set(&uart->irq, gate && source(uart) != IIR_NONE);
}

/* 1.8432 MHz / 16 / divisor is the bit rate. */
static uint64_t character_ns(const struct ns16550 *uart)
{
    uint64_t bits = 1u + 5u + (uart->lcr & 3u) + (uart->lcr >> 3 & 1u) + 1u +
                    (uart->lcr >> 2 & 1u);
    uint64_t divisor = uart->divisor ? uart->divisor : 1;
    return bits * divisor * 16u * 1000000000u / 1843200u;
}

static void restart_timeout(struct ns16550 *uart)
{
    uart->timed_out = false;
    if ((uart->fcr & FCR_ENABLE) && uart->count > 0)
        clock_arm(uart->clock, &uart->timeout,
                  clock_now(uart->clock) + 4 * character_ns(uart));
    else
        clock_disarm(uart->clock, &uart->timeout);
}

static void fire(void *opaque)
{
    struct ns16550 *uart = opaque;
    uart->timed_out = uart->count > 0;
    update(uart);
}

static unsigned capacity(const struct ns16550 *uart)
{
    return uart->fcr & FCR_ENABLE ? FIFO_LEN : 1;
}

static void push(struct ns16550 *uart, uint8_t byte)
{
    if (uart->count >= capacity(uart)) {
        uart->lsr |= LSR_OE;
        if (!(uart->fcr & FCR_ENABLE))
            uart->fifo[uart->head] = byte; /* RBR is overwritten */
        return;
    }
    uart->fifo[(uart->head + uart->count) % FIFO_LEN] = byte;
    uart->count++;
    if (!uart->timed_out) /* only a read clears that interrupt */
        restart_timeout(uart);
}

static uint8_t pop(struct ns16550 *uart)
{
    uint8_t byte = uart->fifo[uart->head];
    if (uart->count > 0) {
        uart->head = (uart->head + 1) % FIFO_LEN;
        uart->count--;
    }
    restart_timeout(uart);
    return byte;
}

static void clear_rx(struct ns16550 *uart)
{
    uart->head = 0;
    uart->count = 0;
    restart_timeout(uart);
}

/* The byte fills the holding register until it leaves: the interrupt falls, and
 * the 8259A sees a new edge, even if the handler never read IIR. */
static void send(struct ns16550 *uart, uint8_t byte)
{
    uart->tx_pending = false;
    update(uart);
    if (uart->mcr & MCR_LOOP)
        push(uart, byte);
    else
        uart->backend.write(uart->backend.opaque, &byte, 1);
    uart->tx_pending = true;
}

/* In loopback DTR, RTS, OUT1, OUT2 drive DSR, CTS, RI, DCD. A change of a line
 * sets its delta bit, RI only when it ends. */
static void update_modem(struct ns16550 *uart)
{
    unsigned lines = MSR_LINES, mcr = uart->mcr;
    if (mcr & MCR_LOOP)
        lines = (mcr & 2) << 3 | (mcr & 1) << 5 | (mcr & 0xc) << 4;
    unsigned changed = (lines ^ uart->msr) & 0xf0;
    unsigned delta = (changed & 0xb0) >> 4;
    if ((changed & MSR_RI) && !(lines & MSR_RI))
        delta |= MSR_TERI;
    uart->msr = (uint8_t)(lines | (uart->msr & 0x0f) | delta);
}

static void write_fcr(struct ns16550 *uart, uint8_t value)
{
    /* The other bits are not programmed unless bit 0 is one. */
    if (!(value & FCR_ENABLE))
        value = 0;
    if ((value ^ uart->fcr) & FCR_ENABLE || value & FCR_RX_CLR)
        clear_rx(uart);
    uart->fcr = value & 0xc9;
}

static void write_ier(struct ns16550 *uart, uint8_t value)
{
    if ((value & IER_TX) && !(uart->ier & IER_TX))
        uart->tx_pending = true;
    uart->ier = value & 0x0f;
}

static void port_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value32)
{
    struct ns16550 *uart = dev;
    uint8_t value = (uint8_t)value32;
    bool dlab = uart->lcr & LCR_DLAB;
    (void)size;
    switch (offset) {
    case 0:
        if (dlab)
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        else
            send(uart, value);
        break;
    case 1:
        if (dlab)
            uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
        else
            write_ier(uart, value);
        break;
    case 2: write_fcr(uart, value); break;
    case 3: uart->lcr = value; break;
    case 4:
        uart->mcr = value & 0x1f;
        update_modem(uart);
        break;
    case 7: uart->scr = value; break;
    default: break; /* LSR and MSR are read-only */
    }
    update(uart);
}

static uint8_t read_iir(struct ns16550 *uart)
{
    unsigned id = source(uart);
    if (id == IIR_TX)
        uart->tx_pending = false;
    return (uint8_t)(id | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t read_lsr(struct ns16550 *uart)
{
    unsigned value = uart->lsr | LSR_EMPTY | (uart->count > 0 ? LSR_DR : 0);
    uart->lsr = 0;
    return (uint8_t)value;
}

static uint8_t read_msr(struct ns16550 *uart)
{
    uint8_t value = uart->msr;
    uart->msr &= 0xf0;
    return value;
}

static uint32_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct ns16550 *uart = dev;
    bool dlab = uart->lcr & LCR_DLAB;
    uint8_t value = 0;
    (void)size;
    switch (offset) {
    case 0: value = dlab ? (uint8_t)uart->divisor : pop(uart); break;
    case 1: value = dlab ? (uint8_t)(uart->divisor >> 8) : uart->ier; break;
    case 2: value = read_iir(uart); break;
    case 3: value = uart->lcr; break;
    case 4: value = uart->mcr; break;
    case 5: value = read_lsr(uart); break;
    case 6: value = read_msr(uart); break;
    default: value = uart->scr; break;
    }
    update(uart);
    return value;
}

size_t ns16550_room(const struct ns16550 *uart)
{
    return uart->mcr & MCR_LOOP ? 0 : capacity(uart) - uart->count;
}

void ns16550_receive(struct ns16550 *uart, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        push(uart, data[i]);
    update(uart);
}

/* "Reset Configuration"; the divisor is 9600 baud, as a BIOS leaves it. */
void ns16550_reset(struct ns16550 *uart)
{
    uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->lsr = uart->scr = 0;
    uart->msr = MSR_LINES;
    uart->divisor = 12;
    uart->tx_pending = false;
    clear_rx(uart);
    update(uart);
}

int ns16550_create(struct ns16550 **out, struct bus *bus, struct clock *clock,
                   uint16_t port, struct irq_line irq,
                   struct char_backend backend)
{
    struct ns16550 *uart = calloc(1, sizeof(*uart));
    if (uart == NULL)
        return -ENOMEM;
    uart->bus = bus;
    uart->clock = clock;
    uart->irq = irq;
    uart->backend = backend;
    uart->timeout = (struct clock_timer){.fire = fire, .opaque = uart};
    uart->range = (struct io_range){.name = "16550A",
                                    .start = port,
                                    .len = 8,
                                    .max_size = 1,
                                    .read = port_read,
                                    .write = port_write,
                                    .dev = uart};
    ns16550_reset(uart);
    int err = bus_add(bus, &uart->range);
    if (err != 0) {
        free(uart);
        return err;
    }
    *out = uart;
    return 0;
}

void ns16550_destroy(struct ns16550 *uart)
{
    if (uart == NULL)
        return;
    clock_disarm(uart->clock, &uart->timeout);
    bus_remove(uart->bus, &uart->range);
    free(uart);
}
