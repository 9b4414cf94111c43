/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "monitor/hmp_priv.h"
#include "monitor/vm.h"

/* "info registers" in QEMU's format: scripts read it. */

/* The descriptor's second word without its base, as QEMU shows it. */
static uint32_t descriptor_flags(const struct segment *segment)
{
    uint32_t limit = segment->limit;

    if (segment->attr & SEG_G)
        limit >>= PAGE_SHIFT;
    return (segment->attr & 0xf0ff) << 8 | (limit & 0xf0000);
}

static void print_code_or_data(struct hmp *hmp, const struct segment *segment)
{
    uint32_t attr = segment->attr;

    if (attr & SEG_CODE)
        hmp_print(hmp, "%s [%c%c", attr & SEG_DB ? "CS32" : "CS16",
                  attr & SEG_DOWN ? 'C' : '-', attr & SEG_WRITABLE ? 'R' : '-');
    else
        hmp_print(hmp, "%s [%c%c", attr & SEG_DB ? "DS  " : "DS16",
                  attr & SEG_DOWN ? 'E' : '-', attr & SEG_WRITABLE ? 'W' : '-');
    hmp_print(hmp, "%c]", attr & SEG_ACCESSED ? 'A' : '-');
}

/* SDM 3A Table 3-2 "System-Segment and Gate-Descriptor Types". */
static const char *const system_types[16] = {
    "Reserved",   "TSS16-avl", "LDT",       "TSS16-busy",
    "CallGate16", "TaskGate",  "IntGate16", "TrapGate16",
    "Reserved",   "TSS32-avl", "Reserved",  "TSS32-busy",
    "CallGate32", "Reserved",  "IntGate32", "TrapGate32"};

static void print_segment(struct hmp *hmp, const char *name,
                          const struct segment *segment)
{
    hmp_print(hmp, "%-3s=%04x %08x %08x %08x", name, segment->selector,
              segment->base, segment->limit, descriptor_flags(segment));
    if ((hmp->vm->vcpu.cr0 & CR0_PE) && (segment->attr & SEG_P)) {
        hmp_print(hmp, " DPL=%u ", segment_dpl(segment));
        if (segment->attr & SEG_S)
            print_code_or_data(hmp, segment);
        else
            hmp_print(hmp, "%s", system_types[segment->attr & SEG_TYPE]);
    }
    hmp_print(hmp, "\n");
}

static void print_general(struct hmp *hmp)
{
    const struct vcpu *vcpu = &hmp->vm->vcpu;
    const uint32_t *r = vcpu->regs;
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = {
        {FLAG_DF, 'D'},
        {FLAG_OF, 'O'},
        {FLAG_SF, 'S'},
        {FLAG_ZF, 'Z'},
        {FLAG_AF, 'A'},
        {FLAG_PF, 'P'},
        {FLAG_CF, 'C'}
    };
    char flags[ARRAY_COUNT(letters) + 1] = "";

    for (size_t i = 0; i < ARRAY_COUNT(letters); i++)
        flags[i] = vcpu->eflags & letters[i].flag ? letters[i].letter : '-';
    hmp_print(hmp, "\nCPU#0\nEAX=%08x EBX=%08x ECX=%08x EDX=%08x\n", r[REG_EAX],
              r[REG_EBX], r[REG_ECX], r[REG_EDX]);
    hmp_print(hmp, "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", r[REG_ESI],
              r[REG_EDI], r[REG_EBP], r[REG_ESP]);
    hmp_print(hmp, "EIP=%08x EFL=%08x [%s] CPL=%u II=%d A20=%d SMM=0 HLT=%d\n",
              vcpu->eip, vcpu_eflags(vcpu), flags, vcpu->cpl,
              vcpu->inhibit != INHIBIT_NONE, vcpu->a20, hmp->vm->halted);
}

static void print_control(struct hmp *hmp)
{
    const struct vcpu *vcpu = &hmp->vm->vcpu;

    hmp_print(hmp, "GDT=     %08x %08x\nIDT=     %08x %08x\n", vcpu->gdtr.base,
              vcpu->gdtr.limit, vcpu->idtr.base, vcpu->idtr.limit);
    hmp_print(hmp, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", vcpu->cr0,
              vcpu->cr2, vcpu->cr3, vcpu->cr4);
    hmp_print(hmp, "DR0=%08x DR1=%08x DR2=%08x DR3=%08x \n", vcpu->dr[0],
              vcpu->dr[1], vcpu->dr[2], vcpu->dr[3]);
    hmp_print(hmp, "DR6=%08x DR7=%08x\nEFER=%016llx\n", vcpu->dr[6],
              vcpu->dr[7], (unsigned long long)vcpu->efer);
}

/* The FXSAVE image (SDM 1 10.5.1 "FXSAVE Area"). */
static void print_fpu(struct hmp *hmp)
{
    const uint8_t *fpu = hmp->vm->vcpu.fpu;
    uint16_t fcw, fsw;
    uint32_t mxcsr;

    memcpy(&fcw, fpu, sizeof(fcw));
    memcpy(&fsw, fpu + 2, sizeof(fsw));
    memcpy(&mxcsr, fpu + 24, sizeof(mxcsr));
    hmp_print(hmp, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", fcw, fsw,
              fsw >> 11 & 7, fpu[4], mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t low;
        uint16_t high;

        memcpy(&low, fpu + 32 + i * 16, sizeof(low));
        memcpy(&high, fpu + 40 + i * 16, sizeof(high));
        hmp_print(hmp, "FPR%u=%016llx %04x%c", i, (unsigned long long)low, high,
                  i & 1 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t xmm[2];

        memcpy(xmm, fpu + 160 + i * 16, sizeof(xmm));
        hmp_print(hmp, "XMM%02u=%016llx %016llx%c", i,
                  (unsigned long long)xmm[1], (unsigned long long)xmm[0],
                  i & 1 ? '\n' : ' ');
    }
}

void hmp_info_registers(struct hmp *hmp, const char *args)
{
    static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",
                                                 "DS", "FS", "GS"};
    const struct vcpu *vcpu = &hmp->vm->vcpu;

    (void)args;
    print_general(hmp);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        print_segment(hmp, names[i], &vcpu->seg[i]);
    print_segment(hmp, "LDT", &vcpu->ldtr);
    print_segment(hmp, "TR", &vcpu->tr);
    print_control(hmp);
    print_fpu(hmp);
}
