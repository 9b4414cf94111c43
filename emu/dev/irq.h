/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_IRQ_H
#define EMU_DEV_IRQ_H

/*
 * PURPOSE: one interrupt wire: the device at one end drives a level, whoever is
 * at the other end is told of changes.
 */
#include "monitor/base.h"

struct irq_line {
    void (*set)(void *opaque, unsigned pin, bool level);
    void *opaque;
    unsigned pin;
    bool level; /* what was driven last */
};

/* Drive the wire; only a change is passed on. An unconnected line (set == NULL) takes it silently. */
void irq_set(struct irq_line *line, bool level);

#endif /* EMU_DEV_IRQ_H */
