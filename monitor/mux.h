/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_MUX_H
#define MONITOR_MUX_H

/*
 * PURPOSE: the escape sequences of a terminal that serial port and monitor
 * share: Ctrl-A and a letter, as under QEMU's -nographic. A state machine of
 * bytes in and events out, without any input or output of its own.
 */
#include "monitor/base.h"

#define MUX_ESCAPE 0x01 /* Ctrl-A */

enum mux_event {
    MUX_NOTHING, /* the byte was part of an escape sequence */
    MUX_BYTE,    /* the byte goes to whoever has the focus */
    MUX_QUIT,
    MUX_HELP,
    MUX_TOGGLE, /* between serial port and monitor */
};

struct mux {
    bool escaped; /* the byte before was Ctrl-A */
};

enum mux_event mux_feed(struct mux *mux, uint8_t byte);

/* What Ctrl-A h prints. */
extern const char mux_help[];

#endif /* MONITOR_MUX_H */
