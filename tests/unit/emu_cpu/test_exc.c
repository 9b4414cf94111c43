/* SPDX-License-Identifier: MIT */

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/* Delivery through the IDT. */

static struct machine *m;

static void setup(void)
{
    m = protected_create();
}

static void teardown(void)
{
    machine_destroy(m);
}

static void deliver(enum exc_kind kind, unsigned vector)
{
    struct exc exc = {.kind = kind,
                      .vector = (uint8_t)vector,
                      .return_eip = MACHINE_CODE + 1};

    exc_deliver(m->interp, &exc);
}

static void deliver_error(unsigned vector, uint32_t error)
{
    struct exc exc = {.kind = EXC_KIND_FAULT,
                      .vector = (uint8_t)vector,
                      .has_error = true,
                      .error = error,
                      .cr2 = 0xabcd1234,
                      .return_eip = MACHINE_CODE};

    exc_deliver(m->interp, &exc);
}

static void at_handler(unsigned vector)
{
    ck_assert_uint_eq(m->vcpu.eip, HANDLER + vector * 16);
    ck_assert_int_eq(m->stop.reason, STOP_NONE);
}

START_TEST(an_interrupt_pushes_flags_cs_and_eip)
{
    m->vcpu.if_flag = 1;
    deliver(EXC_KIND_INTR, 0x10);
    at_handler(0x10);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 12);
    ck_assert_uint_eq(stack_word(m, 0), MACHINE_CODE + 1);
    ck_assert_uint_eq(stack_word(m, 1), K_CODE);
    ck_assert_uint_eq(stack_word(m, 2), FLAG_IF | FLAG_ONE);
    ck_assert_uint_eq(m->stats.count[STAT_INTERRUPTS], 1);
    ck_assert_uint_eq(m->stats.count[STAT_EXCEPTIONS], 0);
}
END_TEST

START_TEST(an_error_code_is_pushed_last)
{
    deliver_error(EXC_GP, 0x1234);
    at_handler(EXC_GP);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 16);
    ck_assert_uint_eq(stack_word(m, 0), 0x1234);
    ck_assert_uint_eq(stack_word(m, 1), MACHINE_CODE);
    ck_assert_uint_eq(m->stats.count[STAT_EXCEPTIONS], 1);
}
END_TEST

START_TEST(delivery_from_level_3_switches_the_stack)
{
    set_level(m, 3);
    deliver_error(EXC_GP, 0);
    at_handler(EXC_GP);
    ck_assert_uint_eq(m->vcpu.cpl, 0);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector, K_DATA);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK0 - 24);
    ck_assert_uint_eq(stack_word(m, 1), MACHINE_CODE);
    ck_assert_uint_eq(stack_word(m, 2), U_CODE);
    ck_assert_uint_eq(stack_word(m, 4), MACHINE_STACK);
    ck_assert_uint_eq(stack_word(m, 5), U_DATA);
}
END_TEST

START_TEST(delivery_to_level_1_takes_its_stack)
{
    put_idt(m, EXC_DE, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver(EXC_KIND_FAULT, EXC_DE);
    ck_assert_uint_eq(m->vcpu.cpl, 1);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, R1_CODE);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK1 - 20);
}
END_TEST

START_TEST(a_conforming_handler_stays_at_its_level)
{
    put_idt(m, EXC_DE, make_gate(CONFORMING, HANDLER, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver(EXC_KIND_FAULT, EXC_DE);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, CONFORMING | 3);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 12);
}
END_TEST

START_TEST(a_16_bit_gate_pushes_words)
{
    put_idt(m, EXC_GP, make_gate(K_CODE, 0x4321, SYS_INT_GATE16, 0));
    deliver_error(EXC_GP, 0x1234);
    ck_assert_uint_eq(m->vcpu.eip, 0x4321);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 8);
    ck_assert_uint_eq(stack_word(m, 0), (MACHINE_CODE & 0xffff) << 16 | 0x1234);
}
END_TEST

