/* SPDX-License-Identifier: MIT */
#include "cache_fixture.h"

#include <stdlib.h>
#include <time.h>

/*
 * What a guest can make many of. Where the work for one thing grew with their
 * number, a test here would take minutes, and a guest could stop popf.
 */
#define MANY    100000u
#define SECONDS 2

static clock_t begin;

static void expect_quick(void)
{
    ck_assert_int_lt((clock() - begin) / CLOCKS_PER_SEC, SECONDS);
}

static struct ccf *add_mode(gip_t gip, gfn_t gfn, uint32_t mode)
{
    uint32_t offset = gip & PAGE_MASK;
    struct ccf *ccf = make(gip, gfn, offset + 1, HOST_LEN);

    ccf->mode = mode;
    tc_insert(tc, ccf);
    return ccf;
}

START_TEST(one_of_many_exits_to_a_ccf_is_unchained_at_once)
{
    struct ccf *target = add(0x1000, 7, 1);
    static struct ccf *from[MANY];

    for (uint32_t i = 0; i < MANY; i++) {
        from[i] = add(0x2000 + i, 8 + i / PAGE_SIZE, PAGE_SIZE);
        tc_chain(tc, from[i]->exits, target);
    }
    begin = clock();
    for (uint32_t i = 0; i < MANY / 4; i++)
        tc_unchain(tc, from[i]->exits);
    expect_quick();
    ck_assert_ptr_eq(target->incoming, from[MANY - 1]->exits);
}
END_TEST

START_TEST(neighbours_in_the_list_of_exits_stay)
{
    struct ccf *target = add(0x1000, 7, 1);
    struct ccf *from[5];

    for (uint32_t i = 0; i < 5; i++) {
        from[i] = add(0x2000 + i, 8, 2);
        tc_chain(tc, from[i]->exits, target);
    }
    tc_unchain(tc, from[2]->exits);
    verify();
    tc_unchain(tc, from[0]->exits);
    verify();
    tc_unchain(tc, from[4]->exits);
    verify();
    ck_assert_ptr_eq(target->incoming, from[3]->exits);
    ck_assert_ptr_eq(from[3]->exits->next, from[1]->exits);
    ck_assert_ptr_null(from[1]->exits->next);
}
END_TEST

START_TEST(ccfs_of_many_modes_are_found_at_once)
{
    for (uint32_t i = 0; i < MANY; i++)
        add_mode(0x1000, 7, i << 14);
    begin = clock();
    for (uint32_t i = 0; i < MANY; i++)
        ck_assert_ptr_nonnull(tc_find(tc, 0x1000, 7, i << 14));
    expect_quick();
}
END_TEST

START_TEST(a_store_to_a_frame_with_few_ccfs_drops_what_it_hits)
{
    for (uint32_t i = 0; i < TC_FRAME_CROWD / 2; i++)
        add_mode(0x1000, 7, i);
    add_mode(0x1004, 7, 0);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 4, 4), 1);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0xff0, 4), 0);
}
END_TEST

START_TEST(a_store_to_a_frame_with_a_crowd_of_ccfs_drops_it)
{
    for (uint32_t i = 0; i < MANY; i++)
        add_mode(0x1000 + i % 64, 7, i / 64);
    begin = clock();
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0xff0, 4), MANY);
    expect_quick();
    ck_assert(!tc_frame_has_code(tc, 7));
}
END_TEST

/* 12 KiB of tables for 64 bytes of code. */
START_TEST(tables_fill_a_region_as_code_does)
{
    const uint32_t points = 1000;

    for (uint32_t i = 0; i < 15000; i++) {
        struct ccf *ccf =
            make(0x1000 + i, 7 + i / PAGE_SIZE, PAGE_SIZE, HOST_LEN);

        free(ccf->points);
        ccf->points = calloc(points, sizeof(*ccf->points));
        ccf->point_count = points;
        tc_insert(tc, ccf);
    }
    ck_assert_uint_gt(evicted_count, 20);
}
END_TEST

void add_crowds(Suite *suite)
{
    TCase *tcase = tcase_create("crowds");

    tcase_add_checked_fixture(tcase, setup_large, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, one_of_many_exits_to_a_ccf_is_unchained_at_once);
    tcase_add_test(tcase, neighbours_in_the_list_of_exits_stay);
    tcase_add_test(tcase, ccfs_of_many_modes_are_found_at_once);
    tcase_add_test(tcase, a_store_to_a_frame_with_few_ccfs_drops_what_it_hits);
    tcase_add_test(tcase, a_store_to_a_frame_with_a_crowd_of_ccfs_drops_it);
    tcase_add_test(tcase, tables_fill_a_region_as_code_does);
    suite_add_tcase(suite, tcase);
}
