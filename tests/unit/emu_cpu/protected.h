/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_EMU_CPU_PROTECTED_H
#define TESTS_UNIT_EMU_CPU_PROTECTED_H

/*
 * PURPOSE: the test machine with a GDT, an LDT, an IDT and a TSS, for
 * everything that reads descriptors.
 */
#include <check.h>

#include "emu/cpu/descriptor.h"
#include "emu/cpu/segment.h"
#include "tests/unit/emu_cpu/machine.h"

#define GDT_BASE  0x1000u
#define LDT_BASE  0x2000u
#define IDT_BASE  0x3000u
#define TSS_BASE  0x4000u
#define TSS16_AT  0x4100u
#define GDT_LIMIT 0xffu

/* Stacks of levels 0 and 1 in the TSS, and handlers. */
#define STACK0  0x40000u
#define STACK1  0x48000u
#define HANDLER 0x50000u
#define TARGET  0x60000u

/* The GDT. U_: level 3; R1_: level 1; NP_: not present. */
enum selector {
    K_CODE = 0x08,
    K_DATA = 0x10,
    U_CODE = 0x1b,
    U_DATA = 0x23,
    CONFORMING = 0x28, /* DPL 0 */
    R1_CODE = 0x31,
    R1_DATA = 0x39,
    READ_ONLY = 0x43,    /* DPL 3 */
    EXECUTE_ONLY = 0x4b, /* DPL 3 */
    NP_DATA = 0x53,
    NP_CODE = 0x58,
    LDT = 0x60,
    TSS = 0x68, /* available; TR is loaded from it by protected_create() */
    GATE = 0x73,
    TASK_GATE = 0x7b,
    SMALL_CODE = 0x80, /* limit FFFh */
    U_CONFORMING = 0x8b,
    SPARE = 0x90,
    TSS2 = 0x98, /* available */
    K_DATA16 = 0xa0,
    U_DATA16 = 0xab,
    OUTSIDE = 0x100
};

/* attr is as in struct segment. */
uint64_t make_descriptor(uint32_t base, uint32_t limit, uint32_t attr);
uint64_t make_gate(uint16_t selector, uint32_t offset, unsigned type,
                   unsigned dpl);

void put_descriptor(struct machine *m, uint16_t selector, uint64_t descriptor);
void put_idt(struct machine *m, unsigned vector, uint64_t gate);

/* The second dword of a descriptor, to look at accessed and busy bits. */
uint32_t descriptor_hi(const struct machine *m, uint16_t selector);

/* A machine at CPL 0 with the tables above. */
struct machine *protected_create(void);

/* Load CS, SS, DS, ES for a level of the GDT: 0, 1 or 3. */
void set_level(struct machine *m, unsigned cpl);

/* Set a segment register without checks, from the GDT. */
void force_segment(struct machine *m, enum seg seg, uint16_t selector);

/* Where the room on a stack of a test ends. */
enum room { ROOM_DOWN_TO_0, ROOM_UP_TO_LIMIT, ROOM_BEHIND_LIMIT, ROOMS };

/* Go to level 3 with SPARE as its stack, or as the one of level 0 (is_inner). It
 * has room for len bytes, or for one less if it is short; what lies around it is
 * filled. */
void put_stack(struct machine *m, bool is_inner, enum room room, uint32_t len,
               bool is_short);

/* Nothing was stored there since. */
bool is_stack_untouched(const struct machine *m);

/* All its room is taken, by len bytes. */
void ck_stack_is_full(const struct machine *m, bool is_inner, enum room room,
                      uint32_t len);

static inline uint32_t stack_word(const struct machine *m, unsigned n)
{
    return machine_get32(m, m->vcpu.regs[REG_ESP] + 4 * n);
}

#define ck_fault(exit, m, vector_, error_)                          \
    do {                                                            \
        ck_assert_int_eq((exit), VCPU_EXIT_EXC);                    \
        ck_assert_int_eq((m)->vcpu.exc.kind, EXC_KIND_FAULT);       \
        ck_assert_int_eq((m)->vcpu.exc.vector, (vector_));          \
        ck_assert_uint_eq((m)->vcpu.exc.error, (error_));           \
        ck_assert_uint_eq((m)->vcpu.eip, (m)->vcpu.exc.return_eip); \
    } while (0)

#define ck_done(exit) ck_assert_int_eq((exit), VCPU_EXIT_BUDGET)

#define ck_stopped(exit, m)                              \
    do {                                                 \
        ck_assert_int_eq((exit), VCPU_EXIT_STOP);        \
        ck_assert_int_eq((m)->stop.reason, STOP_UNIMPL); \
    } while (0)

#endif /* TESTS_UNIT_EMU_CPU_PROTECTED_H */
