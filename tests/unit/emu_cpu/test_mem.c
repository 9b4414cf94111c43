/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "emu/cpu/io.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/tlb.h"
#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/machine.h"

#define DATA_RW   (SEG_P | SEG_S | SEG_DB | SEG_WRITABLE)
#define DATA_RO   (SEG_P | SEG_S | SEG_DB)
#define DOWN32    (SEG_P | SEG_S | SEG_DB | SEG_WRITABLE | SEG_DOWN)
#define DOWN16    (SEG_P | SEG_S | SEG_WRITABLE | SEG_DOWN)
#define CODE_READ (SEG_P | SEG_S | SEG_DB | SEG_CODE | SEG_WRITABLE)
#define CODE_ONLY (SEG_P | SEG_S | SEG_DB | SEG_CODE)

static struct machine *m;

static void setup(void)
{
    m = machine_create();
}

static void teardown(void)
{
    machine_destroy(m);
}

static void set_seg(enum seg seg, uint32_t attr, uint32_t base, uint32_t limit)
{
    struct segment segment = {
        .base = base, .limit = limit, .attr = attr, .selector = 0x28};

    vcpu_set_seg(&m->vcpu, seg, &segment);
}

/* The vector that an access faults with, or -1. */
static int access(enum seg seg, uint32_t offset, unsigned size, bool write)
{
    uint8_t bytes[16] = {0};

    m->vcpu.exc = (struct exc){0};
    if (write ? mem_write(m->interp, seg, offset, bytes, size)
              : mem_read(m->interp, seg, offset, bytes, size))
        return -1;
    return m->vcpu.exc.vector;
}

struct limit {
    uint32_t attr;
    uint32_t limit;
    uint32_t offset;
    unsigned size;
    bool write;
    bool allowed;
};

static const struct limit limits[] = {
    {DATA_RW,                0xfff,      0xffc,      4, true,  true },
    {DATA_RW,                0xfff,      0xffd,      4, true,  false},
    {DATA_RW,                0xfff,      0xfff,      1, false, true },
    {DATA_RW,                0xfff,      0x1000,     1, false, false},
    {DATA_RW,                0,          0,          1, false, true },
    {DATA_RW,                0xfffffffe, 0xffffffff, 1, false, false},
    {DATA_RW,                0xfffffffe, 0xfffffffe, 4, false, false},
    {DATA_RW,                0xffffffff, 0xfffffffe, 4, false, true },
    {DATA_RO,                0xffffffff, 0,          4, false, true },
    {DATA_RO,                0xffffffff, 0,          4, true,  false},
    {DOWN32,                 0xfff,      0x1000,     4, true,  true },
    {DOWN32,                 0xfff,      0xfff,      4, true,  false},
    {DOWN32,                 0xfff,      0,          1, false, false},
    {DOWN32,                 0xfff,      0xffffffff, 1, false, true },
    {DOWN32,                 0xfff,      0xfffffffe, 4, false, false},
    {DOWN16,                 0xfff,      0xfffe,     2, false, true },
    {DOWN16,                 0xfff,      0xfffe,     4, false, false},
    {DOWN16,                 0xfff,      0x10000,    1, false, false},
    {CODE_READ,              0xfff,      0,          4, false, true },
    {CODE_READ,              0xfff,      0xffd,      4, false, false},
    {CODE_READ,              0xfff,      0,          4, true,  false},
    {CODE_ONLY,              0xfff,      0,          4, false, false},
    {DATA_RW | SEG_UNUSABLE, 0xffffffff, 0,          1, false, false},
};

START_TEST(limits_and_types_are_enforced)
{
    const struct limit *l = &limits[_i];

    set_seg(SEG_DS, l->attr, 0x1000, l->limit);
    ck_assert_int_eq(access(SEG_DS, l->offset, l->size, l->write),
                     l->allowed ? -1 : EXC_GP);
    ck_assert_uint_eq(m->vcpu.exc.error, 0);
}
END_TEST

