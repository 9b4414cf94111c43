/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_LOCKSTEP_H
#define MONITOR_LOCKSTEP_H

/*
 * PURPOSE: run one guest under the binary translator and under the interpreter
 * at the same time, each with RAM and devices of its own, and compare them.
 *
 * Guest time is the retired instruction count, so that both guests live the
 * same life: the translator leads, the interpreter runs to the same count and
 * the same number of exceptions, the two are compared, and timers and
 * interrupts happen in both at that point. Compared are all registers, flags,
 * segments with their hidden parts, control and debug registers, MSRs, the FPU
 * image, the bytes that went out through serial ports, and every page that the
 * interpreter stored to since; now and then, and at the end, all of RAM.
 *
 * In LOCKSTEP_TU that is done after every TU; nothing is chained and no table
 * is used. In LOCKSTEP_CHAIN the translator runs as it always does and is
 * interrupted by a host timer at random moments, wherever it is; the count at
 * which that happened is where the interpreter goes.
 */
#include "monitor/load.h"
#include "monitor/vm.h"

enum lockstep_mode { LOCKSTEP_TU, LOCKSTEP_CHAIN, LOCKSTEP_MODE_COUNT };

enum lockstep_result {
    LOCKSTEP_RUNNING, /* the limit was reached */
    LOCKSTEP_STOPPED, /* both machines stopped, for the same reason */
    LOCKSTEP_DIVERGED /* reported on stderr */
};

/* Differences of page tables that are none (lockstep_compare.c says why). */
enum lockstep_mark {
    LOCKSTEP_A_FORGOTTEN,  /* A, set by the translator only */
    LOCKSTEP_A_REMEMBERED, /* A, set by the reference only */
    LOCKSTEP_D_WRITTEN,    /* D, set by one, of a page that is written */
    LOCKSTEP_MARK_COUNT
};

struct lockstep_counts {
    uint64_t insns[LOCKSTEP_MODE_COUNT]; /* retired and compared */
    uint64_t compares[LOCKSTEP_MODE_COUNT];
    uint64_t pages; /* compared because they were stored to */
    uint64_t marks[LOCKSTEP_MARK_COUNT]; /* A and D bits that only one had */
    uint64_t full;                       /* comparisons of all of RAM */
    uint64_t exceptions[256];            /* delivered, by vector */
    uint64_t interrupts[256];            /* external ones, by vector */
    uint64_t halts;                      /* HLT that slept */
};

struct lockstep;
struct vm_state; /* vm_state.h */

/* Create both machines. config is copied; its engine is ignored, its insn_ns of
 * 0 becomes LOCKSTEP_INSN_NS. Serial output goes to where config says if that
 * is a function or the terminal, else nowhere; there is no input. NULL with
 * *error filled. */
struct lockstep *lockstep_create(const struct config *config,
                                 struct load_error *error);
void lockstep_destroy(struct lockstep *lockstep);

#define LOCKSTEP_INSN_NS 20

/* Have both go on from a saved state. 0 or vm_load()'s error. */
MUST_CHECK int lockstep_load(struct lockstep *lockstep, struct vm_state *state);

/* LOCKSTEP_TU at first. May be called from a function that serial output goes
 * to: it takes effect after the current TU. */
void lockstep_set_mode(struct lockstep *lockstep, enum lockstep_mode mode);

/* Called when the translator has run, before the machines are compared. For tests
 * that plant a difference in its machine. */
typedef void lockstep_hook_fn(void *opaque, struct vm *translator);
void lockstep_set_hook(struct lockstep *lockstep, lockstep_hook_fn *hook,
                       void *opaque);

/* Run until at least this many instructions were retired in all. */
MUST_CHECK enum lockstep_result lockstep_run(struct lockstep *lockstep,
                                             uint64_t retired);

const struct lockstep_counts *lockstep_counts(const struct lockstep *lockstep);

/* The machine of the translator, and that of the interpreter. */
const struct vm *lockstep_vm(const struct lockstep *lockstep);
const struct vm *lockstep_reference(const struct lockstep *lockstep);

/* How often the reference ran a mnemonic ("int"). */
uint64_t lockstep_mnemonic(const struct lockstep *lockstep, const char *name);

/* -accel lockstep: run config's guest until it stops; the exit status. */
int lockstep_main(const struct config *config);

#endif /* MONITOR_LOCKSTEP_H */
