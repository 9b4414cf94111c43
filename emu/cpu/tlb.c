/* SPDX-License-Identifier: MIT */
#include "emu/cpu/tlb.h"

#include "emu/cpu/debug.h"
#include "emu/cpu/walk.h"

/* The flags of frames that have none: MMIO, and frames beyond frame_count. */
static const uint8_t no_flags;

const uint8_t *tlb_frame_flags(const struct interp *interp, gpa_t gpa)
{
    gfn_t gfn = gpa >> PAGE_SHIFT;

    if (interp->host.frame_flags != NULL && gfn < interp->host.frame_count)
        return &interp->host.frame_flags[gfn];
    return &no_flags;
}

/* Each kind of access that needs neither a fault nor a flag set. */
static uint8_t allowed_kinds(const struct walk *walk)
{
    unsigned user = walk->user;
    unsigned allow = BIT(ACCESS_READ * 2) | user << (ACCESS_READ * 2 + 1);

    if (walk->dirty)
        allow |= BIT(TLB_WRITE_NO_WP);
    if (walk->dirty && walk->write)
        allow |= BIT(ACCESS_WRITE * 2) | user << (ACCESS_WRITE * 2 + 1);
    if (!walk->no_exec)
        allow |= BIT(ACCESS_FETCH * 2) | user << (ACCESS_FETCH * 2 + 1);
    return (uint8_t)allow;
}

static void drop(struct tlb_entry *entry)
{
    entry->page = TLB_NONE;
}

void tlb_page_faulted(struct interp *interp, gva_t gva)
{
    struct tlb_entry *entry =
        &interp->tlb->entry[(gva >> PAGE_SHIFT) % TLB_ENTRIES];

    interp->fetch.tag = FETCH_NONE;
    if (entry->page == gva >> PAGE_SHIFT)
        drop(entry);
}

struct tlb_entry *tlb_fill(struct interp *interp, gva_t gva, enum access access,
                           bool user)
{
    struct tlb_entry *entry =
        &interp->tlb->entry[(gva >> PAGE_SHIFT) % TLB_ENTRIES];
    struct host_page page;
    struct walk walk;

    stat_inc(interp->vcpu->stats, STAT_TLB_MISSES);
    if (!walk_translate(interp, gva, access, user, &walk)) {
        tlb_page_faulted(interp, gva);
        return NULL;
    }
    if (!interp->vcpu->a20)
        walk.gpa &= ~BIT64(20);
    page = interp->host.page(interp->host.opaque, walk.gpa >> PAGE_SHIFT);
    *entry = (struct tlb_entry){.page = gva >> PAGE_SHIFT,
                                .allow = allowed_kinds(&walk),
                                .global = walk.global,
                                .large = walk.large,
                                .writable = page.writable,
                                .hva = page.hva,
                                .flags = tlb_frame_flags(interp, walk.gpa),
                                .gpa = walk.gpa};
    if (UNLIKELY(debug_is_watched(interp, gva)))
        entry->allow = 0;
    return entry;
}

/* SDM 3A 4.10.4.1 "Operations that Invalidate TLBs": INVLPG drops the page
 * whatever its G bit, and every piece of a large page. */
void tlb_flush_page(struct interp *interp, gva_t gva)
{
    struct tlb_entry *entry = interp->tlb->entry;

    interp->fetch.tag = FETCH_NONE;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        if (entry[i].large && entry[i].page >> 10 == gva >> 22)
            drop(&entry[i]);
    entry += (gva >> PAGE_SHIFT) % TLB_ENTRIES;
    if (entry->page == gva >> PAGE_SHIFT)
        drop(entry);
}

void tlb_flush_non_global(struct interp *interp)
{
    struct tlb_entry *entry = interp->tlb->entry;

    interp->fetch.tag = FETCH_NONE;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        if (!entry[i].global)
            drop(&entry[i]);
}

void tlb_flush_all(struct interp *interp)
{
    interp->fetch.tag = FETCH_NONE;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        drop(&interp->tlb->entry[i]);
}