START_TEST(interrupt_gates_clear_if_and_trap_gates_do_not)
{
    put_idt(m, 0x11, make_gate(K_CODE, HANDLER, SYS_TRAP_GATE32, 0));
    m->vcpu.if_flag = 1;
    deliver(EXC_KIND_INTR, 0x11);
    ck_assert_uint_eq(m->vcpu.if_flag, 1);
    deliver(EXC_KIND_INTR, 0x10);
    ck_assert_uint_eq(m->vcpu.if_flag, 0);
}
END_TEST

START_TEST(delivery_clears_tf_nt_rf_and_keeps_ac)
{
    m->vcpu.eflags |= FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC;
    m->vcpu.inhibit = INHIBIT_STI;
    deliver(EXC_KIND_TRAP, EXC_DB);
    ck_assert_uint_eq(m->vcpu.eflags, FLAG_ONE | FLAG_AC);
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_NONE);
    ck_assert_uint_eq(stack_word(m, 2),
                      FLAG_ONE | FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC);
}
END_TEST

static const struct rf_case {
    enum exc_kind kind;
    uint8_t vector;
    uint32_t rf;
} rfs[] = {
    {EXC_KIND_FAULT,    EXC_DE, FLAG_RF},
    {EXC_KIND_FAULT,    EXC_DB, 0      },
    {EXC_KIND_TRAP,     EXC_DB, 0      },
    {EXC_KIND_SOFT,     0x11,   0      },
    {EXC_KIND_SOFT_EXC, EXC_BP, 0      },
    {EXC_KIND_INTR,     0x10,   0      },
};

START_TEST(only_faults_push_rf)
{
    deliver(rfs[_i].kind, rfs[_i].vector);
    ck_assert_uint_eq(stack_word(m, 2) & FLAG_RF, rfs[_i].rf);
}
END_TEST

START_TEST(db_clears_general_detect)
{
    m->vcpu.dr[7] |= BIT(13);
    deliver(EXC_KIND_TRAP, EXC_DB);
    ck_assert_uint_eq(m->vcpu.dr[7] & BIT(13), 0);
}
END_TEST

START_TEST(a_page_fault_sets_cr2)
{
    deliver_error(EXC_PF, PF_W);
    at_handler(EXC_PF);
    ck_assert_uint_eq(m->vcpu.cr2, 0xabcd1234);
}
END_TEST

START_TEST(other_faults_keep_cr2)
{
    m->vcpu.cr2 = 1;
    deliver_error(EXC_GP, 0);
    ck_assert_uint_eq(m->vcpu.cr2, 1);
}
END_TEST

/* Software interrupts look at the gate's DPL. */

#define VECTOR 0x1e

static const struct dpl_case {
    enum exc_kind kind;
    uint8_t cpl;
    uint8_t dpl;
    bool is_allowed;
} dpls[] = {
    {EXC_KIND_SOFT,     3, 3, true },
    {EXC_KIND_SOFT,     3, 0, false},
    {EXC_KIND_SOFT,     3, 2, false},
    {EXC_KIND_SOFT,     0, 0, true },
    {EXC_KIND_SOFT,     1, 0, false},
    {EXC_KIND_SOFT_EXC, 3, 0, false},
    {EXC_KIND_SOFT_EXC, 3, 3, true },
    {EXC_KIND_FAULT,    3, 0, true },
    {EXC_KIND_TRAP,     3, 0, true },
    {EXC_KIND_INTR,     3, 0, true },
    {EXC_KIND_NMI,      3, 0, true },
};

START_TEST(software_interrupts_need_the_privilege_of_their_gate)
{
    const struct dpl_case *c = &dpls[_i];

    put_idt(m, VECTOR, make_gate(K_CODE, TARGET, SYS_INT_GATE32, c->dpl));
    set_level(m, c->cpl);
    deliver(c->kind, VECTOR);
    if (c->is_allowed) {
        ck_assert_uint_eq(m->vcpu.eip, TARGET);
        return;
    }
    at_handler(EXC_GP);
    ck_assert_uint_eq(stack_word(m, 0), VECTOR * 8 + 2);
    ck_assert_uint_eq(stack_word(m, 1), MACHINE_CODE);
}
END_TEST

/* A broken gate: #GP or #NP that names the IDT entry, EXT unless the interrupt
 * was the program's. */
