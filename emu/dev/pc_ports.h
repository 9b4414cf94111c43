/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_PC_PORTS_H
#define EMU_DEV_PC_PORTS_H

/*
 * PURPOSE: the PC's single ports: 61h (system control B), 80h (POST code), 92h
 * (system control A), E9h (debug console) and the isa-debug-exit port.
 */
#include "emu/dev/i8254.h"
#include "emu/dev/machine_pc.h"

struct pc_ports;
struct state_table; /* state.h */

/* The gate of A20 and RESET are the board's: port 92h is one way to them. */
struct pc_ports_wires {
    void *opaque;
    bool (*a20_is_open)(void *opaque);
    void (*set_a20)(void *opaque, bool open);
    void (*reset)(void *opaque);
};

MUST_CHECK int pc_ports_create(struct pc_ports **out, struct bus *bus,
                               struct clock *clock, struct i8254 *pit,
                               const struct pc_ports_wires *wires,
                               const struct machine_host *host);
void pc_ports_destroy(struct pc_ports *ports);
void pc_ports_reset(struct pc_ports *ports);

/* What the guest can observe of the chip. */
extern const struct state_table pc_ports_state;

#endif /* EMU_DEV_PC_PORTS_H */
