/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/* Segment loads, far calls and jumps. */

static struct machine *m;

static void setup(void)
{
    m = protected_create();
}

static void teardown(void)
{
    machine_destroy(m);
}

#define MOV_DS_AX "\x8e\xd8"
#define MOV_SS_AX "\x8e\xd0"

static enum vcpu_exit load(const char *bytes, unsigned cpl, uint16_t selector)
{
    set_level(m, cpl);
    m->vcpu.regs[REG_EAX] = 0xdead0000 | selector;
    return machine_exec(m, bytes, 2);
}

static const struct load_case {
    uint8_t cpl;
    bool is_ss;
    uint16_t selector;
    uint8_t vector; /* 0: loads */
    uint16_t error;
} loads[] = {
    {0, false, 0,              0,      0                },
    {3, false, 3,              0,      0                },
    {0, false, K_DATA,         0,      0                },
    {3, false, U_DATA,         0,      0                },
    {0, false, U_DATA,         0,      0                },
    {0, false, READ_ONLY,      0,      0                },
    {3, false, K_DATA,         EXC_GP, K_DATA           },
    {1, false, K_DATA,         EXC_GP, K_DATA           },
    {3, false, R1_DATA,        EXC_GP, R1_DATA & ~3     },
    {0, false, R1_DATA | 3,    EXC_GP, R1_DATA & ~3     },
    {0, false, K_DATA | 3,     EXC_GP, K_DATA           },
    {3, false, U_CODE,         0,      0                },
    {3, false, K_CODE,         EXC_GP, K_CODE           },
    {3, false, CONFORMING,     0,      0                },
    {3, false, CONFORMING | 3, 0,      0                },
    {0, false, EXECUTE_ONLY,   EXC_GP, EXECUTE_ONLY & ~3},
    {0, false, TSS,            EXC_GP, TSS              },
    {0, false, GATE,           EXC_GP, GATE & ~3        },
    {0, false, OUTSIDE,        EXC_GP, OUTSIDE          },
    {0, false, NP_DATA,        EXC_NP, NP_DATA & ~3     },
    {3, false, 0x07,           0,      0                },
    {3, false, 0x17,           EXC_GP, 0x14             },
    {0, true,  K_DATA,         0,      0                },
    {3, true,  U_DATA,         0,      0                },
    {0, true,  0,              EXC_GP, 0                },
    {3, true,  3,              EXC_GP, 0                },
    {0, true,  OUTSIDE,        EXC_GP, OUTSIDE          },
    {0, true,  K_DATA | 1,     EXC_GP, K_DATA           },
    {0, true,  U_DATA,         EXC_GP, U_DATA & ~3      },
    {0, true,  U_DATA & ~3,    EXC_GP, U_DATA & ~3      },
    {3, true,  U_DATA & ~3,    EXC_GP, U_DATA & ~3      },
    {3, true,  READ_ONLY,      EXC_GP, READ_ONLY & ~3   },
    {0, true,  K_CODE,         EXC_GP, K_CODE           },
    {3, true,  NP_DATA,        EXC_SS, NP_DATA & ~3     },
};

START_TEST(segment_loads_check_type_privilege_and_presence)
{
    const struct load_case *c = &loads[_i];
    enum seg seg = c->is_ss ? SEG_SS : SEG_DS;
    enum vcpu_exit exit =
        load(c->is_ss ? MOV_SS_AX : MOV_DS_AX, c->cpl, c->selector);

    if (c->vector == 0) {
        ck_done(exit);
        ck_assert_uint_eq(m->vcpu.seg[seg].selector, c->selector);
    } else {
        ck_fault(exit, m, c->vector, c->error);
        ck_assert_uint_ne(m->vcpu.seg[seg].selector, c->selector);
    }
}
END_TEST

START_TEST(a_load_sets_the_accessed_bit)
{
    ck_assert_uint_eq(descriptor_hi(m, K_DATA) & SEG_ACCESSED << 8, 0);
    ck_done(load(MOV_DS_AX, 0, K_DATA));
    ck_assert_uint_ne(descriptor_hi(m, K_DATA) & SEG_ACCESSED << 8, 0);
    ck_assert_uint_ne(m->vcpu.seg[SEG_DS].attr & SEG_ACCESSED, 0);
}
END_TEST

