/* SPDX-License-Identifier: MIT */
#include "emu/dev/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emu/dev/state.h"

/*
 * PCI Local Bus Specification 3.0, section 3.2.2.3.2 "Software Generation of
 * Configuration Transactions": only a doubleword access reaches CONFIG_ADDRESS,
 * so a byte access to CF9h is free to be the PIIX's reset control register.
 *
 * A function is 256 bytes of registers and as many bytes of write mask. The
 * PAM and SMRAM registers of the host bridge keep what is written, but memory
 * at C0000h-FFFFFh stays as the VM laid it out.
 */

#define ENABLE   BIT(31)
#define RCR_CPU  BIT(2)
#define RCR_MASK 0x06u

struct function {
    uint8_t devfn;
    uint8_t config[256];
    uint8_t mask[256];
};

struct pci {
    struct bus *bus;
    void (*reset)(void *opaque);
    void *opaque;
    uint32_t address;
    uint8_t rcr;
    struct function function[3];
    struct io_range range;
};

#define STATE_OF struct function
static const struct state_field pci_function_fields[] = {
    STATE_FIELD(config),
    STATE_SKIP(devfn),
    STATE_SKIP(mask),
};
static const struct state_table pci_function_state =
    STATE_TABLE("pci_function", pci_function_fields);
#undef STATE_OF

#define STATE_OF struct pci
static const struct state_field pci_fields[] = {
    STATE_FIELD(address),
    STATE_FIELD(rcr),
    STATE_STRUCT(function, struct function, pci_function_state),
    STATE_SKIP(bus),
    STATE_SKIP(reset),
    STATE_SKIP(opaque),
    STATE_SKIP(range),
};
const struct state_table pci_state = STATE_TABLE("pci", pci_fields);
#undef STATE_OF

static const struct {
    uint8_t devfn, revision, header;
    uint16_t vendor, device;
    uint32_t class_code;
    uint8_t mask_first, mask_last; /* writable registers beyond the header */
} identity[3] = {
    {0x00, 2, 0x00, 0x8086, 0x1237, 0x060000, 0x50, 0x7f},
    {0x08, 0, 0x80, 0x8086, 0x7000, 0x060100, 0x60, 0x6f},
    {0x0b, 3, 0x00, 0x8086, 0x7113, 0x068000, 0x00, 0x00},
};

/* PIRQA-PIRQD as a BIOS routes them, there being none. */
static const uint8_t pirq_irq[4] = {10, 10, 11, 11};

/* The pins of a slot go to the next PIRQs with each slot. */
unsigned pci_irq(unsigned slot, unsigned pin)
{
    return pirq_irq[(slot - 1 + pin) & 3];
}

void pci_reset(struct pci *pci)
{
    pci->address = 0;
    pci->rcr = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(identity); i++) {
        struct function *f = &pci->function[i];
        memset(f, 0, sizeof(*f));
        f->devfn = identity[i].devfn;
        for (unsigned b = 0; b < 2; b++) {
            f->config[b] = (uint8_t)(identity[i].vendor >> (8 * b));
            f->config[2 + b] = (uint8_t)(identity[i].device >> (8 * b));
        }
        f->config[0x04] = 0x03; /* I/O and memory space enabled */
        f->config[0x08] = identity[i].revision;
        for (unsigned b = 0; b < 3; b++)
            f->config[9 + b] = (uint8_t)(identity[i].class_code >> (8 * b));
        f->config[0x0e] = identity[i].header;
        f->mask[0x3c] = 0xff; /* interrupt line is scratch */
        if (identity[i].mask_last != 0)
            memset(&f->mask[identity[i].mask_first], 0xff,
                   identity[i].mask_last - identity[i].mask_first + 1u);
    }
    memcpy(&pci->function[1].config[0x60], pirq_irq, sizeof(pirq_irq));
    pci->function[2].config[0x40] = 0x01; /* PMBA: 600h, I/O */
    pci->function[2].config[0x41] = 0x06;
    pci->function[2].config[0x80] = 0x01; /* PMIOSE: decoded */
}

static struct function *selected(struct pci *pci)
{
    if (!(pci->address & ENABLE) || (pci->address >> 16 & 0xff) != 0)
        return NULL;
    for (unsigned i = 0; i < ARRAY_COUNT(pci->function); i++)
        if (pci->function[i].devfn == (pci->address >> 8 & 0xff))
            return &pci->function[i];
    return NULL;
}

static uint32_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct pci *pci = dev;
    if (offset == 0 && size == 4)
        return pci->address;
    if (offset == 1 && size == 1)
        return pci->rcr;
    const struct function *f = selected(pci);
    if (offset < 4 || f == NULL)
        return UINT32_MAX;
    uint32_t value = 0;
    unsigned reg = (pci->address & 0xfc) + (unsigned)(offset - 4);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)f->config[(reg + i) & 0xff] << (8 * i);
    return value;
}

/* CF9h: bit 2 going from 0 to 1 resets, bit 1 says how hard. */
static void write_rcr(struct pci *pci, uint8_t value)
{
    bool reset = (value & RCR_CPU) && !(pci->rcr & RCR_CPU);
    pci->rcr = value & RCR_MASK;
    if (reset)
        pci->reset(pci->opaque);
}

static void port_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct pci *pci = dev;
    if (offset == 0 && size == 4)
        pci->address = value & 0x80fffffcu;
    else if (offset == 1 && size == 1)
        write_rcr(pci, (uint8_t)value);
    struct function *f = selected(pci);
    if (offset < 4 || f == NULL)
        return;
    unsigned reg = (pci->address & 0xfc) + (unsigned)(offset - 4);
    for (unsigned i = 0; i < size; i++) {
        unsigned r = (reg + i) & 0xff, bits = value >> (8 * i) & f->mask[r];
        f->config[r] = (uint8_t)((f->config[r] & ~f->mask[r]) | bits);
    }
}

int pci_create(struct pci **out, struct bus *bus, void (*reset)(void *opaque),
               void *opaque)
{
    struct pci *pci = calloc(1, sizeof(*pci));
    if (pci == NULL)
        return -ENOMEM;
    pci->bus = bus;
    pci->reset = reset;
    pci->opaque = opaque;
    pci->range = (struct io_range){.name = "PCI configuration",
                                   .start = PCI_CONFIG_PORT,
                                   .len = 8,
                                   .max_size = 4,
                                   .read = port_read,
                                   .write = port_write,
                                   .dev = pci};
    pci_reset(pci);
    int err = bus_add(bus, &pci->range);
    if (err != 0) {
        free(pci);
        return err;
    }
    *out = pci;
    return 0;
}

void pci_destroy(struct pci *pci)
{
    if (pci == NULL)
        return;
    bus_remove(pci->bus, &pci->range);
    free(pci);
}
