/* SPDX-License-Identifier: MIT */
#include "emu/cpu/frame.h"

#include "emu/cpu/mem.h"

static uint32_t stack_mask(const struct segment *ss)
{
    return ss->attr & SEG_DB ? 0xffffffff : 0xffff;
}

void set_stack_pointer(struct vcpu *vcpu, uint32_t esp)
{
    uint32_t mask = stack_mask(&vcpu->seg[SEG_SS]);

    vcpu->regs[REG_ESP] = (vcpu->regs[REG_ESP] & ~mask) | (esp & mask);
}

void frame_on_current_stack(struct interp *interp, struct frame *frame)
{
    const struct vcpu *vcpu = interp->vcpu;

    *frame = (struct frame){
        .ss = vcpu->seg[SEG_SS], .esp = vcpu->regs[REG_ESP], .cpl = vcpu->cpl};
}

/* The stack pointer that the TSS holds for a level. */
static bool read_inner_stack(struct interp *interp, unsigned cpl,
                             uint16_t *selector, uint32_t *esp)
{
    const struct segment *tr = &interp->vcpu->tr;
    unsigned size = (tr->attr & 8) ? 4 : 2;
    uint32_t offset = cpl * 2 * size + size;
    uint16_t raw[4];

    /* SDM 2A "CALL": the limit need not cover the upper half of SS's slot. */
    if (offset + size + 1 > tr->limit)
        return selector_fault(interp, EXC_TS, tr->selector);
    if (!sys_read(interp, tr->base + offset, raw, size + 2))
        return false;
    *esp = size == 4 ? (uint32_t)raw[1] << 16 | raw[0] : raw[0];
    *selector = raw[size / 2];
    return true;
}

bool frame_on_inner_stack(struct interp *interp, unsigned cpl,
                          struct frame *frame)
{
    struct descriptor d;
    uint16_t selector = 0;
    uint32_t esp = 0;

    if (!read_inner_stack(interp, cpl, &selector, &esp))
        return false;
    if (selector_is_null(selector))
        return vcpu_fault_error(interp->vcpu, EXC_TS, 0);
    if (!descriptor_fetch(interp, selector, EXC_TS, &d))
        return false;
    if ((selector & SELECTOR_RPL) != cpl || descriptor_dpl(&d) != cpl ||
        !descriptor_is_writable(&d))
        return selector_fault(interp, EXC_TS, selector);
    if (!descriptor_is_present(&d))
        return selector_fault(interp, EXC_SS, selector);
    if (!descriptor_mark(interp, &d, SEG_ACCESSED))
        return false;
    *frame = (struct frame){.ss = descriptor_segment(&d),
                            .esp = esp,
                            .cpl = cpl,
                            .is_switched = true};
    return true;
}

bool frame_has_room(struct interp *interp, const struct frame *frame,
                    unsigned count, unsigned size)
{
    uint32_t mask = stack_mask(&frame->ss);

    for (unsigned i = 1; i <= count; i++) {
        uint32_t offset = (frame->esp - i * size) & mask;

        if (!segment_holds(&frame->ss, offset, size))
            return selector_fault(interp, EXC_SS,
                                  frame->is_switched ? frame->ss.selector : 0);
    }
    return true;
}

bool frame_push(struct interp *interp, struct frame *frame, uint32_t value,
                unsigned size)
{
    uint32_t mask = stack_mask(&frame->ss);
    uint32_t offset = (frame->esp - size) & mask;
    bool done;

    if (frame->is_switched)
        done = sys_write(interp, frame->ss.base + offset, &value, size);
    else
        done = mem_write_uint(interp, SEG_SS, offset, size, value);
    frame->esp = offset;
    return done;
}

void frame_commit(struct interp *interp, const struct frame *frame)
{
    struct vcpu *vcpu = interp->vcpu;

    if (frame->is_switched)
        vcpu_set_seg(vcpu, SEG_SS, &frame->ss);
    set_stack_pointer(vcpu, frame->esp);
}
