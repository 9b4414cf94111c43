/* SPDX-License-Identifier: MIT */
/*
 * Random page-table surgery. A round has its paging mode, its three roots and
 * its pool of leaf tables, which roots and regions share. A step changes an
 * entry by some way, flushes or does not, and makes some accesses:
 *
 *   - what the tables in memory say is always right;
 *   - what they said before is right, too, until software has flushed it (SDM
 *     Vol.3A 4.10.4 "Invalidation of TLBs and Paging-Structure Caches").
 *
 * pages.c keeps both. In every second round the kernel itself lives in pages
 * with U=1. QEMU's translator deviates from the manual in this:
 *
 *   - reserved bits of entries: not set there;
 *   - a read-modify-write that faults may report a read, and one through a
 *     stale translation may read by that and write by a new one;
 *   - a page fault does not end what is cached of the page;
 *   - INVLPG drops 4 KiB of a large page.
 */
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/trap.h"
#include "pages.h"
#include "stress.h"
#include "stubs.h"

enum {
    PF_P = 1,
    PF_W = 2,
    PF_U = 4,
    PF_RSVD = 8,
    PF_ID = 16,
    ROOTS = 3,
    TABLES = 7,
    STEPS = 250,
    LOW_FRAMES = 1 + ROOTS * 5 + TABLES, /* a mark, roots, tables */
};

/* Where ring 3 sees the page tables. */
#define ALIAS_VA 0x31000000u
/* Bits that the processor sets by itself. */
#define ACCESSED_DIRTY (PG_A | PG_D)

static uint32_t roots[ROOTS], root, tables[TABLES];
static uint32_t tables_start; /* frames of roots and tables are contiguous */
static uint32_t dirty_ok[LOW_FRAMES * PAGE / 4 / 32];
static uint32_t counter;

static bool pae(void)
{
    return paging_mode() == PAGING_PAE;
}

/* ---- Setting up ---- */

static uint32_t self_map_va(uint32_t va)
{
    return pae() ? 0xFF800000 + (va >> 12) * 8 : 0xFFC00000 + (va >> 12) * 4;
}

/* The tables appear at the end of the linear addresses. */
static void add_self_map(uint32_t of)
{
    uint32_t slot = pde_slot_of(of, self_map_va(0));

    for (uint32_t i = 0; i < (pae() ? 4u : 1u); i++) {
        uint32_t directory = pae() ? pde_slot_of(of, i << 30) : of;

        mem32(slot + 8 * i)[0] = directory | PG_P | PG_W;
    }
}

static void make_roots(void)
{
    for (uint32_t va = ALIAS_VA; va < ALIAS_VA + LOW_FRAMES * PAGE; va += PAGE)
        map(va, 0, 0); /* the table, before roots share it */
    tables_start = frame_alloc();
    for (uint32_t i = 0; i < ROOTS; i++)
        roots[i] = paging_clone();
    for (uint32_t i = 0; i < TABLES; i++)
        tables[i] = frame_alloc();
    for (uint32_t i = 0; i < LOW_FRAMES; i++)
        map(ALIAS_VA + i * PAGE, tables_start + i * PAGE, PG_P | PG_W | PG_U);
    for (uint32_t i = 0; i < ROOTS; i++)
        add_self_map(roots[i]);
    memset(dirty_ok, 0, sizeof(dirty_ok));
    root = roots[0];
    write_cr3(root);
}

static void kernel_in_user_pages(void)
{
    for (uint32_t va = 0; va < paging_low_end; va += PAGE)
        pte_set(va, pte_get(va) | PG_U);
}

/* ---- Changing entries ---- */

static uint32_t dirty_index(uint32_t slot)
{
    return (slot - tables_start) / 4;
}

static void note_dirty(uint32_t slot)
{
    uint32_t i = dirty_index(slot);

    if (i < LOW_FRAMES * PAGE / 4)
        dirty_ok[i / 32] |= 1u << i % 32;
}

static bool may_be_dirty(uint32_t slot)
{
    uint32_t i = dirty_index(slot);

    return i >= LOW_FRAMES * PAGE / 4 || (dirty_ok[i / 32] >> i % 32 & 1);
}

