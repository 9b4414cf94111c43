/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/machine.h"

#define PAGE_5 0x5000u

static struct machine *m;
static struct vcpu *vcpu;
static uint32_t *regs;

static void setup(void)
{
    m = machine_create();
    vcpu = &m->vcpu;
    regs = vcpu->regs;
}

static void teardown(void)
{
    machine_destroy(m);
}

/* Identity, but for one page. */
static void map_all_but(uint32_t absent)
{
    for (uint32_t i = 0; i < 1024; i++)
        machine_put32(m, 0x2000 + i * 4, i << 12 == absent ? 0 : i << 12 | 7);
    machine_put32(m, 0x1000, 0x2007);
    vcpu->cr3 = 0x1000;
    vcpu->cr0 |= CR0_PG | CR0_WP;
}

START_TEST(rep_stops_at_the_element_that_faults_and_goes_on_after_it)
{
    map_all_but(PAGE_5);
    regs[REG_EAX] = 0xaabbccdd;
    regs[REG_ECX] = 10;
    regs[REG_EDI] = PAGE_5 - 18;
    ck_assert_int_eq(EXEC(m, "\xf3\xab"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.cr2, PAGE_5);
    ck_assert_uint_eq(vcpu->exc.error, PF_W);
    ck_assert_uint_eq(regs[REG_ECX], 6);
    ck_assert_uint_eq(regs[REG_EDI], PAGE_5 - 2);
    ck_assert_uint_eq(m->ram[PAGE_5 - 2], 0);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE);
    machine_put32(m, 0x2000 + 5 * 4, PAGE_5 | 7);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(regs[REG_ECX], 0);
    ck_assert_uint_eq(regs[REG_EDI], PAGE_5 - 18 + 40);
    ck_assert_uint_eq(m->ram[PAGE_5 + 21], 0xaa);
    ck_assert_uint_eq(m->ram[PAGE_5 + 22], 0);
    ck_assert_uint_eq(vcpu->retired, 1);
}
END_TEST

