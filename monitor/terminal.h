/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_TERMINAL_H
#define MONITOR_TERMINAL_H

/*
 * PURPOSE: the user's terminal and the signals that end or stop the process.
 *
 * A process has one controlling terminal and one set of signal dispositions;
 * so this module, alone with the log, has process-wide state. Only the front
 * end (main.c) calls it. Whatever ends popf, the terminal is left as it was.
 */
#include "monitor/base.h"

/* Put stdin into raw mode, if it is a terminal; with signals, Ctrl-C and kin
 * still mean signals. Restored at exit, stop and fatal signals. */
void terminal_set_raw(bool signals);
void terminal_restore(void);

/* Have quit(opaque, signal) called, in the handler, on SIGTERM, SIGINT and
 * SIGHUP. quit NULL ends that. */
void terminal_on_quit(void (*quit)(void *opaque, int number), void *opaque);

#endif /* MONITOR_TERMINAL_H */
