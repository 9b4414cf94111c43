/* SPDX-License-Identifier: MIT */
#include "emu/cpu/system.h"

#include "emu/cpu/descriptor.h"
#include "emu/cpu/operand.h"
#include "emu/cpu/transfer.h"

/*
 * Flags, halting, caches, time, and the fast system call.
 */

/* CLI and STI need CPL <= IOPL; PVI and VME are not offered. */
static bool require_iopl(struct interp *interp)
{
    if (interp->vcpu->cpl <= vcpu_iopl(interp->vcpu))
        return true;
    return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
}

enum step interp_cli(struct interp *interp, const struct insn *in)
{
    (void)in;
    if (!require_iopl(interp))
        return STEP_FAULT;
    interp->vcpu->if_flag = 0;
    return STEP_NEXT;
}

/* Interrupts stay off for one more instruction when IF was clear (SDM 2B
 * "STI"); the run loop sets the kick when that boundary is passed. */
enum step interp_sti(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    if (!require_iopl(interp))
        return STEP_FAULT;
    if (!vcpu->if_flag)
        vcpu->inhibit = INHIBIT_STI;
    vcpu->if_flag = 1;
    return STEP_NEXT;
}

/* RF and VM read as zero. */
enum step interp_pushf(struct interp *interp, const struct insn *in)
{
    uint32_t image = vcpu_eflags(interp->vcpu) & ~(FLAG_RF | FLAG_VM);

    return stack_push(interp, image, in->operand_size) ? STEP_NEXT : STEP_FAULT;
}

/* SDM 2B "POPF", Table 4-16 "Effect of POPF/POPFD on the EFLAGS Register": what
 * the privilege does not allow to change is silently kept; RF is cleared. */
enum step interp_popf(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    uint32_t value;

    if (!stack_peek(interp, 0, in->operand_size, &value))
        return STEP_FAULT;
    if (in->operand_size == 4)
        mask |= FLAG_AC | FLAG_ID;
    if (vcpu->cpl == 0)
        mask |= FLAG_IOPL;
    if (vcpu->cpl <= vcpu_iopl(vcpu))
        mask |= FLAG_IF;
    stack_pop_bytes(vcpu, in->operand_size);
    vcpu_set_eflags(vcpu,
                    (vcpu_eflags(vcpu) & ~(mask | FLAG_RF)) | (value & mask));
    interrupt_window_opened(vcpu);
    return STEP_NEXT;
}

enum step interp_hlt(struct interp *interp, const struct insn *in)
{
    (void)in;
    return require_cpl0(interp) ? STEP_HALT : STEP_FAULT;
}

/* INVD and WBINVD: caches are coherent here, and nothing is lost. */
enum step interp_wbinvd(struct interp *interp, const struct insn *in)
{
    (void)in;
    return require_cpl0(interp) ? STEP_NEXT : STEP_FAULT;
}

static uint64_t tsc_base(const struct interp *interp)
{
    if (interp->host.deterministic)
        return interp->vcpu->retired;
    return interp->host.tsc(interp->host.opaque);
}

uint64_t tsc_read(const struct interp *interp)
{
    return tsc_base(interp) + interp->vcpu->tsc_offset;
}

void tsc_write(struct interp *interp, uint64_t value)
{
    interp->vcpu->tsc_offset = value - tsc_base(interp);
}

enum step interp_rdtsc(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint64_t tsc;

    (void)in;
    if ((vcpu->cr4 & CR4_TSD) && vcpu->cpl > 0)
        return step_gp0(interp);
    tsc = tsc_read(interp);
    vcpu->regs[REG_EAX] = (uint32_t)tsc;
    vcpu->regs[REG_EDX] = (uint32_t)(tsc >> 32);
    return STEP_NEXT;
}

/* No counter exists (CPUID leaf 0Ah is absent), so every index is invalid. */
enum step interp_rdpmc(struct interp *interp, const struct insn *in)
{
    (void)in;
    return step_gp0(interp);
}

/* The flat segments that SYSENTER and SYSEXIT load without reading any
 * descriptor (SDM 2B "SYSENTER", "SYSEXIT"). */
static void load_flat(struct vcpu *vcpu, uint32_t cs_selector, unsigned cpl)
{
    uint32_t attr = SEG_G | SEG_DB | SEG_P | SEG_S | cpl << SEG_DPL_SHIFT;
    struct segment cs = {.limit = 0xffffffff,
                         .attr = attr | SEG_CODE | SEG_WRITABLE | SEG_ACCESSED,
                         .selector =
                             (uint16_t)((cs_selector & SELECTOR_INDEX) | cpl)};
    struct segment ss = {
        .limit = 0xffffffff,
        .attr = attr | SEG_WRITABLE | SEG_ACCESSED,
        .selector = (uint16_t)(((cs_selector + 8) & SELECTOR_INDEX) | cpl)};

    vcpu_set_seg(vcpu, SEG_CS, &cs);
    vcpu_set_seg(vcpu, SEG_SS, &ss);
    vcpu->cpl = (uint8_t)cpl;
}

enum step interp_sysenter(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    if (selector_is_null((uint16_t)vcpu->sysenter_cs))
        return step_gp0(interp);
    load_flat(vcpu, vcpu->sysenter_cs, 0);
    vcpu->eflags &= ~(uint32_t)(FLAG_VM | FLAG_RF);
    vcpu->if_flag = 0;
    vcpu->regs[REG_ESP] = vcpu->sysenter_esp;
    interp->next_eip = vcpu->sysenter_eip;
    return STEP_NEXT;
}

enum step interp_sysexit(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    if (selector_is_null((uint16_t)vcpu->sysenter_cs))
        return step_gp0(interp);
    if (!require_cpl0(interp))
        return STEP_FAULT;
    load_flat(vcpu, vcpu->sysenter_cs + 16, 3);
    vcpu->regs[REG_ESP] = vcpu->regs[REG_ECX];
    interp->next_eip = vcpu->regs[REG_EDX];
    return STEP_NEXT;
}

enum step interp_cpuid(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t out[4];

    (void)in;
    cpuid_leaf(interp, vcpu->regs[REG_EAX], vcpu->regs[REG_ECX], out);
    vcpu->regs[REG_EAX] = out[0];
    vcpu->regs[REG_EBX] = out[1];
    vcpu->regs[REG_ECX] = out[2];
    vcpu->regs[REG_EDX] = out[3];
    return STEP_NEXT;
}

enum step interp_rdmsr(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint64_t value;

    (void)in;
    if (!require_cpl0(interp) || !msr_read(interp, vcpu->regs[REG_ECX], &value))
        return STEP_FAULT;
    vcpu->regs[REG_EAX] = (uint32_t)value;
    vcpu->regs[REG_EDX] = (uint32_t)(value >> 32);
    return STEP_NEXT;
}

enum step interp_wrmsr(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint64_t value = (uint64_t)vcpu->regs[REG_EDX] << 32 | vcpu->regs[REG_EAX];

    (void)in;
    if (!require_cpl0(interp) || !msr_write(interp, vcpu->regs[REG_ECX], value))
        return STEP_FAULT;
    return STEP_NEXT;
}
