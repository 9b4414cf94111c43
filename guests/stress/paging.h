/* SPDX-License-Identifier: MIT */
#ifndef PAGING_TEST_H
#define PAGING_TEST_H

/*
 * PURPOSE: the parts of the paging test (paging.c): the tables under surgery,
 * changes of their entries, flushes, and accesses that are checked against the
 * model of pages.h. A slot is the address of an entry; va an address that it
 * translates.
 */
#include <stdbool.h>
#include <stdint.h>

struct page;

enum {
    ROOTS = 3,
    TABLES = 7, /* leaf tables, which roots and regions share */
};

/* ---- tables.c ---- */

extern uint32_t roots[ROOTS], root, tables[TABLES];

bool pae(void);
void make_roots(void);
void kernel_in_user_pages(void);

/* Write an entry by some way: an alias, the self-map, ring 3, the kernel. */
void entry_write(uint32_t slot, uint64_t value, uint32_t va, bool leaf);
/* Before the first access: nobody has seen the entry. */
void set_up_entry(uint32_t slot, uint64_t value);
/* The entry with the page's D bit in the current root. */
uint32_t leaf_slot(const struct page *page);

/* D may be set in an entry once it was written so, or its page was. */
void note_dirty(uint32_t slot);
bool may_be_dirty(uint32_t slot);

/* ---- changes.c ---- */

uint64_t random_flags(void);
uint64_t large_pde(void);
void populate(void);
void change_pte(uint32_t region, uint32_t page);
void change_pde(uint32_t region);
void change_many(uint32_t region);

/* ---- flushes.c ---- */

void set_global(bool on); /* CR4.PGE */
void invalidate(uint32_t region, uint32_t page);
/* Any of them, or none. */
void flush(uint32_t region, uint32_t page);

/* ---- accesses.c ---- */

/* To that page, or to others and across boundaries. */
void access_some(uint32_t region, uint32_t page);
void access_region(uint32_t region, uint32_t count);

/* ---- remaps.c ---- */

/* Code whose own page is mapped elsewhere; before any of the above. */
void remaps(void);

#endif /* PAGING_TEST_H */
