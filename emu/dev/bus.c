/* SPDX-License-Identifier: MIT */
#include "emu/dev/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "monitor/log.h"

/*
 * Ports are found in a flat table of owners, one pointer per port; MMIO ranges
 * are few and found by walking a list. An access that one device cannot take
 * whole is cut in halves until a piece fits or nobody owns any of it.
 */

#define PORT_COUNT 0x10000u
#define SEEN_COUNT 256u /* MMIO addresses remembered as already logged */

struct bus {
    struct stats *stats;
    struct clock *clock;
    struct io_range *ports[PORT_COUNT];
    struct io_range *mmio;
    uint8_t port_logged[PORT_COUNT / 8];
    gpa_t mmio_logged[SEEN_COUNT]; /* address + 1 */
};

int bus_create(struct bus **out, struct stats *stats, struct clock *clock)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    if (bus == NULL)
        return -ENOMEM;
    bus->stats = stats;
    bus->clock = clock;
    *out = bus;
    return 0;
}

void bus_destroy(struct bus *bus)
{
    free(bus);
}

static int add_ports(struct bus *bus, struct io_range *range)
{
    if (range->len > PORT_COUNT || range->start > PORT_COUNT - range->len)
        return -EINVAL;
    for (uint64_t i = 0; i < range->len; i++)
        if (bus->ports[range->start + i] != NULL)
            return -EEXIST;
    for (uint64_t i = 0; i < range->len; i++)
        bus->ports[range->start + i] = range;
    return 0;
}

static bool overlaps(const struct io_range *a, const struct io_range *b)
{
    return a->start < b->start + b->len && b->start < a->start + a->len;
}

static int add_mmio(struct bus *bus, struct io_range *range)
{
    for (struct io_range *r = bus->mmio; r != NULL; r = r->next)
        if (overlaps(r, range))
            return -EEXIST;
    range->next = bus->mmio;
    bus->mmio = range;
    return 0;
}

int bus_add(struct bus *bus, struct io_range *range)
{
    ASSERT(range->max_size == 1 || range->max_size == 2 ||
           range->max_size == 4);
    if (range->len == 0)
        return -EINVAL;
    return range->space == IO_PORT ? add_ports(bus, range)
                                   : add_mmio(bus, range);
}

void bus_remove(struct bus *bus, struct io_range *range)
{
    if (range->space == IO_PORT) {
        for (uint64_t i = 0; i < range->len; i++)
            if (range->start + i < PORT_COUNT &&
                bus->ports[range->start + i] == range)
                bus->ports[range->start + i] = NULL;
        return;
    }
    for (struct io_range **r = &bus->mmio; *r != NULL; r = &(*r)->next) {
        if (*r == range) {
            *r = range->next;
            return;
        }
    }
}

int bus_add_all(struct bus *bus, struct io_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = bus_add(bus, &ranges[i]);
        if (err != 0) {
            bus_remove_all(bus, ranges, i);
            return err;
        }
    }
    return 0;
}

void bus_remove_all(struct bus *bus, struct io_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bus_remove(bus, &ranges[i]);
}

static struct io_range *find(const struct bus *bus, enum io_space space,
                             uint64_t address)
{
    if (space == IO_PORT)
        return bus->ports[address & (PORT_COUNT - 1)];
    for (struct io_range *r = bus->mmio; r != NULL; r = r->next)
        if (address >= r->start && address - r->start < r->len)
            return r;
    return NULL;
}

/* Can range, the owner of the first byte, take the access in one piece? An
 * access nobody owns any byte of is one piece, too. */
static bool fits(const struct bus *bus, const struct io_range *range,
                 enum io_space space, uint64_t address, unsigned size)
{
    if (size == 1)
        return true;
    if (range != NULL)
        return size <= range->max_size &&
               address - range->start + size <= range->len;
    for (unsigned i = 1; i < size; i++)
        if (find(bus, space, address + i) != NULL)
            return false;
    return size <= 4;
}

