/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_PCI_H
#define EMU_DEV_PCI_H

/*
 * PURPOSE: PCI configuration mechanism 1 at CF8h-CFFh with the functions of a
 * 440FX board (host bridge, ISA bridge, ACPI), and the reset control register
 * at CF9h that lies between. A function that is absent reads as ones.
 */
#include "emu/dev/bus.h"

#define PCI_CONFIG_PORT 0xcf8u
#define PCI_RESET_PORT  0xcf9u

struct pci;
struct state_table; /* state.h */

/* reset is asked for by a write to CF9h. */
MUST_CHECK int pci_create(struct pci **out, struct bus *bus,
                          void (*reset)(void *opaque), void *opaque);
void pci_destroy(struct pci *pci);
void pci_reset(struct pci *pci);

/* The interrupt of pin 0-3 (INTA#-INTD#) of a slot of bus 0, as the PIRQ
 * registers route it after reset. */
unsigned pci_irq(unsigned slot, unsigned pin);

/* What the guest can observe of the chip. */
extern const struct state_table pci_state;

#endif /* EMU_DEV_PCI_H */
