/* SPDX-License-Identifier: MIT */
#include "emu/cpu/transfer.h"

#include "emu/cpu/frame.h"
#include "emu/cpu/operand.h"

bool code_target_check(struct interp *interp, const struct code_target *target)
{
    if (!descriptor_is_present(&target->code))
        return selector_fault(interp, EXC_NP, target->code.selector);
    if (target->eip > descriptor_limit(&target->code))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    return true;
}

bool code_target_mark(struct interp *interp, struct code_target *target)
{
    return descriptor_mark(interp, &target->code, SEG_ACCESSED);
}

void code_target_load(struct interp *interp, const struct code_target *target)
{
    struct segment cs = descriptor_segment(&target->code);

    cs.selector = (uint16_t)((cs.selector & SELECTOR_INDEX) | target->cpl);
    vcpu_set_seg(interp->vcpu, SEG_CS, &cs);
    interp->vcpu->cpl = (uint8_t)target->cpl;
}

/* SDM 2A "CALL", TASK-GATE, and "INT n": an available TSS of the GDT. */
bool task_gate_enter(struct interp *interp, const struct descriptor *gate,
                     const char *what)
{
    uint16_t selector = gate_selector(gate);
    struct descriptor tss;

    if (selector & SELECTOR_LDT)
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_fetch(interp, selector, EXC_GP, &tss))
        return false;
    if (descriptor_is_segment(&tss) || (descriptor_type(&tss) != SYS_TSS16 &&
                                        descriptor_type(&tss) != SYS_TSS32))
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(&tss))
        return selector_fault(interp, EXC_NP, selector);
    return not_modelled(interp, what);
}

/* SDM 2B "RET", "IRET": the return address's code segment. */
static bool check_return_cs(struct interp *interp, uint16_t selector,
                            struct descriptor *d)
{
    unsigned rpl = selector & SELECTOR_RPL;
    unsigned dpl;

    if (selector_is_null(selector))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    if (!descriptor_fetch(interp, selector, EXC_GP, d))
        return false;
    dpl = descriptor_dpl(d);
    if (!descriptor_is_code(d) || rpl < interp->vcpu->cpl ||
        (descriptor_is_conforming(d) ? dpl > rpl : dpl != rpl))
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_NP, selector);
    return true;
}

static bool check_outer_ss(struct interp *interp, uint16_t selector,
                           unsigned cpl, struct descriptor *d)
{
    if (selector_is_null(selector))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    if (!descriptor_fetch(interp, selector, EXC_GP, d))
        return false;
    if ((selector & SELECTOR_RPL) != cpl || !descriptor_is_writable(d) ||
        descriptor_dpl(d) != cpl)
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_SS, selector);
    return descriptor_mark(interp, d, SEG_ACCESSED);
}

/* Data segments that the outer level could not have loaded become null: the
 * program must not inherit the kernel's (SDM 3A 5.8.6 "Returning from a Called
 * Procedure"). */
static void drop_inner_segments(struct vcpu *vcpu)
{
    static const enum seg data_segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    const struct segment null = {.attr = SEG_UNUSABLE};

    for (unsigned i = 0; i < ARRAY_COUNT(data_segs); i++) {
        const struct segment *segment = &vcpu->seg[data_segs[i]];
        unsigned code = segment->attr & (SEG_CODE | SEG_DOWN);

        if (code == (SEG_CODE | SEG_DOWN) || segment_dpl(segment) >= vcpu->cpl)
            continue;
        vcpu_set_seg(vcpu, data_segs[i], &null);
    }
}

static bool return_outer(struct interp *interp, const struct far_return *ret,
                         struct code_target *target)
{
    struct vcpu *vcpu = interp->vcpu;
    struct segment segment;
    struct descriptor ss;
    uint32_t esp, selector;

    if (!stack_peek(interp, ret->depth, ret->size, &esp) ||
        !stack_peek(interp, ret->depth + ret->size, ret->size, &selector))
        return false;
    if (!check_outer_ss(interp, (uint16_t)selector, target->cpl, &ss) ||
        !code_target_check(interp, target) || !code_target_mark(interp, target))
        return false;
    segment = descriptor_segment(&ss);
    vcpu_set_seg(vcpu, SEG_SS, &segment);
    set_stack_pointer(vcpu, esp + ret->release);
    code_target_load(interp, target);
    drop_inner_segments(vcpu);
    return true;
}

bool far_return(struct interp *interp, const struct far_return *ret)
{
    struct code_target target = {.eip = ret->eip,
                                 .cpl = ret->cs & SELECTOR_RPL};

    if (!check_return_cs(interp, ret->cs, &target.code))
        return false;
    if (target.cpl > interp->vcpu->cpl) {
        if (!return_outer(interp, ret, &target))
            return false;
    } else {
        if (!code_target_check(interp, &target) ||
            !code_target_mark(interp, &target))
            return false;
        stack_pop_bytes(interp->vcpu, ret->depth);
        code_target_load(interp, &target);
    }
    interp->next_eip = ret->eip;
    return true;
}
