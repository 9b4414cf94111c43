/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CLI_PRIV_H
#define MONITOR_CLI_PRIV_H

/*
 * PURPOSE: what the option table (cli.c) and the setters (cli_options.c) share.
 */
#include "monitor/config.h"

/* A command line in the making. */
struct cli {
    struct config *config;
    unsigned serial_count;
    bool nographic;
    bool display_none;
    bool nodefaults;
    bool monitor_given;
    bool done;            /* help was printed */
    const char *channels; /* -d */
    const char *log_file; /* -D */
    const char *option;   /* being parsed: "-m" */
    const char *value;    /* its value, or NULL */
    char *error;          /* empty until something failed */
    size_t error_len;
};

/* What an option does: false with cli->error filled. */
typedef bool cli_setter(struct cli *cli, const char *value);

/* Record "-option value: text"; always false. */
bool cli_fail(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

cli_setter cli_set_accel;
cli_setter cli_set_append;
cli_setter cli_set_channels;
cli_setter cli_set_cpu;
cli_setter cli_set_debugcon;
cli_setter cli_set_device;
cli_setter cli_set_display;
cli_setter cli_set_initrd;
cli_setter cli_set_kernel;
cli_setter cli_set_log_file;
cli_setter cli_set_machine;
cli_setter cli_set_monitor;
cli_setter cli_set_name;
cli_setter cli_set_network;
cli_setter cli_set_nodefaults;
cli_setter cli_set_no_reboot;
cli_setter cli_set_no_shutdown;
cli_setter cli_set_nographic;
cli_setter cli_set_paused;
cli_setter cli_set_ram;
cli_setter cli_set_rtc;
cli_setter cli_set_sandbox;
cli_setter cli_set_serial;
cli_setter cli_set_smp;
cli_setter cli_set_stats;
cli_setter cli_set_verify;
cli_setter cli_set_vga;

/* Apply the defaults that depend on several options; check conflicts. */
bool cli_finish(struct cli *cli);

#endif /* MONITOR_CLI_PRIV_H */
