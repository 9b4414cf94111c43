/* SPDX-License-Identifier: MIT */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "pages.h"
#include "paging.h"
#include "stress.h"

/* What makes the processor forget translations. */

static void toggle_pge(void)
{
    write_cr4(read_cr4() ^ CR4_PGE);
    pages_flushed(true);
}

void set_global(bool on)
{
    if (!!(read_cr4() & CR4_PGE) != on)
        toggle_pge();
}

static bool globals_stay(void)
{
    return read_cr4() & CR4_PGE;
}

/* Global translations of the old root go with into the new one. */
static void switch_root(void)
{
    uint32_t to = roots[random_below(ROOTS)];

    if (to != root && globals_stay()) {
        for (uint32_t r = 0; r < REGIONS; r++) {
            for (uint32_t i = 0; i < PAGES; i++) {
                struct page *page = &pages[r][i];
                struct xlate x = walk(root, page->va);

                if (!x.present || !x.global)
                    continue;
                if (page->stale_count == STALE_MAX) {
                    invlpg(page->va);
                    page_flushed(page);
                }
                page->stale[page->stale_count++] = x;
            }
        }
    }
    root = to;
    write_cr3(root);
    pages_flushed(!globals_stay());
}

/* SDM Vol.3A 4.10.4.1: clearing PG flushes all; PSE is followed by a flush, as
 * the manual does not promise one. */
static void toggle_controls(void)
{
    switch (random_below(4)) {
    case 0:
        stress_note(NOTE_PG);
        write_cr0(read_cr0() & ~CR0_PG);
        CHECK_EQ(mem32(page_frame(3) + slot_offset[1])[0], model[3][1]);
        mem32(page_frame(3) + slot_offset[1])[0] = model[3][1] ^= 0x10;
        write_cr0(read_cr0() | CR0_PG);
        pages_flushed(true);
        break;
    case 1:
        if (!pae()) {
            stress_note(NOTE_PSE);
            write_cr4(read_cr4() ^ CR4_PSE);
            toggle_pge();
        }
        break;
    case 2:
        stress_note(NOTE_PGE);
        toggle_pge();
        break;
    default:
        stress_note(NOTE_WP);
        write_cr0(read_cr0() ^ CR0_WP);
        break;
    }
}

/* SDM Vol.3A 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure
 * Caches": where a large page is mapped, all of it. */
void invalidate(uint32_t region, uint32_t i)
{
    struct page *page = &pages[region][i];

    stress_note(NOTE_INVLPG);
    invlpg(page->va + random_below(PAGE));
    page_flushed(page);
    if (on_tcg || !walk(root, page->va).large)
        return;
    stress_note(NOTE_INVLPG_LARGE);
    for (uint32_t k = 0; k < PAGES; k++)
        large_page_flushed(&pages[region][k]);
}

/* Tables that nobody changes for a long time. */
static void quiet(void)
{
    stress_note(NOTE_QUIET);
    for (uint32_t i = 0; i < 140; i++)
        write_cr3(root);
    pages_flushed(!globals_stay());
}

void flush(uint32_t region, uint32_t page)
{
    uint32_t how = random_below(20);

    if (how < 7) {
        invalidate(region, page);
    } else if (how < 9) {
        stress_note(NOTE_CR3);
        write_cr3(root);
        pages_flushed(!globals_stay());
    } else if (how < 11) {
        stress_note(NOTE_SWITCH);
        switch_root();
    } else if (how < 13) {
        toggle_controls();
    } else if (one_in(12)) {
        quiet();
    }
}
