/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_CHOICE_H
#define TESTS_FUZZ_CHOICE_H

/*
 * PURPOSE: where choices come from: a generator, the same ones for a seed; or
 * the bytes of an input, and 0 behind its end. An expression makes one choice, or
 * compilers would differ in what an input means.
 */
#include <stddef.h>

#include "monitor/base.h"

struct choices {
    uint64_t state;       /* of the generator */
    const uint8_t *input; /* NULL: the generator */
    size_t left;          /* of the input */
};

void choices_from_seed(uint64_t seed);
void choices_from_input(const uint8_t *bytes, size_t len);

/* Take them from a generator whose seed is the next one, until
 * choices_resume(): what needs many takes 4 bytes of an input. */
struct choices choices_fork(void);
void choices_resume(struct choices before);

/* An input has 4 bytes for rnd(), and as many as n needs for below(n). */
uint32_t rnd(void);
uint32_t below(uint32_t n);
void random_bytes(uint8_t *to, uint32_t len);

#endif /* TESTS_FUZZ_CHOICE_H */
