/* SPDX-License-Identifier: MIT */
#include "monitor/log.h"
#include "shadow_mmu/mmu_priv.h"

/*
 * A host fault in a window, step by step:
 *
 *  1. walk the guest's tables as the access does: a fault is the guest's own;
 *  2. decide whether this window may map the page at all: MMIO, stores to ROM
 *     and to traced frames, and supervisor accesses to user pages or to a
 *     region that thrashes may not;
 *  3. a store to a synced leaf table ends its trace and goes on;
 *  4. bind the region to the entries walked, and take them into the leaf's
 *     snapshot;
 *  5. map the run of pages around the miss that the guest's tables grant alike,
 *     and retry.
 *
 * All of this runs in the signal handler, where malloc and mmap are sound
 * because the code that was interrupted is a CCF, never the C library.
 */

#define AROUND_PAGES 64u /* aligned block that a run of small pages stays in */

/* What is about to be mapped: one page and where it comes from. */
struct fill {
    struct window *window;
    struct region *region;
    uint32_t page;
    gfn_t gfn;
    bool flat; /* without paging */
};

static struct gaccess access_of(const struct mmu *mmu, bool write, bool fetch)
{
    return (struct gaccess){
        .write = write, .user = mmu->vcpu->cpl == 3, .fetch = fetch};
}

static uint32_t leaf_index(const struct mmu *mmu, uint32_t page)
{
    return page & (BIT(region_shift(mmu)) - 1);
}

/* Whether stores may reach the frame without telling anyone. */
static bool frame_is_free(const struct mmu *mmu, gfn_t gfn)
{
    return gfn < mmu->frame_count && mmu->flags[gfn] == 0 &&
           gmem_lookup(mmu->gmem, gfn, NULL, NULL) == GMEM_RAM;
}

/* Whether a writable VMA may map the frame; with userfaultfd a traced one may
 * be among its pages. */
static bool can_write(const struct mmu *mmu, gfn_t gfn)
{
    if (mmu->uffd < 0)
        return frame_is_free(mmu, gfn);
    return gmem_lookup(mmu->gmem, gfn, NULL, NULL) == GMEM_RAM;
}

/* Stores at CPL 0-2 with CR0.WP=0 ignore R/W; windows do only as long as the
 * guest has never set WP. */
static bool grants_write(const struct mmu *mmu, const struct window *window,
                         const struct gwalk *walk)
{
    bool ignored = !window->user && !mmu->wp_seen;
    return walk->dirty && (walk->writable || ignored);
}

/* Whether a page may be mapped in the run: it must translate to gfn for the
 * window's privilege. *write says how. */
static bool page_grants(const struct mmu *mmu, const struct fill *fill,
                        uint32_t page, gfn_t gfn, bool *write)
{
    struct gwalk walk;
    struct gpte pte = {0};
    if (gmem_lookup(mmu->gmem, gfn, NULL, NULL) == GMEM_NONE)
        return false;
    *write = can_write(mmu, gfn);
    if (fill->flat)
        return gwalk_frame(mmu, (gpa_t)page << PAGE_SHIFT) == gfn;
    const struct leaf *leaf = fill->region->leaf;
    if (leaf != NULL)
        pte = leaf_read(mmu, leaf, leaf_index(mmu, page));
    if (!gwalk_decode(mmu, page, fill->region->pde, pte, &walk) ||
        !walk.accessed || walk.user != fill->window->user || walk.gfn != gfn)
        return false;
    *write = *write && grants_write(mmu, fill->window, &walk);
    return true;
}

/* Whether a neighbour is in the state of the page that faulted, and would be
 * mapped alike. (take_run() drops an spte that is stale.) */
static bool can_join(const struct mmu *mmu, const struct fill *fill,
                     uint32_t page, bool write)
{
    gfn_t gfn = fill->gfn + page - fill->page;
    struct spte mine = window_spte(fill->window, fill->page);
    struct spte spte = window_spte(fill->window, page);
    bool may_write;
    if ((mine.v ^ spte.v) & (SPTE_MAPPED | SPTE_WRITE | SPTE_TRACED))
        return false;
    if ((spte.v & SPTE_PRESENT) && spte.v >> PAGE_SHIFT != gfn)
        return false;
    return page_grants(mmu, fill, page, gfn, &may_write) && may_write == write;
}

