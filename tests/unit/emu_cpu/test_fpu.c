/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/fpu.h"
#include "emu/cpu/fpu_code.h"
#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/fpu_case.h"

/* The x87, MMX and SSE state: control bits, exceptions, saving and loading. */
#define FSW_ZE BIT(2)

/* Rows: an instruction under some control bits, and what stops it. */

static const struct rule {
    struct code code;
    uint32_t cr0;
    uint32_t cr4;
    int vector; /* -1: runs */
} rules[] = {
    {CODE("\xd9\xee"),             0,               0,          -1    }, /* fldz */
    {CODE("\xd9\xee"),             CR0_TS,          0,          EXC_NM},
    {CODE("\xd9\xee"),             CR0_EM,          0,          EXC_NM},
    {CODE("\xdb\xe3"),             CR0_TS,          0,          EXC_NM}, /* fninit */
    {CODE("\xdf\xe0"),             CR0_EM,          0,          EXC_NM}, /* fnstsw ax */
    {CODE("\xdd\x33"),             CR0_TS,          0,          EXC_NM}, /* fnsave [ebx] */
    {CODE("\x9b"),                 CR0_TS,          0,          -1    }, /* wait */
    {CODE("\x9b"),                 CR0_MP,          0,          -1    },
    {CODE("\x9b"),                 CR0_EM,          0,          -1    },
    {CODE("\x9b"),                 CR0_MP | CR0_TS, 0,          EXC_NM},
    {CODE("\x0f\xfc\xc1"),         0,               0,          -1    }, /* paddb mm0, mm1 */
    {CODE("\x0f\xfc\xc1"),         CR0_EM,          0,          EXC_UD},
    {CODE("\x0f\xfc\xc1"),         CR0_TS,          0,          EXC_NM},
    {CODE("\x0f\xfc\xc1"),         CR0_EM | CR0_TS, 0,          EXC_UD},
    {CODE("\x0f\x77"),             CR0_EM,          0,          EXC_UD}, /* emms */
    {CODE("\x0f\x77"),             CR0_TS,          0,          EXC_NM}, /* emms */
    {CODE("\x0f\x70\xc1\x1b"),     0,               0,          -1    }, /* pshufw mm0, mm1, 1Bh */
    {CODE("\x0f\x38\x1c\xc1"),     0,               0,          -1    }, /* pabsb mm0, mm1 */
    {CODE("\x0f\x58\xc1"),         0,               0,          EXC_UD}, /* addps xmm0, xmm1 */
    {CODE("\x0f\x58\xc1"),         0,               CR4_OSFXSR, -1    }, /* addps xmm0, xmm1 */
    {CODE("\x0f\x58\xc1"),         CR0_EM,          CR4_OSFXSR, EXC_UD},
    {CODE("\x0f\x58\xc1"),         CR0_TS,          CR4_OSFXSR, EXC_NM},
    {CODE("\x66\x0f\xfc\xc1"),     0,               0,          EXC_UD}, /* paddb xmm0, xmm1 */
    {CODE("\x0f\x2a\xc1"),         0,               0,          EXC_UD}, /* cvtpi2ps xmm0, mm1 */
    {CODE("\x0f\xae\x13"),         0,               0,          EXC_UD}, /* ldmxcsr [ebx] */
    {CODE("\x0f\xae\x1b"),         CR0_TS,          CR4_OSFXSR, EXC_NM}, /* stmxcsr [ebx] */
    {CODE("\x0f\xae\x03"),         0,               0,          -1    }, /* fxsave [ebx] */
    {CODE("\x0f\xae\x03"),         CR0_TS,          CR4_OSFXSR, EXC_NM},
    {CODE("\x0f\xae\x0b"),         CR0_EM,          CR4_OSFXSR, EXC_NM}, /* fxrstor [ebx] */
    {CODE("\x0f\xae\xf8"),         CR0_TS | CR0_EM, 0,          -1    }, /* sfence */
    {CODE("\x0f\xae\xe8"),         CR0_TS | CR0_EM, 0,          -1    }, /* lfence */
    {CODE("\x0f\xc3\x03"),         CR0_TS | CR0_EM, 0,          -1    }, /* movnti [ebx], eax */
    {CODE("\xf2\x0f\x38\xf1\xc1"), CR0_TS | CR0_EM, 0,          -1    }, /* crc32 */
    {CODE("\xdb\x0b"),             CR0_TS,          CR4_OSFXSR, EXC_NM}, /* fisttp [ebx] */
};

