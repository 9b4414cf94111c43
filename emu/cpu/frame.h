/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FRAME_H
#define EMU_CPU_FRAME_H

/*
 * PURPOSE: the stack that a call gate, an interrupt gate or a far call pushes
 * its frame on: the current one, or the one that the TSS names for an inner
 * privilege level (SDM 3A 5.8.5 "Stack Switching").
 *
 * Nothing of the vcpu changes until frame_commit(): a fault while the frame is
 * built leaves the old stack in force.
 */
#include "emu/cpu/descriptor.h"

struct frame {
    struct segment ss;
    uint32_t esp;     /* top so far; only SP counts when SS.B is clear */
    unsigned cpl;     /* of the new stack */
    bool is_switched; /* taken from the TSS */
};

/* Push on the current stack. */
void frame_on_current_stack(struct interp *interp, struct frame *frame);

/* Push on the stack of an inner level. False with #TS or #SS. */
MUST_CHECK bool frame_on_inner_stack(struct interp *interp, unsigned cpl,
                                     struct frame *frame);

/* Is there room for count values? False with #SS. */
MUST_CHECK bool frame_has_room(struct interp *interp, const struct frame *frame,
                               unsigned count, unsigned size);

/* Push a value of 2 or 4 bytes. False with #PF (or #SS, #AC). */
MUST_CHECK bool frame_push(struct interp *interp, struct frame *frame,
                           uint32_t value, unsigned size);

/* Load SS (if switched) and ESP. CPL is the caller's to set. */
void frame_commit(struct interp *interp, const struct frame *frame);

/* Set ESP, or only SP where SS.B is clear. */
void set_stack_pointer(struct vcpu *vcpu, uint32_t esp);

#endif /* EMU_CPU_FRAME_H */
