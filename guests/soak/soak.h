/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SOAK_SOAK_H
#define GUESTS_SOAK_SOAK_H

/*
 * PURPOSE: loads that run for hours in a Linux guest and check what they do. A
 * load is a function that runs one round of some milliseconds; false: something
 * was not as it has to be, and soak_fail() said what.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool soak_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Below limit; every process has a sequence of its own. */
uint32_t soak_random(uint32_t limit);

bool soak_jit(void);
bool soak_maps(void);
bool soak_signals(void);
bool soak_fpu(void);
bool soak_threads(void);
bool soak_forks(void);
bool soak_pipes(void);

/* What forks' children run: "soak child COUNT WORD...". Exit status. */
int soak_child(int argc, char **argv);

/* Run store() where it has to be refused: the address that SIGSEGV named, or
 * NULL when there was none. */
void *soak_fault(volatile uint32_t *at);

#endif /* GUESTS_SOAK_SOAK_H */
