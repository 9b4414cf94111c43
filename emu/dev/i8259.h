/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_I8259_H
#define EMU_DEV_I8259_H

/*
 * PURPOSE: the PC's two cascaded 8259A interrupt controllers at ports 20h-21h
 * and A0h-A1h with the edge/level registers 4D0h-4D1h (ELCR).
 *
 * Inputs 0-15 are the ISA interrupts; input 2 is the cascade and takes no
 * device. Threading: all calls from the vcpu's thread.
 */
#include "emu/dev/bus.h"
#include "emu/dev/irq.h"

struct i8259;
struct state_table; /* state.h */

/* intr is the master's INT output. 0 or -errno. */
MUST_CHECK int i8259_create(struct i8259 **out, struct bus *bus,
                            struct irq_line intr);
void i8259_destroy(struct i8259 *pair);
void i8259_reset(struct i8259 *pair);

/* Make the inputs of mask level-triggered and the others edge-triggered, as far
 * as the ELCR can: what firmware does for PCI and ACPI. */
void i8259_set_elcr(struct i8259 *pair, uint16_t mask);

/* A device drives input pin (0-15); fits struct irq_line's set. */
void i8259_set_input(void *pair, unsigned pin, bool level);

/* The two INTA cycles of a processor: the vector, which is the one of IR7 when
 * the request has gone away. */
uint8_t i8259_ack(struct i8259 *pair);

/* What the guest can observe of the chip. */
extern const struct state_table i8259_state;

#endif /* EMU_DEV_I8259_H */
