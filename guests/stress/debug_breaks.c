/* SPDX-License-Identifier: MIT */
/*
 * Which breakpoints an instruction meets (SDM Vol.3B "Debug Control Register
 * (DR7)", "Breakpoint Field Recognition").
 */
#include "debug.h"

uint32_t debug_break_type(const struct debug_regs *regs, uint32_t n)
{
    return regs->dr7 >> (16 + 4 * n) & 3;
}

static bool enabled(const struct debug_regs *regs, uint32_t n)
{
    return regs->dr7 >> (2 * n) & 3;
}

/* LEN 2 is not used: it is undefined on processors of 32 bits. */
static uint32_t length_of(const struct debug_regs *regs, uint32_t n)
{
    return (regs->dr7 >> (18 + 4 * n) & 3) + 1;
}

static bool meets(const struct debug_regs *regs, uint32_t n, uint32_t at,
                  uint32_t size)
{
    uint32_t len = length_of(regs, n);
    uint32_t first = regs->dr[n] & ~(len - 1);

    return first < at + size && at < first + len;
}

uint32_t debug_execute_hits(const struct debug_regs *regs, uint32_t eip,
                            bool enabled_only)
{
    uint32_t hits = 0;

    for (uint32_t n = 0; n < 4; n++) {
        if (debug_break_type(regs, n) == BREAK_EXECUTE && regs->dr[n] == eip &&
            (enabled(regs, n) || !enabled_only))
            hits |= 1u << n;
    }
    return hits;
}

uint32_t debug_touch_address(const struct op *op, const struct touch *touch,
                             uint32_t done)
{
    uint32_t step = done * touch->size;

    if (touch->base != AT_ADDRESS)
        return touch->at;
    return touch->at + (op->down ? 0 - step : step);
}

static bool notices(const struct debug_regs *regs, uint32_t n,
                    const struct touch *touch)
{
    if (touch->base == AT_PORT)
        return debug_break_type(regs, n) == BREAK_IO;
    return debug_break_type(regs, n) == BREAK_ACCESS ||
           (debug_break_type(regs, n) == BREAK_WRITE && touch->write);
}

uint32_t debug_touch_hits(const struct debug_regs *regs, const struct op *op,
                          uint32_t done, bool enabled_only)
{
    uint32_t hits = 0;

    for (uint32_t i = 0; i < op->touches; i++) {
        const struct touch *touch = &op->touch[i];

        for (uint32_t n = 0; n < 4; n++) {
            if (notices(regs, n, touch) &&
                (enabled(regs, n) || !enabled_only) &&
                meets(regs, n, debug_touch_address(op, touch, done),
                      touch->size))
                hits |= 1u << n;
        }
    }
    return hits;
}
