/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/machine.h"

#define DR6_BS BIT(14)

static struct machine *m;
static struct vcpu *vcpu;

static void setup(void)
{
    m = machine_create();
    vcpu = &m->vcpu;
}

static void teardown(void)
{
    machine_destroy(m);
}

#define PUT(m, gpa, bytes) machine_put((m), (gpa), (bytes), sizeof(bytes) - 1)

/* The loop. */

START_TEST(a_run_ends_with_its_budget)
{
    PUT(m, MACHINE_CODE, "\x40\xeb\xfd"); /* inc eax; jmp -3 */
    ck_assert_int_eq(interp_run(m->interp, 1000), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->retired, 1000);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 500);
    ck_assert_uint_eq(m->stats.count[STAT_INSN_INTERP], 1000);
    ck_assert_uint_eq(m->stats.count[STAT_DECODES], 2);
}
END_TEST

START_TEST(a_kick_leaves_before_the_next_instruction)
{
    PUT(m, MACHINE_CODE, "\xee\x40"); /* out dx, al; inc eax */
    m->kick_on_port = true;
    ck_assert_int_eq(interp_run(m->interp, 1000), VCPU_EXIT_INTR);
    ck_assert_uint_eq(vcpu->retired, 1);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE + 1);
}
END_TEST

START_TEST(an_open_interrupt_window_kicks)
{
    PUT(m, MACHINE_CODE, "\x40\x40");
    vcpu->irq_line = true;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    vcpu->if_flag = 1;
    ck_assert_int_eq(interp_run(m->interp, 10), VCPU_EXIT_INTR);
    ck_assert(vcpu->kick);
    ck_assert_uint_eq(vcpu->retired, 1);
}
END_TEST

START_TEST(an_inhibition_lasts_for_one_instruction)
{
    PUT(m, MACHINE_CODE, "\x40\x40");
    vcpu->irq_line = true;
    vcpu->if_flag = 1;
    vcpu->inhibit = INHIBIT_STI;
    ck_assert_int_eq(interp_run(m->interp, 10), VCPU_EXIT_INTR);
    ck_assert_uint_eq(vcpu->retired, 1);
    ck_assert_uint_eq(vcpu->inhibit, INHIBIT_NONE);
}
END_TEST

START_TEST(real_mode_stops_with_a_message)
{
    vcpu->cr0 &= ~CR0_PE;
    ck_assert_int_eq(interp_run(m->interp, 10), VCPU_EXIT_STOP);
    ck_assert_int_eq(m->stop.reason, STOP_UNIMPL);
    ck_assert_ptr_nonnull(strstr(m->stop.text, "real mode"));
}
END_TEST

START_TEST(virtual_8086_mode_stops_with_a_message)
{
    vcpu->eflags |= FLAG_VM;
    ck_assert_int_eq(interp_run(m->interp, 10), VCPU_EXIT_STOP);
    ck_assert_ptr_nonnull(strstr(m->stop.text, "virtual-8086"));
}
END_TEST

static void note_first(void *opaque, const char *name, uint64_t count)
{
    const char **first = opaque;

    if (*first == NULL)
        *first = name;
    ck_assert_uint_gt(count, 0);
}

START_TEST(counts_come_most_frequent_first)
{
    const char *first = NULL;

    PUT(m, MACHINE_CODE, "\x4b\x40\x40\x40");
    ck_assert_int_eq(interp_run(m->interp, 4), VCPU_EXIT_BUDGET);
    interp_for_each_count(m->interp, note_first, (void *)&first);
    ck_assert_str_eq(first, "inc");
}
END_TEST

/* Fetching. */

START_TEST(a_store_to_the_next_instruction_takes_effect)
{
    /* mov byte [next], 4Bh; next: inc eax, which becomes dec ebx after it has
     * run once and is in the decode cache. */
    PUT(m, MACHINE_CODE, "\xc6\x05\x07\x00\x01\x00\x40\x40");
    ck_assert_int_eq(interp_run(m->interp, 2), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 1);
    PUT(m, MACHINE_CODE, "\xc6\x05\x07\x00\x01\x00\x4b\x40");
    vcpu->eip = MACHINE_CODE + 7;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    vcpu->eip = MACHINE_CODE;
    ck_assert_int_eq(interp_run(m->interp, 2), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EBX], 0xffffffff);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 2);
}
END_TEST

