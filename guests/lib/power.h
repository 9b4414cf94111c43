/* SPDX-License-Identifier: MIT */
#ifndef LIB_POWER_H
#define LIB_POWER_H

/*
 * PURPOSE: the ways to end the machine.
 */
#include <stdbool.h>

/* isa-debug-exit at F4h: the host sees status 33 for pass, 35 for failure.
 * Returns when the machine has no such device. */
void debug_exit(bool pass);
/* ACPI soft-off through the tables the machine provides. */
void power_off(void);
/* The keyboard controller's reset line. */
void reboot(void);

#endif /* LIB_POWER_H */