START_TEST(control_bits_stop_what_the_manual_says)
{
    const struct rule *row = &rules[_i];

    m->vcpu.cr0 |= row->cr0;
    m->vcpu.cr4 = row->cr4;
    if (row->vector < 0)
        run_ok(row->code);
    else
        run_fault(row->code, (unsigned)row->vector);
}
END_TEST

/* x87 exceptions. */

START_TEST(an_unmasked_exception_waits_for_the_next_instruction)
{
    uint32_t eip;

    OK("\xd9\xee");
    make_pending();
    eip = m->vcpu.eip - 2;
    ck_assert_uint_eq(image->fsw & (FSW_ES | FSW_B | FSW_ZE),
                      FSW_ES | FSW_B | FSW_ZE);
    ck_assert_uint_eq(image->fip, eip);
    ck_assert_uint_eq(image->fcs, m->vcpu.seg[SEG_CS].selector);
    ck_assert_uint_eq(image->fop, 0x6f9);
    ck_assert_uint_eq(top(), 5); /* neither popped nor replaced */
    FAULT("\xd9\xe8", EXC_MF);
    FAULT("\x9b", EXC_MF);
    FAULT("\x0f\xfc\xc1", EXC_MF); /* paddb mm0, mm1 */
    FAULT("\x0f\x77", EXC_MF);
    FAULT("\xd9\x2b", EXC_MF);     /* fldcw [ebx] */
    FAULT("\xd9\x23", EXC_MF);     /* fldenv [ebx] */
    FAULT("\xdd\x23", EXC_MF);     /* frstor [ebx] */
    FAULT("\x0f\x2a\xc1", EXC_MF); /* cvtpi2ps xmm0, mm1 */
}
END_TEST

START_TEST(instructions_that_do_not_wait_run_over_a_pending_exception)
{
    make_pending();
    OK("\xdf\xe0"); /* fnstsw ax */
    ck_assert_uint_eq(m->vcpu.regs[REG_EAX] & FSW_ES, FSW_ES);
    OK("\xd9\x3b");             /* fnstcw [ebx] */
    OK("\x0f\x58\xc1");         /* addps xmm0, xmm1 */
    OK("\x66\x0f\x2a\x03");     /* cvtpi2pd xmm0, [ebx] */
    OK("\x0f\x2a\x03");         /* cvtpi2ps xmm0, [ebx] */
    OK("\x0f\xae\x83\0\1\0\0"); /* fxsave [ebx+256] */
    ck_assert_uint_eq(image->fsw & FSW_ES, FSW_ES);
    OK("\xd9\x33"); /* fnstenv masks all */
    ck_assert_uint_eq(image->fsw & (FSW_ES | FSW_B), 0);
    ck_assert_uint_eq(image->fcw, 0x37f);
    OK("\xd9\xe8");
    OK("\xdb\xe2"); /* fnclex */
    ck_assert_uint_eq(image->fsw & 0x80ff, 0);
}
END_TEST

START_TEST(unmasking_a_raised_flag_makes_it_pending)
{
    OK("\xd9\xe8");
    OK("\xd9\xee");
    OK("\xde\xf9");
    ck_assert_uint_eq(image->fsw & (FSW_ES | FSW_ZE), FSW_ZE);
    machine_put32(m, MACHINE_DATA, 0x37b);
    OK("\xd9\x2b"); /* fldcw [ebx] */
    FAULT("\x9b", EXC_MF);
    OK("\xdb\xe2"); /* fnclex */
    OK("\x9b");
}
END_TEST

