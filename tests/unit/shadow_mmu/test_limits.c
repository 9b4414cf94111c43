/* SPDX-License-Identifier: MIT */
#include "mmu_fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Budgets: VMAs, windows and time. */

START_TEST(one_frame_mapped_everywhere_stays_within_the_budget)
{
    struct mmu_limits limits = {.vmas = 100, .user_windows = 1, .patience = 64};
    mmu_set_limits(model->mmu, &limits);
    for (uint32_t i = 0; i < 1024; i++)
        put(KERNEL, i, frame(DATA) | RWX);
    for (uint32_t i = 0; i < 1024; i++) {
        ck_reads(KERNEL_GVA + i * PAGE_SIZE, DATA);
        ck_assert_uint_le(counter(STAT_VMAS), 100);
    }
    ck_assert_uint_gt(counter(STAT_VMA_EVICTIONS), 5);
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
    ck_assert_uint_ge(counter(STAT_WINDOW_EVICTIONS), 16);
}
END_TEST

/* Five spaces with a page in each region: 60 MiB of shadow entries, but for the
 * budget. Tables of their own, so that a CR3 load has nothing to compare. */
START_TEST(scattered_pages_of_many_spaces_stay_within_the_budget)
{
    struct mmu_limits limits = {
        .vmas = 30000, .user_windows = 8, .patience = 4};
    mmu_set_limits(model->mmu, &limits);
    model->vcpu.cpl = 3;
    for (uint32_t space = 0; space < 5; space++) {
        put(0x220 + space, 0, frame(DATA + space) | RWX | U);
        for (uint32_t region = 0; region < 1024; region++)
            put(0x210 + space, region, frame(0x220 + space) | RWX | U);
    }
    for (uint32_t i = 0; i < 10; i++) {
        load_root(0x210 + i % 5);
        for (uint32_t region = 0; region < 1024; region++)
            ck_reads(region << 22, DATA + i % 5);
        ck_sound();
    }
    ck_assert_uint_ge(counter(STAT_SPT_EVICTIONS), 7);
    ck_assert_uint_eq(counter(STAT_VMA_EVICTIONS), 0);
}
END_TEST

/* Looking at each page of each user would take milliseconds for every change. */
START_TEST(a_table_that_a_thousand_regions_share_changes_at_once)
{
    struct mmu_limits limits = {
        .vmas = 10000, .user_windows = 1, .patience = UINT32_MAX};
    mmu_set_limits(model->mmu, &limits);
    for (uint32_t i = 0; i < 1024; i++)
        put(KERNEL, i, frame(DATA + i % 8) | RWX);
    for (uint32_t region = 1; region < 1024; region++) {
        put(ROOT_A, region, frame(KERNEL) | RWX);
        ck_reads(region << 22, DATA);
        ck_reads((region << 22) + 0x3ff000, DATA + 7);
    }
    clock_t begin = clock();
    for (uint32_t round = 0; round < 1000; round++) {
        put(KERNEL, 0x11, frame(DATA + round % 2) | RWX);
        put(KERNEL, 0x311, frame(DATA + round % 2) | RWX);
        load_root(ROOT_A);
    }
    ck_assert_int_lt((clock() - begin) * 2 / CLOCKS_PER_SEC, 3);
    ck_reads((5u << 22) + 0x11000, DATA + 1);
    ck_reads((1023u << 22) + 0x311000, DATA + 1);
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

void add_limit_tests(TCase *tcase)
{
    tcase_add_test(tcase, one_frame_mapped_everywhere_stays_within_the_budget);
    tcase_add_test(tcase, a_host_that_refuses_vmas_is_survived);
    tcase_add_test(tcase,
                   traces_that_need_more_vmas_than_there_are_hold_all_the_same);
    tcase_add_test(tcase,
                   scattered_pages_of_many_spaces_stay_within_the_budget);
    tcase_add_test(tcase, more_roots_than_windows_evict_the_oldest);
    tcase_add_test(tcase,
                   a_table_that_a_thousand_regions_share_changes_at_once);
    tcase_add_test(tcase, two_machines_in_a_process_have_windows_of_their_own);
}
