/* SPDX-License-Identifier: MIT */
#ifndef PAGES_H
#define PAGES_H

/*
 * PURPOSE: the model of the paging test: what the tables in memory say of an
 * address, and what a TLB may still remember of them.
 *
 * Every frame of data holds SLOTS words that the model knows. All of them, and
 * the words between them, have bit 0 clear, so that a frame that is taken for a
 * page table maps nothing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/paging.h"

enum {
    REGIONS = 5, /* what one directory entry maps, each */
    PAGES = 8,   /* pages of a region that are used */
    ARENAS = 2,  /* physical memory for one large page, each */
    FRAMES = ARENAS * PAGES,
    SLOTS = 6,
    SLOT_FIRST = 0, /* the word at 0 */
    SLOT_CODE = 2,  /* the operand of the function at CODE_OFFSET */
    SLOT_LAST = 5,  /* the word at FFCh */
    CODE_OFFSET = 0x100,
    STALE_MAX = 6,
};

/* Bits that must be 0 in a word at any of the slots. */
#define SLOT_ZERO 0x01010101u

/* What the entries for a page say. */
struct xlate {
    uint64_t pde, pte;
    uint32_t frame; /* physical address */
    bool present;
    bool reserved; /* a reserved bit is set; present is false */
    bool writable, user, no_exec, large, global;
};

/* A page that is used, and what a TLB may hold of it: translations that were in
 * the tables since the last moment at which they had to be forgotten. */
struct page {
    uint32_t va;
    uint32_t stale_count;
    struct xlate stale[STALE_MAX];
};

extern struct page pages[REGIONS][PAGES];
extern uint32_t slot_offset[SLOTS];
extern uint32_t model[FRAMES][SLOTS];

/* Frames, addresses and the mapping by which the checks see the frames: to be
 * called with the paging mode set. */
void pages_init(void);
uint32_t page_frame(uint32_t frame); /* physical address of frame 0, 1, ... */
int frame_of(uint32_t pa);           /* the other way; -1: none of them */
volatile uint32_t *frame_slot(uint32_t frame, uint32_t slot);
uint32_t page_index(uint32_t i); /* of page i in its table */

/* Entries as they lie in memory. */
uint64_t entry_read(uint32_t slot);
uint32_t pde_slot_of(uint32_t root, uint32_t va);
struct xlate walk(uint32_t root, uint32_t va);

/* What the tables said before a change of them, for all pages. */
void pages_before(uint32_t root);
void pages_after(uint32_t root);
/* Forget what a flush makes the processor forget. */
void page_flushed(struct page *page);
void large_page_flushed(struct page *page);
void pages_flushed(bool globals_too);

/* Every slot of every frame is as the model says. */
void frames_check(void);

#endif /* PAGES_H */
