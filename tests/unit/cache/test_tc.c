/* SPDX-License-Identifier: MIT */
#include "cache_fixture.h"
#include "tests/suite/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Finding ---- */

START_TEST(a_ccf_is_found_by_its_whole_key)
{
    struct ccf *ccf = add(0x1000, 7, 0x10);

    ck_assert_ptr_eq(tc_find(tc, 0x1000, 7, MODE), ccf);
    ck_assert_ptr_null(tc_find(tc, 0x1001, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1000, 8, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE + 1));
    verify();
}
END_TEST

START_TEST(a_ccf_is_found_by_every_address_of_its_code)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);

    for (unsigned i = 0; i < HOST_LEN; i++) {
        ck_assert_ptr_eq(tc_find_host(tc, a->start + i), a);
        ck_assert_ptr_eq(tc_find_host(tc, b->start + i), b);
    }
    ck_assert_ptr_null(tc_find_host(tc, b->start + HOST_LEN));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss - 1));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss + TC_MIN_LEN));
}
END_TEST

START_TEST(the_last_point_at_or_below_an_address_governs_it)
{
    struct ccf *ccf = add(0x1000, 7, 0x10);
    bool exact;

    ck_assert_ptr_null(ccf_find_point(ccf, ccf->start + 7, &exact));
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 8, &exact), ccf->points);
    ck_assert(exact);
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 23, &exact), ccf->points);
    ck_assert(!exact);
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 24, &exact),
                     ccf->points + 1);
    ck_assert(exact);
}
END_TEST

START_TEST(ccfs_are_placed_one_behind_the_other)
{
    struct ccf *a = make(0x1000, 7, 0x10, 70);
    struct ccf *b;

    tc_insert(tc, a);
    b = add(0x1010, 7, 0x20);
    ck_assert_uint_eq(a->start % 64, 0);
    ck_assert_uint_eq(b->start, a->start + 80);
    verify();
}
END_TEST

/* ---- Chaining ---- */

START_TEST(chaining_leads_an_exit_to_the_body)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);

    tc_chain(tc, a->exits, b);
    ck_assert_uint_eq(exit_target(a), b->body);
    ck_assert_ptr_eq(b->incoming, a->exits);
    verify();
}
END_TEST

START_TEST(unchaining_restores_the_original_jump)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, c);
    tc_chain(tc, b->exits, c);
    tc_unchain(tc, a->exits);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_null(a->exits->chained);
    ck_assert_ptr_eq(c->incoming, b->exits);
    ck_assert_ptr_null(b->exits->next);
    verify();
}
END_TEST

START_TEST(a_ccf_may_be_chained_to_itself)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_chain(tc, a->exits, a);
    verify();
    tc_drop(tc, a);
    verify();
}
END_TEST

START_TEST(a_page_undoes_the_chains_that_cross_into_it)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);
    struct ccf *far = add(0x2000, 8, 0x10);
    struct ccf *same_bucket = add(0x2000 + 0x400000, 9, 0x10);

    tc_chain(tc, a->exits, far);
    tc_chain(tc, b->exits, same_bucket);
    tc_chain(tc, c->exits, a);
    verify();
    tc_unchain_page(tc, 0x3000);
    ck_assert_ptr_eq(a->exits->chained, far);
    tc_unchain_page(tc, 0x2000);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_eq(b->exits->chained, same_bucket);
    verify();
    tc_unchain_pages(tc);
    ck_assert_ptr_null(b->exits->chained);
    ck_assert_ptr_eq(c->exits->chained, a);
    verify();
}
END_TEST

START_TEST(dropping_either_end_ends_a_chain_between_pages)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x2000, 8, 0x10);

    tc_chain(tc, a->exits, b);
    tc_chain(tc, b->exits, a);
    tc_drop(tc, a);
    verify();
    ck_assert_ptr_null(b->exits->chained);
    tc_unchain_page(tc, 0x1000);
    tc_unchain_pages(tc);
    verify();
}
END_TEST

START_TEST(an_exit_that_is_never_chained_uses_the_table)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_never_chain(tc, a->exits);
    ck_assert_uint_eq(exit_target(a), a->start + TABLE_OFFSET);
    verify();
    tc_drop(tc, a);
    verify();
}
END_TEST

static bool is_page_2000(const void *opaque, gva_t at)
{
    (void)opaque;
    return at == 0x2000;
}

START_TEST(pages_with_chains_into_them_are_told)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x2000, 8, 0x10);

    tc_chain(tc, a->exits, b);
    ck_assert_uint_eq(tc_find_crossed(tc, is_page_2000, NULL), TC_NO_PAGE);
    tc_chain(tc, b->exits, a);
    ck_assert_uint_eq(tc_find_crossed(tc, is_page_2000, NULL), 0x1000);
}
END_TEST

/* ---- Dropping ---- */

