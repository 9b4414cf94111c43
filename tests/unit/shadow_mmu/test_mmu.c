/* SPDX-License-Identifier: MIT */
#include "mmu_fixture.h"
#include "tests/suite/suite.h"

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
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), 1);
    ck_assert_uint_eq(counter(STAT_VMAS), 1);
}
END_TEST

START_TEST(neighbours_that_were_never_accessed_are_not_mapped)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 1, frame(DATA + 1) | P | W);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(counter(STAT_FILLS), 1);
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
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), 1);
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
    uint64_t faults = counter(STAT_HIDDEN_FAULTS);
    load_root(ROOT_B);
    ck_reads(KERNEL_GVA, DATA);
    load_root(ROOT_A);
    ck_reads(KERNEL_GVA, DATA);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), faults);
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
    uint64_t faults = counter(STAT_HIDDEN_FAULTS);
    load_root(ROOT_A);
    ck_reads(0x1000, DATA);
    load_root(ROOT_B);
    ck_reads(0x1000, DATA + 1);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), faults);
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
    uint64_t checks = counter(STAT_LEAF_CHECKS);
    load_root(ROOT_B);
    ck_assert_uint_eq(counter(STAT_LEAF_CHECKS), checks);
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
    uint64_t faults = counter(STAT_HIDDEN_FAULTS);
    ck_reads(0x5000, DATA + 5);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), faults);
    ck_assert_int_eq(model_write(model, 0x3000, 2), TRUE_FAULT);
    ck_assert_uint_eq(counter(STAT_DROPS), 0);
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
    uint64_t faults = counter(STAT_HIDDEN_FAULTS);
    ck_assert_int_eq(model_write(model, 0x1000, 1), DONE);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), faults);
    ck_assert_uint_eq(counter(STAT_DROPS) + model->unmapped, 0);
}
END_TEST

START_TEST(invlpg_maps_the_new_frame_of_a_mapped_page_at_once)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    put(KERNEL, 0, frame(DATA + 1) | RWX);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_reads(KERNEL_GVA, DATA + 1);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), 1);
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
    uint64_t faults = counter(STAT_HIDDEN_FAULTS);
    unmap_one_by_one(16);
    unmap_one_by_one(16);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), faults + 2);
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
    ck_assert_uint_eq(counter(STAT_DROPS), 8);
    ck_assert_uint_eq(counter(STAT_VMAS), 2);
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
    for (; counter(STAT_SOFT_REGIONS) == 0; count++) {
        ck_assert_uint_lt(count, 100);
        switch_and_write(ROOT_A, USER_A, DONE);
        put(ROOT_B, (KERNEL_GVA >> 22) + 1, frame(USER_B) | RWX);
        load_root(ROOT_B);
    }
    ck_assert_uint_eq(counter(STAT_REGION_DROPS), count);
    switch_and_write(ROOT_B, USER_B, SOFT);
    switch_and_write(ROOT_A, USER_A, SOFT);
    ck_assert_uint_eq(counter(STAT_REGION_DROPS), count);
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
    ck_assert_uint_eq(counter(STAT_SOFT_REGIONS), 0);
}
END_TEST

START_TEST(a_prefill_sets_neither_accessed_nor_dirty)
{
    put(KERNEL, 0, frame(DATA) | P | W);
    put(KERNEL, 16, frame(DATA + 1) | P | W | A);
    mmu_prefill(model->mmu, KERNEL_GVA);
    mmu_prefill(model->mmu, KERNEL_GVA + 0x10000);
    ck_assert_uint_eq(counter(STAT_FILLS), 1);
    ck_assert_uint_eq(model_word(model, frame(KERNEL)) & (A | D), 0);
    ck_assert_uint_eq(model_word(model, frame(KERNEL) + 64) & (A | D), A);
    ck_reads(KERNEL_GVA + 0x10000, DATA + 1);
    ck_assert_uint_eq(counter(STAT_HIDDEN_FAULTS), 0);
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

/* As behind a reset. */
START_TEST(what_is_forgotten_includes_that_wp_was_set)
{
    put(KERNEL, 0, frame(DATA) | P | A);
    ck_reads(KERNEL_GVA, DATA);
    model->vcpu.cr0 &= ~CR0_WP;
    mmu_flush(model->mmu);
    mmu_forget(model->mmu);
    model->wp_seen = false;
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
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
    ck_assert_uint_eq(counter(STAT_FILLS), 0);
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
    tcase_add_test(tcase, what_is_forgotten_includes_that_wp_was_set);
    tcase_add_test(tcase,
                   stores_that_only_wp_0_allows_are_soft_once_wp_was_set);
    tcase_add_test(tcase, setting_accessed_in_a_code_frame_tells_the_cache);
    tcase_add_test(tcase, a_fetched_page_that_is_never_mapped_is_called_off);
    tcase_add_test(tcase, mapping_a_fetched_page_for_data_keeps_its_code);
    tcase_add_test(tcase, no_execute_stops_fetches_only);
    tcase_add_test(tcase, tables_outside_ram_are_left_to_the_interpreter);
    add_trace_tests(tcase);
    add_limit_tests(tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("mmu");
    suite_add_tcase(suite, make_tcase("mprotect", setup_mprotect));
    suite_add_tcase(suite, make_tcase("userfaultfd", setup_userfaultfd));
    return run_suite(suite);
}
