/* SPDX-License-Identifier: MIT */
#include "board_subject.h"

#include <stdlib.h>
#include <string.h>

#include "emu/dev/i8259.h"

/*
 * The interrupt wires are watched by linking i8259_set_input() to a function
 * of this file (ld's --wrap), which asks whose board is being accessed.
 */
static struct subject *entered;

void __real_i8259_set_input(void *pair, unsigned pin, bool level);
void __wrap_i8259_set_input(void *pair, unsigned pin, bool level);

void __wrap_i8259_set_input(void *pair, unsigned pin, bool level)
{
    struct subject *s = entered;

    if (s == NULL || pin >= 16)
        abort();
    s->rises[pin] += level && !s->level[pin];
    s->level[pin] = level;
    s->pic = pair;
    if (s->input != NULL)
        s->input(pin, level);
    __real_i8259_set_input(pair, pin, level);
}

void subject_enter(struct subject *s)
{
    entered = s;
}

void subject_leave(struct subject *s)
{
    if (entered != s)
        abort();
    entered = NULL;
}

void subject_drive(struct subject *s, unsigned pin, bool level)
{
    subject_enter(s);
    i8259_set_input(s->pic, pin, level);
    subject_leave(s);
}

/* FNV-1a. */
void subject_note(struct subject *s, uint64_t value)
{
    s->seen = (s->seen ^ value) * 0x100000001b3u;
}

static uint64_t look(void *opaque)
{
    struct subject *s = opaque;

    s->now += s->look;
    return s->now;
}

static void set_intr(void *opaque, bool level)
{
    struct subject *s = opaque;

    s->intr = level;
    subject_note(s, 0x100u | level);
}

static void set_ignne(void *opaque, bool level)
{
    struct subject *s = opaque;

    s->ignne = level;
    subject_note(s, 0x200u | level);
}

static void set_a20(void *opaque, bool open)
{
    struct subject *s = opaque;

    s->a20 = open;
    subject_note(s, 0x300u | open);
}

static void power_off(void *opaque)
{
    subject_note(opaque, 0x400);
}

static void ask_reset(void *opaque)
{
    struct subject *s = opaque;

    s->wants_reset = true;
    subject_note(s, 0x500);
}

static void leave_vm(void *opaque, int status)
{
    subject_note(opaque, 0x6000000000u | (unsigned)status);
}

static void write_bytes(void *opaque, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        subject_note(opaque, 0x700u | data[i]);
}

static uint32_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    struct subject *s = dev;
    uint32_t value = 0;

    memcpy(&value, s->mmio + offset, size);
    return value;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct subject *s = dev;

    memcpy(s->mmio + offset, &value, size);
}

void subject_init(struct subject *s)
{
    s->range = (struct io_range){.name = "fuzz",
                                 .space = IO_MMIO,
                                 .start = SUBJECT_MMIO,
                                 .len = SUBJECT_MMIO_LEN,
                                 .max_size = 4,
                                 .read = mmio_read,
                                 .write = mmio_write,
                                 .dev = s};
    if (clock_create(&s->clock, look, s) != 0 ||
        bus_create(&s->bus, &s->stats, s->clock) != 0 ||
        bus_add(s->bus, &s->range) != 0)
        abort();
    clock_set_base(s->clock, SUBJECT_EPOCH);
    state_save(&s->power_up, &clock_state, s->clock);
}

static void create_board(struct subject *s)
{
    struct machine_host host = {
        .opaque = s,
        .set_intr = set_intr,
        .set_ignne = set_ignne,
        .set_a20 = set_a20,
        .power_off = power_off,
        .reset = ask_reset,
        .exit = leave_vm,
        .debugcon = {write_bytes, s},
        .debug_exit_port = SUBJECT_EXIT_PORT,
        .ram_len = SUBJECT_RAM
    };

    for (unsigned i = 0; i < ARRAY_COUNT(host.serial); i++)
        host.serial[i] = (struct char_backend){write_bytes, s};
    subject_enter(s);
    if (machine_pc_create(&s->pc, s->bus, s->clock, &host) != 0)
        abort();
    subject_leave(s);
    subject_reset(s);
}

void subject_reset(struct subject *s)
{
    subject_enter(s);
    if (s->reset != NULL)
        s->reset();
    clock_hold(s->clock);
    machine_pc_reset(s->pc);
    clock_release(s->clock);
    subject_leave(s);
}

void subject_start(struct subject *s, uint64_t now)
{
    s->power_up.at = 0;
    state_load(&s->power_up, &clock_state, s->clock, s->clock);
    s->now = now;
    s->look = 0;
    s->intr = s->a20 = s->ignne = s->wants_reset = false;
    memset(s->level, 0, sizeof(s->level));
    memset(s->mmio, 0, sizeof(s->mmio));
    create_board(s);
    memset(s->rises, 0, sizeof(s->rises));
    s->seen = 0;
}

/* A timer that is left would fire into freed memory. */
void subject_stop(struct subject *s)
{
    machine_pc_destroy(s->pc);
    s->pc = NULL;
    if (clock_next(s->clock) != UINT64_MAX)
        abort();
}
