/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_GUEST_H
#define TESTS_PRECISE_GUEST_H

/*
 * PURPOSE: a machine with paging on, an IDT and a TSS around one program, that
 * can be put back to where it was before the program.
 *
 * #PF and the program's end come to handlers that halt; the #PF handler then
 * returns to the faulting instruction.
 */
#include "program.h"
#include "tests/machine/machine.h"

#define TABLES       0x1000u /* page directory, then the page table */
#define PTE_TABLE    0x2000u
#define KERNEL_STACK 0x7000u
#define HANDLER_PF   0x8000u
#define HANDLER_END  0x8010u
#define HANDLER_BAD  0x8020u
#define IMAGE        0x40000u /* bytes of RAM that are in use */

struct guest {
    struct machine *m;
    struct vcpu start; /* the vcpu, and RAM, before the program */
    uint8_t *image;
};

struct guest *guest_new(const struct program *program, bool bt, bool user);
void guest_free(struct guest *g);

/* As it was before the program; what was translated stays. tables: page tables
 * were changed. */
void guest_reset(struct guest *g, bool tables);

/* The entry of a page of the identity map, now and before the program; changing
 * it as a guest does that executes INVLPG afterwards. */
uint32_t guest_pte(const struct guest *g, uint32_t page);
uint32_t guest_first_pte(const struct guest *g, uint32_t page);
void guest_set_pte(struct guest *g, uint32_t page, uint32_t pte);

/* NULL when both have the same state, else what differs. */
const char *guest_differ(const struct guest *a, const struct guest *b);

/* Copy the whole state. */
void guest_copy(struct guest *to, const struct guest *from);

#endif /* TESTS_PRECISE_GUEST_H */
