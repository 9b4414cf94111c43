/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8254.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"

/*
 * Everything follows the 8254 datasheet ("Mode Definitions", "Read
 * Operations"). A channel stores the tick at which its count was loaded and
 * computes the rest from the ticks that went by since ("elapsed"):
 *
 *   mode 0  OUT low until elapsed N              (interrupt on terminal count)
 *   mode 1  the same, started by a gate edge     (one-shot)
 *   mode 2  OUT low in the last tick of each N   (rate generator)
 *   mode 3  OUT high in the first half of each N (square wave)
 *   mode 4  OUT low in tick N                    (software strobe)
 *   mode 5  the same, started by a gate edge     (hardware strobe)
 *
 * A count written is loaded at the next tick; in modes 2 and 3 a count written
 * while one is running is loaded when the running period ends.
 */

#define HZ 1193182u
#define NS 1000000000u

enum rw { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };

struct channel {
    uint8_t mode; /* 0-5 */
    bool bcd;
    enum rw rw;
    bool gate;
    bool started;        /* a count is loaded (or is being at start) */
    bool has_count;      /* the count register was written since the mode */
    uint32_t count;      /* N of the running count, 1..65536 (BCD: 1..10000) */
    int64_t start;       /* tick of the load; may be one ahead of now */
    int64_t held;        /* elapsed when the gate fell, -1 while counting */
    uint32_t next_count; /* N of the next period or trigger, 0 none */
    uint32_t written;    /* count register, used by gate triggers */
    bool write_high, read_high; /* the next byte of RW_BOTH is the MSB */
    uint8_t low;                /* LSB that waits for its MSB */
    uint16_t latch;
    unsigned latched; /* bytes of latch not read yet */
    uint8_t status;
    bool status_latched;
};

struct i8254 {
    struct bus *bus;
    struct clock *clock;
    struct irq_line irq;
    struct clock_timer timer;
    struct channel channel[3];
    struct io_range range;
};

#define STATE_OF struct channel
static const struct state_field i8254_channel_fields[] = {
    STATE_FIELD(mode),       STATE_FIELD(bcd),     STATE_FIELD(rw),
    STATE_FIELD(gate),       STATE_FIELD(started), STATE_FIELD(has_count),
    STATE_FIELD(count),      STATE_FIELD(start),   STATE_FIELD(held),
    STATE_FIELD(next_count), STATE_FIELD(written), STATE_FIELD(write_high),
    STATE_FIELD(read_high),  STATE_FIELD(low),     STATE_FIELD(latch),
    STATE_FIELD(latched),    STATE_FIELD(status),  STATE_FIELD(status_latched),
};
static const struct state_table i8254_channel_state =
    STATE_TABLE("i8254_channel", i8254_channel_fields);
#undef STATE_OF

#define STATE_OF struct i8254
static const struct state_field i8254_fields[] = {
    STATE_STRUCT(channel, struct channel, i8254_channel_state),
    STATE_CLOCK_TIMER(timer),
    STATE_FIELD(irq.level),
    STATE_SKIP(bus),
    STATE_SKIP(clock),
    STATE_SKIP(irq),
    STATE_SKIP(range),
};
const struct state_table i8254_state = STATE_TABLE("i8254", i8254_fields);
#undef STATE_OF

static int64_t ticks_at(uint64_t ns)
{
    return (int64_t)((unsigned __int128)ns * HZ / NS);
}

/* The first nanosecond that belongs to a tick: ticks_at() inverted. */
static uint64_t ns_of(int64_t tick)
{
    return (uint64_t)(((unsigned __int128)tick * NS + HZ - 1) / HZ);
}

static int64_t now_ticks(struct i8254 *pit)
{
    return ticks_at(clock_now(pit->clock));
}

