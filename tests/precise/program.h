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
#define FS_OFFSET  0x10000u          /* of data in FS */
#define FS_BASE    (DATA + 0x800u - FS_OFFSET)
#define END_VECTOR 0x80

/* Segments: flat; up to the end of RAM; from the second page on. */
enum program_segments { SEGMENTS_FLAT, SEGMENTS_LIMITED, SEGMENTS_DOWN };

struct program {
    bool soft;    /* the translator takes the soft path everywhere */
    bool checked; /* its pages are stored to all the time, thinks it */
    enum program_segments segments;
    uint8_t code[CODE_LEN];
    uint32_t len;
    uint64_t random;
};

/* Fill *p from a seed: the same seed gives the same program. */
void program_generate(struct program *p, uint64_t seed,
                      enum program_segments segments);

/* A generator for whoever needs more numbers. */
uint32_t random_next(uint64_t *state);

#endif /* TESTS_PRECISE_PROGRAM_H */
