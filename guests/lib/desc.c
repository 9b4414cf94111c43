/* SPDX-License-Identifier: MIT */
#include "lib/desc.h"

#include "lib/lib.h"

extern const uint32_t vector_table[256];
extern char boot_stack_end[];

uint64_t gdt[SLOT_COUNT] ALIGNED(8);
uint64_t idt[256] ALIGNED(8);
struct tss tss ALIGNED(256);

uint64_t segment(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    uint32_t low = (limit & 0xFFFF) | base << 16;
    uint32_t high = (base >> 16 & 0xFF) | access << 8 | (limit & 0xF0000) |
                    flags << 20 | (base & 0xFF000000);

    return (uint64_t)high << 32 | low;
}

uint64_t gate(uint32_t selector, uint32_t offset, uint32_t access,
              uint32_t params)
{
    uint32_t low = (offset & 0xFFFF) | selector << 16;
    uint32_t high = params | access << 8 | (offset & 0xFFFF0000);

    return (uint64_t)high << 32 | low;
}

uint32_t slot_set(uint32_t slot, uint64_t descriptor)
{
    gdt[slot] = descriptor;
    return slot * 8;
}

static void fill_tables(void)
{
    memset(gdt, 0, sizeof(gdt));
    gdt[1] = segment(0, 0xFFFFF, SEG_CODE_XR, SEG_FLAT);
    gdt[2] = segment(0, 0xFFFFF, SEG_DATA_RW, SEG_FLAT);
    gdt[3] = segment(0, 0xFFFFF, SEG_CODE_XR | SEG_DPL3, SEG_FLAT);
    gdt[4] = segment(0, 0xFFFFF, SEG_DATA_RW | SEG_DPL3, SEG_FLAT);
    gdt[5] = segment((uint32_t)&tss, sizeof(tss) - 1, SEG_TSS, 0);

    for (uint32_t v = 0; v < 256; v++)
        idt[v] = gate(KERNEL_CODE, vector_table[v], GATE_INT, 0);
    idt[EXC_BP] =
        gate(KERNEL_CODE, vector_table[EXC_BP], GATE_INT | SEG_DPL3, 0);
    idt[EXC_OF] =
        gate(KERNEL_CODE, vector_table[EXC_OF], GATE_INT | SEG_DPL3, 0);
    idt[VECTOR_EXIT] =
        gate(KERNEL_CODE, vector_table[VECTOR_EXIT], GATE_INT | SEG_DPL3, 0);

    memset(&tss, 0, sizeof(tss));
    memset(tss.io_bits, 0xFF, sizeof(tss.io_bits));
    tss.ss0 = KERNEL_DATA;
    tss.esp0 = (uint32_t)boot_stack_end;
    tss.iomap = offsetof(struct tss, io_bits);
}

void desc_init(void)
{
    struct table_reg gdtr = {sizeof(gdt) - 1, (uint32_t)gdt};
    struct table_reg idtr = {sizeof(idt) - 1, (uint32_t)idt};

    fill_tables();
    __asm__ volatile("lgdt [%0]\n\t"
                     "lidt [%1]\n\t"
                     "push 8\n\t"
                     "push offset 1f\n\t"
                     "retf\n"
                     "1:\n\t"
                     "mov ds, %2\n\t"
                     "mov es, %2\n\t"
                     "mov ss, %2\n\t"
                     "mov fs, %3\n\t"
                     "mov gs, %3\n\t"
                     "lldt %w3\n\t"
                     "ltr %w4"
                     :
                     : "r"(&gdtr), "r"(&idtr), "r"(KERNEL_DATA), "r"(0),
                       "r"(TSS_SELECTOR)
                     : "memory");
}
