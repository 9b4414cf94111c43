/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

/*
 * soak LOAD SECONDS SEED
 *
 * Runs rounds of a load until the time is over or the file /tmp/stop is there,
 * and prints how many there were. Status 1 at the first error.
 */
static const struct {
    const char *name;
    bool (*round)(void);
} loads[] = {
    {"jit",     soak_jit    },
    {"maps",    soak_maps   },
    {"signals", soak_signals},
    {"fpu",     soak_fpu    },
    {"threads", soak_threads},
    {"forks",   soak_forks  },
    {"pipes",   soak_pipes  },
};

static const char *load_name;
static uint32_t state;
static sigjmp_buf refused;
static void *volatile fault_address;

bool soak_fail(const char *fmt, ...)
{
    va_list ap;

    printf("SOAK-ERROR %s: ", load_name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
    return false;
}

uint32_t soak_random(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static void on_segv(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    fault_address = info->si_addr;
    siglongjmp(refused, 1);
}

void *soak_fault(volatile uint32_t *at)
{
    struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
    struct sigaction old;

    sigaction(SIGSEGV, &action, &old);
    fault_address = NULL;
    if (sigsetjmp(refused, 1) == 0)
        *at = 1;
    sigaction(SIGSEGV, &old, NULL);
    return fault_address;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int run(bool (*round)(void), double seconds)
{
    double end = now() + seconds;
    unsigned rounds = 0;
    bool good = true;

    while (good && now() < end && access("/tmp/stop", F_OK) != 0) {
        good = round();
        rounds += good;
    }
    printf("SOAK %s rounds=%u\n", load_name, rounds);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "child"))
        return soak_child(argc, argv);
    if (argc != 4)
        return 2;
    state = (uint32_t)strtoul(argv[3], NULL, 0) * 2654435761u | 1;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        load_name = loads[i].name;
        if (!strcmp(load_name, argv[1]))
            return run(loads[i].round, atof(argv[2]));
    }
    return 2;
}
