/* SPDX-License-Identifier: MIT */
#ifndef SHADOW_MMU_TRACE_H
#define SHADOW_MMU_TRACE_H

/*
 * PURPOSE: traces: frames that no window may write because something is derived
 * from them, and the two ways to have the host say that one is written.
 *
 * With mprotect a traced frame is mapped by read-only VMAs: setting a trace
 * splits the VMA of each mapping, and the fault is a SIGSEGV. With userfaultfd
 * the VMA stays writable and the host's page-table entry alone is protected:
 * no split, a sixth of the price, and the fault is a SIGBUS. Userfaultfd needs
 * Linux 5.19 (write protection of shared memory) and a host that allows it; it
 * is asked for faults from user mode only, which needs no privilege.
 *
 * A page can be protected so once its VMA is registered. That is done by
 * region, when the first trace in it is set (struct region, watched): VMAs
 * merge only with others that are registered alike, and a registration costs
 * each fill 0.6 us.
 */
#include "shadow_mmu/mmu.h"

struct window;

/* ---- trace.c: flags of frames ---- */

void trace_set(struct mmu *mmu, gfn_t gfn, uint8_t flag);
void trace_clear(struct mmu *mmu, gfn_t gfn, uint8_t flag);

/* ---- trace_host.c: the host's part ---- */

/* Choose: what the host does not give falls back to mprotect, silently. Nothing
 * may be mapped. */
void trace_open(struct mmu *mmu, enum mmu_trace kind);
void trace_close(struct mmu *mmu);

/* Register mapped pages, so that trace_protect() works on them. False: the host
 * refuses. */
bool trace_register(struct mmu *mmu, const struct window *window, uint32_t page,
                    uint32_t count);

/* Protect registered, mapped pages, or no longer. */
bool trace_protect(struct mmu *mmu, const struct window *window, uint32_t page,
                   uint32_t count, bool on);

#endif /* SHADOW_MMU_TRACE_H */
