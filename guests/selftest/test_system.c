/* SPDX-License-Identifier: MIT */
/* Identification, time stamps and control registers in ring 0. */
#include "lib/desc.h"
#include "tap.h"
#include "tests.h"

void system_cpuid(void)
{
    struct cpuid zero = cpuid(0);
    struct cpuid one = cpuid(1);

    set_eflags(2 | EF_ID);
    EXPECT(eflags() & EF_ID);
    set_eflags(2);
    EXPECT(!(eflags() & EF_ID));
    EXPECT(zero.eax >= 1);
    EXPECT(zero.ebx != 0);
    EXPECT(one.edx & 1);      /* FPU */
    EXPECT(one.edx & 1 << 3); /* PSE */
    EXPECT(one.edx & 1 << 4); /* TSC */
    EXPECT(one.edx & 1 << 6); /* PAE */
    EXPECT_EQ(cpuid(1).eax, one.eax);
    EXPECT(cpuid(0x80000000).eax >= 0x80000001);
    TRY("cpuid", : : "a"(0x12345678) : "ebx", "ecx", "edx");
    EXPECT_NO_TRAP();
}

void system_tsc(void)
{
    uint64_t before = rdtsc();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = rdtsc();

        EXPECT(now > before);
        before = now;
    }
}

void system_msr(void)
{
    TRY("rdmsr", : : "c"(0x12345) : "eax", "edx");
    EXPECT_FAULT(EXC_GP, 0);
    TRY("wrmsr", : : "c"(0x12345), "a"(0), "d"(0));
    EXPECT_FAULT(EXC_GP, 0);
}

void system_cr(void)
{
    uint32_t cr0 = read_cr0();

    TRY("mov cr0, %0", : : "r"((cr0 | CR0_PG) & ~(uint32_t)CR0_PE));
    EXPECT_FAULT(EXC_GP, 0);
    TRY("mov cr0, %0", : : "r"(cr0 | CR0_NW));
    EXPECT_FAULT(EXC_GP, 0);
    EXPECT_EQ(read_cr0(), cr0);
}

void system_cr4(void)
{
    uint32_t cr4 = read_cr4();

    TRY("mov cr4, %0", : : "r"(cr4 | 1u << 31));
    EXPECT_FAULT(EXC_GP, 0);
    EXPECT_EQ(read_cr4(), cr4);
}

void system_cr_other(void)
{
    TRY(".byte 0x0f, 0x20, 0xc8", : : : "eax"); /* mov eax, cr1 */
    EXPECT_FAULT(EXC_UD, 0);
    write_cr2(0x12345678);
    EXPECT_EQ(read_cr2(), 0x12345678);
}

void system_msw(void)
{
    uint32_t msw;

    __asm__ volatile("smsw %0" : "=r"(msw));
    EXPECT_EQ(msw & 0xFFFF, read_cr0() & 0xFFFF);
    __asm__ volatile("lmsw %w0" : : "r"(msw | CR0_TS) : "memory");
    EXPECT(read_cr0() & CR0_TS);
    __asm__ volatile("lmsw %w0" : : "r"(0) : "memory");
    EXPECT(read_cr0() & CR0_PE); /* LMSW cannot leave protected mode */
    EXPECT(!(read_cr0() & CR0_TS));
    write_cr0(read_cr0() | CR0_TS);
    __asm__ volatile("clts" : : : "memory");
    EXPECT(!(read_cr0() & CR0_TS));
}

void system_tables(void)
{
    struct table_reg gdtr, idtr;
    uint32_t ldt = 0xFFFF, task = 0xFFFF;

    __asm__ volatile("sgdt %0; sidt %1; sldt %2; str %3"
                     : "=m"(gdtr), "=m"(idtr), "=r"(ldt), "=r"(task));
    EXPECT_EQ(gdtr.base, gdt);
    EXPECT_EQ(gdtr.limit, sizeof(gdt) - 1);
    EXPECT_EQ(idtr.base, idt);
    EXPECT_EQ(ldt & 0xFFFF, 0);
    EXPECT_EQ(task & 0xFFFF, TSS_SELECTOR);
    EXPECT_EQ(gdt[5] >> 40 & 0xF, 0xB); /* LTR marks the TSS busy */
    TRY("ltr %w0", : : "r"(TSS_SELECTOR));
    EXPECT_FAULT(EXC_GP, TSS_SELECTOR);
}
