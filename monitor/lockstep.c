/* SPDX-License-Identifier: MIT */
#include "monitor/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/interp.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/segment.h"
#include "monitor/crash.h"
#include "monitor/host_time.h"
#include "monitor/lockstep_priv.h"
#include "monitor/sandbox.h"

/*
 * A round:
 *
 *   1. the translator runs a TU, or until it is kicked;
 *   2. the interpreter runs to the same retired count, then on until it has
 *      delivered as many exceptions: a fault retires nothing, so that the count
 *      alone does not say on which side of it a machine is;
 *   3. the machines are compared;
 *   4. timers fire, interrupts are delivered, and HLT skips to the next
 *      deadline, in both.
 *
 * A kick may find the translator in the middle of a REP string instruction,
 * where its count is that of a machine that has not begun it; or in front of an
 * instruction whose hidden fault was just resolved, so that the page it is about
 * to access has its A and D bits already (SDM 3A 4.8 "Accessed and Dirty Flags"
 * allows A to be set ahead). Then both finish the instruction by single steps
 * and are compared again.
 */
#define KICK_MIN_NS  2000u
#define KICK_SPAN_NS 60000u
#define KICK_TU_NS   2000000u /* a TU may be an endless loop */
#define FULL_EVERY   50000000u

/* ---- The two machines ---- */

static uint64_t exceptions(const struct vm *vm)
{
    return vm->stats.count[STAT_EXCEPTIONS];
}

static bool is_stopped(const struct vm *vm)
{
    return vm->stop.reason != STOP_NONE;
}

static void deliver(struct lockstep *ls, struct vm *vm)
{
    const struct exc exc = vm->vcpu.exc;

    if (vm == ls->ref.vm)
        ls->counts.exceptions[exc.vector]++;
    exc_deliver(vm->interp, &exc);
}

/* Act on an exit of either machine's engine. */
static void handle(struct lockstep *ls, struct vm *vm, enum vcpu_exit exit)
{
    if (exit == VCPU_EXIT_EXC)
        deliver(ls, vm);
    else if (exit == VCPU_EXIT_HLT)
        vm->halted = true;
}

static uint64_t random_below(struct lockstep *ls, uint64_t limit)
{
    ls->random ^= ls->random << 13;
    ls->random ^= ls->random >> 7;
    ls->random ^= ls->random << 17;
    return ls->random % limit;
}

static void arm(struct lockstep *ls)
{
    uint64_t delay = KICK_TU_NS;

    if (ls->mode == LOCKSTEP_CHAIN)
        delay = KICK_MIN_NS + random_below(ls, KICK_SPAN_NS);
    kick_timer_arm(&ls->timer, host_now() + delay);
}

static void lead(struct lockstep *ls)
{
    struct vm *vm = ls->bt.vm;
    struct bt_vcpu *bt = vm->engine_state;
    struct lockstep_step *step = &ls->history[ls->steps++ % LOCKSTEP_HISTORY];

    *step = (struct lockstep_step){.gip = bt_gip(&vm->vcpu),
                                   .retired = vm->vcpu.retired,
                                   .exceptions = exceptions(vm)};
    bt->entered = 0;
    vm->vcpu.kick = 0;
    arm(ls);
    handle(ls, vm, ls->mode == LOCKSTEP_TU ? bt_run_tu(bt) : bt_run(bt));
    step->entered = bt->entered;
}

/* False when the reference cannot get to where the translator is. */
static bool follow(struct lockstep *ls)
{
    const struct vm *to = ls->bt.vm;
    struct vm *vm = ls->ref.vm;
    struct vcpu *vcpu = &vm->vcpu;

    while (vcpu->retired < to->vcpu.retired ||
           exceptions(vm) < exceptions(to)) {
        uint64_t left = to->vcpu.retired - vcpu->retired;

        if (vm->halted || is_stopped(vm) || vcpu->retired > to->vcpu.retired ||
            exceptions(vm) > exceptions(to))
            return false;
        vcpu->kick = 0;
        handle(ls, vm,
               left ? interp_run(vm->interp, left) : interp_step(vm->interp));
    }
    /* What is not modelled stops a machine without retiring; so does an x87
     * instruction that waits for the error interrupt. */
    if ((is_stopped(to) && !is_stopped(vm)) || (to->halted && !vm->halted))
        handle(ls, vm, interp_step(vm->interp));
    return exceptions(vm) == exceptions(to);
}

/* ---- In the middle of a string instruction ---- */