/* SDM 1 8.7.2 "MS-DOS Compatibility Sub-mode". */
static void make_pending_without_ne(void)
{
    make_pending();
    m->vcpu.cr0 &= ~(uint32_t)CR0_NE;
}

START_TEST(without_ne_a_pending_exception_waits_for_an_interrupt)
{
    uint32_t eip = m->vcpu.eip;
    uint64_t retired = m->vcpu.retired;

    make_pending_without_ne();
    eip = m->vcpu.eip;
    retired = m->vcpu.retired;
    ck_assert_int_eq(m->ferr_on_pin, false);
    m->vcpu.inhibit = INHIBIT_STI;
    ck_assert_int_eq(EXEC(m, "\x9b"), VCPU_EXIT_HLT);
    ck_assert_int_eq(m->ferr_on_pin, true);
    ck_assert_uint_eq(m->vcpu.eip, eip);
    ck_assert_uint_eq(m->vcpu.retired, retired);
    ck_assert_int_eq(m->vcpu.inhibit, INHIBIT_NONE);
}
END_TEST

START_TEST(ferr_is_released_by_what_clears_the_exception)
{
    static const char *const clear[] = {"\xdb\xe2", "\xdb\xe3"};

    for (unsigned i = 0; i < ARRAY_COUNT(clear); i++) {
        make_pending_without_ne();
        ck_assert_int_eq(EXEC(m, "\x9b"), VCPU_EXIT_HLT);
        OK("\xdf\xe0"); /* fnstsw ax */
        ck_assert_int_eq(m->ferr_on_pin, true);
        ck_assert_int_eq(machine_exec(m, clear[i], 2), VCPU_EXIT_BUDGET);
        ck_assert_int_eq(m->ferr_on_pin, false);
        OK("\x9b");
    }
}
END_TEST

START_TEST(with_ignne_x87_and_mmx_go_on_and_the_exception_stays)
{
    make_pending_without_ne();
    m->vcpu.ignne = true;
    OK("\x9b");
    ck_assert_int_eq(m->ferr_on_pin, true);
    OK("\xd9\xe8"); /* fld1 */
    OK("\xd9\x1b"); /* fstp dword [ebx] */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0x3f800000);
    OK("\x0f\xef\xc0"); /* pxor mm0, mm0 */
    ck_assert_uint_eq(image->fsw & FSW_ES, FSW_ES);
    m->vcpu.ignne = false;
    ck_assert_int_eq(EXEC(m, "\x9b"), VCPU_EXIT_HLT);
}
END_TEST

START_TEST(stack_overflow_and_underflow_are_told_apart)
{
    OK("\xd9\xc0"); /* fld st0: empty */
    ck_assert_uint_eq(image->fsw & 0x241, FSW_IE | FSW_SF);
    OK("\xdb\xe3");
    for (unsigned i = 0; i < 8; i++)
        OK("\xd9\xe8");
    ck_assert_uint_eq(image->fsw & FSW_FLAGS, 0);
    OK("\xd9\xe8");
    ck_assert_uint_eq(image->fsw & 0x241, 0x200 | FSW_IE | FSW_SF);
}
END_TEST

START_TEST(a_store_that_raises_unmasked_leaves_memory_alone)
{
    machine_put32(m, MACHINE_DATA, 0x37e);
    OK("\xd9\x2b"); /* fldcw [ebx]: IE unmasked */
    OK("\xd9\x1b"); /* fstp dword [ebx]: empty */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0x37e);
    ck_assert_uint_eq(image->fsw & FSW_ES, FSW_ES);
    FAULT("\xd9\x1b", EXC_MF);
}
END_TEST

START_TEST(an_unmasked_precision_exception_stores_first)
{
    machine_put32(m, MACHINE_DATA, 0x35f);
    OK("\xd9\x2b"); /* fldcw [ebx]: PE unmasked */
    OK("\xd9\xeb"); /* fldpi */
    OK("\xd9\x1b"); /* fstp dword [ebx] */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0x40490fdb);
    ck_assert_uint_eq(image->ftw, 0);
    FAULT("\x9b", EXC_MF);
}
END_TEST

