/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* SEEK_DATA */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/lockstep_priv.h"

/*
 * Comparing two machines.
 *
 * Compared are the fields that make up a vcpu's state (monitor/vm_state.c): not
 * what an engine keeps for itself, and not exc, which is dead after its
 * delivery.
 *
 * A and D bits of page tables: an engine sets them when it walks the tables, and
 * how long it remembers a walk is its own affair (SDM 3A 4.10.2.2 "Caching
 * Translations in TLBs", 4.8 "Accessed and Dirty Flags"): a guest that clears
 * them has to invalidate before it relies on them. Where entries of a table in
 * use differ in nothing else, both get the bits that either has.
 *
 * RAM: each frame of the reference is flagged, so that the first store to it is
 * announced; its flag is cleared then, and set again by the comparison. Stores
 * that only the translator did are found by comparing all of RAM.
 */
/* seg up to tsc_stopped is one run of compared fields but for the padding. */
#define RUN_START offsetof(struct vcpu, seg)
#define RUN_LEN   (offsetof(struct vcpu, tsc_stopped) - RUN_START)

static bool is_run_equal(const struct vcpu *a, const struct vcpu *b)
{
    return !memcmp((const char *)a + RUN_START, (const char *)b + RUN_START,
                   RUN_LEN);
}

static bool are_fields_equal(const struct vcpu *a, const struct vcpu *b)
{
    bool run = is_run_equal(a, b);

    for (size_t i = 0; i < vcpu_state.field_count; i++) {
        const struct state_field *f = &vcpu_state.fields[i];

        if (f->kind != STATE_BYTES ||
            (run && f->offset >= RUN_START && f->offset < RUN_START + RUN_LEN))
            continue;
        if (memcmp((const char *)a + f->offset, (const char *)b + f->offset,
                   f->len) != 0)
            return false;
    }
    return true;
}

static bool are_streams_equal(const struct lockstep *ls)
{
    for (unsigned i = 0; i < LOCKSTEP_STREAMS; i++)
        if (ls->bt.stream[i].count != ls->ref.stream[i].count ||
            ls->bt.stream[i].hash != ls->ref.stream[i].hash)
            return false;
    return true;
}

/* ---- Page tables ---- */

#define ENTRY_P    BIT(0)
#define ENTRY_PS   BIT(7)
#define ENTRY_MARK (BIT(5) | BIT(6)) /* A, D */

/* The table's bytes in the reference's RAM; NULL when it is elsewhere. */
static const uint8_t *table_at(const struct lockstep *ls, gfn_t gfn)
{
    uint8_t *hva = NULL;

    gmem_lookup(ls->ref.vm->gmem, gfn, &hva, NULL);
    return hva;
}

/* Is the frame the directory pd or a page table that it names? */
static bool is_in_directory(const struct lockstep *ls, gfn_t pd, size_t width,
                            gfn_t gfn)
{
    const uint8_t *table = table_at(ls, pd);

    if (pd == gfn)
        return true;
    for (size_t at = 0; table != NULL && at < PAGE_SIZE; at += width) {
        uint64_t entry = 0;

        memcpy(&entry, table + at, width);
        if ((entry & (ENTRY_P | ENTRY_PS)) == ENTRY_P &&
            (entry << 12 >> 24) == gfn)
            return true;
    }
    return false;
}

static bool is_table_of(const struct lockstep *ls, uint32_t cr3, gfn_t gfn)
{
    const uint8_t *pdpt = table_at(ls, cr3 >> PAGE_SHIFT);

    if (!(ls->ref.vm->vcpu.cr4 & CR4_PAE))
        return is_in_directory(ls, cr3 >> PAGE_SHIFT, 4, gfn);
    for (size_t i = 0; pdpt != NULL && i < 4; i++) {
        uint64_t entry;

        memcpy(&entry, pdpt + (cr3 & 0xfe0) + i * 8, sizeof(entry));
        if ((entry & ENTRY_P) && is_in_directory(ls, entry << 12 >> 24, 8, gfn))
            return true;
    }
    return false;
}

static bool is_table(const struct lockstep *ls, gfn_t gfn)
{
    if (is_table_of(ls, ls->ref.vm->vcpu.cr3, gfn))
        return true;
    for (uint32_t i = 0; i < ls->root_count; i++)
        if (is_table_of(ls, ls->roots[i], gfn))
            return true;
    return false;
}

