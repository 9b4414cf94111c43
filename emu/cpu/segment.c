/* SPDX-License-Identifier: MIT */
#include "emu/cpu/segment.h"

#include "emu/cpu/descriptor.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/*
 * Loading the data segment registers, and the instructions that do it. The
 * checks are those of SDM 2B "MOV"; LDS and kin load the general register only
 * after the segment register has passed them.
 */

static bool check_ss(struct interp *interp, const struct descriptor *d)
{
    unsigned cpl = interp->vcpu->cpl;

    if ((d->selector & SELECTOR_RPL) != cpl || !descriptor_is_writable(d) ||
        descriptor_dpl(d) != cpl)
        return selector_fault(interp, EXC_GP, d->selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_SS, d->selector);
    return true;
}

static bool check_data(struct interp *interp, const struct descriptor *d)
{
    unsigned dpl = descriptor_dpl(d);

    if (!descriptor_is_readable(d))
        return selector_fault(interp, EXC_GP, d->selector);
    if (!descriptor_is_conforming(d) &&
        ((d->selector & SELECTOR_RPL) > dpl || interp->vcpu->cpl > dpl))
        return selector_fault(interp, EXC_GP, d->selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_NP, d->selector);
    return true;
}

bool segment_load(struct interp *interp, enum seg seg, uint16_t selector)
{
    struct segment segment = {.attr = SEG_UNUSABLE, .selector = selector};
    struct descriptor d;

    ASSERT(seg != SEG_CS);
    if (!(interp->vcpu->cr0 & CR0_PE))
        return not_modelled(interp, "a segment load in real mode");
    if (!selector_is_null(selector)) {
        if (!descriptor_fetch(interp, selector, EXC_GP, &d))
            return false;
        if (!(seg == SEG_SS ? check_ss(interp, &d) : check_data(interp, &d)))
            return false;
        if (!descriptor_mark(interp, &d, SEG_ACCESSED))
            return false;
        segment = descriptor_segment(&d);
    } else if (seg == SEG_SS) {
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    }
    vcpu_set_seg(interp->vcpu, seg, &segment);
    return true;
}

/* mov r32, sreg zero-extends; mov m16, sreg stores two bytes whatever the
 * operand size. mov cs, r/m is not an instruction. */
enum step interp_mov_seg(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    enum seg seg;
    uint32_t value;

    if (in->operand[0].kind != OPERAND_SEG) {
        value = vcpu->seg[in->operand[1].index].selector;
        return operand_write(interp, in, 0, value) ? STEP_NEXT : STEP_FAULT;
    }
    seg = (enum seg)in->operand[0].index;
    if (seg == SEG_CS)
        return step_fault(interp, EXC_UD);
    if (!operand_read(interp, in, 1, false, &value) ||
        !segment_load(interp, seg, (uint16_t)value))
        return step_failed(interp);
    if (seg == SEG_SS)
        vcpu->inhibit = INHIBIT_MOV_SS;
    return STEP_NEXT;
}

/* A 32-bit push stores the selector zero-extended: one of the two behaviours
 * that SDM 2B "PUSH" allows (the other leaves the upper half untouched). */
enum step interp_push_seg(struct interp *interp, const struct insn *in)
{
    uint32_t selector = interp->vcpu->seg[in->operand[0].index].selector;

    return stack_push(interp, selector, in->operand_size) ? STEP_NEXT
                                                          : STEP_FAULT;
}

/* The pop moves ESP as the old SS says, so it comes before the load and is
 * taken back when that faults. */
enum step interp_pop_seg(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    enum seg seg = (enum seg)in->operand[0].index;
    uint32_t esp = vcpu->regs[REG_ESP];
    uint32_t value;

    if (!stack_peek(interp, 0, in->operand_size, &value))
        return STEP_FAULT;
    stack_pop_bytes(vcpu, in->operand_size);
    if (!segment_load(interp, seg, (uint16_t)value)) {
        vcpu->regs[REG_ESP] = esp;
        return step_failed(interp);
    }
    if (seg == SEG_SS)
        vcpu->inhibit = INHIBIT_MOV_SS;
    return STEP_NEXT;
}

bool far_pointer_read(struct interp *interp, const struct insn *in,
                      uint32_t *offset, uint16_t *selector)
{
    uint32_t address = operand_address(interp, in);
    uint32_t above = address + in->operand_size;
    uint64_t value;

    if (in->address_size == 2)
        above &= 0xffff;
    if (!mem_read_uint(interp, operand_seg(in), address, in->operand_size,
                       &value))
        return false;
    *offset = (uint32_t)value;
    if (!mem_read_uint(interp, operand_seg(in), above, 2, &value))
        return false;
    *selector = (uint16_t)value;
    return true;
}

/* lds, les, lss, lfs, lgs r, m16:16/32. LSS does not inhibit interrupts: it
 * loads ESP itself (SDM 2A "LDS/LES/LFS/LGS/LSS"). */
enum step interp_load_far(struct interp *interp, const struct insn *in)
{
    static const struct {
        uint16_t op;
        enum seg seg;
    } targets[] = {
        {OP_LDS, SEG_DS},
        {OP_LES, SEG_ES},
        {OP_LFS, SEG_FS},
        {OP_LGS, SEG_GS},
        {OP_LSS, SEG_SS},
    };
    enum seg seg = SEG_DS;
    uint32_t offset;
    uint16_t selector;

    for (unsigned i = 0; i < ARRAY_COUNT(targets); i++)
        if (targets[i].op == in->op)
            seg = targets[i].seg;
    if (in->operand[1].kind != OPERAND_MEM)
        return step_fault(interp, EXC_UD);
    if (!far_pointer_read(interp, in, &offset, &selector) ||
        !segment_load(interp, seg, selector))
        return step_failed(interp);
    reg_write(interp->vcpu, in->operand[0].index, in->operand_size, offset);
    return STEP_NEXT;
}
