/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8042.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emu/dev/ps2.h"
#include "emu/dev/state.h"
#include "monitor/log.h"

/*
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
 * Device Controller".
 *
 *   keyboard --+
 *   mouse    --+--> output buffer (port 60h) --> IRQ 1 or IRQ 12
 *   answers  --+
 *
 * The output buffer holds one byte. While it is full, the devices and the
 * controller's own answer wait; reading port 60h lets the next one in, with a
 * new edge on its interrupt. The input buffer is never seen full: a byte
 * written is dealt with at once.
 */

#define STATUS_OBF      BIT(0)
#define STATUS_SYS      BIT(2)
#define STATUS_COMMAND  BIT(3) /* the last write was to 64h */
#define STATUS_UNLOCKED BIT(4)
#define STATUS_AUX      BIT(5) /* the buffer's byte is the mouse's */
#define CCB_KBD_INT     BIT(0)
#define CCB_AUX_INT     BIT(1)
#define CCB_SYS         BIT(2)
#define CCB_KBD_OFF     BIT(4)
#define CCB_AUX_OFF     BIT(5)
#define CCB_TRANSLATE   BIT(6)
#define CCB_MASK        0x77u
#define PORT_RUN        BIT(0) /* 0: reset */
#define PORT_A20        BIT(1)
#define PORT_ONES       0xccu

struct i8042 {
    struct bus *bus;
    struct i8042_wires wires;
    struct ps2 keyboard, mouse;
    uint8_t ram[32]; /* byte 0 is the command byte */
    uint8_t status;  /* without SYS, which is the command byte's */
    uint8_t data;
    uint8_t awaits; /* the command whose argument port 60h gets next, 0 none */
    bool has_answer, answer_is_aux;
    uint8_t answer;
    struct io_range range[2];
};

#define STATE_OF struct i8042
static const struct state_field i8042_fields[] = {
    STATE_STRUCT(keyboard, struct ps2, ps2_state),
    STATE_STRUCT(mouse, struct ps2, ps2_state),
    STATE_FIELD(wires.keyboard.level),
    STATE_FIELD(wires.mouse.level),
    STATE_FIELD(ram),
    STATE_FIELD(status),
    STATE_FIELD(data),
    STATE_FIELD(awaits),
    STATE_FIELD(has_answer),
    STATE_FIELD(answer_is_aux),
    STATE_FIELD(answer),
    STATE_SKIP(bus),
    STATE_SKIP(wires),
    STATE_SKIP(range),
};
const struct state_table i8042_state = STATE_TABLE("i8042", i8042_fields);
#undef STATE_OF

/* Scan codes of set 2 become those of set 1; of all that this keyboard sends,
 * only these differ: its identification and the numbers of the sets. */
static uint8_t translate(uint8_t value)
{
    static const uint8_t map[][2] = {
        {0x01, 0x43},
        {0x02, 0x41},
        {0x03, 0x3f},
        {0x83, 0x41}
    };
    for (size_t i = 0; i < ARRAY_COUNT(map); i++)
        if (map[i][0] == value)
            return map[i][1];
    return value;
}

/* The next byte for the output buffer: the controller's own goes first. */
static bool next_byte(struct i8042 *kbc, uint8_t *value, bool *aux)
{
    *aux = false;
    if (kbc->has_answer) {
        *value = kbc->answer;
        *aux = kbc->answer_is_aux;
        kbc->has_answer = false;
        return true;
    }
    if (!(kbc->ram[0] & CCB_KBD_OFF) && ps2_read(&kbc->keyboard, value)) {
        if (kbc->ram[0] & CCB_TRANSLATE)
            *value = translate(*value);
        return true;
    }
    *aux = true;
    return !(kbc->ram[0] & CCB_AUX_OFF) && ps2_read(&kbc->mouse, value);
}

/* Fill the output buffer if it is empty, and drive the wires. */
static void update(struct i8042 *kbc)
{
    bool aux;
    if (!(kbc->status & STATUS_OBF) && next_byte(kbc, &kbc->data, &aux))
        kbc->status |= (uint8_t)(STATUS_OBF | (aux ? STATUS_AUX : 0));
    bool full = kbc->status & STATUS_OBF, is_aux = kbc->status & STATUS_AUX;
    irq_set(&kbc->wires.keyboard,
            full && !is_aux && (kbc->ram[0] & CCB_KBD_INT));
    irq_set(&kbc->wires.mouse, full && is_aux && (kbc->ram[0] & CCB_AUX_INT));
}

/* The buffer is free and its interrupt falls, whatever comes next. */
static void empty_buffer(struct i8042 *kbc)
{
    kbc->status &= (uint8_t) ~(STATUS_OBF | STATUS_AUX);
    irq_set(&kbc->wires.keyboard, false);
    irq_set(&kbc->wires.mouse, false);
}

/* An answer takes the place of what is in the buffer, as the controller's
 * firmware does not wait for the host to read. */
static void put_answer(struct i8042 *kbc, unsigned value, bool aux)
{
    empty_buffer(kbc);
    kbc->has_answer = true;
    kbc->answer = (uint8_t)value;
    kbc->answer_is_aux = aux;
}

static uint8_t output_port(struct i8042 *kbc)
{
    unsigned value = PORT_ONES | PORT_RUN;
    if (kbc->wires.a20_is_open(kbc->wires.opaque))
        value |= PORT_A20;
    if (kbc->status & STATUS_OBF)
        value |= kbc->status & STATUS_AUX ? 0x20 : 0x10;
    return (uint8_t)value;
}

static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->wires.set_a20(kbc->wires.opaque, value & PORT_A20);
    if (!(value & PORT_RUN))
        kbc->wires.reset(kbc->wires.opaque);
}

