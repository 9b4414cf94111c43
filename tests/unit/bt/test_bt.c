/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <string.h>
#include <unistd.h>

#include "emu/cpu/segment.h"
#include "tests/suite/suite.h"

/* Programs of every other kind. */

START_TEST(a_long_time_without_code_takes_no_stack)
{
    /* mov ecx, 100000; 1: dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 0xa0, 0x86, 0x01, 0,
                                   0x49, 0x75, 0xfd, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, code, sizeof(code));
    m->vcpu.dr[7] |= 1;
    m->vcpu.dr[0] = STACK;
    run(m);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_eq(m->stats.count[STAT_INSN_CCF], 0);
    machine_destroy(m);
}
END_TEST

START_TEST(a_counting_loop_gives_the_interpreters_state)
{
    /* mov ecx, 1000; 1: add eax, ecx; dec ecx; jnz 1b */
    BOTH(0xb9, 0xe8, 3, 0, 0, 0x01, 0xc8, 0x49, 0x75, 0xfb, UD2);
}
END_TEST

START_TEST(calls_and_returns_keep_the_stack)
{
    /* mov ecx, 500; 1: call f; dec ecx; jnz 1b; ud2
     * f: push ebx; push ebp; mov ebp, esp; add ebx, 3; leave; pop eax; ret */
    BOTH(0xb9, 0xf4, 1, 0, 0, 0xe8, 5, 0, 0, 0, 0x49, 0x75, 0xf8, UD2, 0x53,
         0x55, 0x89, 0xe5, 0x83, 0xc3, 3, 0xc9, 0x58, 0xc3);
}
END_TEST

START_TEST(an_unbalanced_return_goes_where_the_guest_says)
{
    /* call 1f; ud2; 1: pop eax; lea ecx, [eax + 9]; push ecx; ret; nop...;
     * ud2 */
    BOTH(0xe8, 2, 0, 0, 0, UD2, 0x58, 0x8d, 0x48, 0x09, 0x51, 0xc3, 0x90, 0x90,
         0x90, 0x90, 0x40, UD2, UD2);
}
END_TEST

START_TEST(esp_based_operands_see_the_pending_delta)
{
    /* push 1; push 2; mov eax, [esp + 4]; add [esp], eax; pop ebx;
     * pop dword [esp - 8]; lea edx, [esp - 4]; mov esi, [esp - 8]; push esp;
     * pop edi; push dword [esp - 8] */
    BOTH(0x6a, 1, 0x6a, 2, 0x8b, 0x44, 0x24, 4, 0x01, 0x04, 0x24, 0x5b, 0x8f,
         0x44, 0x24, 0xf8, 0x8d, 0x54, 0x24, 0xfc, 0x8b, 0x74, 0x24, 0xf8, 0x54,
         0x5f, 0xff, 0x74, 0x24, 0xf8, UD2);
}
END_TEST

START_TEST(string_instructions_work_through_the_window)
{
    /* mov edi, DATA; mov ecx, 3000; mov al, 7; rep stosb;
     * mov esi, DATA; mov edi, DATA + 10000h; mov ecx, 700; rep movsd;
     * std; lodsb; cld; scasw; cmpsb */
    BOTH(0xbf, 0, 0, 9, 0, 0xb9, 0xb8, 0x0b, 0, 0, 0xb0, 7, 0xf3, 0xaa, 0xbe, 0,
         0, 9, 0, 0xbf, 0, 0, 0xa, 0, 0xb9, 0xbc, 2, 0, 0, 0xf3, 0xa5, 0xfd,
         0xac, 0xfc, 0x66, 0xaf, 0xa6, UD2);
}
END_TEST

START_TEST(absolute_addresses_and_short_forms_are_reencoded)
{
    /* mov eax, 11223344h; mov [DATA], eax; mov al, [DATA + 1];
     * mov ecx, [DATA]; inc ecx; dec dx; add [DATA + 4], ecx;
     * mov ebx, [ecx*4 + 0]... */
    BOTH(0xb8, 0x44, 0x33, 0x22, 0x11, 0xa3, 0, 0, 9, 0, 0xa0, 1, 0, 9, 0, 0x8b,
         0x0d, 0, 0, 9, 0, 0x41, 0x66, 0x4a, 0x01, 0x0d, 4, 0, 9, 0, 0x31, 0xc9,
         0x8b, 0x1c, 0x8d, 0, 0, 9, 0, 0x82, 0xc3, 5, UD2);
}
END_TEST

