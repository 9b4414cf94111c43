/* SPDX-License-Identifier: MIT */
#include "emu/dev/i8237.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emu/dev/state.h"
#include "monitor/log.h"

/*
 * 8237A datasheet, "Register Description" and "Software Command Codes".
 * Registers of a controller, 1 port apart at 00h and 2 apart at C0h:
 *
 *   0-7  address and word count of channels 0-3, low byte first
 *   8    status / command        9  - / request     A  - / single mask bit
 *   B    - / mode                C  - / clear byte pointer flip-flop
 *   D    temporary / master clear                   E  - / clear mask
 *   F    - / all mask bits
 *
 * Reading F yields the mask, as later chip sets do it.
 */

#define MASK_ALL     0x0fu
#define CMD_MEMTOMEM BIT(0)
#define CMD_DISABLED BIT(2)
#define PAGE_FIRST   0x81u
#define PAGE_COUNT   15u

struct controller {
    uint16_t base[8]; /* even: address, odd: word count */
    uint16_t current[8];
    uint8_t mode[4];
    uint8_t command, request, mask;
    bool high; /* the byte pointer flip-flop */
    unsigned shift;
};

struct i8237 {
    struct bus *bus;
    struct controller controller[2];
    uint8_t page[PAGE_COUNT];
    struct io_range range[3];
};

#define STATE_OF struct controller
static const struct state_field i8237_controller_fields[] = {
    STATE_FIELD(base),    STATE_FIELD(current), STATE_FIELD(mode),
    STATE_FIELD(command), STATE_FIELD(request), STATE_FIELD(mask),
    STATE_FIELD(high),    STATE_SKIP(shift),
};
static const struct state_table i8237_controller_state =
    STATE_TABLE("i8237_controller", i8237_controller_fields);
#undef STATE_OF

#define STATE_OF struct i8237
static const struct state_field i8237_fields[] = {
    STATE_STRUCT(controller, struct controller, i8237_controller_state),
    STATE_FIELD(page),
    STATE_SKIP(bus),
    STATE_SKIP(range),
};
const struct state_table i8237_state = STATE_TABLE("i8237", i8237_fields);
#undef STATE_OF

static void master_clear(struct controller *c)
{
    c->command = c->request = 0;
    c->mask = MASK_ALL;
    c->high = false;
}

static void write_half(struct controller *c, unsigned reg, uint8_t value)
{
    unsigned shift = c->high ? 8 : 0;
    c->base[reg] = (uint16_t)((c->base[reg] & ~(0xffu << shift)) |
                              (unsigned)value << shift);
    c->current[reg] = c->base[reg];
    c->high = !c->high;
}

static uint8_t read_half(struct controller *c, unsigned reg)
{
    unsigned shift = c->high ? 8 : 0;
    c->high = !c->high;
    return (uint8_t)(c->current[reg] >> shift);
}

static void set_bit(uint8_t *bits, uint8_t value)
{
    uint8_t bit = (uint8_t)BIT(value & 3);
    *bits = (uint8_t)(value & 4 ? *bits | bit : *bits & ~bit);
}

static void write_request(struct controller *c, uint8_t value)
{
    set_bit(&c->request, value);
    if ((value & 4) && !(c->command & CMD_DISABLED))
        log_line(LOG_UNIMP,
                 "8237A: a transfer of channel %u (%s, mode %02xh) is not "
                 "modelled",
                 (value & 3u) + (c->shift ? 4 : 0),
                 c->command & CMD_MEMTOMEM ? "memory to memory" : "software",
                 c->mode[value & 3]);
}

static void port_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct controller *c = dev;
    unsigned reg = (unsigned)(offset >> c->shift);
    uint8_t byte = (uint8_t)value;
    (void)size;
    if (reg < 8) {
        write_half(c, reg, byte);
        return;
    }
    switch (reg) {
    case 0x8: c->command = byte; break;
    case 0x9: write_request(c, byte); break;
    case 0xa: set_bit(&c->mask, byte); break;
    case 0xb: c->mode[byte & 3] = byte & 0xfc; break;
    case 0xc: c->high = false; break;
    case 0xd: master_clear(c); break;
    case 0xe: c->mask = 0; break;
    case 0xf: c->mask = byte & MASK_ALL; break;
    }
}

/* Status: requests in 7..4; no channel ever reached its terminal count. */
static uint32_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct controller *c = dev;
    unsigned reg = (unsigned)(offset >> c->shift);
    (void)size;
    if (reg < 8)
        return read_half(c, reg);
    switch (reg) {
    case 0x8: return (uint32_t)c->request << 4;
    case 0xd: return 0; /* temporary register */
    case 0xf: return c->mask;
    default: return 0xff;
    }
}

static uint32_t page_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8237 *pair = dev;
    (void)size;
    return pair->page[offset];
}

static void page_write(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct i8237 *pair = dev;
    (void)size;
    pair->page[offset] = (uint8_t)value;
}

void i8237_reset(struct i8237 *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        struct controller *c = &pair->controller[i];
        memset(c, 0, sizeof(*c));
        c->shift = i;
        master_clear(c);
    }
    memset(pair->page, 0, sizeof(pair->page));
}

int i8237_create(struct i8237 **out, struct bus *bus)
{
    struct i8237 *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return -ENOMEM;
    pair->bus = bus;
    for (unsigned i = 0; i < 2; i++)
        pair->range[i] = (struct io_range){.name = i ? "8237A.2" : "8237A.1",
                                           .start = i ? 0xc0 : 0x00,
                                           .len = i ? 32 : 16,
                                           .max_size = 1,
                                           .read = port_read,
                                           .write = port_write,
                                           .dev = &pair->controller[i]};
    pair->range[2] = (struct io_range){.name = "DMA pages",
                                       .start = PAGE_FIRST,
                                       .len = PAGE_COUNT,
                                       .max_size = 1,
                                       .read = page_read,
                                       .write = page_write,
                                       .dev = pair};
    i8237_reset(pair);
    int err = bus_add_all(bus, pair->range, ARRAY_COUNT(pair->range));
    if (err != 0) {
        free(pair);
        return err;
    }
    *out = pair;
    return 0;
}

void i8237_destroy(struct i8237 *pair)
{
    if (pair == NULL)
        return;
    bus_remove_all(pair->bus, pair->range, ARRAY_COUNT(pair->range));
    free(pair);
}
