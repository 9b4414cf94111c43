/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_I8254_H
#define EMU_DEV_I8254_H

/*
 * PURPOSE: the 8254 interval timer at ports 40h-43h, clocked at 1193182 Hz of
 * guest time. Counts and outputs are functions of the time, so reads are exact
 * and monotonic at any moment; only channel 0's output is a wire (IRQ0).
 *
 * Policy for a host that was late: however many periods went by, the wire makes
 * one edge and the next one comes at its place in the original phase.
 */
#include "emu/dev/bus.h"
#include "emu/dev/clock.h"
#include "emu/dev/irq.h"

struct i8254;
struct state_table; /* state.h */

MUST_CHECK int i8254_create(struct i8254 **out, struct bus *bus,
                            struct clock *clock, struct irq_line irq);
void i8254_destroy(struct i8254 *pit);
void i8254_reset(struct i8254 *pit);

/* GATE input and OUT output of a channel (0-2); on a PC the gates of channels
 * 0 and 1 are tied high. */
void i8254_set_gate(struct i8254 *pit, unsigned channel, bool gate);
bool i8254_gate(const struct i8254 *pit, unsigned channel);
bool i8254_output(struct i8254 *pit, unsigned channel);

/* What the guest can observe of the chip. */
extern const struct state_table i8254_state;

#endif /* EMU_DEV_I8254_H */
