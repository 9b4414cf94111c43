/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_PIC_H
#define TESTS_FUZZ_BOARD_PIC_H

/*
 * PURPOSE: a model of the cascaded 8259A pair, from the datasheet's rules, that
 * shares no code with emu/dev. It is told what the devices drive and what the
 * guest writes, and says what the guest reads and the processor sees.
 */
#include "monitor/base.h"

struct pic_chip {
    bool is_master;
    bool line[8];    /* the input is high */
    bool sense[8];   /* it rose and was not acknowledged since */
    bool level[8];   /* ELCR: level-triggered */
    bool masked[8];  /* IMR */
    bool serving[8]; /* ISR */
    unsigned top;    /* the level of highest priority */
    uint8_t vector;
    unsigned awaits; /* the ICW that comes next, 0 none */
    bool awaits_icw4, single;
    bool auto_eoi, nested; /* ICW4: AEOI, SFNM */
    bool rotates, special, reads_isr, polled;
    bool out; /* INT */
};

struct pic_model {
    struct pic_chip chip[2];
};

void pic_model_create(struct pic_model *pic);

/* RESET, after which input 9 is the only level-triggered one. */
void pic_model_reset(struct pic_model *pic);

void pic_model_input(struct pic_model *pic, unsigned pin, bool level);
bool pic_model_owns(uint16_t port);
void pic_model_write(struct pic_model *pic, uint16_t port, uint8_t value);
uint8_t pic_model_read(struct pic_model *pic, uint16_t port);

/* The processor's two INTA cycles. */
uint8_t pic_model_ack(struct pic_model *pic);

/* INTR. */
bool pic_model_intr(const struct pic_model *pic);

/* It answers an acknowledge with an input that is requested and not masked. */
bool pic_model_may_answer(const struct pic_model *pic, uint8_t vector);

#endif /* TESTS_FUZZ_BOARD_PIC_H */
