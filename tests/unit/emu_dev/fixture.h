/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_EMU_DEV_FIXTURE_H
#define TESTS_UNIT_EMU_DEV_FIXTURE_H

/*
 * PURPOSE: what the test of a chip needs around it: a bus, a clock that stands
 * until the test moves it, and wires that record what is driven.
 */
#include <check.h>
#include <stdlib.h>

#include "emu/dev/bus.h"
#include "emu/dev/clock.h"
#include "emu/dev/irq.h"

/* A wire that remembers: its level, and how often it rose. */
struct probe {
    bool level;
    unsigned rises;
};

extern struct bus *bus;
extern struct clock *guest_clock;
extern uint64_t now_ns;
extern uint64_t look_ns; /* that pass at each look at the clock */

void fixture_setup(void);
void fixture_teardown(void);

struct irq_line probe_line(struct probe *probe);

void out(uint16_t port, uint32_t value);
uint8_t in(uint16_t port);

/* Let ns pass and fire what is due. */
void advance(uint64_t ns);

#endif /* TESTS_UNIT_EMU_DEV_FIXTURE_H */
