/* SPDX-License-Identifier: MIT */
#include "emu/cpu/frame.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"
#include "emu/cpu/transfer.h"

/*
 * Far CALL, JMP and RET, and IRET (SDM 2A "CALL", "JMP", SDM 2B "RET", "IRET").
 *
 *   1. the pointer is read from the instruction or from memory;
 *   2. its descriptor decides: a code segment, a call gate, or a task;
 *   3. the target is checked, then the frame is pushed;
 *   4. only then CS, SS, ESP and CPL change.
 *
 * Switching tasks is not modelled: all checks that precede the switch are done,
 * so that an unprivileged program cannot reach it, then the machine stops.
 */

struct far_target {
    uint16_t selector;
    uint32_t offset;
    unsigned size; /* operand size */
    bool is_call;
};

static bool read_target(struct interp *interp, const struct insn *in,
                        struct far_target *far)
{
    far->size = in->operand_size;
    if (in->operand[0].kind != OPERAND_FAR)
        return far_pointer_read(interp, in, &far->offset, &far->selector);
    far->offset = (uint32_t)in->imm;
    if (far->size == 2)
        far->offset &= 0xffff;
    far->selector = in->imm2;
    return true;
}

/* Push the return address on the current stack and load CS. */
static bool transfer_same_level(struct interp *interp,
                                struct code_target *target, bool is_call,
                                unsigned size)
{
    struct vcpu *vcpu = interp->vcpu;
    struct frame frame;

    frame_on_current_stack(interp, &frame);
    if (is_call && !frame_has_room(interp, &frame, 2, size))
        return false;
    if (!code_target_check(interp, target) || !code_target_mark(interp, target))
        return false;
    if (is_call &&
        (!frame_push(interp, &frame, vcpu->seg[SEG_CS].selector, size) ||
         !frame_push(interp, &frame, interp->next_eip, size)))
        return false;
    frame_commit(interp, &frame);
    code_target_load(interp, target);
    interp->next_eip = target->eip;
    return true;
}

/* A code segment named directly: CPL stays. */
static bool to_code_segment(struct interp *interp, const struct far_target *far,
                            const struct descriptor *d)
{
    unsigned cpl = interp->vcpu->cpl;
    unsigned dpl = descriptor_dpl(d);
    struct code_target target = {.code = *d, .eip = far->offset, .cpl = cpl};
    bool allowed = descriptor_is_conforming(d)
                       ? dpl <= cpl
                       : dpl == cpl && (far->selector & SELECTOR_RPL) <= cpl;

    if (!allowed)
        return selector_fault(interp, EXC_GP, far->selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_NP, far->selector);
    return transfer_same_level(interp, &target, far->is_call, far->size);
}

#define GATE_PARAMS_MAX 31

/* The parameters of a call gate lie on the caller's stack. */
static bool read_params(struct interp *interp, unsigned count, unsigned size,
                        uint32_t *params)
{
    for (unsigned i = 0; i < count; i++)
        if (!stack_peek(interp, i * size, size, &params[i]))
            return false;
    return true;
}

/* SS:ESP, the parameters, CS:EIP on the inner level's stack. */
static bool push_call_frame(struct interp *interp, struct frame *frame,
                            const uint32_t *params, unsigned count,
                            unsigned size)
{
    const struct vcpu *vcpu = interp->vcpu;

    if (!frame_push(interp, frame, vcpu->seg[SEG_SS].selector, size) ||
        !frame_push(interp, frame, vcpu->regs[REG_ESP], size))
        return false;
    while (count-- > 0)
        if (!frame_push(interp, frame, params[count], size))
            return false;
    return frame_push(interp, frame, vcpu->seg[SEG_CS].selector, size) &&
           frame_push(interp, frame, interp->next_eip, size);
}

static bool call_inner_level(struct interp *interp, struct code_target *target,
                             const struct descriptor *gate)
{
    uint32_t params[GATE_PARAMS_MAX];
    unsigned count = gate->hi & GATE_PARAMS_MAX;
    unsigned size = gate_size(gate);
    struct frame frame;

    if (!frame_on_inner_stack(interp, target->cpl, &frame) ||
        !frame_has_room(interp, &frame, count + 4, size) ||
        !code_target_check(interp, target) ||
        !read_params(interp, count, size, params) ||
        !code_target_mark(interp, target) ||
        !push_call_frame(interp, &frame, params, count, size))
        return false;
    frame_commit(interp, &frame);
    code_target_load(interp, target);
    interp->next_eip = target->eip;
    return true;
}

/* DPL of a gate or a TSS against CPL and RPL; then presence. */
static bool check_gate(struct interp *interp, const struct descriptor *gate)
{
    unsigned dpl = descriptor_dpl(gate);

    if (dpl < interp->vcpu->cpl || dpl < (gate->selector & SELECTOR_RPL))
        return selector_fault(interp, EXC_GP, gate->selector);
    if (!descriptor_is_present(gate))
        return selector_fault(interp, EXC_NP, gate->selector);
    return true;
}

static bool through_call_gate(struct interp *interp,
                              const struct far_target *far,
                              const struct descriptor *gate)
{
    struct code_target target = {.eip = gate_offset(gate),
                                 .cpl = interp->vcpu->cpl};
    uint16_t selector = gate_selector(gate);
    unsigned dpl;
    bool inner;

    if (!check_gate(interp, gate))
        return false;
    if (selector_is_null(selector))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    if (!descriptor_fetch(interp, selector, EXC_GP, &target.code))
        return false;
    dpl = descriptor_dpl(&target.code);
    inner = !descriptor_is_conforming(&target.code) && dpl < target.cpl;
    if (!descriptor_is_code(&target.code) || dpl > target.cpl ||
        (inner && !far->is_call))
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(&target.code))
        return selector_fault(interp, EXC_NP, selector);
    if (!inner)
        return transfer_same_level(interp, &target, far->is_call,
                                   gate_size(gate));
    target.cpl = dpl;
    return call_inner_level(interp, &target, gate);
}

