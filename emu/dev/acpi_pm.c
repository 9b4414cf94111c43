/* SPDX-License-Identifier: MIT */
#include "emu/dev/acpi_pm.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"
#include "monitor/log.h"

/*
 * ACPI 6.4, section 4.8 "ACPI Register Model". Offsets from 600h:
 *   0 PM1_STS (16)  2 PM1_EN (16)  4 PM1_CNT (16)  8 PM_TMR (32, read-only)
 * Registers are bytes in an array, so that any access size works. The timer
 * counts at 3.579545 MHz; TMR_STS is set when its bit 23 changes.
 */

#define HZ        3579545u
#define NS        1000000000u
#define TMR_MASK  0xffffffu
#define TMR_HALF  0x800000u
#define STS_TMR   BIT(0)
#define STS_MASK  0x8731u
#define EN_MASK   0x0721u
#define CNT_SCI   BIT(0)
#define CNT_SLPEN BIT(13)
#define CNT_KEEP  0x1c07u

struct acpi_pm {
    struct bus *bus;
    struct clock *clock;
    struct acpi_pm_wires wires;
    struct clock_timer timer;
    uint16_t sts, en, cnt;
    uint64_t halves; /* changes of bit 23 already seen in TMR_STS */
    uint8_t gpe[4];  /* status 0-1 (nothing sets it), enable 2-3 */
    uint8_t smi[2];
    struct io_range range[3];
};

#define STATE_OF struct acpi_pm
static const struct state_field acpi_pm_fields[] = {
    STATE_CLOCK_TIMER(timer), STATE_FIELD(wires.sci.level),
    STATE_FIELD(sts),         STATE_FIELD(en),
    STATE_FIELD(cnt),         STATE_FIELD(halves),
    STATE_FIELD(gpe),         STATE_FIELD(smi),
    STATE_SKIP(bus),          STATE_SKIP(clock),
    STATE_SKIP(wires),        STATE_SKIP(range),
};
const struct state_table acpi_pm_state = STATE_TABLE("acpi_pm", acpi_pm_fields);
#undef STATE_OF

static uint64_t timer_count(struct acpi_pm *pm)
{
    return (uint64_t)((unsigned __int128)clock_now(pm->clock) * HZ / NS);
}

/* Recompute TMR_STS, the SCI wire and the timer for the next carry. */
static void update(struct acpi_pm *pm)
{
    uint64_t halves = timer_count(pm) / TMR_HALF;
    if (halves > pm->halves)
        pm->sts |= STS_TMR;
    pm->halves = halves;
    irq_set(&pm->wires.sci, (pm->sts & pm->en) && (pm->cnt & CNT_SCI));
    if ((pm->en & STS_TMR) && !(pm->sts & STS_TMR)) {
        unsigned __int128 next = (unsigned __int128)(halves + 1) * TMR_HALF;
        clock_arm(pm->clock, &pm->timer, (uint64_t)((next * NS + HZ - 1) / HZ));
    } else {
        clock_disarm(pm->clock, &pm->timer);
    }
}

static void fire(void *opaque)
{
    update(opaque);
}

static uint32_t pm_read(void *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = dev;
    update(pm);
    uint64_t low = (uint64_t)pm->sts | (uint64_t)pm->en << 16 |
                   (uint64_t)(pm->cnt & ~CNT_SLPEN) << 32;
    uint64_t image = offset < 8 ? low : timer_count(pm) & TMR_MASK;
    (void)size;
    return (uint32_t)(image >> (8 * (offset & 7)));
}

static void write_cnt(struct acpi_pm *pm, unsigned value)
{
    unsigned type = value >> 10 & 7;
    pm->cnt = value & CNT_KEEP;
    if (!(value & CNT_SLPEN))
        return;
    if (type == ACPI_SLP_TYP_S5)
        pm->wires.power_off(pm->wires.opaque);
    else
        log_line(LOG_UNIMP, "ACPI: sleep type %u is not modelled", type);
}

/* A write of any size reaches each 16-bit register once, merged with the bytes
 * it leaves alone; SLP_EN is write-only and so is never merged in. */
static void pm_write(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct acpi_pm *pm = dev;
    update(pm);
    if (offset + size <= 8) {
        unsigned shift = 8 * (unsigned)offset;
        uint64_t mask = (BIT64(8 * size) - 1) << shift;
        uint64_t bits = (uint64_t)value << shift & mask;
        pm->sts &= (uint16_t) ~(bits & STS_MASK);
        if (mask >> 16 & 0xffff)
            pm->en =
                (uint16_t)(((pm->en & ~(mask >> 16)) | bits >> 16) & EN_MASK);
        if (mask >> 32 & 0xffff)
            write_cnt(pm, (unsigned)(((pm->cnt & ~(mask >> 32)) | bits >> 32) &
                                     0xffff));
    }
    update(pm);
}

static uint32_t gpe_read(void *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = dev;
    (void)size;
    return pm->gpe[offset & 3];
}

static void gpe_write(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct acpi_pm *pm = dev;
    (void)size;
    if (offset >= 2)
        pm->gpe[offset & 3] = (uint8_t)value;
}

static uint32_t smi_read(void *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = dev;
    (void)size;
    return pm->smi[offset & 1];
}

static void smi_write(void *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct acpi_pm *pm = dev;
    (void)size;
    pm->smi[offset & 1] = (uint8_t)value;
    if (offset == 0 && value == ACPI_CMD_ON)
        pm->cnt |= CNT_SCI;
    else if (offset == 0 && value == ACPI_CMD_OFF)
        pm->cnt &= (uint16_t)~CNT_SCI;
    update(pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
    pm->sts = pm->en = pm->cnt = 0;
    pm->halves = timer_count(pm) / TMR_HALF;
    for (unsigned i = 0; i < 4; i++)
        pm->gpe[i] = 0;
    pm->smi[0] = pm->smi[1] = 0;
    update(pm);
}

int acpi_pm_create(struct acpi_pm **out, struct bus *bus, struct clock *clock,
                   const struct acpi_pm_wires *wires)
{
    struct acpi_pm *pm = calloc(1, sizeof(*pm));
    if (pm == NULL)
        return -ENOMEM;
    pm->bus = bus;
    pm->clock = clock;
    pm->wires = *wires;
    pm->timer = (struct clock_timer){.fire = fire, .opaque = pm};
    pm->range[0] = (struct io_range){.name = "ACPI PM",
                                     .start = ACPI_PM_BASE,
                                     .len = 12,
                                     .max_size = 4,
                                     .read = pm_read,
                                     .write = pm_write,
                                     .dev = pm};
    pm->range[1] = (struct io_range){.name = "ACPI GPE0",
                                     .start = ACPI_GPE0_BASE,
                                     .len = 4,
                                     .max_size = 1,
                                     .read = gpe_read,
                                     .write = gpe_write,
                                     .dev = pm};
    pm->range[2] = (struct io_range){.name = "SMI command",
                                     .start = ACPI_SMI_CMD,
                                     .len = 2,
                                     .max_size = 1,
                                     .read = smi_read,
                                     .write = smi_write,
                                     .dev = pm};
    acpi_pm_reset(pm);
    int err = bus_add_all(bus, pm->range, ARRAY_COUNT(pm->range));
    if (err != 0) {
        free(pm);
        return err;
    }
    *out = pm;
    return 0;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
    if (pm == NULL)
        return;
    clock_disarm(pm->clock, &pm->timer);
    bus_remove_all(pm->bus, pm->range, ARRAY_COUNT(pm->range));
    free(pm);
}
