/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8259.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"
#include "monitor/log.h"

/*
 * Registers and commands follow the 8259A datasheet ("Interrupt Request
 * Register (IRR) and In-Service Register (ISR)", "Initialization Command
 * Words", "Operation Command Words"); ELCR follows the 82371 PIIX datasheet,
 * where it replaces ICW1's LTIM bit.
 *
 *   input --> edge latch --+
 *         \--------------- IRR --> ~IMR --> priority <-- ISR --> INT
 *
 * An edge request lives while its latch is set *and* the input is still high:
 * an input that falls before INTA leaves nothing, and the chip then answers
 * with IR7 without setting an ISR bit ("spurious" interrupts 7 and 15). All
 * outputs are recomputed in one place, update().
 */

#define NONE        8u /* no level */
#define CASCADE     2u
#define ICW1        BIT(4)
#define ICW1_IC4    BIT(0)
#define ICW1_SNGL   BIT(1)
#define ICW4_AEOI   BIT(1)
#define ICW4_SFNM   BIT(4)
#define OCW3        BIT(3)
#define OCW3_RIS    BIT(0)
#define OCW3_RR     BIT(1)
#define OCW3_POLL   BIT(2)
#define OCW3_SMM    BIT(5)
#define OCW3_ESMM   BIT(6)
#define ELCR_MASTER 0xf8u /* 0, 1 and 2 are always edge */
#define ELCR_SLAVE  0xdeu /* 8 and 13 are always edge */

enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct chip {
    struct i8259 *pair;
    uint8_t input; /* levels of IR0-IR7 */
    uint8_t edge;  /* edge-sense latch */
    uint8_t elcr;  /* inputs that are level-triggered */
    uint8_t imr;
    uint8_t isr;
    uint8_t base;   /* vector of IR0 */
    uint8_t lowest; /* level of lowest priority; 7 unless rotated */
    uint8_t icw1;
    uint8_t icw3;
    uint8_t icw4;
    enum init_step step;
    bool read_isr;
    bool poll;
    bool special_mask;
    bool rotate_aeoi;
    struct irq_line out; /* INT */
};

struct i8259 {
    struct bus *bus;
    struct chip chip[2]; /* master, slave */
    struct io_range range[3];
};

#define STATE_OF struct chip
static const struct state_field i8259_chip_fields[] = {
    STATE_FIELD(input),     STATE_FIELD(edge),         STATE_FIELD(elcr),
    STATE_FIELD(imr),       STATE_FIELD(isr),          STATE_FIELD(base),
    STATE_FIELD(lowest),    STATE_FIELD(icw1),         STATE_FIELD(icw3),
    STATE_FIELD(icw4),      STATE_FIELD(step),         STATE_FIELD(read_isr),
    STATE_FIELD(poll),      STATE_FIELD(special_mask), STATE_FIELD(rotate_aeoi),
    STATE_FIELD(out.level), STATE_SKIP(pair),          STATE_SKIP(out),
};
static const struct state_table i8259_chip_state =
    STATE_TABLE("i8259_chip", i8259_chip_fields);
#undef STATE_OF

#define STATE_OF struct i8259
static const struct state_field i8259_fields[] = {
    STATE_STRUCT(chip, struct chip, i8259_chip_state),
    STATE_SKIP(bus),
    STATE_SKIP(range),
};
const struct state_table i8259_state = STATE_TABLE("i8259", i8259_fields);
#undef STATE_OF

static uint8_t irr(const struct chip *chip)
{
    return (uint8_t)(chip->input & (chip->elcr | chip->edge));
}

/* The level of highest priority among bits, NONE if there is none. */
static unsigned highest(const struct chip *chip, uint8_t bits)
{
    for (unsigned i = 1; i <= 8; i++) {
        unsigned level = (chip->lowest + i) & 7;
        if (bits & BIT(level))
            return level;
    }
    return NONE;
}

static unsigned rank(const struct chip *chip, unsigned level)
{
    return level == NONE ? 8 : (level + 7u - chip->lowest) & 7;
}