START_TEST(a_dropped_ccf_leads_to_the_lookup)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, b);
    tc_chain(tc, b->exits, c);
    tc_drop(tc, b);
    ck_assert_ptr_null(tc_find(tc, 0x1010, 7, MODE));
    ck_assert_ptr_eq(tc_find_host(tc, b->start), b);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_null(c->incoming);
    ck_assert_uint_eq(jmp_target(b->entry), stubs.miss);
    ck_assert_uint_eq(jmp_target(b->start + RETURN_OFFSET), stubs.lookup);
    verify();
}
END_TEST

START_TEST(a_range_drops_what_was_read_from_it_only)
{
    add(0x1000, 7, 0x10);
    add(0x1010, 7, 0x20);
    add(0x1020, 7, 0x30);
    add(0x1010, 8, 0x20);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0x1f, 1), 1);
    ck_assert_ptr_nonnull(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1010, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x1020, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x1010, 8, MODE));
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0x0f, 0x12), 2);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0, PAGE_SIZE), 0);
    verify();
}
END_TEST

START_TEST(either_frame_of_a_crossing_ccf_drops_it)
{
    add_crossing(0x1ffe, 7, 9);
    add_crossing(0x2ffe, 9, 7);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 3, 0x100), 0);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 2, 0x100), 1);
    ck_assert_ptr_null(tc_find(tc, 0x1ffe, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x2ffe, 9, MODE));
    verify();
    ck_assert_uint_eq(tc_drop_range(tc, 9, 0xffe, 1), 1);
    ck_assert(!tc_frame_has_code(tc, 7));
    ck_assert(!tc_frame_has_code(tc, 9));
    verify();
}
END_TEST

START_TEST(a_ccf_with_one_frame_under_both_pages_is_dropped_once)
{
    add_crossing(0x1ffe, 7, 7);
    add(0x1000, 7, 0x10);
    verify();
    ck_assert_uint_eq(tc_drop_frame(tc, 7), 2);
    ck_assert(!tc_frame_has_code(tc, 7));
    verify();
}
END_TEST

START_TEST(an_empty_frame_is_reported_when_its_last_ccf_goes)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add_crossing(0x1ffe, 7, 9);

    tc_drop(tc, a);
    ck_assert_uint_eq(empty_count, 0);
    tc_drop(tc, b);
    ck_assert_uint_eq(empty_count, 2);
    ck_assert_uint_eq(empty_frames[0], 7);
    ck_assert_uint_eq(empty_frames[1], 9);
}
END_TEST

START_TEST(dropping_all_leaves_nothing)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_chain(tc, a->exits, add(0x1010, 8, 0x20));
    tc_drop_all(tc);
    tc_drop_all(tc);
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1010, 8, MODE));
    verify();
}
END_TEST

START_TEST(a_cleared_cache_is_as_new)
{
    struct ccf *a = add_kept(0x1000, 7, 0x10);
    const uint64_t start = a->start;

    tc_chain(tc, a->exits, add(0x1010, 8, 0x20));
    tc_drop_frame(tc, 7);
    tc_clear(tc);
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    ck_assert_ptr_null(tc_find(tc, 0x1010, 8, MODE));
    ck_assert_ptr_null(tc_find_host(tc, start));
    ck_assert(!tc_frame_has_code(tc, 8));
    ck_assert_uint_eq(add(0x2000, 7, 0x10)->start, start);
    verify();
}
END_TEST

/* ---- Eviction ---- */

#define LONG_LEN (5u * HOST_LEN) /* as long as a CCF's tables here, or so */

/* Fill until a region is evicted; gips count up from 1. Returns the last. */
static gip_t fill_until_eviction(void)
{
    gip_t gip = 0;

    while (evicted_count == 0) {
        gip++;
        tc_insert(
            tc, make(gip, gip >> PAGE_SHIFT, (gip & PAGE_MASK) + 1, LONG_LEN));
    }
    return gip;
}

START_TEST(a_full_cache_evicts_its_oldest_region)
{
    gip_t last = fill_until_eviction();
    unsigned per_region = 65280 / LONG_LEN;

    ck_assert_uint_eq(last, TC_REGIONS * per_region + 1);
    ck_assert_uint_eq(stats.count[STAT_TC_EVICTIONS], 1);
    for (gip_t gip = 1; gip <= last; gip++)
        ck_assert_int_eq(tc_find(tc, gip, gip >> PAGE_SHIFT, MODE) != NULL,
                         gip > per_region);
    verify();
}
END_TEST

START_TEST(an_evicted_region_leaves_nothing_to_take_back)
{
    add_kept(0x80000000, 7, 0x10);
    tc_drop_frame(tc, 7);
    fill_until_eviction();
    ck_assert_ptr_null(tc_take_back(tc, 0x80000000, 7, MODE, page));
    verify();
}
END_TEST

