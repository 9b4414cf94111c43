/* SPDX-License-Identifier: MIT */
#include "board_pit.h"

#include <string.h>

/*
 * 8254 datasheet, "Programming the 8254", "Mode Definitions". The board's chip
 * takes a new count of mode 3 at the end of the period, not of the half, and
 * shows no low phases of modes 2 to 5 on the wire to IRQ 0; so does this one.
 *
 * Not known: CE before it is loaded, and what depends on the gate having moved
 * within one tick.
 */
#define HZ 1193182u
#define NS 1000000000u

static bool is_periodic(const struct pit_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool is_triggered(const struct pit_channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

static int64_t wrap_of(const struct pit_channel *c)
{
    return c->bcd ? 10000 : 65536;
}

static void load(struct pit_channel *c)
{
    c->loads = c->is_null = false;
    c->counts = true;
    c->known = !c->moved;
    c->period = c->cr;
    c->phase = 0;
    c->ce = c->cr;
}

/* Reloads go on for as long as ticks are left. */
static void advance_periodic(struct pit_channel *c, uint64_t ticks)
{
    uint64_t left = c->period - c->phase;

    if (ticks < left) {
        c->phase += (uint32_t)ticks;
        return;
    }
    ticks -= left;
    load(c);
    c->rises += 1 + ticks / c->period;
    c->phase = (uint32_t)(ticks % c->period);
}

static void advance(struct pit_channel *c, uint64_t ticks)
{
    int64_t before = c->ce;
    int64_t end = c->mode == 4 || c->mode == 5 ? -1 : 0; /* a strobe ends */

    if (ticks > 0 && c->loads) {
        load(c);
        before = c->ce;
        ticks--;
    }
    if (!c->counts || (!c->gate && !is_triggered(c)))
        return;
    if (is_periodic(c)) {
        advance_periodic(c, ticks);
        return;
    }
    c->ce -= (int64_t)ticks;
    c->rises += before > end && c->ce <= end;
}

void pit_model_advance(struct pit_model *pit, uint64_t ns)
{
    int64_t now = (int64_t)((unsigned __int128)ns * HZ / NS);

    for (unsigned i = 0; i < 3; i++)
        advance(&pit->channel[i], (uint64_t)(now - pit->now));
    pit->now = now;
}

static bool output(const struct pit_channel *c)
{
    switch (c->mode) {
    case 0: return c->counts && !c->loads && c->ce <= 0;
    case 1: return !c->counts || c->ce <= 0;
    case 2: /* a count of 1 is not allowed */
        return !c->counts || !c->gate || c->period == 1 ||
               c->phase + 1 != c->period;
    case 3: return !c->counts || !c->gate || c->phase < (c->period + 1) / 2;
    default: return !c->counts || c->ce != 0;
    }
}

/* What a read yields; false: not known. */
static bool counter(const struct pit_channel *c, uint16_t *value)
{
    int64_t wrap = wrap_of(c), ce = c->ce;
    uint32_t half = (c->period + 1) / 2;

    if (!c->counts || !c->known || c->loads)
        return false;
    if (c->mode == 2)
        ce = c->period - c->phase;
    if (c->mode == 3)
        ce = (c->period & ~1u) - 2 * (int64_t)(c->phase % half);
    ce = (ce % wrap + wrap) % wrap;
    *value = (uint16_t)ce;
    if (c->bcd)
        *value = (uint16_t)(ce / 1000 << 12 | ce / 100 % 10 << 8 |
                            ce / 10 % 10 << 4 | ce % 10);
    return true;
}

void pit_model_gate(struct pit_model *pit, unsigned channel, bool gate)
{
    struct pit_channel *c = &pit->channel[channel];

    if (gate == c->gate)
        return;
    c->gate = gate;
    if (gate && c->has_cr && (is_periodic(c) || is_triggered(c)))
        c->loads = true;
    else if (gate && c->loads)
        c->moved = true;
}

static void write_control(struct pit_channel *c, uint8_t value)
{
    bool gate = c->gate;

    memset(c, 0, sizeof(*c));
    c->gate = gate;
    c->rw = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4;
    c->bcd = value & 1;
    c->is_null = true;
}

static void write_count(struct pit_channel *c, uint32_t value)
{
    if (c->bcd)
        value = ((value >> 12) * 1000 + (value >> 8 & 15) * 100 +
                 (value >> 4 & 15) * 10 + (value & 15)) %
                10000;
    c->cr = value ? value : (uint32_t)wrap_of(c);
    c->has_cr = c->is_null = true;
    c->moved = false;
    if (is_triggered(c))
        return;
    if (!is_periodic(c) || !c->counts)
        c->loads = true;
    if (is_periodic(c) && !c->gate)
        c->known = false;
}

static void write_byte(struct pit_channel *c, uint8_t value)
{
    if (c->rw == 3 && !c->second_write) {
        c->second_write = true;
        c->low = value;
        if (c->mode == 0) /* counting is disabled at once, OUT is low */
            c->counts = c->loads = false;
        return;
    }
    if (c->mode == 0)
        c->counts = false;
    if (c->rw == 3)
        write_count(c, (uint32_t)c->low | (uint32_t)value << 8);
    else
        write_count(c, c->rw == 2 ? (uint32_t)value << 8 : value);
    c->second_write = false;
}

static void latch_count(struct pit_channel *c)
{
    if (c->latched != 0)
        return;
    c->latch_known = counter(c, &c->latch);
    c->latched = c->rw == 3 ? 2 : 1;
}

static void latch_status(struct pit_channel *c)
{
    if (c->has_status)
        return;
    c->has_status = true;
    c->status = (uint8_t)((output(c) ? 0x80 : 0) | (c->is_null ? 0x40 : 0) |
                          (int)c->rw << 4 | (int)c->mode << 1 | c->bcd);
    c->status_mask = 0xff;
    /* OUT of a channel that gate or count just moved. */
    if ((c->loads || !c->known) && c->has_cr)
        c->status_mask &= 0x7f;
    /* Null count: at the gate's edge, while it is low, and behind the first
     * byte of a count. */
    if (c->moved || (c->loads && !c->is_null))
        c->status_mask &= 0xbf;
    if ((!c->gate && !is_triggered(c)) || (c->mode == 0 && c->second_write))
        c->status_mask &= 0xbf;
}

void pit_model_write(struct pit_model *pit, unsigned offset, uint8_t value)
{
    if (offset < 3) {
        write_byte(&pit->channel[offset], value);
    } else if (value >> 6 < 3) {
        struct pit_channel *c = &pit->channel[value >> 6];

        if (value & 0x30)
            write_control(c, value);
        else
            latch_count(c);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & 0x20))
                latch_count(&pit->channel[i]);
            if (!(value & 0x10))
                latch_status(&pit->channel[i]);
        }
    }
}

