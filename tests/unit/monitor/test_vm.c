/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/hmp.h"
#include "monitor/stats_report.h"
#include "monitor/terminal.h"
#include "monitor/vm.h"
#include "monitor/vm_state.h"
#include "tests/suite/suite.h"

/*
 * Guests of a few instructions, as Multiboot images that say themselves where
 * they go: 1 MiB, with the header in front of the code.
 */
#define HEADER_LEN 32u

struct guest {
    const char *code;
    size_t len;
};

#define GUEST(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

/* mov dx, 0xf4; mov al, N; out dx, al; hlt: isa-debug-exit */
static const struct guest exit_1 = GUEST("\x66\xba\xf4\x00\xb0\x01\xee\xf4");
static const struct guest exit_2 = GUEST("\x66\xba\xf4\x00\xb0\x02\xee\xf4");
/* int3 without an IDT */
static const struct guest triple_fault = GUEST("\xcc");
/* jmp self */
static const struct guest spin = GUEST("\xeb\xfe");
/* cli; hlt; jmp back */
static const struct guest halt = GUEST("\xfa\xf4\xeb\xfc");
/* mov dx, 0x3f8; mov al, 'A'; out dx, al; then exit_1 */
static const struct guest say_a =
    GUEST("\x66\xba\xf8\x03\xb0\x41\xee\x66\xba\xf4\x00\xb0\x01\xee\xf4");

static char path[] = "/tmp/popf-test-vm-XXXXXX";
static struct config config;
static struct load_error error;
static char output[64];
static size_t output_len;

static void take_output(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    if (len <= sizeof(output) - output_len) {
        memcpy(output + output_len, data, len);
        output_len += len;
    }
}

static void write_guest(const struct guest *guest)
{
    uint32_t header[HEADER_LEN / 4] = {
        0x1badb002, 1 << 16, -(0x1badb002u + (1 << 16)), 0x100000, 0x100000,
        0,          0,       0x100000 + HEADER_LEN};
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fwrite(header, 1, sizeof(header), file);
    fwrite(guest->code, 1, guest->len, file);
    fclose(file);
}

static void setup(void)
{
    strcpy(path, "/tmp/popf-test-vm-XXXXXX");
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    config_init(&config);
    config.engine = &engine_interp;
    config.kernel = path;
    config.ram_len = 4 * (uint64_t)MIB;
    config.debug_exit_port = 0xf4;
    config.no_reboot = true;
    config.serial[0].kind = CHAR_BACKEND;
    config.serial[0].backend.write = take_output;
    output_len = 0;
}

static void teardown(void)
{
    unlink(path);
}

static struct vm *create(const struct guest *guest)
{
    write_guest(guest);
    struct vm *vm = vm_create(&config, &error);

    ck_assert_msg(vm != NULL, "%s", error.text);
    return vm;
}

START_TEST(two_vms_live_in_one_process)
{
    struct vm *one = create(&exit_1);
    struct vm *two = create(&exit_2);

    vm_run(one);
    vm_run(two);
    ck_assert_int_eq(vm_exit_status(one), 3);
    ck_assert_int_eq(vm_exit_status(two), 5);
    vm_destroy(one);
    vm_destroy(two);
}
END_TEST

START_TEST(a_serial_port_writes_to_its_backend)
{
    struct vm *vm = create(&say_a);

    vm_run(vm);
    ck_assert_uint_eq(output_len, 1);
    ck_assert_int_eq(output[0], 'A');
    vm_destroy(vm);
}
END_TEST

START_TEST(a_triple_fault_ends_a_vm_that_must_not_reboot)
{
    struct vm *vm = create(&triple_fault);

    vm_run(vm);
    ck_assert_int_eq(vm->stop.reason, STOP_SHUTDOWN);
    ck_assert_int_eq(vm_exit_status(vm), 1);
    vm_destroy(vm);
}
END_TEST

/* A signal ends a guest that computes, and one that sleeps for ever. */
static const struct guest *const endless[] = {&spin, &halt};
static struct vm *alarmed;

static void on_alarm(int number)
{
    vm_quit_from_signal(alarmed, number);
}

START_TEST(a_signal_ends_a_guest_that_would_not_end)
{
    alarmed = create(endless[_i]);
    signal(SIGALRM, on_alarm);
    ualarm(50000, 0);
    vm_run(alarmed);
    ck_assert_int_eq(alarmed->stop.reason, STOP_QUIT);
    ck_assert_int_eq(vm_exit_status(alarmed), 0);
    vm_destroy(alarmed);
}
END_TEST