static uint32_t ones(unsigned size)
{
    return size >= 4 ? UINT32_MAX : BIT(8 * size) - 1;
}

/* True the first time nobody claims this address. */
static bool first_unclaimed(struct bus *bus, enum io_space space,
                            uint64_t address)
{
    if (space == IO_PORT) {
        uint8_t *byte = &bus->port_logged[(address & (PORT_COUNT - 1)) / 8];
        uint8_t bit = (uint8_t)BIT(address % 8);
        bool first = (*byte & bit) == 0;
        *byte |= bit;
        return first;
    }
    gpa_t *seen = &bus->mmio_logged[(address >> 2) % SEEN_COUNT];
    bool first = *seen != address + 1;
    *seen = address + 1;
    return first;
}

static void log_unclaimed(struct bus *bus, enum io_space space,
                          uint64_t address, unsigned size, const char *what)
{
    if (log_on(LOG_UNIMP) && first_unclaimed(bus, space, address))
        log_line(LOG_UNIMP, "%s %s %" PRIx64 "h size %u: nobody there", what,
                 space == IO_PORT ? "port" : "mmio", address, size);
}

static uint64_t read_piece(struct bus *bus, enum io_space space,
                           uint64_t address, unsigned size)
{
    struct io_range *range = find(bus, space, address);
    if (!fits(bus, range, space, address, size)) {
        unsigned half = size / 2;
        uint64_t low = read_piece(bus, space, address, half);
        uint64_t high = read_piece(bus, space, address + half, half);
        return low | high << (8 * half);
    }
    if (range != NULL && range->read != NULL)
        return range->read(range->dev, address - range->start, size) &
               ones(size);
    if (range == NULL)
        log_unclaimed(bus, space, address, size, "read of");
    return ones(size);
}

static void write_piece(struct bus *bus, enum io_space space, uint64_t address,
                        unsigned size, uint64_t value)
{
    struct io_range *range = find(bus, space, address);
    if (!fits(bus, range, space, address, size)) {
        unsigned half = size / 2;
        write_piece(bus, space, address, half, value);
        write_piece(bus, space, address + half, half, value >> (8 * half));
        return;
    }
    if (range == NULL)
        log_unclaimed(bus, space, address, size, "write to");
    else if (range->write != NULL)
        range->write(range->dev, address - range->start, size,
                     (uint32_t)value & ones(size));
}

uint32_t bus_port_in(struct bus *bus, uint16_t port, unsigned size)
{
    stat_inc(bus->stats, STAT_PORT_IO);
    clock_hold(bus->clock);
    uint32_t value = (uint32_t)read_piece(bus, IO_PORT, port, size);
    clock_release(bus->clock);
    if (log_on(LOG_IO))
        log_line(LOG_IO, "in %04x size %u -> %x", port, size, value);
    return value;
}

void bus_port_out(struct bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    stat_inc(bus->stats, STAT_PORT_IO);
    if (log_on(LOG_IO))
        log_line(LOG_IO, "out %04x size %u <- %x", port, size, value);
    clock_hold(bus->clock);
    write_piece(bus, IO_PORT, port, size, value);
    clock_release(bus->clock);
}

uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size)
{
    stat_inc(bus->stats, STAT_MMIO);
    clock_hold(bus->clock);
    uint64_t value = read_piece(bus, IO_MMIO, gpa, size);
    clock_release(bus->clock);
    if (log_on(LOG_IO))
        log_line(LOG_IO, "read %09" PRIx64 " size %u -> %" PRIx64, gpa, size,
                 value);
    return value;
}

void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t value)
{
    stat_inc(bus->stats, STAT_MMIO);
    if (log_on(LOG_IO))
        log_line(LOG_IO, "write %09" PRIx64 " size %u <- %" PRIx64, gpa, size,
                 value);
    clock_hold(bus->clock);
    write_piece(bus, IO_MMIO, gpa, size, value);
    clock_release(bus->clock);
}
