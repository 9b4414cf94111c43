/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cache/mcode.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int mcode_init(struct mcode *mcode, size_t len)
{
    size_t rounded = (len + PAGE_MASK) & ~(size_t)PAGE_MASK;
    int fd = memfd_create("popf-code", MFD_CLOEXEC);
    uint8_t *rx;
    uint8_t *rw;
    int err;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)rounded) < 0)
        goto fail_fd;
    rw = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (rw == MAP_FAILED)
        goto fail_fd;
    rx = mmap(NULL, rounded, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (rx == MAP_FAILED)
        goto fail_rw;
    close(fd);
    *mcode = (struct mcode){.rx = rx, .rw = rw, .len = rounded};
    return 0;

fail_rw:
    err = -errno;
    munmap(rw, rounded);
    close(fd);
    return err;
fail_fd:
    err = -errno;
    close(fd);
    return err;
}

void mcode_fini(struct mcode *mcode)
{
    if (!mcode->len)
        return;
    munmap(mcode->rx, mcode->len);
    munmap(mcode->rw, mcode->len);
    mcode->len = 0;
}

void mcode_patch_jmp(const struct mcode *mcode, uint64_t rx, uint64_t target)
{
    *mcode_rw(mcode, rx) = 0xe9;
    mcode_patch_rel32(mcode, rx + 1, target);
}

void mcode_patch_rel32(const struct mcode *mcode, uint64_t rx, uint64_t target)
{
    uint32_t rel = (uint32_t)(target - (rx + 4));
    uint8_t *at = mcode_rw(mcode, rx);

    ENSURE(mcode_contains(mcode, rx + 3));
    at[0] = (uint8_t)rel;
    at[1] = (uint8_t)(rel >> 8);
    at[2] = (uint8_t)(rel >> 16);
    at[3] = (uint8_t)(rel >> 24);
}