static bool periodic(const struct channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool triggered(const struct channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

/* Ticks since the load; -1 just before it. Moves a periodic channel on to the
 * count that waits for the end of the period. */
static int64_t elapsed(struct channel *c, int64_t now)
{
    if (c->held >= 0)
        return c->held;
    int64_t e = now - c->start;
    if (periodic(c) && c->next_count != 0 && e >= c->count) {
        c->start += c->count;
        c->count = c->next_count;
        c->next_count = 0;
        e = now - c->start;
    }
    return e;
}

static bool output(struct channel *c, int64_t now)
{
    if (!c->started)
        return c->mode != 0;
    int64_t e = elapsed(c, now), n = c->count;
    switch (c->mode) {
    case 0: return e >= n;
    case 1: return e < 0 || e >= n;
    case 2: return !c->gate || e < 0 || e % n != n - 1 || n == 1;
    case 3: return !c->gate || e < 0 || e % n < (n + 1) / 2;
    default: return e != n;
    }
}

/* What the counting element holds, in binary or as four decimal digits. */
static uint16_t counter(struct channel *c, int64_t now)
{
    int64_t e = c->started ? elapsed(c, now) : 0; /* may change the count */
    int64_t wrap = c->bcd ? 10000 : 65536, n = c->count, value;
    if (e < 0)
        e = 0;
    if (c->mode == 3)
        value = (n & ~(int64_t)1) - 2 * (e % n % ((n + 1) / 2));
    else if (c->mode == 2)
        value = n - e % n;
    else
        value = n - e % wrap;
    value = ((value % wrap) + wrap) % wrap;
    if (!c->bcd)
        return (uint16_t)value;
    return (uint16_t)(value % 10 | value / 10 % 10 << 4 |
                      value / 100 % 10 << 8 | value / 1000 << 12);
}

/* Elapsed ticks at which OUT rises next after elapsed e; -1: never. */
static int64_t next_rise(const struct channel *c, int64_t e)
{
    int64_t n = c->count;
    switch (c->mode) {
    case 0:
    case 1: return e < n ? n : -1;
    case 2:
    case 3: return e < 0 ? n : (e / n + 1) * n;
    default: return e <= n ? n + 1 : -1;
    }
}

/* Put the wire at channel 0's output and arm the timer for its next edge. The
 * low phases of modes 2 to 5 are not driven by a timer: the rising edge is
 * made of a pulse then, so that a request waiting in the 8259A stays. */
static void update(struct i8254 *pit)
{
    struct channel *c = &pit->channel[0];
    int64_t now = now_ticks(pit), rise = -1;
    irq_set(&pit->irq, c->started && c->mode != 0 ? true : output(c, now));
    if (c->started && c->held < 0)
        rise = next_rise(c, elapsed(c, now));
    if (rise >= 0)
        clock_arm(pit->clock, &pit->timer, ns_of(c->start + rise));
    else
        clock_disarm(pit->clock, &pit->timer);
}

static void fire(void *opaque)
{
    struct i8254 *pit = opaque;
    irq_set(&pit->irq, false);
    irq_set(&pit->irq, true);
    update(pit);
}

/* Before each access: time may have passed the timer's deadline with the clock
 * not run since. The edge that is due comes first, or update() would look beyond
 * it and the interrupt be lost, a one-shot timer's for good; and whoever reads a
 * count of the new period finds its interrupt pending. */
static void fire_if_due(struct i8254 *pit)
{
    if (pit->timer.armed && pit->timer.deadline <= clock_now(pit->clock))
        fire(pit);
}

static void load(struct channel *c, int64_t now)
{
    c->count = c->written;
    c->start = now + 1;
    c->held = -1;
    c->next_count = 0;
    c->started = true;
}

void i8254_set_gate(struct i8254 *pit, unsigned channel, bool gate)
{
    struct channel *c = &pit->channel[channel];
    if (c->gate == gate)
        return;
    fire_if_due(pit);
    int64_t now = now_ticks(pit);
    if (!gate && c->started && !triggered(c))
        c->held = now >= c->start ? elapsed(c, now) : 0;
    c->gate = gate;
    if (gate && c->has_count && (periodic(c) || triggered(c)))
        load(c, now);
    else if (gate && c->held >= 0) {
        c->start = now - c->held;
        c->held = -1;
    }
    update(pit);
}

bool i8254_gate(const struct i8254 *pit, unsigned channel)
{
    return pit->channel[channel].gate;
}

bool i8254_output(struct i8254 *pit, unsigned channel)
{
    return output(&pit->channel[channel], now_ticks(pit));
}

static uint32_t from_bcd(uint32_t v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 +
           (v >> 12) * 1000;
}

static void set_count(struct channel *c, int64_t now, uint32_t value)
{
    if (c->bcd)
        value = from_bcd(value) % 10000;
    if (value == 0)
        value = c->bcd ? 10000 : 65536;
    c->written = value;
    c->has_count = true;
    bool waits = triggered(c) || (periodic(c) && c->gate);
    if (waits && c->started && now < c->start) {
        c->count = value; /* the count before it was not loaded yet */
        return;
    }
    if (triggered(c)) {
        c->next_count = value; /* used by the next gate edge */
        return;
    }
    if (periodic(c) && c->started && c->gate) {
        int64_t e = elapsed(c, now);
        c->start += e / c->count * c->count; /* of the running period */
        c->next_count = value;
        return;
    }
    load(c, now);
    if (!c->gate)
        c->held = 0;
}

static void write_count(struct i8254 *pit, struct channel *c, uint8_t value)
{
    int64_t now = now_ticks(pit);
    if (c->rw == RW_BOTH && !c->write_high) {
        c->low = value;
        c->write_high = true;
        if (c->mode == 0) /* "writing the first byte disables counting" */
            c->started = false;
    } else if (c->rw == RW_BOTH) {
        c->write_high = false;
        set_count(c, now, (uint32_t)c->low | (uint32_t)value << 8);
    } else {
        set_count(c, now, c->rw == RW_MSB ? (uint32_t)value << 8 : value);
    }
    update(pit);
}

static void latch_count(struct channel *c, int64_t now)
{
    if (c->latched != 0)
        return; /* a second latch command is ignored */
    c->latch = counter(c, now);
    c->latched = c->rw == RW_BOTH ? 2 : 1;
}

static void latch_status(struct channel *c, int64_t now)
{
    if (c->status_latched)
        return;
    bool high = output(c, now); /* may take the count that waits */
    bool null_count =
        !c->started || c->next_count != 0 || (c->held < 0 && now < c->start);
    c->status =
        (uint8_t)((high ? 0x80 : 0) | (null_count ? 0x40 : 0) |
                  (unsigned)c->rw << 4 | (unsigned)c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void write_control(struct i8254 *pit, uint8_t value)
{
    int64_t now = now_ticks(pit);
    if (value >> 6 == 3) { /* read-back command; bits 5, 4 are active low */
        for (unsigned i = 0; i < 3; i++) {
            if (!(value & BIT(i + 1)))
                continue;
            if (!(value & 0x20))
                latch_count(&pit->channel[i], now);
            if (!(value & 0x10))
                latch_status(&pit->channel[i], now);
        }
        return;
    }
    struct channel *c = &pit->channel[value >> 6];
    if ((value >> 4 & 3) == RW_LATCH) {
        latch_count(c, now);
        return;
    }
    bool gate = c->gate;
    uint32_t count = c->count;
    *c = (struct channel){.gate = gate, .count = count, .held = -1};
    c->rw = (enum rw)(value >> 4 & 3);
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4; /* X10 and X11 are modes 2 and 3 */
    c->bcd = value & 1;
    update(pit);
}

static uint8_t read_channel(struct i8254 *pit, struct channel *c)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    uint16_t value = c->latch;
    if (c->latched == 0)
        value = counter(c, now_ticks(pit));
    else
        c->latched--;
    if (c->rw == RW_BOTH) {
        bool high = c->read_high;
        c->read_high = !high;
        return (uint8_t)(high ? value >> 8 : value);
    }
    return (uint8_t)(c->rw == RW_MSB ? value >> 8 : value);
}

static uint32_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8254 *pit = dev;
    (void)size;
    fire_if_due(pit);
    if (offset == 3)
        return 0xff; /* the control word cannot be read */
    return read_channel(pit, &pit->channel[offset]);
}

static void port_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct i8254 *pit = dev;
    (void)size;
    fire_if_due(pit);
    if (offset == 3)
        write_control(pit, (uint8_t)value);
    else
        write_count(pit, &pit->channel[offset], (uint8_t)value);
}

/* The 8254 has no reset input; this is the state a BIOS hands over to a boot
 * loader: 18.2 Hz square wave on channel 0, refresh on channel 1. */
void i8254_reset(struct i8254 *pit)
{
    int64_t now = now_ticks(pit);
    for (unsigned i = 0; i < 3; i++) {
        struct channel *c = &pit->channel[i];
        *c = (struct channel){.gate = i != 2,
                              .mode = i == 1 ? 2 : 3,
                              .rw = RW_BOTH,
                              .count = 65536,
                              .held = -1};
        if (i < 2)
            set_count(c, now, i == 0 ? 0 : 18);
    }
    update(pit);
}

int i8254_create(struct i8254 **out, struct bus *bus, struct clock *clock,
                 struct irq_line irq)
{
    struct i8254 *pit = calloc(1, sizeof(*pit));
    if (pit == NULL)
        return -ENOMEM;
    pit->bus = bus;
    pit->clock = clock;
    pit->irq = irq;
    pit->timer = (struct clock_timer){.fire = fire, .opaque = pit};
    pit->range = (struct io_range){.name = "8254",
                                   .start = 0x40,
                                   .len = 4,
                                   .max_size = 1,
                                   .read = port_read,
                                   .write = port_write,
                                   .dev = pit};
    i8254_reset(pit);
    int err = bus_add(bus, &pit->range);
    if (err != 0) {
        clock_disarm(clock, &pit->timer);
        free(pit);
        return err;
    }
    *out = pit;
    return 0;
}

void i8254_destroy(struct i8254 *pit)
{
    if (pit == NULL)
        return;
    clock_disarm(pit->clock, &pit->timer);
    bus_remove(pit->bus, &pit->range);
    free(pit);
}
