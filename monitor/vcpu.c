/* SPDX-License-Identifier: MIT */
#include "monitor/vcpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* SDM 3A Table 9-1: real-mode segments with 64 KiB limits. */
static const struct segment reset_data = {
    .base = 0, .limit = 0xffff, .attr = SEG_P | SEG_S | 3};

void soft_tlb_init(struct soft_tlb *tlb)
{
    for (unsigned i = 0; i < SOFT_TLB_SLOTS; i++)
        tlb->read[i] = tlb->write[i] = SOFT_TLB_NONE(i);
}

#define NEVER_WITHIN (4 * GIB)

/* SDM 3A 5.3 "Limit Checking": offsets above the limit of an expand-down segment
 * are valid, up to FFFFh or FFFFFFFFh. */
static uint32_t upper_bound(const struct segment *segment, bool down)
{
    if (!down)
        return segment->limit;
    return segment->attr & SEG_DB ? UINT32_MAX : 0xffff;
}

/* Generated code never stores through CS, so that its kind is that of loads. */
static enum seg_kind set_check(struct seg_check *check, enum seg index,
                               const struct segment *segment)
{
    const uint32_t present = SEG_P | SEG_S;
    bool usable = (segment->attr & (present | SEG_UNUSABLE)) == present;
    bool code = segment->attr & SEG_CODE;
    bool down = !code && (segment->attr & SEG_DOWN);
    bool second = segment->attr & SEG_WRITABLE; /* code: readable */
    uint64_t within = UINT32_MAX - upper_bound(segment, down);

    *check = (struct seg_check){.read = NEVER_WITHIN, .write = NEVER_WITHIN};
    if (usable && (!code || second))
        check->read = within;
    if (usable && !code && second)
        check->write = within;
    if (down && segment->limit == UINT32_MAX)
        check->read = check->write = NEVER_WITHIN;
    else if (down)
        check->low = segment->limit + 1;
    if (down)
        return SEG_KIND_DOWN;
    if ((index == SEG_CS ? check->read : check->write) != 0)
        return SEG_KIND_LIMITED;
    return segment->base == 0 ? SEG_KIND_FLAT : SEG_KIND_BASED;
}

void vcpu_set_seg(struct vcpu *vcpu, enum seg index,
                  const struct segment *segment)
{
    enum seg_kind kind;

    vcpu->seg[index] = *segment;
    vcpu->seg_base[index] = segment->base;
    kind = set_check(&vcpu->seg_check[index], index, segment);
    vcpu->seg_kinds = (vcpu->seg_kinds & ~(3u << 2 * index)) | kind
                                                                   << 2 * index;
}

void vcpu_reset(struct vcpu *vcpu)
{
    struct vcpu keep = *vcpu;
    struct segment cs = {.selector = 0xf000,
                         .base = 0xffff0000,
                         .limit = 0xffff,
                         .attr = SEG_P | SEG_S | SEG_CODE | 3};

    memset(vcpu, 0, sizeof(*vcpu));
    soft_tlb_init(&vcpu->soft_tlb[0]);
    soft_tlb_init(&vcpu->soft_tlb[1]);
    vcpu->stop = keep.stop;
    vcpu->stats = keep.stats;
    vcpu->vm = keep.vm;
    vcpu->bt = keep.bt;
    vcpu->retired = keep.retired;
    vcpu->a20 = true;

    vcpu->eflags = FLAG_ONE;
    vcpu->eip = 0xfff0;
    vcpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(vcpu, i, &reset_data);
    vcpu_set_seg(vcpu, SEG_CS, &cs);
    vcpu->ldtr = (struct segment){.limit = 0xffff, .attr = SEG_P | 2};
    vcpu->tr = (struct segment){.limit = 0xffff, .attr = SEG_P | 11};
    vcpu->gdtr.limit = 0xffff;
    vcpu->idtr.limit = 0xffff;
    vcpu->dr[6] = 0xffff0ff0;
    vcpu->dr[7] = 0x400;
    vcpu->pat = 0x0007040600070406ull;
    vcpu->misc_enable = 1;
    /* FCW 037Fh after FNINIT is 037Fh, after reset 0040h; MXCSR 1F80h. */
    vcpu->fpu[0] = 0x40;
    vcpu->fpu[24] = 0x80;
    vcpu->fpu[25] = 0x1f;
    vcpu->fpu[28] = vcpu->fpu[29] = 0xff; /* MXCSR_MASK */
}

bool vcpu_fault(struct vcpu *vcpu, unsigned vector)
{
    vcpu->exc = (struct exc){.kind = EXC_KIND_FAULT,
                             .vector = (uint8_t)vector,
                             .return_eip = vcpu->eip};
    return false;
}

bool vcpu_fault_error(struct vcpu *vcpu, unsigned vector, uint32_t error)
{
    vcpu_fault(vcpu, vector);
    vcpu->exc.has_error = true;
    vcpu->exc.error = error;
    return false;
}

bool vcpu_page_fault(struct vcpu *vcpu, gva_t cr2, uint32_t error)
{
    vcpu_fault_error(vcpu, EXC_PF, error);
    vcpu->exc.cr2 = cr2;
    return false;
}

void vcpu_stop(struct vcpu *vcpu, enum stop_reason reason, const char *fmt, ...)
{
    va_list ap;

    if (vcpu->stop->reason == STOP_NONE) {
        vcpu->stop->reason = reason;
        va_start(ap, fmt);
        vsnprintf(vcpu->stop->text, sizeof(vcpu->stop->text), fmt, ap);
        va_end(ap);
    }
    vcpu->kick = 1;
}

void vcpu_dump(const struct vcpu *vcpu, void *stream)
{
    static const char *const seg_names[SEG_COUNT] = {"ES", "CS", "SS",
                                                     "DS", "FS", "GS"};
    const uint32_t *r = vcpu->regs;
    FILE *out = stream;

    fprintf(out, "EAX=%08x EBX=%08x ECX=%08x EDX=%08x\n", r[REG_EAX],
            r[REG_EBX], r[REG_ECX], r[REG_EDX]);
    fprintf(out, "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", r[REG_ESI],
            r[REG_EDI], r[REG_EBP], r[REG_ESP]);
    fprintf(out, "EIP=%08x EFL=%08x CPL=%u A20=%d HLT=0\n", vcpu->eip,
            vcpu_eflags(vcpu), vcpu->cpl, vcpu->a20);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        fprintf(out, "%s =%04x %08x %08x %08x\n", seg_names[i],
                vcpu->seg[i].selector, vcpu->seg[i].base, vcpu->seg[i].limit,
                vcpu->seg[i].attr);
    fprintf(out, "LDT=%04x %08x %08x\nTR =%04x %08x %08x\n",
            vcpu->ldtr.selector, vcpu->ldtr.base, vcpu->ldtr.limit,
            vcpu->tr.selector, vcpu->tr.base, vcpu->tr.limit);
    fprintf(out, "GDT=     %08x %08x\nIDT=     %08x %08x\n", vcpu->gdtr.base,
            vcpu->gdtr.limit, vcpu->idtr.base, vcpu->idtr.limit);
    fprintf(out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x EFER=%016llx\n",
            vcpu->cr0, vcpu->cr2, vcpu->cr3, vcpu->cr4,
            (unsigned long long)vcpu->efer);
}