START_TEST(chains_into_an_evicted_region_are_undone)
{
    struct ccf *first = add(0x80000000, 0x80000, 0x10);
    struct ccf *later;

    while (tc_reserve(tc, HOST_LEN) < first->start + 70000)
        add(0x80001000, 0x80001, 0x10);
    later = add(0x80002000, 0x80002, 0x10);
    tc_chain(tc, later->exits, first);
    fill_until_eviction();
    ck_assert_ptr_eq(tc_find(tc, 0x80002000, 0x80002, MODE), later);
    ck_assert_uint_eq(exit_target(later), later->start + STUB_OFFSET);
    verify();
}
END_TEST

START_TEST(a_cache_that_wraps_many_times_stays_whole)
{
    uint64_t random = 1;

    for (unsigned i = 1; i < 100000; i++) {
        gip_t gip = i % 5000;
        struct ccf *ccf = tc_find(tc, gip, 1, MODE);
        struct ccf *other;

        random = random * 6364136223846793005ull + 1;
        if (ccf)
            tc_drop(tc, ccf);
        ccf = make(gip, 1, 5000, HOST_LEN + (uint32_t)(random >> 52));
        tc_insert(tc, ccf);
        other = tc_find(tc, (gip_t)(random >> 40) % 5000, 1, MODE);
        if (other)
            tc_chain(tc, ccf->exits, other);
        if (i % 10000 == 0)
            verify();
    }
    ck_assert_uint_gt(evicted_count, 2 * TC_REGIONS);
}
END_TEST

/* ---- Memory ---- */

START_TEST(no_page_is_writable_and_executable)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned views = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        const char *rights = strchr(line, ' ') + 1;

        ck_assert_msg(rights[1] != 'w' || rights[2] != 'x', "%s", line);
        views += strstr(line, "popf-code") != NULL;
    }
    fclose(maps);
    ck_assert_uint_eq(views, 2);
}
END_TEST

START_TEST(both_views_show_the_same_bytes)
{
    const struct mcode *mcode = tc_mcode(tc);
    uint64_t at = (uint64_t)(uintptr_t)mcode->rx + mcode->len - 5;

    mcode_patch_jmp(mcode, at, at + 5);
    ck_assert_mem_eq(mcode->rx + mcode->len - 5, "\xe9\0\0\0\0", 5);
    ck_assert(mcode_contains(mcode, at + 4));
    ck_assert(!mcode_contains(mcode, at + 5));
}
END_TEST

static void add_finding(TCase *tcase)
{
    tcase_add_test(tcase, a_ccf_is_found_by_its_whole_key);
    tcase_add_test(tcase, a_ccf_is_found_by_every_address_of_its_code);
    tcase_add_test(tcase, the_last_point_at_or_below_an_address_governs_it);
    tcase_add_test(tcase, ccfs_are_placed_one_behind_the_other);
    tcase_add_test(tcase, chaining_leads_an_exit_to_the_body);
    tcase_add_test(tcase, unchaining_restores_the_original_jump);
    tcase_add_test(tcase, a_ccf_may_be_chained_to_itself);
    tcase_add_test(tcase, a_page_undoes_the_chains_that_cross_into_it);
    tcase_add_test(tcase, dropping_either_end_ends_a_chain_between_pages);
    tcase_add_test(tcase, an_exit_that_is_never_chained_uses_the_table);
    tcase_add_test(tcase, pages_with_chains_into_them_are_told);
}

static void add_dropping(TCase *tcase)
{
    tcase_add_test(tcase, a_dropped_ccf_leads_to_the_lookup);
    tcase_add_test(tcase, a_range_drops_what_was_read_from_it_only);
    tcase_add_test(tcase, either_frame_of_a_crossing_ccf_drops_it);
    tcase_add_test(tcase,
                   a_ccf_with_one_frame_under_both_pages_is_dropped_once);
    tcase_add_test(tcase, an_evicted_region_leaves_nothing_to_take_back);
    tcase_add_test(tcase, an_empty_frame_is_reported_when_its_last_ccf_goes);
    tcase_add_test(tcase, dropping_all_leaves_nothing);
    tcase_add_test(tcase, a_cleared_cache_is_as_new);
    tcase_add_test(tcase, a_full_cache_evicts_its_oldest_region);
    tcase_add_test(tcase, chains_into_an_evicted_region_are_undone);
    tcase_add_test(tcase, a_cache_that_wraps_many_times_stays_whole);
}

int main(void)
{
    Suite *suite = suite_create("tc");
    TCase *tcase = tcase_create("cache");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    add_finding(tcase);
    add_dropping(tcase);
    add_taking_back(tcase);
    add_verifier(tcase);
    tcase_add_test(tcase, no_page_is_writable_and_executable);
    tcase_add_test(tcase, both_views_show_the_same_bytes);
    suite_add_tcase(suite, tcase);
    add_crowds(suite);
    return run_suite(suite);
}
