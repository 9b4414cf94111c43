/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli.h"
#include "tests/suite/suite.h"
#include "translator/decode/insn.h"

static struct config config;
static char error[256];

/* Parse a command line given as one string; words are separated by a blank,
 * and an underscore in a word stands for one. */
static enum cli_result parse(const char *line)
{
    static char copy[256];
    char *argv[32] = {"popf"};
    int argc = 1;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word != NULL;
         word = strtok(NULL, " ")) {
        for (char *at = strchr(word, '_'); at != NULL; at = strchr(at, '_'))
            *at = ' ';
        argv[argc++] = word;
    }
    return cli_parse(&config, argc, argv, error, sizeof(error));
}

static const struct {
    const char *line;
    uint64_t len;
} sizes[] = {
    {"-kernel k",            128 * (uint64_t)MIB},
    {"-kernel k -m 64",      64 * (uint64_t)MIB },
    {"-kernel k -m 512M",    512 * (uint64_t)MIB},
    {"-kernel k -m 1g",      GIB                },
    {"-kernel k -m size=2G", 2 * GIB            },
    {"-kernel k -m 2048k",   2 * (uint64_t)MIB  },
    {"--kernel k --m 3G",    3 * GIB            },
};

START_TEST(samples_are_taken_without_the_sandbox)
{
    ck_assert_int_eq(parse("-kernel k"), CLI_RUN);
    ck_assert(config.sandbox);
    ck_assert_uint_eq(config.sample.seconds, 0);
    ck_assert_int_eq(parse("-kernel k -accel bt,sample=9,sample-insns=50"),
                     CLI_RUN);
    ck_assert(!config.sandbox);
    ck_assert_uint_eq(config.sample.seconds, 9);
    ck_assert_uint_eq(config.sample.insns, 50);
}
END_TEST

START_TEST(a_size_has_a_suffix_or_is_in_megabytes)
{
    ck_assert_int_eq(parse(sizes[_i].line), CLI_RUN);
    ck_assert_uint_eq(config.ram_len, sizes[_i].len);
}
END_TEST

static const struct {
    const char *line;
    const char *error;
} bad_lines[] = {
    {"",                                                "-kernel: required: booting from disks or firmware is not supported "
         "yet"                                                                                      },
    {"-kernel",                                         "-kernel: requires a value: FILE"                   },
    {"-kernel k -m 0",                                  "-m 0: the size must be from 1M to 3G"              },
    {"-kernel k -m 4G",                                 "-m 4G: the size must be from 1M to 3G"             },
    {"-kernel k -m 99999999999999999999G",
     "-m 99999999999999999999G: expected a size such as 512M or 1G"                                         },
    {"-kernel k -m -1",                                 "-m -1: expected a size such as 512M or 1G"         },
    {"-kernel k -m 1X",                                 "-m 1X: expected a size such as 512M or 1G"         },
    {"-kernel k -m 1MB",                                "-m 1MB: expected a size such as 512M or 1G"        },
    {"-kernel k -m slots=2",                            "-m slots=2: unknown property 'slots' (allowed: "
                             "size)"                                            },
    {"-kernel k -smp 2",                                "-smp 2: only 1 CPU is supported"                   },
    {"-kernel k -sandbox 1",                            "-sandbox 1: expected on or off"                    },
    {"-kernel k -sandbox on,spawn=allow",
     "-sandbox on,spawn=allow: spawn can only be 'deny'"                                                    },
    {"-kernel k -smp x",                                "-smp x: expected a number of CPUs"                 },
    {"-kernel k -bogus",                                "-bogus: invalid option (--help lists them)"        },
    {"-kernel k -s",                                    "-s: not supported yet"                             },
    {"-kernel k -drive file=x",                         "-drive file=x: not supported yet"                  },
    {"-kernel k -hda x",                                "-hda x: not supported yet"                         },
    {"-kernel k disk.img",                              "disk.img: not an option; disk images are not "
                           "supported yet"                                        },
    {"-kernel k -accel tcg",                            "-accel tcg: is QEMU's; popf's own engines are "
                             "listed by -accel help"                            },
    {"-kernel k -accel bt,sample=0",
     "-accel bt,sample=0: sample is a number of seconds"                                                    },
    {"-kernel k -accel x",                              "-accel x: unknown engine (-accel help lists them)" },
    {"-kernel k -cpu x",                                "-cpu x: unknown model 'x' (-cpu help lists them)"  },
    {"-kernel k -cpu max,+x",                           "-cpu max,+x: unknown feature 'x' (-cpu help "
                              "lists them)"                                    },
    {"-kernel k -serial tcp:1",                         "-serial tcp:1: expected stdio, mon:stdio, "
                                "file:PATH, null or none"                    },
    {"-kernel k -serial stdio -monitor stdio",
     "-serial: only one device can use the terminal"                                                        },
    {"-kernel k -serial null -serial null -serial null -serial null -serial "
     "null",                                       "-serial null: there are only 4 serial ports"       },
    {"-kernel k -device rtl8139",                       "-device rtl8139: not supported yet "
                                  "(allowed: isa-debug-exit, isa-debugcon)"},
    {"-kernel k -device isa-debug-exit,iobase=0x10000",
     "-device isa-debug-exit,iobase=0x10000: iobase must be a port number"                                  },
    {"-kernel k -display gtk",                          "-display gtk: not supported yet (allowed: "
                               "none)"                                        },
    {"-kernel k -vga std",                              "-vga std: not supported yet (allowed: none)"       },
    {"-kernel k -rtc base=x",                           "-rtc base=x: expected utc, localtime or a date "
                              "such as 2024-01-31T12:00:00"                    },
    {"-kernel k -d mmu,x",                              "-d mmu,x: unknown channel 'x' (-d help lists "
                           "them)"                                                },
    {"-kernel k --stats=xml",                           "--stats=xml: expected --stats or "
                              "--stats=json"                                   },
    {"-kernel k -D /nonexistent/x",                     "-D /nonexistent/x: No such file or "
                                    "directory"                          },
    {"-append x",                                       "-kernel: -append needs a kernel"                   },
};

