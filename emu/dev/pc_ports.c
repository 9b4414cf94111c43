/* SPDX-License-Identifier: MIT */
#include "emu/dev/pc_ports.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"

/*
 * Port 61h (82371 PIIX datasheet, "NMI Status and Control"):
 *   7  SERR#  6 IOCHK#  5 OUT2  4 refresh toggle (read-only)
 *   3, 2 NMI enables    1 speaker data  0 gate of counter 2
 */
#define REFRESH_NS 15085u

struct pc_ports {
    struct bus *bus;
    struct clock *clock;
    struct i8254 *pit;
    struct pc_ports_wires wires;
    struct machine_host host;
    uint8_t port61;
    uint8_t port80;
    uint8_t port92; /* bit 0 */
    struct io_range range[5];
    size_t range_count;
};

#define STATE_OF struct pc_ports
static const struct state_field pc_ports_fields[] = {
    STATE_FIELD(port61),     STATE_FIELD(port80), STATE_FIELD(port92),
    STATE_SKIP(bus),         STATE_SKIP(clock),   STATE_SKIP(pit),
    STATE_SKIP(wires),       STATE_SKIP(host),    STATE_SKIP(range),
    STATE_SKIP(range_count),
};
const struct state_table pc_ports_state =
    STATE_TABLE("pc_ports", pc_ports_fields);
#undef STATE_OF

static uint32_t read61(void *dev, uint64_t offset, unsigned size)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    unsigned refresh = clock_now(p->clock) / REFRESH_NS & 1;
    return p->port61 | (i8254_output(p->pit, 2) ? 0x20u : 0) | refresh << 4;
}

static void write61(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    p->port61 = value & 0x0f;
    i8254_set_gate(p->pit, 2, value & 1);
}

static uint32_t read80(void *dev, uint64_t offset, unsigned size)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    return p->port80;
}

static void write80(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    p->port80 = (uint8_t)value;
}

static uint32_t read92(void *dev, uint64_t offset, unsigned size)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    return p->port92 | (p->wires.a20_is_open(p->wires.opaque) ? 2u : 0);
}

/* Bit 1: A20; a rising bit 0 resets the processor. */
static void write92(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct pc_ports *p = dev;
    bool reset = (value & 1) && !(p->port92 & 1);
    (void)offset;
    (void)size;
    p->port92 = value & 1;
    p->wires.set_a20(p->wires.opaque, value & 2);
    if (reset)
        p->wires.reset(p->wires.opaque);
}

static uint32_t read_e9(void *dev, uint64_t offset, unsigned size)
{
    (void)dev;
    (void)offset;
    (void)size;
    return 0xe9; /* tells a guest that the console is there */
}

static void write_e9(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct pc_ports *p = dev;
    uint8_t byte = (uint8_t)value;
    (void)offset;
    (void)size;
    p->host.debugcon.write(p->host.debugcon.opaque, &byte, 1);
}

static uint32_t read_exit(void *dev, uint64_t offset, unsigned size)
{
    (void)dev;
    (void)offset;
    (void)size;
    return 0;
}

static void write_exit(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct pc_ports *p = dev;
    (void)offset;
    (void)size;
    p->host.exit(p->host.opaque, (int)(value << 1 | 1));
}

static void add(struct pc_ports *p, struct io_range range)
{
    range.dev = p;
    p->range[p->range_count++] = range;
}

static void list_ranges(struct pc_ports *p)
{
    add(p, (struct io_range){.name = "port 61h",
                             .start = 0x61,
                             .len = 1,
                             .max_size = 1,
                             .read = read61,
                             .write = write61});
    add(p, (struct io_range){.name = "port 80h",
                             .start = 0x80,
                             .len = 1,
                             .max_size = 1,
                             .read = read80,
                             .write = write80});
    add(p, (struct io_range){.name = "port 92h",
                             .start = 0x92,
                             .len = 1,
                             .max_size = 1,
                             .read = read92,
                             .write = write92});
    if (p->host.debugcon.write != NULL)
        add(p, (struct io_range){.name = "debugcon",
                                 .start = 0xe9,
                                 .len = 1,
                                 .max_size = 1,
                                 .read = read_e9,
                                 .write = write_e9});
    if (p->host.debug_exit_port >= 0)
        add(p, (struct io_range){.name = "isa-debug-exit",
                                 .start = (uint64_t)p->host.debug_exit_port,
                                 .len = 4,
                                 .max_size = 4,
                                 .read = read_exit,
                                 .write = write_exit});
}

void pc_ports_reset(struct pc_ports *p)
{
    p->port61 = 0;
    p->port80 = 0;
    p->port92 = 0;
    i8254_set_gate(p->pit, 2, false);
}

int pc_ports_create(struct pc_ports **out, struct bus *bus, struct clock *clock,
                    struct i8254 *pit, const struct pc_ports_wires *wires,
                    const struct machine_host *host)
{
    struct pc_ports *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    p->bus = bus;
    p->clock = clock;
    p->pit = pit;
    p->wires = *wires;
    p->host = *host;
    list_ranges(p);
    int err = bus_add_all(bus, p->range, p->range_count);
    if (err != 0) {
        free(p);
        return err;
    }
    *out = p;
    return 0;
}

void pc_ports_destroy(struct pc_ports *p)
{
    if (p == NULL)
        return;
    bus_remove_all(p->bus, p->range, p->range_count);
    free(p);
}