/* The level that may interrupt now: above all that are in service. */
static unsigned pending(const struct chip *chip)
{
    unsigned level = highest(chip, irr(chip) & (uint8_t)~chip->imr);
    uint8_t blocking = chip->isr;
    if (chip->special_mask)
        blocking &= (uint8_t)~chip->imr;
    unsigned block = highest(chip, blocking);
    /* Special fully nested mode: a slave in service does not lock out its own
     * requests of higher priority; those of lower levels wait. */
    if (level == CASCADE && block == CASCADE && (chip->icw4 & ICW4_SFNM) &&
        chip == &chip->pair->chip[0])
        return level;
    if (level == NONE || rank(chip, level) >= rank(chip, block))
        return NONE;
    return level;
}

static void update(struct chip *chip)
{
    irq_set(&chip->out, chip->step == INIT_DONE && pending(chip) != NONE);
}

static void set_chip_input(struct chip *chip, unsigned pin, bool level)
{
    uint8_t bit = (uint8_t)BIT(pin);
    if (level && !(chip->input & bit))
        chip->edge |= bit;
    if (level)
        chip->input |= bit;
    else
        chip->input &= (uint8_t)~bit;
    if (!level)
        chip->edge &= (uint8_t)~bit;
    update(chip);
}

static void set_cascade(void *opaque, unsigned pin, bool level)
{
    set_chip_input(opaque, pin, level);
}

void i8259_set_input(void *opaque, unsigned pin, bool level)
{
    struct i8259 *pair = opaque;
    ASSERT(pin < 16 && pin != CASCADE);
    set_chip_input(&pair->chip[pin / 8], pin % 8, level);
}

/* INTA: put the level in service. Its INT output falls in between, so that a
 * request that is left makes a new edge on the master. */
static unsigned acknowledge(struct chip *chip)
{
    unsigned level = pending(chip);
    irq_set(&chip->out, false);
    if (level != NONE) {
        chip->edge &= (uint8_t)~BIT(level);
        if (!(chip->icw4 & ICW4_AEOI))
            chip->isr |= (uint8_t)BIT(level);
        else if (chip->rotate_aeoi)
            chip->lowest = (uint8_t)level;
    }
    update(chip);
    return level;
}

uint8_t i8259_ack(struct i8259 *pair)
{
    struct chip *chip = &pair->chip[0];
    unsigned level = acknowledge(chip);
    if (level == CASCADE) {
        chip = &pair->chip[1];
        level = acknowledge(chip);
    }
    if (level == NONE) {
        level = 7;
        if (log_on(LOG_DEV))
            log_line(LOG_DEV, "8259A %s: spurious interrupt",
                     chip == &pair->chip[0] ? "master" : "slave");
    }
    return (uint8_t)(chip->base + level);
}

/* ICW1 starts the sequence and resets what the datasheet lists under it. */
static void write_icw1(struct chip *chip, uint8_t value)
{
    chip->icw1 = value;
    chip->edge = 0;
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = false;
    chip->read_isr = false;
    chip->poll = false;
    chip->rotate_aeoi = false;
    chip->icw4 = 0;
    chip->step = INIT_ICW2;
}

/* OCW2: bits R, SL, EOI in value 7..5, level in 2..0. */
static void write_ocw2(struct chip *chip, uint8_t value)
{
    bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
    unsigned level = value & 7;
    if (!eoi) {
        if (specific && rotate)
            chip->lowest = (uint8_t)level; /* set priority */
        else if (!specific)
            chip->rotate_aeoi = rotate;
        return;
    }
    if (!specific) {
        uint8_t in_service = chip->isr;
        if (chip->special_mask)
            in_service &= (uint8_t)~chip->imr;
        level = highest(chip, in_service);
        if (level == NONE)
            return;
    }
    chip->isr &= (uint8_t)~BIT(level);
    if (rotate)
        chip->lowest = (uint8_t)level;
}

static void write_ocw3(struct chip *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    chip->poll = value & OCW3_POLL;
}