static bool is_at_string(struct vm *vm)
{
    struct insn_mode mode = {.features = vm->config.features,
                             .code32 = vm->vcpu.seg[SEG_CS].attr & SEG_DB};
    gip_t gip = vm->vcpu.seg[SEG_CS].base + vm->vcpu.eip;
    uint8_t bytes[INSN_MAX_LEN] = {0};
    struct insn in;

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        gpa_t gpa;

        if (!mem_debug_translate(vm->interp, gip + i, &gpa) ||
            gmem_read(vm->gmem, gpa, &bytes[i], 1) != 0)
            break;
    }
    return insn_decode(&in, mode, bytes, sizeof(bytes)) == INSN_OK && in.rep;
}

static void finish_instruction(struct lockstep *ls, struct vm *vm)
{
    uint64_t retired = vm->vcpu.retired;
    uint64_t faults = exceptions(vm);

    while (vm->vcpu.retired == retired && exceptions(vm) == faults &&
           !is_stopped(vm) && !vm->halted) {
        vm->vcpu.kick = 0;
        handle(ls, vm, interp_step(vm->interp));
    }
}

/* kicked: the translator's last run was cut short. */
static bool is_equal_after_instruction(struct lockstep *ls, bool kicked)
{
    struct vm *bt = ls->bt.vm;
    struct vm *ref = ls->ref.vm;

    if (bt->vcpu.eip != ref->vcpu.eip ||
        bt->vcpu.retired != ref->vcpu.retired || !(kicked || is_at_string(ref)))
        return false;
    finish_instruction(ls, bt);
    finish_instruction(ls, ref);
    return lockstep_compare(ls);
}

/* ---- Time ---- */

static bool can_interrupt(const struct vcpu *vcpu)
{
    return vcpu->irq_line && vcpu->if_flag && vcpu->inhibit == INHIBIT_NONE;
}

static uint8_t interrupt(struct vm *vm)
{
    struct exc exc = {.kind = EXC_KIND_INTR,
                      .vector = machine_pc_ack(vm->board),
                      .return_eip = vm->vcpu.eip};

    vm->halted = false;
    exc_deliver(vm->interp, &exc);
    return exc.vector;
}

static void run_clock(struct vm *vm)
{
    if (clock_next(vm->clock) <= clock_now(vm->clock))
        clock_run(vm->clock);
}

/* Let guest time pass to the next deadline. False: there is none. */
static bool sleep_until_deadline(struct vm *vm)
{
    uint64_t next = clock_next(vm->clock);
    uint64_t now = clock_now(vm->clock);

    if (next == UINT64_MAX)
        return false;
    if (next > now)
        vm->idle_ns += next - now;
    return true;
}

/* Everything that happens between instructions. False: they differ. */
static bool service(struct lockstep *ls)
{
    struct vm *bt = ls->bt.vm;
    struct vm *ref = ls->ref.vm;

    run_clock(bt);
    run_clock(ref);
    if (can_interrupt(&bt->vcpu) != can_interrupt(&ref->vcpu)) {
        ls->why = "only one machine takes an interrupt";
        return false;
    }
    if (can_interrupt(&bt->vcpu)) {
        uint8_t vector = interrupt(ref);

        ls->counts.interrupts[vector]++;
        if (interrupt(bt) == vector)
            return true;
        ls->why = "the interrupt vectors differ";
        return false;
    }
    if (!bt->halted)
        return true;
    ls->counts.halts++;
    if (!sleep_until_deadline(bt) || !sleep_until_deadline(ref)) {
        vcpu_stop(&bt->vcpu, STOP_QUIT, "halted for ever");
        vcpu_stop(&ref->vcpu, STOP_QUIT, "halted for ever");
    }
    return true;
}

/* ---- Rounds ---- */

/* Run both on; false when they differ. */
static bool advance(struct lockstep *ls)
{
    enum lockstep_mode mode = ls->mode;
    uint64_t before = ls->bt.vm->vcpu.retired;
    bool kicked;

    lead(ls);
    kicked = ls->bt.vm->vcpu.kick;
    ls->kicked |= kicked && mode == LOCKSTEP_CHAIN;
    if (ls->hook != NULL)
        ls->hook(ls->hook_opaque, ls->bt.vm);
    ls->objection = NULL;
    if (!follow(ls)) {
        ls->why = "the interpreter does not get there";
        return false;
    }
    if (!lockstep_compare(ls) && !is_equal_after_instruction(ls, kicked)) {
        ls->why = ls->objection ? ls->objection : "the states differ";
        return false;
    }
    ls->counts.insns[mode] += ls->bt.vm->vcpu.retired - before;
    ls->matched = ls->bt.vm->vcpu.retired;
    return true;
}

