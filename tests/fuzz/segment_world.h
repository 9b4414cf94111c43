/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_SEGMENT_WORLD_H
#define TESTS_FUZZ_SEGMENT_WORLD_H

/*
 * PURPOSE: the guest that an input of the segment target stands for. A table set
 * with a descriptor of every kind is the start; the first bytes choose
 * instruction, level and operands among what is nearly right, and the rest are
 * patches of four bytes: which table, which entry, which byte, its value.
 */
#include "segment_model.h"

#define WORLD_IMAGE 0x10000u
#define WORLD_PD    0xe000u /* page tables, mapped nowhere, to the end */
#define WORLD_RAM   MIB

/* Indices of the GDT. CODE to CONFORM: four each, of DPL 0 to 3. */
enum {
    CODE32 = 1,
    DATA32 = 5,
    CONFORM = 9,
    READ_ONLY = 13,
    DOWN = 14,
    CODE16 = 15, /* DPL 0 */
    CODE16_3 = 16,
    DATA16 = 17, /* DPL 0 */
    DATA16_3 = 18,
    LDT_DESC = 19,
    TSS_FREE = 20,
    TSS_BUSY = 21,
    TSS16_FREE = 22,
    TSS16_BUSY = 23,
    GATES = 24, /* call gates: six of them */
    TASK_GATE = 30,
    BLIND_CODE = 31, /* not readable */
    SMALL_CODE = 32,
    GDT_ENTRIES = 40
};

/* Bytes of an input. */
enum {
    IN_OP,
    IN_MODE,
    IN_FLAGS,
    IN_SEG,
    IN_INDEX, /* of the selector */
    IN_LOW,
    IN_OFFSET,
    IN_VECTOR,
    IN_IMM,
    IN_ESP,
    IN_TABLES,
    IN_CS_INDEX, /* that the stack holds */
    IN_CS_LOW,
    IN_SS_INDEX,
    IN_SS_LOW,
    IN_IMAGE, /* of flags, two bytes */
    IN_DATA = IN_IMAGE + 2,
    IN_IDT,
    IN_PAGING,
    IN_SPARE,
    IN_PATCHES
};

struct seg_world {
    struct seg_insn insn;
    struct vcpu start;
    uint8_t image[WORLD_IMAGE]; /* physical 0 on */
    uint8_t rights[MODEL_PAGES];
    bool paging;
};

void seg_world_make(struct seg_world *world, const uint8_t *data, size_t len);

/* Write the instruction, and HLT behind it; sets its length. */
void seg_insn_encode(struct seg_insn *insn, uint8_t *to, bool code16);

/* Where there is RAM. */
bool seg_world_is_ram(uint32_t address);

#endif /* TESTS_FUZZ_SEGMENT_WORLD_H */
