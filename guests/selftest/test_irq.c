/* SPDX-License-Identifier: MIT */
/* The 8254's channel 0 through the 8259A: when interrupts come, and when not.
 * SDM Vol.3A "Masking Maskable Hardware Interrupts". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

enum {
    PIC_COMMAND = 0x20,
    PIC_MASK = 0x21,
    OCW3_READ_IRR = 0x0A,
    PIT_CHANNEL0 = 0x40,
    PIT_CONTROL = 0x43,
    PIT_MODE2 = 0x34,
    PIT_HZ = 1193182,
};

static void timer_start(uint32_t hz)
{
    uint32_t divisor = PIT_HZ / hz;

    outb(PIT_CONTROL, PIT_MODE2);
    outb(PIT_CHANNEL0, (uint8_t)divisor);
    outb(PIT_CHANNEL0, (uint8_t)(divisor >> 8));
    outb(PIC_MASK, 0xFE);
}

static void timer_stop(void)
{
    cli();
    outb(PIC_MASK, 0xFF);
}

static bool timer_pending(void)
{
    outb(PIC_COMMAND, OCW3_READ_IRR);
    return inb(PIC_COMMAND) & 1;
}

static void wait_pending(void)
{
    while (!timer_pending())
        ;
}

void timer_hlt(void)
{
    timer_start(1000);
    for (uint32_t i = 1; i <= 10; i++) {
        __asm__ volatile("sti; hlt; cli" : : : "memory");
        EXPECT(irq_count[0] >= i);
    }
    timer_stop();
    EXPECT(irq_count[0] < 1000);
    for (int irq = 1; irq < 16; irq++)
        EXPECT_EQ(irq_count[irq], 0);
}

void timer_masked(void)
{
    timer_start(1000);
    outb(PIC_MASK, 0xFF);
    wait_pending();
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
    EXPECT_EQ(irq_count[0], 0);
    outb(PIC_MASK, 0xFE); /* the request was kept */
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
    EXPECT(irq_count[0] >= 1);
    timer_stop();
}

static uint32_t nested;

/* With IF on but without an EOI the next tick has to wait. */
static void no_eoi_yet(struct frame *frame)
{
    (void)frame;
    wait_pending();
    __asm__ volatile("sti; nop; nop; nop; cli" : : : "memory");
    nested = irq_count[0];
    timer_stop();
}

void timer_eoi(void)
{
    irq_hook = no_eoi_yet;
    timer_start(1000);
    wait_pending();
    __asm__ volatile("sti; nop; cli" : : : "memory");
    timer_stop();
    EXPECT_EQ(nested, 1);
}

static uint32_t irq_eip;

static void note_eip(struct frame *frame)
{
    irq_eip = frame->eip;
    timer_stop();
}

void sti_shadow(void)
{
    uint32_t after;

    irq_hook = note_eip;
    timer_start(1000);
    wait_pending();
    __asm__ volatile("sti; cli" : : : "memory");
    EXPECT_EQ(irq_count[0], 0);
    __asm__ volatile("sti\n\t"
                     "mov %0, offset 1f\n"
                     "1: nop\n\t"
                     "cli"
                     : "=r"(after)
                     :
                     : "memory");
    EXPECT_EQ(irq_count[0], 1);
    EXPECT_EQ(irq_eip, after);
}

void popf_enables(void)
{
    uint32_t after;

    irq_hook = note_eip;
    timer_start(1000);
    wait_pending();
    __asm__ volatile("mov %0, offset 1f\n\t"
                     "push 0x202\n\t"
                     "popfd\n"
                     "1: nop\n\t"
                     "cli"
                     : "=r"(after)
                     :
                     : "memory", "cc");
    EXPECT_EQ(irq_count[0], 1);
    EXPECT_EQ(irq_eip, after);
}

void interrupt_loop(void)
{
    timer_start(1000);
    __asm__ volatile("sti\n"
                     "1: cmp dword ptr [irq_count], 5\n\t"
                     "jb 1b\n\t"
                     "cli"
                     :
                     :
                     : "memory", "cc");
    timer_stop();
    EXPECT(irq_count[0] >= 5);
    timer_start(1000); /* a loop without any memory access or call */
    irq_count[0] = 0;
    irq_hook = note_eip;
    __asm__ volatile("mov ecx, 20000000\n\tsti\n1: dec ecx\n\tjnz 1b\n\tcli"
                     :
                     :
                     : "ecx", "memory", "cc");
    EXPECT_EQ(irq_count[0], 1);
}

static void stop_user(struct frame *frame)
{
    if (irq_count[0] < 3 || !(frame->cs & 3))
        return;
    timer_stop();
    frame->eax = 1;
}

USER_FUNCTION(spin, "1: test eax, eax\n"
                    "jz 1b\n"
                    "mov eax, 0x123" USER_END);

void interrupt_user(void)
{
    irq_hook = stop_user;
    timer_start(1000);
    user_run(spin, 0);
    EXPECT_USER_RESULT(0x123);
    EXPECT_EQ(irq_count[0], 3);
}

void interrupt_state(void)
{
    uint32_t sum = 0, count = 300000, carry = 0;

    timer_start(5000);
    __asm__ volatile("sti\n"
                     "1: mov eax, 0xFFFFFFFF\n\t"
                     "add eax, 1\n\t" /* CF = ZF = 1 */
                     "mov esi, edx\n\t"
                     "lea edi, [esi + 3]\n\t"
                     "adc ebx, 0\n\t"
                     "sub edi, esi\n\t"
                     "add edx, edi\n\t"
                     "dec ecx\n\t"
                     "jnz 1b\n\t"
                     "cli"
                     : "+d"(sum), "+c"(count), "+b"(carry)
                     :
                     : "eax", "esi", "edi", "memory", "cc");
    timer_stop();
    EXPECT_EQ(sum, 900000);
    EXPECT_EQ(carry, 300000);
}

void interrupt_string(void)
{
    uint32_t runs = 0;

    timer_start(5000);
    while (irq_count[0] < 10 && runs < 100000) {
        uint32_t c = 0x40000, s = 0x400000, d = 0x600000;

        __asm__ volatile("sti; rep movsd; cli"
                         : "+c"(c), "+S"(s), "+D"(d)
                         :
                         : "memory");
        EXPECT_EQ(c, 0);
        EXPECT_EQ(s, 0x500000);
        EXPECT_EQ(d, 0x700000);
        runs++;
    }
    timer_stop();
    EXPECT(irq_count[0] >= 10);
}
