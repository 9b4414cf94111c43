/* SPDX-License-Identifier: MIT */

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/* Far returns and IRET. */

static struct machine *m;

static void setup(void)
{
    m = protected_create();
}

static void teardown(void)
{
    machine_destroy(m);
}

static void put_return(uint32_t eip, uint16_t cs, uint32_t esp, uint16_t ss)
{
    machine_put32(m, MACHINE_STACK, eip);
    machine_put32(m, MACHINE_STACK + 4, cs);
    machine_put32(m, MACHINE_STACK + 8, esp);
    machine_put32(m, MACHINE_STACK + 12, ss);
}

START_TEST(retf_returns_to_the_same_level)
{
    put_return(TARGET, K_CODE, 0, 0);
    ck_done(EXEC(m, "\xca\x10\x00"));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 24);
}
END_TEST

START_TEST(retf_returns_to_an_outer_level)
{
    put_return(TARGET, U_CODE, 0x70000, U_DATA);
    ck_done(EXEC(m, "\xcb"));
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, U_CODE);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector, U_DATA);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x70000);
}
END_TEST

START_TEST(retf_with_imm_releases_both_stacks)
{
    machine_put32(m, MACHINE_STACK, TARGET);
    machine_put32(m, MACHINE_STACK + 4, U_CODE);
    machine_put32(m, MACHINE_STACK + 16, 0x70000);
    machine_put32(m, MACHINE_STACK + 20, U_DATA);
    ck_done(EXEC(m, "\xca\x08\x00"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x70008);
}
END_TEST

START_TEST(an_outer_return_nulls_inner_segments)
{
    force_segment(m, SEG_DS, K_DATA);
    force_segment(m, SEG_ES, U_DATA);
    force_segment(m, SEG_FS, CONFORMING);
    force_segment(m, SEG_GS, K_CODE);
    put_return(TARGET, U_CODE, 0x70000, U_DATA);
    ck_done(EXEC(m, "\xcb"));
    ck_assert_uint_eq(m->vcpu.seg[SEG_DS].selector, 0);
    ck_assert_uint_ne(m->vcpu.seg[SEG_DS].attr & SEG_UNUSABLE, 0);
    ck_assert_uint_eq(m->vcpu.seg[SEG_ES].selector, U_DATA);
    ck_assert_uint_eq(m->vcpu.seg[SEG_FS].selector, CONFORMING);
    ck_assert_uint_eq(m->vcpu.seg[SEG_GS].selector, 0);
}
END_TEST

START_TEST(a_return_to_a_16_bit_stack_keeps_the_upper_half_of_esp)
{
    put_return(TARGET, U_CODE, 0x71234, U_DATA16);
    ck_done(EXEC(m, "\xcb"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP],
                      (MACHINE_STACK & 0xffff0000) | 0x1234);
}
END_TEST

static const struct return_case {
    uint8_t cpl;
    uint16_t cs;
    uint16_t ss;
    uint8_t vector;
    uint16_t error;
} returns[] = {
    {0, 0,                 U_DATA,      EXC_GP, 0                },
    {0, 3,                 U_DATA,      EXC_GP, 0                },
    {0, OUTSIDE,           U_DATA,      EXC_GP, OUTSIDE          },
    {0, K_DATA,            U_DATA,      EXC_GP, K_DATA           },
    {0, K_CODE | 3,        U_DATA,      EXC_GP, K_CODE           },
    {0, U_CODE & ~3,       U_DATA,      EXC_GP, U_CODE & ~3      },
    {3, K_CODE,            K_DATA,      EXC_GP, K_CODE           },
    {0, U_CONFORMING & ~3, U_DATA,      EXC_GP, U_CONFORMING & ~3},
    {0, NP_CODE,           U_DATA,      EXC_NP, NP_CODE          },
    {0, SMALL_CODE,        U_DATA,      EXC_GP, 0                },
    {0, U_CODE,            0,           EXC_GP, 0                },
    {0, U_CODE,            OUTSIDE,     EXC_GP, OUTSIDE          },
    {0, U_CODE,            U_DATA & ~3, EXC_GP, U_DATA & ~3      },
    {0, U_CODE,            K_DATA | 3,  EXC_GP, K_DATA           },
    {0, U_CODE,            READ_ONLY,   EXC_GP, READ_ONLY & ~3   },
    {0, U_CODE,            NP_DATA,     EXC_SS, NP_DATA & ~3     },
};

START_TEST(returns_check_cs_and_ss)
{
    const struct return_case *c = &returns[_i / 2];

    set_level(m, c->cpl);
    if (_i & 1) {
        put_return(TARGET, c->cs, 0, 0);
        machine_put32(m, MACHINE_STACK + 8, FLAG_ONE);
        machine_put32(m, MACHINE_STACK + 16, c->ss);
        ck_fault(EXEC(m, "\xcf"), m, c->vector, c->error);
    } else {
        put_return(TARGET, c->cs, 0x70000, c->ss);
        ck_fault(EXEC(m, "\xcb"), m, c->vector, c->error);
    }
    ck_assert_uint_eq(m->vcpu.cpl, c->cpl);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK);
}
END_TEST

static void put_iret(uint16_t cs, uint32_t eflags, uint16_t ss)
{
    machine_put32(m, MACHINE_STACK, TARGET);
    machine_put32(m, MACHINE_STACK + 4, cs);
    machine_put32(m, MACHINE_STACK + 8, eflags);
    machine_put32(m, MACHINE_STACK + 12, 0x70000);
    machine_put32(m, MACHINE_STACK + 16, ss);
}

