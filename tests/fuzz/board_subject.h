/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOARD_SUBJECT_H
#define TESTS_FUZZ_BOARD_SUBJECT_H

/*
 * PURPOSE: a board with a clock that the script moves, and a host that notes
 * all that comes out of the board.
 */
#include "emu/dev/machine_pc.h"
#include "emu/dev/state.h"

#define SUBJECT_RAM       (64 * (uint64_t)MIB)
#define SUBJECT_EXIT_PORT 0xf4
#define SUBJECT_EPOCH     1700000000
#define SUBJECT_MMIO      0xfed00000u /* where there are a few bytes */
#define SUBJECT_MMIO_LEN  7u

struct subject {
    struct stats stats;
    struct clock *clock;
    struct bus *bus;
    struct machine_pc *pc;       /* NULL: no board now */
    struct state_image power_up; /* of the clock */
    uint64_t now;
    uint64_t look; /* ns that pass at each look at the clock */
    bool intr, a20, ignne;
    bool wants_reset;
    uint64_t seen;      /* all that came out, hashed */
    unsigned rises[16]; /* of the interrupt wires, since somebody looked */
    bool level[16];
    void *pic; /* at their end */
    uint8_t mmio[SUBJECT_MMIO_LEN];
    struct io_range range;
    /* Told of each change of an interrupt wire, and of RESET before it acts;
     * may be NULL. */
    void (*input)(unsigned pin, bool level);
    void (*reset)(void);
};

/* Once: what every board of it is connected to. */
void subject_init(struct subject *s);

/* A board after power-up, at time now, and RESET; and away with it. */
void subject_start(struct subject *s, uint64_t now);
void subject_stop(struct subject *s);

/* RESET, at one moment. */
void subject_reset(struct subject *s);

/* An input of the interrupt controllers that no device of the board drives. */
void subject_drive(struct subject *s, unsigned pin, bool level);

/* All other calls of the board are between the two. */
void subject_enter(struct subject *s);
void subject_leave(struct subject *s);

void subject_note(struct subject *s, uint64_t value);

#endif /* TESTS_FUZZ_BOARD_SUBJECT_H */
