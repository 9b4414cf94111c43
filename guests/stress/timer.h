/* SPDX-License-Identifier: MIT */
#ifndef TIMER_H
#define TIMER_H

/*
 * PURPOSE: interrupts, from channel 0 of the 8254 through IRQ 0.
 */
#include <stdint.h>

/* Interrupts at this rate from now on; the caller sets IF. */
void timer_start(uint32_t hz);
void timer_stop(void);
/* With IF clear: until a request waits in the interrupt controller. */
void timer_wait(void);

#endif /* TIMER_H */
