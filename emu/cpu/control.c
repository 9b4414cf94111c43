/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/* Near control transfers, software interrupts, and instructions that do
 * nothing. */

static uint32_t truncate_target(const struct insn *in, uint32_t target)
{
    return in->operand_size == 2 ? target & 0xffff : target;
}

/* Target of a relative or, for JMP and CALL, an absolute near branch. */
static bool read_target(struct interp *interp, const struct insn *in,
                        uint32_t *target)
{
    if (in->operand[0].kind == OPERAND_REL)
        *target = interp->next_eip + (uint32_t)in->imm;
    else if (!operand_read(interp, in, 0, false, target))
        return false;
    *target = truncate_target(in, *target);
    return true;
}

static enum step jump_if(struct interp *interp, const struct insn *in,
                         bool condition)
{
    uint32_t target = interp->next_eip + (uint32_t)in->imm;

    if (condition && !branch_to(interp, truncate_target(in, target)))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_jcc(struct interp *interp, const struct insn *in)
{
    return jump_if(interp, in, flags_condition(interp->vcpu->eflags, in->cc));
}

enum step interp_jecxz(struct interp *interp, const struct insn *in)
{
    return jump_if(interp, in,
                   reg_read(interp->vcpu, REG_ECX, in->address_size) == 0);
}

/* eCX is decremented by address size, and only if the jump does not fault. */
static enum step loop_if(struct interp *interp, const struct insn *in,
                         bool condition)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t count = reg_read(vcpu, REG_ECX, in->address_size) - 1;

    if (in->address_size == 2)
        count &= 0xffff;
    if (jump_if(interp, in, condition && count != 0) != STEP_NEXT)
        return STEP_FAULT;
    reg_write(vcpu, REG_ECX, in->address_size, count);
    return STEP_NEXT;
}

enum step interp_loop(struct interp *interp, const struct insn *in)
{
    return loop_if(interp, in, true);
}

enum step interp_loope(struct interp *interp, const struct insn *in)
{
    return loop_if(interp, in, interp->vcpu->eflags & FLAG_ZF);
}

enum step interp_loopne(struct interp *interp, const struct insn *in)
{
    return loop_if(interp, in, !(interp->vcpu->eflags & FLAG_ZF));
}

enum step interp_jmp(struct interp *interp, const struct insn *in)
{
    uint32_t target;

    if (!read_target(interp, in, &target) || !branch_to(interp, target))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_call(struct interp *interp, const struct insn *in)
{
    uint32_t return_eip = interp->next_eip;
    uint32_t target;

    if (!read_target(interp, in, &target) || !branch_to(interp, target) ||
        !stack_push(interp, return_eip, in->operand_size))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_ret(struct interp *interp, const struct insn *in)
{
    unsigned release = in->imm_len != 0 ? (uint32_t)in->imm & 0xffff : 0;
    uint32_t target;

    if (!stack_peek(interp, 0, in->operand_size, &target) ||
        !branch_to(interp, target))
        return STEP_FAULT;
    stack_pop_bytes(interp->vcpu, in->operand_size + release);
    return STEP_NEXT;
}

/* An exception or interrupt that the instruction asks for: it has retired and
 * returns to the next one. */
static enum step software_interrupt(struct interp *interp, enum exc_kind kind,
                                    unsigned vector)
{
    interp->vcpu->retired++;
    interp->vcpu->exc = (struct exc){.kind = kind,
                                     .vector = (uint8_t)vector,
                                     .return_eip = interp->next_eip};
    return STEP_FAULT;
}

enum step interp_int(struct interp *interp, const struct insn *in)
{
    return software_interrupt(interp, EXC_KIND_SOFT, (uint32_t)in->imm & 0xff);
}

enum step interp_int3(struct interp *interp, const struct insn *in)
{
    (void)in;
    return software_interrupt(interp, EXC_KIND_SOFT_EXC, EXC_BP);
}

/* INT1 does not look at the gate's DPL (SDM 2A "INT n/INTO/INT3/INT1"): it is
 * the trap #DB without a bit in DR6. */
enum step interp_int1(struct interp *interp, const struct insn *in)
{
    (void)in;
    return software_interrupt(interp, EXC_KIND_TRAP, EXC_DB);
}

enum step interp_into(struct interp *interp, const struct insn *in)
{
    (void)in;
    if (!(interp->vcpu->eflags & FLAG_OF))
        return STEP_NEXT;
    return software_interrupt(interp, EXC_KIND_SOFT_EXC, EXC_OF);
}

/* Signed index in operand 0, a pair of bounds in memory. */
enum step interp_bound(struct interp *interp, const struct insn *in)
{
    unsigned size = in->operand_size;
    uint32_t offset = operand_address(interp, in);
    int32_t index = (int32_t)sign_extend(
        reg_read(interp->vcpu, in->operand[0].index, size), size);
    uint32_t lower = 0;
    uint32_t upper = 0;

    if (!mem_read(interp, operand_seg(in), offset, &lower, size) ||
        !mem_read(interp, operand_seg(in), offset + size, &upper, size))
        return STEP_FAULT;
    if (index < (int32_t)sign_extend(lower, size) ||
        index > (int32_t)sign_extend(upper, size))
        return step_fault(interp, EXC_BR);
    return STEP_NEXT;
}

enum step interp_ud(struct interp *interp, const struct insn *in)
{
    (void)in;
    return step_fault(interp, EXC_UD);
}

/* NOP in all its lengths, PAUSE, prefetches, ENDBR: no access is made. */
enum step interp_nop(struct interp *interp, const struct insn *in)
{
    (void)interp;
    (void)in;
    return STEP_NEXT;
}

/* There is no cache to flush, but the address is checked as by a load. */
enum step interp_clflush(struct interp *interp, const struct insn *in)
{
    uint8_t byte;

    if (!mem_read(interp, operand_seg(in), operand_address(interp, in), &byte,
                  1))
        return STEP_FAULT;
    return STEP_NEXT;
}