static bool check_ram(struct lockstep *ls, bool now)
{
    uint64_t retired = ls->bt.vm->vcpu.retired;

    if (!now && retired < ls->next_full)
        return true;
    ls->next_full = retired + FULL_EVERY;
    if (lockstep_compare_ram(ls))
        return true;
    ls->why = !ls->objection || !strcmp(ls->objection, "RAM differs")
                  ? "RAM differs where the interpreter did not store"
                  : ls->objection;
    return false;
}

enum lockstep_result lockstep_run(struct lockstep *ls, uint64_t retired)
{
    const struct vm *vm = ls->bt.vm;
    bool same = true;

    while (same && !is_stopped(vm) && vm->vcpu.retired < retired) {
        same = (vm->halted || advance(ls)) && check_ram(ls, false);
        if (same && !is_stopped(vm))
            same = service(ls);
    }
    if (!same || !check_ram(ls, true)) {
        lockstep_report(ls);
        return LOCKSTEP_DIVERGED;
    }
    return is_stopped(vm) ? LOCKSTEP_STOPPED : LOCKSTEP_RUNNING;
}

/* ---- Wiring ---- */

static void on_kick(void *opaque, void *ucontext)
{
    struct lockstep *ls = opaque;

    ls->bt.vm->vcpu.kick = 1;
    bt_kicked(ls->bt.vm->engine_state, ucontext);
}

static void reference_stored(void *engine, gpa_t gpa, unsigned len)
{
    lockstep_stored(engine, gpa, len);
}

static void reference_flushed(void *engine, bool globals_too)
{
    (void)globals_too;
    lockstep_root(engine);
}

static void nothing_to_destroy(void *engine)
{
    (void)engine;
}

/* Stands in for the interpreter's engine: lockstep runs vm->interp itself, and
 * wants to hear of stores. */
static const struct engine_ops reference_engine = {
    .name = "lockstep reference",
    .destroy = nothing_to_destroy,
    .ram_stored = reference_stored,
    .tlb_flushed = reference_flushed,
};

static void stream_write(void *opaque, const uint8_t *data, size_t len)
{
    struct lockstep_stream *stream = opaque;

    stream->count += len;
    for (size_t i = 0; i < len; i++) /* FNV-1a */
        stream->hash = (stream->hash ^ data[i]) * 0x100000001b3ull;
    if (stream->to.write != NULL)
        stream->to.write(stream->to.opaque, data, len);
}

static void terminal_write(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    fwrite(data, 1, len, stdout);
    fflush(stdout);
}

/* Put the stream in front of a character device. */
static void tap(struct lockstep_stream *stream, struct char_config *device,
                bool quiet)
{
    if (device->kind == CHAR_NONE)
        return;
    if (!quiet && device->kind == CHAR_BACKEND)
        stream->to = device->backend;
    if (!quiet && (device->kind == CHAR_STDIO || device->kind == CHAR_MUX))
        stream->to.write = terminal_write;
    *device = (struct char_config){
        .kind = CHAR_BACKEND,
        .backend = {.write = stream_write, .opaque = stream}
    };
}

static bool create_side(struct lockstep_side *side, const struct config *common,
                        const char *engine, struct load_error *error)
{
    bool quiet = !strcmp(engine, "interp");
    struct config config = *common;

    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        tap(&side->stream[i], &config.serial[i], quiet);
    tap(&side->stream[SERIAL_COUNT], &config.debugcon, quiet);
    config.monitor.kind = CHAR_NONE;
    config.engine = engine_find(engine);
    config.paused = false;
    if (config.insn_ns == 0)
        config.insn_ns = LOCKSTEP_INSN_NS;
    side->vm = vm_create(&config, error);
    return side->vm != NULL;
}

static int start(struct lockstep *ls)
{
    int err = lockstep_track_stores(ls);

    ls->ref.vm->engine = &reference_engine;
    ls->ref.vm->engine_state = ls;
    return err ? err : kick_timer_init(&ls->timer, on_kick, ls);
}

struct lockstep *lockstep_create(const struct config *config,
                                 struct load_error *error)
{
    struct lockstep *ls = calloc(1, sizeof(*ls));
    int err;

    if (ls == NULL) {
        load_fail(error, "out of memory");
        return NULL;
    }
    ls->random = 0x9e3779b97f4a7c15ull;
    if (!create_side(&ls->ref, config, "interp", error) ||
        !create_side(&ls->bt, config, "bt", error)) {
        lockstep_destroy(ls);
        return NULL;
    }
    err = start(ls);
    if (err) {
        load_fail(error, "could not set lockstep up: %s", strerror(-err));
        lockstep_destroy(ls);
        return NULL;
    }
    return ls;
}

