/* SPDX-License-Identifier: MIT */
/* x87 and SSE state under an operating system's hands.
 * SDM Vol.3A "System Programming For Instruction Set Extensions". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

static uint8_t area[2][512] ALIGNED(16);
static uint32_t vec[8] ALIGNED(16) = {1, 2, 3, 4, 5, 6, 7, 8};

static void enable_sse(void)
{
    static const uint32_t mxcsr = 0x1F80;

    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static void set_ts(void)
{
    write_cr0(read_cr0() | CR0_TS);
}

static void clear_ts(void)
{
    __asm__ volatile("clts" : : : "memory");
}

void fpu_lazy(void)
{
    enable_sse();
    set_ts();
    TRY("fld1", :);
    EXPECT_FAULT(EXC_NM, 0);
    TRY("movaps xmm0, [%0]", : : "r"(vec));
    EXPECT_FAULT(EXC_NM, 0);
    TRY("fwait", :);
    EXPECT_FAULT(EXC_NM, 0);
    TRY("fxsave [%0]", : : "r"(area[0]) : "memory");
    EXPECT_FAULT(EXC_NM, 0);
    write_cr0(read_cr0() & ~(uint32_t)CR0_MP);
    TRY("fwait", :);
    EXPECT_NO_TRAP();
    clear_ts();
    TRY("fld1; fstp st(0); movaps xmm0, [%0]", : : "r"(vec));
    EXPECT_NO_TRAP();
}

static uint32_t owner, running;

/* The lazy switch: state of the last owner out, state of this one in. */
static bool switch_fpu(struct frame *frame)
{
    if (frame->vector != EXC_NM)
        return false;
    clear_ts();
    if (owner != running) {
        __asm__ volatile("fxsave [%0]" : : "r"(area[owner]) : "memory");
        __asm__ volatile("fxrstor [%0]" : : "r"(area[running]) : "memory");
        owner = running;
    }
    return true;
}

/* EBX = what FILD puts on the stack at first, EAX counts. */
USER_FUNCTION(fpu_add, "fld1\n"
                       "faddp\n"
                       "cvtsi2ss xmm1, eax\n"
                       "addss xmm0, xmm1\n"
                       "mov ebx, offset user_page\n"
                       "fist dword ptr [ebx]\n"
                       "cvttss2si ecx, xmm0" USER_END);

void fpu_switch(void)
{
    enable_sse();
    for (uint32_t task = 0; task < 2; task++) {
        uint32_t start = 100 * task;

        __asm__ volatile("fninit; fild %0; cvtsi2ss xmm0, %0" : : "m"(start));
        __asm__ volatile("fxsave [%0]" : : "r"(area[task]) : "memory");
    }
    owner = 1;
    trap_hook = switch_fpu;
    for (uint32_t i = 1; i <= 40; i++) {
        for (running = 0; running < 2; running++) {
            set_ts();
            user_run(fpu_add, 2);
            EXPECT_EQ(last.vector, VECTOR_EXIT);
            EXPECT_EQ(*mem32((uint32_t)user_page), 100 * running + i);
            EXPECT_EQ(last.ecx, 100 * running + 2 * i);
        }
    }
    clear_ts();
}

void fpu_emulation(void)
{
    enable_sse();
    write_cr0(read_cr0() | CR0_EM);
    TRY("fld1", :);
    EXPECT_FAULT(EXC_NM, 0);
    TRY("movaps xmm0, [%0]", : : "r"(vec));
    EXPECT_FAULT(EXC_UD, 0);
    TRY("fwait", :);
    EXPECT_NO_TRAP();
    write_cr0(read_cr0() & ~(uint32_t)CR0_EM);
}

void fpu_osfxsr(void)
{
    enable_sse();
    write_cr4(read_cr4() & ~(uint32_t)CR4_OSFXSR);
    TRY("movaps xmm0, [%0]", : : "r"(vec));
    EXPECT_FAULT(EXC_UD, 0);
    TRY("fld1; fstp st(0)", :);
    EXPECT_NO_TRAP();
    write_cr4(read_cr4() | CR4_OSFXSR);
    TRY("movaps xmm0, [%0]", : : "r"(vec));
    EXPECT_NO_TRAP();
}