START_TEST(high_byte_registers_with_esp_are_left_to_the_interpreter)
{
    /* push 12345678h; mov ah, [esp + 1]; mov [esp + 2], bh; pop ecx */
    BOTH(0x68, 0x78, 0x56, 0x34, 0x12, 0x8a, 0x64, 0x24, 1, 0x88, 0x7c, 0x24, 2,
         0x59, UD2);
}
END_TEST

START_TEST(a_division_by_zero_is_the_guests)
{
    /* mov eax, 5; xor ecx, ecx; div ecx */
    BOTH(0xb8, 5, 0, 0, 0, 0x31, 0xc9, 0xf7, 0xf1, UD2);
}
END_TEST

START_TEST(a_fault_keeps_the_fpu)
{
    /* mov eax, 12345678h; movd xmm0, eax; fld1; movd xmm7, eax; xor ecx, ecx;
     * div ecx */
    BOTH(0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0x0f, 0x6e, 0xc0, 0xd9, 0xe8, 0x66,
         0x0f, 0x6e, 0xf8, 0x31, 0xc9, 0xf7, 0xf1, UD2);
}
END_TEST

START_TEST(a_trapping_store_keeps_the_fpu)
{
    /* mov eax, CODE; movd xmm0, eax; movd xmm3, eax; fldpi; mov ecx, 20;
     * 1: mov [CODE + ff0h], ecx; dec ecx; jnz 1b */
    static const uint8_t code[] = {
        0xb8, 0,    0,    1,    0,    0x66, 0x0f, 0x6e, 0xc0, 0x66,
        0x0f, 0x6e, 0xd8, 0xd9, 0xeb, 0xb9, 20,   0,    0,    0,
        0x89, 0x0d, 0xf0, 0x0f, 1,    0,    0x49, 0x75, 0xf7, UD2};

    both(code, sizeof(code), 64);
}
END_TEST

START_TEST(a_store_through_cs_is_a_fault)
{
    /* mov ebx, DATA; mov eax, cs:[ebx]; mov cs:[ebx], eax */
    BOTH(0xbb, 0, 0, 9, 0, 0x2e, 0x8b, 0x03, 0x2e, 0x89, 0x03, UD2);
}
END_TEST

START_TEST(an_x87_exception_has_the_guests_pointers)
{
    /* fld1; mov ebx, DATA; fdiv dword [ebx + 8]; fwait: everything is unmasked
     * after reset */
    BOTH(0xd9, 0xe8, 0xbb, 0, 0, 9, 0, 0xd8, 0x73, 0x08, 0x9b, UD2);
}
END_TEST

START_TEST(a_device_sees_the_retired_count)
{
    /* mov ecx, 3; 1: nop; in eax, dx; add ebx, eax; dec ecx; jnz 1b */
    BOTH(0xb9, 3, 0, 0, 0, 0x90, 0xed, 0x01, 0xc3, 0x49, 0x75, 0xf9, UD2);
}
END_TEST

START_TEST(undefined_flags_are_the_hosts)
{
    /* mov eax, 12345678h; mov ecx, 7; shl eax, cl; pushf; mul ecx; pushf;
     * bsf edx, eax; pushf; bt eax, ecx; pushf; imul eax, ecx, 3; pushf;
     * shld eax, ecx, 5; pushf; cdq; idiv ecx; pushf; rol ax, 3; pushf;
     * sar al, 2; pushf; imul ecx, eax; pushf; shrd ax, cx, 9; pushf */
    BOTH(0xb8, 0x78, 0x56, 0x34, 0x12, 0xb9, 7, 0, 0, 0, 0xd3, 0xe0, 0x9c, 0xf7,
         0xe1, 0x9c, 0x0f, 0xbc, 0xd0, 0x9c, 0x0f, 0xa3, 0xc8, 0x9c, 0x6b, 0xc1,
         3, 0x9c, 0x0f, 0xa4, 0xc8, 5, 0x9c, 0x99, 0xf7, 0xf9, 0x9c, 0x66, 0xc1,
         0xc0, 3, 0x9c, 0xc0, 0xf8, 2, 0x9c, 0x0f, 0xaf, 0xc8, 0x9c, 0x66, 0x0f,
         0xac, 0xc8, 9, 0x9c, UD2);
}
END_TEST

