/* SPDX-License-Identifier: MIT */
#include "emu/cpu/fpu.h"

#include <string.h>

/*
 * Rules that all FPU instructions share: which of CR0.EM, CR0.TS, CR4.OSFXSR
 * and a pending exception stops which of them (SDM 3A 2.5 "Control Registers";
 * SDM 3A 12.1 "Emulation of the MMX Instruction Set"; SDM 3A 13.1 "Providing
 * Operating System Support for SSE Extensions"), and the image's invariants.
 */

/* Image. */

void fpu_image_update_summary(struct fpu_image *image)
{
    uint16_t fsw = (uint16_t)(image->fsw & ~(FSW_ES | FSW_B));

    if (image->fsw & ~image->fcw & FSW_FLAGS)
        fsw |= FSW_ES | FSW_B;
    image->fsw = fsw;
}

void fpu_image_set_top(struct fpu_image *image, unsigned top)
{
    unsigned old_top = (image->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
    unsigned distance = (top - old_top) & 7;
    uint8_t st[8][16];

    image->fsw = (uint16_t)((image->fsw & ~FSW_TOP) | top << FSW_TOP_SHIFT);
    if (distance == 0)
        return;
    memcpy(st, image->st, sizeof(st));
    for (unsigned i = 0; i < 8; i++)
        memcpy(image->st[i], st[(i + distance) & 7], sizeof(st[0]));
}

void fpu_image_enter_mmx(struct fpu_image *image)
{
    fpu_image_set_top(image, 0);
    image->ftw = 0xff;
}

void fpu_image_init(struct fpu_image *image)
{
    fpu_image_set_top(image, 0);
    image->fcw = FCW_INIT;
    image->fsw = 0;
    image->ftw = 0;
    image->fop = 0;
    image->fip = image->fdp = 0;
    image->fcs = image->fds = 0;
}

void fpu_image_fix(struct fpu_image *image)
{
    image->fcw = (image->fcw & FCW_DEFINED) | FCW_ONE;
    image->fop &= FOP_MASK;
    image->mxcsr &= MXCSR_MASK;
    image->mxcsr_mask = MXCSR_MASK;
    image->reserved0 = 0;
    image->reserved1 = image->reserved2 = 0;
    for (unsigned i = 0; i < 8; i++)
        memset(&image->st[i][10], 0, 6);
    memset(image->reserved3, 0, sizeof(image->reserved3));
    fpu_image_update_summary(image);
}

/* Checks. */

static void set_ferr(struct interp *interp, bool level)
{
    struct vcpu *vcpu = interp->vcpu;

    if (vcpu->ferr == level)
        return;
    vcpu->ferr = level;
    if (interp->host.set_ferr != NULL)
        interp->host.set_ferr(interp->host.opaque, level);
}

void fpu_release_ferr(struct interp *interp)
{
    if (UNLIKELY(interp->vcpu->ferr) &&
        !fpu_has_pending(fpu_image(interp->vcpu)))
        set_ferr(interp, false);
}

/* With CR0.NE clear the FPU asserts FERR#, which a PC board turns into IRQ 13,
 * and the processor waits for that interrupt, unless the board asserts IGNNE#
 * (SDM 1 8.7.2 "MS-DOS* Compatibility Sub-mode", D.2.1.2). FERR# is asserted by
 * the instruction that meets the exception, not by the one that raised it. */
enum step fpu_check_pending(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;

    if (LIKELY(!fpu_has_pending(fpu_image(vcpu))))
        return STEP_NEXT;
    if (vcpu->cr0 & CR0_NE)
        return step_fault(interp, EXC_MF);
    set_ferr(interp, true);
    return vcpu->ignne ? STEP_NEXT : STEP_FREEZE;
}

enum step fpu_check_x87_control(struct interp *interp)
{
    if (UNLIKELY(interp->vcpu->cr0 & (CR0_EM | CR0_TS)))
        return step_fault(interp, EXC_NM);
    return STEP_NEXT;
}

enum step fpu_check_x87(struct interp *interp)
{
    enum step step = fpu_check_x87_control(interp);

    return step == STEP_NEXT ? fpu_check_pending(interp) : step;
}

enum step fpu_check_mmx(struct interp *interp)
{
    if (UNLIKELY(interp->vcpu->cr0 & CR0_EM))
        return step_fault(interp, EXC_UD);
    if (UNLIKELY(interp->vcpu->cr0 & CR0_TS))
        return step_fault(interp, EXC_NM);
    return fpu_check_pending(interp);
}

enum step fpu_check_sse(struct interp *interp)
{
    const struct vcpu *vcpu = interp->vcpu;

    if (UNLIKELY((vcpu->cr0 & CR0_EM) || !(vcpu->cr4 & CR4_OSFXSR)))
        return step_fault(interp, EXC_UD);
    if (UNLIKELY(vcpu->cr0 & CR0_TS))
        return step_fault(interp, EXC_NM);
    return STEP_NEXT;
}
