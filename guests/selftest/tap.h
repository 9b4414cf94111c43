/* SPDX-License-Identifier: MIT */
#ifndef SELFTEST_TAP_H
#define SELFTEST_TAP_H

/*
 * PURPOSE: run the table of tests and report in the Test Anything Protocol.
 * A test is a function without arguments; the first EXPECT that fails in it
 * is reported and ends it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/trap.h"

/* One failed expectation; only the first of a test is kept. */
void tap_fail(const char *file, int line, const char *what, uint32_t got,
              uint32_t want);
bool tap_failed(void);

/* Runs all tests whose name starts with the prefix; number of failures. */
uint32_t tap_run(const char *prefix);
void tap_list(void);

#define EXPECT_EQ(got, want)                                      \
    do {                                                          \
        uint32_t got_ = (uint32_t)(got);                          \
        uint32_t want_ = (uint32_t)(want);                        \
        if (got_ != want_) {                                      \
            tap_fail(__FILE_NAME__, __LINE__, #got, got_, want_); \
            return;                                               \
        }                                                         \
    } while (0)
#define EXPECT(condition) EXPECT_EQ(!!(condition), 1)

/* TRY() or user_run() ended in this exception with this error code. */
#define EXPECT_TRAP(number, code)       \
    do {                                \
        EXPECT_EQ(last.vector, number); \
        EXPECT_EQ(last.error, code);    \
    } while (0)
/* The same, and the saved EIP is that of the TRY()'s first instruction. */
#define EXPECT_FAULT(number, code)      \
    do {                                \
        EXPECT_TRAP(number, code);      \
        EXPECT_EQ(last.eip, try_start); \
    } while (0)
#define EXPECT_PAGE_FAULT(code, address) \
    do {                                 \
        EXPECT_TRAP(EXC_PF, code);       \
        EXPECT_EQ(last_cr2, address);    \
    } while (0)
#define EXPECT_NO_TRAP() EXPECT_EQ(last.vector, NO_TRAP)
/* Ring 3 code ended by int 80h with this value in EAX. */
#define EXPECT_USER_RESULT(value)            \
    do {                                     \
        EXPECT_EQ(last.vector, VECTOR_EXIT); \
        EXPECT_EQ(last.eax, value);          \
    } while (0)
/* EXPECT in a helper; in the caller, stop when the helper failed. */
#define STOP_IF_FAILED()  \
    do {                  \
        if (tap_failed()) \
            return;       \
    } while (0)

#endif /* SELFTEST_TAP_H */
