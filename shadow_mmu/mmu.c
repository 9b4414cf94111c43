/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/mmu.h"

#include "monitor/log.h"
#include "shadow_mmu/mmu_priv.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The object, the choice of windows, and what the guest does that flushes.
 *
 * A flush visits the live regions of a window: the PDE is compared with the one
 * that the region derives from (this is also how the shared kernel window
 * follows a new root), then the leaf table has its turn (leaf.c).
 */

#define SPAN_MAX 64u /* pages dropped by one INVLPG */

#define ROOM 16u /* VMAs that one fault may add, generously */

/* A trace costs about as much to set and to lose as this many comparisons of a
 * leaf with its snapshot. */
#define PATIENCE 64u

static uint32_t role_of(const struct vcpu *vcpu)
{
    uint32_t role = vcpu->a20 ? ROLE_A20 : 0;
    if (!(vcpu->cr0 & CR0_PG))
        return role;
    role |= ROLE_PG;
    if (!(vcpu->cr4 & CR4_PAE))
        return role | (vcpu->cr4 & CR4_PSE ? ROLE_PSE : 0);
    return role | ROLE_PAE | (vcpu->efer & EFER_NXE ? ROLE_NXE : 0);
}

static uint32_t root_key(const struct mmu *mmu)
{
    return mmu->vcpu->cr3 & (is_pae(mmu) ? ~0x1fu : ~PAGE_MASK);
}

int mmu_create(struct mmu **out, struct gmem *gmem, struct vcpu *vcpu,
               const struct mmu_host *host)
{
    struct mmu *mmu = calloc(1, sizeof(*mmu));
    if (mmu == NULL)
        return -ENOMEM;
    mmu->gmem = gmem;
    mmu->vcpu = vcpu;
    mmu->host = *host;
    mmu->uffd = -1;
    mmu->flags = gmem_frame_flags(gmem);
    mmu->frame_count = gmem_frame_count(gmem);
    mmu->rmap = calloc(mmu->frame_count, sizeof(*mmu->rmap));
    mmu->leaf = calloc(mmu->frame_count, sizeof(*mmu->leaf));
    mmu->role = role_of(vcpu);
    mmu->wp_seen = (vcpu->cr0 & CR0_WP) != 0;
    mmu->map_version = gmem_version(gmem);
    mmu->limits = (struct mmu_limits){.vmas = window_vma_budget(),
                                      .user_windows = USER_WINDOWS,
                                      .patience = PATIENCE};
    for (uint32_t i = 0; i < WINDOW_COUNT; i++) {
        mmu->window[i].index = i;
        mmu->window[i].user = i != 0;
    }
    int error = -ENOMEM;
    if (mmu->rmap != NULL && mmu->leaf != NULL)
        error = window_area_claim(mmu);
    trace_open(mmu, MMU_TRACE_DEFAULT);
    if (error != 0) {
        mmu_destroy(mmu);
        return error;
    }
    *out = mmu;
    return 0;
}

void mmu_destroy(struct mmu *mmu)
{
    if (mmu == NULL)
        return;
    for (uint32_t i = 0; mmu->area != 0 && i < WINDOW_COUNT; i++)
        spt_drop_window(mmu, &mmu->window[i]);
    trace_close(mmu);
    window_area_release(mmu);
    free(mmu->rmap);
    free(mmu->leaf);
    free(mmu);
}

static void forget_user_window(struct mmu *mmu, struct window *window)
{
    spt_drop_window(mmu, window);
    window->in_use = false;
    if (mmu->current_user == window)
        mmu->current_user = NULL;
}

static void drop_all(struct mmu *mmu)
{
    for (uint32_t i = 1; i < WINDOW_COUNT; i++)
        if (mmu->window[i].in_use)
            forget_user_window(mmu, &mmu->window[i]);
    spt_drop_window(mmu, kernel_window(mmu));
    mmu->host.user_switched(mmu->host.opaque);
}

