/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <unistd.h>

#include "guest.h"
#include "tests/suite/suite.h"
#include "tests_of_precision.h"

/*
 * Precision: whatever host instruction of a CCF an event arrives at, the guest
 * is left in a state that the interpreter has, too, between two instructions.
 *
 * For each program: find paths that reach all of its code (paths.c); then, for
 * each host instruction, go the path again with an event placed there, and have
 * the interpreter go there, too (test_kick.c, test_fault.c).
 */

static struct machine *looping;

static void on_alarm(int sig, siginfo_t *info, void *uc)
{
    (void)sig, (void)info;
    looping->vcpu.kick = 1;
    bt_kicked(looping->bt, uc);
}

static void kick_in_loop(const struct program *program, gip_t eip, int if_flag)
{
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    struct guest *g = guest_new(program, true, false);

    looping = g->m;
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    /* On a busy host a kick may come before the loop is reached. */
    for (unsigned i = 0; i < 100 && g->m->vcpu.eip != eip; i++) {
        g->m->vcpu.kick = 0;
        ualarm(10000, 0);
        ck_assert_int_eq(machine_run(g->m, 0), VCPU_EXIT_INTR);
    }
    ck_assert_uint_eq(g->m->vcpu.eip, eip);
    ck_assert_int_eq(g->m->vcpu.if_flag, if_flag);
    ck_assert_int_eq(g->m->vcpu.inhibit, INHIBIT_NONE);
    guest_free(g);
}

/* sti; 1: jmp 1b. The loop is a place after STI only once. */
START_TEST(a_kick_ends_a_loop_that_begins_right_after_sti)
{
    static struct program program = {
        .code = {0xfb, 0xeb, 0xfe}
    };

    kick_in_loop(&program, CODE + 1, 1);
}
END_TEST

/* xor eax, eax; jz 1f; sti; 1: jmp 1b. The loop is never a place after STI. */
START_TEST(a_kick_ends_a_loop_behind_an_sti_that_is_jumped_over)
{
    static struct program program = {
        .code = {0x31, 0xc0, 0x74, 1, 0xfb, 0xeb, 0xfe}
    };

    kick_in_loop(&program, CODE + 5, 0);
}
END_TEST

/* mov eax, ss; mov ss, eax; 1: jmp 1b. The loop ends the shadow. */
START_TEST(a_kick_ends_a_loop_that_begins_right_after_mov_ss)
{
    static struct program program = {
        .code = {0x8c, 0xd0, 0x8e, 0xd0, 0xeb, 0xfe}
    };

    kick_in_loop(&program, CODE + 4, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("precise");
    TCase *tcase = tcase_create("events");

    tcase_set_timeout(tcase, 240);
    add_kick_tests(tcase);
    add_fault_tests(tcase);
    tcase_add_test(tcase, a_kick_ends_a_loop_that_begins_right_after_sti);
    tcase_add_test(tcase, a_kick_ends_a_loop_behind_an_sti_that_is_jumped_over);
    tcase_add_test(tcase, a_kick_ends_a_loop_that_begins_right_after_mov_ss);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
