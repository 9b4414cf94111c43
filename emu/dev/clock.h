/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_CLOCK_H
#define EMU_DEV_CLOCK_H

/*
 * PURPOSE: guest time in nanoseconds since power-up, and timers on it.
 *
 * The source of time is a function given at create time: the host's monotonic
 * clock in ordinary runs, the retired instruction count in lockstep. Timers
 * fire only from clock_run(), on the vcpu's thread, in order of deadline.
 */
#include "monitor/base.h"

struct clock;
struct state_table; /* state.h */

struct clock_timer {
    void (*fire)(void *opaque);
    void *opaque;
    uint64_t deadline; /* ns; valid while armed */
    uint64_t turn;     /* among equal deadlines; valid while armed */
    bool armed;
    struct clock_timer *next; /* the clock's list, by deadline */
};

/* now(opaque) yields ns and never goes back. */
MUST_CHECK int clock_create(struct clock **out, uint64_t (*now)(void *opaque),
                            void *opaque);
void clock_destroy(struct clock *clock);

uint64_t clock_now(struct clock *clock);

/* Between the two time stands still: what a device does at one access, or when a
 * timer fires, it does at one moment, however long the host takes. Calls nest. */
void clock_hold(struct clock *clock);
void clock_release(struct clock *clock);

/* Seconds since 1970 that the real-time clock shows at guest time 0 (-rtc). */
void clock_set_base(struct clock *clock, int64_t unix_seconds);
int64_t clock_base(const struct clock *clock);

/* Arm (or re-arm) a timer; tells the deadline listener when it is now first. */
void clock_arm(struct clock *clock, struct clock_timer *timer,
               uint64_t deadline);
void clock_disarm(struct clock *clock, struct clock_timer *timer);

/* Arm a timer as it was when its state was saved. */
void clock_restore_timer(struct clock *clock, struct clock_timer *timer,
                         uint64_t deadline, uint64_t turn);

/* What a clock has to go on with: the time it told last, the turns it gave
 * out, and its base. */
extern const struct state_table clock_state;

/* Deadline of the first timer, UINT64_MAX if none is armed. */
uint64_t clock_next(const struct clock *clock);

/* Called whenever clock_next() became earlier; may be NULL. */
void clock_set_listener(struct clock *clock, void (*earlier)(void *opaque),
                        void *opaque);

/* Fire every timer whose deadline has passed. Time stands still meanwhile. */
void clock_run(struct clock *clock);

#endif /* EMU_DEV_CLOCK_H */
