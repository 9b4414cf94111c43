/* SPDX-License-Identifier: MIT */
#include "lib/power.h"

#include "lib/cpu.h"
#include "lib/lib.h"

enum {
    DEBUG_EXIT_PORT = 0xF4,
    EXIT_PASS = 0x10,
    EXIT_FAIL = 0x11,
    /* ACPI Specification "PM1 Control Registers" and "FADT Format". */
    SLP_EN = 1 << 13,
    FADT_DSDT = 40,
    FADT_SMI_CMD = 48,
    FADT_ACPI_ENABLE = 52,
    FADT_PM1A_CNT = 64,
};

void debug_exit(bool pass)
{
    outl(DEBUG_EXIT_PORT, pass ? EXIT_PASS : EXIT_FAIL);
}

void reboot(void)
{
    outb(0x64, 0xFE);
    for (;;)
        __asm__ volatile("hlt");
}

/* The BIOS area, where the root pointer lies on a 16-byte boundary. */
static uint32_t find_rsdt(void)
{
    for (uint32_t at = 0xE0000; at < 0x100000; at += 16) {
        if (!memcmp((const void *)at, "RSD PTR ", 8))
            return mem32(at + 16)[0];
    }
    return 0;
}

static uint32_t find_table(uint32_t rsdt, const char *signature)
{
    uint32_t len = mem32(rsdt + 4)[0];

    for (uint32_t at = rsdt + 36; at + 4 <= rsdt + len; at += 4) {
        uint32_t table = mem32(at)[0];

        if (!memcmp((const void *)table, signature, 4))
            return table;
    }
    return 0;
}

/* SLP_TYPa of \_S5: the first byte element of its package in the DSDT. */
static uint32_t sleep_type(uint32_t dsdt)
{
    uint32_t len = mem32(dsdt + 4)[0];

    for (uint32_t at = dsdt + 36; at + 12 < dsdt + len; at++) {
        const volatile uint8_t *p = mem8(at);

        if (memcmp((const void *)at, "_S5_\x12", 5))
            continue;
        p += 7; /* name, package operator, one-byte length, element count */
        return *p == 0x0A ? p[1] : *p; /* BytePrefix, else ZeroOp or OneOp */
    }
    return 0;
}

void power_off(void)
{
    uint32_t rsdt = find_rsdt();
    uint32_t fadt = rsdt ? find_table(rsdt, "FACP") : 0;

    if (fadt) {
        uint32_t smi_port = mem32(fadt + FADT_SMI_CMD)[0];
        uint32_t type = sleep_type(mem32(fadt + FADT_DSDT)[0]);
        uint16_t control = (uint16_t)mem32(fadt + FADT_PM1A_CNT)[0];

        if (smi_port)
            outb((uint16_t)smi_port, *mem8(fadt + FADT_ACPI_ENABLE));
        outw(control, (uint16_t)(type << 10 | SLP_EN));
        for (int i = 0; i < 100000; i++)
            inb(0x80); /* it may take a moment */
    }
    print("This machine offers no power-off; halted.\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}
