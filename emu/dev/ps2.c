/* SPDX-License-Identifier: MIT */
#include "emu/dev/ps2.h"

#include <string.h>

#include "emu/dev/state.h"

/*
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101- and 102-Key)"
 * and "Mouse": commands and answers. The wheel is switched on as the Microsoft
 * "IntelliMouse" does it: by setting the rates 200, 100, 80 (five buttons: 200,
 * 200, 80) one after the other.
 *
 * No answer is longer than the queue, and a command empties it first.
 */

#define ACK       0xfau
#define RESEND    0xfeu
#define PASSED    0xaau /* basic assurance test completed */
#define ECHO      0xeeu
#define RATE_KEYS 0x2bu /* 10.9 characters a second after 500 ms */
#define RATE_MOVE 100u

#define STATE_OF struct ps2
static const struct state_field ps2_fields[] = {
    STATE_FIELD(awaits),    STATE_FIELD(enabled), STATE_FIELD(scan_set),
    STATE_FIELD(leds),      STATE_FIELD(rate),    STATE_FIELD(resolution),
    STATE_FIELD(scale_2_1), STATE_FIELD(remote),  STATE_FIELD(wrap),
    STATE_FIELD(id),        STATE_FIELD(rates),   STATE_FIELD(queue),
    STATE_FIELD(head),      STATE_FIELD(count),   STATE_FIELD(last),
    STATE_SKIP(kind),
};
const struct state_table ps2_state = STATE_TABLE("ps2", ps2_fields);
#undef STATE_OF

struct command {
    uint8_t code;
    uint8_t args;
    void (*run)(struct ps2 *dev, uint8_t arg); /* after ACK; may be NULL */
};

static void send(struct ps2 *dev, uint8_t value)
{
    ASSERT(dev->count < sizeof(dev->queue));
    dev->queue[(dev->head + dev->count++) % sizeof(dev->queue)] = value;
}

static void set_defaults(struct ps2 *dev)
{
    bool mouse = dev->kind == PS2_MOUSE;
    dev->enabled = !mouse;
    dev->scan_set = 2;
    dev->rate = mouse ? RATE_MOVE : RATE_KEYS;
    dev->resolution = 2;
    dev->scale_2_1 = dev->remote = false;
}

void ps2_reset(struct ps2 *dev, enum ps2_kind kind)
{
    memset(dev, 0, sizeof(*dev));
    dev->kind = kind;
    set_defaults(dev);
}

bool ps2_read(struct ps2 *dev, uint8_t *value)
{
    if (dev->count == 0)
        return false;
    *value = dev->last = dev->queue[dev->head];
    dev->head = (dev->head + 1) % sizeof(dev->queue);
    dev->count--;
    return true;
}

/* What both understand. */

static void run_reset(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    ps2_reset(dev, dev->kind);
    send(dev, ACK);
    send(dev, PASSED);
    if (dev->kind == PS2_MOUSE)
        send(dev, 0);
}

static void run_defaults(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    set_defaults(dev);
}

static void run_disable(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    set_defaults(dev);
    dev->enabled = false;
}

static void run_enable(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    dev->enabled = true;
}

/* Keyboard. */

static void run_leds(struct ps2 *dev, uint8_t arg)
{
    dev->leds = arg & 7;
}

static void run_scan_set(struct ps2 *dev, uint8_t arg)
{
    if (arg == 0)
        send(dev, dev->scan_set);
    else if (arg <= 3)
        dev->scan_set = arg;
}

static void run_keyboard_id(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    send(dev, 0xab);
    send(dev, 0x83);
}

static void run_typematic(struct ps2 *dev, uint8_t arg)
{
    dev->rate = arg & 0x7f;
}

static const struct command keyboard_commands[] = {
    {0xed, 1, run_leds       },
    {0xf0, 1, run_scan_set   },
    {0xf2, 0, run_keyboard_id},
    {0xf3, 1, run_typematic  },
    {0xf4, 0, run_enable     },
    {0xf5, 0, run_disable    },
    {0xf6, 0, run_defaults   },
    {0xf7, 0, NULL           }, /* F7-FD: how keys of scan set 3 repeat */
    {0xf8, 0, NULL           },
    {0xf9, 0, NULL           },
    {0xfa, 0, NULL           },
    {0xfb, 1, NULL           },
    {0xfc, 1, NULL           },
    {0xfd, 1, NULL           },
    {0xff, 0, run_reset      },
};

