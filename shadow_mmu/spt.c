/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/mmu_priv.h"

#include <stdlib.h>

/*
 * Sptes change in one place, set_spte(): it keeps the reverse map and the
 * regions' counts and tells the cache about pages that code was fetched from.
 * Host mappings are changed around it, in runs, by the public functions, which
 * also book the VMAs.
 */

static place_t place_of(const struct window *window, uint32_t page)
{
    return ((window->index + 1) << 20) | page;
}

static struct window *place_window(struct mmu *mmu, place_t place)
{
    ASSERT(place >> 20 != 0 && place >> 20 <= WINDOW_COUNT);
    return &mmu->window[(place >> 20) - 1];
}

static place_t *place_next(struct mmu *mmu, place_t place)
{
    uint32_t page = place & (WINDOW_PAGES - 1);
    return &place_window(mmu, place)
                ->spt[page / SPT_PAGES]
                ->next[page % SPT_PAGES];
}

static place_t *place_prev(struct mmu *mmu, place_t place)
{
    uint32_t page = place & (WINDOW_PAGES - 1);
    return &place_window(mmu, place)
                ->spt[page / SPT_PAGES]
                ->prev[page % SPT_PAGES];
}

/* Firmware frames are not in the reverse map: they are never traced. */
static void rmap_link(struct mmu *mmu, place_t place, gfn_t gfn)
{
    if (gfn >= mmu->frame_count)
        return;
    place_t first = mmu->rmap[gfn];
    *place_next(mmu, place) = first;
    *place_prev(mmu, place) = 0;
    if (first != 0)
        *place_prev(mmu, first) = place;
    mmu->rmap[gfn] = place;
}

static void rmap_unlink(struct mmu *mmu, place_t place, gfn_t gfn)
{
    if (gfn >= mmu->frame_count)
        return;
    place_t next = *place_next(mmu, place), prev = *place_prev(mmu, place);
    if (next != 0)
        *place_prev(mmu, next) = prev;
    if (prev != 0)
        *place_next(mmu, prev) = next;
    else
        mmu->rmap[gfn] = next;
}

static void set_spte(struct mmu *mmu, struct window *window, uint32_t page,
                     struct spte now)
{
    struct spte *spte = &window->spt[page / SPT_PAGES]->spte[page % SPT_PAGES];
    const struct spte old = *spte;
    struct region *region = &window->region[page >> region_shift(mmu)];
    place_t place = place_of(window, page);
    bool was = old.v & SPTE_PRESENT, is = now.v & SPTE_PRESENT;
    bool same = was && is && (old.v ^ now.v) < PAGE_SIZE;
    if (was && !same)
        rmap_unlink(mmu, place, old.v >> PAGE_SHIFT);
    if (is && !same)
        rmap_link(mmu, place, now.v >> PAGE_SHIFT);
    region->present = region->present - was + is;
    window->present = window->present - was + is;
    *spte = now;
    bool current = !window->user || window == mmu->current_user;
    if ((old.v & SPTE_FETCHED) && !same && current)
        mmu->host.code_unmapped(mmu->host.opaque, page << PAGE_SHIFT);
}

static bool ensure_spt(struct window *window, uint32_t page)
{
    struct spt **spt = &window->spt[page / SPT_PAGES];
    if (*spt == NULL)
        *spt = calloc(1, sizeof(**spt));
    return *spt != NULL;
}

/* Whether the run is mapped already, to these frames. */
static bool is_mapped(const struct window *window, const struct run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        struct spte spte = window_spte(window, run->page + i);
        if (!(spte.v & SPTE_MAPPED) || spte.v >> PAGE_SHIFT != run->gfn + i)
            return false;
    }
    return true;
}

bool spt_fill(struct mmu *mmu, struct window *window, const struct run *run)
{
    ASSERT(run->page / SPT_PAGES == (run->page + run->count - 1) / SPT_PAGES);
    ASSERT(region_is_live(window, run->page >> region_shift(mmu)));
    if (!ensure_spt(window, run->page))
        return false;
    unsigned before = window_count_vmas(window, run->page, run->count);
    bool ok = is_mapped(window, run)
                  ? window_protect(window, run->page, run->count, run->write)
                  : window_map(mmu, window, run);
    if (!ok) {
        /* What the failed call left behind is unknown. */
        spt_unmap_window(mmu, window);
        return false;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        uint32_t page = run->page + i;
        struct spte old = window_spte(window, page);
        struct spte now = {(uint32_t)(run->gfn + i) << PAGE_SHIFT |
                           SPTE_PRESENT | SPTE_MAPPED |
                           (run->write ? SPTE_WRITE : 0)};
        if ((old.v ^ now.v) < PAGE_SIZE)
            now.v |= old.v & SPTE_FETCHED;
        set_spte(mmu, window, page, now);
    }
    window_book(mmu, window, before,
                window_count_vmas(window, run->page, run->count));
    stat_add(mmu->vcpu->stats, STAT_FILLS, run->count);
    return true;
}

