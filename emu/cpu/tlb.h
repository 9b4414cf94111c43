/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_TLB_H
#define EMU_CPU_TLB_H

/*
 * PURPOSE: the interpreter's software TLB: linear page -> host page and the
 * rights that the walk found.
 *
 * An entry lists the kinds of access it allows, for both privilege levels and
 * both values of CR0.WP, so that neither a change of CPL nor of WP makes it
 * stale. A write is allowed only once the walk has set D. Entries are of 4 KiB;
 * a large page is held in pieces, which INVLPG drops together (SDM 3A 4.10.2.3
 * "Details of TLB Use").
 */
#include "emu/cpu/interp_priv.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* Kinds of access: enum access * 2 + user, and one for CR0.WP = 0. */
#define TLB_WRITE_NO_WP 6

#define TLB_ENTRIES 1024u
#define TLB_NONE    0xffffffffu

struct tlb_entry {
    uint32_t page;        /* gva >> PAGE_SHIFT, or TLB_NONE */
    uint8_t allow;        /* a bit for each kind of access */
    bool global;          /* survives MOV CR3 */
    bool large;           /* a piece of a 2 MiB or 4 MiB page */
    bool writable;        /* false: ROM, stores are dropped */
    uint8_t *hva;         /* of the page, or NULL: MMIO */
    const uint8_t *flags; /* FRAME_* of the frame */
    gpa_t gpa;            /* of the page */
};

struct tlb {
    struct tlb_entry entry[TLB_ENTRIES];
};

/* The bit of struct tlb_entry.allow that an access needs. */
static inline unsigned tlb_kind(const struct vcpu *vcpu, enum access access,
                                bool user)
{
    if (access == ACCESS_WRITE && !user && !(vcpu->cr0 & CR0_WP))
        return BIT(TLB_WRITE_NO_WP);
    return BIT((unsigned)access * 2 + user);
}

/* The FRAME_* byte of the frame at gpa; never NULL. */
const uint8_t *tlb_frame_flags(const struct interp *interp, gpa_t gpa);

/* Walk and install: NULL with #PF recorded. Called by tlb_lookup(). */
struct tlb_entry *tlb_fill(struct interp *interp, gva_t gva, enum access access,
                           bool user);

/* The entry for an access that is already known to be allowed, or NULL: needs
 * tlb_lookup(). Never faults, has no effect. */
static inline struct tlb_entry *tlb_peek(const struct interp *interp, gva_t gva,
                                         enum access access, bool user)
{
    struct tlb_entry *entry =
        &interp->tlb->entry[(gva >> PAGE_SHIFT) % TLB_ENTRIES];

    if (LIKELY(entry->page == gva >> PAGE_SHIFT &&
               (entry->allow & tlb_kind(interp->vcpu, access, user))))
        return entry;
    return NULL;
}

/* The entry that allows the access, walking if need be. NULL with #PF. */
static inline struct tlb_entry *tlb_lookup(struct interp *interp, gva_t gva,
                                           enum access access, bool user)
{
    struct tlb_entry *entry = tlb_peek(interp, gva, access, user);

    return LIKELY(entry != NULL) ? entry : tlb_fill(interp, gva, access, user);
}

/* What the instructions that invalidate translations do: INVLPG; MOV CR3
 * (global entries stay when CR4.PGE is set); CR0, CR4 and EFER changes. They
 * do not make the upcalls of struct interp_host: the instruction does. */
void tlb_flush_page(struct interp *interp, gva_t gva);
/* What #PF does: nothing that is cached of the page makes it happen again. */
void tlb_page_faulted(struct interp *interp, gva_t gva);
void tlb_flush_non_global(struct interp *interp);
void tlb_flush_all(struct interp *interp);

#endif /* EMU_CPU_TLB_H */