void fpu_mf(void)
{
    static const uint16_t unmask_zero_divide = 0x37B;
    static const float zero;
    uint16_t status;

    __asm__ volatile("fldcw %0" : : "m"(unmask_zero_divide));
    TRY("fld1; fdiv dword ptr [%0]; nop", : : "r"(&zero));
    EXPECT_NO_TRAP(); /* the exception waits for the next x87 instruction */
    TRY("fwait", :);
    EXPECT_FAULT(EXC_MF, 0);
    TRY("fnstsw %0", : "=a"(status));
    EXPECT_NO_TRAP();
    EXPECT(status & 4);
    EXPECT(status & 0x80);
    __asm__ volatile("fnclex; fninit");
    TRY("fwait", :);
    EXPECT_NO_TRAP();
}

void fpu_mf_waiting(void)
{
    static const uint16_t unmask_invalid = 0x37E;

    __asm__ volatile("fldcw %0" : : "m"(unmask_invalid));
    TRY("fldz; fldz; fdivrp st(1), st; fninit", :);
    EXPECT_NO_TRAP(); /* FNINIT does not wait */
    __asm__ volatile("fldcw %0" : : "m"(unmask_invalid));
    TRY("fldz; fldz; fdivrp st(1), st", :);
    EXPECT_NO_TRAP();
    TRY("fld1", :);
    EXPECT_FAULT(EXC_MF, 0);
    __asm__ volatile("fninit");
}

enum { PORT_FPU = 0xF0, PIC1_DATA = 0x21, PIC2_DATA = 0xA1 };

static uint16_t handler_status;
static uint32_t handler_eip;

/* While IGNNE# is asserted the FPU may be used with the error pending. */
static void serve_irq13(struct frame *frame)
{
    handler_eip = frame->eip;
    outb(PORT_FPU, 0);
    __asm__ volatile("fwait; fldz; fstp st(0); fnstsw %0; fnclex"
                     : "=a"(handler_status));
}

static void irq13_begin(void)
{
    static const uint16_t unmask_zero_divide = 0x37B;
    static const float zero;

    irq_hook = serve_irq13;
    write_cr0(read_cr0() & ~(uint32_t)CR0_NE);
    outb(PIC1_DATA, 0xFB); /* the cascade */
    outb(PIC2_DATA, 0xDF);
    __asm__ volatile("fninit; fldcw %0; fld1; fdiv dword ptr %1"
                     :
                     : "m"(unmask_zero_divide), "m"(zero));
}

static void irq13_end(void)
{
    outb(PIC1_DATA, 0xFF);
    outb(PIC2_DATA, 0xFF);
    __asm__ volatile("fninit");
    write_cr0(read_cr0() | CR0_NE);
}

void fpu_irq13(void)
{
    irq13_begin();
    __asm__ volatile("sti; nop; jmp 1f; 1:");
    EXPECT_EQ(irq_count[13], 0); /* it takes a waiting instruction */
    __asm__ volatile("fwait; jmp 1f; 1: nop; jmp 1f; 1: cli");
    EXPECT_EQ(irq_count[13], 1);
    EXPECT_EQ(handler_status & 0x84, 0x84);
    EXPECT_EQ(trap_count, 0);
    __asm__ volatile("fwait; fld1; fstp st(0); sti; nop; nop; cli");
    EXPECT_EQ(irq_count[13], 1);
    irq13_end();
}

static void timer_tick(struct frame *frame)
{
    if (frame->vector == VECTOR_IRQ0 + 13)
        serve_irq13(frame);
    else if (irq_count[0] == 3)
        outb(PIC2_DATA, 0xDF);
}

/* Other interrupts are taken while the FPU waits. */
void fpu_freeze(void)
{
    uint32_t at;

    irq13_begin();
    irq_hook = timer_tick;
    outb(0x43, 0x34);
    outb(0x40, 0);
    outb(0x40, 4);
    outb(PIC2_DATA, 0xFF);
    outb(PIC1_DATA, 0xFA);
    __asm__ volatile("mov %0, offset 1f; sti\n1: fwait; cli" : "=r"(at));
    EXPECT_EQ(handler_eip, at);
    EXPECT_EQ(irq_count[13], 1);
    EXPECT(irq_count[0] >= 3);
    irq13_end();
}

