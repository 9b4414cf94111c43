/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/operand.h"

/* Decimal arithmetic, after the "Operation" sections of SDM 2A. */

#define REG_AL 0
#define REG_AH 4

static uint32_t al_read(const struct vcpu *vcpu)
{
    return reg_read(vcpu, REG_AL, 1);
}

static void set_result(struct vcpu *vcpu, uint32_t al, uint32_t carries)
{
    reg_write(vcpu, REG_AL, 1, al);
    flags_set(vcpu, FLAGS_ARITH, flags_of_result(al, 1) | carries);
}

/* DAA adds 6 and 60h where a digit overflowed, DAS subtracts them. */
static enum step decimal_adjust(struct interp *interp, bool subtract)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t al = al_read(vcpu);
    uint32_t adjust = 0;
    uint32_t carries = 0;

    if ((al & 0xf) > 9 || (vcpu->eflags & FLAG_AF)) {
        adjust = 6;
        carries = FLAG_AF;
        if (subtract && al < 6)
            carries |= FLAG_CF;
    }
    if (al > 0x99 || flags_carry(vcpu)) {
        adjust += 0x60;
        carries |= FLAG_CF;
    }
    set_result(vcpu, (subtract ? al - adjust : al + adjust) & 0xff, carries);
    return STEP_NEXT;
}

enum step interp_daa(struct interp *interp, const struct insn *in)
{
    (void)in;
    return decimal_adjust(interp, false);
}

enum step interp_das(struct interp *interp, const struct insn *in)
{
    (void)in;
    return decimal_adjust(interp, true);
}

static enum step ascii_adjust(struct interp *interp, uint32_t adjust)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t ax = reg_read(vcpu, REG_EAX, 2);
    uint32_t carries = 0;

    if ((ax & 0xf) > 9 || (vcpu->eflags & FLAG_AF)) {
        ax += adjust;
        carries = FLAG_AF | FLAG_CF;
    }
    reg_write(vcpu, REG_EAX, 2, ax & 0xff0f);
    flags_set(vcpu, FLAGS_ARITH, flags_of_result(ax & 0xf, 1) | carries);
    return STEP_NEXT;
}

enum step interp_aaa(struct interp *interp, const struct insn *in)
{
    (void)in;
    return ascii_adjust(interp, 0x106);
}

enum step interp_aas(struct interp *interp, const struct insn *in)
{
    (void)in;
    return ascii_adjust(interp, 0u - 0x106);
}

enum step interp_aam(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t al = al_read(vcpu);
    uint32_t base = (uint32_t)in->imm & 0xff;

    if (base == 0)
        return step_fault(interp, EXC_DE);
    reg_write(vcpu, REG_AH, 1, al / base);
    set_result(vcpu, al % base, 0);
    return STEP_NEXT;
}

enum step interp_aad(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t base = (uint32_t)in->imm & 0xff;
    uint32_t al = al_read(vcpu) + reg_read(vcpu, REG_AH, 1) * base;

    reg_write(vcpu, REG_AH, 1, 0);
    set_result(vcpu, al & 0xff, 0);
    return STEP_NEXT;
}
