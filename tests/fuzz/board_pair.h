/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_PAIR_H
#define TESTS_FUZZ_BOARD_PAIR_H

/*
 * PURPOSE: what a script can do to a board, judged at once. After pair_save()
 * a second board that was given the state of the first one does all that the
 * first one does, and answers alike. A defect aborts.
 */
#include "monitor/base.h"

void pair_start(void);
void pair_stop(void); /* compares the boards' state as well */

void pair_out(uint16_t port, unsigned size, uint32_t value);
uint32_t pair_in(uint16_t port, unsigned size);
void pair_mmio_write(uint64_t gpa, unsigned size, uint64_t value);
void pair_mmio_read(uint64_t gpa, unsigned size);

void pair_wait(uint64_t ns);     /* time passes, the clock is not run */
void pair_set_look(uint64_t ns); /* at each look at the clock from now on */
void pair_run(void);
void pair_step(unsigned count); /* to one deadline after the other */

void pair_ack(void); /* whether there is an interrupt or not */
/* Inputs that no device of the board drives; n counts them. */
void pair_drive(unsigned n, bool level);
void pair_check_a20(bool open);
void pair_check_answer(bool mouse, uint8_t value); /* of the 8042 */
void pair_receive(unsigned port, const uint8_t *data, size_t len);
void pair_ferr(bool level);
void pair_reset(void);
void pair_save(void);
void pair_check_date(void);

#endif /* TESTS_FUZZ_BOARD_PAIR_H */
