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
 * A and D bits of page tables: an engine sets them when it walks the tables. How
 * long it remembers a walk is its own affair (SDM 3A 4.10.2.2 "Caching
 * Translations in TLBs"), and while it does, a bit that the guest has cleared
 * without invalidating is not set again (SDM 3A 4.8 "Accessed and Dirty Flags",
 * 4.10.4.3 "Optional Invalidation"). So entries of a table in use may differ, and
 * get the bits that either has, if they are present, differ in nothing else, and
 *
 *   - where D differs, the reference has stored to the page: D comes of a store.
 *     Or the translator has it and was kicked: in front of a store whose hidden
 *     fault was resolved, which it will make;
 *   - where the reference has the bit, it has stored to the table, by its walker
 *     or for the guest: no engine clears a bit by itself.
 *
 * "Has stored" and "was kicked" are since all of RAM was last compared. A bit A
 * that only the translator has says that it forgot what the reference remembers.
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
#define ENTRY_A    BIT(5)
#define ENTRY_D    BIT(6)
#define ENTRY_PS   BIT(7)
#define ENTRY_MARK (ENTRY_A | ENTRY_D)

/* What a frame is used as; a directory that maps itself is both. */
#define IS_DIRECTORY BIT(0)
#define IS_LEAF      BIT(1)

static bool is_pae(const struct lockstep *ls)
{
    return ls->ref.vm->vcpu.cr4 & CR4_PAE;
}

static size_t entry_width(const struct lockstep *ls)
{
    return is_pae(ls) ? 8 : 4;
}

static gfn_t entry_frame(uint64_t entry)
{
    return entry << 12 >> 24;
}

/* The table's bytes in the reference's RAM; NULL when it is elsewhere. */
static const uint8_t *table_at(const struct lockstep *ls, gfn_t gfn)
{
    uint8_t *hva = NULL;

    gmem_lookup(ls->ref.vm->gmem, gfn, &hva, NULL);
    return hva;
}

/* Is the frame the directory pd, or a page table that it names? */
static unsigned use_in_directory(const struct lockstep *ls, gfn_t pd, gfn_t gfn)
{
    const uint8_t *table = table_at(ls, pd);
    size_t width = entry_width(ls);
    unsigned use = pd == gfn ? IS_DIRECTORY : 0;

    for (size_t at = 0; table != NULL && at < PAGE_SIZE; at += width) {
        uint64_t entry = 0;

        memcpy(&entry, table + at, width);
        if ((entry & (ENTRY_P | ENTRY_PS)) == ENTRY_P &&
            entry_frame(entry) == gfn)
            use |= IS_LEAF;
    }
    return use;
}

static unsigned use_of_root(const struct lockstep *ls, uint32_t cr3, gfn_t gfn)
{
    const uint8_t *pdpt = table_at(ls, cr3 >> PAGE_SHIFT);
    unsigned use = 0;

    if (!is_pae(ls))
        return use_in_directory(ls, cr3 >> PAGE_SHIFT, gfn);
    for (size_t i = 0; pdpt != NULL && i < 4; i++) {
        uint64_t entry;

        memcpy(&entry, pdpt + (cr3 & 0xfe0) + i * 8, sizeof(entry));
        if (entry & ENTRY_P)
            use |= use_in_directory(ls, entry_frame(entry), gfn);
    }
    return use;
}

static unsigned use_of(const struct lockstep *ls, gfn_t gfn)
{
    unsigned use = use_of_root(ls, ls->ref.vm->vcpu.cr3, gfn);

    for (uint32_t i = 0; i < ls->root_count; i++)
        use |= use_of_root(ls, ls->roots[i], gfn);
    return use;
}

static bool has_stored(const struct lockstep *ls, gfn_t gfn)
{
    return gfn < gmem_frame_count(ls->ref.vm->gmem) && ls->touched[gfn];
}

/* Has the reference stored to a page that the entry maps? */
static bool has_stored_through(const struct lockstep *ls, uint64_t entry,
                               unsigned use)
{
    gfn_t gfn = entry_frame(entry);
    gfn_t count = 1;

    if ((use & IS_DIRECTORY) && (entry & ENTRY_PS))
        count = is_pae(ls) ? 512 : 1024;
    else if (!(use & IS_LEAF))
        return false;
    gfn &= ~(count - 1);
    for (gfn_t i = 0; i < count; i++)
        if (has_stored(ls, gfn + i))
            return true;
    return false;
}

/* May entries of the table at gfn differ so? NULL, or why not. */
static const char *object(const struct lockstep *ls, gfn_t gfn, unsigned use,
                          uint64_t bt, uint64_t ref)
{
    uint64_t differ = bt ^ ref;

    if (!(bt & ENTRY_P) || (differ & ~(uint64_t)ENTRY_MARK))
        return "RAM differs";
    if ((differ & ENTRY_D) && !has_stored_through(ls, ref, use) &&
        !(ls->kicked && (bt & ENTRY_D)))
        return "a D bit differs, of a page that was not written";
    if ((differ & ref) && !has_stored(ls, gfn))
        return "an A or D bit was cleared that the guest has not cleared";
    return NULL;
}

static uint64_t entry_at(const uint8_t *table, size_t at, size_t width)
{
    uint64_t entry = 0;

    memcpy(&entry, table + at, width);
    return entry;
}

/* Make two pages equal that differ in A and D bits as they may. */
static bool reconcile(struct lockstep *ls, gfn_t gfn, uint8_t *a, uint8_t *b)
{
    size_t width = entry_width(ls);
    unsigned use = use_of(ls, gfn);

    for (size_t at = 0; at < PAGE_SIZE; at += width) {
        uint64_t x = entry_at(a, at, width);
        uint64_t y = entry_at(b, at, width);
        const char *why = NULL;

        if (x != y)
            why = use ? object(ls, gfn, use, x, y) : "RAM differs";
        if (why) {
            ls->objection = why;
            return false;
        }
    }
    for (size_t at = 0; at < PAGE_SIZE; at += width) {
        uint64_t x = entry_at(a, at, width);
        uint64_t y = entry_at(b, at, width);

        ls->counts.marks[LOCKSTEP_A_FORGOTTEN] += (x & ~y & ENTRY_A) != 0;
        ls->counts.marks[LOCKSTEP_A_REMEMBERED] += (y & ~x & ENTRY_A) != 0;
        ls->counts.marks[LOCKSTEP_D_WRITTEN] += ((x ^ y) & ENTRY_D) != 0;
        x |= y;
        memcpy(a + at, &x, width);
        memcpy(b + at, &x, width);
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
    memset(ls->touched, 0, gmem_frame_count(b));
    ls->kicked = false;
    return true;
}

int lockstep_track_stores(struct lockstep *ls)
{
    struct gmem *gmem = ls->ref.vm->gmem;

    ls->stored = malloc(gmem_frame_count(gmem) * sizeof(*ls->stored));
    ls->touched = calloc(gmem_frame_count(gmem), 1);
    if (!ls->stored || !ls->touched)
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
    ls->touched[gfn] = 1;
    ls->stored[ls->stored_count++] = gfn;
}

void lockstep_stored(struct lockstep *ls, gpa_t gpa, unsigned len)
{
    stored_frame(ls, gpa >> PAGE_SHIFT);
    if ((gpa & PAGE_MASK) + len > PAGE_SIZE)
        stored_frame(ls, (gpa >> PAGE_SHIFT) + 1);
}
