/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_ACPI_PM_H
#define EMU_DEV_ACPI_PM_H

/*
 * PURPOSE: the ACPI fixed hardware of a PIIX4: PM1a event and control block and
 * the 24-bit PM timer at 600h, GPE0 at AFE0h, and the SMI command ports
 * B2h-B3h, which only switch SCI_EN.
 */
#include "emu/dev/bus.h"
#include "emu/dev/clock.h"
#include "emu/dev/irq.h"

#define ACPI_PM_BASE    0x600u
#define ACPI_GPE0_BASE  0xafe0u
#define ACPI_SMI_CMD    0xb2u
#define ACPI_CMD_ON     0xf1u
#define ACPI_CMD_OFF    0xf0u
#define ACPI_SCI_IRQ    9u
#define ACPI_SLP_TYP_S5 0u

struct acpi_pm;
struct state_table; /* state.h */

struct acpi_pm_wires {
    struct irq_line sci;
    void *opaque;
    void (*power_off)(void *opaque);
};

MUST_CHECK int acpi_pm_create(struct acpi_pm **out, struct bus *bus,
                              struct clock *clock,
                              const struct acpi_pm_wires *wires);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

/* What the guest can observe of the chip. */
extern const struct state_table acpi_pm_state;

#endif /* EMU_DEV_ACPI_PM_H */
