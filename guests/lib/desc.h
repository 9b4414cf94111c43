/* SPDX-License-Identifier: MIT */
#ifndef LIB_DESC_H
#define LIB_DESC_H

/*
 * PURPOSE: descriptor tables. The first slots are laid out as SYSENTER and
 * SYSEXIT want them; slots from SLOT_TEST on belong to the running test.
 */
#include <stdint.h>

#include "lib/cpu.h"

enum {
    KERNEL_CODE = 0x08,
    KERNEL_DATA = 0x10,
    USER_CODE = 0x1B,
    USER_DATA = 0x23,
    TSS_SELECTOR = 0x28,
    SLOT_TEST = 6,
    SLOT_COUNT = 32,
};

/* Access bytes (SDM Vol.3A "Segment Descriptors"), all present. */
enum {
    SEG_DATA_RO = 0x90,
    SEG_DATA_RW = 0x92,
    SEG_DATA_DOWN = 0x96,
    SEG_CODE_X = 0x98,
    SEG_CODE_XR = 0x9A,
    SEG_CODE_CONFORMING = 0x9E,
    SEG_LDT = 0x82,
    SEG_TSS = 0x89,
    SEG_DPL3 = 0x60,
    SEG_ABSENT_MASK = 0x7F,
    GATE_INT = 0x8E,
    GATE_TRAP = 0x8F,
    GATE_CALL = 0x8C,
    SEG_32 = 0x4, /* flags nibble: 32-bit */
    SEG_4K = 0x8, /* flags nibble: limit in pages */
    SEG_FLAT = 0xC,
};

struct PACKED table_reg {
    uint16_t limit;
    uint32_t base;
};

/* SDM Vol.3A "32-bit Task State Segment (TSS)". */
struct PACKED tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2;
    uint32_t cr3, eip, eflags, regs[8], segs[6], ldt;
    uint16_t trap, iomap;
    uint8_t io_bits[129]; /* ports 0-3FFh and the closing FFh */
};

extern uint64_t gdt[SLOT_COUNT];
extern uint64_t idt[256];
extern struct tss tss;

/* All tables to their state at the start of a test, and loaded. */
void desc_init(void);

uint64_t segment(uint32_t base, uint32_t limit, uint32_t access,
                 uint32_t flags);
uint64_t gate(uint32_t selector, uint32_t offset, uint32_t access,
              uint32_t params);

/* Fill a test slot; returns its selector with RPL 0. */
uint32_t slot_set(uint32_t slot, uint64_t descriptor);

#endif /* LIB_DESC_H */
