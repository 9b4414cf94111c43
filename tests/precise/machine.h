/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_MACHINE_H
#define TESTS_PRECISE_MACHINE_H

/*
 * PURPOSE: a machine with paging on, an IDT and a TSS, that runs one program
 * under the translator or the interpreter.
 *
 * #PF and the program's end come to handlers that halt; the #PF handler then
 * returns to the faulting instruction.
 */
#include "emu/cpu/interp.h"
#include "monitor/bt.h"
#include "program.h"
#include "shadow_mmu/gmem.h"

#define TABLES       0x1000u /* page directory, then the page table */
#define PTE_TABLE    0x2000u
#define KERNEL_STACK 0x7000u
#define HANDLER_PF   0x8000u
#define HANDLER_END  0x8010u
#define HANDLER_BAD  0x8020u
#define IMAGE        0x40000u /* bytes of RAM that are in use */

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_A 0x20u
#define PTE_D 0x40u

struct machine {
    struct gmem *gmem;
    struct stats stats;
    struct stop stop;
    struct vcpu vcpu;
    struct interp *interp;
    struct bt_vcpu *bt;
    struct vcpu start; /* the vcpu, and RAM, before the program */
    uint8_t *image;
};

struct machine *machine_new(const struct program *program, bool bt, bool user);
void machine_free(struct machine *m);

/* As it was before the program; what was translated stays. tables: page tables
 * were changed. */
void machine_reset(struct machine *m, bool tables);

/* Run until HLT (a handler) or, under bt, a kick. max: at most so many
 * instructions, interpreter only. */
enum vcpu_exit machine_run(struct machine *m, uint64_t max);

/* The entry of a page of the identity map, and changing it as a guest does
 * that executes INVLPG afterwards. */
uint32_t machine_pte(const struct machine *m, uint32_t page);
void machine_set_pte(struct machine *m, uint32_t page, uint32_t pte);

/* NULL when both have the same state, else what differs. Compared: registers,
 * flags, retired count, CR2, CPL, FPU, RAM. */
const char *machine_differ(const struct machine *a, const struct machine *b);

/* Copy the whole guest's state. */
void machine_copy(struct machine *to, const struct machine *from);

#endif /* TESTS_PRECISE_MACHINE_H */
