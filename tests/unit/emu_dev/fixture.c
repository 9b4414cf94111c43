/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <string.h>

struct bus *bus;
struct clock *guest_clock;
uint64_t now_ns;
uint64_t look_ns;

static struct stats stats;

static uint64_t now(void *opaque)
{
    (void)opaque;
    now_ns += look_ns;
    return now_ns;
}

void fixture_setup(void)
{
    now_ns = 0;
    look_ns = 0;
    memset(&stats, 0, sizeof(stats));
    ck_assert_int_eq(clock_create(&guest_clock, now, NULL), 0);
    ck_assert_int_eq(bus_create(&bus, &stats, guest_clock), 0);
}

void fixture_teardown(void)
{
    bus_destroy(bus);
    clock_destroy(guest_clock);
}

static void set_probe(void *opaque, unsigned pin, bool level)
{
    struct probe *probe = opaque;
    (void)pin;
    probe->rises += level && !probe->level;
    probe->level = level;
}

struct irq_line probe_line(struct probe *probe)
{
    *probe = (struct probe){0};
    return (struct irq_line){.set = set_probe, .opaque = probe};
}

void out(uint16_t port, uint32_t value)
{
    bus_port_out(bus, port, 1, value);
}

uint8_t in(uint16_t port)
{
    return (uint8_t)bus_port_in(bus, port, 1);
}

void advance(uint64_t ns)
{
    now_ns += ns;
    clock_run(guest_clock);
}