START_TEST(a_faulting_load_leaves_the_accessed_bit_alone)
{
    ck_fault(load(MOV_DS_AX, 0, NP_DATA), m, EXC_NP, NP_DATA & ~3);
    ck_assert_uint_eq(descriptor_hi(m, NP_DATA) & SEG_ACCESSED << 8, 0);
}
END_TEST

START_TEST(a_load_takes_base_and_limit_with_granularity)
{
    put_descriptor(m, SPARE,
                   make_descriptor(0x12345678, 0xabcde,
                                   SEG_P | SEG_S | SEG_WRITABLE | SEG_G));
    ck_done(load(MOV_DS_AX, 0, SPARE));
    ck_assert_uint_eq(m->vcpu.seg_base[SEG_DS], 0x12345678);
    ck_assert_uint_eq(m->vcpu.seg[SEG_DS].limit, 0xabcdefff);
}
END_TEST

START_TEST(a_null_selector_makes_the_segment_unusable)
{
    ck_done(load(MOV_DS_AX, 0, 0));
    ck_fault(EXEC(m, "\xa1\x00\x00\x00\x00"), m, EXC_GP, 0);
}
END_TEST

START_TEST(without_ldt_its_selectors_are_outside)
{
    m->vcpu.ldtr.attr = SEG_UNUSABLE;
    ck_fault(load(MOV_DS_AX, 0, 0x07), m, EXC_GP, 0x04);
}
END_TEST

START_TEST(a_descriptor_must_lie_whole_within_its_table)
{
    m->vcpu.gdtr.limit = K_DATA + 6;
    ck_fault(load(MOV_DS_AX, 0, K_DATA), m, EXC_GP, K_DATA);
    m->vcpu.gdtr.limit = K_DATA + 7;
    ck_done(load(MOV_DS_AX, 0, K_DATA));
    m->vcpu.ldtr.limit = 6;
    ck_fault(load(MOV_DS_AX, 0, 0x07), m, EXC_GP, 0x04);
}
END_TEST

START_TEST(mov_to_cs_is_undefined)
{
    m->vcpu.regs[REG_EAX] = K_CODE;
    ck_fault(EXEC(m, "\x8e\xc8"), m, EXC_UD, 0);
}
END_TEST

START_TEST(mov_ss_and_pop_ss_hold_interrupts_back)
{
    ck_done(load(MOV_SS_AX, 0, K_DATA));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_MOV_SS);
    m->vcpu.inhibit = INHIBIT_NONE;
    machine_put32(m, MACHINE_STACK, K_DATA);
    ck_done(EXEC(m, "\x17"));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_MOV_SS);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 4);
}
END_TEST

START_TEST(of_two_loads_of_ss_the_first_inhibits)
{
    ck_done(load(MOV_SS_AX, 0, K_DATA));
    ck_done(EXEC(m, MOV_SS_AX));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_NONE);
}
END_TEST

START_TEST(sti_behind_mov_ss_holds_interrupts_back)
{
    ck_done(load(MOV_SS_AX, 0, K_DATA));
    m->vcpu.irq_line = true;
    ck_done(EXEC(m, "\xfb"));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_STI);
    ck_assert_int_eq(EXEC(m, "\x90"), VCPU_EXIT_INTR);
}
END_TEST

START_TEST(mov_ss_behind_sti_holds_a_data_breakpoint_back)
{
    machine_put32(m, MACHINE_DATA, K_DATA);
    m->vcpu.regs[REG_ESI] = MACHINE_DATA;
    m->vcpu.dr[0] = MACHINE_DATA;
    m->vcpu.dr[7] |= 1 | 3 << 16; /* L0, access, 1 byte */
    ck_done(EXEC(m, "\xfb"));
    ck_done(EXEC(m, "\x8e\x16")); /* mov ss, [esi] */
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_MOV_SS);
    ck_assert_int_eq(EXEC(m, "\x90"), VCPU_EXIT_EXC);
    ck_assert_uint_eq(m->vcpu.exc.vector, EXC_DB);
    ck_assert_uint_eq(m->vcpu.dr[6] & 0xf, 1);
}
END_TEST

/* MOV SS from where a breakpoint is, and the instruction behind it; what that
 * raises is delivered. */
