/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_BUS_H
#define EMU_DEV_BUS_H

/*
 * PURPOSE: dispatch of port and MMIO accesses to the devices that own the
 * ranges. A device embeds its struct io_range and registers it; the bus never
 * owns one. Ranges of one space do not overlap.
 *
 * An access to a range nobody owns reads as ones, drops writes, and is logged
 * once per address on -d unimp (as an ISA/PCI bus without a claimant does).
 * An access wider than a device's max_size is split, low address first.
 *
 * An access takes no guest time: all that a device does in it happens at one
 * moment (clock_hold()).
 */
#include "emu/dev/clock.h"
#include "monitor/base.h"
#include "monitor/stats.h"

enum io_space { IO_PORT, IO_MMIO };

struct io_range {
    const char *name;
    enum io_space space;
    uint64_t start;
    uint64_t len;
    unsigned max_size; /* widest access the device takes: 1, 2 or 4 */
    /* offset is from start. NULL read: all ones; NULL write: dropped. */
    uint32_t (*read)(void *dev, uint64_t offset, unsigned size);
    void (*write)(void *dev, uint64_t offset, unsigned size, uint32_t value);
    void *dev;
    struct io_range *next; /* the bus's list of MMIO ranges */
};

struct bus;

/* Both are borrowed. */
MUST_CHECK int bus_create(struct bus **out, struct stats *stats,
                          struct clock *clock);
void bus_destroy(struct bus *bus);

/* 0, or -EEXIST when the range overlaps one that is there. */
MUST_CHECK int bus_add(struct bus *bus, struct io_range *range);
void bus_remove(struct bus *bus, struct io_range *range);

/* The same for the ranges of one device: all of them, or none. Removing a range
 * that is not there does nothing. */
MUST_CHECK int bus_add_all(struct bus *bus, struct io_range *ranges,
                           size_t count);
void bus_remove_all(struct bus *bus, struct io_range *ranges, size_t count);

/* size 1, 2 or 4. */
uint32_t bus_port_in(struct bus *bus, uint16_t port, unsigned size);
void bus_port_out(struct bus *bus, uint16_t port, unsigned size,
                  uint32_t value);

/* size 1, 2, 4 or 8. */
uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t value);

#endif /* EMU_DEV_BUS_H */
