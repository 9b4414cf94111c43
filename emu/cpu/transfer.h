/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_TRANSFER_H
#define EMU_CPU_TRANSFER_H

/*
 * PURPOSE: what far transfers share: check a code segment, load CS, return to
 * an outer level.
 */
#include "emu/cpu/descriptor.h"

/* The target of a transfer that has passed its checks. */
struct code_target {
    struct descriptor code;
    uint32_t eip;
    unsigned cpl; /* at the target */
};

/* #NP(selector) unless present; #GP(0) unless eip is within the limit. */
MUST_CHECK bool code_target_check(struct interp *interp,
                                  const struct code_target *target);

/* Set CS's accessed bit: the last step that can fault. */
MUST_CHECK bool code_target_mark(struct interp *interp,
                                 struct code_target *target);

/* Load CS and CPL. The caller sets eip or next_eip. */
void code_target_load(struct interp *interp, const struct code_target *target);

/* A task gate, whose own checks have passed: those of the TSS that it names, up to
 * the switch, which is not modelled. Always false. */
MUST_CHECK bool task_gate_enter(struct interp *interp,
                                const struct descriptor *gate,
                                const char *what);

/* The common half of RETF and IRET: CS:EIP were read from the stack. */
struct far_return {
    uint16_t cs;
    uint32_t eip;
    unsigned size;    /* operand size */
    unsigned depth;   /* bytes of stack that CS:EIP and flags take, plus imm */
    unsigned release; /* RETF imm16: dropped from the outer stack as well */
};

/* Check and do the return; sets next_eip. False with nothing changed. */
MUST_CHECK bool far_return(struct interp *interp, const struct far_return *ret);

/* An interrupt window may have opened: leave the engine if one waits. */
static inline void interrupt_window_opened(struct vcpu *vcpu)
{
    if (vcpu->irq_line && vcpu->if_flag)
        vcpu->kick = 1;
}

#endif /* EMU_CPU_TRANSFER_H */
