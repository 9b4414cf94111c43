/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Preloaded into popf: lets calls that acquire something of the host fail.
 *
 *   FAIL_CALLS  comma-separated: malloc, mmap, mprotect, munmap, memfd,
 *               ftruncate, madvise, ioctl
 *   FAIL_AT     the number of the first such call that fails, from 0
 *   FAIL_COUNT  how many fail from there on
 *   FAIL_EVERY  1 in so many of those (1)
 *   FAIL_MAPS   what /proc/sys/vm/max_map_count is to say
 *
 * At the end the number of calls seen is written to the file descriptor
 * FAIL_REPORT. malloc is calloc, realloc and aligned_alloc as well.
 */
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *memory, size_t len);
void *__libc_memalign(size_t alignment, size_t len);

static const char *const names[] = {"malloc", "mmap",      "mprotect", "munmap",
                                    "memfd",  "ftruncate", "madvise",  "ioctl"};
enum call { MALLOC, MMAP, MPROTECT, MUNMAP, MEMFD, FTRUNCATE, MADVISE, IOCTL };

static unsigned long first = ~0ul;
static unsigned long count;
static unsigned long every = 1;
static unsigned long seen;
static unsigned chosen;
static bool started;

static unsigned long number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    const char *list = getenv("FAIL_CALLS");

    for (unsigned i = 0; list != NULL && i < sizeof(names) / sizeof(*names);
         i++)
        if (strstr(list, names[i]) != NULL)
            chosen |= 1u << i;
    first = number("FAIL_AT", ~0ul);
    count = number("FAIL_COUNT", 1);
    every = number("FAIL_EVERY", 1);
    started = true;
}

__attribute__((destructor)) static void end(void)
{
    char digits[24];
    size_t at = sizeof(digits);
    int fd = (int)number("FAIL_REPORT", 0);

    do
        digits[--at] = (char)('0' + seen % 10);
    while ((seen /= 10) != 0);
    if (fd != 0)
        (void)!write(fd, digits + at, sizeof(digits) - at);
}

/* libseccomp does not survive failures; popf reserves memory for it, and a test
 * with small limits of the address space shows that this is enough. */
static bool is_exempt(const void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
           strstr(info.dli_fname, "libseccomp") != NULL;
}

static bool fails(enum call call)
{
    if (!started || !(chosen & 1u << call))
        return false;
    unsigned long at = seen++;
    bool in_range = at >= first && at - first < count;

    if (!in_range || (at - first) % every != 0)
        return false;
    errno = ENOMEM;
    return true;
}

static bool malloc_fails(const void *caller)
{
    return started && (chosen & 1u << MALLOC) && !is_exempt(caller) &&
           fails(MALLOC);
}

void *malloc(size_t len)
{
    return malloc_fails(__builtin_return_address(0)) ? NULL
                                                     : __libc_malloc(len);
}

void *calloc(size_t members, size_t len)
{
    return malloc_fails(__builtin_return_address(0))
               ? NULL
               : __libc_calloc(members, len);
}

void *realloc(void *memory, size_t len)
{
    return malloc_fails(__builtin_return_address(0))
               ? NULL
               : __libc_realloc(memory, len);
}

void *aligned_alloc(size_t alignment, size_t len)
{
    return malloc_fails(__builtin_return_address(0))
               ? NULL
               : __libc_memalign(alignment, len);
}

void *mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fails(MMAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, len, prot, flags, fd, offset);
}

int mprotect(void *address, size_t len, int prot)
{
    return fails(MPROTECT) ? -1
                           : (int)syscall(SYS_mprotect, address, len, prot);
}

int munmap(void *address, size_t len)
{
    return fails(MUNMAP) ? -1 : (int)syscall(SYS_munmap, address, len);
}

int memfd_create(const char *name, unsigned flags)
{
    return fails(MEMFD) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

int ftruncate(int fd, off_t len)
{
    return fails(FTRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int madvise(void *address, size_t len, int advice)
{
    return fails(MADVISE) ? -1
                          : (int)syscall(SYS_madvise, address, len, advice);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails(IOCTL) ? -1 : (int)syscall(SYS_ioctl, fd, request, argument);
}

FILE *fopen(const char *path, const char *mode)
{
    static FILE *(*real)(const char *, const char *);
    char *maps = getenv("FAIL_MAPS");

    if (maps != NULL && strcmp(path, "/proc/sys/vm/max_map_count") == 0)
        return fmemopen(maps, strlen(maps), mode);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    return real(path, mode);
}
