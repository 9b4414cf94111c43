/* SPDX-License-Identifier: MIT */
#include "guest_model.h"

#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/*
 * One fact each, on 32-bit paging with two roots that share a kernel table:
 *
 *   ROOT_A, ROOT_B   page directories
 *   USER_A, USER_B   their tables for 0-4 MiB
 *   KERNEL           the table for C0000000h-C03FFFFFh
 */
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

static struct model *model;
static uint32_t value;

static void put(gfn_t table, uint32_t index, uint32_t entry)
{
    model_store(model, (table << PAGE_SHIFT) + index * 4, &entry, 4);
}

static uint32_t frame(gfn_t gfn)
{
    return (uint32_t)(gfn << PAGE_SHIFT);
}

static void load_root(gfn_t root)
{
    model->vcpu.cr3 = frame(root);
    mmu_load_cr3(model->mmu);
}

static uint64_t stat(enum stat_id id)
{
    return model->stats.count[id];
}

static void ck_sound(void)
{
    ck_assert_pstr_eq(spt_verify(model->mmu), NULL);
    ck_assert_pstr_eq(spt_verify_host(model->mmu), NULL);
}

/* A read that must succeed and show the frame's word. */
static void ck_reads(gva_t gva, gfn_t gfn)
{
    ck_assert_int_eq(model_read(model, gva, &value), DONE);
    ck_assert_uint_eq(value, model_word(model, frame(gfn) + (gva & PAGE_MASK)));
}

static void ck_read_faults(gva_t gva, uint32_t error)
{
    ck_assert_int_eq(model_read(model, gva, &value), TRUE_FAULT);
    ck_assert_uint_eq(model->vcpu.exc.error, error);
    ck_assert_uint_eq(model->vcpu.exc.cr2, gva);
}

static void setup(enum mmu_trace trace)
{
    model = model_create(trace);
    for (gfn_t table = ROOT_A; table <= KERNEL; table++)
        memset(gmem_base(model->gmem) + frame(table), 0, PAGE_SIZE);
    put(ROOT_A, 0, frame(USER_A) | RWX | U);
    put(ROOT_B, 0, frame(USER_B) | RWX | U);
    put(ROOT_A, KERNEL_GVA >> 22, frame(KERNEL) | RWX);
    put(ROOT_B, KERNEL_GVA >> 22, frame(KERNEL) | RWX);
    model->vcpu.cr0 |= CR0_PE | CR0_PG | CR0_WP;
    model->vcpu.cr4 = CR4_PSE | CR4_PGE;
    model->vcpu.cr3 = frame(ROOT_A);
    model->vcpu.cpl = 0;
    model->wp_seen = true;
    mmu_flush(model->mmu);
}

static void teardown(void)
{
    ck_sound();
    model_destroy(model);
}

START_TEST(without_paging_ram_is_mapped_flat)
{
    model->vcpu.cr0 &= ~CR0_PG;
    mmu_flush(model->mmu);
    ck_reads(0x1234, 1);
    ck_assert_int_eq(model_write(model, 0x300010, 7), DONE);
    ck_assert_uint_eq(model_word(model, 0x300010), 7);
    ck_assert_int_eq(model_read(model, 0xa0000, &value), EMULATED);
    ck_assert_int_eq(model_read(model, MODEL_RAM, &value), EMULATED);
    ck_assert_int_eq(model_read(model, 0xfffffffc, &value), EMULATED);
}
END_TEST

START_TEST(with_a20_closed_odd_megabytes_alias_even_ones)
{
    model->vcpu.cr0 &= ~CR0_PG;
    model->vcpu.a20 = false;
    mmu_flush(model->mmu);
    ck_reads(0x100010, 0);
    ck_reads(0x10, 0);
    ck_reads(0x300010, 0x200);
    model->vcpu.a20 = true;
    mmu_flush(model->mmu);
    ck_reads(0x100010, 0x100);
}
END_TEST

START_TEST(rom_is_read_through_the_window_but_not_written)
{
    ck_assert_int_eq(gmem_set_kind(model->gmem, 0xf0, 16, GMEM_ROM), 0);
    put(KERNEL, 0, frame(0xf0) | RWX);
    ck_reads(KERNEL_GVA, 0xf0);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), EMULATED);
}
END_TEST

START_TEST(a_change_of_the_physical_map_reaches_the_windows)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    ck_assert_int_eq(gmem_set_kind(model->gmem, DATA, 1, GMEM_ROM), 0);
    mmu_flush(model->mmu);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 2), EMULATED);
    ck_assert_uint_eq(model_word(model, frame(DATA)), 1);
}
END_TEST

