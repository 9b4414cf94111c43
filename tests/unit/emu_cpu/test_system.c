/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/system.h"
#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/* Privileged instructions, and the sensitive ones that are not. */

static struct machine *m;
static unsigned flushes, full_flushes, page_flushes;
static gva_t flushed_gva;

static void count_flush(void *opaque, bool globals_too)
{
    (void)opaque;
    flushes++;
    full_flushes += globals_too;
}

static void count_page_flush(void *opaque, gva_t gva)
{
    (void)opaque;
    page_flushes++;
    flushed_gva = gva;
}

static void setup(void)
{
    m = protected_create();
    m->interp->host.tlb_flushed = count_flush;
    m->interp->host.tlb_flushed_page = count_page_flush;
    flushes = full_flushes = page_flushes = 0;
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
}

static void teardown(void)
{
    machine_destroy(m);
}

/* Every instruction that only level 0 may execute. */
static const struct {
    const char *bytes;
    unsigned len;
} privileged[] = {
    {"\xf4",         1},
    {"\x0f\x01\x13", 3},
    {"\x0f\x01\x1b", 3},
    {"\x0f\x00\xd0", 3},
    {"\x0f\x00\xd8", 3},
    {"\x0f\x01\xf0", 3},
    {"\x0f\x06",     2},
    {"\x0f\x08",     2},
    {"\x0f\x09",     2},
    {"\x0f\x01\x3b", 3},
    {"\x0f\x20\xc0", 3},
    {"\x0f\x22\xc0", 3},
    {"\x0f\x20\xd0", 3},
    {"\x0f\x22\xd8", 3},
    {"\x0f\x22\xe0", 3},
    {"\x0f\x21\xf8", 3},
    {"\x0f\x23\xf8", 3},
    {"\x0f\x32",     2},
    {"\x0f\x30",     2},
    {"\x0f\x35",     2},
    {"\xfa",         1},
    {"\xfb",         1},
};

START_TEST(privileged_instructions_fault_above_level_0)
{
    unsigned cpl = _i & 1 ? 3 : 1;

    set_level(m, cpl);
    m->vcpu.sysenter_cs = K_CODE;
    m->vcpu.regs[REG_ECX] = 0x10;
    ck_fault(machine_exec(m, privileged[_i / 2].bytes, privileged[_i / 2].len),
             m, EXC_GP, 0);
}
END_TEST

/* Sensitive instructions that ring 3 executes without a trace. */

START_TEST(programs_read_the_table_registers)
{
    set_level(m, 3);
    ck_done(EXEC(m, "\x0f\x01\x03"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA),
                      GDT_BASE << 16 | GDT_LIMIT);
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA + 4), GDT_BASE >> 16);
    ck_done(EXEC(m, "\x66\x0f\x01\x0b"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), IDT_BASE << 16 | 0x7ff);
    m->vcpu.regs[REG_EAX] = 0xffffffff;
    ck_done(EXEC(m, "\x0f\x00\xc0"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], LDT);
    ck_done(EXEC(m, "\x0f\x00\xc8"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], TSS);
    ck_done(EXEC(m, "\x0f\x01\xe0"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], m->vcpu.cr0);
}
END_TEST

START_TEST(stores_to_memory_are_words)
{
    machine_put32(m, MACHINE_DATA, 0xffffffff);
    ck_done(EXEC(m, "\x0f\x00\x03"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0xffff0000 | LDT);
    ck_done(EXEC(m, "\x0f\x00\x0b"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0xffff0000 | TSS);
    ck_done(EXEC(m, "\x0f\x01\x23"));
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA),
                      0xffff0000 | (m->vcpu.cr0 & 0xffff));
}
END_TEST

static const char *const umip_stores[] = {"\x0f\x01\x03", "\x0f\x01\x0b",
                                          "\x0f\x00\xc0", "\x0f\x00\xc8",
                                          "\x0f\x01\xe0"};

