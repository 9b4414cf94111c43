/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_SYSTEM_H
#define EMU_CPU_SYSTEM_H

/*
 * PURPOSE: what the handlers of privileged instructions share.
 */
#include "emu/cpu/interp_priv.h"

/* Debug registers (SDM 3B 17.2 "Debug Registers"). */
#define DR6_BD    BIT(13)
#define DR6_ONES  0xffff0ff0u
#define DR6_WRITE 0x0000e00fu
#define DR7_GD    BIT(13)
#define DR7_ONES  BIT(10)
#define DR7_WRITE 0xffff23ffu

/* True at CPL 0; else false with #GP(0). */
static inline bool require_cpl0(struct interp *interp)
{
    if (interp->vcpu->cpl == 0)
        return true;
    return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
}

/* False with #GP(0) where CR4.UMIP keeps SGDT, SIDT, SLDT, SMSW and STR from
 * programs (SDM 3A 2.5 "Control Registers"). */
static inline bool umip_allows(struct interp *interp)
{
    if (interp->vcpu->cpl == 0 || !(interp->vcpu->cr4 & CR4_UMIP))
        return true;
    return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
}

/* Drop every translation, here and in whoever derives some. */
void paging_mode_changed(struct interp *interp);

/* The guest's time-stamp counter, and setting it. */
uint64_t tsc_read(const struct interp *interp);
void tsc_write(struct interp *interp, uint64_t value);

/* Values of CPUID for EAX = leaf, ECX = subleaf, as EAX EBX ECX EDX. */
void cpuid_leaf(const struct interp *interp, uint32_t leaf, uint32_t subleaf,
                uint32_t out[4]);

/* The CR4 bits that the features of this CPU define. */
uint32_t cpuid_cr4_mask(const struct interp *interp);

/* False with #GP(0) recorded: no such MSR, or a reserved bit set. */
MUST_CHECK bool msr_read(struct interp *interp, uint32_t index,
                         uint64_t *value);
MUST_CHECK bool msr_write(struct interp *interp, uint32_t index,
                          uint64_t value);

#endif /* EMU_CPU_SYSTEM_H */