/* A handler that takes until the kick comes, or is held back until the handler's
 * end. */
static void quit_after_kick(void *opaque, int number)
{
    struct vm *vm = opaque;
    sigset_t pending;

    do
        sigpending(&pending);
    while (vm->timer.armed != UINT64_MAX &&
           sigismember(&pending, KICK_SIGNAL) == 0);
    vm_quit_from_signal(vm, number);
}

/* Generated code hears of a kick only if the kick interrupts it, not if it
 * interrupts the handler of another signal. */
START_TEST(a_kick_while_another_signal_is_handled_ends_a_loop)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGTERM};
    struct itimerspec soon = {.it_value.tv_nsec = 20000000};
    timer_t timer;

    config.engine = &engine_bt;
    struct vm *vm = create(&spin);
    signal(SIGTERM, SIG_DFL); /* Check's own gives way to popf's */
    terminal_on_quit(quit_after_kick, vm);
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    timer_settime(timer, 0, &soon, NULL);
    vm_run(vm);
    ck_assert_int_eq(vm->stop.reason, STOP_QUIT);
    timer_delete(timer);
    vm_destroy(vm);
}
END_TEST

START_TEST(a_halted_guest_costs_no_host_time)
{
    alarmed = create(&halt);
    signal(SIGALRM, on_alarm);
    ualarm(300000, 0);
    clock_t before = clock();
    vm_run(alarmed);
    ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 20);
    vm_destroy(alarmed);
}
END_TEST

START_TEST(a_reset_loads_the_kernel_again)
{
    struct vm *vm = create(&exit_1);

    vm->vcpu.eip = 0;
    ck_assert(vm_reset(vm, &error));
    ck_assert_uint_eq(vm->vcpu.eip, 0x100000 + HEADER_LEN);
    vm_run(vm);
    ck_assert_int_eq(vm_exit_status(vm), 3);
    vm_destroy(vm);
}
END_TEST

START_TEST(guest_time_stands_still_while_paused)
{
    struct vm *vm = create(&exit_1);

    vm_pause(vm);
    uint64_t before = clock_now(vm->clock);
    usleep(2000);
    ck_assert_uint_eq(clock_now(vm->clock), before);
    uint64_t start = host_now();
    vm_continue(vm);
    uint64_t passed = clock_now(vm->clock) - before;
    ck_assert_uint_le(passed, host_now() - start);
    vm_destroy(vm);
}
END_TEST

START_TEST(statistics_are_one_json_object)
{
    struct vm *vm = create(&exit_1);
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    vm->config.stats = STATS_JSON;
    vm_run(vm);
    stats_report(vm, 1234, file);
    fclose(file);
    struct json_object *root = json_tokener_parse(text);
    struct json_object *value;
    ck_assert_ptr_nonnull(root);
    ck_assert(json_object_object_get_ex(root, "run_ns", &value));
    ck_assert_int_eq(json_object_get_int64(value), 1234);
    ck_assert(json_object_object_get_ex(root, "retired", &value));
    ck_assert_int_eq(json_object_get_int64(value), 3);
    ck_assert(json_object_object_get_ex(root, "interpreted", &value));
    ck_assert(json_object_object_get_ex(value, "out", &value));
    ck_assert_int_eq(json_object_get_int64(value), 1);
    ck_assert(json_object_object_get_ex(root, "counters", &value));
    ck_assert_int_eq(json_object_object_length(value), STAT_COUNT);
    json_object_put(root);
    free(text);
    vm_destroy(vm);
}
END_TEST

static const struct {
    const char *kernel;
    const char *text;
} bad_files[] = {
    {"/nonexistent", "could not open kernel '/nonexistent': No such file or "
                     "directory"                      },
    {"/tmp",         "could not open kernel '/tmp': Is a directory"       },
    {"/dev/zero",    "could not open kernel '/dev/zero': Invalid argument"},
    {"/dev/null",    "could not open kernel '/dev/null': Invalid argument"},
};

START_TEST(a_bad_file_is_told_in_one_line)
{
    config.kernel = bad_files[_i].kernel;
    ck_assert_ptr_null(vm_create(&config, &error));
    ck_assert_str_eq(error.text, bad_files[_i].text);
}
END_TEST

