/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/cpu/interp.h"
#include "emu/cpu/segment.h"
#include "monitor/engine.h"
#include "monitor/lockstep.h"
#include "monitor/vm_state.h"
#include "shadow_mmu/gmem.h"

/*
 * state_guest KERNEL INITRD
 *
 * Debian's kernel boots under the interpreter, with guest time made of retired
 * instructions, so that two runs are the same. Every now and then the state is
 * saved and given to a fresh VM; both go on alone, and their states have to be
 * equal then, memory included. Last, both engines go on from a saved state in
 * lockstep, and lockstep finds a bit that was changed.
 */
#define NOBODY   65534
#define INSN_NS  100u
#define POINTS   6u
#define APART    23456789u /* instructions between two points */
#define ALONE    9876543u  /* that the fresh VM runs */
#define LOCKSTEP 4000000u

static struct vm *create(const struct config *config)
{
    struct load_error error;
    struct vm *vm = vm_create(config, &error);

    if (vm != NULL)
        return vm;
    fprintf(stderr, "%s\n", error.text);
    exit(EXIT_FAILURE);
}

static void handle(struct vm *vm, enum vcpu_exit exit)
{
    const struct exc exc = vm->vcpu.exc;

    if (exit == VCPU_EXIT_EXC)
        exc_deliver(vm->interp, &exc);
    else if (exit == VCPU_EXIT_HLT)
        vm->halted = true;
}

static void interrupt(struct vm *vm)
{
    struct exc exc = {.kind = EXC_KIND_INTR,
                      .vector = machine_pc_ack(vm->board),
                      .return_eip = vm->vcpu.eip};

    vm->halted = false;
    exc_deliver(vm->interp, &exc);
}

static uint64_t until_deadline(const struct vm *vm)
{
    uint64_t next = clock_next(vm->clock), now = clock_now(vm->clock);

    return next > now ? next - now : 0;
}

/* Run to the retired count exactly, the same way in every run. */
static void run_to(struct vm *vm, uint64_t retired)
{
    struct vcpu *vcpu = &vm->vcpu;

    while (vcpu->retired < retired && vm->stop.reason == STOP_NONE) {
        uint64_t wait = until_deadline(vm);
        uint64_t left = retired - vcpu->retired;

        if (wait == 0) {
            clock_run(vm->clock);
        } else if (vcpu->irq_line && vcpu->if_flag && !vcpu->inhibit) {
            interrupt(vm);
        } else if (vm->halted) {
            vm->idle_ns += wait;
        } else {
            vcpu->kick = 0;
            if (wait / INSN_NS + 1 < left)
                left = wait / INSN_NS + 1;
            handle(vm, interp_run(vm->interp, left));
        }
    }
}

static struct vm_state *save(const struct vm *vm)
{
    struct vm_state *state;

    if (vm_save(vm, &state) == 0)
        return state;
    fprintf(stderr, "state: cannot save\n");
    exit(EXIT_FAILURE);
}

static bool is_equal(const struct vm *a, const struct vm *b, const char *when)
{
    struct vm_state *x = save(a), *y = save(b);
    char text[80];
    const char *field = state_difference(vm_state_image(x), vm_state_image(y),
                                         text, sizeof(text));
    bool ram = memcmp(gmem_base(a->gmem), gmem_base(b->gmem),
                      gmem_ram_len(a->gmem)) == 0;

    if (field != NULL || !ram)
        fprintf(stderr, "state: %s at %llu: %s differs\n", when,
                (unsigned long long)a->vcpu.retired,
                field != NULL ? field : "RAM");
    vm_state_destroy(x);
    vm_state_destroy(y);
    return field == NULL && ram;
}

/* Both go on from here. */
static bool check_point(struct vm *vm, const struct config *bare)
{
    struct vm_state *state = save(vm);
    struct vm *fresh = create(bare);
    bool ok = vm_load(fresh, state) == 0 && is_equal(vm, fresh, "loaded");

    vm_state_destroy(state);
    run_to(fresh, fresh->vcpu.retired + ALONE);
    run_to(vm, vm->vcpu.retired + ALONE);
    ok = ok && is_equal(vm, fresh, "gone on");
    fprintf(stderr, "state: %s at %llu, guest time %llu ms%s\n",
            ok ? "equal" : "NOT equal", (unsigned long long)vm->vcpu.retired,
            (unsigned long long)clock_now(vm->clock) / 1000000,
            vm->halted ? ", halted" : "");
    vm_destroy(fresh);
    return ok && vm->stop.reason == STOP_NONE;
}

static bool check_lockstep(const struct vm *vm, const struct config *bare)
{
    struct load_error error;
    struct vm_state *state = save(vm);
    struct lockstep *ls = lockstep_create(bare, &error);
    uint64_t from = vm->vcpu.retired;
    bool ok = ls != NULL && lockstep_load(ls, state) == 0 &&
              lockstep_run(ls, from + LOCKSTEP) == LOCKSTEP_RUNNING;

    if (ok) {
        lockstep_set_mode(ls, LOCKSTEP_CHAIN);
        ok = lockstep_run(ls, from + 4 * LOCKSTEP) == LOCKSTEP_RUNNING;
    }
    fprintf(stderr, "state: lockstep from %llu: %s\n", (unsigned long long)from,
            ok ? "equal" : "NOT equal");
    vm_state_destroy(state);
    lockstep_destroy(ls);
    return ok;
}

/* One bit that differs is found at once; the report on stderr is meant. */
static bool check_difference(const struct vm *vm, const struct config *bare)
{
    struct load_error error;
    struct vm_state *state = save(vm);
    struct lockstep *ls = lockstep_create(bare, &error);
    bool ok = ls != NULL && lockstep_load(ls, state) == 0;

    if (ok) {
        struct vm *changed = (struct vm *)lockstep_reference(ls);

        changed->vcpu.mtrr_base[7] ^= BIT(12);
        ok = lockstep_run(ls, UINT64_MAX) == LOCKSTEP_DIVERGED;
    }
    fprintf(stderr, "state: the difference was%s found\n", ok ? "" : " NOT");
    vm_state_destroy(state);
    lockstep_destroy(ls);
    return ok;
}

static bool drop_root(void)
{
    return geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

int main(int argc, char **argv)
{
    struct config config;
    bool ok;

    if (argc != 3)
        return EXIT_FAILURE;
    config_init(&config);
    config.ram_len = 128 * MIB;
    config.engine = engine_find("interp");
    config.insn_ns = INSN_NS;
    config.serial[0].kind = CHAR_NULL;
    config.monitor.kind = CHAR_NONE;
    config.append = "console=ttyS0 popf.run=\"while true; do ls /; done\"";
    struct config bare = config;

    config.kernel = argv[1];
    config.initrd = argv[2];
    struct vm *vm = create(&config);

    ok = drop_root();
    for (unsigned i = 0; i < POINTS && ok; i++) {
        run_to(vm, vm->vcpu.retired + APART);
        ok = check_point(vm, &bare);
    }
    ok = ok && check_lockstep(vm, &bare) && check_difference(vm, &bare);
    vm_destroy(vm);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
