/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MACHINE_SYSTEM_H
#define TESTS_MACHINE_SYSTEM_H

/*
 * PURPOSE: what a guest kernel would have set up before a test's code runs:
 * segments of CPL 0 and 3, flat or with a limit, an FS with a base, GDT, IDT,
 * TSS, as bytes of RAM and as a vcpu's registers.
 */
#include "monitor/vcpu.h"

/* Where it lies, physical being linear. */
#define SYSTEM_GDT 0x3000u
#define SYSTEM_IDT 0x4000u
#define SYSTEM_TSS 0x5000u

/* Indices into the GDT. */
enum { KCODE = 1, KDATA, UCODE, UDATA, TASK, FSDATA, DESCRIPTORS };

/* Entries of page tables (SDM 3A 4.3 "32-Bit Paging"). */
#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_A  BIT(5)
#define PTE_D  BIT(6)
#define PTE_PS BIT(7)
#define PTE_G  BIT(8)
#define PTE_NX BIT64(63)

struct system {
    uint32_t handler;      /* of every vector; DPL 3 */
    uint32_t kernel_stack; /* SS0:ESP0 */
    uint32_t fs_base;
    uint32_t limit; /* of code and data segments; 0: flat */
    bool down;      /* data segments begin behind the limit instead */
};

/* Write GDT, IDT and TSS into the first 24 KiB of RAM. */
void system_put(uint8_t *ram, const struct system *system);

/* Point one vector elsewhere. */
void system_put_gate(uint8_t *ram, unsigned vector, uint32_t handler);

/* Reset the vcpu, then: protected mode, interrupts off, FPU as after
 * FNINIT with all of SSE masked, descriptor registers as above. */
void system_enter(struct vcpu *vcpu, const struct system *system, bool user);

void put32(uint8_t *ram, uint32_t at, uint32_t value);
uint32_t get32(const uint8_t *ram, uint32_t at);

#endif /* TESTS_MACHINE_SYSTEM_H */
