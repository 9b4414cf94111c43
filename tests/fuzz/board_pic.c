/* SPDX-License-Identifier: MIT */
#include "board_pic.h"

#include <string.h>

/*
 * 8259A datasheet, "Interrupt Sequence", "Initialization Command Words",
 * "Operation Command Words", "Special Fully Nested Mode"; 82371 datasheet for
 * ELCR. Where they leave something open, the pair of the board decides: ICW1
 * clears ISR and the poll and rotation commands, INT is low while a chip is
 * being initialized, the cascade is wired whatever SNGL and ICW3 say.
 */
#define NONE    8u
#define CASCADE 2u

static bool requests(const struct pic_chip *c, unsigned i)
{
    return c->line[i] && (c->level[i] || c->sense[i]);
}

/* The priority resolver: down from the top, up to the first level in service. */
static unsigned winner(const struct pic_chip *c)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned i = (c->top + n) % 8;
        bool wants = requests(c, i) && !c->masked[i];

        if (c->serving[i] && !(c->special && c->masked[i])) {
            /* Only the slave may interrupt its own service. */
            bool slave = c->nested && c->is_master && i == CASCADE;
            return slave && wants ? i : NONE;
        }
        if (wants)
            return i;
    }
    return NONE;
}

static void drive(struct pic_chip *c, unsigned i, bool level)
{
    if (level != c->line[i])
        c->sense[i] = level;
    c->line[i] = level;
}

/* Both INT outputs follow. */
static void settle(struct pic_model *pic)
{
    for (unsigned n = 2; n-- > 0;) {
        struct pic_chip *c = &pic->chip[n];

        c->out = c->awaits == 0 && winner(c) != NONE;
        if (n == 1)
            drive(&pic->chip[0], CASCADE, c->out);
    }
}

/* The level goes into service; a slave lets go of INT meanwhile. */
static unsigned take(struct pic_model *pic, struct pic_chip *c)
{
    unsigned i = winner(c);

    if (!c->is_master)
        drive(&pic->chip[0], CASCADE, false);
    if (i == NONE)
        return NONE;
    c->sense[i] = false;
    c->serving[i] = !c->auto_eoi;
    if (c->auto_eoi && c->rotates)
        c->top = (i + 1) % 8;
    return i;
}

uint8_t pic_model_ack(struct pic_model *pic)
{
    struct pic_chip *c = &pic->chip[0];
    unsigned i = take(pic, c);

    if (i == CASCADE) {
        c = &pic->chip[1];
        i = take(pic, c);
    }
    settle(pic);
    return (uint8_t)(c->vector + (i == NONE ? 7 : i));
}

bool pic_model_may_answer(const struct pic_model *pic, uint8_t vector)
{
    for (unsigned n = 0; n < 2; n++) {
        const struct pic_chip *c = &pic->chip[n];
        unsigned i = vector & 7u;

        if ((vector & 0xf8) == c->vector &&
            (i == 7 || (requests(c, i) && !c->masked[i])))
            return true;
    }
    return false;
}

bool pic_model_intr(const struct pic_model *pic)
{
    return pic->chip[0].out;
}

void pic_model_input(struct pic_model *pic, unsigned pin, bool level)
{
    drive(&pic->chip[pin / 8], pin % 8, level);
    settle(pic);
}

static void start(struct pic_chip *c, uint8_t icw1)
{
    memset(c->sense, 0, sizeof(c->sense));
    memset(c->masked, 0, sizeof(c->masked));
    memset(c->serving, 0, sizeof(c->serving));
    c->top = 0;
    c->special = c->reads_isr = c->polled = c->rotates = false;
    c->auto_eoi = c->nested = false;
    c->single = icw1 & 2;
    c->awaits_icw4 = icw1 & 1;
    c->awaits = 2;
}

static void end_of_interrupt(struct pic_chip *c, bool rotate)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned i = (c->top + n) % 8;

        if (!c->serving[i] || (c->special && c->masked[i]))
            continue;
        c->serving[i] = false;
        if (rotate)
            c->top = (i + 1) % 8;
        return;
    }
}

