/* SPDX-License-Identifier: MIT */
#include "emu/dev/mc146818.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "emu/dev/state.h"

/*
 * The time registers are computed when they are read: seconds since 1970 at
 * guest time `zero` plus what went by since. Setting the time (register B SET)
 * freezes the registers; clearing SET takes the new time from them and keeps
 * the phase of the divider. Flags of register C are brought up to date when
 * somebody looks; timers exist only for enabled interrupts, and IRQF stays up
 * until C is read, so a late host causes one interrupt, not several.
 */

#define NS        1000000000ull
#define UPDATE_NS 2228000ull /* tBUC 244 us + tUC 1984 us ("UIP") */
#define REG_A     0x0a
#define REG_B     0x0b
#define REG_C     0x0c
#define REG_D     0x0d
#define CENTURY   0x32
#define A_UIP     0x80u
#define B_SET     0x80u
#define B_PIE     0x40u
#define B_AIE     0x20u
#define B_UIE     0x10u
#define B_BINARY  0x04u
#define B_24H     0x02u
#define C_IRQF    0x80u
#define C_PF      0x40u
#define C_AF      0x20u
#define C_UF      0x10u

struct mc146818 {
    struct bus *bus;
    struct clock *clock;
    struct irq_line irq;
    struct clock_timer timer;
    uint8_t index;
    uint8_t ram[128];
    int64_t seconds;  /* since 1970, at zero */
    uint64_t zero;    /* guest time of a second boundary */
    uint64_t checked; /* guest time up to which register C is right */
    uint64_t ram_len;
    struct io_range range;
};

#define STATE_OF struct mc146818
static const struct state_field mc146818_fields[] = {
    STATE_CLOCK_TIMER(timer), STATE_FIELD(irq.level), STATE_FIELD(index),
    STATE_FIELD(ram),         STATE_FIELD(seconds),   STATE_FIELD(zero),
    STATE_FIELD(checked),     STATE_SKIP(bus),        STATE_SKIP(clock),
    STATE_SKIP(irq),          STATE_SKIP(ram_len),    STATE_SKIP(range),
};
const struct state_table mc146818_state =
    STATE_TABLE("mc146818", mc146818_fields);
#undef STATE_OF

static uint8_t encode(const struct mc146818 *rtc, int value)
{
    if (rtc->ram[REG_B] & B_BINARY)
        return (uint8_t)value;
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct mc146818 *rtc, uint8_t value)
{
    if (rtc->ram[REG_B] & B_BINARY)
        return value;
    return (value >> 4) * 10 + (value & 15);
}

