/* SPDX-License-Identifier: MIT */
/* Single step and breakpoints. SDM Vol.3B "Debug Exceptions". */
#include "lib/desc.h"
#include "tap.h"
#include "tests.h"

enum {
    DR6_B0 = 1 << 0,
    DR6_BD = 1 << 13,
    DR6_BS = 1 << 14,
    DR7_L0 = 1 << 0,
    DR7_GD = 1 << 13,
    DR7_WRITE_4 = 0xD << 16, /* R/W0 = write, LEN0 = 4 bytes */
};

static uint32_t steps[16];
static uint32_t step_count;
static uint32_t seen_dr6;

static bool note_step(struct frame *frame)
{
    if (frame->vector != EXC_DB)
        return false;
    if (step_count < 16)
        steps[step_count] = frame->eip;
    step_count++;
    seen_dr6 = read_dr6();
    write_dr6(0);
    return true;
}

static void prepare(void)
{
    trap_hook = note_step;
    step_count = 0;
    seen_dr6 = 0;
    write_dr6(0);
}

void single_step(void)
{
    prepare();
    TRY("pushfd; or dword ptr [esp], 0x100; popfd\n"
        "nop; nop; lea eax, [eax]\n"
        "pushfd; and dword ptr [esp], ~0x100; popfd",
        :
        :
        : "cc", "memory");
    EXPECT_EQ(step_count, 6);
    EXPECT_EQ(steps[0], try_start + 10);
    EXPECT_EQ(steps[1], try_start + 11);
    EXPECT_EQ(steps[2], try_start + 13);
    EXPECT_EQ(steps[3], try_start + 14);
    EXPECT(seen_dr6 & DR6_BS);
}

void single_step_mov_ss(void)
{
    prepare();
    TRY("mov eax, ss\n"
        "pushfd; or dword ptr [esp], 0x100; popfd\n"
        "mov ss, eax; nop\n"
        "pushfd; and dword ptr [esp], ~0x100; popfd",
        :
        :
        : "eax", "cc", "memory");
    EXPECT_EQ(steps[0], try_start + 14); /* behind mov ss and nop */
    EXPECT_EQ(step_count, 4);
}

USER_FUNCTION(step_here, "nop\nnop\nnop" USER_END);

void single_step_user(void)
{
    prepare();
    user_run_flags(step_here, 9, 2 | EF_TF);
    EXPECT_USER_RESULT(9);
    EXPECT_EQ(steps[0], step_here + 1);
    EXPECT_EQ(steps[2], step_here + 3);
    EXPECT_EQ(step_count, 3);
}

/* A fault in front of the instruction; RF of the handler's IRET gets past. */
static bool pass_breakpoint(struct frame *frame)
{
    frame->eflags |= EF_RF;
    return note_step(frame);
}

void execution_breakpoint(void)
{
    uint32_t target;

    prepare();
    trap_hook = pass_breakpoint;
    __asm__ volatile("mov %0, offset 1f\n\t"
                     "mov dr0, %0\n\t"
                     "mov eax, %1\n\t"
                     "mov dr7, eax\n\t"
                     "nop\n"
                     "1: nop\n\t"
                     "xor eax, eax\n\t"
                     "mov dr7, eax"
                     : "=&r"(target)
                     : "i"(DR7_L0 | 0x400)
                     : "eax", "cc");
    EXPECT_EQ(step_count, 1);
    EXPECT_EQ(steps[0], target);
    EXPECT(seen_dr6 & DR6_B0);
}

void data_breakpoint(void)
{
    static volatile uint32_t watched;

    prepare();
    write_dr0((uint32_t)&watched);
    write_dr7(DR7_L0 | DR7_WRITE_4 | 0x400);
    TRY("mov eax, [%0]; mov dword ptr [%0], 5; nop",
        :
        : "r"(&watched)
        : "eax", "memory");
    write_dr7(0x400);
    EXPECT_EQ(watched, 5);
    EXPECT_EQ(step_count, 1);
    EXPECT_EQ(steps[0], try_start + 8); /* a trap: behind the store */
    EXPECT(seen_dr6 & DR6_B0);
}

void general_detect(void)
{
    uint32_t value = 0;

    write_dr6(0);
    write_dr7(DR7_GD | 0x400);
    TRY("mov %0, dr6", : "+r"(value));
    EXPECT_FAULT(EXC_DB, 0);
    EXPECT(read_dr6() & DR6_BD);
}

void int1(void)
{
    TRY(".byte 0xf1", :);
    EXPECT_TRAP(EXC_DB, 0);
    EXPECT_EQ(last.eip, try_start + 1);
}
