/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_LOCKSTEP_PRIV_H
#define MONITOR_LOCKSTEP_PRIV_H

/*
 * PURPOSE: what the parts of lockstep share: lockstep.c runs both machines,
 * lockstep_compare.c finds differences, lockstep_report.c prints them.
 */
#include "monitor/bt.h"
#include "monitor/lockstep.h"
#include "monitor/vm_state.h"

/* Bytes that went out of one serial port of one machine. */
struct lockstep_stream {
    uint64_t count;
    uint64_t hash;
    struct char_backend to; /* the user's, for the translator's machine */
};

#define LOCKSTEP_STREAMS (SERIAL_COUNT + 1) /* and the debug console */
#define LOCKSTEP_HISTORY 16u                /* power of 2 */

struct lockstep_side {
    struct vm *vm;
    struct lockstep_stream stream[LOCKSTEP_STREAMS];
};

/* A step of the translator, for the report. */
struct lockstep_step {
    gip_t gip;
    uint64_t entered; /* host address; 0: the interpreter ran */
    uint64_t retired; /* before it */
    uint64_t exceptions;
};

struct lockstep {
    struct lockstep_side bt;
    struct lockstep_side ref;
    enum lockstep_mode mode;
    struct lockstep_counts counts;
    struct kick_timer timer;
    uint64_t random;
    lockstep_hook_fn *hook;
    void *hook_opaque;

    /* Frames the reference stored to since the last comparison. */
    gfn_t *stored;
    uint32_t stored_count;
    uint8_t *touched;      /* by frame: stored to since all RAM was compared */
    bool kicked;           /* the translator was, since then */
    const char *objection; /* what is wrong with a page that differs */
    /* Roots of page tables since then; beyond their number the oldest go. */
    uint32_t roots[64];
    uint32_t root_count;
    uint64_t next_full; /* retired count of the next comparison of all RAM */

    struct lockstep_step history[LOCKSTEP_HISTORY];
    uint64_t steps;
    uint64_t matched; /* retired count of the last comparison that held */
    const char *why;  /* what diverged, if not state */
};

/* True when the machines are equal. The list of stored frames is used up only
 * then. */
bool lockstep_compare(struct lockstep *ls);
bool lockstep_compare_ram(struct lockstep *ls);

/* Announce the reference's next store to every frame. */
int lockstep_track_stores(struct lockstep *ls);
void lockstep_stored(struct lockstep *ls, gpa_t gpa, unsigned len);

/* The reference loaded CR3. */
void lockstep_root(struct lockstep *ls);

/* Print how the machines differ and how they came there. */
void lockstep_report(struct lockstep *ls);

#endif /* MONITOR_LOCKSTEP_PRIV_H */
