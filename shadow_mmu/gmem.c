/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create, SEEK_DATA, MADV_REMOVE */
#include "shadow_mmu/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The memfd is [RAM][firmware area]: frame gfn of RAM is at gfn * 4096, and the
 * 16 MiB of guest-physical space below 4 GiB follow RAM. It is sparse, so what
 * the guest never touches costs nothing.
 */

#define MAP_FRAMES    BIT(20) /* frames below 4 GiB */
#define RAM_MAX       (3 * GIB)
#define FIRMWARE_LEN  (16 * MIB)
#define FIRMWARE_GFN  (MAP_FRAMES - FIRMWARE_LEN / PAGE_SIZE)
#define VGA_GFN       0xa0u
#define VGA_GFN_COUNT 0x20u

struct gmem {
    int fd;
    uint8_t *base;        /* read-write mapping of the whole memfd */
    uint64_t ram_len;     /* bytes */
    uint64_t fd_len;      /* bytes: RAM and firmware area */
    uint64_t version;     /* bumped by every change of kind */
    gfn_t frame_count;    /* frames of RAM */
    uint8_t *frame_flags; /* FRAME_*, frame_count bytes */
    uint8_t kind[MAP_FRAMES];
};

static bool has_bytes(const struct gmem *gmem, gfn_t gfn)
{
    return gfn < gmem->frame_count || (gfn >= FIRMWARE_GFN && gfn < MAP_FRAMES);
}

static uint64_t frame_offset(const struct gmem *gmem, gfn_t gfn)
{
    if (gfn < gmem->frame_count)
        return gfn << PAGE_SHIFT;
    return gmem->ram_len + ((gfn - FIRMWARE_GFN) << PAGE_SHIFT);
}

/* A sparse file of zeroes, and a mapping of all of it. */
static int create_memfd(const char *name, uint64_t len, int *fd, uint8_t **base)
{
    *fd = memfd_create(name, MFD_CLOEXEC);
    if (*fd < 0)
        return -errno;
    if (ftruncate(*fd, (off_t)len) != 0)
        return -errno;
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *base = map;
    /* RAM in a core dump is gigabytes, and nobody else's business. */
    if (madvise(map, len, MADV_DONTDUMP) != 0 ||
        madvise(map, len, MADV_DONTFORK) != 0)
        return -errno;
    return 0;
}

int gmem_create(struct gmem **out, uint64_t ram_len)
{
    if (ram_len < MIB || ram_len > RAM_MAX || (ram_len & PAGE_MASK) != 0)
        return -EINVAL;
    struct gmem *gmem = calloc(1, sizeof(*gmem));
    if (gmem == NULL)
        return -ENOMEM;
    gmem->fd = -1;
    gmem->ram_len = ram_len;
    gmem->fd_len = ram_len + FIRMWARE_LEN;
    gmem->frame_count = ram_len >> PAGE_SHIFT;
    gmem->frame_flags = calloc(1, gmem->frame_count);
    int error = 0;
    if (gmem->frame_flags == NULL)
        error = -ENOMEM;
    else
        error = create_memfd("popf-ram", gmem->fd_len, &gmem->fd, &gmem->base);
    if (error != 0) {
        gmem_destroy(gmem);
        return error;
    }
    memset(gmem->kind, GMEM_RAM, gmem->frame_count);
    memset(gmem->kind + VGA_GFN, GMEM_NONE, VGA_GFN_COUNT);
    *out = gmem;
    return 0;
}

void gmem_destroy(struct gmem *gmem)
{
    if (gmem == NULL)
        return;
    if (gmem->base != NULL)
        munmap(gmem->base, gmem->fd_len);
    if (gmem->fd >= 0)
        close(gmem->fd);
    free(gmem->frame_flags);
    free(gmem);
}

void gmem_set_dump(struct gmem *gmem, bool on)
{
    (void)madvise(gmem->base, gmem->fd_len, on ? MADV_DODUMP : MADV_DONTDUMP);
}

int gmem_fd(const struct gmem *gmem)
{
    return gmem->fd;
}

uint8_t *gmem_base(const struct gmem *gmem)
{
    return gmem->base;
}

uint64_t gmem_ram_len(const struct gmem *gmem)
{
    return gmem->ram_len;
}

enum gmem_kind gmem_lookup(const struct gmem *gmem, gfn_t gfn, uint8_t **hva,
                           uint64_t *offset)
{
    if (gfn >= MAP_FRAMES || gmem->kind[gfn] == GMEM_NONE)
        return GMEM_NONE;
    uint64_t at = frame_offset(gmem, gfn);
    ENSURE(at < gmem->fd_len);
    if (hva != NULL)
        *hva = gmem->base + at;
    if (offset != NULL)
        *offset = at;
    return (enum gmem_kind)gmem->kind[gfn];
}

