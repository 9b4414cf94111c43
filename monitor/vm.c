/* SPDX-License-Identifier: MIT */
#include "monitor/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "emu/cpu/interp.h"
#include "monitor/console.h"
#include "monitor/hmp.h"
#include "monitor/sample.h"
#include "shadow_mmu/gmem.h"

/*
 * Wiring: every folder below monitor/ asks for what it needs by a struct of
 * functions; they are all filled here.
 *
 *   interp_host   page, mmio, ports, tsc, stores to flagged frames, flushes
 *   machine_host  INTR, IGNNE#, A20, power, reset, exit, bytes of the serial ports
 *   console_host  serial input, monitor, quit
 *   clock         the host's monotonic time, less the time spent paused
 */

#define A20_FRAME BIT64(20 - PAGE_SHIFT)

/* What the interpreter asks. */

/* The gate of address line 20 stands in front of everything. */
static gfn_t through_a20(const struct vm *vm, gfn_t gfn)
{
    return vm->vcpu.a20 ? gfn : gfn & ~A20_FRAME;
}

static gpa_t gpa_through_a20(const struct vm *vm, gpa_t gpa)
{
    return vm->vcpu.a20 ? gpa : gpa & ~BIT64(20);
}

static struct host_page host_page(void *opaque, gfn_t gfn)
{
    const struct vm *vm = opaque;
    struct host_page page = {NULL, false};

    switch (gmem_lookup(vm->gmem, through_a20(vm, gfn), &page.hva, NULL)) {
    case GMEM_NONE: break;
    case GMEM_RAM: page.writable = true; break;
    case GMEM_ROM: break;
    }
    return page;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    const struct vm *vm = opaque;

    return bus_mmio_read(vm->bus, gpa_through_a20(vm, gpa), size);
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    const struct vm *vm = opaque;

    bus_mmio_write(vm->bus, gpa_through_a20(vm, gpa), size, value);
}

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    struct vm *vm = opaque;

    return bus_port_in(vm->bus, port, size);
}

static void port_out(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    struct vm *vm = opaque;

    bus_port_out(vm->bus, port, size, value);
}

static void set_ferr(void *opaque, bool level)
{
    const struct vm *vm = opaque;

    machine_pc_set_ferr(vm->board, level);
}

static uint64_t guest_now(void *opaque)
{
    const struct vm *vm = opaque;

    if (vm->config.insn_ns != 0)
        return vm->vcpu.retired * vm->config.insn_ns + vm->idle_ns;
    return (vm->paused ? vm->paused_at.ns : host_now()) - vm->time_origin;
}

/* A guest whose time is its instruction count has a TSC of 1 GHz. */
static uint64_t host_tsc(const struct vm *vm)
{
    if (vm->config.insn_ns != 0)
        return guest_now((void *)vm);
    return vm->paused ? vm->paused_at.tsc : __rdtsc();
}

uint64_t vm_tsc(const struct vm *vm)
{
    return host_tsc(vm) - vm->vcpu.tsc_stopped;
}

static uint64_t machine_tsc(void *opaque)
{
    return vm_tsc(opaque);
}

static void ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    struct vm *vm = opaque;

    if (vm->engine->ram_stored != NULL)
        vm->engine->ram_stored(vm->engine_state, gpa_through_a20(vm, gpa), len);
}

static void tlb_flushed_page(void *opaque, gva_t gva)
{
    struct vm *vm = opaque;

    if (vm->engine->tlb_flushed_page != NULL)
        vm->engine->tlb_flushed_page(vm->engine_state, gva);
}

static void tlb_flushed(void *opaque, bool globals_too)
{
    struct vm *vm = opaque;

    if (vm->engine->tlb_flushed != NULL)
        vm->engine->tlb_flushed(vm->engine_state, globals_too);
}

/* What the board asks. */

static void set_intr(void *opaque, bool level)
{
    struct vm *vm = opaque;

    vm->vcpu.irq_line = level;
    if (level)
        vm->vcpu.kick = 1;
}

static void set_ignne(void *opaque, bool level)
{
    struct vm *vm = opaque;

    vm->vcpu.ignne = level;
}

void vm_flush(struct vm *vm)
{
    interp_flush_tlb(vm->interp);
    if (vm->engine->flush != NULL)
        vm->engine->flush(vm->engine_state);
}

static void set_a20(void *opaque, bool open)
{
    struct vm *vm = opaque;

    if (vm->vcpu.a20 == open)
        return;
    vm->vcpu.a20 = open;
    if (vm->engine_state != NULL)
        vm_flush(vm);
}

