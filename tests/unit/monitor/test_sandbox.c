/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "monitor/sandbox.h"
#include "tests/suite/suite.h"

/*
 * Each attempt is made by a child that entered the sandbox the way popf does.
 * What a sanitizer's reports need is allowed in a build with sanitizers.
 */
#ifdef __SANITIZE_ADDRESS__
#    define IS_SANITIZED true
#else
#    define IS_SANITIZED false
#endif

static void *page;
static int directory;

static void try_execve(void)
{
    char *argv[] = {"true", NULL};

    execve("/bin/true", argv, argv + 1);
}

static void try_socket(void)
{
    (void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void try_open(void)
{
    (void)!open("/dev/null", O_RDONLY);
}

static void try_openat_of_a_directory(void)
{
    (void)!syscall(SYS_openat2, directory, "etc/passwd", NULL, 0);
}

static void try_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_fork(void)
{
    if (syscall(SYS_fork) == 0)
        _exit(0);
}

static void try_clone3(void)
{
    syscall(SYS_clone3, NULL, 0);
}

static void try_executable_memory(void)
{
    (void)!mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_making_memory_executable(void)
{
    mprotect(page, PAGE_SIZE, PROT_READ | PROT_EXEC);
}

static void try_pkey_mprotect(void)
{
    syscall(SYS_pkey_mprotect, page, PAGE_SIZE, PROT_EXEC, -1);
}

static void try_memfd(void)
{
    (void)!memfd_create("test", 0);
}

static void try_typing_into_the_terminal(void)
{
    ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void try_a_signal_to_another_process(void)
{
    syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void try_fs_base(void)
{
    syscall(SYS_arch_prctl, ARCH_SET_FS, 0);
}

static void try_another_filter(void)
{
    syscall(SYS_seccomp, 0, 0, NULL);
}

static void try_userfaultfd(void)
{
    syscall(SYS_userfaultfd, 0);
}

static void try_io_uring(void)
{
    syscall(SYS_io_uring_setup, 1, NULL);
}

static void try_reading_another_process(void)
{
    syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void try_chroot(void)
{
    (void)!chroot("/");
}

static void try_setuid(void)
{
    (void)!setuid(0);
}

/* getpid() of the 32-bit interface; its numbers mean other calls here. */
static void try_int80(void)
{
    long result = 20;

    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
}

/* write() with the bit that selects the x32 interface. */
static void try_x32(void)
{
    syscall(0x40000000 | SYS_write, STDERR_FILENO, "", 0);
}

static const struct attempt {
    const char *what;
    void (*make)(void);
    bool sanitizers; /* need it */
} attempts[] = {
    {"execve",                    try_execve,                      false},
    {"socket",                    try_socket,                      false},
    {"open",                      try_open,                        true },
    {"openat of a directory",     try_openat_of_a_directory,       false},
    {"ptrace",                    try_ptrace,                      true },
    {"fork",                      try_fork,                        false},
    {"clone3",                    try_clone3,                      false},
    {"mmap PROT_EXEC",            try_executable_memory,           false},
    {"mprotect PROT_EXEC",        try_making_memory_executable,    false},
    {"pkey_mprotect PROT_EXEC",   try_pkey_mprotect,               false},
    {"memfd_create",              try_memfd,                       false},
    {"ioctl TIOCSTI",             try_typing_into_the_terminal,    false},
    {"tgkill of another process", try_a_signal_to_another_process, false},
    {"arch_prctl ARCH_SET_FS",    try_fs_base,                     false},
    {"seccomp",                   try_another_filter,              false},
    {"userfaultfd",               try_userfaultfd,                 false},
    {"io_uring_setup",            try_io_uring,                    false},
    {"process_vm_readv",          try_reading_another_process,     false},
    {"chroot",                    try_chroot,                      false},
    {"setuid",                    try_setuid,                      false},
    {"int 80h",                   try_int80,                       false},
    {"x32",                       try_x32,                         false},
};

/* How a child ends that does this inside the sandbox. */
static int end_of(void (*make)(void))
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (sandbox_enter() != 0)
            _exit(99);
        make();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void setup(void)
{
    page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    directory = open("/", O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(directory, 0);
}

static void teardown(void)
{
    close(directory);
    munmap(page, PAGE_SIZE);
}

START_TEST(a_call_that_no_guest_needs_kills)
{
    const struct attempt *attempt = &attempts[_i];
    int status;

    if (IS_SANITIZED && attempt->sanitizers)
        return;
    status = end_of(attempt->make);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
                  "%s: status %#x", attempt->what, (unsigned)status);
}
END_TEST

static void need(bool condition, int code)
{
    if (!condition)
        _exit(code);
}

static void on_signal(int number)
{
    (void)number;
}

/* What popf does between two instructions of a guest, and when it ends. */
static void use_what_is_left(void)
{
    struct timespec now;
    struct termios mode;
    char *data = malloc(16);
    time_t day = 86400;
    struct tm tm;

    need(mprotect(page, PAGE_SIZE, PROT_READ) == 0, 1);
    need(mmap(page, PAGE_SIZE, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page,
         2);
    need(madvise(page, PAGE_SIZE, MADV_DONTNEED) == 0, 3);
    data = realloc(data, 4 * MIB);
    need(data != NULL, 4);
    data = realloc(data, 16 * MIB);
    need(data != NULL, 5);
    free(data);
    need(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0, 6);
    need(gmtime_r(&day, &tm) != NULL, 7);
    (void)!tcgetattr(STDIN_FILENO, &mode);
    (void)!tcgetpgrp(STDIN_FILENO);
    signal(SIGUSR1, on_signal);
    need(raise(SIGUSR1) == 0, 8);
    fprintf(stderr, "%s", "");
}

START_TEST(what_a_running_guest_needs_is_left)
{
    int status = end_of(use_what_is_left);

    ck_assert_msg(status == 0, "status %#x", (unsigned)status);
}
END_TEST

/* Opened, and so made out, for this process; read when it is restricted. */
static void check_status(int file)
{
    char text[4096];
    ssize_t len = pread(file, text, sizeof(text) - 1, 0);

    need(len > 0, 1);
    text[len] = '\0';
    need(strstr(text, "\nSeccomp:\t2\n") != NULL, 2);
    need(strstr(text, "\nNoNewPrivs:\t1\n") != NULL, 3);
    need(strstr(text, "\nCapEff:\t0000000000000000\n") != NULL, 4);
    need(strstr(text, "\nCapPrm:\t0000000000000000\n") != NULL, 5);
}

START_TEST(the_kernel_says_so)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        int file = open("/proc/self/status", O_RDONLY);

        need(file >= 0 && sandbox_enter() == 0, 99);
        check_status(file);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %#x", (unsigned)status);
}
END_TEST

static void look_for_the_directory(void)
{
    struct stat st;

    need(fstat(directory, &st) < 0 && errno == EBADF, 1);
}

START_TEST(no_directory_stays_open)
{
    ck_assert_int_eq(end_of(look_for_the_directory), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tcase = tcase_create("calls");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_call_that_no_guest_needs_kills, 0,
                        (int)ARRAY_COUNT(attempts));
    tcase_add_test(tcase, what_a_running_guest_needs_is_left);
    tcase_add_test(tcase, the_kernel_says_so);
    tcase_add_test(tcase, no_directory_stays_open);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