static void write_odd(struct chip *chip, uint8_t value)
{
    switch (chip->step) {
    case INIT_DONE: chip->imr = value; return;
    case INIT_ICW2:
        chip->base = value & 0xf8;
        chip->step = chip->icw1 & ICW1_SNGL ? INIT_ICW4 : INIT_ICW3;
        break;
    case INIT_ICW3:
        chip->icw3 = value;
        chip->step = INIT_ICW4;
        break;
    case INIT_ICW4:
        chip->icw4 = value;
        chip->step = INIT_DONE;
        return;
    }
    if (chip->step == INIT_ICW4 && !(chip->icw1 & ICW1_IC4))
        chip->step = INIT_DONE;
}

static void chip_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct chip *chip = dev;
    (void)size;
    if (offset & 1)
        write_odd(chip, (uint8_t)value);
    else if (value & ICW1)
        write_icw1(chip, (uint8_t)value);
    else if (value & OCW3)
        write_ocw3(chip, (uint8_t)value);
    else
        write_ocw2(chip, (uint8_t)value);
    update(chip);
}

/* "Poll Command": the next read is an INTA that answers I 0 0 0 0 W2 W1 W0. */
static uint32_t read_poll(struct chip *chip)
{
    chip->poll = false;
    unsigned level = acknowledge(chip);
    return level == NONE ? 0 : 0x80 | level;
}

static uint32_t chip_read(void *dev, uint64_t offset, unsigned size)
{
    struct chip *chip = dev;
    (void)size;
    if (chip->poll)
        return read_poll(chip);
    if (offset & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : irr(chip);
}

static uint32_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8259 *pair = dev;
    (void)size;
    return pair->chip[offset & 1].elcr;
}

static void set_elcr(struct i8259 *pair, unsigned i, unsigned value)
{
    pair->chip[i].elcr = (uint8_t)(value & (i ? ELCR_SLAVE : ELCR_MASTER));
    update(&pair->chip[i]);
}

static void elcr_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    (void)size;
    set_elcr(dev, offset & 1, value);
}

void i8259_set_elcr(struct i8259 *pair, uint16_t mask)
{
    set_elcr(pair, 1, mask >> 8);
    set_elcr(pair, 0, mask & 0xff);
}

/* Inputs and output wires stay: their levels belong to the devices. */
void i8259_reset(struct i8259 *pair)
{
    for (unsigned i = 2; i-- > 0;) {
        struct chip *chip = &pair->chip[i];
        write_icw1(chip, 0);
        chip->base = 0;
        chip->elcr = 0;
        chip->icw3 = 0;
        chip->step = INIT_DONE;
        chip->imr = 0xff;
        update(chip);
    }
}

int i8259_create(struct i8259 **out, struct bus *bus, struct irq_line intr)
{
    struct i8259 *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return -ENOMEM;
    pair->bus = bus;
    pair->chip[0].out = intr;
    pair->chip[1].out = (struct irq_line){
        .set = set_cascade, .opaque = &pair->chip[0], .pin = CASCADE};
    for (unsigned i = 0; i < 2; i++) {
        pair->chip[i].pair = pair;
        pair->range[i] = (struct io_range){.name = i ? "8259A.2" : "8259A.1",
                                           .start = i ? 0xa0 : 0x20,
                                           .len = 2,
                                           .max_size = 1,
                                           .read = chip_read,
                                           .write = chip_write,
                                           .dev = &pair->chip[i]};
    }
    pair->range[2] = (struct io_range){.name = "ELCR",
                                       .start = 0x4d0,
                                       .len = 2,
                                       .max_size = 1,
                                       .read = elcr_read,
                                       .write = elcr_write,
                                       .dev = pair};
    i8259_reset(pair);
    int err = bus_add_all(bus, pair->range, ARRAY_COUNT(pair->range));
    if (err != 0) {
        free(pair);
        return err;
    }
    *out = pair;
    return 0;
}

void i8259_destroy(struct i8259 *pair)
{
    if (pair == NULL)
        return;
    bus_remove_all(pair->bus, pair->range, ARRAY_COUNT(pair->range));
    free(pair);
}
