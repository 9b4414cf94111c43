/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/sandbox.h"

#include <asm/prctl.h>
#include <asm/termbits.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The guest is hostile, and so is what it could make of a bug of popf's. What is
 * left to such a guest is what the list below allows: memory without execute
 * permission, the files that are already open, the terminal's modes, the timer.
 *
 *   1. libraries do now what they would do at their first use;
 *   2. directories that were inherited are closed: openat() is not allowed
 *      anyway, but fchdir() and kin might be one day;
 *   3. capabilities, which only root has, are dropped;
 *   4. the filter is loaded, which sets no_new_privs as well.
 *
 * The list was read off the code and checked by strace over the whole test suite
 * (docs/HACKING.md says how to find a call that it lacks). A path that is only
 * taken when something fails belongs on it as well.
 */

/* Allowed whatever the arguments. */
static const int calls[] = {
    /* memory; mmap and mprotect are below */
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), /* realloc() */
    SCMP_SYS(munmap),
    /* open files */
    SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(lseek),
    SCMP_SYS(newfstatat), /* fstat() of glibc 2.33 and later: stdio */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev),
    /* signals */
    SCMP_SYS(restart_syscall), /* ppoll() behind SIGCONT */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    /* time; the vDSO may fall back to a call */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(timer_delete), SCMP_SYS(timer_settime),
    /* the process itself */
    SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(getpgrp),                     /* is popf in the foreground? */
    SCMP_SYS(getpid), SCMP_SYS(getrandom), /* json-c's hash tables */
    SCMP_SYS(gettid), SCMP_SYS(sysinfo),   /* qsort() of glibc before 2.37 */
};

/* What reports of the sanitizers and the leak checker need. A build with them
 * is for tests, not for hostile guests. */
#ifdef __SANITIZE_ADDRESS__
#    define IS_SANITIZED true
#else
#    define IS_SANITIZED false
#endif
static const int sanitizer_calls[] = {
    SCMP_SYS(access),      SCMP_SYS(clone),
    SCMP_SYS(dup),         SCMP_SYS(dup2),
    SCMP_SYS(futex),       SCMP_SYS(getdents),
    SCMP_SYS(getdents64),  SCMP_SYS(getppid),
    SCMP_SYS(getrlimit),   SCMP_SYS(getuid),
    SCMP_SYS(kill),        SCMP_SYS(lstat),
    SCMP_SYS(nanosleep),   SCMP_SYS(open),
    SCMP_SYS(openat),      SCMP_SYS(pipe),
    SCMP_SYS(prctl),       SCMP_SYS(prlimit64),
    SCMP_SYS(ptrace),      SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),  SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
    SCMP_SYS(stat),        SCMP_SYS(tkill),
    SCMP_SYS(uname),       SCMP_SYS(wait4),
};

/* ioctl(2) by its request: modes of the terminal, and userfaultfd's. */
static const unsigned long requests[] = {
    TCGETS,
    TCSETS,
    TCSETSW,
    TCSETSF,
    TCGETS2,
    TCSETS2,
    TCSETSW2,
    TCSETSF2,
    TIOCGPGRP,
    UFFDIO_REGISTER,
    UFFDIO_UNREGISTER,
    UFFDIO_WAKE,
#ifdef UFFDIO_WRITEPROTECT
    UFFDIO_WRITEPROTECT,
#endif
#ifdef UFFDIO_CONTINUE
    UFFDIO_CONTINUE,
#endif
};

/* ---- What comes before the filter ---- */

/* RTC time goes through gmtime_r(), which reads the time zone's file once. */
static void settle_libraries(void)
{
    tzset();
}

