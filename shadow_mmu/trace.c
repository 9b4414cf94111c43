/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/trace.h"

#include "monitor/log.h"
#include "shadow_mmu/mmu_priv.h"

/*
 * Traces: a frame with flags is writable in no window. Setting the first flag
 * protects every mapping through the reverse map; clearing the last one leaves
 * the protections in place: the next store faults once and ends them by itself,
 * if it comes at all.
 */

/* A synced leaf that is stored to this often by the interpreter is better off
 * unsynced. */
#define STORES_MAX 3u

void trace_set(struct mmu *mmu, gfn_t gfn, uint8_t flag)
{
    if (gfn >= mmu->frame_count || (mmu->flags[gfn] & flag))
        return;
    if (mmu->flags[gfn] == 0) {
        spt_trace_frame(mmu, gfn);
        if (mmu->host.frame_traced)
            mmu->host.frame_traced(mmu->host.opaque, gfn);
    }
    mmu->flags[gfn] |= flag;
    stat_inc(mmu->vcpu->stats, STAT_TRACES_SET);
    if (log_on(LOG_TRACE))
        log_line(LOG_TRACE, "set %x on frame %05llx", flag,
                 (unsigned long long)gfn);
}

void trace_clear(struct mmu *mmu, gfn_t gfn, uint8_t flag)
{
    if (gfn >= mmu->frame_count || !(mmu->flags[gfn] & flag))
        return;
    mmu->flags[gfn] &= (uint8_t)~flag;
    if (log_on(LOG_TRACE))
        log_line(LOG_TRACE, "clear %x on frame %05llx", flag,
                 (unsigned long long)gfn);
}

void mmu_trace_code(struct mmu *mmu, gfn_t gfn, bool on)
{
    if (on)
        trace_set(mmu, gfn, FRAME_CODE);
    else
        trace_clear(mmu, gfn, FRAME_CODE);
}

static void table_stored(struct mmu *mmu, gfn_t gfn, unsigned offset,
                         unsigned len)
{
    struct leaf *leaf = mmu->leaf[gfn];
    const unsigned shift = is_pae(mmu) ? 3 : 2;
    if (NEVER(leaf == NULL))
        return;
    stat_inc(mmu->vcpu->stats, STAT_TRACE_FAULTS);
    leaf_check(mmu, leaf, offset >> shift, ((offset + len - 1) >> shift) + 1);
    if (++leaf->stores >= STORES_MAX)
        leaf_unsync(mmu, leaf);
}

/* The part of a store that lies in one frame. */
static void frame_stored(struct mmu *mmu, gfn_t gfn, unsigned offset,
                         unsigned len)
{
    if (gfn >= mmu->frame_count)
        return;
    if (mmu->flags[gfn] & FRAME_TABLE)
        table_stored(mmu, gfn, offset, len);
    if (mmu->flags[gfn] & FRAME_CODE)
        mmu->host.code_written(mmu->host.opaque, gfn, offset, len);
}

void mmu_ram_stored(struct mmu *mmu, gpa_t gpa, unsigned len)
{
    while (len > 0) {
        unsigned offset = gpa & PAGE_MASK;
        unsigned part = PAGE_SIZE - offset < len ? PAGE_SIZE - offset : len;
        frame_stored(mmu, gpa >> PAGE_SHIFT, offset, part);
        gpa += part;
        len -= part;
    }
}