START_TEST(a_store_that_faults_does_not_pop)
{
    OK("\xd9\xe8");
    m->vcpu.seg[SEG_DS].limit = MACHINE_DATA + 6;
    FAULT("\xdd\x1b", EXC_GP); /* fstp qword [ebx] */
    ck_assert_uint_eq(top(), 7);
    ck_assert_uint_eq(image->ftw, 0x80);
    m->vcpu.seg[SEG_DS].limit = MACHINE_DATA + 7;
    OK("\xdd\x1b");
    ck_assert_double_eq(get_double(MACHINE_DATA), 1.0);
    ck_assert_uint_eq(image->fdp, 0); /* of exceptions only */
}
END_TEST

START_TEST(operands_may_cross_a_page)
{
    uint32_t gpa = MACHINE_DATA + PAGE_SIZE - 3;

    m->vcpu.regs[REG_EBX] = gpa;
    put_double(gpa, 1.5);
    OK("\xdd\x03");     /* fld qword [ebx] */
    OK("\xdc\x03");     /* fadd qword [ebx] */
    OK("\xdb\x7b\x0a"); /* fstp tbyte [ebx+10] */
    OK("\xdb\x6b\x0a"); /* fld tbyte [ebx+10] */
    OK("\xdd\x1b");     /* fstp qword [ebx] */
    ck_assert_double_eq(get_double(gpa), 3.0);
    OK("\x0f\x10\x03");     /* movups xmm0, [ebx] */
    OK("\x0f\x11\x43\xf8"); /* movups [ebx-8], xmm0 */
    ck_assert_double_eq(get_double(gpa - 8), 3.0);
}
END_TEST

START_TEST(any_address_form_reaches_its_operand)
{
    m->vcpu.regs[REG_ECX] = 4;
    put_double(MACHINE_DATA + 0x28, 2.5);
    OK("\xdd\x44\x8b\x18");                 /* fld qword [ebx+ecx*4+18h] */
    OK("\x3e\x66\xdc\x05\x28\x00\x02\x00"); /* o16 fadd qword ds:[20028h] */
    OK("\x67\xdd\x1e\x00\x80");             /* a16 fstp qword [8000h] */
    ck_assert_double_eq(get_double(0x8000), 5.0);
}
END_TEST

/* Saving and restoring. */

static void fill_stack(void)
{
    OK("\xd9\xe8"); /* fld1 */
    OK("\xd9\xeb"); /* fldpi */
    OK("\xd9\xee"); /* fldz */
    put_double(MACHINE_DATA, 1e300);
    OK("\xdc\x0b"); /* fmul qword [ebx] */
}

START_TEST(fnsave_and_frstor_round_trip)
{
    struct fpu_image saved;
    bool is32 = _i == 0;
    uint32_t ones = is32 ? 0xffff0000 : 0;

    fill_stack();
    saved = *image;
    if (is32)
        OK("\xdd\x33"); /* fnsave [ebx] */
    else
        OK("\x66\xdd\x33");
    ck_assert_uint_eq(image->ftw, 0);
    ck_assert_uint_eq(image->fsw, 0);
    ck_assert_uint_eq(image->fcw, FCW_INIT);
    if (is32) {
        ck_assert_uint_eq(machine_get32(m, MACHINE_DATA), 0x37f | ones);
        /* 7: one, 6: pi, 5: zero (times 1e300) */
        ck_assert_uint_eq(machine_get32(m, MACHINE_DATA + 8), 0x07ff | ones);
        ck_assert_uint_eq(machine_get32(m, MACHINE_DATA + 20), 0);
        OK("\xdd\x23"); /* frstor [ebx] */
    } else {
        ck_assert_uint_eq(get16(MACHINE_DATA + 4), 0x07ff);
        ck_assert_uint_eq(get16(MACHINE_DATA + 10), MACHINE_DATA & 0xffff);
        OK("\x66\xdd\x23");
        saved.fip &= 0xffff;
        saved.fdp &= 0xffff;
    }
    ck_assert_mem_eq(image, &saved, sizeof(saved));
}
END_TEST

