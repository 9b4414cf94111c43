/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/dev/acpi_pm.h"
#include "emu/dev/acpi_tables.h"
#include "emu/dev/aml.h"
#include "emu/dev/pci.h"

/*
 * The DSDT (ACPI 6.4, section 5.2.11.1), in ASL:
 *
 *   Name (\_S5, Package (4) {S5, S5, 0, 0})
 *   Scope (\_SB) {
 *     Device (PCI0) {
 *       _HID PNP0A03, _UID 0, _BBN 0,
 *       _CRS the windows of the bus, _PRT the interrupts of the slots
 *       Device (ISA) {
 *         _ADR 00010000h
 *         Device (PIC) ... one for each row of isa_devices
 *         Device (COM1) ... one for each serial port
 *       }
 *     }
 *   }
 *
 * Interrupts of PCI are routed as the PIRQ registers are set at reset, without
 * link devices: _PRT names the interrupt itself.
 */

#define SLOT_ISA    1u
#define SLOT_COUNT  32u
#define PCI_WINDOW  0xc0000000u /* above all RAM, */
#define PCI_LAST    0xfebfffffu /* below what chip sets keep for themselves */
#define NONE        0xffu
#define DECODE_16   1u
#define FIXED_RANGE 0x0cu /* minimum and maximum are fixed */

/* A buffer of resource descriptors (6.4 "Resource Data Types for ACPI"). */
struct resources {
    uint8_t bytes[160];
    size_t len;
};

static void put(struct resources *r, unsigned size, uint32_t value)
{
    ENSURE(r->len + size <= sizeof(r->bytes));
    for (unsigned i = 0; i < size; i++)
        r->bytes[r->len++] = (uint8_t)(value >> (8 * i));
}

static void put_io(struct resources *r, uint16_t port, uint8_t len)
{
    put(r, 1, 0x47); /* I/O port descriptor */
    put(r, 1, DECODE_16);
    put(r, 2, port);
    put(r, 2, port);
    put(r, 1, 1);
    put(r, 1, len);
}

/* The short form: edge-triggered, high, not shared. */
static void put_irq(struct resources *r, unsigned irq)
{
    put(r, 1, 0x22);
    put(r, 2, BIT(irq));
}

static void put_dma(struct resources *r, unsigned channel)
{
    put(r, 1, 0x2a);
    put(r, 1, BIT(channel));
    put(r, 1, 0); /* compatibility mode, 8 bits, not a bus master */
}

/* An address space descriptor with fields of size bytes. type: 0 memory, 1
 * I/O, 2 bus numbers. */
static void put_window(struct resources *r, unsigned size, unsigned type,
                       uint32_t first, uint32_t last)
{
    static const uint8_t flags[3] = {0x01, 0x03, 0x00}; /* writable, all, - */
    put(r, 1, size == 4 ? 0x87 : 0x88);
    put(r, 2, 3 + 5 * size);
    put(r, 1, type);
    put(r, 1, FIXED_RANGE);
    put(r, 1, flags[type]);
    put(r, size, 0); /* granularity */
    put(r, size, first);
    put(r, size, last);
    put(r, size, 0); /* translation */
    put(r, size, last - first + 1);
}

static void put_crs(struct aml *aml, struct resources *r)
{
    put(r, 1, 0x79); /* end tag; a checksum of 0 is not checked */
    put(r, 1, 0);
    aml_name(aml, "_CRS");
    aml_buffer(aml, r->bytes, r->len);
}

static const struct isa_device {
    char name[5];
    const char *hid;
    struct {
        uint16_t port;
        uint8_t len;
    } io[4];
    uint8_t irq, dma;
} isa_devices[] = {
    {"PIC_", "PNP0000", {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}, 2,    NONE},
    {"TMR_", "PNP0100", {{0x40, 4}},                        0,    NONE},
    {"DMAC", "PNP0200", {{0, 16}, {0x81, 15}, {0xc0, 32}},  NONE, 4   },
    {"SPKR", "PNP0800", {{0x61, 1}},                        NONE, NONE},
    {"RTC_", "PNP0B00", {{0x70, 2}},                        8,    NONE},
    {"FPU_", "PNP0C04", {{0xf0, 2}},                        13,   NONE},
    {"KBD_", "PNP0303", {{0x60, 1}, {0x64, 1}},             1,    NONE},
    {"MOU_", "PNP0F13", {{0, 0}},                           12,   NONE},
    {"SYSR", "PNP0C02", {{0x80, 1}, {0x92, 1}, {0xb2, 2}},  NONE, NONE},
};

