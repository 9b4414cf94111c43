/* SPDX-License-Identifier: MIT */
#include "emu/cpu/debug.h"

#include <string.h>

#include "emu/cpu/tlb.h"

/* R/W field of DR7 (SDM 3B 17.2.4 "Debug Control Register (DR7)"). */
enum { ON_EXECUTE, ON_WRITE, ON_IO, ON_ACCESS };

static bool is_enabled(uint32_t dr7, unsigned n)
{
    return (dr7 >> (n * 2) & 3) != 0;
}

static unsigned condition(uint32_t dr7, unsigned n)
{
    return dr7 >> (16 + n * 4) & 3;
}

/* LEN field: 0 1 2 3 are 1, 2, 8 and 4 bytes. */
static unsigned length(uint32_t dr7, unsigned n)
{
    static const uint8_t bytes[4] = {1, 2, 8, 4};

    return bytes[dr7 >> (18 + n * 4) & 3];
}

/* The breakpoint's range, which the CPU aligns to its length, meets ours. */
static bool overlaps(const struct interp *interp, unsigned n, uint32_t address,
                     unsigned size)
{
    uint32_t len = length(interp->watch[4], n);
    uint64_t first = interp->watch[n] & ~(len - 1);

    return first < (uint64_t)address + size && address < first + len;
}

void debug_sync(struct interp *interp)
{
    const uint32_t *dr = interp->vcpu->dr;
    const uint32_t now[5] = {dr[0], dr[1], dr[2], dr[3], dr[7]};

    if (memcmp(now, interp->watch, sizeof(now)) == 0)
        return;
    memcpy(interp->watch, now, sizeof(now));
    tlb_flush_all(interp);
}

bool debug_is_watched_slow(const struct interp *interp, gva_t gva)
{
    uint32_t dr7 = interp->watch[4];

    for (unsigned n = 0; n < 4; n++)
        if (is_enabled(dr7, n) && (condition(dr7, n) & 1) &&
            overlaps(interp, n, gva & ~PAGE_MASK, PAGE_SIZE))
            return true;
    return false;
}

void debug_note_access_slow(struct interp *interp, gva_t gva, unsigned size,
                            bool write)
{
    uint32_t dr7 = interp->watch[4];

    for (unsigned n = 0; n < 4; n++) {
        unsigned when = condition(dr7, n);

        if (is_enabled(dr7, n) &&
            (when == ON_ACCESS || (write && when == ON_WRITE)) &&
            overlaps(interp, n, gva, size))
            interp->watch_hit |= BIT(n);
    }
}

void debug_note_port(struct interp *interp, uint16_t port, unsigned size)
{
    uint32_t dr7 = interp->watch[4];

    if (!(interp->vcpu->cr4 & CR4_DE))
        return;
    for (unsigned n = 0; n < 4; n++)
        if (is_enabled(dr7, n) && condition(dr7, n) == ON_IO &&
            overlaps(interp, n, port, size))
            interp->watch_hit |= BIT(n);
}

uint32_t debug_code_hits(const struct interp *interp, gip_t gip)
{
    uint32_t dr7 = interp->watch[4];
    uint32_t hits = 0;

    for (unsigned n = 0; n < 4; n++)
        if (is_enabled(dr7, n) && condition(dr7, n) == ON_EXECUTE &&
            interp->watch[n] == gip)
            hits |= BIT(n);
    return hits;
}
