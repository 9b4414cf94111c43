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
 * Not compared are what an engine keeps for itself (bt, kick, ccf_retired,
 * seg_base, which copies seg) and exc, which is dead after its delivery.
 *
 * RAM: each frame of the reference is flagged, so that the first store to it is
 * announced; its flag is cleared then, and set again by the comparison. Stores
 * that only the translator did are found by comparing all of RAM.
 */
#define FIELD(name, unit)                                                     \
    {                                                                         \
#        name, offsetof(struct vcpu, name), sizeof(((struct vcpu *)0)->name), \
            unit                                                              \
    }

/* clang-format off */
const struct lockstep_field lockstep_fields[] = {
    FIELD(retired, 8),
    FIELD(eip, 4),
    FIELD(regs, 4),
    FIELD(eflags, 4),
    FIELD(if_flag, 1),
    FIELD(inhibit, 1),
    FIELD(cpl, 1),
    FIELD(irq_line, 1),
    FIELD(seg, 4),
    FIELD(ldtr, 4),
    FIELD(tr, 4),
    FIELD(gdtr, 4),
    FIELD(idtr, 4),
    FIELD(cr0, 4),
    FIELD(cr2, 4),
    FIELD(cr3, 4),
    FIELD(cr4, 4),
    FIELD(pdpte, 8),
    FIELD(dr, 4),
    FIELD(efer, 8),
    FIELD(sysenter_cs, 4),
    FIELD(sysenter_esp, 4),
    FIELD(sysenter_eip, 4),
    FIELD(pat, 8),
    FIELD(misc_enable, 8),
    FIELD(mtrr_def_type, 8),
    FIELD(mtrr_fixed, 8),
    FIELD(mtrr_base, 8),
    FIELD(mtrr_mask, 8),
    FIELD(apic_base, 8),
    FIELD(tsc_offset, 8),
    FIELD(a20, 1),
    FIELD(fpu, 4),
};
/* clang-format on */
const size_t lockstep_field_count = ARRAY_COUNT(lockstep_fields);

/* seg up to exc is one run of compared fields but for the padding. */
#define RUN_START offsetof(struct vcpu, fpu)
#define RUN_LEN   (offsetof(struct vcpu, exc) - RUN_START)

static bool is_run_equal(const struct vcpu *a, const struct vcpu *b)
{
    return !memcmp((const char *)a + RUN_START, (const char *)b + RUN_START,
                   RUN_LEN);
}

static bool are_fields_equal(const struct vcpu *a, const struct vcpu *b)
{
    bool run = is_run_equal(a, b);

    for (size_t i = 0; i < lockstep_field_count; i++) {
        const struct lockstep_field *f = &lockstep_fields[i];

        if (run && f->offset >= RUN_START && f->offset < RUN_START + RUN_LEN)
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

static bool are_pages_equal(const struct lockstep *ls)
{
    const uint8_t *a = gmem_base(ls->bt.vm->gmem);
    const uint8_t *b = gmem_base(ls->ref.vm->gmem);

    for (uint32_t i = 0; i < ls->stored_count; i++) {
        uint64_t offset;
        uint8_t *hva;

        if (gmem_lookup(ls->ref.vm->gmem, ls->stored[i], &hva, &offset) !=
                GMEM_NONE &&
            memcmp(a + offset, b + offset, PAGE_SIZE) != 0)
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
        if (memcmp(gmem_base(a) + at, gmem_base(b) + at, PAGE_SIZE) != 0)
            return false;
        at += PAGE_SIZE;
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