static void set_bit(struct i8042 *kbc, unsigned bit, bool on)
{
    kbc->ram[0] = (uint8_t)(on ? kbc->ram[0] | bit : kbc->ram[0] & ~bit);
}

static void run_command(struct i8042 *kbc, uint8_t command)
{
    switch (command) {
    case 0xa4: put_answer(kbc, 0xf1, false); break; /* no password */
    case 0xa7: set_bit(kbc, CCB_AUX_OFF, true); break;
    case 0xa8: set_bit(kbc, CCB_AUX_OFF, false); break;
    case 0xa9: put_answer(kbc, 0, false); break; /* mouse interface is good */
    case 0xaa:
        set_bit(kbc, CCB_SYS, true);
        put_answer(kbc, 0x55, false);
        break;
    case 0xab: put_answer(kbc, 0, false); break; /* keyboard interface */
    case 0xad: set_bit(kbc, CCB_KBD_OFF, true); break;
    case 0xae: set_bit(kbc, CCB_KBD_OFF, false); break;
    case 0xc0: put_answer(kbc, 0x80, false); break; /* input port: unlocked */
    case 0xd0: put_answer(kbc, output_port(kbc), false); break;
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4: kbc->awaits = command; break;
    case 0xdd: kbc->wires.set_a20(kbc->wires.opaque, false); break;
    case 0xdf: kbc->wires.set_a20(kbc->wires.opaque, true); break;
    case 0xe0: put_answer(kbc, 0, false); break; /* test inputs */
    default:
        log_line(LOG_UNIMP, "8042: command %02xh is not modelled", command);
    }
}

static void write_command(struct i8042 *kbc, uint8_t command)
{
    kbc->awaits = 0;
    kbc->status |= STATUS_COMMAND;
    if (command >= 0x20 && command < 0x40)
        put_answer(kbc, kbc->ram[command & 31], false);
    else if (command >= 0x60 && command < 0x80)
        kbc->awaits = command;
    else if (command < 0xf0)
        run_command(kbc, command);
    else if (!(command & PORT_RUN)) /* pulse the lines whose bits are 0 */
        kbc->wires.reset(kbc->wires.opaque);
}

static void write_data(struct i8042 *kbc, uint8_t value)
{
    uint8_t command = kbc->awaits;
    kbc->awaits = 0;
    kbc->status &= (uint8_t)~STATUS_COMMAND;
    if (command == 0x60) {
        kbc->ram[0] = value & CCB_MASK;
    } else if (command > 0x60 && command < 0x80) {
        kbc->ram[command & 31] = value;
    } else if (command == 0xd1) {
        write_output_port(kbc, value);
    } else if (command == 0xd2 || command == 0xd3) {
        put_answer(kbc, value, command == 0xd3);
    } else if (command == 0xd4) {
        set_bit(kbc, CCB_AUX_OFF, false);
        ps2_write(&kbc->mouse, value);
    } else {
        set_bit(kbc, CCB_KBD_OFF, false); /* a transmission enables it */
        ps2_write(&kbc->keyboard, value);
    }
}

static uint32_t data_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8042 *kbc = dev;
    (void)offset;
    (void)size;
    uint8_t value = kbc->data; /* an empty buffer shows its last byte */
    empty_buffer(kbc);
    update(kbc);
    return value;
}

static void data_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct i8042 *kbc = dev;
    (void)offset;
    (void)size;
    write_data(kbc, (uint8_t)value);
    update(kbc);
}

static uint32_t status_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8042 *kbc = dev;
    (void)offset;
    (void)size;
    return kbc->status | (kbc->ram[0] & CCB_SYS ? STATUS_SYS : 0);
}

static void command_write(void *dev, uint64_t offset, unsigned size,
                          uint32_t value)
{
    struct i8042 *kbc = dev;
    (void)offset;
    (void)size;
    write_command(kbc, (uint8_t)value);
    update(kbc);
}

/* As a BIOS leaves it: tested, translating, both devices enabled. */
void i8042_reset(struct i8042 *kbc)
{
    memset(kbc->ram, 0, sizeof(kbc->ram));
    kbc->ram[0] = CCB_KBD_INT | CCB_AUX_INT | CCB_SYS | CCB_TRANSLATE;
    kbc->status = STATUS_COMMAND | STATUS_UNLOCKED;
    kbc->data = 0;
    kbc->awaits = 0;
    kbc->has_answer = false;
    ps2_reset(&kbc->keyboard, PS2_KEYBOARD);
    ps2_reset(&kbc->mouse, PS2_MOUSE);
    update(kbc);
}

int i8042_create(struct i8042 **out, struct bus *bus,
                 const struct i8042_wires *wires)
{
    struct i8042 *kbc = calloc(1, sizeof(*kbc));
    if (kbc == NULL)
        return -ENOMEM;
    kbc->bus = bus;
    kbc->wires = *wires;
    kbc->range[0] = (struct io_range){.name = "8042 data",
                                      .start = 0x60,
                                      .len = 1,
                                      .max_size = 1,
                                      .read = data_read,
                                      .write = data_write,
                                      .dev = kbc};
    kbc->range[1] = (struct io_range){.name = "8042 command",
                                      .start = 0x64,
                                      .len = 1,
                                      .max_size = 1,
                                      .read = status_read,
                                      .write = command_write,
                                      .dev = kbc};
    i8042_reset(kbc);
    int err = bus_add_all(bus, kbc->range, ARRAY_COUNT(kbc->range));
    if (err != 0) {
        free(kbc);
        return err;
    }
    *out = kbc;
    return 0;
}

void i8042_destroy(struct i8042 *kbc)
{
    if (kbc == NULL)
        return;
    bus_remove_all(kbc->bus, kbc->range, ARRAY_COUNT(kbc->range));
    free(kbc);
}