START_TEST(indirect_branches_reach_their_targets)
{
    /* mov ecx, 100; mov eax, CODE + 15; 1: call eax; dec ecx; jnz 1b; ud2
     * (CODE + 16) f: add ebx, ecx; ret */
    BOTH(0xb9, 100, 0, 0, 0, 0xb8, 0x11, 0, 1, 0, 0xff, 0xd0, 0x49, 0x75, 0xfb,
         UD2, 0x01, 0xcb, 0xc3);
}
END_TEST

START_TEST(pushf_stores_the_whole_flags_image)
{
    /* stc; std; pushf; cli; pop eax; sti; pushf; pop ebx; cld; clc; cmp al, 0;
     * pushf; pop ecx */
    BOTH(0xf9, 0xfd, 0x9c, 0xfa, 0x58, 0xfb, 0x9c, 0x5b, 0xfc, 0xf8, 0x3c, 0,
         0x9c, 0x59, UD2);
}
END_TEST

START_TEST(popf_that_sets_tf_traps_behind_the_next_instruction)
{
    /* inc ecx; push 102h; popf; inc eax; inc ebx */
    BOTH(0x41, 0x68, 2, 1, 0, 0, 0x9d, 0x40, 0x43, UD2);
}
END_TEST

START_TEST(popf_that_sets_if_lets_in_the_interrupt_that_waits)
{
    /* push 202h; popf; inc eax */
    static const uint8_t code[] = {0x68, 2, 2, 0, 0, 0x9d, 0x40, UD2};

    for (unsigned bt = 0; bt < 2; bt++) {
        struct machine *m = machine_new(bt, SOFT_NONE);

        m->vcpu.irq_line = 1;
        load(m, CODE, code, sizeof(code));
        ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_INTR);
        ck_assert_uint_eq(m->vcpu.eip, CODE + 6);
        ck_assert_uint_eq(m->vcpu.retired, 2);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(an_instruction_across_a_page_boundary_is_translated)
{
    /* mov ecx, 1000; 1: jmp CODE + ffeh; ...
     * CODE + ffeh: add eax, 01020304h; dec ecx; jnz 1b; ud2 */
    static uint8_t code[0x1010];

    memcpy(code, (uint8_t[]){0xb9, 0xe8, 3, 0, 0, 0xe9, 0xf4, 0x0f, 0, 0}, 10);
    memcpy(code + 0xffe,
           (uint8_t[]){0x05, 4, 3, 2, 1, 0x49, 0x0f, 0x85, 0xfb, 0xef, 0xff,
                       0xff, UD2},
           14);
    both(code, sizeof(code), 1);
}
END_TEST

/* From one page into the next and back, through the lookup table only. */
START_TEST(a_loop_over_a_page_boundary_stays_in_ccfs)
{
    /* CODE: mov ecx, 1000; jmp CODE + ffdh; ...
     * CODE + ffdh: nop; add eax, 01020304h; dec ecx; jnz CODE + ffdh; ud2 */
    static const uint8_t head[] = {0xb9, 0xe8, 3, 0, 0, 0xe9, 0xf3, 0x0f, 0, 0};
    static const uint8_t loop[] = {0x90, 0x05, 4,    3,    2,
                                   1,    0x49, 0x75, 0xf7, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, head, sizeof(head));
    load(m, CODE + 0xffd, loop, sizeof(loop));
    run(m);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_lt(m->stats.count[STAT_LOOKUP_MISSES], 20);
    machine_destroy(m);
}
END_TEST

START_TEST(vector_registers_survive_every_kind_of_exit)
{
    /* mov eax, 01020304h; movd xmm0, eax; pshufd xmm0, xmm0, 0;
     * movups [DATA], xmm0         (a hidden fault)
     * movups [A0000h], xmm0       (MMIO: emulated)
     * in al, 80h                  (a step)
     * call 1f; 1: pop ecx         (lookups and chains)
     * movups [DATA + 5000h], xmm0; movd ebx, xmm0; mov edx, [DATA + 5004h] */
    BOTH(0xb8, 4, 3, 2, 1, 0x66, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0x70, 0xc0, 0,
         0x0f, 0x11, 0x05, 0, 0, 9, 0, 0x0f, 0x11, 0x05, 0, 0, 0xa, 0, 0xe4,
         0x80, 0xe8, 0, 0, 0, 0, 0x59, 0x0f, 0x11, 0x05, 0, 0x50, 9, 0, 0x66,
         0x0f, 0x7e, 0xc3, 0x8b, 0x15, 4, 0x50, 9, 0, UD2);
}
END_TEST

START_TEST(two_engines_share_a_thread)
{
    /* mov ecx, 100000; 1: mov [DATA], ecx; dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 0xa0, 0x86, 1,    0,    0x89, 0x0d, 0,
                                   0,    9,    0,    0x49, 0x75, 0xf7, UD2};
    struct machine *a = machine_new(true, SOFT_NONE);
    struct machine *b = machine_new(true, SOFT_NONE);

    load(a, CODE, code, sizeof(code));
    load(b, CODE, code, sizeof(code));
    run(a);
    run(b);
    ck_assert_uint_eq(a->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_eq(b->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_ne(mmu_window_base(a->bt->mmu), mmu_window_base(b->bt->mmu));
    machine_destroy(a);
    machine_destroy(b);
}
END_TEST

START_TEST(a_page_of_conditional_branches_fits_the_tables_of_a_tu)
{
    /* 650 times jo (elsewhere), never taken; ud2 */
    static uint8_t code[650 * 6 + 2];

    for (unsigned i = 0; i < 650; i++)
        memcpy(code + 6 * i, (uint8_t[]){0x0f, 0x80, 0, 0, 1, 0}, 6);
    memcpy(code + 650 * 6, (uint8_t[]){UD2}, 2);
    both(code, sizeof(code), 1);
}
END_TEST

START_TEST(a_conditional_x87_move_that_is_interpreted_sees_the_stack)
{
    /* fninit; fld1; fldz; stc; addr16 fcmovb st, st(1); fistp dword [DATA];
     * mov eax, [DATA] */
    BOTH(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xf9, 0x67, 0xda, 0xc1, 0xdb, 0x1d,
         0, 0, 9, 0, 0xa1, 0, 0, 9, 0, UD2);
}
END_TEST

START_TEST(loop_and_jecxz_branch_without_flags)
{
    /* stc; mov ecx, 50; 1: inc eax; loop 1b; jecxz 2f; ud2; 2: mov ecx, 1;
     * jecxz 3f; dec esi; 3: ud2 */
    BOTH(0xf9, 0xb9, 50, 0, 0, 0, 0x40, 0xe2, 0xfd, 0xe3, 2, UD2, 0xb9, 1, 0, 0,
         0, 0xe3, 1, 0x4e, UD2);
}
END_TEST

START_TEST(an_indirect_call_finds_no_code_of_another_mode)
{
    /* mov ebx, f; call ebx; mov eax, cr0; or eax, 8 (TS); mov cr0, eax;
     * call ebx; ud2; f: fld1; inc edx; ret */
    BOTH(0xbb, 0x14, 0, 1, 0, 0xff, 0xd3, 0x0f, 0x20, 0xc0, 0x83, 0xc8, 8, 0x0f,
         0x22, 0xc0, 0xff, 0xd3, UD2, 0xd9, 0xe8, 0x42, 0xc3);
}
END_TEST

START_TEST(memory_that_the_host_cannot_give_stops_the_machine)
{
    /* mov ecx, 5; inc dword [800010h]; ud2 */
    static const uint8_t code[] = {0xb9, 5,    0, 0,    0, 0xff,
                                   0x05, 0x10, 0, 0x80, 0, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, code, sizeof(code));
    ck_assert_int_eq(ftruncate(gmem_fd(m->gmem), MIB), 0);
    run(m);
    ck_assert_int_eq(m->stop.reason, STOP_HOST);
    ck_assert_pstr_eq(m->stop.text,
                      "the host failed to provide guest memory at 00800010");
    ck_assert_uint_eq(m->vcpu.eip, CODE + 5);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 5);
    machine_destroy(m);
}
END_TEST