void fpu_xm(void)
{
    static const uint32_t unmask_zero_divide = 0x1D80;
    static const uint32_t masked = 0x1F80;
    uint32_t mxcsr;

    enable_sse();
    __asm__ volatile("ldmxcsr %0" : : "m"(unmask_zero_divide));
    TRY("xorps xmm1, xmm1; movaps xmm0, [%0]; cvtdq2ps xmm0, xmm0\n"
        "divss xmm0, xmm1",
        :
        : "r"(vec));
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("ldmxcsr %0" : : "m"(masked));
    EXPECT_TRAP(EXC_XM, 0);
    EXPECT(mxcsr & 4);
    TRY("ldmxcsr %0", : : "m"(*(const uint32_t *)&(uint32_t){0xFFFF0000}));
    EXPECT_FAULT(EXC_GP, 0);
}

void fpu_save(void)
{
    static uint8_t image[128];
    uint32_t value = 1234, back = 0;
    uint16_t control = 0, tag;

    __asm__ volatile("fild %0; fnsave [%1]"
                     :
                     : "m"(value), "r"(image)
                     : "memory");
    __asm__ volatile("fnstcw %0" : "=m"(control));
    EXPECT_EQ(control, 0x37F); /* FNSAVE initialises */
    memcpy(&tag, image + 8, 2);
    EXPECT_EQ(tag, 0x3FFF);
    __asm__ volatile("frstor [%1]; fistp %0"
                     : "=m"(back)
                     : "r"(image)
                     : "memory");
    EXPECT_EQ(back, 1234);
    __asm__ volatile("fnstenv [%0]; fldenv [%0]" : : "r"(image) : "memory");
    memcpy(&tag, image + 8, 2);
    EXPECT_EQ(tag, 0xFFFF);
}

void fpu_alignment(void)
{
    enable_sse();
    TRY("movups xmm0, [%0]", : : "r"((uint8_t *)vec + 4));
    EXPECT_NO_TRAP();
    TRY("fxsave [%0]", : : "r"(area[0] + 8) : "memory");
    EXPECT_FAULT(EXC_GP, 0);
    TRY("movaps xmm0, [%0]", : : "r"((uint8_t *)vec + 4));
    EXPECT_FAULT(EXC_GP, 0);
    TRY("paddd xmm0, [%0]", : : "r"((uint8_t *)vec + 8));
    EXPECT_FAULT(EXC_GP, 0);
}

static bool map_page(struct frame *frame)
{
    if (frame->vector != EXC_PF || last_cr2 < TEST_VA)
        return false;
    map(last_cr2 & ~(PAGE - 1), frame_alloc(), PG_P | PG_W);
    return true;
}

void fpu_survives(void)
{
    uint32_t value = 5, result = 0, low = 0;
    static uint32_t out[4] ALIGNED(16);

    enable_sse();
    trap_hook = map_page;
    outb(0x43, 0x34);
    outb(0x40, 0);
    outb(0x40, 1);
    outb(0x21, 0xFE);
    __asm__ volatile("fild %1\n\t"
                     "movaps xmm7, [%4]\n\t"
                     "pcmpeqd xmm3, xmm3\n\t"
                     "sti\n\t"
                     "mov ecx, 100000\n"
                     "1: fadd st(0), st(0)\n\t"
                     "fsub dword ptr [%5]\n\t"
                     "fadd dword ptr [%5]\n\t"
                     "fmul dword ptr [%6]\n\t"
                     "dec ecx\n\t"
                     "jnz 1b\n\t"
                     "cli\n\t"
                     "fstp qword ptr [%3]\n\t"
                     "movaps [%3 + 4096], xmm7\n\t"
                     "movd %2, xmm3\n\t"
                     "fld qword ptr [%3]\n\t"
                     "fistp %0"
                     : "=m"(result)
                     : "m"(value), "r"(low), "r"(TEST_VA), "r"(vec),
                       "r"(&(float){0.0f}), "r"(&(float){0.5f})
                     : "ecx", "memory", "cc");
    outb(0x21, 0xFF);
    EXPECT_EQ(result, 5);
    memcpy(out, (void *)(TEST_VA + PAGE), 16);
    EXPECT_EQ(out[3], 4);
    EXPECT_EQ(trap_count, 2);
    EXPECT(irq_count[0] >= 1);
}