#define ALL_FLAGS 0x00fd7fd7u /* but VM */

START_TEST(iret_to_the_same_level_pops_three)
{
    put_iret(K_CODE, ALL_FLAGS, 0);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 12);
    ck_assert_uint_eq(vcpu_eflags(&m->vcpu), FLAGS_ARITH | FLAG_ONE | FLAG_TF |
                                                 FLAG_IF | FLAG_DF | FLAG_IOPL |
                                                 FLAG_NT | FLAG_RF | FLAG_AC |
                                                 FLAG_VIF | FLAG_VIP | FLAG_ID);
}
END_TEST

START_TEST(iret_to_an_outer_level_pops_five)
{
    put_iret(U_CODE, FLAG_IF | FLAG_ONE, U_DATA);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x70000);
    ck_assert_uint_eq(m->vcpu.if_flag, 1);
    ck_assert_uint_eq(m->vcpu.seg[SEG_DS].selector, 0);
}
END_TEST

START_TEST(iret_at_level_3_keeps_if_and_iopl)
{
    set_level(m, 3);
    put_iret(U_CODE, ALL_FLAGS, 0);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.if_flag, 0);
    ck_assert_uint_eq(vcpu_iopl(&m->vcpu), 0);
    ck_assert_uint_eq(m->vcpu.eflags & (FLAG_VIF | FLAG_VIP), 0);
}
END_TEST

START_TEST(iret_at_level_3_with_iopl_3_changes_if_only)
{
    set_level(m, 3);
    m->vcpu.eflags |= FLAG_IOPL;
    put_iret(U_CODE, FLAG_IF, 0);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.if_flag, 1);
    ck_assert_uint_eq(vcpu_iopl(&m->vcpu), 3);
}
END_TEST

START_TEST(a_16_bit_iret_keeps_the_upper_flags)
{
    m->vcpu.eflags |= FLAG_AC | FLAG_ID;
    machine_put32(m, MACHINE_STACK, K_CODE << 16 | 0x1234);
    machine_put32(m, MACHINE_STACK + 4, FLAG_CF);
    ck_done(EXEC(m, "\x66\xcf"));
    ck_assert_uint_eq(m->vcpu.eip, 0x1234);
    ck_assert_uint_eq(m->vcpu.eflags, FLAG_ONE | FLAG_AC | FLAG_ID | FLAG_CF);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 6);
}
END_TEST

START_TEST(iret_that_opens_the_window_kicks)
{
    m->vcpu.irq_line = true;
    put_iret(K_CODE, FLAG_IF, 0);
    ck_assert_int_eq(EXEC(m, "\xcf"), VCPU_EXIT_INTR);
    ck_assert_uint_eq(m->vcpu.kick, 1);
}
END_TEST

START_TEST(iret_to_virtual_8086_mode_stops_the_machine)
{
    put_iret(K_CODE, FLAG_VM, 0);
    ck_stopped(EXEC(m, "\xcf"), m);
}
END_TEST

START_TEST(programs_cannot_enter_virtual_8086_mode)
{
    set_level(m, 3);
    put_iret(U_CODE, FLAG_VM, 0);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.eflags & FLAG_VM, 0);
}
END_TEST

START_TEST(iret_with_nt_needs_a_busy_tss)
{
    m->vcpu.eflags |= FLAG_NT;
    ck_fault(EXEC(m, "\xcf"), m, EXC_TS, 0);
    machine_put32(m, TSS_BASE, 0x07);
    ck_fault(EXEC(m, "\xcf"), m, EXC_TS, 0x04);
    machine_put32(m, TSS_BASE, TSS2);
    ck_fault(EXEC(m, "\xcf"), m, EXC_TS, TSS2);
    put_descriptor(m, TSS2,
                   make_descriptor(TSS16_AT, 0x2b, SEG_P | SYS_TSS16_BUSY));
    ck_stopped(EXEC(m, "\xcf"), m);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("return");
    TCase *tc = tcase_create("returns");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, retf_returns_to_the_same_level);
    tcase_add_test(tc, retf_returns_to_an_outer_level);
    tcase_add_test(tc, retf_with_imm_releases_both_stacks);
    tcase_add_test(tc, an_outer_return_nulls_inner_segments);
    tcase_add_test(tc, a_return_to_a_16_bit_stack_keeps_the_upper_half_of_esp);
    tcase_add_loop_test(tc, returns_check_cs_and_ss, 0,
                        2 * ARRAY_COUNT(returns));
    tcase_add_test(tc, iret_to_the_same_level_pops_three);
    tcase_add_test(tc, iret_to_an_outer_level_pops_five);
    tcase_add_test(tc, iret_at_level_3_keeps_if_and_iopl);
    tcase_add_test(tc, iret_at_level_3_with_iopl_3_changes_if_only);
    tcase_add_test(tc, a_16_bit_iret_keeps_the_upper_flags);
    tcase_add_test(tc, iret_that_opens_the_window_kicks);
    tcase_add_test(tc, iret_to_virtual_8086_mode_stops_the_machine);
    tcase_add_test(tc, programs_cannot_enter_virtual_8086_mode);
    tcase_add_test(tc, iret_with_nt_needs_a_busy_tss);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
