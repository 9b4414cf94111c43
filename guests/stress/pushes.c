/* SPDX-License-Identifier: MIT */
/*
 * Runs of PUSH and POP, which a translator may merge, stopped in the middle: by
 * page faults of the stack (ring 3), by single steps, by interrupts. Whenever
 * that happens, EIP must be at an instruction and ESP where the instructions in
 * front of it left it; in the end the stack must hold what was pushed.
 */
#include "events.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum { RUN_MAX = 40, STACK_PAGES = 3 };

#define STACK_VA 0x44000000u /* of ring 3 */

struct push {
    uint8_t len;
    uint8_t size; /* bytes on the stack */
    uint8_t bytes[5];
};

static const struct push pushes[] = {
    {1, 4,  {0x50}               }, /* push eax */
    {1, 4,  {0x51}               }, /* push ecx */
    {1, 4,  {0x53}               }, /* push ebx */
    {1, 4,  {0x54}               }, /* push esp */
    {2, 4,  {0x6A, 0x7B}         }, /* push 7Bh */
    {5, 4,  {0x68, 1, 2, 3, 4}   }, /* push 04030201h */
    {2, 4,  {0xFF, 0xF2}         }, /* push edx */
    {1, 4,  {0x9C}               }, /* pushfd */
    {2, 2,  {0x66, 0x50}         }, /* push ax */
    {1, 32, {0x60}               }, /* pushad */
    {5, 4,  {0xE8, 0, 0, 0, 0}   }, /* call the next instruction */
    {4, 4,  {0xFF, 0x74, 0x24, 0}}, /* push [esp + 0] */
};
enum { PUSHES = sizeof(pushes) / sizeof(pushes[0]) };

static struct {
    uint8_t *start;
    uint32_t count;
    uint32_t at[RUN_MAX + 1];   /* offset of instruction i */
    uint32_t down[RUN_MAX + 1]; /* ESP is this much lower in front of it */
    uint32_t esp;               /* at the start */
    uint32_t seen;              /* events that hit the run */
} run;

/* A run, a LEA that takes back what was pushed, and the end. */
static void make_run(uint8_t *start, uint32_t limit, bool user)
{
    uint8_t *p = start;
    uint32_t down = 0;
    uint32_t back;

    run.start = start;
    run.count = 1 + random_below(limit);
    run.seen = 0;
    for (uint32_t i = 0; i < run.count; i++) {
        const struct push *push = &pushes[random_below(PUSHES)];

        if (i == 0 || one_in(2)) /* [esp] is nobody's; long runs of a width */
            push = &pushes[random_below(3)];
        run.at[i] = (uint32_t)(p - start);
        run.down[i] = down;
        memcpy(p, push->bytes, push->len);
        p += push->len;
        down += push->size;
    }
    run.at[run.count] = (uint32_t)(p - start);
    run.down[run.count] = down;
    back = down;
    *p++ = 0x8D; /* lea esp, [esp + down] */
    *p++ = 0xA4;
    *p++ = 0x24;
    memcpy(p, &back, 4);
    p += 4;
    *p++ = user ? 0xCD : 0xC3;
    *p++ = 0x80;
}

/* The instruction of the run at EIP; -1 outside the run. */
static int find_instruction(uint32_t eip)
{
    uint32_t offset = eip - (uint32_t)run.start;

    if (offset > run.at[run.count])
        return -1;
    for (uint32_t i = 0; i <= run.count; i++) {
        if (run.at[i] == offset)
            return (int)i;
    }
    stress_fail("stopped in the middle of an instruction, at", offset, 0);
}

/* Traps and interrupts: is everything in front of EIP done, and nothing else? */
static int check_stop(uint32_t eip, uint32_t esp)
{
    int i = find_instruction(eip);

    if (i < 0)
        return i;
    run.seen++;
    CHECK_EQ(run.esp - esp, run.down[i]);
    return i;
}

static uint32_t frame_esp(const struct frame *frame)
{
    return frame->cs & 3 ? frame->user_esp : (uint32_t)&frame->user_esp;
}

