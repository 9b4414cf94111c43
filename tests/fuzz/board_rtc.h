/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_RTC_H
#define TESTS_FUZZ_BOARD_RTC_H

/*
 * PURPOSE: a model of the MC146818, from the datasheet's registers, that shares
 * no code with emu/dev. It knows the time until the guest sets it.
 */
#include "monitor/base.h"

struct rtc_model {
    int64_t epoch; /* seconds since 1970 at time 0 */
    uint8_t index;
    uint8_t ram[128]; /* as written */
    bool written[128];
    bool time_known;     /* it goes on from epoch */
    bool flags_known;    /* nothing that they depend on was written since */
    uint64_t flags_from; /* when register C was read last */
};

void rtc_model_create(struct rtc_model *rtc, int64_t epoch);
void rtc_model_reset(struct rtc_model *rtc, uint64_t ns);

/* offset is from port 70h. */
void rtc_model_write(struct rtc_model *rtc, unsigned offset, uint8_t value);
uint8_t rtc_model_read(struct rtc_model *rtc, unsigned offset, uint64_t ns,
                       uint8_t *mask);

/* IRQ 8 after the timers were run: 0 or 1, or -1 if it is not known. */
int rtc_model_irq(const struct rtc_model *rtc, uint64_t ns);

#endif /* TESTS_FUZZ_BOARD_RTC_H */