START_TEST(umip_keeps_the_stores_from_programs)
{
    m->vcpu.cr4 |= CR4_UMIP;
    ck_done(machine_exec(m, umip_stores[_i], 3));
    set_level(m, 3);
    ck_fault(machine_exec(m, umip_stores[_i], 3), m, EXC_GP, 0);
}
END_TEST

static const struct popf_case {
    uint8_t cpl;
    uint8_t iopl;
    bool takes_if;
    bool takes_iopl;
} popfs[] = {
    {0, 0, true,  true },
    {0, 3, true,  true },
    {1, 0, false, false},
    {1, 1, true,  false},
    {3, 0, false, false},
    {3, 2, false, false},
    {3, 3, true,  false},
};

#define POPF_ALWAYS \
    (FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_ONE)

START_TEST(popf_silently_keeps_what_it_may_not_change)
{
    const struct popf_case *c = &popfs[_i];
    uint32_t iopl = (uint32_t)c->iopl << FLAG_IOPL_SHIFT;
    uint32_t expected = POPF_ALWAYS | (c->takes_if ? FLAG_IF : 0) |
                        (c->takes_iopl ? FLAG_IOPL : iopl);

    set_level(m, c->cpl);
    m->vcpu.eflags |= iopl;
    machine_put32(m, MACHINE_STACK, 0xffffffff);
    ck_done(EXEC(m, "\x9d"));
    ck_assert_uint_eq(vcpu_eflags(&m->vcpu), expected);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 4);
}
END_TEST

START_TEST(popf_silently_keeps_if_set_too)
{
    set_level(m, 3);
    m->vcpu.if_flag = 1;
    machine_put32(m, MACHINE_STACK, 0);
    ck_done(EXEC(m, "\x9d"));
    ck_assert_uint_eq(vcpu_eflags(&m->vcpu), FLAG_IF | FLAG_ONE);
}
END_TEST

START_TEST(popf_of_a_word_keeps_the_upper_half)
{
    m->vcpu.eflags |= FLAG_AC | FLAG_ID;
    machine_put32(m, MACHINE_STACK, FLAG_CF);
    ck_done(EXEC(m, "\x66\x9d"));
    ck_assert_uint_eq(m->vcpu.eflags, FLAG_AC | FLAG_ID | FLAG_CF | FLAG_ONE);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], MACHINE_STACK + 2);
}
END_TEST

START_TEST(popf_that_opens_the_window_kicks)
{
    m->vcpu.irq_line = true;
    machine_put32(m, MACHINE_STACK, FLAG_IF);
    ck_assert_int_eq(EXEC(m, "\x9d"), VCPU_EXIT_INTR);
}
END_TEST

START_TEST(pushf_shows_if_and_iopl_but_not_rf)
{
    set_level(m, 3);
    m->vcpu.eflags |= FLAG_RF | FLAG_AC | BIT(12);
    m->vcpu.if_flag = 1;
    ck_done(EXEC(m, "\x9c"));
    ck_assert_uint_eq(stack_word(m, 0), FLAG_AC | BIT(12) | FLAG_IF | FLAG_ONE);
}
END_TEST

static const struct iopl_case {
    uint8_t cpl;
    uint8_t iopl;
    bool is_allowed;
} iopls[] = {
    {0, 0, true },
    {1, 0, false},
    {3, 2, false},
    {3, 3, true }
};

START_TEST(cli_and_sti_need_iopl)
{
    const struct iopl_case *c = &iopls[_i];

    set_level(m, c->cpl);
    m->vcpu.eflags |= (uint32_t)c->iopl << FLAG_IOPL_SHIFT;
    if (c->is_allowed) {
        ck_done(EXEC(m, "\xfb"));
        ck_assert_uint_eq(m->vcpu.if_flag, 1);
        ck_done(EXEC(m, "\xfa"));
        ck_assert_uint_eq(m->vcpu.if_flag, 0);
    } else {
        ck_fault(EXEC(m, "\xfb"), m, EXC_GP, 0);
        ck_fault(EXEC(m, "\xfa"), m, EXC_GP, 0);
    }
}
END_TEST