static const struct gate_case {
    uint64_t gate;
    uint8_t vector;
    uint16_t error;
} gates[] = {
    {0,                                                                    EXC_GP, VECTOR * 8 + 2},
    {(uint64_t)(SEG_P | SYS_CALL_GATE32) << 40,                            EXC_GP, VECTOR * 8 + 2},
    {(uint64_t)(SEG_P | SEG_S | 14) << 40,                                 EXC_GP, VECTOR * 8 + 2},
    {(uint64_t)SYS_INT_GATE32 << 40,                                       EXC_NP, VECTOR * 8 + 2},
    {(uint64_t)SYS_TASK_GATE << 40,                                        EXC_NP, VECTOR * 8 + 2},
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40,                             EXC_GP, 0             },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | OUTSIDE << 16,             EXC_GP, OUTSIDE       },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | K_DATA << 16,              EXC_GP, K_DATA        },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | LDT << 16,                 EXC_GP, LDT           },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | NP_CODE << 16,             EXC_NP, NP_CODE       },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | U_CODE << 16,              EXC_GP,
     U_CODE & ~3                                                                                 },
    {(uint64_t)(SEG_P | SYS_INT_GATE32) << 40 | SMALL_CODE << 16 | 0x1000,
     EXC_GP,                                                                       0             },
    {(uint64_t)(SEG_P | SYS_TASK_GATE) << 40 | K_DATA << 16,               EXC_GP, K_DATA        },
    {(uint64_t)(SEG_P | SYS_TASK_GATE) << 40 | OUTSIDE << 16,              EXC_GP, OUTSIDE       },
    {(uint64_t)(SEG_P | SYS_TASK_GATE) << 40 | (TSS2 | 4) << 16,           EXC_GP,
     TSS2 | 4                                                                                    },
};

START_TEST(broken_gates_fault)
{
    const struct gate_case *c = &gates[_i / 2];
    bool is_external = _i & 1;

    put_idt(m, VECTOR, c->gate);
    deliver(is_external ? EXC_KIND_INTR : EXC_KIND_SOFT, VECTOR);
    at_handler(c->vector);
    ck_assert_uint_eq(stack_word(m, 0), c->error | is_external);
}
END_TEST

START_TEST(a_vector_beyond_the_idt_is_a_general_protection)
{
    m->vcpu.idtr.limit = VECTOR * 8 + 6;
    deliver(EXC_KIND_INTR, VECTOR);
    at_handler(EXC_GP);
    ck_assert_uint_eq(stack_word(m, 0), VECTOR * 8 + 3);
}
END_TEST

START_TEST(task_gates_stop_the_machine)
{
    put_idt(m, VECTOR, make_gate(TSS2, 0, SYS_TASK_GATE, 3));
    deliver(EXC_KIND_INTR, VECTOR);
    ck_assert_int_eq(m->stop.reason, STOP_UNIMPL);
}
END_TEST

/* Only the level-0 stack is broken, so that a handler at level 1 can tell. */
static const struct stack_case {
    uint16_t selector;
    uint8_t vector;
    uint16_t error;
} stacks[] = {
    {0,            EXC_TS, 0           },
    {OUTSIDE,      EXC_TS, OUTSIDE     },
    {K_DATA | 3,   EXC_TS, K_DATA      },
    {R1_DATA & ~3, EXC_TS, R1_DATA & ~3},
    {K_CODE,       EXC_TS, K_CODE      },
    {SPARE,        EXC_SS, SPARE       },
};

START_TEST(a_bad_inner_stack_faults_with_ext)
{
    const struct stack_case *c = &stacks[_i];

    put_descriptor(m, SPARE,
                   make_descriptor(0, 0xfffff, SEG_S | SEG_WRITABLE | SEG_G));
    put_idt(m, c->vector, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    machine_put32(m, TSS_BASE + 8, c->selector);
    set_level(m, 3);
    deliver(EXC_KIND_INTR, VECTOR);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER);
    ck_assert_uint_eq(m->vcpu.cpl, 1);
    ck_assert_uint_eq(stack_word(m, 0), c->error | 1u);
}
END_TEST

