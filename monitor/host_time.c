/* SPDX-License-Identifier: MIT */
#include "monitor/host_time.h"

#include <time.h>
#include <x86intrin.h>

#define NS_PER_S 1000000000ull
#define TRIES    8u
#define TICKS    10000u /* a few microseconds: good enough */

uint64_t host_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Of several readings the one that took the shortest time. */
struct host_moment host_moment(void)
{
    struct host_moment best = {0};
    uint64_t shortest = UINT64_MAX;

    for (unsigned i = 0; i < TRIES && shortest > TICKS; i++) {
        uint64_t before = __rdtsc();
        uint64_t ns = host_now();
        uint64_t took = __rdtsc() - before;

        if (took < shortest) {
            shortest = took;
            best = (struct host_moment){ns, before + took / 2};
        }
    }
    return best;
}