START_TEST(a_contiguous_run_is_mapped_by_one_fault)
{
    for (uint32_t i = 0; i < 64; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    for (uint32_t i = 0; i < 64; i++)
        ck_reads(KERNEL_GVA + i * PAGE_SIZE, DATA + i);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), 1);
    ck_assert_uint_eq(stat(STAT_VMAS), 1);
}
END_TEST

START_TEST(neighbours_that_were_never_accessed_are_not_mapped)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 1, frame(DATA + 1) | P | W);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(stat(STAT_FILLS), 1);
    ck_assert_uint_eq(model_word(model, frame(KERNEL) + 4) & A, 0);
}
END_TEST

START_TEST(the_first_store_to_a_clean_page_sets_dirty)
{
    put(KERNEL, 0, frame(DATA) | P | W);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(model_word(model, frame(KERNEL)) & (A | D), A);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    ck_assert_uint_eq(model_word(model, frame(KERNEL)) & (A | D), A | D);
}
END_TEST

START_TEST(a_cleared_accessed_bit_is_set_again_after_invlpg)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA) | P | W);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(model_word(model, frame(KERNEL)) & A, A);
}
END_TEST

START_TEST(a_large_page_is_mapped_whole_and_follows_its_entry)
{
    put(ROOT_A, 0x301, 4 * MIB | RWX | PS);
    ck_reads(0xc0400000, 0x400);
    ck_reads(0xc07ff000, 0x7ff);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), 1);
    put(ROOT_A, 0x301, 8 * MIB | RWX | PS);
    mmu_invlpg(model->mmu, 0xc0500000);
    ck_reads(0xc07ff000, 0xbff);
}
END_TEST

START_TEST(pse36_address_bits_lead_out_of_ram)
{
    put(ROOT_A, 0x301, RWX | PS | BIT(13));
    ck_assert_int_eq(model_read(model, 0xc0400000, &value), EMULATED);
    put(ROOT_A, 0x301, RWX | PS | BIT(17));
    ck_read_faults(0xc0400000, PF_P | PF_R);
}
END_TEST

START_TEST(a_missing_kernel_entry_of_a_new_root_faults_until_it_is_copied)
{
    put(KERNEL, 0, frame(DATA) | RWX | G);
    ck_reads(KERNEL_GVA, DATA);
    put(ROOT_B, KERNEL_GVA >> 22, 0);
    load_root(ROOT_B);
    ck_read_faults(KERNEL_GVA, 0);
    put(ROOT_B, KERNEL_GVA >> 22, frame(KERNEL) | RWX);
    ck_reads(KERNEL_GVA, DATA);
}
END_TEST

START_TEST(a_new_root_keeps_the_kernel_window_that_both_share)
{
    put(KERNEL, 0, frame(DATA) | RWX | G);
    ck_reads(KERNEL_GVA, DATA);
    uint64_t faults = stat(STAT_HIDDEN_FAULTS);
    load_root(ROOT_B);
    ck_reads(KERNEL_GVA, DATA);
    load_root(ROOT_A);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), faults);
}
END_TEST

START_TEST(user_windows_are_refound_by_their_root)
{
    put(USER_A, 1, frame(DATA) | RWX | U);
    put(USER_B, 1, frame(DATA + 1) | RWX | U);
    model->vcpu.cpl = 3;
    ck_reads(0x1000, DATA);
    load_root(ROOT_B);
    ck_reads(0x1000, DATA + 1);
    uint64_t faults = stat(STAT_HIDDEN_FAULTS);
    load_root(ROOT_A);
    ck_reads(0x1000, DATA);
    load_root(ROOT_B);
    ck_reads(0x1000, DATA + 1);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), faults);
}
END_TEST

/* A page directory that the guest has freed and taken again. */
START_TEST(a_root_whose_pages_are_others_is_another_space)
{
    uint64_t first, life;
    unsigned space;

    model->vcpu.cpl = 3;
    for (uint32_t i = 0; i < 8; i++) {
        put(USER_A, i, frame(DATA + 2 * i) | RWX | U);
        ck_reads(i << PAGE_SHIFT, DATA + 2 * i);
    }
    space = mmu_user_space(model->mmu, &first);
    put(USER_A, 0, frame(DATA + 1) | RWX | U);
    load_root(ROOT_A);
    ck_assert_uint_eq(mmu_user_space(model->mmu, &life), space);
    ck_assert_uint_eq(life, first);
    for (uint32_t i = 0; i < 7; i++)
        put(USER_A, i, frame(DATA + 2 * i + 1) | RWX | U);
    load_root(ROOT_A);
    ck_assert_uint_eq(mmu_user_space(model->mmu, &life), space);
    ck_assert_uint_ne(life, first);
}
END_TEST