START_TEST(sti_opens_the_window_one_instruction_later)
{
    m->vcpu.irq_line = true;
    ck_done(EXEC(m, "\xfb"));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_STI);
    ck_assert_uint_eq(m->vcpu.kick, 0);
    ck_assert_int_eq(EXEC(m, "\x90"), VCPU_EXIT_INTR);
}
END_TEST

START_TEST(sti_with_if_set_inhibits_nothing)
{
    m->vcpu.if_flag = 1;
    ck_done(EXEC(m, "\xfb"));
    ck_assert_uint_eq(m->vcpu.inhibit, INHIBIT_NONE);
}
END_TEST

/* LAR, LSL, VERR, VERW ask about AX. */

#define LAR  "\x0f\x02\xc8"
#define LSL  "\x0f\x03\xc8"
#define VERR "\x0f\x00\xe0"
#define VERW "\x0f\x00\xe8"

static bool ask(const char *bytes, uint16_t selector)
{
    m->vcpu.regs[REG_EAX] = 0xabcd0000 | selector;
    m->vcpu.regs[REG_ECX] = 0x5a5a5a5a;
    ck_done(machine_exec(m, bytes, 3));
    return m->vcpu.eflags & FLAG_ZF;
}

static const struct query_case {
    uint8_t cpl;
    uint16_t selector;
    bool lar, lsl, verr, verw;
} queries[] = {
    {0, 0,            false, false, false, false},
    {0, 3,            false, false, false, false},
    {0, OUTSIDE,      false, false, false, false},
    {0, K_CODE,       true,  true,  true,  false},
    {0, K_DATA,       true,  true,  true,  true },
    {3, K_DATA,       false, false, false, false},
    {0, K_DATA | 3,   false, false, false, false},
    {3, U_DATA,       true,  true,  true,  true },
    {3, CONFORMING,   true,  true,  true,  false},
    {3, READ_ONLY,    true,  true,  true,  false},
    {3, EXECUTE_ONLY, true,  true,  false, false},
    {3, NP_DATA,      true,  true,  true,  true },
    {0, TSS,          true,  true,  false, false},
    {3, TSS,          false, false, false, false},
    {0, LDT,          true,  true,  false, false},
    {3, GATE,         true,  false, false, false},
    {3, TASK_GATE,    true,  false, false, false},
    {3, 0x07,         true,  true,  true,  true },
    {0, SPARE,        false, false, false, false},
};

START_TEST(selector_questions_answer_in_zf)
{
    const struct query_case *c = &queries[_i];

    put_descriptor(m, SPARE, make_gate(K_CODE, 0, SYS_INT_GATE32, 3));
    set_level(m, c->cpl);
    ck_assert_int_eq(ask(LAR, c->selector), c->lar);
    ck_assert_int_eq(m->vcpu.regs[REG_ECX] != 0x5a5a5a5a, c->lar);
    ck_assert_int_eq(ask(LSL, c->selector), c->lsl);
    ck_assert_int_eq(m->vcpu.regs[REG_ECX] != 0x5a5a5a5a, c->lsl);
    ck_assert_int_eq(ask(VERR, c->selector), c->verr);
    ck_assert_int_eq(ask(VERW, c->selector), c->verw);
}
END_TEST

START_TEST(lar_and_lsl_give_rights_and_limit)
{
    ck_assert(ask(LAR, K_CODE));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0x00cf9a00);
    ck_assert(ask(LSL, K_CODE));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0xffffffff);
    ck_assert(ask(LSL, SMALL_CODE));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0xfff);
    m->vcpu.regs[REG_EAX] = K_CODE;
    m->vcpu.regs[REG_ECX] = 0x5a5a5a5a;
    ck_done(EXEC(m, "\x66\x0f\x02\xc8"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0x5a5a9a00);
}
END_TEST

