/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "emu/cpu/frame.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/segment.h"
#include "emu/cpu/system.h"
#include "emu/cpu/transfer.h"
#include "monitor/log.h"

/*
 * Delivery of exceptions and interrupts through the IDT (SDM 2A "INT n", SDM 3A
 * 6.12 "Exception and Interrupt Handling").
 *
 * A delivery can fault itself; the two together then decide what is delivered
 * next (SDM 3A 6.15 "Interrupt 8 - Double Fault Exception"): the second fault
 * alone, #DF, or shutdown. Nothing of the vcpu but CR2 changes until a delivery
 * has passed its last fault.
 */

/* Benign exceptions are delivered one after the other without end when a
 * handler's stack raises #AC for ever; hardware hangs there. */
#define DELIVERIES_MAX 8

/* Error-code bits of a fault that names an IDT entry, of one that occurred
 * while an event from outside of the program was delivered (SDM 3A 6.13). */
#define ERROR_EXT BIT(0)
#define ERROR_IDT BIT(1)

enum exc_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

/* SDM 3A Table 6-4 "Interrupt and Exception Classes". */
static enum exc_class classify(const struct exc *exc)
{
    if (exc->kind != EXC_KIND_FAULT)
        return CLASS_BENIGN;
    switch (exc->vector) {
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP: return CLASS_CONTRIBUTORY;
    case EXC_PF: return CLASS_PAGE_FAULT;
    default: return CLASS_BENIGN;
    }
}

/* SDM 3A Table 6-5 "Conditions for Generating a Double Fault". */
static bool is_double_fault(const struct exc *first, const struct exc *second)
{
    enum exc_class b = classify(second);

    switch (classify(first)) {
    case CLASS_CONTRIBUTORY: return b == CLASS_CONTRIBUTORY;
    case CLASS_PAGE_FAULT: return b != CLASS_BENIGN;
    case CLASS_BENIGN: return false;
    }
    UNREACHABLE();
}

static bool is_software(const struct exc *exc)
{
    return exc->kind == EXC_KIND_SOFT || exc->kind == EXC_KIND_SOFT_EXC;
}

static bool idt_fault(struct interp *interp, unsigned vector,
                      const struct exc *exc)
{
    return vcpu_fault_error(interp->vcpu, vector, exc->vector * 8u | ERROR_IDT);
}

/* Read and check the gate of exc's vector. */
static bool fetch_gate(struct interp *interp, const struct exc *exc,
                       struct descriptor *gate)
{
    const struct vcpu *vcpu = interp->vcpu;
    uint32_t offset = exc->vector * 8u;

    if (offset + 7 > vcpu->idtr.limit)
        return idt_fault(interp, EXC_GP, exc);
    if (!descriptor_read(interp, 0, vcpu->idtr.base + offset, gate))
        return false;
    if (descriptor_is_segment(gate))
        return idt_fault(interp, EXC_GP, exc);
    switch (descriptor_type(gate)) {
    case SYS_TASK_GATE:
    case SYS_INT_GATE16:
    case SYS_TRAP_GATE16:
    case SYS_INT_GATE32:
    case SYS_TRAP_GATE32: break;
    default: return idt_fault(interp, EXC_GP, exc);
    }
    if (is_software(exc) && descriptor_dpl(gate) < vcpu->cpl)
        return idt_fault(interp, EXC_GP, exc);
    if (!descriptor_is_present(gate))
        return idt_fault(interp, EXC_NP, exc);
    if (descriptor_type(gate) == SYS_TASK_GATE)
        return task_gate_enter(interp, gate, "a task gate in the IDT");
    return true;
}

/* Read and check the handler's code segment. */
static bool fetch_handler(struct interp *interp, const struct descriptor *gate,
                          struct code_target *target)
{
    unsigned cpl = interp->vcpu->cpl;
    uint16_t selector = gate_selector(gate);

    if (selector_is_null(selector))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    if (!descriptor_fetch(interp, selector, EXC_GP, &target->code))
        return false;
    if (!descriptor_is_code(&target->code) ||
        descriptor_dpl(&target->code) > cpl)
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(&target->code))
        return selector_fault(interp, EXC_NP, selector);
    target->eip = gate_offset(gate);
    target->cpl = descriptor_is_conforming(&target->code)
                      ? cpl
                      : descriptor_dpl(&target->code);
    return true;
}

/*
 * The image of EFLAGS in the frame. RF is set for faults, so that the restarted
 * instruction does not meet its instruction breakpoint again; #DB faults are
 * those breakpoints themselves (SDM 3B 17.3.1.1 "Instruction-Breakpoint
 * Exception Condition").
 */
static uint32_t flags_image(const struct vcpu *vcpu, const struct exc *exc)
{
    uint32_t flags = vcpu_eflags(vcpu);

    if (exc->kind == EXC_KIND_FAULT && exc->vector != EXC_DB)
        flags |= FLAG_RF;
    return flags;
}

static bool push_frame(struct interp *interp, struct frame *frame,
                       const struct exc *exc, unsigned size)
{
    const struct vcpu *vcpu = interp->vcpu;
    uint32_t values[6];
    unsigned count = 0;

    if (frame->is_switched) {
        values[count++] = vcpu->seg[SEG_SS].selector;
        values[count++] = vcpu->regs[REG_ESP];
    }
    values[count++] = flags_image(vcpu, exc);
    values[count++] = vcpu->seg[SEG_CS].selector;
    values[count++] = exc->return_eip;
    if (exc->has_error)
        values[count++] = exc->error;
    for (unsigned i = 0; i < count; i++)
        if (!frame_push(interp, frame, values[i], size))
            return false;
    return true;
}