START_TEST(a_root_that_was_away_sees_what_changed_meanwhile)
{
    put(USER_A, 1, frame(DATA) | RWX | U | G);
    model->vcpu.cpl = 3;
    ck_reads(0x1000, DATA);
    load_root(ROOT_B);
    put(USER_A, 1, frame(DATA + 1) | RWX | U | G);
    mmu_invlpg(model->mmu, 0x1000);
    load_root(ROOT_A);
    ck_reads(0x1000, DATA + 1);
}
END_TEST

START_TEST(loading_cr3_flushes_pages_that_are_not_global)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX);
    load_root(ROOT_A);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(without_pge_the_global_bit_means_nothing)
{
    model->vcpu.cr4 &= ~CR4_PGE;
    mmu_flush(model->mmu);
    put(KERNEL, 0, frame(DATA) | RWX | G);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX | G);
    load_root(ROOT_A);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(global_pages_flushed_by_clearing_pge_are_looked_at_again)
{
    put(KERNEL, 0, frame(DATA) | RWX | G);
    ck_reads(KERNEL_GVA, DATA);
    model->vcpu.cr4 &= ~CR4_PGE;
    mmu_flush(model->mmu);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX | G);
    load_root(ROOT_A);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(tables_of_global_pages_only_cost_nothing_at_a_cr3_load)
{
    put(KERNEL, 0, frame(DATA) | RWX | G);
    ck_reads(KERNEL_GVA, DATA);
    uint64_t checks = stat(STAT_LEAF_CHECKS);
    load_root(ROOT_B);
    ck_assert_uint_eq(stat(STAT_LEAF_CHECKS), checks);
}
END_TEST

START_TEST(pages_that_fork_write_protects_stay_readable)
{
    model->vcpu.cpl = 3;
    for (uint32_t i = 0; i < 8; i++)
        put(USER_A, i, frame(DATA + i) | RWX | U);
    ck_assert_int_eq(model_write(model, 0x3000, 1), DONE);
    for (uint32_t i = 0; i < 8; i++)
        put(USER_A, i, frame(DATA + i) | P | A | D | U);
    load_root(ROOT_A);
    uint64_t faults = stat(STAT_HIDDEN_FAULTS);
    ck_reads(0x5000, DATA + 5);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), faults);
    ck_assert_int_eq(model_write(model, 0x3000, 2), TRUE_FAULT);
    ck_assert_uint_eq(stat(STAT_DROPS), 0);
}
END_TEST

START_TEST(a_page_that_becomes_writable_keeps_its_mapping)
{
    gfn_t gfn;
    model->vcpu.cpl = 3;
    put(USER_A, 1, frame(DATA) | P | A | U);
    ck_reads(0x1000, DATA);
    ck_assert_int_eq(mmu_fetch(model->mmu, 0x1000, &gfn), MMU_RETRY);
    put(USER_A, 1, frame(DATA) | RWX | U);
    mmu_prefill(model->mmu, 0x1000);
    uint64_t faults = stat(STAT_HIDDEN_FAULTS);
    ck_assert_int_eq(model_write(model, 0x1000, 1), DONE);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), faults);
    ck_assert_uint_eq(stat(STAT_DROPS) + model->unmapped, 0);
}
END_TEST

START_TEST(invlpg_maps_the_new_frame_of_a_mapped_page_at_once)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_reads(KERNEL_GVA, DATA + 1);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), 1);
}
END_TEST

/* Unmap pages 0 to 15 as Linux does its fixmap, read what is left. */
static void unmap_one_by_one(uint32_t count)
{
    for (uint32_t i = 0; i < 16; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (uint32_t i = 0; i < count; i++) {
        put(KERNEL, i, 0);
        mmu_invlpg(model->mmu, KERNEL_GVA + i * PAGE_SIZE);
        ck_sound();
        ck_read_faults(KERNEL_GVA + i * PAGE_SIZE, 0);
    }
    for (uint32_t i = count; i < 16; i++)
        ck_reads(KERNEL_GVA + i * PAGE_SIZE, DATA + i);
}

START_TEST(a_range_that_is_unmapped_page_by_page_is_dropped_ahead)
{
    unmap_one_by_one(16);
    uint64_t faults = stat(STAT_HIDDEN_FAULTS);
    unmap_one_by_one(16);
    unmap_one_by_one(16);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), faults + 2);
    unmap_one_by_one(9);
    unmap_one_by_one(1);
    ck_sound();
}
END_TEST