/* Make two pages equal that differ in A and D bits only. */
static bool reconcile(struct lockstep *ls, gfn_t gfn, uint8_t *a, uint8_t *b)
{
    for (size_t at = 0; at < PAGE_SIZE; at += 4) {
        uint32_t x, y;

        memcpy(&x, a + at, 4);
        memcpy(&y, b + at, 4);
        if (x != y && (!(x & ENTRY_P) || ((x ^ y) & ~ENTRY_MARK)))
            return false;
    }
    if (!is_table(ls, gfn))
        return false;
    for (size_t at = 0; at < PAGE_SIZE; at += 4) {
        uint32_t x, y;

        memcpy(&x, a + at, 4);
        memcpy(&y, b + at, 4);
        ls->counts.marks += x != y;
        x |= y;
        memcpy(a + at, &x, 4);
        memcpy(b + at, &x, 4);
    }
    return true;
}

static bool is_page_equal(struct lockstep *ls, gfn_t gfn, uint64_t offset)
{
    uint8_t *a = gmem_base(ls->bt.vm->gmem) + offset;
    uint8_t *b = gmem_base(ls->ref.vm->gmem) + offset;

    return memcmp(a, b, PAGE_SIZE) == 0 || reconcile(ls, gfn, a, b);
}

void lockstep_root(struct lockstep *ls)
{
    if (ls->root_count == ARRAY_COUNT(ls->roots))
        ls->root_count = 1;
    ls->roots[ls->root_count++] = ls->ref.vm->vcpu.cr3;
}

static bool are_pages_equal(struct lockstep *ls)
{
    for (uint32_t i = 0; i < ls->stored_count; i++) {
        uint64_t offset;
        uint8_t *hva;

        if (gmem_lookup(ls->ref.vm->gmem, ls->stored[i], &hva, &offset) !=
                GMEM_NONE &&
            !is_page_equal(ls, ls->stored[i], offset))
            return false;
    }
    return true;
}

static void forget_stored(struct lockstep *ls)
{
    uint8_t *flags = gmem_frame_flags(ls->ref.vm->gmem);

    for (uint32_t i = 0; i < ls->stored_count; i++)
        flags[ls->stored[i]] = FRAME_DIRTY;
    ls->counts.pages += ls->stored_count;
    ls->roots[0] = ls->ref.vm->vcpu.cr3;
    ls->root_count = 1;
    ls->stored_count = 0;
}

bool lockstep_compare(struct lockstep *ls)
{
    const struct vm *a = ls->bt.vm;
    const struct vm *b = ls->ref.vm;

    if (!are_fields_equal(&a->vcpu, &b->vcpu) || a->halted != b->halted ||
        a->stop.reason != b->stop.reason || a->stop.code != b->stop.code ||
        !are_streams_equal(ls) || !are_pages_equal(ls))
        return false;
    forget_stored(ls);
    ls->counts.compares[ls->mode]++;
    return true;
}

#define DATA_RUN 16u /* pages compared before holes are looked for again */

/* The next byte of the file that is not in a hole, from offset on. */
static uint64_t next_data(int fd, uint64_t offset)
{
    off_t next = lseek(fd, (off_t)offset, SEEK_DATA);

    return next < 0 ? UINT64_MAX : (uint64_t)next;
}

/* Frames that neither machine ever touched are holes of both files. */
bool lockstep_compare_ram(struct lockstep *ls)
{
    const struct gmem *a = ls->bt.vm->gmem;
    const struct gmem *b = ls->ref.vm->gmem;
    uint64_t len = gmem_ram_len(a);
    uint64_t at = 0;

    ls->counts.full++;
    while (at < len) {
        uint64_t data_a = next_data(gmem_fd(a), at);
        uint64_t data_b = next_data(gmem_fd(b), at);

        at = data_a < data_b ? data_a : data_b;
        if (at >= len)
            break;
        at &= ~(uint64_t)PAGE_MASK;
        for (unsigned i = 0; i < DATA_RUN && at < len; i++, at += PAGE_SIZE)
            if (!is_page_equal(ls, at >> PAGE_SHIFT, at))
                return false;
    }
    return true;
}

int lockstep_track_stores(struct lockstep *ls)
{
    struct gmem *gmem = ls->ref.vm->gmem;

    ls->stored = malloc(gmem_frame_count(gmem) * sizeof(*ls->stored));
    if (!ls->stored)
        return -ENOMEM;
    memset(gmem_frame_flags(gmem), FRAME_DIRTY, gmem_frame_count(gmem));
    return 0;
}

static void stored_frame(struct lockstep *ls, gfn_t gfn)
{
    uint8_t *flags = gmem_frame_flags(ls->ref.vm->gmem);

    if (!flags[gfn])
        return;
    flags[gfn] = 0;
    ls->stored[ls->stored_count++] = gfn;
}

void lockstep_stored(struct lockstep *ls, gpa_t gpa, unsigned len)
{
    stored_frame(ls, gpa >> PAGE_SHIFT);
    if ((gpa & PAGE_MASK) + len > PAGE_SIZE)
        stored_frame(ls, (gpa >> PAGE_SHIFT) + 1);
}
