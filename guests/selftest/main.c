/* SPDX-License-Identifier: MIT */
/*
 * The self-test kernel: runs its tests, leaves through isa-debug-exit where
 * the machine has that device, and offers a small prompt where it has not.
 * Words on the command line:
 *   test      after the tests power off, whatever the machine has
 *   prompt    no tests, straight to the prompt
 */
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/power.h"
#include "prompt.h"
#include "tap.h"
#include "tests.h"

const struct test tests[] = {
#define TEST(name, run, modes, need, quirk) {name, run, modes, need, quirk},
#include "tests.def"
#undef TEST
};
const uint32_t test_count = sizeof(tests) / sizeof(tests[0]);

void kernel_main(const struct machine_boot *boot)
{
    print("popf selftest guest\n");
    if (!has_word(boot->words, "prompt")) {
        debug_exit(tap_run("") == 0);
        if (has_word(boot->words, "test"))
            power_off();
    }
    prompt(boot->memory_kib);
}