START_TEST(a_range_that_was_cleared_is_dropped_by_the_first_invlpg)
{
    for (uint32_t i = 0; i < 16; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (uint32_t i = 4; i < 12; i++)
        put(KERNEL, i, 0);
    mmu_invlpg(model->mmu, KERNEL_GVA + 0x4000);
    ck_assert_uint_eq(stat(STAT_DROPS), 8);
    ck_assert_uint_eq(stat(STAT_VMAS), 2);
    ck_sound();
    ck_reads(KERNEL_GVA + 0xc000, DATA + 12);
    ck_read_faults(KERNEL_GVA + 0xb000, 0);
}
END_TEST

/* Both roots map C0400000h, each in its own way. */
static void switch_and_write(gfn_t root, gfn_t table, enum outcome expected)
{
    put(root, (KERNEL_GVA >> 22) + 1, frame(table) | RWX);
    put(table, 0, frame(DATA + table) | RWX);
    load_root(root);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x400000, 1), expected);
    ck_sound();
}

START_TEST(a_region_that_roots_map_differently_goes_soft)
{
    unsigned count = 0;
    for (; stat(STAT_SOFT_REGIONS) == 0; count++) {
        ck_assert_uint_lt(count, 100);
        switch_and_write(ROOT_A, USER_A, DONE);
        put(ROOT_B, (KERNEL_GVA >> 22) + 1, frame(USER_B) | RWX);
        load_root(ROOT_B);
    }
    ck_assert_uint_eq(stat(STAT_REGION_DROPS), count);
    switch_and_write(ROOT_B, USER_B, SOFT);
    switch_and_write(ROOT_A, USER_A, SOFT);
    ck_assert_uint_eq(stat(STAT_REGION_DROPS), count);
    /* Others are as they were, and it may come back. */
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (unsigned i = 0; i < 5000; i++)
        load_root(i & 1 ? ROOT_A : ROOT_B);
    switch_and_write(ROOT_A, USER_A, DONE);
}
END_TEST

START_TEST(a_region_that_is_dropped_now_and_then_stays)
{
    for (unsigned i = 0; i < 40; i++) {
        switch_and_write(ROOT_A, USER_A, DONE);
        switch_and_write(ROOT_B, USER_B, DONE);
        for (unsigned k = 0; k < 70; k++)
            load_root(ROOT_B);
    }
    ck_assert_uint_eq(stat(STAT_SOFT_REGIONS), 0);
}
END_TEST

START_TEST(a_prefill_sets_neither_accessed_nor_dirty)
{
    put(KERNEL, 0, frame(DATA) | P | W);
    put(KERNEL, 16, frame(DATA + 1) | P | W | A);
    mmu_prefill(model->mmu, KERNEL_GVA);
    mmu_prefill(model->mmu, KERNEL_GVA + 0x10000);
    ck_assert_uint_eq(stat(STAT_FILLS), 1);
    ck_assert_uint_eq(model_word(model, frame(KERNEL)) & (A | D), 0);
    ck_assert_uint_eq(model_word(model, frame(KERNEL) + 64) & (A | D), A);
    ck_reads(KERNEL_GVA + 0x10000, DATA + 1);
    ck_assert_uint_eq(stat(STAT_HIDDEN_FAULTS), 0);
}
END_TEST

START_TEST(a_prefill_leaves_accessed_of_the_directory_to_an_access)
{
    gpa_t pde = frame(ROOT_A) + (KERNEL_GVA >> 22) * 4;

    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    put(ROOT_A, KERNEL_GVA >> 22, frame(KERNEL) | P | W);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_assert_uint_eq(model_word(model, pde) & A, 0);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(model_word(model, pde) & A, A);
}
END_TEST

/* SDM 3A 4.10.4.1: otherwise a handler could see the fault again. */
START_TEST(a_page_fault_ends_what_is_cached_of_its_page)
{
    put(KERNEL, 0, frame(DATA) | P | A);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, 0);
    ck_reads(KERNEL_GVA, DATA); /* nothing was flushed yet */
    mmu_page_faulted(model->mmu, KERNEL_GVA + 8);
    ck_read_faults(KERNEL_GVA, 0);
}
END_TEST