START_TEST(an_environment_moves_top_over_the_registers)
{
    struct fpu_image saved;

    fill_stack();
    saved = *image;
    OK("\xd9\x33"); /* fnstenv [ebx] */
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA + 4) & FSW_TOP, 5u << 11);
    machine_put32(m, MACHINE_DATA + 4, 3u << 11);
    OK("\xd9\x23"); /* fldenv [ebx] */
    ck_assert_uint_eq(top(), 3);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_mem_eq(image->st[(i + 2) & 7], saved.st[i], 10);
    ck_assert_uint_eq(image->ftw, saved.ftw);
}
END_TEST

START_TEST(fxsave_writes_the_32_bit_layout)
{
    uint8_t area[512];

    fill_stack();
    OK("\x66\x0f\xef\xc0"); /* pxor xmm0, xmm0 */
    OK("\x66\x0f\x76\xff"); /* pcmpeqd xmm7, xmm7 */
    memset(m->ram + MACHINE_DATA, 0x5a, 512);
    OK("\x0f\xae\x03");
    memcpy(area, m->ram + MACHINE_DATA, 512);
    ck_assert_mem_eq(area, image, 288);
    ck_assert_uint_eq(machine_get32(m, MACHINE_DATA + 28), 0xffff);
    ck_assert_uint_eq(area[272], 0xff);
    for (unsigned i = 288; i < 512; i++)
        ck_assert_uint_eq(area[i], 0x5a);
    OK("\x0f\x77");
    OK("\x0f\xae\x0b");
    ck_assert_mem_eq(image, area, 288);
    for (unsigned i = 0; i < sizeof(image->reserved3); i++)
        ck_assert_uint_eq(image->reserved3[i], 0);
}
END_TEST

START_TEST(fxrstor_checks_alignment_and_mxcsr)
{
    uint8_t before[512];

    memcpy(before, image, 512);
    m->vcpu.regs[REG_EBX] += 8;
    FAULT("\x0f\xae\x0b", EXC_GP);
    FAULT("\x0f\xae\x03", EXC_GP);
    m->vcpu.regs[REG_EBX] -= 8;
    OK("\x0f\xae\x03");
    machine_put32(m, MACHINE_DATA + 24, 0x11f80);
    FAULT("\x0f\xae\x0b", EXC_GP);
    ck_assert_mem_eq(image, before, 512);
}
END_TEST

/* The host does what fpu_image_fix() and FXRSTOR of the guest do. */
START_TEST(fxrstor_of_any_image_agrees_with_the_host)
{
    static uint8_t host[512] __attribute__((aligned(16)));
    static uint8_t keep[512] __attribute__((aligned(16)));
    unsigned seed = (unsigned)_i;

    for (unsigned i = 0; i < 512; i++)
        host[i] = (uint8_t)(rand_r(&seed) >> 8);
    host[26] = host[27] = 0;
    machine_put(m, MACHINE_DATA, host, 512);
    OK("\x0f\xae\x0b");
    __asm__ volatile("fxsave (%1)\n\tfxrstor (%0)\n\tfxsave (%0)\n\t"
                     "fninit\n\tfxrstor (%1)"
                     :
                     : "r"(host), "r"(keep)
                     : "memory");
    ck_assert_mem_eq(image, host, 5); /* FCW FSW FTW */
    ck_assert_mem_eq((uint8_t *)image + 24, host + 24, 4);
    ck_assert_mem_eq((uint8_t *)image + 32, host + 32, 256);
}
END_TEST

/* The host's control state does not leak in or out. */
START_TEST(the_host_keeps_its_control_words)
{
    uint32_t mxcsr_before = __builtin_ia32_stmxcsr();
    uint16_t fcw_before;
    uint16_t fcw_after;

    __asm__ volatile("fnstcw %0" : "=m"(fcw_before));
    machine_put32(m, MACHINE_DATA, 0xf7f);
    OK("\xd9\x2b");
    image->mxcsr = 0xff80;
    OK("\x0f\x58\xc1");
    make_pending();
    OK("\x0f\x58\xc1");
    __asm__ volatile("fnstcw %0" : "=m"(fcw_after));
    ck_assert_uint_eq(fcw_after, fcw_before);
    ck_assert_uint_eq(__builtin_ia32_stmxcsr(), mxcsr_before);
    ck_assert_double_eq((double)(1.0L / (long double)_i), 1.0);
}
END_TEST