static void behind_a_watched_mov_ss(const char *bytes, size_t len)
{
    struct exc exc;

    machine_put32(m, MACHINE_DATA, K_DATA);
    m->vcpu.regs[REG_ESI] = MACHINE_DATA;
    m->vcpu.dr[0] = MACHINE_DATA;
    m->vcpu.dr[7] |= 1 | 3 << 16; /* L0, access, 1 byte */
    ck_done(EXEC(m, "\x8e\x16")); /* mov ss, [esi] */
    ck_assert_int_eq(machine_exec(m, bytes, len), VCPU_EXIT_EXC);
    exc = m->vcpu.exc;
    exc_deliver(m->interp, &exc);
}

START_TEST(a_breakpoint_held_back_is_met_behind_a_software_interrupt)
{
    behind_a_watched_mov_ss("\xcc", 1);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER + EXC_DB * 16);
    ck_assert_uint_eq(machine_get32(m, MACHINE_STACK - 24),
                      HANDLER + EXC_BP * 16);
    ck_assert_uint_eq(m->vcpu.dr[6] & 0xf, 1);
}
END_TEST

START_TEST(a_breakpoint_held_back_is_lost_behind_a_fault)
{
    behind_a_watched_mov_ss("\x0f\x0b", 2);
    ck_assert_uint_eq(m->vcpu.eip, HANDLER + EXC_UD * 16);
    ck_done(interp_step(m->interp));
    ck_assert_uint_eq(m->vcpu.dr[6] & 0xf, 0);
}
END_TEST

START_TEST(a_faulting_pop_keeps_esp)
{
    machine_put32(m, MACHINE_STACK, OUTSIDE);
    ck_fault(EXEC(m, "\x1f"), m, EXC_GP, OUTSIDE);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK);
}
END_TEST

START_TEST(pop_ss_moves_the_pointer_as_the_old_stack_says)
{
    m->vcpu.regs[REG_ESP] = 0x3fffc;
    machine_put32(m, 0x3fffc, K_DATA16);
    ck_done(EXEC(m, "\x17"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x40000);
}
END_TEST

START_TEST(push_stores_the_selector_zero_extended)
{
    machine_put32(m, MACHINE_STACK - 4, 0xffffffff);
    ck_done(EXEC(m, "\x1e"));
    ck_assert_uint_eq(stack_word(m, 0), K_DATA);
    ck_done(EXEC(m, "\x66\x0f\xa0"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 6);
}
END_TEST

START_TEST(mov_from_a_segment_register)
{
    m->vcpu.regs[REG_EAX] = 0xffffffff;
    ck_done(EXEC(m, "\x8c\xc8"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], K_CODE);
    machine_put32(m, MACHINE_DATA, 0xffffffff);
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
    ck_done(EXEC(m, "\x8c\x0b"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0xffff0000 | K_CODE);
}
END_TEST

START_TEST(les_and_lss_load_both_registers)
{
    machine_put32(m, MACHINE_DATA, 0x12345678);
    machine_put32(m, MACHINE_DATA + 4, K_DATA);
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
    ck_done(EXEC(m, "\xc4\x0b"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0x12345678);
    ck_assert_uint_eq(m->vcpu.seg[SEG_ES].selector, K_DATA);
    ck_done(EXEC(m, "\x0f\xb2\x23"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x12345678);
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_NONE);
}
END_TEST

START_TEST(lds_that_faults_loads_neither)
{
    machine_put32(m, MACHINE_DATA, 0x12345678);
    machine_put32(m, MACHINE_DATA + 4, OUTSIDE);
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
    ck_fault(EXEC(m, "\xc5\x0b"), m, EXC_GP, OUTSIDE);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0);
}
END_TEST

/* jmp, call selector:TARGET. */
static enum vcpu_exit far(uint8_t opcode, uint16_t selector, uint32_t offset)
{
    char code[7] = {(char)opcode};

    for (unsigned i = 0; i < 4; i++)
        code[1 + i] = (char)(offset >> i * 8);
    code[5] = (char)selector;
    code[6] = (char)(selector >> 8);
    return machine_exec(m, code, sizeof(code));
}

#define JMP  0xea
#define CALL 0x9a

static const struct far_case {
    uint8_t cpl;
    uint16_t selector;
    uint8_t vector;
    uint16_t error;
    uint8_t cs_rpl;
} fars[] = {
    {0, K_CODE,         0,      0,                 0},
    {0, K_CODE | 3,     EXC_GP, K_CODE,            0},
    {3, U_CODE,         0,      0,                 3},
    {3, U_CODE & ~3,    0,      0,                 3},
    {3, K_CODE,         EXC_GP, K_CODE,            0},
    {0, U_CODE,         EXC_GP, U_CODE & ~3,       0},
    {0, U_CODE & ~3,    EXC_GP, U_CODE & ~3,       0},
    {3, CONFORMING,     0,      0,                 3},
    {0, CONFORMING | 3, 0,      0,                 0},
    {0, U_CONFORMING,   EXC_GP, U_CONFORMING & ~3, 0},
    {0, 0,              EXC_GP, 0,                 0},
    {0, 3,              EXC_GP, 0,                 0},
    {0, OUTSIDE,        EXC_GP, OUTSIDE,           0},
    {0, K_DATA,         EXC_GP, K_DATA,            0},
    {0, LDT,            EXC_GP, LDT,               0},
    {0, NP_CODE,        EXC_NP, NP_CODE,           0},
    {0, SMALL_CODE,     EXC_GP, 0,                 0},
    {3, TSS,            EXC_GP, TSS,               0},
};

START_TEST(far_jumps_and_calls_check_their_target)
{
    const struct far_case *c = &fars[_i / 2];
    uint8_t opcode = _i & 1 ? CALL : JMP;
    enum vcpu_exit exit;

    set_level(m, c->cpl);
    exit = far(opcode, c->selector, TARGET);
    if (c->vector != 0) {
        ck_fault(exit, m, c->vector, c->error);
        ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK);
        return;
    }
    ck_done(exit);
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.cpl, c->cpl);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector,
                      (c->selector & ~3u) | c->cs_rpl);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP],
                      MACHINE_STACK - (opcode == CALL ? 8 : 0));
}
END_TEST

