/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/fpu_case.h"

/* MMX and SSE: MXCSR, alignment, SIMD exceptions, and what has operands beside
 * the XMM registers. */

START_TEST(mxcsr_takes_defined_bits_only)
{
    machine_put32(m, MACHINE_DATA, 0xffbf);
    OK("\x0f\xae\x13"); /* ldmxcsr [ebx] */
    ck_assert_uint_eq(image->mxcsr, 0xffbf);
    machine_put32(m, MACHINE_DATA, 0x10000);
    FAULT("\x0f\xae\x13", EXC_GP);
    OK("\x0f\xae\x1b"); /* stmxcsr [ebx] */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0xffbf);
}
END_TEST

/* SIMD. */

static const struct aligned_row {
    struct code code;
    bool faults;
} aligned_rows[] = {
    {CODE("\x0f\x28\x03"),             true }, /* movaps xmm0, [ebx] */
    {CODE("\x0f\x29\x03"),             true }, /* movaps [ebx], xmm0 */
    {CODE("\x0f\x58\x03"),             true }, /* addps xmm0, [ebx] */
    {CODE("\x66\x0f\x6f\x03"),         true }, /* movdqa */
    {CODE("\x66\x0f\xe7\x03"),         true }, /* movntdq */
    {CODE("\x66\x0f\x60\x03"),         true }, /* punpcklbw */
    {CODE("\x66\x0f\x2d\x03"),         true }, /* cvtpd2pi mm0, [ebx] */
    {CODE("\x66\x0f\x38\x2a\x03"),     true }, /* movntdqa */
    {CODE("\x0f\x10\x03"),             false}, /* movups */
    {CODE("\xf3\x0f\x6f\x03"),         false}, /* movdqu */
    {CODE("\xf3\x0f\x7f\x03"),         false}, /* movdqu [ebx], xmm0 */
    {CODE("\xf2\x0f\xf0\x03"),         false}, /* lddqu */
    {CODE("\x66\x0f\x3a\x63\x03\x0c"), false}, /* pcmpistri */
    {CODE("\xf3\x0f\x58\x03"),         false}, /* addss xmm0, [ebx] */
    {CODE("\x0f\x5a\x03"),             false}, /* cvtps2pd xmm0, [ebx] */
    {CODE("\x0f\xfc\x03"),             false}, /* paddb mm0, [ebx] */
};

START_TEST(sixteen_bytes_must_be_aligned)
{
    const struct aligned_row *row = &aligned_rows[_i];

    run_ok(row->code);
    m->vcpu.regs[REG_EBX] += 1;
    if (!row->faults) {
        run_ok(row->code);
        return;
    }
    run_fault(row->code, EXC_GP);
    ck_assert_uint_eq(m->vcpu.exc.error, 0);
    m->vcpu.regs[REG_EBX] = 0x7f000001; /* nothing there, but #GP first */
    run_fault(row->code, EXC_GP);
}
END_TEST

/* Set MXCSR and divide xmm0 = 1.0 by [ebx]. */
static enum vcpu_exit divide(uint32_t mxcsr, double by)
{
    double one = 1.0;

    image->mxcsr = mxcsr;
    memcpy(image->xmm[0], &one, sizeof(one));
    put_double(MACHINE_DATA, by);
    return EXEC(m, "\xf2\x0f\x5e\x03"); /* divsd xmm0, [ebx] */
}