/* A word by one of many kinds of store. */
static void store_word(uint32_t va, uint32_t value)
{
    uint32_t count = 1;
    uint32_t at = va;

    switch (random_below(5)) {
    case 0:
        __asm__ volatile("xchg [%1], %0" : "+r"(value) : "r"(va) : "memory");
        break;
    case 1:
        *mem8(va) = 0; /* never present by halves */
        for (uint32_t i = 3; i < 4; i--)
            *mem8(va + i) = (uint8_t)(value >> 8 * i);
        break;
    case 2:
        __asm__ volatile("rep stosd"
                         : "+D"(at), "+c"(count)
                         : "a"(value)
                         : "memory");
        break;
    default: *mem32(va) = value; break;
    }
}

static void store_entry(uint32_t va, uint64_t value)
{
    if (!pae()) {
        store_word(va, (uint32_t)value);
    } else if (one_in(2)) {
        uint64_t old = (uint64_t)mem32(va)[1] << 32 | mem32(va)[0];

        __asm__ volatile("lock cmpxchg8b [%1]"
                         : "+A"(old)
                         : "D"(va), "b"((uint32_t)value),
                           "c"((uint32_t)(value >> 32))
                         : "memory", "cc");
    } else {
        store_word(va, 0);
        store_word(va + 4, (uint32_t)(value >> 32));
        store_word(va, (uint32_t)value);
    }
}

static void user_store(uint32_t va, uint32_t value)
{
    struct outcome o = stub_run(ACCESS_STORE, true, va, value);

    CHECK(!o.fault);
}

/* Whether the page's table can be written by way of the self-map: the entry
 * that maps it there is the page's directory entry. */
static bool self_map_reaches(uint32_t va, uint32_t slot)
{
    uint64_t pde = entry_read(pde_slot_of(root, va));

    return (pde & (PG_P | PG_W | PG_PS)) == (PG_P | PG_W) && pde >> 32 == 0 &&
           ((uint32_t)pde ^ slot) < PAGE;
}

/* What the change is, by the entries alone. */
static void note_change(uint64_t was, uint64_t now)
{
    if (!(was & PG_P) || !(now & PG_P)) {
        if (now & PG_P)
            stress_note(NOTE_MAP);
        else if (was & PG_P)
            stress_note(NOTE_UNMAP);
    } else if ((was ^ now) >> 12 & 0xFFFFF) {
        stress_note(NOTE_REMAP);
    } else if ((was ^ now) & (PG_W | PG_U | PG_NX)) {
        stress_note(NOTE_RIGHTS);
    }
}

/* Write an entry of the tables; va is an address that it translates. */
static void entry_write(uint32_t slot, uint64_t value, uint32_t va, bool leaf)
{
    uint32_t alias = ALIAS_VA + slot - tables_start;
    uint32_t way = random_below(4);

    if (value & PG_D)
        note_dirty(slot);
    pages_before(root);
    note_change(entry_read(slot), value);
    if (way == 0) {
        stress_note(NOTE_BY_ALIAS);
        store_entry(alias, value);
    } else if (way == 1 && leaf && self_map_reaches(va, slot)) {
        stress_note(NOTE_BY_SELF_MAP);
        invlpg(self_map_va(va));
        store_entry(self_map_va(va), value);
    } else if (way == 2) {
        stress_note(NOTE_BY_RING_3);
        user_store(alias, 0);
        if (pae())
            user_store(alias + 4, (uint32_t)(value >> 32));
        user_store(alias, (uint32_t)value);
    } else {
        store_entry(slot, value);
    }
    if (leaf && !(value & PG_D) && !(entry_read(slot) & PG_D))
        dirty_ok[dirty_index(slot) / 32] &= ~(1u << dirty_index(slot) % 32);
    pages_after(root);
}

static uint64_t random_flags(void)
{
    uint64_t flags = PG_P;

    flags |= one_in(4) ? 0 : PG_W;
    flags |= one_in(3) ? 0 : PG_U;
    flags |= one_in(2) ? PG_A : 0;
    flags |= one_in(3) ? PG_D : 0;
    flags |= one_in(4) ? PG_G : 0;
    flags |= random_below(8) << 9; /* for software */
    if (paging_has_nx() && one_in(6))
        flags |= PG_NX;
    if (pae() && !on_tcg && one_in(40))
        flags |= 1ull << 55;
    return one_in(12) ? flags & ~(uint64_t)PG_P : flags;
}

static uint32_t pte_slot_in(uint32_t table, uint32_t page)
{
    return table + page_index(page) * (pae() ? 8 : 4);
}