static void put_isa_device(struct aml *aml, const struct isa_device *dev,
                           unsigned uid)
{
    struct resources r = {.len = 0};
    size_t device = aml_device(aml, dev->name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, dev->hid);
    if (uid != 0) {
        aml_name(aml, "_UID");
        aml_integer(aml, uid);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(dev->io); i++)
        if (dev->io[i].len != 0)
            put_io(&r, dev->io[i].port, dev->io[i].len);
    if (dev->irq != NONE)
        put_irq(&r, dev->irq);
    if (dev->dma != NONE)
        put_dma(&r, dev->dma);
    put_crs(aml, &r);
    aml_close(aml, device);
}

static void put_isa(struct aml *aml, const struct acpi_board *board)
{
    size_t isa = aml_device(aml, "ISA_");
    aml_name(aml, "_ADR");
    aml_integer(aml, SLOT_ISA << 16);
    for (size_t i = 0; i < ARRAY_COUNT(isa_devices); i++)
        put_isa_device(aml, &isa_devices[i], 0);
    for (unsigned n = 0; n < ARRAY_COUNT(board->serial); n++) {
        struct isa_device com = {.name = "COM1",
                                 .hid = "PNP0501",
                                 .io = {{board->serial[n].port, 8}},
                                 .irq = board->serial[n].irq,
                                 .dma = NONE};
        com.name[3] = (char)('1' + n);
        if (board->serial[n].port != 0)
            put_isa_device(aml, &com, n + 1);
    }
    aml_close(aml, isa);
}

/* 6.2.13 "_PRT (PCI Routing Table)": slot and any function, pin, no link, the
 * interrupt. */
static void put_prt(struct aml *aml)
{
    aml_name(aml, "_PRT");
    size_t table = aml_package(aml, (SLOT_COUNT - 1) * 4);
    for (unsigned slot = 1; slot < SLOT_COUNT; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            size_t entry = aml_package(aml, 4);
            aml_integer(aml, slot << 16 | 0xffff);
            aml_integer(aml, pin);
            aml_integer(aml, 0);
            aml_integer(aml, pci_irq(slot, pin));
            aml_close(aml, entry);
        }
    }
    aml_close(aml, table);
}

static void put_pci(struct aml *aml, const struct acpi_board *board)
{
    struct resources r = {.len = 0};
    size_t pci = aml_device(aml, "PCI0");
    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0A03");
    aml_name(aml, "_UID");
    aml_integer(aml, 0);
    aml_name(aml, "_BBN");
    aml_integer(aml, 0);
    put_window(&r, 2, 2, 0, 0xff);
    put_io(&r, PCI_CONFIG_PORT, 8); /* the bridge's own, not a window */
    put_window(&r, 2, 1, 0, PCI_CONFIG_PORT - 1);
    put_window(&r, 2, 1, PCI_CONFIG_PORT + 8, 0xffff);
    put_window(&r, 4, 0, 0xa0000, 0xbffff);
    put_window(&r, 4, 0, PCI_WINDOW, PCI_LAST);
    put_crs(aml, &r);
    put_prt(aml);
    put_isa(aml, board);
    aml_close(aml, pci);
}

size_t acpi_dsdt_write(const struct acpi_board *board, uint8_t *at, size_t room)
{
    struct aml aml = {.data = at, .room = room};
    aml_name(&aml, "\\_S5_");
    size_t s5 = aml_package(&aml, 4);
    aml_integer(&aml, ACPI_SLP_TYP_S5); /* PM1a */
    aml_integer(&aml, ACPI_SLP_TYP_S5); /* PM1b */
    aml_integer(&aml, 0);
    aml_integer(&aml, 0);
    aml_close(&aml, s5);
    size_t sb = aml_scope(&aml, "\\_SB_");
    put_pci(&aml, board);
    aml_close(&aml, sb);
    return aml.full ? 0 : aml.len;
}
