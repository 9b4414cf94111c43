/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli.h"
#include "monitor/console.h"
#include "monitor/crash.h"
#include "monitor/hmp.h"
#include "monitor/lockstep.h"
#include "monitor/log.h"
#include "monitor/sample.h"
#include "monitor/sandbox.h"
#include "monitor/stats_report.h"
#include "monitor/terminal.h"
#include "monitor/vm.h"

/* A standard stream that is closed would be the next file that popf opens: guest
 * RAM, say. Its place is taken by a pipe without another end. */
static bool occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int ends[2];

        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (pipe2(ends, O_CLOEXEC) != 0)
            return false;
        int wanted = fd == STDIN_FILENO ? ends[0] : ends[1];
        int other = fd == STDIN_FILENO ? ends[1] : ends[0];

        if (wanted != fd && dup2(wanted, fd) < 0)
            return false;
        if (wanted != fd)
            close(wanted);
        if (other != fd)
            close(other);
    }
    return true;
}

/* Signals that report what a system call reports as well. */
static void ignore_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE holds for memfds, too */
}

static void on_quit(void *opaque, int number)
{
    vm_quit_from_signal(opaque, number);
}

static void attach_terminal(struct vm *vm)
{
    terminal_on_quit(on_quit, vm);
    if (console_has_terminal(vm->console))
        terminal_set_raw(!console_has_mux(vm->console));
    if (vm->config.monitor.kind == CHAR_STDIO ||
        vm->config.monitor.kind == CHAR_MUX)
        hmp_show(vm->hmp);
}

/* The last words: what the user would not know otherwise. */
static void tell_stop(const struct vm *vm)
{
    switch (vm->stop.reason) {
    case STOP_UNIMPL:
    case STOP_SHUTDOWN:
        fprintf(stderr, "popf: %s\n", vm->stop.text);
        vcpu_dump(&vm->vcpu, stderr);
        break;
    case STOP_HOST: fprintf(stderr, "popf: %s\n", vm->stop.text); break;
    case STOP_QUIT:
        if (vm->quit_signal != 0)
            fprintf(stderr, "popf: %s\n", vm->stop.text);
        break;
    case STOP_NONE:
    case STOP_POWER_OFF:
    case STOP_RESET:
    case STOP_EXIT_CODE: break;
    }
}

static bool set_up(struct vm *vm)
{
    int error = vm_start(vm);

    if (error != 0)
        fprintf(stderr, "popf: could not create a host timer: %s\n",
                strerror(-error));
    return error == 0 && sandbox_start(&vm->config);
}

static int run(const struct config *config)
{
    struct load_error error;
    struct vm *vm = vm_create(config, &error);

    if (vm == NULL) {
        fprintf(stderr, "popf: %s\n", error.text);
        return 1;
    }
    if (!set_up(vm)) {
        vm_destroy(vm);
        return 1;
    }
    crash_watch(&vm->vcpu);
    attach_terminal(vm);
    uint64_t start = host_now();
    vm_run(vm);
    uint64_t run_ns = host_now() - start;
    terminal_on_quit(NULL, NULL);
    terminal_restore();
    tell_stop(vm);
    stats_report(vm, run_ns, stderr);
    if (vm->sampler != NULL)
        sampler_report(vm->sampler);
    int status = vm_exit_status(vm);
    crash_watch(NULL);
    vm_destroy(vm);
    return status;
}

int main(int argc, char **argv)
{
    struct config config;
    char error[256];

    if (!occupy_standard_streams())
        return 1;
    ignore_signals();
    crash_install();
    switch (cli_parse(&config, argc, argv, error, sizeof(error))) {
    case CLI_RUN: break;
    case CLI_DONE: return 0;
    case CLI_ERROR: fprintf(stderr, "popf: %s\n", error); return 1;
    }
    int status = config.lockstep.on ? lockstep_main(&config) : run(&config);
    log_close();
    return status;
}
