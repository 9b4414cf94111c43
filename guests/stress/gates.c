/* SPDX-License-Identifier: MIT */
/*
 * Exceptions while an exception is delivered (SDM Vol.3A Table 6-5 "Conditions
 * for Generating a Double Fault"). The IDT is laid across two pages, so that
 * the gates in front of or behind any vector can be missing; or single gates
 * are marked not present.
 */
#include "events.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

#define IDT_VA   0x54000000u /* two pages */
#define GDT_VA   0x55000000u /* two pages */
#define FAULT_VA 0x58000000u /* nothing there */

enum { SLOT_BEHIND = 16 }; /* of the GDT: the first one in its second page */

static uint32_t frames[2], gdt_frames[2];
static uint32_t base; /* of the IDT */
static uint32_t faults[32], fault_error[32], fault_cr2;
static struct context escape;

static void idt_at(uint32_t first_behind)
{
    struct table_reg idtr = {sizeof(idt) - 1, 0};

    base = IDT_VA + PAGE - first_behind * 8;
    idtr.base = base;
    for (uint32_t i = 0; i < 2; i++)
        map(IDT_VA + i * PAGE, frames[i], PG_P | PG_W);
    memcpy((void *)base, idt, sizeof(idt));
    __asm__ volatile("lidt [%0]" : : "r"(&idtr) : "memory");
}

/* The second half of the GDT in a page of its own, and there a kernel code
 * segment, through which #UD goes. */
static void gdt_split(void)
{
    struct table_reg gdtr = {sizeof(gdt) - 1, GDT_VA + PAGE - 8 * SLOT_BEHIND};
    const uint64_t code = segment(0, 0xFFFFF, SEG_CODE_XR | 1, SEG_FLAT);

    for (uint32_t i = 0; i < 2; i++)
        map(GDT_VA + i * PAGE, gdt_frames[i], PG_P | PG_W);
    memcpy((void *)gdtr.base, gdt, sizeof(gdt));
    memcpy((void *)(GDT_VA + PAGE), &code, sizeof(code));
    __asm__ volatile("lgdt [%0]" : : "r"(&gdtr) : "memory");
    *mem8(base + EXC_UD * 8 + 2) = 8 * SLOT_BEHIND;
}

/* Map it, if it is one that the test has taken away. */
static bool give_page_back(uint32_t page)
{
    if (page - IDT_VA < 2 * PAGE)
        map(page, frames[(page - IDT_VA) / PAGE], PG_P | PG_W);
    else if (page - GDT_VA < 2 * PAGE)
        map(page, gdt_frames[(page - GDT_VA) / PAGE], PG_P | PG_W);
    else
        return false;
    return true;
}

static bool note_fault(struct frame *frame)
{
    uint32_t page = last_cr2 & ~(PAGE - 1);

    if (frame->vector >= 32)
        return true;
    faults[frame->vector]++;
    fault_error[frame->vector] = frame->error;
    if (frame->vector == EXC_PF)
        fault_cr2 = last_cr2;
    if (frame->vector == EXC_PF && give_page_back(page))
        return true; /* and again */
    context_restore(&escape);
}

/* Each of these raises the vector in ring 0. */
static void raise(uint32_t vector)
{
    memset(faults, 0, sizeof(faults));
    if (context_save(&escape))
        return;
    switch (vector) {
    case EXC_DE:
        __asm__ volatile("xor ecx, ecx\n\tdiv ecx" : : : "eax", "ecx", "edx");
        break;
    case EXC_UD: __asm__ volatile("ud2"); break;
    case EXC_GP:
        __asm__ volatile("mov fs, %0" : : "r"(0xFFF8) : "memory");
        break;
    case EXC_PF: (void)*mem32(FAULT_VA); break;
    default: __asm__ volatile("int 0x80" : : : "memory"); break;
    }
}

static const uint8_t raisable[] = {EXC_DE, EXC_UD, EXC_GP, EXC_PF, 0x80};

static uint32_t random_vector(void)
{
    return raisable[random_below(sizeof(raisable))];
}

/* The page with the vector's gate is missing, that of #PF's is not: #PF comes
 * first, then the exception, when the instruction runs again. */
static void missing_page(void)
{
    uint32_t vector = random_vector();

    if (vector == EXC_PF)
        vector = EXC_UD;
    stress_doing = "a gate on a missing page";
    idt_at(vector < EXC_PF ? EXC_PF : EXC_PF + 1);
    map(IDT_VA + (vector < EXC_PF ? 0 : PAGE), 0, 0);
    raise(vector);
    stress_note(NOTE_GATE_PAGE);
    CHECK_EQ(faults[EXC_PF], 1);
    CHECK_EQ(fault_error[EXC_PF], 0);
    CHECK(fault_cr2 >= base + vector * 8 && fault_cr2 < base + vector * 8 + 8);
    CHECK_EQ(faults[EXC_DF], 0);
    if (vector < 32)
        CHECK_EQ(faults[vector], 1);
}

