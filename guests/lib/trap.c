/* SPDX-License-Identifier: MIT */
#include "lib/trap.h"

#include "lib/desc.h"
#include "lib/lib.h"

enum { PIC1 = 0x20, PIC2 = 0xA0, EOI = 0x20 };

void ring_enter(uint32_t eip, uint32_t esp, uint32_t flags, uint32_t eax,
                uint32_t cs, uint32_t ss);
__attribute__((noreturn)) void user_leave(void);

struct frame last;
uint32_t last_cr2;
uint32_t trap_count;
bool (*trap_hook)(struct frame *frame);
volatile uint32_t irq_count[16];
void (*irq_hook)(struct frame *frame);
volatile uint32_t try_start, try_end, try_esp;

__asm__(".pushsection .user.data, \"aw\"\n"
        ".balign 4096\n"
        ".globl user_page\n"
        "user_page: .skip 4 * 4096\n"
        ".skip 4 * 4096\n"
        ".globl user_stack_end\n"
        "user_stack_end:\n"
        ".popsection");

/* 8259A: edge triggered, vectors 20h-2Fh, every line masked. */
static void pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, VECTOR_IRQ0);
    outb(PIC2 + 1, VECTOR_IRQ0 + 8);
    outb(PIC1 + 1, 4);
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, 0xFF);
    outb(PIC2 + 1, 0xFF);
}

void trap_init(void)
{
    cli();
    pic_init();
    trap_hook = NULL;
    irq_hook = NULL;
    try_end = 0;
    memset((void *)irq_count, 0, sizeof(irq_count));
    trap_reset();
}

void trap_reset(void)
{
    memset(&last, 0, sizeof(last));
    last.vector = NO_TRAP;
    last_cr2 = 0;
    trap_count = 0;
}

static void irq_entry(struct frame *frame)
{
    uint32_t irq = frame->vector - VECTOR_IRQ0;

    irq_count[irq]++;
    if (irq_hook)
        irq_hook(frame);
    if (irq >= 8)
        outb(PIC2, EOI);
    outb(PIC1, EOI);
}

void trap_entry(struct frame *frame)
{
    if (frame->vector >= VECTOR_IRQ0 && frame->vector < VECTOR_IRQ0 + 16) {
        irq_entry(frame);
        return;
    }
    last_cr2 = read_cr2();
    last = *frame;
    trap_count++;
    if (trap_hook && trap_hook(frame))
        return;
    if (frame->cs & 3)
        user_leave();
    if (try_end) {
        frame->eip = try_end;
        frame->cs = KERNEL_CODE;
        frame->eflags &= ~(uint32_t)EF_TF;
        return;
    }
    trap_unexpected(frame, last_cr2);
}

void user_run_flags(const void *code, uint32_t eax, uint32_t flags)
{
    trap_reset();
    ring_enter((uint32_t)code, (uint32_t)user_stack_end, flags, eax, USER_CODE,
               USER_DATA);
}

void user_run_at(const void *code, uint32_t esp, uint32_t flags)
{
    trap_reset();
    ring_enter((uint32_t)code, esp, flags, 0, USER_CODE, USER_DATA);
}

void ring_run(uint32_t ring, const void *code, uint32_t flags)
{
    static uint8_t stack[4096] ALIGNED(16);
    uint32_t dpl = ring << 5;
    uint32_t cs =
        slot_set(SLOT_TEST, segment(0, 0xFFFFF, SEG_CODE_XR | dpl, SEG_FLAT));
    uint32_t ss = slot_set(SLOT_TEST + 1,
                           segment(0, 0xFFFFF, SEG_DATA_RW | dpl, SEG_FLAT));

    trap_reset();
    ring_enter((uint32_t)code, (uint32_t)stack + sizeof(stack), flags, 0,
               cs | ring, ss | ring);
}

void user_run_stack(const void *code, uint32_t esp, uint32_t eax)
{
    trap_reset();
    ring_enter((uint32_t)code, esp, EF_IF | 2, eax, USER_CODE, USER_DATA);
}

void user_run(const void *code, uint32_t eax)
{
    user_run_flags(code, eax, EF_IF | 2);
}

void user_run_bytes(const uint8_t *bytes, uint32_t len)
{
    static const uint8_t leave[] = {0xCD, 0x80}; /* int 80h */

    memcpy(user_page, bytes, len);
    memcpy(user_page + len, leave, sizeof(leave));
    user_run(user_page, 0);
}
