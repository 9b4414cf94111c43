/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_OPERAND_H
#define EMU_CPU_OPERAND_H

/*
 * PURPOSE: reading and writing an instruction's operands, wherever they are.
 */
#include "emu/cpu/interp_priv.h"

/* General register by operand encoding: size 1 (index 4-7: AH CH DH BH), 2, 4.
 * A write of 1 or 2 bytes keeps the rest of the register. */
static inline uint32_t reg_read(const struct vcpu *vcpu, unsigned index,
                                unsigned size)
{
    if (size == 4)
        return vcpu->regs[index];
    if (size == 2)
        return vcpu->regs[index] & 0xffff;
    return vcpu->regs[index & 3] >> (index & 4 ? 8 : 0) & 0xff;
}

static inline void reg_write(struct vcpu *vcpu, unsigned index, unsigned size,
                             uint32_t value)
{
    unsigned shift = index & 4 ? 8 : 0;

    if (size == 4)
        vcpu->regs[index] = value;
    else if (size == 2)
        vcpu->regs[index] = (vcpu->regs[index] & 0xffff0000) | (value & 0xffff);
    else
        vcpu->regs[index & 3] = (vcpu->regs[index & 3] & ~(0xffu << shift)) |
                                (value & 0xff) << shift;
}

/* The effective address of the memory operand, wrapped to the address size. */
uint32_t operand_address(const struct interp *interp, const struct insn *in);

/* Read operand n (REG, SEG, MEM, IMM) zero-extended to 32 bits from its size;
 * for_write makes a memory operand fault as the write would (RMW forms). */
MUST_CHECK bool operand_read(struct interp *interp, const struct insn *in,
                             unsigned n, bool for_write, uint32_t *value);

/* The segment of the memory operand, for mem_read() and mem_write(). */
static inline enum seg operand_seg(const struct insn *in)
{
    return (enum seg)in->mem.seg;
}

/* Write operand n (REG or MEM); cannot fault after a for_write read. */
MUST_CHECK bool operand_write(struct interp *interp, const struct insn *in,
                              unsigned n, uint32_t value);

/* Push and pop on SS:ESP or SS:SP as SS.B says; size 2 or 4. A push that
 * faults leaves ESP alone. stack_peek reads the size bytes that lie depth bytes
 * above the top, and stack_pop_bytes then drops count bytes. */
MUST_CHECK bool stack_push(struct interp *interp, uint32_t value,
                           unsigned size);
MUST_CHECK bool stack_peek(struct interp *interp, unsigned depth, unsigned size,
                           uint32_t *value);
void stack_pop_bytes(struct vcpu *vcpu, unsigned count);

/* Branch to offset target of CS: sets next_eip. False with #GP(0) when it lies
 * beyond the limit. The caller has truncated target to the operand size. */
MUST_CHECK bool branch_to(struct interp *interp, uint32_t target);

#endif /* EMU_CPU_OPERAND_H */
