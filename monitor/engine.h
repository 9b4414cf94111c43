/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_ENGINE_H
#define MONITOR_ENGINE_H

/*
 * PURPOSE: what executes guest instructions, behind one interface. Engines are
 * interchangeable at any instruction boundary: between two calls all guest
 * state is in the vcpu, in RAM and in the devices.
 *
 * Every VM has an interpreter (vm->interp), whatever its engine: exceptions are
 * delivered through it, and an engine may step it.
 */
#include "monitor/vcpu.h"

struct engine_ops {
    const char *name; /* of -accel */
    const char *help;

    /* vm is complete but for its engine. 0, or -errno with *out untouched. */
    int (*create)(struct vm *vm, void **out);
    void (*destroy)(void *engine);

    /* Run until an exit or until budget instructions were retired. Leaves with
     * VCPU_EXIT_INTR soon after vcpu->kick was set, from a signal handler
     * too. */
    enum vcpu_exit (*run)(void *engine, uint64_t budget);

    /* Forget everything derived from guest state: the vcpu was reset, or the
     * physical map changed. May be NULL, as may all below. */
    void (*flush)(void *engine);

    /* The interpreter or a device stored to frames with FRAME_* flags. */
    void (*ram_stored)(void *engine, gpa_t gpa, unsigned len);

    /* The interpreter executed what invalidates translations. */
    void (*tlb_flushed_page)(void *engine, gva_t gva);
    void (*tlb_flushed)(void *engine, bool globals_too);

    /* NULL when the engine's invariants hold, else a static string that names
     * the broken one. Slow. */
    const char *(*verify)(void *engine);

    /* The kick signal arrived; vcpu->kick is set already. Runs in the signal
     * handler; ucontext is the interrupted context. */
    void (*kicked)(void *engine, void *ucontext);
};

/* The interpreter alone; binary translation. */
extern const struct engine_ops engine_interp;
extern const struct engine_ops engine_bt;

/* NULL when no engine has that name. */
const struct engine_ops *engine_find(const char *name);

/* Print names and meanings, for -accel help. */
void engine_list(void);

#endif /* MONITOR_ENGINE_H */