START_TEST(a_far_call_pushes_cs_and_eip)
{
    ck_done(far(CALL, K_CODE, TARGET));
    ck_assert_uint_eq(stack_word(m, 0), MACHINE_CODE + 7);
    ck_assert_uint_eq(stack_word(m, 1), K_CODE);
}
END_TEST

START_TEST(far_transfers_through_memory)
{
    machine_put32(m, MACHINE_DATA, TARGET);
    machine_put32(m, MACHINE_DATA + 4, K_CODE);
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
    ck_done(EXEC(m, "\xff\x2b"));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_done(EXEC(m, "\xff\x1b"));
    ck_assert_uint_eq(stack_word(m, 0), TARGET + 2);
}
END_TEST

/* Presence of the target comes first, its limit last (SDM 2A "CALL",
 * NONCONFORMING-CODE-SEGMENT). */
START_TEST(a_far_call_without_room_is_a_stack_fault)
{
    m->vcpu.seg[SEG_SS].limit = MACHINE_STACK - 8;
    ck_fault(far(CALL, K_CODE, TARGET), m, EXC_SS, 0);
    ck_fault(far(CALL, SMALL_CODE, TARGET), m, EXC_SS, 0);
    ck_fault(far(CALL, NP_CODE, TARGET), m, EXC_NP, NP_CODE);
}
END_TEST

START_TEST(a_call_gate_leads_to_the_inner_level)
{
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0xffffffff));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.cpl, 0);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, K_CODE);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector, K_DATA);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK0 - 16);
    ck_assert_uint_eq(stack_word(m, 0), MACHINE_CODE + 7);
    ck_assert_uint_eq(stack_word(m, 1), U_CODE);
    ck_assert_uint_eq(stack_word(m, 2), MACHINE_STACK);
    ck_assert_uint_eq(stack_word(m, 3), U_DATA);
}
END_TEST

START_TEST(a_call_gate_copies_parameters)
{
    put_descriptor(m, GATE,
                   make_gate(K_CODE, TARGET, SYS_CALL_GATE32, 3) | 2ull << 32);
    machine_put32(m, MACHINE_STACK, 0x11111111);
    machine_put32(m, MACHINE_STACK + 4, 0x22222222);
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK0 - 24);
    ck_assert_uint_eq(stack_word(m, 2), 0x11111111);
    ck_assert_uint_eq(stack_word(m, 3), 0x22222222);
    ck_assert_uint_eq(stack_word(m, 4), MACHINE_STACK);
}
END_TEST

START_TEST(a_16_bit_call_gate_pushes_words)
{
    put_descriptor(m, GATE, make_gate(K_CODE, 0x4321, SYS_CALL_GATE16, 3));
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0));
    ck_assert_uint_eq(m->vcpu.eip, 0x4321);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK0 - 8);
    ck_assert_uint_eq(stack_word(m, 0), U_CODE << 16 | 0x0007);
    ck_assert_uint_eq(stack_word(m, 1),
                      U_DATA << 16 | (MACHINE_STACK & 0xffff));
}
END_TEST

