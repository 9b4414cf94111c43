/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/terminal.h"
#include "tests/suite/suite.h"

/*
 * A child on a pseudo-terminal enters raw mode, says so by one byte, and meets
 * its end; the parent looks at the terminal from the other side.
 */
static int master;
static pid_t child;
static struct termios before;

static void at_quit(void *opaque, int number)
{
    (void)opaque;
    (void)number;
    exit(0); /* a test's licence: nothing else runs */
}

static void start(bool signals)
{
    child = forkpty(&master, NULL, NULL, NULL);
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        /* Check's and ASan's handlers are not what popf starts with. */
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGFPE, SIG_DFL);
        terminal_on_quit(at_quit, NULL);
        (void)!read(STDIN_FILENO, &(char){0}, 1); /* a line: cooked mode */
        terminal_set_raw(signals);
        (void)!write(STDOUT_FILENO, "R", 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(tcgetattr(master, &before), 0);
    ck_assert_int_eq(write(master, "\n", 1), 1);
    for (char byte = 0; byte != 'R';)
        ck_assert_int_eq(read(master, &byte, 1), 1);
}

static void ck_is_raw(bool raw)
{
    struct termios now;

    ck_assert_int_eq(tcgetattr(master, &now), 0);
    ck_assert_int_eq(!(now.c_lflag & ICANON), raw);
    ck_assert_int_eq(!(now.c_lflag & ECHO), raw);
    if (!raw)
        ck_assert_uint_eq(now.c_lflag, before.c_lflag);
}

START_TEST(raw_mode_passes_every_key)
{
    struct termios now;

    start(_i);
    ck_is_raw(true);
    ck_assert_int_eq(tcgetattr(master, &now), 0);
    ck_assert_int_eq((now.c_lflag & ISIG) != 0, _i);
    kill(child, SIGKILL);
}
END_TEST

static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGABRT, SIGFPE, SIGQUIT};

START_TEST(whatever_ends_popf_the_terminal_is_restored)
{
    int status;

    start(false);
    kill(child, ends[_i]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_is_raw(false);
}
END_TEST

START_TEST(a_fatal_signal_still_kills)
{
    int status;

    start(false);
    kill(child, SIGILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGILL);
}
END_TEST

START_TEST(the_terminal_is_cooked_while_popf_is_stopped)
{
    int status;

    start(false);
    kill(child, SIGTSTP);
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(WIFSTOPPED(status));
    ck_is_raw(false);
    kill(child, SIGCONT);
    for (unsigned i = 0; i < 200; i++) {
        struct termios now;

        usleep(5000);
        ck_assert_int_eq(tcgetattr(master, &now), 0);
        if (!(now.c_lflag & ICANON))
            break;
    }
    ck_is_raw(true);
    kill(child, SIGKILL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("terminal");
    TCase *tcase = tcase_create("modes");

    tcase_add_loop_test(tcase, raw_mode_passes_every_key, 0, 2);
    tcase_add_loop_test(tcase, whatever_ends_popf_the_terminal_is_restored, 0,
                        (int)ARRAY_COUNT(ends));
    tcase_add_test(tcase, a_fatal_signal_still_kills);
    tcase_add_test(tcase, the_terminal_is_cooked_while_popf_is_stopped);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
