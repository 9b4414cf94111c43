/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_FPU_ERROR_H
#define EMU_DEV_FPU_ERROR_H

/*
 * PURPOSE: the board's latch between the FPU's error output FERR#, IRQ 13 and
 * the processor's input IGNNE#, with the ports F0h and F1h.
 */
#include "emu/dev/bus.h"
#include "emu/dev/irq.h"

struct fpu_error;
struct state_table; /* state.h */

/* ignne: asserts IGNNE#. 0 or -errno. */
MUST_CHECK int fpu_error_create(struct fpu_error **out, struct bus *bus,
                                struct irq_line irq, struct irq_line ignne);
void fpu_error_destroy(struct fpu_error *latch);
void fpu_error_reset(struct fpu_error *latch);

/* The processor asserts (true) or releases FERR#. */
void fpu_error_set_ferr(struct fpu_error *latch, bool level);

/* What the guest can observe of the latch. */
extern const struct state_table fpu_error_state;

#endif /* EMU_DEV_FPU_ERROR_H */
