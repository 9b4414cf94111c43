/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include "lib/cpu.h"
#include "lib/lib.h"
#include "stress.h"

/* Where the checks see frame i. */
#define CHECK_VA 0x30000000u

struct page pages[REGIONS][PAGES];
uint32_t slot_offset[SLOTS] = {0, 4, CODE_OFFSET + 1, 0x800, 0xFF8, 0xFFC};
uint32_t model[FRAMES][SLOTS];

static struct xlate before[REGIONS][PAGES];
static uint32_t index_of[PAGES];

static bool pae(void)
{
    return paging_mode() == PAGING_PAE;
}

uint32_t page_index(uint32_t i)
{
    return index_of[i];
}

uint32_t page_frame(uint32_t frame)
{
    return frame_large() + frame / PAGES * (4u << 20) +
           index_of[frame % PAGES] * PAGE;
}

int frame_of(uint32_t pa)
{
    for (uint32_t i = 0; i < FRAMES; i++) {
        if (page_frame(i) == pa)
            return (int)i;
    }
    return -1;
}

volatile uint32_t *frame_slot(uint32_t frame, uint32_t slot)
{
    return mem32(CHECK_VA + frame * PAGE + slot_offset[slot]);
}

static void fill_frame(uint32_t frame)
{
    uint32_t va = CHECK_VA + frame * PAGE;

    map(va, page_frame(frame), PG_P | PG_W);
    map(page_frame(frame), page_frame(frame), PG_P | PG_W); /* for walk() */
    memset((void *)va, 0, PAGE);
    *mem8(va + CODE_OFFSET) = 0xB8;     /* mov eax, the slot; ret */
    *mem8(va + CODE_OFFSET + 5) = 0xC2; /* ret 0: bit 0 is clear */
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        model[frame][slot] = random_u32() & ~SLOT_ZERO;
        *frame_slot(frame, slot) = model[frame][slot];
    }
}

/* Two regions are neighbours, two lie at a boundary of directories, one at the
 * end of what is left of the linear addresses. */
void pages_init(void)
{
    static const uint32_t indices[PAGES] = {0, 1, 2, 15, 16, 255, 510, 511};
    const uint32_t size = large_page_size();
    const uint32_t starts[REGIONS] = {0x40000000, 0x40000000 + size,
                                      0xC0000000 - size, 0xC0000000,
                                      0xFF000000 - size};

    for (uint32_t i = 0; i < PAGES; i++)
        index_of[i] = i < 6 || pae() ? indices[i] : indices[i] + 512;
    for (uint32_t r = 0; r < REGIONS; r++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            pages[r][i].va = starts[r] + index_of[i] * PAGE;
            pages[r][i].stale_count = 0;
        }
    }
    for (uint32_t i = 0; i < FRAMES; i++)
        fill_frame(i);
}

uint64_t entry_read(uint32_t slot)
{
    return pae() ? (uint64_t)mem32(slot)[1] << 32 | mem32(slot)[0]
                 : mem32(slot)[0];
}

uint32_t pde_slot_of(uint32_t root, uint32_t va)
{
    if (!pae())
        return root + 4 * (va >> 22);
    return (mem32(root + 8 * (va >> 30))[0] & ~(PAGE - 1)) +
           8 * (va >> 21 & 511);
}

static void walk_large(struct xlate *x, uint32_t va)
{
    uint32_t mask = large_page_size() - 1;

    x->large = true;
    x->frame = ((uint32_t)x->pde & ~mask) | (va & mask & ~(PAGE - 1));
    /* SDM Vol.3A Table 4-9 "Format of a PAE Page-Directory Entry that Maps a
     * 2-MByte Page": bits 20:13 are reserved; bits 21:13 in 32-bit paging name
     * memory that no machine here has. */
    x->reserved = (x->pde & mask & ~0x1FFFull) != 0;
    x->global = x->pde & PG_G;
}

static void walk_table(struct xlate *x, uint32_t va)
{
    uint32_t table = (uint32_t)x->pde & ~(PAGE - 1);

    x->pte = entry_read(pae() ? table + 8 * (va >> 12 & 511)
                              : table + 4 * (va >> 12 & 1023));
    x->frame = (uint32_t)x->pte & ~(PAGE - 1);
    x->global = x->pte & PG_G;
}

struct xlate walk(uint32_t root, uint32_t va)
{
    struct xlate x = {.pde = entry_read(pde_slot_of(root, va))};
    uint64_t both = x.pde;
    const uint64_t reserved = pae() ? 0x7FF0ull << 48 : 0;

    if (!(x.pde & PG_P))
        return x;
    if ((x.pde & PG_PS) && (pae() || read_cr4() & CR4_PSE)) {
        walk_large(&x, va);
    } else {
        walk_table(&x, va);
        if (!(x.pte & PG_P) && !(x.pde & reserved))
            return x;
        both &= x.pte;
    }
    x.reserved |= ((x.pde | x.pte) & reserved) != 0;
    x.writable = both & PG_W;
    x.user = both & PG_U;
    x.no_exec = ((x.pde | x.pte) & PG_NX) != 0;
    x.present = !x.reserved;
    return x;
}

void pages_before(uint32_t root)
{
    for (uint32_t r = 0; r < REGIONS; r++) {
        for (uint32_t i = 0; i < PAGES; i++)
            before[r][i] = walk(root, pages[r][i].va);
    }
}

static void remember(struct page *page, const struct xlate *x)
{
    if (page->stale_count == STALE_MAX) {
        invlpg(page->va);
        page->stale_count = 0;
        return;
    }
    page->stale[page->stale_count++] = *x;
}

void pages_after(uint32_t root)
{
    for (uint32_t r = 0; r < REGIONS; r++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            const struct xlate *old = &before[r][i];
            struct xlate now;

            if (!old->present)
                continue; /* never in a TLB (SDM Vol.3A 4.10.2.3) */
            now = walk(root, pages[r][i].va);
            if (now.pde != old->pde || now.pte != old->pte)
                remember(&pages[r][i], old);
        }
    }
}

void page_flushed(struct page *page)
{
    page->stale_count = 0;
}

void large_page_flushed(struct page *page)
{
    uint32_t kept = 0;

    for (uint32_t k = 0; k < page->stale_count; k++) {
        if (!page->stale[k].large)
            page->stale[kept++] = page->stale[k];
    }
    page->stale_count = kept;
}

void pages_flushed(bool globals_too)
{
    for (uint32_t r = 0; r < REGIONS; r++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            struct page *page = &pages[r][i];
            uint32_t kept = 0;

            for (uint32_t k = 0; k < page->stale_count; k++) {
                if (!globals_too && page->stale[k].global)
                    page->stale[kept++] = page->stale[k];
            }
            page->stale_count = kept;
        }
    }
}

void frames_check(void)
{
    for (uint32_t i = 0; i < FRAMES; i++) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            CHECK_EQ(*frame_slot(i, slot), model[i][slot]);
    }
}
