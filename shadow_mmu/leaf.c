/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/mmu_priv.h"

#include <stdlib.h>
#include <string.h>

/*
 * Coherence with leaf page tables. A window is a TLB, so a table may be changed
 * freely until the guest flushes; then
 *
 *  1. an unsynced leaf is compared with its snapshot, the entries that differ
 *     lose their sptes, and the snapshot takes the present values. Comparing
 *     costs about 0.1 us, a trace fault and its protections about 10: so this
 *     is how every leaf begins;
 *  2. a leaf that was found equal `patience` times in a row is synced: its
 *     frame gets a trace, and flushes skip it;
 *  3. the first store to a synced leaf ends that (the snapshot is exact at that
 *     moment) and makes it harder to come back.
 *
 * Page directories are never traced: the few entries that windows derive from
 * are kept in the regions and compared at every flush (mmu.c).
 */

#define PATIENCE_MAX 65536u
#define NO_USER      0u
#define BRIDGE       16u /* pages without sptes between two that are dropped */

static uint32_t user_id(const struct window *window, uint32_t index)
{
    return ((window->index + 1) << 11) | index;
}

static struct window *user_window(struct mmu *mmu, uint32_t id)
{
    ASSERT(id >> 11 != 0 && id >> 11 <= WINDOW_COUNT);
    return &mmu->window[(id >> 11) - 1];
}

static struct region *user_region(struct mmu *mmu, uint32_t id)
{
    return &user_window(mmu, id)->region[id & (REGION_MAX - 1)];
}

static uint32_t entry_count(const struct mmu *mmu)
{
    return BIT(region_shift(mmu));
}

/* Frames of RAM have their bytes whatever the map says of them now. */
static const uint8_t *leaf_hva(const struct mmu *mmu, const struct leaf *leaf)
{
    return gmem_base(mmu->gmem) + (leaf->gfn << PAGE_SHIFT);
}

struct gpte leaf_read(const struct mmu *mmu, const struct leaf *leaf,
                      uint32_t index)
{
    const uint8_t *hva = leaf_hva(mmu, leaf);
    struct gpte pte = {0};
    if (is_pae(mmu))
        memcpy(&pte.v, hva + index * 8, 8);
    else
        memcpy(&pte.v, hva + index * 4, 4); /* little-endian */
    return pte;
}

struct gpte leaf_snapshot(const struct mmu *mmu, const struct leaf *leaf,
                          uint32_t index)
{
    return (struct gpte){is_pae(mmu) ? leaf->snap64[index]
                                     : leaf->snap32[index]};
}

static void set_snapshot(const struct mmu *mmu, struct leaf *leaf,
                         uint32_t index, struct gpte pte)
{
    if (is_pae(mmu))
        leaf->snap64[index] = pte.v;
    else
        leaf->snap32[index] = (uint32_t)pte.v;
}

static struct leaf *leaf_create(struct mmu *mmu, gfn_t gfn)
{
    struct leaf *leaf = calloc(1, sizeof(*leaf));
    if (leaf == NULL)
        return NULL;
    leaf->gfn = gfn;
    leaf->low = entry_count(mmu);
    leaf->patience = mmu->limits.patience;
    memcpy(leaf->snap64, leaf_hva(mmu, leaf), PAGE_SIZE);
    mmu->leaf[gfn] = leaf;
    if (mmu->limits.always_synced) {
        leaf->synced = true;
        trace_set(mmu, gfn, FRAME_TABLE);
    }
    return leaf;
}

bool leaf_attach(struct mmu *mmu, struct window *window, uint32_t index,
                 gfn_t gfn)
{
    ENSURE(gfn < mmu->frame_count);
    struct leaf *leaf = mmu->leaf[gfn];
    if (leaf == NULL)
        leaf = leaf_create(mmu, gfn);
    if (leaf == NULL)
        return false;
    struct region *region = &window->region[index];
    region->leaf = leaf;
    region->prev = NO_USER;
    region->next = leaf->users;
    if (leaf->users != NO_USER)
        user_region(mmu, leaf->users)->prev = user_id(window, index);
    leaf->users = user_id(window, index);
    return true;
}

void leaf_detach(struct mmu *mmu, struct window *window, uint32_t index)
{
    struct region *region = &window->region[index];
    struct leaf *leaf = region->leaf;
    region->leaf = NULL;
    if (leaf == NULL)
        return;
    if (region->next != NO_USER)
        user_region(mmu, region->next)->prev = region->prev;
    if (region->prev != NO_USER)
        user_region(mmu, region->prev)->next = region->next;
    else
        leaf->users = region->next;
    if (leaf->users != NO_USER)
        return;
    if (leaf->synced)
        trace_clear(mmu, leaf->gfn, FRAME_TABLE);
    mmu->leaf[leaf->gfn] = NULL;
    free(leaf);
}

/* A bit for each entry of a table. */
struct entry_set {
    uint64_t word[SPT_PAGES / 64];
};

static void set_add(struct entry_set *set, uint32_t i)
{
    set->word[i / 64] |= BIT64(i % 64);
}

static bool set_has(const struct entry_set *set, uint32_t i)
{
    return (set->word[i / 64] >> (i % 64)) & 1;
}