static struct run find_run(const struct mmu *mmu, const struct fill *fill,
                           bool write)
{
    uint32_t block =
        fill->region->leaf == NULL ? BIT(region_shift(mmu)) : AROUND_PAGES;
    uint32_t low = fill->page & ~(block - 1), high = low + block;
    uint32_t first = fill->page, end = fill->page + 1;
    while (first > low && can_join(mmu, fill, first - 1, write))
        first--;
    while (end < high && can_join(mmu, fill, end, write))
        end++;
    return (struct run){.page = first,
                        .count = end - first,
                        .gfn = fill->gfn - (fill->page - first),
                        .touch = fill->page,
                        .write = write};
}

/* Note that the sptes of the run derive from the leaf as it is now. */
static void take_run(struct mmu *mmu, const struct fill *fill,
                     const struct run *run)
{
    struct leaf *leaf = fill->region->leaf;
    struct gwalk walk;
    for (uint32_t i = 0; leaf != NULL && i < run->count; i++) {
        uint32_t index = leaf_index(mmu, run->page + i);
        leaf_take(mmu, leaf, index);
        if (gwalk_decode(mmu, run->page + i, fill->region->pde,
                         leaf_read(mmu, leaf, index), &walk))
            leaf->local |= !walk.global;
    }
}

/* Bind the page's region to the walk (NULL without paging) and drop what is
 * stale about the page. False: no host memory. */
static bool prepare(struct mmu *mmu, struct fill *fill,
                    const struct gwalk *walk)
{
    fill->flat = walk == NULL;
    fill->region =
        spt_attach(mmu, fill->window, fill->page >> region_shift(mmu), walk);
    if (fill->region == NULL)
        return false;
    struct run page = {.page = fill->page, .count = 1};
    take_run(mmu, fill, &page);
    return true;
}

static enum mmu_result fill_page(struct mmu *mmu, struct fill *fill,
                                 const struct gwalk *walk, bool write)
{
    bool may_write;
    mmu_make_room(mmu, fill->window);
    if (!prepare(mmu, fill, walk) ||
        !page_grants(mmu, fill, fill->page, fill->gfn, &may_write) ||
        (write && !may_write))
        return MMU_EMULATE;
    struct run run = find_run(mmu, fill, may_write);
    take_run(mmu, fill, &run);
    if (!spt_fill(mmu, fill->window, &run))
        return MMU_EMULATE;
    if (log_on(LOG_MMU))
        log_line(LOG_MMU, "%08x: window %u maps %05x-%05x to %05llx %s",
                 mmu->vcpu->eip, fill->window->index, run.page,
                 run.page + run.count - 1, (unsigned long long)run.gfn,
                 run.write ? "rw" : "r");
    return MMU_RETRY;
}

/* The frame of an access that the guest's tables allow. */
static enum mmu_result map_frame(struct mmu *mmu, struct fill *fill,
                                 const struct gwalk *walk, bool write)
{
    if (gmem_lookup(mmu->gmem, fill->gfn, NULL, NULL) == GMEM_NONE)
        return MMU_EMULATE;
    if (write && fill->gfn < mmu->frame_count &&
        mmu->flags[fill->gfn] == FRAME_TABLE) {
        stat_inc(mmu->vcpu->stats, STAT_TRACE_FAULTS);
        leaf_unsync(mmu, mmu->leaf[fill->gfn]);
    }
    if (write && !frame_is_free(mmu, fill->gfn))
        return MMU_EMULATE;
    return fill_page(mmu, fill, walk, write);
}

static enum mmu_result true_fault(struct mmu *mmu, gva_t gva, uint32_t error)
{
    vcpu_page_fault(mmu->vcpu, gva, error);
    return MMU_TRUE;
}