START_TEST(arpl_raises_the_rpl)
{
    m->vcpu.regs[REG_EAX] = 0x10;
    m->vcpu.regs[REG_ECX] = 0x03;
    ck_done(EXEC(m, "\x63\xc8"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 0x13);
    ck_assert_uint_ne(m->vcpu.eflags & FLAG_ZF, 0);
    ck_done(EXEC(m, "\x63\xc8"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 0x13);
    ck_assert_uint_eq(m->vcpu.eflags & FLAG_ZF, 0);
}
END_TEST

/* Table registers. */

START_TEST(lgdt_takes_limit_and_base)
{
    machine_put64(m, MACHINE_DATA, 0x89abcdef1234);
    ck_done(EXEC(m, "\x0f\x01\x13"));
    ck_assert_uint_eq(m->vcpu.gdtr.limit, 0x1234);
    ck_assert_uint_eq(m->vcpu.gdtr.base, 0x89abcdef);
    ck_done(EXEC(m, "\x66\x0f\x01\x1b"));
    ck_assert_uint_eq(m->vcpu.idtr.base, 0xabcdef);
}
END_TEST

static enum vcpu_exit load_ax(const char *bytes, uint16_t selector)
{
    m->vcpu.regs[REG_EAX] = selector;
    return machine_exec(m, bytes, 3);
}

#define LLDT "\x0f\x00\xd0"
#define LTR  "\x0f\x00\xd8"

START_TEST(lldt_checks_its_selector)
{
    ck_fault(load_ax(LLDT, OUTSIDE), m, EXC_GP, OUTSIDE);
    ck_fault(load_ax(LLDT, 0x04), m, EXC_GP, 0x04);
    ck_fault(load_ax(LLDT, K_DATA), m, EXC_GP, K_DATA);
    ck_fault(load_ax(LLDT, TSS), m, EXC_GP, TSS);
    put_descriptor(m, SPARE, make_descriptor(0, 0xf, SYS_LDT));
    ck_fault(load_ax(LLDT, SPARE), m, EXC_NP, SPARE);
    ck_done(load_ax(LLDT, 0));
    ck_assert_uint_ne(m->vcpu.ldtr.attr & SEG_UNUSABLE, 0);
    ck_done(load_ax(LLDT, LDT));
    ck_assert_uint_eq(m->vcpu.ldtr.base, LDT_BASE);
}
END_TEST

START_TEST(ltr_checks_its_selector_and_marks_the_tss_busy)
{
    ck_fault(load_ax(LTR, 0), m, EXC_GP, 0);
    ck_fault(load_ax(LTR, OUTSIDE), m, EXC_GP, OUTSIDE);
    ck_fault(load_ax(LTR, 0x04), m, EXC_GP, 0x04);
    ck_fault(load_ax(LTR, LDT), m, EXC_GP, LDT);
    put_descriptor(m, SPARE, make_descriptor(0, 0x67, SYS_TSS32));
    ck_fault(load_ax(LTR, SPARE), m, EXC_NP, SPARE);
    ck_done(load_ax(LTR, TSS));
    ck_assert_uint_eq(descriptor_hi(m, TSS) >> 8 & 0xf, SYS_TSS32_BUSY);
    ck_assert_uint_eq(m->vcpu.tr.attr & 0xf, SYS_TSS32_BUSY);
    ck_fault(load_ax(LTR, TSS), m, EXC_GP, TSS);
    ck_done(load_ax(LTR, TSS2));
    ck_assert_uint_eq(m->vcpu.tr.attr & 0xf, SYS_TSS16_BUSY);
}
END_TEST

/* Control registers. */

#define MOV_CR0_EAX "\x0f\x22\xc0"
#define MOV_CR3_EAX "\x0f\x22\xd8"
#define MOV_CR4_EAX "\x0f\x22\xe0"

static enum vcpu_exit mov(const char *bytes, uint32_t value)
{
    m->vcpu.regs[REG_EAX] = value;
    return machine_exec(m, bytes, 3);
}

START_TEST(cr0_refuses_contradictions)
{
    ck_fault(mov(MOV_CR0_EAX, CR0_PG), m, EXC_GP, 0);
    ck_fault(mov(MOV_CR0_EAX, CR0_PE | CR0_NW), m, EXC_GP, 0);
    ck_done(mov(MOV_CR0_EAX, CR0_PE | CR0_NW | CR0_CD));
}
END_TEST

START_TEST(cr0_ignores_reserved_bits_and_keeps_et)
{
    ck_done(mov(MOV_CR0_EAX, CR0_PE | CR0_TS | BIT(7) | BIT(28)));
    ck_assert_uint_eq(m->vcpu.cr0, CR0_PE | CR0_TS | CR0_ET);
    ck_done(EXEC(m, "\x0f\x20\xc1"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], CR0_PE | CR0_TS | CR0_ET);
}
END_TEST

START_TEST(leaving_protected_mode_stops_the_machine)
{
    ck_stopped(mov(MOV_CR0_EAX, 0), m);
}
END_TEST

START_TEST(lmsw_sets_four_bits_and_cannot_clear_pe)
{
    ck_done(load_ax("\x0f\x01\xf0", 0xfffe));
    ck_assert_uint_eq(m->vcpu.cr0 & 0xffff, 0xf | CR0_ET | CR0_NE);
    ck_done(load_ax("\x0f\x01\xf0", 0));
    ck_assert_uint_eq(m->vcpu.cr0 & 0xf, CR0_PE);
}
END_TEST

START_TEST(clts_clears_ts)
{
    m->vcpu.cr0 |= CR0_TS;
    ck_done(EXEC(m, "\x0f\x06"));
    ck_assert_uint_eq(m->vcpu.cr0 & CR0_TS, 0);
}
END_TEST

START_TEST(paging_bits_drop_every_translation)
{
    ck_done(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_WP));
    ck_assert_uint_eq(full_flushes, 1);
    ck_done(mov(MOV_CR4_EAX, CR4_PSE));
    ck_assert_uint_eq(full_flushes, 2);
    ck_done(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_TS));
    ck_done(mov(MOV_CR4_EAX, CR4_PSE | CR4_DE));
    ck_assert_uint_eq(flushes, 2);
}
END_TEST