START_TEST(an_inner_stack_without_room_is_a_stack_fault)
{
    put_descriptor(m, SPARE,
                   make_descriptor(MACHINE_DATA, 0xfff,
                                   SEG_P | SEG_S | SEG_WRITABLE | SEG_DB));
    machine_put32(m, TSS_BASE + 8, SPARE);
    machine_put32(m, TSS_BASE + 4, 23);
    put_idt(m, EXC_SS, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver_error(EXC_AC, 0);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER);
    ck_assert_uint_eq(stack_word(m, 0), SPARE | 1);
    machine_put32(m, TSS_BASE + 4, 24);
    set_level(m, 3);
    deliver_error(EXC_AC, 0);
    at_handler(EXC_AC);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0);
}
END_TEST

/* Each kind of frame: of a gate of 32 or 16 bits, on the same stack, which is
 * that of level 3, or on the inner one, with an error code or without. */
static const struct frame_case {
    bool is_inner;
    bool has_error;
    bool is_16bit;
    uint8_t count; /* values pushed */
} frames[] = {
    {false, false, false, 3},
    {false, true,  false, 4},
    {true,  false, false, 5},
    {true,  true,  false, 6},
    {false, false, true,  3},
    {false, true,  true,  4},
    {true,  false, true,  5},
    {true,  true,  true,  6},
};

/* From level 3; stack faults go to level 1, where there is room. */
static void deliver_frame(const struct frame_case *c, enum room room,
                          bool is_short)
{
    unsigned size = c->is_16bit ? 2 : 4;
    unsigned type = c->is_16bit ? SYS_INT_GATE16 : SYS_INT_GATE32;

    put_stack(m, c->is_inner, room, c->count * size, is_short);
    put_idt(
        m, EXC_AC,
        make_gate(c->is_inner ? K_CODE : CONFORMING, TARGET & 0xffff, type, 0));
    put_idt(m, EXC_SS, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    if (c->has_error)
        deliver_error(EXC_AC, 0);
    else
        deliver(EXC_KIND_INTR, EXC_AC);
}

START_TEST(a_frame_takes_all_the_room_there_is)
{
    const struct frame_case *c = &frames[_i / ROOMS];
    uint32_t len = c->count * (c->is_16bit ? 2u : 4u);

    deliver_frame(c, _i % ROOMS, false);
    ck_assert_uint_eq(m->vcpu.eip, TARGET & 0xffff);
    ck_stack_is_full(m, c->is_inner, _i % ROOMS, len);
}
END_TEST

START_TEST(a_frame_with_a_byte_too_little_room_is_not_begun)
{
    const struct frame_case *c = &frames[_i / ROOMS];

    deliver_frame(c, _i % ROOMS, true);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER);
    ck_assert_uint_eq(m->vcpu.cpl, 1);
    ck_assert_uint_eq(stack_word(m, 0), c->is_inner ? SPARE | 1 : 1);
    ck_assert(is_stack_untouched(m));
}
END_TEST

