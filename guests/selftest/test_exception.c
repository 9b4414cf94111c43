/* SPDX-License-Identifier: MIT */
/* Exceptions: which one, which error code, which saved EIP.
 * SDM Vol.3A "Exception and Interrupt Reference". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

extern const uint32_t vector_table[256];

void divide_error(void)
{
    TRY("div ecx", : : "a"(1), "d"(0), "c"(0));
    EXPECT_FAULT(EXC_DE, 0);
    TRY("div ecx", : : "a"(1), "d"(5), "c"(5));
    EXPECT_FAULT(EXC_DE, 0);
    TRY("div ecx", : : "a"(1), "d"(4), "c"(5) : "cc");
    EXPECT_NO_TRAP();
}

void divide_overflow(void)
{
    uint32_t eax = 0x80000000;
    uint32_t edx = 0xFFFFFFFF;

    TRY("idiv ecx", : "+a"(eax), "+d"(edx) : "c"(-1));
    EXPECT_FAULT(EXC_DE, 0);
    EXPECT_EQ(eax, 0x80000000);
    EXPECT_EQ(edx, 0xFFFFFFFF);
    TRY("aam 0", : : "a"(5));
    EXPECT_FAULT(EXC_DE, 0);
}

void breakpoint_trap(void)
{
    TRY("int3", :);
    EXPECT_TRAP(EXC_BP, 0);
    EXPECT_EQ(last.eip, try_start + 1);
    TRY("int 3", :);
    EXPECT_TRAP(EXC_BP, 0);
}

void overflow_trap(void)
{
    TRY("mov al, 0x7f; add al, 1; into", : : : "eax", "cc");
    EXPECT_TRAP(EXC_OF, 0);
    EXPECT_EQ(last.eip, try_start + 5);
    TRY("mov al, 1; add al, 1; into", : : : "eax", "cc");
    EXPECT_NO_TRAP();
}

void bound_fault(void)
{
    static const int32_t range[2] = {-4, 10};

    TRY("bound eax, [%1]", : : "a"(11), "r"(range));
    EXPECT_FAULT(EXC_BR, 0);
    TRY("bound eax, [%1]", : : "a"(-5), "r"(range));
    EXPECT_FAULT(EXC_BR, 0);
    TRY("bound eax, [%1]", : : "a"(10), "r"(range));
    EXPECT_NO_TRAP();
    TRY("bound eax, [%1]", : : "a"(-4), "r"(range));
    EXPECT_NO_TRAP();
}

void undefined_opcode(void)
{
    TRY("ud2", :);
    EXPECT_FAULT(EXC_UD, 0);
    TRY(".byte 0x0f, 0xff, 0xc0", :); /* UD0 */
    EXPECT_FAULT(EXC_UD, 0);
    TRY(".byte 0x8e, 0xc8", :); /* mov cs, ax */
    EXPECT_FAULT(EXC_UD, 0);
    TRY(".byte 0x8d, 0xc0", :); /* lea eax, eax */
    EXPECT_FAULT(EXC_UD, 0);
}

void bad_lock_prefix(void)
{
    TRY(".byte 0xf0, 0x90", :); /* lock nop */
    EXPECT_FAULT(EXC_UD, 0);
    TRY(".byte 0xf0, 0x01, 0xc0", : : : "eax"); /* lock add eax, eax */
    EXPECT_FAULT(EXC_UD, 0);
    TRY(".byte 0xf0, 0x8b, 0x00", : : "a"(&last)); /* lock mov eax, [eax] */
    EXPECT_FAULT(EXC_UD, 0);
}

void too_long(void)
{
    TRY(".fill 14, 1, 0x66; nop", :);
    EXPECT_NO_TRAP();
    TRY(".fill 15, 1, 0x66; nop", :);
    EXPECT_FAULT(EXC_GP, 0);
}

void gate_not_present(void)
{
    idt[0x50] &= ~(1ull << 47);
    TRY("int 0x50", :);
    EXPECT_FAULT(EXC_NP, 0x50 * 8 + 2);
}

/* EXT says that it was not INT n that needed the gate. */
void external_bit(void)
{
    idt[EXC_UD] &= ~(1ull << 47);
    TRY("ud2", :);
    EXPECT_FAULT(EXC_NP, EXC_UD * 8 + 3);
}

void vector_beyond_limit(void)
{
    struct table_reg idtr = {0x40 * 8 - 1, (uint32_t)idt};

    __asm__ volatile("lidt %0" : : "m"(idtr));
    TRY("int 0x40", :);
    EXPECT_FAULT(EXC_GP, 0x40 * 8 + 2);
}

/* #GP whose gate is not present: a contributory fault while another one is
 * delivered (SDM Vol.3A "Interrupt 8 - Double Fault Exception"). */
void double_fault(void)
{
    idt[EXC_GP] &= ~(1ull << 47);
    TRY("mov ds, ax", : : "a"(SLOT_COUNT * 8 + 0x100));
    EXPECT_TRAP(EXC_DF, 0);
    if (paging_mode() == PAGING_OFF)
        return;
    idt[EXC_PF] &= ~(1ull << 47);
    TRY("mov eax, [%0]", : : "r"(TEST_VA) : "eax");
    EXPECT_TRAP(EXC_DF, 0);
    EXPECT_EQ(last_cr2, TEST_VA);
}

USER_FUNCTION(unaligned_load, "mov ecx, offset user_page\n"
                              "mov edx, [ecx + 4]\n"
                              "mov edx, [ecx + 2]" USER_END);

void alignment_check(void)
{
    uint32_t value;

    write_cr0(read_cr0() | CR0_AM);
    user_run(unaligned_load, 7);
    EXPECT_USER_RESULT(7);
    set_eflags(2 | EF_AC);
    TRY("mov %0, [%1]", : "=r"(value) : "r"(user_page + 2));
    set_eflags(2);
    EXPECT_NO_TRAP();
    user_run_flags(unaligned_load, 7, 2 | EF_IF | EF_AC);
    EXPECT_TRAP(EXC_AC, 0);
    EXPECT_EQ(last.eip, unaligned_load + 8);
}

void registers_survive(void)
{
    uint32_t a = 1, b = 2, c = 3, d = 4, s = 5, t = 6;

    TRY("stc; ud2", : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(t));
    EXPECT_TRAP(EXC_UD, 0);
    EXPECT_EQ(last.eax, 1);
    EXPECT_EQ(last.ebx, 2);
    EXPECT_EQ(last.ecx, 3);
    EXPECT_EQ(last.edx, 4);
    EXPECT_EQ(last.esi, 5);
    EXPECT_EQ(last.edi, 6);
    EXPECT_EQ(a << 20 | b << 16 | c << 12 | d << 8 | s << 4 | t, 0x123456);
    EXPECT(last.eflags & EF_CF);
}

void resume_flag(void)
{
    TRY("ud2", :);
    EXPECT_FAULT(EXC_UD, 0);
    EXPECT(last.eflags & EF_RF);
    TRY("int3", :);
    EXPECT(!(last.eflags & EF_RF));
}
