/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* MAP_FIXED_NOREPLACE */
#include "shadow_mmu/mmu_priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

/*
 * Windows lie in an area of host addresses that nothing else uses: far below
 * where the kernel places mappings, and left empty, for a PROT_NONE reservation
 * would cost a split for every fill. A VM claims an area by a page at its
 * start; the windows follow 8 GiB apart, so that 4 GiB of nothing guard each
 * side of each.
 *
 *   area          area + 4 GiB       area + 12 GiB
 *   | claim ...   | kernel window |  | user window 1 |  ...
 */

#define AREA_FIRST     0x200000000000ull
#define AREA_LEN       (512 * GIB)
#define AREA_COUNT     64u
#define WINDOW_STRIDE  (2 * WINDOW_LEN)
#define POPULATE_PAGES 16u /* populated around the fault in a longer run */
#define SHORT_RUN      64u /* runs up to this are populated whole */
#define VMA_RESERVE    8192u
#define VMA_DEFAULT    65530u
#define VMA_MIN        64u /* with less, one instruction's pages may not fit */

_Static_assert((WINDOW_COUNT + 1) * WINDOW_STRIDE <= AREA_LEN,
               "the windows fit into an area");

static void *host_address(const struct window *window, uint32_t page)
{
    return (void *)(uintptr_t)(window->base + ((uint64_t)page << PAGE_SHIFT));
}

int window_area_claim(struct mmu *mmu)
{
    for (unsigned i = 0; i < AREA_COUNT; i++) {
        void *area = (void *)(uintptr_t)(AREA_FIRST + i * AREA_LEN);
        void *got = mmap(area, AREA_LEN, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                             MAP_FIXED_NOREPLACE,
                         -1, 0);
        if (got == MAP_FAILED)
            continue;
        /* Kernels before 4.17 take the address as a hint. */
        if (got != area) {
            munmap(got, AREA_LEN);
            continue;
        }
        munmap((char *)area + PAGE_SIZE, AREA_LEN - PAGE_SIZE);
        mmu->area = (uintptr_t)area;
        for (uint32_t w = 0; w < WINDOW_COUNT; w++)
            mmu->window[w].base = mmu->area + WINDOW_LEN + w * WINDOW_STRIDE;
        return 0;
    }
    return -ENOMEM;
}

void window_area_release(struct mmu *mmu)
{
    if (mmu->area != 0)
        munmap((void *)(uintptr_t)mmu->area, AREA_LEN);
    mmu->area = 0;
}

unsigned window_vma_budget(void)
{
    unsigned limit = VMA_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%u", &limit) != 1)
            limit = VMA_DEFAULT;
        fclose(file);
    }
    limit = limit > 2 * VMA_RESERVE ? limit - VMA_RESERVE : limit / 2;
    return limit > VMA_MIN ? limit : VMA_MIN;
}

static bool is_watched(const struct mmu *mmu, const struct window *window,
                       uint32_t page)
{
    return window->region[page >> region_shift(mmu)].watched;
}

/* Whether the kernel has merged the mappings of a page and the one before. */
static bool is_merged(const struct mmu *mmu, const struct window *window,
                      uint32_t page, struct spte a, struct spte b)
{
    if ((page & (BIT(region_shift(mmu)) - 1)) == 0 && page != 0 &&
        is_watched(mmu, window, page - 1) != is_watched(mmu, window, page))
        return false;
    const uint32_t kind = SPTE_MAPPED | SPTE_WRITE;
    return (a.v & SPTE_MAPPED) && (a.v & kind) == (b.v & kind) &&
           (a.v >> PAGE_SHIFT) + 1 == b.v >> PAGE_SHIFT;
}

unsigned window_count_vmas(const struct mmu *mmu, const struct window *window,
                           uint32_t first, uint32_t count)
{
    unsigned begins = 0;
    struct spte before = {0};
    if (first > 0)
        before = window_spte(window, first - 1);
    for (uint32_t page = first; page <= first + count && page < WINDOW_PAGES;
         page++) {
        struct spte spte = window_spte(window, page);
        if ((spte.v & SPTE_MAPPED) &&
            !is_merged(mmu, window, page, before, spte))
            begins++;
        before = spte;
    }
    return begins;
}

void window_book(struct mmu *mmu, struct window *window, unsigned before,
                 unsigned after)
{
    window->vmas += after - before;
    mmu->vmas += after - before;
    mmu->vcpu->stats->count[STAT_VMAS] = mmu->vmas;
}

/* Have the host's page tables filled around the page that faulted, so that the
 * retried access and its neighbours take no host fault. A hint. */
static void populate(const struct window *window, const struct run *run)
{
    uint32_t first = run->touch & ~(POPULATE_PAGES - 1);
    uint32_t end = first + POPULATE_PAGES;
    if (first < run->page)
        first = run->page;
    if (end > run->page + run->count)
        end = run->page + run->count;
    (void)madvise(host_address(window, first),
                  (size_t)(end - first) << PAGE_SHIFT,
                  run->write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

/* No core dump shows the window's copy of RAM, and no child inherits it. */
static bool keep_private(void *at, size_t len)
{
    return madvise(at, len, MADV_DONTDUMP) == 0 &&
           madvise(at, len, MADV_DONTFORK) == 0;
}

bool window_map(struct mmu *mmu, struct window *window, const struct run *run)
{
    ENSURE(run->count > 0 && run->page + run->count <= WINDOW_PAGES);
    uint64_t offset = 0, last = 0;
    ENSURE(gmem_lookup(mmu->gmem, run->gfn, NULL, &offset) != GMEM_NONE);
    ENSURE(gmem_lookup(mmu->gmem, run->gfn + run->count - 1, NULL, &last) !=
           GMEM_NONE);
    ENSURE(last - offset == (uint64_t)(run->count - 1) << PAGE_SHIFT);
    int flags = MAP_SHARED | MAP_FIXED;
    if (run->count <= SHORT_RUN)
        flags |= MAP_POPULATE;
    const size_t len = (size_t)run->count << PAGE_SHIFT;
    void *want = host_address(window, run->page);
    void *got = mmap(want, len, run->write ? PROT_READ | PROT_WRITE : PROT_READ,
                     flags, gmem_fd(mmu->gmem), (off_t)offset);
    if (got != want || !keep_private(got, len))
        return false;
    if (run->count > SHORT_RUN)
        populate(window, run);
    return true;
}

bool window_protect(struct window *window, uint32_t page, uint32_t count,
                    bool write)
{
    ENSURE(page + count <= WINDOW_PAGES);
    return mprotect(host_address(window, page), (size_t)count << PAGE_SHIFT,
                    write ? PROT_READ | PROT_WRITE : PROT_READ) == 0;
}

bool window_unmap(struct window *window, uint32_t page, uint32_t count)
{
    ENSURE(page + count <= WINDOW_PAGES);
    return munmap(host_address(window, page), (size_t)count << PAGE_SHIFT) == 0;
}
