/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_DEBUG_H
#define EMU_CPU_DEBUG_H

/*
 * PURPOSE: the guest's own breakpoints, DR0-DR3 under DR7 (SDM 3B 17.2 "Debug
 * Registers").
 *
 * A page with an enabled data breakpoint gets TLB entries that allow nothing,
 * so that only accesses to such pages pay for the comparison.
 */
#include "emu/cpu/interp_priv.h"

#define DR6_BS BIT(14)

/* L0 G0 .. L3 G3. */
#define DR7_ENABLES 0xffu

/* Take note of changed debug registers; called while any is enabled. */
void debug_sync(struct interp *interp);

/* True when an enabled data breakpoint lies in the page of gva. */
bool debug_is_watched_slow(const struct interp *interp, gva_t gva);

static inline bool debug_is_watched(const struct interp *interp, gva_t gva)
{
    return (interp->watch[4] & DR7_ENABLES) &&
           debug_is_watched_slow(interp, gva);
}

/* Remember the data breakpoints that an access meets: the trap comes after the
 * instruction. */
void debug_note_access_slow(struct interp *interp, gva_t gva, unsigned size,
                            bool write);

static inline void debug_note_access(struct interp *interp, gva_t gva,
                                     unsigned size, bool write)
{
    if (UNLIKELY(interp->watch[4] & DR7_ENABLES))
        debug_note_access_slow(interp, gva, size, write);
}

/* The same for a port access (CR4.DE). */
void debug_note_port(struct interp *interp, uint16_t port, unsigned size);

/* DR6 bits of the instruction breakpoints at gip; 0 if none. */
uint32_t debug_code_hits(const struct interp *interp, gip_t gip);

#endif /* EMU_CPU_DEBUG_H */
