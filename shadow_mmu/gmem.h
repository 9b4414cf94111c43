/* SPDX-License-Identifier: MIT */
#ifndef SHADOW_MMU_GMEM_H
#define SHADOW_MMU_GMEM_H

/*
 * PURPOSE: guest-physical memory: one memfd that holds RAM and ROM, the map of
 * guest-physical space onto it, and one flag byte per frame.
 *
 * The map is one byte per frame below 4 GiB: RAM, ROM or hole; every change
 * bumps its version. RAM lies at guest-physical 0 up to its size (at most
 * 3 GiB, below the PCI hole), with the hole A0000h-BFFFFh (VGA) punched into
 * it. C0000h-FFFFFh is RAM until firmware is loaded: gmem_set_kind() makes it
 * ROM over the same bytes. The 16 MiB below 4 GiB are a hole that has bytes of
 * its own, for the firmware that ends at 4 GiB. Unmapped space is MMIO.
 */
#include "monitor/base.h"

struct gmem;

/* Reserve ram_len bytes (page multiple, 1 MiB to 3 GiB). 0, or -errno with
 * *out untouched. */
MUST_CHECK int gmem_create(struct gmem **out, uint64_t ram_len);
void gmem_destroy(struct gmem *gmem);

/* Whether a core dump of the process has the memory in it (no). */
void gmem_set_dump(struct gmem *gmem, bool on);

/* The memfd, for mapping frames into windows: frame gfn is at offset
 * given by gmem_lookup(). Read-write mapping of the whole memfd: gmem_base(). */
int gmem_fd(const struct gmem *gmem);
uint8_t *gmem_base(const struct gmem *gmem);
uint64_t gmem_ram_len(const struct gmem *gmem);

enum gmem_kind { GMEM_NONE, GMEM_RAM, GMEM_ROM };

/* What is at a frame; *hva (may be NULL) gets its bytes, *offset (may be NULL)
 * its place in the memfd. GMEM_NONE leaves both alone. */
enum gmem_kind gmem_lookup(const struct gmem *gmem, gfn_t gfn, uint8_t **hva,
                           uint64_t *offset);

/* Make the page range RAM, ROM or a hole of the VM's choosing. 0, or -EINVAL
 * where the memfd has no bytes for it, or for RAM above the end of RAM. The
 * caller flushes whatever cached a lookup. */
MUST_CHECK int gmem_set_kind(struct gmem *gmem, gfn_t first, gfn_t count,
                             enum gmem_kind kind);
uint64_t gmem_version(const struct gmem *gmem);

/* A copy of all memory and of the map. What was never touched costs nothing. */
struct gmem_image;

/* 0 or -errno with *out untouched. */
MUST_CHECK int gmem_save(const struct gmem *gmem, struct gmem_image **out);
void gmem_image_destroy(struct gmem_image *image);

/* Make gmem what was saved. -EINVAL when it has another size. The caller drops
 * what was derived from memory or map before. */
MUST_CHECK int gmem_restore(struct gmem *gmem, const struct gmem_image *image);

/* FRAME_* flags (monitor/vcpu.h) of each frame below gmem_frame_count();
 * the array is shared with the interpreter, which only reads it. */
uint8_t *gmem_frame_flags(struct gmem *gmem);
gfn_t gmem_frame_count(const struct gmem *gmem);

/* Bounded copies for loaders and devices; -EFAULT where there is no RAM, with
 * nothing copied. A read also takes ROM; gmem_load() also writes ROM. A
 * device's write goes through vm_dma_write(), which tells MMU and cache. */
MUST_CHECK int gmem_read(const struct gmem *gmem, gpa_t gpa, void *data,
                         size_t len);
MUST_CHECK int gmem_write(struct gmem *gmem, gpa_t gpa, const void *data,
                          size_t len);
MUST_CHECK int gmem_load(struct gmem *gmem, gpa_t gpa, const void *data,
                         size_t len);

#endif /* SHADOW_MMU_GMEM_H */
