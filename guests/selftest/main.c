/* SPDX-License-Identifier: MIT */
/*
 * The self-test kernel: runs its tests, leaves through isa-debug-exit where
 * the machine has that device, and offers a small prompt where it has not.
 * Words on the command line:
 *   test      after the tests power off, whatever the machine has
 *   prompt    no tests, straight to the prompt
 */
#include "cpu.h"
#include "lib.h"
#include "power.h"
#include "prompt.h"
#include "tap.h"
#include "tests.h"

enum {
    MULTIBOOT_LOADER = 0x2BADB002,
    MULTIBOOT_HAS_MEMORY = 1 << 0,
    MULTIBOOT_HAS_CMDLINE = 1 << 2,
};

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device;
    const char *cmdline;
};

const struct test tests[] = {
#define TEST(name, run, modes, need, quirk) {name, run, modes, need, quirk},
#include "tests.def"
#undef TEST
};
const uint32_t test_count = sizeof(tests) / sizeof(tests[0]);

void kernel_main(uint32_t magic, const struct multiboot_info *info);

void kernel_main(uint32_t magic, const struct multiboot_info *info)
{
    const char *words = "";
    uint32_t memory_kib = 0;

    serial_init();
    print("popf selftest guest\n");
    if (magic == MULTIBOOT_LOADER && info->flags & MULTIBOOT_HAS_CMDLINE)
        words = info->cmdline;
    if (magic == MULTIBOOT_LOADER && info->flags & MULTIBOOT_HAS_MEMORY)
        memory_kib = info->mem_upper + 1024;
    if (!has_word(words, "prompt")) {
        debug_exit(tap_run("") == 0);
        if (has_word(words, "test"))
            power_off();
    }
    prompt(memory_kib);
}
