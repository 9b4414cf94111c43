/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_HOST_TIME_H
#define MONITOR_HOST_TIME_H

/*
 * PURPOSE: the host's two clocks that guest time is made of.
 */
#include <stdint.h>

/* CLOCK_MONOTONIC in ns. */
uint64_t host_now(void);

/* Both clocks at one moment: host_now() and the host's TSC. They are microseconds
 * apart at most, even if the host takes the CPU away between their readings,
 * unless it does so several times in a row. */
struct host_moment {
    uint64_t ns;
    uint64_t tsc;
};
struct host_moment host_moment(void);

#endif /* MONITOR_HOST_TIME_H */
