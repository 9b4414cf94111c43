/* SPDX-License-Identifier: MIT */
/*
 * A request waits while IF is clear; then one of these sequences runs, and the
 * interrupt must come at the instruction that the manual says (SDM Vol.3A 6.8.3
 * "Masking Exceptions and Interrupts When Switching Stacks"; Vol.2B "STI").
 */
#include "events.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum { NEVER = 0xFF, BYTES_MAX = 14 };

/* AX is the kernel's data segment. The last instruction is CLI, RET. */
static const struct {
    const char *text;
    uint8_t len;
    uint8_t bytes[BYTES_MAX];
    uint8_t at, or_at; /* offset where the interrupt comes */
    uint8_t tcg_at;    /* ... under QEMU's translator, where that differs */
} sequences[] = {
#define SEQUENCE(text, at, or_at, bytes) \
    {text, sizeof(bytes) - 1, bytes, at, or_at, at},
#define SEQUENCE_TCG(text, at, tcg_at, bytes) \
    {text, sizeof(bytes) - 1, bytes, at, at, tcg_at},
#include "shadows.def"
#undef SEQUENCE_TCG
#undef SEQUENCE
};

static uint8_t *code;
static uint32_t irq_at, irqs;

static void note_irq(struct frame *frame)
{
    irq_at = frame->eip - (uint32_t)code;
    irqs++;
    outb(0x21, 0xFF);
}

/* What the sequences raise on purpose: INT 80h goes on, UD2 is skipped. */
static bool go_on(struct frame *frame)
{
    if (frame->vector == EXC_UD)
        frame->eip += 2;
    return frame->vector == EXC_UD || frame->vector == VECTOR_EXIT;
}

static void run_sequence(uint32_t i)
{
    uint32_t eax = KERNEL_DATA;

    stress_doing = sequences[i].text;
    irqs = 0;
    timer_start(20000);
    timer_wait();
    __asm__ volatile("call %1"
                     : "+a"(eax)
                     : "r"(code)
                     : "ecx", "edx", "memory", "cc");
    if (sequences[i].at == NEVER) {
        CHECK_EQ(irqs, 0);
    } else {
        CHECK_EQ(irqs, 1);
        if (irq_at != sequences[i].or_at)
            CHECK_EQ(irq_at, on_tcg ? sequences[i].tcg_at : sequences[i].at);
    }
    stress_note(irqs ? NOTE_SHADOW : NOTE_SHADOW_NEVER);
    timer_stop();
    outb(0x20, 0x20); /* where nobody did */
}

void shadows_round(void)
{
    irq_hook = note_irq;
    trap_hook = go_on;
    for (uint32_t k = 0; k < 20; k++) {
        uint32_t i = random_below(sizeof(sequences) / sizeof(sequences[0]));

        code = user_page + random_below(2 * PAGE);
        memcpy(code, sequences[i].bytes, sequences[i].len);
        for (uint32_t times = 1 + random_below(4); times; times--)
            run_sequence(i);
    }
    irq_hook = NULL;
    trap_hook = NULL;
}
