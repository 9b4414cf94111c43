/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CONSOLE_H
#define MONITOR_CONSOLE_H

/*
 * PURPOSE: connect the character devices of a VM (serial ports, debug console,
 * monitor) to the terminal, to files or to functions.
 *
 * Output is written at once and completely: a terminal that is slow, or a pipe
 * that is full, makes the guest wait. Input that no device takes yet is kept;
 * stdin is not read while the buffer is full. The end of stdin ends nothing.
 */
#include "monitor/config.h"

/* Upcalls. */
struct console_host {
    void *opaque;
    size_t (*serial_room)(void *opaque, unsigned port);
    void (*serial_receive)(void *opaque, unsigned port, const uint8_t *data,
                           size_t len);
    void (*monitor_shown)(void *opaque); /* it got the focus */
    void (*monitor_receive)(void *opaque, uint8_t byte);
    void (*quit)(void *opaque);        /* Ctrl-A x */
    bool (*is_stopping)(void *opaque); /* give up waiting for a reader */
};

struct console;

/* Opens files. 0, or -errno with *bad the path that failed (or NULL). */
MUST_CHECK int console_create(struct console **out, const struct config *config,
                              const struct console_host *host,
                              const char **bad);
void console_destroy(struct console *console);

/* Where a device's output goes; write is NULL when there is no such device. */
struct char_backend console_serial(struct console *console, unsigned port);
struct char_backend console_debugcon(struct console *console);

/* Whether stdin and stdout are in use, and by a monitor that shares them. */
bool console_has_terminal(const struct console *console);
bool console_has_mux(const struct console *console);

/* What the monitor says. */
void console_monitor_write(struct console *console, const char *text,
                           size_t len);

/* The descriptor to poll for input, or -1: there is none, or no room. */
int console_input_fd(const struct console *console);

/* Read what is there, without waiting, and hand it out as far as it is taken.
 * Returns whether input is left over. */
bool console_pump(struct console *console);

#endif /* MONITOR_CONSOLE_H */
