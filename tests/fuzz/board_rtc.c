/* SPDX-License-Identifier: MIT */
#include "board_rtc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * MC146818 datasheet, "Register A" to "Register D", "Time, Calendar, and Alarm
 * Locations", with the century where PCs have it. Not known: the time once it
 * was set, the flags between a write to what they depend on and the next read
 * of register C, and the bytes of RAM that nobody wrote.
 */
#define NS        1000000000u
#define CENTURY   0x32u
#define UPDATE_NS 2228000u /* from the rise of UIP to the end of the update */

enum { REG_A = 10, REG_B, REG_C, REG_D };

static uint8_t encode(const struct rtc_model *rtc, int value)
{
    bool binary = rtc->ram[REG_B] & 4;

    return (uint8_t)(binary ? value : value / 10 * 16 + value % 10);
}

static uint8_t encode_hour(const struct rtc_model *rtc, int hour)
{
    if (rtc->ram[REG_B] & 2)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static uint8_t show_time(const struct rtc_model *rtc, uint64_t ns)
{
    time_t t = rtc->epoch + (time_t)(ns / NS);
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL)
        abort();
    switch (rtc->index) {
    case 0: return encode(rtc, tm.tm_sec);
    case 2: return encode(rtc, tm.tm_min);
    case 4: return encode_hour(rtc, tm.tm_hour);
    case 6: return encode(rtc, tm.tm_wday + 1);
    case 7: return encode(rtc, tm.tm_mday);
    case 8: return encode(rtc, tm.tm_mon + 1);
    case 9: return encode(rtc, tm.tm_year % 100);
    default: return encode(rtc, (tm.tm_year + 1900) / 100);
    }
}

static bool is_time(unsigned index)
{
    return index == CENTURY || (index < 10 && (index % 2 == 0 || index > 5));
}

static bool matches(const struct rtc_model *rtc, unsigned index, uint8_t value)
{
    return rtc->ram[index] >= 0xc0 || rtc->ram[index] == value;
}

/* Does the alarm go off in one of the seconds after from, up to to? Hours and
 * minutes that do not match are left at once. */
static bool alarm_between(const struct rtc_model *rtc, int64_t from, int64_t to)
{
    int64_t t = from + 1, end = to < from + 86400 ? to : from + 86400;

    while (t <= end) {
        int day = (int)((rtc->epoch + t) % 86400);

        if (!matches(rtc, 5, encode_hour(rtc, day / 3600)))
            t += 3600 - day % 3600;
        else if (!matches(rtc, 3, encode(rtc, day / 60 % 60)))
            t += 60 - day % 60;
        else if (!matches(rtc, 1, encode(rtc, day % 60)))
            t++;
        else
            return true;
    }
    return false;
}

/* ns between periodic interrupts of a 32768 Hz time base. */
static uint64_t period(const struct rtc_model *rtc)
{
    static const uint16_t rates[16] = {0,    256, 128, 8192, 4096, 2048,
                                       1024, 512, 256, 128,  64,   32,
                                       16,   8,   4,   2};
    unsigned rate = rates[rtc->ram[REG_A] & 15];

    return rate ? NS / rate : 0;
}

/* PF, AF and UF since register C was read. */
static uint8_t flags(const struct rtc_model *rtc, uint64_t ns)
{
    uint64_t from = rtc->flags_from, step = period(rtc);
    uint8_t value = step && ns / step > from / step ? 0x40 : 0;

    if (ns / NS == from / NS)
        return value;
    if (alarm_between(rtc, (int64_t)(from / NS), (int64_t)(ns / NS)))
        value |= 0x20;
    return value | 0x10;
}

static uint8_t read_flags(struct rtc_model *rtc, uint64_t ns, uint8_t *mask)
{
    bool known = rtc->flags_known && rtc->time_known;
    uint8_t value = known ? flags(rtc, ns) : 0;

    *mask = known ? 0xff : 0;
    if (value & rtc->ram[REG_B] & 0x70)
        value |= 0x80;
    rtc->flags_from = ns;
    rtc->flags_known = true;
    return value;
}

int rtc_model_irq(const struct rtc_model *rtc, uint64_t ns)
{
    uint8_t enabled = rtc->ram[REG_B] & 0x70;

    if (enabled == 0)
        return 0;
    if (!rtc->flags_known || !rtc->time_known)
        return -1;
    return (flags(rtc, ns) & enabled) != 0;
}

static void write_register(struct rtc_model *rtc, uint8_t value)
{
    unsigned index = rtc->index;
    uint8_t before = rtc->ram[index];

    if (index == REG_C || index == REG_D)
        return;
    if (index == REG_A)
        value &= 0x7f;
    if (index == REG_B && value & 0x80)
        value &= 0xef; /* SET clears UIE */
    if (is_time(index) || (index == REG_B && value & 0x80))
        rtc->time_known = false;
    if (index <= REG_A || (index == REG_B && (value ^ before) & 0x86))
        rtc->flags_known = false;
    rtc->ram[index] = value;
    rtc->written[index] = true;
}

void rtc_model_write(struct rtc_model *rtc, unsigned offset, uint8_t value)
{
    if (offset == 0)
        rtc->index = value & 0x7f;
    else
        write_register(rtc, value);
}

uint8_t rtc_model_read(struct rtc_model *rtc, unsigned offset, uint64_t ns,
                       uint8_t *mask)
{
    bool updates = ns % NS >= NS - UPDATE_NS;

    *mask = 0xff;
    if (offset == 0)
        return 0xff;
    if (is_time(rtc->index)) {
        *mask = rtc->time_known ? 0xff : 0;
        return rtc->time_known ? show_time(rtc, ns) : 0;
    }
    switch (rtc->index) {
    case REG_A:
        *mask = rtc->time_known ? 0xff : 0x7f;
        return rtc->ram[REG_A] | (updates ? 0x80 : 0);
    case REG_C: return read_flags(rtc, ns, mask);
    case REG_D: return 0x80;
    default: break;
    }
    if (!rtc->written[rtc->index])
        *mask = 0;
    return rtc->ram[rtc->index];
}

/* RESET leaves time, alarm and RAM alone. */
void rtc_model_reset(struct rtc_model *rtc, uint64_t ns)
{
    rtc->index = 0;
    rtc->ram[REG_B] &= 0x87;
    rtc->flags_from = ns;
    rtc->flags_known = true;
}

void rtc_model_create(struct rtc_model *rtc, int64_t epoch)
{
    memset(rtc, 0, sizeof(*rtc));
    rtc->epoch = epoch;
    rtc->time_known = true;
    for (unsigned i = 1; i < 6; i += 2)
        rtc->written[i] = true;
    rtc->ram[REG_A] = 0x26;
    rtc->ram[REG_B] = 2;
    rtc->written[REG_A] = rtc->written[REG_B] = true;
    rtc_model_reset(rtc, 0);
}
