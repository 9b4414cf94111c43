/* SPDX-License-Identifier: MIT */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "pages.h"
#include "paging.h"
#include "stress.h"
#include "stubs.h"

/* The tables under surgery, and the ways to write their entries. */

enum {
    LOW_FRAMES = 1 + ROOTS * 5 + TABLES, /* a mark, roots, tables */
};

/* Where ring 3 sees the page tables. */
#define ALIAS_VA 0x31000000u

uint32_t roots[ROOTS], root, tables[TABLES];
static uint32_t tables_start; /* frames of roots and tables are contiguous */
static uint32_t dirty_ok[LOW_FRAMES * PAGE / 4 / 32];

bool pae(void)
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

void make_roots(void)
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

void kernel_in_user_pages(void)
{
    for (uint32_t va = 0; va < paging_low_end; va += PAGE)
        pte_set(va, pte_get(va) | PG_U);
}

/* ---- Entries ---- */

static uint32_t dirty_index(uint32_t slot)
{
    return (slot - tables_start) / 4;
}

void note_dirty(uint32_t slot)
{
    uint32_t i = dirty_index(slot);

    if (i < LOW_FRAMES * PAGE / 4)
        dirty_ok[i / 32] |= 1u << i % 32;
}

bool may_be_dirty(uint32_t slot)
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
void entry_write(uint32_t slot, uint64_t value, uint32_t va, bool leaf)
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

void set_up_entry(uint32_t slot, uint64_t value)
{
    if (value & PG_D)
        note_dirty(slot);
    store_entry(slot, value);
}

uint32_t leaf_slot(const struct page *page)
{
    struct xlate x = walk(root, page->va);
    uint32_t table = (uint32_t)x.pde & ~(PAGE - 1);

    if (x.large || !(x.pde & PG_P))
        return pde_slot_of(root, page->va);
    return pae() ? table + 8 * (page->va >> 12 & 511)
                 : table + 4 * (page->va >> 12 & 1023);
}
