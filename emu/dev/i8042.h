/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_I8042_H
#define EMU_DEV_I8042_H

/*
 * PURPOSE: the PS/2 keyboard controller at ports 60h and 64h with a keyboard
 * and a mouse behind it. Its output port is one of the two ways to the A20 gate
 * and to RESET; the state of the gate is the board's.
 */
#include "emu/dev/bus.h"
#include "emu/dev/irq.h"

struct i8042;
struct state_table; /* state.h */

struct i8042_wires {
    struct irq_line keyboard; /* IRQ 1 */
    struct irq_line mouse;    /* IRQ 12 */
    void *opaque;
    bool (*a20_is_open)(void *opaque);
    void (*set_a20)(void *opaque, bool open);
    void (*reset)(void *opaque);
};

MUST_CHECK int i8042_create(struct i8042 **out, struct bus *bus,
                            const struct i8042_wires *wires);
void i8042_destroy(struct i8042 *kbc);
void i8042_reset(struct i8042 *kbc);

/* What the guest can observe of the chip. */
extern const struct state_table i8042_state;

#endif /* EMU_DEV_I8042_H */
