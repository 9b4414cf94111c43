/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_KICK_TIMER_H
#define MONITOR_KICK_TIMER_H

/*
 * PURPOSE: a host timer whose signal interrupts one thread while it runs guest
 * code. It is armed for the earliest moment at which the run loop is wanted,
 * and goes off once.
 *
 * After each call of the hook, arm it anew for all that is wanted: the call may
 * have been for any of it. Then each time that it was armed for is followed by a
 * call that is not earlier.
 *
 * The hook has to see what the signal interrupts. A handler of another signal
 * that may interrupt guest code holds KICK_SIGNAL back (sa_mask): from inside it
 * the hook would see that handler, and the guest would go on afterwards.
 */
#include <signal.h>
#include <time.h>

#include "monitor/base.h"

/* The signal; blocked while the vcpu sleeps. */
#define KICK_SIGNAL (SIGRTMIN + 1)

struct kick_timer {
    timer_t id;
    bool created;
    volatile uint64_t armed; /* host ns; UINT64_MAX: may not be */
    void (*hook)(void *opaque, void *ucontext);
    void *opaque;
};

/* For the calling thread. hook runs in the signal handler, with the context
 * that was interrupted. 0 or -errno. */
MUST_CHECK int kick_timer_init(struct kick_timer *timer,
                               void (*hook)(void *opaque, void *ucontext),
                               void *opaque);
void kick_timer_fini(struct kick_timer *timer);

/* Go off at when, a time of host_now(), or earlier if it is armed for earlier. */
void kick_timer_arm(struct kick_timer *timer, uint64_t when);

#endif /* MONITOR_KICK_TIMER_H */