static void change_pte(uint32_t region, uint32_t page)
{
    uint32_t va = pages[region][page].va;
    uint64_t pde = entry_read(pde_slot_of(root, va));
    uint32_t table = tables[random_below(TABLES)];
    uint32_t frame =
        random_below(ARENAS) * PAGES + (one_in(2) ? page : random_below(PAGES));
    uint32_t slot;
    uint64_t now;

    if (pde & PG_P && !(pde & PG_PS) && !one_in(8))
        table = (uint32_t)pde & ~(PAGE - 1);
    slot = pte_slot_in(table, page);
    now = entry_read(slot);
    switch (random_below(6)) {
    case 0: now = one_in(2) ? 0 : now & ~(uint64_t)PG_P; break;
    case 1: now &= ~(uint64_t)PG_W; break;
    case 2:
        if (paging_has_nx() && one_in(3)) {
            stress_note(NOTE_NX);
            now ^= PG_NX;
        } else {
            now ^= one_in(2) ? PG_U : PG_W;
        }
        break;
    case 3: now &= ~(uint64_t)ACCESSED_DIRTY; break;
    default: now = page_frame(frame) | random_flags(); break;
    }
    stress_doing = "change of a PTE";
    entry_write(slot, now, va, true);
}

static uint64_t large_pde(void)
{
    uint32_t pa = page_frame(random_below(ARENAS) * PAGES);
    uint64_t flags = random_flags() | PG_PS;

    if (pae() && !on_tcg && one_in(20))
        flags |= 1u << 13; /* reserved */
    return pa | flags;
}

static void set_up_entry(uint32_t slot, uint64_t value)
{
    if (value & PG_D)
        note_dirty(slot);
    store_entry(slot, value);
}

/* Most of what is accessed is mapped from the start: nothing is remembered of
 * what never was. */
static void populate(void)
{
    for (uint32_t t = 0; t < TABLES; t++) {
        for (uint32_t i = 0; i < PAGES; i++)
            set_up_entry(pte_slot_in(tables[t], i),
                         page_frame(random_below(FRAMES)) | random_flags());
    }
    for (uint32_t k = 0; k < ROOTS; k++) {
        for (uint32_t r = 0; r < REGIONS; r++)
            set_up_entry(pde_slot_of(roots[k], pages[r][0].va),
                         one_in(4) ? large_pde()
                                   : tables[random_below(TABLES)] | PG_P |
                                         PG_W | PG_U);
    }
    write_cr3(root);
}

/* A large page becomes a table that maps the same memory, with its rights. */
static uint64_t split(uint32_t region, uint64_t pde)
{
    uint32_t table = tables[random_below(TABLES)];
    uint32_t base = (uint32_t)pde & ~(large_page_size() - 1);

    for (uint32_t i = 0; i < PAGES; i++)
        entry_write(pte_slot_in(table, i),
                    (base + page_index(i) * PAGE) | (pde & 0x967) |
                        (pde & PG_NX),
                    pages[region][i].va, true);
    stress_note(NOTE_SPLIT);
    return table | PG_P | PG_W | PG_U;
}

/* A table becomes the large page around what its first entry maps. */
static uint64_t join(uint64_t pde)
{
    uint64_t first = entry_read(pte_slot_in((uint32_t)pde & ~(PAGE - 1), 0));
    uint32_t base = (uint32_t)first & ~(large_page_size() - 1);

    if (!(first & PG_P))
        return large_pde();
    stress_note(NOTE_JOIN);
    return base | (first & 0x167) | (first & PG_NX) | PG_PS;
}

static void change_pde(uint32_t region)
{
    uint32_t va = pages[region][0].va;
    uint32_t of = one_in(4) ? roots[random_below(ROOTS)] : root;
    uint32_t slot = pde_slot_of(of, va);
    uint64_t now = entry_read(slot);
    uint64_t flags = PG_P | (one_in(5) ? 0 : PG_W) | (one_in(5) ? 0 : PG_U);

    if (paging_has_nx() && one_in(12))
        flags |= PG_NX;
    stress_doing = "change of a PDE";
    switch (random_below(7)) {
    case 0: now = one_in(2) ? 0 : now & ~(uint64_t)PG_P; break;
    case 1:
        if (now & PG_P)
            now = now & PG_PS ? split(region, now) : join(now);
        else
            now = large_pde();
        break;
    case 2: now = large_pde(); break;
    case 3: now &= ~(uint64_t)(PG_A | (now & PG_PS ? PG_D : 0)); break;
    case 4: now ^= one_in(2) ? PG_W : PG_U; break;
    default: now = tables[random_below(TABLES)] | flags; break;
    }
    if (of != root)
        stress_note(NOTE_OTHER_ROOT);
    entry_write(slot, now, va, false);
}

