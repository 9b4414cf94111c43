/* SPDX-License-Identifier: MIT */
#ifndef SHADOW_MMU_MMU_H
#define SHADOW_MMU_MMU_H

/*
 * PURPOSE: the shadow MMU: windows whose host mappings are the shadow page
 * table, filled on hidden faults from the guest's tables and kept coherent by
 * traces.
 *
 * A window is 4 GiB of host addresses, 4 GiB aligned, with nothing mapped but
 * what the guest's tables allow: linear address x of the guest is host address
 * window + x. The kernel window holds pages of CPL 0-2 rights that are
 * supervisor pages (U=0); a user window per address space holds U=1 pages with
 * CPL 3 rights. With CR0.PG=0 the kernel window is the flat map of RAM, used by
 * every CPL. MMIO and ROM-for-writing are never mapped.
 *
 * To the guest a window is a TLB: what was derived from a table entry may
 * outlive a change of that entry until the guest executes what flushes it.
 *
 * Invariants (spt_verify checks them):
 *   - a mapped window page grants no more than the guest's tables granted when
 *     they were last required to be looked at (SDM 3A 4.10 TLB rules);
 *   - every mapping of a frame is in the reverse map;
 *   - a frame with FRAME_TABLE or FRAME_CODE is writable in no window;
 *   - the VMAs in use stay below the budget.
 *
 * Threading: the vcpu's thread only; mmu_fault() also from its fault
 * handler while a CCF runs (never while other monitor code does, so that it
 * may call malloc).
 */
#include "monitor/vcpu.h"

struct mmu;
struct gmem;

/* Upcalls to the rest of the monitor. */
struct mmu_host {
    void *opaque;
    /* The translation of a linear page that mmu_fetch() was asked for, in the
     * kernel window or the current user window, changed or went: lookups and
     * chains by that page are stale. May be called from within every mmu_
     * function. */
    void (*code_unmapped)(void *opaque, gva_t page);
    /* Every user-space lookup is stale (address space switched). */
    void (*user_switched)(void *opaque);
    /* Bytes of a frame with FRAME_CODE were stored to (the store is done). The
     * cache drops what it made from them; mmu_trace_code(gfn, false) when
     * nothing is left. */
    void (*code_written)(void *opaque, gfn_t gfn, unsigned offset,
                         unsigned len);
    /* A frame got its first FRAME_ flag: nobody may go on storing to it
     * unannounced. May be NULL. */
    void (*frame_traced)(void *opaque, gfn_t gfn);
};

MUST_CHECK int mmu_create(struct mmu **out, struct gmem *gmem,
                          struct vcpu *vcpu, const struct mmu_host *host);
void mmu_destroy(struct mmu *mmu);

/* Host base address of the window that the vcpu's CPL and CR3 run on now. */
uint64_t mmu_window_base(struct mmu *mmu);

/* A number below MMU_SPACES for the current CR3, for what the caller keeps about
 * its user space. *life changes when that is another space: few translations
 * outlived the last MOV CR3, as when the guest has used a page directory again,
 * or the window was evicted. Holds until the next MOV CR3. */
#define MMU_SPACES 33u
unsigned mmu_user_space(struct mmu *mmu, uint64_t *life);

enum mmu_result {
    MMU_RETRY,   /* mapped: run the access again */
    MMU_EMULATE, /* RAM access that must not be mapped: a traced frame, MMIO,
                  * ROM, a straddle: the interpreter runs the instruction */
    MMU_SOFT,    /* as EMULATE, and the site will keep faulting: supervisor
                  * code touching a user page, a WP=0 store, a region of the
                  * kernel window that roots map differently */
    MMU_TRUE     /* the guest's own #PF: vcpu->exc is filled */
};

/* A host fault at guest linear address gva while CPL code ran (vcpu->cpl and,
 * for MMU_TRUE, vcpu->eip are current). Walks the guest's tables, sets A (and D
 * for a store), fills the window. */
enum mmu_result mmu_fault(struct mmu *mmu, gva_t gva, bool write);

/* Whether a trace protects the page from stores: then a host fault that says
 * SIGBUS is that trace's, and any other SIGBUS is the host's own trouble. */
bool mmu_is_traced(struct mmu *mmu, gva_t gva);

/* A hint: CPL code is about to access gva, for which it took a true fault that
 * the guest has handled since. Maps what the guest's tables grant now, which
 * saves the host fault. */
void mmu_prefill(struct mmu *mmu, gva_t gva);

/* Walk for an instruction fetch at CPL: MMU_RETRY with the frame in *gfn, or
 * MMU_TRUE with vcpu->exc filled. MMU_EMULATE: the code is not in RAM or ROM, or
 * the host has no memory to remember it. Sets A. Does not map. Both pages of an
 * instruction that straddles are asked for by two calls. */
enum mmu_result mmu_fetch(struct mmu *mmu, gva_t gva, gfn_t *gfn);

/* The guest changed what translations depend on. */
void mmu_load_cr3(struct mmu *mmu); /* after vcpu->cr3 (and pdpte) changed */
void mmu_invlpg(struct mmu *mmu, gva_t gva);
/* #PF is delivered: the processor forgets what is cached of the page, so that
 * it cannot fault again for what memory no longer says (SDM 3A 4.10.4.1). */
void mmu_page_faulted(struct mmu *mmu, gva_t gva);
void mmu_flush(struct mmu *mmu); /* CR0/CR4/EFER paging bits, A20 changed */

/* RAM may have changed without anyone being told, page tables that are traced
 * included: forget all windows, and what their use has taught. */
void mmu_forget(struct mmu *mmu);

/* A store by the interpreter or a device to a frame with flags. */
void mmu_ram_stored(struct mmu *mmu, gpa_t gpa, unsigned len);

/* Set or release the write trace on a frame that holds translated code. */
void mmu_trace_code(struct mmu *mmu, gfn_t gfn, bool on);

/* What the MMU may use, and when a leaf table gets a trace. The defaults are
 * the host's limit less a reserve, 32, and a measured figure. */
struct mmu_limits {
    unsigned vmas;         /* host mappings in all windows */
    unsigned user_windows; /* 1 to 32 */
    unsigned patience;     /* flushes that find a leaf table unchanged */
    bool always_synced;    /* for tests: every leaf table has a trace */
    bool no_prefills;      /* for tests: pages are mapped when they fault */
};
void mmu_get_limits(const struct mmu *mmu, struct mmu_limits *limits);
void mmu_set_limits(struct mmu *mmu, const struct mmu_limits *limits);

/* How the host is asked to report stores to traced frames (trace.h). A host that
 * lacks userfaultfd gets mprotect. Forgets all windows. For tests and
 * measurements: mmu_create() chooses the default. */
enum mmu_trace { MMU_TRACE_DEFAULT, MMU_TRACE_MPROTECT, MMU_TRACE_USERFAULTFD };
void mmu_set_trace(struct mmu *mmu, enum mmu_trace kind);

/* The one in use. */
enum mmu_trace mmu_get_trace(const struct mmu *mmu);

/* NULL when every invariant holds, else a static string that names the broken
 * one. Walks all windows: slow. The second form is for a caller that has just
 * called mmu_flush(): nothing may be stale in the current windows. The third
 * compares the windows with /proc/self/maps and pagemap. */
const char *spt_verify(struct mmu *mmu);
/* The same of the pages and regions that changed since the last call; of all,
 * when those were more than 256. */
const char *spt_verify_touched(struct mmu *mmu);
const char *spt_verify_flushed(struct mmu *mmu);
const char *spt_verify_host(struct mmu *mmu);

#endif /* SHADOW_MMU_MMU_H */
