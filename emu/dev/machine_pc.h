/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_MACHINE_PC_H
#define EMU_DEV_MACHINE_PC_H

/*
 * PURPOSE: the PC board: creates the chips, wires their interrupt lines and
 * port ranges, and is the one object the VM talks to.
 */
#include "emu/dev/bus.h"
#include "emu/dev/clock.h"

/* One end of a serial line or console; bytes go out through write(). */
struct char_backend {
    void (*write)(void *opaque, const uint8_t *data, size_t len);
    void *opaque;
};

/* What the board asks of the VM. */
struct machine_host {
    void *opaque;
    void (*set_intr)(void *opaque, bool level);  /* the 8259A's INTR output */
    void (*set_ignne)(void *opaque, bool level); /* the IGNNE# input */
    void (*set_a20)(void *opaque, bool open);
    void (*power_off)(void *opaque);
    void (*reset)(void *opaque);
    void (*exit)(void *opaque, int status); /* isa-debug-exit */
    struct char_backend serial[4];          /* write NULL: no such port */
    struct char_backend debugcon;           /* port E9h; NULL: none */
    int debug_exit_port;                    /* -1: no isa-debug-exit */
    uint64_t ram_len; /* bytes, for CMOS and host bridge */
};

struct machine_pc;
struct state_image; /* state.h */
struct state_table;

MUST_CHECK int machine_pc_create(struct machine_pc **out, struct bus *bus,
                                 struct clock *clock,
                                 const struct machine_host *host);
void machine_pc_destroy(struct machine_pc *pc);

/* The state every chip has after RESET. */
void machine_pc_reset(struct machine_pc *pc);

/* Interrupt acknowledge cycle: the vector of the highest pending request. */
uint8_t machine_pc_ack(struct machine_pc *pc);

/* The processor drives FERR#: an x87 exception waits for its interrupt. */
void machine_pc_set_ferr(struct machine_pc *pc, bool level);

/* Bytes that arrive for serial port n: how many it takes now, and give them. */
size_t machine_pc_serial_room(const struct machine_pc *pc, unsigned n);
void machine_pc_serial_receive(struct machine_pc *pc, unsigned n,
                               const uint8_t *data, size_t len);

/* Write the ACPI tables (RSDP in the BIOS area, FADT, DSDT, FACS, MADT only if
 * there is an APIC) into guest RAM at hva of guest-physical 0..len. Called by
 * loaders that start without firmware. 0 or -ENOSPC. */
MUST_CHECK int machine_pc_write_acpi(const struct machine_pc *pc, uint8_t *ram,
                                     size_t len);

/* Append the state of the clock and of every chip; take it again, on a board
 * with the same serial ports. Neither calls the host. */
void machine_pc_save(const struct machine_pc *pc, struct state_image *image);
void machine_pc_load(struct machine_pc *pc, struct state_image *image);

/* The board's own part of it. */
extern const struct state_table machine_pc_state;

#endif /* EMU_DEV_MACHINE_PC_H */
