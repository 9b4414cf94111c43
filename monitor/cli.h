/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CLI_H
#define MONITOR_CLI_H

/*
 * PURPOSE: the command line, with qemu-system-i386's own flags, so that a user
 * or a test harness swaps one binary name. One table describes every option;
 * what QEMU has and popf has not yet is in it too, and says so.
 */
#include "monitor/config.h"

enum cli_result {
    CLI_RUN,  /* config is filled */
    CLI_DONE, /* help or version was printed: exit with status 0 */
    CLI_ERROR /* error holds one line: exit with status 1 */
};

/* config is initialised here. -d and -D take effect at once. */
enum cli_result cli_parse(struct config *config, int argc, char **argv,
                          char *error, size_t error_len);

#endif /* MONITOR_CLI_H */
