/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

/*
 * PURPOSE: what a fuzz target is to its driver: libFuzzer's interface, which
 * replay.c has as well.
 */
#include <stddef.h>
#include <stdint.h>

/* Returns 0; aborts, or trips a sanitizer, on a defect. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif /* TESTS_FUZZ_TARGET_H */
