/* SPDX-License-Identifier: MIT */
#include "monitor/log.h"
#include "shadow_mmu/mmu_priv.h"

/*
 * Regions of the kernel window that roots map differently: NT's hyperspace,
 * self-maps, per-process parts of the kernel's half. Each switch between such
 * roots drops the region and each use fills it again, by signals and host
 * calls. A region that is dropped DROPS_MAX times, never more than DROPS_APART
 * MOV CR3 apart, is given up: it stays unmapped, and the sites that access it
 * go soft. After PAROLE loads it may be mapped again, and is given up anew at
 * half as many drops.
 */
#define DROPS_MAX   16u
#define DROPS_APART 64u
#define PAROLE      4096u

void thrash_dropped(struct mmu *mmu, uint32_t index)
{
    struct thrash *thrash = &mmu->thrash[index];
    stat_inc(mmu->vcpu->stats, STAT_REGION_DROPS);
    if (mmu->loads - thrash->last > DROPS_APART)
        thrash->drops = 0;
    thrash->last = mmu->loads;
    if (++thrash->drops < DROPS_MAX)
        return;
    thrash->is_soft = true;
    thrash->drops = DROPS_MAX / 2;
    stat_inc(mmu->vcpu->stats, STAT_SOFT_REGIONS);
    if (log_on(LOG_MMU))
        log_line(LOG_MMU, "%08x: the region of %08x goes soft", mmu->vcpu->eip,
                 index << (region_shift(mmu) + PAGE_SHIFT));
}

bool thrash_is_soft(struct mmu *mmu, const struct window *window, uint32_t page)
{
    struct thrash *thrash = &mmu->thrash[page >> region_shift(mmu)];
    if (window->user || LIKELY(!thrash->is_soft))
        return false;
    if (mmu->loads - thrash->last > PAROLE) {
        thrash->is_soft = false;
        thrash->last = mmu->loads;
        return false;
    }
    return true;
}

void thrash_forget(struct mmu *mmu)
{
    for (uint32_t i = 0; i < REGION_MAX; i++)
        mmu->thrash[i] = (struct thrash){0};
}