/* As fork(): all pages of a region lose W, or a table is copied. */
static void change_many(uint32_t region)
{
    uint32_t from = tables[random_below(TABLES)];
    uint32_t to = one_in(2) ? from : tables[random_below(TABLES)];

    stress_doing = "change of a table";
    for (uint32_t i = 0; i < PAGES; i++)
        entry_write(pte_slot_in(to, i),
                    entry_read(pte_slot_in(from, i)) & ~(uint64_t)PG_W,
                    pages[region][i].va, true);
}

/* ---- Flushing ---- */

static void toggle_pge(void)
{
    write_cr4(read_cr4() ^ CR4_PGE);
    pages_flushed(true);
}

static void set_global(bool on)
{
    if (!!(read_cr4() & CR4_PGE) != on)
        toggle_pge();
}

static bool globals_stay(void)
{
    return read_cr4() & CR4_PGE;
}

/* Global translations of the old root go with into the new one. */
static void switch_root(void)
{
    uint32_t to = roots[random_below(ROOTS)];

    if (to != root && globals_stay()) {
        for (uint32_t r = 0; r < REGIONS; r++) {
            for (uint32_t i = 0; i < PAGES; i++) {
                struct page *page = &pages[r][i];
                struct xlate x = walk(root, page->va);

                if (!x.present || !x.global)
                    continue;
                if (page->stale_count == STALE_MAX) {
                    invlpg(page->va);
                    page_flushed(page);
                }
                page->stale[page->stale_count++] = x;
            }
        }
    }
    root = to;
    write_cr3(root);
    pages_flushed(!globals_stay());
}

/* SDM Vol.3A 4.10.4.1: clearing PG flushes all; PSE is followed by a flush, as
 * the manual does not promise one. */
static void toggle_controls(void)
{
    switch (random_below(4)) {
    case 0:
        stress_note(NOTE_PG);
        write_cr0(read_cr0() & ~CR0_PG);
        CHECK_EQ(mem32(page_frame(3) + slot_offset[1])[0], model[3][1]);
        mem32(page_frame(3) + slot_offset[1])[0] = model[3][1] ^= 0x10;
        write_cr0(read_cr0() | CR0_PG);
        pages_flushed(true);
        break;
    case 1:
        if (!pae()) {
            stress_note(NOTE_PSE);
            write_cr4(read_cr4() ^ CR4_PSE);
            toggle_pge();
        }
        break;
    case 2:
        stress_note(NOTE_PGE);
        toggle_pge();
        break;
    default:
        stress_note(NOTE_WP);
        write_cr0(read_cr0() ^ CR0_WP);
        break;
    }
}

/* SDM Vol.3A 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure
 * Caches": where a large page is mapped, all of it. */
static void invalidate(uint32_t region, uint32_t i)
{
    struct page *page = &pages[region][i];

    stress_note(NOTE_INVLPG);
    invlpg(page->va + random_below(PAGE));
    page_flushed(page);
    if (on_tcg || !walk(root, page->va).large)
        return;
    stress_note(NOTE_INVLPG_LARGE);
    for (uint32_t k = 0; k < PAGES; k++)
        large_page_flushed(&pages[region][k]);
}

/* Tables that nobody changes for a long time. */
static void quiet(void)
{
    stress_note(NOTE_QUIET);
    for (uint32_t i = 0; i < 140; i++)
        write_cr3(root);
    pages_flushed(!globals_stay());
}

static void flush(uint32_t region, uint32_t page)
{
    uint32_t how = random_below(20);

    if (how < 7) {
        invalidate(region, page);
    } else if (how < 9) {
        stress_note(NOTE_CR3);
        write_cr3(root);
        pages_flushed(!globals_stay());
    } else if (how < 11) {
        stress_note(NOTE_SWITCH);
        switch_root();
    } else if (how < 13) {
        toggle_controls();
    } else if (one_in(12)) {
        quiet();
    }
}

/* ---- Accesses ---- */

struct request {
    enum access kind;
    bool user;
    bool write_protect; /* CR0.WP */
    uint32_t value;
};

