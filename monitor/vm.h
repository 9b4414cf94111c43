/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_VM_H
#define MONITOR_VM_H

/*
 * PURPOSE: one virtual machine: owns its memory, bus, clock, board, vcpu,
 * engines and console, and runs them on the calling thread. A process may hold
 * any number; each runs on one thread at a time.
 */
#include "monitor/boot.h"
#include "monitor/config.h"
#include "monitor/engine.h"
#include "monitor/host_time.h"
#include "monitor/kick_timer.h"
#include "monitor/vcpu.h"

struct vm {
    struct vcpu vcpu;
    struct config config;
    struct gmem *gmem;
    struct bus *bus;
    struct clock *clock;
    struct machine_pc *board;
    struct interp *interp;
    const struct engine_ops *engine;
    void *engine_state; /* the engine's own */
    struct console *console;
    struct hmp *hmp;
    struct boot boot;
    struct stats stats;
    struct stop stop;
    struct sampler *sampler; /* config.sample; NULL: none */
    struct kick_timer timer; /* valid from vm_start() on, while vm_run() */

    uint64_t time_origin; /* host ns of guest time 0 */
    uint64_t idle_ns;     /* config.insn_ns: guest time that HLT slept */
    struct host_moment paused_at; /* valid while paused */
    uint64_t tick;                /* host ns of the next look at the input */
    uint64_t timed;               /* host ns at which timers last were due */
    uint64_t next_verify;         /* host ns of the next --verify */
    bool halted;                  /* HLT retired; an interrupt wakes it */
    bool paused;              /* -S, monitor stop: guest time stands still */
    bool input_left;          /* the console holds input that no device took */
    bool reset_wanted;        /* monitor system_reset */
    volatile int quit_signal; /* set by vm_quit_from_signal() */
};

/* Open files, allocate everything, load the kernel: ready to run. NULL with
 * *error filled. config is copied, its strings are borrowed. */
struct vm *vm_create(const struct config *config, struct load_error *error);
void vm_destroy(struct vm *vm);

/* Acquire the last host resources, so that vm_run() needs no new ones; on the
 * thread that will call it. vm_run() does so itself otherwise. 0 or -errno. */
MUST_CHECK int vm_start(struct vm *vm);

/* Run until the guest or the user ends it; vm->stop says how. */
void vm_run(struct vm *vm);

/* Exit status of a process whose VM stopped so, as QEMU's. */
int vm_exit_status(const struct vm *vm);

/* Stop and continue guest time and TSC. */
void vm_pause(struct vm *vm);
void vm_continue(struct vm *vm);

/* Host time at which to look at the clock next, UINT64_MAX for never: its first
 * deadline, or later if timers were due a moment ago. */
uint64_t vm_next_deadline(const struct vm *vm);

/* The machine's TSC; make it be that, and guest time now. */
uint64_t vm_tsc(const struct vm *vm);
void vm_set_time(struct vm *vm, uint64_t now, uint64_t tsc);

/* Have engines forget what they derived from guest state. */
void vm_flush(struct vm *vm);

/* RESET of board and vcpu, then the kernel from its files again. False with
 * *error filled. */
MUST_CHECK bool vm_reset(struct vm *vm, struct load_error *error);

/* A device's store to RAM; tells the engine. 0 or -EFAULT. */
MUST_CHECK int vm_dma_write(struct vm *vm, gpa_t gpa, const void *data,
                            size_t len);

/* End the run loop; async-signal-safe. */
void vm_quit_from_signal(struct vm *vm, int number);

#endif /* MONITOR_VM_H */
