/* SPDX-License-Identifier: MIT */
#ifndef SELFTEST_TESTS_H
#define SELFTEST_TESTS_H

/*
 * PURPOSE: the table of tests, made from tests.def.
 */
#include <stdint.h>

#include "lib/paging.h"

enum {
    NEED_NOTHING,
    NEED_NX,
    NEED_SEP,
    NEED_PGE,
    NEED_SSE,
    NEED_CX8,
    NEED_CMOV
};
/* Where QEMU's translator does not do what the manual says: it fails the test,
 * or the test would bring the machine down. */
enum { EXACT, TCG_DEVIATES, NOT_ON_TCG };
enum {
    FLAT = 1 << PAGING_OFF,
    IN_32 = 1 << PAGING_32,
    IN_PAE = 1 << PAGING_PAE,
    PAGED = IN_32 | IN_PAE,
    ALL = FLAT | PAGED,
};

struct test {
    const char *name;
    void (*run)(void);
    uint8_t modes; /* paging modes it runs in, each a test of its own */
    uint8_t need;
    uint8_t quirk;
};

extern const struct test tests[];
extern const uint32_t test_count;

#define TEST(name, run, modes, need, quirk) void run(void);
#include "tests.def"
#undef TEST

#endif /* SELFTEST_TESTS_H */