START_TEST(supervisor_code_reaches_user_pages_softly)
{
    put(USER_A, 1, frame(DATA) | RWX | U);
    ck_assert_int_eq(model_read(model, 0x1000, &value), SOFT);
    model->vcpu.cpl = 3;
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_read_faults(KERNEL_GVA, PF_P | PF_U);
}
END_TEST

START_TEST(stores_that_only_wp_0_allows_are_soft_once_wp_was_set)
{
    put(KERNEL, 0, frame(DATA) | P | A);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), TRUE_FAULT);
    ck_assert_uint_eq(model->vcpu.exc.error, PF_P | PF_W);
    model->vcpu.cr0 &= ~CR0_WP;
    mmu_flush(model->mmu);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), SOFT);
}
END_TEST

START_TEST(a_quiet_leaf_table_is_traced_and_a_store_ends_that)
{
    struct mmu_limits limits;
    mmu_get_limits(model->mmu, &limits);
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 1, frame(KERNEL) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (unsigned i = 0; i < limits.patience; i++)
        load_root(ROOT_A);
    ck_assert_uint_eq(gmem_frame_flags(model->gmem)[KERNEL], FRAME_TABLE);
    ck_assert_int_eq(
        model_write(model, KERNEL_GVA + PAGE_SIZE, frame(DATA + 1) | RWX),
        DONE);
    ck_assert_uint_eq(stat(STAT_TRACE_FAULTS), 1);
    ck_assert_uint_eq(gmem_frame_flags(model->gmem)[KERNEL], 0);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(a_traced_table_that_changed_unannounced_can_be_forgotten)
{
    const uint32_t changed = frame(DATA + 1) | RWX;
    struct mmu_limits limits;

    mmu_get_limits(model->mmu, &limits);
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (unsigned i = 0; i < limits.patience; i++)
        mmu_flush(model->mmu);
    memcpy(gmem_base(model->gmem) + frame(KERNEL), &changed, sizeof(changed));
    mmu_forget(model->mmu);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(a_traced_code_frame_is_writable_in_no_window)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 8, frame(DATA) | RWX);
    put(USER_A, 1, frame(DATA) | RWX | U);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x8000, 2), DONE);
    model->vcpu.cpl = 3;
    ck_assert_int_eq(model_write(model, 0x1000, 3), DONE);
    mmu_trace_code(model->mmu, DATA, true);
    ck_assert_int_eq(model_write(model, 0x1000, 4), EMULATED);
    model->vcpu.cpl = 0;
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 5), EMULATED);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x8000, 6), EMULATED);
    ck_reads(KERNEL_GVA, DATA);
    ck_sound();
    mmu_trace_code(model->mmu, DATA, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 7), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA)), 7);
}
END_TEST

/* Eight kernel pages in a run, the fourth of them traced. */
static void trace_one_of_eight(void)
{
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    mmu_trace_code(model->mmu, DATA + 3, true);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 4), EMULATED);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x2000, 4), DONE);
    ck_sound();
}

START_TEST(a_trace_by_userfaultfd_splits_no_mapping)
{
    bool split = mmu_get_trace(model->mmu) == MMU_TRACE_MPROTECT;
    trace_one_of_eight();
    ck_assert_uint_eq(stat(STAT_VMAS), split ? 3 : 1);
    mmu_trace_code(model->mmu, DATA + 3, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 9), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA + 3)), 9);
    ck_assert_uint_eq(stat(STAT_VMAS), 1);
    ck_sound();
}
END_TEST

/* As a container does, or a kernel without it. */
static void deny_userfaultfd(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {ARRAY_COUNT(code), code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(a_host_that_denies_userfaultfd_gets_mprotect)
{
    static const unsigned errors[] = {EPERM, ENOSYS};
    deny_userfaultfd(errors[_i]);
    mmu_set_trace(model->mmu, MMU_TRACE_DEFAULT);
    ck_assert_int_eq(mmu_get_trace(model->mmu), MMU_TRACE_MPROTECT);
    trace_one_of_eight();
    mmu_set_trace(model->mmu, MMU_TRACE_USERFAULTFD);
    ck_assert_int_eq(mmu_get_trace(model->mmu), MMU_TRACE_MPROTECT);
    ck_sound();
}
END_TEST

START_TEST(a_traced_frame_is_protected_wherever_it_is_mapped_later)
{
    trace_one_of_eight();
    for (uint32_t i = 0; i < 8; i++) {
        put(KERNEL, 100 + i, frame(DATA + i) | RWX);
        put(USER_A, i, frame(DATA + i) | RWX | U);
    }
    ck_reads(KERNEL_GVA + 100 * 0x1000, DATA);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 103 * 0x1000, 4),
                     EMULATED);
    model->vcpu.cpl = 3;
    ck_reads(0x3000, DATA + 3);
    ck_assert_int_eq(model_write(model, 0x3000, 4), EMULATED);
    ck_assert_int_eq(model_write(model, 0x4000, 4), DONE);
    ck_sound();
}
END_TEST

