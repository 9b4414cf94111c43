/* SPDX-License-Identifier: MIT */
#include "monitor/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli_priv.h"
#include "monitor/log.h"

#ifndef POPF_VERSION
#    define POPF_VERSION "0.1"
#endif

/* The groups of --help, in its order. */
enum group { MACHINE, BOOT, CONSOLE, DEBUG, OTHER, GROUP_COUNT };

static const char *const group_titles[GROUP_COUNT] = {
    "Machine", "Booting", "Terminal and consoles", "Debugging and statistics",
    "Other"};

static cli_setter show_help;
static cli_setter show_version;
static cli_setter accept_flag;
static cli_setter refuse;

/* An option takes a value exactly when it has an arg. A help of NULL keeps it
 * out of --help. A name is matched after one dash or two. */
static const struct option {
    const char *name;
    const char *arg;
    enum group group;
    cli_setter *set;
    const char *help;
} options[] = {
    {"m",              "SIZE[M|G]",          MACHINE, cli_set_ram,         "guest RAM (128M)"                     },
    {"cpu",            "MODEL[,+|-FEATURE]", MACHINE, cli_set_cpu,
     "CPU model and features; help lists them (max)"                                                              },
    {"smp",            "N",                  MACHINE, cli_set_smp,         "number of CPUs: 1"                    },
    {"accel",          "NAME",               MACHINE, cli_set_accel,
     "execution engine; help lists them (bt)"                                                                     },
    {"machine",        "pc[,PROP=VALUE]",    MACHINE, cli_set_machine,
     "board: pc[,dump-guest-core=on|off (off)]"                                                                   },
    {"M",              "pc",                 MACHINE, cli_set_machine,     NULL                                   },
    {"rtc",            "base=utc|DATE",      MACHINE, cli_set_rtc,
     "date of the real-time clock at power-up (utc)"                                                              },
    {"device",         "NAME[,PROP=VALUE]",  MACHINE, cli_set_device,
     "isa-debug-exit[,iobase=P], isa-debugcon"                                                                    },
    {"nodefaults",     NULL,                 MACHINE, cli_set_nodefaults,
     "no device that was not asked for"                                                                           },
    {"vga",            "none",               MACHINE, cli_set_vga,         "display adapter: none"                },
    {"net",            "none",               MACHINE, cli_set_network,     "network: none"                        },
    {"nic",            "none",               MACHINE, cli_set_network,     NULL                                   },

    {"kernel",         "FILE",               BOOT,    cli_set_kernel,
     "Linux bzImage or Multiboot ELF to start"                                                                    },
    {"initrd",         "FILE",               BOOT,    cli_set_initrd,
     "initial RAM disk, or \"module args,...\" for Multiboot"                                                     },
    {"append",         "TEXT",               BOOT,    cli_set_append,      "kernel command line"                  },
    {"no-reboot",      NULL,                 BOOT,    cli_set_no_reboot,
     "end where the guest would reboot"                                                                           },
    {"no-shutdown",    NULL,                 BOOT,    cli_set_no_shutdown,
     "stop, but stay, when the guest powers off"                                                                  },
    {"S",              NULL,                 BOOT,    cli_set_paused,      "start stopped; the monitor's c starts"},

    {"nographic",      NULL,                 CONSOLE, cli_set_nographic,
     "serial port and monitor on the terminal (default)"                                                          },
    {"display",        "none",               CONSOLE, cli_set_display,     "no display, no terminal"              },
    {"serial",         "DEV",                CONSOLE, cli_set_serial,
     "stdio, mon:stdio, file:PATH, null, none; up to four"                                                        },
    {"monitor",        "DEV",                CONSOLE, cli_set_monitor,     "stdio or none"                        },
    {"debugcon",       "DEV",                CONSOLE, cli_set_debugcon,
     "port E9h: stdio, file:PATH, null"                                                                           },

    {"d",              "LIST",               DEBUG,   cli_set_channels,    "log channels; help lists them"        },
    {"D",              "FILE",               DEBUG,   cli_set_log_file,    "log to FILE instead of stderr"        },
    {"stats",          "[=json]",            DEBUG,   cli_set_stats,
     "print counters when the guest ends"                                                                         },
    {"verify",         NULL,                 DEBUG,   cli_set_verify,
     "check internal invariants as the guest runs (slow)"                                                         },
    {"s",              NULL,                 DEBUG,   refuse,              NULL                                   },
    {"gdb",            "DEV",                DEBUG,   refuse,              NULL                                   },

    {"sandbox",        "on|off",             OTHER,   cli_set_sandbox,
     "allow only the system calls that a running guest needs (on)"                                                },
    {"name",           "TEXT",               OTHER,   cli_set_name,        "name of the guest"                    },
    {"help",           NULL,                 OTHER,   show_help,           "this text"                            },
    {"h",              NULL,                 OTHER,   show_help,           NULL                                   },
    {"version",        NULL,                 OTHER,   show_version,        "version of popf"                      },
    {"no-hpet",        NULL,                 OTHER,   accept_flag,         NULL                                   },
    {"no-user-config", NULL,                 OTHER,   accept_flag,         NULL                                   },

    {"drive",          "",                   OTHER,   refuse,              NULL                                   },
    {"blockdev",       "",                   OTHER,   refuse,              NULL                                   },
    {"hda",            "",                   OTHER,   refuse,              NULL                                   },
    {"hdb",            "",                   OTHER,   refuse,              NULL                                   },
    {"hdc",            "",                   OTHER,   refuse,              NULL                                   },
    {"hdd",            "",                   OTHER,   refuse,              NULL                                   },
    {"cdrom",          "",                   OTHER,   refuse,              NULL                                   },
    {"fda",            "",                   OTHER,   refuse,              NULL                                   },
    {"fdb",            "",                   OTHER,   refuse,              NULL                                   },
    {"boot",           "",                   OTHER,   refuse,              NULL                                   },
    {"bios",           "",                   OTHER,   refuse,              NULL                                   },
    {"snapshot",       NULL,                 OTHER,   refuse,              NULL                                   },
    {"loadvm",         "",                   OTHER,   refuse,              NULL                                   },
    {"netdev",         "",                   OTHER,   refuse,              NULL                                   },
    {"chardev",        "",                   OTHER,   refuse,              NULL                                   },
    {"enable-kvm",     NULL,                 OTHER,   refuse,              NULL                                   },
    {"parallel",       "",                   OTHER,   refuse,              NULL                                   },
    {"usb",            NULL,                 OTHER,   refuse,              NULL                                   },
    {"qmp",            "",                   OTHER,   refuse,              NULL                                   },
    {"vnc",            "",                   OTHER,   refuse,              NULL                                   },
    {"object",         "",                   OTHER,   refuse,              NULL                                   },
    {"global",         "",                   OTHER,   refuse,              NULL                                   },
    {"icount",         "",                   OTHER,   refuse,              NULL                                   },
    {"daemonize",      NULL,                 OTHER,   refuse,              NULL                                   },
    {"dtb",            "",                   OTHER,   refuse,              NULL                                   },
};