static bool can_be(const struct gmem *gmem, gfn_t gfn, enum gmem_kind kind)
{
    switch (kind) {
    case GMEM_NONE: return true;
    case GMEM_RAM: return gfn < gmem->frame_count;
    case GMEM_ROM: return has_bytes(gmem, gfn);
    }
    UNREACHABLE();
}

int gmem_set_kind(struct gmem *gmem, gfn_t first, gfn_t count,
                  enum gmem_kind kind)
{
    if (first >= MAP_FRAMES || count > MAP_FRAMES - first)
        return -EINVAL;
    for (gfn_t gfn = first; gfn < first + count; gfn++) {
        if (!can_be(gmem, gfn, kind))
            return -EINVAL;
    }
    memset(gmem->kind + first, (int)kind, count);
    gmem->version++;
    return 0;
}

uint64_t gmem_version(const struct gmem *gmem)
{
    return gmem->version;
}

uint8_t *gmem_frame_flags(struct gmem *gmem)
{
    return gmem->frame_flags;
}

gfn_t gmem_frame_count(const struct gmem *gmem)
{
    return gmem->frame_count;
}

/* Whether every frame of the range is RAM, or ROM where that is allowed. */
static bool is_backed(const struct gmem *gmem, gpa_t gpa, size_t len, bool rom)
{
    const gpa_t end = (gpa_t)MAP_FRAMES << PAGE_SHIFT;
    if (gpa >= end || len > end - gpa)
        return false;
    for (gfn_t gfn = gpa >> PAGE_SHIFT; (gfn << PAGE_SHIFT) < gpa + len;
         gfn++) {
        if (gmem->kind[gfn] == GMEM_NONE ||
            (gmem->kind[gfn] == GMEM_ROM && !rom))
            return false;
    }
    return true;
}

/* RAM and the firmware area are apart in the memfd as in the map, and a backed
 * range lies in one of them, so it is contiguous. */
static uint8_t *range_hva(const struct gmem *gmem, gpa_t gpa)
{
    return gmem->base + frame_offset(gmem, gpa >> PAGE_SHIFT) +
           (gpa & PAGE_MASK);
}

int gmem_read(const struct gmem *gmem, gpa_t gpa, void *data, size_t len)
{
    if (!is_backed(gmem, gpa, len, true))
        return -EFAULT;
    if (len != 0)
        memcpy(data, range_hva(gmem, gpa), len);
    return 0;
}

static int copy_in(struct gmem *gmem, gpa_t gpa, const void *data, size_t len,
                   bool rom)
{
    if (!is_backed(gmem, gpa, len, rom))
        return -EFAULT;
    if (len != 0)
        memcpy(range_hva(gmem, gpa), data, len);
    return 0;
}

int gmem_write(struct gmem *gmem, gpa_t gpa, const void *data, size_t len)
{
    return copy_in(gmem, gpa, data, len, false);
}

int gmem_load(struct gmem *gmem, gpa_t gpa, const void *data, size_t len)
{
    return copy_in(gmem, gpa, data, len, true);
}

/* ---- Images ---- */

struct gmem_image {
    int fd;
    uint8_t *base;
    uint64_t fd_len;
    uint8_t kind[MAP_FRAMES];
};

/* Copy what is not in a hole of the file that from is a mapping of. */
static void copy_data(uint8_t *to, const uint8_t *from, int from_fd,
                      uint64_t len)
{
    off_t at = lseek(from_fd, 0, SEEK_DATA);

    while (at >= 0 && (uint64_t)at < len) {
        off_t end = lseek(from_fd, at, SEEK_HOLE);

        if (end < 0 || (uint64_t)end > len)
            end = (off_t)len;
        memcpy(to + at, from + at, (size_t)(end - at));
        at = lseek(from_fd, end, SEEK_DATA);
    }
}

void gmem_image_destroy(struct gmem_image *image)
{
    if (image == NULL)
        return;
    if (image->base != NULL)
        munmap(image->base, image->fd_len);
    if (image->fd >= 0)
        close(image->fd);
    free(image);
}

int gmem_save(const struct gmem *gmem, struct gmem_image **out)
{
    struct gmem_image *image = calloc(1, sizeof(*image));

    if (image == NULL)
        return -ENOMEM;
    image->fd_len = gmem->fd_len;
    int error =
        create_memfd("popf-image", image->fd_len, &image->fd, &image->base);
    if (error != 0) {
        gmem_image_destroy(image);
        return error;
    }
    memcpy(image->kind, gmem->kind, sizeof(image->kind));
    copy_data(image->base, gmem->base, gmem->fd, gmem->fd_len);
    *out = image;
    return 0;
}

int gmem_restore(struct gmem *gmem, const struct gmem_image *image)
{
    if (image->fd_len != gmem->fd_len)
        return -EINVAL;
    if (madvise(gmem->base, gmem->fd_len, MADV_REMOVE) != 0)
        return -errno;
    copy_data(gmem->base, image->base, image->fd, image->fd_len);
    memcpy(gmem->kind, image->kind, sizeof(gmem->kind));
    gmem->version++;
    return 0;
}