void mmu_forget(struct mmu *mmu)
{
    drop_all(mmu);
    thrash_forget(mmu);
    mmu->wp_seen = (mmu->vcpu->cr0 & CR0_WP) != 0;
}

void mmu_sync_role(struct mmu *mmu)
{
    uint32_t role = role_of(mmu->vcpu);
    uint64_t version = gmem_version(mmu->gmem);
    if (LIKELY(role == mmu->role && version == mmu->map_version &&
               (mmu->wp_seen || !(mmu->vcpu->cr0 & CR0_WP))))
        return;
    if (log_on(LOG_MMU))
        log_line(LOG_MMU, "%08x: paging mode %x -> %x, map %llu",
                 mmu->vcpu->eip, mmu->role, role, (unsigned long long)version);
    /* With the old role: it is what the regions are indexed by. */
    drop_all(mmu);
    thrash_forget(mmu);
    mmu->role = role;
    mmu->map_version = version;
    mmu->wp_seen |= (mmu->vcpu->cr0 & CR0_WP) != 0;
}

void mmu_set_trace(struct mmu *mmu, enum mmu_trace kind)
{
    drop_all(mmu);
    trace_open(mmu, kind);
}

enum mmu_trace mmu_get_trace(const struct mmu *mmu)
{
    return mmu->uffd < 0 ? MMU_TRACE_MPROTECT : MMU_TRACE_USERFAULTFD;
}

bool mmu_is_traced(struct mmu *mmu, gva_t gva)
{
    const struct window *window = kernel_window(mmu);
    if ((mmu->role & ROLE_PG) && mmu->vcpu->cpl == 3)
        window = mmu->current_user;
    return window != NULL &&
           (window_spte(window, gva >> PAGE_SHIFT).v & SPTE_TRACED);
}

/* ---- choice and eviction of windows ---- */

static struct window *find_window(struct mmu *mmu, uint32_t key)
{
    for (uint32_t i = 1; i <= mmu->limits.user_windows; i++) {
        struct window *window = &mmu->window[i];
        if (window->in_use && window->key == key)
            return window;
    }
    return NULL;
}

/* The least recently used of the user windows that hold something, or NULL. */
static struct window *oldest(struct mmu *mmu, const struct window *keep)
{
    struct window *found = NULL;
    for (uint32_t i = 1; i < WINDOW_COUNT; i++) {
        struct window *window = &mmu->window[i];
        if (window->spts == 0 || window == keep || window == mmu->current_user)
            continue;
        if (found == NULL || window->last_use < found->last_use)
            found = window;
    }
    return found;
}

static void drop_user_window(struct mmu *mmu, struct window *window)
{
    spt_drop_window(mmu, window);
    window->life = ++mmu->lives;
}

/* Three windows fit whatever they hold: the kernel's, the user's and keep. */
static void make_room_for_spt(struct mmu *mmu, const struct window *keep)
{
    struct window *window;
    while (mmu->spts >= SPT_BUDGET && (window = oldest(mmu, keep)) != NULL) {
        stat_inc(mmu->vcpu->stats, STAT_SPT_EVICTIONS);
        drop_user_window(mmu, window);
    }
}

void mmu_make_room(struct mmu *mmu, const struct window *keep)
{
    make_room_for_spt(mmu, keep);
    while (mmu->vmas != 0 && mmu->vmas + ROOM > mmu->limits.vmas) {
        struct window *window = oldest(mmu, keep);
        stat_inc(mmu->vcpu->stats, STAT_VMA_EVICTIONS);
        if (log_on(LOG_MMU))
            log_line(LOG_MMU, "%08x: %u VMAs in use, evicting", mmu->vcpu->eip,
                     mmu->vmas);
        if (window != NULL) {
            drop_user_window(mmu, window);
            continue;
        }
        /* Windows in use lose their mappings, but code keeps its
         * translations. */
        window = mmu->current_user;
        if (window == NULL || window == keep || window->vmas == 0)
            window = kernel_window(mmu);
        if (window == keep || window->vmas == 0)
            window = &mmu->window[keep->index];
        spt_unmap_window(mmu, window);
    }
}