START_TEST(cr3_drops_all_but_global_translations)
{
    ck_done(mov(MOV_CR3_EAX, 0x12345018));
    ck_assert_uint_eq(m->vcpu.cr3, 0x12345018);
    ck_assert_uint_eq(flushes, 1);
    ck_assert_uint_eq(full_flushes, 0);
}
END_TEST

START_TEST(invlpg_drops_a_page)
{
    m->vcpu.seg[SEG_DS].base = 0x1000;
    ck_done(EXEC(m, "\x0f\x01\x3b"));
    ck_assert_uint_eq(page_flushes, 1);
    ck_assert_uint_eq(flushed_gva, MACHINE_DATA + 0x1000);
}
END_TEST

START_TEST(cr4_refuses_what_cpuid_does_not_offer)
{
    static const uint32_t refused[] = {CR4_VME, CR4_PVI, CR4_UMIP, BIT(13),
                                       BIT(16), BIT(20), BIT(31)};

    for (unsigned i = 0; i < ARRAY_COUNT(refused); i++)
        ck_fault(mov(MOV_CR4_EAX, refused[i]), m, EXC_GP, 0);
    ck_done(mov(MOV_CR4_EAX, CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE |
                                 CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT));
    m->interp->host.features = BIT(FEAT_BASE);
    ck_fault(mov(MOV_CR4_EAX, CR4_OSFXSR), m, EXC_GP, 0);
}
END_TEST

