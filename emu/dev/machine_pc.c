/* SPDX-License-Identifier: MIT */
#include "emu/dev/machine_pc.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/acpi_pm.h"
#include "emu/dev/acpi_tables.h"
#include "emu/dev/fpu_error.h"
#include "emu/dev/i8042.h"
#include "emu/dev/i8237.h"
#include "emu/dev/i8254.h"
#include "emu/dev/i8259.h"
#include "emu/dev/irq.h"
#include "emu/dev/mc146818.h"
#include "emu/dev/ns16550.h"
#include "emu/dev/pc_ports.h"
#include "emu/dev/pci.h"
#include "emu/dev/state.h"

/*
 * The board owns the chips and the wires between them. Two serial ports share
 * each of IRQ 4 and IRQ 3: their wires are ORed, as drivers expect it.
 */

#define SERIAL_COUNT 4u
#define FPU_IRQ      13u

static const struct {
    uint16_t port;
    uint8_t irq;
} serial_place[SERIAL_COUNT] = {
    {0x3f8, 4},
    {0x2f8, 3},
    {0x3e8, 4},
    {0x2e8, 3}
};

struct machine_pc {
    struct machine_host host;
    struct clock *clock;
    struct i8259 *pic;
    struct i8254 *pit;
    struct mc146818 *rtc;
    struct acpi_pm *pm;
    struct pc_ports *ports;
    struct i8042 *kbc;
    struct i8237 *dma;
    struct fpu_error *fpu;
    struct pci *pci;
    struct ns16550 *serial[SERIAL_COUNT];
    bool serial_level[SERIAL_COUNT];
    bool a20; /* the gate is open */
};

#define STATE_OF struct machine_pc
static const struct state_field machine_pc_fields[] = {
    STATE_FIELD(serial_level), STATE_FIELD(a20),   STATE_SKIP(host),
    STATE_SKIP(clock),         STATE_SKIP(pic),    STATE_SKIP(pit),
    STATE_SKIP(rtc),           STATE_SKIP(pm),     STATE_SKIP(ports),
    STATE_SKIP(kbc),           STATE_SKIP(dma),    STATE_SKIP(fpu),
    STATE_SKIP(pci),           STATE_SKIP(serial),
};
const struct state_table machine_pc_state =
    STATE_TABLE("machine_pc", machine_pc_fields);
#undef STATE_OF

static void set_intr(void *opaque, unsigned pin, bool level)
{
    struct machine_pc *pc = opaque;
    (void)pin;
    pc->host.set_intr(pc->host.opaque, level);
}

static void set_ignne(void *opaque, unsigned pin, bool level)
{
    struct machine_pc *pc = opaque;
    (void)pin;
    pc->host.set_ignne(pc->host.opaque, level);
}

static void set_serial(void *opaque, unsigned n, bool level)
{
    struct machine_pc *pc = opaque;
    pc->serial_level[n] = level;
    i8259_set_input(pc->pic, serial_place[n].irq,
                    pc->serial_level[n] || pc->serial_level[n ^ 2]);
}

/* The keyboard controller's output port and port 92h switch one gate: what was
 * written last counts, and both show it. */
static void set_a20(void *opaque, bool open)
{
    struct machine_pc *pc = opaque;
    pc->a20 = open;
    pc->host.set_a20(pc->host.opaque, open);
}

static bool a20_is_open(void *opaque)
{
    const struct machine_pc *pc = opaque;
    return pc->a20;
}

static void ask_reset(void *opaque)
{
    struct machine_pc *pc = opaque;
    pc->host.reset(pc->host.opaque);
}

static void ask_power_off(void *opaque)
{
    struct machine_pc *pc = opaque;
    pc->host.power_off(pc->host.opaque);
}

static struct irq_line isa_irq(struct machine_pc *pc, unsigned pin)
{
    return (struct irq_line){
        .set = i8259_set_input, .opaque = pc->pic, .pin = pin};
}

static int create_serial(struct machine_pc *pc, struct bus *bus,
                         struct clock *clock)
{
    for (unsigned n = 0; n < SERIAL_COUNT; n++) {
        struct irq_line irq = {.set = set_serial, .opaque = pc, .pin = n};
        if (pc->host.serial[n].write == NULL)
            continue;
        int err = ns16550_create(&pc->serial[n], bus, clock,
                                 serial_place[n].port, irq, pc->host.serial[n]);
        if (err != 0)
            return err;
    }
    return 0;
}

static int create_keyboard(struct machine_pc *pc, struct bus *bus)
{
    struct i8042_wires wires = {.keyboard = isa_irq(pc, 1),
                                .mouse = isa_irq(pc, 12),
                                .opaque = pc,
                                .a20_is_open = a20_is_open,
                                .set_a20 = set_a20,
                                .reset = ask_reset};
    return i8042_create(&pc->kbc, bus, &wires);
}

static int create_chips(struct machine_pc *pc, struct bus *bus,
                        struct clock *clock)
{
    struct irq_line intr = {.set = set_intr, .opaque = pc};
    struct irq_line ignne = {.set = set_ignne, .opaque = pc};
    struct pc_ports_wires wires = {.opaque = pc,
                                   .a20_is_open = a20_is_open,
                                   .set_a20 = set_a20,
                                   .reset = ask_reset};
    int err = i8259_create(&pc->pic, bus, intr);
    if (err == 0)
        err = i8254_create(&pc->pit, bus, clock, isa_irq(pc, 0));
    if (err == 0)
        err = mc146818_create(&pc->rtc, bus, clock, isa_irq(pc, 8),
                              pc->host.ram_len);
    if (err == 0)
        err =
            pc_ports_create(&pc->ports, bus, clock, pc->pit, &wires, &pc->host);
    struct acpi_pm_wires pm = {.sci = isa_irq(pc, ACPI_SCI_IRQ),
                               .opaque = pc,
                               .power_off = ask_power_off};
    if (err == 0)
        err = acpi_pm_create(&pc->pm, bus, clock, &pm);
    if (err == 0)
        err = pci_create(&pc->pci, bus, ask_reset, pc);
    if (err == 0)
        err = create_keyboard(pc, bus);
    if (err == 0)
        err = i8237_create(&pc->dma, bus);
    if (err == 0)
        err = fpu_error_create(&pc->fpu, bus, isa_irq(pc, FPU_IRQ), ignne);
    if (err == 0)
        err = create_serial(pc, bus, clock);
    return err;
}

