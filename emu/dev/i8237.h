/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_I8237_H
#define EMU_DEV_I8237_H

/*
 * PURPOSE: the registers of the PC's two cascaded 8237A DMA controllers (00h-
 * 0Fh, C0h-DFh) and of the page registers 81h-8Fh. No device of this board asks
 * for DMA; a transfer requested by software is logged on -d unimp.
 */
#include "emu/dev/bus.h"

struct i8237;
struct state_table; /* state.h */

MUST_CHECK int i8237_create(struct i8237 **out, struct bus *bus);
void i8237_destroy(struct i8237 *pair);
void i8237_reset(struct i8237 *pair);

/* What the guest can observe of the chip. */
extern const struct state_table i8237_state;

#endif /* EMU_DEV_I8237_H */
