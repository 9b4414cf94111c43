/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_WALK_H
#define EMU_CPU_WALK_H

/*
 * PURPOSE: the guest's page tables as the manual defines them (SDM 3A chapter 4
 * "Paging"): 32-bit paging with 4 MiB pages (PSE, PSE-36), PAE paging with
 * 2 MiB pages and NX, access rights, reserved bits, accessed and dirty flags.
 *
 * MAXPHYADDR is 36, as CPUID says.
 */
#include "emu/cpu/tlb.h"

#define MAXPHYADDR 36

struct walk {
    gpa_t gpa;    /* of the 4 KiB page that holds the address */
    bool user;    /* U/S of all levels */
    bool write;   /* R/W of all levels */
    bool no_exec; /* XD of any level, with EFER.NXE */
    bool global;  /* G of the leaf, with CR4.PGE */
    bool dirty;   /* D of the leaf, after the walk */
    bool large;
};

/* Translate for an access, setting A and D as it does. False with #PF. Without
 * CR0.PG every address is its own translation. */
MUST_CHECK bool walk_translate(struct interp *interp, gva_t gva,
                               enum access access, bool user,
                               struct walk *walk);

/* Translate without rights, faults and effects. False: not mapped. */
MUST_CHECK bool walk_peek(struct interp *interp, gva_t gva, struct walk *walk);

/* Load vcpu->pdpte from the table that cr3 names (SDM 3A 4.4.1 "PDPTE
 * Registers"). False, with nothing changed and no exception recorded, when a
 * present entry has a reserved bit set: the instruction raises #GP(0). */
MUST_CHECK bool walk_load_pdptes(struct interp *interp, uint32_t cr3);

#endif /* EMU_CPU_WALK_H */