/* Mouse. */

static void run_scale(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    dev->scale_2_1 = dev->awaits == 0xe7;
}

static void run_resolution(struct ps2 *dev, uint8_t arg)
{
    dev->resolution = arg & 3;
}

/* Byte 1: 0, remote, enabled, 2:1, 0, left, middle, right button. */
static void run_status(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    send(dev, (uint8_t)((dev->remote ? 0x40 : 0) | (dev->enabled ? 0x20 : 0) |
                        (dev->scale_2_1 ? 0x10 : 0)));
    send(dev, dev->resolution);
    send(dev, dev->rate);
}

static void run_mode(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    dev->remote = dev->awaits == 0xf0;
}

static void run_wrap(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    dev->wrap = true;
}

/* A report: no button (bit 3 is always one), no way, no turn of the wheel. */
static void run_report(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    send(dev, 0x08);
    send(dev, 0);
    send(dev, 0);
    if (dev->id != 0)
        send(dev, 0);
}

static void run_mouse_id(struct ps2 *dev, uint8_t arg)
{
    (void)arg;
    send(dev, dev->id);
}

static void run_rate(struct ps2 *dev, uint8_t arg)
{
    if (arg == 80 && dev->rates[0] == 200 && dev->rates[1] == 100)
        dev->id = 3;
    if (arg == 80 && dev->rates[0] == 200 && dev->rates[1] == 200)
        dev->id = 4;
    dev->rates[0] = dev->rates[1];
    dev->rates[1] = dev->rate = arg;
}

static const struct command mouse_commands[] = {
    {0xe6, 0, run_scale     },
    {0xe7, 0, run_scale     },
    {0xe8, 1, run_resolution},
    {0xe9, 0, run_status    },
    {0xea, 0, run_mode      },
    {0xeb, 0, run_report    },
    {0xec, 0, NULL          }, /* end of wrap mode */
    {0xee, 0, run_wrap      },
    {0xf0, 0, run_mode      },
    {0xf2, 0, run_mouse_id  },
    {0xf3, 1, run_rate      },
    {0xf4, 0, run_enable    },
    {0xf5, 0, run_disable   },
    {0xf6, 0, run_defaults  },
    {0xff, 0, run_reset     },
};

static const struct command *find(const struct ps2 *dev, uint8_t code)
{
    const struct command *table = keyboard_commands;
    size_t count = ARRAY_COUNT(keyboard_commands);
    if (dev->kind == PS2_MOUSE) {
        table = mouse_commands;
        count = ARRAY_COUNT(mouse_commands);
    }
    for (size_t i = 0; i < count; i++)
        if (table[i].code == code)
            return &table[i];
    return NULL;
}

/* `awaits` names the command while it runs, for those that share a function. */
static void run(struct ps2 *dev, const struct command *command, uint8_t arg)
{
    dev->awaits = command->code;
    if (command->run != run_reset)
        send(dev, ACK);
    if (command->run != NULL)
        command->run(dev, arg);
    dev->awaits = 0;
}

static void begin(struct ps2 *dev, uint8_t code)
{
    const struct command *command = find(dev, code);
    if (code == RESEND) {
        send(dev, dev->last);
        return;
    }
    dev->awaits = 0;
    if (code == ECHO && dev->kind == PS2_KEYBOARD) {
        send(dev, ECHO);
    } else if (command == NULL) {
        send(dev, RESEND);
    } else if (command->args == 0) {
        run(dev, command, 0);
    } else {
        dev->awaits = code;
        send(dev, ACK);
    }
}

void ps2_write(struct ps2 *dev, uint8_t value)
{
    const struct command *waiting = dev->awaits ? find(dev, dev->awaits) : NULL;
    dev->count = 0;
    if (dev->wrap && value != 0xec && value != 0xff) {
        send(dev, value);
        return;
    }
    dev->wrap = false;
    if (waiting != NULL && (value < 0xed || dev->kind == PS2_MOUSE))
        run(dev, waiting, value);
    else
        begin(dev, value);
}