bool spt_note_fetch(struct mmu *mmu, struct window *window, uint32_t page,
                    gfn_t gfn)
{
    struct spte spte = window_spte(window, page);
    if ((spte.v & SPTE_PRESENT) && spte.v >> PAGE_SHIFT != gfn) {
        spt_drop(mmu, window, page, 1);
        spte.v = 0;
    }
    if (!ensure_spt(window, page))
        return false;
    spte.v |= (uint32_t)gfn << PAGE_SHIFT | SPTE_PRESENT | SPTE_FETCHED;
    set_spte(mmu, window, page, spte);
    return true;
}

static void clear_sptes(struct mmu *mmu, struct window *window, uint32_t page,
                        uint32_t count)
{
    for (uint32_t i = page; i < page + count; i++) {
        if (window_spte(window, i).v != 0)
            set_spte(mmu, window, i, (struct spte){0});
    }
}

void spt_drop(struct mmu *mmu, struct window *window, uint32_t page,
              uint32_t count)
{
    uint32_t first = page + count, last = page;
    for (uint32_t i = page; i < page + count; i++) {
        if (!(window_spte(window, i).v & SPTE_MAPPED))
            continue;
        if (i < first)
            first = i;
        last = i;
        stat_inc(mmu->vcpu->stats, STAT_DROPS);
    }
    if (first <= last && !window_unmap(window, first, last - first + 1))
        spt_unmap_window(mmu, window);
    unsigned before = window_count_vmas(window, page, count);
    clear_sptes(mmu, window, page, count);
    window_book(mmu, window, before, window_count_vmas(window, page, count));
}

/* Every mapping goes, the translations stay. Unmapping the whole splits no
 * VMA, so it is what is left to do when the host has none to give, and cannot
 * fail for that reason itself. */
void spt_unmap_window(struct mmu *mmu, struct window *window)
{
    ENSURE(window_unmap(window, 0, WINDOW_PAGES));
    for (uint32_t i = 0; i < SPT_COUNT; i++) {
        struct spt *spt = window->spt[i];
        for (uint32_t k = 0; spt != NULL && k < SPT_PAGES; k++)
            spt->spte[k].v &= ~(SPTE_MAPPED | SPTE_WRITE);
    }
    window_book(mmu, window, window->vmas, 0);
}

void spt_drop_window(struct mmu *mmu, struct window *window)
{
    if (window->vmas != 0)
        spt_unmap_window(mmu, window);
    for (uint32_t index = 0; index < REGION_MAX; index++) {
        if (!region_is_live(window, index))
            continue;
        clear_sptes(mmu, window, index << region_shift(mmu),
                    BIT(region_shift(mmu)));
        spt_drop_region(mmu, window, index);
    }
    for (uint32_t i = 0; i < SPT_COUNT; i++) {
        free(window->spt[i]);
        window->spt[i] = NULL;
    }
}

void spt_protect(struct mmu *mmu, struct window *window, uint32_t page,
                 uint32_t count)
{
    unsigned before = window_count_vmas(window, page, count);
    if (!window_protect(window, page, count, false)) {
        spt_unmap_window(mmu, window);
        return;
    }
    for (uint32_t i = page; i < page + count; i++) {
        struct spte spte = window_spte(window, i);
        spte.v &= ~SPTE_WRITE;
        set_spte(mmu, window, i, spte);
    }
    window_book(mmu, window, before, window_count_vmas(window, page, count));
}

void spt_protect_frame(struct mmu *mmu, gfn_t gfn)
{
    place_t next;
    for (place_t place = mmu->rmap[gfn]; place != 0; place = next) {
        struct window *window = place_window(mmu, place);
        uint32_t page = place & (WINDOW_PAGES - 1);
        next = *place_next(mmu, place);
        if (window_spte(window, page).v & SPTE_WRITE)
            spt_protect(mmu, window, page, 1);
    }
}

bool spt_keeps(uint64_t old, uint64_t now)
{
    const uint64_t ignored = 7u << 9;
    const uint64_t gained = now & (PTE_A | PTE_D | PTE_W);
    return ((old | gained | ignored) ^ (now | ignored)) == 0;
}

struct region *spt_attach(struct mmu *mmu, struct window *window,
                          uint32_t index, const struct gwalk *walk)
{
    struct region *region = &window->region[index];
    struct gpde pde = walk == NULL ? (struct gpde){0} : walk->pde;
    if (region_is_live(window, index)) {
        if (spt_keeps(region->pde.v, pde.v)) {
            region->pde = pde;
            return region;
        }
        spt_drop_region(mmu, window, index);
    }
    *region = (struct region){.pde = pde};
    if (walk != NULL && !walk->large &&
        !leaf_attach(mmu, window, index, walk->leaf))
        return NULL;
    window->live[index / 64] |= BIT64(index % 64);
    return region;
}

void spt_drop_region(struct mmu *mmu, struct window *window, uint32_t index)
{
    if (window->region[index].present != 0)
        spt_drop(mmu, window, index << region_shift(mmu),
                 BIT(region_shift(mmu)));
    leaf_detach(mmu, window, index);
    window->live[index / 64] &= ~BIT64(index % 64);
}