static bool writes(enum access kind)
{
    return kind == ACCESS_STORE || kind == ACCESS_XOR;
}

static bool grants(const struct xlate *x, const struct request *q)
{
    if (!x->present || (q->user && !x->user))
        return false;
    if (writes(q->kind) && !x->writable && (q->user || q->write_protect))
        return false;
    return q->kind != ACCESS_CALL || !x->no_exec;
}

static uint32_t error_of(const struct xlate *x, const struct request *q)
{
    return (x->present ? PF_P : 0) | (x->reserved ? PF_P | PF_RSVD : 0) |
           (writes(q->kind) ? PF_W : 0) | (q->user ? PF_U : 0) |
           (q->kind == ACCESS_CALL && paging_has_nx() ? PF_ID : 0);
}

static bool same_error(uint32_t got, uint32_t want, enum access kind)
{
    uint32_t ignored = on_tcg && kind == ACCESS_XOR ? PF_W : 0;

    return ((got ^ want) & ~ignored) == 0;
}

/* The translation that the engine may have used, number n; the tables' own
 * comes first. False: there are no more. */
static bool candidate(const struct page *page, uint32_t n, struct xlate *x)
{
    if (n > page->stale_count)
        return false;
    *x = n == 0 ? walk(root, page->va) : page->stale[n - 1];
    return true;
}

static bool fault_fits(const struct page *page, const struct request *q,
                       uint32_t error)
{
    struct xlate x;

    for (uint32_t n = 0; candidate(page, n, &x); n++) {
        if (!grants(&x, q) && same_error(error, error_of(&x, q), q->kind))
            return true;
    }
    return false;
}

/* Whether frame f may be what was accessed, by what is seen now. */
static bool access_fits(uint32_t f, uint32_t slot, const struct request *q,
                        const struct outcome *o)
{
    uint32_t was = model[f][slot];

    switch (q->kind) {
    case ACCESS_STORE: return *frame_slot(f, slot) == q->value;
    case ACCESS_XOR: return *frame_slot(f, slot) == (was ^ q->value);
    default: return o->value == was;
    }
}

/* A and D after an access through the tables as they are. */
static void check_bits(const struct page *page, bool write)
{
    struct xlate x = walk(root, page->va);
    uint64_t entry = x.large ? x.pde : x.pte;

    CHECK(x.pde & PG_A);
    CHECK(entry & PG_A);
    CHECK(!write || entry & PG_D);
}

static uint32_t leaf_slot(const struct page *page)
{
    struct xlate x = walk(root, page->va);
    uint32_t table = (uint32_t)x.pde & ~(PAGE - 1);

    if (x.large || !(x.pde & PG_P))
        return pde_slot_of(root, page->va);
    return pae() ? table + 8 * (page->va >> 12 & 511)
                 : table + 4 * (page->va >> 12 & 1023);
}

/* D means that the page was written, never that it might be. */
static void check_clean(const struct page *page)
{
    struct xlate x = walk(root, page->va);
    uint64_t entry = x.large ? x.pde : x.pte;

    if (x.present && entry & PG_D)
        CHECK(may_be_dirty(leaf_slot(page)));
}

static void note_success(const struct xlate *x, const struct request *q,
                         bool is_stale)
{
    if (is_stale)
        stress_note(NOTE_STALE);
    if (x->large)
        stress_note(NOTE_LARGE);
    if (q->kind == ACCESS_CALL)
        stress_note(NOTE_EXECUTE);
    if (!q->user && x->user)
        stress_note(NOTE_KERNEL_ON_USER);
    if (writes(q->kind) && !x->writable)
        stress_note(NOTE_WITHOUT_WP);
}

static void note_fault(const struct page *page, uint32_t error)
{
    if (error & PF_RSVD)
        stress_note(NOTE_FAULT_RESERVED);
    else if (!(error & PF_P))
        stress_note(NOTE_FAULT_ABSENT);
    else if (error & PF_ID)
        stress_note(NOTE_FAULT_FETCH);
    else if (error & PF_W)
        stress_note(NOTE_FAULT_WRITE);
    else
        stress_note(NOTE_FAULT_READ);
    if (page->stale_count)
        stress_note(NOTE_FAULT_FORGETS);
}