/* Each way of tracing, with a store that hits the code's frame through another
 * site than the one that is adapted. */
START_TEST(both_ways_of_tracing_see_stores_to_code)
{
    static const enum mmu_trace kind[] = {MMU_TRACE_MPROTECT,
                                          MMU_TRACE_USERFAULTFD};
    /* mov ecx, 20; 1: mov [CODE + ff0h], ecx; inc dword [CODE + ff4h];
     * dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 20,   0, 0,    0,    0x89, 0x0d,
                                   0xf0, 0x0f, 1, 0,    0xff, 5,    0xf4,
                                   0x0f, 1,    0, 0x49, 0x75, 0xf1, UD2};
    for (unsigned i = 0; i < ARRAY_COUNT(kind); i++) {
        struct machine *m = machine_new(true, SOFT_NONE);

        mmu_set_trace(m->bt->mmu, kind[i]);
        load(m, CODE, code, sizeof(code));
        run(m);
        ck_assert_int_eq(m->stop.reason, STOP_SHUTDOWN);
        ck_assert_uint_eq(*(uint32_t *)(void *)machine_ram(m, CODE + 0xff0), 1);
        ck_assert_uint_eq(*(uint32_t *)(void *)machine_ram(m, CODE + 0xff4),
                          20);
        ck_assert_uint_gt(m->stats.count[STAT_SMC_FAULTS], 0);
        ck_assert_pstr_eq(spt_verify_host(m->bt->mmu), NULL);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(an_xmm_register_needs_osfxsr_also_where_mmx_has_the_mnemonic)
{
    /* mov eax, cr4; and ah, fdh (OSFXSR); mov cr4, eax; movq mm0, mm1;
     * paddb xmm0, xmm1 */
    BOTH(0x0f, 0x20, 0xe0, 0x80, 0xe4, 0xfd, 0x0f, 0x22, 0xe0, 0x0f, 0x6f, 0xc1,
         0x66, 0x0f, 0xfc, 0xc1, UD2);
}
END_TEST