START_TEST(a_short_tss_is_invalid)
{
    m->vcpu.tr.limit = 8;
    put_idt(m, VECTOR, make_gate(K_CODE, HANDLER, SYS_INT_GATE32, 3));
    put_idt(m, EXC_TS, make_gate(CONFORMING, TARGET, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver(EXC_KIND_SOFT, VECTOR);
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(stack_word(m, 0), TSS);
}
END_TEST

/* Double and triple faults. */

static void break_vector(unsigned vector)
{
    put_idt(m, vector, 0);
}

static void double_fault_delivered(void)
{
    at_handler(EXC_DF);
    ck_assert_uint_eq(stack_word(m, 0), 0);
}

START_TEST(contributory_after_contributory_is_a_double_fault)
{
    break_vector(EXC_DE);
    break_vector(EXC_GP);
    deliver(EXC_KIND_FAULT, EXC_DE);
    double_fault_delivered();
}
END_TEST

START_TEST(contributory_after_a_page_fault_is_a_double_fault)
{
    break_vector(EXC_PF);
    deliver_error(EXC_PF, 0);
    double_fault_delivered();
    ck_assert_uint_eq(m->vcpu.cr2, 0xabcd1234);
}
END_TEST

START_TEST(contributory_after_benign_is_delivered)
{
    break_vector(EXC_UD);
    deliver(EXC_KIND_FAULT, EXC_UD);
    at_handler(EXC_GP);
    ck_assert_uint_eq(stack_word(m, 0), EXC_UD * 8 + 3);
}
END_TEST

START_TEST(interrupts_are_benign_whatever_their_vector)
{
    break_vector(EXC_TS);
    deliver(EXC_KIND_INTR, EXC_TS);
    at_handler(EXC_GP);
    break_vector(EXC_DE);
    deliver(EXC_KIND_SOFT, EXC_DE);
    at_handler(EXC_GP);
}
END_TEST

/* Identity-map all of RAM but one page, which the stack wants. */
static void page_all_but(uint32_t hole)
{
    for (uint32_t i = 0; i < MACHINE_RAM / PAGE_SIZE; i++)
        machine_put32(m, 0x101000 + 4 * i,
                      i << PAGE_SHIFT | (i != hole >> PAGE_SHIFT) | 6);
    machine_put32(m, 0x100000, 0x101000 | 7);
    m->vcpu.cr3 = 0x100000;
    m->vcpu.cr0 |= CR0_PG | CR0_WP;
    interp_flush_tlb(m->interp);
}

START_TEST(a_page_fault_while_delivering_a_contributory_one_is_delivered)
{
    page_all_but(STACK0 - 4);
    put_idt(m, EXC_PF, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver_error(EXC_GP, 0);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER);
    ck_assert_uint_eq(m->vcpu.cr2, STACK0 - 4);
    ck_assert_uint_eq(stack_word(m, 0), PF_W);
}
END_TEST

START_TEST(a_page_fault_after_a_page_fault_is_a_double_fault)
{
    page_all_but(STACK0 - 4);
    put_idt(m, EXC_DF, make_gate(R1_CODE, HANDLER, SYS_INT_GATE32, 0));
    set_level(m, 3);
    deliver_error(EXC_PF, PF_U);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER);
    ck_assert_uint_eq(m->vcpu.cr2, STACK0 - 4);
    ck_assert_uint_eq(stack_word(m, 0), 0);
}
END_TEST

START_TEST(a_fault_of_the_double_fault_handler_shuts_down)
{
    m->vcpu.idtr.limit = 0;
    deliver_error(EXC_PF, 0);
    ck_assert_int_eq(m->stop.reason, STOP_SHUTDOWN);
}
END_TEST

START_TEST(a_broken_idt_shuts_down_from_any_exception)
{
    m->vcpu.idtr.limit = 0;
    deliver(EXC_KIND_FAULT, EXC_UD);
    ck_assert_int_eq(m->stop.reason, STOP_SHUTDOWN);
}
END_TEST

START_TEST(a_failed_delivery_leaves_the_registers)
{
    struct vcpu before;

    m->vcpu.idtr.limit = 0;
    set_level(m, 3);
    before = m->vcpu;
    deliver_error(EXC_GP, 0);
    ck_assert_mem_eq(m->vcpu.regs, before.regs, sizeof(before.regs));
    ck_assert_mem_eq(m->vcpu.seg, before.seg, sizeof(before.seg));
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.eflags, before.eflags);
}
END_TEST

START_TEST(alignment_checks_without_end_shut_down)
{
    put_idt(m, EXC_AC, make_gate(U_CODE, HANDLER, SYS_INT_GATE32, 3));
    set_level(m, 3);
    m->vcpu.cr0 |= CR0_AM;
    m->vcpu.eflags |= FLAG_AC;
    m->vcpu.regs[REG_ESP] = MACHINE_STACK + 1;
    deliver_error(EXC_AC, 0);
    ck_assert_int_eq(m->stop.reason, STOP_SHUTDOWN);
}
END_TEST

START_TEST(real_mode_stops_the_machine)
{
    m->vcpu.cr0 &= ~(uint32_t)CR0_PE;
    deliver(EXC_KIND_INTR, 8);
    ck_assert_int_eq(m->stop.reason, STOP_UNIMPL);
}
END_TEST

START_TEST(int_n_returns_to_the_next_instruction)
{
    put_idt(m, 0x1f, make_gate(K_CODE, TARGET, SYS_TRAP_GATE32, 3));
    set_level(m, 3);
    ck_assert_int_eq(EXEC(m, "\xcd\x1f"), VCPU_EXIT_EXC);
    exc_deliver(m->interp, &m->vcpu.exc);
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(stack_word(m, 0), MACHINE_CODE + 2);
    ck_done(EXEC(m, "\xcf"));
    ck_assert_uint_eq(m->vcpu.eip, MACHINE_CODE + 2);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK);
}
END_TEST

