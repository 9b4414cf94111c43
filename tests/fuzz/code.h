/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_CODE_H
#define TESTS_FUZZ_CODE_H

/*
 * PURPOSE: random numbers, and hostile code made of them. A seed gives the same
 * code each time.
 */
#include "monitor/base.h"

void random_seed(uint64_t seed);
uint32_t rnd(void);
uint32_t below(uint32_t n);
void random_bytes(uint8_t *to, uint32_t len);

/* CODE_LEN bytes of code. Nothing in it has a result that the manual leaves
 * open and processors disagree on. */
void put_code(uint8_t *to);

#endif /* TESTS_FUZZ_CODE_H */
