/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_MC146818_H
#define EMU_DEV_MC146818_H

/*
 * PURPOSE: the MC146818 real-time clock and its battery RAM at ports 70h-71h.
 * It shows the clock's base plus guest time until the guest sets it.
 */
#include "emu/dev/bus.h"
#include "emu/dev/clock.h"
#include "emu/dev/irq.h"

struct mc146818;
struct state_table; /* state.h */

/* ram_len goes into the memory-size bytes. */
MUST_CHECK int mc146818_create(struct mc146818 **out, struct bus *bus,
                               struct clock *clock, struct irq_line irq,
                               uint64_t ram_len);
void mc146818_destroy(struct mc146818 *rtc);
void mc146818_reset(struct mc146818 *rtc);

/* What the guest can observe of the chip. */
extern const struct state_table mc146818_state;

#endif /* EMU_DEV_MC146818_H */