/* A page-directory-pointer table that maps the first GiB, identity. */
#define PDPT 0x100000u

static void put_pae_tables(void)
{
    machine_put64(m, PDPT, 0x101000 | 1);
    machine_put64(m, 0x101000, 0x83);
    machine_put64(m, 0x101008, 0x200083);
    m->vcpu.cr3 = PDPT;
}

START_TEST(enabling_pae_paging_loads_pdptes)
{
    put_pae_tables();
    ck_done(mov(MOV_CR4_EAX, CR4_PAE));
    ck_assert_uint_eq(m->vcpu.pdpte[0], 0);
    ck_done(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_PG));
    ck_assert_uint_eq(m->vcpu.pdpte[0], 0x101001);
}
END_TEST

START_TEST(reserved_bits_of_a_pdpte_are_a_general_protection)
{
    put_pae_tables();
    machine_put64(m, PDPT + 8, BIT(1) | 1);
    ck_done(mov(MOV_CR4_EAX, CR4_PAE));
    ck_fault(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_PG), m, EXC_GP, 0);
    ck_assert_uint_eq(m->vcpu.cr0 & CR0_PG, 0);
    machine_put64(m, PDPT + 8, BIT(1));
    ck_done(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_PG));
    machine_put64(m, PDPT + 0x100, BIT64(40) | 1);
    ck_fault(mov(MOV_CR3_EAX, PDPT + 0x100), m, EXC_GP, 0);
    ck_assert_uint_eq(m->vcpu.cr3, PDPT);
}
END_TEST

START_TEST(turning_pae_on_under_paging_loads_pdptes)
{
    /* The page directory of 32-bit paging, 4 MiB pages, is a PDPT too. */
    machine_put64(m, PDPT, 0x83);
    m->vcpu.cr3 = PDPT;
    ck_done(mov(MOV_CR4_EAX, CR4_PSE));
    ck_done(mov(MOV_CR0_EAX, m->vcpu.cr0 | CR0_PG));
    ck_fault(mov(MOV_CR4_EAX, CR4_PSE | CR4_PAE), m, EXC_GP, 0);
    ck_assert_uint_eq(m->vcpu.cr4, CR4_PSE);
    put_pae_tables();
    machine_put64(m, PDPT + 0x20, 0x101000 | 1);
    machine_put64(m, PDPT, 0x83);
    m->vcpu.cr3 = PDPT + 0x20;
    ck_done(mov(MOV_CR4_EAX, CR4_PAE));
    ck_assert_uint_eq(m->vcpu.pdpte[0], 0x101001);
}
END_TEST

START_TEST(only_five_control_registers_exist)
{
    ck_fault(EXEC(m, "\x0f\x20\xc8"), m, EXC_UD, 0);
    ck_fault(EXEC(m, "\x0f\x22\xe8"), m, EXC_UD, 0);
    ck_done(mov("\x0f\x22\xd0", 0x1234));
    ck_assert_uint_eq(m->vcpu.cr2, 0x1234);
}
END_TEST

/* Debug registers. */

#define MOV_DR6_EAX "\x0f\x23\xf0"
#define MOV_DR7_EAX "\x0f\x23\xf8"

START_TEST(dr6_and_dr7_have_fixed_bits)
{
    ck_done(mov(MOV_DR6_EAX, 0));
    ck_assert_uint_eq(m->vcpu.dr[6], 0xffff0ff0);
    ck_done(mov(MOV_DR6_EAX, 0xffffffff));
    ck_assert_uint_eq(m->vcpu.dr[6], 0xffffefff);
    ck_done(mov(MOV_DR7_EAX, 0));
    ck_assert_uint_eq(m->vcpu.dr[7], 0x400);
    ck_done(mov(MOV_DR7_EAX, 0x0000d800));
    ck_assert_uint_eq(m->vcpu.dr[7], 0x400);
}
END_TEST