static void enter_handler(struct interp *interp, const struct exc *exc,
                          const struct descriptor *gate,
                          const struct code_target *target)
{
    struct vcpu *vcpu = interp->vcpu;

    code_target_load(interp, target);
    vcpu->eip = target->eip;
    vcpu->eflags &= ~(uint32_t)(FLAG_TF | FLAG_NT | FLAG_VM | FLAG_RF);
    if (!(descriptor_type(gate) & 1))
        vcpu->if_flag = 0;
    vcpu->inhibit = INHIBIT_NONE;
    if (exc->vector == EXC_DB && !is_software(exc))
        vcpu->dr[7] &= ~DR7_GD;
}

/* One attempt. False with vcpu->exc filled or the machine stopped. */
static bool deliver(struct interp *interp, const struct exc *exc)
{
    struct code_target target;
    struct descriptor gate;
    struct frame frame;
    unsigned size, count;

    if (!(interp->vcpu->cr0 & CR0_PE))
        return not_modelled(interp, "an interrupt or exception in real mode");
    if (!fetch_gate(interp, exc, &gate) ||
        !fetch_handler(interp, &gate, &target))
        return false;
    size = gate_size(&gate);
    count = exc->has_error ? 4 : 3;
    if (target.cpl < interp->vcpu->cpl) {
        if (!frame_on_inner_stack(interp, target.cpl, &frame))
            return false;
        count += 2;
    } else {
        frame_on_current_stack(interp, &frame);
    }
    if (!frame_has_room(interp, &frame, count, size) ||
        !code_target_check(interp, &target) ||
        !code_target_mark(interp, &target) ||
        !push_frame(interp, &frame, exc, size))
        return false;
    frame_commit(interp, &frame);
    enter_handler(interp, exc, &gate, &target);
    return true;
}

static void account(const struct vcpu *vcpu, const struct exc *exc)
{
    bool is_intr = exc->kind == EXC_KIND_INTR || exc->kind == EXC_KIND_NMI;

    if (is_intr)
        stat_inc(vcpu->stats, STAT_INTERRUPTS);
    else if (exc->kind != EXC_KIND_SOFT)
        stat_inc(vcpu->stats, STAT_EXCEPTIONS);
    if (is_intr && log_on(LOG_INTR))
        log_line(LOG_INTR, "%08" PRIx32 " vector %02x cpl %u", exc->return_eip,
                 exc->vector, vcpu->cpl);
    if (!is_intr && log_on(LOG_EXC))
        log_line(LOG_EXC,
                 "%08" PRIx32 " vector %02x error %04" PRIx32
                 " cpl %u cr2 %08" PRIx32 " esp %08" PRIx32 "%s",
                 exc->return_eip, exc->vector, exc->error, vcpu->cpl,
                 exc->vector == EXC_PF ? exc->cr2 : vcpu->cr2,
                 vcpu->regs[REG_ESP], is_software(exc) ? " (software)" : "");
}

/* The EXT bit of what a delivery raised. #PF has no such bit, #AC's error code
 * is always zero. */
static void set_ext(struct exc *raised, const struct exc *delivered)
{
    if (classify(raised) == CLASS_CONTRIBUTORY && !is_software(delivered))
        raised->error |= ERROR_EXT;
}

/* The data breakpoints of a load of SS wait for the boundary behind the next
 * instruction (SDM 3A 6.8.3 "Masking Exceptions and Interrupts When Switching
 * Stacks"). Behind INT n, INT3 and INTO that is in the handler; a fault in the
 * next instruction ends the wait, and they are lost (SDM 3B "Delivery of Pending
 * Debug Exceptions after VM Entry" tells these cases apart). */
static bool raise_held(struct interp *interp, uint32_t held, struct exc *exc)
{
    struct vcpu *vcpu = interp->vcpu;

    if (held == 0 || !is_software(exc))
        return false;
    vcpu->dr[6] |= held;
    *exc = (struct exc){
        .kind = EXC_KIND_TRAP, .vector = EXC_DB, .return_eip = vcpu->eip};
    return true;
}

void exc_deliver(struct interp *interp, const struct exc *exc)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t held = interp->watch_held;
    struct exc current = *exc;

    interp->watch_held = 0;
    for (unsigned i = 0; i < DELIVERIES_MAX; i++) {
        if (current.vector == EXC_PF && current.kind == EXC_KIND_FAULT)
            vcpu->cr2 = current.cr2;
        account(vcpu, &current);
        if (deliver(interp, &current)) {
            if (!raise_held(interp, held, &current))
                return;
            continue;
        }
        if (vcpu->stop->reason == STOP_UNIMPL)
            return;
        set_ext(&vcpu->exc, &current);
        if (current.vector == EXC_DF && current.kind == EXC_KIND_FAULT)
            break;
        if (is_double_fault(&current, &vcpu->exc)) {
            if (vcpu->exc.vector == EXC_PF)
                vcpu->cr2 = vcpu->exc.cr2;
            vcpu_fault_error(vcpu, EXC_DF, 0);
        }
        current = vcpu->exc;
    }
    vcpu_stop(vcpu, STOP_SHUTDOWN,
              "triple fault: vector %u at %04x:%08" PRIx32
              " while delivering vector %u",
              vcpu->exc.vector, vcpu->seg[SEG_CS].selector, vcpu->eip,
              current.vector);
}
