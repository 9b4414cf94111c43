/* SPDX-License-Identifier: MIT */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "pages.h"
#include "paging.h"
#include "stress.h"

/* Random entries, and what is made of those that are there. */

/* Bits that the processor sets by itself. */
#define ACCESSED_DIRTY (PG_A | PG_D)

uint64_t random_flags(void)
{
    uint64_t flags = PG_P;

    flags |= one_in(4) ? 0 : PG_W;
    flags |= one_in(3) ? 0 : PG_U;
    flags |= one_in(2) ? PG_A : 0;
    flags |= one_in(3) ? PG_D : 0;
    flags |= one_in(4) ? PG_G : 0;
    flags |= random_below(8) << 9; /* for software */
    if (paging_has_nx() && one_in(6))
        flags |= PG_NX;
    if (pae() && !on_tcg && one_in(40))
        flags |= 1ull << 55;
    return one_in(12) ? flags & ~(uint64_t)PG_P : flags;
}

static uint32_t pte_slot_in(uint32_t table, uint32_t page)
{
    return table + page_index(page) * (pae() ? 8 : 4);
}

void change_pte(uint32_t region, uint32_t page)
{
    uint32_t va = pages[region][page].va;
    uint64_t pde = entry_read(pde_slot_of(root, va));
    uint32_t table = tables[random_below(TABLES)];
    uint32_t frame =
        random_below(ARENAS) * PAGES + (one_in(2) ? page : random_below(PAGES));
    uint32_t slot;
    uint64_t now;

    if (pde & PG_P && !(pde & PG_PS) && !one_in(8))
        table = (uint32_t)pde & ~(PAGE - 1);
    slot = pte_slot_in(table, page);
    now = entry_read(slot);
    switch (random_below(6)) {
    case 0: now = one_in(2) ? 0 : now & ~(uint64_t)PG_P; break;
    case 1: now &= ~(uint64_t)PG_W; break;
    case 2:
        if (paging_has_nx() && one_in(3)) {
            stress_note(NOTE_NX);
            now ^= PG_NX;
        } else {
            now ^= one_in(2) ? PG_U : PG_W;
        }
        break;
    case 3: now &= ~(uint64_t)ACCESSED_DIRTY; break;
    default: now = page_frame(frame) | random_flags(); break;
    }
    stress_doing = "change of a PTE";
    entry_write(slot, now, va, true);
}

uint64_t large_pde(void)
{
    uint32_t pa = page_frame(random_below(ARENAS) * PAGES);
    uint64_t flags = random_flags() | PG_PS;

    if (pae() && !on_tcg && one_in(20))
        flags |= 1u << 13; /* reserved */
    return pa | flags;
}

/* Most of what is accessed is mapped from the start: nothing is remembered of
 * what never was. */
void populate(void)
{
    for (uint32_t t = 0; t < TABLES; t++) {
        for (uint32_t i = 0; i < PAGES; i++)
            set_up_entry(pte_slot_in(tables[t], i),
                         page_frame(random_below(FRAMES)) | random_flags());
    }
    for (uint32_t k = 0; k < ROOTS; k++) {
        for (uint32_t r = 0; r < REGIONS; r++)
            set_up_entry(pde_slot_of(roots[k], pages[r][0].va),
                         one_in(4) ? large_pde()
                                   : tables[random_below(TABLES)] | PG_P |
                                         PG_W | PG_U);
    }
    write_cr3(root);
}

/* A large page becomes a table that maps the same memory, with its rights. */
static uint64_t split(uint32_t region, uint64_t pde)
{
    uint32_t table = tables[random_below(TABLES)];
    uint32_t base = (uint32_t)pde & ~(large_page_size() - 1);

    for (uint32_t i = 0; i < PAGES; i++)
        entry_write(pte_slot_in(table, i),
                    (base + page_index(i) * PAGE) | (pde & 0x967) |
                        (pde & PG_NX),
                    pages[region][i].va, true);
    stress_note(NOTE_SPLIT);
    return table | PG_P | PG_W | PG_U;
}

/* A table becomes the large page around what its first entry maps. */
static uint64_t join(uint64_t pde)
{
    uint64_t first = entry_read(pte_slot_in((uint32_t)pde & ~(PAGE - 1), 0));
    uint32_t base = (uint32_t)first & ~(large_page_size() - 1);

    if (!(first & PG_P))
        return large_pde();
    stress_note(NOTE_JOIN);
    return base | (first & 0x167) | (first & PG_NX) | PG_PS;
}

void change_pde(uint32_t region)
{
    uint32_t va = pages[region][0].va;
    uint32_t of = one_in(4) ? roots[random_below(ROOTS)] : root;
    uint32_t slot = pde_slot_of(of, va);
    uint64_t now = entry_read(slot);
    uint64_t flags = PG_P | (one_in(5) ? 0 : PG_W) | (one_in(5) ? 0 : PG_U);

    if (paging_has_nx() && one_in(12))
        flags |= PG_NX;
    stress_doing = "change of a PDE";
    switch (random_below(7)) {
    case 0: now = one_in(2) ? 0 : now & ~(uint64_t)PG_P; break;
    case 1:
        if (now & PG_P)
            now = now & PG_PS ? split(region, now) : join(now);
        else
            now = large_pde();
        break;
    case 2: now = large_pde(); break;
    case 3: now &= ~(uint64_t)(PG_A | (now & PG_PS ? PG_D : 0)); break;
    case 4: now ^= one_in(2) ? PG_W : PG_U; break;
    default: now = tables[random_below(TABLES)] | flags; break;
    }
    if (of != root)
        stress_note(NOTE_OTHER_ROOT);
    entry_write(slot, now, va, false);
}

/* As fork(): all pages of a region lose W, or a table is copied. */
void change_many(uint32_t region)
{
    uint32_t from = tables[random_below(TABLES)];
    uint32_t to = one_in(2) ? from : tables[random_below(TABLES)];

    stress_doing = "change of a table";
    for (uint32_t i = 0; i < PAGES; i++)
        entry_write(pte_slot_in(to, i),
                    entry_read(pte_slot_in(from, i)) & ~(uint64_t)PG_W,
                    pages[region][i].va, true);
}