static int decode_hour(const struct mc146818 *rtc, uint8_t value)
{
    if (rtc->ram[REG_B] & B_24H)
        return decode(rtc, value);
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

static uint8_t encode_hour(const struct mc146818 *rtc, int hour)
{
    if (rtc->ram[REG_B] & B_24H)
        return encode(rtc, hour);
    unsigned pm = hour >= 12 ? 0x80 : 0;
    return (uint8_t)(encode(rtc, (hour + 11) % 12 + 1) | pm);
}

static bool running(const struct mc146818 *rtc)
{
    return !(rtc->ram[REG_B] & B_SET);
}

static int64_t seconds_at(const struct mc146818 *rtc, uint64_t ns)
{
    return rtc->seconds + (int64_t)((ns - rtc->zero) / NS);
}

/* Copy the time into the registers; they keep what SET froze. */
static void show_time(struct mc146818 *rtc)
{
    struct tm tm;
    time_t now = seconds_at(rtc, clock_now(rtc->clock));
    if (!running(rtc) || gmtime_r(&now, &tm) == NULL)
        return;
    int year = tm.tm_year + 1900;
    rtc->ram[0] = encode(rtc, tm.tm_sec);
    rtc->ram[2] = encode(rtc, tm.tm_min);
    rtc->ram[4] = encode_hour(rtc, tm.tm_hour);
    rtc->ram[6] = encode(rtc, tm.tm_wday + 1);
    rtc->ram[7] = encode(rtc, tm.tm_mday);
    rtc->ram[8] = encode(rtc, tm.tm_mon + 1);
    rtc->ram[9] = encode(rtc, year % 100);
    rtc->ram[CENTURY] = encode(rtc, year / 100 % 100);
}

static void take_time(struct mc146818 *rtc)
{
    struct tm tm = {
        .tm_sec = decode(rtc, rtc->ram[0]),
        .tm_min = decode(rtc, rtc->ram[2]),
        .tm_hour = decode_hour(rtc, rtc->ram[4]),
        .tm_mday = decode(rtc, rtc->ram[7]),
        .tm_mon = decode(rtc, rtc->ram[8]) - 1,
        .tm_year = decode(rtc, rtc->ram[CENTURY]) * 100 +
                   decode(rtc, rtc->ram[9]) - 1900,
    };
    uint64_t now = clock_now(rtc->clock);
    rtc->zero = now - (now - rtc->zero) % NS;
    rtc->seconds = timegm(&tm);
}

/* Period of the periodic interrupt in ns, 0 when it is off. */
static uint64_t period(const struct mc146818 *rtc)
{
    unsigned rate = rtc->ram[REG_A] & 15;
    if (rate == 0)
        return 0;
    if (rate <= 2)
        rate += 7;
    return BIT(rate - 1) * NS / 32768;
}

static bool field_matches(uint8_t alarm, int alarm_value, int value)
{
    return (alarm & 0xc0) == 0xc0 || alarm_value == value; /* "don't care" */
}

/* shown is what the clock shows at value. */
static bool field_can_match(uint8_t alarm, uint8_t shown, int value, int count)
{
    return (alarm & 0xc0) == 0xc0 || (value < count && shown == alarm);
}

/* Whether there is such a time of day, as the clock shows it: looking for it may
 * take a while. */
static bool alarm_can_match(const struct mc146818 *rtc)
{
    const uint8_t *ram = rtc->ram;
    int hour = decode_hour(rtc, ram[5]), minute = decode(rtc, ram[3]);
    int second = decode(rtc, ram[1]);
    return field_can_match(ram[5], encode_hour(rtc, hour), hour, 24) &&
           field_can_match(ram[3], encode(rtc, minute), minute, 60) &&
           field_can_match(ram[1], encode(rtc, second), second, 60);
}

/* First second >= from at which the alarm registers match, INT64_MAX: none. */
static int64_t next_alarm(const struct mc146818 *rtc, int64_t from)
{
    const uint8_t *ram = rtc->ram;
    int64_t t = from;
    if (!alarm_can_match(rtc))
        return INT64_MAX;
    while (t <= from + 86400) {
        int64_t day = ((t % 86400) + 86400) % 86400;
        if (!field_matches(ram[5], decode_hour(rtc, ram[5]), (int)(day / 3600)))
            t += 3600 - day % 3600;
        else if (!field_matches(ram[3], decode(rtc, ram[3]),
                                (int)(day / 60 % 60)))
            t += 60 - day % 60;
        else if (!field_matches(ram[1], decode(rtc, ram[1]), (int)(day % 60)))
            t++;
        else
            return t;
    }
    return INT64_MAX;
}

/* Set the flags of everything that happened since the last look. */
static void check_flags(struct mc146818 *rtc)
{
    uint64_t now = clock_now(rtc->clock), step = period(rtc);
    uint64_t before = rtc->checked;
    rtc->checked = now;
    if (step && (now - rtc->zero) / step > (before - rtc->zero) / step)
        rtc->ram[REG_C] |= C_PF;
    if (!running(rtc) || seconds_at(rtc, now) == seconds_at(rtc, before))
        return;
    rtc->ram[REG_C] |= C_UF;
    if (next_alarm(rtc, seconds_at(rtc, before) + 1) <= seconds_at(rtc, now))
        rtc->ram[REG_C] |= C_AF;
}

static uint64_t second_start(const struct mc146818 *rtc, int64_t seconds)
{
    return rtc->zero + (uint64_t)(seconds - rtc->seconds) * NS;
}

/* Recompute IRQF and the wire, and arm the timer for the next event of an
 * enabled interrupt. */
static void update(struct mc146818 *rtc)
{
    check_flags(rtc);
    uint8_t enabled = rtc->ram[REG_B] & (B_PIE | B_AIE | B_UIE);
    bool pending = rtc->ram[REG_C] & enabled;
    uint64_t now = rtc->checked, next = UINT64_MAX, step = period(rtc);
    rtc->ram[REG_C] =
        (uint8_t)((rtc->ram[REG_C] & 0x70) | (pending ? C_IRQF : 0));
    irq_set(&rtc->irq, pending);
    if ((enabled & B_PIE) && step)
        next = rtc->zero + ((now - rtc->zero) / step + 1) * step;
    if (running(rtc)) {
        int64_t second = INT64_MAX, now_s = seconds_at(rtc, now);
        if (enabled & B_AIE)
            second = next_alarm(rtc, now_s + 1);
        if (enabled & B_UIE)
            second = now_s + 1;
        if (second != INT64_MAX && second_start(rtc, second) < next)
            next = second_start(rtc, second);
    }
    if (pending || next == UINT64_MAX)
        clock_disarm(rtc->clock, &rtc->timer);
    else
        clock_arm(rtc->clock, &rtc->timer, next);
}

static void fire(void *opaque)
{
    update(opaque);
}

static uint8_t read_a(struct mc146818 *rtc)
{
    uint64_t phase = (clock_now(rtc->clock) - rtc->zero) % NS;
    bool uip = running(rtc) && phase >= NS - UPDATE_NS;
    return (uint8_t)((rtc->ram[REG_A] & 0x7f) | (uip ? A_UIP : 0));
}

static uint8_t read_register(struct mc146818 *rtc)
{
    uint8_t value;
    switch (rtc->index) {
    case REG_A: return read_a(rtc);
    case REG_C:
        update(rtc);
        value = rtc->ram[REG_C];
        rtc->ram[REG_C] = 0;
        update(rtc);
        return value;
    case REG_D: return 0x80; /* VRT: the battery is good */
    default: show_time(rtc); return rtc->ram[rtc->index];
    }
}

static bool is_time(uint8_t index)
{
    return index <= 9 && (index & 1 ? index >= 7 : true);
}

static void write_b(struct mc146818 *rtc, uint8_t value)
{
    bool was_running = running(rtc);
    if (was_running)
        show_time(rtc);
    if (value & B_SET)
        value &= (uint8_t)~B_UIE; /* "SET ... clears UIE" */
    rtc->ram[REG_B] = value;
    if (!was_running && running(rtc))
        take_time(rtc);
}

static void write_register(struct mc146818 *rtc, uint8_t value)
{
    uint8_t index = rtc->index;
    check_flags(rtc);
    if (index == REG_C || index == REG_D)
        return;
    if (index == REG_B) {
        write_b(rtc, value);
    } else if (index == REG_A) {
        rtc->ram[REG_A] = value & 0x7f;
    } else if (is_time(index) || index == CENTURY) {
        show_time(rtc);
        rtc->ram[index] = value;
        if (running(rtc))
            take_time(rtc);
    } else {
        rtc->ram[index] = value;
    }
    update(rtc);
}

static uint32_t port_read(void *dev, uint64_t offset, unsigned size)
{
    (void)size;
    return offset == 0 ? 0xff : read_register(dev);
}

static void port_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct mc146818 *rtc = dev;
    (void)size;
    if (offset == 0)
        rtc->index = value & 0x7f; /* bit 7 masks NMI, which nobody raises */
    else
        write_register(rtc, (uint8_t)value);
}

