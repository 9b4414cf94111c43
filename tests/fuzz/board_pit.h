/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_PIT_H
#define TESTS_FUZZ_BOARD_PIT_H

/*
 * PURPOSE: a model of the 8254, from the datasheet's count register (CR),
 * counting element (CE) and output, moved on tick by tick, that shares no code
 * with emu/dev. What it does not know, it says.
 */
#include "monitor/base.h"

struct pit_channel {
    unsigned mode, rw;
    bool bcd, gate;
    uint32_t cr;     /* 1-65536 */
    bool has_cr;     /* written since the control word */
    bool is_null;    /* CR is not in CE yet */
    bool loads;      /* at the next tick */
    bool counts;     /* CE was loaded, and goes down while the gate lets it */
    bool known;      /* what CE and OUT are */
    bool moved;      /* the gate, in the tick of a load */
    uint32_t period; /* modes 2, 3: what CE was loaded with */
    uint32_t phase;  /* and the ticks since */
    int64_t ce;      /* other modes: may be long below 0 */
    uint64_t rises;  /* of OUT, by counting */
    bool second_write, second_read;
    uint8_t low;
    unsigned latched; /* bytes */
    uint16_t latch;
    bool latch_known;
    bool has_status;
    uint8_t status, status_mask;
};

struct pit_model {
    struct pit_channel channel[3];
    int64_t now; /* ticks */
    bool wire;   /* to IRQ 0 */
};

void pit_model_reset(struct pit_model *pit, uint64_t ns);

/* Time goes on to ns. */
void pit_model_advance(struct pit_model *pit, uint64_t ns);

void pit_model_gate(struct pit_model *pit, unsigned channel, bool gate);
void pit_model_write(struct pit_model *pit, unsigned offset, uint8_t value);

/* What a read yields, in the bits of mask. */
uint8_t pit_model_read(struct pit_model *pit, unsigned offset, uint8_t *mask);

/* OUT of channel 2; -1 if it is not known. */
int pit_model_out2(const struct pit_model *pit);

/* How often the wire to IRQ 0 rises now: one edge, however many there should
 * have been, and another one if OUT rose by what was written. */
unsigned pit_model_edges(struct pit_model *pit);

#endif /* TESTS_FUZZ_BOARD_PIT_H */