static void check_success(struct page *page, uint32_t slot,
                          const struct request *q, const struct outcome *o)
{
    struct xlate x;

    for (uint32_t n = 0; candidate(page, n, &x); n++) {
        int f = frame_of(x.frame);

        if (!grants(&x, q) || f < 0 || !access_fits((uint32_t)f, slot, q, o))
            continue;
        if (writes(q->kind))
            model[f][slot] = *frame_slot((uint32_t)f, slot);
        note_success(&x, q, n != 0);
        stress_check(true, "", 0, 0);
        return;
    }
    candidate(page, 0, &x);
    print("va %x kind %u user %u stale %u pde %x pte %x value %x error %x\n",
          page->va, q->kind, q->user, page->stale_count, (uint32_t)x.pde,
          (uint32_t)x.pte, q->value, o->error);
    stress_fail("an access that nothing allows gave", o->value, 0);
}

static void check_fault(struct page *page, const struct request *q,
                        const struct outcome *o)
{
    struct xlate x;
    uint32_t kept = 0;

    if (!fault_fits(page, q, o->error)) {
        candidate(page, 0, &x);
        print("va %x kind %u user %u stale %u pde %x pte %x wp %u\n", page->va,
              q->kind, q->user, page->stale_count, (uint32_t)x.pde,
              (uint32_t)x.pte, q->write_protect);
        stress_fail("a page fault with error code", o->error, error_of(&x, q));
    }
    note_fault(page, o->error);
    stress_check(true, "", 0, 0);
    /* SDM Vol.3A 4.10.4.1: a page fault invalidates what is cached of it. */
    for (uint32_t k = 0; k < page->stale_count; k++) {
        if (on_tcg || page->stale[k].global)
            page->stale[kept++] = page->stale[k];
    }
    page->stale_count = kept;
}

static struct request random_request(void)
{
    struct request q = {.kind = random_below(ACCESS_KINDS),
                        .user = one_in(2),
                        .write_protect = read_cr0() & CR0_WP};

    counter += 0x01000102;
    q.value = (random_u32() ^ counter << 4) & ~SLOT_ZERO;
    return q;
}

/* See above. */
static void spare_tcg(struct request *q, uint32_t stale_count)
{
    if (on_tcg && q->kind == ACCESS_XOR && stale_count)
        q->kind = ACCESS_STORE;
}

static void access_page(struct page *page)
{
    struct request q = random_request();
    uint32_t slot, at;
    struct outcome o;

    stress_doing = "access";
    spare_tcg(&q, page->stale_count);
    slot = q.kind == ACCESS_CALL ? SLOT_CODE : random_below(SLOTS);
    at = q.kind == ACCESS_CALL ? CODE_OFFSET : slot_offset[slot];
    check_clean(page);
    o = stub_run(q.kind, q.user, page->va + at, q.value);
    if (o.fault) {
        /* A TLB may forget between the function's two instructions. */
        if (q.kind != ACCESS_CALL || o.cr2 != page->va + at + 5)
            CHECK_EQ(o.cr2, page->va + at);
        check_fault(page, &q, &o);
        return;
    }
    check_success(page, slot, &q, &o);
    if (writes(q.kind))
        note_dirty(leaf_slot(page));
    if (page->stale_count == 0)
        check_bits(page, writes(q.kind));
}

/* Two bytes of the last slot of one page and two of the first of the next. */
static uint32_t joined(uint32_t low, uint32_t high)
{
    return low >> 16 | high << 16;
}

static bool cross_fits(uint32_t low, uint32_t high, const struct request *q,
                       const struct outcome *o)
{
    uint32_t was = joined(model[low][SLOT_LAST], model[high][SLOT_FIRST]);
    uint32_t now =
        joined(*frame_slot(low, SLOT_LAST), *frame_slot(high, SLOT_FIRST));

    switch (q->kind) {
    case ACCESS_STORE: return now == q->value;
    case ACCESS_XOR: return now == (was ^ q->value);
    default: return o->value == was;
    }
}

static void check_cross(struct page *low, struct page *high,
                        const struct request *q, const struct outcome *o)
{
    struct xlate a, b;

    for (uint32_t n = 0; candidate(low, n, &a); n++) {
        for (uint32_t m = 0; candidate(high, m, &b); m++) {
            int f = frame_of(a.frame), g = frame_of(b.frame);

            if (!grants(&a, q) || !grants(&b, q) || f < 0 || g < 0 ||
                !cross_fits((uint32_t)f, (uint32_t)g, q, o))
                continue;
            stress_note(NOTE_TWO_PAGES);
            model[f][SLOT_LAST] = *frame_slot((uint32_t)f, SLOT_LAST);
            model[g][SLOT_FIRST] = *frame_slot((uint32_t)g, SLOT_FIRST);
            stress_check(true, "", 0, 0);
            return;
        }
    }
    stress_fail("an access across pages that nothing allows gave", o->value, 0);
}

