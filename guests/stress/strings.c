/* SPDX-License-Identifier: MIT */
/*
 * REP instructions in ring 3 whose pages come on demand, with the timer
 * running: at each stop ECX, ESI and EDI must name the element to be done next,
 * and all elements before it must be done.
 */
#include "events.h"
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum { BUFFER_PAGES = 3, BUFFER_LEN = BUFFER_PAGES * PAGE };

#define FROM_VA 0x48000000u
#define TO_VA   0x4C000000u

enum { MOVS, STOS, LODS, CMPS, SCAS, STRINGS };

static const uint8_t opcodes[STRINGS] = {
    [MOVS] = 0xA4, [STOS] = 0xAA, [LODS] = 0xAC, [CMPS] = 0xA6, [SCAS] = 0xAE,
};

static struct {
    uint32_t kind, size, count;
    uint32_t esi, edi; /* at the start */
    bool down;
} op;

static uint8_t source_byte(uint32_t va)
{
    return (uint8_t)(va * 7 + (va >> 8));
}

static bool uses_esi(void)
{
    return op.kind == MOVS || op.kind == LODS || op.kind == CMPS;
}

static bool uses_edi(void)
{
    return op.kind != LODS;
}

/* A page of either buffer, with what it has to hold at first. */
static void give_page(uint32_t page)
{
    uint32_t frame = frame_alloc();
    bool filled = page < TO_VA || op.kind == CMPS;

    for (uint32_t i = 0; i < PAGE; i++) {
        uint32_t va = page + i;

        if (op.kind == CMPS && page >= TO_VA)
            va = va - op.edi + op.esi;
        *mem8(frame + i) = filled ? source_byte(va) : 0x5A;
    }
    map(page, frame, PG_P | PG_W | PG_U);
}

static void check_progress(const struct frame *frame)
{
    uint32_t done = op.count - frame->ecx;
    uint32_t bytes = op.down ? 0 - done * op.size : done * op.size;

    CHECK(frame->ecx <= op.count);
    CHECK_EQ(frame->esi, op.esi + (uses_esi() ? bytes : 0));
    CHECK_EQ(frame->edi, op.edi + (uses_edi() ? bytes : 0));
}

static uint32_t fault_ecx; /* at the last page fault */

/* Where run_string() has put it. */
static uint32_t rep_at(void)
{
    return (uint32_t)user_page + (op.down ? 3 : 2);
}

static bool string_hook(struct frame *frame)
{
    if (frame->vector != EXC_PF || last_cr2 < FROM_VA ||
        last_cr2 >= TO_VA + 2 * BUFFER_LEN)
        return false;
    CHECK_EQ(frame->eip, rep_at());
    check_progress(frame);
    fault_ecx = frame->ecx;
    stress_note(frame->ecx == op.count ? NOTE_REP_FAULT_FIRST : NOTE_REP_FAULT);
    give_page(last_cr2 & ~(PAGE - 1));
    return true;
}

static void string_irq(struct frame *frame)
{
    /* EDI is set only behind the POPAD in front. */
    if (!(frame->cs & 3) || frame->eip != rep_at())
        return;
    check_progress(frame);
    /* One that waits comes behind the page fault's IRET, by itself no proof. */
    if (frame->ecx && frame->ecx < op.count && frame->ecx != fault_ecx)
        stress_note(op.down ? NOTE_REP_IRQ_DOWN : NOTE_REP_IRQ_UP);
}

/* mov edi/esi/ecx come from memory in front: popad. */
static void run_string(void)
{
    volatile uint32_t *regs = mem32((uint32_t)user_stack_end - 32);
    uint8_t *p = user_page;

    *p++ = 0x61; /* popad */
    *p++ = op.down ? 0xFD : 0x90;
    if (op.down)
        *p++ = 0x90;
    *p++ = 0xF3;
    if (op.size == 2)
        *p++ = 0x66;
    *p++ = opcodes[op.kind] | (op.size > 1);
    *p++ = 0xFC;
    *p++ = 0xCD;
    *p++ = 0x80;
    for (uint32_t i = 0; i < 8; i++)
        regs[i] = 0;
    regs[0] = op.edi;
    regs[1] = op.esi;
    regs[6] = op.count;
    regs[7] = 0x5A5A5A5A;
    user_run_stack(user_page, (uint32_t)regs, 0);
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(last.ecx, 0);
    check_progress(&last);
}

static void check_result(void)
{
    uint32_t bytes = op.count * op.size;
    uint32_t low = op.down ? op.edi + op.size - bytes : op.edi;
    uint32_t from = op.down ? op.esi + op.size - bytes : op.esi;
    uint32_t wrong = 0;

    if (op.kind != MOVS && op.kind != STOS)
        return;
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t want = op.kind == STOS ? 0x5A : source_byte(from + i);

        wrong += *mem8(low + i) != want;
    }
    CHECK_EQ(wrong, 0);
}

static void unmap_buffers(void)
{
    for (uint32_t k = 0; k < 2 * BUFFER_PAGES; k++) {
        map(FROM_VA + k * PAGE, 0, 0);
        map(TO_VA + k * PAGE, 0, 0);
    }
}

static void random_string(uint32_t len, bool down)
{
    op.kind = random_below(STRINGS);
    op.size = 1u << random_below(3);
    op.down = down;
    op.count = len / op.size;
    op.esi = FROM_VA + random_below(PAGE) + (down ? len : 0);
    op.edi = TO_VA + random_below(PAGE) + (down ? len : 0);
}

/* Again and again, until the timer has hit it on the way. */
static void interrupted_string(bool down)
{
    const enum note note = down ? NOTE_REP_IRQ_DOWN : NOTE_REP_IRQ_UP;
    uint32_t before = stress_noted(note);

    stress_doing = "interrupts in REP";
    unmap_buffers();
    random_string(BUFFER_LEN - PAGE - 16, down);
    timer_start(8000);
    for (uint32_t i = 0; i < 400 && stress_noted(note) - before < 3; i++)
        run_string();
    timer_stop();
}

void strings_round(void)
{
    stress_doing = "REP with pages on demand";
    trap_hook = string_hook;
    irq_hook = string_irq;
    for (uint32_t i = 0; i < 14; i++) {
        unmap_buffers();
        random_string(random_below(BUFFER_LEN - PAGE), one_in(3));
        if (one_in(2))
            timer_start(4000);
        run_string();
        timer_stop();
        check_result();
    }
    interrupted_string(false);
    interrupted_string(true);
    trap_hook = NULL;
    irq_hook = NULL;
}
