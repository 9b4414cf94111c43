/* SPDX-License-Identifier: MIT */
#include "emu/cpu/descriptor.h"
#include "emu/cpu/operand.h"

/*
 * Questions about selectors, which any privilege level may ask: LAR, LSL, VERR,
 * VERW, ARPL. The answer is ZF; only reading the operand or the table can
 * fault.
 */

static enum step answer(struct interp *interp, bool yes)
{
    uint32_t *eflags = &interp->vcpu->eflags;

    *eflags = (*eflags & ~(uint32_t)FLAG_ZF) | (yes ? FLAG_ZF : 0);
    return STEP_NEXT;
}

/* May the current level, and the selector's RPL, see the descriptor? */
static bool is_visible(const struct vcpu *vcpu, const struct descriptor *d)
{
    unsigned dpl = descriptor_dpl(d);

    return descriptor_is_conforming(d) ||
           (dpl >= vcpu->cpl && dpl >= (d->selector & SELECTOR_RPL));
}

/* Read operand n as a selector and look its descriptor up. *found says whether
 * there is one that is visible. False with a fault. */
static bool look_up(struct interp *interp, const struct insn *in, unsigned n,
                    struct descriptor *d, bool *found)
{
    uint32_t value;
    gva_t gva;

    *found = false;
    if (!operand_read(interp, in, n, false, &value))
        return false;
    if (selector_is_null((uint16_t)value) ||
        !descriptor_find(interp->vcpu, (uint16_t)value, &gva))
        return true;
    if (!descriptor_read(interp, (uint16_t)value, gva, d))
        return false;
    *found = is_visible(interp->vcpu, d);
    return true;
}

/* System descriptors that LAR and LSL accept, a bit for each type (SDM 2A
 * Table 3-53 "Segment and Gate Types", SDM 2A "LSL"). */
#define LSL_TYPES                                                           \
    (BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_TSS32) | \
     BIT(SYS_TSS32_BUSY))
#define LAR_TYPES                                            \
    (LSL_TYPES | BIT(SYS_CALL_GATE16) | BIT(SYS_TASK_GATE) | \
     BIT(SYS_CALL_GATE32))

static bool has_type(const struct descriptor *d, uint32_t types)
{
    return descriptor_is_segment(d) || (types & BIT(descriptor_type(d)));
}

/* Bits 8-23 of the descriptor's upper half; of the four that the manual leaves
 * undefined CPUs return what is there. */
enum step interp_lar(struct interp *interp, const struct insn *in)
{
    struct descriptor d;
    bool found;

    if (!look_up(interp, in, 1, &d, &found))
        return STEP_FAULT;
    if (!found || !has_type(&d, LAR_TYPES))
        return answer(interp, false);
    reg_write(interp->vcpu, in->operand[0].index, in->operand_size,
              d.hi & 0x00ffff00);
    return answer(interp, true);
}

enum step interp_lsl(struct interp *interp, const struct insn *in)
{
    struct descriptor d;
    bool found;

    if (!look_up(interp, in, 1, &d, &found))
        return STEP_FAULT;
    if (!found || !has_type(&d, LSL_TYPES))
        return answer(interp, false);
    reg_write(interp->vcpu, in->operand[0].index, in->operand_size,
              descriptor_limit(&d));
    return answer(interp, true);
}

enum step interp_verr(struct interp *interp, const struct insn *in)
{
    struct descriptor d;
    bool found;

    if (!look_up(interp, in, 0, &d, &found))
        return STEP_FAULT;
    return answer(interp, found && descriptor_is_readable(&d));
}

enum step interp_verw(struct interp *interp, const struct insn *in)
{
    struct descriptor d;
    bool found;

    if (!look_up(interp, in, 0, &d, &found))
        return STEP_FAULT;
    return answer(interp, found && descriptor_is_writable(&d));
}

/* Raise the RPL of the destination to that of the source. */
enum step interp_arpl(struct interp *interp, const struct insn *in)
{
    uint32_t selector, rpl;

    /* Written, and checked for that, only if it changes. */
    if (!operand_read(interp, in, 0, false, &selector) ||
        !operand_read(interp, in, 1, false, &rpl))
        return STEP_FAULT;
    rpl &= SELECTOR_RPL;
    if ((selector & SELECTOR_RPL) >= rpl)
        return answer(interp, false);
    selector = (selector & ~SELECTOR_RPL) | rpl;
    if (!operand_write(interp, in, 0, selector))
        return STEP_FAULT;
    return answer(interp, true);
}