static void power_off(void *opaque)
{
    struct vm *vm = opaque;

    vcpu_stop(&vm->vcpu, STOP_POWER_OFF, "guest powered off");
}

static void reset(void *opaque)
{
    struct vm *vm = opaque;

    vcpu_stop(&vm->vcpu, STOP_RESET, "guest reset");
}

static void debug_exit(void *opaque, int status)
{
    struct vm *vm = opaque;

    if (vm->stop.reason == STOP_NONE)
        vm->stop.code = status;
    vcpu_stop(&vm->vcpu, STOP_EXIT_CODE, "isa-debug-exit");
}

/* What the console asks. */

static size_t serial_room(void *opaque, unsigned port)
{
    const struct vm *vm = opaque;

    return machine_pc_serial_room(vm->board, port);
}

static void serial_receive(void *opaque, unsigned port, const uint8_t *data,
                           size_t len)
{
    struct vm *vm = opaque;

    machine_pc_serial_receive(vm->board, port, data, len);
}

static void monitor_shown(void *opaque)
{
    struct vm *vm = opaque;

    hmp_show(vm->hmp);
}

static void monitor_receive(void *opaque, uint8_t byte)
{
    struct vm *vm = opaque;

    hmp_feed(vm->hmp, byte);
}

static void quit(void *opaque)
{
    struct vm *vm = opaque;

    vcpu_stop(&vm->vcpu, STOP_QUIT, "ended by the user");
}

static bool is_stopping(void *opaque)
{
    const struct vm *vm = opaque;

    return vm->quit_signal != 0;
}

static void monitor_write(void *opaque, const char *text, size_t len)
{
    struct vm *vm = opaque;

    console_monitor_write(vm->console, text, len);
}

/* Guest time. */

/* A kick costs some 20 us. A guest may have the 8254 ask for one every 838 ns, and
 * would not come to execute anything in between, even with the interrupt masked:
 * what is due sooner than this after the last one is late. */
#define TIMED_APART_NS 100000u

uint64_t vm_next_deadline(const struct vm *vm)
{
    uint64_t next = clock_next(vm->clock);

    if (vm->paused || next > UINT64_MAX - vm->time_origin)
        return UINT64_MAX;
    next += vm->time_origin;
    return next > vm->timed + TIMED_APART_NS ? next
                                             : vm->timed + TIMED_APART_NS;
}

static void deadline_earlier(void *opaque)
{
    struct vm *vm = opaque;

    if (vm->config.insn_ns == 0)
        kick_timer_arm(&vm->timer, vm_next_deadline(vm));
}

void vm_pause(struct vm *vm)
{
    if (vm->paused)
        return;
    vm->paused_at = host_moment();
    vm->paused = true;
    vm->vcpu.kick = 1;
}

/* A guest that has not begun did not see its TSC stand still: the host's serves
 * it, which costs CCFs nothing. */
void vm_continue(struct vm *vm)
{
    struct host_moment now;

    if (!vm->paused)
        return;
    now = host_moment();
    vm->time_origin += now.ns - vm->paused_at.ns;
    vm->paused = false;
    if (vm->vcpu.retired != 0 && vm->config.insn_ns == 0)
        vm->vcpu.tsc_stopped += now.tsc - vm->paused_at.tsc;
    vm->vcpu.kick = 1;
}

void vm_set_time(struct vm *vm, uint64_t now, uint64_t tsc)
{
    uint64_t host = vm->paused ? vm->paused_at.ns : host_now();

    vm->time_origin = host - now;
    vm->idle_ns = now - vm->vcpu.retired * vm->config.insn_ns;
    vm->vcpu.tsc_stopped = host_tsc(vm) - tsc;
}

/* Construction. */

static int create_console(struct vm *vm, struct load_error *error)
{
    const struct console_host host = {
        .opaque = vm,
        .serial_room = serial_room,
        .serial_receive = serial_receive,
        .monitor_shown = monitor_shown,
        .monitor_receive = monitor_receive,
        .quit = quit,
        .is_stopping = is_stopping,
    };
    const char *bad;
    int code = console_create(&vm->console, &vm->config, &host, &bad);

    if (code != 0 && bad != NULL)
        load_fail(error, "could not open '%s': %s", bad, strerror(-code));
    return code;
}

