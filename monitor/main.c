/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "monitor/cli.h"
#include "monitor/console.h"
#include "monitor/hmp.h"
#include "monitor/lockstep.h"
#include "monitor/log.h"
#include "monitor/sandbox.h"
#include "monitor/stats_report.h"
#include "monitor/terminal.h"
#include "monitor/vm.h"

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
    attach_terminal(vm);
    uint64_t start = host_now();
    vm_run(vm);
    uint64_t run_ns = host_now() - start;
    terminal_on_quit(NULL, NULL);
    terminal_restore();
    tell_stop(vm);
    stats_report(vm, run_ns, stderr);
    int status = vm_exit_status(vm);
    vm_destroy(vm);
    return status;
}

int main(int argc, char **argv)
{
    struct config config;
    char error[256];

    switch (cli_parse(&config, argc, argv, error, sizeof(error))) {
    case CLI_RUN: break;
    case CLI_DONE: return 0;
    case CLI_ERROR: fprintf(stderr, "popf: %s\n", error); return 1;
    }
    int status = config.lockstep.on ? lockstep_main(&config) : run(&config);
    log_close();
    return status;
}
