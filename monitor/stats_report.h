/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_STATS_REPORT_H
#define MONITOR_STATS_REPORT_H

/*
 * PURPOSE: print a VM's counters, for people and as JSON: one object with
 * "engine", "run_ns", "retired", "counters" and "interpreted" (mnemonic: count).
 */
#include <stdio.h>

#include "monitor/vm.h"

void stats_report(const struct vm *vm, uint64_t run_ns, FILE *out);

#endif /* MONITOR_STATS_REPORT_H */
