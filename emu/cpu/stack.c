/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/* PUSH ESP pushes the value before the push; an address based on ESP is
 * computed before it too (SDM 2B "PUSH"). */
enum step interp_push(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (in->operand[0].kind == OPERAND_SEG)
        return interp_push_seg(interp, in);
    if (!operand_read(interp, in, 0, false, &value) ||
        !stack_push(interp, value, in->operand_size))
        return STEP_FAULT;
    return STEP_NEXT;
}

/* An address based on ESP is computed after the pop, and POP ESP leaves what
 * was popped (SDM 2B "POP"). */
static enum step pop_memory(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t old_esp = vcpu->regs[REG_ESP];
    uint32_t value;

    if (!stack_peek(interp, 0, in->operand_size, &value))
        return STEP_FAULT;
    stack_pop_bytes(vcpu, in->operand_size);
    if (operand_write(interp, in, 0, value))
        return STEP_NEXT;
    vcpu->regs[REG_ESP] = old_esp;
    return STEP_FAULT;
}

enum step interp_pop(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (in->operand[0].kind == OPERAND_SEG)
        return interp_pop_seg(interp, in);
    if (in->operand[0].kind == OPERAND_MEM)
        return pop_memory(interp, in);
    if (!stack_peek(interp, 0, in->operand_size, &value))
        return STEP_FAULT;
    stack_pop_bytes(interp->vcpu, in->operand_size);
    reg_write(interp->vcpu, in->operand[0].index, in->operand[0].size, value);
    return STEP_NEXT;
}

static uint32_t stack_offset(const struct vcpu *vcpu, uint32_t esp)
{
    return vcpu->seg[SEG_SS].attr & SEG_DB ? esp : esp & 0xffff;
}

/* All eight stores are checked before the first. */
enum step interp_pusha(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand_size;
    uint32_t esp = vcpu->regs[REG_ESP];

    for (unsigned i = 1; i <= REG_COUNT; i++)
        if (!mem_probe_write(interp, SEG_SS, stack_offset(vcpu, esp - i * size),
                             size))
            return STEP_FAULT;
    for (unsigned i = 0; i < REG_COUNT; i++)
        if (!stack_push(interp, i == REG_ESP ? esp : vcpu->regs[i], size))
            return STEP_FAULT;
    return STEP_NEXT;
}

/* All but ESP, whose slot is skipped. */
enum step interp_popa(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand_size;
    uint32_t value[REG_COUNT];

    for (unsigned i = REG_COUNT; i-- > 0;) /* upwards from EDI */
        if (!stack_peek(interp, (REG_EDI - i) * size, size, &value[i]))
            return STEP_FAULT;
    for (unsigned i = 0; i < REG_COUNT; i++)
        if (i != REG_ESP)
            reg_write(vcpu, i, size, value[i]);
    stack_pop_bytes(vcpu, REG_COUNT * size);
    return STEP_NEXT;
}

/* The frame pointers of the enclosing levels, then that of the new frame. */
static bool enter_levels(struct interp *interp, unsigned level, unsigned size,
                         uint32_t frame)
{
    const struct vcpu *vcpu = interp->vcpu;
    uint32_t ebp = vcpu->regs[REG_EBP];

    for (unsigned i = 1; i < level; i++) {
        uint32_t value = 0;

        if (!mem_read(interp, SEG_SS, stack_offset(vcpu, ebp - i * size),
                      &value, size) ||
            !stack_push(interp, value, size))
            return false;
    }
    return level == 0 || stack_push(interp, frame, size);
}

/* SDM 2A "ENTER": it also faults if the final ESP could not be written. */
enum step interp_enter(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand_size;
    uint32_t old_esp = vcpu->regs[REG_ESP];
    uint32_t frame;

    if (!stack_push(interp, vcpu->regs[REG_EBP], size))
        return STEP_FAULT;
    frame = vcpu->regs[REG_ESP];
    if (enter_levels(interp, in->imm2 & 31, size, frame)) {
        stack_pop_bytes(vcpu, 0u - ((uint32_t)in->imm & 0xffff));
        if (mem_probe_write(interp, SEG_SS,
                            stack_offset(vcpu, vcpu->regs[REG_ESP]), size)) {
            reg_write(vcpu, REG_EBP, size, frame);
            return STEP_NEXT;
        }
    }
    vcpu->regs[REG_ESP] = old_esp;
    return STEP_FAULT;
}

enum step interp_leave(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    bool wide = (vcpu->seg[SEG_SS].attr & SEG_DB) != 0;
    uint32_t ebp = vcpu->regs[REG_EBP];
    uint32_t value = 0;

    if (!mem_read(interp, SEG_SS, stack_offset(vcpu, ebp), &value,
                  in->operand_size))
        return STEP_FAULT;
    reg_write(vcpu, REG_ESP, wide ? 4 : 2, ebp + in->operand_size);
    reg_write(vcpu, REG_EBP, in->operand_size, value);
    return STEP_NEXT;
}