START_TEST(a_bad_option_is_told_in_one_line)
{
    ck_assert_int_eq(parse(bad_lines[_i].line), CLI_ERROR);
    ck_assert_str_eq(error, bad_lines[_i].error);
}
END_TEST

static const struct {
    const char *line;
    enum char_kind serial;
    enum char_kind monitor;
} terminals[] = {
    {"-kernel k",                                 CHAR_MUX,   CHAR_NONE },
    {"-kernel k -nographic",                      CHAR_MUX,   CHAR_NONE },
    {"-kernel k -nographic -nodefaults",          CHAR_NONE,  CHAR_NONE },
    {"-kernel k -nodefaults -serial stdio",       CHAR_STDIO, CHAR_NONE },
    {"-kernel k -nographic -monitor none",        CHAR_STDIO, CHAR_NONE },
    {"-kernel k -monitor stdio",                  CHAR_NULL,  CHAR_STDIO},
    {"-kernel k -display none",                   CHAR_NULL,  CHAR_NONE },
    {"-kernel k -display none -serial mon:stdio", CHAR_MUX,   CHAR_NONE },
    {"-kernel k -serial file:x -monitor stdio",   CHAR_FILE,  CHAR_STDIO},
};

START_TEST(the_terminal_goes_where_qemu_gives_it)
{
    ck_assert_int_eq(parse(terminals[_i].line), CLI_RUN);
    ck_assert_int_eq(config.serial[0].kind, terminals[_i].serial);
    ck_assert_int_eq(config.monitor.kind, terminals[_i].monitor);
}
END_TEST

START_TEST(options_fill_their_fields)
{
    ck_assert_int_eq(
        parse("-kernel k -initrd i -append a_b -name n -no-reboot -S -verify "
              "-device isa-debug-exit,iobase=0xf4,iosize=4 --stats=json "
              "-rtc base=1970-01-02 -debugcon file:d -net none -smp 1 "
              "-machine pc,accel=interp,dump-guest-core=on"),
        CLI_RUN);
    ck_assert(config.dump_ram);
    ck_assert_str_eq(config.kernel, "k");
    ck_assert_str_eq(config.initrd, "i");
    ck_assert_str_eq(config.append, "a b");
    ck_assert_str_eq(config.name, "n");
    ck_assert(config.no_reboot);
    ck_assert(config.paused);
    ck_assert(config.verify);
    ck_assert_int_eq(config.debug_exit_port, 0xf4);
    ck_assert_int_eq(config.stats, STATS_JSON);
    ck_assert_int_eq(config.rtc_base, 86400);
    ck_assert_str_eq(config.debugcon.path, "d");
}
END_TEST

START_TEST(the_sandbox_is_on_unless_it_is_turned_off)
{
    ck_assert_int_eq(parse("-kernel k"), CLI_RUN);
    ck_assert(config.sandbox);
    ck_assert_int_eq(parse("-kernel k -sandbox off"), CLI_RUN);
    ck_assert(!config.sandbox);
    ck_assert_int_eq(parse("-kernel k -sandbox enable=on,obsolete=deny,"
                           "elevateprivileges=deny,spawn=deny"),
                     CLI_RUN);
    ck_assert(config.sandbox);
}
END_TEST

START_TEST(a_feature_that_goes_takes_along_what_needs_it)
{
    ck_assert_int_eq(parse("-kernel k -cpu max,-sse,mmx=on"), CLI_RUN);
    ck_assert_uint_eq(config.features & BIT(FEAT_SSE), 0);
    ck_assert_uint_eq(config.features & BIT(FEAT_SSE2), 0);
    ck_assert_uint_eq(config.features & BIT(FEAT_MMX), BIT(FEAT_MMX));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tcase = tcase_create("options");

    tcase_add_test(tcase, samples_are_taken_without_the_sandbox);
    tcase_add_loop_test(tcase, a_size_has_a_suffix_or_is_in_megabytes, 0,
                        (int)ARRAY_COUNT(sizes));
    tcase_add_loop_test(tcase, a_bad_option_is_told_in_one_line, 0,
                        (int)ARRAY_COUNT(bad_lines));
    tcase_add_loop_test(tcase, the_terminal_goes_where_qemu_gives_it, 0,
                        (int)ARRAY_COUNT(terminals));
    tcase_add_test(tcase, options_fill_their_fields);
    tcase_add_test(tcase, the_sandbox_is_on_unless_it_is_turned_off);
    tcase_add_test(tcase, a_feature_that_goes_takes_along_what_needs_it);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