/* Stubs. */

static void first_word(const char *text, char *word)
{
    size_t len = strcspn(text, " ");

    memcpy(word, text, len);
    word[len] = 0;
}

static bool is_native(const struct insn *in)
{
    static const uint16_t not [] = {
        OP_FLDCW,  OP_FLDENV,   OP_FNCLEX,     OP_FNINIT,  OP_FNSAVE,
        OP_FNSTCW, OP_FNSTENV,  OP_FNSTSW,     OP_FRSTOR,  OP_FWAIT,
        OP_FXSAVE, OP_FXRSTOR,  OP_LDMXCSR,    OP_STMXCSR, OP_CRC32,
        OP_MOVNTI, OP_MASKMOVQ, OP_MASKMOVDQU, OP_SFENCE,  OP_LFENCE,
        OP_MFENCE};

    for (size_t i = 0; i < ARRAY_COUNT(not ); i++)
        if (in->op == not [i])
            return false;
    return (in->map == 0 ? in->opcode >= 0xd8 && in->opcode <= 0xdf
                         : insn_feature((enum insn_op)in->op) >= FEAT_X87) &&
           in->op != OP_NOP && in->op != OP_SYSENTER && in->op != OP_SYSEXIT &&
           in->op != OP_POPCNT && in->op != OP_CLFLUSH && in->op != OP_MOVBE &&
           strncmp(insn_name((enum insn_op)in->op), "prefetch", 8) != 0;
}

static void check_stub(struct fpu_code *code, const struct insn *in,
                       bool code32)
{
    const uint8_t *stub = fpu_code_find(code, in);
    char text[96];
    char host[96];
    char word[96];
    size_t len = insn_format_host(stub, 8, 0, text, sizeof(text));

    first_word(text, host);
    insn_format(in, 0, code32, text, sizeof(text));
    first_word(text, word);
    ck_assert_str_eq(host, word);
    ck_assert_uint_lt(len, 8);
    ck_assert_uint_eq(stub[len], 0xc3);
}

START_TEST(every_encoding_has_a_stub_that_means_the_same)
{
    static const char *const prefixes[] = {"",     "\x66",     "\xf2",
                                           "\xf3", "\x66\xf2", "\xf3\x66\x64"};
    static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};
    struct insn_mode mode = {BIT(FEAT_COUNT) - 1, _i & 1};
    struct fpu_code *code;
    unsigned count = 0;

    ck_assert_int_eq(fpu_code_create(&code), 0);
    for (unsigned i = 0; i < 6u * 4 * 0x10000; i++) {
        uint8_t bytes[16] = {0};
        struct insn in;
        size_t len = 0;

        memcpy(bytes, prefixes[i >> 18], strlen(prefixes[i >> 18]));
        len += strlen(prefixes[i >> 18]);
        memcpy(bytes + len, maps[i >> 16 & 3], strlen(maps[i >> 16 & 3]));
        len += strlen(maps[i >> 16 & 3]);
        bytes[len++] = (uint8_t)(i >> 8);
        bytes[len] = (uint8_t)i;
        if (insn_decode(&in, mode, bytes, 15) != INSN_OK || !is_native(&in))
            continue;
        check_stub(code, &in, mode.code32);
        count++;
    }
    ck_assert_uint_gt(count, 50000);
    fpu_code_destroy(code);
}
END_TEST