START_TEST(a_fault_of_ss_is_a_stack_fault)
{
    set_seg(SEG_SS, DATA_RW, 0, 0xfff);
    ck_assert_int_eq(access(SEG_SS, 0x1000, 1, false), EXC_SS);
    ck_assert(m->vcpu.exc.has_error);
    ck_assert_uint_eq(m->vcpu.exc.error, 0);
}
END_TEST

START_TEST(the_base_is_added)
{
    uint32_t value = 0x12345678;

    set_seg(SEG_FS, DATA_RW, 0xfffff000, 0xffffffff);
    ck_assert(mem_write(m->interp, SEG_FS, 0x3000, &value, 4));
    ck_assert_uint_eq(machine_get32(m, 0x2000), value);
}
END_TEST

START_TEST(alignment_is_checked_at_cpl_3_with_am_and_ac_only)
{
    m->vcpu.cr0 |= CR0_AM;
    m->vcpu.eflags |= FLAG_AC;
    ck_assert_int_eq(access(SEG_DS, 0x2001, 4, false), -1);
    machine_user(m);
    ck_assert_int_eq(access(SEG_DS, 0x2001, 4, false), EXC_AC);
    ck_assert_uint_eq(m->vcpu.exc.error, 0);
    ck_assert_int_eq(access(SEG_DS, 0x2002, 4, true), EXC_AC);
    ck_assert_int_eq(access(SEG_DS, 0x2002, 2, true), -1);
    ck_assert_int_eq(access(SEG_DS, 0x2004, 8, true), EXC_AC);
    ck_assert_int_eq(access(SEG_DS, 0x2003, 1, true), -1);
    m->vcpu.cr0 &= ~CR0_AM;
    ck_assert_int_eq(access(SEG_DS, 0x2001, 4, false), -1);
}
END_TEST

START_TEST(supervisor_accesses_ignore_cpl)
{
    uint32_t value = 5;

    m->vcpu.cr3 = 0x1000;
    machine_put32(m, 0x1000, 0x2000 | 3);
    machine_put32(m, 0x2000 + 5 * 4, 0x5000 | 3);
    m->vcpu.cr0 |= CR0_PG;
    machine_user(m);
    ck_assert_int_eq(access(SEG_DS, 0x5000, 4, true), EXC_PF);
    ck_assert(sys_write(m->interp, 0x5000, &value, 4));
    ck_assert(sys_read(m->interp, 0x5000, &value, 4));
    ck_assert_uint_eq(value, 5);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
}
END_TEST

START_TEST(stores_to_rom_are_dropped)
{
    uint32_t value = 1;

    ck_assert(mem_write(m->interp, SEG_DS, MACHINE_ROM, &value, 4));
    ck_assert_uint_eq(machine_get32(m, MACHINE_ROM), 0);
}
END_TEST

START_TEST(mmio_is_read_and_written_whole)
{
    uint32_t value = 0xaabbccdd;

    ck_assert(mem_write(m->interp, SEG_DS, MACHINE_MMIO + 8, &value, 4));
    ck_assert_uint_eq(m->mmio_gpa, MACHINE_MMIO + 8);
    ck_assert_uint_eq(m->mmio_size, 4);
    ck_assert_uint_eq(m->mmio_value, value);
    m->mmio_value = 0x11223344;
    ck_assert(mem_read(m->interp, SEG_DS, MACHINE_MMIO + 2, &value, 2));
    ck_assert_uint_eq(value, 0xaabb3344);
    ck_assert_uint_eq(m->mmio_size, 2);
}
END_TEST

START_TEST(a_store_that_straddles_ram_and_mmio_is_split)
{
    uint32_t value = 0xaabbccdd;

    m->vcpu.eip = 0;
    ck_assert(mem_write(m->interp, SEG_DS, MACHINE_MMIO - 2, &value, 4));
    ck_assert_uint_eq(m->mmio_gpa, MACHINE_MMIO);
    ck_assert_uint_eq(m->mmio_size, 2);
    ck_assert_uint_eq(m->mmio_value, 0xaabb);
}
END_TEST