START_TEST(dr4_and_dr5_are_aliases_unless_de)
{
    ck_done(mov("\x0f\x23\xe0", 1));
    ck_assert_uint_eq(m->vcpu.dr[6], 0xffff0ff1);
    ck_done(EXEC(m, "\x0f\x21\xe9"));
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0x400);
    m->vcpu.cr4 |= CR4_DE;
    ck_fault(EXEC(m, "\x0f\x21\xe1"), m, EXC_UD, 0);
    ck_fault(EXEC(m, "\x0f\x23\xe9"), m, EXC_UD, 0);
}
END_TEST

START_TEST(general_detect_faults_before_the_access)
{
    m->vcpu.dr[7] |= DR7_GD;
    ck_fault(mov("\x0f\x23\xc0", 0x1234), m, EXC_DB, 0);
    ck_assert_uint_ne(m->vcpu.dr[6] & DR6_BD, 0);
    ck_assert_uint_eq(m->vcpu.dr[0], 0);
}
END_TEST

/* Time, halting, fast system calls. */

static uint64_t fixed_tsc(void *opaque)
{
    (void)opaque;
    return 0x100000005;
}

START_TEST(rdtsc_adds_the_offset)
{
    m->interp->host.tsc = fixed_tsc;
    m->vcpu.tsc_offset = 0x10;
    ck_done(EXEC(m, "\x0f\x31"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 0x15);
    ck_assert_uint_eq(m->vcpu.regs[REG_EDX], 1);
}
END_TEST

START_TEST(a_deterministic_tsc_counts_instructions)
{
    m->interp->host.deterministic = true;
    m->vcpu.retired = 1234;
    ck_done(EXEC(m, "\x0f\x31"));
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX], 1234);
}
END_TEST

START_TEST(tsd_keeps_rdtsc_from_programs)
{
    m->vcpu.cr4 |= CR4_TSD;
    ck_done(EXEC(m, "\x0f\x31"));
    set_level(m, 3);
    ck_fault(EXEC(m, "\x0f\x31"), m, EXC_GP, 0);
}
END_TEST

START_TEST(there_are_no_performance_counters)
{
    m->vcpu.cr4 |= CR4_PCE;
    ck_fault(EXEC(m, "\x0f\x33"), m, EXC_GP, 0);
}
END_TEST

START_TEST(hlt_retires_and_halts)
{
    ck_assert_int_eq(EXEC(m, "\xf4"), VCPU_EXIT_HLT);
    ck_assert_uint_eq(m->vcpu.eip, MACHINE_CODE + 1);
}
END_TEST

START_TEST(sysenter_and_sysexit_load_flat_segments)
{
    m->vcpu.sysenter_cs = K_CODE;
    m->vcpu.sysenter_esp = STACK0;
    m->vcpu.sysenter_eip = TARGET;
    m->vcpu.if_flag = 1;
    set_level(m, 3);
    ck_done(EXEC(m, "\x0f\x34"));
    ck_assert_uint_eq(m->vcpu.eip, TARGET);
    ck_assert_uint_eq(m->vcpu.cpl, 0);
    ck_assert_uint_eq(m->vcpu.if_flag, 0);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], STACK0);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector, K_CODE + 8);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].attr, 0xc09b);
    m->vcpu.regs[REG_EDX] = MACHINE_CODE;
    m->vcpu.regs[REG_ECX] = 0x70000;
    ck_done(EXEC(m, "\x0f\x35"));
    ck_assert_uint_eq(m->vcpu.eip, MACHINE_CODE);
    ck_assert_uint_eq(m->vcpu.cpl, 3);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP], 0x70000);
    ck_assert_uint_eq(m->vcpu.seg[SEG_CS].selector, (K_CODE + 16) | 3);
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].attr, 0xc0f3);
}
END_TEST