bool cli_fail(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    int at = snprintf(cli->error, cli->error_len, "%s%s%s: ", cli->option,
                      cli->value != NULL ? " " : "",
                      cli->value != NULL ? cli->value : "");

    if (at < 0 || (size_t)at >= cli->error_len)
        return false;
    va_start(ap, fmt);
    vsnprintf(cli->error + at, cli->error_len - (size_t)at, fmt, ap);
    va_end(ap);
    return false;
}

static bool accept_flag(struct cli *cli, const char *value)
{
    (void)cli;
    (void)value;
    return true;
}

static bool refuse(struct cli *cli, const char *value)
{
    (void)value;
    return cli_fail(cli, "not supported yet");
}

static bool show_version(struct cli *cli, const char *value)
{
    (void)value;
    printf("popf version %s\n", POPF_VERSION);
    cli->done = true;
    return true;
}

static void show_option(const struct option *option)
{
    char left[64];
    bool joined = option->arg != NULL && option->arg[0] == '[';

    snprintf(left, sizeof(left), "%s%s%s%s", joined ? "--" : "-", option->name,
             option->arg != NULL && !joined ? " " : "",
             option->arg != NULL ? option->arg : "");
    printf("  %-26s %s\n", left, option->help);
}

static bool show_help(struct cli *cli, const char *value)
{
    (void)value;
    printf("popf runs 32-bit x86 guests by binary translation.\n"
           "usage: popf [options] -kernel FILE\n");
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        printf("\n%s:\n", group_titles[group]);
        for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
            if (options[i].group == group && options[i].help != NULL)
                show_option(&options[i]);
        }
    }
    printf("\nOn the terminal Ctrl-A x ends popf, Ctrl-A c toggles the "
           "monitor, Ctrl-A h lists more.\n");
    cli->done = true;
    return true;
}

/* "--stats=json": the length of the name; the value stands behind the '='. */
static const struct option *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (strlen(options[i].name) == len &&
            !memcmp(options[i].name, name, len))
            return &options[i];
    }
    return NULL;
}

/* Parse the option at argv[*at]; *at is left at its last word. */
static bool parse_option(struct cli *cli, int argc, char **argv, int *at)
{
    const char *word = argv[*at];

    cli->option = word;
    cli->value = NULL;
    if (word[0] != '-' || word[1] == '\0')
        return cli_fail(cli, "not an option; disk images are not supported "
                             "yet");
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    const struct option *option = find_option(name, len);

    if (option == NULL)
        return cli_fail(cli, "invalid option (--help lists them)");
    bool joined = option->arg != NULL && option->arg[0] == '[';

    if (name[len] == '=') {
        if (!joined)
            return cli_fail(cli, "the value is a word of its own");
        return option->set(cli, name + len + 1);
    }
    if (option->arg != NULL && !joined) {
        if (*at + 1 >= argc)
            return cli_fail(cli, "requires a value%s%s",
                            option->arg[0] ? ": " : "", option->arg);
        cli->value = argv[++*at];
    }
    return option->set(cli, cli->value);
}

static bool start_log(struct cli *cli)
{
    const char *bad;

    cli->option = "-D";
    cli->value = cli->log_file;
    if (cli->log_file != NULL) {
        int error = log_open(cli->log_file);

        if (error != 0)
            return cli_fail(cli, "%s", strerror(-error));
    }
    cli->option = "-d";
    cli->value = cli->channels;
    if (cli->channels != NULL && !log_enable(cli->channels, &bad))
        return cli_fail(cli, "unknown channel '%.*s' (-d help lists them)",
                        (int)strcspn(bad, ","), bad);
    return true;
}

enum cli_result cli_parse(struct config *config, int argc, char **argv,
                          char *error, size_t error_len)
{
    struct cli cli = {.config = config, .error = error, .error_len = error_len};

    config_init(config);
    error[0] = '\0';
    for (int at = 1; at < argc; at++) {
        if (!parse_option(&cli, argc, argv, &at))
            return CLI_ERROR;
        if (cli.done)
            return CLI_DONE;
    }
    if (!cli_finish(&cli) || !start_log(&cli))
        return CLI_ERROR;
    return CLI_RUN;
}
