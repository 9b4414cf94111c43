/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <stdlib.h>
#include <string.h>

/* Code that is written to. */

START_TEST(a_store_to_the_next_instruction_takes_effect)
{
    /* mov eax, 0; mov byte [CODE + 13], 5; (CODE + 12:) mov al, 1; ud2 */
    BOTH(0xb8, 0, 0, 0, 0, 0xc6, 0x05, 0x0d, 0, 1, 0, 5, 0xb0, 1, UD2);
}
END_TEST

/* 200 times: put one function and then another at 20000h, and call it. */
#define REWRITE_AND_CALL(source)                            \
    0xbe, source, 0x00, 0x01, 0x00,   /* mov esi, source */ \
        0xbf, 0x00, 0x00, 0x02, 0x00, /* mov edi, 20000h */ \
        0xb9, 0x06, 0x00, 0x00, 0x00, /* mov ecx, 6 */      \
        0xf3, 0xa4,                   /* rep movsb */       \
        0xb8, 0x00, 0x00, 0x02, 0x00, /* mov eax, 20000h */ \
        0xff, 0xd0                    /* call eax */
#define REWRITING(second)                                              \
    0xbb, 0xc8, 0x00, 0x00, 0x00, /* mov ebx, 200 */                   \
        REWRITE_AND_CALL(0x40), REWRITE_AND_CALL(second), 0x4b, 0x75,  \
        0xcd,                                    /* dec ebx; jnz */    \
        UD2, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, /* up to 40h */       \
        0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3,      /* mov eax, 1; ret */ \
        0x90, 0x90, 0xb8, 0x02, 0x00, 0x00, 0x00, 0xc3

static const struct way traced = {.soft = SOFT_NONE};

START_TEST(code_that_is_written_again_alike_is_taken_back)
{
    static const uint8_t same[] = {REWRITING(0x40)};
    struct stats stats = both_stats(traced, same, sizeof(same));

    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 390);
    ck_assert_uint_lt(stats.count[STAT_TU_TRANSLATED], 20);
    ck_assert_uint_eq(stats.count[STAT_TAKEN_ACROSS], 0);
}
END_TEST

START_TEST(code_that_alternates_is_taken_back)
{
    static const uint8_t other[] = {REWRITING(0x48)};
    struct stats stats = both_stats(traced, other, sizeof(other));

    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 390);
    ck_assert_uint_lt(stats.count[STAT_TU_TRANSLATED], 20);
}
END_TEST

/* Two versions of a load from MMIO in turn: the second one's trap makes the site
 * soft while the first is on the shelf. */
START_TEST(a_ccf_that_is_taken_back_learns_what_its_site_became)
{
    static const uint8_t other[] = {REWRITING(0x48)};
    static const uint8_t load_mmio[] = {0xa1, 0x00, 0x00, 0x00, 0x02, 0xc3};
    uint8_t code[sizeof(other)];
    struct stats stats;

    memcpy(code, other, sizeof(code));
    memcpy(code + 0x40, load_mmio, sizeof(load_mmio));
    memcpy(code + 0x48, load_mmio, sizeof(load_mmio));
    code[0x49] = 4;
    stats = both_stats(traced, code, sizeof(code));
    ck_assert_uint_eq(stats.count[STAT_ADAPTATIONS], 2 + 2); /* REP MOVSB */
}
END_TEST

/* A function in the last bytes of a page that is then cleared from its start:
 * only the first stores are steps. */
START_TEST(a_code_page_that_becomes_data_is_released)
{
    static const uint8_t code[] = {
        0xc6, 0x05, 0xff, 0x0f, 0x02, 0x00, 0xc3, /* mov byte [20fffh], c3h */
        0xe8, 0xf3, 0x0f, 0x01, 0x00,             /* call 20fffh */
        0xbf, 0x00, 0x00, 0x02, 0x00,             /* mov edi, 20000h */
        0xb9, 0x00, 0x02, 0x00, 0x00,             /* mov ecx, 512 */
        0xc7, 0x07, 0x00, 0x00, 0x00, 0x00,       /* mov dword [edi], 0 */
        0x83, 0xc7, 0x04,                         /* add edi, 4 */
        0xe2, 0xf5,                               /* loop */
        UD2};
    struct stats stats = both_stats(traced, code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_RELEASED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 10);
}
END_TEST

static const struct way mixing[] = {
    {.soft = SOFT_NONE, .mixes = true},
    {.soft = SOFT_ALL,  .mixes = true},
};

START_TEST(a_page_of_code_and_data_is_not_traced)
{
    static const uint8_t code[] = {
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0xff, 0x05, 0x20, 0x00, 0x01, 0x00, /* inc dword [10020h] */
        0xe2, 0xf8,                         /* loop */
        UD2};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 16 * 10);
    ck_assert_uint_eq(stats.count[STAT_CODE_CHANGED], 0);
}
END_TEST

static const struct way waiting[] = {
    {.soft = SOFT_NONE, .waits = true},
    { .soft = SOFT_NONE,    .waits = true, .mixes = true},
};

