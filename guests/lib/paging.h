/* SPDX-License-Identifier: MIT */
#ifndef LIB_PAGING_H
#define LIB_PAGING_H

/*
 * PURPOSE: page tables in both 32-bit formats behind one interface, so that a
 * test is written once and run with and without PAE.
 *
 * The first 8 MiB (paging_low_end) are mapped one to one, supervisor only but
 * for the .user section; everything from TEST_VA on is free for tests.
 */
#include <stdbool.h>
#include <stdint.h>

enum paging_mode { PAGING_OFF, PAGING_32, PAGING_PAE };

#define PG_P  0x001u
#define PG_W  0x002u
#define PG_U  0x004u
#define PG_A  0x020u
#define PG_D  0x040u
#define PG_PS 0x080u
#define PG_G  0x100u
#define PG_NX (1ull << 63)

#define TEST_VA 0x40000000u

/* Where the memory that is mapped one to one ends, and with it the pool of
 * frames, which begins at 4 MiB. A multiple of 4 MiB, to be set before
 * paging_init(). */
extern uint32_t paging_low_end;

/* Fresh tables, and the mode switched to; frees all frames. */
void paging_init(enum paging_mode mode);
enum paging_mode paging_mode(void);
bool paging_has_nx(void);

/* A zeroed frame of the pool: its physical address is usable as a pointer. */
uint32_t frame_alloc(void);
/* Physical memory for one large page; a test has to map it. */
uint32_t frame_large(void);

/* Map one 4 KiB page; its table, where new, grants everything. */
void map(uint32_t va, uint32_t pa, uint64_t flags);
/* Map one large page (4 MiB, or 2 MiB with PAE). */
void map_large(uint32_t va, uint32_t pa, uint64_t flags);
uint32_t large_page_size(void);

/* Entries as they are in memory; the setters flush the address's translation. */
uint64_t pte_get(uint32_t va);
void pte_set(uint32_t va, uint64_t entry);
uint64_t pde_get(uint32_t va);
void pde_set(uint32_t va, uint64_t entry);

/* A copy of the top level of the current tables: a value for CR3. */
uint32_t paging_clone(void);

#endif /* LIB_PAGING_H */
