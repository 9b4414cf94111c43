/* SPDX-License-Identifier: MIT */
#include "lib/paging.h"

#include "lib/cpu.h"
#include "lib/lib.h"

enum {
    POOL_START = 0x400000,
};

extern char user_start[], user_end[];

uint32_t paging_low_end = 0x800000;

static enum paging_mode mode;
static uint32_t pool_next;

enum paging_mode paging_mode(void)
{
    return mode;
}

bool paging_has_nx(void)
{
    return mode == PAGING_PAE && cpuid(0x80000000).eax >= 0x80000001 &&
           cpuid(0x80000001).edx & 1u << 20;
}

uint32_t frame_alloc(void)
{
    uint32_t frame = pool_next;

    if (frame == paging_low_end) {
        print("Bail out! no more frames\n");
        outl(0xF4, 0x11);
    }
    pool_next += PAGE;
    memset((void *)frame, 0, PAGE);
    return frame;
}

uint32_t frame_large(void)
{
    return paging_low_end;
}

uint32_t large_page_size(void)
{
    return mode == PAGING_PAE ? 2u << 20 : 4u << 20;
}

static uint64_t entry_get(uint32_t slot)
{
    if (mode == PAGING_PAE)
        return (uint64_t)mem32(slot)[1] << 32 | mem32(slot)[0];
    return mem32(slot)[0];
}

/* PAE entries are never seen half written as present. One that maps the running
 * code or its stack must not be seen as absent either. */
static void entry_set(uint32_t slot, uint64_t entry)
{
    if (mode == PAGING_PAE && mem32(slot)[1] != (uint32_t)(entry >> 32)) {
        mem32(slot)[0] = 0;
        mem32(slot)[1] = (uint32_t)(entry >> 32);
    }
    mem32(slot)[0] = (uint32_t)entry;
}

static uint32_t pde_slot(uint32_t va)
{
    uint32_t root = read_cr3() & ~31u;

    if (mode == PAGING_PAE) {
        uint32_t directory = mem32(root + 8 * (va >> 30))[0] & ~(PAGE - 1);

        return directory + 8 * (va >> 21 & 511);
    }
    return root + 4 * (va >> 22);
}

static uint32_t pte_slot(uint32_t va)
{
    uint32_t table = (uint32_t)entry_get(pde_slot(va)) & ~(PAGE - 1);

    return mode == PAGING_PAE ? table + 8 * (va >> 12 & 511)
                              : table + 4 * (va >> 12 & 1023);
}

uint64_t pte_get(uint32_t va)
{
    return entry_get(pte_slot(va));
}

void pte_set(uint32_t va, uint64_t entry)
{
    entry_set(pte_slot(va), entry);
    invlpg(va);
}

uint64_t pde_get(uint32_t va)
{
    return entry_get(pde_slot(va));
}

/* A whole CR3 load, since one INVLPG covers one page only. */
void pde_set(uint32_t va, uint64_t entry)
{
    entry_set(pde_slot(va), entry);
    write_cr3(read_cr3());
}

void map(uint32_t va, uint32_t pa, uint64_t flags)
{
    uint32_t slot = pde_slot(va);

    if (!(entry_get(slot) & PG_P))
        entry_set(slot, frame_alloc() | PG_P | PG_W | PG_U);
    entry_set(pte_slot(va), pa | flags);
    invlpg(va);
}

void map_large(uint32_t va, uint32_t pa, uint64_t flags)
{
    pde_set(va, pa | flags | PG_PS);
}

uint32_t paging_clone(void)
{
    uint32_t root = read_cr3() & ~31u;
    uint32_t copy = frame_alloc();

    if (mode == PAGING_32) {
        memcpy((void *)copy, (const void *)root, PAGE);
        return copy;
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t directory = frame_alloc();
        uint32_t from = mem32(root + 8 * i)[0] & ~(PAGE - 1);

        memcpy((void *)directory, (const void *)from, PAGE);
        mem32(copy + 8 * i)[0] = directory | PG_P;
    }
    return copy;
}

static uint32_t new_root(void)
{
    uint32_t root = frame_alloc();

    if (mode == PAGING_PAE) {
        for (uint32_t i = 0; i < 4; i++)
            mem32(root + 8 * i)[0] = frame_alloc() | PG_P;
    }
    return root;
}

/* Runs with paging off; CR3 is loaded first because the setters look at it. */
static void build_tables(void)
{
    write_cr3(new_root());
    for (uint32_t va = 0; va < paging_low_end; va += PAGE) {
        bool user = va >= (uint32_t)user_start && va < (uint32_t)user_end;

        map(va, va, PG_P | PG_W | (user ? PG_U : 0));
    }
    write_cr3(read_cr3());
}

void paging_init(enum paging_mode new_mode)
{
    write_cr0((read_cr0() & ~CR0_PG) | CR0_WP);
    write_cr4(read_cr4() & ~(uint32_t)(CR4_PAE | CR4_PGE | CR4_PSE));
    pool_next = POOL_START;
    mode = new_mode;
    if (mode == PAGING_OFF)
        return;
    if (paging_has_nx())
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    build_tables();
    write_cr4(read_cr4() | (mode == PAGING_PAE ? CR4_PAE : CR4_PSE));
    write_cr0(read_cr0() | CR0_PG);
}