START_TEST(a_trace_outlives_the_loss_and_return_of_write_permission)
{
    trace_one_of_eight();
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | (RWX & ~W));
    mmu_flush(model->mmu);
    ck_sound();
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x2000, 1), DONE);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 2), EMULATED);
    ck_sound();
    mmu_trace_code(model->mmu, DATA + 3, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 3), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA + 3)), 3);
    ck_sound();
}
END_TEST

START_TEST(setting_accessed_in_a_code_frame_tells_the_cache)
{
    put(KERNEL, 0, frame(DATA) | P);
    mmu_trace_code(model->mmu, KERNEL, true);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(model->code_written, 1);
}
END_TEST

START_TEST(a_fetched_page_that_is_never_mapped_is_called_off)
{
    gfn_t gfn = 0;
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_assert_int_eq(mmu_fetch(model->mmu, KERNEL_GVA, &gfn), MMU_RETRY);
    ck_assert_uint_eq(gfn, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX);
    ck_assert_uint_eq(model->unmapped, 0);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_assert_uint_eq(model->unmapped, 1);
    ck_assert_uint_eq(stat(STAT_FILLS), 0);
}
END_TEST

START_TEST(mapping_a_fetched_page_for_data_keeps_its_code)
{
    gfn_t gfn = 0;
    put(KERNEL, 0, frame(DATA) | P | W);
    ck_assert_int_eq(mmu_fetch(model->mmu, KERNEL_GVA, &gfn), MMU_RETRY);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    ck_assert_uint_eq(model->unmapped, 0);
    put(KERNEL, 0, 0);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_assert_uint_eq(model->unmapped, 1);
}
END_TEST

START_TEST(no_execute_stops_fetches_only)
{
    uint64_t pte = frame(DATA) | P | W | BIT64(63), pde = frame(KERNEL) | P | W;
    gfn_t gfn = 0;
    model_store(model, frame(KERNEL), &pte, 8);
    model_store(model, frame(ROOT_A), &pde, 8);
    model->vcpu.cr4 |= CR4_PAE;
    model->vcpu.efer = EFER_NXE;
    model->vcpu.pdpte[3] = frame(ROOT_A) | 1;
    mmu_flush(model->mmu);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_int_eq(mmu_fetch(model->mmu, KERNEL_GVA, &gfn), MMU_TRUE);
    ck_assert_uint_eq(model->vcpu.exc.error, PF_P | PF_I);
    model->vcpu.efer = 0;
    mmu_flush(model->mmu);
    ck_read_faults(KERNEL_GVA, PF_P | PF_R);
}
END_TEST

START_TEST(tables_outside_ram_are_left_to_the_interpreter)
{
    put(ROOT_A, 0x301, frame(0xa0) | RWX);
    put(ROOT_A, 0x302, 0xfffff000 | RWX);
    gfn_t gfn = 0;
    ck_assert_int_eq(model_read(model, 0xc0400000, &value), EMULATED);
    ck_assert_int_eq(mmu_fetch(model->mmu, 0xc0800000, &gfn), MMU_EMULATE);
    load_root(MODEL_FRAMES);
    ck_assert_int_eq(model_read(model, KERNEL_GVA, &value), EMULATED);
}
END_TEST

START_TEST(one_frame_mapped_everywhere_stays_within_the_budget)
{
    struct mmu_limits limits = {.vmas = 100, .user_windows = 1, .patience = 64};
    mmu_set_limits(model->mmu, &limits);
    for (uint32_t i = 0; i < 1024; i++)
        put(KERNEL, i, frame(DATA) | RWX);
    for (uint32_t i = 0; i < 1024; i++) {
        ck_reads(KERNEL_GVA + i * PAGE_SIZE, DATA);
        ck_assert_uint_le(stat(STAT_VMAS), 100);
    }
    ck_assert_uint_gt(stat(STAT_WINDOW_EVICTIONS), 5);
}
END_TEST

