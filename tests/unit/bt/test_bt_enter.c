/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "both.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "monitor/kick_timer.h"

/*
 * A kick at each host instruction of world_enter(). The handler sets vcpu->kick
 * and tells the engine where it arrived; the guest must not be entered, whether
 * the flag is seen behind that place or not any more.
 */

#define EFL_TF 0x100

static struct {
    struct machine *m;
    unsigned kick_at; /* the instruction, counted from 0 */
    unsigned seen;
    bool kicked;
} entry;

static bool is_in_entry(uint64_t rip)
{
    return rip >= (uint64_t)(uintptr_t)world_enter &&
           rip < (uint64_t)(uintptr_t)world_enter_end;
}

/* Raised by the test, which begins single steps, or by one of them. */
static void on_step(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool inside = is_in_entry((uint64_t)g[REG_RIP]);

    (void)sig, (void)info;
    g[REG_EFL] |= EFL_TF;
    if (inside && entry.seen++ == entry.kick_at) {
        entry.kicked = true;
        entry.m->vcpu.kick = 1;
        bt_kicked(entry.m->bt, context);
    }
    if (entry.kicked || (!inside && entry.seen != 0))
        g[REG_EFL] &= ~(greg_t)EFL_TF;
}

static const struct ccf_exit *enter_with_kick(unsigned at)
{
    struct sigaction action = {.sa_sigaction = on_step,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const struct ccf_exit *exit;
    struct sigaction before;

    entry.kick_at = at;
    entry.seen = 0;
    entry.kicked = false;
    entry.m->vcpu.kick = 0;
    sigfillset(&action.sa_mask);
    sigaction(SIGTRAP, &action, &before);
    raise(SIGTRAP);
    exit = world_enter(entry.m->bt, entry.m->bt->entered);
    sigaction(SIGTRAP, &before, NULL);
    return exit;
}

/* inc eax; ud2: after a run, all is ready to enter the CCF once more. */
static void make_ready(void)
{
    static const uint8_t code[] = {0x40, UD2};

    entry.m = machine_new(true, SOFT_NONE);
    load(entry.m, CODE, code, sizeof(code));
    run(entry.m);
    ck_assert_uint_eq(entry.m->vcpu.regs[REG_EAX], 1);
}

START_TEST(a_kick_before_the_entry_cancels_it)
{
    make_ready();
    entry.m->vcpu.kick = 1;
    ck_assert_ptr_eq(world_enter(entry.m->bt, entry.m->bt->entered),
                     &bt_exit_cancel);
    ck_assert_uint_eq(entry.m->vcpu.regs[REG_EAX], 1);
    machine_destroy(entry.m);
}
END_TEST

START_TEST(a_kick_at_any_instruction_of_the_entry_cancels_it)
{
    const struct ccf_exit *exit;
    struct vcpu before;
    uint64_t host_sp;
    unsigned at = 0;

    make_ready();
    for (;; at++) {
        before = entry.m->vcpu;
        host_sp = entry.m->bt->host_sp;
        exit = enter_with_kick(at);
        if (!entry.kicked)
            break;
        ck_assert_msg(exit == &bt_exit_cancel, "entered at %u", at);
        before.kick = 1;
        ck_assert(!memcmp(&before, &entry.m->vcpu, sizeof(before)));
        ck_assert_uint_eq(entry.m->bt->host_sp, host_sp);
    }
    ck_assert_uint_gt(at, 20);
    ck_assert_int_eq(exit->kind, EXIT_STEP);
    ck_assert_uint_eq(entry.m->vcpu.regs[REG_EAX], 2);
    machine_destroy(entry.m);
}
END_TEST

/* They return to generated code, which has to be interrupted itself. */
START_TEST(the_handlers_of_generated_code_hold_kicks_back)
{
    static const int handled[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct machine *m = machine_new(true, SOFT_NONE);
    struct sigaction action;

    for (unsigned i = 0; i < ARRAY_COUNT(handled); i++) {
        ck_assert_int_eq(sigaction(handled[i], NULL, &action), 0);
        ck_assert_int_eq(sigismember(&action.sa_mask, KICK_SIGNAL), 1);
    }
    machine_destroy(m);
}
END_TEST

void add_entry_tests(TCase *tcase)
{
    tcase_add_test(tcase, the_handlers_of_generated_code_hold_kicks_back);
    tcase_add_test(tcase, a_kick_before_the_entry_cancels_it);
    tcase_add_test(tcase, a_kick_at_any_instruction_of_the_entry_cancels_it);
}