/* A translation for each of 3,000 rounds would take a hundred times as long. */
START_TEST(code_that_changes_each_time_is_mostly_interpreted)
{
    static const uint8_t code[] = {
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0x89, 0x0d, 0x0c, 0x00, 0x01, 0x00, /* mov [1000ch], ecx */
        0xb8, 0x00, 0x00, 0x00, 0x00,       /* mov eax, 0 */
        0x01, 0xc3,                         /* add ebx, eax */
        0xe2, 0xf1,                         /* loop */
        UD2};
    struct stats stats = both_stats(waiting[_i], code, sizeof(code));

    ck_assert_uint_lt(stats.count[STAT_TU_TRANSLATED], 300);
}
END_TEST

START_TEST(a_store_to_the_next_instruction_of_a_mixed_page_takes_effect)
{
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0x00, 0x00,             /* mov ecx, 1000 */
        0x80, 0x05, 0x0d, 0x00, 0x01, 0x00, 0x03, /* add byte [1000dh], 3 */
        0xb0, 0x00,                               /* mov al, 0 */
        0x01, 0xc3,                               /* add ebx, eax */
        0xe2, 0xf3,                               /* loop */
        UD2};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_ge(stats.count[STAT_CODE_CHANGED], 900);
    /* 256 values of the operand */
    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 600);
    ck_assert_uint_le(stats.count[STAT_TU_TRANSLATED], 400);
}
END_TEST

START_TEST(code_and_stack_may_share_a_page)
{
    static const uint8_t code[] = {
        0xbc, 0x00, 0x01, 0x01, 0x00,       /* mov esp, 10100h */
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0x51,                               /* push ecx */
        0xe8, 0x05, 0x00, 0x00, 0x00,       /* call 1f */
        0x5a,                               /* pop edx */
        0xe2, 0xf7,                         /* loop */
        UD2,                                /* */
        0xff, 0x05, 0x80, 0x00, 0x01, 0x00, /* 1: inc dword [10080h] */
        0xc3};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 16 * 10);
}
END_TEST

/* Every length that is compared, and a change of its last byte: n times INC EAX,
 * then MOV BYTE to the last of them, which the loop goes through next. */
START_TEST(a_change_of_any_byte_is_seen)
{
    uint8_t code[128] = {0xb9, 0x80, 0x00, 0x00, 0x00}; /* mov ecx, 128 */
    uint8_t *at = code + 5;

    memset(at, 0x40, (size_t)_i); /* inc eax */
    at += _i;
    *at++ = 0xd1; /* rol dl, 1; setc dl */
    *at++ = 0xc2;
    memcpy(at, "\x80\x35\x00\x00\x01\x00\x08", 7); /* xor byte [last], 8 */
    at[2] = (uint8_t)(5 + _i - 1);
    at += 7;
    *at++ = 0x49; /* dec ecx */
    *at++ = 0x0f; /* jnz */
    *at++ = 0x85;
    memset(at, 0xff, 4);
    *at = (uint8_t)(5 - (at + 4 - code));
    at += 4;
    memcpy(at, "\x0f\x0b", 2);
    both_stats(mixing[0], code, sizeof(code));
}
END_TEST

START_TEST(a_mixed_page_that_is_quiet_is_traced_again)
{
    static const uint8_t code[] = {
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0xff, 0x05, 0x20, 0x00, 0x01, 0x00, /* inc dword [10020h] */
        0xe2, 0xf8,                         /* loop */
        0xf4};                              /* hlt */
    struct machine *m = machine_new(true, SOFT_NONE);

    m->bt->mixed_window = UINT64_MAX;
    m->bt->mixed_patience = 0;
    load(m, CODE, code, sizeof(code));
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_pstr_eq(bt_verify(m->bt), NULL);
    bt_code_poll(m->bt);
    ck_assert(!bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert(!tc_frame_has_code(m->bt->tc, CODE >> PAGE_SHIFT));
    m->vcpu.eip = CODE + 5;
    m->vcpu.regs[REG_ECX] = 10;
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(!bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_pstr_eq(bt_verify(m->bt), NULL);
    m->vcpu.eip = CODE;
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_uint_eq(*(uint32_t *)machine_ram(m, CODE + 0x20), 6010);
    machine_destroy(m);
}
END_TEST

void add_written_code_tests(TCase *tcase)
{
    tcase_add_test(tcase, a_store_to_the_next_instruction_takes_effect);
    tcase_add_test(tcase, code_that_is_written_again_alike_is_taken_back);
    tcase_add_test(tcase, code_that_alternates_is_taken_back);
    tcase_add_test(tcase, a_code_page_that_becomes_data_is_released);
    tcase_add_test(tcase, a_ccf_that_is_taken_back_learns_what_its_site_became);
    tcase_add_loop_test(tcase, a_page_of_code_and_data_is_not_traced, 0, 2);
    tcase_add_loop_test(tcase,
                        code_that_changes_each_time_is_mostly_interpreted, 0,
                        ARRAY_COUNT(waiting));
    tcase_add_loop_test(
        tcase, a_store_to_the_next_instruction_of_a_mixed_page_takes_effect, 0,
        2);
    tcase_add_loop_test(tcase, code_and_stack_may_share_a_page, 0, 2);
    tcase_add_loop_test(tcase, a_change_of_any_byte_is_seen, 1, 17);
    tcase_add_test(tcase, a_mixed_page_that_is_quiet_is_traced_again);
}