START_TEST(a_gate_to_the_same_level_keeps_the_stack)
{
    ck_done(far(CALL, GATE & ~3, 0));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK - 8);
    put_descriptor(m, GATE, make_gate(CONFORMING, TARGET, SYS_CALL_GATE32, 3));
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0));
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, CONFORMING | 3);
}
END_TEST

START_TEST(a_jump_through_a_gate_cannot_change_level)
{
    set_level(m, 3);
    ck_fault(far(JMP, GATE, 0), m, EXC_GP, K_CODE);
    set_level(m, 0);
    ck_done(far(JMP, GATE & ~3, 0));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
}
END_TEST

static const struct gate_case {
    uint16_t code;
    uint8_t dpl;
    bool is_absent;
    uint8_t vector;
    uint16_t error;
} gates[] = {
    {K_CODE,     2, false, EXC_GP, GATE & ~3},
    {K_CODE,     3, true,  EXC_NP, GATE & ~3},
    {0,          3, false, EXC_GP, 0        },
    {OUTSIDE,    3, false, EXC_GP, OUTSIDE  },
    {K_DATA,     3, false, EXC_GP, K_DATA   },
    {NP_CODE,    3, false, EXC_NP, NP_CODE  },
    {SMALL_CODE, 3, false, EXC_GP, 0        },
};

START_TEST(call_gates_are_checked)
{
    const struct gate_case *c = &gates[_i];
    uint64_t gate = make_gate(c->code, TARGET, SYS_CALL_GATE32, c->dpl);

    if (c->is_absent)
        gate &= ~((uint64_t)SEG_P << 40);
    put_descriptor(m, GATE, gate);
    set_level(m, 3);
    ck_fault(far(CALL, GATE, 0), m, c->vector, c->error);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
}
END_TEST

START_TEST(a_gate_cannot_lead_outwards)
{
    put_descriptor(m, GATE, make_gate(U_CODE, TARGET, SYS_CALL_GATE32, 3));
    ck_fault(far(CALL, GATE & ~3, 0), m, EXC_GP, U_CODE & ~3);
    put_descriptor(m, GATE,
                   make_gate(U_CONFORMING, TARGET, SYS_CALL_GATE32, 3));
    ck_fault(far(CALL, GATE & ~3, 0), m, EXC_GP, U_CONFORMING & ~3);
}
END_TEST

START_TEST(the_inner_stack_needs_room_for_frame_and_parameters)
{
    put_descriptor(m, GATE,
                   make_gate(K_CODE, TARGET, SYS_CALL_GATE32, 3) | 2ull << 32);
    put_descriptor(m, SPARE,
                   make_descriptor(MACHINE_DATA, 0xfff,
                                   SEG_P | SEG_S | SEG_WRITABLE | SEG_DB));
    machine_put32(m, TSS_BASE + 8, SPARE);
    machine_put32(m, TSS_BASE + 4, 23);
    set_level(m, 3);
    ck_fault(far(CALL, GATE, 0), m, EXC_SS, SPARE);
    machine_put32(m, TSS_BASE + 4, 24);
    ck_done(far(CALL, GATE, 0));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0);
}
END_TEST

/* Each kind of frame of a far call: to a segment, through a gate to the same
 * level, through a gate to the inner one. */
static const struct frame_case {
    bool is_gate;
    bool is_inner;
    bool is_16bit;
    uint8_t params;
    uint8_t count; /* values pushed */
} frames[] = {
    {false, false, false, 0, 2},
    {false, false, true,  0, 2},
    {true,  false, false, 0, 2},
    {true,  false, true,  0, 2},
    {true,  true,  false, 0, 4},
    {true,  true,  true,  0, 4},
    {true,  true,  false, 1, 5},
    {true,  true,  true,  3, 7},
};

