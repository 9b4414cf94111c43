/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_CODE_H
#define TESTS_FUZZ_CODE_H

/*
 * PURPOSE: hostile code, made of choices (choice.h).
 */
#include "monitor/base.h"

/* CODE_LEN bytes of code. Nothing in it has a result that the manual leaves
 * open and processors disagree on. */
void put_code(uint8_t *to);

/* Make code so: SHLD and SHRD of 16 bits by more than 16 have no defined result
 * (SDM 2B "SHLD"), and become SETcc. */
void drop_undefined(uint8_t *code, uint32_t len);

#endif /* TESTS_FUZZ_CODE_H */
