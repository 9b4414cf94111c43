/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_SEGMENT_H
#define EMU_CPU_SEGMENT_H

/*
 * PURPOSE: descriptors, and the control transfers that read them: segment
 * loads, far calls, jumps and returns, gates, IRET, and the delivery of
 * exceptions and interrupts through the IDT.
 *
 * One implementation serves both engines. Order of checks and error codes
 * follow the instruction pages of SDM 2A/2B and SDM 3A chapters 5 to 7.
 */
#include "emu/cpu/interp.h"

/* Load DS ES FS GS or SS with all checks of SDM 2B "MOV", protected mode.
 * False with vcpu->exc filled and nothing changed. */
MUST_CHECK bool segment_load(struct interp *interp, enum seg seg,
                             uint16_t selector);

/* Deliver exc (vcpu->exc or an external interrupt) through the IDT: stack
 * switch, pushes, error code; contributory faults turn into #DF, a fault while
 * delivering #DF into STOP_SHUTDOWN (SDM 3A 6.15 "Interrupt 8"). Afterwards
 * the vcpu is at the first instruction of the handler. */
void exc_deliver(struct interp *interp, const struct exc *exc);

#endif /* EMU_CPU_SEGMENT_H */
