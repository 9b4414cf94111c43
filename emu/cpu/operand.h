/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_OPERAND_H
#define EMU_CPU_OPERAND_H

/*
 * PURPOSE: reading and writing an instruction's operands, wherever they are.
 */
#include "emu/cpu/interp_priv.h"

/* General register by operand encoding: size 1 (index 4-7: AH CH DH BH), 2, 4.
 * A write of 1 or 2 bytes keeps the rest of the register. */
uint32_t reg_read(const struct vcpu *vcpu, unsigned index, unsigned size);
void reg_write(struct vcpu *vcpu, unsigned index, unsigned size,
               uint32_t value);

/* The effective address of the memory operand, wrapped to the address size. */
uint32_t operand_address(const struct interp *interp, const struct insn *in);

/* Read operand n (REG, SEG, MEM, IMM) zero-extended to 32 bits from its size;
 * for_write makes a memory operand fault as the write would (RMW forms). */
MUST_CHECK bool operand_read(struct interp *interp, const struct insn *in,
                             unsigned n, bool for_write, uint32_t *value);

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

#endif /* EMU_CPU_OPERAND_H */