static unsigned host_vma_limit(void)
{
    unsigned limit = 0;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%u", &limit), 1);
    fclose(file);
    return limit;
}

/* Every page a VMA of its own: more of them than most hosts allow. */
START_TEST(a_host_that_refuses_vmas_is_survived)
{
    const uint32_t tables = 68, first = 0x400;
    struct mmu_limits limits = {
        .vmas = UINT32_MAX, .user_windows = 1, .patience = 64};
    unsigned refused = 0;
    mmu_set_limits(model->mmu, &limits);
    for (uint32_t t = 0; t < tables; t++) {
        put(ROOT_A, 0x300 + t, frame(first + t) | RWX);
        for (uint32_t i = 0; i < 1024; i++)
            put(first + t, i, frame(DATA + 2 * (i % 8)) | RWX);
    }
    for (uint32_t page = 0; page < tables * 1024; page++) {
        gva_t gva = KERNEL_GVA + page * PAGE_SIZE;
        if (model_read(model, gva, &value) == EMULATED)
            refused++;
        else
            ck_reads(gva, DATA + 2 * (page % 8));
    }
    ck_assert_uint_eq(refused != 0, host_vma_limit() < tables * 1024);
    ck_assert_uint_le(refused, 8);
}
END_TEST

START_TEST(traces_that_need_more_vmas_than_there_are_hold_all_the_same)
{
    const uint32_t tables = 66, first = 0x400;
    struct mmu_limits limits = {
        .vmas = UINT32_MAX, .user_windows = 1, .patience = 64};
    mmu_set_limits(model->mmu, &limits);
    /* 1056 runs of 64 pages, each a VMA that 32 traces would make 64. */
    for (uint32_t t = 0; t < tables; t++) {
        put(ROOT_A, 0x300 + t, frame(first + t) | RWX);
        for (uint32_t i = 0; i < 1024; i++)
            put(first + t, i, frame(DATA + i % 64) | RWX);
    }
    for (uint32_t page = 0; page < tables * 1024; page += 64)
        ck_assert_int_eq(
            model_write(model, KERNEL_GVA + page * PAGE_SIZE, page), DONE);
    for (uint32_t i = 0; i < 64; i += 2)
        mmu_trace_code(model->mmu, DATA + i, true);
    ck_sound();
    for (uint32_t page = 0; page < tables * 1024; page += 64)
        ck_assert_int_eq(
            model_write(model, KERNEL_GVA + page * PAGE_SIZE, page), EMULATED);
}
END_TEST

START_TEST(more_roots_than_windows_evict_the_oldest)
{
    struct mmu_limits limits = {.vmas = 1000, .user_windows = 2, .patience = 4};
    mmu_set_limits(model->mmu, &limits);
    model->vcpu.cpl = 3;
    for (uint32_t i = 0; i < 6; i++) {
        put(0x210 + i, 0, frame(0x220 + i) | RWX | U);
        put(0x220 + i, 0, frame(DATA + i) | RWX | U);
    }
    for (uint32_t i = 0; i < 18; i++) {
        load_root(0x210 + i % 6);
        ck_reads(0, DATA + i % 6);
    }
    ck_assert_uint_ge(stat(STAT_WINDOW_EVICTIONS), 16);
}
END_TEST

START_TEST(two_machines_in_a_process_have_windows_of_their_own)
{
    struct model *first = model, *second = model_create(MMU_TRACE_DEFAULT);
    second->vcpu.cr0 = CR0_PE;
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_ne(mmu_window_base(first->mmu),
                      mmu_window_base(second->mmu));
    ck_assert_int_eq(model_write(second, frame(DATA), 99), DONE);
    ck_assert_uint_ne(model_word(first, frame(DATA)), 99);
    ck_assert_pstr_eq(spt_verify_host(second->mmu), NULL);
    model_destroy(second);
    ck_reads(KERNEL_GVA, DATA);
}
END_TEST

static void setup_mprotect(void)
{
    setup(MMU_TRACE_MPROTECT);
}

static void setup_userfaultfd(void)
{
    setup(MMU_TRACE_USERFAULTFD);
}