/* The descriptor of the handler's code segment is missing: likewise. */
static void missing_segment(void)
{
    stress_doing = "a handler's descriptor on a missing page";
    idt_at(EXC_PF);
    gdt_split();
    map(GDT_VA + PAGE, 0, 0);
    raise(EXC_UD);
    desc_init(); /* and CS as it was */
    stress_note(NOTE_GATE_SEGMENT);
    CHECK_EQ(faults[EXC_PF], 1);
    CHECK_EQ(fault_error[EXC_PF], 0);
    CHECK(fault_cr2 - (GDT_VA + PAGE) < 8);
    CHECK_EQ(faults[EXC_UD], 1);
}

/* The gate of an interrupt: it was acknowledged, and is lost. */
static void missing_interrupt_gate(void)
{
    uint32_t before = irq_count[0];

    stress_doing = "an interrupt's gate on a missing page";
    idt_at(EXC_PF + 1);
    map(IDT_VA + PAGE, 0, 0);
    memset(faults, 0, sizeof(faults));
    timer_start(10000);
    timer_wait();
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    timer_stop();
    outb(0x20, 0x20);
    stress_note(NOTE_GATE_IRQ);
    CHECK_EQ(faults[EXC_PF], 1);
    CHECK_EQ(fault_error[EXC_PF], 0);
    CHECK_EQ(fault_cr2 & ~7u, base + VECTOR_IRQ0 * 8);
    CHECK_EQ(irq_count[0], before);
}

/* #PF's own gate is on the missing page: a double fault for any vector there,
 * and the exception itself for those in front. */
static void missing_page_fault_gate(void)
{
    uint32_t vector = random_vector();
    bool behind = vector >= EXC_PF;

    stress_doing = "no gate for a page fault";
    idt_at(EXC_PF);
    map(IDT_VA + PAGE, 0, 0);
    raise(vector);
    CHECK_EQ(faults[EXC_DF], behind);
    if (behind)
        stress_note(NOTE_DOUBLE_BY_PAGE);
    if (behind)
        CHECK_EQ(fault_error[EXC_DF], 0);
    else
        CHECK_EQ(faults[vector], 1);
    CHECK_EQ(faults[EXC_PF], 0);
}

static bool is_contributory(uint32_t vector)
{
    return vector == EXC_DE || vector == EXC_GP;
}

/* The gate is marked not present: #NP, and a double fault if the first was a
 * contributory exception or a page fault. */
static void absent_gate(void)
{
    uint32_t vector = random_vector();
    bool twice = is_contributory(vector) || vector == EXC_PF;

    stress_doing = "a gate that is not present";
    idt_at(EXC_PF);
    *mem8(base + vector * 8 + 5) &= 0x7F;
    raise(vector);
    stress_note(twice ? NOTE_DOUBLE_BY_GATE : NOTE_ABSENT_GATE);
    CHECK_EQ(faults[EXC_DF], twice);
    CHECK_EQ(faults[EXC_NP], !twice);
    if (!twice) /* EXT, bit 0, is not set by QEMU's translator */
        CHECK_EQ(fault_error[EXC_NP] & ~1u, vector * 8 + 2);
}

/* A page fault whose handler faults, and so on. */
static uint32_t depth;

static bool nested_hook(struct frame *frame)
{
    uint32_t page = last_cr2 & ~(PAGE - 1);
    uint32_t mine = depth;

    if (frame->vector != EXC_PF)
        return false;
    CHECK_EQ(last_cr2, FAULT_VA + mine * PAGE + 4 * mine);
    if (++depth < 8) {
        uint32_t inner = *mem32(FAULT_VA + depth * PAGE + 4 * depth);

        CHECK_EQ(inner, 0);
    }
    map(page, frame_alloc(), PG_P | PG_W);
    return true;
}

static void nested_faults(void)
{
    stress_doing = "faults in the handler of faults";
    for (uint32_t i = 0; i < 8; i++)
        map(FAULT_VA + i * PAGE, 0, 0);
    depth = 0;
    trap_hook = nested_hook;
    CHECK_EQ(*mem32(FAULT_VA), 0);
    CHECK_EQ(depth, 8);
    stress_note(NOTE_NESTED);
    for (uint32_t i = 0; i < 8; i++)
        map(FAULT_VA + i * PAGE, 0, 0);
}

void gates_round(void)
{
    frames[0] = frame_alloc();
    frames[1] = frame_alloc();
    gdt_frames[0] = frame_alloc();
    gdt_frames[1] = frame_alloc();
    for (uint32_t i = 0; i < 12; i++) {
        trap_hook = note_fault;
        missing_page();
        missing_page_fault_gate();
        absent_gate();
        missing_interrupt_gate();
        missing_segment();
        nested_faults();
    }
    trap_hook = NULL;
}
