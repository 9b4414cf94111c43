/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/bt.h"
#include "monitor/crash.h"
#include "monitor/vm.h"
#include "tests/suite/suite.h"

/*
 * A guest writes to a serial port whose other side is a bug of popf's; a child
 * runs it, and the parent reads what it says last and how it dies.
 */
#define HEADER_LEN 32u

/* mov eax, 0x12345678; mov dx, 0x3f8; out dx, al; jmp $ */
static const uint8_t code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0x66,
                               0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfe};

static char path[] = "/tmp/popf-test-crash-XXXXXX";
static char report[16384];

static volatile uintptr_t wild = 0x10;
static const struct vcpu *watched;
static volatile int zero;

static void load(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)data;
    (void)len;
    zero = *(volatile int *)wild;
}

static void store(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)data;
    (void)len;
    *(volatile int *)wild = 0;
}

static void divide(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)data;
    (void)len;
    /* Which a sanitizer does not see. */
    __asm__ volatile("xor %%edx, %%edx; mov $1000, %%eax; divl %0"
                     :
                     : "m"(zero)
                     : "eax", "edx", "cc");
}

/* Have the code that the guest is about to go back to load from a wild address:
 * LODSB, wherever it is entered, and the guest's ESI is 0. */
static void miscompile(void *opaque, const uint8_t *data, size_t len)
{
    const struct bt_vcpu *bt = watched->bt;
    const struct ccf *ccf = tc_find_host(bt->tc, bt->entered);

    (void)opaque;
    (void)data;
    (void)len;
    memset(mcode_rw(tc_mcode(bt->tc), ccf->start), 0xac, ccf->host_len);
}

static void assertion(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)data;
    ENSURE(len == 0);
}

static void recurse(void *opaque, const uint8_t *data, size_t len)
{
    volatile uint8_t use[4096];

    use[0] = (uint8_t)len;
    if (len < SIZE_MAX)
        recurse(opaque, data, len + 1);
    use[1] = use[0];
}

static const struct bug {
    void (*backend)(void *opaque, const uint8_t *data, size_t len);
    int signal;
    const char *first; /* a part of what the report says first */
} bugs[] = {
    {load,      SIGSEGV, "internal error: SIGSEGV at popf+0x"},
    {load,      SIGSEGV, ", load from 0x10\n"                },
    {store,     SIGSEGV, ", store to 0x10\n"                 },
    {divide,    SIGFPE,  "internal error: SIGFPE at popf+0x" },
    {assertion, SIGABRT, "test_crash.c"                      },
    {assertion, SIGABRT, "internal error: SIGABRT at "       },
    {recurse,   SIGSEGV, "internal error: SIGSEGV at popf+0x"},
};

static const struct bug miscompiled = {miscompile, SIGSEGV, "internal error: "};

static void write_guest(int fd)
{
    const uint32_t header[HEADER_LEN / 4] = {
        0x1badb002, 1 << 16, -(0x1badb002u + (1 << 16)), 0x100000, 0x100000,
        0,          0,       0x100000 + HEADER_LEN};

    ck_assert_int_eq(write(fd, header, sizeof(header)), sizeof(header));
    ck_assert_int_eq(write(fd, code, sizeof(code)), sizeof(code));
    close(fd);
}

/* Check's and a sanitizer's handlers are not what popf starts with. */
static void be_popf(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    const struct rlimit no_core = {0, 0};

    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        signal(signals[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    crash_install();
}

static void run_guest(const struct bug *bug, const struct engine_ops *engine)
{
    struct load_error error;
    struct config config;

    config_init(&config);
    config.engine = engine;
    config.kernel = path;
    config.ram_len = 4 * (uint64_t)MIB;
    config.serial[0].kind = CHAR_BACKEND;
    config.serial[0].backend.write = bug->backend;
    be_popf();
    struct vm *vm = vm_create(&config, &error);

    if (vm == NULL)
        _exit(1);
    watched = &vm->vcpu;
    crash_watch(watched);
    vm_run(vm);
    _exit(2);
}

static int run(const struct bug *bug, const struct engine_ops *engine)
{
    size_t len = 0;
    int status;
    int ends[2];

    strcpy(path + strlen(path) - 6, "XXXXXX");
    write_guest(mkstemp(path));
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();

    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        run_guest(bug, engine);
    }
    close(ends[1]);
    for (ssize_t got = 1; got > 0; len += (size_t)got)
        got = read(ends[0], report + len, sizeof(report) - 1 - len);
    report[len] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    unlink(path);
    return status;
}

static void ck_says(const char *text)
{
    ck_assert_msg(strstr(report, text) != NULL, "no '%s' in:\n%s", text,
                  report);
}

START_TEST(a_bug_is_reported_and_kills_by_its_signal)
{
    const struct bug *bug = &bugs[_i];
    int status = run(bug, &engine_bt);

    ck_says(bug->first);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == bug->signal,
                  "status %#x", (unsigned)status);
    ck_says("\n  guest eip=00100029 ");
    ck_says("\n  guest eax=12345678 ");
    ck_says("\n  host  rax=");
    ck_says(", last exit step\n");
    ck_says(" CCF gip=00100020 ");
    ck_says("\n  frame ");
}
END_TEST

START_TEST(a_bug_of_generated_code_names_the_ccf)
{
    int status = run(&miscompiled, &engine_bt);

    ck_says("internal error: SIGSEGV at 0x");
    ck_says(", load from 0x0\n");
    ck_says("\n  in    pc=");
    ck_says("\n  in    CCF gip=00100020 ");
    ck_says("instruction at=001000");
    ck_says("\n  guest cr0=");
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
                  "status %#x", (unsigned)status);
}
END_TEST

START_TEST(a_bug_under_the_interpreter_is_reported_too)
{
    int status = run(&bugs[0], &engine_interp);

    ck_says(bugs[0].first);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
                  "status %#x", (unsigned)status);
    ck_says("\n  guest eax=12345678 ");
    ck_assert_ptr_null(strstr(report, "CCF"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crash");
    TCase *tcase = tcase_create("reports");

    tcase_add_loop_test(tcase, a_bug_is_reported_and_kills_by_its_signal, 0,
                        (int)ARRAY_COUNT(bugs));
    tcase_add_test(tcase, a_bug_of_generated_code_names_the_ccf);
    tcase_add_test(tcase, a_bug_under_the_interpreter_is_reported_too);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