static TCase *make_tcase(const char *name, SFun setup_kind)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, setup_kind, teardown);
    tcase_add_test(tcase, without_paging_ram_is_mapped_flat);
    tcase_add_test(tcase, with_a20_closed_odd_megabytes_alias_even_ones);
    tcase_add_test(tcase, rom_is_read_through_the_window_but_not_written);
    tcase_add_test(tcase, a_change_of_the_physical_map_reaches_the_windows);
    tcase_add_test(tcase, a_contiguous_run_is_mapped_by_one_fault);
    tcase_add_test(tcase, neighbours_that_were_never_accessed_are_not_mapped);
    tcase_add_test(tcase, the_first_store_to_a_clean_page_sets_dirty);
    tcase_add_test(tcase, a_cleared_accessed_bit_is_set_again_after_invlpg);
    tcase_add_test(tcase, a_large_page_is_mapped_whole_and_follows_its_entry);
    tcase_add_test(tcase, pse36_address_bits_lead_out_of_ram);
    tcase_add_test(
        tcase, a_missing_kernel_entry_of_a_new_root_faults_until_it_is_copied);
    tcase_add_test(tcase, a_new_root_keeps_the_kernel_window_that_both_share);
    tcase_add_test(tcase, user_windows_are_refound_by_their_root);
    tcase_add_test(tcase, a_root_whose_pages_are_others_is_another_space);
    tcase_add_test(tcase, a_root_that_was_away_sees_what_changed_meanwhile);
    tcase_add_test(tcase, loading_cr3_flushes_pages_that_are_not_global);
    tcase_add_test(tcase, without_pge_the_global_bit_means_nothing);
    tcase_add_test(tcase,
                   global_pages_flushed_by_clearing_pge_are_looked_at_again);
    tcase_add_test(tcase,
                   tables_of_global_pages_only_cost_nothing_at_a_cr3_load);
    tcase_add_test(tcase, pages_that_fork_write_protects_stay_readable);
    tcase_add_test(tcase, a_page_that_becomes_writable_keeps_its_mapping);
    tcase_add_test(tcase, invlpg_maps_the_new_frame_of_a_mapped_page_at_once);
    tcase_add_test(tcase,
                   a_range_that_is_unmapped_page_by_page_is_dropped_ahead);
    tcase_add_test(tcase,
                   a_range_that_was_cleared_is_dropped_by_the_first_invlpg);
    tcase_add_test(tcase, a_region_that_roots_map_differently_goes_soft);
    tcase_add_test(tcase, a_region_that_is_dropped_now_and_then_stays);
    tcase_add_test(tcase, a_prefill_sets_neither_accessed_nor_dirty);
    tcase_add_test(tcase,
                   a_prefill_leaves_accessed_of_the_directory_to_an_access);
    tcase_add_test(tcase, a_page_fault_ends_what_is_cached_of_its_page);
    tcase_add_test(tcase, supervisor_code_reaches_user_pages_softly);
    tcase_add_test(tcase,
                   stores_that_only_wp_0_allows_are_soft_once_wp_was_set);
    tcase_add_test(tcase, a_quiet_leaf_table_is_traced_and_a_store_ends_that);
    tcase_add_test(tcase,
                   a_traced_table_that_changed_unannounced_can_be_forgotten);
    tcase_add_test(tcase, a_traced_code_frame_is_writable_in_no_window);
    tcase_add_test(tcase, a_trace_by_userfaultfd_splits_no_mapping);
    tcase_add_loop_test(tcase, a_host_that_denies_userfaultfd_gets_mprotect, 0,
                        2);
    tcase_add_test(tcase,
                   a_traced_frame_is_protected_wherever_it_is_mapped_later);
    tcase_add_test(tcase,
                   a_trace_outlives_the_loss_and_return_of_write_permission);
    tcase_add_test(tcase, setting_accessed_in_a_code_frame_tells_the_cache);
    tcase_add_test(tcase, a_fetched_page_that_is_never_mapped_is_called_off);
    tcase_add_test(tcase, mapping_a_fetched_page_for_data_keeps_its_code);
    tcase_add_test(tcase, no_execute_stops_fetches_only);
    tcase_add_test(tcase, tables_outside_ram_are_left_to_the_interpreter);
    tcase_add_test(tcase, one_frame_mapped_everywhere_stays_within_the_budget);
    tcase_add_test(tcase, a_host_that_refuses_vmas_is_survived);
    tcase_add_test(tcase,
                   traces_that_need_more_vmas_than_there_are_hold_all_the_same);
    tcase_add_test(tcase, more_roots_than_windows_evict_the_oldest);
    tcase_add_test(tcase, two_machines_in_a_process_have_windows_of_their_own);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("mmu");
    suite_add_tcase(suite, make_tcase("mprotect", setup_mprotect));
    suite_add_tcase(suite, make_tcase("userfaultfd", setup_userfaultfd));
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
