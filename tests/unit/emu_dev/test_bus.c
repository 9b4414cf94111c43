/* SPDX-License-Identifier: MIT */
#include "emu/dev/bus.h"

#include <errno.h>

#include "fixture.h"
#include "tests/suite/suite.h"

/* A device that records its accesses and answers with their number. */
struct device {
    struct io_range range;
    unsigned reads, writes;
    uint64_t offset;
    unsigned size;
    uint32_t value;
};

static uint32_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
    struct device *dev = opaque;
    dev->offset = offset;
    dev->size = size;
    return 0xa0a0a0a0u + ++dev->reads;
}

static void dev_write(void *opaque, uint64_t offset, unsigned size,
                      uint32_t value)
{
    struct device *dev = opaque;
    dev->writes++;
    dev->offset = offset;
    dev->size = size;
    dev->value = value;
}

static struct device device(enum io_space space, uint64_t start, uint64_t len,
                            unsigned max_size)
{
    return (struct device){
        .range = {.name = "test",
                  .space = space,
                  .start = start,
                  .len = len,
                  .max_size = max_size,
                  .read = dev_read,
                  .write = dev_write}
    };
}

static void add(struct device *dev)
{
    dev->range.dev = dev;
    ck_assert_int_eq(bus_add(bus, &dev->range), 0);
}

START_TEST(nobody_reads_as_ones_of_the_size)
{
    ck_assert_uint_eq(bus_port_in(bus, 0x1234, 1), 0xff);
    ck_assert_uint_eq(bus_port_in(bus, 0x1234, 2), 0xffff);
    ck_assert_uint_eq(bus_port_in(bus, 0x1234, 4), 0xffffffff);
    ck_assert_uint_eq(bus_mmio_read(bus, 0xf0000000, 8), UINT64_MAX);
    bus_port_out(bus, 0x1234, 4, 0);
    bus_mmio_write(bus, 0xf0000000, 8, 0);
}
END_TEST

START_TEST(offsets_are_from_the_start_of_the_range)
{
    struct device dev = device(IO_PORT, 0x300, 8, 4);
    add(&dev);
    bus_port_out(bus, 0x304, 2, 0x12345);
    ck_assert_uint_eq(dev.offset, 4);
    ck_assert_uint_eq(dev.size, 2);
    ck_assert_uint_eq(dev.value, 0x2345);
}
END_TEST

START_TEST(a_narrow_device_sees_a_wide_access_in_pieces)
{
    struct device dev = device(IO_PORT, 0x300, 8, 1);
    add(&dev);
    ck_assert_uint_eq(bus_port_in(bus, 0x300, 4), 0xa4a3a2a1);
    ck_assert_uint_eq(dev.offset, 3);
    bus_port_out(bus, 0x302, 2, 0xbbaa);
    ck_assert_uint_eq(dev.writes, 2);
    ck_assert_uint_eq(dev.offset, 3);
    ck_assert_uint_eq(dev.value, 0xbb);
}
END_TEST

START_TEST(an_access_over_the_end_is_cut_there)
{
    struct device dev = device(IO_PORT, 0x300, 2, 4);
    add(&dev);
    ck_assert_uint_eq(bus_port_in(bus, 0x300, 4) >> 16, 0xffff);
    ck_assert_uint_eq(dev.size, 2);
    ck_assert_uint_eq(bus_port_in(bus, 0x2fe, 4) & 0xffff, 0xffff);
}
END_TEST

START_TEST(the_last_port_wraps_to_the_first)
{
    struct device dev = device(IO_PORT, 0, 1, 1);
    add(&dev);
    ck_assert_uint_eq(bus_port_in(bus, 0xffff, 2), 0xa1ff);
}
END_TEST

START_TEST(ranges_do_not_overlap)
{
    struct device a = device(IO_PORT, 0x300, 8, 1);
    struct device b = device(IO_PORT, 0x307, 2, 1);
    struct device c = device(IO_MMIO, 0xf0000000, 0x1000, 4);
    struct device d = device(IO_MMIO, 0xf0000fff, 1, 4);
    add(&a);
    add(&c);
    ck_assert_int_eq(bus_add(bus, &b.range), -EEXIST);
    ck_assert_int_eq(bus_add(bus, &d.range), -EEXIST);
    bus_remove(bus, &a.range);
    bus_remove(bus, &c.range);
    add(&b);
    add(&d);
}
END_TEST

START_TEST(ranges_outside_the_port_space_are_refused)
{
    struct device a = device(IO_PORT, 0xffff, 2, 1);
    struct device b = device(IO_PORT, UINT64_MAX, 2, 1);
    struct device c = device(IO_PORT, 0x300, 0, 1);
    ck_assert_int_eq(bus_add(bus, &a.range), -EINVAL);
    ck_assert_int_eq(bus_add(bus, &b.range), -EINVAL);
    ck_assert_int_eq(bus_add(bus, &c.range), -EINVAL);
}
END_TEST

START_TEST(all_ranges_of_a_device_are_added_or_none)
{
    struct device taken = device(IO_PORT, 0x310, 1, 1);
    struct io_range pair[2] = {device(IO_PORT, 0x300, 1, 1).range,
                               device(IO_PORT, 0x310, 1, 1).range};
    struct device again = device(IO_PORT, 0x300, 1, 1);
    add(&taken);
    ck_assert_int_eq(bus_add_all(bus, pair, 2), -EEXIST);
    add(&again); /* 300h is free */
}
END_TEST

START_TEST(eight_byte_mmio_accesses_are_two_of_four)
{
    struct device dev = device(IO_MMIO, 0xf0000000, 16, 4);
    add(&dev);
    ck_assert_uint_eq(bus_mmio_read(bus, 0xf0000008, 8), 0xa0a0a0a2a0a0a0a1);
    ck_assert_uint_eq(dev.offset, 12);
}
END_TEST

START_TEST(a_range_without_functions_reads_as_ones)
{
    struct device dev = device(IO_PORT, 0x300, 1, 1);
    dev.range.read = NULL;
    dev.range.write = NULL;
    add(&dev);
    out(0x300, 1);
    ck_assert_uint_eq(in(0x300), 0xff);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("bus");
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, nobody_reads_as_ones_of_the_size);
    tcase_add_test(tcase, offsets_are_from_the_start_of_the_range);
    tcase_add_test(tcase, a_narrow_device_sees_a_wide_access_in_pieces);
    tcase_add_test(tcase, an_access_over_the_end_is_cut_there);
    tcase_add_test(tcase, the_last_port_wraps_to_the_first);
    tcase_add_test(tcase, ranges_do_not_overlap);
    tcase_add_test(tcase, ranges_outside_the_port_space_are_refused);
    tcase_add_test(tcase, all_ranges_of_a_device_are_added_or_none);
    tcase_add_test(tcase, eight_byte_mmio_accesses_are_two_of_four);
    tcase_add_test(tcase, a_range_without_functions_reads_as_ones);
    return run_case(tcase, "bus");
}