/* A free user window, or the least recently used one, emptied. */
static struct window *take_window(struct mmu *mmu)
{
    struct window *found = NULL;
    for (uint32_t i = 1; i <= mmu->limits.user_windows; i++) {
        struct window *window = &mmu->window[i];
        if (!window->in_use)
            return window;
        if (found == NULL || window->last_use < found->last_use)
            found = window;
    }
    stat_inc(mmu->vcpu->stats, STAT_WINDOW_EVICTIONS);
    forget_user_window(mmu, found);
    return found;
}

struct window *mmu_user_window(struct mmu *mmu)
{
    if (mmu->current_user != NULL)
        return mmu->current_user;
    struct window *window = take_window(mmu);
    window->in_use = true;
    window->key = root_key(mmu);
    window->last_use = ++mmu->tick;
    window->life = ++mmu->lives;
    mmu->current_user = window;
    return window;
}

unsigned mmu_user_space(struct mmu *mmu, uint64_t *life)
{
    struct window *window = mmu_user_window(mmu);
    *life = window->life;
    return window->index;
}

uint64_t mmu_window_base(struct mmu *mmu)
{
    mmu_sync_role(mmu);
    if ((mmu->role & ROLE_PG) && mmu->vcpu->cpl == 3)
        return mmu_user_window(mmu)->base;
    return kernel_window(mmu)->base;
}

void mmu_get_limits(const struct mmu *mmu, struct mmu_limits *limits)
{
    *limits = mmu->limits;
}

void mmu_set_limits(struct mmu *mmu, const struct mmu_limits *limits)
{
    ASSERT(limits->user_windows >= 1 && limits->user_windows <= USER_WINDOWS);
    mmu->limits = *limits;
    drop_all(mmu);
}

/* ---- flushes ---- */

#define SURVIVORS 4u /* one in so many sptes left: it is the same space */

/* Compare a region with the current root; all: global pages too. */
static void flush_region(struct mmu *mmu, struct window *window, uint32_t index,
                         bool all)
{
    struct region *region = &window->region[index];
    struct gpde pde;
    if (region->present == 0 || !gwalk_pde(mmu, index, &pde) ||
        !spt_keeps(region->pde.v, pde.v)) {
        if (region->present != 0 && !window->user)
            thrash_dropped(mmu, index);
        spt_drop_region(mmu, window, index);
        return;
    }
    region->pde = pde;
    if (region->leaf != NULL && (all || region->leaf->local))
        leaf_flush(mmu, region->leaf);
}

static void flush_window(struct mmu *mmu, struct window *window, bool all)
{
    all |= !(mmu->vcpu->cr4 & CR4_PGE);
    for (uint32_t word = 0; word < ARRAY_COUNT(window->live); word++) {
        for (uint64_t left = window->live[word]; left != 0; left &= left - 1)
            flush_region(mmu, window,
                         word * 64 + (uint32_t)__builtin_ctzll(left), all);
    }
}

void mmu_load_cr3(struct mmu *mmu)
{
    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG))
        return;
    uint32_t key = root_key(mmu);
    struct window *window = find_window(mmu, key);
    mmu->loads++;
    bool switched = window == NULL || window != mmu->current_user;
    mmu->current_user = window;
    if (switched)
        mmu->host.user_switched(mmu->host.opaque);
    flush_window(mmu, kernel_window(mmu), false);
    if (window != NULL) {
        uint32_t present = window->present;
        window->last_use = ++mmu->tick;
        /* While it was not current, INVLPG did not reach it. */
        flush_window(mmu, window, switched);
        if (window->present * SURVIVORS < present)
            window->life = ++mmu->lives;
    }
    if (log_on(LOG_MMU))
        log_line(LOG_MMU, "%08x: cr3 %08x is window %d", mmu->vcpu->eip,
                 mmu->vcpu->cr3, window == NULL ? -1 : (int)window->index);
}

