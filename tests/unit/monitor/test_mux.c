/* SPDX-License-Identifier: MIT */
#include <check.h>

#include "monitor/mux.h"
#include "tests/suite/suite.h"

/* B byte, - nothing, Q quit, H help, T toggle. */
static const struct {
    const char *keys;
    const char *events;
} rows[] = {
    {"abc",       "BBB"},
    {"\x01x",     "-Q" },
    {"\x01h",     "-H" },
    {"\x01?",     "-H" },
    {"\x01"
     "c",    "-T" },
    {"\x01\x01",  "-B" },
    {"\x01\x01x", "-BB"},
    {"\x01zx",    "--B"},
    {"x\x03\x1a", "BBB"},
};

START_TEST(ctrl_a_starts_an_escape_sequence)
{
    static const char letters[] = "-BQHT";
    struct mux mux = {0};

    for (unsigned i = 0; rows[_i].keys[i] != '\0'; i++) {
        enum mux_event event = mux_feed(&mux, (uint8_t)rows[_i].keys[i]);

        ck_assert_int_eq(letters[event], rows[_i].events[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mux");
    TCase *tcase = tcase_create("escapes");

    tcase_add_loop_test(tcase, ctrl_a_starts_an_escape_sequence, 0,
                        (int)ARRAY_COUNT(rows));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