static enum mmu_result resolve(struct mmu *mmu, gva_t gva, bool write)
{
    struct gwalk walk;
    struct gaccess access = access_of(mmu, write, false);
    struct fill fill = {.window = kernel_window(mmu),
                        .page = gva >> PAGE_SHIFT};

    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG)) {
        fill.gfn = gwalk_frame(mmu, gva);
        return map_frame(mmu, &fill, NULL, write);
    }
    switch (gwalk(mmu, gva, access, &walk)) {
    case WALK_FAULT: return true_fault(mmu, gva, walk.error);
    case WALK_OUTSIDE: return MMU_EMULATE;
    case WALK_OK: break;
    }
    if (!access.user &&
        (walk.user || (write && !walk.writable && mmu->wp_seen)))
        return MMU_SOFT;
    if (access.user)
        fill.window = mmu_user_window(mmu);
    else if (thrash_is_soft(mmu, fill.window, fill.page))
        return MMU_SOFT;
    fill.gfn = walk.gfn;
    return map_frame(mmu, &fill, &walk, write);
}

enum mmu_result mmu_fault(struct mmu *mmu, gva_t gva, bool write)
{
    enum mmu_result result = resolve(mmu, gva, write);
    stat_inc(mmu->vcpu->stats,
             result == MMU_TRUE ? STAT_TRUE_FAULTS : STAT_HIDDEN_FAULTS);
    return result;
}

void fault_prefill(struct mmu *mmu, struct window *window, uint32_t page)
{
    struct gwalk walk;
    struct fill fill = {.window = window, .page = page};
    bool write;
    if (!(mmu->role & ROLE_PG) || mmu->limits.no_prefills ||
        !gwalk_peek(mmu, page, &walk) || !(walk.pde.v & PTE_A) ||
        !walk.accessed || walk.user != window->user ||
        thrash_is_soft(mmu, window, page) ||
        gmem_lookup(mmu->gmem, walk.gfn, NULL, NULL) == GMEM_NONE)
        return;
    fill.gfn = walk.gfn;
    mmu_make_room(mmu, window);
    if (!prepare(mmu, &fill, &walk) ||
        !page_grants(mmu, &fill, page, fill.gfn, &write))
        return;
    struct spte spte = window_spte(window, page);
    if ((spte.v & SPTE_MAPPED) && (!write || (spte.v & SPTE_WRITE)))
        return;
    struct run run = find_run(mmu, &fill, write);
    take_run(mmu, &fill, &run);
    if (spt_fill(mmu, window, &run))
        stat_inc(mmu->vcpu->stats, STAT_PREFILLS);
}

void mmu_prefill(struct mmu *mmu, gva_t gva)
{
    mmu_sync_role(mmu);
    fault_prefill(
        mmu, mmu->vcpu->cpl == 3 ? mmu_user_window(mmu) : kernel_window(mmu),
        gva >> PAGE_SHIFT);
}

static enum mmu_result note_fetch(struct mmu *mmu, struct fill *fill,
                                  const struct gwalk *walk)
{
    if (gmem_lookup(mmu->gmem, fill->gfn, NULL, NULL) == GMEM_NONE)
        return MMU_EMULATE;
    mmu_make_room(mmu, fill->window);
    if (!prepare(mmu, fill, walk) ||
        !spt_note_fetch(mmu, fill->window, fill->page, fill->gfn))
        return MMU_EMULATE;
    return MMU_RETRY;
}

enum mmu_result mmu_fetch(struct mmu *mmu, gva_t gva, gfn_t *gfn)
{
    struct gwalk walk;
    struct gaccess access = access_of(mmu, false, true);
    struct fill fill = {.window = kernel_window(mmu),
                        .page = gva >> PAGE_SHIFT};
    enum mmu_result result;

    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG)) {
        fill.gfn = gwalk_frame(mmu, gva);
        result = note_fetch(mmu, &fill, NULL);
    } else {
        switch (gwalk(mmu, gva, access, &walk)) {
        case WALK_FAULT: return true_fault(mmu, gva, walk.error);
        case WALK_OUTSIDE: return MMU_EMULATE;
        case WALK_OK: break;
        }
        if (access.user)
            fill.window = mmu_user_window(mmu);
        fill.gfn = walk.gfn;
        result = note_fetch(mmu, &fill, &walk);
    }
    *gfn = fill.gfn;
    return result;
}