START_TEST(every_changed_byte_of_an_instruction_counts)
{
    PUT(m, MACHINE_CODE, "\xb8\x11\x22\x33\x44"); /* mov eax, imm32 */
    for (unsigned i = 1; i < 5; i++) {
        vcpu->eip = MACHINE_CODE;
        m->ram[MACHINE_CODE + i] ^= 0xff;
        ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
        ck_assert_uint_eq(vcpu->regs[REG_EAX],
                          machine_get32(m, MACHINE_CODE + 1));
    }
}
END_TEST

START_TEST(the_same_bytes_mean_another_thing_in_16_bit_code)
{
    PUT(m, MACHINE_CODE, "\xb8\x11\x22\x33\x44");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 0x44332211);
    vcpu->seg[SEG_CS].attr &= ~SEG_DB;
    vcpu->seg[SEG_CS].base = vcpu->seg_base[SEG_CS] = MACHINE_CODE;
    vcpu->eip = 0;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 0x44332211);
    ck_assert_uint_eq(vcpu->eip, 3);
}
END_TEST

START_TEST(an_instruction_across_pages_is_followed_through_changes)
{
    vcpu->eip = 0x10ffe;
    PUT(m, 0x10ffe, "\xb8\x11\x22\x33\x44");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    m->ram[0x11001] = 0x55;
    vcpu->eip = 0x10ffe;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 0x44552211);
}
END_TEST

static void map_identity(uint32_t rights)
{
    for (uint32_t i = 0; i < 1024; i++)
        machine_put32(m, 0x2000 + i * 4, i << 12 | rights);
    machine_put32(m, 0x1000, 0x2007);
    vcpu->cr3 = 0x1000;
    vcpu->cr0 |= CR0_PG | CR0_WP;
}

START_TEST(a_fault_in_the_second_page_of_an_instruction_names_that_page)
{
    map_identity(7);
    machine_put32(m, 0x2000 + 0x11 * 4, 0);
    vcpu->eip = 0x10ffe;
    PUT(m, 0x10ffe, "\xb8\x11");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_PF);
    ck_assert_uint_eq(vcpu->exc.cr2, 0x11000);
    ck_assert_uint_eq(vcpu->exc.error, 0);
    ck_assert_uint_eq(vcpu->eip, 0x10ffe);
}
END_TEST

START_TEST(the_next_page_is_left_alone_by_an_instruction_that_ends_before_it)
{
    map_identity(7);
    vcpu->eip = 0x10fff;
    PUT(m, 0x10fff, "\x40");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(machine_get32(m, 0x2000 + 0x11 * 4), 0x11007);
    ck_assert_uint_eq(machine_get32(m, 0x2000 + 0x10 * 4), 0x10027);
}
END_TEST

START_TEST(code_is_refetched_after_a_flush)
{
    map_identity(7);
    PUT(m, MACHINE_CODE, "\x40\x40");
    PUT(m, 0x50000, "\x4b\x4b");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    machine_put32(m, 0x2000 + 0x10 * 4, 0x50007);
    interp_flush_page(m->interp, MACHINE_CODE);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_EBX], 0xffffffff);
}
END_TEST

START_TEST(the_user_cannot_go_on_in_a_supervisor_page)
{
    map_identity(3);
    PUT(m, MACHINE_CODE, "\x40\x40");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    machine_user(m);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.error, PF_P | PF_U);
    ck_assert_uint_eq(vcpu->exc.cr2, MACHINE_CODE + 1);
}
END_TEST

START_TEST(an_instruction_beyond_the_limit_of_cs_faults)
{
    vcpu->seg[SEG_CS].limit = MACHINE_CODE + 3;
    PUT(m, MACHINE_CODE, "\xb8\x11\x22\x33\x44");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_GP);
    ck_assert_uint_eq(vcpu->exc.error, 0);
    ck_assert_uint_eq(vcpu->regs[REG_EAX], 0);
    vcpu->seg[SEG_CS].limit++;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
}
END_TEST

START_TEST(a_branch_beyond_the_limit_of_cs_faults_at_the_branch)
{
    vcpu->seg[SEG_CS].limit = MACHINE_CODE + 0xff;
    PUT(m, MACHINE_CODE, "\xe8\x00\x01\x00\x00"); /* call */
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_GP);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE);
    ck_assert_uint_eq(vcpu->regs[REG_ESP], MACHINE_STACK);
}
END_TEST

START_TEST(more_than_15_bytes_are_a_general_protection_fault)
{
    memset(m->ram + MACHINE_CODE, 0x66, 15);
    m->ram[MACHINE_CODE + 15] = 0x90;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_GP);
    m->ram[MACHINE_CODE + 14] = 0x90;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE + 15);
}
END_TEST