static void write_ocw2(struct pic_chip *c, uint8_t value)
{
    unsigned i = value & 7u;

    switch (value >> 5) {
    case 0: c->rotates = false; break;
    case 1: end_of_interrupt(c, false); break;
    case 3: c->serving[i] = false; break;
    case 4: c->rotates = true; break;
    case 5: end_of_interrupt(c, true); break;
    case 6: c->top = (i + 1) % 8; break;
    case 7:
        c->serving[i] = false;
        c->top = (i + 1) % 8;
        break;
    default: break; /* 2: no operation */
    }
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
    c->polled = value & 4;
    if ((value & 3) >= 2)
        c->reads_isr = (value & 3) == 3;
    if ((value & 0x60) >= 0x40)
        c->special = (value & 0x60) == 0x60;
}

static void write_icw(struct pic_chip *c, uint8_t value)
{
    unsigned number = c->awaits;

    if (number == 2)
        c->vector = value & 0xf8;
    if (number == 4) {
        c->auto_eoi = value & 2;
        c->nested = value & 0x10;
    }
    c->awaits = number == 2 && !c->single ? 3 : 4;
    if (number == 4 || (c->awaits == 4 && !c->awaits_icw4))
        c->awaits = 0;
}

static void write_chip(struct pic_chip *c, bool odd, uint8_t value)
{
    if (odd && c->awaits != 0)
        write_icw(c, value);
    else if (odd)
        for (unsigned i = 0; i < 8; i++)
            c->masked[i] = value >> i & 1;
    else if (value & 0x10)
        start(c, value);
    else if (value & 8)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
}

static void write_elcr(struct pic_chip *c, uint8_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        bool fixed = c->is_master ? i < 3 : i == 0 || i == 5;
        c->level[i] = !fixed && (value >> i & 1);
    }
}

static uint8_t bits_of(const bool set[8])
{
    unsigned bits = 0;

    for (unsigned i = 0; i < 8; i++)
        bits |= set[i] ? 1u << i : 0;
    return (uint8_t)bits;
}

static uint8_t read_irr(const struct pic_chip *c)
{
    bool irr[8];

    for (unsigned i = 0; i < 8; i++)
        irr[i] = requests(c, i);
    return bits_of(irr);
}

bool pic_model_owns(uint16_t port)
{
    return (port & ~0x81u) == 0x20 || (port & ~1u) == 0x4d0;
}

void pic_model_write(struct pic_model *pic, uint16_t port, uint8_t value)
{
    if (port >= 0x4d0)
        write_elcr(&pic->chip[port & 1], value);
    else
        write_chip(&pic->chip[port >> 7], port & 1, value);
    settle(pic);
}

uint8_t pic_model_read(struct pic_model *pic, uint16_t port)
{
    struct pic_chip *c = &pic->chip[port >= 0x4d0 ? port & 1 : port >> 7];
    unsigned i = NONE;

    if (port >= 0x4d0)
        return bits_of(c->level);
    if (c->polled) {
        c->polled = false;
        i = take(pic, c);
        settle(pic);
        return (uint8_t)(i == NONE ? 0 : 0x80 | i);
    }
    if (port & 1)
        return bits_of(c->masked);
    return c->reads_isr ? bits_of(c->serving) : read_irr(c);
}

void pic_model_reset(struct pic_model *pic)
{
    for (unsigned n = 0; n < 2; n++) {
        struct pic_chip *c = &pic->chip[n];

        start(c, 0);
        c->awaits = 0;
        c->vector = 0;
        memset(c->masked, true, sizeof(c->masked));
        write_elcr(c, n ? 2 : 0);
    }
    settle(pic);
}

void pic_model_create(struct pic_model *pic)
{
    memset(pic, 0, sizeof(*pic));
    pic->chip[0].is_master = true;
    pic_model_reset(pic);
}
