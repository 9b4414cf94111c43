/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/gmem.h"
#include "tests/suite/suite.h"

#include <check.h>
#include <errno.h>

static struct gmem *gmem;

static void setup(void)
{
    ck_assert_int_eq(gmem_create(&gmem, 4 * MIB), 0);
}

static void teardown(void)
{
    gmem_destroy(gmem);
}

START_TEST(ram_lies_at_zero_with_the_vga_hole_in_it)
{
    ck_assert_int_eq(gmem_lookup(gmem, 0, NULL, NULL), GMEM_RAM);
    ck_assert_int_eq(gmem_lookup(gmem, 0x9f, NULL, NULL), GMEM_RAM);
    ck_assert_int_eq(gmem_lookup(gmem, 0xa0, NULL, NULL), GMEM_NONE);
    ck_assert_int_eq(gmem_lookup(gmem, 0xbf, NULL, NULL), GMEM_NONE);
    ck_assert_int_eq(gmem_lookup(gmem, 0xc0, NULL, NULL), GMEM_RAM);
    ck_assert_int_eq(gmem_lookup(gmem, 0x3ff, NULL, NULL), GMEM_RAM);
    ck_assert_int_eq(gmem_lookup(gmem, 0x400, NULL, NULL), GMEM_NONE);
    ck_assert_int_eq(gmem_lookup(gmem, BIT64(24) - 1, NULL, NULL), GMEM_NONE);
}
END_TEST

START_TEST(sizes_that_the_map_cannot_hold_are_refused)
{
    struct gmem *other = NULL;
    ck_assert_int_eq(gmem_create(&other, 0), -EINVAL);
    ck_assert_int_eq(gmem_create(&other, MIB + 1), -EINVAL);
    ck_assert_int_eq(gmem_create(&other, 3 * GIB + PAGE_SIZE), -EINVAL);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(three_gigabytes_of_ram_can_be_had)
{
    struct gmem *other = NULL;
    ck_assert_int_eq(gmem_create(&other, 3 * GIB), 0);
    uint32_t value = 0x12345678;
    ck_assert_int_eq(gmem_write(other, 3 * GIB - 4, &value, 4), 0);
    ck_assert_int_eq(gmem_write(other, 3 * GIB - 3, &value, 4), -EFAULT);
    gmem_destroy(other);
}
END_TEST

START_TEST(copies_are_bounded_and_all_or_nothing)
{
    uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8] = {0};
    ck_assert_int_eq(gmem_write(gmem, 0x1ffc, data, 8), 0);
    ck_assert_int_eq(gmem_read(gmem, 0x1ffc, back, 8), 0);
    ck_assert_mem_eq(data, back, 8);
    ck_assert_int_eq(gmem_write(gmem, 0x9fffc, data, 8), -EFAULT);
    ck_assert_int_eq(gmem_base(gmem)[0x9fffc], 0);
    ck_assert_int_eq(gmem_read(gmem, UINT64_MAX - 3, back, 8), -EFAULT);
    ck_assert_int_eq(gmem_read(gmem, 4 * MIB - 4, back, 8), -EFAULT);
}
END_TEST

START_TEST(rom_can_be_loaded_but_not_written)
{
    uint64_t version = gmem_version(gmem);
    ck_assert_int_eq(gmem_set_kind(gmem, 0xf0, 16, GMEM_ROM), 0);
    ck_assert_int_eq(gmem_set_kind(gmem, 0xffff0, 16, GMEM_ROM), 0);
    ck_assert_uint_gt(gmem_version(gmem), version);
    uint8_t data[4] = {1, 2, 3, 4};
    uint8_t *hva = NULL;
    ck_assert_int_eq(gmem_write(gmem, 0xfffffff0, data, 4), -EFAULT);
    ck_assert_int_eq(gmem_load(gmem, 0xfffffff0, data, 4), 0);
    ck_assert_int_eq(gmem_lookup(gmem, 0xfffff, &hva, NULL), GMEM_ROM);
    ck_assert_mem_eq(hva + 0xff0, data, 4);
}
END_TEST

START_TEST(kinds_without_bytes_are_refused)
{
    ck_assert_int_eq(gmem_set_kind(gmem, 0x400, 1, GMEM_RAM), -EINVAL);
    ck_assert_int_eq(gmem_set_kind(gmem, 0x400, 1, GMEM_ROM), -EINVAL);
    ck_assert_int_eq(gmem_set_kind(gmem, 0xfffff, 1, GMEM_RAM), -EINVAL);
    ck_assert_int_eq(gmem_set_kind(gmem, 0xfffff, 2, GMEM_ROM), -EINVAL);
    ck_assert_int_eq(gmem_set_kind(gmem, BIT64(40), 1, GMEM_NONE), -EINVAL);
}
END_TEST

START_TEST(an_image_brings_memory_and_map_back)
{
    struct gmem_image *image;
    struct gmem *other;

    gmem_base(gmem)[0x5123] = 1;
    ck_assert_int_eq(gmem_set_kind(gmem, 0xf0, 1, GMEM_ROM), 0);
    ck_assert_int_eq(gmem_save(gmem, &image), 0);
    gmem_base(gmem)[0x5123] = 2;
    ck_assert_int_eq(gmem_create(&other, 4 * MIB), 0);
    gmem_base(other)[0x200000] = 3;
    ck_assert_int_eq(gmem_restore(other, image), 0);
    ck_assert_int_eq(gmem_base(other)[0x5123], 1);
    ck_assert_int_eq(gmem_base(other)[0x200000], 0);
    ck_assert_int_eq(gmem_lookup(other, 0xf0, NULL, NULL), GMEM_ROM);
    gmem_destroy(other);
    ck_assert_int_eq(gmem_create(&other, 2 * MIB), 0);
    ck_assert_int_eq(gmem_restore(other, image), -EINVAL);
    gmem_destroy(other);
    gmem_image_destroy(image);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("gmem");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, ram_lies_at_zero_with_the_vga_hole_in_it);
    tcase_add_test(tcase, sizes_that_the_map_cannot_hold_are_refused);
    tcase_add_test(tcase, three_gigabytes_of_ram_can_be_had);
    tcase_add_test(tcase, copies_are_bounded_and_all_or_nothing);
    tcase_add_test(tcase, rom_can_be_loaded_but_not_written);
    tcase_add_test(tcase, kinds_without_bytes_are_refused);
    tcase_add_test(tcase, an_image_brings_memory_and_map_back);
    Suite *suite = suite_create("gmem");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