START_TEST(an_unknown_instruction_is_ud)
{
    ck_assert_int_eq(EXEC(m, "\x0f\xff\xc0"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_UD);
    ck_assert(!vcpu->exc.has_error);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE);
}
END_TEST

START_TEST(sixteen_bit_code_runs_into_its_limit_and_does_not_wrap)
{
    vcpu->seg[SEG_CS].attr &= ~SEG_DB;
    vcpu->seg[SEG_CS].limit = 0xffff;
    vcpu->eip = 0xffff;
    PUT(m, 0xffff, "\x40");
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->eip, 0x10000);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_GP);
}
END_TEST

START_TEST(code_runs_from_mmio)
{
    vcpu->eip = MACHINE_MMIO;
    m->mmio_value = 0x40; /* every byte: inc eax */
    ck_assert_int_eq(interp_run(m->interp, 3), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->eip, MACHINE_MMIO + 3);
}
END_TEST

/* Software interrupts. */

START_TEST(int_n_returns_to_the_next_instruction)
{
    ck_assert_int_eq(EXEC(m, "\xcd\x80"), VCPU_EXIT_EXC);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_SOFT);
    ck_assert_uint_eq(vcpu->exc.vector, 0x80);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE + 2);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE);
    ck_assert_uint_eq(vcpu->retired, 1);
}
END_TEST

START_TEST(int3_and_into_are_software_exceptions)
{
    ck_assert_int_eq(EXEC(m, "\xcc"), VCPU_EXIT_EXC);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_SOFT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_BP);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE + 1);
    vcpu->eflags |= FLAG_OF;
    ck_assert_int_eq(EXEC(m, "\xce"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_OF);
    vcpu->eflags &= ~FLAG_OF;
    ck_assert_int_eq(EXEC(m, "\xce"), VCPU_EXIT_BUDGET);
}
END_TEST

START_TEST(an_index_out_of_bounds_is_br)
{
    machine_put32(m, MACHINE_DATA, 5);
    machine_put32(m, MACHINE_DATA + 4, 9);
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    vcpu->regs[REG_EBX] = 10;
    ck_assert_int_eq(EXEC(m, "\x62\x1e"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_BR);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_FAULT);
}
END_TEST

/* Precision. */

START_TEST(a_read_modify_write_of_a_read_only_page_faults_as_a_write)
{
    map_identity(5);
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    PUT(m, MACHINE_CODE, "\x01\x06"); /* add [esi], eax */
    vcpu->eflags |= FLAG_CF;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.error, PF_P | PF_W);
    ck_assert_uint_eq(vcpu->eflags, FLAG_ONE | FLAG_CF);
}
END_TEST

START_TEST(a_push_that_faults_leaves_esp_alone)
{
    map_identity(7);
    machine_put32(m, 0x2000 + 0x2f * 4, 0);
    vcpu->regs[REG_ESP] = 0x30002;
    ck_assert_int_eq(EXEC(m, "\x50"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.cr2, 0x2fffe);
    ck_assert_uint_eq(vcpu->regs[REG_ESP], 0x30002);
    ck_assert_uint_eq(m->ram[0x30000], 0);
    ck_assert_int_eq(EXEC(m, "\x60"), VCPU_EXIT_EXC); /* pusha */
    ck_assert_uint_eq(vcpu->regs[REG_ESP], 0x30002);
    ck_assert_int_eq(EXEC(m, "\xc8\x20\x00\x00"), VCPU_EXIT_EXC); /* enter */
    ck_assert_uint_eq(vcpu->regs[REG_ESP], 0x30002);
}
END_TEST

START_TEST(a_pop_to_memory_that_faults_leaves_esp_alone)
{
    map_identity(5);
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    ck_assert_int_eq(EXEC(m, "\x8f\x06"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.cr2, MACHINE_DATA);
    ck_assert_uint_eq(vcpu->regs[REG_ESP], MACHINE_STACK);
}
END_TEST

START_TEST(a_16_bit_stack_wraps_and_keeps_the_upper_half_of_esp)
{
    vcpu->seg[SEG_SS].attr &= ~SEG_DB;
    vcpu->regs[REG_ESP] = 0x12340002;
    vcpu->regs[REG_EAX] = 0xaabbccdd;
    ck_assert_int_eq(EXEC(m, "\x66\x50\x50"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_ESP], 0x12340000);
    ck_assert_int_eq(EXEC(m, "\x50"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->regs[REG_ESP], 0x1234fffc);
    ck_assert_uint_eq(machine_get32(m, 0xfffc), 0xaabbccdd);
}
END_TEST

/* Debug events. */

START_TEST(tf_traps_after_each_instruction)
{
    vcpu->eflags |= FLAG_TF;
    ck_assert_int_eq(EXEC(m, "\x40"), VCPU_EXIT_EXC);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_TRAP);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_DB);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE + 1);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE + 1);
    ck_assert_uint_eq(vcpu->dr[6] & DR6_BS, DR6_BS);
    ck_assert_uint_eq(vcpu->retired, 1);
}
END_TEST

