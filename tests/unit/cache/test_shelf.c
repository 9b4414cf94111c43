/* SPDX-License-Identifier: MIT */
#include "cache_fixture.h"

#include <string.h>

/* Dead code that is taken back. */

START_TEST(a_ccf_is_taken_back_when_its_bytes_are)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);
    uint8_t code[HOST_LEN];

    memcpy(code, mcode_rw(tc_mcode(tc), ccf->start), sizeof(code));
    page[8] = 1;
    ck_assert_uint_eq(tc_drop_range(tc, 7, 8, 1), 1);
    verify();
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    page[8] = 0;
    ck_assert_ptr_null(tc_take_back(tc, 0x1004, 7, MODE, page));
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE + 1, page));
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
    ck_assert_mem_eq(mcode_rw(tc_mcode(tc), ccf->start), code, sizeof(code));
    ck_assert_ptr_eq(tc_find(tc, 0x1000, 7, MODE), ccf);
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    verify();
}
END_TEST

START_TEST(another_frame_with_the_same_bytes_takes_it)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    tc_drop_frame(tc, 7);
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 9, MODE, page), ccf);
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_eq(tc_find(tc, 0x1000, 9, MODE), ccf);
    ck_assert_uint_eq(stats.count[STAT_TAKEN_ACROSS], 1);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 0xf, 1), 1);
    verify();
}
END_TEST

START_TEST(one_that_checks_itself_stays_with_its_frame)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    ccf->checked = true;
    page[3] = 1;
    verify();
    tc_drop_changed(tc, ccf);
    page[3] = 0;
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 9, MODE, page));
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
    verify();
}
END_TEST

START_TEST(bytes_of_one_hash_are_still_compared)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    tc_drop_frame(tc, 7);
    ccf->source[0].bytes[15] ^= 1; /* the hash stays */
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    ccf->source[0].bytes[15] ^= 1;
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
}
END_TEST

START_TEST(each_of_many_versions_is_found)
{
    struct ccf *ccf[300];

    for (unsigned i = 0; i < 300; i++) {
        memcpy(page, &i, sizeof(i));
        ccf[i] = add_kept(0x1000, 7, 0x10 + i % 3);
        tc_drop_frame(tc, 7);
    }
    for (unsigned i = 0; i < 300; i++) {
        memcpy(page, &i, sizeof(i));
        ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf[i]);
        tc_drop_frame(tc, 7);
    }
    verify();
}
END_TEST

START_TEST(what_is_dropped_for_good_is_not_taken_back)
{
    struct ccf *kept = add_kept(0x1000, 7, 0x10);

    tc_drop(tc, add_kept(0x1010, 7, 0x20));
    tc_drop_range(tc, 7, 0, 1);
    tc_drop(tc, kept);
    ck_assert_ptr_null(tc_take_back(tc, 0x1010, 7, MODE, page));
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    verify();
}
END_TEST

void add_taking_back(TCase *tcase)
{
    tcase_add_test(tcase, a_ccf_is_taken_back_when_its_bytes_are);
    tcase_add_test(tcase, another_frame_with_the_same_bytes_takes_it);
    tcase_add_test(tcase, one_that_checks_itself_stays_with_its_frame);
    tcase_add_test(tcase, bytes_of_one_hash_are_still_compared);
    tcase_add_test(tcase, each_of_many_versions_is_found);
    tcase_add_test(tcase, what_is_dropped_for_good_is_not_taken_back);
}
