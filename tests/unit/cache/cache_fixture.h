/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CACHE_CACHE_FIXTURE_H
#define TESTS_UNIT_CACHE_CACHE_FIXTURE_H

/*
 * PURPOSE: the translation cache with CCFs made by hand, all of one layout:
 *
 *   0   entry, body       16  return site
 *   32  jmp rel32         48  its stub      56  a jump through the table
 */
#include <check.h>

#include "cache/tc.h"

#define MODE          5u
#define HOST_LEN      64u
#define RETURN_OFFSET 16u
#define REL_OFFSET    33u
#define STUB_OFFSET   48u
#define TABLE_OFFSET  56u

extern struct tc *tc;
extern struct stats stats;
extern struct tc_stubs stubs;
extern gfn_t empty_frames[64];
extern unsigned empty_count;
extern unsigned evicted_count;
extern uint8_t page[PAGE_SIZE]; /* what is in every frame */
extern gfn_t untraced;          /* the frame that has lost its trace */

void setup(void);

/* Room for a hundred thousand CCFs. */
void setup_large(void);

void teardown(void);

/* A CCF of host_len bytes that was read from the frame's bytes [start, end). */
struct ccf *make(gip_t gip, gfn_t gfn, uint32_t end, uint32_t host_len);

struct ccf *add(gip_t gip, gfn_t gfn, uint32_t end);

/* One that keeps its source bytes. */
struct ccf *add_kept(gip_t gip, gfn_t gfn, uint32_t end);

/* One that crosses from the end of a frame into another. */
struct ccf *add_crossing(gip_t gip, gfn_t first, gfn_t second);

/* Where the jmp rel32, or the rel32 behind it, at an address leads. */
uint64_t rel32_target(uint64_t at);

uint64_t jmp_target(uint64_t at);

uint64_t exit_target(const struct ccf *ccf);

void verify(void);

/* The tests of each file. */
void add_taking_back(TCase *tcase);
void add_verifier(TCase *tcase);
void add_crowds(Suite *suite);

#endif /* TESTS_UNIT_CACHE_CACHE_FIXTURE_H */