START_TEST(tf_traps_after_each_iteration_of_a_string_instruction)
{
    vcpu->eflags |= FLAG_TF;
    vcpu->regs[REG_ECX] = 2;
    vcpu->regs[REG_EDI] = MACHINE_DATA;
    ck_assert_int_eq(EXEC(m, "\xf3\xaa"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE);
    ck_assert_uint_eq(vcpu->regs[REG_ECX], 1);
    ck_assert_uint_eq(vcpu->eflags & FLAG_RF, FLAG_RF);
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE + 2);
    ck_assert_uint_eq(vcpu->eflags & FLAG_RF, 0);
}
END_TEST

START_TEST(an_instruction_that_faults_is_not_stepped)
{
    vcpu->eflags |= FLAG_TF;
    ck_assert_int_eq(EXEC(m, "\x0f\x0b"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_UD);
    ck_assert_uint_eq(vcpu->dr[6] & DR6_BS, 0);
}
END_TEST

START_TEST(a_code_breakpoint_faults_unless_rf_is_set)
{
    PUT(m, MACHINE_CODE, "\x40\x40");
    vcpu->dr[1] = MACHINE_CODE;
    vcpu->dr[7] |= 4;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_EXC);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_FAULT);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_DB);
    ck_assert_uint_eq(vcpu->dr[6] & 0xf, 2);
    vcpu->eflags |= FLAG_RF;
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(vcpu->eflags & FLAG_RF, 0);
}
END_TEST

START_TEST(a_code_breakpoint_at_a_rep_is_met_once)
{
    PUT(m, MACHINE_CODE, "\xf3\xac"); /* rep lodsb */
    vcpu->dr[1] = MACHINE_CODE;
    vcpu->dr[7] |= 4;
    vcpu->eflags |= FLAG_RF;
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    vcpu->regs[REG_ECX] = 3;
    vcpu->kick = 1;
    for (unsigned left = 2; left > 0; left--) {
        ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_INTR);
        ck_assert_uint_eq(vcpu->regs[REG_ECX], left);
    }
    ck_assert_int_eq(interp_step(m->interp), VCPU_EXIT_INTR);
    ck_assert_uint_eq(vcpu->eip, MACHINE_CODE + 2);
    ck_assert_uint_eq(vcpu->eflags & FLAG_RF, 0);
}
END_TEST

START_TEST(a_data_breakpoint_traps_after_the_access)
{
    vcpu->dr[0] = MACHINE_DATA + 4;
    vcpu->dr[7] |= 1 | 0xd << 16; /* L0, write, 4 bytes */
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    ck_assert_int_eq(EXEC(m, "\x88\x46\x03"), VCPU_EXIT_BUDGET);
    ck_assert_int_eq(EXEC(m, "\x8b\x46\x04"), VCPU_EXIT_BUDGET);
    ck_assert_int_eq(EXEC(m, "\x88\x46\x07"), VCPU_EXIT_EXC);
    ck_assert_int_eq(vcpu->exc.kind, EXC_KIND_TRAP);
    ck_assert_uint_eq(vcpu->dr[6] & 0xf, 1);
    ck_assert_uint_eq(vcpu->exc.return_eip, MACHINE_CODE + 9);
}
END_TEST

