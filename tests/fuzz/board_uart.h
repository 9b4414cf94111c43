/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_UART_H
#define TESTS_FUZZ_BOARD_UART_H

/*
 * PURPOSE: a model of a 16550A with nothing but an input, from the datasheet's
 * tables, that shares no code with emu/dev.
 */
#include "monitor/base.h"

struct uart_model {
    uint8_t ier, lcr, mcr, scr;
    uint8_t lines, deltas; /* MSR 7-4 and 3-0 */
    uint8_t fcr;           /* 0 while the FIFOs are off */
    uint16_t divisor;
    uint8_t received[16]; /* oldest first */
    unsigned count;
    bool overrun;
    bool sent;      /* THRE interrupt */
    bool timed_out; /* character timeout interrupt */
    bool times;
    uint64_t deadline;
};

void uart_model_reset(struct uart_model *u);
void uart_model_write(struct uart_model *u, unsigned reg, uint8_t value,
                      uint64_t ns);

/* What a read yields, in the bits of mask. */
uint8_t uart_model_read(struct uart_model *u, unsigned reg, uint64_t ns,
                        uint8_t *mask);

unsigned uart_model_room(const struct uart_model *u);
void uart_model_receive(struct uart_model *u, uint8_t byte, uint64_t ns);

/* The board's timers were run. */
void uart_model_run(struct uart_model *u, uint64_t ns);

bool uart_model_irq(const struct uart_model *u);

#endif /* TESTS_FUZZ_BOARD_UART_H */