START_TEST(a_store_to_a_flagged_frame_is_announced)
{
    uint32_t value = 7;

    ck_assert(mem_write(m->interp, SEG_DS, 0x5010, &value, 4));
    ck_assert_uint_eq(m->stored_count, 0);
    m->flags[5] = FRAME_CODE;
    ck_assert(mem_write(m->interp, SEG_DS, 0x5014, &value, 4));
    ck_assert_uint_eq(m->stored_count, 1);
    ck_assert_uint_eq(m->stored_gpa, 0x5014);
    ck_assert_uint_eq(m->stored_len, 4);
    ck_assert_uint_eq(machine_get32(m, 0x5014), 7);
    m->flags[5] = 0;
    ck_assert(mem_write(m->interp, SEG_DS, 0x5018, &value, 4));
    ck_assert_uint_eq(m->stored_count, 1);
}
END_TEST

/* Pages 4 and 6 are there, page 5 is not; the tables are identity-mapped. */
static void map_all_but_page_5(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        machine_put32(m, 0x2000 + i * 4, i == 5 ? 0 : i << 12 | 7);
    machine_put32(m, 0x1000, 0x2007);
    m->vcpu.cr3 = 0x1000;
    m->vcpu.cr0 |= CR0_PG | CR0_WP;
}

START_TEST(a_store_across_a_page_that_faults_stores_nothing)
{
    uint32_t value = 0xffffffff;

    map_all_but_page_5();
    ck_assert(!mem_write(m->interp, SEG_DS, 0x4ffe, &value, 4));
    ck_assert_uint_eq(m->vcpu.exc.vector, EXC_PF);
    ck_assert_uint_eq(m->vcpu.exc.cr2, 0x5000);
    ck_assert_uint_eq(m->vcpu.exc.error, PF_W);
    ck_assert_uint_eq(m->ram[0x4ffe], 0);
    ck_assert(!mem_write(m->interp, SEG_DS, 0x5ffe, &value, 4));
    ck_assert_uint_eq(m->vcpu.exc.cr2, 0x5ffe);
    ck_assert_uint_eq(m->ram[0x6000], 0);
}
END_TEST

START_TEST(a_probe_faults_as_the_write_would)
{
    map_all_but_page_5();
    ck_assert(!mem_probe_write(m->interp, SEG_DS, 0x4ffe, 4));
    ck_assert_uint_eq(m->vcpu.exc.cr2, 0x5000);
    ck_assert_uint_eq(m->vcpu.exc.error, PF_W);
    ck_assert(mem_probe_write(m->interp, SEG_DS, 0x4ffc, 4));
    ck_assert_uint_eq(machine_get32(m, 0x2000 + 16) & 0x60, 0x60);
}
END_TEST

START_TEST(a_store_that_wraps_the_address_space_reaches_both_ends)
{
    uint32_t value = 0x44332211;

    map_all_but_page_5();
    machine_put32(m, 0x1000 + 1023 * 4, 0x2007); /* FFFFF000h -> 3FF000h */
    machine_put32(m, 0x2000 + 1023 * 4, 0x8007);
    ck_assert(mem_write(m->interp, SEG_DS, 0xfffffffe, &value, 4));
    ck_assert_uint_eq(m->ram[0x8ffe], 0x11);
    ck_assert_uint_eq(m->ram[0x8fff], 0x22);
    ck_assert_uint_eq(m->ram[0], 0x33);
    ck_assert_uint_eq(m->ram[1], 0x44);
}
END_TEST

/* Ports. */

#define TSS      0x6000u
#define IO_MAP   0x68u
#define TSS_BUSY 11u