static bool to_task(struct interp *interp, const struct descriptor *d)
{
    if (!check_gate(interp, d))
        return false;
    if (descriptor_type(d) == SYS_TASK_GATE)
        return task_gate_enter(interp, d, "a task switch");
    if (d->selector & SELECTOR_LDT)
        return selector_fault(interp, EXC_GP, d->selector);
    return not_modelled(interp, "a task switch");
}

static enum step far_transfer(struct interp *interp, const struct insn *in,
                              bool is_call)
{
    struct far_target far = {.is_call = is_call};
    struct descriptor d;
    bool done;

    if (!(interp->vcpu->cr0 & CR0_PE)) {
        not_modelled(interp, "a far transfer in real mode");
        return STEP_STOP;
    }
    if (in->operand[0].kind != OPERAND_FAR && !in->has_mem)
        return step_fault(interp, EXC_UD);
    if (!read_target(interp, in, &far))
        return STEP_FAULT;
    if (selector_is_null(far.selector))
        return step_gp0(interp);
    if (!descriptor_fetch(interp, far.selector, EXC_GP, &d))
        return STEP_FAULT;
    if (descriptor_is_code(&d)) {
        done = to_code_segment(interp, &far, &d);
    } else if (descriptor_is_segment(&d)) {
        done = selector_fault(interp, EXC_GP, far.selector);
    } else {
        switch (descriptor_type(&d)) {
        case SYS_CALL_GATE16:
        case SYS_CALL_GATE32: done = through_call_gate(interp, &far, &d); break;
        case SYS_TASK_GATE:
        case SYS_TSS16:
        case SYS_TSS32: done = to_task(interp, &d); break;
        default: done = selector_fault(interp, EXC_GP, far.selector); break;
        }
    }
    return done ? STEP_NEXT : step_failed(interp);
}

enum step interp_call_far(struct interp *interp, const struct insn *in)
{
    return far_transfer(interp, in, true);
}

enum step interp_jmp_far(struct interp *interp, const struct insn *in)
{
    return far_transfer(interp, in, false);
}

enum step interp_ret_far(struct interp *interp, const struct insn *in)
{
    unsigned size = in->operand_size;
    unsigned release =
        in->operand[0].kind == OPERAND_IMM ? in->imm & 0xffff : 0;
    uint32_t eip, cs;
    struct far_return ret = {
        .size = size, .depth = 2 * size + release, .release = release};

    if (!(interp->vcpu->cr0 & CR0_PE)) {
        not_modelled(interp, "a far return in real mode");
        return STEP_STOP;
    }
    if (!stack_peek(interp, size, size, &cs) ||
        !stack_peek(interp, 0, size, &eip))
        return STEP_FAULT;
    ret.cs = (uint16_t)cs;
    ret.eip = eip;
    return far_return(interp, &ret) ? STEP_NEXT : step_failed(interp);
}

/* IRET with NT set returns to the task that the TSS links back to (SDM 3A 7.4
 * "Task Linking"); a link that is no busy TSS is #TS. */
static enum step return_to_task(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;
    struct descriptor d;
    uint16_t link;

    if (!sys_read(interp, vcpu->tr.base, &link, sizeof(link)))
        return STEP_FAULT;
    if (link & SELECTOR_LDT)
        selector_fault(interp, EXC_TS, link);
    else if (descriptor_fetch(interp, link, EXC_TS, &d)) {
        if (descriptor_is_segment(&d) ||
            (descriptor_type(&d) != SYS_TSS16_BUSY &&
             descriptor_type(&d) != SYS_TSS32_BUSY))
            selector_fault(interp, EXC_TS, link);
        else if (!descriptor_is_present(&d))
            selector_fault(interp, EXC_NP, link);
        else
            not_modelled(interp, "a task switch by IRET");
    }
    return step_failed(interp);
}

/* Which flags IRET takes from the stack, by the CPL it runs at. */
static uint32_t iret_flags_mask(const struct vcpu *vcpu, unsigned size)
{
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

    if (size == 4)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (vcpu->cpl <= vcpu_iopl(vcpu))
        mask |= FLAG_IF;
    if (vcpu->cpl == 0) {
        mask |= FLAG_IOPL;
        if (size == 4)
            mask |= FLAG_VIF | FLAG_VIP;
    }
    return mask;
}

enum step interp_iret(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand_size;
    struct far_return ret = {.size = size, .depth = 3 * size};
    uint32_t cs, flags, mask;

    if (!(vcpu->cr0 & CR0_PE)) {
        not_modelled(interp, "IRET in real mode");
        return STEP_STOP;
    }
    if (vcpu->eflags & FLAG_NT)
        return return_to_task(interp);
    if (!stack_peek(interp, 0, size, &ret.eip) ||
        !stack_peek(interp, size, size, &cs) ||
        !stack_peek(interp, 2 * size, size, &flags))
        return STEP_FAULT;
    if (size == 4 && (flags & FLAG_VM) && vcpu->cpl == 0) {
        not_modelled(interp, "IRET to virtual-8086 mode");
        return STEP_STOP;
    }
    ret.cs = (uint16_t)cs;
    mask = iret_flags_mask(vcpu, size);
    if (!far_return(interp, &ret))
        return step_failed(interp);
    vcpu_set_eflags(vcpu, (vcpu_eflags(vcpu) & ~mask) | (flags & mask));
    interrupt_window_opened(vcpu);
    return STEP_NEXT;
}