/* ---- The stack's pages come one at a time ---- */

static bool give_stack_page(struct frame *frame)
{
    uint32_t page = last_cr2 & ~(PAGE - 1);
    int i;

    if (frame->vector != EXC_PF || page < STACK_VA ||
        page >= STACK_VA + STACK_PAGES * PAGE)
        return false;
    i = check_stop(frame->eip, frame->user_esp);
    CHECK(i >= 0 && i < (int)run.count);
    stress_note(i ? NOTE_PUSH_FAULT : NOTE_PUSH_FAULT_FIRST);
    CHECK_EQ(frame->error, 6); /* a store by ring 3, not present */
    CHECK(last_cr2 >= run.esp - run.down[i + 1] - 3 &&
          last_cr2 < run.esp - run.down[i]);
    map(page, frame_alloc(), PG_P | PG_W | PG_U);
    return true;
}

static void faulting_run(void)
{
    uint32_t top = STACK_VA + (STACK_PAGES - 1) * PAGE;

    stress_doing = "pushes to a missing page";
    for (uint32_t i = 0; i < STACK_PAGES; i++)
        map(STACK_VA + i * PAGE, 0, 0);
    make_run(user_page + random_below(PAGE), RUN_MAX, true);
    run.esp = top + random_below(30) * 4 + (one_in(6) ? 2 : 0);
    map(top, frame_alloc(), PG_P | PG_W | PG_U);
    trap_hook = give_stack_page;
    user_run_stack(run.start, run.esp, 0xABCD);
    trap_hook = NULL;
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(last.user_esp, run.esp);
}

/* ---- Single steps ---- */

static int step_next;

static bool step_hook(struct frame *frame)
{
    int i;

    if (frame->vector != EXC_DB)
        return false;
    i = check_stop(frame->eip, frame_esp(frame));
    if (i >= 0) {
        stress_note(NOTE_PUSH_STEP);
        CHECK_EQ(i, step_next);
        step_next++;
    }
    return true;
}

static void stepped_run(void)
{
    stress_doing = "single steps through pushes";
    make_run(user_page + random_below(PAGE), RUN_MAX, true);
    run.esp = (uint32_t)user_stack_end;
    step_next = 1;
    trap_hook = step_hook;
    user_run_flags(run.start, 0, EF_TF | 2);
    trap_hook = NULL;
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(step_next, run.count + 1);
}

/* ---- Interrupts ---- */

static void irq_check(struct frame *frame)
{
    if (check_stop(frame->eip, frame_esp(frame)) > 0)
        stress_note(frame->cs & 3 ? NOTE_PUSH_IRQ_3 : NOTE_PUSH_IRQ_0);
}

static void call_run(void)
{
    uint32_t esp;

    __asm__ volatile("lea %0, [esp - 4]\n\t"
                     "mov [%2], %0\n\t"
                     "call %1"
                     : "=&r"(esp)
                     : "r"(run.start), "r"(&run.esp)
                     : "memory", "cc");
}

/* The same run again and again while the timer ticks, until it was hit. */
static void interrupted_run(bool user)
{
    const enum note note = user ? NOTE_PUSH_IRQ_3 : NOTE_PUSH_IRQ_0;
    uint32_t noted = stress_noted(note);
    uint32_t before = irq_count[0];

    stress_doing = "interrupts in pushes";
    make_run(user_page + random_below(PAGE), RUN_MAX, user);
    run.esp = (uint32_t)user_stack_end;
    irq_hook = irq_check;
    timer_start(8000);
    while (stress_noted(note) - noted < 6 && irq_count[0] - before < 400) {
        if (user) {
            user_run(run.start, 0);
            CHECK_EQ(last.vector, VECTOR_EXIT);
        } else {
            __asm__ volatile("sti");
            call_run();
            cli();
        }
    }
    timer_stop();
    irq_hook = NULL;
}

void pushes_round(void)
{
    for (uint32_t i = 0; i < 30; i++)
        faulting_run();
    for (uint32_t i = 0; i < 6; i++)
        stepped_run();
    interrupted_run(true);
    interrupted_run(false);
}