/* More different instructions than the table holds. */
START_TEST(a_full_table_of_stubs_starts_again)
{
    struct insn_mode mode = {BIT(FEAT_COUNT) - 1, true};
    uint8_t bytes[15] = {0x66, 0x0f, 0x70}; /* pshufd */
    struct fpu_code *code;
    struct insn in;

    ck_assert_int_eq(fpu_code_create(&code), 0);
    for (unsigned i = 0; i < 64 * 256; i++) {
        bytes[3] = (uint8_t)(0xc0 | i >> 8);
        bytes[4] = (uint8_t)i;
        ck_assert_int_eq(insn_decode(&in, mode, bytes, 15), INSN_OK);
        ck_assert_mem_eq(fpu_code_find(code, &in), bytes, 5);
    }
    fpu_code_destroy(code);
}
END_TEST

START_TEST(alignment_checks_apply_to_user_code)
{
    machine_user(m);
    m->vcpu.cr0 |= CR0_AM;
    m->vcpu.regs[REG_EBX] += 2;
    OK("\xdd\x03"); /* fld qword [ebx] */
    vcpu_set_eflags(&m->vcpu, FLAG_AC);
    FAULT("\xdd\x03", EXC_AC);
    FAULT("\x0f\x10\x03", EXC_AC); /* movups xmm0, [ebx] */
    FAULT("\x0f\x28\x03", EXC_GP); /* movaps xmm0, [ebx] */
    FAULT("\xd9\x33", EXC_AC);     /* fnstenv [ebx] */
    OK("\x66\xd9\x33");            /* o16 fnstenv [ebx] */
    OK("\xdf\x03");                /* fild word [ebx] */
}
END_TEST

static void add_rows(Suite *suite)
{
    TCase *rows = tcase_create("rows");

    tcase_add_checked_fixture(rows, fpu_case_setup, fpu_case_teardown);
    tcase_add_loop_test(rows, control_bits_stop_what_the_manual_says, 0,
                        ARRAY_COUNT(rules));
    tcase_add_loop_test(rows, the_host_keeps_its_control_words, 1, 2);
    tcase_add_loop_test(rows, fxrstor_of_any_image_agrees_with_the_host, 0, 50);
    tcase_add_loop_test(rows, fnsave_and_frstor_round_trip, 0, 2);
    suite_add_tcase(suite, rows);
}

static void add_x87(Suite *suite)
{
    TCase *x87 = tcase_create("x87");

    tcase_add_checked_fixture(x87, fpu_case_setup, fpu_case_teardown);
    tcase_add_test(x87, an_unmasked_exception_waits_for_the_next_instruction);
    tcase_add_test(x87,
                   instructions_that_do_not_wait_run_over_a_pending_exception);
    tcase_add_test(x87, unmasking_a_raised_flag_makes_it_pending);
    tcase_add_test(x87, without_ne_a_pending_exception_waits_for_an_interrupt);
    tcase_add_test(x87, ferr_is_released_by_what_clears_the_exception);
    tcase_add_test(x87, with_ignne_x87_and_mmx_go_on_and_the_exception_stays);
    tcase_add_test(x87, stack_overflow_and_underflow_are_told_apart);
    tcase_add_test(x87, a_store_that_raises_unmasked_leaves_memory_alone);
    tcase_add_test(x87, an_unmasked_precision_exception_stores_first);
    tcase_add_test(x87, a_store_that_faults_does_not_pop);
    tcase_add_test(x87, operands_may_cross_a_page);
    tcase_add_test(x87, any_address_form_reaches_its_operand);
    tcase_add_test(x87, an_environment_moves_top_over_the_registers);
    tcase_add_test(x87, fxsave_writes_the_32_bit_layout);
    tcase_add_test(x87, alignment_checks_apply_to_user_code);
    tcase_add_test(x87, fxrstor_checks_alignment_and_mxcsr);
    suite_add_tcase(suite, x87);
}

static Suite *fpu_suite(void)
{
    Suite *suite = suite_create("fpu");
    TCase *stubs = tcase_create("stubs");

    add_rows(suite);
    add_x87(suite);
    tcase_set_timeout(stubs, 30);
    tcase_add_loop_test(stubs, every_encoding_has_a_stub_that_means_the_same, 0,
                        2);
    tcase_add_test(stubs, a_full_table_of_stubs_starts_again);
    suite_add_tcase(suite, stubs);
    return suite;
}

int main(void)
{
    return run_suite(fpu_suite());
}