static enum vcpu_exit call_with_room(const struct frame_case *c, enum room room,
                                     bool is_short)
{
    static const char call16[] = "\x66\x9a\x21\x43\x1b\x00"; /* U_CODE */
    uint32_t len = c->count * (c->is_16bit ? 2u : 4u);
    uint16_t code = c->is_inner ? K_CODE : U_CODE;
    unsigned type = c->is_16bit ? SYS_CALL_GATE16 : SYS_CALL_GATE32;

    put_stack(m, c->is_inner, room, len, is_short);
    put_descriptor(
        m, GATE, make_gate(code, 0x4321, type, 3) | (uint64_t)c->params << 32);
    if (c->is_gate)
        return far(CALL, GATE, 0);
    if (c->is_16bit)
        return machine_exec(m, call16, 6);
    return far(CALL, U_CODE, 0x4321);
}

START_TEST(a_far_call_takes_all_the_room_there_is)
{
    const struct frame_case *c = &frames[_i / ROOMS];
    uint32_t len = c->count * (c->is_16bit ? 2u : 4u);

    ck_done(call_with_room(c, _i % ROOMS, false));
    ck_assert_uint_eq(m->vcpu.eip, 0x4321);
    ck_stack_is_full(m, c->is_inner, _i % ROOMS, len);
}
END_TEST

START_TEST(a_far_call_with_a_byte_too_little_room_pushes_nothing)
{
    const struct frame_case *c = &frames[_i / ROOMS];

    ck_fault(call_with_room(c, _i % ROOMS, true), m, EXC_SS,
             c->is_inner ? SPARE : 0);
    ck_assert(is_stack_untouched(m));
}
END_TEST

static bool is_accessed(uint16_t selector)
{
    return descriptor_hi(m, selector) & SEG_ACCESSED << 8;
}

START_TEST(transfers_mark_code_and_stack_accessed)
{
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0));
    ck_assert(is_accessed(K_CODE));
    ck_assert(is_accessed(K_DATA));
    ck_assert_uint_ne(m->vcpu.seg[SEG_SS].attr & SEG_ACCESSED, 0);
    ck_assert(!is_accessed(U_CODE));
    ck_done(EXEC(m, "\xcb"));
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert(is_accessed(U_CODE));
    ck_assert(is_accessed(U_DATA));
}
END_TEST

static const struct inner_stack_case {
    uint16_t selector;
    uint8_t vector;
    uint16_t error;
} inner_stacks[] = {
    {0,           EXC_TS, 0          },
    {OUTSIDE,     EXC_TS, OUTSIDE    },
    {K_DATA | 3,  EXC_TS, K_DATA     },
    {U_DATA & ~3, EXC_TS, U_DATA & ~3},
    {K_CODE,      EXC_TS, K_CODE     },
    {SPARE,       EXC_SS, SPARE      },
};

static void put_inner_stack(uint16_t selector)
{
    put_descriptor(
        m, SPARE,
        make_descriptor(0, 0xfffff, SEG_S | SEG_WRITABLE | SEG_G | SEG_DB));
    machine_put32(m, TSS_BASE + 8, selector);
    set_level(m, 3);
}

START_TEST(a_bad_inner_stack_is_an_invalid_tss)
{
    const struct inner_stack_case *c = &inner_stacks[_i];

    put_inner_stack(c->selector);
    ck_fault(far(CALL, GATE, 0), m, c->vector, c->error);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector, U_DATA);
}
END_TEST

START_TEST(a_short_tss_is_invalid)
{
    set_level(m, 3);
    m->vcpu.tr.limit = 8;
    ck_fault(far(CALL, GATE, 0), m, EXC_TS, TSS);
    m->vcpu.tr.limit = 9;
    ck_done(far(CALL, GATE, 0));
}
END_TEST

START_TEST(a_16_bit_tss_holds_words)
{
    machine_put32(m, TSS_BASE, 0x8000u << 16);
    machine_put32(m, TSS_BASE + 4, K_DATA);
    m->vcpu.tr.attr = SEG_P | SYS_TSS16_BUSY;
    set_level(m, 3);
    ck_done(far(CALL, GATE, 0));
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x8000 - 16);
}
END_TEST

START_TEST(task_switches_stop_the_machine)
{
    ck_stopped(far(JMP, TSS2, 0), m);
}
END_TEST

START_TEST(task_gates_stop_the_machine)
{
    ck_stopped(far(CALL, TASK_GATE, 0), m);
}
END_TEST

/* By itself, and behind a task gate (SDM 2A "CALL", TASK-GATE). */
START_TEST(a_busy_tss_is_no_target)
{
    put_descriptor(m, TSS2,
                   make_descriptor(TSS16_AT, 0x2b, SEG_P | SYS_TSS16_BUSY));
    ck_fault(far(JMP, TSS2, 0), m, EXC_GP, TSS2);
    ck_fault(far(CALL, TASK_GATE, 0), m, EXC_GP, TSS2);
}
END_TEST