START_TEST(sysenter_needs_a_code_segment)
{
    m->vcpu.sysenter_cs = 3;
    ck_fault(EXEC(m, "\x0f\x34"), m, EXC_GP, 0);
    ck_fault(EXEC(m, "\x0f\x35"), m, EXC_GP, 0);
}
END_TEST

static TCase *test_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("system");
    TCase *tc = test_case(s, "privilege");

    tcase_add_loop_test(tc, privileged_instructions_fault_above_level_0, 0,
                        2 * ARRAY_COUNT(privileged));
    tcase_add_test(tc, programs_read_the_table_registers);
    tcase_add_test(tc, stores_to_memory_are_words);
    tcase_add_loop_test(tc, umip_keeps_the_stores_from_programs, 0,
                        ARRAY_COUNT(umip_stores));
    tcase_add_loop_test(tc, selector_questions_answer_in_zf, 0,
                        ARRAY_COUNT(queries));
    tcase_add_test(tc, lar_and_lsl_give_rights_and_limit);
    tcase_add_test(tc, arpl_raises_the_rpl);

    tc = test_case(s, "flags");
    tcase_add_loop_test(tc, popf_silently_keeps_what_it_may_not_change, 0,
                        ARRAY_COUNT(popfs));
    tcase_add_test(tc, popf_silently_keeps_if_set_too);
    tcase_add_test(tc, popf_of_a_word_keeps_the_upper_half);
    tcase_add_test(tc, popf_that_opens_the_window_kicks);
    tcase_add_test(tc, pushf_shows_if_and_iopl_but_not_rf);
    tcase_add_loop_test(tc, cli_and_sti_need_iopl, 0, ARRAY_COUNT(iopls));
    tcase_add_test(tc, sti_opens_the_window_one_instruction_later);
    tcase_add_test(tc, sti_with_if_set_inhibits_nothing);

    tc = test_case(s, "registers");
    tcase_add_test(tc, lgdt_takes_limit_and_base);
    tcase_add_test(tc, lldt_checks_its_selector);
    tcase_add_test(tc, ltr_checks_its_selector_and_marks_the_tss_busy);
    tcase_add_test(tc, cr0_refuses_contradictions);
    tcase_add_test(tc, cr0_ignores_reserved_bits_and_keeps_et);
    tcase_add_test(tc, leaving_protected_mode_stops_the_machine);
    tcase_add_test(tc, lmsw_sets_four_bits_and_cannot_clear_pe);
    tcase_add_test(tc, clts_clears_ts);
    tcase_add_test(tc, paging_bits_drop_every_translation);
    tcase_add_test(tc, cr3_drops_all_but_global_translations);
    tcase_add_test(tc, invlpg_drops_a_page);
    tcase_add_test(tc, cr4_refuses_what_cpuid_does_not_offer);
    tcase_add_test(tc, enabling_pae_paging_loads_pdptes);
    tcase_add_test(tc, reserved_bits_of_a_pdpte_are_a_general_protection);
    tcase_add_test(tc, turning_pae_on_under_paging_loads_pdptes);
    tcase_add_test(tc, only_five_control_registers_exist);
    tcase_add_test(tc, dr6_and_dr7_have_fixed_bits);
    tcase_add_test(tc, dr4_and_dr5_are_aliases_unless_de);
    tcase_add_test(tc, general_detect_faults_before_the_access);

    tc = test_case(s, "rest");
    tcase_add_test(tc, rdtsc_adds_the_offset);
    tcase_add_test(tc, a_deterministic_tsc_counts_instructions);
    tcase_add_test(tc, tsd_keeps_rdtsc_from_programs);
    tcase_add_test(tc, there_are_no_performance_counters);
    tcase_add_test(tc, hlt_retires_and_halts);
    tcase_add_test(tc, sysenter_and_sysexit_load_flat_segments);
    tcase_add_test(tc, sysenter_needs_a_code_segment);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
