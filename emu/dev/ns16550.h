/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_NS16550_H
#define EMU_DEV_NS16550_H

/*
 * PURPOSE: one 16550A serial port (8 ports). What the guest sends leaves at
 * once, so the transmitter is always empty; what arrives waits in the FIFO.
 */
#include "emu/dev/irq.h"
#include "emu/dev/machine_pc.h"

struct ns16550;
struct state_table; /* state.h */

MUST_CHECK int ns16550_create(struct ns16550 **out, struct bus *bus,
                              struct clock *clock, uint16_t port,
                              struct irq_line irq, struct char_backend backend);
void ns16550_destroy(struct ns16550 *uart);
void ns16550_reset(struct ns16550 *uart);

/* Bytes the receiver takes now; none in loopback mode. */
size_t ns16550_room(const struct ns16550 *uart);
void ns16550_receive(struct ns16550 *uart, const uint8_t *data, size_t len);

/* What the guest can observe of the chip. */
extern const struct state_table ns16550_state;

#endif /* EMU_DEV_NS16550_H */
