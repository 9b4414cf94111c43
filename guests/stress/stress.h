/* SPDX-License-Identifier: MIT */
#ifndef STRESS_H
#define STRESS_H

/*
 * PURPOSE: the runner of the stress tests. A test is a number of rounds; what a
 * round does follows from the seed and the round's number alone, so that one
 * that fails can be run again by itself. The first check that fails ends the
 * machine, with the seed and the round in its message.
 */
#include <stdbool.h>
#include <stdint.h>

/* stress.def: every test. */
#define STRESS(name, round, rounds, about) void round(uint32_t number);
#include "stress.def"
#undef STRESS

/* Random numbers of the round. */
uint32_t random_u32(void);
/* In [0, limit). */
uint32_t random_below(uint32_t limit);
/* True once in `times`. */
bool one_in(uint32_t times);

/* QEMU's translator deviates in places; the checks it fails ask for this. */
extern bool on_tcg;
/* A note of what goes on, for the message of a failed check. */
extern const char *stress_doing;

/* notes.def: what a test has to have done. */
#define NOTE(id, test, where, text) NOTE_##id,
enum note {
#include "notes.def"
    NOTE_COUNT
};
#undef NOTE

/* It was done: counts are printed at the end, and a whole run of a test without
 * one of them fails. */
void stress_note(enum note note);
uint32_t stress_noted(enum note note);

void stress_check(bool holds, const char *what, uint32_t got, uint32_t want);
__attribute__((noreturn)) void stress_fail(const char *what, uint32_t got,
                                           uint32_t want);

#define CHECK_EQ(got, want)                                   \
    do {                                                      \
        uint32_t got_ = (uint32_t)(got);                      \
        uint32_t want_ = (uint32_t)(want);                    \
        stress_check(got_ == want_, #got " is", got_, want_); \
    } while (0)
#define CHECK(condition) stress_check(!!(condition), #condition, 0, 1)

#endif /* STRESS_H */
