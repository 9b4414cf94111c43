/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_ACPI_TABLES_H
#define EMU_DEV_ACPI_TABLES_H

/*
 * PURPOSE: the ACPI tables that describe the board to a guest that was started
 * without firmware.
 */
#include "monitor/base.h"

/* What differs from board to board. */
struct acpi_board {
    struct {
        uint16_t port; /* 0: no such serial port */
        uint8_t irq;
    } serial[4];
};

/* Write them into the BIOS area of guest RAM at hva of guest-physical 0..len.
 * 0, or -ENOSPC. */
MUST_CHECK int acpi_tables_write(const struct acpi_board *board, uint8_t *ram,
                                 size_t len);

/* The DSDT's definition block, without its header: its length, or 0 if it does
 * not fit. Called by acpi_tables_write(). */
MUST_CHECK size_t acpi_dsdt_write(const struct acpi_board *board, uint8_t *at,
                                  size_t room);

#endif /* EMU_DEV_ACPI_TABLES_H */