static void use_tss(uint32_t type, uint32_t limit)
{
    machine_user(m);
    m->vcpu.tr = (struct segment){
        .base = TSS, .limit = limit, .attr = SEG_P | type, .selector = 0x40};
    machine_put32(m, TSS + 100, IO_MAP << 16);
    memset(m->ram + TSS + IO_MAP, 0xff, 32);
}

static int port_vector(uint16_t port, unsigned size)
{
    if (io_check_permission(m->interp, port, size))
        return -1;
    return m->vcpu.exc.vector;
}

START_TEST(iopl_opens_all_ports)
{
    use_tss(TSS_BUSY, IO_MAP + 31);
    ck_assert_int_eq(port_vector(0x10, 1), EXC_GP);
    m->vcpu.eflags |= FLAG_IOPL;
    ck_assert_int_eq(port_vector(0x10, 1), -1);
}
END_TEST

START_TEST(the_bitmap_opens_single_ports)
{
    use_tss(TSS_BUSY, IO_MAP + 31);
    m->ram[TSS + IO_MAP + 2] = 0x7f; /* port 17h */
    m->ram[TSS + IO_MAP + 3] = 0xfe; /* port 18h */
    ck_assert_int_eq(port_vector(0x17, 1), -1);
    ck_assert_int_eq(port_vector(0x17, 2), -1);
    ck_assert_int_eq(port_vector(0x18, 2), EXC_GP);
    ck_assert_int_eq(port_vector(0x16, 2), EXC_GP);
    ck_assert_uint_eq(m->vcpu.exc.error, 0);
}
END_TEST

START_TEST(a_port_beyond_the_tss_is_closed)
{
    use_tss(TSS_BUSY, IO_MAP + 3);
    memset(m->ram + TSS + IO_MAP, 0, 32);
    ck_assert_int_eq(port_vector(0x17, 1), -1);
    ck_assert_int_eq(port_vector(0x18, 1), EXC_GP);
}
END_TEST

START_TEST(a_16_bit_tss_has_no_bitmap)
{
    use_tss(3, IO_MAP + 31);
    memset(m->ram + TSS + IO_MAP, 0, 32);
    ck_assert_int_eq(port_vector(0x17, 1), EXC_GP);
}
END_TEST

static TCase *segment_case(void)
{
    TCase *tcase = tcase_create("segments");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, limits_and_types_are_enforced, 0,
                        ARRAY_COUNT(limits));
    tcase_add_test(tcase, a_fault_of_ss_is_a_stack_fault);
    tcase_add_test(tcase, the_base_is_added);
    tcase_add_test(tcase, alignment_is_checked_at_cpl_3_with_am_and_ac_only);
    tcase_add_test(tcase, supervisor_accesses_ignore_cpl);
    return tcase;
}

static TCase *physical_case(void)
{
    TCase *tcase = tcase_create("pages");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, stores_to_rom_are_dropped);
    tcase_add_test(tcase, mmio_is_read_and_written_whole);
    tcase_add_test(tcase, a_store_that_straddles_ram_and_mmio_is_split);
    tcase_add_test(tcase, a_store_to_a_flagged_frame_is_announced);
    tcase_add_test(tcase, a_store_across_a_page_that_faults_stores_nothing);
    tcase_add_test(tcase, a_probe_faults_as_the_write_would);
    tcase_add_test(tcase,
                   a_store_that_wraps_the_address_space_reaches_both_ends);
    return tcase;
}

static TCase *port_case(void)
{
    TCase *tcase = tcase_create("ports");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, iopl_opens_all_ports);
    tcase_add_test(tcase, the_bitmap_opens_single_ports);
    tcase_add_test(tcase, a_port_beyond_the_tss_is_closed);
    tcase_add_test(tcase, a_16_bit_tss_has_no_bitmap);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("mem");

    suite_add_tcase(suite, segment_case());
    suite_add_tcase(suite, physical_case());
    suite_add_tcase(suite, port_case());
    return run_suite(suite);
}
