/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUITE_SUITE_H
#define TESTS_SUITE_SUITE_H

/*
 * PURPOSE: how every unit test ends: its Check suite is run, and the program's
 * status says whether all of it passed.
 */
#include <check.h>

/* Runs the suite and frees it, as CK_VERBOSITY says, each test in a process of
 * its own unless CK_FORK=no. Returns the status for main(). */
int run_suite(Suite *suite);

/* The same of a suite of one case, which has the suite's name. */
int run_case(TCase *tcase, const char *name);

#endif /* TESTS_SUITE_SUITE_H */
