/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/operand.h"

/* Instructions on single flags, LAHF, SAHF and SALC. */

#define REG_AH    4
#define SAHF_MASK (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

enum step interp_clc(struct interp *interp, const struct insn *in)
{
    (void)in;
    flags_set(interp->vcpu, FLAG_CF, 0);
    return STEP_NEXT;
}

enum step interp_stc(struct interp *interp, const struct insn *in)
{
    (void)in;
    flags_set(interp->vcpu, FLAG_CF, FLAG_CF);
    return STEP_NEXT;
}

enum step interp_cmc(struct interp *interp, const struct insn *in)
{
    (void)in;
    interp->vcpu->eflags ^= FLAG_CF;
    return STEP_NEXT;
}

enum step interp_cld(struct interp *interp, const struct insn *in)
{
    (void)in;
    flags_set(interp->vcpu, FLAG_DF, 0);
    return STEP_NEXT;
}

enum step interp_std(struct interp *interp, const struct insn *in)
{
    (void)in;
    flags_set(interp->vcpu, FLAG_DF, FLAG_DF);
    return STEP_NEXT;
}

enum step interp_lahf(struct interp *interp, const struct insn *in)
{
    (void)in;
    reg_write(interp->vcpu, REG_AH, 1,
              (interp->vcpu->eflags & SAHF_MASK) | FLAG_ONE);
    return STEP_NEXT;
}

enum step interp_sahf(struct interp *interp, const struct insn *in)
{
    (void)in;
    flags_set(interp->vcpu, SAHF_MASK, reg_read(interp->vcpu, REG_AH, 1));
    return STEP_NEXT;
}

/* D6h, which the manual does not name: AL = CF ? FFh : 0. */
enum step interp_salc(struct interp *interp, const struct insn *in)
{
    (void)in;
    reg_write(interp->vcpu, REG_EAX, 1, flags_carry(interp->vcpu) ? 0xff : 0);
    return STEP_NEXT;
}
