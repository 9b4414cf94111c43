/* SPDX-License-Identifier: MIT */
/*
 * Random page-table surgery. A round has its paging mode, its three roots and
 * its pool of leaf tables, which roots and regions share. A step changes an
 * entry by some way, flushes or does not, and makes some accesses:
 *
 *   - what the tables in memory say is always right;
 *   - what they said before is right, too, until software has flushed it (SDM
 *     Vol.3A 4.10.4 "Invalidation of TLBs and Paging-Structure Caches").
 *
 * pages.c keeps both. Before that, code maps its own page elsewhere (remaps.c).
 * In every second round the kernel itself lives in pages with U=1. QEMU's translator deviates from the manual in this:
 *
 *   - reserved bits of entries: not set there;
 *   - a read-modify-write that faults may report a read, and one through a
 *     stale translation may read by that and write by a new one;
 *   - a page fault does not end what is cached of the page;
 *   - INVLPG drops 4 KiB of a large page.
 */
#include "paging.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "pages.h"
#include "stress.h"
#include "stubs.h"

#define STEPS 250u

/* A large page that is in use becomes another; one INVLPG has to do. */
static void swap_large(uint32_t region)
{
    uint32_t va = pages[region][0].va;
    uint32_t slot = pde_slot_of(root, va);

    for (uint32_t i = 0; i < 3; i++) {
        entry_write(slot, large_pde(), va, false);
        invalidate(region, random_below(PAGES));
        access_region(region, 4);
    }
}

/* As an operating system would before the next access. */
static void repair(uint32_t region, uint32_t page)
{
    uint32_t va = pages[region][page].va;
    uint32_t slot = pde_slot_of(root, va);
    uint32_t frame = page_frame(random_below(FRAMES));

    stress_doing = "mapping what is missing";
    if (!(entry_read(slot) & PG_P))
        entry_write(slot, tables[random_below(TABLES)] | PG_P | PG_W | PG_U, va,
                    false);
    if (entry_read(slot) & PG_PS)
        return; /* large, or with CR4.PSE clear no table of ours */
    slot = leaf_slot(&pages[region][page]);
    if (!(entry_read(slot) & PG_P))
        entry_write(slot, frame | random_flags(), va, true);
}

static void step(void)
{
    uint32_t region = random_below(REGIONS);
    uint32_t page = random_below(PAGES);
    uint32_t what = random_below(16);

    if (!one_in(4))
        repair(region, page);
    if (what < 9)
        change_pte(region, page);
    else if (what < 13)
        change_pde(region);
    else if (what < 14)
        change_many(region);
    else if (what < 15)
        swap_large(region);
    flush(region, page);
    for (uint32_t i = 1 + random_below(5); i; i--)
        access_some(region, page);
}

void paging_round(uint32_t number)
{
    machine_init(number & 1 ? PAGING_PAE : PAGING_32);
    if (number & 2)
        kernel_in_user_pages();
    remaps();
    pages_init();
    make_roots();
    populate();
    stubs_make();
    set_global(one_in(2));
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
        if (i % 16 == 15)
            frames_check();
    }
    frames_check();
}