START_TEST(an_x87_exception_keeps_the_opcode_that_is_overwritten)
{
    /* fld1; fldz; (CODE + 4:) fdivp; mov word [CODE + 4], 0; fnsave [DATA]:
     * everything is unmasked after reset */
    BOTH(0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x66, 0xc7, 0x05, 4, 0, 1, 0, 0, 0,
         0xdd, 0x35, 0, 0, 9, 0, UD2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bt");
    TCase *tcase = tcase_create("programs");

    tcase_add_test(tcase, a_long_time_without_code_takes_no_stack);
    tcase_add_test(tcase, a_counting_loop_gives_the_interpreters_state);
    tcase_add_test(tcase, calls_and_returns_keep_the_stack);
    tcase_add_test(tcase, an_unbalanced_return_goes_where_the_guest_says);
    tcase_add_test(tcase, esp_based_operands_see_the_pending_delta);
    tcase_add_test(tcase, string_instructions_work_through_the_window);
    tcase_add_test(tcase, absolute_addresses_and_short_forms_are_reencoded);
    tcase_add_test(tcase,
                   high_byte_registers_with_esp_are_left_to_the_interpreter);
    tcase_add_test(tcase, a_division_by_zero_is_the_guests);
    tcase_add_test(tcase, a_fault_keeps_the_fpu);
    tcase_add_test(tcase, a_trapping_store_keeps_the_fpu);
    tcase_add_test(tcase, a_store_through_cs_is_a_fault);
    tcase_add_test(tcase, an_x87_exception_has_the_guests_pointers);
    tcase_add_test(tcase, a_device_sees_the_retired_count);
    tcase_add_test(tcase, undefined_flags_are_the_hosts);
    tcase_add_test(tcase, indirect_branches_reach_their_targets);
    tcase_add_test(tcase, pushf_stores_the_whole_flags_image);
    tcase_add_test(tcase, popf_that_sets_tf_traps_behind_the_next_instruction);
    tcase_add_test(tcase, popf_that_sets_if_lets_in_the_interrupt_that_waits);
    tcase_add_test(tcase, an_instruction_across_a_page_boundary_is_translated);
    tcase_add_test(tcase, a_loop_over_a_page_boundary_stays_in_ccfs);
    tcase_add_test(tcase, vector_registers_survive_every_kind_of_exit);
    tcase_add_test(tcase, two_engines_share_a_thread);
    tcase_add_test(tcase,
                   a_page_of_conditional_branches_fits_the_tables_of_a_tu);
    tcase_add_test(tcase,
                   a_conditional_x87_move_that_is_interpreted_sees_the_stack);
    tcase_add_test(tcase, loop_and_jecxz_branch_without_flags);
    tcase_add_test(tcase, an_indirect_call_finds_no_code_of_another_mode);
    tcase_add_test(tcase, memory_that_the_host_cannot_give_stops_the_machine);
    tcase_add_test(tcase, both_ways_of_tracing_see_stores_to_code);
    tcase_add_test(
        tcase, an_xmm_register_needs_osfxsr_also_where_mmx_has_the_mnemonic);
    tcase_add_test(tcase,
                   an_x87_exception_keeps_the_opcode_that_is_overwritten);
    add_entry_tests(tcase);
    add_eviction_tests(tcase);
    add_remap_tests(tcase);
    add_segment_tests(tcase);
    add_written_code_tests(tcase);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