/* Whether halves of the value tell the frames they went to from all others. */
static bool is_telling(const struct request *q)
{
    if (!(q->value & 0xFFFF) || !(q->value >> 16))
        return false;
    for (uint32_t f = 0; f < FRAMES; f++) {
        if (model[f][SLOT_LAST] >> 16 == (q->value & 0xFFFF) ||
            (model[f][SLOT_FIRST] & 0xFFFF) == q->value >> 16)
            return false;
    }
    return true;
}

/* An access to two pages that are neighbours. */
static void access_two(struct page *low, struct page *high)
{
    struct request q;
    struct outcome o;

    do
        q = random_request();
    while (!is_telling(&q));
    q.kind = random_below(ACCESS_CALL);
    spare_tcg(&q, low->stale_count + high->stale_count);
    stress_doing = "access across pages";
    if (writes(q.kind)) { /* one page may be marked before the other faults */
        note_dirty(leaf_slot(low));
        note_dirty(leaf_slot(high));
    }
    o = stub_run(q.kind, q.user, high->va - 2, q.value);
    if (o.fault) {
        CHECK(o.cr2 == high->va - 2 || o.cr2 == high->va);
        check_fault(o.cr2 == high->va ? high : low, &q, &o);
        return;
    }
    check_cross(low, high, &q, &o);
}

static void access_some(uint32_t region, uint32_t page)
{
    switch (random_below(6)) {
    case 0: access_two(&pages[region][0], &pages[region][1]); break;
    case 1: access_two(&pages[0][PAGES - 1], &pages[1][0]); break;
    case 2: access_two(&pages[region][6], &pages[region][7]); break;
    case 3:
        access_page(&pages[random_below(REGIONS)][random_below(PAGES)]);
        break;
    default: access_page(&pages[region][page]); break;
    }
}

static void access_region(uint32_t region, uint32_t count)
{
    while (count--)
        access_page(&pages[region][random_below(PAGES)]);
}

/* A large page that is in use becomes another; one INVLPG has to do. */
static void swap_large(uint32_t region)
{
    uint32_t va = pages[region][0].va;
    uint32_t slot = pde_slot_of(root, va);

    for (uint32_t i = 0; i < 3; i++) {
        entry_write(slot, large_pde(), va, false);
        invalidate(region, random_below(PAGES));
        access_region(region, 4);
    }
}

/* As an operating system would before the next access. */
static void repair(uint32_t region, uint32_t page)
{
    uint32_t va = pages[region][page].va;
    uint32_t slot = pde_slot_of(root, va);
    uint32_t frame = page_frame(random_below(FRAMES));

    stress_doing = "mapping what is missing";
    if (!(entry_read(slot) & PG_P))
        entry_write(slot, tables[random_below(TABLES)] | PG_P | PG_W | PG_U, va,
                    false);
    if (entry_read(slot) & PG_PS)
        return; /* large, or with CR4.PSE clear no table of ours */
    slot = leaf_slot(&pages[region][page]);
    if (!(entry_read(slot) & PG_P))
        entry_write(slot, frame | random_flags(), va, true);
}

static void step(void)
{
    uint32_t region = random_below(REGIONS);
    uint32_t page = random_below(PAGES);
    uint32_t what = random_below(16);

    if (!one_in(4))
        repair(region, page);
    if (what < 9)
        change_pte(region, page);
    else if (what < 13)
        change_pde(region);
    else if (what < 14)
        change_many(region);
    else if (what < 15)
        swap_large(region);
    flush(region, page);
    for (uint32_t i = 1 + random_below(5); i; i--)
        access_some(region, page);
}

void paging_round(uint32_t number)
{
    machine_init(number & 1 ? PAGING_PAE : PAGING_32);
    if (number & 2)
        kernel_in_user_pages();
    pages_init();
    make_roots();
    populate();
    stubs_make();
    set_global(one_in(2));
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
        if (i % 16 == 15)
            frames_check();
    }
    frames_check();
}