/* A range is flushed page by page. How many pages from this one on are likely to
 * have their turn now: the rest of a range that has begun, or as many as the
 * last range had that began here (the kernel maps and unmaps its fixmap so, with
 * INVLPG behind each change of an entry). */
static uint32_t flush_span(struct mmu *mmu, uint32_t page)
{
    struct flush_range *range = &mmu->flushed;
    if (page == range->next && page != range->first) {
        range->next++;
        return SPAN_MAX;
    }
    uint32_t span = page == range->first ? range->next - range->first : 1;
    *range = (struct flush_range){.first = page, .next = page + 1};
    return span;
}

/* Mapped pages from this one on whose entries are not present any more, or soon
 * will not be, going by span. To drop them all costs one host call instead of
 * one for each; where the guess is wrong, a hidden fault. */
static uint32_t flushed_run(const struct mmu *mmu, const struct window *window,
                            uint32_t page, uint32_t span)
{
    const uint32_t entries = BIT(region_shift(mmu));
    const struct leaf *leaf = window->region[page >> region_shift(mmu)].leaf;
    uint32_t entry = page & (entries - 1), count = 0;
    while (count < SPAN_MAX && entry + count < entries) {
        struct spte spte = window_spte(window, page + count);
        bool gone = !(leaf_read(mmu, leaf, entry + count).v & PTE_P);
        if (!(spte.v & SPTE_MAPPED) || (spte.v & SPTE_FETCHED) ||
            !(gone || (count != 0 && count < span)))
            break;
        count++;
    }
    return count;
}

static void flush_page(struct mmu *mmu, struct window *window, uint32_t page,
                       uint32_t span)
{
    uint32_t index = page >> region_shift(mmu);
    if (!region_is_live(window, index))
        return;
    struct region *region = &window->region[index];
    struct gpde pde;
    if (!gwalk_pde(mmu, index, &pde) || !spt_keeps(region->pde.v, pde.v)) {
        spt_drop_region(mmu, window, index);
        return;
    }
    region->pde = pde;
    if (region->leaf == NULL || region->leaf->synced)
        return;
    uint32_t entry = page & (BIT(region_shift(mmu)) - 1);
    uint32_t count = flushed_run(mmu, window, page, span);
    if (count > 1)
        spt_drop(mmu, window, page, count);
    leaf_check(mmu, region->leaf, entry, entry + 1);
}

/* What was mapped and has another translation now is wanted again at once:
 * copy on write, temporary kernel mappings. */
static void invalidate_page(struct mmu *mmu, struct window *window,
                            uint32_t page, uint32_t span)
{
    bool mapped = window_spte(window, page).v & SPTE_MAPPED;
    flush_page(mmu, window, page, span);
    if (mapped && !(window_spte(window, page).v & SPTE_MAPPED))
        fault_prefill(mmu, window, page);
}

void mmu_invlpg(struct mmu *mmu, gva_t gva)
{
    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG))
        return;
    uint32_t page = gva >> PAGE_SHIFT, span = flush_span(mmu, page);
    invalidate_page(mmu, kernel_window(mmu), page, span);
    if (mmu->current_user != NULL)
        invalidate_page(mmu, mmu->current_user, page, span);
}

void mmu_page_faulted(struct mmu *mmu, gva_t gva)
{
    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG))
        return;
    flush_page(mmu, kernel_window(mmu), gva >> PAGE_SHIFT, 1);
    if (mmu->current_user != NULL)
        flush_page(mmu, mmu->current_user, gva >> PAGE_SHIFT, 1);
}

void mmu_flush(struct mmu *mmu)
{
    mmu_sync_role(mmu);
    if (!(mmu->role & ROLE_PG))
        return;
    flush_window(mmu, kernel_window(mmu), true);
    if (mmu->current_user != NULL)
        flush_window(mmu, mmu->current_user, true);
}
