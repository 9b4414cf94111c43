/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_PS2_H
#define EMU_DEV_PS2_H

/*
 * PURPOSE: the devices at the two PS/2 ports: an MF2 keyboard on which nobody
 * types and a mouse with a wheel that nobody moves. They answer every command,
 * and remember what they were told.
 */
#include "monitor/base.h"

enum ps2_kind { PS2_KEYBOARD, PS2_MOUSE };

struct state_table; /* state.h */

struct ps2 {
    enum ps2_kind kind;
    uint8_t awaits;   /* the command whose argument comes next, 0 none */
    bool enabled;     /* scanning, or reporting */
    uint8_t scan_set; /* keyboard: 1-3 */
    uint8_t leds;
    uint8_t rate;       /* keyboard: typematic; mouse: samples per second */
    uint8_t resolution; /* mouse: from here on */
    bool scale_2_1;
    bool remote;
    bool wrap;
    uint8_t id;       /* 0, 3 with a wheel, 4 with five buttons */
    uint8_t rates[2]; /* the two rates before the last: they switch the id */
    uint8_t queue[8]; /* answers that were not fetched yet */
    unsigned head, count;
    uint8_t last; /* what was sent last, for "resend" */
};

/* The state after power-up; the self-test answer is not sent. */
void ps2_reset(struct ps2 *dev, enum ps2_kind kind);

/* A byte from the host. It drops answers that are still on their way. */
void ps2_write(struct ps2 *dev, uint8_t value);

/* The next byte to the host, if there is one. */
bool ps2_read(struct ps2 *dev, uint8_t *value);

extern const struct state_table ps2_state;

#endif /* EMU_DEV_PS2_H */
