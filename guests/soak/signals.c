/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "soak.h"

/*
 * Timer signals strike a computation whose result is known; the exceptions that
 * a program can catch name the place that they come from.
 */
static volatile sig_atomic_t ticks;
static volatile uint32_t caught_number;
static void *volatile caught_address;

static void on_tick(int number)
{
    volatile double used = number; /* the handler uses the FPU, too */

    used = used * 1.5 + 1;
    ticks++;
}

/* Skip the instruction of two bytes that trapped; int3 is behind already. */
static void on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    caught_number = (uint32_t)number;
    caught_address = info->si_addr;
    if (number != SIGTRAP)
        g[REG_EIP] += 2;
}

/* A checksum that needs every register and flag to survive. */
static uint32_t compute(uint32_t seed)
{
    uint32_t a = seed, b = ~seed, c = 0;
    double sum = 0;

    for (uint32_t i = 0; i < 200000; i++) {
        a = (a << 5 | a >> 27) + b;
        b ^= a * 2654435761u;
        c += a > b;
        sum += i & 7;
    }
    return a ^ b ^ c ^ (uint32_t)sum;
}

static bool timers(void)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval often =
                         {
                             {0, 1000},
                             {0, 1000}
    },
                     never = {{0, 0}, {0, 0}};
    uint32_t seed = soak_random(1000);
    uint32_t expected = compute(seed);
    bool good = true;

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    ticks = 0;
    for (unsigned i = 0; i < 20 && good; i++)
        good = compute(seed) == expected ||
               soak_fail("signals changed a computation");
    setitimer(ITIMER_REAL, &never, NULL);
    return good;
}

static bool caught(uint32_t number, const char *what)
{
    bool good = caught_number == number;

    caught_number = 0;
    return good || soak_fail("%s was not caught", what);
}

static bool traps(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    uint32_t zero = 0, low = 5, high = 0;

    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    for (unsigned i = 0; i < 50; i++) {
        __asm__ volatile("div %2" : "+a"(low), "+d"(high) : "c"(zero) : "cc");
        if (!caught(SIGFPE, "division by zero") || low != 5)
            return false;
        __asm__ volatile("ud2" ::: "memory");
        if (!caught(SIGILL, "UD2"))
            return false;
        __asm__ volatile("int3" ::: "memory");
        if (!caught(SIGTRAP, "INT3"))
            return false;
    }
    return true;
}

static bool faults(void)
{
    uint8_t *page =
        mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (unsigned i = 0; i < 100; i++) {
        uint8_t *at = page + soak_random(1024) * 4;

        if (soak_fault((volatile uint32_t *)(void *)at) != at)
            return soak_fail("SIGSEGV does not name %p", (void *)at);
    }
    munmap(page, 4096);
    return true;
}

bool soak_signals(void)
{
    return timers() && traps() && faults();
}