START_TEST(an_unmasked_simd_exception_changes_only_flags)
{
    uint8_t xmm[16];

    ck_assert_int_eq(divide(0x1d80, 0.0), VCPU_EXIT_EXC);
    ck_assert_uint_eq(m->vcpu.exc.vector, EXC_XM);
    ck_assert_int_eq(m->vcpu.exc.has_error, false);
    ck_assert_uint_eq(image->mxcsr, 0x1d84);
    memcpy(xmm, image->xmm[0], 16);
    ck_assert_uint_eq(xmm[7], 0x3f);
    m->vcpu.cr4 = CR4_OSFXSR;
    ck_assert_int_eq(divide(0x1d80, 0.0), VCPU_EXIT_EXC);
    ck_assert_uint_eq(m->vcpu.exc.vector, EXC_UD);
    /* Another exception is unmasked than the one raised. */
    ck_assert_int_eq(divide(0x1d80, 3.0), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(image->mxcsr, 0x1da0);
    ck_assert_int_eq(divide(0x1da0, 2.0), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(image->mxcsr, 0x1da0); /* flags are sticky */
    ck_assert_int_eq(divide(0x1f80, 0.0), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(image->mxcsr, 0x1f84);
}
END_TEST

START_TEST(a_raised_flag_alone_is_no_simd_exception)
{
    ck_assert_int_eq(divide(0x0004, 2.0), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(image->mxcsr, 0x0004);
}
END_TEST

START_TEST(unmasked_underflow_reports_exact_tiny_results)
{
    double tiny = 0x1p-1022;

    image->mxcsr = 0x1f80;
    memcpy(image->xmm[0], &tiny, sizeof(tiny));
    put_double(MACHINE_DATA, 0.5);
    OK("\xf2\x0f\x59\x03"); /* mulsd xmm0, [ebx]: exact */
    ck_assert_uint_eq(image->mxcsr, 0x1f80);
    memcpy(image->xmm[0], &tiny, sizeof(tiny));
    image->mxcsr = 0x1780;
    FAULT("\xf2\x0f\x59\x03", EXC_XM);
    ck_assert_uint_eq(image->mxcsr, 0x1790);
}
END_TEST

START_TEST(denormals_follow_daz_and_ftz)
{
    double tiny = 0x1p-1060;

    memcpy(image->xmm[0], &tiny, sizeof(tiny));
    put_double(MACHINE_DATA, 1.0);
    OK("\xf2\x0f\x59\x03"); /* mulsd xmm0, [ebx] */
    ck_assert_mem_eq(image->xmm[0], &tiny, sizeof(tiny));
    ck_assert_uint_eq(image->mxcsr, 0x1f82);
    image->mxcsr = MXCSR_INIT | MXCSR_DAZ;
    OK("\xf2\x0f\x59\x03");
    tiny = 0;
    ck_assert_mem_eq(image->xmm[0], &tiny, sizeof(tiny));
    ck_assert_uint_eq(image->mxcsr, MXCSR_INIT | MXCSR_DAZ);
}
END_TEST

START_TEST(mmx_instructions_reset_top_and_fill_the_tags)
{
    OK("\xd9\xe8"); /* fld1: physical register 7 */
    m->vcpu.regs[REG_EAX] = 0x12345678;
    OK("\x0f\x6e\xc8"); /* movd mm1, eax */
    ck_assert_uint_eq(top(), 0);
    ck_assert_uint_eq(image->ftw, 0xff);
    ck_assert_uint_eq(image->st[7][9], 0x3f); /* the 1.0 has stayed */
    OK("\x0f\x7f\x0b");                       /* movq [ebx], mm1 */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0x12345678);
    OK("\x0f\x77");
    ck_assert_uint_eq(image->ftw, 0);
}
END_TEST

START_TEST(general_registers_are_operands)
{
    m->vcpu.regs[REG_ESP] = 0x80000081;
    OK("\x66\x0f\x6e\xd4"); /* movd xmm2, esp */
    OK("\x66\x0f\xd7\xea"); /* pmovmskb ebp, xmm2 */
    ck_assert_uint_eq(m->vcpu.regs[REG_EBP], 9);
    OK("\x66\x0f\x7e\xd6"); /* movd esi, xmm2 */
    ck_assert_uint_eq(m->vcpu.regs[REG_ESI], 0x80000081);
    m->vcpu.regs[REG_EDX] = 7;
    OK("\xf2\x0f\x2a\xca"); /* cvtsi2sd xmm1, edx */
    OK("\xf2\x0f\x2d\xf9"); /* cvtsd2si edi, xmm1 */
    ck_assert_uint_eq(m->vcpu.regs[REG_EDI], 7);
    OK("\x66\x0f\xc5\xc2\x01"); /* pextrw eax, xmm2, 1 */
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 0x8000);
    OK("\x66\x0f\x3a\x14\xd4\x00"); /* pextrb esp, xmm2, 0 */
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x81);
    OK("\x66\x0f\x3a\x14\x13\x03"); /* pextrb [ebx], xmm2, 3 */
    ck_assert_uint_eq(m->ram[MACHINE_DATA], 0x80);
}
END_TEST

START_TEST(flags_are_results_and_operands)
{
    vcpu_set_eflags(&m->vcpu, FLAGS_ARITH | FLAG_DF);
    OK("\xd9\xe8");
    OK("\xd9\xee");
    OK("\xdb\xf1"); /* fcomi st0, st1: 0 < 1 */
    ck_assert_uint_eq(m->vcpu.eflags & (FLAG_CF | FLAG_ZF | FLAG_PF), FLAG_CF);
    ck_assert_uint_eq(m->vcpu.eflags & FLAG_DF, FLAG_DF);
    OK("\xda\xc1"); /* fcmovb st0, st1 */
    OK("\xdd\x1b");
    ck_assert_double_eq(get_double(MACHINE_DATA), 1.0);
    OK("\x0f\x2e\xc0"); /* ucomiss xmm0, xmm0 */
    ck_assert_uint_eq(m->vcpu.eflags & FLAGS_ARITH, FLAG_ZF);
    OK("\x66\x0f\x38\x17\xc0"); /* ptest xmm0, xmm0 */
    ck_assert_uint_eq(m->vcpu.eflags & FLAGS_ARITH, FLAG_ZF | FLAG_CF);
}
END_TEST

START_TEST(explicit_lengths_come_from_eax_and_edx)
{
    memcpy(image->xmm[0], "abcdefgh", 8);
    memcpy(image->xmm[1], "xxxxxfxxxxxxxxx", 16);
    m->vcpu.regs[REG_EAX] = 8;
    m->vcpu.regs[REG_EDX] = 8;
    m->vcpu.regs[REG_ECX] = 99;
    OK("\x66\x0f\x3a\x61\xc1\x00"); /* pcmpestri xmm0, xmm1, any */
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 5);
    ck_assert_uint_eq(m->vcpu.eflags & FLAG_CF, FLAG_CF);
    m->vcpu.regs[REG_EDX] = 5;
    OK("\x66\x0f\x3a\x61\xc1\x00");
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 16);
    ck_assert_uint_eq(m->vcpu.eflags & FLAG_CF, 0);
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 8);
}
END_TEST