START_TEST(a_task_gate_needs_a_present_tss)
{
    put_descriptor(m, TSS2, make_descriptor(TSS16_AT, 0x2b, SYS_TSS16));
    ck_fault(far(CALL, TASK_GATE, 0), m, EXC_NP, TSS2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("segment");
    TCase *tc = tcase_create("loads");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, segment_loads_check_type_privilege_and_presence, 0,
                        ARRAY_COUNT(loads));
    tcase_add_test(tc, a_load_sets_the_accessed_bit);
    tcase_add_test(tc, a_faulting_load_leaves_the_accessed_bit_alone);
    tcase_add_test(tc, a_load_takes_base_and_limit_with_granularity);
    tcase_add_test(tc, a_null_selector_makes_the_segment_unusable);
    tcase_add_test(tc, without_ldt_its_selectors_are_outside);
    tcase_add_test(tc, a_descriptor_must_lie_whole_within_its_table);
    tcase_add_test(tc, mov_to_cs_is_undefined);
    tcase_add_test(tc, mov_ss_and_pop_ss_hold_interrupts_back);
    tcase_add_test(tc, of_two_loads_of_ss_the_first_inhibits);
    tcase_add_test(tc, sti_behind_mov_ss_holds_interrupts_back);
    tcase_add_test(tc, mov_ss_behind_sti_holds_a_data_breakpoint_back);
    tcase_add_test(tc,
                   a_breakpoint_held_back_is_met_behind_a_software_interrupt);
    tcase_add_test(tc, a_breakpoint_held_back_is_lost_behind_a_fault);
    tcase_add_test(tc, a_faulting_pop_keeps_esp);
    tcase_add_test(tc, pop_ss_moves_the_pointer_as_the_old_stack_says);
    tcase_add_test(tc, push_stores_the_selector_zero_extended);
    tcase_add_test(tc, mov_from_a_segment_register);
    tcase_add_test(tc, les_and_lss_load_both_registers);
    tcase_add_test(tc, lds_that_faults_loads_neither);
    suite_add_tcase(s, tc);

    tc = tcase_create("far");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, far_jumps_and_calls_check_their_target, 0,
                        2 * ARRAY_COUNT(fars));
    tcase_add_test(tc, a_far_call_pushes_cs_and_eip);
    tcase_add_test(tc, far_transfers_through_memory);
    tcase_add_test(tc, a_far_call_without_room_is_a_stack_fault);
    tcase_add_test(tc, a_call_gate_leads_to_the_inner_level);
    tcase_add_test(tc, a_call_gate_copies_parameters);
    tcase_add_test(tc, a_16_bit_call_gate_pushes_words);
    tcase_add_test(tc, a_gate_to_the_same_level_keeps_the_stack);
    tcase_add_test(tc, a_jump_through_a_gate_cannot_change_level);
    tcase_add_loop_test(tc, call_gates_are_checked, 0, ARRAY_COUNT(gates));
    tcase_add_test(tc, a_gate_cannot_lead_outwards);
    tcase_add_test(tc, the_inner_stack_needs_room_for_frame_and_parameters);
    tcase_add_loop_test(tc, a_far_call_takes_all_the_room_there_is, 0,
                        ARRAY_COUNT(frames) * ROOMS);
    tcase_add_loop_test(tc,
                        a_far_call_with_a_byte_too_little_room_pushes_nothing,
                        0, ARRAY_COUNT(frames) * ROOMS);
    tcase_add_test(tc, transfers_mark_code_and_stack_accessed);
    tcase_add_loop_test(tc, a_bad_inner_stack_is_an_invalid_tss, 0,
                        ARRAY_COUNT(inner_stacks));
    tcase_add_test(tc, a_short_tss_is_invalid);
    tcase_add_test(tc, a_16_bit_tss_holds_words);
    tcase_add_test(tc, task_switches_stop_the_machine);
    tcase_add_test(tc, task_gates_stop_the_machine);
    tcase_add_test(tc, a_busy_tss_is_no_target);
    tcase_add_test(tc, a_task_gate_needs_a_present_tss);
    suite_add_tcase(s, tc);

    return s;
}

int main(void)
{
    return run_suite(suite());
}
