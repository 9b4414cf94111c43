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

static void touch(struct mmu *mmu, place_t place)
{
    if (mmu->touched_count < TOUCHED_COUNT)
        mmu->touched[mmu->touched_count++] = place;
    else
        mmu->touched_count = TOUCHED_COUNT + 1;
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
    touch(mmu, place);
    bool current = !window->user || window == mmu->current_user;
    if ((old.v & SPTE_FETCHED) && !same && current)
        mmu->host.code_unmapped(mmu->host.opaque, page << PAGE_SHIFT);
}

static bool ensure_spt(struct mmu *mmu, struct window *window, uint32_t page)
{
    struct spt **spt = &window->spt[page / SPT_PAGES];
    if (*spt != NULL)
        return true;
    *spt = calloc(1, sizeof(**spt));
    if (*spt == NULL)
        return false;
    window->spts++;
    mmu->spts++;
    return true;
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

/* Whether any page of the range is mapped. */
static bool has_mapped(const struct window *window, uint32_t page,
                       uint32_t count)
{
    for (uint32_t i = page; i < page + count; i++) {
        if (window_spte(window, i).v & SPTE_MAPPED)
            return true;
    }
    return false;
}

/* Register a region with userfaultfd, with what it maps and will map. False:
 * the host refuses. */
static bool watch(struct mmu *mmu, struct window *window, uint32_t index)
{
    const uint32_t first = index << region_shift(mmu);
    const uint32_t count = BIT(region_shift(mmu));
    if (window->region[index].watched)
        return true;
    if (has_mapped(window, first, count) &&
        !trace_register(mmu, window, first, count))
        return false;
    unsigned before = window_count_vmas(mmu, window, first, count);
    window->region[index].watched = true;
    window_book(mmu, window, before,
                window_count_vmas(mmu, window, first, count));
    stat_inc(mmu->vcpu->stats, STAT_TRACE_REGIONS);
    return true;
}

static bool is_frame_traced(const struct mmu *mmu, gfn_t gfn)
{
    return gfn < mmu->frame_count && mmu->flags[gfn] != 0;
}

/* Whether the run would map a traced frame by a writable VMA. */
static bool needs_watch(const struct mmu *mmu, const struct run *run)
{
    for (uint32_t i = 0; run->write && i < run->count; i++) {
        if (is_frame_traced(mmu, run->gfn + i))
            return true;
    }
    return false;
}

/* The spte that a fill makes of a page. kept: its mapping stays. */
static struct spte filled_spte(const struct mmu *mmu,
                               const struct window *window,
                               const struct run *run, uint32_t i, bool kept)
{
    struct spte old = window_spte(window, run->page + i);
    struct spte now = {(uint32_t)(run->gfn + i) << PAGE_SHIFT | SPTE_PRESENT |
                       SPTE_MAPPED | (run->write ? SPTE_WRITE : 0)};
    if ((old.v ^ now.v) < PAGE_SIZE)
        now.v |= old.v & SPTE_FETCHED;
    /* What cannot be stored to keeps its protection for later. */
    if (run->write ? is_frame_traced(mmu, run->gfn + i)
                   : kept && (old.v & SPTE_TRACED))
        now.v |= SPTE_TRACED;
    return now;
}

enum change { CHANGE_NONE, CHANGE_PROTECT, CHANGE_RELEASE };

/* What a fill does to the protection of a page. */
static enum change trace_change(const struct mmu *mmu,
                                const struct window *window,
                                const struct run *run, uint32_t i, bool kept)
{
    bool was = kept && (window_spte(window, run->page + i).v & SPTE_TRACED);
    bool is = filled_spte(mmu, window, run, i, kept).v & SPTE_TRACED;
    if (was == is)
        return CHANGE_NONE;
    return is ? CHANGE_PROTECT : CHANGE_RELEASE;
}

/* Protect the traced pages of a run that is mapped already, before anything can
 * store to them, and those no longer that have lost their trace. */
static bool fill_traces(struct mmu *mmu, const struct window *window,
                        const struct run *run, bool kept)
{
    uint32_t count;
    for (uint32_t i = 0; i < run->count; i += count) {
        enum change change = trace_change(mmu, window, run, i, kept);
        for (count = 1; i + count < run->count; count++) {
            if (trace_change(mmu, window, run, i + count, kept) != change)
                break;
        }
        if (change != CHANGE_NONE &&
            !trace_protect(mmu, window, run->page + i, count,
                           change == CHANGE_PROTECT))
            return false;
    }
    return true;
}

/* The host's part of a fill. */
static bool fill_host(struct mmu *mmu, struct window *window,
                      const struct run *run, bool kept)
{
    const struct region *region =
        &window->region[run->page >> region_shift(mmu)];
    bool was_writable = window_spte(window, run->page).v & SPTE_WRITE;
    if (!kept) {
        if (!window_map(mmu, window, run) ||
            (region->watched &&
             !trace_register(mmu, window, run->page, run->count)))
            return false;
    } else if (was_writable != run->write &&
               !window_protect(window, run->page, run->count, run->write)) {
        return false;
    }
    return !region->watched || fill_traces(mmu, window, run, kept);
}

bool spt_fill(struct mmu *mmu, struct window *window, const struct run *run)
{
    const uint32_t index = run->page >> region_shift(mmu);
    ASSERT(index == (run->page + run->count - 1) >> region_shift(mmu));
    ASSERT(region_is_live(window, index));
    if (!ensure_spt(mmu, window, run->page))
        return false;
    if (needs_watch(mmu, run) && !watch(mmu, window, index)) {
        spt_unmap_window(mmu, window);
        return false;
    }
    unsigned before = window_count_vmas(mmu, window, run->page, run->count);
    bool kept = is_mapped(window, run);
    if (!fill_host(mmu, window, run, kept)) {
        /* What the failed call left behind is unknown. */
        spt_unmap_window(mmu, window);
        return false;
    }
    for (uint32_t i = 0; i < run->count; i++)
        set_spte(mmu, window, run->page + i,
                 filled_spte(mmu, window, run, i, kept));
    window_book(mmu, window, before,
                window_count_vmas(mmu, window, run->page, run->count));
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
    if (!ensure_spt(mmu, window, page))
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
    unsigned before = window_count_vmas(mmu, window, page, count);
    clear_sptes(mmu, window, page, count);
    window_book(mmu, window, before,
                window_count_vmas(mmu, window, page, count));
}

/* Every mapping goes, the translations stay. Unmapping the whole splits no
 * VMA, so it is what is left to do when the host has none to give, and cannot
 * fail for that reason itself. */
void spt_unmap_window(struct mmu *mmu, struct window *window)
{
    if (!window_unmap(window, 0, WINDOW_PAGES))
        base_host_failure("could not unmap guest memory");
    for (uint32_t i = 0; i < SPT_COUNT; i++) {
        struct spt *spt = window->spt[i];
        for (uint32_t k = 0; spt != NULL && k < SPT_PAGES; k++)
            spt->spte[k].v &= ~(SPTE_MAPPED | SPTE_WRITE | SPTE_TRACED);
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
        if (window->spt[i] == NULL) /* most */
            continue;
        free(window->spt[i]);
        window->spt[i] = NULL;
    }
    mmu->spts -= window->spts;
    window->spts = 0;
}

void spt_protect(struct mmu *mmu, struct window *window, uint32_t page,
                 uint32_t count)
{
    unsigned before = window_count_vmas(mmu, window, page, count);
    if (!window_protect(window, page, count, false)) {
        spt_unmap_window(mmu, window);
        return;
    }
    for (uint32_t i = page; i < page + count; i++) {
        struct spte spte = window_spte(window, i);
        spte.v &= ~SPTE_WRITE;
        set_spte(mmu, window, i, spte);
    }
    window_book(mmu, window, before,
                window_count_vmas(mmu, window, page, count));
}

static void spt_trace(struct mmu *mmu, struct window *window, uint32_t page)
{
    if (mmu->uffd < 0) {
        spt_protect(mmu, window, page, 1);
        return;
    }
    if (!watch(mmu, window, page >> region_shift(mmu)) ||
        !trace_protect(mmu, window, page, 1, true)) {
        spt_unmap_window(mmu, window);
        return;
    }
    window->spt[page / SPT_PAGES]->spte[page % SPT_PAGES].v |= SPTE_TRACED;
}

void spt_trace_frame(struct mmu *mmu, gfn_t gfn)
{
    place_t next;
    for (place_t place = mmu->rmap[gfn]; place != 0; place = next) {
        struct window *window = place_window(mmu, place);
        uint32_t page = place & (WINDOW_PAGES - 1);
        next = *place_next(mmu, place);
        if ((window_spte(window, page).v & (SPTE_WRITE | SPTE_TRACED)) ==
            SPTE_WRITE)
            spt_trace(mmu, window, page);
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