static void close_directory(int fd)
{
    struct stat st;

    if (fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        close(fd);
}

#define BLIND_FDS 1024 /* looked at where /proc is not mounted */

static void close_directories(void)
{
    DIR *list = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (list == NULL) {
        for (int fd = 0; fd < BLIND_FDS; fd++)
            close_directory(fd);
        return;
    }
    while ((entry = readdir(list)) != NULL) {
        int fd = atoi(entry->d_name);

        if (fd != dirfd(list))
            close_directory(fd);
    }
    closedir(list);
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    /* Cannot fail: any process may give up what it has. */
    (void)syscall(SYS_capset, &header, none);
}

/* ---- The filter ---- */

#define RESERVE_PIECES    16u
#define RESERVE_PIECE_LEN (64u * KIB) /* below malloc()'s threshold of mmap() */

static int allow_all(scmp_filter_ctx filter, const int *list, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, list[i], 0);
    return error;
}

/* Allow a call when one of its arguments, masked, has a value. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned argument,
                    uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, call, 1,
        SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value));
}

static int allow_calls(scmp_filter_ctx filter)
{
    const uint64_t low = UINT32_MAX; /* an int; the rest is undefined */
    int error = allow_all(filter, calls, ARRAY_COUNT(calls));

    if (error == 0 && IS_SANITIZED)
        error =
            allow_all(filter, sanitizer_calls, ARRAY_COUNT(sanitizer_calls));
    for (size_t i = 0; i < ARRAY_COUNT(requests) && error == 0; i++)
        error = allow_if(filter, SCMP_SYS(ioctl), 1, low, requests[i]);
    if (error == 0)
        error = allow_if(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
    if (error == 0)
        error = allow_if(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    if (error == 0)
        error = allow_if(filter, SCMP_SYS(tgkill), 0, low, (uint64_t)getpid());
    if (error == 0)
        error = allow_if(filter, SCMP_SYS(arch_prctl), 0, low, ARCH_SET_GS);
    return error;
}

/* SSB: kernels before 5.16 would otherwise turn the mitigation of speculative
 * store bypass on for a process with a filter. The optimized form is a binary
 * tree, so that a call at the end of the list is not the dearest. */
static int set_attributes(scmp_filter_ctx filter)
{
    static const struct {
        enum scmp_filter_attr name;
        uint32_t value;
    } attributes[] = {
        {SCMP_FLTATR_ACT_BADARCH,  SCMP_ACT_KILL_PROCESS},
        {SCMP_FLTATR_CTL_NNP,      1                    },
        {SCMP_FLTATR_CTL_SSB,      1                    },
        {SCMP_FLTATR_CTL_OPTIMIZE, 2                    },
    };
    int error = 0;

    for (size_t i = 0; i < ARRAY_COUNT(attributes) && error == 0; i++)
        error =
            seccomp_attr_set(filter, attributes[i].name, attributes[i].value);
    return error;
}

/* libseccomp 2.5 does not survive a malloc() that fails while it makes a filter
 * (it hangs, or leaves rules out). So what it takes, some 150 KiB, is made sure
 * of in advance: allocated, and given back to the heap, which keeps it. */
static bool reserve_memory(void)
{
    void *piece[RESERVE_PIECES];
    unsigned count = 0;

    mallopt(M_TRIM_THRESHOLD, 2 * RESERVE_PIECES * RESERVE_PIECE_LEN);
    while (count < RESERVE_PIECES &&
           (piece[count] = malloc(RESERVE_PIECE_LEN)) != NULL)
        count++;
    for (unsigned i = 0; i < count; i++)
        free(piece[i]);
    return count == RESERVE_PIECES;
}

static int load_filter(void)
{
    scmp_filter_ctx filter =
        reserve_memory() ? seccomp_init(SCMP_ACT_KILL_PROCESS) : NULL;

    if (filter == NULL)
        return -ENOMEM;
    int error = set_attributes(filter);
    if (error == 0)
        error = allow_calls(filter);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

int sandbox_enter(void)
{
    settle_libraries();
    close_directories();
    drop_capabilities();
    return load_filter();
}

bool sandbox_start(const struct config *config)
{
    int error = config->sandbox ? sandbox_enter() : 0;

    if (error != 0)
        fprintf(stderr,
                "popf: could not enter the sandbox: %s "
                "(-sandbox off runs without it)\n",
                strerror(-error));
    return error == 0;
}