START_TEST(the_tsc_stands_still_with_guest_time)
{
    struct vm *vm = create(&exit_1);

    vm_run(vm);
    vm_pause(vm);
    uint64_t tsc = vm_tsc(vm);
    usleep(2000);
    ck_assert_uint_eq(vm_tsc(vm), tsc);
    vm_continue(vm);
    ck_assert_uint_ne(vm->vcpu.tsc_stopped, 0);
    ck_assert_uint_ge(vm_tsc(vm), tsc);
    vm_destroy(vm);
}
END_TEST

/* The host's clock, after which popf loses the CPU for a while, if asked to. */
static unsigned lost_us;

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    int err = __real_clock_gettime(id, now);

    usleep(lost_us);
    lost_us = 0;
    return err;
}

/* TSC ticks in a microsecond of guest time, over 20 ms or more with one pause. */
static uint64_t tsc_rate(struct vm *vm, unsigned at_pause, unsigned at_continue)
{
    uint64_t tsc = vm_tsc(vm);
    uint64_t begin = clock_now(vm->clock);
    uint64_t now;

    lost_us = at_pause;
    vm_pause(vm);
    lost_us = at_continue;
    vm_continue(vm);
    do
        now = clock_now(vm->clock);
    while (now < begin + 20000000);
    return (vm_tsc(vm) - tsc) / ((now - begin) / 1000);
}

START_TEST(the_tsc_keeps_with_guest_time_though_popf_loses_the_cpu)
{
    struct vm *vm = create(&exit_1);
    uint64_t rate;

    vm_run(vm);
    rate = tsc_rate(vm, 0, 0);
    ck_assert_uint_gt(tsc_rate(vm, 100000, 0), rate / 2);
    ck_assert_uint_lt(tsc_rate(vm, 100000, 0), rate * 3 / 2);
    ck_assert_uint_gt(tsc_rate(vm, 0, 100000), rate / 2);
    ck_assert_uint_lt(tsc_rate(vm, 0, 100000), rate * 3 / 2);
    vm_destroy(vm);
}
END_TEST

START_TEST(a_loaded_vm_goes_on_where_it_was_saved)
{
    struct vm *vm = create(&exit_1);
    struct vm *fresh = create(&exit_2);
    struct vm_state *state;

    ck_assert_pstr_eq(state_table_gap(&vcpu_state), NULL);
    usleep(2000);
    uint64_t now = clock_now(vm->clock);
    uint64_t tsc = vm_tsc(vm);
    ck_assert_int_eq(vm_save(vm, &state), 0);
    vm_destroy(vm);
    ck_assert_int_eq(vm_load(fresh, state), 0);
    ck_assert_uint_ge(clock_now(fresh->clock), now);
    ck_assert_uint_ge(vm_tsc(fresh), tsc);
    vm_run(fresh);
    ck_assert_int_eq(vm_exit_status(fresh), 3);
    vm_state_destroy(state);
    vm_destroy(fresh);
}
END_TEST

START_TEST(another_board_refuses_the_state)
{
    struct vm *vm = create(&exit_1);
    struct vm_state *state;

    ck_assert_int_eq(vm_save(vm, &state), 0);
    vm_destroy(vm);
    config.serial[1].kind = CHAR_NULL;
    vm = create(&exit_1);
    ck_assert_int_eq(vm_load(vm, state), -EINVAL);
    vm_state_destroy(state);
    vm_destroy(vm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vm");
    TCase *tcase = tcase_create("run");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, two_vms_live_in_one_process);
    tcase_add_test(tcase, a_serial_port_writes_to_its_backend);
    tcase_add_test(tcase, a_triple_fault_ends_a_vm_that_must_not_reboot);
    tcase_add_loop_test(tcase, a_signal_ends_a_guest_that_would_not_end, 0,
                        (int)ARRAY_COUNT(endless));
    tcase_add_test(tcase, a_kick_while_another_signal_is_handled_ends_a_loop);
    tcase_add_test(tcase, a_halted_guest_costs_no_host_time);
    tcase_add_test(tcase, a_reset_loads_the_kernel_again);
    tcase_add_test(tcase, guest_time_stands_still_while_paused);
    tcase_add_test(tcase, the_tsc_stands_still_with_guest_time);
    tcase_add_test(tcase,
                   the_tsc_keeps_with_guest_time_though_popf_loses_the_cpu);
    tcase_add_test(tcase, a_loaded_vm_goes_on_where_it_was_saved);
    tcase_add_test(tcase, another_board_refuses_the_state);
    tcase_add_test(tcase, statistics_are_one_json_object);
    tcase_add_loop_test(tcase, a_bad_file_is_told_in_one_line, 0,
                        (int)ARRAY_COUNT(bad_files));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