static void put16(struct mc146818 *rtc, unsigned index, uint64_t value)
{
    rtc->ram[index] = (uint8_t)value;
    rtc->ram[index + 1] = (uint8_t)(value >> 8);
}

/* The bytes a BIOS of the AT and later keeps here. */
static void fill_ram(struct mc146818 *rtc)
{
    uint64_t kib = rtc->ram_len / KIB, extended = kib > 1024 ? kib - 1024 : 0;
    uint64_t high = kib > 16384 ? (kib - 16384) / 64 : 0;
    rtc->ram[REG_A] = 0x26; /* 32768 Hz, 1024 Hz periodic rate */
    rtc->ram[REG_B] = B_24H;
    rtc->ram[0x14] = 0x06; /* equipment: FPU, PS/2 mouse */
    put16(rtc, 0x15, 640);
    put16(rtc, 0x17, extended < 0xffff ? extended : 0xffff);
    put16(rtc, 0x30, extended < 0xffff ? extended : 0xffff);
    put16(rtc, 0x34, high < 0xffff ? high : 0xffff);
    unsigned sum = 0;
    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += rtc->ram[i];
    rtc->ram[0x2e] = (uint8_t)(sum >> 8);
    rtc->ram[0x2f] = (uint8_t)sum;
}

/* "RESET": the interrupt enables and flags; time and RAM are kept. */
void mc146818_reset(struct mc146818 *rtc)
{
    rtc->ram[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | 0x08);
    rtc->index = 0;
    check_flags(rtc);
    rtc->ram[REG_C] = 0;
    update(rtc);
}

int mc146818_create(struct mc146818 **out, struct bus *bus, struct clock *clock,
                    struct irq_line irq, uint64_t ram_len)
{
    struct mc146818 *rtc = calloc(1, sizeof(*rtc));
    if (rtc == NULL)
        return -ENOMEM;
    rtc->bus = bus;
    rtc->clock = clock;
    rtc->irq = irq;
    rtc->ram_len = ram_len;
    rtc->seconds = clock_base(clock);
    rtc->timer = (struct clock_timer){.fire = fire, .opaque = rtc};
    rtc->range = (struct io_range){.name = "MC146818",
                                   .start = 0x70,
                                   .len = 2,
                                   .max_size = 1,
                                   .read = port_read,
                                   .write = port_write,
                                   .dev = rtc};
    fill_ram(rtc);
    mc146818_reset(rtc);
    int err = bus_add(bus, &rtc->range);
    if (err != 0) {
        free(rtc);
        return err;
    }
    *out = rtc;
    return 0;
}

void mc146818_destroy(struct mc146818 *rtc)
{
    if (rtc == NULL)
        return;
    clock_disarm(rtc->clock, &rtc->timer);
    bus_remove(rtc->bus, &rtc->range);
    free(rtc);
}