START_TEST(masked_stores_touch_selected_bytes_only)
{
    m->vcpu.regs[REG_EDI] = MACHINE_DATA;
    memset(m->ram + MACHINE_DATA, 0x11, 16);
    memset(image->xmm[0], 0x22, 16);
    image->xmm[1][3] = image->xmm[1][15] = 0x80;
    m->vcpu.seg[SEG_DS].limit = MACHINE_DATA + 14;
    FAULT("\x66\x0f\xf7\xc1", EXC_GP); /* maskmovdqu xmm0, xmm1 */
    ck_assert_uint_eq(m->ram[MACHINE_DATA + 3], 0x11);
    m->vcpu.seg[SEG_DS].limit = MACHINE_DATA + 15;
    OK("\x66\x0f\xf7\xc1");
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(m->ram[MACHINE_DATA + i],
                          i == 3 || i == 15 ? 0x22 : 0x11);
}
END_TEST

START_TEST(maskmovq_is_an_mmx_instruction)
{
    OK("\xd9\xe8"); /* fld1: MM7 = 8000000000000000h */
    m->vcpu.regs[REG_EDI] = MACHINE_DATA;
    memset(m->ram + MACHINE_DATA, 0x11, 8);
    OK("\x0f\xf7\xff"); /* maskmovq mm7, mm7 */
    ck_assert_uint_eq(top(), 0);
    ck_assert_uint_eq(image->ftw, 0xff);
    ck_assert_uint_eq(m->ram[MACHINE_DATA + 7], 0x80);
    ck_assert_uint_eq(m->ram[MACHINE_DATA + 6], 0x11);
}
END_TEST

START_TEST(crc32_agrees_with_the_host)
{
    unsigned seed = 1;

    for (unsigned i = 0; i < 64; i++) {
        uint32_t crc = (uint32_t)rand_r(&seed) * 3u;
        uint32_t value = (uint32_t)rand_r(&seed) * 5u;
        uint32_t expected = crc;

        m->vcpu.regs[REG_EAX] = crc;
        m->vcpu.regs[REG_ECX] = value;
        __asm__("crc32l %1, %0" : "+r"(expected) : "r"(value));
        OK("\xf2\x0f\x38\xf1\xc1"); /* crc32 eax, ecx */
        __asm__("crc32w %w1, %0" : "+r"(expected) : "r"(value));
        OK("\x66\xf2\x0f\x38\xf1\xc1");
        value >>= 8;
        __asm__("crc32b %b1, %0" : "+r"(expected) : "r"(value));
        OK("\xf2\x0f\x38\xf0\xc5"); /* crc32 eax, ch */
        ck_assert_uint_eq(m->vcpu.regs[REG_EAX], expected);
    }
}
END_TEST

static Suite *simd_suite(void)
{
    Suite *suite = suite_create("simd");
    TCase *simd = tcase_create("simd");

    tcase_add_checked_fixture(simd, fpu_case_setup, fpu_case_teardown);
    tcase_add_test(simd, mxcsr_takes_defined_bits_only);
    tcase_add_test(simd, an_unmasked_simd_exception_changes_only_flags);
    tcase_add_test(simd, a_raised_flag_alone_is_no_simd_exception);
    tcase_add_test(simd, unmasked_underflow_reports_exact_tiny_results);
    tcase_add_test(simd, denormals_follow_daz_and_ftz);
    tcase_add_test(simd, mmx_instructions_reset_top_and_fill_the_tags);
    tcase_add_test(simd, general_registers_are_operands);
    tcase_add_test(simd, flags_are_results_and_operands);
    tcase_add_test(simd, explicit_lengths_come_from_eax_and_edx);
    tcase_add_test(simd, masked_stores_touch_selected_bytes_only);
    tcase_add_test(simd, maskmovq_is_an_mmx_instruction);
    tcase_add_test(simd, crc32_agrees_with_the_host);
    tcase_add_loop_test(simd, sixteen_bytes_must_be_aligned, 0,
                        ARRAY_COUNT(aligned_rows));
    suite_add_tcase(suite, simd);
    return suite;
}

int main(void)
{
    return run_suite(simd_suite());
}
