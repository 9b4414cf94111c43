/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHADOW_MMU_MMU_FIXTURE_H
#define TESTS_UNIT_SHADOW_MMU_MMU_FIXTURE_H

/*
 * PURPOSE: one model for tests of one fact each: 32-bit paging with two roots that share a kernel table:
 *
 *   ROOT_A, ROOT_B   page directories
 *   USER_A, USER_B   their tables for 0-4 MiB
 *   KERNEL           the table for C0000000h-C03FFFFFh
 */
#include <check.h>

#include "guest_model.h"

#define ROOT_A     0x201u
#define ROOT_B     0x202u
#define USER_A     0x203u
#define USER_B     0x204u
#define KERNEL     0x205u
#define DATA       0x300u /* data frames */
#define KERNEL_GVA 0xc0000000u

#define P   1u
#define W   2u
#define U   4u
#define A   0x20u
#define D   0x40u
#define PS  0x80u
#define G   0x100u
#define RWX (P | W | A | D)

extern struct model *model;
extern uint32_t value; /* that was read last */

void put(gfn_t table, uint32_t index, uint32_t entry);

uint32_t frame(gfn_t gfn);

void load_root(gfn_t root);

uint64_t counter(enum stat_id id);

void ck_sound(void);

/* A read that must succeed and show the frame's word. */
void ck_reads(gva_t gva, gfn_t gfn);

void ck_read_faults(gva_t gva, uint32_t error);

void setup(enum mmu_trace trace);

void teardown(void);

/* The tests of each file. */
void add_trace_tests(TCase *tcase);
void add_limit_tests(TCase *tcase);

#endif /* TESTS_UNIT_SHADOW_MMU_MMU_FIXTURE_H */