int machine_pc_create(struct machine_pc **out, struct bus *bus,
                      struct clock *clock, const struct machine_host *host)
{
    struct machine_pc *pc = calloc(1, sizeof(*pc));
    if (pc == NULL)
        return -ENOMEM;
    pc->host = *host;
    pc->clock = clock;
    int err = create_chips(pc, bus, clock);
    if (err != 0) {
        machine_pc_destroy(pc);
        return err;
    }
    *out = pc;
    return 0;
}

void machine_pc_destroy(struct machine_pc *pc)
{
    if (pc == NULL)
        return;
    for (unsigned n = 0; n < SERIAL_COUNT; n++)
        ns16550_destroy(pc->serial[n]);
    pci_destroy(pc->pci);
    fpu_error_destroy(pc->fpu);
    i8237_destroy(pc->dma);
    i8042_destroy(pc->kbc);
    acpi_pm_destroy(pc->pm);
    pc_ports_destroy(pc->ports);
    mc146818_destroy(pc->rtc);
    i8254_destroy(pc->pit);
    i8259_destroy(pc->pic);
    free(pc);
}

void machine_pc_reset(struct machine_pc *pc)
{
    i8259_reset(pc->pic);
    /* As firmware leaves it; no device uses PCI's interrupts yet. */
    i8259_set_elcr(pc->pic, BIT(ACPI_SCI_IRQ));
    i8254_reset(pc->pit);
    mc146818_reset(pc->rtc);
    pc_ports_reset(pc->ports);
    acpi_pm_reset(pc->pm);
    i8042_reset(pc->kbc);
    i8237_reset(pc->dma);
    fpu_error_reset(pc->fpu);
    pci_reset(pc->pci);
    for (unsigned n = 0; n < SERIAL_COUNT; n++)
        if (pc->serial[n] != NULL)
            ns16550_reset(pc->serial[n]);
    set_a20(pc, true);
}

#define PART_COUNT (11 + SERIAL_COUNT)

struct part {
    const struct state_table *table;
    void *object;
};

/* Everything with state, in the order of the image; the number of parts. */
static size_t list_parts(const struct machine_pc *pc,
                         struct part parts[PART_COUNT])
{
    size_t count = 0;
    parts[count++] = (struct part){&clock_state, pc->clock};
    parts[count++] = (struct part){&machine_pc_state, (void *)pc};
    parts[count++] = (struct part){&i8259_state, pc->pic};
    parts[count++] = (struct part){&i8254_state, pc->pit};
    parts[count++] = (struct part){&mc146818_state, pc->rtc};
    parts[count++] = (struct part){&acpi_pm_state, pc->pm};
    parts[count++] = (struct part){&pc_ports_state, pc->ports};
    parts[count++] = (struct part){&i8042_state, pc->kbc};
    parts[count++] = (struct part){&i8237_state, pc->dma};
    parts[count++] = (struct part){&fpu_error_state, pc->fpu};
    parts[count++] = (struct part){&pci_state, pc->pci};
    for (unsigned n = 0; n < SERIAL_COUNT; n++)
        if (pc->serial[n] != NULL)
            parts[count++] = (struct part){&ns16550_state, pc->serial[n]};
    return count;
}

void machine_pc_save(const struct machine_pc *pc, struct state_image *image)
{
    struct part parts[PART_COUNT];
    size_t count = list_parts(pc, parts);
    for (size_t i = 0; i < count; i++)
        state_save(image, parts[i].table, parts[i].object);
}

void machine_pc_load(struct machine_pc *pc, struct state_image *image)
{
    struct part parts[PART_COUNT];
    size_t count = list_parts(pc, parts);
    for (size_t i = 0; i < count; i++)
        state_load(image, parts[i].table, parts[i].object, pc->clock);
}

uint8_t machine_pc_ack(struct machine_pc *pc)
{
    return i8259_ack(pc->pic);
}

void machine_pc_set_ferr(struct machine_pc *pc, bool level)
{
    fpu_error_set_ferr(pc->fpu, level);
}

size_t machine_pc_serial_room(const struct machine_pc *pc, unsigned n)
{
    return n < SERIAL_COUNT && pc->serial[n] ? ns16550_room(pc->serial[n]) : 0;
}

void machine_pc_serial_receive(struct machine_pc *pc, unsigned n,
                               const uint8_t *data, size_t len)
{
    if (n < SERIAL_COUNT && pc->serial[n] != NULL)
        ns16550_receive(pc->serial[n], data, len);
}

int machine_pc_write_acpi(const struct machine_pc *pc, uint8_t *ram, size_t len)
{
    struct acpi_board board = {0};
    for (unsigned n = 0; n < SERIAL_COUNT; n++) {
        if (pc->serial[n] == NULL)
            continue;
        board.serial[n].port = serial_place[n].port;
        board.serial[n].irq = serial_place[n].irq;
    }
    return acpi_tables_write(&board, ram, len);
}
