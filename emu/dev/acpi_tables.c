/* SPDX-License-Identifier: MIT */
#include "emu/dev/acpi_tables.h"

#include <errno.h>
#include <string.h>

#include "emu/dev/acpi_pm.h"
#include "emu/dev/pci.h"

/*
 * ACPI tables for loaders without firmware (ACPI 6.4, section 5.2), in the BIOS
 * area that an OS searches for "RSD PTR " and that E820 maps never call RAM:
 *
 *   F0000 RSDP   F0040 FACS   F0080 RSDT   F0100 FADT   F0200 DSDT
 */

#define RSDP_AT  0xf0000u
#define FACS_AT  0xf0040u
#define RSDT_AT  0xf0080u
#define FADT_AT  0xf0100u
#define DSDT_AT  0xf0200u
#define END      0x100000u
#define HEADER   36u
#define FADT_LEN 244u
#define FADT_REV 3u
#define FLAGS    0x465u /* WBINVD, PROC_C1, SLP_BUTTON, FIX_RTC, RESET_REG */
#define SPACE_IO 1u
#define RESET_ON 0x06u

static void put(uint8_t *at, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* The byte that makes all of them sum to zero. */
static uint8_t checksum(const uint8_t *data, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += data[i];
    return (uint8_t)(0u - sum);
}

/* Fill in a table's header (5.2.6) and checksum; its body is there. */
static void seal(uint8_t *table, const char *signature, uint32_t len,
                 uint8_t revision)
{
    memcpy(table, signature, 4);
    put(table + 4, 4, len);
    table[8] = revision;
    memcpy(table + 10, "POPF  POPFPC  ", 14);
    put(table + 24, 4, 1);
    memcpy(table + 28, "POPF", 4);
    put(table + 32, 4, 1);
    table[9] = checksum(table, len);
}

static void put_fadt(uint8_t *fadt)
{
    put(fadt + 36, 4, FACS_AT);
    put(fadt + 40, 4, DSDT_AT);
    fadt[44] = 1; /* INT_MODEL of ACPI 1.0: dual 8259A */
    put(fadt + 46, 2, ACPI_SCI_IRQ);
    put(fadt + 48, 4, ACPI_SMI_CMD);
    fadt[52] = ACPI_CMD_ON;
    fadt[53] = ACPI_CMD_OFF;
    put(fadt + 56, 4, ACPI_PM_BASE);
    put(fadt + 64, 4, ACPI_PM_BASE + 4);
    put(fadt + 76, 4, ACPI_PM_BASE + 8);
    put(fadt + 80, 4, ACPI_GPE0_BASE);
    fadt[88] = 4; /* lengths of the blocks */
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = 4;
    put(fadt + 96, 2, 0xfff); /* no C2 */
    put(fadt + 98, 2, 0xfff); /* no C3 */
    fadt[108] = 0x32;         /* CENTURY */
    put(fadt + 109, 2, 0x03); /* legacy devices, 8042 */
    put(fadt + 112, 4, FLAGS);
    fadt[116] = SPACE_IO; /* RESET_REG */
    fadt[117] = 8;
    put(fadt + 120, 4, PCI_RESET_PORT);
    fadt[128] = RESET_ON;
    seal(fadt, "FACP", FADT_LEN, FADT_REV);
}

int acpi_tables_write(const struct acpi_board *board, uint8_t *ram, size_t len)
{
    if (len < END)
        return -ENOSPC;
    memset(ram + RSDP_AT, 0, END - RSDP_AT);
    uint8_t *rsdp = ram + RSDP_AT;
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "POPF  ", 6);
    put(rsdp + 16, 4, RSDT_AT);
    rsdp[8] = checksum(rsdp, 20);
    memcpy(ram + FACS_AT, "FACS", 4);
    put(ram + FACS_AT + 4, 4, 64);
    put(ram + RSDT_AT + HEADER, 4, FADT_AT);
    seal(ram + RSDT_AT, "RSDT", HEADER + 4, 1);
    put_fadt(ram + FADT_AT);
    size_t dsdt_len =
        acpi_dsdt_write(board, ram + DSDT_AT + HEADER, END - DSDT_AT - HEADER);
    if (dsdt_len == 0)
        return -ENOSPC;
    seal(ram + DSDT_AT, "DSDT", (uint32_t)(HEADER + dsdt_len), 1);
    return 0;
}
