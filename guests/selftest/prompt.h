/* SPDX-License-Identifier: MIT */
#ifndef SELFTEST_PROMPT_H
#define SELFTEST_PROMPT_H

/*
 * PURPOSE: a prompt on the serial port, for a guest without a network.
 */
#include <stdint.h>

__attribute__((noreturn)) void prompt(uint32_t memory_kib);

#endif /* SELFTEST_PROMPT_H */
