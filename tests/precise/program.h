/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_PROGRAM_H
#define TESTS_PRECISE_PROGRAM_H

/*
 * PURPOSE: random guest programs that are valid: they stay inside their data
 * and stack pages, keep their stack balanced, end, and raise no exception.
 */
#include "monitor/base.h"

/* Guest addresses; linear is physical. */
#define CODE       0x10000u /* CODE_LEN bytes */
#define CODE_LEN   0x4000u
#define DATA       0x20000u
#define DATA_LEN   0x4000u
#define STACK      0x30000u
#define STACK_LEN  0x2000u
#define STACK_TOP  (STACK + 0x1040u) /* pushes cross a page soon */
#define FS_BASE    (DATA + 0x800u)
#define END_VECTOR 0x80

struct program {
    bool soft; /* the translator takes the soft path everywhere */
    uint8_t code[CODE_LEN];
    uint32_t len;
    uint64_t random;
};

/* Fill *p from a seed: the same seed gives the same program. */
void program_generate(struct program *p, uint64_t seed);

/* A generator for whoever needs more numbers. */
uint32_t random_next(uint64_t *state);

#endif /* TESTS_PRECISE_PROGRAM_H */
