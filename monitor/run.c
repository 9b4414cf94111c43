/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* ppoll */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "emu/cpu/interp.h"
#include "emu/cpu/segment.h"
#include "monitor/console.h"
#include "monitor/log.h"
#include "monitor/sample.h"
#include "monitor/vm.h"

/*
 * The run loop, shaped like KVM's: run the engine until it exits, handle the
 * exit, deliver what is pending, run again.
 *
 * vcpu->kick is the one reason to leave an engine: the board's INTR rose, a
 * device stopped the machine, or the kick timer's signal arrived. The timer is
 * armed for the first deadline of the guest's clock, and for a coarse tick that
 * looks at the terminal while the guest computes.
 *
 * No kick is lost:
 *
 *   - The kick is cleared first, then everything is looked at, and the timer is
 *     armed last: a kick that comes meanwhile is there at the end. So whenever
 *     the engine is entered and there is no kick, the timer is armed for the
 *     next deadline and the tick, or earlier; and what makes a deadline earlier
 *     arms it again (deadline_earlier()) or sets the kick.
 *   - An engine that is told by the flag looks at it before each entry of guest
 *     code and, where it interprets, behind each instruction. From where
 *     world_enter() has looked up to the end of guest code the signal's handler
 *     makes bt leave (bt_signal.c): at once, or by single steps, during which
 *     faults and more kicks may come. The handlers of faults and steps hold the
 *     signal back; it then interrupts what they return to, guest code or C.
 *     terminal.c's do, too.
 *   - Before it sleeps the loop blocks the signal. One that came just before may
 *     have been for the clock, whose next deadline is read now and is ppoll()'s
 *     timeout; for the terminal, which ppoll() looks at; or to quit, which is
 *     looked at again. Waking is a kick.
 *   - A sample ends the timer: it goes off no more, and what it is for is armed
 *     again behind the sample, with a new one.
 *
 * tests/unit/monitor/test_run.c lets the timer go off at every instruction.
 *
 * No other thread runs; HLT and a paused machine sleep in ppoll().
 */

#define TICK_NS       10000000ull /* between two looks at the terminal */
#define TICK_INPUT_NS 1000000ull  /* while a device is slow to take input */
#define NS_PER_S      1000000000ull

static void on_kick(void *opaque, void *ucontext)
{
    struct vm *vm = opaque;

    vm->vcpu.kick = 1;
    if (vm->engine->kicked != NULL)
        vm->engine->kicked(vm->engine_state, ucontext);
}

static void check_quit_signal(struct vm *vm)
{
    if (vm->quit_signal != 0)
        vcpu_stop(&vm->vcpu, STOP_QUIT, "terminating on signal %d",
                  vm->quit_signal);
}

/* --verify: look at the engine's invariants as the guest runs, for at most a
 * tenth of the time. */
static void verify_engine(struct vm *vm, uint64_t now)
{
    const char *broken;
    uint64_t end;

    if (!vm->config.verify || vm->engine->verify == NULL ||
        now < vm->next_verify)
        return;
    broken = vm->engine->verify(vm->engine_state);
    if (broken != NULL)
        vcpu_stop(&vm->vcpu, STOP_HOST, "--verify: %s", broken);
    end = host_now();
    vm->next_verify = end + 9 * (end - now);
}

/* The machines of a sample have a kick timer of their own, and the signal of
 * this VM's would find them in the middle of theirs. */
static void take_sample(struct vm *vm, uint64_t now)
{
    const char *why;
    bool agree;
    int error;

    if (vm->sampler == NULL || vm->paused || !sampler_is_due(vm->sampler, now))
        return;
    kick_timer_fini(&vm->timer);
    vm_pause(vm);
    agree = sampler_take(vm->sampler, vm, &why);
    vm_continue(vm);
    if (!agree)
        vcpu_stop(&vm->vcpu, STOP_HOST, "%s", why);
    error = kick_timer_init(&vm->timer, on_kick, vm);
    if (error != 0)
        vcpu_stop(&vm->vcpu, STOP_HOST, "could not create a host timer: %s",
                  strerror(-error));
}

/* Everything that a kick may be about. */
static void service(struct vm *vm)
{
    uint64_t now = host_now();

    check_quit_signal(vm);
    if (!vm->paused) {
        if (vm_next_deadline(vm) <= now)
            vm->timed = now;
        clock_run(vm->clock);
    }
    if (now >= vm->tick || vm->input_left) {
        vm->input_left = console_pump(vm->console);
        verify_engine(vm, now);
        take_sample(vm, now);
        vm->tick = now + (vm->input_left ? TICK_INPUT_NS : TICK_NS);
    }
    if (vm->reset_wanted)
        vcpu_stop(&vm->vcpu, STOP_RESET, "reset by the user");
    kick_timer_arm(&vm->timer, vm->tick);
    kick_timer_arm(&vm->timer, vm_next_deadline(vm));
}

/* Signals that must not slip in between the last check and the sleep; sleep
 * gets the mask to sleep with, which holds back the timer: ppoll()'s own
 * timeout is all that is wanted then. */