/* The first member at or behind an entry; end if there is none. */
static uint32_t set_next(const struct entry_set *set, uint32_t i, uint32_t end)
{
    while (i < end) {
        uint64_t left = set->word[i / 64] >> (i % 64);
        if (left != 0) {
            i += (uint32_t)__builtin_ctzll(left);
            return i < end ? i : end;
        }
        i = (i | 63) + 1;
    }
    return end;
}

/* Whether nothing is between two entries of a user but pages without sptes, and
 * not many of those: they may be unmapped along. */
static bool can_bridge(const struct window *window, uint32_t first,
                       uint32_t end)
{
    if (end - first > BRIDGE)
        return false;
    while (first < end && window_spte(window, first).v == 0)
        first++;
    return first == end;
}

/* Drop the stale pages of one user, dense runs of them at once. A table may have
 * thousands of users: what is not stale is not looked at. */
static void drop_stale(struct mmu *mmu, uint32_t id,
                       const struct entry_set *stale, uint32_t high)
{
    struct window *window = user_window(mmu, id);
    uint32_t base = (id & (REGION_MAX - 1)) << region_shift(mmu);
    uint32_t first = 0, end = 0;
    for (uint32_t i = set_next(stale, 0, high); i < high;
         i = set_next(stale, i + 1, high)) {
        if (window_spte(window, base + i).v == 0)
            continue;
        if (first == end || !can_bridge(window, base + end, base + i)) {
            if (first != end)
                spt_drop(mmu, window, base + first, end - first);
            first = i;
        }
        end = i + 1;
    }
    if (first != end)
        spt_drop(mmu, window, base + first, end - first);
}

/* Write-protect the pages of one user that lost no more than R/W. */
static void narrow(struct mmu *mmu, uint32_t id, const struct entry_set *set,
                   uint32_t high)
{
    struct window *window = user_window(mmu, id);
    uint32_t base = (id & (REGION_MAX - 1)) << region_shift(mmu);
    uint32_t count;
    for (uint32_t i = set_next(set, 0, high); i < high;
         i = set_next(set, i + count + 1, high)) {
        for (count = 0; i + count < high && set_has(set, i + count) &&
                        (window_spte(window, base + i + count).v & SPTE_WRITE);
             count++)
            ;
        if (count != 0)
            spt_protect(mmu, window, base + i, count);
    }
}

/* Compare entries; what changed for the worse goes into one of two sets. */
static void compare(struct mmu *mmu, struct leaf *leaf, uint32_t low,
                    uint32_t high, struct entry_set *stale,
                    struct entry_set *narrowed)
{
    for (uint32_t i = low; i < high; i++) {
        struct gpte now = leaf_read(mmu, leaf, i);
        uint64_t was = leaf_snapshot(mmu, leaf, i).v;
        /* fork() takes R/W from every private page and leaves the rest. */
        bool lost_write = (was & PTE_W) && !(now.v & PTE_W);
        if (lost_write && spt_keeps(was & ~PTE_W, now.v))
            set_add(narrowed, i);
        else if (!spt_keeps(was, now.v))
            set_add(stale, i);
        set_snapshot(mmu, leaf, i, now);
    }
}

bool leaf_check(struct mmu *mmu, struct leaf *leaf, uint32_t low, uint32_t high)
{
    const uint32_t width = is_pae(mmu) ? 8 : 4;
    const uint8_t *snapshot = (const uint8_t *)leaf->snap64;
    struct entry_set stale = {0}, narrowed = {0};
    stat_inc(mmu->vcpu->stats, STAT_LEAF_CHECKS);
    if (low >= high ||
        memcmp(leaf_hva(mmu, leaf) + low * width, snapshot + low * width,
               (high - low) * width) == 0)
        return false;
    stat_inc(mmu->vcpu->stats, STAT_LEAF_CHANGES);
    compare(mmu, leaf, low, high, &stale, &narrowed);
    for (uint32_t id = leaf->users; id != NO_USER;
         id = user_region(mmu, id)->next) {
        if (user_region(mmu, id)->present == 0)
            continue;
        drop_stale(mmu, id, &stale, high);
        narrow(mmu, id, &narrowed, high);
    }
    return true;
}

void leaf_take(struct mmu *mmu, struct leaf *leaf, uint32_t index)
{
    leaf_check(mmu, leaf, index, index + 1);
    if (index < leaf->low)
        leaf->low = index;
    if (index >= leaf->high)
        leaf->high = index + 1;
}

void leaf_flush(struct mmu *mmu, struct leaf *leaf)
{
    if (leaf->synced)
        return;
    stat_inc(mmu->vcpu->stats, STAT_LEAF_FLUSHES);
    if (leaf_check(mmu, leaf, leaf->low, leaf->high)) {
        leaf->quiet = 0;
    } else if (++leaf->quiet >= leaf->patience) {
        leaf->synced = true;
        leaf->stores = 0;
        trace_set(mmu, leaf->gfn, FRAME_TABLE);
    }
}

void leaf_unsync(struct mmu *mmu, struct leaf *leaf)
{
    if (!leaf->synced || mmu->limits.always_synced)
        return;
    leaf->synced = false;
    leaf->quiet = 0;
    if (leaf->patience < PATIENCE_MAX)
        leaf->patience *= 2;
    trace_clear(mmu, leaf->gfn, FRAME_TABLE);
}
