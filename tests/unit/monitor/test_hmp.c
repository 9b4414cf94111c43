/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "monitor/hmp.h"
#include "monitor/vm.h"
#include "shadow_mmu/gmem.h"
#include "tests/suite/suite.h"

/* Answers as QEMU 7.2 gives them for the same state. */

static struct config config;
static struct load_error error;
static struct vm *vm;
static struct hmp *hmp;
static char output[4096];
static size_t output_len;

static void take_output(void *opaque, const char *text, size_t len)
{
    ck_assert_ptr_eq(opaque, vm);
    for (size_t i = 0; i < len && output_len + 1 < sizeof(output); i++) {
        if (text[i] != '\r')
            output[output_len++] = text[i];
    }
    output[output_len] = '\0';
}

static void put32(gpa_t gpa, uint32_t value)
{
    ck_assert_int_eq(gmem_write(vm->gmem, gpa, &value, sizeof(value)), 0);
}

/* A machine without a kernel, with some bytes at 1 MiB. */
static void setup(void)
{
    static const uint8_t bytes[] = {0x01, 0xc8, 0xff, 0x7f, 'a',
                                    0x00, 0x80, 0xff, 0x90, 0xc3};

    config_init(&config);
    config.engine = &engine_interp;
    config.ram_len = 4 * (uint64_t)MIB;
    vm = vm_create(&config, &error);
    ck_assert_msg(vm != NULL, "%s", error.text);
    ck_assert_int_eq(hmp_create(&hmp, vm, take_output), 0);
    ck_assert_int_eq(gmem_write(vm->gmem, 0x100000, bytes, sizeof(bytes)), 0);
    vm->vcpu.seg[SEG_CS].attr |= SEG_DB;
    output_len = 0;
    output[0] = '\0';
}

static void teardown(void)
{
    hmp_destroy(hmp);
    vm_destroy(vm);
}

/* 32-bit paging: 0-4 MiB by a table at 2000h, which maps page 0 to 1 MiB for
 * the user, page 1 read-only, and C0000000h as a large page. */
static void enable_paging(void)
{
    put32(0x1000, 0x2067);
    put32(0x1c00, 0x00e3);
    put32(0x2000, 0x100067);
    put32(0x2004, 0x101161);
    vm->vcpu.cr3 = 0x1000;
    vm->vcpu.cr4 = CR4_PSE;
    vm->vcpu.cr0 |= CR0_PG | CR0_PE;
}

static const struct {
    const char *command;
    const char *answer;
} plain[] = {
    {"",                  ""                                                         },
    {"bogus",             "unknown command: 'bogus'\n"                               },
    {"info bogus",        "unknown command: 'info bogus'\n"                          },
    {"info mem",          "PG disabled\n"                                            },
    {"info tlb",          "PG disabled\n"                                            },
    {"info status",       "VM status: running\n"                                     },
    {"x /2xw 0x100000",   "00100000: 0x7fffc801 0xff800061\n"                        },
    {"x/2xb 0x100000",    "00100000: 0x01 0xc8\n"                                    },
    {"xp /1xg 0x100000",  "0000000000100000: 0xff8000617fffc801\n"                   },
    {"x /3dh 0x100002",   "00100002: 32767    97  -128\n"                            },
    {"x /2ub 0x100001",   "00100001: 200 255\n"                                      },
    {"x /2c 0x100003",    "00100003: '\\x7f' 'a'\n"                                  },
    {"x /1i 0x100000",    "0x00100000:  01 c8                   add eax, ecx\n"      },
    {"x /1xw 0xf0000000", "f0000000: Cannot access memory\n"                         },
    {"x /1i 0xf0000000",  "0xf0000000: unable to read memory\n"                      },
    {"x /1xw",            "usage: x /fmt addr, such as x /4xw 0x1000 or x /8i $eip\n"},
    {"x /1qw 0",          "usage: x /fmt addr, such as x /4xw 0x1000 or x /8i $eip\n"},
};

START_TEST(a_command_is_answered)
{
    hmp_execute(hmp, plain[_i].command);
    ck_assert_str_eq(output, plain[_i].answer);
}
END_TEST

static const struct {
    const char *command;
    const char *answer;
} paged[] = {
    {"info mem",          "0000000000000000-0000000000001000 0000000000001000 urw\n"
                 "0000000000001000-0000000000002000 0000000000001000 -r-\n"
                 "00000000c0000000-00000000c0400000 0000000000400000 -rw\n"},
    {"info tlb",          "0000000000000000: 0000000000100000 ---DA--UW\n"
                 "0000000000001000: 0000000000101000 -G-DA----\n"
                 "00000000c0000000: 0000000000000000 --PDA---W\n"          },
    {"x /1xw 0",          "00000000: 0x7fffc801\n"                                         },
    {"x /1xw 0xc0100000", "c0100000: 0x7fffc801\n"                                         },
    {"x /1xw 0x2000",     "00002000: Cannot access memory\n"                               },
};

START_TEST(linear_addresses_go_through_the_guest_s_tables)
{
    enable_paging();
    hmp_execute(hmp, paged[_i].command);
    ck_assert_str_eq(output, paged[_i].answer);
}
END_TEST

START_TEST(registers_are_shown_as_qemu_shows_them)
{
    static const char start[] =
        "\nCPU#0\n"
        "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00000000\n"
        "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n"
        "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"
        "ES =0000 00000000 0000ffff 00009300\n";

    vm->vcpu.regs[REG_EDX] = 0;
    hmp_execute(hmp, "info registers");
    ck_assert_msg(!strncmp(output, start, sizeof(start) - 1), "%s", output);
    ck_assert_ptr_nonnull(strstr(output, "\nGDT=     00000000 0000ffff\n"));
    ck_assert_ptr_nonnull(strstr(output, "\nDR6=ffff0ff0 DR7=00000400\n"));
    ck_assert_ptr_nonnull(strstr(output, "\nEFER=0000000000000000\n"));
}
END_TEST

START_TEST(keys_edit_a_line)
{
    static const char keys[] = "infx\x7fo statuz\bs\r";

    for (const char *key = keys; *key != '\0'; key++)
        hmp_feed(hmp, (uint8_t)*key);
    ck_assert_ptr_nonnull(strstr(output, "\nVM status: running\n(popf) "));
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut)
{
    for (unsigned i = 0; i < 1000; i++)
        hmp_feed(hmp, 'x');
    hmp_feed(hmp, '\r');
    ck_assert_ptr_nonnull(strstr(output, "unknown command: 'xxx"));
}
END_TEST

START_TEST(stop_and_cont_pause_the_machine)
{
    hmp_execute(hmp, "stop");
    ck_assert(vm->paused);
    hmp_execute(hmp, "c");
    ck_assert(!vm->paused);
}
END_TEST

START_TEST(quit_stops_the_machine)
{
    hmp_execute(hmp, "q");
    ck_assert_int_eq(vm->stop.reason, STOP_QUIT);
    ck_assert_int_eq(vm_exit_status(vm), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hmp");
    TCase *tcase = tcase_create("commands");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_command_is_answered, 0,
                        (int)ARRAY_COUNT(plain));
    tcase_add_loop_test(tcase, linear_addresses_go_through_the_guest_s_tables,
                        0, (int)ARRAY_COUNT(paged));
    tcase_add_test(tcase, registers_are_shown_as_qemu_shows_them);
    tcase_add_test(tcase, keys_edit_a_line);
    tcase_add_test(tcase, a_line_that_is_too_long_is_cut);
    tcase_add_test(tcase, stop_and_cont_pause_the_machine);
    tcase_add_test(tcase, quit_stops_the_machine);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