static int create_board(struct vm *vm)
{
    struct machine_host host = {
        .opaque = vm,
        .set_intr = set_intr,
        .set_ignne = set_ignne,
        .set_a20 = set_a20,
        .power_off = power_off,
        .reset = reset,
        .exit = debug_exit,
        .debugcon = console_debugcon(vm->console),
        .debug_exit_port = vm->config.debug_exit_port,
        .ram_len = vm->config.ram_len,
    };

    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        host.serial[i] = console_serial(vm->console, i);
    int error = clock_create(&vm->clock, guest_now, vm);
    if (error == 0)
        error = bus_create(&vm->bus, &vm->stats, vm->clock);
    if (error != 0)
        return error;
    clock_set_base(vm->clock, vm->config.rtc_base);
    clock_set_listener(vm->clock, deadline_earlier, vm);
    return machine_pc_create(&vm->board, vm->bus, vm->clock, &host);
}

static int create_engines(struct vm *vm)
{
    const struct interp_host host = {
        .opaque = vm,
        .page = host_page,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .port_in = port_in,
        .port_out = port_out,
        .set_ferr = set_ferr,
        .tsc = machine_tsc,
        .ram_stored = ram_stored,
        .tlb_flushed_page = tlb_flushed_page,
        .tlb_flushed = tlb_flushed,
        .frame_flags = gmem_frame_flags(vm->gmem),
        .frame_count = gmem_frame_count(vm->gmem),
        .features = vm->config.features,
        .host_flags = vm->config.insn_ns != 0,
    };
    int error = interp_create(&vm->interp, &vm->vcpu, &host);

    if (error != 0)
        return error;
    vm->engine = vm->config.engine;
    return vm->engine->create(vm, &vm->engine_state);
}

static int create_parts(struct vm *vm, struct load_error *error)
{
    int code = gmem_create(&vm->gmem, vm->config.ram_len);

    if (code == 0) {
        gmem_set_dump(vm->gmem, vm->config.dump_ram);
        code = create_console(vm, error);
    }
    if (code == 0)
        code = hmp_create(&vm->hmp, vm, monitor_write);
    if (code == 0)
        code = create_board(vm);
    if (code == 0)
        code = create_engines(vm);
    if (code == 0 && vm->config.sample.seconds != 0) {
        vm->sampler = sampler_create(&vm->config);
        code = vm->sampler == NULL ? -ENOMEM : 0;
    }
    return code;
}

struct vm *vm_create(const struct config *config, struct load_error *error)
{
    struct vm *vm = aligned_alloc(_Alignof(struct vm), sizeof(*vm));

    error->text[0] = '\0';
    if (vm == NULL) {
        load_fail(error, "out of memory");
        return NULL;
    }
    memset(vm, 0, sizeof(*vm));
    vm->config = *config;
    vm->vcpu.stop = &vm->stop;
    vm->vcpu.stats = &vm->stats;
    vm->vcpu.vm = vm;
    vm->time_origin = host_now();
    int code = create_parts(vm, error);
    if (code != 0 && error->text[0] == '\0')
        load_fail(error, "could not create the machine: %s", strerror(-code));
    if (code != 0 || !boot_open(&vm->boot, config, error) ||
        !vm_reset(vm, error)) {
        vm_destroy(vm);
        return NULL;
    }
    if (config->paused)
        vm_pause(vm);
    return vm;
}

void vm_destroy(struct vm *vm)
{
    if (vm == NULL)
        return;
    kick_timer_fini(&vm->timer);
    if (vm->engine_state != NULL)
        vm->engine->destroy(vm->engine_state);
    interp_destroy(vm->interp);
    if (vm->board != NULL)
        machine_pc_destroy(vm->board);
    if (vm->bus != NULL)
        bus_destroy(vm->bus);
    if (vm->clock != NULL)
        clock_destroy(vm->clock);
    sampler_destroy(vm->sampler);
    hmp_destroy(vm->hmp);
    console_destroy(vm->console);
    gmem_destroy(vm->gmem);
    boot_close(&vm->boot);
    free(vm);
}

bool vm_reset(struct vm *vm, struct load_error *error)
{
    vm->stop = (struct stop){0};
    vm->halted = false;
    vm->reset_wanted = false;
    vcpu_reset(&vm->vcpu);
    machine_pc_reset(vm->board);
    vm->vcpu.kick = 1;
    if (vm->boot.kernel.data != NULL && !boot_start(&vm->boot, vm, error))
        return false;
    vm_flush(vm);
    return true;
}

int vm_dma_write(struct vm *vm, gpa_t gpa, const void *data, size_t len)
{
    int error = gmem_write(vm->gmem, gpa, data, len);

    if (error == 0 && len != 0 && vm->engine->ram_stored != NULL)
        vm->engine->ram_stored(vm->engine_state, gpa, (unsigned)len);
    return error;
}

void vm_quit_from_signal(struct vm *vm, int number)
{
    vm->quit_signal = number;
    vm->vcpu.kick = 1;
}
