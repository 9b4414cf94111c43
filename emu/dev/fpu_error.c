/* SPDX-License-Identifier: MIT */
#include "emu/dev/fpu_error.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"

/*
 * Two flip-flops (SDM 1 D.2.1.2 "MS-DOS Compatibility Sub-mode in the P6 Family
 * and Pentium Processors", figure "Recommended Circuit for MS-DOS Compatibility
 * x87 FPU Exception Handling"):
 *
 *   FERR# asserted   sets the first, which drives IRQ 13
 *   write to F0h     clears the first; sets the second if FERR# is still
 *                    asserted, which drives IGNNE#, so that the handler may
 *                    use the FPU before it has cleared the exception
 *   FERR# released   clears the second
 *
 * A write to F1h reset the 80287; it does nothing since the 80486.
 */
struct fpu_error {
    struct bus *bus;
    struct irq_line irq;
    struct irq_line ignne;
    struct io_range range;
    bool ferr;
};

#define STATE_OF struct fpu_error
static const struct state_field fpu_error_fields[] = {
    STATE_FIELD(irq.level), STATE_FIELD(ignne.level), STATE_FIELD(ferr),
    STATE_SKIP(bus),        STATE_SKIP(irq),          STATE_SKIP(ignne),
    STATE_SKIP(range),
};
const struct state_table fpu_error_state =
    STATE_TABLE("fpu_error", fpu_error_fields);
#undef STATE_OF

static void write_port(void *dev, uint64_t offset, unsigned size,
                       uint32_t value)
{
    struct fpu_error *latch = dev;
    (void)size;
    (void)value;
    if (offset != 0)
        return;
    irq_set(&latch->irq, false);
    if (latch->ferr)
        irq_set(&latch->ignne, true);
}

void fpu_error_set_ferr(struct fpu_error *latch, bool level)
{
    if (level == latch->ferr)
        return;
    latch->ferr = level;
    if (level)
        irq_set(&latch->irq, true);
    else
        irq_set(&latch->ignne, false);
}

void fpu_error_reset(struct fpu_error *latch)
{
    latch->ferr = false;
    irq_set(&latch->irq, false);
    irq_set(&latch->ignne, false);
}

int fpu_error_create(struct fpu_error **out, struct bus *bus,
                     struct irq_line irq, struct irq_line ignne)
{
    struct fpu_error *latch = calloc(1, sizeof(*latch));
    if (latch == NULL)
        return -ENOMEM;
    latch->bus = bus;
    latch->irq = irq;
    latch->ignne = ignne;
    latch->range = (struct io_range){.name = "coprocessor",
                                     .start = 0xf0,
                                     .len = 2,
                                     .max_size = 1,
                                     .write = write_port,
                                     .dev = latch};
    int err = bus_add_all(bus, &latch->range, 1);
    if (err != 0) {
        free(latch);
        return err;
    }
    *out = latch;
    return 0;
}

void fpu_error_destroy(struct fpu_error *latch)
{
    if (latch == NULL)
        return;
    bus_remove_all(latch->bus, &latch->range, 1);
    free(latch);
}