/* SDM 3B 17.3.1.1 "Instruction-Breakpoint Exception Condition": RF was cleared
 * at the start of the instruction. */
START_TEST(software_interrupts_push_rf_as_zero)
{
    static const char *const bytes[] = {"\xcd\x1f", "\xcc\x90", "\xce\x90",
                                        "\xf1\x90"};

    put_idt(m, 0x1f, make_gate(K_CODE, TARGET, SYS_TRAP_GATE32, 3));
    m->vcpu.eflags |= FLAG_RF | FLAG_OF;
    ck_assert_int_eq(machine_exec(m, bytes[_i], 2), VCPU_EXIT_EXC);
    exc_deliver(m->interp, &m->vcpu.exc);
    ck_assert_uint_eq(stack_word(m, 2), FLAG_OF | FLAG_ONE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("exc");
    TCase *tc = tcase_create("delivery");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_interrupt_pushes_flags_cs_and_eip);
    tcase_add_test(tc, an_error_code_is_pushed_last);
    tcase_add_test(tc, delivery_from_level_3_switches_the_stack);
    tcase_add_test(tc, delivery_to_level_1_takes_its_stack);
    tcase_add_test(tc, a_conforming_handler_stays_at_its_level);
    tcase_add_test(tc, a_16_bit_gate_pushes_words);
    tcase_add_test(tc, interrupt_gates_clear_if_and_trap_gates_do_not);
    tcase_add_test(tc, delivery_clears_tf_nt_rf_and_keeps_ac);
    tcase_add_loop_test(tc, only_faults_push_rf, 0, ARRAY_COUNT(rfs));
    tcase_add_test(tc, db_clears_general_detect);
    tcase_add_test(tc, a_page_fault_sets_cr2);
    tcase_add_test(tc, other_faults_keep_cr2);
    tcase_add_test(tc, int_n_returns_to_the_next_instruction);
    tcase_add_loop_test(tc, software_interrupts_push_rf_as_zero, 0, 4);
    suite_add_tcase(s, tc);

    tc = tcase_create("checks");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc,
                        software_interrupts_need_the_privilege_of_their_gate, 0,
                        ARRAY_COUNT(dpls));
    tcase_add_loop_test(tc, broken_gates_fault, 0, 2 * ARRAY_COUNT(gates));
    tcase_add_test(tc, a_vector_beyond_the_idt_is_a_general_protection);
    tcase_add_test(tc, task_gates_stop_the_machine);
    tcase_add_loop_test(tc, a_bad_inner_stack_faults_with_ext, 0,
                        ARRAY_COUNT(stacks));
    tcase_add_test(tc, an_inner_stack_without_room_is_a_stack_fault);
    tcase_add_loop_test(tc, a_frame_takes_all_the_room_there_is, 0,
                        ARRAY_COUNT(frames) * ROOMS);
    tcase_add_loop_test(tc, a_frame_with_a_byte_too_little_room_is_not_begun, 0,
                        ARRAY_COUNT(frames) * ROOMS);
    tcase_add_test(tc, a_short_tss_is_invalid);
    suite_add_tcase(s, tc);

    tc = tcase_create("double");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, contributory_after_contributory_is_a_double_fault);
    tcase_add_test(tc, contributory_after_a_page_fault_is_a_double_fault);
    tcase_add_test(tc, contributory_after_benign_is_delivered);
    tcase_add_test(tc, interrupts_are_benign_whatever_their_vector);
    tcase_add_test(
        tc, a_page_fault_while_delivering_a_contributory_one_is_delivered);
    tcase_add_test(tc, a_page_fault_after_a_page_fault_is_a_double_fault);
    tcase_add_test(tc, a_fault_of_the_double_fault_handler_shuts_down);
    tcase_add_test(tc, a_broken_idt_shuts_down_from_any_exception);
    tcase_add_test(tc, a_failed_delivery_leaves_the_registers);
    tcase_add_test(tc, alignment_checks_without_end_shut_down);
    tcase_add_test(tc, real_mode_stops_the_machine);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
