/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_SANDBOX_H
#define MONITOR_SANDBOX_H

/*
 * PURPOSE: give up, for good, whatever a process that runs a guest no longer
 * needs once the machine is set up: system calls, capabilities, new privileges,
 * directories. From then on a system call that is not on the list of sandbox.c
 * kills the process with SIGSYS.
 *
 * It is the whole process that changes, and nothing undoes it; so only the
 * front ends call this.
 */
#include "monitor/config.h"

/* 0 or -errno, with the process as restricted as could be. */
MUST_CHECK int sandbox_enter(void);

/* The same for a front end, if the configuration asks for it. False after one
 * line on stderr. */
MUST_CHECK bool sandbox_start(const struct config *config);

#endif /* MONITOR_SANDBOX_H */
