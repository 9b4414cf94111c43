/* SPDX-License-Identifier: MIT */
#include <check.h>

#include "monitor/log.h"
#include "tests/suite/suite.h"

START_TEST(a_list_enables_exactly_its_channels)
{
    const char *bad = NULL;

    log_mask = 0;
    ck_assert(log_enable("mmu,exc", &bad));
    ck_assert_uint_eq(log_mask, BIT(LOG_MMU) | BIT(LOG_EXC));
}
END_TEST

START_TEST(an_unknown_channel_is_named)
{
    const char *bad = NULL;

    log_mask = 0;
    ck_assert(!log_enable("mmu,nonsense,exc", &bad));
    ck_assert_str_eq(bad, "nonsense,exc");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("channels");

    tcase_add_test(tcase, a_list_enables_exactly_its_channels);
    tcase_add_test(tcase, an_unknown_channel_is_named);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
