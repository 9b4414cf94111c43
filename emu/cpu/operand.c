/* SPDX-License-Identifier: MIT */
#include "emu/cpu/operand.h"

#include "emu/cpu/flags.h"
#include "emu/cpu/mem.h"

uint32_t operand_address(const struct interp *interp, const struct insn *in)
{
    const uint32_t *regs = interp->vcpu->regs;
    uint32_t address = (uint32_t)in->mem.disp;

    if (in->mem.base != INSN_NO_REG)
        address += regs[in->mem.base];
    if (in->mem.index != INSN_NO_REG)
        address += regs[in->mem.index] * in->mem.scale;
    return in->address_size == 2 ? address & 0xffff : address;
}

static bool memory_read(struct interp *interp, const struct insn *in,
                        unsigned size, bool for_write, uint32_t *value)
{
    uint32_t offset = operand_address(interp, in);

    if (for_write && !mem_probe_write(interp, operand_seg(in), offset, size))
        return false;
    *value = 0;
    return mem_read(interp, operand_seg(in), offset, value, size);
}

bool operand_read(struct interp *interp, const struct insn *in, unsigned n,
                  bool for_write, uint32_t *value)
{
    const struct insn_operand *operand = &in->operand[n];

    switch (operand->kind) {
    case OPERAND_REG:
        *value = reg_read(interp->vcpu, operand->index, operand->size);
        return true;
    case OPERAND_IMM:
        *value = (uint32_t)in->imm & size_mask(operand->size);
        return true;
    case OPERAND_MEM:
        return memory_read(interp, in, operand->size, for_write, value);
    case OPERAND_SEG:
        *value = interp->vcpu->seg[operand->index].selector;
        return true;
    default: UNREACHABLE();
    }
}

bool operand_write(struct interp *interp, const struct insn *in, unsigned n,
                   uint32_t value)
{
    const struct insn_operand *operand = &in->operand[n];

    if (operand->kind == OPERAND_REG) {
        reg_write(interp->vcpu, operand->index, operand->size, value);
        return true;
    }
    ASSERT(operand->kind == OPERAND_MEM);
    return mem_write(interp, operand_seg(in), operand_address(interp, in),
                     &value, operand->size);
}

/* The stack pointer is ESP or SP, as SS.B says (SDM 1 6.2.3 "Address-Size
 * Attributes for Stack Accesses"). */
static uint32_t stack_offset(const struct vcpu *vcpu, uint32_t delta)
{
    uint32_t offset = vcpu->regs[REG_ESP] + delta;

    return vcpu->seg[SEG_SS].attr & SEG_DB ? offset : offset & 0xffff;
}

bool stack_push(struct interp *interp, uint32_t value, unsigned size)
{
    struct vcpu *vcpu = interp->vcpu;

    if (!mem_write(interp, SEG_SS, stack_offset(vcpu, -size), &value, size))
        return false;
    stack_pop_bytes(vcpu, -size);
    return true;
}

bool stack_peek(struct interp *interp, unsigned depth, unsigned size,
                uint32_t *value)
{
    *value = 0;
    return mem_read(interp, SEG_SS, stack_offset(interp->vcpu, depth), value,
                    size);
}

void stack_pop_bytes(struct vcpu *vcpu, unsigned count)
{
    reg_write(vcpu, REG_ESP, vcpu->seg[SEG_SS].attr & SEG_DB ? 4 : 2,
              vcpu->regs[REG_ESP] + count);
}

bool branch_to(struct interp *interp, uint32_t target)
{
    if (UNLIKELY(target > interp->vcpu->seg[SEG_CS].limit))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    interp->next_eip = target;
    return true;
}