void lockstep_destroy(struct lockstep *ls)
{
    if (ls == NULL)
        return;
    kick_timer_fini(&ls->timer);
    vm_destroy(ls->bt.vm);
    vm_destroy(ls->ref.vm);
    free(ls->stored);
    free(ls->touched);
    free(ls);
}

int lockstep_load(struct lockstep *ls, struct vm_state *state)
{
    int err = vm_load(ls->bt.vm, state);

    if (!err)
        err = vm_load(ls->ref.vm, state);
    ls->matched = ls->bt.vm->vcpu.retired;
    ls->next_full = ls->matched + FULL_EVERY;
    /* An interrupt that is due comes before the next instruction. */
    if (!err && !service(ls))
        err = -EINVAL;
    return err;
}

void lockstep_set_mode(struct lockstep *ls, enum lockstep_mode mode)
{
    ls->mode = mode;
}

void lockstep_set_hook(struct lockstep *ls, lockstep_hook_fn *hook,
                       void *opaque)
{
    ls->hook = hook;
    ls->hook_opaque = opaque;
}

const struct lockstep_counts *lockstep_counts(const struct lockstep *ls)
{
    return &ls->counts;
}

const struct vm *lockstep_vm(const struct lockstep *ls)
{
    return ls->bt.vm;
}

const struct vm *lockstep_reference(const struct lockstep *ls)
{
    return ls->ref.vm;
}

struct mnemonic {
    const char *name;
    uint64_t count;
};

static void add_mnemonic(void *opaque, const char *name, uint64_t count)
{
    struct mnemonic *wanted = opaque;

    if (!strcmp(name, wanted->name))
        wanted->count += count;
}

uint64_t lockstep_mnemonic(const struct lockstep *ls, const char *name)
{
    struct mnemonic wanted = {.name = name};

    interp_for_each_count(ls->ref.vm->interp, add_mnemonic, &wanted);
    return wanted.count;
}

static uint64_t sum(const uint64_t counts[256])
{
    uint64_t all = 0;

    for (unsigned i = 0; i < 256; i++)
        all += counts[i];
    return all;
}

static void summarize(const struct lockstep_counts *c)
{
    fprintf(stderr,
            "lockstep: the engines agree: %llu instructions in %llu TUs, "
            "%llu in %llu chained runs;\n"
            "lockstep: %llu exceptions, %llu interrupts, %llu halts, "
            "%llu stored pages and %llu times all of RAM compared;\n"
            "lockstep: A set by one only %llu + %llu times, D %llu times\n",
            (unsigned long long)c->insns[LOCKSTEP_TU],
            (unsigned long long)c->compares[LOCKSTEP_TU],
            (unsigned long long)c->insns[LOCKSTEP_CHAIN],
            (unsigned long long)c->compares[LOCKSTEP_CHAIN],
            (unsigned long long)sum(c->exceptions),
            (unsigned long long)sum(c->interrupts),
            (unsigned long long)c->halts, (unsigned long long)c->pages,
            (unsigned long long)c->full,
            (unsigned long long)c->marks[LOCKSTEP_A_FORGOTTEN],
            (unsigned long long)c->marks[LOCKSTEP_A_REMEMBERED],
            (unsigned long long)c->marks[LOCKSTEP_D_WRITTEN]);
}

#define EXIT_DIVERGED 3

int lockstep_main(const struct config *config)
{
    struct load_error error;
    struct lockstep *ls = lockstep_create(config, &error);
    enum lockstep_result result = LOCKSTEP_RUNNING;
    int status = EXIT_DIVERGED;

    if (ls == NULL) {
        fprintf(stderr, "popf: %s\n", error.text);
        return 1;
    }
    crash_watch(&ls->bt.vm->vcpu);
    if (!sandbox_start(config)) {
        lockstep_destroy(ls);
        return 1;
    }
    if (config->lockstep.chain_until > 0) {
        lockstep_set_mode(ls, LOCKSTEP_CHAIN);
        result = lockstep_run(ls, config->lockstep.chain_until);
        lockstep_set_mode(ls, LOCKSTEP_TU);
    }
    if (result == LOCKSTEP_RUNNING)
        result = lockstep_run(ls, UINT64_MAX);
    if (result == LOCKSTEP_STOPPED) {
        summarize(&ls->counts);
        status = vm_exit_status(ls->bt.vm);
    }
    crash_watch(NULL);
    lockstep_destroy(ls);
    return status;
}