START_TEST(a_source_that_faults_stores_nothing)
{
    map_all_but(PAGE_5);
    regs[REG_ECX] = 4;
    regs[REG_ESI] = PAGE_5;
    regs[REG_EDI] = 0x7000;
    m->ram[0x7000] = 0x77;
    ck_assert_int_eq(EXEC(m, "\xf3\xa4"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.error, 0);
    ck_assert_uint_eq(regs[REG_ECX], 4);
    ck_assert_uint_eq(m->ram[0x7000], 0x77);
}
END_TEST

START_TEST(a_bulk_move_crosses_pages)
{
    for (unsigned i = 0; i < 0x3000; i++)
        m->ram[0x100123 + i] = (uint8_t)(i * 7);
    regs[REG_ECX] = 0x3000;
    regs[REG_ESI] = 0x100123;
    regs[REG_EDI] = 0x200456;
    ck_assert_int_eq(EXEC(m, "\xf3\xa4"), VCPU_EXIT_BUDGET);
    ck_assert_int_eq(memcmp(m->ram + 0x100123, m->ram + 0x200456, 0x3000), 0);
    ck_assert_uint_eq(m->ram[0x200456 + 0x3000], 0);
    ck_assert_uint_eq(regs[REG_ESI], 0x103123);
    ck_assert_uint_eq(regs[REG_EDI], 0x203456);
}
END_TEST

START_TEST(a_bulk_fill_announces_nothing_and_a_flagged_frame_each_store)
{
    regs[REG_ECX] = 4;
    regs[REG_EDI] = 0x7000;
    ck_assert_int_eq(EXEC(m, "\xf3\xab"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->stored_count, 0);
    m->flags[7] = FRAME_CODE;
    regs[REG_ECX] = 4;
    ck_assert_int_eq(EXEC(m, "\xf3\xab"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->stored_count, 4);
    ck_assert_uint_eq(m->stored_gpa, 0x701c);
}
END_TEST

START_TEST(rep_to_rom_counts_down_and_stores_nothing)
{
    regs[REG_EAX] = 0xffffffff;
    regs[REG_ECX] = 3;
    regs[REG_EDI] = MACHINE_ROM;
    ck_assert_int_eq(EXEC(m, "\xf3\xab"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(regs[REG_ECX], 0);
    ck_assert_uint_eq(machine_get32(m, MACHINE_ROM), 0);
}
END_TEST

START_TEST(a_16_bit_index_wraps)
{
    regs[REG_EAX] = 0x5a;
    regs[REG_ECX] = 0x90004;
    regs[REG_EDI] = 0x9fffe;
    ck_assert_int_eq(EXEC(m, "\x67\xf3\xaa"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(regs[REG_ECX], 0x90000);
    ck_assert_uint_eq(regs[REG_EDI], 0x90002);
    ck_assert_uint_eq(m->ram[0xffff], 0x5a);
    ck_assert_uint_eq(m->ram[1], 0x5a);
    ck_assert_uint_eq(m->ram[2], 0);
}
END_TEST

START_TEST(the_limit_of_es_stops_a_bulk_fill_precisely)
{
    vcpu->seg[SEG_ES].limit = 0x7009;
    regs[REG_EAX] = 0xffffffff;
    regs[REG_ECX] = 100;
    regs[REG_EDI] = 0x7000;
    ck_assert_int_eq(EXEC(m, "\xf3\xab"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_GP);
    ck_assert_uint_eq(regs[REG_ECX], 98);
    ck_assert_uint_eq(m->ram[0x7007], 0xff);
    ck_assert_uint_eq(m->ram[0x7008], 0);
}
END_TEST

START_TEST(a_read_only_destination_stops_a_bulk_move)
{
    map_all_but(PAGE_5);
    machine_put32(m, 0x2000 + 7 * 4, 0x7005);
    regs[REG_ECX] = 4;
    regs[REG_ESI] = 0x6000;
    regs[REG_EDI] = 0x7000;
    ck_assert_int_eq(EXEC(m, "\xf3\xa5"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.error, PF_P | PF_W);
    ck_assert_uint_eq(regs[REG_ECX], 4);
}
END_TEST

START_TEST(a_kick_interrupts_between_iterations)
{
    m->kick_on_port = true;
    m->port_value = 0x5a;
    regs[REG_EDX] = 0x1f0;
    regs[REG_ECX] = 3;
    regs[REG_EDI] = 0x7000;
    ck_assert_int_eq(EXEC(m, "\xf3\x6c"), VCPU_EXIT_INTR); /* rep insb */
    ck_assert_uint_eq(regs[REG_ECX], 2);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE);
    ck_assert_uint_eq(vcpu->retired, 0);
    ck_assert_uint_eq(m->port, 0x1f0);
    m->kick_on_port = false;
    vcpu->kick = 0;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->port_count, 3);
    ck_assert_uint_eq(m->ram[0x7002], 0x5a);
    ck_assert_uint_eq(vcpu->retired, 1);
}
END_TEST

START_TEST(ins_to_a_page_that_faults_does_not_read_the_port)
{
    map_all_but(PAGE_5);
    regs[REG_EDI] = PAGE_5;
    ck_assert_int_eq(EXEC(m, "\x6d"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.cr2, PAGE_5);
    ck_assert_uint_eq(m->port_count, 0);
}
END_TEST

START_TEST(outs_writes_what_the_source_holds)
{
    machine_put32(m, MACHINE_DATA, 0x11223344);
    regs[REG_ESI] = MACHINE_DATA;
    regs[REG_EDX] = 0x80;
    ck_assert_int_eq(EXEC(m, "\x66\x6f"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->port_value, 0x3344);
    ck_assert_uint_eq(regs[REG_ESI], MACHINE_DATA + 2);
}
END_TEST

START_TEST(in_and_out_take_an_immediate_or_dx)
{
    m->port_value = 0x12345678;
    ck_assert_int_eq(EXEC(m, "\xe4\xf0"), VCPU_EXIT_BUDGET); /* in al, F0h */
    ck_assert_uint_eq(m->port, 0xf0);
    ck_assert_uint_eq(regs[REG_EAX], 0x78);
    regs[REG_EDX] = 0xf1234;
    ck_assert_int_eq(EXEC(m, "\xed"), VCPU_EXIT_BUDGET); /* in eax, dx */
    ck_assert_uint_eq(m->port, 0x1234);
    ck_assert_uint_eq(regs[REG_EAX], 0x12345678);
    ck_assert_int_eq(EXEC(m, "\xee"), VCPU_EXIT_BUDGET); /* out dx, al */
    ck_assert_uint_eq(m->port_value, 0x78);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("string");
    TCase *tcase = tcase_create("string");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase,
                   rep_stops_at_the_element_that_faults_and_goes_on_after_it);
    tcase_add_test(tcase, a_source_that_faults_stores_nothing);
    tcase_add_test(tcase, a_bulk_move_crosses_pages);
    tcase_add_test(
        tcase, a_bulk_fill_announces_nothing_and_a_flagged_frame_each_store);
    tcase_add_test(tcase, rep_to_rom_counts_down_and_stores_nothing);
    tcase_add_test(tcase, a_16_bit_index_wraps);
    tcase_add_test(tcase, the_limit_of_es_stops_a_bulk_fill_precisely);
    tcase_add_test(tcase, a_read_only_destination_stops_a_bulk_move);
    tcase_add_test(tcase, a_kick_interrupts_between_iterations);
    tcase_add_test(tcase, ins_to_a_page_that_faults_does_not_read_the_port);
    tcase_add_test(tcase, outs_writes_what_the_source_holds);
    tcase_add_test(tcase, in_and_out_take_an_immediate_or_dx);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
