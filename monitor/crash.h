/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CRASH_H
#define MONITOR_CRASH_H

/*
 * PURPOSE: the last words of a process that runs into a bug of popf's own:
 * where it was on the host, what the guest was doing, which CCF ran. Then it
 * dies by the signal that it met, the terminal restored.
 *
 * What a guest causes is no business of this module: the translator's handlers
 * (bt_signal.c) hand on only what they do not expect. A sanitizer's handlers
 * stay. Everything here is for one process, so only front ends call it.
 */
#include "monitor/base.h"

struct vcpu;

/* Catch SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT and SIGTRAP where nobody else does. To
 * be called first of all, before the engines. */
void crash_install(void);

/* The guest to tell about; NULL: none. */
void crash_watch(const struct vcpu *vcpu);

#endif /* MONITOR_CRASH_H */
