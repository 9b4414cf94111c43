/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sighandler_t */
#include "monitor/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/*
 * 1. Raw mode is entered once; the mode found is kept.
 * 2. It is restored by atexit(), by the handlers of fatal signals, and before
 *    the process stops (SIGTSTP); SIGCONT enters it again.
 * 3. SIGTERM, SIGINT and SIGHUP only tell the VM, which ends its run loop.
 * 4. The handlers hold back all other signals: a kick must interrupt guest code,
 *    not a handler that is about to return to it (kick_timer.h).
 */

static struct termios saved_mode;
static struct termios raw_mode;
static volatile sig_atomic_t is_raw;
static void (*volatile quit_hook)(void *opaque, int number);
static void *volatile quit_opaque;

/* All that end a process by default; crash.c reports some of them first. */
static const int fatal_signals[] = {
    SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,    SIGABRT, SIGQUIT, SIGTRAP, SIGSYS,
    SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO,   SIGPWR};
static const int quit_signals[] = {SIGTERM, SIGINT, SIGHUP};

/* A process in the background leaves the terminal alone: it is the shell's, or
 * another job's. These functions are async-signal-safe. */
static bool is_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void enter_raw(void)
{
    if (is_raw && is_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &raw_mode);
}

void terminal_restore(void)
{
    if (is_raw && is_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
}

static void on_fatal(int number)
{
    terminal_restore();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_stop(int number)
{
    (void)number;
    terminal_restore();
    raise(SIGSTOP);
}

static void on_continue(int number)
{
    (void)number;
    enter_raw();
}

static void on_quit(int number)
{
    if (quit_hook != NULL)
        quit_hook(quit_opaque, number);
}

static void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    struct sigaction old;

    sigfillset(&action.sa_mask);
    /* A sanitizer's handler, or a parent's SIG_IGN (nohup), stays. */
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(number, &action, NULL);
}

static void install_handlers(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(fatal_signals); i++)
        set_handler(fatal_signals[i], on_fatal);
    set_handler(SIGTSTP, on_stop);
    set_handler(SIGCONT, on_continue);
    set_handler(SIGTTOU, SIG_IGN);
    atexit(terminal_restore);
}

void terminal_set_raw(bool signals)
{
    if (is_raw || tcgetattr(STDIN_FILENO, &saved_mode) != 0)
        return;
    raw_mode = saved_mode;
    raw_mode.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
                                    IGNCR | ICRNL | IXON);
    raw_mode.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        raw_mode.c_lflag &= ~(tcflag_t)ISIG;
    raw_mode.c_cflag = (raw_mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw_mode.c_cc[VMIN] = 1;
    raw_mode.c_cc[VTIME] = 0;
    install_handlers();
    is_raw = 1;
    enter_raw();
}

void terminal_on_quit(void (*quit)(void *opaque, int number), void *opaque)
{
    quit_opaque = opaque;
    quit_hook = quit;
    for (size_t i = 0; i < ARRAY_COUNT(quit_signals); i++)
        set_handler(quit_signals[i], on_quit);
    /* A reader that went away is an error of write(2), not a reason to die. */
    signal(SIGPIPE, SIG_IGN);
}
