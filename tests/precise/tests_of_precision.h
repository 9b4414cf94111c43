/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_TESTS_OF_PRECISION_H
#define TESTS_PRECISE_TESTS_OF_PRECISION_H

/*
 * PURPOSE: the test cases, by file.
 */
#include <check.h>

void add_kick_tests(TCase *tcase);
void add_fault_tests(TCase *tcase);

#endif /* TESTS_PRECISE_TESTS_OF_PRECISION_H */
