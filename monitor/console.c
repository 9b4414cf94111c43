/* SPDX-License-Identifier: MIT */
#include "monitor/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/mux.h"

#define INPUT_LEN  4096u
#define NO_PORT    (-1)
#define SLOT_COUNT (SERIAL_COUNT + 1) /* serial ports and debug console */
#define DEBUGCON   SERIAL_COUNT

/* One device's output. */
struct slot {
    struct console *console;
    int fd; /* -1: dropped */
    bool owns_fd;
    struct char_backend backend;
};

struct console {
    struct console_host host;
    struct slot slot[SLOT_COUNT];
    bool has_terminal;
    bool has_monitor; /* on the terminal */
    bool is_mux;
    bool in_monitor; /* the monitor has the focus */
    bool at_end;     /* stdin has ended */
    int port;        /* serial port on the terminal, or NO_PORT */
    struct mux mux;
    uint8_t input[INPUT_LEN]; /* for the port; first is the next to go */
    size_t input_first;
    size_t input_len;
};

/* Write all; a reader that is slow is waited for, one that is gone is not. */
static void write_all(const struct console *console, int fd,
                      const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);

        if (done >= 0) {
            data += done;
            len -= (size_t)done;
            continue;
        }
        if (errno != EINTR && errno != EAGAIN)
            return;
        if (console->host.is_stopping(console->host.opaque))
            return;
        if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 1000);
        }
    }
}

static void slot_write(void *opaque, const uint8_t *data, size_t len)
{
    const struct slot *slot = opaque;

    if (slot->fd >= 0)
        write_all(slot->console, slot->fd, data, len);
}

static int slot_open(struct console *console, struct slot *slot,
                     const struct char_config *config)
{
    slot->console = console;
    slot->fd = -1;
    slot->backend = (struct char_backend){slot_write, slot};
    switch (config->kind) {
    case CHAR_NONE: slot->backend = (struct char_backend){0}; break;
    case CHAR_NULL: break;
    case CHAR_MUX:
    case CHAR_STDIO:
        slot->fd = STDOUT_FILENO;
        console->has_terminal = true;
        break;
    case CHAR_FILE:
        slot->fd =
            open(config->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        slot->owns_fd = true;
        return slot->fd < 0 ? -errno : 0;
    case CHAR_BACKEND: slot->backend = config->backend; break;
    }
    return 0;
}

static int open_slots(struct console *console, const struct config *config,
                      const char **bad)
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        const struct char_config *device =
            i == DEBUGCON ? &config->debugcon : &config->serial[i];
        int error = slot_open(console, &console->slot[i], device);

        if (error != 0) {
            *bad = device->path;
            return error;
        }
        bool on_terminal =
            device->kind == CHAR_STDIO || device->kind == CHAR_MUX;
        if (on_terminal && i != DEBUGCON) {
            console->port = (int)i;
            console->is_mux = device->kind == CHAR_MUX;
        }
    }
    return 0;
}

int console_create(struct console **out, const struct config *config,
                   const struct console_host *host, const char **bad)
{
    struct console *console = calloc(1, sizeof(*console));

    *bad = NULL;
    if (console == NULL)
        return -ENOMEM;
    console->host = *host;
    console->port = NO_PORT;
    for (unsigned i = 0; i < SLOT_COUNT; i++)
        console->slot[i].fd = -1;
    int error = open_slots(console, config, bad);
    if (error != 0) {
        console_destroy(console);
        return error;
    }
    bool monitor =
        config->monitor.kind == CHAR_STDIO || config->monitor.kind == CHAR_MUX;
    console->in_monitor = monitor;
    console->has_monitor = monitor || console->is_mux;
    console->is_mux |= config->monitor.kind == CHAR_MUX;
    console->has_terminal |= monitor;
    *out = console;
    return 0;
}

void console_destroy(struct console *console)
{
    if (console == NULL)
        return;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (console->slot[i].owns_fd && console->slot[i].fd >= 0)
            close(console->slot[i].fd);
    }
    free(console);
}

struct char_backend console_serial(struct console *console, unsigned port)
{
    return console->slot[port].backend;
}

struct char_backend console_debugcon(struct console *console)
{
    return console->slot[DEBUGCON].backend;
}

bool console_has_terminal(const struct console *console)
{
    return console->has_terminal;
}

bool console_has_mux(const struct console *console)
{
    return console->is_mux;
}

void console_monitor_write(struct console *console, const char *text,
                           size_t len)
{
    if (console->has_monitor)
        write_all(console, STDOUT_FILENO, (const uint8_t *)text, len);
}

int console_input_fd(const struct console *console)
{
    bool is_read = console->port != NO_PORT || console->has_monitor;

    if (!is_read || console->at_end || console->input_len == INPUT_LEN)
        return -1;
    return STDIN_FILENO;
}

static void tell(const struct console *console, const char *text)
{
    write_all(console, STDOUT_FILENO, (const uint8_t *)text, strlen(text));
}

static void take_byte(struct console *console, uint8_t byte)
{
    if (console->in_monitor) {
        console->host.monitor_receive(console->host.opaque, byte);
    } else if (console->port != NO_PORT && console->input_len < INPUT_LEN) {
        size_t at = (console->input_first + console->input_len) % INPUT_LEN;

        console->input[at] = byte;
        console->input_len++;
    }
}

static void toggle_monitor(struct console *console)
{
    if (!console->has_monitor || console->port == NO_PORT)
        return;
    console->in_monitor = !console->in_monitor;
    if (console->in_monitor)
        console->host.monitor_shown(console->host.opaque);
}

static void feed(struct console *console, uint8_t byte)
{
    enum mux_event event = MUX_BYTE;

    if (console->is_mux)
        event = mux_feed(&console->mux, byte);
    switch (event) {
    case MUX_NOTHING: break;
    case MUX_BYTE: take_byte(console, byte); break;
    case MUX_QUIT:
        tell(console, "popf: terminated\r\n");
        console->host.quit(console->host.opaque);
        break;
    case MUX_HELP: tell(console, mux_help); break;
    case MUX_TOGGLE: toggle_monitor(console); break;
    }
}

/* Read once what is there, at most what there is room for. */
static void read_input(struct console *console)
{
    uint8_t bytes[256];
    struct pollfd ready = {.fd = console_input_fd(console), .events = POLLIN};
    size_t room = INPUT_LEN - console->input_len;

    if (ready.fd < 0 || poll(&ready, 1, 0) <= 0)
        return;
    ssize_t got =
        read(ready.fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        console->at_end = true;
    for (ssize_t i = 0; i < got; i++)
        feed(console, bytes[i]);
}

/* Hand the port what it takes. */
static void drain_input(struct console *console)
{
    if (console->input_len == 0)
        return;
    unsigned port = (unsigned)console->port;
    size_t room = console->host.serial_room(console->host.opaque, port);

    while (room > 0 && console->input_len > 0) {
        size_t len = INPUT_LEN - console->input_first; /* up to the wrap */

        len = len < console->input_len ? len : console->input_len;
        len = len < room ? len : room;
        console->host.serial_receive(console->host.opaque, port,
                                     console->input + console->input_first,
                                     len);
        console->input_first = (console->input_first + len) % INPUT_LEN;
        console->input_len -= len;
        room -= len;
    }
}

bool console_pump(struct console *console)
{
    read_input(console);
    drain_input(console);
    return console->input_len > 0;
}