uint8_t pit_model_read(struct pit_model *pit, unsigned offset, uint8_t *mask)
{
    struct pit_channel *c = &pit->channel[offset % 3];
    uint16_t value = c->latch;
    bool known = c->latch_known, high = c->rw == 2;

    *mask = 0xff;
    if (offset == 3)
        return 0xff;
    if (c->has_status) {
        c->has_status = false;
        *mask = c->status_mask;
        return c->status;
    }
    if (c->latched == 0)
        known = counter(c, &value);
    else
        c->latched--;
    if (c->rw == 3) {
        high = c->second_read;
        c->second_read = !high;
    }
    *mask = known ? 0xff : 0;
    return (uint8_t)(high ? value >> 8 : value);
}

int pit_model_out2(const struct pit_model *pit)
{
    const struct pit_channel *c = &pit->channel[2];

    if ((c->loads || !c->known) && c->has_cr)
        return -1;
    return output(c);
}

unsigned pit_model_edges(struct pit_model *pit)
{
    struct pit_channel *c = &pit->channel[0];
    bool high = c->mode != 0 || output(c), was_high = pit->wire;
    unsigned edges = 0;

    if (c->rises > 0) {
        c->rises = 0;
        edges++;
        was_high = true;
    }
    edges += high && !was_high;
    pit->wire = high;
    return edges;
}

void pit_model_reset(struct pit_model *pit, uint64_t ns)
{
    static const uint8_t control[] = {0x36, 0x74, 0xb6};

    pit_model_advance(pit, ns);
    for (unsigned i = 0; i < 3; i++) {
        pit->channel[i].gate = i != 2;
        write_control(&pit->channel[i], control[i]);
    }
    write_count(&pit->channel[0], 0);
    write_count(&pit->channel[1], 18);
}
