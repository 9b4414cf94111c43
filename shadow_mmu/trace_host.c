/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* syscall */
#include "shadow_mmu/trace.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shadow_mmu/mmu_priv.h"

/*
 * Write protection by userfaultfd. Nobody reads the descriptor: with
 * UFFD_FEATURE_SIGBUS a store to a protected page is a SIGBUS of the thread
 * that stores. The protection is kept in the host's page-table entry (or in a
 * marker in its place), so that it outlives mprotect and reclaim; it goes with
 * the mapping.
 */

#define FEATURES (UFFD_FEATURE_SIGBUS | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

static struct uffdio_range range_of(const struct window *window, uint32_t page,
                                    uint32_t count)
{
    ENSURE(page + count <= WINDOW_PAGES);
    return (struct uffdio_range){window->base + ((uint64_t)page << PAGE_SHIFT),
                                 (uint64_t)count << PAGE_SHIFT};
}

/* A descriptor with what is needed, or -1. A container's filter, a kernel
 * without it and an old one all say so here. */
static int open_userfaultfd(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
    long fd =
        syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd < 0)
        return -1;
    if (ioctl((int)fd, UFFDIO_API, &api) != 0 ||
        (api.features & FEATURES) != FEATURES) {
        close((int)fd);
        return -1;
    }
    return (int)fd;
}

void trace_open(struct mmu *mmu, enum mmu_trace kind)
{
    trace_close(mmu);
    if (kind != MMU_TRACE_MPROTECT)
        mmu->uffd = open_userfaultfd();
}

void trace_close(struct mmu *mmu)
{
    ASSERT(mmu->vmas == 0);
    if (mmu->uffd >= 0)
        close(mmu->uffd);
    mmu->uffd = -1;
}

bool trace_register(struct mmu *mmu, const struct window *window, uint32_t page,
                    uint32_t count)
{
    struct uffdio_register arg = {.range = range_of(window, page, count),
                                  .mode = UFFDIO_REGISTER_MODE_WP};
    return ioctl(mmu->uffd, UFFDIO_REGISTER, &arg) == 0 &&
           (arg.ioctls & BIT64(_UFFDIO_WRITEPROTECT));
}

bool trace_protect(struct mmu *mmu, const struct window *window, uint32_t page,
                   uint32_t count, bool on)
{
    struct uffdio_writeprotect arg = {
        .range = range_of(window, page, count),
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP
                   : UFFDIO_WRITEPROTECT_MODE_DONTWAKE};
    return ioctl(mmu->uffd, UFFDIO_WRITEPROTECT, &arg) == 0;
}