START_TEST(a_breakpoint_on_a_cached_page_is_seen)
{
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    ck_assert_int_eq(EXEC(m, "\x8b\x06"), VCPU_EXIT_BUDGET);
    vcpu->dr[0] = MACHINE_DATA;
    vcpu->dr[7] |= 1 | 0xf << 16; /* L0, access, 4 bytes */
    ck_assert_int_eq(EXEC(m, "\x8b\x06"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(vcpu->exc.vector, EXC_DB);
}
END_TEST

START_TEST(a_breakpoint_that_is_disabled_is_forgotten)
{
    vcpu->regs[REG_ESI] = MACHINE_DATA;
    vcpu->dr[0] = MACHINE_DATA;
    vcpu->dr[7] |= 1 | 0xf << 16;
    ck_assert_int_eq(EXEC(m, "\x8b\x06"), VCPU_EXIT_EXC);
    vcpu->dr[7] &= ~1u;
    ck_assert_int_eq(EXEC(m, "\x8b\x06"), VCPU_EXIT_BUDGET);
    ck_assert_int_eq(EXEC(m, "\x8b\x06"), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->interp->watch_hit, 0);
    ck_assert_uint_eq(m->interp->watch[4] & 0xff, 0);
}
END_TEST

static TCase *loop_case(void)
{
    TCase *tcase = tcase_create("loop");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_run_ends_with_its_budget);
    tcase_add_test(tcase, a_kick_leaves_before_the_next_instruction);
    tcase_add_test(tcase, an_open_interrupt_window_kicks);
    tcase_add_test(tcase, an_inhibition_lasts_for_one_instruction);
    tcase_add_test(tcase, real_mode_stops_with_a_message);
    tcase_add_test(tcase, virtual_8086_mode_stops_with_a_message);
    tcase_add_test(tcase, counts_come_most_frequent_first);
    tcase_add_test(tcase, int_n_returns_to_the_next_instruction);
    tcase_add_test(tcase, int3_and_into_are_software_exceptions);
    tcase_add_test(tcase, an_index_out_of_bounds_is_br);
    return tcase;
}

static TCase *fetch_case(void)
{
    TCase *tcase = tcase_create("fetch");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_store_to_the_next_instruction_takes_effect);
    tcase_add_test(tcase, every_changed_byte_of_an_instruction_counts);
    tcase_add_test(tcase, the_same_bytes_mean_another_thing_in_16_bit_code);
    tcase_add_test(tcase,
                   an_instruction_across_pages_is_followed_through_changes);
    tcase_add_test(
        tcase, a_fault_in_the_second_page_of_an_instruction_names_that_page);
    tcase_add_test(
        tcase,
        the_next_page_is_left_alone_by_an_instruction_that_ends_before_it);
    tcase_add_test(tcase, code_is_refetched_after_a_flush);
    tcase_add_test(tcase, the_user_cannot_go_on_in_a_supervisor_page);
    tcase_add_test(tcase, an_instruction_beyond_the_limit_of_cs_faults);
    tcase_add_test(tcase, a_branch_beyond_the_limit_of_cs_faults_at_the_branch);
    tcase_add_test(tcase, more_than_15_bytes_are_a_general_protection_fault);
    tcase_add_test(tcase, an_unknown_instruction_is_ud);
    tcase_add_test(tcase,
                   sixteen_bit_code_runs_into_its_limit_and_does_not_wrap);
    tcase_add_test(tcase, code_runs_from_mmio);
    return tcase;
}

static TCase *precision_case(void)
{
    TCase *tcase = tcase_create("precision");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase,
                   a_read_modify_write_of_a_read_only_page_faults_as_a_write);
    tcase_add_test(tcase, a_push_that_faults_leaves_esp_alone);
    tcase_add_test(tcase, a_pop_to_memory_that_faults_leaves_esp_alone);
    tcase_add_test(tcase, a_16_bit_stack_wraps_and_keeps_the_upper_half_of_esp);
    return tcase;
}

static TCase *debug_case(void)
{
    TCase *tcase = tcase_create("debug");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, tf_traps_after_each_instruction);
    tcase_add_test(tcase,
                   tf_traps_after_each_iteration_of_a_string_instruction);
    tcase_add_test(tcase, an_instruction_that_faults_is_not_stepped);
    tcase_add_test(tcase, a_code_breakpoint_faults_unless_rf_is_set);
    tcase_add_test(tcase, a_code_breakpoint_at_a_rep_is_met_once);
    tcase_add_test(tcase, a_data_breakpoint_traps_after_the_access);
    tcase_add_test(tcase, a_breakpoint_on_a_cached_page_is_seen);
    tcase_add_test(tcase, a_breakpoint_that_is_disabled_is_forgotten);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("interp");

    suite_add_tcase(suite, loop_case());
    suite_add_tcase(suite, fetch_case());
    suite_add_tcase(suite, precision_case());
    suite_add_tcase(suite, debug_case());
    return run_suite(suite);
}