static void block_signals(sigset_t *old, sigset_t *sleep)
{
    static const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KICK_SIGNAL);
    for (size_t i = 0; i < ARRAY_COUNT(blocked); i++)
        sigaddset(&set, blocked[i]);
    pthread_sigmask(SIG_BLOCK, &set, old);
    *sleep = *old;
    sigaddset(sleep, KICK_SIGNAL);
}

/* Sleep until the clock's next deadline, input, or a signal. */
static void sleep_until_event(struct vm *vm)
{
    struct pollfd input = {.fd = console_input_fd(vm->console),
                           .events = POLLIN};
    struct timespec timeout;
    sigset_t old, sleep;

    block_signals(&old, &sleep);
    uint64_t deadline = vm_next_deadline(vm);
    uint64_t now = host_now();
    uint64_t wait = deadline > now ? deadline - now : 0;

    timeout.tv_sec = (time_t)(wait / NS_PER_S);
    timeout.tv_nsec = (long)(wait % NS_PER_S);
    if (vm->quit_signal == 0)
        ppoll(&input, 1, deadline == UINT64_MAX ? NULL : &timeout, &sleep);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (input.revents != 0)
        vm->tick = 0;
    vm->vcpu.kick = 1;
}

static bool can_interrupt(const struct vcpu *vcpu)
{
    return vcpu->irq_line && vcpu->if_flag && vcpu->inhibit == INHIBIT_NONE;
}

static void deliver_interrupt(struct vm *vm)
{
    struct vcpu *vcpu = &vm->vcpu;
    struct exc exc = {
        .kind = EXC_KIND_INTR,
        .vector = machine_pc_ack(vm->board),
        .return_eip = vcpu->eip,
    };

    exc_deliver(vm->interp, &exc);
}

static void run_engine(struct vm *vm)
{
    struct exc exc;

    switch (vm->engine->run(vm->engine_state, UINT64_MAX)) {
    case VCPU_EXIT_EXC:
        exc = vm->vcpu.exc;
        exc_deliver(vm->interp, &exc);
        break;
    case VCPU_EXIT_HLT:
        stat_inc(&vm->stats, STAT_HALTS);
        vm->halted = true;
        vm->vcpu.kick = 1;
        break;
    case VCPU_EXIT_INTR:
    case VCPU_EXIT_STOP:
    case VCPU_EXIT_BUDGET: break;
    }
}

/* Run until something set vm->stop. */
static void run_until_stop(struct vm *vm)
{
    struct vcpu *vcpu = &vm->vcpu;

    while (vm->stop.reason == STOP_NONE) {
        if (vcpu->kick) {
            vcpu->kick = 0;
            service(vm);
            if (vm->stop.reason != STOP_NONE)
                break;
        }
        if (vm->paused) {
            sleep_until_event(vm);
            continue;
        }
        if (can_interrupt(vcpu)) {
            vm->halted = false;
            deliver_interrupt(vm);
        } else if (vm->halted) {
            sleep_until_event(vm);
            continue;
        }
        run_engine(vm);
    }
}

/* Whether the machine goes on after this stop. */
static bool survives_stop(struct vm *vm)
{
    struct load_error error;

    switch (vm->stop.reason) {
    case STOP_POWER_OFF:
        if (!vm->config.no_shutdown)
            return false;
        vm->stop = (struct stop){0};
        vm_pause(vm);
        return true;
    case STOP_RESET:
    case STOP_SHUTDOWN:
        if (vm->config.no_reboot)
            return false;
        log_line(LOG_VM, "%s", vm->stop.text);
        if (vm_reset(vm, &error))
            return true;
        vcpu_stop(&vm->vcpu, STOP_HOST, "%s", error.text);
        return false;
    case STOP_NONE:
    case STOP_EXIT_CODE:
    case STOP_UNIMPL:
    case STOP_HOST:
    case STOP_QUIT: return false;
    }
    UNREACHABLE();
}

int vm_start(struct vm *vm)
{
    if (vm->timer.created)
        return 0;
    return kick_timer_init(&vm->timer, on_kick, vm);
}

void vm_run(struct vm *vm)
{
    int error = vm_start(vm);

    if (error != 0) {
        vcpu_stop(&vm->vcpu, STOP_HOST, "could not create a host timer: %s",
                  strerror(-error));
        return;
    }
    vm->vcpu.kick = 1;
    do
        run_until_stop(vm);
    while (survives_stop(vm));
    kick_timer_fini(&vm->timer);
    log_line(LOG_VM, "stopped: %s", vm->stop.text);
}

/* QEMU's, but for the guest that shuts down by a triple fault under
 * -no-reboot: QEMU ends as if all were well, popf tells. */
int vm_exit_status(const struct vm *vm)
{
    switch (vm->stop.reason) {
    case STOP_NONE:
    case STOP_POWER_OFF:
    case STOP_RESET:
    case STOP_QUIT: return 0;
    case STOP_EXIT_CODE: return vm->stop.code;
    case STOP_SHUTDOWN:
    case STOP_UNIMPL:
    case STOP_HOST: return 1;
    }
    UNREACHABLE();
}
